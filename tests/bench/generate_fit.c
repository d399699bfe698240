/*
 * Writes a made-up fit into a new store without models, for trying queries by hand at the published
 * sizes:
 *
 *   generate_fit --store PATH [--name NAME] [--examples D] [--targets N] [--weights W]
 *                [--groups G] [--seed S]
 *
 * What it draws is described in fit_data.h.
 */
#include "tests/bench/bench.h"
#include "tests/bench/fit_data.h"

int main(int argc, char **argv)
{
    struct bench_fit_data data;
    const char *store = NULL;
    const char *name = "fit";
    const struct bench_flag flags[] = {
        {.name = "store", .text = &store},
        {.name = "name", .text = &name},
        {.name = "examples", .number = &data.example_ct},
        {.name = "targets", .number = &data.target_ct},
        {.name = "weights", .number = &data.weight_ct},
        {.name = "groups", .number = &data.group_ct},
        {.name = "seed", .number = &data.seed},
    };
    bench_fit_data_init(&data);
    bench_read_flags(argc, argv, flags, sizeof flags / sizeof *flags);
    if (!store) {
        bench_die("--store PATH is missing");
    }
    bench_fit_create(&data, store, name);
    return 0;
}
