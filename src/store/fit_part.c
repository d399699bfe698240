/*
 * Parts of fits in memory (include/dmstore/fit.h): what a job has found so far, in order of target.
 */
#include "store/fit_part.h"

#include "base/alloc.h"
#include "base/error.h"
#include "format/pairs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- begin and end ---- */

static int compare_pairs(const void *a, const void *b)
{
    const struct dms_metadata *left = a;
    const struct dms_metadata *right = b;
    return strcmp(left->key, right->key);
}

/* Provenance is for people: it is kept in order of its keys, however it comes. */
static int copy_provenance(dms_fit_part *part, const struct dms_metadata *provenance,
                           size_t provenance_ct)
{
    int status = dms_pairs_copy(provenance, provenance_ct, &part->provenance);
    if (status == 0) {
        part->provenance_ct = provenance_ct;
        qsort(part->provenance, provenance_ct, sizeof *provenance, compare_pairs);
        status = dms_pairs_check(part->provenance, provenance_ct, "provenance of a fit");
    }
    return status;
}

int dms_fit_part_create(const struct dms_fit_header *header, const struct dms_metadata *provenance,
                        size_t provenance_ct, dms_fit_part **part)
{
    int status = dms_fit_header_check(header);
    if (status != 0) {
        return status;
    }
    dms_fit_part *made = dms_alloc(1, sizeof *made);
    status = made ? dms_fit_header_copy(header, &made->header) : DMS_ERR_NO_MEMORY;
    if (status == 0) {
        status = copy_provenance(made, provenance, provenance_ct);
    }
    if (status != 0) {
        dms_fit_part_free(made);
        return status;
    }
    *part = made;
    return 0;
}

void dms_fit_part_free(dms_fit_part *part)
{
    if (!part) {
        return;
    }
    for (size_t k = 0; k < part->target_ct; k++) {
        free(part->targets[k]);
    }
    free(part->targets);
    free(part->provenance);
    free(part->header);
    free(part);
}

/* ---- targets ---- */

/* Copies an array to *room, which moves behind it. */
static const void *place(const void *entries, size_t entry_ct, size_t entry_bytes, char **room)
{
    void *copy = *room;
    if (entry_ct > 0) {
        memcpy(copy, entries, entry_ct * entry_bytes);
    }
    *room += entry_ct * entry_bytes;
    return copy;
}

/* A copy of a checked target with its arrays behind it: first those of doubles, for alignment. */
static struct dms_fitted_target *target_copy(const struct dms_fitted_target *target)
{
    size_t weight_ct = target->weight_ct;
    size_t path_ct = target->path_ct;
    if (path_ct > SIZE_MAX / 64) {
        (void)dms_fail(DMS_ERR_NO_MEMORY, "a path of %zu lambdas is too long", path_ct);
        return NULL;
    }
    size_t bytes = sizeof *target + weight_ct * (sizeof(double) + sizeof(uint32_t)) +
                   path_ct * (3 * sizeof(double) + sizeof(uint32_t));
    struct dms_fitted_target *copy = dms_alloc(bytes, 1);
    if (!copy) {
        return NULL;
    }
    char *room = (char *)(copy + 1);
    *copy = *target;
    copy->weights = place(target->weights, weight_ct, sizeof(double), &room);
    copy->path_lambdas = place(target->path_lambdas, path_ct, sizeof(double), &room);
    copy->path_errors = place(target->path_errors, path_ct, sizeof(double), &room);
    copy->path_gaps = place(target->path_gaps, path_ct, sizeof(double), &room);
    copy->examples = place(target->examples, weight_ct, sizeof(uint32_t), &room);
    copy->path_weight_cts = place(target->path_weight_cts, path_ct, sizeof(uint32_t), &room);
    return copy;
}

/* Where a target is, or would be. */
static size_t target_position(const dms_fit_part *part, uint64_t target)
{
    size_t low = 0;
    size_t high = part->target_ct;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (part->targets[middle]->target < target) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

int dms_fit_part_add(dms_fit_part *part, const struct dms_fitted_target *target)
{
    int status = dms_fitted_target_check(part->header, target);
    if (status != 0) {
        return status;
    }
    size_t at = target_position(part, target->target);
    if (at < part->target_ct && part->targets[at]->target == target->target) {
        return dms_fail(DMS_ERR_EXISTS, "fit '%s': this part has target %" PRIu64 " already",
                        part->header->name, target->target);
    }
    status = dms_grow((void **)&part->targets, &part->target_capacity, part->target_ct + 1,
                      sizeof *part->targets);
    struct dms_fitted_target *copy = status == 0 ? target_copy(target) : NULL;
    if (!copy) {
        return DMS_ERR_NO_MEMORY;
    }
    memmove(part->targets + at + 1, part->targets + at,
            (part->target_ct - at) * sizeof *part->targets);
    part->targets[at] = copy;
    part->target_ct++;
    return 0;
}

const struct dms_fit_header *dms_fit_part_header(const dms_fit_part *part)
{
    return part->header;
}

size_t dms_fit_part_target_ct(const dms_fit_part *part)
{
    return part->target_ct;
}

int dms_fit_part_target(const dms_fit_part *part, size_t position, struct dms_fitted_target *target)
{
    if (position >= part->target_ct) {
        return dms_fail(DMS_ERR_INVALID, "fit '%s': there is no target at position %zu of %zu",
                        part->header->name, position, part->target_ct);
    }
    *target = *part->targets[position];
    return 0;
}

/* ---- coding ---- */

int dms_fit_part_code(const dms_fit_part *part, struct dms_coded_part *coded)
{
    struct dms_fit_part_content content = {
        .header = part->header,
        .provenance = part->provenance,
        .provenance_ct = part->provenance_ct,
        .targets = (const struct dms_fitted_target *const *)part->targets,
        .target_ct = part->target_ct,
    };
    uint64_t bytes;
    if (part->target_ct == 0) {
        return dms_fail(DMS_ERR_INVALID, "fit '%s': this part has no targets", part->header->name);
    }
    int status = dms_fit_header_encode(part->header, &coded->header);
    status = status ? status : dms_fit_part_measure(&content, &bytes);
    if (status != 0) {
        return status;
    }
    coded->block = (struct dms_block){
        .type = DMS_BLOCK_FIT_PART,
        .payload_bytes = bytes,
        .fit_part =
            {
                .target_ct = part->target_ct,
                .first_target = part->targets[0]->target,
                .last_target = part->targets[part->target_ct - 1]->target,
            },
    };
    coded->framed = dms_alloc_aligned(DMS_BLOCK_ALIGNMENT, (size_t)dms_block_extent(&coded->block));
    if (!coded->framed) {
        return DMS_ERR_NO_MEMORY;
    }
    uint8_t *payload = coded->framed + DMS_BLOCK_HEADER_BYTES;
    content.header_hash = dms_hash128(coded->header.data, coded->header.size);
    dms_fit_part_encode(&content, payload, (size_t)bytes);
    coded->block.payload_hash = dms_hash64(payload, (size_t)bytes);
    return 0;
}

void dms_coded_part_clear(struct dms_coded_part *coded)
{
    dms_buffer_free(&coded->header);
    free(coded->framed);
    *coded = (struct dms_coded_part){0};
}
