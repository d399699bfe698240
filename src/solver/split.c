/*
 * Chooses the row sets of a fit; see split.h. The masks are read once, group by group and piece by
 * piece, by all threads; what stays of them are two hashes a model.
 */
#include "solver/split.h"

#include "base/alloc.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/pool.h"
#include "base/thread.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Masks that a thread holds at a time. A compressed group is decoded again for each piece of it, so
 * that ordinary groups (4 to 16 MiB) should be one. */
#define PIECE_BYTES ((size_t)16 << 20)

/* More threads would only take more memory: the masks do not come faster. */
#define THREAD_MAX 8

/* ---- hashing ---- */

struct hash_job {
    dms_snapshot *snapshot;
    uint32_t column;
    size_t mask_bytes;
    size_t *first_model; /* of each group among all models; group_ct + 1 of them */
    struct dms_model_hash *models;
};

/* The ids of a group, and which of its rows are live and have a value. */
struct group_rows {
    struct dms_group_info info;
    uint64_t *ids;
    uint8_t *wanted; /* a bit a row */
};

static void group_rows_free(struct group_rows *rows)
{
    free(rows->ids);
    free(rows->wanted);
}

static bool is_wanted(const struct group_rows *rows, uint32_t row)
{
    return rows->wanted[row >> 3] >> (row & 7) & 1;
}

static int group_rows_read(const struct hash_job *job, size_t group, struct group_rows *rows)
{
    uint8_t *present = NULL;
    size_t bytes;
    int code;

    *rows = (struct group_rows){0};
    code = dms_snapshot_group(job->snapshot, group, &rows->info);
    if (code < 0)
        return code;
    bytes = ((size_t)rows->info.row_ct + 7) / 8;
    rows->ids = dms_alloc(rows->info.row_ct, sizeof(*rows->ids));
    rows->wanted = dms_alloc(bytes, 1);
    present = dms_alloc(bytes, 1);
    code = rows->ids && rows->wanted && present ? 0 : DMS_ERR_NO_MEMORY;
    if (code == 0)
        code = dms_snapshot_group_ids(job->snapshot, group, rows->ids);
    if (code == 0)
        code = dms_snapshot_group_live(job->snapshot, group, rows->wanted);
    if (code == 0)
        code = dms_snapshot_group_present(job->snapshot, group, job->column, present);
    for (size_t k = 0; code == 0 && k < bytes; k++)
        rows->wanted[k] &= present[k];
    free(present);
    if (code < 0)
        group_rows_free(rows);
    return code;
}

/* Fills job->first_model; *model_ct: models of all groups. */
static int count_models(struct hash_job *job, size_t group_ct, size_t *model_ct)
{
    size_t sum = 0;

    for (size_t group = 0; group < group_ct; group++) {
        struct group_rows rows;
        int code = group_rows_read(job, group, &rows);

        if (code < 0)
            return code;
        job->first_model[group] = sum;
        for (uint32_t row = 0; row < rows.info.row_ct; row++)
            sum += is_wanted(&rows, row);
        group_rows_free(&rows);
    }
    job->first_model[group_ct] = sum;
    *model_ct = sum;
    return 0;
}

/* `named` has room for an id and a mask. */
static struct dms_model_hash hash_model(uint64_t id, const uint8_t *mask, size_t mask_bytes,
                                        uint8_t *named)
{
    dms_store_u64(named, id);
    memcpy(named + sizeof(id), mask, mask_bytes);
    return (struct dms_model_hash){
        .id = id,
        .mask = dms_hash128(mask, mask_bytes),
        .row = dms_hash128(named, sizeof(id) + mask_bytes),
    };
}

static int hash_rows(const struct hash_job *job, size_t group, const struct group_rows *rows,
                     struct dms_model_hash *models)
{
    size_t piece_rows = PIECE_BYTES / job->mask_bytes;
    uint8_t *masks = NULL, *named = NULL;
    int code = 0;

    if (piece_rows == 0)
        piece_rows = 1;
    if (piece_rows > rows->info.row_ct)
        piece_rows = rows->info.row_ct;
    masks = dms_alloc(piece_rows, job->mask_bytes);
    named = dms_alloc(1, sizeof(uint64_t) + job->mask_bytes);
    if (!masks || !named)
        code = DMS_ERR_NO_MEMORY;
    for (uint32_t first = 0; code == 0 && first < rows->info.row_ct;) {
        uint32_t left = rows->info.row_ct - first;
        uint32_t row_ct = left < piece_rows ? left : (uint32_t)piece_rows;

        code = dms_snapshot_read_masks(job->snapshot, group, first, row_ct, masks);
        for (uint32_t k = 0; code == 0 && k < row_ct; k++) {
            if (is_wanted(rows, first + k))
                *models++ = hash_model(rows->ids[first + k], masks + k * job->mask_bytes,
                                       job->mask_bytes, named);
        }
        first += row_ct;
    }
    free(named);
    free(masks);
    return code;
}

