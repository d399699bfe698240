/*
 * Finds retrained models by id and by mask, and reads their outputs; see dmstore/retrained.h. The
 * masks of a store are hashed once, when it is opened; outputs are read by readers, a block of
 * targets at a time.
 */
#include "dmstore/retrained.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/order.h"
#include "query/id_ranges.h"
#include "query/scored_output.h"
#include "solver/split.h"
#include "solver/transform.h"

/* Rows of a batch, and values of one row that are read together: a slot of the reader takes 16 MiB.
 */
#define BATCH_ROWS 256
#define BLOCK_VALUES 16384

/* Outputs that means are made of at a time, which bounds their memory. */
#define MEAN_OUTPUTS ((size_t)1 << 20)

#define MISSING_TEXT_BYTES 1024

/* The models that share a mask. */
struct mask_group {
    struct dms_hash128 hash;
    size_t first_model; /* of `ids` */
    size_t model_ct;
};

struct model {
    uint64_t id;
    size_t mask;
};

struct dms_retrained {
    char *path; /* NULL: the store of the fit */
    dms_snapshot *snapshot;
    bool owns_snapshot;
    unsigned thread_ct;
    struct dms_scored_output output;
    size_t model_ct;
    uint64_t *ids; /* mask after mask, increasing in each */
    size_t mask_ct;
    struct mask_group *masks; /* by smallest id */
    size_t *by_hash;          /* numbers of masks, by hash */
    struct model *models;     /* by id */
};

void dms_retrained_options_init(struct dms_retrained_options *options)
{
    *options = (struct dms_retrained_options){0};
}

/* How messages call the store. */
static const char *store_name(const dms_retrained *retrained)
{
    return retrained->path ? retrained->path : "the store of the fit";
}

/* ---- the same training set ---- */

static int check_training_set(const dms_retrained *retrained, dms_snapshot *snapshot)
{
    const struct dms_schema *own = dms_snapshot_schema(snapshot);
    const struct dms_schema *runs = dms_snapshot_schema(retrained->snapshot);

    if (own->example_ct != runs->example_ct)
        return dms_fail(DMS_ERR_CONFLICT,
                        "'%s' is about %" PRIu64 " training examples, the fit about %" PRIu64,
                        store_name(retrained), runs->example_ct, own->example_ct);
    if (own->digest_bytes > 0 && runs->digest_bytes > 0 &&
        (own->digest_bytes != runs->digest_bytes ||
         memcmp(own->digest, runs->digest, own->digest_bytes) != 0))
        return dms_fail(DMS_ERR_CONFLICT,
                        "'%s' is about another training set than the fit: their dataset digests "
                        "differ",
                        store_name(retrained));
    return 0;
}

static int check_column(const dms_retrained *retrained, dms_snapshot *snapshot, const char *name)
{
    const struct dms_schema *own = dms_snapshot_schema(snapshot);
    const struct dms_schema *runs = dms_snapshot_schema(retrained->snapshot);
    const struct dms_column *wanted, *found;
    uint32_t own_column, runs_column;
    int code = dms_schema_find(own, name, &own_column);

    if (code < 0)
        return code;
    code = dms_schema_find(runs, name, &runs_column);
    if (code < 0)
        return dms_fail_prefix(code, "'%s'", store_name(retrained));
    wanted = &own->columns[own_column];
    found = &runs->columns[runs_column];
    if (wanted->kind != found->kind || wanted->target_ct != found->target_ct ||
        wanted->values_per_target != found->values_per_target)
        return dms_fail(DMS_ERR_CONFLICT,
                        "column %s of '%s' has %" PRIu64 " x %" PRIu64
                        " values, that of the fit %" PRIu64 " x %" PRIu64,
                        name, store_name(retrained), found->target_ct, found->values_per_target,
                        wanted->target_ct, wanted->values_per_target);
    return 0;
}

/* ---- masks ---- */

/* By mask, then by id. */
static int compare_model_hashes(const void *left, const void *right)
{
    const struct dms_model_hash *a = left, *b = right;
    int order = dms_hash128_compare(&a->mask, &b->mask);

    return order != 0 ? order : dms_compare_u64(&a->id, &b->id);
}

static int compare_models(const void *left, const void *right)
{
    const struct model *a = left, *b = right;

    return dms_compare_u64(&a->id, &b->id);
}

/* A mask and its place among all of them by hash. */
struct placed_mask {
    uint64_t smallest_id;
    size_t place;
};

