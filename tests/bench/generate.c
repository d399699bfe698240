/*
 * Writes the data of the benchmarks as NumPy files, for trying the commands by hand at the
 * published sizes, or straight into a store:
 *
 *   generate --rows M --examples D --targets N [--subset-size K | --alpha A] [--seed S]
 *            [--masks FILE] [--packed FILE] [--margins FILE] [--completed FILE]
 *            [--store PATH] [--codec CODEC] [--truth DIR]
 *            [--planted] [--support LEAST:MOST] [--r2 LEAST:MOST] [--tail DEGREES] [--negative
 * SHARE]
 *
 * What it draws is described in data.h, and what --planted plants, in planted.h; the options after
 * it change that, and --truth writes it down. Files and stores of one seed hold the same rows. The
 * ids in a store are 0 .. M - 1.
 */
#include "dmstore/sample.h"
#include "tests/bench/bench.h"
#include "tests/bench/data.h"
#include "tests/bench/planted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What to write where; NULL: not. */
struct outputs {
    const char *masks, *packed, *margins, *completed, *store, *codec, *truth;
};

/* How what is planted differs from the usual; NULL: not. */
struct changes {
    bool is_planted;
    const char *support, *r2, *tail, *negative;
};

/* Reads "A:B", or "A" alone for both; ends the program with a message that names the flag. */
static void read_range(const char *flag, const char *text, double *first, double *last)
{
    char *end;
    *first = *last = strtod(text, &end);
    if (end > text && *end == ':') {
        text = end + 1;
        *last = strtod(text, &end);
    }
    if (end == text || *end != '\0' || !(*first >= 0 && *last >= 0 && *last < 1e15)) {
        bench_die("--%s: '%s' is neither a number nor a range LEAST:MOST", flag, text);
    }
}

static double read_one(const char *flag, const char *text)
{
    double first, last;
    read_range(flag, text, &first, &last);
    if (strchr(text, ':')) {
        bench_die("--%s: '%s' is not one number", flag, text);
    }
    return first;
}

static struct bench_planted *plant(const struct bench_data *data, const struct changes *changes)
{
    struct bench_planting planting;
    bench_planting_init(&planting);
    if (changes->support) {
        double support_least, support_most;
        read_range("support", changes->support, &support_least, &support_most);
        planting.support_least = (uint64_t)support_least;
        planting.support_most = (uint64_t)support_most;
    }
    if (changes->r2) {
        read_range("r2", changes->r2, &planting.r2_least, &planting.r2_most);
    }
    if (changes->tail) {
        planting.tail = (uint64_t)read_one("tail", changes->tail);
    }
    if (changes->negative) {
        planting.negative_share = read_one("negative", changes->negative);
    }
    return bench_plant(data, &planting);
}

static void write_outputs(const struct bench_data *data, const struct outputs *outputs)
{
    if (outputs->truth) {
        bench_planted_write(data->planted, outputs->truth);
    }
    if (outputs->masks) {
        bench_write_masks(data, false, outputs->masks);
    }
    if (outputs->packed) {
        bench_write_masks(data, true, outputs->packed);
    }
    if (outputs->margins) {
        bench_write_margins(data, outputs->margins);
    }
    if (outputs->completed) {
        bench_write_completed(data, outputs->completed);
    }
    if (outputs->store) {
        bench_create(data, outputs->store, outputs->codec, 0);
        bench_fill(data, outputs->store, BENCH_IDS_IN_ORDER, false);
    }
}

int main(int argc, char **argv)
{
    struct bench_data data = {.row_ct = 1000, .example_ct = 50000, .target_ct = 2000, .seed = 1};
    struct outputs outputs = {.codec = "none"};
    struct changes changes = {.is_planted = false};
    const char *alpha = NULL;
    const struct bench_flag flags[] = {
        {.name = "rows", .number = &data.row_ct},
        {.name = "examples", .number = &data.example_ct},
        {.name = "targets", .number = &data.target_ct},
        {.name = "subset-size", .number = &data.subset_size},
        {.name = "alpha", .text = &alpha},
        {.name = "seed", .number = &data.seed},
        {.name = "masks", .text = &outputs.masks},
        {.name = "packed", .text = &outputs.packed},
        {.name = "margins", .text = &outputs.margins},
        {.name = "completed", .text = &outputs.completed},
        {.name = "store", .text = &outputs.store},
        {.name = "codec", .text = &outputs.codec},
        {.name = "truth", .text = &outputs.truth},
        {.name = "planted", .is_set = &changes.is_planted},
        {.name = "support", .text = &changes.support},
        {.name = "r2", .text = &changes.r2},
        {.name = "tail", .text = &changes.tail},
        {.name = "negative", .text = &changes.negative},
    };
    bench_read_flags(argc, argv, flags, sizeof flags / sizeof *flags);
    if (alpha) {
        bench_check(dms_alpha_parse(alpha, data.example_ct, &data.subset_size), "--alpha");
    }
    if (!changes.is_planted &&
        (outputs.truth || changes.support || changes.r2 || changes.tail || changes.negative)) {
        bench_die("--truth, --support, --r2, --tail and --negative are for --planted");
    }
    struct bench_planted *planted = changes.is_planted ? plant(&data, &changes) : NULL;
    data.planted = planted;
    write_outputs(&data, &outputs);
    bench_planted_free(planted);
    return 0;
}
