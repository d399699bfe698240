/*
 * Reads the outputs of a block of targets; see target_outputs.h.
 */
#include "solver/target_outputs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "format/product_file.h"
#include "kernels/lane_updates.h"
#include "kernels/lanes.h"
#include "solver/column_bits.h"
#include "solver/pass.h"
#include "solver/products_file.h"

uint64_t dms_target_outputs_bytes(size_t example_ct, uint64_t row_ct, unsigned keep)
{
    uint64_t bytes = sizeof(struct dms_output_moments);

    if (keep & DMS_KEEP_ROWS)
        bytes += row_ct / 8 + sizeof(uint64_t);
    if (keep & DMS_KEEP_PRODUCTS)
        bytes += 2 * sizeof(double) * (uint64_t)example_ct;
    if (keep & DMS_KEEP_OUTPUTS)
        bytes += sizeof(float) * row_ct;
    if (keep & (DMS_KEEP_PRINTS | DMS_KEEP_PRODUCTS))
        bytes += sizeof(struct dms_output_print);
    return bytes;
}

double dms_output_mean(const struct dms_output_moments *moments)
{
    return moments->row_weight > 0 ? moments->shift + moments->sum / moments->row_weight : 0;
}

double dms_output_null_deviance(const struct dms_output_moments *moments)
{
    double weight = moments->row_weight;

    if (!(weight > 0))
        return 0;
    return fmax(0, moments->square_sum - moments->sum * moments->sum / weight) / (2 * weight);
}

/* ---- memory ---- */

static int allocate_products(struct dms_target_outputs *targets)
{
    size_t lane_ct = targets->tile_ct * DMS_LANES, value_ct, bytes;

    if (dms_mul_overflow(lane_ct, targets->example_ct, &value_ct) ||
        dms_mul_overflow(value_ct, sizeof(double), &bytes))
        return dms_fail(DMS_ERR_NO_MEMORY, "a block of %zu targets is too large", lane_ct);
    targets->products = dms_alloc_aligned(64, bytes);
    targets->sums = dms_alloc_aligned(64, bytes);
    if (!targets->products || !targets->sums)
        return DMS_ERR_NO_MEMORY;
    memset(targets->products, 0, bytes);
    return DMS_OK;
}

/* Sets *array to `count` zeros if this is to be kept. */
static bool allocate_kept(unsigned keep, unsigned what, size_t count, size_t bytes, void *array)
{
    void *made = NULL;

    if (keep & what) {
        made = dms_alloc(count, bytes);
        memcpy(array, &made, sizeof made);
    }
    return made || !(keep & what);
}

static int allocate(struct dms_target_outputs *targets, unsigned keep)
{
    size_t lane_ct = targets->tile_ct * DMS_LANES;

    targets->moments = dms_alloc(lane_ct, sizeof *targets->moments);
    if (!targets->moments ||
        !allocate_kept(keep, DMS_KEEP_ROWS, lane_ct * targets->word_ct, sizeof *targets->row_words,
                       &targets->row_words) ||
        !allocate_kept(keep, DMS_KEEP_OUTPUTS, targets->row_ct * targets->target_ct,
                       sizeof *targets->outputs, &targets->outputs) ||
        !allocate_kept(keep, DMS_KEEP_PRINTS, lane_ct, sizeof *targets->prints, &targets->prints) ||
        !allocate_kept(keep, DMS_KEEP_SINGLES, targets->example_ct, sizeof *targets->singles,
                       &targets->singles))
        return DMS_ERR_NO_MEMORY;
    return keep & DMS_KEEP_PRODUCTS ? allocate_products(targets) : DMS_OK;
}

/* ---- a batch ---- */

struct batch_work {
    const struct dms_problem *problem;
    struct dms_pool *pool;
    const struct dms_outputs_request *request;
    struct dms_target_outputs *targets;
    /* Tiles that are read, tile_ct of them; NULL: all. */
    const size_t *tiles;
    size_t tile_ct;
    bool multiplies; /* outputs with masks */
    const struct dms_batch *batch;
    uint64_t *keys; /* of its models, for fingerprints */
};

