/*
 * Totals of a set of rows: how many have each training example in their mask, and the sums of each
 * value of the output columns. Gathered while groups are written, rows removed or columns filled,
 * and then added to the index's.
 */
#ifndef DMS_STORE_TOTALS_H
#define DMS_STORE_TOTALS_H

#include "dmstore/schema.h"
#include "dmstore/snapshot.h"
#include "kernels/kernels.h"
#include "store/index.h"

#include <stdint.h>

struct dms_totals {
    uint64_t example_ct;
    uint32_t column_ct;
    bool has_counts;             /* some masks were added */
    uint32_t *counts;            /* example_ct */
    struct dms_exact_sum **sums; /* column_ct; NULL for a column without values */
};

int dms_totals_begin(struct dms_totals *totals, const struct dms_schema *schema);
void dms_totals_clear(struct dms_totals *totals); /* back to zero, memory kept */
void dms_totals_free(struct dms_totals *totals);

/* The sums of a column, made zero when there are none yet; NULL with NO_MEMORY set. */
struct dms_exact_sum *dms_totals_sums(struct dms_totals *totals, const struct dms_schema *schema,
                                      uint32_t column);

/* Adds masks of rows row .. row + row_ct - 1 of a snapshot's group. */
int dms_totals_add_masks(struct dms_totals *totals, struct dms_snapshot *snapshot, size_t group,
                         uint32_t row, uint32_t row_ct);

/* Adds their values of an output column (position in the snapshot's schema), absent rows excepted.
 */
int dms_totals_add_values(struct dms_totals *totals, struct dms_snapshot *snapshot, size_t group,
                          uint32_t column, uint32_t row, uint32_t row_ct);

/* Adds masks and all output columns. */
int dms_totals_add_rows(struct dms_totals *totals, struct dms_snapshot *snapshot, size_t group,
                        uint32_t row, uint32_t row_ct);

/* Adds to (sign +1) or takes from (-1) the totals of the index. */
int dms_totals_apply(const struct dms_totals *totals, const struct dms_schema *schema,
                     struct dms_index_txn *txn, int sign);

#endif
