/*
 * Finds the models that all fits have held out, with one pass over the masks of each different
 * held-out set; see held_out.h.
 */
#include "query/held_out.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "query/id_ranges.h"
#include "query/mask_pass.h"
#include "query/subset_sizes.h"

/* ---- the sets ---- */

/* A fit that says it was trained on what it held out has no honest score. */
static int check_disjoint(const struct dms_fit_header *header, const struct dms_row_set *used,
                          const char *role)
{
    struct dms_id_range *common;
    size_t common_ct;
    int code = dms_id_ranges_intersect(header->held_out.ranges, header->held_out.range_ct,
                                       used->ranges, used->range_ct, &common, &common_ct);

    if (code < 0)
        return code;
    if (common_ct > 0)
        code = dms_fail(DMS_ERR_CONFLICT,
                        "fit %s has held out model %" PRIu64
                        ", but that is one of its %s models, too: it cannot be evaluated",
                        header->name, common[0].first_id, role);
    free(common);
    return code;
}

static int check_header(const struct dms_fit_header *header)
{
    int code;

    if (header->held_out.row_ct == 0)
        return dms_fail(DMS_ERR_INVALID,
                        "fit %s has held out no models: fit again with some held out (dmstore fit "
                        "--holdout) to evaluate",
                        header->name);
    code = check_disjoint(header, &header->training, "training");
    return code < 0 ? code : check_disjoint(header, &header->validation, "validation");
}

/* Reads and checks the held-out set of one fit. The caller frees pass->hashes. */
static int read_set(dms_snapshot *snapshot, const struct dms_fit_header *header, unsigned thread_ct,
                    uint64_t memory_bytes, struct dms_mask_pass *pass)
{
    const struct dms_row_set *set = &header->held_out;
    struct dms_model_hashes models;
    int code;

    pass->row_ct = (uint32_t)set->row_ct;
    pass->hashes = dms_alloc(pass->row_ct, sizeof(*pass->hashes));
    if (!pass->hashes)
        return DMS_ERR_NO_MEMORY;
    code = dms_mask_pass_run(snapshot, set->ranges, set->range_ct, thread_ct, memory_bytes, pass);
    if (code < 0)
        return dms_fail_prefix(code, "held-out models of fit %s", header->name);
    models = (struct dms_model_hashes){.model_ct = pass->row_ct, .models = pass->hashes};
    code = dms_row_set_check(set, "held-out", &models);
    return code < 0 ? dms_fail_prefix(code, "fit %s", header->name) : 0;
}

static bool same_set(const struct dms_row_set *a, const struct dms_row_set *b)
{
    return a->range_ct == b->range_ct && a->digest[0] == b->digest[0] &&
           a->digest[1] == b->digest[1] &&
           memcmp(a->ranges, b->ranges, a->range_ct * sizeof(*a->ranges)) == 0;
}

/* Takes the models that `header` has not held out from held_out->ranges. */
static int narrow(const struct dms_fit_header *header, struct dms_held_out *held_out)
{
    struct dms_id_range *common;
    size_t common_ct;
    uint64_t row_ct;
    int code =
        dms_id_ranges_intersect(held_out->ranges, held_out->range_ct, header->held_out.ranges,
                                header->held_out.range_ct, &common, &common_ct);

    if (code < 0)
        return code;
    row_ct = dms_id_ranges_count(common, common_ct);
    held_out->left_out_ct += held_out->row_ct - row_ct;
    held_out->left_out_ct += header->held_out.row_ct - row_ct;
    held_out->row_ct = (uint32_t)row_ct;
    free(held_out->ranges);
    held_out->ranges = common;
    held_out->range_ct = common_ct;
    if (row_ct == 0)
        return dms_fail(DMS_ERR_INVALID,
                        "fit %s has held out none of the models that the fits before it have: "
                        "there is nothing to compare them on",
                        header->name);
    return 0;
}

/* ---- what the masks have in common ---- */

struct row_mask {
    struct dms_hash128 mask;
    uint32_t row;
};

static int compare_masks(const void *left, const void *right)
{
    const struct row_mask *a = left, *b = right;
    int order = dms_hash128_compare(&a->mask, &b->mask);

    return order != 0 ? order : (a->row > b->row) - (a->row < b->row);
}

/* Puts the first model that has the same mask into held_out->masks, for every model. */
static int find_first_rows(const struct dms_model_hash *hashes, struct dms_held_out *held_out)
{
    struct row_mask *sorted = dms_alloc(held_out->row_ct, sizeof(*sorted));
    uint32_t first = 0;

    if (!sorted)
        return DMS_ERR_NO_MEMORY;
    for (uint32_t row = 0; row < held_out->row_ct; row++)
        sorted[row] = (struct row_mask){hashes[row].mask, row};
    qsort(sorted, held_out->row_ct, sizeof(*sorted), compare_masks);
    for (uint32_t i = 0; i < held_out->row_ct; i++) {
        bool repeats = i > 0 && dms_hash128_compare(&sorted[i].mask, &sorted[i - 1].mask) == 0;

        if (!repeats)
            first = sorted[i].row;
        held_out->masks[sorted[i].row] = first;
        held_out->mask_ct += !repeats;
    }
    free(sorted);
    return 0;
}