/* A task of the pool. */
static int hash_group(void *context, size_t group)
{
    const struct hash_job *job = context;
    struct group_rows rows;
    int code;

    if (job->first_model[group] == job->first_model[group + 1])
        return 0;
    code = group_rows_read(job, group, &rows);
    if (code < 0)
        return code;
    code = hash_rows(job, group, &rows, job->models + job->first_model[group]);
    group_rows_free(&rows);
    return code;
}

static int compare_ids(const void *a, const void *b)
{
    const struct dms_model_hash *left = a, *right = b;

    return (left->id > right->id) - (left->id < right->id);
}

int dms_model_hashes_read(dms_snapshot *snapshot, uint32_t column, unsigned thread_ct,
                          struct dms_model_hashes *hashes)
{
    const struct dms_schema *schema = dms_snapshot_schema(snapshot);
    size_t group_ct = dms_snapshot_group_ct(snapshot), model_ct = 0;
    struct hash_job job = {
        .snapshot = snapshot, .column = column, .mask_bytes = (schema->example_ct + 7) / 8};
    struct dms_pool *pool = NULL;
    int code = 0;

    job.first_model = dms_alloc(group_ct + 1, sizeof(*job.first_model));
    if (!job.first_model)
        return DMS_ERR_NO_MEMORY;
    code = count_models(&job, group_ct, &model_ct);
    if (code < 0)
        goto out;
    if (thread_ct == 0)
        thread_ct = dms_processor_ct();
    if (thread_ct > THREAD_MAX)
        thread_ct = THREAD_MAX;
    job.models = dms_alloc(model_ct, sizeof(*job.models));
    code = job.models ? dms_pool_create(thread_ct, &pool) : DMS_ERR_NO_MEMORY;
    if (code == 0)
        code = dms_pool_run(pool, group_ct, hash_group, &job);
    if (code < 0)
        goto out;
    qsort(job.models, model_ct, sizeof(*job.models), compare_ids);
    *hashes = (struct dms_model_hashes){.model_ct = model_ct, .models = job.models};
    job.models = NULL;
out:
    dms_pool_free(pool);
    free(job.models);
    free(job.first_model);
    return code;
}

void dms_model_hashes_free(struct dms_model_hashes *hashes)
{
    free(hashes->models);
    *hashes = (struct dms_model_hashes){0};
}

/* ---- choosing ---- */

enum part { TRAINING, VALIDATION, HELD_OUT, UNUSED };

static int compare_masks(const void *a, const void *b)
{
    const struct dms_model_hash *left = *(const struct dms_model_hash *const *)a;
    const struct dms_model_hash *right = *(const struct dms_model_hash *const *)b;
    int order = dms_hash128_compare(&left->mask, &right->mask);

    return order != 0 ? order : compare_ids(left, right);
}

static bool same_mask(const struct dms_model_hash *left, const struct dms_model_hash *right)
{
    return dms_hash128_compare(&left->mask, &right->mask) == 0;
}

/* Moves all models of equal masks to the part of the one with the largest id. */
static int join_equal_masks(const struct dms_model_hashes *hashes, uint8_t *parts)
{
    const struct dms_model_hash **by_mask = dms_alloc(hashes->model_ct, sizeof(*by_mask));

    if (!by_mask)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; i < hashes->model_ct; i++)
        by_mask[i] = &hashes->models[i];
    qsort(by_mask, hashes->model_ct, sizeof(*by_mask), compare_masks);
    for (size_t i = hashes->model_ct; i-- > 1;) {
        if (same_mask(by_mask[i - 1], by_mask[i]))
            parts[by_mask[i - 1] - hashes->models] = parts[by_mask[i] - hashes->models];
    }
    free(by_mask);
    return 0;
}

/* Adds to a sum mod 2^128. */
static void digest_add(uint64_t digest[2], struct dms_hash128 hash)
{
    digest[0] += hash.low;
    digest[1] += hash.high + (digest[0] < hash.low);
}

/* The models of one part as a row set. */
static int collect(const struct dms_model_hashes *hashes, const uint8_t *parts, enum part part,
                   struct dms_row_set *set)
{
    struct dms_row_set made = {0};
    size_t capacity = 0;
    int code = 0;

    for (size_t i = 0; code == 0 && i < hashes->model_ct; i++) {
        const struct dms_model_hash *model = &hashes->models[i];
        struct dms_id_range *last = made.range_ct > 0 ? &made.ranges[made.range_ct - 1] : NULL;

        if (parts[i] != part)
            continue;
        made.row_ct++;
        digest_add(made.digest, model->row);
        if (last && model->id - last->first_id == last->id_ct) {
            last->id_ct++;
            continue;
        }
        code = dms_grow((void **)&made.ranges, &capacity, made.range_ct + 1, sizeof(*made.ranges));
        if (code == 0)
            made.ranges[made.range_ct++] = (struct dms_id_range){model->id, 1};
    }
    if (code < 0) {
        free(made.ranges);
        return code;
    }
    *set = made;
    return 0;
}

