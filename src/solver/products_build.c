/*
 * Blocks of targets that fit the memory, each with a pass over the models. The sums that the pass
 * gives are of outputs less a target's first one: all numbers are exact, and so is what they are
 * turned into.
 */
#include "solver/products_build.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/pool.h"
#include "dmstore/solve.h"
#include "format/product_file.h"
#include "kernels/kernels.h"
#include "kernels/lanes.h"
#include "solver/batch_source.h"
#include "solver/pass.h"
#include "solver/products_file.h"
#include "solver/target_outputs.h"

/* ---- outputs, block by block ---- */

/* Passes over the task's models. */
struct passes {
    const struct dms_products_task *task;
    struct dms_fit_options options;
    struct dms_batch_source_setting setting;
    struct dms_problem problem;
    uint64_t target_bytes; /* that a target of a block takes */
    unsigned keep;         /* enum dms_kept_outputs */
    size_t block_targets;
    uint64_t pass_ct, done_ct; /* passes there will be; rows read so far */
};

static bool tiles_fit(const void *context, uint64_t tile_ct)
{
    const struct passes *passes = context;
    uint64_t target_ct = tile_ct * DMS_LANES;
    uint64_t sources =
        dms_batch_source_bytes((void *)&passes->setting, (size_t)target_ct, DMS_PASS_ROWS);

    return target_ct * passes->target_bytes + sources <= passes->task->memory_bytes;
}

static int choose_block(struct passes *passes)
{
    size_t all = (passes->problem.target_ct + DMS_LANES - 1) / DMS_LANES;
    size_t tile_ct = (size_t)dms_largest_fitting(all, tiles_fit, passes);

    if (tile_ct == 0)
        return dms_fail(DMS_ERR_INVALID,
                        "products of %zu examples and %d targets at a time do not fit %" PRIu64
                        " MiB of memory: allow more",
                        passes->problem.example_ct, DMS_LANES,
                        passes->task->memory_bytes / 1048576);
    passes->pass_ct = (all + tile_ct - 1) / tile_ct;
    passes->block_targets = (all + passes->pass_ct - 1) / passes->pass_ct * DMS_LANES;
    return DMS_OK;
}

/* `passes` must not move from here on. */
static int plan_passes(const struct dms_products_task *task, unsigned keep, uint64_t beside,
                       struct passes *passes)
{
    unsigned thread_ct = dms_pool_threads(task->pool);
    int rc;

    *passes = (struct passes){.task = task, .keep = keep};
    dms_fit_options_init(&passes->options);
    passes->options.memory_bytes = task->memory_bytes;
    passes->setting = (struct dms_batch_source_setting){
        .snapshot = task->snapshot,
        .column = task->column,
        .options = &passes->options,
        .thread_ct = thread_ct > 4 ? thread_ct / 4 : 1, /* multiplying is most of the work */
        .ranges[DMS_ROLE_TRAINING] = task->ranges,
        .range_cts[DMS_ROLE_TRAINING] = task->range_ct,
        .ranges[DMS_ROLE_REFIT] = task->ranges,
        .range_cts[DMS_ROLE_REFIT] = task->range_ct,
    };
    passes->problem = (struct dms_problem){
        .example_ct = (size_t)dms_snapshot_schema(task->snapshot)->example_ct,
        .target_ct = (size_t)task->column->target_ct,
        .row_ct[DMS_ROLE_TRAINING] = task->row_ct,
        .context = &passes->setting,
        .open = dms_batch_source_open,
        .open_outputs = dms_batch_source_open_outputs,
    };
    passes->target_bytes =
        beside + dms_target_outputs_bytes(passes->problem.example_ct, task->row_ct, keep);
    rc = dms_batch_source_measure(&passes->setting);
    return rc < 0 ? rc : choose_block(passes);
}

static int tell(void *context, uint64_t row_ct)
{
    const struct passes *passes = context;
    const struct dms_products_task *task = passes->task;

    if (task->progress && task->progress(task->progress_context, passes->done_ct + row_ct,
                                         passes->pass_ct * task->row_ct))
        return dms_fail(DMS_ERR_INTERRUPTED, "interrupted: no products were kept");
    return DMS_OK;
}

