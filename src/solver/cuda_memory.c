/*
 * The memory of the CUDA engine: how large a panel is, on the card and on the host, and its arrays.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "kernels/lanes.h"
#include "solver/cuda_panel.h"

/* Tiles that a panel may have beside those of its block (stage_tiles.c). */
#define SPARE_TILES 2
/* Words of a mask row are a multiple of this in a reader's batches. */
#define MASK_WORDS 8
/* For what does not grow: changes and pairs on their way. */
#define FIXED_BYTES ((uint64_t)8 << 20)

/* ---- sizes ---- */

static uint64_t training_rows(const struct dms_problem *problem)
{
    return problem->row_ct[problem->refit ? DMS_ROLE_REFIT : DMS_ROLE_TRAINING];
}

uint32_t dms_cuda_largest_batch(const struct dms_solver_run *run)
{
    uint64_t rows = training_rows(run->problem);

    return rows < DMS_BATCH_ROWS_MAX ? (uint32_t)((rows + 63) & ~UINT64_C(63)) : DMS_BATCH_ROWS_MAX;
}

static uint64_t stride_of(uint64_t tile_ct)
{
    uint64_t lanes = tile_ct * DMS_LANES;

    return (lanes + DMS_CUDA_STRIDE - 1) / DMS_CUDA_STRIDE * DMS_CUDA_STRIDE;
}

static uint64_t mask_words(uint64_t example_ct)
{
    return (example_ct + 64 * MASK_WORDS - 1) / (64 * MASK_WORDS) * MASK_WORDS;
}

static uint64_t table_bytes(const struct dms_solver_run *run, uint64_t tile_ct)
{
    return dms_block_may_use_saga(run->problem)
               ? training_rows(run->problem) * stride_of(tile_ct) * sizeof(float)
               : 0;
}

/* Bytes of the card that a panel for blocks of tile_ct tiles takes, but for the table. */
static uint64_t panel_bytes(const struct dms_solver_run *run, uint64_t tile_ct, bool with_saga)
{
    uint64_t stride = stride_of(tile_ct + SPARE_TILES), examples = run->problem->example_ct;
    uint64_t rows = run->batch_rows;
    /* Weights, averages, the last proximal points, counts, sums; halves of the weights. */
    uint64_t of_example = (4 + with_saga) * sizeof(double) + sizeof(uint32_t);
    /* Products, residuals and their halves; outputs on their way. */
    uint64_t of_row = 2 * sizeof(double) + sizeof(uint32_t) + DMS_CUDA_SLOTS * sizeof(float);
    uint64_t of_lane = (DMS_CUDA_SUMS * DMS_CUDA_PARTS + DMS_CUDA_FIELD_CT + 8) * sizeof(double);
    uint64_t masks = DMS_CUDA_SLOTS * rows * (mask_words(examples) + 1) * sizeof(uint64_t);
    uint64_t columns = (rows + 63) / 64 * examples * sizeof(uint64_t);
    uint64_t models = DMS_LANES * (sizeof(uint32_t) + sizeof(double)) + 5 * sizeof(double);

    return stride * ((examples + 64) * of_example + (rows + 64) * of_row + of_lane) + masks +
           columns + models * examples + FIXED_BYTES;
}

static uint64_t usable_bytes(const struct dms_solver_run *run)
{
    return dms_cuda_usable_bytes(run->engine->context);
}

/* Whether SAGA's table fits the card beside all else. */
static bool table_fits(const struct dms_solver_run *run, uint64_t tile_ct)
{
    return panel_bytes(run, tile_ct, true) + table_bytes(run, tile_ct + SPARE_TILES) <=
           usable_bytes(run);
}

bool dms_cuda_fits(const struct dms_solver_run *run, uint64_t tile_ct, bool with_table)
{
    uint64_t host = dms_block_bytes(run, tile_ct, with_table);

    if (panel_bytes(run, tile_ct, with_table) > usable_bytes(run))
        return false;
    if (with_table && !table_fits(run, tile_ct))
        host += table_bytes(run, tile_ct + SPARE_TILES);
    return host <= run->control->memory_bytes;
}

const char *dms_cuda_table_place(const struct dms_solver_run *run, uint64_t tile_ct)
{
    return table_fits(run, tile_ct) ? "device" : "host";
}

