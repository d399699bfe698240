/*
 * Threads of the library: pthreads with the signals kept away from them.
 */
#include "base/thread.h"

#include "base/error.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

unsigned dms_processor_ct(void)
{
    cpu_set_t set;
    long online;

    /* The affinity, because batch systems give a job less than the whole machine. */
    if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
        return (unsigned)CPU_COUNT(&set);
    online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (unsigned)online : 1;
}

int dms_thread_start(pthread_t *thread, void *(*run)(void *), void *argument)
{
    sigset_t blocked;
    sigset_t previous;
    int error;

    /* Threads inherit the mask. A blocked fault signal would kill the process past its handler. */
    sigfillset(&blocked);
    sigdelset(&blocked, SIGBUS);
    sigdelset(&blocked, SIGSEGV);
    sigdelset(&blocked, SIGFPE);
    sigdelset(&blocked, SIGILL);
    pthread_sigmask(SIG_SETMASK, &blocked, &previous);
    error = pthread_create(thread, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &previous, NULL);
    errno = error;
    return error ? dms_fail_errno("cannot start a thread") : DMS_OK;
}
