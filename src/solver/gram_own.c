/*
 * Targets that have models of their own: those that leave out the models that have seen them, and
 * those with outputs that are not finite. Sixteen of them at a time share each pass over the masks,
 * which gives their gradients (kernels/lanes.h); pairs are counted for their working sets only, and
 * kept from step to step.
 */
#include "solver/gram_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "kernels/gram.h"
#include "kernels/lane_updates.h"
#include "kernels/lanes.h"
#include "solver/design.h"
#include "solver/gram_path.h"
#include "solver/kept_pairs.h"
#include "solver/mask_columns.h"
#include "solver/pass.h"

/* Tiles of targets whose outputs are read at a time, for each tile of lanes, where there is room:
 * lanes that end early take the next ones. */
#define WINDOW_TILES 4
#define WINDOW_KEEPS (DMS_KEEP_ROWS | DMS_KEEP_OUTPUTS)
#define ROWS 1024

/* ---- lanes ---- */

/* What a lane multiplies the masks with in the next pass. */
enum phase {
    PHASE_FREE,
    PHASE_COUNT,    /* 1: how many models have each example */
    PHASE_PRODUCTS, /* outputs */
    PHASE_GRADIENT, /* residuals */
};

struct lane {
    enum phase phase;
    size_t column; /* in the window */
    struct dms_gram_target target;
    double *masks;               /* means, deviations, scales: example_ct each */
    double *predictions;         /* one a row: sums of weights, then residuals */
    struct dms_kept_pairs pairs; /* of its working sets */
};

struct tile {
    struct lane lanes[DMS_LANES];
    double *values; /* ROWS x DMS_LANES, and a workspace */
    double *sums;   /* example_ct x DMS_LANES, of some rows */
    double *totals; /* of all */
    double value_sums[DMS_LANES];
    double *validation_predictions;
};

struct own_work {
    struct dms_gram_block *block;
    struct dms_mask_columns masks, validation_masks;
    size_t window, window_ct; /* targets of the block */
    struct dms_target_outputs targets, validation;
    struct dms_gram_own_size size;
    struct tile *tiles;
    size_t tile_ct;
    size_t pair_capacity;
    size_t next; /* target of the block that was not looked at yet */
};

/* What counting the pairs of a working set takes: all of them, where it is not kept. */
static uint64_t counting_bytes(uint64_t size, uint64_t capacity)
{
    uint64_t counts = size > capacity ? size * size * sizeof(uint32_t) : 0;

    return counts + dms_mask_columns_count_bytes((size_t)size);
}

struct dms_gram_own_size dms_gram_own_largest(size_t set_ct)
{
    return (struct dms_gram_own_size){set_ct, WINDOW_TILES * set_ct};
}

uint64_t dms_gram_own_bytes(const struct dms_problem *problem, uint64_t memory_bytes,
                            const struct dms_gram_own_size *size)
{
    size_t example_ct = problem->example_ct;
    uint64_t row_ct = problem->row_ct[DMS_ROLE_REFIT];
    uint64_t capacity = dms_kept_pairs_capacity(memory_bytes, example_ct);
    uint64_t lane = dms_gram_target_bytes(example_ct) + sizeof(double) * (3 * example_ct + row_ct) +
                    dms_kept_pairs_bytes(example_ct, (size_t)capacity);
    uint64_t tile = DMS_LANES * (lane + sizeof(double) * (ROWS + 2 * example_ct)) +
                    sizeof(double) * row_ct +
                    counting_bytes(dms_gram_largest_set(problem, memory_bytes), capacity);

    return dms_mask_words_bytes(example_ct, row_ct) +
           dms_mask_words_bytes(example_ct, problem->row_ct[DMS_ROLE_VALIDATION]) +
           size->tile_ct * tile +
           size->window_ct * DMS_LANES * dms_target_outputs_bytes(example_ct, row_ct, WINDOW_KEEPS);
}

/* What the work of a block is divided into: as many lanes as fit, with at least as many targets to
 * fill them. */