int dms_cuda_refuse(const struct dms_solver_run *run)
{
    const struct dms_cuda *cuda = run->engine->context;
    uint64_t needed = panel_bytes(run, 1, false);

    if (needed <= usable_bytes(run))
        return dms_cpu_engine.refuse(run);
    return dms_fail(
        DMS_ERR_INVALID,
        "a block of %d targets needs %" PRIu64 " MiB of CUDA device %d (%s), and %" PRIu64
        " MiB can be used: use the processor (device cpu)",
        DMS_LANES, needed / 1048576 + 1, cuda->index, cuda->name, usable_bytes(run) / 1048576);
}

/* On the host: numbers of lanes, and changes on their way, at worst models without a zero. */
uint64_t dms_cuda_tile_bytes(const struct dms_problem *problem, bool with_table)
{
    (void)with_table;
    return sizeof(struct dms_tile) + sizeof(struct dms_cuda_changes) +
           DMS_LANES * (DMS_CUDA_FIELD_CT * sizeof(double) + sizeof(struct dms_cuda_lane)) +
           DMS_LANES * sizeof(struct dms_cuda_weight) * (uint64_t)problem->example_ct;
}

/* ---- arrays ---- */

/* An array that is wanted: `place` is the address of a pointer to it. */
struct wanted {
    void *place;
    uint64_t count;
    size_t size;
    bool is_pinned;
};

static int allocate(struct dms_cuda_state *state, const struct wanted *wanted)
{
    const struct dms_cuda *cuda = state->cuda;
    void *memory = NULL;
    size_t bytes;
    int code;

    if (dms_mul_overflow(wanted->count, wanted->size, &bytes))
        return dms_fail(DMS_ERR_NO_MEMORY, "a block of targets is too large for this machine");
    bytes = bytes ? bytes : 1;
    code = wanted->is_pinned ? cuda->module->allocate_pinned(bytes, &memory)
                             : cuda->module->allocate(bytes, &memory);
    if (code != 0)
        return dms_cuda_check(cuda, code,
                              wanted->is_pinned ? "pinned buffers" : "a block of targets");
    state->arrays[state->array_ct++] = (struct dms_cuda_array){memory, wanted->is_pinned};
    memcpy(wanted->place, &memory, sizeof memory);
    return DMS_OK;
}

static int allocate_all(struct dms_cuda_state *state, const struct wanted *list, size_t count)
{
    int rc = DMS_OK;

    for (size_t i = 0; rc == DMS_OK && i < count; i++)
        rc = allocate(state, &list[i]);
    return rc;
}

#define COUNT_OF(list) (sizeof(list) / sizeof(list)[0])

static int allocate_examples(struct dms_cuda_state *state)
{
    struct dms_cuda_panel *view = &state->view;
    uint64_t examples = view->example_ct, values = examples * view->stride;
    const struct wanted list[] = {
        {&view->weights, values, sizeof(double), false},
        {&view->averages, values, sizeof(double), false},
        {&view->previous, values, sizeof(double), false},
        {&view->means, examples, sizeof(double), false},
        {&view->inverse_variances, examples, sizeof(double), false},
        {&state->weight_halves, DMS_CUDA_PAIRS(examples) * view->stride, sizeof(uint64_t), false},
        {&state->weight_scales, view->stride, sizeof(double), false},
        {&state->seen, 3 * examples, sizeof(double), false},
        /* Models on their way in and out. */
        {&state->changed, DMS_CUDA_CHANGES, sizeof(struct dms_cuda_weight), false},
        {&state->examples, examples * DMS_LANES, sizeof(uint32_t), false},
        {&state->values, examples * DMS_LANES, sizeof(double), false},
        {&state->weight_cts, DMS_LANES, sizeof(uint32_t), false},
        {&state->host_cts, DMS_LANES, sizeof(uint32_t), true},
    };

    return allocate_all(state, list, COUNT_OF(list));
}

static int allocate_rows(struct dms_cuda_state *state, uint64_t rows)
{
    struct dms_cuda_panel *view = &state->view;
    uint64_t stride = view->stride;
    const struct wanted list[] = {
        {&view->products, rows * stride, sizeof(double), false},
        {&view->residuals, rows * stride, sizeof(double), false},
        {&state->residual_halves, DMS_CUDA_PAIRS(rows) * stride, sizeof(uint64_t), false},
        {&state->residual_scales, stride, sizeof(double), false},
        {&state->columns, (rows + 63) / 64 * view->example_ct, sizeof(uint64_t), false},
    };

    return allocate_all(state, list, COUNT_OF(list));
}