/* Numbers the masks. */
static int number_masks(const struct dms_model_hash *hashes, struct dms_held_out *held_out)
{
    uint32_t next = 0;
    bool *repeated;
    int code;

    held_out->masks = dms_alloc(held_out->row_ct, sizeof(*held_out->masks));
    code = held_out->masks ? find_first_rows(hashes, held_out) : DMS_ERR_NO_MEMORY;
    if (code < 0)
        return code;
    held_out->first_rows = dms_alloc(held_out->mask_ct, sizeof(*held_out->first_rows));
    repeated = dms_alloc(held_out->mask_ct, sizeof(*repeated));
    if (!held_out->first_rows || !repeated) {
        free(repeated);
        return DMS_ERR_NO_MEMORY;
    }
    for (uint32_t row = 0; row < held_out->row_ct; row++) {
        uint32_t first = held_out->masks[row], mask = next;

        if (first == row) {
            held_out->first_rows[next++] = row;
        } else {
            mask = held_out->masks[first]; /* has its number already: first < row */
            held_out->repeated_ct += !repeated[mask];
            repeated[mask] = true;
        }
        held_out->masks[row] = mask;
    }
    free(repeated);
    return 0;
}

/* Keeps the hashes of models that are in held_out->ranges, in their order. */
static void keep_common(struct dms_mask_pass *pass, const struct dms_held_out *held_out)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < pass->row_ct; i++) {
        if (dms_id_ranges_contain(held_out->ranges, held_out->range_ct, pass->hashes[i].id))
            pass->hashes[kept++] = pass->hashes[i];
    }
    pass->row_ct = kept;
}

/* ---- training models ---- */

static int add_training_subsets(dms_snapshot *snapshot, const struct dms_fit_header *header,
                                unsigned thread_ct, uint64_t memory_bytes,
                                struct dms_held_out *held_out)
{
    struct dms_subset_sizes sizes;
    int code = dms_subset_sizes_read(snapshot, &header->training, thread_ct, memory_bytes, &sizes);

    if (code < 0 || !sizes.is_known)
        return code;
    if (sizes.smallest < held_out->smallest_training_subset)
        held_out->smallest_training_subset = sizes.smallest;
    if (sizes.largest > held_out->largest_training_subset)
        held_out->largest_training_subset = sizes.largest;
    return 0;
}

/* ---- all of it ---- */

static int choose_rows(dms_fit *const *fits, size_t fit_ct, struct dms_held_out *held_out)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < fit_ct; i++)
        code = check_header(dms_fit_get_header(fits[i]));
    if (code == 0) {
        const struct dms_row_set *first = &dms_fit_get_header(fits[0])->held_out;

        held_out->row_ct = (uint32_t)first->row_ct;
        code = dms_id_ranges_intersect(first->ranges, first->range_ct, first->ranges,
                                       first->range_ct, &held_out->ranges, &held_out->range_ct);
    }
    for (size_t i = 1; code == 0 && i < fit_ct; i++)
        code = narrow(dms_fit_get_header(fits[i]), held_out);
    return code;
}

int dms_held_out_read(dms_snapshot *snapshot, dms_fit *const *fits, size_t fit_ct,
                      unsigned thread_ct, uint64_t memory_bytes, struct dms_held_out *held_out)
{
    const struct dms_fit_header *first = dms_fit_get_header(fits[0]);
    struct dms_mask_pass common = {0};
    int code;

    *held_out = (struct dms_held_out){.smallest_training_subset = UINT64_MAX};
    code = choose_rows(fits, fit_ct, held_out);
    if (code == 0)
        code = read_set(snapshot, first, thread_ct, memory_bytes, &common);
    for (size_t i = 1; code == 0 && i < fit_ct; i++) {
        const struct dms_fit_header *header = dms_fit_get_header(fits[i]);
        struct dms_mask_pass pass = {0};

        if (!same_set(&header->held_out, &first->held_out))
            code = read_set(snapshot, header, thread_ct, memory_bytes, &pass);
        free(pass.hashes);
    }
    if (code == 0) {
        keep_common(&common, held_out);
        held_out->smallest_subset = common.smallest_subset;
        held_out->largest_subset = common.largest_subset;
        code = number_masks(common.hashes, held_out);
    }
    for (size_t i = 0; code == 0 && i < fit_ct; i++)
        code = add_training_subsets(snapshot, dms_fit_get_header(fits[i]), thread_ct, memory_bytes,
                                    held_out);
    free(common.hashes);
    if (code < 0)
        dms_held_out_free(held_out);
    return code;
}

void dms_held_out_free(struct dms_held_out *held_out)
{
    free(held_out->ranges);
    free(held_out->masks);
    free(held_out->first_rows);
    *held_out = (struct dms_held_out){0};
}
