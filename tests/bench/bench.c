/*
 * The common part of the benchmarks: see bench.h.
 */
#include "tests/bench/bench.h"

#include "dmstore/error.h"
#include "tests/bench/process.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 20 };

static const char *program_name = "bench";

/* ---- flags ---------------------------------------------------------------- */

static void print_usage(const struct bench_flag *flags, size_t flag_ct)
{
    fprintf(stderr, "usage: %s", program_name);
    for (size_t k = 0; k < flag_ct; k++) {
        fprintf(stderr, " [--%s%s]", flags[k].name,
                flags[k].number ? " NUMBER" : (flags[k].text ? " TEXT" : ""));
    }
    fprintf(stderr, "\n");
    exit(2);
}

static bool read_number(const char *text, uint64_t *number)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || *text < '0' || *text > '9' || *end != '\0') {
        return false;
    }
    *number = value;
    return true;
}

void bench_read_flags(int argc, char **argv, const struct bench_flag *flags, size_t flag_ct)
{
    const char *slash = strrchr(argv[0], '/');
    program_name = slash ? slash + 1 : argv[0];
    for (int at = 1; at < argc; at++) {
        const struct bench_flag *flag = NULL;
        for (size_t k = 0; k < flag_ct && !flag; k++) {
            bool is_it =
                strncmp(argv[at], "--", 2) == 0 && strcmp(argv[at] + 2, flags[k].name) == 0;
            flag = is_it ? &flags[k] : NULL;
        }
        if (!flag || (!flag->is_set && at + 1 == argc)) {
            print_usage(flags, flag_ct);
        } else if (flag->is_set) {
            *flag->is_set = true;
        } else if (flag->text) {
            *flag->text = argv[++at];
        } else if (!read_number(argv[++at], flag->number)) {
            print_usage(flags, flag_ct);
        }
    }
}

void bench_set_default(uint64_t *number, uint64_t value)
{
    *number = *number ? *number : value;
}

/* ---- failure -------------------------------------------------------------- */

void bench_die(const char *format, ...)
{
    va_list arguments;
    fflush(stdout);
    fprintf(stderr, "%s: ", program_name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    exit(1);
}

void bench_check(int status, const char *what)
{
    if (status < 0) {
        bench_die("%s: %s (%s)", what, dms_error_message(), dms_error_name(status));
    }
}

void *bench_alloc(size_t bytes)
{
    size_t rounded = (bytes + 63) / 64 * 64;
    void *memory = aligned_alloc(64, rounded > 0 ? rounded : 64);
    if (!memory) {
        bench_die("no memory for %zu bytes", bytes);
    }
    memset(memory, 0, rounded);
    return memory;
}

/* Texts live as long as the program: they are kept in a list, for leak checkers to find. */
struct kept_text {
    struct kept_text *next;
    char *text;
};

static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;
static struct kept_text *kept_texts;

const char *bench_text(const char *format, ...)
{
    struct kept_text *kept = bench_alloc(sizeof *kept);
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&kept->text, format, arguments);
    va_end(arguments);
    if (length < 0) {
        bench_die("no memory for a text");
    }
    pthread_mutex_lock(&kept_lock);
    kept->next = kept_texts;
    kept_texts = kept;
    pthread_mutex_unlock(&kept_lock);
    return kept->text;
}

const char *bench_path(const char *directory, const char *name)
{
    return bench_text("%s/%s", directory, name);
}

/* ---- measuring ------------------------------------------------------------ */

static double read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double bench_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

double bench_processor_now(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

void bench_add(struct bench_series *series, double value)
{
    if (series->value_ct == BENCH_REPEATS_MAX) {
        bench_die("at most %d repeats", BENCH_REPEATS_MAX);
    }
    /* Kept sorted. */
    size_t at = series->value_ct++;
    for (; at > 0 && series->values[at - 1] > value; at--) {
        series->values[at] = series->values[at - 1];
    }
    series->values[at] = value;
}

double bench_median(const struct bench_series *series)
{
    size_t count = series->value_ct;
    if (count == 0) {
        bench_die("a median of nothing");
    }
    return (series->values[(count - 1) / 2] + series->values[count / 2]) / 2;
}

double bench_least(const struct bench_series *series)
{
    return series->values[0];
}

double bench_greatest(const struct bench_series *series)
{
    return series->values[series->value_ct - 1];
}

/* ---- the table ------------------------------------------------------------ */

static void print_processor(void)
{
    char line[256];
    char model[256] = "unknown processor\n";
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon) {
            snprintf(model, sizeof model, "%s", colon + 2);
            break;
        }
    }
    if (file) {
        fclose(file);
    }
    printf("machine: %ld cores, %s", sysconf(_SC_NPROCESSORS_ONLN), model);
}