static int allocate_lanes(struct dms_cuda_state *state)
{
    struct dms_cuda_panel *view = &state->view;
    uint64_t stride = view->stride;
    const struct wanted list[] = {
        {&view->partial, (uint64_t)DMS_CUDA_SUMS * DMS_CUDA_PARTS * stride, sizeof(double), false},
        {&view->fields, DMS_CUDA_FIELD_CT * stride, sizeof(double), false},
        {&view->lanes, stride, sizeof(struct dms_cuda_lane), false},
        {&state->active, stride / DMS_CUDA_TILE, 1, false},
        {&state->fields, DMS_CUDA_FIELD_CT * stride, sizeof(double), true},
        {&state->lanes, stride, sizeof(struct dms_cuda_lane), true},
        {&state->host_active, stride / DMS_CUDA_TILE, 1, true},
    };

    return allocate_all(state, list, COUNT_OF(list));
}

static int open_slot(const struct dms_panel *panel, struct dms_cuda_state *state,
                     struct dms_cuda_slot *slot)
{
    const struct dms_cuda_module *module = state->cuda->module;
    uint64_t rows = panel->batch_rows;
    const struct wanted list[] = {
        {&slot->masks, rows * state->mask_words, sizeof(uint64_t), false},
        {&slot->outputs, rows * panel->output_stride, sizeof(float), false},
        {&slot->ranks, rows, sizeof(uint64_t), false},
    };
    int rc = allocate_all(state, list, COUNT_OF(list));

    if (rc == DMS_OK)
        rc = dms_cuda_check(state->cuda, module->create_event(&slot->copied), "an event");
    if (rc == DMS_OK)
        rc = dms_cuda_check(state->cuda, module->create_event(&slot->used), "an event");
    return rc;
}

/* Weights begin as 0; what all lanes share is the design's. */
static int fill_panel(const struct dms_panel *panel, struct dms_cuda_state *state)
{
    const struct dms_cuda_module *module = state->cuda->module;
    const struct dms_cuda_panel *view = &state->view;
    size_t bytes = view->example_ct * sizeof(double);
    int code = module->clear(view->weights, bytes * view->stride, state->computing);

    if (code == 0)
        code = module->clear((void *)(uintptr_t)view->lanes, view->stride * sizeof *view->lanes,
                             state->computing);
    if (code == 0)
        code = module->clear(view->fields, DMS_CUDA_FIELD_CT * view->stride * sizeof(double),
                             state->computing);
    if (code == 0)
        code = module->copy((void *)(uintptr_t)view->means, panel->design->means, bytes,
                            state->computing);
    if (code == 0)
        code = module->copy((void *)(uintptr_t)view->inverse_variances,
                            panel->design->inverse_variances, bytes, state->computing);
    return dms_cuda_check(state->cuda, code, "preparing a block of targets");
}

/* ---- panels ---- */

static int fill_state(struct dms_panel *panel, struct dms_cuda_state *state)
{
    const struct dms_design *design = panel->design;
    const struct dms_cuda_module *module;
    int rc;

    state->cuda = panel->run->engine->context;
    module = state->cuda->module;
    state->mask_words = mask_words(design->example_ct);
    state->view = (struct dms_cuda_panel){.example_ct = (uint32_t)design->example_ct,
                                          .stride = (uint32_t)stride_of(panel->tile_max),
                                          .row_ct = design->row_ct,
                                          .standardize = design->standardize};
    state->changes = dms_alloc(panel->tile_max, sizeof *state->changes);
    state->restarts = dms_alloc(panel->tile_max * DMS_LANES, sizeof *state->restarts);
    if (!state->changes || !state->restarts)
        return DMS_ERR_NO_MEMORY;
    memset(state->restarts, true, panel->tile_max * DMS_LANES);
    rc = dms_cuda_check(state->cuda, module->create_stream(&state->copying), "a stream");
    if (rc == DMS_OK)
        rc = dms_cuda_check(state->cuda, module->create_stream(&state->computing), "a stream");
    if (rc == DMS_OK)
        rc = allocate_examples(state);
    if (rc == DMS_OK)
        rc = allocate_rows(state, panel->batch_rows);
    if (rc == DMS_OK)
        rc = allocate_lanes(state);
    for (size_t i = 0; rc == DMS_OK && i < DMS_CUDA_SLOTS; i++)
        rc = open_slot(panel, state, &state->slots[i]);
    return rc == DMS_OK ? fill_panel(panel, state) : rc;
}

