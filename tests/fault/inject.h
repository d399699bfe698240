/*
 * Calls to the system that fail on demand. inject.c replaces the C library's functions for files,
 * memory and threads in whatever it is part of: a test program that is linked with it calls the
 * functions below; any other program is run with the module in LD_PRELOAD and the environment
 * variables that inject.c names.
 */
#ifndef DMS_TESTS_FAULT_INJECT_H
#define DMS_TESTS_FAULT_INJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What goes wrong. Each kind has its own set of calls in which it can happen; only these are
 * counted. */
enum inject_fault {
    INJECT_NONE,
    INJECT_EIO,    /* every call on a file; mmap says ENOMEM, flock ENOLCK */
    INJECT_ENOSPC, /* calls that write, sync or make a name */
    INJECT_EINTR,  /* calls that can wait; lasting: every second one */
    INJECT_SHORT,  /* reads and writes move half of what they should */
    INJECT_MEMORY, /* malloc and its kin, and starting a thread */
    INJECT_KILL,   /* the process dies as by kill -9 before the call */
    INJECT_POWER,  /* the same, and all is lost that was not synced (durable.h) */
    INJECT_FAULT_CT
};

struct inject_plan {
    enum inject_fault fault;
    const char *under; /* calls on files below this directory count, given as an absolute path */
    uint64_t at;       /* the first call that fails, from 1 on; 0: calls are only counted */
    bool lasting;      /* so do all counted calls after it */
};

/* From now on, calls are counted and fail as planned; `plan->under` is copied. */
void inject_begin(const struct inject_plan *plan);

/* The power fails now, when it has not yet: makes the files what the disk holds. */
void inject_power_failure(void);

/* Ends it; returns how many calls were counted. */
uint64_t inject_end(void);

/* Memory that code of the program (not of the libraries it uses) has obtained since inject_begin
 * and not given back: how many blocks, and in *caller the place in the program that obtained one of
 * them, as an address to give to addr2line. */
size_t inject_unfreed(uintptr_t *caller);

#endif
