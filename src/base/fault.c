/*
 * One handler for the process, and in each thread the place to which a guarded run goes back.
 */
#include "base/fault.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>

struct guard {
    sigjmp_buf back;
    const void *volatile address;
};

static _Thread_local struct guard *volatile current_guard;
static struct sigaction previous_action;

/* Hands a signal on that is none of ours. Without a handler the access is made again, and has the
 * effect that it would have had without this file. */
static void pass_on(int number, siginfo_t *info, void *context)
{
    if (previous_action.sa_flags & SA_SIGINFO) {
        previous_action.sa_sigaction(number, info, context);
    } else if (previous_action.sa_handler == SIG_DFL || previous_action.sa_handler == SIG_IGN) {
        signal(number, SIG_DFL);
    } else {
        previous_action.sa_handler(number);
    }
}

static void handle(int number, siginfo_t *info, void *context)
{
    struct guard *guard = current_guard;
    if (!guard) {
        pass_on(number, info, context);
        return;
    }
    guard->address = info->si_addr;
    siglongjmp(guard->back, 1);
}

static void install(void)
{
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &previous_action);
}

bool dms_fault_run(void (*task)(void *context), void *context, const void **address)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct guard guard;
    pthread_once(&once, install);
    /* The mask is kept and restored by the jump: in the handler the signal is blocked, others are
     * where a tool like the thread sanitizer stands between, and the next fault would end the
     * process. */
    if (sigsetjmp(guard.back, 1) != 0) {
        current_guard = NULL;
        *address = guard.address;
        return false;
    }
    current_guard = &guard;
    task(context);
    current_guard = NULL;
    return true;
}
