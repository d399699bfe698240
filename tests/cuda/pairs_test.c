/*
 * Counts of pairs on the device under test against plain popcounts: odd sizes, no rows, no
 * examples, ranges that begin and end anywhere, panels that do not all fit on the device; in bits
 * and in bytes. On the stand-in, also streams in other orders, memory that others have taken, and a
 * device that is lost on the way.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "dmstore/device.h"
#include "solver/cuda_pairs.h"
#include "solver/packed_rows.h"
#include "solver/pair_band.h"
#include "unit/tap.h"

static uint64_t random_state = 99;

static uint32_t next_random(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33);
}

/* ---- data ---- */

/* Columns of all rates: example 1 is in no row, 2 in all, 4 is the same as 3. */
static struct dms_packed_rows make_rows(size_t example_ct, uint64_t row_ct)
{
    size_t word_ct = (size_t)((row_ct + 63) / 64);
    struct dms_packed_rows rows = {.example_ct = example_ct, .row_ct = row_ct, .word_ct = word_ct};

    rows.columns = calloc(example_ct * word_ct + 1, sizeof *rows.columns);
    for (size_t k = 0; k < example_ct; k++) {
        uint32_t rate = k == 1 ? 0 : k == 2 ? 1000 : next_random() % 1000;

        for (uint64_t i = 0; i < row_ct; i++)
            if (next_random() % 1000 < rate)
                rows.columns[k * word_ct + i / 64] |= UINT64_C(1) << (i % 64);
    }
    if (example_ct > 4)
        memcpy(rows.columns + 4 * word_ct, rows.columns + 3 * word_ct,
               word_ct * sizeof *rows.columns);
    return rows;
}

static uint32_t plain_count(const struct dms_packed_rows *rows, size_t a, size_t b)
{
    uint32_t count = 0;

    for (size_t w = 0; w < rows->word_ct; w++)
        count += (uint32_t)__builtin_popcountll(rows->columns[a * rows->word_ct + w] &
                                                rows->columns[b * rows->word_ct + w]);
    return count;
}

/* ---- counts that are right ---- */

static size_t count_wrong(const struct dms_packed_rows *rows, const size_t range[4],
                          const uint32_t *counts)
{
    size_t b_ct = range[3] - range[2], wrong_ct = 0;

    for (size_t a = range[0]; a < range[1]; a++)
        for (size_t b = range[2]; b < range[3]; b++)
            wrong_ct += counts[(a - range[0]) * b_ct + b - range[2]] != plain_count(rows, a, b);
    return wrong_ct;
}

/* Where the counts of a range go. */
struct target {
    const size_t *range;
    uint32_t *counts;
};

static int copy_rectangle(void *taker, const struct dms_pair_rectangle *rectangle)
{
    const struct target *target = taker;
    const size_t *range = target->range;
    size_t b_ct = rectangle->end_b - rectangle->first_b;

    for (size_t a = rectangle->first_a; a < rectangle->end_a; a++)
        memcpy(target->counts + (a - range[0]) * (range[3] - range[2]) + rectangle->first_b -
                   range[2],
               rectangle->counts + (a - rectangle->first_a) * b_ct, b_ct * sizeof(uint32_t));
    return DMS_OK;
}

static int count_range(struct dms_cuda_pair_counter *counter, const size_t range[4],
                       uint32_t *counts)
{
    struct target target = {range, counts};

    return dms_cuda_pairs_count(counter, range[0], range[1], range[2], range[3], &target,
                                copy_rectangle);
}

/* The range, and nothing behind it. */
static bool counts_range(struct dms_cuda_pair_counter *counter, const struct dms_packed_rows *rows,
                         const size_t range[4])
{
    size_t count_ct = (range[1] - range[0]) * (range[3] - range[2]);
    uint32_t *counts = malloc((count_ct + 1) * sizeof *counts);
    bool right;

    memset(counts, 0xee, (count_ct + 1) * sizeof *counts);
    right = count_range(counter, range, counts) == DMS_OK &&
            count_wrong(rows, range, counts) == 0 && counts[count_ct] == 0xeeeeeeee;
    free(counts);
    return right;
}

static int open_counter(const struct dms_packed_rows *rows, uint64_t device_bytes,
                        struct dms_cuda_pair_counter **counter)
{
    int rc = dms_cuda_pairs_open(rows->example_ct, rows->row_ct, device_bytes, counter);

    if (rc == DMS_OK)
        rc = dms_cuda_pairs_set_rows(*counter, rows->columns, rows->word_ct, rows->word_ct);
    return rc;
}

