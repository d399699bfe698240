/*
 * Writes the data of the benchmarks as NumPy files, for trying the commands by hand at the
 * published sizes:
 *
 *   generate --rows M --examples D --targets N [--subset-size K] [--weights W] [--seed S]
 *            [--masks FILE] [--packed FILE] [--margins FILE]
 *
 * What it draws is described in data.h.
 */
#include "tests/bench/bench.h"
#include "tests/bench/data.h"

int main(int argc, char **argv)
{
    struct bench_data data = {.row_ct = 1000, .example_ct = 50000, .target_ct = 2000, .seed = 1};
    const char *masks = NULL;
    const char *packed = NULL;
    const char *margins = NULL;
    const struct bench_flag flags[] = {
        {.name = "rows", .number = &data.row_ct},
        {.name = "examples", .number = &data.example_ct},
        {.name = "targets", .number = &data.target_ct},
        {.name = "subset-size", .number = &data.subset_size},
        {.name = "weights", .number = &data.weight_ct},
        {.name = "seed", .number = &data.seed},
        {.name = "masks", .text = &masks},
        {.name = "packed", .text = &packed},
        {.name = "margins", .text = &margins},
    };
    bench_read_flags(argc, argv, flags, sizeof flags / sizeof *flags);
    if (masks) {
        bench_write_masks(&data, false, masks);
    }
    if (packed) {
        bench_write_masks(&data, true, packed);
    }
    if (margins) {
        bench_write_margins(&data, margins);
    }
    return 0;
}
