/*
 * Messages, exit statuses and numbers for people; see report.h. The only place where commands
 * write to stderr, the progress bar aside.
 */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <dmstore/error.h>
#include <dmstore/store.h>

const char *tool_program_name = "dmstore";

static void print_message(const char *command, const char *label, const char *format,
                          va_list arguments)
{
    /* What was printed before must not come after the message when both go to one terminal. */
    fflush(stdout);
    flockfile(stderr);
    fprintf(stderr, "%s %s: %s", tool_program_name, command, label);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    funlockfile(stderr);
}

int tool_fail(const char *command, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_message(command, "", format, arguments);
    va_end(arguments);
    return TOOL_FAILED;
}

int tool_advise_other_name(int code)
{
    return dms_source_fail(code, "%s: take another --name, or remove the fit (dmstore rm-fit)",
                           dms_error_message());
}

int tool_fail_library(const char *command)
{
    const char *message = dms_error_message();

    return tool_fail(command, "%s", message[0] ? message : "failed without a message");
}

int tool_fail_usage(const char *command, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_message(command, "", format, arguments);
    va_end(arguments);
    fprintf(stderr, "Try '%s %s --help'.\n", tool_program_name, command);
    return TOOL_USAGE;
}

void tool_warn(const char *command, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_message(command, "warning: ", format, arguments);
    va_end(arguments);
}

static int error_of_errno(int errno_value)
{
    switch (errno_value) {
    case ENOENT:
    case ENOTDIR:
        return DMS_ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return DMS_ERR_PERMISSION;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return DMS_ERR_NO_SPACE;
    case ENOMEM:
        return DMS_ERR_NO_MEMORY;
    case EEXIST:
        return DMS_ERR_EXISTS;
    default:
        return DMS_ERR_IO;
    }
}

int tool_source_fail_errno(const char *format, ...)
{
    int errno_value = errno;
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return dms_source_fail(error_of_errno(errno_value), "%s: %s", text, strerror(errno_value));
}

int tool_finish_output(const char *command, int status)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        tool_fail(command, "cannot write to standard output: %s", strerror(errno));
        return status == TOOL_OK ? TOOL_FAILED : status;
    }
    return status;
}

char *tool_human_bytes(uint64_t bytes, char text[TOOL_HUMAN_BYTES])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes / 1024;
    size_t unit = 0;

    if (bytes < 1024) {
        snprintf(text, TOOL_HUMAN_BYTES, "%" PRIu64 " B", bytes);
        return text;
    }
    while (value >= 1023.95 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    snprintf(text, TOOL_HUMAN_BYTES, "%.1f %s", value, units[unit]);
    return text;
}

char *tool_human_count(uint64_t count, char text[TOOL_HUMAN_BYTES])
{
    char digits[TOOL_HUMAN_BYTES];
    int digit_ct = snprintf(digits, sizeof(digits), "%" PRIu64, count);
    char *end = text;

    for (int i = 0; i < digit_ct; i++) {
        if (i > 0 && (digit_ct - i) % 3 == 0)
            *end++ = ',';
        *end++ = digits[i];
    }
    *end = '\0';
    return text;
}

const char *tool_plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

char *tool_human_seconds(uint64_t seconds, char text[TOOL_HUMAN_BYTES])
{
    uint64_t hours = seconds / 3600;
    unsigned minutes = (unsigned)(seconds / 60 % 60);
    unsigned rest = (unsigned)(seconds % 60);

    if (hours > 0)
        snprintf(text, TOOL_HUMAN_BYTES, "%" PRIu64 ":%02u:%02u", hours, minutes, rest);
    else
        snprintf(text, TOOL_HUMAN_BYTES, "%u:%02u", minutes, rest);
    return text;
}
