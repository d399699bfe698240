/*
 * Draws fits: see fit_data.h.
 */
#include "tests/bench/fit_data.h"

#include "dmstore/fit.h"
#include "tests/bench/bench.h"
#include "tests/bench/data.h"
#include "tests/bench/random.h"

#include <stdlib.h>
#include <string.h>

/* Examples that a group shares, for each weight of a target. */
enum { POOL_FACTOR = 4 };

void bench_fit_data_init(struct bench_fit_data *data)
{
    *data = (struct bench_fit_data){
        .example_ct = 50000,
        .target_ct = 10000,
        .weight_ct = 500,
        .group_ct = 200,
        .seed = 1,
    };
}

/* ---- random numbers ------------------------------------------------------- */

static uint64_t stream_of(const struct bench_fit_data *data, uint64_t what, uint64_t number)
{
    return dms_mix(dms_mix(data->seed * 2 + what) + number);
}

/* ---- targets -------------------------------------------------------------- */

struct weight {
    uint32_t example;
    double weight;
};

/* One of the examples that a group shares, the first ones more often, and about the weight that the
 * group gives it. */
static struct weight draw_shared(const struct bench_fit_data *data, uint64_t group, uint64_t *state)
{
    double share = bench_draw_share(state);
    uint64_t pool = data->weight_ct * POOL_FACTOR;
    uint64_t at = (uint64_t)(share * share * (double)pool);
    uint64_t of_group = stream_of(data, 1, group * pool + at);
    uint32_t example = (uint32_t)(dms_mix_next(&of_group) % data->example_ct);
    double weight = bench_draw_normal(&of_group) / (1 + (double)at / 16);
    return (struct weight){example, weight * (0.5 + bench_draw_share(state))};
}

static struct weight draw_own(const struct bench_fit_data *data, uint64_t *state)
{
    uint32_t example = (uint32_t)(dms_mix_next(state) % data->example_ct);
    return (struct weight){example, 0.1 * bench_draw_normal(state)};
}

static int compare_examples(const void *a, const void *b)
{
    uint32_t left = ((const struct weight *)a)->example;
    uint32_t right = ((const struct weight *)b)->example;
    return (left > right) - (left < right);
}

/* Sorts weights by example and leaves out what came twice, or is 0. Returns how many are left. */
static uint64_t sort_weights(struct weight *weights, uint64_t weight_ct)
{
    uint64_t kept = 0;
    qsort(weights, weight_ct, sizeof *weights, compare_examples);
    for (uint64_t k = 0; k < weight_ct; k++) {
        if (weights[k].weight != 0 &&
            (kept == 0 || weights[kept - 1].example != weights[k].example)) {
            weights[kept++] = weights[k];
        }
    }
    return kept;
}

static void draw_weights(const struct bench_fit_data *data, uint64_t target, struct weight *weights)
{
    uint64_t state = stream_of(data, 0, target);
    uint64_t kept = 0;
    while (kept < data->weight_ct) {
        for (uint64_t k = kept; k < data->weight_ct; k++) {
            weights[k] = k % 2 == 0 ? draw_shared(data, target % data->group_ct, &state)
                                    : draw_own(data, &state);
        }
        kept = sort_weights(weights, data->weight_ct);
    }
}

/* ---- fits ----------------------------------------------------------------- */

static void add_targets(const struct bench_fit_data *data, dms_fit_part *part)
{
    struct weight *drawn = bench_alloc(data->weight_ct * sizeof *drawn);
    uint32_t *examples = bench_alloc(data->weight_ct * sizeof *examples);
    double *weights = bench_alloc(data->weight_ct * sizeof *weights);
    for (uint64_t target = 0; target < data->target_ct; target++) {
        draw_weights(data, target, drawn);
        for (uint64_t k = 0; k < data->weight_ct; k++) {
            examples[k] = drawn[k].example;
            weights[k] = drawn[k].weight;
        }
        struct dms_fitted_target fitted = {
            .target = target,
            .bias = 1 + (double)(target % 7),
            .lambda = 1e-3,
            .gap = 1e-5,
            .null_deviance = 1,
            .mean = 2 + (double)(target % 7),
            .row_ct = 1100,
            .weight_ct = data->weight_ct,
            .examples = examples,
            .weights = weights,
        };
        bench_check(dms_fit_part_add(part, &fitted), "add a target");
    }
    free(drawn);
    free(examples);
    free(weights);
}

/* The header of a fit of the store: its uuid, d and n. */
static void read_store(const char *path, struct dms_fit_header *header)
{
    dms_snapshot *snapshot;
    struct dms_snapshot_info info;
    uint32_t column;
    bench_check(dms_snapshot_open(path, &snapshot), "open the store");
    dms_snapshot_info(snapshot, &info);
    const struct dms_schema *schema = dms_snapshot_schema(snapshot);
    bench_check(dms_schema_find(schema, header->output, &column), "find the output");
    memcpy(header->store_uuid, info.store_uuid, sizeof info.store_uuid);
    header->sequence = info.sequence;
    header->example_ct = schema->example_ct;
    header->target_ct = schema->columns[column].target_ct;
    dms_snapshot_close(snapshot);
}

void bench_fit_add(const struct bench_fit_data *data, const char *path, const char *output,
                   const char *name)
{
    struct dms_id_range training = {0, 1000};
    struct dms_id_range validation = {1000, 100};
    struct dms_id_range held_out = {1100, 100};
    struct dms_fit_header header = {
        .name = name,
        .output = output,
        .training = {1, &training, 1000, {1, 2}},
        .validation = {1, &validation, 100, {3, 4}},
        .held_out = {1, &held_out, 100, {5, 6}},
    };
    dms_fit_part *part;
    dms_store *store;
    read_store(path, &header);
    bench_check(dms_fit_part_create(&header, NULL, 0, &part), "begin a part");
    add_targets(data, part);
    bench_check(dms_store_open(path, &store), "open the store");
    bench_check(dms_store_merge_fit(store, part, NULL), "add the fit");
    dms_store_close(store);
    dms_fit_part_free(part);
}

void bench_fit_create(const struct bench_fit_data *data, const char *path, const char *name)
{
    struct bench_data store = {.example_ct = data->example_ct, .target_ct = data->target_ct};
    bench_create(&store, path, "none", 0);
    bench_fit_add(data, path, "margins", name);
}
