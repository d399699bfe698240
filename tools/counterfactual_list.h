/*
 * Pairs of a target and a set of removed training examples, with what the datamodel predicts and
 * what retrained models show: collected, compared and printed by `dmstore counterfactual`.
 *
 * Functions return 0 or a negative enum dms_error with the message set (see report.h).
 */
#ifndef DMSTORE_TOOLS_COUNTERFACTUAL_LIST_H
#define DMSTORE_TOOLS_COUNTERFACTUAL_LIST_H

#include "fit_query.h"
#include "removal_sets.h"

struct counterfactual {
    size_t place; /* of the target among those chosen */
    enum removal_rule rule;
    const struct removal *removal; /* NULL for REMOVAL_MASK */
    uint64_t k;
    double effect;     /* theta . 1_R; the predicted change is its negative */
    bool is_retrained; /* there are models without R ... */
    size_t mask;       /* ... with this mask */
    double actual;     /* change of the output; NaN: not known */
    uint64_t run_ct;   /* models that it is the mean of */
};

struct counterfactual_list {
    struct counterfactual *items; /* by place, then as they were collected */
    size_t item_ct, capacity;
    uint64_t set_ct;          /* sets that a plan has to train: some may be equal */
    uint64_t smallest_subset; /* examples in the smallest training set that is left */
    const char *runs;         /* the store of retrained models, or NULL */
    enum dms_base base;       /* what actual changes are relative to */
    uint64_t untrained_ct;    /* pairs without retrained models */
    uint64_t nonfinite_ct;    /* outputs left out because they are not finite */
    uint64_t baseless_ct;     /* pairs whose actual change has nothing finite to be relative to */
};

/* Collects the pairs of all chosen targets with their sets. `retrained` (or NULL) is asked for the
 * models of each set. */
int counterfactual_list_collect(const struct fit_query *query, struct removal_sets *sets,
                                const dms_retrained *retrained, struct counterfactual_list *list);

/* Collects the pairs of all chosen targets with all masks of the retrained models. */
int counterfactual_list_collect_masks(const struct fit_query *query, const dms_retrained *retrained,
                                      struct counterfactual_list *list);

/* Sets the actual changes. NOT_FOUND: no set has been trained on. */
int counterfactual_list_read_actual(const struct fit_query *query, const dms_retrained *retrained,
                                    const struct dms_retrained_options *options,
                                    struct counterfactual_list *list);

void counterfactual_list_free(struct counterfactual_list *list);

#endif
