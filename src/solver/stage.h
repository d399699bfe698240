/*
 * One stage of a block in work: its tiles, the targets in them, and the passes over the rows.
 */
#ifndef DMS_SOLVER_STAGE_H
#define DMS_SOLVER_STAGE_H

#include "solver/block.h"

/* Passes after which the tiles are built anew. */
#define DMS_SYNC_EPOCHS 24

/* This part of the memory is for targets that are being polished: as many at a time as it holds. */
#define DMS_POLISH_SHARE 16

/* A tile in work, and whose targets are in its lanes. */
struct dms_work_tile {
    struct dms_tile *tile;
    struct dms_target_path *paths[DMS_LANES];
    bool accelerated; /* by the stage's method, or because SAGA is slow or diverged here */
    bool fresh;       /* no evaluation yet */
    unsigned epochs_at_lambda[DMS_LANES];
    unsigned planned_epochs[DMS_LANES]; /* at one lambda before it is evaluated */
    bool accepted[DMS_LANES];           /* at the present evaluation */
    bool settle[DMS_LANES];             /* solved, but for a last step without momentum */
    enum dms_pass pass;                 /* the last one */
};

/* One stage in work. */
struct dms_stage_work {
    struct dms_block *block;
    enum dms_role role;
    struct dms_design *design;
    size_t real_bytes;
    double tolerance;
    enum dms_method method;
    struct dms_batch_source source, validation;
    bool has_source, has_validation;
    struct dms_panel panel;      /* the tiles' arithmetic */
    struct dms_work_tile *tiles; /* in the order of the panel */
    size_t tile_ct;
};

/* Opens what the block's present stage needs; close after a failure, too. */
int dms_stage_open(struct dms_block *block, struct dms_stage_work *stage);
void dms_stage_close(struct dms_stage_work *stage);

/* Solves all unfinished targets of the stage. */
int dms_stage_solve(struct dms_stage_work *stage);

/* ---- tiles (stage_tiles.c) ---- */

/* Builds the tiles of all unfinished targets from their models, in place of those there are, with
 * the source that the stage's method wants. */
int dms_stage_build_tiles(struct dms_stage_work *stage);
void dms_stage_free_tiles(struct dms_stage_work *stage);

/* Takes the models of all unfinished targets out of the tiles. */
int dms_stage_collect_models(struct dms_stage_work *stage);

/* The weights of lane l and its bias, zeros left out; replaces what *model held. */
int dms_stage_extract_model(struct dms_stage_work *stage, const struct dms_work_tile *work,
                            size_t l, struct dms_sparse_model *model);

/* A source of the block's targets, with batches as the engine takes them. */
int dms_stage_open_source(const struct dms_stage_work *stage, enum dms_role role, bool shuffled,
                          uint32_t batch_rows, struct dms_batch_source *source);

/* A pass of all tiles, of the kind that each one's `pass` says. */
int dms_stage_run_pass(struct dms_stage_work *stage, struct dms_batch_source *source,
                       uint64_t epoch);

#endif
