/*
 * Replay: from the commits of a history to what is live in the store, from the segment files alone.
 */
#ifndef DMS_STORE_REPLAY_H
#define DMS_STORE_REPLAY_H

#include "base/buffer.h"
#include "format/state.h"
#include "store/history.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A transaction without its commit: the edits that its blocks tell of. */
struct dms_lost_transaction {
    size_t file;
    uint64_t begin, end;    /* offsets of its blocks */
    uint64_t after, before; /* sequence numbers of the commits around it in its file */
    bool is_certain; /* it was committed; else a crash may have left it, and live rows go first */
    struct dms_buffer edits;
};

/* The sequence number that a lost transaction takes: the first missing one after the commit before
 * it in its file; the next one of all when none is missing there. */
uint64_t dms_history_lost_sequence(const struct dms_history *history,
                                   const struct dms_lost_transaction *lost);

/* When a group or batch of the catalog was added. */
struct dms_addition {
    bool is_staged;
    bool is_salvaged; /* by a lost transaction */
    uint64_t number;
    uint64_t sequence; /* of its commit; 0: before the state that the replay began with */
};

struct dms_replay {
    struct dms_catalog catalog;
    bool is_exact;                  /* nothing was missing and every edit did fit */
    struct dms_addition *additions; /* in order; of dropped groups and batches too */
    size_t addition_ct, addition_capacity;
};

/* Applies all commits, and the lost transactions in the places of missing ones. Edits that do not
 * fit are damage when nothing was missing before, else left out. fallback: the schema to take when
 * no segment block tells one (may be NULL). Uses history->state up. The caller ends it with
 * dms_replay_end. */
int dms_history_replay(struct dms_history *history, struct dms_survey *survey,
                       const struct dms_lost_transaction *lost, size_t lost_ct,
                       const struct dms_schema *fallback, struct dms_replay *replay);
void dms_replay_end(struct dms_replay *replay);

/* The newest schema that segment blocks and commits of a walked survey tell, for the caller;
 * *schema is NULL when there is none. */
int dms_survey_find_schema(const struct dms_survey *survey, struct dms_schema **schema);

#endif
