/*
 * The seam between the solver's control flow and the arithmetic of its passes. An *engine* works on
 * a *panel*: all tiles of a stage, which share each pass over the rows. Which pass a tile makes and
 * what follows from it is decided in stage.c, the same for all engines; an engine has the arrays of
 * the tiles where it computes (src/solver/cpu_engine.c: in the tiles themselves;
 * src/solver/cuda_panel.c: on a graphics card), while the numbers of each lane stay in struct
 * dms_tile for all of them.
 */
#ifndef DMS_SOLVER_ENGINE_H
#define DMS_SOLVER_ENGINE_H

#include "reader/memory.h"
#include "solver/target_path.h"
#include "solver/tile.h"

struct dms_solver_run;
struct dms_engine;

struct dms_panel {
    const struct dms_engine *engine;
    struct dms_solver_run *run;
    struct dms_design *design;
    size_t real_bytes;    /* sizeof(float): passes may round as float does; sizeof(double): not */
    size_t output_stride; /* a bound on the columns of a batch */
    uint32_t batch_rows;  /* of a batch, at most */
    bool half_outputs;    /* of the batches of this pass: struct dms_batch_source */
    size_t tile_max, tile_ct;
    struct dms_tile **tiles;
    void *state; /* of the engine */
};

/* What polishing looks at: example_ct values each, of one lane. */
struct dms_lane_view {
    double *weights, *gradients, *scales;
};

/*
 * Functions that return int fail as all of dmstore does. Tiles of a panel are worked on by one
 * thread, but for set_weights, set_bias and restart, which may be called for different tiles at
 * once.
 */
struct dms_engine {
    const char *name; /* "cpu" or "cuda" */
    void *context;    /* of the functions below; they find it in the panel's run */

    /* Batches are wanted as dms_problem.open_packed has them, their buffers from `memory`. */
    bool takes_packed;
    struct dms_batch_memory memory;

    /* What fits depends on others, who use the same card: a fit that goes on keeps its blocks. */
    bool shares_memory;

    /* Rows of a batch where steps do not depend on it. */
    uint32_t (*largest_batch)(const struct dms_solver_run *run);

    /* Whether blocks of tile_ct tiles fit the memory: what the host needs is host_bytes. */
    bool (*fits)(const struct dms_solver_run *run, uint64_t tile_ct, bool with_table);
    /* Where not even one tile does: fails, with what would help. */
    int (*refuse)(const struct dms_solver_run *run);
    /* Where SAGA's table of such blocks is, as struct dms_fit_placement.table. */
    const char *(*table_place)(const struct dms_solver_run *run, uint64_t tile_ct);
    /* Bytes of the host that one tile needs, with or without SAGA's table. */
    uint64_t (*tile_bytes)(const struct dms_problem *problem, bool with_table);

    /* A panel for up to tile_max tiles, without any. The fields of *panel that describe it are
     * filled in by the caller, who has the panel closed after a failure, too. */
    int (*open)(struct dms_panel *panel);
    void (*close)(struct dms_panel *panel);
    /* Another tile, of zero weights; see dms_tile_create. It belongs to the panel. */
    int (*add_tile)(struct dms_panel *panel, bool with_table, struct dms_tile **tile);

    /* The weights of some examples in lane l. */
    int (*set_weights)(struct dms_panel *panel, struct dms_tile *tile, size_t l, size_t weight_ct,
                       const uint32_t *examples, const double *weights);
    /* All weights of lane l become 0. */
    int (*clear_weights)(struct dms_panel *panel, struct dms_tile *tile, size_t l);
    /* After those: the bias of lane l. */
    void (*set_bias)(struct dms_panel *panel, struct dms_tile *tile, size_t l, double bias);
    /* Lane l begins anew from its weights: without momentum. */
    void (*restart)(struct dms_panel *panel, struct dms_tile *tile, size_t l);

    /* A pass, of the kind that each tile's `pass` says: begun, given every batch, ended. Where a
     * pass fails in the middle it need not be ended. A batch may be released when the call
     * returns. */
    int (*begin)(struct dms_panel *panel);
    int (*batch)(struct dms_panel *panel, const struct dms_batch *batch);
    int (*end)(struct dms_panel *panel);
    /* What each tile's `step` says, in all tiles; then `step` is DMS_STEP_NONE. */
    int (*step)(struct dms_panel *panel);

    /* The weights that are not 0 and the bias of lane l; replaces what *model held. */
    int (*extract)(struct dms_panel *panel, const struct dms_tile *tile, size_t l,
                   struct dms_sparse_model *model);
    /* Weights, gradients and scales of lane l, after DMS_PASS_EVALUATE. */
    int (*view)(struct dms_panel *panel, const struct dms_tile *tile, size_t l,
                struct dms_lane_view *view);
};

/* The processor: the tiles' own arithmetic (tile.c), tiles shared out among threads. */
extern const struct dms_engine dms_cpu_engine;

/* For engines: makes room for the list of tiles, and appends to it. */
int dms_panel_reserve(struct dms_panel *panel);
void dms_panel_append(struct dms_panel *panel, struct dms_tile *tile);

/* For engines that count pairs on the host: DMS_PASS_PAIRS of one batch in all tiles. */
int dms_panel_run_tiles(struct dms_panel *panel, const struct dms_batch *batch);

#endif