static int compare_placed(const void *left, const void *right)
{
    const struct placed_mask *a = left, *b = right;

    return dms_compare_u64(&a->smallest_id, &b->smallest_id);
}

/* Hash of the mask of all examples. */
static int hash_full_mask(uint64_t example_ct, struct dms_hash128 *hash)
{
    size_t bytes = (size_t)(example_ct + 7) / 8;
    uint8_t *mask = dms_alloc(bytes, 1);

    if (!mask)
        return DMS_ERR_NO_MEMORY;
    memset(mask, 0xff, bytes);
    if (example_ct % 8 > 0)
        mask[bytes - 1] = (uint8_t)(0xff >> (8 - example_ct % 8));
    *hash = dms_hash128(mask, bytes);
    free(mask);
    return 0;
}

/* Keeps the models that train on everything. */
static int keep_controls(uint64_t example_ct, struct dms_model_hashes *hashes)
{
    struct dms_hash128 full;
    size_t kept_ct = 0;
    int code = hash_full_mask(example_ct, &full);

    if (code < 0)
        return code;
    for (size_t i = 0; i < hashes->model_ct; i++) {
        if (dms_hash128_compare(&hashes->models[i].mask, &full) == 0)
            hashes->models[kept_ct++] = hashes->models[i];
    }
    hashes->model_ct = kept_ct;
    return 0;
}

/* Fills masks, ids and by_hash from models sorted by mask; the masks are still ordered by hash in
 * `found`, and get their numbers here. */
static void number_masks(const struct dms_model_hashes *hashes, const struct mask_group *found,
                         struct placed_mask *placed, dms_retrained *retrained)
{
    for (size_t i = 0; i < retrained->mask_ct; i++)
        placed[i] = (struct placed_mask){hashes->models[found[i].first_model].id, i};
    qsort(placed, retrained->mask_ct, sizeof(*placed), compare_placed);
    for (size_t mask = 0; mask < retrained->mask_ct; mask++) {
        retrained->masks[mask] = found[placed[mask].place];
        retrained->by_hash[placed[mask].place] = mask;
    }
    for (size_t mask = 0; mask < retrained->mask_ct; mask++) {
        const struct mask_group *group = &retrained->masks[mask];

        for (size_t i = group->first_model; i < group->first_model + group->model_ct; i++) {
            retrained->ids[i] = hashes->models[i].id;
            retrained->models[i] = (struct model){hashes->models[i].id, mask};
        }
    }
    qsort(retrained->models, retrained->model_ct, sizeof(*retrained->models), compare_models);
}

/* Groups the models by mask. Sorts `hashes`. */
static int group_models(struct dms_model_hashes *hashes, dms_retrained *retrained)
{
    size_t model_ct = hashes->model_ct;
    struct mask_group *found = dms_alloc(model_ct, sizeof(*found));
    struct placed_mask *placed = dms_alloc(model_ct, sizeof(*placed));
    int code = DMS_ERR_NO_MEMORY;

    if (!found || !placed)
        goto out;
    qsort(hashes->models, model_ct, sizeof(*hashes->models), compare_model_hashes);
    for (size_t i = 0; i < model_ct; i++) {
        const struct dms_hash128 *hash = &hashes->models[i].mask;

        if (i == 0 || dms_hash128_compare(hash, &found[retrained->mask_ct - 1].hash) != 0)
            found[retrained->mask_ct++] = (struct mask_group){*hash, i, 0};
        found[retrained->mask_ct - 1].model_ct++;
    }
    retrained->model_ct = model_ct;
    retrained->ids = dms_alloc(model_ct, sizeof(*retrained->ids));
    retrained->models = dms_alloc(model_ct, sizeof(*retrained->models));
    retrained->masks = dms_alloc(retrained->mask_ct, sizeof(*retrained->masks));
    retrained->by_hash = dms_alloc(retrained->mask_ct, sizeof(*retrained->by_hash));
    if (!retrained->ids || !retrained->models || !retrained->masks || !retrained->by_hash)
        goto out;
    number_masks(hashes, found, placed, retrained);
    code = 0;
out:
    free(found);
    free(placed);
    return code;
}

/* ---- opening ---- */

