/*
 * Where a command puts the targets of a fit that it makes: into parts in memory, which go to the
 * store one after the other, so that dense weights of many targets need not fit the memory.
 *
 * Functions return 0 or a negative enum dms_error with the message set (see report.h).
 */
#ifndef DMSTORE_TOOLS_FIT_SINK_H
#define DMSTORE_TOOLS_FIT_SINK_H

#include <dmstore.h>

#include "provenance.h"

struct fit_sink {
    /* The caller's. */
    const char *store;
    const struct dms_fit_header *header;
    const char *command_line;
    time_t started;
    const struct provenance *provenance; /* beside what provenance_say_job says */

    /* Starts zeroed. */
    dms_fit_part *part; /* targets that are not in the store yet; NULL: none */
    uint64_t part_weight_ct;
    uint64_t target_ct, weight_ct; /* that were given */
    uint64_t without_bias_ct;      /* of the targets */
    uint64_t stored_ct;            /* targets of parts that are in the store */
    uint64_t added_ct;             /* those of them that are new there */
};

/* Whether parts can go to this path: a manifest is refused before the work is done. */
int fit_sink_check(const char *path);

/* Takes a target (copied). */
int fit_sink_add(struct fit_sink *sink, const struct dms_fitted_target *target);

/* Ends the sink: stores what is left when `code`, what the command came to, is 0. Returns `code` or
 * what failed; the message then says which targets are stored already. */
int fit_sink_end(struct fit_sink *sink, int code);

/* What was stored. */
void fit_sink_print(const struct fit_sink *sink);
void fit_sink_print_json(const struct fit_sink *sink);

#endif
