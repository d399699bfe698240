/*
 * Makes a part of a fit with made-up numbers, for the command-line tests:
 *
 *     make_part STORE FIT OUTPUT FIRST END PART [--weights W.npy] [--bias B.npy] [--no-bias]
 *               [KEY=VALUE ...]
 *
 * writes targets FIRST .. END - 1 to the file PART. Target t has t % 4 weights, weight k being t +
 * k / 8 for example 2 k + t % 2, bias t / 2, lambda 1 / (t + 1); every third target is uncertified.
 * Training models are 0 to 3, the validation model is 4, the held-out one 5. The pairs are the
 * problem, in order.
 *
 * W.npy: float64 (END - FIRST, examples), the weights of each target instead of those; zeros are no
 * weights. B.npy: float64 (END - FIRST,), the biases. --no-bias: flagged to have none.
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

/* The float64 values of a .npy file, whose shape multiplies to value_ct; the caller frees them. */
static double *read_doubles(const char *path, size_t value_ct)
{
    FILE *file = fopen(path, "rb");
    struct dms_npy npy;
    uint8_t header[4096];
    double *values = malloc(value_ct * sizeof *values + 1);
    if (!file || !values) {
        fprintf(stderr, "make_part: cannot read '%s'\n", path);
        exit(1);
    }
    must(dms_npy_parse(header, fread(header, 1, sizeof header, file), &npy));
    if (npy.kind != 'f' || npy.item_bytes != 8 || npy.data_bytes != value_ct * 8 ||
        fseek(file, (long)npy.data_offset, SEEK_SET) != 0 ||
        fread(values, 8, value_ct, file) != value_ct) {
        fprintf(stderr, "make_part: '%s' is not float64 with %zu values\n", path, value_ct);
        exit(1);
    }
    fclose(file);
    return values;
}

/* What the command line says of the targets; NULL: the made-up numbers. */
struct model {
    uint64_t first, end, example_ct;
    double *weights, *biases;
    bool no_bias;
};

static void add_target(dms_fit_part *part, const struct model *model, uint64_t number)
{
    uint32_t *examples = malloc((size_t)(model->example_ct + 3) * sizeof *examples);
    double *weights = malloc((size_t)(model->example_ct + 3) * sizeof *weights);
    size_t weight_ct = (size_t)(number % 4);
    double lambdas[2] = {2, 1 / ((double)number + 1)};
    double errors[2] = {0.5, 0.25};
    double gaps[2] = {0, 1e-5};
    if (!examples || !weights) {
        exit(1);
    }
    for (uint32_t k = 0; k < weight_ct; k++) {
        examples[k] = 2 * k + (uint32_t)(number % 2);
        weights[k] = (double)number + k / 8.0;
    }
    if (model->weights) {
        const double *row = model->weights + (number - model->first) * model->example_ct;
        weight_ct = 0;
        for (uint32_t k = 0; k < model->example_ct; k++) {
            examples[weight_ct] = k;
            weights[weight_ct] = row[k];
            weight_ct += row[k] != 0;
        }
    }
    uint32_t weight_cts[2] = {0, (uint32_t)weight_ct};
    struct dms_fitted_target target = {
        .target = number,
        .flags = DMS_FITTED_REFITTED | (number % 3 == 2 ? DMS_FITTED_UNCERTIFIED : 0) |
                 (model->no_bias ? DMS_FITTED_NO_BIAS : 0),
        .bias = model->no_bias  ? 0
                : model->biases ? model->biases[number - model->first]
                                : (double)number / 2,
        .lambda = lambdas[1],
        .gap = number % 3 == 2 ? 0.125 : 1e-5,
        .null_deviance = 1,
        .mean = 0.5,
        .row_ct = 5,
        .weight_ct = weight_ct,
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
    free(examples);
    free(weights);
}

int main(int argc, char **argv)
{
    enum { PAIRS_AT = 7, ARGUMENT_MAX = 13 };
    const char *weights = NULL, *biases = NULL;
    struct model model = {0};
    struct dms_id_range training[] = {{0, 4}};
    struct dms_id_range validation[] = {{4, 1}};
    struct dms_id_range held_out[] = {{5, 1}};
    struct dms_metadata problem[ARGUMENT_MAX];
    struct dms_metadata provenance[] = {{"host", "gpu01"}, {"seed", "7"}};
    dms_fit_part *part;
    if (argc < PAIRS_AT || argc > PAIRS_AT + ARGUMENT_MAX) {
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
        if (strcmp(argv[k], "--no-bias") == 0) {
            model.no_bias = true;
        } else if (strcmp(argv[k], "--weights") == 0 && k + 1 < argc) {
            weights = argv[++k];
        } else if (strcmp(argv[k], "--bias") == 0 && k + 1 < argc) {
            biases = argv[++k];
        } else if (value) {
            *value = '\0';
            problem[header.problem_ct++] = (struct dms_metadata){argv[k], value + 1};
        } else {
            fprintf(stderr, "make_part: what is '%s'?\n", argv[k]);
            return 2;
        }
    }
    fill_header(argv[1], &header);
    model.first = strtoull(argv[4], NULL, 10);
    model.end = strtoull(argv[5], NULL, 10);
    model.example_ct = header.example_ct;
    model.weights =
        weights ? read_doubles(weights, (size_t)((model.end - model.first) * model.example_ct))
                : NULL;
    model.biases = biases ? read_doubles(biases, (size_t)(model.end - model.first)) : NULL;
    must(dms_fit_part_create(&header, provenance, 2, &part));
    for (uint64_t target = model.first; target < model.end; target++) {
        add_target(part, &model, target);
    }
    must(dms_fit_part_save(part, argv[6]));
    dms_fit_part_free(part);
    free(model.weights);
    free(model.biases);
    return 0;
}