/* Calls `take` with every block of targets in order. */
static int run_passes(struct passes *passes, void *taker,
                      int (*take)(void *taker, const struct dms_target_outputs *outputs))
{
    struct dms_outputs_request request = {
        .role = DMS_ROLE_TRAINING, .keep = passes->keep, .tell = tell, .context = passes};
    int rc = DMS_OK;

    for (size_t all = passes->problem.target_ct; rc == DMS_OK && request.first < all;
         request.first += request.target_ct) {
        struct dms_target_outputs outputs = {0};
        size_t left = all - request.first;

        request.target_ct = left < passes->block_targets ? left : passes->block_targets;
        rc = dms_target_outputs_read(&passes->problem, passes->task->pool, &request, &outputs);
        passes->done_ct += passes->task->row_ct;
        if (rc == DMS_OK)
            rc = take(taker, &outputs);
        dms_target_outputs_free(&outputs);
    }
    return rc;
}

/* Whether a target of these outputs has sums that are exact, over row_ct models in all. */
static bool is_exact(const struct dms_target_outputs *outputs, size_t t, double largest,
                     uint64_t row_ct)
{
    return outputs->moments[t].row_weight == (double)outputs->row_ct &&
           (double)row_ct * largest <= DMS_PRODUCT_SUM_MAX;
}

/* ---- whether outputs are the same ---- */

struct comparison {
    const dms_products *products;
    bool same;
};

static int compare_block(void *taker, const struct dms_target_outputs *outputs)
{
    struct comparison *comparison = taker;

    for (size_t t = 0; comparison->same && t < outputs->target_ct; t++) {
        const struct dms_output_print *print = &outputs->prints[t];
        const struct dms_product_entry *entry =
            dms_products_entry(comparison->products, outputs->first + t);

        comparison->same = is_exact(outputs, t, print->largest, outputs->row_ct)
                               ? entry->width > 0 && entry->fingerprint == print->fingerprint
                               : entry->width == 0;
    }
    return comparison->same ? DMS_OK : DMS_END;
}

int dms_products_compare(const struct dms_products_task *task, const dms_products *products,
                         bool *same)
{
    struct comparison comparison = {.products = products, .same = true};
    struct passes passes;
    int rc = plan_passes(task, DMS_KEEP_PRINTS, 0, &passes);

    if (rc == DMS_OK)
        rc = run_passes(&passes, &comparison, compare_block);
    *same = comparison.same;
    return rc == DMS_END ? DMS_OK : rc;
}

/* ---- making ---- */

struct making {
    const dms_products *base;
    const struct dms_gram_description *description;
    struct dms_gram_writer *writer;
    struct dms_pool *pool;
    uint32_t *singles;                 /* of all models */
    struct dms_product_entry *entries; /* of all targets */
    uint8_t *bytes; /* of the block, DMS_PRODUCT_WIDTH_MAX x example_ct a target */
    const struct dms_target_outputs *outputs;
};

static int64_t to_units(double value)
{
    return (int64_t)llround(value / DMS_OUTPUT_UNIT);
}

static double to_output(uint16_t half)
{
    float value;

    dms_kernels_get()->f16_to_f32(&half, 1, &value);
    return (double)value;
}

static uint16_t to_half(double output)
{
    float value = (float)output;
    uint16_t half;

    dms_kernels_get()->f32_to_f16(&value, 1, &half);
    return half;
}

/* Sums over the models of the pass, and those of the base. */
static int sum_up(const struct making *making, size_t t, int64_t *sums)
{
    const struct dms_target_outputs *outputs = making->outputs;
    const double *products =
        outputs->products + t / DMS_LANES * outputs->example_ct * DMS_LANES + t % DMS_LANES;
    double shift = outputs->moments[t].shift;
    int rc = making->base ? dms_products_sums(making->base, outputs->first + t, sums) : DMS_OK;

    for (size_t k = 0; rc == DMS_OK && k < outputs->example_ct; k++)
        sums[k] += to_units(products[k * DMS_LANES] + outputs->singles[k] * shift);
    return rc;
}

/* Describes what was summed up of a target; false: its sums are not kept. */
static bool begin_entry(const struct making *making, size_t t, struct dms_product_entry *entry)
{
    const struct dms_target_outputs *outputs = making->outputs;
    const struct dms_output_moments *moments = &outputs->moments[t];
    const struct dms_output_print *print = &outputs->prints[t];
    double largest = print->largest;

    *entry = (struct dms_product_entry){.fingerprint = print->fingerprint};
    if (making->base) {
        const struct dms_product_entry *base = dms_products_entry(making->base, outputs->first + t);

        if (base->width == 0)
            return false;
        entry->fingerprint += base->fingerprint;
        entry->total = base->total;
        largest = fmax(largest, to_output(base->largest));
    }
    if (!is_exact(outputs, t, largest, making->description->rows->row_ct))
        return false;
    entry->largest = to_half(largest);
    entry->total += to_units(moments->sum + moments->row_weight * moments->shift);
    return true;
}