static bool has_example(const struct dms_batch *batch, size_t row, int64_t example)
{
    return example >= 0 &&
           (batch->masks[row * batch->mask_stride_bytes + (size_t)(example >> 3)] >> (example & 7) &
            1);
}

static void take_print(const struct batch_work *work, size_t row, double y,
                       struct dms_output_print *print)
{
    /* A whole number for float16, of 41 bits at most. */
    print->fingerprint += work->keys[row] * (uint64_t)(int64_t)(y / DMS_OUTPUT_UNIT);
    print->largest = fmax(print->largest, fabs(y));
}

/* Takes in one output; returns it for the products, or 0 when its row has no weight. */
static double take_output(const struct batch_work *work, size_t row, size_t target)
{
    struct dms_target_outputs *targets = work->targets;
    struct dms_output_moments *moments = &targets->moments[target];
    const struct dms_batch *batch = work->batch;
    const float *outputs = batch->outputs;
    const int64_t *self = work->problem->self;
    double y = (double)outputs[row * batch->output_stride_values + target];
    uint64_t position = batch->position + row;

    if (!isfinite(y) || (self && has_example(batch, row, self[targets->first + target])))
        return 0;
    if (targets->prints)
        take_print(work, row, y, &targets->prints[target]);
    if (targets->row_words)
        targets->row_words[target * targets->word_ct + position / 64] |= UINT64_C(1)
                                                                         << (position & 63);
    if (moments->row_weight == 0)
        moments->shift = y;
    moments->row_weight += 1;
    y -= moments->shift;
    moments->sum += y;
    moments->square_sum += y * y;
    return y;
}

/* The outputs of a tile on the rows of the batch; values: what products are made of, or NULL. */
static void take_outputs(const struct batch_work *work, size_t tile, double *values)
{
    size_t first = tile * DMS_LANES;

    for (size_t i = 0; i < work->batch->row_ct; i++)
        for (size_t l = 0; l < DMS_LANES; l++) {
            double y = first + l < work->targets->target_ct ? take_output(work, i, first + l) : 0;

            if (values)
                values[i * DMS_LANES + l] = y;
        }
}

static int take_tile(void *context, size_t index)
{
    const struct batch_work *work = context;
    struct dms_target_outputs *targets = work->targets;
    const struct dms_batch *batch = work->batch;
    const struct dms_lane_kernels *kernels = dms_lane_variant_get()->f64;
    size_t tile = work->tiles ? work->tiles[index] : index;
    size_t value_ct = (size_t)batch->row_ct * DMS_LANES;
    size_t product_ct = targets->example_ct * DMS_LANES;
    double *values;

    if (!work->multiplies) {
        take_outputs(work, tile, NULL);
        return DMS_OK;
    }
    values = dms_alloc_aligned(64, value_ct * sizeof *values + kernels->workspace_bytes);
    if (!values)
        return DMS_ERR_NO_MEMORY;
    take_outputs(work, tile, values);
    kernels->multiply_transposed(batch->mask_columns, targets->example_ct, batch->row_ct,
                                 targets->example_ct, values, targets->sums + tile * product_ct,
                                 values + value_ct);
    dms_lane_updates_get(sizeof(double))
        ->accumulate(product_ct, targets->sums + tile * product_ct,
                     targets->products + tile * product_ct);
    free(values);
    return DMS_OK;
}

static void keep_outputs(struct dms_target_outputs *targets, const struct dms_batch *batch)
{
    const float *outputs = batch->outputs;

    for (size_t i = 0; i < batch->row_ct; i++)
        memcpy(targets->outputs + (batch->position + i) * targets->target_ct,
               outputs + i * batch->output_stride_values, targets->target_ct * sizeof *outputs);
}