static struct dms_gram_own_size choose_size(const struct dms_gram_run *run)
{
    uint64_t memory_bytes = run->control->memory_bytes;
    struct dms_gram_own_size largest = dms_gram_own_largest(run->set_ct), size = {1, 1}, next;

    for (next = size; next.tile_ct <= largest.tile_ct; next.tile_ct++, next.window_ct++)
        if (dms_gram_own_bytes(run->problem, memory_bytes, &next) <= run->work_bytes)
            size = next;
    for (next = size; next.window_ct <= largest.window_ct; next.window_ct++)
        if (dms_gram_own_bytes(run->problem, memory_bytes, &next) <= run->work_bytes)
            size = next;
    return size;
}

/* ---- what a target asks for ---- */

struct request {
    struct own_work *work;
    struct tile *tile;
    struct lane *lane;
};

static const uint64_t *row_words(const struct dms_target_outputs *targets, size_t column)
{
    return targets->row_words + column * targets->word_ct;
}

static double covariance(const struct lane *lane, size_t a, size_t b, uint32_t pair_ct)
{
    return pair_ct / lane->target.path->row_weight - lane->masks[a] * lane->masks[b];
}

/* Of a working set that is larger than what is kept. */
static int count_all(const struct request *request, size_t size, const uint32_t *examples,
                     double *matrix)
{
    const struct own_work *work = request->work;
    uint32_t *counts = dms_alloc(size * size, sizeof *counts);
    int rc = counts ? dms_mask_columns_count(&work->masks,
                                             row_words(&work->targets, request->lane->column), 0,
                                             size, examples, counts, size)
                    : DMS_ERR_NO_MEMORY;

    for (size_t i = 0; rc == DMS_OK && i < size; i++)
        for (size_t j = 0; j <= i; j++)
            matrix[i * size + j] = matrix[j * size + i] =
                covariance(request->lane, examples[i], examples[j], counts[i * size + j]);
    free(counts);
    return rc;
}

static int covariances(void *context, size_t size, const uint32_t *examples, double *matrix)
{
    const struct request *request = context;
    const struct own_work *work = request->work;
    struct lane *lane = request->lane;
    struct dms_kept_pairs *pairs = &lane->pairs;
    size_t new_ct;
    int rc;

    if (size > pairs->capacity)
        return count_all(request, size, examples, matrix);
    new_ct = dms_kept_pairs_add(pairs, size, examples);
    rc = dms_mask_columns_count(&work->masks, row_words(&work->targets, lane->column),
                                pairs->size - new_ct, pairs->size, pairs->examples, pairs->counts,
                                pairs->capacity);
    for (size_t i = 0; rc == DMS_OK && i < size; i++)
        for (size_t j = 0; j <= i; j++) {
            size_t a = dms_kept_pairs_place(pairs, examples[i]);
            size_t b = dms_kept_pairs_place(pairs, examples[j]);

            matrix[i * size + j] = matrix[j * size + i] =
                covariance(lane, examples[i], examples[j], dms_kept_pairs_count(pairs, a, b));
        }
    return rc;
}

/* Sums of the weights of each row. */
static void predict(const struct dms_mask_columns *masks, const struct dms_gram_target *target,
                    double *predictions)
{
    const struct dms_gram_kernels *kernels = dms_gram_kernels_get();

    memset(predictions, 0, masks->row_ct * sizeof *predictions);
    for (size_t k = 0; k < target->example_ct; k++)
        if (target->now.weights[k] != 0)
            kernels->add_where(masks->words + k, masks->example_ct, masks->row_ct,
                               target->now.weights[k], predictions);
}

static int validate(void *context, const struct dms_gram_target *target, double *error)
{
    const struct request *request = context;
    const struct dms_target_outputs *targets = &request->work->validation;
    size_t column = request->lane->column;
    const uint64_t *words = row_words(targets, column);
    const double *predictions = request->tile->validation_predictions;
    double bias = dms_gram_path_bias(target), sum = 0;

    predict(&request->work->validation_masks, target, request->tile->validation_predictions);
    for (size_t i = 0; i < targets->row_ct; i++) {
        double y = (double)targets->outputs[i * targets->target_ct + column];

        if (words[i / 64] >> (i & 63) & 1)
            sum += (y - bias - predictions[i]) * (y - bias - predictions[i]);
    }
    *error = targets->moments[column].row_weight > 0 ? sum / targets->moments[column].row_weight
                                                     : (double)NAN;
    return DMS_OK;
}

