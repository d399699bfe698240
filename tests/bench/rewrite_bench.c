/*
 * What moves a whole store's bytes: seal, compact (also to zstd and back), export and verify, each
 * with its command, against cp and fsync of the bytes it writes, or, for verify, reading the bytes
 * it checks with read(2).
 *
 *   rewrite_bench [--full] [--rows M] [--examples D] [--targets N] [--repeats R] [--dmstore
 * PROGRAM] [--directory DIR]
 */
#include "dmstore/store.h"
#include "tests/bench/bench.h"
#include "tests/bench/data.h"
#include "tests/bench/process.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum { GROUP_ROWS_MAX = 16384, APPEND_ROWS = 256 };

struct setting {
    struct bench_data data;
    const char *program;
    uint64_t repeat_ct;
    const char *directory;
    const char *store, *other; /* a store, and a place for copies and exports */
};

/* One command. */
struct action {
    const char *what;
    const char *const *command;
    void (*prepare)(const struct setting *setting);
    const char *made;  /* what it makes: the store, or an export */
    bool is_only_read; /* it makes nothing: the reference reads */
    struct bench_series rates, reference_rates;
};

/* ---- stores before the command -------------------------------------------- */

static void prepare_raw(const struct setting *setting)
{
    bench_create(&setting->data, setting->store, "none", 0);
    bench_fill(&setting->data, setting->store, BENCH_IDS_IN_ORDER, false);
}

static void prepare_zstd(const struct setting *setting)
{
    bench_create(&setting->data, setting->store, "zstd:1", 0);
    bench_fill(&setting->data, setting->store, BENCH_IDS_IN_ORDER, false);
}

static void append_rows(const struct bench_data *data, dms_store *store, uint64_t first,
                        uint64_t row_ct)
{
    struct dms_row rows[APPEND_ROWS];
    const void *outputs[APPEND_ROWS][1];
    size_t mask_bytes = (size_t)(data->example_ct + 7) / 8;
    uint8_t *masks = bench_alloc((size_t)row_ct * mask_bytes);
    uint16_t *margins = bench_alloc((size_t)(row_ct * data->target_ct) * sizeof *margins);
    bench_masks(data, first, row_ct, masks);
    bench_margins(data, first, row_ct, 0, data->target_ct, margins);
    for (uint64_t k = 0; k < row_ct; k++) {
        outputs[k][0] = margins + k * data->target_ct;
        rows[k] = (struct dms_row){
            .id = first + k, .mask = masks + k * mask_bytes, .outputs = outputs[k]};
    }
    bench_check(dms_append_rows(store, rows, (size_t)row_ct, DMS_DUPLICATE_ERROR, NULL), "append");
    free(masks);
    free(margins);
}

/* Staged rows that no append seals: fewer than a group takes. */
static void prepare_staged(const struct setting *setting)
{
    const struct bench_data *data = &setting->data;
    dms_store *store;
    bench_create(data, setting->store, "none", GROUP_ROWS_MAX);
    bench_check(dms_store_open(setting->store, &store), "open");
    for (uint64_t row = 0; row < data->row_ct; row += APPEND_ROWS) {
        uint64_t rest = data->row_ct - row;
        append_rows(data, store, row, rest < APPEND_ROWS ? rest : APPEND_ROWS);
    }
    dms_store_close(store);
}

/* Every tenth row removed. */
static void prepare_removed(const struct setting *setting)
{
    uint64_t id_ct = setting->data.row_ct / 10;
    uint64_t *ids = bench_alloc((size_t)id_ct * sizeof *ids);
    dms_store *store;
    for (uint64_t k = 0; k < id_ct; k++) {
        ids[k] = 10 * k;
    }
    prepare_raw(setting);
    bench_check(dms_store_open(setting->store, &store), "open");
    bench_check(dms_store_remove(store, ids, (size_t)id_ct, false, NULL), "remove");
    dms_store_close(store);
    free(ids);
}

/* ---- measuring ------------------------------------------------------------ */

static void clean(const struct setting *setting)
{
    bench_remove(setting->store);
    bench_remove(setting->other);
}

/* The command and its reference, once. */
static void run(const struct setting *setting, struct action *action)
{
    struct bench_process process;
    clean(setting);
    action->prepare(setting);
    if (action->made != setting->store) {
        const char *make[] = {"mkdir", setting->other, NULL};
        bench_run(make, NULL);
    }
    sync();
    bench_run(action->command, &process);
    if (action->is_only_read) {
        double start = bench_now();
        double bytes = (double)bench_read(setting->store);
        bench_add(&action->reference_rates, 1e-6 * bytes / (bench_now() - start));
        bench_add(&action->rates, 1e-6 * bytes / process.seconds);
        return;
    }
    double bytes = (double)bench_directory_bytes(action->made);
    bench_add(&action->rates, 1e-6 * bytes / process.seconds);
    const char *copy = bench_path(setting->directory, "copy");
    sync();
    double start = bench_now();
    bench_copy(action->made, copy);
    bench_add(&action->reference_rates, 1e-6 * bytes / (bench_now() - start));
    bench_remove(copy);
}

