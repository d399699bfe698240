/*
 * The sets of training examples that `--remove` asks about: "top:40", "zero:grid", "@FILE" ..., for
 * one target after the other.
 *
 * Functions return 0 or a negative enum dms_error with the message set (see report.h).
 */
#ifndef DMSTORE_TOOLS_REMOVAL_SETS_H
#define DMSTORE_TOOLS_REMOVAL_SETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dmstore.h>

#include "distances.h"
#include "index_list.h"
#include "index_names.h"

enum removal_rule {
    REMOVAL_TOP = DMS_REMOVE_TOP,
    REMOVAL_BOTTOM = DMS_REMOVE_BOTTOM,
    REMOVAL_RANDOM = DMS_REMOVE_RANDOM,
    REMOVAL_ZERO = DMS_REMOVE_ZERO,
    REMOVAL_CLASS = DMS_REMOVE_CLASS,
    REMOVAL_NEAREST, /* by distance from the target */
    REMOVAL_LIST,    /* those of a file */
    REMOVAL_MASK,    /* not asked for: the examples that a retrained model did not have */
};

/* "top", "bottom" ... "mask": the kinds of plans and reports. */
extern const char *const removal_rule_words[];

/* One --remove. */
struct removal {
    enum removal_rule rule;
    bool is_grid;             /* of sizes 10, 20, 40 ... 1280, as far as there are examples */
    uint64_t k;               /* else this one */
    const char *path;         /* of REMOVAL_LIST; belongs to the command line */
    struct index_list listed; /* read by removal_sets_prepare */
};

/* Parses the text of an option; false when it is none. */
bool removal_parse(const char *text, struct removal *removal);

/* Whether both ask about sets of the same kind and size. */
bool removal_overlaps(const struct removal *a, const struct removal *b);

/* The caller sets the first members. */
struct removal_sets {
    struct removal *removals;
    size_t removal_ct;
    uint64_t example_ct, seed;
    const struct index_names *examples_are, *targets_are; /* labels, for REMOVAL_CLASS */
    struct distances *distances;                          /* for REMOVAL_NEAREST, or NULL */
    /* Examples are chosen by these weights, and for all targets alike; NULL: by each target's. */
    const struct dms_fitted_target *by;

    uint64_t *order;     /* room for example_ct */
    double *to_examples; /* distances of one target */
    uint8_t *mask;
};

/* Reads listed files, checks what the removals need, and makes room. Ended with removal_sets_free,
 * also after a failure; the caller frees `removals`. */
int removal_sets_prepare(struct removal_sets *sets);
void removal_sets_free(struct removal_sets *sets);

/* One set; everything is valid during the visit only. */
struct removed_set {
    const struct removal *removal;
    uint64_t k;
    const uint64_t *examples; /* k of them, those that are removed */
    const uint8_t *mask;      /* all the others: example_ct bits, the bits after them zero */
};
typedef int (*removed_set_visit)(void *context, const struct removed_set *set);

/* Visits the sets of a target in the order of the options, by increasing k; target NULL: those that
 * are the same for all targets, which are not visited for any. Ends with what `visit` returns when
 * that is not 0. INVALID: fewer examples than asked for qualify. */
int removal_sets_visit(struct removal_sets *sets, const struct dms_fitted_target *target,
                       removed_set_visit visit, void *context);

#endif