/* Opens, counts some ranges one after the other, closes. Panels have panel_size examples. */
static bool counts_rows(size_t example_ct, uint64_t row_ct, uint64_t device_bytes,
                        size_t panel_size)
{
    struct dms_packed_rows rows = make_rows(example_ct, row_ct);
    const size_t ranges[][4] = {{0, example_ct, 0, example_ct},
                                {example_ct / 3, example_ct, 0, example_ct / 2},
                                {example_ct / 2, example_ct / 2, 0, example_ct},
                                {0, example_ct, example_ct - example_ct / 5, example_ct}};
    struct dms_cuda_pair_counter *counter;
    bool right = open_counter(&rows, device_bytes, &counter) == DMS_OK;

    if (!right) {
        diag("%s", dms_error_message());
        free(rows.columns);
        return false;
    }
    if (dms_cuda_pairs_panel_size(counter) != panel_size) {
        diag("panels of %zu examples", dms_cuda_pairs_panel_size(counter));
        right = false;
    }
    for (size_t i = 0; right && i < sizeof ranges / sizeof *ranges; i++)
        right = counts_range(counter, &rows, ranges[i]);
    dms_cuda_pairs_close(counter);
    free(rows.columns);
    return right;
}

static bool counts_small_panels(void)
{
    return counts_rows(90, 700, 12320, 22);
}

/* Fewer rows and other rows after the first, as parts of longer columns; then as many as the
 * counter has room for, and more. */
static void test_other_rows(void)
{
    struct dms_packed_rows rows = make_rows(90, 700), part = rows;
    const size_t range[4] = {0, 90, 0, 90}, few[4] = {10, 20, 0, 90};
    struct dms_cuda_pair_counter *counter;
    bool right =
        open_counter(&rows, 12320, &counter) == DMS_OK && counts_range(counter, &rows, few);

    for (size_t first = 0; right && first < rows.word_ct; first += 4) {
        size_t left = rows.word_ct - first;

        part.word_ct = left < 4 ? left : 4;
        part.columns = malloc(part.example_ct * part.word_ct * sizeof *part.columns);
        for (size_t k = 0; k < part.example_ct; k++)
            memcpy(part.columns + k * part.word_ct, rows.columns + k * rows.word_ct + first,
                   part.word_ct * sizeof *part.columns);
        right = dms_cuda_pairs_set_rows(counter, rows.columns + first, part.word_ct,
                                        rows.word_ct) == DMS_OK &&
                counts_range(counter, &part, few) && counts_range(counter, &part, range);
        free(part.columns);
    }
    ok(right, "rows in three parts, one after the other");
    ok(dms_cuda_pairs_set_rows(counter, rows.columns, rows.word_ct, rows.word_ct) == DMS_OK &&
           counts_range(counter, &rows, range),
       "then all of them");
    ok(dms_cuda_pairs_set_rows(counter, rows.columns, 100, 100) == DMS_ERR_INVALID,
       "more than it was opened for");
    contains(dms_error_message(), "100 words of rows are more than the", "are refused");
    dms_cuda_pairs_close(counter);
    free(rows.columns);
}

static int refuse(void *taker, const struct dms_pair_rectangle *rectangle)
{
    size_t *taken_ct = taker;

    (void)rectangle;
    return ++*taken_ct < 3 ? DMS_OK : dms_fail(DMS_ERR_INTERRUPTED, "enough");
}

static void test_refused_counts(void)
{
    struct dms_packed_rows rows = make_rows(90, 700);
    struct dms_cuda_pair_counter *counter;
    size_t taken_ct = 0;

    if (ok(open_counter(&rows, 12320, &counter) == DMS_OK, "who takes counts can stop")) {
        ok(dms_cuda_pairs_count(counter, 0, 90, 0, 90, &taken_ct, refuse) == DMS_ERR_INTERRUPTED &&
               taken_ct == 3,
           "at once");
        is_text(dms_error_message(), "enough", "the message is its own");
        dms_cuda_pairs_close(counter);
    }
    free(rows.columns);
}

static void test_counts(const char *how)
{
    setenv("DMS_CUDA_PAIRS", how, 1);
    ok(counts_rows(150, 700, 0, 150), "in %s, all on the device at once", how);
    ok(counts_small_panels(), "in %s, 3 of 5 panels on the device", how);
    ok(counts_rows(17, 130, 2 * 4 + 2 * 64, 1), "in %s, panels of one example, two of them", how);
    ok(counts_rows(1, 1, 0, 1), "in %s, one example in one row", how);
    ok(counts_rows(20, 0, 0, 20), "in %s, no rows", how);
    ok(counts_rows(0, 64, 0, 1), "in %s, no examples", how);
    unsetenv("DMS_CUDA_PAIRS");
}

