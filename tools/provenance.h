/*
 * How a part of a fit came about, in key=value pairs for those who read the fit later.
 */
#ifndef DMSTORE_TOOLS_PROVENANCE_H
#define DMSTORE_TOOLS_PROVENANCE_H

#include <time.h>

#include <dmstore.h>

#define PROVENANCE_MAX 24
#define PROVENANCE_TEXT_BYTES 1024

/* Starts zeroed; may not be moved afterwards. */
struct provenance {
    size_t pair_ct;
    struct dms_metadata pairs[PROVENANCE_MAX];
    char texts[PROVENANCE_MAX][PROVENANCE_TEXT_BYTES];
};

/* Adds a pair; longer texts are cut. */
void provenance_say(struct provenance *provenance, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds what every job says: version, command, host, and when it started and ended (now). */
void provenance_say_job(struct provenance *provenance, const char *command_line, time_t started);

/* The arguments of a command as one text, which the caller frees. NULL: out of memory. */
char *provenance_command_line(int argc, char **argv);

#endif
