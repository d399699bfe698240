/*
 * Turns the problem of a fit back into what is done with its output column; see scored_output.h.
 */
#include "query/scored_output.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "solver/options.h"

static const char *problem_value(const struct dms_fit_header *header, const char *key)
{
    const char *value = dms_fit_problem(header, key);

    return value ? value : "";
}

static enum dms_transform transform_of(const struct dms_fit_header *header)
{
    const char *transform = problem_value(header, "transform");

    return strcmp(transform, "margin") == 0    ? DMS_TRANSFORM_MARGIN
           : strcmp(transform, "correct") == 0 ? DMS_TRANSFORM_CORRECT
                                               : DMS_TRANSFORM_NONE;
}

static double threshold_of(const struct dms_fit_header *header)
{
    return strtod(problem_value(header, "threshold"), NULL);
}

/* What the caller gives again must be what the fit was made with. */
static int check_digest(const struct dms_fit_header *header, const char *key,
                        const struct dms_problem_text *given)
{
    const char *has = problem_value(header, key);
    const char *value = dms_problem_value(given->pairs, given->pair_ct, key);

    if (value && strcmp(value, has) != 0)
        return dms_fail(DMS_ERR_CONFLICT,
                        "fit %s was made with another file of %s than the one given: their digests "
                        "are %s and %s",
                        header->name, key, has, value);
    return 0;
}

/* What the outputs are. */
static int read_output(const struct dms_fit_header *header, const int64_t *labels, size_t label_ct,
                       struct dms_fit_options *problem)
{
    dms_fit_options_init(problem);
    problem->name = header->name;
    problem->output = header->output;
    problem->transform = transform_of(header);
    problem->threshold = threshold_of(header);
    if (*problem_value(header, "labels")) {
        problem->labels = labels;
        problem->label_ct = label_ct;
        if (!problem->labels)
            return dms_fail(DMS_ERR_INVALID,
                            "fit %s was made with labels: give the same (--labels)", header->name);
    }
    return 0;
}

/* Which models count. */
static int read_self(const struct dms_fit_header *header, const int64_t *self, size_t self_ct,
                     struct dms_fit_options *problem)
{
    problem->exclude_self = strcmp(problem_value(header, "exclude-self"), "yes") == 0;
    if (*problem_value(header, "self")) {
        problem->self = self;
        problem->self_ct = self_ct;
        if (!problem->self)
            return dms_fail(DMS_ERR_INVALID,
                            "fit %s was made with a map of targets to their own examples: give the "
                            "same (--self)",
                            header->name);
    }
    return 0;
}

static int check_digests(const struct dms_fit_header *header, const struct dms_fit_options *problem)
{
    struct dms_problem_text text;
    int code;

    dms_problem_describe(problem, &text);
    code = check_digest(header, "labels", &text);
    return code < 0 ? code : check_digest(header, "self", &text);
}

int dms_scored_problem_read(const struct dms_fit_header *header, const int64_t *labels,
                            size_t label_ct, const int64_t *self, size_t self_ct,
                            struct dms_fit_options *problem)
{
    int code = read_output(header, labels, label_ct, problem);

    if (code == 0)
        code = read_self(header, self, self_ct, problem);
    return code < 0 ? code : check_digests(header, problem);
}

/* Finds the column, and holds it and the store against what the fit is about. */
static int find_column(const struct dms_schema *schema, const struct dms_fit_header *header,
                       const struct dms_fit_options *problem, uint32_t *column)
{
    int code = dms_fit_options_check(problem, schema, column);

    if (code < 0)
        return dms_fail_prefix(code, "fit %s", header->name);
    if (header->example_ct != schema->example_ct ||
        header->target_ct != schema->columns[*column].target_ct)
        return dms_fail(DMS_ERR_CONFLICT,
                        "fit %s is of other sizes than this store and its column %s", header->name,
                        header->output);
    return 0;
}