/* ---- passes ---- */

/* The values of a lane in some rows; those without weight have 0. */
static void set_values(const struct own_work *work, struct tile *tile, size_t l, size_t first,
                       size_t row_ct, double bias)
{
    const struct lane *lane = &tile->lanes[l];
    const struct dms_target_outputs *targets = &work->targets;
    const uint64_t *words = row_words(targets, lane->column);

    for (size_t i = 0; i < row_ct; i++) {
        size_t row = first + i;
        double *value = &tile->values[i * DMS_LANES + l];
        double y;

        *value = 0;
        if (!(words[row / 64] >> (row & 63) & 1))
            continue;
        y = (double)targets->outputs[row * targets->target_ct + lane->column];
        *value = lane->phase == PHASE_COUNT      ? 1
                 : lane->phase == PHASE_PRODUCTS ? y - lane->target.path->mean
                                                 : lane->predictions[row] + bias - y;
        tile->value_sums[l] += *value;
    }
}

/* totals = masks' x values, for all lanes. */
static void multiply(const struct own_work *work, struct tile *tile)
{
    const struct dms_lane_kernels *kernels = dms_lane_variant_get()->f64;
    const struct dms_mask_columns *masks = &work->masks;
    size_t total_ct = masks->example_ct * DMS_LANES;
    double biases[DMS_LANES];

    memset(tile->totals, 0, total_ct * sizeof *tile->totals);
    memset(tile->value_sums, 0, sizeof tile->value_sums);
    memset(tile->values, 0, ROWS * DMS_LANES * sizeof *tile->values);
    for (size_t l = 0; l < DMS_LANES; l++)
        if (tile->lanes[l].phase == PHASE_GRADIENT) {
            predict(masks, &tile->lanes[l].target, tile->lanes[l].predictions);
            biases[l] = dms_gram_path_bias(&tile->lanes[l].target);
        }
    for (size_t first = 0; first < masks->row_ct; first += ROWS) {
        size_t row_ct = masks->row_ct - first < ROWS ? masks->row_ct - first : ROWS;

        for (size_t l = 0; l < DMS_LANES; l++)
            if (tile->lanes[l].phase != PHASE_FREE)
                set_values(work, tile, l, first, row_ct, biases[l]);
        kernels->multiply_transposed(masks->words + first / 64 * masks->example_ct,
                                     masks->example_ct, row_ct, masks->example_ct, tile->values,
                                     tile->sums, tile->values + ROWS * DMS_LANES);
        dms_lane_updates_get(sizeof(double))->accumulate(total_ct, tile->sums, tile->totals);
    }
}

/* What a pass has found for a lane. */
static void take_totals(const struct own_work *work, struct tile *tile, size_t l)
{
    struct lane *lane = &tile->lanes[l];
    struct dms_gram_target *target = &lane->target;
    const struct dms_problem *problem = work->block->run->problem;
    double weight = target->path->row_weight;
    double *means = lane->masks, *deviations = means + target->example_ct;
    double *scales = deviations + target->example_ct;

    for (size_t k = 0; k < target->example_ct; k++) {
        double total = tile->totals[k * DMS_LANES + l];

        if (lane->phase == PHASE_COUNT) {
            means[k] = weight > 0 ? total / weight : 0;
            deviations[k] = sqrt(means[k] * (1 - means[k]));
            scales[k] = dms_design_scale(problem->standardize, means[k]);
        } else {
            total = weight > 0 ? (total - means[k] * tile->value_sums[l]) / weight : 0;
            (lane->phase == PHASE_PRODUCTS ? target->products : target->now.gradients)[k] = total;
        }
    }
    if (lane->phase == PHASE_PRODUCTS)
        dms_gram_target_begin(target, problem);
    if (lane->phase < PHASE_GRADIENT)
        lane->phase++;
}

