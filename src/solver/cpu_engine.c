/*
 * The solver's arithmetic on the processor: every tile does its own, and threads take tiles.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "solver/block.h"
#include "solver/engine.h"

static uint32_t largest_batch(const struct dms_solver_run *run)
{
    (void)run;
    return DMS_LARGEST_BATCH;
}

static bool fits(const struct dms_solver_run *run, uint64_t tile_ct, bool with_table)
{
    return dms_block_bytes(run, tile_ct, with_table) <= run->control->memory_bytes;
}

static int refuse(const struct dms_solver_run *run)
{
    return dms_fail(DMS_ERR_INVALID,
                    "a block of %d targets needs %" PRIu64 " MiB of memory, and %" PRIu64
                    " MiB are allowed: allow more",
                    DMS_LANES, dms_block_bytes(run, 1, false) / 1048576 + 1,
                    run->control->memory_bytes / 1048576);
}

static const char *table_place(const struct dms_solver_run *run, uint64_t tile_ct)
{
    (void)run;
    (void)tile_ct;
    return "host";
}

static uint64_t tile_bytes(const struct dms_problem *problem, bool with_table)
{
    uint64_t rows = problem->row_ct[problem->refit ? DMS_ROLE_REFIT : DMS_ROLE_TRAINING];
    size_t examples = problem->example_ct;
    uint64_t working = dms_tile_bytes(examples, rows, dms_block_real_bytes(problem), with_table);
    uint64_t finishing = dms_tile_bytes(examples, rows, sizeof(double), false);
    /* Each lane's own counts and penalties. */
    uint64_t weighted = 2 * sizeof(double) * DMS_LANES * (uint64_t)examples;

    return (working > finishing ? working : finishing) + weighted;
}

/* ---- panels ---- */

int dms_panel_reserve(struct dms_panel *panel)
{
    panel->tiles = dms_alloc(panel->tile_max, sizeof *panel->tiles);
    return panel->tiles ? DMS_OK : DMS_ERR_NO_MEMORY;
}

void dms_panel_append(struct dms_panel *panel, struct dms_tile *tile)
{
    panel->tiles[panel->tile_ct++] = tile;
}

static void close_panel(struct dms_panel *panel)
{
    for (size_t t = 0; t < panel->tile_ct; t++)
        dms_tile_free(panel->tiles[t]);
    free(panel->tiles);
    panel->tiles = NULL;
    panel->tile_ct = 0;
}

static int add_tile(struct dms_panel *panel, bool with_table, struct dms_tile **tile)
{
    int rc = dms_tile_create(panel->design, panel->real_bytes, with_table, tile);

    if (rc == DMS_OK)
        dms_panel_append(panel, *tile);
    return rc;
}

/* ---- weights ---- */

static int set_weights(struct dms_panel *panel, struct dms_tile *tile, size_t l, size_t weight_ct,
                       const uint32_t *examples, const double *weights)
{
    (void)panel;
    for (size_t i = 0; i < weight_ct; i++)
        dms_tile_set_weight(tile, examples[i], l, weights[i]);
    return DMS_OK;
}

static int clear_weights(struct dms_panel *panel, struct dms_tile *tile, size_t l)
{
    for (size_t k = 0; k < panel->design->example_ct; k++)
        dms_tile_set_weight(tile, k, l, 0);
    return DMS_OK;
}

static void set_bias(struct dms_panel *panel, struct dms_tile *tile, size_t l, double bias)
{
    (void)panel;
    dms_tile_set_bias(tile, l, bias);
}

static void restart(struct dms_panel *panel, struct dms_tile *tile, size_t l)
{
    (void)panel;
    dms_tile_restart(tile, l);
}

static int extract(struct dms_panel *panel, const struct dms_tile *tile, size_t l,
                   struct dms_sparse_model *model)
{
    size_t example_ct = panel->design->example_ct;
    size_t weight_ct = 0, at = 0;

    dms_sparse_model_free(model);
    for (size_t k = 0; k < example_ct; k++)
        weight_ct += dms_tile_weight(tile, k, l) != 0;
    model->examples = dms_alloc(weight_ct, sizeof *model->examples);
    model->weights = dms_alloc(weight_ct, sizeof *model->weights);
    if (!model->examples || !model->weights)
        return DMS_ERR_NO_MEMORY;
    for (size_t k = 0; k < example_ct; k++) {
        double weight = dms_tile_weight(tile, k, l);

        if (weight != 0) {
            model->examples[at] = (uint32_t)k;
            model->weights[at++] = weight;
        }
    }
    model->weight_ct = weight_ct;
    model->bias = tile->lanes[l].bias;
    return DMS_OK;
}

static int view(struct dms_panel *panel, const struct dms_tile *tile, size_t l,
                struct dms_lane_view *seen)
{
    for (size_t k = 0; k < panel->design->example_ct; k++) {
        seen->weights[k] = dms_tile_weight(tile, k, l);
        seen->gradients[k] = dms_tile_gradient(tile, k, l);
        seen->scales[k] = dms_tile_scale(tile, k, l);
    }
    return DMS_OK;
}

/* ---- passes ---- */

static int begin(struct dms_panel *panel)
{
    int rc = DMS_OK;

    for (size_t t = 0; rc == DMS_OK && t < panel->tile_ct; t++)
        rc = dms_tile_begin(panel->tiles[t]);
    return rc;
}

struct batch_work {
    struct dms_panel *panel;
    const struct dms_batch *batch;
    atomic_size_t next_tile;
};

static int tile_task(void *context, size_t thread)
{
    struct batch_work *work = context;
    struct dms_tile_scratch *scratch = &work->panel->run->scratch[thread];
    size_t t;

    while ((t = atomic_fetch_add(&work->next_tile, 1)) < work->panel->tile_ct)
        dms_tile_batch(work->panel->tiles[t], work->batch, scratch);
    return DMS_OK;
}

int dms_panel_run_tiles(struct dms_panel *panel, const struct dms_batch *batch)
{
    struct dms_solver_run *run = panel->run;
    size_t task_ct = panel->tile_ct < run->thread_ct ? panel->tile_ct : run->thread_ct;
    struct batch_work work = {.panel = panel, .batch = batch};

    return dms_pool_run(run->pool, task_ct, tile_task, &work);
}

static int end(struct dms_panel *panel)
{
    int rc = DMS_OK;

    for (size_t t = 0; rc == DMS_OK && t < panel->tile_ct; t++)
        rc = dms_tile_end(panel->tiles[t]);
    return rc;
}

static int step(struct dms_panel *panel)
{
    int rc = DMS_OK;

    for (size_t t = 0; rc == DMS_OK && t < panel->tile_ct; t++)
        rc = dms_tile_step(panel->tiles[t]);
    return rc;
}

const struct dms_engine dms_cpu_engine = {
    .name = "cpu",
    .largest_batch = largest_batch,
    .fits = fits,
    .refuse = refuse,
    .table_place = table_place,
    .tile_bytes = tile_bytes,
    .open = dms_panel_reserve,
    .close = close_panel,
    .add_tile = add_tile,
    .set_weights = set_weights,
    .clear_weights = clear_weights,
    .set_bias = set_bias,
    .restart = restart,
    .begin = begin,
    .batch = dms_panel_run_tiles,
    .end = end,
    .step = step,
    .extract = extract,
    .view = view,
};
