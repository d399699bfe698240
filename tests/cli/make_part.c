/*
 * Makes a part of a fit with made-up numbers, for the command-line tests:
 *
 *     make_part STORE FIT OUTPUT FIRST END PART [KEY=VALUE ...]
 *
 * writes targets FIRST .. END - 1 to the file PART. Target t has t % 4 weights, weight k being t +
 * k / 8 for example 2 k + t % 2, bias t / 2, lambda 1 / (t + 1); every third target is uncertified.
 * Training models are 0 to 3, the validation model is 4, the held-out one 5. The pairs are the
 * problem, in order.
 */
#include <dmstore.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int status)
{
    if (status != 0) {
        fprintf(stderr, "make_part: %s\n", dms_error_message());
        exit(1);
    }
}

/* The header of a fit of the store: its uuid, d and n. */
static void fill_header(const char *store, struct dms_fit_header *header)
{
    dms_snapshot *snapshot;
    struct dms_snapshot_info info;
    uint32_t column;
    must(dms_snapshot_open(store, &snapshot));
    dms_snapshot_info(snapshot, &info);
    const struct dms_schema *schema = dms_snapshot_schema(snapshot);
    must(dms_schema_find(schema, header->output, &column));
    memcpy(header->store_uuid, info.store_uuid, sizeof info.store_uuid);
    header->sequence = info.sequence;
    header->example_ct = schema->example_ct;
    header->target_ct = schema->columns[column].target_ct;
    dms_snapshot_close(snapshot);
}

static void add_target(dms_fit_part *part, uint64_t number)
{
    uint32_t examples[3];
    double weights[3];
    double lambdas[2] = {2, 1 / ((double)number + 1)};
    double errors[2] = {0.5, 0.25};
    double gaps[2] = {0, 1e-5};
    uint32_t weight_cts[2] = {0, (uint32_t)(number % 4)};
    for (uint32_t k = 0; k < 3; k++) {
        examples[k] = 2 * k + (uint32_t)(number % 2);
        weights[k] = (double)number + k / 8.0;
    }
    struct dms_fitted_target target = {
        .target = number,
        .flags = DMS_FITTED_REFITTED | (number % 3 == 2 ? DMS_FITTED_UNCERTIFIED : 0),
        .bias = (double)number / 2,
        .lambda = lambdas[1],
        .gap = number % 3 == 2 ? 0.125 : 1e-5,
        .null_deviance = 1,
        .mean = 0.5,
        .row_ct = 5,
        .weight_ct = (size_t)(number % 4),
        .examples = examples,
        .weights = weights,
        .path_ct = 2,
        .chosen = 1,
        .path_lambdas = lambdas,
        .path_errors = errors,
        .path_gaps = gaps,
        .path_weight_cts = weight_cts,
    };
    must(dms_fit_part_add(part, &target));
}

int main(int argc, char **argv)
{
    enum { PAIRS_AT = 7, PAIR_MAX = 8 };
    struct dms_id_range training[] = {{0, 4}};
    struct dms_id_range validation[] = {{4, 1}};
    struct dms_id_range held_out[] = {{5, 1}};
    struct dms_metadata problem[PAIR_MAX];
    struct dms_metadata provenance[] = {{"host", "gpu01"}, {"seed", "7"}};
    dms_fit_part *part;
    if (argc < PAIRS_AT || argc > PAIRS_AT + PAIR_MAX) {
        fprintf(stderr, "make_part: wrong arguments\n");
        return 2;
    }
    struct dms_fit_header header = {
        .name = argv[2],
        .output = argv[3],
        .training = {1, training, 4, {1, 2}},
        .validation = {1, validation, 1, {3, 4}},
        .held_out = {1, held_out, 1, {5, 6}},
        .problem = problem,
    };
    for (int k = PAIRS_AT; k < argc; k++) {
        char *value = strchr(argv[k], '=');
        *value = '\0';
        problem[header.problem_ct++] = (struct dms_metadata){argv[k], value + 1};
    }
    fill_header(argv[1], &header);
    must(dms_fit_part_create(&header, provenance, 2, &part));
    for (uint64_t target = strtoull(argv[4], NULL, 10); target < strtoull(argv[5], NULL, 10);
         target++) {
        add_target(part, target);
    }
    must(dms_fit_part_save(part, argv[6]));
    dms_fit_part_free(part);
    return 0;
}
