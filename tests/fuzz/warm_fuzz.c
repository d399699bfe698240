/*
 * Fuzz target: the head and the list of a cache of decoded chunks. The hashes are made right first,
 * so that what they protect is reached; what is accepted lies in the file, in order, and is encoded
 * to the same bytes again.
 */
#include "fuzz.h"

#include "base/endian.h"
#include "base/hash.h"
#include "format/warm.h"

#include <string.h>

/* Everything that a reader relies on. */
static void require_sound(const struct dms_warm_head *head, const struct dms_warm_entry *entries,
                          const uint8_t *list)
{
    for (uint64_t k = 0; k < head->entry_ct; k++) {
        const struct dms_warm_entry *entry = &entries[k];
        uint64_t bytes = (uint64_t)entry->row_ct * entry->row_stride;
        uint8_t again[DMS_WARM_ENTRY_BYTES];

        require(entry->offset <= head->file_bytes && bytes <= head->file_bytes - entry->offset);
        require(entry->offset % DMS_WARM_ALIGNMENT == 0);
        require(k == 0 || dms_warm_entry_compare(&entries[k - 1], entry) < 0);
        dms_warm_entry_encode(entry, again);
        require(memcmp(again, list + k * DMS_WARM_ENTRY_BYTES, sizeof(again)) == 0);
    }
}

static void fuzz(uint8_t *data, size_t size)
{
    uint8_t *list = data + DMS_WARM_HEAD_BYTES;
    size_t list_bytes = size - DMS_WARM_HEAD_BYTES;
    struct dms_warm_entry *entries;
    struct dms_warm_head head;
    uint8_t again[DMS_WARM_HEAD_BYTES];
    uint64_t entry_ct = dms_load_u64(data + 32);

    if (entry_ct <= list_bytes / DMS_WARM_ENTRY_BYTES)
        dms_store_u64(data + 48, dms_hash64(list, (size_t)entry_ct * DMS_WARM_ENTRY_BYTES));
    dms_store_u64(data + 56, dms_hash64(data, 56));
    if (dms_warm_head_decode(data, &head) != 0)
        return;
    dms_warm_head_encode(&head, again);
    require(memcmp(again, data, sizeof(again)) == 0);
    /* A reader reads as many entries as the head says from the file, or fails. */
    if (head.entry_ct > list_bytes / DMS_WARM_ENTRY_BYTES)
        return;
    entries = malloc((size_t)head.entry_ct * sizeof(*entries) + 1);
    require(entries != NULL);
    if (dms_warm_entries_decode(&head, list, entries) == 0)
        require_sound(&head, entries, list);
    free(entries);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_copy(data, size, DMS_WARM_HEAD_BYTES, fuzz);
}
