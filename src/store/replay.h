/*
 * Replay: from the commits that a survey found to what is live in the store (SPEC.md section 6),
 * the segment files alone.
 */
#ifndef DMS_STORE_REPLAY_H
#define DMS_STORE_REPLAY_H

#include "base/buffer.h"
#include "format/state.h"
#include "store/survey.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The commits that count, in order. */
struct dms_history {
    const struct dms_found_commit **commits; /* by sequence number, one each; of the survey */
    size_t commit_ct;
    size_t begin;             /* the first whose edits are to be applied */
    struct dms_catalog state; /* before it; without a schema when there is none to begin with */
    uint64_t state_sequence;  /* of that state, 0 for none */
    bool is_rebuilt;          /* the commit of that state is missing */
    uint64_t highest;         /* sequence number that the store has reached */
    const struct dms_found_commit *interrupted; /* the last one, if not all of it was written */
};

/* Sorts out the commits of a survey that was walked, noting as damage what does not fit together
 * and what is missing. acknowledged: a sequence number that the store is known to have reached (0:
 * nothing is known). The caller ends it with dms_history_end. */
int dms_history_make(struct dms_survey *survey, uint64_t acknowledged, struct dms_history *history);
void dms_history_end(struct dms_history *history);

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

/* Calls visit for every edit of a commit until it returns non-zero. CORRUPT when their number is
 * not what the commit says. */
int dms_commit_each_edit(const struct dms_survey *survey, const struct dms_found_commit *commit,
                         int (*visit)(void *context, const struct dms_edit *edit), void *context);

/* Whether the blocks of a commit are those that it was written with: 0, or CORRUPT. with_payloads:
 * their payloads too. */
int dms_commit_check_blocks(const struct dms_survey *survey, const struct dms_found_commit *commit,
                            bool with_payloads);

#endif
