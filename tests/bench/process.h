/*
 * Work in processes of its own: commands, timed, with a look at their memory on the way; and
 * functions.
 */
#ifndef DMSTORE_TESTS_BENCH_PROCESS_H
#define DMSTORE_TESTS_BENCH_PROCESS_H

#include <stddef.h>
#include <stdint.h>

struct bench_process {
    double seconds;
    double processor_seconds; /* of all its threads, in the program and in the kernel */
    /* The most that was seen, every 5 ms, of RssAnon in /proc/PID/status: memory of its own that
     * the process had touched, without mapped files. 0 for one that was gone sooner. */
    uint64_t anonymous_bytes;
};

/* Runs command[0] (looked up in PATH) with its arguments, a list that ends with NULL, its standard
 * output thrown away. Ends this program when the command does not end with 0. process may be NULL:
 * nothing is looked at. */
void bench_run(const char *const *command, struct bench_process *process);

/* Runs work(context, results) in a child of its own and brings back `result_ct` numbers, so that
 * memory is measured, and files are opened, in a process that did nothing before. Ends this program
 * when the child fails. */
void bench_in_child(void (*work)(const void *context, double *results), const void *context,
                    double *results, size_t result_ct);

/* The number of bytes after `field` ("RssAnon:", "VmRSS:") in /proc/PID/status; 0 when the process
 * is gone. */
uint64_t bench_process_bytes(int pid, const char *field);

#endif