/* ---- what cannot be counted ---- */

static void test_refusals(void)
{
    struct dms_packed_rows rows = make_rows(40, 100);
    struct dms_cuda_pair_counter *counter;
    uint32_t counts[4];

    ok(dms_cuda_pairs_open(40, UINT64_C(1) << 31, 0, &counter) == DMS_ERR_INVALID, "2^31 rows");
    contains(dms_error_message(), "fewer than 2^31 rows, and not in 2147483648",
             "the message says how many it can be");
    ok(open_counter(&rows, 100, &counter) == DMS_ERR_NO_MEMORY, "next to no memory");
    contains(dms_error_message(), "and 100 can be used", "the message has both numbers");
    setenv("DMS_CUDA_PAIRS", "octets", 1);
    ok(open_counter(&rows, 0, &counter) == DMS_ERR_INVALID, "another way of counting");
    contains(dms_error_message(), "'octets': it can be bits or bytes",
             "the message says which there are");
    unsetenv("DMS_CUDA_PAIRS");
    if (ok(open_counter(&rows, 0, &counter) == DMS_OK, "all as it should be")) {
        ok(count_range(counter, (const size_t[]){0, 1, 39, 41}, counts) == DMS_ERR_INVALID,
           "an example that is not there");
        contains(dms_error_message(), "examples 0..1 and 39..41 were asked for, and there are 40",
                 "the message has the ranges");
        ok(count_range(counter, (const size_t[]){2, 1, 0, 1}, counts) == DMS_ERR_INVALID,
           "a range that ends before it begins");
        dms_cuda_pairs_close(counter);
    }
    dms_cuda_pairs_close(NULL);
    free(rows.columns);
}

/* ---- the stand-in when things go wrong ---- */

/* Runs the test in a process of its own, whose stand-in has the settings. */
static bool in_child(const char *settings, bool (*test)(void))
{
    pid_t child = fork();
    int status = 1;

    if (child == 0) {
        setenv("DMSTORE_STAND_IN", settings, 1);
        _exit(test() ? 0 : 1);
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static bool is_taken(void)
{
    struct dms_packed_rows rows = make_rows(150, 700);
    struct dms_cuda_pair_counter *counter;
    bool right = open_counter(&rows, 0, &counter) == DMS_ERR_NO_MEMORY &&
                 strstr(dms_error_message(), "has no memory left for counts of pairs") != NULL;

    free(rows.columns);
    return right;
}

/* Lost while it is opened or while it counts: said in either case, and nothing else happens. */
static bool is_lost(void)
{
    struct dms_packed_rows rows = make_rows(150, 700);
    struct dms_cuda_pair_counter *counter = NULL;
    uint32_t *counts = malloc(sizeof *counts * 150 * 150);
    int rc = open_counter(&rows, 16000, &counter);
    bool right;

    if (rc == DMS_OK)
        rc = count_range(counter, (const size_t[]){0, 150, 0, 150}, counts);
    right = rc == DMS_ERR_IO && strstr(dms_error_message(), "was lost during counting pairs");
    dms_cuda_pairs_close(counter);
    free(rows.columns);
    free(counts);
    return right;
}

static void test_stand_in(void)
{
    static const char *const losses[] = {"lost=1", "lost=2", "lost=9", "lost=60", "lost=400"};

    for (unsigned seed = 2; seed < 6; seed++) {
        char settings[32];

        snprintf(settings, sizeof settings, "seed=%u", seed);
        ok(in_child(settings, counts_small_panels), "streams in another order (%s)", settings);
    }
    ok(in_child("memory=16000,taken=12000", is_taken), "memory that others have taken");
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++)
        ok(in_child(losses[i], is_lost), "a device that is lost (%s operations)", losses[i]);
}

int main(void)
{
    const char *build_dir = getenv("DMSTORE_BUILD_DIR"), *given = getenv("DMSTORE_TEST_MODULE");
    struct dms_cuda_status status;
    char path[1024];

    snprintf(path, sizeof path, "%s/tests/cuda/stand_in.so", build_dir ? build_dir : ".");
    setenv("DMSTORE_CUDA_MODULE", given ? given : path, 1);
    /* Before the module is loaded here. */
    if (!given)
        test_stand_in();
    dms_cuda_probe(&status);
    if (status.device_ct == 0) {
        printf("1..0 # SKIP %s\n", status.reason);
        return 0;
    }
    test_counts("bits");
    test_counts("bytes");
    test_other_rows();
    test_refused_counts();
    test_refusals();
    return tap_done();
}