/* Leaves the first rows_used training models and takes the others out. */
static int limit_training(size_t model_ct, uint64_t rows_used, uint8_t *parts)
{
    uint64_t training_ct = 0;

    for (size_t i = 0; i < model_ct; i++) {
        if (parts[i] == TRAINING && ++training_ct > rows_used && rows_used > 0)
            parts[i] = UNUSED;
    }
    if (training_ct == 0)
        return dms_fail(DMS_ERR_INVALID,
                        "no models are left to train on: all %zu that have a value are held out or "
                        "validate, or have the mask of one that does",
                        model_ct);
    if (rows_used > training_ct)
        return dms_fail(DMS_ERR_INVALID,
                        "%" PRIu64 " training models are asked for, but there are %" PRIu64,
                        rows_used, training_ct);
    return 0;
}

int dms_split_choose(const struct dms_model_hashes *hashes, uint64_t held_out_ct,
                     uint64_t validation_ct, uint64_t rows_used, struct dms_split *split)
{
    struct dms_split made = {0};
    size_t model_ct = hashes->model_ct;
    uint8_t *parts;
    int code;

    if (held_out_ct > model_ct || validation_ct > model_ct - held_out_ct)
        return dms_fail(DMS_ERR_INVALID,
                        "%" PRIu64 " models to hold out and %" PRIu64
                        " for validation are more than the %zu that have a value",
                        held_out_ct, validation_ct, model_ct);
    parts = dms_alloc(model_ct, 1);
    if (!parts)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; i < model_ct; i++) {
        size_t from_end = model_ct - i;

        parts[i] = from_end <= held_out_ct                   ? HELD_OUT
                   : from_end - held_out_ct <= validation_ct ? VALIDATION
                                                             : TRAINING;
    }
    code = join_equal_masks(hashes, parts);
    if (code == 0)
        code = limit_training(model_ct, rows_used, parts);
    if (code == 0)
        code = collect(hashes, parts, TRAINING, &made.training);
    if (code == 0)
        code = collect(hashes, parts, VALIDATION, &made.validation);
    if (code == 0)
        code = collect(hashes, parts, HELD_OUT, &made.held_out);
    free(parts);
    if (code < 0) {
        dms_split_free(&made);
        return code;
    }
    *split = made;
    return 0;
}

void dms_split_free(struct dms_split *split)
{
    free(split->training.ranges);
    free(split->validation.ranges);
    free(split->held_out.ranges);
    *split = (struct dms_split){0};
}

uint64_t dms_split_default_validation(uint64_t model_ct, uint64_t held_out_ct)
{
    return held_out_ct < model_ct ? (model_ct - held_out_ct) / 10 : 0;
}

/* ---- together ---- */

/* Adds `range`, which begins after all that are there. */
static void append_range(struct dms_id_range *ranges, size_t *range_ct, struct dms_id_range range)
{
    struct dms_id_range *last = *range_ct > 0 ? &ranges[*range_ct - 1] : NULL;

    if (last && range.first_id - last->first_id == last->id_ct)
        last->id_ct += range.id_ct;
    else
        ranges[(*range_ct)++] = range;
}

/* Equal masks may have put validation models among those of training. */
int dms_fit_used_ranges(const struct dms_fit_header *header, struct dms_id_range **ranges,
                        size_t *range_ct)
{
    const struct dms_row_set *left = &header->training, *right = &header->validation;
    struct dms_id_range *merged = dms_alloc(left->range_ct + right->range_ct, sizeof(*merged));
    size_t i = 0, k = 0, merged_ct = 0;

    if (!merged)
        return DMS_ERR_NO_MEMORY;
    while (i < left->range_ct || k < right->range_ct) {
        bool take_left =
            k == right->range_ct ||
            (i < left->range_ct && left->ranges[i].first_id < right->ranges[k].first_id);

        append_range(merged, &merged_ct, take_left ? left->ranges[i++] : right->ranges[k++]);
    }
    *ranges = merged;
    *range_ct = merged_ct;
    return 0;
}

/* ---- checking ---- */

/* The first model whose id is not below `id`. */
static size_t find_model(const struct dms_model_hashes *hashes, uint64_t id)
{
    size_t low = 0, high = hashes->model_ct;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (hashes->models[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int dms_row_set_check(const struct dms_row_set *set, const char *role,
                      const struct dms_model_hashes *hashes)
{
    uint64_t digest[2] = {0, 0};

    for (size_t r = 0; r < set->range_ct; r++) {
        const struct dms_id_range *range = &set->ranges[r];
        size_t model = find_model(hashes, range->first_id);

        for (uint64_t k = 0; k < range->id_ct; k++, model++) {
            if (model == hashes->model_ct || hashes->models[model].id != range->first_id + k)
                return dms_fail(DMS_ERR_NOT_FOUND,
                                "%s model %" PRIu64
                                " of the fit is not there any more, or has no value",
                                role, range->first_id + k);
            digest_add(digest, hashes->models[model].row);
        }
    }
    if (digest[0] != set->digest[0] || digest[1] != set->digest[1])
        return dms_fail(DMS_ERR_CONFLICT,
                        "masks of the fit's %s models are not those that it was begun with", role);
    return 0;
}