static int read_models(bool controls_only, dms_retrained *retrained)
{
    const struct dms_schema *schema = dms_snapshot_schema(retrained->snapshot);
    struct dms_model_hashes hashes = {0};
    int code = dms_model_hashes_read(retrained->snapshot,
                                     (uint32_t)(retrained->output.column - schema->columns),
                                     retrained->thread_ct, &hashes);

    if (code == 0 && controls_only)
        code = keep_controls(schema->example_ct, &hashes);
    if (code == 0)
        code = group_models(&hashes, retrained);
    dms_model_hashes_free(&hashes);
    return code;
}

static int open_models(const char *path, dms_snapshot *snapshot, dms_fit *fit,
                       const struct dms_retrained_options *options, bool controls_only,
                       dms_retrained **retrained)
{
    dms_retrained *made = dms_alloc(1, sizeof(*made));
    int code = 0;

    if (!made)
        return DMS_ERR_NO_MEMORY;
    made->snapshot = snapshot;
    made->thread_ct = options->thread_ct;
    if (path) {
        made->snapshot = NULL;
        made->owns_snapshot = true;
        made->path = dms_strdup(path);
        code = made->path ? dms_snapshot_open(path, &made->snapshot) : DMS_ERR_NO_MEMORY;
    }
    if (code == 0)
        code = check_training_set(made, snapshot);
    if (code == 0)
        code = check_column(made, snapshot, dms_fit_get_header(fit)->output);
    if (code == 0)
        code = dms_scored_output_of(made->snapshot, fit, options->labels, options->label_ct,
                                    &made->output);
    if (code == 0)
        code = read_models(controls_only, made);
    if (code < 0) {
        dms_retrained_close(made);
        return code;
    }
    *retrained = made;
    return 0;
}

int dms_retrained_open(const char *path, dms_snapshot *snapshot, dms_fit *fit,
                       const struct dms_retrained_options *options, dms_retrained **retrained)
{
    return open_models(path, snapshot, fit, options, false, retrained);
}

void dms_retrained_close(dms_retrained *retrained)
{
    if (!retrained)
        return;
    if (retrained->owns_snapshot)
        dms_snapshot_close(retrained->snapshot);
    free(retrained->path);
    free(retrained->ids);
    free(retrained->masks);
    free(retrained->by_hash);
    free(retrained->models);
    free(retrained);
}

const char *dms_retrained_path(const dms_retrained *retrained)
{
    return retrained->path;
}

size_t dms_retrained_model_ct(const dms_retrained *retrained)
{
    return retrained->model_ct;
}

/* ---- finding ---- */

size_t dms_retrained_mask_ct(const dms_retrained *retrained)
{
    return retrained->mask_ct;
}

static int check_mask(const dms_retrained *retrained, size_t mask)
{
    if (mask < retrained->mask_ct)
        return 0;
    return dms_fail(DMS_ERR_INVALID, "there is no mask %zu: '%s' has %zu", mask,
                    store_name(retrained), retrained->mask_ct);
}

int dms_retrained_models(const dms_retrained *retrained, size_t mask, const uint64_t **ids,
                         size_t *id_ct)
{
    int code = check_mask(retrained, mask);

    if (code < 0)
        return code;
    *ids = retrained->ids + retrained->masks[mask].first_model;
    *id_ct = retrained->masks[mask].model_ct;
    return 0;
}

int dms_retrained_read_mask(const dms_retrained *retrained, size_t mask, uint8_t *packed)
{
    struct dms_position position;
    const uint64_t *ids;
    size_t id_ct;
    int code = dms_retrained_models(retrained, mask, &ids, &id_ct);

    if (code == 0)
        code = dms_snapshot_find(retrained->snapshot, ids[0], &position);
    if (code == 0)
        code =
            dms_snapshot_read_masks(retrained->snapshot, position.group, position.row, 1, packed);
    return code;
}

