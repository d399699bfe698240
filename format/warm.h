/*
 * The cache of decoded chunks, `warm.cache` (SPEC.md, the section on it): its head and its list of
 * entries, encoded, decoded and validated. No I/O.
 */
#ifndef DMS_FORMAT_WARM_H
#define DMS_FORMAT_WARM_H

#include "format/layout.h"

#include <stddef.h>
#include <stdint.h>

enum {
    DMS_WARM_HEAD_BYTES = 64,
    DMS_WARM_ENTRY_BYTES = 48,
    DMS_WARM_ALIGNMENT = 4096, /* of the rows of an entry in the file */
};

struct dms_warm_head {
    uint8_t store_uuid[DMS_UUID_BYTES];
    uint64_t entry_ct;
    uint64_t file_bytes;
    uint64_t entries_hash; /* XXH3-64 of the encoded entries */
};

/* One decoded chunk: row r is at offset + r x row_stride. */
struct dms_warm_entry {
    uint64_t group; /* its permanent number */
    uint32_t column_id;
    uint32_t tile;
    uint64_t header_hash; /* of the chunk's block: names the chunk and its content */
    uint64_t offset;
    uint32_t row_ct;
    uint32_t row_stride;
    uint64_t rows_hash; /* XXH3-64 of row_ct x row_stride bytes */
};

void dms_warm_head_encode(const struct dms_warm_head *head, uint8_t bytes[DMS_WARM_HEAD_BYTES]);

/* CORRUPT when this is no head of a cache, VERSION when of a newer one. */
int dms_warm_head_decode(const uint8_t bytes[DMS_WARM_HEAD_BYTES], struct dms_warm_head *head);

void dms_warm_entry_encode(const struct dms_warm_entry *entry, uint8_t bytes[DMS_WARM_ENTRY_BYTES]);

/* Decodes the head->entry_ct entries that follow the head. CORRUPT unless their hash is right, they
 * are in increasing order of (group, column, tile), and their rows lie in the file, after them. */
int dms_warm_entries_decode(const struct dms_warm_head *head, const uint8_t *bytes,
                            struct dms_warm_entry *entries);

/* The order of entries: negative, 0 or positive. */
int dms_warm_entry_compare(const struct dms_warm_entry *a, const struct dms_warm_entry *b);

#endif
