/*
 * Salvage: what can still be told of transactions whose commit record was destroyed, from the
 * blocks that they left.
 */
#ifndef DMS_STORE_SALVAGE_H
#define DMS_STORE_SALVAGE_H

#include "store/replay.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dms_salvage {
    struct dms_lost_transaction *transactions;
    size_t transaction_ct, transaction_capacity;
    uint64_t *lost_ids; /* of groups that are not whole; in no order, some perhaps live elsewhere */
    size_t lost_id_ct, lost_id_capacity;
};

struct dms_salvage_options {
    const struct dms_schema *schema; /* the newest that is known */
    const struct dms_catalog *known; /* what the old index said, or NULL */
    bool keep_partial;               /* groups without some of their outputs will do */
};

/* Looks through the blocks that no commit covers. The caller ends it with dms_salvage_end. */
int dms_salvage_find(const struct dms_survey *survey, const struct dms_history *history,
                     const struct dms_salvage_options *options, struct dms_salvage *salvage);
void dms_salvage_end(struct dms_salvage *salvage);

#endif