static void count_singles(struct dms_target_outputs *targets, const struct dms_batch *batch)
{
    const uint64_t *words = batch->mask_columns;

    for (size_t b = 0; b < (batch->row_ct + 63u) / 64; b++, words += targets->example_ct)
        for (size_t k = 0; k < targets->example_ct; k++)
            targets->singles[k] += (uint32_t)dms_count_bits(words + k, 1);
}

static int take_batch(void *context, const struct dms_batch *batch)
{
    struct batch_work *work = context;
    const struct dms_outputs_request *request = work->request;
    int rc;

    work->batch = batch;
    if (work->targets->outputs)
        keep_outputs(work->targets, batch);
    if (work->targets->singles)
        count_singles(work->targets, batch);
    for (size_t i = 0; work->keys && i < batch->row_ct; i++)
        work->keys[i] = dms_output_key(batch->ids[i]);
    rc = dms_pool_run(work->pool, work->tile_ct, take_tile, work);
    if (rc == DMS_OK && request->tell)
        rc = request->tell(request->context, batch->position + batch->row_ct);
    return rc;
}

/* ---- passes ---- */

/* A pass over the models, with their masks or without. */
static int read_pass(struct batch_work *work, bool with_masks)
{
    const struct dms_target_outputs *targets = work->targets;
    int rc;

    if (targets->prints) {
        work->keys = dms_alloc(DMS_PASS_ROWS, sizeof *work->keys);
        if (!work->keys)
            return DMS_ERR_NO_MEMORY;
    }
    rc = (with_masks ? dms_problem_visit : dms_problem_visit_outputs)(
        work->problem, work->request->role, targets->first, targets->target_ct, take_batch, work);
    free(work->keys);
    work->keys = NULL;
    return rc;
}

/* Takes products from where they are kept. */
struct filling {
    const struct dms_problem *problem;
    const struct dms_products *kept;
    struct dms_target_outputs *targets;
    bool *misses; /* tiles that have a target whose products are not there */
};

static int fill_lane(const struct filling *filling, size_t t, int64_t *sums)
{
    const struct dms_target_outputs *targets = filling->targets;
    const uint32_t *singles = dms_products_singles(filling->kept);
    double *to =
        targets->products + t / DMS_LANES * targets->example_ct * DMS_LANES + t % DMS_LANES;
    double shift = targets->moments[t].shift;
    int rc =
        dms_products_sums(filling->kept, filling->problem->first_target + targets->first + t, sums);

    for (size_t k = 0; rc == DMS_OK && k < targets->example_ct; k++)
        to[k * DMS_LANES] = (double)sums[k] * DMS_OUTPUT_UNIT - singles[k] * shift;
    return rc;
}

static int fill_tile(void *context, size_t tile)
{
    const struct filling *filling = context;
    const struct dms_target_outputs *targets = filling->targets;
    size_t first = tile * DMS_LANES, end = first + DMS_LANES;
    int64_t *sums = dms_alloc(targets->example_ct, sizeof *sums);
    int rc = sums ? DMS_OK : DMS_ERR_NO_MEMORY;

    if (end > targets->target_ct)
        end = targets->target_ct;
    for (size_t t = first; rc == DMS_OK && !filling->misses[tile] && t < end; t++) {
        filling->misses[tile] =
            targets->moments[t].row_weight < (double)targets->row_ct ||
            !dms_products_has(filling->kept, filling->problem->first_target + targets->first + t,
                              targets->prints[t].fingerprint);
        if (!filling->misses[tile])
            rc = fill_lane(filling, t, sums);
    }
    free(sums);
    return rc;
}

/* As if the tile had not been read. */
static void reset_tile(struct dms_target_outputs *targets, size_t tile)
{
    size_t first = tile * DMS_LANES, product_ct = targets->example_ct * DMS_LANES;

    memset(targets->moments + first, 0, DMS_LANES * sizeof *targets->moments);
    memset(targets->prints + first, 0, DMS_LANES * sizeof *targets->prints);
    memset(targets->products + tile * product_ct, 0, product_ct * sizeof *targets->products);
    if (targets->row_words)
        memset(targets->row_words + first * targets->word_ct, 0,
               DMS_LANES * targets->word_ct * sizeof *targets->row_words);
}

