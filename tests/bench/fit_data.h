/*
 * Fits for the benchmarks of queries: sparse datamodels that nobody fitted, the same for the same
 * seed. Targets are alike in groups, as those of one class or of one scene are, so that there is
 * something to find: half of a target's weights lie on examples that its group shares.
 */
#ifndef DMSTORE_TESTS_BENCH_FIT_DATA_H
#define DMSTORE_TESTS_BENCH_FIT_DATA_H

#include <stdint.h>

struct bench_fit_data {
    uint64_t example_ct; /* d */
    uint64_t target_ct;  /* n */
    uint64_t weight_ct;  /* of each target, at most example_ct / 4 */
    uint64_t group_ct;   /* target t is of group t % group_ct */
    uint64_t seed;
};

/* d = 50,000 examples, n = 10,000 targets, 500 weights each, 200 groups. */
void bench_fit_data_init(struct bench_fit_data *data);

/* Writes fit `name` of output `output`, which store `path` must have with these sizes, into it. The
 * fit says that models 0 .. 999 trained it, 1,000 .. 1,099 chose and 1,100 .. 1,199 are held out;
 * they need not be there, and their digests are made up. */
void bench_fit_add(const struct bench_fit_data *data, const char *path, const char *output,
                   const char *name);

/* The same into a new store without models, whose one output is "margins" f16. */
void bench_fit_create(const struct bench_fit_data *data, const char *path, const char *name);

#endif
