/*
 * Finds retrained models by id and by mask; see dmstore/retrained.h. The masks of a store are
 * hashed once, when it is opened.
 */
#include "query/retrained.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/order.h"
#include "query/id_ranges.h"
#include "solver/split.h"

/* Masks that are read together. */
#define BATCH_ROWS 256

void dms_retrained_options_init(struct dms_retrained_options *options)
{
    *options = (struct dms_retrained_options){0};
}

const char *dms_retrained_name(const dms_retrained *retrained)
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
                        dms_retrained_name(retrained), runs->example_ct, own->example_ct);
    if (own->digest_bytes > 0 && runs->digest_bytes > 0 &&
        (own->digest_bytes != runs->digest_bytes ||
         memcmp(own->digest, runs->digest, own->digest_bytes) != 0))
        return dms_fail(DMS_ERR_CONFLICT,
                        "'%s' is about another training set than the fit: their dataset digests "
                        "differ",
                        dms_retrained_name(retrained));
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
        return dms_fail_prefix(code, "'%s'", dms_retrained_name(retrained));
    wanted = &own->columns[own_column];
    found = &runs->columns[runs_column];
    if (wanted->kind != found->kind || wanted->target_ct != found->target_ct ||
        wanted->values_per_target != found->values_per_target)
        return dms_fail(DMS_ERR_CONFLICT,
                        "column %s of '%s' has %" PRIu64 " x %" PRIu64
                        " values, that of the fit %" PRIu64 " x %" PRIu64,
                        name, dms_retrained_name(retrained), found->target_ct,
                        found->values_per_target, wanted->target_ct, wanted->values_per_target);
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
    const struct dms_retrained_model *a = left, *b = right;

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
static void number_masks(const struct dms_model_hashes *hashes, const struct dms_mask_group *found,
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
        const struct dms_mask_group *group = &retrained->masks[mask];

        for (size_t i = group->first_model; i < group->first_model + group->model_ct; i++) {
            retrained->ids[i] = hashes->models[i].id;
            retrained->models[i] = (struct dms_retrained_model){hashes->models[i].id, mask};
        }
    }
    qsort(retrained->models, retrained->model_ct, sizeof(*retrained->models), compare_models);
}

/* Groups the models by mask. Sorts `hashes`. */
static int group_models(struct dms_model_hashes *hashes, dms_retrained *retrained)
{
    size_t model_ct = hashes->model_ct;
    struct dms_mask_group *found = dms_alloc(model_ct, sizeof(*found));
    struct placed_mask *placed = dms_alloc(model_ct, sizeof(*placed));
    int code = DMS_ERR_NO_MEMORY;

    if (!found || !placed)
        goto out;
    qsort(hashes->models, model_ct, sizeof(*hashes->models), compare_model_hashes);
    for (size_t i = 0; i < model_ct; i++) {
        const struct dms_hash128 *hash = &hashes->models[i].mask;

        if (i == 0 || dms_hash128_compare(hash, &found[retrained->mask_ct - 1].hash) != 0)
            found[retrained->mask_ct++] = (struct dms_mask_group){*hash, i, 0};
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

int dms_retrained_open_controls(dms_snapshot *snapshot, dms_fit *fit,
                                const struct dms_retrained_options *options,
                                dms_retrained **retrained)
{
    return open_models(NULL, snapshot, fit, options, true, retrained);
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
                    dms_retrained_name(retrained), retrained->mask_ct);
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

/* Ids of the first model of each mask, in order. The caller frees *ranges. */
static int first_models(const dms_retrained *retrained, struct dms_id_range **ranges,
                        size_t *range_ct)
{
    uint64_t *ids = dms_alloc(retrained->mask_ct, sizeof(*ids));
    int code;

    if (!ids)
        return DMS_ERR_NO_MEMORY;
    for (size_t mask = 0; mask < retrained->mask_ct; mask++)
        ids[mask] = retrained->ids[retrained->masks[mask].first_model];
    code = dms_id_ranges_of(ids, retrained->mask_ct, ranges, range_ct);
    free(ids);
    return code;
}

int dms_retrained_visit_masks(const dms_retrained *retrained,
                              int (*visit)(void *context, size_t mask, const uint8_t *packed),
                              void *context)
{
    struct dms_reader_options options;
    struct dms_id_range *ranges = NULL;
    const struct dms_batch *batch;
    dms_reader *reader = NULL;
    int code;

    if (retrained->mask_ct == 0)
        return 0;
    dms_reader_options_init(&options);
    code = first_models(retrained, &ranges, &options.id_range_ct);
    options.ids = ranges;
    options.batch_rows = BATCH_ROWS;
    options.thread_ct = retrained->thread_ct;
    if (code == 0)
        code = dms_reader_open(retrained->snapshot, &options, &reader);
    while (code == 0 && (code = dms_reader_next(reader, &batch)) == 0) {
        /* The rank of the first model of a mask among all of them is the number of the mask. */
        for (uint32_t row = 0; code == 0 && row < batch->row_ct; row++)
            code = visit(context, (size_t)batch->ranks[row],
                         batch->masks + (size_t)row * batch->mask_stride_bytes);
        dms_reader_release(reader, batch);
    }
    dms_reader_close(reader);
    free(ranges);
    return code == DMS_END ? 0 : code;
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
                        dms_retrained_name(retrained));
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
                        dms_retrained_name(retrained));
    return 0;
}

const struct dms_retrained_model *dms_retrained_find_id(const dms_retrained *retrained, uint64_t id)
{
    struct dms_retrained_model wanted = {.id = id};

    return bsearch(&wanted, retrained->models, retrained->model_ct, sizeof(wanted), compare_models);
}

int dms_retrained_find_model(const dms_retrained *retrained, uint64_t id, size_t *mask)
{
    const struct dms_retrained_model *model = dms_retrained_find_id(retrained, id);

    if (!model)
        return dms_fail(DMS_ERR_NOT_FOUND, "'%s' has no outputs %s of model %" PRIu64,
                        dms_retrained_name(retrained), retrained->output.column->name, id);
    *mask = model->mask;
    return 0;
}
