/*
 * Sets of model ids: those that damage costs, and those that are still there.
 */
#ifndef DMS_STORE_ID_SET_H
#define DMS_STORE_ID_SET_H

#include "format/state.h"

#include <stddef.h>
#include <stdint.h>

/* Zero-initialise one; release it with dms_id_set_free. */
struct dms_id_set {
    uint64_t *ids;
    size_t id_ct, capacity;
};

int dms_id_set_add(struct dms_id_set *set, const uint64_t *ids, size_t id_ct);

/* Adds the ids of the rows of a group or batch that were not removed. */
int dms_id_set_add_live(struct dms_id_set *set, const uint8_t *runs, size_t run_bytes,
                        uint32_t row_ct, const uint8_t *removed);
static inline int dms_id_set_add_group(struct dms_id_set *set, const struct dms_group_record *group)
{
    return dms_id_set_add_live(set, group->runs, group->run_bytes, group->row_ct, group->removed);
}
static inline int dms_id_set_add_batch(struct dms_id_set *set, const struct dms_batch_record *batch)
{
    return dms_id_set_add_live(set, batch->runs, batch->run_bytes, batch->row_ct, batch->removed);
}

/* Adds all live ids of a catalog. */
int dms_id_set_add_catalog(struct dms_id_set *set, const struct dms_catalog *catalog);

/* Puts the ids in order, each once. */
void dms_id_set_sort(struct dms_id_set *set);

/* Takes the ids of `other` away; both sorted. */
void dms_id_set_subtract(struct dms_id_set *set, const struct dms_id_set *other);

void dms_id_set_free(struct dms_id_set *set);

#endif
