/*
 * Defaults of a fit, their check against the schema, and the problem as text; see options.h.
 */
#include "solver/options.h"

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/hash.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void dms_fit_options_init(struct dms_fit_options *options)
{
    *options = (struct dms_fit_options){
        .held_out_ct = DMS_FIT_DEFAULT,
        .validation_ct = DMS_FIT_DEFAULT,
        .solver = DMS_SOLVER_AUTO,
        .lambda_ct = 100,
        .lambda_min_ratio = 0.01,
        .tolerance = 1e-4,
        .standardize = true,
        .refit = true,
        .ridge_lambda = DMS_RIDGE_CHOOSE,
        .memory_bytes = UINT64_C(4) << 30,
        .max_epochs = 100000,
    };
}

uint64_t dms_fit_options_end(const struct dms_fit_options *options, const struct dms_column *column)
{
    return options->end_target > 0 ? options->end_target : column->target_ct;
}

/* ---- checks ---- */

/* "a, b, c" of all output columns; the caller frees it. NULL: out of memory. */
static char *list_outputs(const struct dms_schema *schema)
{
    struct dms_buffer text = {0};
    int code = 0;

    for (uint32_t i = 0; code == 0 && i < schema->column_ct; i++) {
        const struct dms_column *column = &schema->columns[i];

        if (column->kind != DMS_COLUMN_OUTPUT)
            continue;
        if (text.size > 0)
            code = dms_buffer_append(&text, ", ", 2);
        if (code == 0)
            code = dms_buffer_append(&text, column->name, strlen(column->name));
    }
    if (code == 0)
        code = dms_buffer_append_zeros(&text, 1);
    if (code < 0)
        dms_buffer_free(&text);
    return (char *)text.data;
}

static int find_output(const struct dms_schema *schema, const char *output, uint32_t *column)
{
    char *outputs;
    int code;

    for (uint32_t i = 0; output && i < schema->column_ct; i++) {
        if (schema->columns[i].kind == DMS_COLUMN_OUTPUT &&
            strcmp(schema->columns[i].name, output) == 0) {
            *column = i;
            return 0;
        }
    }
    outputs = list_outputs(schema);
    if (!outputs)
        return DMS_ERR_NO_MEMORY;
    code = !outputs[0] ? dms_fail(DMS_ERR_NOT_FOUND, "the store has no output columns to fit")
           : output
               ? dms_fail(DMS_ERR_NOT_FOUND, "there is no output column '%s'; there are: %s",
                          output, outputs)
               : dms_fail(DMS_ERR_INVALID, "no output column is named; there are: %s", outputs);
    free(outputs);
    return code;
}

static int check_labels(const struct dms_fit_options *options, const struct dms_column *column)
{
    if (options->label_ct != column->target_ct)
        return dms_fail(DMS_ERR_INVALID, "there are %zu labels for the %" PRIu64 " targets of %s",
                        options->label_ct, column->target_ct, column->name);
    for (size_t i = 0; i < options->label_ct; i++) {
        if (options->labels[i] < 0 || (uint64_t)options->labels[i] >= column->values_per_target)
            return dms_fail(DMS_ERR_INVALID,
                            "the label of target %zu is %" PRId64 ", but %s has logits of classes "
                            "0 to %" PRIu64,
                            i, options->labels[i], column->name, column->values_per_target - 1);
    }
    return 0;
}

static int check_transform(const struct dms_fit_options *options, const struct dms_column *column)
{
    bool has_logits = column->values_per_target > 1;

    if ((unsigned)options->transform > DMS_TRANSFORM_CORRECT)
        return dms_fail(DMS_ERR_INVALID, "there is no transform %d", (int)options->transform);
    if (!isfinite(options->threshold) ||
        (options->threshold != 0 && options->transform != DMS_TRANSFORM_CORRECT))
        return dms_fail(
            DMS_ERR_INVALID,
            "a threshold of %g is given: it must be finite, and is for correctness only",
            options->threshold);
    if (has_logits && options->transform == DMS_TRANSFORM_NONE)
        return dms_fail(DMS_ERR_INVALID,
                        "column %s has %" PRIu64 " values for each target: fit their margin or "
                        "correctness (a transform, with the labels of the targets)",
                        column->name, column->values_per_target);
    if (!has_logits && options->transform == DMS_TRANSFORM_MARGIN)
        return dms_fail(DMS_ERR_INVALID,
                        "column %s has one value for each target already: a margin is computed "
                        "from logits",
                        column->name);
    if (has_logits && !options->labels)
        return dms_fail(DMS_ERR_INVALID,
                        "the labels of the targets are needed to tell the correct class in "
                        "column %s",
                        column->name);
    if (!has_logits && options->labels)
        return dms_fail(DMS_ERR_INVALID,
                        "labels are given, but column %s has no logits to use them with",
                        column->name);
    return has_logits ? check_labels(options, column) : 0;
}

