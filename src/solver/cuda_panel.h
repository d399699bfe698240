/*
 * The CUDA engine: tiles whose arrays are on a graphics card (kernels/cuda/module.h). The engine
 * holds the device; a panel its memory, the streams and what is under way.
 *
 * Two streams: batches are copied in one, from the reader's buffers, and computed on in the other;
 * an event for each slot says that its copy is done, and another that its batch has been used. The
 * numbers of lanes lie in struct dms_tile between passes, go to the device when a pass begins and
 * come back when it ends; changes of weights that the host makes are gathered and go there before
 * the next pass.
 */
#ifndef DMS_SOLVER_CUDA_PANEL_H
#define DMS_SOLVER_CUDA_PANEL_H

#include "kernels/cuda/module.h"
#include "solver/block.h"
#include "solver/cuda_device.h"
#include "solver/engine.h"

/* Batches that are on their way to the device or on it. */
#define DMS_CUDA_SLOTS 3
/* Weights that go to the device at once. */
#define DMS_CUDA_CHANGES 65536
/* Arrays of a panel, at most. */
#define DMS_CUDA_ARRAYS 48

/* Where a batch is on the device. */
struct dms_cuda_slot {
    uint64_t *masks, *ranks;
    void *outputs;
    dms_cuda_event *copied, *used;
};

/* Weights of one tile that the host has changed. */
struct dms_cuda_changes {
    struct dms_cuda_weight *list;
    size_t weight_ct, capacity;
    bool clears[DMS_LANES];   /* the lane's weights become 0 first */
    bool has_bias[DMS_LANES]; /* the bias shall be `bias` */
    bool has_any;
    double bias[DMS_LANES];
};

struct dms_cuda_array {
    void *memory;
    bool is_pinned;
};

struct dms_cuda_state {
    const struct dms_cuda *cuda;
    struct dms_cuda_panel view; /* what kernels are given */
    uint64_t mask_words;        /* of a row of a batch, at most */
    dms_cuda_stream *copying, *computing;
    struct dms_cuda_slot slots[DMS_CUDA_SLOTS];
    uint64_t batch_ct;     /* of the panel */
    bool is_first;         /* no batch of the pass has come */
    enum dms_pass pass;    /* the kind that some tile makes; SAGA before EVALUATE */
    bool is_table_on_host; /* SAGA's table */

    /* On the device. */
    uint64_t *columns; /* of the batch */
    uint64_t *weight_halves, *residual_halves;
    double *weight_scales, *residual_scales;
    uint8_t *active;
    struct dms_cuda_weight *changed; /* DMS_CUDA_CHANGES on their way */
    uint32_t *examples, *weight_cts; /* models of one tile, on their way out */
    double *values;
    double *seen; /* a lane that the host looks at */
    /* Pairs of one lane that is polished; made when first needed. */
    uint32_t *pair_examples;
    uint64_t *pair_cts, *pair_rows;

    /* Pinned. */
    double *fields;
    struct dms_cuda_lane *lanes;
    uint8_t *host_active;
    uint32_t *host_cts;
    uint64_t *host_pairs;

    struct dms_cuda_changes *changes; /* tile_max of them */
    bool *restarts;                   /* tile_max x DMS_LANES */
    const struct dms_tile *extracted; /* whose models lie ready on the device */

    struct dms_cuda_array arrays[DMS_CUDA_ARRAYS]; /* all of the above, to be released */
    size_t array_ct;
};

/* Opens the first device; fills *engine, whose context is a struct dms_cuda. UNSUPPORTED: there is
 * none. */
int dms_cuda_engine_open(struct dms_engine *engine);
void dms_cuda_engine_close(struct dms_engine *engine);

/* ---- memory (cuda_memory.c) ---- */

uint32_t dms_cuda_largest_batch(const struct dms_solver_run *run);
bool dms_cuda_fits(const struct dms_solver_run *run, uint64_t tile_ct, bool with_table);
int dms_cuda_refuse(const struct dms_solver_run *run);
uint64_t dms_cuda_tile_bytes(const struct dms_problem *problem, bool with_table);
const char *dms_cuda_table_place(const struct dms_solver_run *run, uint64_t tile_ct);

int dms_cuda_open_panel(struct dms_panel *panel);
void dms_cuda_close_panel(struct dms_panel *panel);
int dms_cuda_add_tile(struct dms_panel *panel, bool with_table, struct dms_tile **tile);

/* What only some panels need. */
int dms_cuda_need_counts(struct dms_panel *panel);
int dms_cuda_need_pairs(struct dms_panel *panel);

/* ---- models (cuda_models.c) ---- */

int dms_cuda_set_weights(struct dms_panel *panel, struct dms_tile *tile, size_t l, size_t weight_ct,
                         const uint32_t *examples, const double *weights);
int dms_cuda_clear_weights(struct dms_panel *panel, struct dms_tile *tile, size_t l);
void dms_cuda_set_bias(struct dms_panel *panel, struct dms_tile *tile, size_t l, double bias);
void dms_cuda_restart(struct dms_panel *panel, struct dms_tile *tile, size_t l);
int dms_cuda_extract_model(struct dms_panel *panel, const struct dms_tile *tile, size_t l,
                           struct dms_sparse_model *model);
int dms_cuda_view_lane(struct dms_panel *panel, const struct dms_tile *tile, size_t l,
                       struct dms_lane_view *seen);

/* Takes what the host has changed to the device. */
int dms_cuda_flush(struct dms_panel *panel);

/* ---- passes (cuda_panel.c) ---- */

int dms_cuda_begin(struct dms_panel *panel);
int dms_cuda_batch(struct dms_panel *panel, const struct dms_batch *batch);
int dms_cuda_end(struct dms_panel *panel);
int dms_cuda_step(struct dms_panel *panel);

/* ---- the numbers of lanes (cuda_lanes.c) ---- */

/* What tiles take part in: as struct dms_cuda_lane.mode. */
typedef enum dms_cuda_mode dms_cuda_mode_function(const struct dms_tile *tile);

/* Lanes and fields from the tiles to the device. */
int dms_cuda_upload_lanes(struct dms_panel *panel, dms_cuda_mode_function *mode);
int dms_cuda_upload_fields(struct dms_panel *panel);
/* Fields from the device to state->fields; all work is finished then. */
int dms_cuda_download_fields(struct dms_panel *panel);

/* Field f of lane l of tile t, on the host. */
double *dms_cuda_field(const struct dms_panel *panel, enum dms_cuda_field f, size_t t, size_t l);

#endif