static int find_hash(const dms_retrained *retrained, const struct dms_hash128 *hash, size_t *mask)
{
    size_t low = 0, high = retrained->mask_ct;

    while (low < high) {
        size_t middle = low + (high - low) / 2, number = retrained->by_hash[middle];
        int order = dms_hash128_compare(hash, &retrained->masks[number].hash);

        if (order == 0) {
            *mask = number;
            return 0;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return DMS_ERR_NOT_FOUND;
}

int dms_retrained_find_mask(const dms_retrained *retrained, const uint8_t *packed, size_t *mask)
{
    uint64_t example_ct = dms_snapshot_schema(retrained->snapshot)->example_ct;
    struct dms_hash128 hash = dms_hash128(packed, (size_t)(example_ct + 7) / 8);

    if (find_hash(retrained, &hash, mask) < 0)
        return dms_fail(DMS_ERR_NOT_FOUND, "'%s' has no model with this mask",
                        store_name(retrained));
    return 0;
}

int dms_retrained_find_controls(const dms_retrained *retrained, size_t *mask)
{
    struct dms_hash128 full;
    int code = hash_full_mask(dms_snapshot_schema(retrained->snapshot)->example_ct, &full);

    if (code < 0)
        return code;
    if (find_hash(retrained, &full, mask) < 0)
        return dms_fail(DMS_ERR_NOT_FOUND, "'%s' has no model of all training examples",
                        store_name(retrained));
    return 0;
}

/* The model, or NULL. */
static const struct model *find_model(const dms_retrained *retrained, uint64_t id)
{
    struct model wanted = {.id = id};

    return bsearch(&wanted, retrained->models, retrained->model_ct, sizeof(wanted), compare_models);
}

int dms_retrained_find_model(const dms_retrained *retrained, uint64_t id, size_t *mask)
{
    const struct model *model = find_model(retrained, id);

    if (!model)
        return dms_fail(DMS_ERR_NOT_FOUND, "'%s' has no outputs %s of model %" PRIu64,
                        store_name(retrained), retrained->output.column->name, id);
    *mask = model->mask;
    return 0;
}

/* ---- outputs ---- */

/* One that is asked for. */
struct wanted_output {
    uint64_t id, target;
    size_t place; /* in the caller's array */
};

static int compare_targets(const void *left, const void *right)
{
    const struct wanted_output *a = left, *b = right;

    return dms_compare_u64(&a->target, &b->target);
}

static int compare_ids(const void *left, const void *right)
{
    const struct wanted_output *a = left, *b = right;

    return dms_compare_u64(&a->id, &b->id);
}

/* The ids of `wanted`, which is sorted by id. */
static int ranges_of(const struct wanted_output *wanted, size_t wanted_ct,
                     struct dms_id_range **ranges, size_t *range_ct)
{
    uint64_t *ids = dms_alloc(wanted_ct, sizeof(*ids));
    int code;

    if (!ids)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; i < wanted_ct; i++)
        ids[i] = wanted[i].id;
    code = dms_id_ranges_of(ids, wanted_ct, ranges, range_ct);
    free(ids);
    return code;
}

static int open_reader(const dms_retrained *retrained, const struct dms_id_range *ranges,
                       size_t range_ct, uint64_t first, uint64_t target_ct, dms_reader **reader)
{
    struct dms_reader_options options;
    uint64_t row_ct = dms_id_ranges_count(ranges, range_ct);

    dms_reader_options_init(&options);
    options.output = retrained->output.column->name;
    options.first_target = first;
    options.target_ct = target_ct;
    options.ids = ranges;
    options.id_range_ct = range_ct;
    options.masks = false;
    options.batch_rows = row_ct < BATCH_ROWS ? (uint32_t)row_ct : BATCH_ROWS;
    options.thread_ct = retrained->thread_ct;
    return dms_reader_open(retrained->snapshot, &options, reader);
}

/* Takes what is wanted of row `row` of a batch that begins at target `first`. */
static void take_row(const dms_retrained *retrained, const struct dms_batch *batch, uint32_t row,
                     uint64_t first, const struct wanted_output *wanted, size_t wanted_ct,
                     struct dms_retrained_output *outputs)
{
    const struct dms_scored_output *output = &retrained->output;
    size_t class_ct = output->column->values_per_target;
    const float *values = (const float *)batch->outputs + (size_t)row * batch->output_stride_values;
    size_t low = 0, high = wanted_ct;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (wanted[middle].id < batch->ids[row])
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < wanted_ct && wanted[low].id == batch->ids[row]; low++) {
        struct dms_transform_shape one = {1, 1, class_ct, class_ct, 1};
        uint64_t target = wanted[low].target;
        float value;

        dms_transform_apply(output->transform, &one,
                            output->labels ? output->labels + target : NULL,
                            values + (target - first) * class_ct, &value);
        outputs[wanted[low].place].output = isfinite(value) ? value : NAN;
    }
}