/* What cannot be ranked by one output cannot be compared. */
static int check_same(const struct dms_fit_header *first, const struct dms_fit_header *header)
{
    if (strcmp(header->output, first->output) != 0)
        return dms_fail(DMS_ERR_INVALID,
                        "fit %s predicts column %s and fit %s column %s: evaluate them one by one",
                        first->name, first->output, header->name, header->output);
    if (strcmp(problem_value(header, "labels"), problem_value(first, "labels")) != 0)
        return dms_fail(DMS_ERR_INVALID,
                        "fits %s and %s predict the outputs of column %s for other labels: "
                        "evaluate them one by one",
                        first->name, header->name, first->output);
    return 0;
}

static int check_method(const struct dms_fit_header *header)
{
    if (strcmp(dms_fit_method(header), "pca") == 0)
        return dms_fail(DMS_ERR_INVALID,
                        "fit %s has principal components of datamodels (method pca): they predict "
                        "no output, and there is nothing to score",
                        header->name);
    return 0;
}

/* Adds what one fit says to what the fits before it said. */
static int add_fit(const struct dms_schema *schema, const struct dms_fit_header *header,
                   const struct dms_evaluate_options *options, struct dms_scored_output *output)
{
    struct dms_fit_options problem;
    uint32_t column = 0;
    int code = dms_scored_problem_read(header, options->labels, options->label_ct, options->self,
                                       options->self_ct, &problem);

    if (code == 0)
        code = find_column(schema, header, &problem, &column);
    if (code < 0)
        return code;
    if (problem.exclude_self && output->exclude_self && problem.self != output->self)
        return dms_fail(DMS_ERR_INVALID,
                        "fit %s and a fit before it have other maps of targets to their own "
                        "examples: evaluate them one by one",
                        header->name);
    if (!output->column) {
        output->column = &schema->columns[column];
        output->transform = problem.transform;
        output->threshold = problem.threshold;
        output->labels = problem.labels;
    }
    if (problem.exclude_self) {
        output->exclude_self = true;
        output->self = problem.self;
    }
    return 0;
}

int dms_scored_output_find(dms_snapshot *snapshot, dms_fit *const *fits, size_t fit_ct,
                           const struct dms_evaluate_options *options,
                           struct dms_scored_output *output)
{
    const struct dms_fit_header *first = dms_fit_get_header(fits[0]);
    struct dms_scored_output found = {0};

    for (size_t i = 0; i < fit_ct; i++) {
        const struct dms_fit_header *header = dms_fit_get_header(fits[i]);
        int code = check_method(header);

        if (code == 0)
            code = check_same(first, header);
        if (code == 0)
            code = add_fit(dms_snapshot_schema(snapshot), header, options, &found);
        if (code < 0)
            return code;
    }
    *output = found;
    return 0;
}

int dms_scored_output_of(dms_snapshot *snapshot, dms_fit *fit, const int64_t *labels,
                         size_t label_ct, struct dms_scored_output *output)
{
    const struct dms_schema *schema = dms_snapshot_schema(snapshot);
    const struct dms_fit_header *header = dms_fit_get_header(fit);
    struct dms_fit_options problem;
    uint32_t column = 0;
    int code = check_method(header);

    if (code == 0)
        code = read_output(header, labels, label_ct, &problem);
    if (code == 0)
        code = check_digests(header, &problem);
    if (code == 0)
        code = find_column(schema, header, &problem, &column);
    if (code < 0)
        return code;
    *output = (struct dms_scored_output){
        .column = &schema->columns[column],
        .transform = problem.transform,
        .threshold = problem.threshold,
        .labels = problem.labels,
    };
    return 0;
}

bool dms_scored_output_is_of(const struct dms_scored_output *output,
                             const struct dms_fit_header *header)
{
    return output->transform == transform_of(header) && output->threshold == threshold_of(header);
}

int64_t dms_scored_output_self(const struct dms_scored_output *output, uint64_t target)
{
    if (!output->exclude_self)
        return -1;
    return output->self ? output->self[target] : (int64_t)target;
}
