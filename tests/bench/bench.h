/*
 * What the benchmarks of the store share: flags, clock, medians, the machine, rows of the one table
 * that they all print, and doing things to whole directories. A benchmark has no use for going on
 * after a failure: these functions print what failed and end the program.
 *
 * A row of the table names what was measured, its size and the reference measured beside it;
 * figures are medians with (least..greatest), "ratio" is the median over that of the reference.
 */
#ifndef DMSTORE_TESTS_BENCH_H
#define DMSTORE_TESTS_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BENCH_REPEATS_MAX = 1001 };

/* ---- flags ---------------------------------------------------------------- */

/* One flag of a program: "--name VALUE", or "--name" alone when `is_set` is its target. Exactly one
 * target is not NULL. */
struct bench_flag {
    const char *name;
    uint64_t *number;
    const char **text;
    bool *is_set;
};

/* Reads the command line into the targets of `flag_ct` flags; prints the flags and ends the program
 * with 2 when it does not understand it. */
void bench_read_flags(int argc, char **argv, const struct bench_flag *flags, size_t flag_ct);

/* Gives a number that no flag has set its usual value. */
void bench_set_default(uint64_t *number, uint64_t value);

/* ---- failure -------------------------------------------------------------- */

/* Prints "PROGRAM: message" and ends the program with 1. */
void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Ends the program with the library's message when status < 0. */
void bench_check(int status, const char *what);

/* Memory that lives as long as the program, or until free(); zeroed, 64-byte aligned. */
void *bench_alloc(size_t bytes);

/* "directory/name", for ever. */
const char *bench_path(const char *directory, const char *name);

/* ---- measuring ------------------------------------------------------------ */

double bench_now(void); /* seconds of a clock that only goes forward */

/* Seconds of the processor that this process has used: what others do meanwhile does not count. */
double bench_processor_now(void);

/* Measurements of one thing. */
struct bench_series {
    double values[BENCH_REPEATS_MAX];
    size_t value_ct;
};

void bench_add(struct bench_series *series, double value);
double bench_median(const struct bench_series *series);
double bench_least(const struct bench_series *series);
double bench_greatest(const struct bench_series *series);

/* ---- the table ------------------------------------------------------------ */

/* The direction of a goal. */
enum bench_goal { BENCH_NO_GOAL, BENCH_AT_MOST, BENCH_AT_LEAST };

struct bench_row {
    const char *what;
    const char *size;                     /* of the data */
    const struct bench_series *series;    /* what was measured */
    const char *unit;                     /* of its values */
    const char *reference_name;           /* NULL: none */
    const struct bench_series *reference; /* NULL: reference_value */
    double reference_value;
    enum bench_goal goal;
    bool is_goal_of_ratio; /* the goal is for measured / reference, else for the measured value */
    double limit;
};

/* Prints "machine: ..." lines (processor, cores, kernel, the file system of `directory`) and the
 * head of the table. */
void bench_print_head(const char *directory);
void bench_print_row(const struct bench_row *row);

/* Text for bench_row.size, for ever. */
const char *bench_text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- files ---------------------------------------------------------------- */

/* Makes a new directory for the data of this run below `parent` (NULL: the working directory);
 * bench_remove removes it with everything in it. */
const char *bench_make_directory(const char *parent);
void bench_remove(const char *path);

/* Sum of the sizes of all files below `path`. */
uint64_t bench_directory_bytes(const char *path);

/* Copies a file, or the files of a directory, with cp(1), and syncs each copy. */
void bench_copy(const char *from, const char *to);

/* Reads all files below `path` with read(2) into a buffer. Returns the bytes read. */
uint64_t bench_read(const char *path);

#endif