static void print_action(const struct setting *setting, const struct action *action)
{
    const struct bench_data *data = &setting->data;
    bench_print_row(&(struct bench_row){
        .what = action->what,
        .size = bench_text("%" PRIu64 " rows, d %" PRIu64 ", n %" PRIu64, data->row_ct,
                           data->example_ct, data->target_ct),
        .series = &action->rates,
        .unit = "MB/s",
        .reference_name = action->is_only_read ? "read" : "cp + fsync",
        .reference = &action->reference_rates,
    });
}

/* Every command, `repeat_ct` times in turn. */
static void measure(const struct setting *setting)
{
    const char *program = setting->program;
    const char *store = setting->store;
    const char *masks = bench_path(setting->other, "masks.npy");
    const char *margins = bench_text("margins=%s/margins.npy", setting->other);
    const char *seal[] = {program, "seal", store, NULL};
    const char *compact[] = {program, "compact", store, NULL};
    const char *compress[] = {program, "compact", store, "--codec", "zstd:1", NULL};
    const char *expand[] = {program, "compact", store, "--codec", "none", NULL};
    const char *export[] = {program, "export", store, "--masks", masks, "--output", margins, NULL};
    const char *verify[] = {program, "verify", store, NULL};
    const char *quick[] = {program, "verify", "--quick", store, NULL};
    struct action actions[] = {
        {"seal", seal, prepare_staged, store, false, {.value_ct = 0}, {.value_ct = 0}},
        {"compact after removing a tenth",
         compact,
         prepare_removed,
         store,
         false,
         {.value_ct = 0},
         {.value_ct = 0}},
        {"compact --codec zstd:1",
         compress,
         prepare_raw,
         store,
         false,
         {.value_ct = 0},
         {.value_ct = 0}},
        {"compact --codec none",
         expand,
         prepare_zstd,
         store,
         false,
         {.value_ct = 0},
         {.value_ct = 0}},
        {"export, raw store",
         export,
         prepare_raw,
         setting->other,
         false,
         {.value_ct = 0},
         {.value_ct = 0}},
        {"export, zstd:1 store",
         export,
         prepare_zstd,
         setting->other,
         false,
         {.value_ct = 0},
         {.value_ct = 0}},
        {"verify, raw store", verify, prepare_raw, store, true, {.value_ct = 0}, {.value_ct = 0}},
        {"verify, zstd:1 store",
         verify,
         prepare_zstd,
         store,
         true,
         {.value_ct = 0},
         {.value_ct = 0}},
        {"verify --quick, zstd:1 store",
         quick,
         prepare_zstd,
         store,
         true,
         {.value_ct = 0},
         {.value_ct = 0}},
    };
    size_t action_ct = sizeof actions / sizeof *actions;
    for (uint64_t repeat = 0; repeat < setting->repeat_ct; repeat++) {
        for (size_t k = 0; k < action_ct; k++) {
            run(setting, &actions[k]);
        }
    }
    for (size_t k = 0; k < action_ct; k++) {
        print_action(setting, &actions[k]);
    }
}

int main(int argc, char **argv)
{
    bool is_full = false;
    struct setting setting = {.data = {.example_ct = 50000, .target_ct = 2000, .seed = 1},
                              .program = "./dmstore",
                              .repeat_ct = 5};
    const struct bench_flag flags[] = {
        {.name = "full", .is_set = &is_full},
        {.name = "rows", .number = &setting.data.row_ct},
        {.name = "examples", .number = &setting.data.example_ct},
        {.name = "targets", .number = &setting.data.target_ct},
        {.name = "repeats", .number = &setting.repeat_ct},
        {.name = "dmstore", .text = &setting.program},
        {.name = "directory", .text = &setting.directory},
    };
    bench_read_flags(argc, argv, flags, sizeof flags / sizeof *flags);
    if (setting.data.row_ct == 0) {
        setting.data.row_ct = is_full ? 16000 : 2000;
    }
    if (setting.data.row_ct >= GROUP_ROWS_MAX) {
        bench_die("at most %d rows: more are sealed while they are appended", GROUP_ROWS_MAX - 1);
    }
    setting.directory = bench_make_directory(setting.directory);
    setting.store = bench_path(setting.directory, "store");
    setting.other = bench_path(setting.directory, "other");
    bench_print_head(setting.directory);
    measure(&setting);
    bench_remove(setting.directory);
    return 0;
}