/* Reads what is wanted of targets that lie close together. Sorts `wanted`. */
static int read_block(const dms_retrained *retrained, struct wanted_output *wanted,
                      size_t wanted_ct, struct dms_retrained_output *outputs)
{
    uint64_t first = wanted[0].target, last = wanted[wanted_ct - 1].target;
    struct dms_id_range *ranges = NULL;
    const struct dms_batch *batch;
    dms_reader *reader = NULL;
    size_t range_ct;
    int code;

    qsort(wanted, wanted_ct, sizeof(*wanted), compare_ids);
    code = ranges_of(wanted, wanted_ct, &ranges, &range_ct);
    if (code == 0)
        code = open_reader(retrained, ranges, range_ct, first, last - first + 1, &reader);
    while (code == 0 && (code = dms_reader_next(reader, &batch)) == 0) {
        for (uint32_t row = 0; row < batch->row_ct; row++)
            take_row(retrained, batch, row, first, wanted, wanted_ct, outputs);
        dms_reader_release(reader, batch);
    }
    dms_reader_close(reader);
    free(ranges);
    return code == DMS_END ? 0 : code;
}

/* Fails with the ids that are not there, if there are any. wanted: sorted by id. */
static int check_ids(const dms_retrained *retrained, const struct wanted_output *wanted,
                     size_t wanted_ct)
{
    struct dms_id_range *ranges;
    char text[MISSING_TEXT_BYTES];
    size_t missing_ct = 0, range_ct;
    uint64_t *missing = dms_alloc(wanted_ct, sizeof(*missing));
    int code;

    if (!missing)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; i < wanted_ct; i++) {
        if (!find_model(retrained, wanted[i].id))
            missing[missing_ct++] = wanted[i].id;
    }
    code = dms_id_ranges_of(missing, missing_ct, &ranges, &range_ct);
    free(missing);
    if (code < 0)
        return code;
    if (missing_ct > 0) {
        dms_id_ranges_print(ranges, range_ct, text, sizeof(text));
        code = dms_fail(DMS_ERR_NOT_FOUND, "'%s' has no outputs %s of %" PRIu64 " models: %s",
                        store_name(retrained), retrained->output.column->name,
                        dms_id_ranges_count(ranges, range_ct), text);
    }
    free(ranges);
    return code;
}

/* The outputs asked for, sorted by id. The caller frees *wanted. */
static int list_wanted(const dms_retrained *retrained, const struct dms_retrained_output *outputs,
                       size_t output_ct, struct wanted_output **wanted)
{
    const struct dms_column *column = retrained->output.column;
    struct wanted_output *made = dms_alloc(output_ct, sizeof(*made));

    if (!made)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; i < output_ct; i++) {
        if (outputs[i].target >= column->target_ct) {
            free(made);
            return dms_fail(DMS_ERR_INVALID,
                            "there is no target %" PRIu64 ": column %s has %" PRIu64,
                            outputs[i].target, column->name, column->target_ct);
        }
        made[i] = (struct wanted_output){outputs[i].id, outputs[i].target, i};
    }
    qsort(made, output_ct, sizeof(*made), compare_ids);
    *wanted = made;
    return 0;
}

int dms_retrained_outputs(const dms_retrained *retrained, struct dms_retrained_output *outputs,
                          size_t output_ct, uint64_t *nonfinite_ct)
{
    uint64_t span = BLOCK_VALUES / retrained->output.column->values_per_target;
    struct wanted_output *wanted = NULL;
    uint64_t count = 0;
    int code = list_wanted(retrained, outputs, output_ct, &wanted);

    if (code < 0)
        return code;
    code = check_ids(retrained, wanted, output_ct);
    qsort(wanted, output_ct, sizeof(*wanted), compare_targets);
    for (size_t start = 0, end; code == 0 && start < output_ct; start = end) {
        uint64_t first = wanted[start].target;

        for (end = start + 1; end < output_ct && wanted[end].target - first < span;)
            end++;
        code = read_block(retrained, wanted + start, end - start, outputs);
    }
    free(wanted);
    if (code < 0)
        return code;
    for (size_t i = 0; i < output_ct; i++)
        count += isnan(outputs[i].output);
    if (nonfinite_ct)
        *nonfinite_ct = count;
    return 0;
}

/* ---- means ---- */

