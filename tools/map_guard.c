/*
 * The handler of SIGBUS: it may call nothing that is not safe in a signal handler.
 */
#include "map_guard.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "report.h"

static void report_lost_page(int number)
{
    static const char message[] =
        "dmstore: a page of the store could not be read: its file was cut short while it was in "
        "use, or the disk failed; run 'dmstore verify'\n";
    ssize_t written = write(STDERR_FILENO, message, sizeof(message) - 1);

    (void)number;
    (void)written;
    _exit(TOOL_FAILED);
}

void map_guard_install(void)
{
    struct sigaction action = {.sa_handler = report_lost_page};

    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}