/* ---- rounds ---- */

static void begin_lane(struct own_work *work, struct lane *lane, size_t t)
{
    struct dms_target_path *path = &work->block->paths[t];
    struct dms_gram_target *target = &lane->target;
    size_t example_ct = target->example_ct;

    lane->column = t - work->window;
    lane->phase = PHASE_COUNT;
    dms_gram_set_moments(path, &work->targets.moments[lane->column]);
    target->path = path;
    target->masks = (struct dms_gram_masks){lane->masks, lane->masks + example_ct,
                                            lane->masks + 2 * example_ct};
    target->refit = work->block->stage == DMS_GRAM_REFIT;
    dms_kept_pairs_clear(&lane->pairs);
}

/* Gives free lanes the next targets of the window; whether any lane has work. */
static bool fill_lanes(struct own_work *work)
{
    struct dms_gram_block *block = work->block;
    size_t end = work->window + work->window_ct;
    bool any = false;

    for (size_t i = 0; i < work->tile_ct * DMS_LANES; i++) {
        struct lane *lane = &work->tiles[i / DMS_LANES].lanes[i % DMS_LANES];

        if (lane->phase == PHASE_FREE || lane->target.path->finished) {
            lane->phase = PHASE_FREE;
            if (dms_gram_find_next(block, false, end, &work->next))
                begin_lane(work, lane, work->next++);
        }
        any = any || lane->phase != PHASE_FREE;
    }
    return any;
}

/* A pass of a tile's lanes, then a step of each that knows its gradient. A refit begins with the
 * gradient of its model: that takes a pass. */
static int tile_round(void *context, size_t index, struct dms_working_set *set)
{
    struct own_work *work = context;
    const struct dms_gram_run *run = work->block->run;
    struct tile *tile = &work->tiles[index];
    bool any = false;

    for (size_t l = 0; l < DMS_LANES; l++)
        any = any || tile->lanes[l].phase != PHASE_FREE;
    if (any)
        multiply(work, tile);
    for (size_t l = 0; l < DMS_LANES; l++) {
        struct lane *lane = &tile->lanes[l];
        struct request request = {work, tile, lane};
        struct dms_gram_rows rows = {
            .context = &request, .covariances = covariances, .validate = validate};
        enum phase phase = lane->phase;
        int rc = DMS_OK;

        if (phase == PHASE_FREE)
            continue;
        take_totals(work, tile, l);
        if (phase == PHASE_GRADIENT)
            rc = dms_gram_target_step(&lane->target, run->problem, &rows, set, run->set_limit,
                                      run->control->max_epochs);
        if (rc < 0)
            return rc;
    }
    return DMS_OK;
}

/* ---- windows ---- */

/* Reads the outputs of a window of targets. */
static int open_window(struct own_work *work)
{
    struct dms_gram_block *block = work->block;
    const struct dms_gram_run *run = block->run;
    struct dms_outputs_request request = {
        .role = dms_gram_role(block),
        .first = block->first + work->window,
        .target_ct = work->window_ct,
        .keep = WINDOW_KEEPS,
    };
    bool validates = block->stage == DMS_GRAM_PATH && work->validation_masks.words;
    int rc;

    dms_target_outputs_free(&work->targets);
    dms_target_outputs_free(&work->validation);
    rc = dms_target_outputs_read(run->problem, run->pool, &request, &work->targets);
    request.role = DMS_ROLE_VALIDATION;
    if (rc == DMS_OK && validates)
        rc = dms_target_outputs_read(run->problem, run->pool, &request, &work->validation);
    return rc;
}

static int create_lane(const struct own_work *work, struct lane *lane)
{
    size_t example_ct = work->block->run->problem->example_ct;
    int rc = dms_gram_target_create(example_ct, &lane->target);

    if (rc == DMS_OK)
        rc = dms_kept_pairs_create(example_ct, work->pair_capacity, &lane->pairs);
    if (rc < 0)
        return rc;
    lane->masks = dms_alloc(example_ct, 3 * sizeof *lane->masks);
    lane->predictions = dms_alloc(work->masks.row_ct, sizeof *lane->predictions);
    return lane->masks && lane->predictions ? DMS_OK : DMS_ERR_NO_MEMORY;
}