/* Sets means whose models are output_ct together. */
static int average(const dms_retrained *retrained, struct dms_retrained_mean *means, size_t mean_ct,
                   size_t output_ct)
{
    struct dms_retrained_output *outputs = dms_alloc(output_ct, sizeof(*outputs)), *next = outputs;
    int code;

    if (!outputs)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; i < mean_ct; i++) {
        const struct mask_group *group = &retrained->masks[means[i].mask];

        for (size_t k = 0; k < group->model_ct; k++)
            *next++ = (struct dms_retrained_output){
                .id = retrained->ids[group->first_model + k],
                .target = means[i].target,
            };
    }
    code = dms_retrained_outputs(retrained, outputs, output_ct, NULL);
    next = outputs;
    for (size_t i = 0; code == 0 && i < mean_ct; i++) {
        size_t model_ct = retrained->masks[means[i].mask].model_ct;
        double sum = 0;

        means[i].model_ct = 0;
        for (size_t k = 0; k < model_ct; k++, next++) {
            if (!isnan(next->output)) {
                sum += next->output;
                means[i].model_ct++;
            }
        }
        means[i].nonfinite_ct = model_ct - means[i].model_ct;
        means[i].mean = means[i].model_ct > 0 ? sum / (double)means[i].model_ct : NAN;
    }
    free(outputs);
    return code;
}

int dms_retrained_means(const dms_retrained *retrained, struct dms_retrained_mean *means,
                        size_t mean_ct)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < mean_ct; i++)
        code = check_mask(retrained, means[i].mask);
    for (size_t start = 0, end; code == 0 && start < mean_ct; start = end) {
        size_t output_ct = 0;

        for (end = start; end < mean_ct && output_ct < MEAN_OUTPUTS; end++)
            output_ct += retrained->masks[means[end].mask].model_ct;
        code = average(retrained, means + start, end - start, output_ct);
    }
    return code;
}

/* ---- the whole training set ---- */

const char *dms_base_name(enum dms_base base)
{
    static const char *const names[] = {
        [DMS_BASE_RETRAINED] = "runs",
        [DMS_BASE_STORE] = "store",
        [DMS_BASE_PREDICTED] = "predicted",
    };

    return names[base];
}

/* Means over the controls; NOT_FOUND: there are none. */
static int average_controls(const dms_retrained *retrained, const dms_fit *fit,
                            const size_t *positions, size_t position_ct, double *outputs)
{
    struct dms_retrained_mean *means;
    size_t controls;
    int code = dms_retrained_find_controls(retrained, &controls);

    if (code < 0)
        return code;
    means = dms_alloc(position_ct, sizeof(*means));
    if (!means)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; code == 0 && i < position_ct; i++) {
        struct dms_fitted_target target;

        code = dms_fit_target(fit, positions[i], &target);
        if (code == 0)
            means[i] = (struct dms_retrained_mean){.mask = controls, .target = target.target};
    }
    if (code == 0)
        code = dms_retrained_means(retrained, means, position_ct);
    for (size_t i = 0; code == 0 && i < position_ct; i++)
        outputs[i] = means[i].mean;
    free(means);
    return code;
}

static int predict_full(const dms_fit *fit, const size_t *positions, size_t position_ct,
                        double *outputs)
{
    for (size_t i = 0; i < position_ct; i++) {
        struct dms_fitted_target target;
        int code = dms_fit_target(fit, positions[i], &target);

        if (code < 0)
            return code;
        if (target.flags & DMS_FITTED_NO_BIAS)
            return dms_fail(DMS_ERR_INVALID,
                            "fit '%s' has no bias, so that it does not tell what a model of all "
                            "training examples puts out: train some (control rows of a plan)",
                            dms_fit_get_header(fit)->name);
        outputs[i] = target.bias;
        for (size_t k = 0; k < target.weight_ct; k++)
            outputs[i] += target.weights[k];
    }
    return 0;
}

int dms_base_outputs(dms_snapshot *snapshot, dms_fit *fit, const dms_retrained *retrained,
                     const struct dms_retrained_options *options, const size_t *positions,
                     size_t position_ct, double *outputs, enum dms_base *base)
{
    dms_retrained *own = NULL;
    enum dms_base found = DMS_BASE_RETRAINED;
    int code = retrained ? average_controls(retrained, fit, positions, position_ct, outputs)
                         : DMS_ERR_NOT_FOUND;

    if (code == DMS_ERR_NOT_FOUND) {
        found = DMS_BASE_STORE;
        code = open_models(NULL, snapshot, fit, options, true, &own);
        if (code == 0)
            code = average_controls(own, fit, positions, position_ct, outputs);
    }
    if (code == DMS_ERR_NOT_FOUND) {
        found = DMS_BASE_PREDICTED;
        code = predict_full(fit, positions, position_ct, outputs);
    }
    dms_retrained_close(own);
    if (code == 0)
        *base = found;
    return code;
}
