/*
 * What dmstore cluster found, as text, JSON, CSV and .npy.
 */
#ifndef DMSTORE_TOOLS_CLUSTER_REPORT_H
#define DMSTORE_TOOLS_CLUSTER_REPORT_H

#include <stdint.h>

#include <dmstore.h>

#include "fit_query.h"

/* Targets that were clustered by themselves: those of a class, or all. */
struct cluster_group {
    int64_t class; /* where there are classes */
    size_t place_ct;
    size_t *places; /* among the targets of the report */
    struct dms_clustering clustering;
    size_t *sizes;     /* of each cluster */
    double rand_index; /* where there is a truth */
};

struct cluster_report {
    const struct fit_query *query;
    const struct dms_cluster_options *options;
    size_t target_ct; /* in the order of the query's positions */
    uint64_t *targets;
    int64_t *clusters; /* of each; -1: none */
    int64_t *classes;  /* of each target of the column; NULL: there are none */
    int64_t *truth;    /* likewise */
    size_t group_ct;
    struct cluster_group *groups;
};

void cluster_report_print(const struct cluster_report *report);
void cluster_report_json(const struct cluster_report *report);

/* Writes the clusters as .npy (int64, one a target) when the path ends so, else as CSV. Returns 0
 * or a negative enum dms_error with the message set. */
int cluster_report_write(const struct cluster_report *report, const char *path);

/* Frees the arrays. */
void cluster_report_free(struct cluster_report *report);

#endif
