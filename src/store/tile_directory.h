/*
 * Directory blocks as verify and recover read them: with every check that the format allows, and
 * with a message for each that fails.
 */
#ifndef DMS_STORE_TILE_DIRECTORY_H
#define DMS_STORE_TILE_DIRECTORY_H

#include "dmstore/schema.h"
#include "store/survey.h"

#include <stdint.h>

struct dms_directory {
    const struct dms_survey_file *file;
    const struct dms_column *column; /* of the schema it was opened with */
    struct dms_block block;
    uint8_t *payload;       /* owned */
    const uint8_t *present; /* presence bitmap; NULL: every row has a value */
    const uint8_t *entries; /* block.directory.tile_ct of them */
};

/* The schema's column with this permanent id, or NULL. */
const struct dms_column *dms_schema_column(const struct dms_schema *schema, uint32_t column_id);

/* Reads and checks a directory block. CORRUPT with what is wrong. dms_directory_close releases it.
 */
int dms_directory_open(const struct dms_survey_file *file, const struct dms_schema *schema,
                       const struct dms_found_block *found, struct dms_directory *directory);
void dms_directory_close(struct dms_directory *directory);

/* Finds the chunk of a tile: CORRUPT unless the block that stands where the directory says is the
 * one it says, and holds that tile. */
int dms_directory_tile(const struct dms_directory *directory, uint32_t tile,
                       struct dms_found_block **chunk, struct dms_block *block);

/* Where the directory says that a tile's chunk is, its payload's length and its header hash. */
uint64_t dms_directory_tile_bytes(const struct dms_directory *directory, uint32_t tile);
uint64_t dms_directory_tile_offset(const struct dms_directory *directory, uint32_t tile);
uint64_t dms_directory_tile_hash(const struct dms_directory *directory, uint32_t tile);

#endif
