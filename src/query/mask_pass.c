/*
 * Reads masks and notes their sizes and hashes; see mask_pass.h.
 */
#include "query/mask_pass.h"

#include "base/endian.h"
#include "base/hash.h"

static uint64_t count_bits(const uint8_t *mask, size_t stride_bytes)
{
    uint64_t count = 0;

    for (size_t i = 0; i < stride_bytes; i += 8)
        count += (uint64_t)__builtin_popcountll(dms_load_u64(mask + i));
    return count;
}

static void note_row(struct dms_mask_pass *pass, const struct dms_batch *batch, uint32_t row,
                     size_t mask_bytes, struct dms_hash_stream *stream)
{
    const uint8_t *mask = batch->masks + (size_t)row * batch->mask_stride_bytes;
    uint64_t subset = count_bits(mask, batch->mask_stride_bytes);
    uint8_t id[8];

    pass->smallest_subset = subset < pass->smallest_subset ? subset : pass->smallest_subset;
    pass->largest_subset = subset > pass->largest_subset ? subset : pass->largest_subset;
    if (!pass->hashes)
        return;
    dms_store_u64(id, batch->ids[row]);
    dms_hash_stream_reset(stream);
    dms_hash_stream_add(stream, id, sizeof(id));
    dms_hash_stream_add(stream, mask, mask_bytes);
    pass->hashes[batch->ranks[row]] = (struct dms_model_hash){
        .id = batch->ids[row],
        .mask = dms_hash128(mask, mask_bytes),
        .row = dms_hash_stream_hash128(stream),
    };
}

int dms_mask_pass_run(dms_snapshot *snapshot, const struct dms_id_range *ranges, size_t range_ct,
                      unsigned thread_ct, uint64_t memory_bytes, struct dms_mask_pass *pass)
{
    size_t mask_bytes = (size_t)(dms_snapshot_schema(snapshot)->example_ct + 7) / 8;
    struct dms_hash_stream *stream = dms_hash_stream_create();
    struct dms_reader_options options;
    const struct dms_batch *batch;
    dms_reader *reader = NULL;
    int code;

    if (!stream)
        return DMS_ERR_NO_MEMORY;
    dms_reader_options_init(&options);
    options.ids = ranges;
    options.id_range_ct = range_ct;
    options.thread_ct = thread_ct;
    options.memory_bytes = memory_bytes;
    while (options.batch_rows > 1 &&
           options.batch_rows * (mask_bytes + 64) * options.slot_ct > memory_bytes / 2)
        options.batch_rows /= 2;
    pass->smallest_subset = UINT64_MAX;
    pass->largest_subset = 0;
    code = dms_reader_open(snapshot, &options, &reader);
    while (code == 0 && (code = dms_reader_next(reader, &batch)) == 0) {
        for (uint32_t row = 0; row < batch->row_ct; row++)
            note_row(pass, batch, row, mask_bytes, stream);
        dms_reader_release(reader, batch);
    }
    dms_reader_close(reader);
    dms_hash_stream_free(stream);
    return code == DMS_END ? 0 : code;
}