static const char *file_system_name(const char *directory)
{
    static const struct {
        unsigned long type;
        const char *name;
    } names[] = {{0xef53, "ext4"},
                 {0x58465342, "xfs"},
                 {0x9123683e, "btrfs"},
                 {0x01021994, "tmpfs"},
                 {0x794c7630, "overlay"}};
    struct statfs info;
    if (statfs(directory, &info) != 0) {
        return "unknown";
    }
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        if ((unsigned long)info.f_type == names[k].type) {
            return names[k].name;
        }
    }
    return bench_text("type 0x%lx", (unsigned long)info.f_type);
}

void bench_print_head(const char *directory)
{
    struct utsname system;
    double gib = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / (1 << 30);
    print_processor();
    if (uname(&system) != 0) {
        bench_die("uname: %s", strerror(errno));
    }
    printf("machine: %.1f GiB of memory, %s %s, file system %s\n\n", gib, system.sysname,
           system.release, file_system_name(directory));
    printf("| what | size | measured | reference | ratio | goal | met |\n");
    printf("|---|---|---|---|---|---|---|\n");
    fflush(stdout);
}

/* "1.23 s (1.20..1.31, 5 runs)" */
static void print_series(const struct bench_series *series, const char *unit)
{
    printf("%.4g %s", bench_median(series), unit);
    if (series->value_ct > 1) {
        printf(" (%.4g..%.4g, %zu runs)", bench_least(series), bench_greatest(series),
               series->value_ct);
    }
}

void bench_print_row(const struct bench_row *row)
{
    double measured = bench_median(row->series);
    double reference = row->reference ? bench_median(row->reference) : row->reference_value;
    double judged = row->is_goal_of_ratio ? measured / reference : measured;
    printf("| %s | %s | ", row->what, row->size);
    print_series(row->series, row->unit);
    printf(" | ");
    if (row->reference_name) {
        printf("%s: ", row->reference_name);
        if (row->reference) {
            print_series(row->reference, row->unit);
        } else {
            printf("%.4g %s", reference, row->unit);
        }
        printf(" | %.3f | ", measured / reference);
    } else {
        printf("| | ");
    }
    if (row->goal == BENCH_NO_GOAL) {
        printf("| |\n");
    } else {
        bool is_met = row->goal == BENCH_AT_MOST ? judged <= row->limit : judged >= row->limit;
        printf("%s %.4g%s%s | %s |\n", row->goal == BENCH_AT_MOST ? "<=" : ">=", row->limit,
               row->is_goal_of_ratio ? " x" : " ", row->is_goal_of_ratio ? "" : row->unit,
               is_met ? "yes" : "NO");
    }
    fflush(stdout);
}

/* ---- files ---------------------------------------------------------------- */

const char *bench_make_directory(const char *parent)
{
    char *path = (char *)bench_path(parent ? parent : ".", "dmstore-bench-XXXXXX");
    if (!mkdtemp(path)) {
        bench_die("cannot make a directory in '%s': %s", parent ? parent : ".", strerror(errno));
    }
    return path;
}

static int remove_visited(const char *path, const struct stat *info, int type, struct FTW *place)
{
    (void)info;
    (void)type;
    (void)place;
    return remove(path);
}

void bench_remove(const char *path)
{
    if (nftw(path, remove_visited, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT) {
        bench_die("cannot remove '%s': %s", path, strerror(errno));
    }
}

/* What a walk over files does with each and adds up; nftw has no context of its own. */
static uint64_t (*visit_file)(const char *path, uint64_t bytes);
static uint64_t visited_bytes;

static int visit(const char *path, const struct stat *info, int type, struct FTW *place)
{
    (void)place;
    if (type == FTW_F) {
        visited_bytes += visit_file(path, (uint64_t)info->st_size);
    }
    return 0;
}

static uint64_t walk(const char *path, uint64_t (*visitor)(const char *path, uint64_t bytes))
{
    visit_file = visitor;
    visited_bytes = 0;
    if (nftw(path, visit, 16, FTW_PHYS) != 0) {
        bench_die("cannot walk through '%s': %s", path, strerror(errno));
    }
    return visited_bytes;
}

static uint64_t just_size(const char *path, uint64_t bytes)
{
    (void)path;
    return bytes;
}

uint64_t bench_directory_bytes(const char *path)
{
    return walk(path, just_size);
}

static uint64_t sync_file(const char *path, uint64_t bytes)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0 || fsync(descriptor) != 0) {
        bench_die("cannot sync '%s': %s", path, strerror(errno));
    }
    close(descriptor);
    return bytes;
}

void bench_copy(const char *from, const char *to)
{
    const char *command[] = {"cp", "-R", from, to, NULL};
    bench_run(command, NULL);
    (void)walk(to, sync_file);
}

static uint64_t read_file(const char *path, uint64_t bytes)
{
    static uint8_t *buffer;
    if (!buffer) {
        buffer = bench_alloc(READ_BYTES);
    }
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = descriptor < 0 ? -1 : 1;
    while (got > 0) {
        got = read(descriptor, buffer, READ_BYTES);
    }
    if (got < 0) {
        bench_die("cannot read '%s': %s", path, strerror(errno));
    }
    close(descriptor);
    return bytes;
}

uint64_t bench_read(const char *path)
{
    return walk(path, read_file);
}
