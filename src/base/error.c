/*
 * The thread-local record of the last failure: written by the dms_fail functions everywhere in the
 * library, read by applications through dms_error_message(). Invariant: the message always ends in
 * a zero byte, and no function here changes errno.
 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static _Thread_local struct dms_error_state last_failure;

const char *dms_error_message(void)
{
    return last_failure.message;
}

const char *dms_error_name(int code)
{
    static const char *const negative_names[] = {
        "DMS_OK",           "DMS_ERR_INVALID",    "DMS_ERR_IO",          "DMS_ERR_NO_MEMORY",
        "DMS_ERR_CORRUPT",  "DMS_ERR_EXISTS",     "DMS_ERR_NOT_FOUND",   "DMS_ERR_CONFLICT",
        "DMS_ERR_VERSION",  "DMS_ERR_PERMISSION", "DMS_ERR_NO_SPACE",    "DMS_ERR_UNSUPPORTED",
        "DMS_ERR_POISONED", "DMS_ERR_FORKED",     "DMS_ERR_INTERRUPTED", "DMS_ERR_READ_ONLY",
        "DMS_ERR_BUSY",
    };
    const int name_ct = (int)(sizeof(negative_names) / sizeof(negative_names[0]));

    if (code == DMS_END)
        return "DMS_END";
    if (code > 0 || code <= -name_ct)
        return "unknown dmstore error";
    return negative_names[-code];
}

/* Appends formatted text at `used`; returns the new length. A text that does not fit ends in "...".
 */
static size_t append_text(char *message, size_t used, const char *format, va_list arguments)
{
    size_t room = DMS_ERROR_MESSAGE_BYTES - used;
    int wanted = vsnprintf(message + used, room, format, arguments);

    if (wanted < 0) {
        message[used] = '\0';
        return used;
    }
    if ((size_t)wanted >= room) {
        memcpy(message + DMS_ERROR_MESSAGE_BYTES - sizeof("..."), "...", sizeof("..."));
        return DMS_ERROR_MESSAGE_BYTES - 1;
    }
    return used + (size_t)wanted;
}

__attribute__((format(printf, 3, 4))) static size_t append_format(char *message, size_t used,
                                                                  const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    used = append_text(message, used, format, arguments);
    va_end(arguments);
    return used;
}

int dms_fail(int code, const char *format, ...)
{
    /* Built apart, because an argument may be the message that is about to be replaced. */
    char message[DMS_ERROR_MESSAGE_BYTES];
    int errno_value = errno;
    va_list arguments;

    va_start(arguments, format);
    append_text(message, 0, format, arguments);
    va_end(arguments);
    memcpy(last_failure.message, message, sizeof(message));
    last_failure.code = code;
    errno = errno_value;
    return code;
}

int dms_fail_errno(const char *format, ...)
{
    char message[DMS_ERROR_MESSAGE_BYTES];
    int errno_value = errno;
    int code = dms_error_from_errno(errno_value);
    va_list arguments;
    size_t used;

    va_start(arguments, format);
    used = append_text(message, 0, format, arguments);
    va_end(arguments);
    errno = errno_value;
    append_format(message, used, ": %m"); /* unlike strerror() it is safe in threads everywhere */
    memcpy(last_failure.message, message, sizeof(message));
    last_failure.code = code;
    errno = errno_value;
    return code;
}

int dms_fail_prefix(int code, const char *format, ...)
{
    char message[DMS_ERROR_MESSAGE_BYTES];
    int errno_value = errno;
    va_list arguments;
    size_t used;

    va_start(arguments, format);
    used = append_text(message, 0, format, arguments);
    va_end(arguments);
    append_format(message, used, ": %s", last_failure.message);
    memcpy(last_failure.message, message, sizeof(message));
    last_failure.code = code;
    errno = errno_value;
    return code;
}

int dms_error_from_errno(int errno_value)
{
    switch (errno_value) {
    case ENOSPC:
    case EDQUOT:
        return DMS_ERR_NO_SPACE;
    case EACCES:
    case EPERM:
    case EROFS:
        return DMS_ERR_PERMISSION;
    case ENOENT:
        return DMS_ERR_NOT_FOUND;
    case EEXIST:
        return DMS_ERR_EXISTS;
    case ENOMEM:
        return DMS_ERR_NO_MEMORY;
    default:
        return DMS_ERR_IO;
    }
}

void dms_error_save(struct dms_error_state *state)
{
    *state = last_failure;
}

int dms_error_restore(const struct dms_error_state *state)
{
    last_failure = *state;
    return state->code;
}
