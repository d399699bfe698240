/*
 * How a command tells its user what happened: exit statuses, messages on stderr that start with
 * "dmstore COMMAND: ", and numbers for people.
 *
 * Helper functions of the tools report failures as the library does: they return an enum dms_error
 * with the message set by dms_source_fail, and the command prints it once with tool_fail_library.
 */
#ifndef DMSTORE_TOOLS_REPORT_H
#define DMSTORE_TOOLS_REPORT_H

#include <stdint.h>

enum tool_status {
    TOOL_OK = 0,
    TOOL_FAILED = 1, /* it could not be done, or a check found something */
    TOOL_USAGE = 2,  /* the command line is wrong */
};

/* What messages and --help call the program: "dmstore", unless main sets another name first. */
extern const char *tool_program_name;

/* Prints "dmstore COMMAND: text"; returns TOOL_FAILED. */
int tool_fail(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* After a job could not join the fit of its name: adds to the message what to do. Returns `code`.
 */
int tool_advise_other_name(int code);

/* Prints the message of the last library call that failed in this thread; returns TOOL_FAILED. */
int tool_fail_library(const char *command);

/* Prints "dmstore COMMAND: text" and where the command's help is; returns TOOL_USAGE. */
int tool_fail_usage(const char *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Prints "dmstore COMMAND: warning: text". */
void tool_warn(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Sets this thread's library message to the text, ": " and the description of errno; returns the
 * enum dms_error that fits. For helper functions of the tools. */
int tool_source_fail_errno(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Flushes standard output. Returns `status`, or TOOL_FAILED with a message when something that was
 * printed could not be written (a full disk must not look like success). */
int tool_finish_output(const char *command, int status);

#define TOOL_HUMAN_BYTES 32

/* Writes e.g. "0 B", "1023 B", "1.5 KiB", "23.4 GiB" into `text`; returns `text`. */
char *tool_human_bytes(uint64_t bytes, char text[TOOL_HUMAN_BYTES]);

/* Writes a count with its thousands set apart, e.g. "1,500,000", into `text`; returns `text`. */
char *tool_human_count(uint64_t count, char text[TOOL_HUMAN_BYTES]);

/* What makes a noun after `count` plural: "s", or "" for 1. */
const char *tool_plural(uint64_t count);

/* Writes a duration, e.g. "0:42", "1:03:00", into `text`; returns `text`. */
char *tool_human_seconds(uint64_t seconds, char text[TOOL_HUMAN_BYTES]);

#endif
