/*
 * What the files of counts of pairs share: the object, and the file that its tiles may be in.
 */
#ifndef DMS_SOLVER_PAIR_COUNTS_PARTS_H
#define DMS_SOLVER_PAIR_COUNTS_PARTS_H

#include "format/pair_file.h"
#include "solver/pair_build.h"
#include "solver/pair_counts.h"

struct dms_pair_map; /* a mapped file; pair_map.c */

struct dms_pair_counts {
    size_t example_ct, side;
    uint64_t row_ct;
    uint32_t *singles, *offsets;
    uint32_t center;
    uint8_t *widths;       /* of each tile */
    const uint8_t **tiles; /* where each is */
    uint8_t **bands;       /* the memory that they are in, band by band ... */
    size_t band_ct, band_capacity;
    struct dms_pair_map *file; /* ... or the file; NULL: in memory */
};

/* Counts without tiles and singles. */
int dms_pair_counts_create(size_t example_ct, uint64_t row_ct, struct dms_pair_counts **counts);

/* Counts in memory what `plan` says; its begin and keep are not used. */
int dms_pair_counts_build(const struct dms_pair_build *plan, struct dms_pair_counts **counts);

/* As dms_pair_counts_open, of a file that is open and that messages call `path`, whether it still
 * has that name or not. The descriptor stays the caller's. */
int dms_pair_counts_map(int descriptor, const char *path, const uint8_t *store_uuid,
                        struct dms_pair_counts **counts);

void dms_pair_map_close(struct dms_pair_map *map);
const struct dms_gram_head *dms_pair_map_head(const struct dms_pair_map *map);

/* Runs task(context), which reads tiles. CORRUPT: a page of the file is gone. */
int dms_pair_map_run(const struct dms_pair_map *map, void (*task)(void *context), void *context);

/* Checks a tile the first time, and remembers. CORRUPT: it is damaged or cut off. */
int dms_pair_map_check(struct dms_pair_map *map, size_t tile);

#endif