int dms_cuda_open_panel(struct dms_panel *panel)
{
    int rc = dms_panel_reserve(panel);

    if (rc < 0)
        return rc;
    panel->state = dms_alloc(1, sizeof(struct dms_cuda_state));
    return panel->state ? fill_state(panel, panel->state) : DMS_ERR_NO_MEMORY;
}

static void free_state(struct dms_cuda_state *state, size_t tile_max)
{
    const struct dms_cuda_module *module = state->cuda->module;
    dms_cuda_stream *streams[] = {state->copying, state->computing};

    /* What was begun may still use what is freed now. */
    for (size_t i = 0; i < COUNT_OF(streams); i++)
        if (streams[i])
            (void)module->finish(streams[i]);
    for (size_t i = 0; i < DMS_CUDA_SLOTS; i++) {
        if (state->slots[i].copied)
            module->destroy_event(state->slots[i].copied);
        if (state->slots[i].used)
            module->destroy_event(state->slots[i].used);
    }
    for (size_t i = 0; i < COUNT_OF(streams); i++)
        if (streams[i])
            module->destroy_stream(streams[i]);
    for (size_t i = 0; i < state->array_ct; i++)
        if (state->arrays[i].is_pinned)
            module->release_pinned(state->arrays[i].memory);
        else
            module->release(state->arrays[i].memory);
    for (size_t t = 0; state->changes && t < tile_max; t++)
        free(state->changes[t].list);
    free(state->changes);
    free(state->restarts);
    free(state);
}

void dms_cuda_close_panel(struct dms_panel *panel)
{
    if (panel->state)
        free_state(panel->state, panel->tile_max);
    panel->state = NULL;
    for (size_t t = 0; t < panel->tile_ct; t++)
        dms_tile_free(panel->tiles[t]);
    free(panel->tiles);
    panel->tiles = NULL;
    panel->tile_ct = 0;
}

/* What SAGA needs beside: its table, on the card if there is room, and the sums of a batch. */
static int allocate_saga(const struct dms_panel *panel, struct dms_cuda_state *state)
{
    struct dms_cuda_panel *view = &state->view;
    /* Those of the block, of which the panel has some to spare. */
    uint64_t tile_ct = panel->tile_max > SPARE_TILES ? panel->tile_max - SPARE_TILES : 1;
    struct wanted list[] = {
        {&view->sums, (uint64_t)view->example_ct * view->stride, sizeof(double), false},
        {&view->table, view->row_ct * view->stride, sizeof(float), false},
    };

    state->is_table_on_host = list[1].is_pinned = !table_fits(panel->run, tile_ct);
    return allocate_all(state, list, COUNT_OF(list));
}

int dms_cuda_add_tile(struct dms_panel *panel, bool with_table, struct dms_tile **tile)
{
    struct dms_cuda_state *state = panel->state;
    struct dms_tile *made = dms_alloc(1, sizeof *made);

    if (!made)
        return DMS_ERR_NO_MEMORY;
    dms_tile_init_lanes(made, panel->design);
    dms_panel_append(panel, made);
    state->view.lane_ct = (uint32_t)(panel->tile_ct * DMS_LANES);
    *tile = made;
    return with_table && !state->view.table ? allocate_saga(panel, state) : DMS_OK;
}

int dms_cuda_need_counts(struct dms_panel *panel)
{
    struct dms_cuda_state *state = panel->state;
    struct dms_cuda_panel *view = &state->view;
    const struct wanted wanted = {&view->counts, (uint64_t)view->example_ct * view->stride,
                                  sizeof(double), false};

    return view->counts ? DMS_OK : allocate(state, &wanted);
}

int dms_cuda_need_pairs(struct dms_panel *panel)
{
    struct dms_cuda_state *state = panel->state;
    uint64_t pair_ct = (uint64_t)DMS_POLISH_EXAMPLES * DMS_POLISH_EXAMPLES;
    const struct wanted list[] = {
        {&state->pair_examples, DMS_POLISH_EXAMPLES, sizeof(uint32_t), false},
        {&state->pair_rows, DMS_BATCH_ROWS_MAX / 64, sizeof(uint64_t), false},
        {&state->pair_cts, pair_ct, sizeof(uint64_t), false},
        {&state->host_pairs, pair_ct, sizeof(uint64_t), true},
    };

    return state->host_pairs ? DMS_OK : allocate_all(state, list, COUNT_OF(list));
}