static int make_target(void *context, size_t t)
{
    const struct making *making = context;
    const struct dms_target_outputs *outputs = making->outputs;
    const struct dms_product_masks masks = {outputs->example_ct, making->description->rows->row_ct,
                                            making->singles};
    struct dms_product_entry *entry = &making->entries[outputs->first + t];
    uint8_t *bytes = making->bytes + t * DMS_PRODUCT_WIDTH_MAX * outputs->example_ct;
    int64_t *sums;
    int rc;

    if (!begin_entry(making, t, entry)) {
        *entry = (struct dms_product_entry){0};
        return DMS_OK;
    }
    sums = dms_alloc(outputs->example_ct, sizeof *sums);
    rc = sums ? sum_up(making, t, sums) : DMS_ERR_NO_MEMORY;
    if (rc == DMS_OK) {
        dms_product_sums_measure(&masks, sums, entry);
        dms_product_sums_encode(&masks, sums, entry, bytes);
        entry->hash = dms_hash64(bytes, entry->width * outputs->example_ct);
    }
    free(sums);
    return rc;
}

static int append_block(struct making *making)
{
    const struct dms_target_outputs *outputs = making->outputs;
    int rc = DMS_OK;

    for (size_t t = 0; rc == DMS_OK && t < outputs->target_ct; t++) {
        const struct dms_product_entry *entry = &making->entries[outputs->first + t];

        rc = dms_gram_writer_append(making->writer,
                                    making->bytes + t * DMS_PRODUCT_WIDTH_MAX * outputs->example_ct,
                                    entry->width * outputs->example_ct);
    }
    return rc;
}

static int make_block(void *taker, const struct dms_target_outputs *outputs)
{
    struct making *making = taker;
    const uint32_t *others = making->base ? dms_products_singles(making->base) : NULL;
    int rc;

    making->outputs = outputs;
    for (size_t k = 0; k < outputs->example_ct; k++)
        making->singles[k] = outputs->singles[k] + (others ? others[k] : 0);
    making->bytes = dms_alloc(outputs->target_ct * outputs->example_ct, DMS_PRODUCT_WIDTH_MAX);
    rc = making->bytes ? dms_pool_run(making->pool, outputs->target_ct, make_target, making)
                       : DMS_ERR_NO_MEMORY;
    if (rc == DMS_OK)
        rc = append_block(making);
    free(making->bytes);
    making->bytes = NULL;
    return rc;
}

static int begin(struct making *making, const struct dms_column *column)
{
    const struct dms_gram_description *description = making->description;
    size_t example_ct = (size_t)description->example_ct;

    making->singles = dms_alloc(example_ct, sizeof *making->singles);
    making->entries = dms_alloc((size_t)column->target_ct, sizeof *making->entries);
    dms_gram_writer_begin(
        making->writer,
        dms_product_targets_offset(example_ct, description->rows->range_ct, column->target_ct));
    return making->singles && making->entries ? DMS_OK : DMS_ERR_NO_MEMORY;
}

static int finish(struct making *making, const struct dms_column *column)
{
    const struct dms_gram_description *description = making->description;
    struct dms_gram_head head = dms_gram_head_of(DMS_GRAM_PRODUCTS, description);
    struct dms_buffer lists = {0};
    int rc = dms_product_lists_encode(description->rows, (size_t)head.example_ct, making->singles,
                                      (size_t)column->target_ct, making->entries, &lists);

    head.column_id = column->id;
    head.target_ct = column->target_ct;
    if (rc == DMS_OK)
        rc = dms_gram_writer_finish(making->writer, &head, &lists);
    dms_buffer_free(&lists);
    return rc;
}

int dms_products_write(const struct dms_products_task *task, const dms_products *base,
                       const struct dms_gram_description *description,
                       struct dms_gram_writer *writer, uint64_t *pass_ct)
{
    struct making making = {
        .base = base, .description = description, .writer = writer, .pool = task->pool};
    /* A target's bytes, and the sums that threads have in work, a few of many targets. */
    uint64_t beside = description->example_ct * (DMS_PRODUCT_WIDTH_MAX + sizeof(int64_t));
    struct passes passes;
    int rc =
        plan_passes(task, DMS_KEEP_PRODUCTS | DMS_KEEP_PRINTS | DMS_KEEP_SINGLES, beside, &passes);

    if (rc == DMS_OK)
        rc = begin(&making, task->column);
    if (rc == DMS_OK)
        rc = run_passes(&passes, &making, make_block);
    if (rc == DMS_OK)
        rc = finish(&making, task->column);
    *pass_ct = passes.pass_ct;
    free(making.singles);
    free(making.entries);
    return rc;
}
