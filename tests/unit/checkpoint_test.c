/*
 * Checkpoints of fits: what is written comes back, and what is damaged, cut or of another job is
 * refused; two processes that write one at the same time do not mix it.
 */
#include "base/error.h"
#include "base/file.h"
#include "solver/checkpoint.h"
#include "tests/unit/tap.h"

#include <math.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const char path[] = "checkpoint_test.checkpoint";

static const uint32_t examples[] = {3, 5, 70000};
static const double weights[] = {0.5, -0.25, 1e-300};
static const double path_lambdas[] = {1, 0.5};
static const double path_errors[] = {2, NAN};
static const double path_gaps[] = {0, 1e-5};
static const uint32_t path_weight_cts[] = {0, 3};

static const struct dms_fitted_target results[] = {
    {.target = 7, .flags = DMS_FITTED_CONSTANT, .mean = 1.5, .row_ct = 10},
    {
        .target = UINT64_C(1) << 40,
        .flags = DMS_FITTED_REFITTED | DMS_FITTED_UNCERTIFIED,
        .bias = -1.25,
        .lambda = 0.5,
        .gap = 1e-3,
        .null_deviance = 3,
        .mean = 0.75,
        .row_ct = 12,
        .weight_ct = 3,
        .examples = examples,
        .weights = weights,
        .path_ct = 2,
        .chosen = 1,
        .path_lambdas = path_lambdas,
        .path_errors = path_errors,
        .path_gaps = path_gaps,
        .path_weight_cts = path_weight_cts,
    },
    {.target = 8, .bias = 2, .row_ct = 1},
};
enum { RESULTS = sizeof(results) / sizeof(results[0]) };

static bool same_bytes(const void *got, const void *wanted, size_t bytes)
{
    return bytes == 0 || memcmp(got, wanted, bytes) == 0;
}

/* Counts results that are as they should be. */
static int compare_result(void *context, const struct dms_fitted_target *got)
{
    size_t *seen_ct = context;
    const struct dms_fitted_target *wanted = &results[*seen_ct];
    bool same = got->target == wanted->target && got->flags == wanted->flags &&
                got->bias == wanted->bias && got->lambda == wanted->lambda &&
                got->gap == wanted->gap && got->null_deviance == wanted->null_deviance &&
                got->mean == wanted->mean && got->row_ct == wanted->row_ct &&
                got->weight_ct == wanted->weight_ct && got->path_ct == wanted->path_ct &&
                got->chosen == wanted->chosen;

    same = same && same_bytes(got->examples, wanted->examples, 4 * wanted->weight_ct) &&
           same_bytes(got->weights, wanted->weights, 8 * wanted->weight_ct) &&
           same_bytes(got->path_lambdas, wanted->path_lambdas, 8 * wanted->path_ct) &&
           same_bytes(got->path_errors, wanted->path_errors, 8 * wanted->path_ct) &&
           same_bytes(got->path_gaps, wanted->path_gaps, 8 * wanted->path_ct) &&
           same_bytes(got->path_weight_cts, wanted->path_weight_cts, 4 * wanted->path_ct);
    ok(same, "result %zu is as it was", *seen_ct);
    (*seen_ct)++;
    return 0;
}

static int fail_second(void *context, const struct dms_fitted_target *got)
{
    (void)got;
    return ++*(int *)context == 2 ? dms_fail(DMS_ERR_NO_SPACE, "full") : 0;
}

static void identify(struct dms_checkpoint *checkpoint, const char *seed)
{
    is_int(dms_checkpoint_identify(checkpoint, "fit", "base"), 0, "a pair is added");
    is_int(dms_checkpoint_identify(checkpoint, "seed", seed), 0, "and one more");
}