/* Reads the tiles that were missed, with masks. */
static int read_missed(struct batch_work *work, const bool *misses)
{
    size_t *tiles = dms_alloc(work->tile_ct, sizeof *tiles), missed_ct = 0;
    int rc = DMS_OK;

    if (!tiles)
        return DMS_ERR_NO_MEMORY;
    for (size_t tile = 0; tile < work->targets->tile_ct; tile++)
        if (misses[tile]) {
            reset_tile(work->targets, tile);
            tiles[missed_ct++] = tile;
        }
    work->tiles = tiles;
    work->tile_ct = missed_ct;
    work->multiplies = true;
    if (missed_ct > 0)
        rc = read_pass(work, true);
    free(tiles);
    return rc;
}

/* First the outputs alone, to see whether they are those whose products are kept. */
static int read_with_kept(struct batch_work *work, const struct dms_products *kept)
{
    struct dms_target_outputs *targets = work->targets;
    struct filling filling = {work->problem, kept, targets, NULL};
    int rc;

    work->multiplies = false;
    if (!targets->prints)
        targets->prints = dms_alloc(targets->tile_ct * DMS_LANES, sizeof *targets->prints);
    filling.misses = dms_alloc(targets->tile_ct, sizeof *filling.misses);
    rc = targets->prints && filling.misses ? read_pass(work, false) : DMS_ERR_NO_MEMORY;
    if (rc == DMS_OK)
        rc = dms_pool_run(work->pool, targets->tile_ct, fill_tile, &filling);
    if (rc == DMS_OK)
        rc = read_missed(work, filling.misses);
    free(filling.misses);
    return rc;
}

/* The products that are kept of the role's models; NULL: none, or they cannot be used, since a
 * target's models are told by their masks. */
static int find_kept(const struct batch_work *work, const struct dms_products **kept)
{
    const struct dms_problem *problem = work->problem;

    *kept = NULL;
    if (!work->targets->products || work->targets->singles || !problem->products || problem->self)
        return DMS_OK;
    return problem->products(problem->kept_context, work->request->role, kept);
}

int dms_target_outputs_read(const struct dms_problem *problem, struct dms_pool *pool,
                            const struct dms_outputs_request *request,
                            struct dms_target_outputs *targets)
{
    uint64_t row_ct = problem->row_ct[request->role];
    struct dms_target_outputs made = {
        .first = request->first,
        .target_ct = request->target_ct,
        .tile_ct = (request->target_ct + DMS_LANES - 1) / DMS_LANES,
        .example_ct = problem->example_ct,
        .row_ct = row_ct,
        .word_ct = (size_t)((row_ct + 63) / 64),
    };
    bool with_masks = request->keep & (DMS_KEEP_PRODUCTS | DMS_KEEP_SINGLES) || problem->self;
    struct batch_work work = {
        .problem = problem, .pool = pool, .request = request, .targets = &made};
    const struct dms_products *kept = NULL;
    int rc = allocate(&made, request->keep);

    work.tile_ct = made.tile_ct;
    work.multiplies = made.products != NULL;
    if (rc == DMS_OK)
        rc = find_kept(&work, &kept);
    if (rc == DMS_OK)
        rc = kept ? read_with_kept(&work, kept) : read_pass(&work, with_masks);
    free(made.sums);
    made.sums = NULL;
    if (rc < 0)
        dms_target_outputs_free(&made);
    else
        *targets = made;
    return rc;
}

void dms_target_outputs_free(struct dms_target_outputs *targets)
{
    free(targets->moments);
    free(targets->row_words);
    free(targets->products);
    free(targets->outputs);
    free(targets->prints);
    free(targets->singles);
    *targets = (struct dms_target_outputs){0};
}
