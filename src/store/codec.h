/*
 * Chunks: from the decoded rows of one tile to the payload of a chunk block and back (SPEC.md
 * section 2.2). No I/O.
 */
#ifndef DMS_STORE_CODEC_H
#define DMS_STORE_CODEC_H

#include "dmstore/schema.h"
#include "format/block.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Rows of one tile to be encoded. */
struct dms_tile {
    const struct dms_column *column;
    uint64_t group;
    uint32_t row_ct;
    uint64_t first_target;
    uint64_t target_ct;
    const uint8_t *rows; /* row_ct x packed bytes of target_ct targets, without gaps */
    const uint8_t
        *sampled; /* for masks: row_ct entries of 16 bytes that yield exactly `rows`, else NULL */
    const uint8_t *runs; /* for the model ids: their code, else NULL */
    size_t run_bytes;
};

/* A chunk ready to be written: the payload at framed + DMS_BLOCK_HEADER_BYTES with room for padding
 * behind it. */
struct dms_encoded_chunk {
    struct dms_block block; /* all but segment and offset */
    uint8_t *framed;        /* owned; free() */
};

/* Encodes a tile. What a compressor made is decompressed and compared before it is accepted. */
int dms_chunk_encode(const struct dms_tile *tile, const struct dms_codec *codec,
                     struct dms_encoded_chunk *chunk);

/* Checks the fields of a chunk header against the column it is of. CORRUPT with what does not fit.
 */
int dms_chunk_check(const struct dms_schema *schema, const struct dms_column *column,
                    const struct dms_block *block);

/* Decodes a payload whose hash and header were checked (dms_chunk_check) into `rows`
 * (decoded_bytes). ids: of the rows, needed for sampled chunks only. With check_content, the
 * content hash and the zero padding of rows are checked too. */
int dms_chunk_decode(const struct dms_column *column, const struct dms_block *block,
                     const uint8_t *payload, const uint64_t *ids, bool check_content,
                     uint8_t *rows);

/* Writes the 16-byte entry of a sampled mask. */
void dms_sampled_entry_store(uint8_t *entry, uint64_t seed, uint32_t subset_size);

/* The stride of plain, uncompressed rows (SPEC.md section 2.2). */
size_t dms_row_stride(const struct dms_column *column, size_t row_bytes);

#endif
