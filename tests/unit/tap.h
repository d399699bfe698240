/*
 * The harness of all unit tests: checks are counted and printed in TAP (the Test Anything
 * Protocol), for automake's tap-driver or a person to read. A test program is
 *
 *     int main(void)
 *     {
 *         ok(1 + 1 == 2, "one and one make two");
 *         return tap_done();
 *     }
 *
 * Checks return whether they passed, so that a test can stop early: `if (!ok(...)) return;`.
 */
#ifndef DMS_TESTS_UNIT_TAP_H
#define DMS_TESTS_UNIT_TAP_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static unsigned tap_check_ct;
static unsigned tap_failure_ct;

/* Prints a comment line that says more about a failure. */
__attribute__((unused, format(printf, 1, 2))) static void diag(const char *format, ...)
{
    va_list arguments;

    fputs("# ", stdout);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

__attribute__((unused, format(printf, 4, 5))) static bool
tap_check(const char *file, int line, bool passed, const char *format, ...)
{
    va_list arguments;

    printf("%s %u - ", passed ? "ok" : "not ok", ++tap_check_ct);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    if (!passed) {
        tap_failure_ct++;
        diag("failed at %s:%d", file, line);
    }
    fflush(stdout);
    return passed;
}

/* ok(condition, "what should hold, as a printf format", ...) */
#define ok(condition, ...) tap_check(__FILE__, __LINE__, (condition), __VA_ARGS__)

__attribute__((unused)) static bool tap_is_int(const char *file, int line, long long got,
                                               long long wanted, const char *name)
{
    bool passed = tap_check(file, line, got == wanted, "%s", name);

    if (!passed)
        diag("got %lld, wanted %lld", got, wanted);
    return passed;
}

/* is_int(got, wanted, "name"): two integers are equal, and what they are if not. */
#define is_int(got, wanted, name) \
    tap_is_int(__FILE__, __LINE__, (long long)(got), (long long)(wanted), (name))

__attribute__((unused)) static bool tap_is_text(const char *file, int line, const char *got,
                                                const char *wanted, const char *name)
{
    bool passed = tap_check(file, line, strcmp(got, wanted) == 0, "%s", name);

    if (!passed)
        diag("got '%s', wanted '%s'", got, wanted);
    return passed;
}

/* is_text(got, wanted, "name"): two strings are equal. */
#define is_text(got, wanted, name) tap_is_text(__FILE__, __LINE__, (got), (wanted), (name))

__attribute__((unused)) static bool tap_contains(const char *file, int line, const char *text,
                                                 const char *part, const char *name)
{
    bool passed = tap_check(file, line, strstr(text, part) != NULL, "%s", name);

    if (!passed)
        diag("'%s' does not contain '%s'", text, part);
    return passed;
}

/* contains(text, part, "name"): e.g. an error message names its object. */
#define contains(text, part, name) tap_contains(__FILE__, __LINE__, (text), (part), (name))

/* Counts a check that cannot be made here, and says why. */
__attribute__((unused)) static void skip(const char *name, const char *why)
{
    printf("ok %u - %s # SKIP %s\n", ++tap_check_ct, name, why);
}

/* Prints the plan; the value for main() to return. */
static int tap_done(void)
{
    printf("1..%u\n", tap_check_ct);
    return tap_failure_ct == 0 ? 0 : 1;
}

#endif
