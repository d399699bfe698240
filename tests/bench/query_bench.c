/*
 * Questions to a made-up fit (see fit_data.h), each by its command, in a process of its own:
 * seconds on the wall beyond the start-up of the program (what `dmstore --version` takes), and
 * anonymous memory against the sparse weights (12 bytes each).
 *
 *   query_bench [--full] [--examples D] [--targets N] [--weights W] [--groups G] [--masks M]
 *               [--components K] [--repeats R] [--dmstore PROGRAM] [--directory DIR]
 *
 * The fit lies in the page cache. --full is the published size, the only one that goals are for.
 */
#include "tests/bench/bench.h"
#include "tests/bench/data.h"
#include "tests/bench/fit_data.h"
#include "tests/bench/process.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { WEIGHT_BYTES = 12, MIB = 1 << 20 };

struct setting {
    struct bench_fit_data fit;
    uint64_t mask_ct, component_ct, repeat_ct;
    bool is_full;
    const char *program, *directory;
    const char *store, *masks, *result;
};

struct question {
    const char *what;
    const char *const *command;
    double limit_seconds; /* goal at the published size; 0: none */
    struct bench_series seconds, anonymous_mib;
};

static void make_inputs(const struct setting *setting)
{
    const struct bench_data masks = {
        .row_ct = setting->mask_ct,
        .example_ct = setting->fit.example_ct,
        .seed = 1,
    };
    bench_fit_create(&setting->fit, setting->store, "fit");
    bench_write_masks(&masks, true, setting->masks);
}

static void ask(struct question *question, double start_up_seconds)
{
    struct bench_process process;
    bench_run(question->command, &process);
    bench_add(&question->seconds, process.seconds - start_up_seconds);
    bench_add(&question->anonymous_mib, (double)process.anonymous_bytes / MIB);
}

static void print_question(const struct setting *setting, const struct question *question,
                           const struct bench_series *start_up)
{
    const struct bench_fit_data *fit = &setting->fit;
    const char *size = bench_text("d %" PRIu64 ", n %" PRIu64 ", %" PRIu64 " weights a target",
                                  fit->example_ct, fit->target_ct, fit->weight_ct);
    bool has_goal = setting->is_full && question->limit_seconds > 0;
    bench_print_row(&(struct bench_row){
        .what = question->what,
        .size = size,
        .series = &question->seconds,
        .unit = "s",
        .reference_name = "start-up (subtracted)",
        .reference = start_up,
        .goal = has_goal ? BENCH_AT_MOST : BENCH_NO_GOAL,
        .limit = question->limit_seconds,
    });
    bench_print_row(&(struct bench_row){
        .what = bench_text("%s: RssAnon", question->what),
        .size = size,
        .series = &question->anonymous_mib,
        .unit = "MiB",
        .reference_name = "sparse weights",
        .reference_value = (double)(fit->target_ct * fit->weight_ct * WEIGHT_BYTES) / MIB,
        .goal = has_goal ? BENCH_AT_MOST : BENCH_NO_GOAL,
        .is_goal_of_ratio = true,
        .limit = 2,
    });
}

/* All questions in turns, so that what else the machine does falls on all of them. */
static void ask_all(const struct setting *setting, struct question *questions, size_t question_ct)
{
    const char *start[] = {setting->program, "--version", NULL};
    struct bench_series start_up = {.value_ct = 0};
    for (uint64_t repeat = 0; repeat < setting->repeat_ct; repeat++) {
        struct bench_process process;
        bench_run(start, &process);
        bench_add(&start_up, process.seconds);
        for (size_t k = 0; k < question_ct; k++) {
            ask(&questions[k], process.seconds);
        }
    }
    for (size_t k = 0; k < question_ct; k++) {
        print_question(setting, &questions[k], &start_up);
    }
}

static void measure(const struct setting *setting)
{
    const char *program = setting->program, *store = setting->store;
    const char *masks = setting->masks, *result = setting->result;
    const char *component_ct = bench_text("%" PRIu64, setting->component_ct);
    const char *top[] = {program, "top", store, "fit", "--target", "7", NULL};
    const char *all_top[] = {program, "top", store, "fit", "--all-targets", "--json", NULL};
    const char *predict[] = {program, "predict", store,  "fit", "--masks",
                             masks,   "-o",      result, NULL};
    const char *support[] = {program, "support", store, "fit", "--all", "--json", NULL};
    const char *leakage[] = {program, "leakage", store, "fit", NULL};
    const char *similar[] = {program, "similar", store, "fit", "--target", "7", NULL};
    const char *select[] = {program, "select", store, "fit",        "--targets",
                            "all",   "-k",     "100", "--minimize", NULL};
    const char *embed[] = {program,      "embed", store,  "fit", "--pca",
                           component_ct, "-o",    result, NULL};
    struct question questions[] = {
        {.what = "top, one target", .command = top, .limit_seconds = 0.005},
        {.what = "top, all targets", .command = all_top},
        {.what = bench_text("predict, %" PRIu64 " masks, all targets", setting->mask_ct),
         .command = predict,
         .limit_seconds = 2},
        {.what = "support, all targets", .command = support, .limit_seconds = 2},
        {.what = "leakage, all targets", .command = leakage},
        {.what = "similar, one target", .command = similar},
        {.what = "select 100 examples", .command = select},
        {.what = bench_text("embed, %" PRIu64 " components", setting->component_ct),
         .command = embed,
         .limit_seconds = 60},
    };
    ask_all(setting, questions, sizeof questions / sizeof *questions);
}

int main(int argc, char **argv)
{
    struct setting setting = {
        .fit.seed = 1, .mask_ct = 1000, .program = "./dmstore", .repeat_ct = 5};
    const struct bench_flag flags[] = {
        {.name = "full", .is_set = &setting.is_full},
        {.name = "examples", .number = &setting.fit.example_ct},
        {.name = "targets", .number = &setting.fit.target_ct},
        {.name = "weights", .number = &setting.fit.weight_ct},
        {.name = "groups", .number = &setting.fit.group_ct},
        {.name = "masks", .number = &setting.mask_ct},
        {.name = "components", .number = &setting.component_ct},
        {.name = "repeats", .number = &setting.repeat_ct},
        {.name = "dmstore", .text = &setting.program},
        {.name = "directory", .text = &setting.directory},
    };
    bench_read_flags(argc, argv, flags, sizeof flags / sizeof *flags);
    bench_set_default(&setting.fit.example_ct, setting.is_full ? 50000 : 10000);
    bench_set_default(&setting.fit.target_ct, setting.is_full ? 10000 : 2000);
    bench_set_default(&setting.fit.weight_ct, setting.is_full ? 500 : 200);
    bench_set_default(&setting.fit.group_ct, setting.is_full ? 200 : 50);
    bench_set_default(&setting.component_ct, setting.is_full ? 100 : 50);
    setting.directory = bench_make_directory(setting.directory);
    setting.store = bench_path(setting.directory, "store");
    setting.masks = bench_path(setting.directory, "masks.npy");
    setting.result = bench_path(setting.directory, "result.npy");
    bench_print_head(setting.directory);
    make_inputs(&setting);
    measure(&setting);
    bench_remove(setting.directory);
    return 0;
}
