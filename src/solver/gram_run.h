/*
 * What the parts of the gram solver share: a run, the block of targets in work, and who solves
 * which of them.
 */
#ifndef DMS_SOLVER_GRAM_RUN_H
#define DMS_SOLVER_GRAM_RUN_H

#include "solver/gram_matrix.h"
#include "solver/gram_target.h"
#include "solver/target_outputs.h"

/* Targets in work at a time: they share each row of the Gram matrix while it is in the cache. */
#define DMS_GRAM_BATCH 64

struct dms_gram_run {
    const struct dms_problem *problem;
    const struct dms_solve_control *control;
    struct dms_pool *pool;
    bool refit; /* after the path */
    /* Scratch of the threads that solve working sets, of set_limit examples at most. */
    struct dms_working_set *sets;
    size_t set_ct, set_limit;
    /* Of training and validation models; NULL: no target has all models. */
    struct dms_pair_counts *counts[DMS_ROLE_CT];
    size_t block_targets;
    uint64_t block_ct;
    uint64_t wide_bytes; /* of the larger matrix: dms_gram_measure_matrices */
    uint64_t work_bytes; /* for solving a block, beside what is there all the time */
};

enum dms_gram_stage { DMS_GRAM_PATH, DMS_GRAM_REFIT };

struct dms_gram_block {
    struct dms_gram_run *run;
    uint64_t index;
    size_t first, target_ct; /* of the problem */
    enum dms_gram_stage stage;
    uint64_t round_ct;             /* in this stage */
    struct dms_target_path *paths; /* target_ct */
    /* Moments and products of all targets on the training and the validation models. */
    struct dms_target_outputs moments[DMS_ROLE_CT];
};

/* The models of the block's stage. */
enum dms_role dms_gram_role(const struct dms_gram_block *block);

/* Whether a target has weight on all models, so that the Gram matrix of all is its own. */
bool dms_gram_is_shared(const struct dms_gram_block *block, size_t t);

/* Moves *next to the first target from there on, before `end`, that is not finished and shares the
 * Gram matrix of all, or does not; false, and *next is `end`: there is none. */
bool dms_gram_find_next(const struct dms_gram_block *block, bool shared, size_t end, size_t *next);

/* The moments of target t on the stage's models, for a refit those of both roles added up. */
struct dms_output_moments dms_gram_moments(const struct dms_gram_block *block, size_t t);

/* The sum of x_k (y - shift - level) over the models of a role. Levels are small where means are
 * large beside the spread: the difference of two means would not be exact. */
double dms_gram_sum_products(const struct dms_gram_block *block, enum dms_role role, size_t t,
                             size_t k, double level);

/* Sets those of a target's path. */
void dms_gram_set_moments(struct dms_target_path *path, const struct dms_output_moments *moments);

/* Progress, interruption and a checkpoint, after every round of steps. */
int dms_gram_tell(struct dms_gram_block *block);

/* Calls task(context, i, set) for i < task_ct on all threads, each with a working set of its own.
 */
int dms_gram_run_each(struct dms_gram_run *run, size_t task_ct,
                      int (*task)(void *context, size_t index, struct dms_working_set *set),
                      void *context);

/* Finds or makes the counts of pairs. */
int dms_gram_count_pairs(struct dms_gram_run *run);

/* What the matrices of path and refit take beside dms_gram_matrix_bytes: the larger one. */
int dms_gram_measure_matrices(const struct dms_gram_run *run, uint64_t *wide_bytes);

/* Solve the unfinished targets of the block's stage that have all models in common (gram_shared.c),
 * and those that have not (gram_own.c). */
int dms_gram_solve_shared(struct dms_gram_block *block);
int dms_gram_solve_own(struct dms_gram_block *block);

/* ---- memory: what either takes beside what is there all the time ---- */

/* The largest working set, which may depend on the memory but not on the threads: results would
 * depend on them. */
size_t dms_gram_largest_set(const struct dms_problem *problem, uint64_t memory_bytes);

/* Of counts of pairs that are not pages of a file: these are there all the time. */
uint64_t dms_gram_counts_bytes(const struct dms_problem *problem);

/* Without what dms_gram_measure_matrices finds. */
uint64_t dms_gram_shared_bytes(const struct dms_problem *problem, uint64_t memory_bytes,
                               size_t set_ct);

/* Tiles of lanes in work at a time, one a thread at most, and tiles of targets whose outputs are
 * read at a time: no fewer. */
struct dms_gram_own_size {
    size_t tile_ct, window_ct;
};
/* That of set_ct threads, where memory is no matter. */
struct dms_gram_own_size dms_gram_own_largest(size_t set_ct);
uint64_t dms_gram_own_bytes(const struct dms_problem *problem, uint64_t memory_bytes,
                            const struct dms_gram_own_size *size);

#endif
