/*
 * The history of a store: its commits in order, as a survey found them, and the newest state to
 * begin a replay with (SPEC.md section 6).
 */
#ifndef DMS_STORE_HISTORY_H
#define DMS_STORE_HISTORY_H

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

/* Calls visit for every edit of a commit until it returns non-zero. CORRUPT when their number is
 * not what the commit says. */
int dms_commit_each_edit(const struct dms_survey *survey, const struct dms_found_commit *commit,
                         int (*visit)(void *context, const struct dms_edit *edit), void *context);

/* Whether the blocks of a commit are those that it was written with: 0, or CORRUPT. with_payloads:
 * their payloads too. */
int dms_commit_check_blocks(const struct dms_survey *survey, const struct dms_found_commit *commit,
                            bool with_payloads);

/* Takes over what a commit says of the segment that holds it and of the numbers given out. */
int dms_catalog_note_commit(struct dms_catalog *catalog, const struct dms_survey *survey,
                            const struct dms_found_commit *commit);

/* Makes the catalog's committed length of a segment reach `end`. */
int dms_catalog_extend_segment(struct dms_catalog *catalog, const struct dms_survey_file *file,
                               uint64_t end);

#endif
