/*
 * How the library's own code reports a failure: it stores a code and a message in the calling
 * thread and returns the code, so that one statement `return dms_fail(...)` does both.
 */
#ifndef DMS_BASE_ERROR_H
#define DMS_BASE_ERROR_H

#include <dmstore/error.h>

/* Longer messages are cut, and end in "..." then. */
#define DMS_ERROR_MESSAGE_BYTES 2048

/* A failure on its way from one thread to another. */
struct dms_error_state {
    int code;
    char message[DMS_ERROR_MESSAGE_BYTES];
};

/* Sets the message and returns `code`. Arguments may point into the current message. Keeps errno.
 */
int dms_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Sets the message to the text, ": " and the description of errno; returns errno's code. */
int dms_fail_errno(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Puts the text and ": " before the current message, for a caller that knows more; returns `code`.
 */
int dms_fail_prefix(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The enum dms_error code that stands for an errno value. */
int dms_error_from_errno(int errno_value);

/* Copies the calling thread's last failure into `state`. */
void dms_error_save(struct dms_error_state *state);

/* Makes `state` the calling thread's last failure; returns its code. */
int dms_error_restore(const struct dms_error_state *state);

#endif
