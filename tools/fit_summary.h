/*
 * What the targets of a fit come to together: how many are certified, how sparse they are, which
 * lambdas they chose; for dmstore fits, info and ls.
 */
#ifndef DMSTORE_TOOLS_FIT_SUMMARY_H
#define DMSTORE_TOOLS_FIT_SUMMARY_H

#include <stdint.h>

#include <dmstore.h>

#include "json.h"

/* The smallest, the quartiles and the largest of some numbers. */
struct quartiles {
    double values[5];
};

struct fit_summary {
    const char *name; /* belongs to the snapshot, as the header does to the fit */
    const struct dms_fit_header *header;
    uint64_t target_ct; /* fitted */
    uint64_t certified_ct;
    uint64_t estimated_ct; /* that are no solutions of a regression: there is nothing to certify */
    uint64_t constant_ct, path_ended_ct, last_lambda_ct, refitted_ct;
    double worst_gap; /* 0 without targets, as all that follows */
    double mean_weight_ct;
    struct quartiles weight_cts;
    struct quartiles lambdas; /* chosen, of targets that are not constant */
    uint64_t part_ct;
    uint64_t stored_bytes;
    uint64_t last_time_ns; /* when the last part was added; 0: there is none, or not known */
};

/* Reads all targets of a fit. */
int fit_summarize(const dms_fit *fit, struct fit_summary *summary);

/* The fits of a snapshot without their numbers, which costs next to nothing. */
struct listed_fit {
    char name[DMS_NAME_BYTES], output[DMS_NAME_BYTES];
    uint64_t fitted_ct, target_ct; /* fitted targets, and those of the output */
    uint64_t part_ct;
};
struct fit_list {
    struct listed_fit *fits;
    size_t fit_ct;
};

/* fit_list_free releases it, also after a failure. */
int fit_list_make(dms_snapshot *snapshot, struct fit_list *list);
void fit_list_free(struct fit_list *list);

/* Prints a line for each, or writes the array "fits" into an open object. */
void fit_list_print(const struct fit_list *list);
void fit_list_json(struct json_writer *json, const struct fit_list *list);

#define FIT_TIME_BYTES 32

/* Writes nanoseconds since 1970 as "2026-11-22 07:10:28Z" into `text`, "-" for 0; returns `text`.
 */
char *fit_time_text(uint64_t time_ns, char text[FIT_TIME_BYTES]);

/* Writes the pairs of a problem or a provenance as an object. */
void fit_pairs_json(struct json_writer *json, const char *key, const struct dms_metadata *pairs,
                    size_t pair_ct);

/* Writes the members of an open object that tell of a fit in short. */
void fit_summary_json(struct json_writer *json, const struct fit_summary *summary);

#endif