static int check_self(const struct dms_fit_options *options, const struct dms_schema *schema,
                      const struct dms_column *column)
{
    if (!options->exclude_self)
        return options->self ? dms_fail(DMS_ERR_INVALID, "a map of targets to their own examples "
                                                         "is given, but exclude_self is not set")
                             : 0;
    if (!options->self)
        return column->target_ct == schema->example_ct
                   ? 0
                   : dms_fail(DMS_ERR_INVALID,
                              "column %s has %" PRIu64 " targets and the store %" PRIu64
                              " examples: which example a target is must be given (self)",
                              column->name, column->target_ct, schema->example_ct);
    if (options->self_ct != column->target_ct)
        return dms_fail(DMS_ERR_INVALID,
                        "the map of targets to their own examples has %zu entries for the %" PRIu64
                        " targets of %s",
                        options->self_ct, column->target_ct, column->name);
    for (size_t i = 0; i < options->self_ct; i++) {
        if (options->self[i] < -1 ||
            (options->self[i] >= 0 && (uint64_t)options->self[i] >= schema->example_ct))
            return dms_fail(DMS_ERR_INVALID,
                            "target %zu is said to be example %" PRId64
                            ": examples are 0 to %" PRIu64 ", and -1 stands for none",
                            i, options->self[i], schema->example_ct - 1);
    }
    return 0;
}

static int check_lambdas(const struct dms_fit_options *options)
{
    if (options->lambda_ct == 0)
        return dms_fail(DMS_ERR_INVALID, "there must be at least one lambda");
    if (!options->lambdas)
        return options->lambda_min_ratio > 0 && options->lambda_min_ratio < 1
                   ? 0
                   : dms_fail(DMS_ERR_INVALID,
                              "the ratio of the smallest lambda to the largest is %g: it must be "
                              "between 0 and 1",
                              options->lambda_min_ratio);
    for (uint32_t i = 0; i < options->lambda_ct; i++) {
        if (!(options->lambdas[i] > 0) || !isfinite(options->lambdas[i]))
            return dms_fail(DMS_ERR_INVALID,
                            "lambda %" PRIu32
                            " is %g: lambdas must be above 0 (at 0 the solution is not unique, and "
                            "has no certificate)",
                            i, options->lambdas[i]);
        if (i > 0 && options->lambdas[i] >= options->lambdas[i - 1])
            return dms_fail(DMS_ERR_INVALID,
                            "lambda %" PRIu32 " is %g after %g: lambdas must decrease", i,
                            options->lambdas[i], options->lambdas[i - 1]);
    }
    return 0;
}

static int check_numbers(const struct dms_fit_options *options, const struct dms_column *column)
{
    uint64_t end = dms_fit_options_end(options, column);

    if (options->first_target >= end || end > column->target_ct)
        return dms_fail(DMS_ERR_INVALID,
                        "targets %" PRIu64 ":%" PRIu64 " are not a part of 0:%" PRIu64
                        ", the targets of column %s",
                        options->first_target, end, column->target_ct, column->name);
    if (!(options->tolerance > 0) || !isfinite(options->tolerance))
        return dms_fail(DMS_ERR_INVALID, "the tolerance is %g: it must be above 0",
                        options->tolerance);
    if ((unsigned)options->solver > DMS_SOLVER_AUTO)
        return dms_fail(DMS_ERR_INVALID, "there is no solver %d", (int)options->solver);
    if (options->ridge_lambda != DMS_RIDGE_CHOOSE &&
        (!(options->ridge_lambda >= 0) || !isfinite(options->ridge_lambda)))
        return dms_fail(DMS_ERR_INVALID,
                        "the lambda of ridge regression is %g: it must be 0 or above",
                        options->ridge_lambda);
    if (options->ridge_lambda >= 0 && options->solver != DMS_SOLVER_RIDGE)
        return dms_fail(DMS_ERR_INVALID, "only ridge regression takes one lambda for all targets");
    if (options->max_epochs == 0)
        return dms_fail(DMS_ERR_INVALID, "at least one epoch is needed");
    return 0;
}

/* CUDA that is asked for must be there: better to know before hours of planning than after. */
static int check_device(const struct dms_fit_options *options)
{
    struct dms_placement placement;

    if ((unsigned)options->device > DMS_DEVICE_CUDA)
        return dms_fail(DMS_ERR_INVALID, "there is no device %d", (int)options->device);
    if (options->device != DMS_DEVICE_CUDA)
        return 0;
    if (options->solver == DMS_SOLVER_RIDGE)
        return dms_fail(DMS_ERR_UNSUPPORTED, "ridge regression is solved on the processor only: "
                                             "use device cpu or auto");
    if (options->solver == DMS_SOLVER_GRAM)
        return dms_fail(DMS_ERR_UNSUPPORTED, "the gram solver runs on the processor only: use "
                                             "device cpu or auto, or solver saga");
    return dms_device_choose(options->device, &placement);
}

