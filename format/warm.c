/*
 * The code of warm.cache. Lengths come from a file that anybody may have written over: each is
 * checked against the others before it is used.
 */
#include "format/warm.h"

#include "base/endian.h"
#include "base/error.h"
#include "base/hash.h"

#include <inttypes.h>
#include <string.h>

static const uint8_t magic[8] = {'D', 'M', 'S', 'W', 'A', 'R', 'M', 0};

enum { WARM_VERSION = 1 };

void dms_warm_head_encode(const struct dms_warm_head *head, uint8_t bytes[DMS_WARM_HEAD_BYTES])
{
    memcpy(bytes, magic, sizeof magic);
    dms_store_u64(bytes + 8, WARM_VERSION);
    memcpy(bytes + 16, head->store_uuid, DMS_UUID_BYTES);
    dms_store_u64(bytes + 32, head->entry_ct);
    dms_store_u64(bytes + 40, head->file_bytes);
    dms_store_u64(bytes + 48, head->entries_hash);
    dms_store_u64(bytes + 56, dms_hash64(bytes, 56));
}

int dms_warm_head_decode(const uint8_t bytes[DMS_WARM_HEAD_BYTES], struct dms_warm_head *head)
{
    if (memcmp(bytes, magic, sizeof magic) != 0 ||
        dms_load_u64(bytes + 56) != dms_hash64(bytes, 56)) {
        return dms_fail(DMS_ERR_CORRUPT, "its head is damaged");
    }
    if (dms_load_u64(bytes + 8) != WARM_VERSION) {
        return dms_fail(DMS_ERR_VERSION, "it is of version %" PRIu64 ", not %d",
                        dms_load_u64(bytes + 8), WARM_VERSION);
    }
    struct dms_warm_head decoded = {
        .entry_ct = dms_load_u64(bytes + 32),
        .file_bytes = dms_load_u64(bytes + 40),
        .entries_hash = dms_load_u64(bytes + 48),
    };
    if (decoded.file_bytes < DMS_WARM_HEAD_BYTES ||
        decoded.entry_ct > (decoded.file_bytes - DMS_WARM_HEAD_BYTES) / DMS_WARM_ENTRY_BYTES) {
        return dms_fail(DMS_ERR_CORRUPT, "the lengths in its head do not fit");
    }
    memcpy(decoded.store_uuid, bytes + 16, DMS_UUID_BYTES);
    *head = decoded;
    return 0;
}

void dms_warm_entry_encode(const struct dms_warm_entry *entry, uint8_t bytes[DMS_WARM_ENTRY_BYTES])
{
    dms_store_u64(bytes, entry->group);
    dms_store_u32(bytes + 8, entry->column_id);
    dms_store_u32(bytes + 12, entry->tile);
    dms_store_u64(bytes + 16, entry->header_hash);
    dms_store_u64(bytes + 24, entry->offset);
    dms_store_u32(bytes + 32, entry->row_ct);
    dms_store_u32(bytes + 36, entry->row_stride);
    dms_store_u64(bytes + 40, entry->rows_hash);
}

static struct dms_warm_entry decode_entry(const uint8_t *bytes)
{
    return (struct dms_warm_entry){
        .group = dms_load_u64(bytes),
        .column_id = dms_load_u32(bytes + 8),
        .tile = dms_load_u32(bytes + 12),
        .header_hash = dms_load_u64(bytes + 16),
        .offset = dms_load_u64(bytes + 24),
        .row_ct = dms_load_u32(bytes + 32),
        .row_stride = dms_load_u32(bytes + 36),
        .rows_hash = dms_load_u64(bytes + 40),
    };
}

int dms_warm_entry_compare(const struct dms_warm_entry *a, const struct dms_warm_entry *b)
{
    if (a->group != b->group) {
        return a->group < b->group ? -1 : 1;
    }
    if (a->column_id != b->column_id) {
        return a->column_id < b->column_id ? -1 : 1;
    }
    return (a->tile > b->tile) - (a->tile < b->tile);
}

int dms_warm_entries_decode(const struct dms_warm_head *head, const uint8_t *bytes,
                            struct dms_warm_entry *entries)
{
    uint64_t entries_end = DMS_WARM_HEAD_BYTES + head->entry_ct * DMS_WARM_ENTRY_BYTES;
    if (dms_hash64(bytes, (size_t)head->entry_ct * DMS_WARM_ENTRY_BYTES) != head->entries_hash) {
        return dms_fail(DMS_ERR_CORRUPT, "its list of chunks is damaged");
    }
    for (uint64_t k = 0; k < head->entry_ct; k++) {
        struct dms_warm_entry entry = decode_entry(bytes + k * DMS_WARM_ENTRY_BYTES);
        uint64_t row_bytes = (uint64_t)entry.row_ct * entry.row_stride;
        if (entry.offset < entries_end || entry.offset % DMS_WARM_ALIGNMENT != 0 ||
            entry.offset > head->file_bytes || row_bytes > head->file_bytes - entry.offset ||
            (k > 0 && dms_warm_entry_compare(&entries[k - 1], &entry) >= 0)) {
            return dms_fail(DMS_ERR_CORRUPT, "entry %" PRIu64 " of its list does not fit", k);
        }
        entries[k] = entry;
    }
    return 0;
}
