/*
 * The result codes that every dmstore function returns, and the text that explains the last
 * failure.
 *
 * Functions return an int: 0 for success, a positive value for "no more" (DMS_END), and one of the
 * negative codes below for a failure. A failure also leaves a message in the calling thread.
 */
#ifndef DMSTORE_ERROR_H
#define DMSTORE_ERROR_H

#include <dmstore/export.h>

DMS_BEGIN_DECLS

/* The numbers are part of the library's binary interface and never change. */
enum dms_error {
    DMS_OK = 0,
    DMS_END = 1,               /* an iteration has nothing more to give */
    DMS_ERR_INVALID = -1,      /* an argument or an input is wrong */
    DMS_ERR_IO = -2,           /* the operating system refused a read, a write or a sync */
    DMS_ERR_NO_MEMORY = -3,    /* an allocation failed */
    DMS_ERR_CORRUPT = -4,      /* stored bytes are not what was written */
    DMS_ERR_EXISTS = -5,       /* the thing to create is there already */
    DMS_ERR_NOT_FOUND = -6,    /* the thing asked for is not there */
    DMS_ERR_CONFLICT = -7,     /* the same name is there with other content, or a race was lost */
    DMS_ERR_VERSION = -8,      /* written by a version of the format that this library cannot use */
    DMS_ERR_PERMISSION = -9,   /* the user may not do this */
    DMS_ERR_NO_SPACE = -10,    /* the file system or the quota is full */
    DMS_ERR_UNSUPPORTED = -11, /* this build, file system or machine cannot do it */
    DMS_ERR_POISONED = -12,    /* an earlier sync failed: the handle refuses further writes */
    DMS_ERR_FORKED = -13,      /* the handle was opened by the parent process: open it again */
    DMS_ERR_INTERRUPTED = -14, /* the caller asked to stop */
    DMS_ERR_READ_ONLY = -15,   /* the handle was opened for reading only */
    DMS_ERR_BUSY = -16         /* another process holds what is needed: try again */
};

/*
 * The message of the last failure in the calling thread, "" if there was none. It names the object
 * concerned and what to do. Valid until the next dmstore call in the same thread; do not free it.
 */
DMS_API const char *dms_error_message(void);

/* The name of a result code, e.g. "DMS_ERR_CORRUPT"; "unknown dmstore error" for other numbers. */
DMS_API const char *dms_error_name(int code);

DMS_END_DECLS

#endif