int dms_fit_options_check(const struct dms_fit_options *options, const struct dms_schema *schema,
                          uint32_t *column)
{
    const struct dms_column *output;
    uint32_t found = 0;
    int code = find_output(schema, options->output, &found);

    if (code < 0)
        return code;
    output = &schema->columns[found];
    code = check_transform(options, output);
    if (code == 0)
        code = check_self(options, schema, output);
    if (code == 0)
        code = check_lambdas(options);
    if (code == 0)
        code = check_numbers(options, output);
    if (code == 0)
        code = check_device(options);
    if (code == 0)
        *column = found;
    return code;
}

/* ---- the problem as text ---- */

/* The place of the next pair's value. */
static char *add_pair(struct dms_problem_text *text, const char *key)
{
    size_t i = text->pair_ct++;

    text->pairs[i] = (struct dms_metadata){.key = key, .value = text->values[i]};
    return text->values[i];
}

static void add_text(struct dms_problem_text *text, const char *key, const char *value)
{
    snprintf(add_pair(text, key), DMS_PROBLEM_VALUE_BYTES, "%s", value);
}

static void add_flag(struct dms_problem_text *text, const char *key, bool value)
{
    add_text(text, key, value ? "yes" : "no");
}

static void add_count(struct dms_problem_text *text, const char *key, uint64_t value)
{
    snprintf(add_pair(text, key), DMS_PROBLEM_VALUE_BYTES, "%" PRIu64, value);
}

/* With the fewest digits that come back as the same number. */
static void add_number(struct dms_problem_text *text, const char *key, double value)
{
    char *to = add_pair(text, key);

    for (int digits = 15; digits <= 17; digits++) {
        snprintf(to, DMS_PROBLEM_VALUE_BYTES, "%.*g", digits, value);
        if (strtod(to, NULL) == value)
            break;
    }
}

/* XXH3-128 of `count` 8-byte values, which the machines this is built for store little-endian. */
static void add_digest(struct dms_problem_text *text, const char *key, const void *values,
                       size_t count)
{
    struct dms_hash128 hash = dms_hash128(values, 8 * count);

    snprintf(add_pair(text, key), DMS_PROBLEM_VALUE_BYTES, "%016" PRIx64 "%016" PRIx64, hash.high,
             hash.low);
}

/* The lambda of ridge regression, or the path on which one is chosen. */
static void add_lambdas(struct dms_problem_text *text, const struct dms_fit_options *options)
{
    if (options->ridge_lambda >= 0) {
        add_number(text, "lambda", fabs(options->ridge_lambda)); /* -0 is 0 */
        return;
    }
    if (options->lambdas)
        add_digest(text, "lambda-file", options->lambdas, options->lambda_ct);
    else
        add_number(text, "lambda-min-ratio", options->lambda_min_ratio);
    add_count(text, "lambdas", options->lambda_ct);
}

void dms_problem_describe(const struct dms_fit_options *options, struct dms_problem_text *text)
{
    static const char *const transforms[] = {"none", "margin", "correct"};
    bool is_ridge = options->solver == DMS_SOLVER_RIDGE;

    text->pair_ct = 0;
    add_flag(text, "exclude-self", options->exclude_self);
    if (!is_ridge)
        add_flag(text, "full-path", options->full_path);
    add_count(text, "holdout", options->held_out_ct);
    if (options->labels)
        add_digest(text, "labels", options->labels, options->label_ct);
    add_lambdas(text, options);
    if (is_ridge)
        add_text(text, "method", "ridge");
    add_flag(text, "refit", options->refit);
    if (options->rows_used > 0)
        add_count(text, "rows-used", options->rows_used);
    else
        add_text(text, "rows-used", "all");
    if (options->self)
        add_digest(text, "self", options->self, options->self_ct);
    /* Least squares are the same either way. */
    if (options->ridge_lambda != 0)
        add_flag(text, "standardize", options->standardize);
    if (options->threshold != 0)
        add_number(text, "threshold", options->threshold);
    add_number(text, "tolerance", options->tolerance);
    add_text(text, "transform", transforms[options->transform]);
    add_count(text, "validation", options->validation_ct);
}

const char *dms_problem_value(const struct dms_metadata *pairs, size_t pair_ct, const char *key)
{
    for (size_t i = 0; i < pair_ct; i++) {
        if (strcmp(pairs[i].key, key) == 0)
            return pairs[i].value;
    }
    return NULL;
}
