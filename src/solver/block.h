/*
 * A block of targets on its way through the stages of a fit: the path on the training models, the
 * refit on training and validation models, and the certificate in double precision. In every stage
 * all targets share each pass over the rows; within it a target goes its own way, lambda by lambda.
 */
#ifndef DMS_SOLVER_BLOCK_H
#define DMS_SOLVER_BLOCK_H

#include "solver/design.h"
#include "solver/engine.h"
#include "solver/target_path.h"

struct dms_pool;

enum dms_stage {
    DMS_STAGE_PATH,   /* all lambdas, on the training models */
    DMS_STAGE_REFIT,  /* the chosen lambda, on training and validation models */
    DMS_STAGE_FINISH, /* the same in double precision, until the gap of what is stored is proven */
};
#define DMS_STAGE_CT 3

/* How a block goes about it; see block.c. */
enum dms_method { DMS_METHOD_SAGA, DMS_METHOD_ACCELERATED };
#define DMS_METHOD_CT 2

/* What all blocks of a fit share. */
struct dms_solver_run {
    const struct dms_problem *problem;
    const struct dms_solve_control *control;
    const struct dms_engine *engine;
    struct dms_pool *pool;
    unsigned thread_ct;                      /* that take tiles */
    uint32_t saga_rows;                      /* of a batch of SAGA */
    uint32_t batch_rows;                     /* of a batch at most */
    bool with_table;                         /* there is room for SAGA's table */
    struct dms_tile_scratch *scratch;        /* thread_ct of them */
    struct dms_design *designs[DMS_ROLE_CT]; /* of training and refit */
    uint64_t block_ct;
    uint64_t finished_ct; /* targets of earlier blocks */
};

struct dms_block {
    struct dms_solver_run *run;
    uint64_t index;
    size_t first, target_ct; /* of the problem's targets */
    struct dms_target_path *paths;
    enum dms_stage stage;
    uint64_t epoch; /* passes of this stage */
    /* What each method has done: passes, and solutions found in them. */
    uint64_t pass_ct[DMS_METHOD_CT], solution_ct[DMS_METHOD_CT];
};

int dms_block_create(struct dms_solver_run *run, uint64_t index, size_t first, size_t target_ct,
                     struct dms_block **block);
void dms_block_free(struct dms_block *block);

/* From the state that a block saved: goes on there. */
int dms_block_restore(struct dms_block *block, struct dms_cursor *cursor);

/* Has the state of the block kept. */
int dms_block_checkpoint(const struct dms_block *block);

/* Targets that are not finished with the present stage. */
size_t dms_block_unfinished_ct(const struct dms_block *block);

/* The method for the next passes, from what each has done so far. */
enum dms_method dms_block_choose_method(const struct dms_block *block);

/* Solves all targets; then every path's model, gap and flags are final. */
int dms_block_solve(struct dms_block *block);

/* Threads that there is scratch for, however many there are: what fits beside it, on which blocks
 * and methods depend, is the same on every machine. */
unsigned dms_block_thread_ct(const struct dms_solver_run *run);

/* Bytes of the host that blocks of tile_ct tiles need in the stage that needs most, with or without
 * room for SAGA's table, with the sources and the share that is for polishing. */
uint64_t dms_block_bytes(const struct dms_solver_run *run, uint64_t tile_ct, bool with_table);

/* Whether a block may use SAGA at all, given room for its table. */
bool dms_block_may_use_saga(const struct dms_problem *problem);

/* Bytes of a value in the solver's tables: float, or double where float could not reach the
 * tolerance. */
size_t dms_block_real_bytes(const struct dms_problem *problem);

#endif