static void test_round_trip(void)
{
    struct dms_checkpoint written = {0}, read = {0};
    size_t seen_ct = 0;
    int call_ct = 0;

    identify(&written, "1");
    identify(&read, "1");
    is_int(dms_checkpoint_read(&read, path), DMS_ERR_NOT_FOUND, "there is none yet");
    for (size_t i = 0; i < RESULTS; i++)
        is_int(dms_checkpoint_add(&written, &results[i]), 0, "a result is added");
    is_int(dms_checkpoint_write(&written, path, "state", 5), 0, "it is written");
    is_int(dms_checkpoint_read(&read, path), 0, "and read");
    ok(read.has_state && read.state.size == 5 && memcmp(read.state.data, "state", 5) == 0,
       "with the state");
    is_int(dms_checkpoint_each(&read, compare_result, &seen_ct), 0, "and the results");
    is_int(seen_ct, RESULTS, "all of them");
    is_int(dms_checkpoint_each(&read, fail_second, &call_ct), DMS_ERR_NO_SPACE,
           "what takes them may fail");
    is_int(call_ct, 2, "and gets no more then");
    dms_checkpoint_free(&read);

    identify(&read, "1");
    is_int(dms_checkpoint_write(&written, path, NULL, 0), 0, "a finished one replaces it");
    is_int(dms_checkpoint_read(&read, path), 0, "and is read");
    ok(!read.has_state && read.result_ct == RESULTS, "without a state");
    dms_checkpoint_free(&read);

    identify(&read, "2");
    is_int(dms_checkpoint_read(&read, path), DMS_ERR_CONFLICT, "another job's is refused");
    contains(dms_error_message(), "it has seed = 1, this one has seed = 2", "with what differs");
    dms_checkpoint_free(&read);
    dms_checkpoint_free(&written);
}

/* Reads `bytes` bytes as a checkpoint; 0 or the failure. */
static int read_bytes(const uint8_t *data, size_t bytes)
{
    struct dms_checkpoint read = {0};
    FILE *file = fopen(path, "wb");
    int code;

    if (!file || fwrite(data, 1, bytes, file) != bytes || fclose(file) != 0) {
        printf("Bail out! cannot write %s\n", path);
        exit(1);
    }
    code = dms_checkpoint_identify(&read, "fit", "base");
    if (code == 0)
        code = dms_checkpoint_identify(&read, "seed", "1");
    if (code == 0)
        code = dms_checkpoint_read(&read, path);
    dms_checkpoint_free(&read);
    return code;
}

static void test_damage(void)
{
    struct dms_buffer file = {0};
    size_t unnoticed_ct = 0;

    is_int(dms_read_file(path, SIZE_MAX, &file), 0, "the file is read");
    is_int(read_bytes(file.data, file.size), 0, "it is whole");
    for (size_t i = 0; i < file.size; i++) {
        file.data[i] ^= 1;
        unnoticed_ct += read_bytes(file.data, file.size) >= 0;
        file.data[i] ^= 1;
    }
    is_int(unnoticed_ct, 0, "a flipped bit in any byte is noticed");
    for (size_t bytes = 0; bytes < file.size; bytes++)
        unnoticed_ct += read_bytes(file.data, bytes) >= 0;
    is_int(unnoticed_ct, 0, "a file that is cut anywhere is noticed");
    dms_buffer_free(&file);
}

/* Writes the checkpoint again and again, in a process of its own; returns its id. */
static pid_t write_many(size_t state_bytes)
{
    struct dms_checkpoint written = {0};
    uint8_t *state = calloc(1, state_bytes);
    pid_t child = fork();
    bool good = state != NULL;

    if (child != 0) {
        free(state);
        return child;
    }
    good = good && dms_checkpoint_identify(&written, "fit", "base") == 0 &&
           dms_checkpoint_identify(&written, "seed", "1") == 0;
    for (int i = 0; good && i < 40; i++)
        good = dms_checkpoint_write(&written, path, state, state_bytes) == 0;
    _exit(good ? 0 : 1);
}

/* The same job, run twice by mistake. */
static void test_together(void)
{
    struct dms_checkpoint read = {0};
    pid_t first = write_many(10000), second = write_many(300000);
    int first_status = -1, second_status = -1;

    waitpid(first, &first_status, 0);
    waitpid(second, &second_status, 0);
    ok(first_status == 0 && second_status == 0, "two processes write it at the same time");
    identify(&read, "1");
    is_int(dms_checkpoint_read(&read, path), 0, "and it is whole");
    dms_checkpoint_free(&read);
}

int main(void)
{
    (void)unlink(path);
    test_round_trip();
    test_damage();
    test_together();
    (void)unlink(path);
    return tap_done();
}
