/*
 * The progress bar of long commands, drawn on stderr only when that is a terminal, and the
 * orderly end on SIGINT and SIGTERM: the signal sets a flag, progress_update then returns non-zero,
 * and the library stops after what was committed.
 */
#ifndef DMSTORE_TOOLS_PROGRESS_H
#define DMSTORE_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

enum progress_unit { PROGRESS_ROWS, PROGRESS_BYTES };

struct progress {
    const char *label; /* e.g. "ingest" */
    enum progress_unit unit;
    bool drawing;        /* stderr is a terminal */
    bool drawn;          /* a bar stands on the terminal */
    bool started;        /* first_done is set */
    uint64_t first_done; /* what was done when it began (a continued ingest) */
    uint64_t start_ns;   /* monotonic clock */
    uint64_t last_drawn_ns;
};

/* Prepares a bar and makes SIGINT and SIGTERM set the flag (a second signal kills). `label` must
 * live as long as the bar. */
void progress_begin(struct progress *progress, const char *label, enum progress_unit unit);

/* A dms_progress callback, with a struct progress as context: draws the bar, at most ten times a
 * second. total 0: not known. Returns non-zero once a signal came. */
int progress_update(void *progress, uint64_t done, uint64_t total);

/* Draws `text`, one line, where the bar would be: for work that is not counted in rows or bytes.
 * At most ten times a second. Returns non-zero once a signal came. */
int progress_show(struct progress *progress, const char *text);

/* A dms_progress callback that tells of targets: "fit 3,000 of 10,000 targets". */
int progress_show_targets(void *progress, uint64_t done, uint64_t total);

/* Takes the bar away. */
void progress_end(struct progress *progress);

/* Makes SIGINT and SIGTERM set the flag; progress_begin does it, too. */
void interruption_catch(void);

/* Whether SIGINT or SIGTERM came since then. */
bool interruption_came(void);

#endif
