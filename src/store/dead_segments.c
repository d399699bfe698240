/*
 * Dropping segments in which nothing is live any more: see dms_commit_drop_dead_segments.
 */
#include "store/transaction.h"

#include "base/alloc.h"
#include "base/error.h"

#include <stdlib.h>

static void mark_live(const struct dms_catalog *catalog, uint64_t segment, bool *live)
{
    const struct dms_segment_record *record = dms_catalog_segment(catalog, segment);
    if (record) {
        live[record - catalog->segments] = true;
    }
}

/* live[k]: something in catalog->segments[k] is live. */
static void find_live_segments(const struct dms_catalog *catalog, bool *live)
{
    for (size_t g = 0; g < catalog->group_ct; g++) {
        for (uint32_t c = 0; c < catalog->groups[g].column_ct; c++) {
            mark_live(catalog, catalog->groups[g].columns[c].segment, live);
        }
    }
    for (size_t b = 0; b < catalog->batch_ct; b++) {
        mark_live(catalog, catalog->batches[b].segment, live);
    }
    for (size_t f = 0; f < catalog->fit_ct; f++) {
        mark_live(catalog, catalog->fits[f].segment, live);
        for (size_t p = 0; p < catalog->fits[f].part_ct; p++) {
            mark_live(catalog, catalog->fits[f].parts[p].segment, live);
        }
    }
}

/* Adds a state block that describes the store after the edits of this commit. */
static int add_state(struct dms_commit *commit)
{
    struct dms_catalog catalog = {0};
    struct dms_buffer payload = {0};
    struct dms_block block = {.type = DMS_BLOCK_STATE, .state_sequence = commit->meta.sequence + 1};
    int status = dms_commit_put_writer(commit, dms_segment_end(commit->writer));
    if (status == 0) {
        status = dms_index_put_meta(commit->txn, &commit->meta);
    }
    if (status == 0) {
        status = dms_index_load(commit->txn, &catalog);
    }
    if (status == 0) {
        catalog.sequence = block.state_sequence;
        status = dms_catalog_encode(&catalog, commit->meta.commit_hash, NULL, &payload);
    }
    if (status == 0) {
        status = dms_segment_add(commit->writer, &block, payload.data, payload.size);
    }
    if (status == 0) {
        struct dms_edit edit = {.type = DMS_EDIT_STATE, .state = {block.offset, block.header_hash}};
        status = dms_commit_edit(commit, &edit);
    }
    dms_catalog_clear(&catalog);
    dms_buffer_free(&payload);
    return status;
}

/* Notes the segments without live content in commit->dropped, if they hold enough. */
static int find_dead_segments(struct dms_commit *commit, const struct dms_catalog *catalog,
                              uint64_t least_bytes)
{
    uint64_t dead_bytes = 0;
    bool *live = dms_alloc(catalog->segment_ct, sizeof *live);
    int status = live ? 0 : DMS_ERR_NO_MEMORY;
    if (status == 0) {
        find_live_segments(catalog, live);
    }
    for (size_t k = 0; status == 0 && k < catalog->segment_ct; k++) {
        const struct dms_segment_record *segment = &catalog->segments[k];
        bool is_written = dms_index_is_pending(commit->txn, segment->number) == 0;
        if (live[k] || is_written || segment->number == commit->writer->number) {
            continue;
        }
        dead_bytes += segment->committed_bytes;
        status = dms_grow((void **)&commit->dropped, &commit->dropped_capacity,
                          commit->dropped_ct + 1, sizeof *commit->dropped);
        if (status == 0) {
            commit->dropped[commit->dropped_ct++] = segment->number;
        }
    }
    if (dead_bytes < least_bytes) {
        commit->dropped_ct = 0;
    }
    free(live);
    return status;
}

static int drop_segments(struct dms_commit *commit)
{
    int status = 0;
    for (size_t k = 0; status == 0 && k < commit->dropped_ct; k++) {
        struct dms_edit edit = {.type = DMS_EDIT_DROP_SEGMENT,
                                .drop_segment = {commit->dropped[k]}};
        status = dms_commit_edit(commit, &edit);
        if (commit->dropped[k] == commit->meta.log_segment) {
            commit->meta.log_segment = 0;
        }
        if (commit->dropped[k] == commit->meta.bulk_segment) {
            commit->meta.bulk_segment = 0;
        }
    }
    return status;
}

int dms_commit_drop_dead_segments(struct dms_commit *commit, uint64_t least_bytes)
{
    struct dms_catalog catalog = {0};
    commit->dropped_ct = 0;
    int status = dms_index_put_meta(commit->txn, &commit->meta);
    if (status == 0) {
        status = dms_index_load(commit->txn, &catalog);
    }
    if (status == 0) {
        status = find_dead_segments(commit, &catalog, least_bytes);
    }
    if (status == 0) {
        status = drop_segments(commit);
    }
    if (status == 0 && commit->dropped_ct > 0) {
        status = add_state(commit);
    }
    dms_catalog_clear(&catalog);
    return status;
}