static int create_tile(const struct own_work *work, struct tile *tile)
{
    size_t bytes = work->masks.example_ct * DMS_LANES * sizeof(double);
    size_t workspace = dms_lane_variant_get()->f64->workspace_bytes;
    int rc = DMS_OK;

    tile->values = dms_alloc_aligned(64, ROWS * DMS_LANES * sizeof(double) + workspace);
    tile->sums = dms_alloc_aligned(64, bytes);
    tile->totals = dms_alloc_aligned(64, bytes);
    tile->validation_predictions = dms_alloc(work->validation_masks.row_ct, sizeof(double));
    if (!tile->values || !tile->sums || !tile->totals || !tile->validation_predictions)
        return DMS_ERR_NO_MEMORY;
    for (size_t l = 0; rc == DMS_OK && l < DMS_LANES; l++)
        rc = create_lane(work, &tile->lanes[l]);
    return rc;
}

static void free_tile(struct tile *tile)
{
    for (size_t l = 0; l < DMS_LANES; l++) {
        struct lane *lane = &tile->lanes[l];

        dms_gram_target_free(&lane->target);
        free(lane->masks);
        free(lane->predictions);
        dms_kept_pairs_free(&lane->pairs);
    }
    free(tile->values);
    free(tile->sums);
    free(tile->totals);
    free(tile->validation_predictions);
}

static int prepare(struct own_work *work)
{
    const struct dms_gram_run *run = work->block->run;
    const struct dms_problem *problem = run->problem;
    int rc = dms_mask_columns_read(problem, dms_gram_role(work->block), &work->masks);

    if (rc == DMS_OK && work->block->stage == DMS_GRAM_PATH &&
        problem->row_ct[DMS_ROLE_VALIDATION] > 0)
        rc = dms_mask_columns_read(problem, DMS_ROLE_VALIDATION, &work->validation_masks);
    if (rc < 0)
        return rc;
    work->pair_capacity = dms_kept_pairs_capacity(run->control->memory_bytes, problem->example_ct);
    work->tiles = dms_alloc(work->size.tile_ct, sizeof *work->tiles);
    if (!work->tiles)
        return DMS_ERR_NO_MEMORY;
    for (; rc == DMS_OK && work->tile_ct < work->size.tile_ct; work->tile_ct++)
        rc = create_tile(work, &work->tiles[work->tile_ct]);
    return rc;
}

static int solve_window(struct own_work *work)
{
    struct dms_gram_block *block = work->block;
    int rc;

    work->next = work->window;
    if (!dms_gram_find_next(block, false, work->window + work->window_ct, &work->next))
        return DMS_OK;
    rc = open_window(work);
    while (rc == DMS_OK && fill_lanes(work)) {
        rc = dms_gram_run_each(block->run, work->tile_ct, tile_round, work);
        if (rc == DMS_OK)
            rc = dms_gram_tell(block);
    }
    return rc;
}

int dms_gram_solve_own(struct dms_gram_block *block)
{
    struct own_work work = {.block = block, .size = choose_size(block->run)};
    size_t window_ct = work.size.window_ct * DMS_LANES;
    bool any = dms_gram_find_next(block, false, block->target_ct, &work.next);
    int rc = any ? prepare(&work) : DMS_OK;

    for (; rc == DMS_OK && any && work.window < block->target_ct; work.window += window_ct) {
        size_t left = block->target_ct - work.window;

        work.window_ct = left < window_ct ? left : window_ct;
        rc = solve_window(&work);
    }
    for (size_t i = 0; i < work.tile_ct; i++)
        free_tile(&work.tiles[i]);
    free(work.tiles);
    dms_target_outputs_free(&work.targets);
    dms_target_outputs_free(&work.validation);
    dms_mask_columns_free(&work.masks);
    dms_mask_columns_free(&work.validation_masks);
    return rc;
}
