/*
 * Turns the problem of a fit back into what is done with its output column; see scored_output.h.
 */
#include "query/scored_output.h"

#include <string.h>

#include "base/error.h"
#include "solver/options.h"

static const char *problem_value(const struct dms_fit_header *header, const char *key)
{
    const char *value = dms_fit_problem(header, key);

    return value ? value : "";
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

/* Fills the options of a fit that matter for its outputs from its header. */
static int read_problem(const struct dms_fit_header *header, const int64_t *labels, size_t label_ct,
                        struct dms_fit_options *problem)
{
    const char *transform = problem_value(header, "transform");

    dms_fit_options_init(problem);
    problem->name = header->name;
    problem->output = header->output;
    problem->transform = strcmp(transform, "margin") == 0    ? DMS_TRANSFORM_MARGIN
                         : strcmp(transform, "correct") == 0 ? DMS_TRANSFORM_CORRECT
                                                             : DMS_TRANSFORM_NONE;
    if (*problem_value(header, "labels")) {
        problem->labels = labels;
        problem->label_ct = label_ct;
        if (!problem->labels)
            return dms_fail(DMS_ERR_INVALID,
                            "fit %s was made with labels: give the same (--labels)", header->name);
    }
    return 0;
}

/* The same for those that matter for which models count. */
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

/* Holds what is given again against the digests in the header, and the sizes against the store. */
static int check_problem(const struct dms_schema *schema, const struct dms_fit_header *header,
                         const struct dms_fit_options *problem, uint32_t *column)
{
    struct dms_problem_text text;
    int code;

    dms_problem_describe(problem, &text);
    code = check_digest(header, "labels", &text);
    if (code == 0)
        code = check_digest(header, "self", &text);
    if (code < 0)
        return code;
    code = dms_fit_options_check(problem, schema, column);
    if (code < 0)
        return dms_fail_prefix(code, "fit %s", header->name);
    if (header->example_ct != schema->example_ct ||
        header->target_ct != schema->columns[*column].target_ct)
        return dms_fail(DMS_ERR_CONFLICT,
                        "fit %s is of other sizes than this store and its column %s", header->name,
                        header->output);
    return 0;
}

/* Scores of different numbers cannot be compared. */
static int check_same(const struct dms_fit_header *first, const struct dms_fit_header *header)
{
    if (strcmp(header->output, first->output) != 0)
        return dms_fail(DMS_ERR_INVALID,
                        "fit %s predicts column %s and fit %s column %s: evaluate them one by one",
                        first->name, first->output, header->name, header->output);
    if (strcmp(problem_value(header, "transform"), problem_value(first, "transform")) != 0 ||
        strcmp(problem_value(header, "labels"), problem_value(first, "labels")) != 0)
        return dms_fail(DMS_ERR_INVALID,
                        "fits %s and %s predict other transforms of column %s: evaluate them one "
                        "by one",
                        first->name, header->name, first->output);
    return 0;
}

/* Adds what one fit says to what the fits before it said. */
static int add_fit(const struct dms_schema *schema, const struct dms_fit_header *header,
                   const struct dms_evaluate_options *options, struct dms_scored_output *output)
{
    struct dms_fit_options problem;
    uint32_t column = 0;
    int code = read_problem(header, options->labels, options->label_ct, &problem);

    if (code == 0)
        code = read_self(header, options->self, options->self_ct, &problem);
    if (code == 0)
        code = check_problem(schema, header, &problem, &column);
    if (code < 0)
        return code;
    if (problem.exclude_self && output->exclude_self && problem.self != output->self)
        return dms_fail(DMS_ERR_INVALID,
                        "fit %s and a fit before it have other maps of targets to their own "
                        "examples: evaluate them one by one",
                        header->name);
    output->column = &schema->columns[column];
    output->transform = problem.transform;
    output->labels = problem.labels;
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
        int code = check_same(first, header);

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
    int code = read_problem(header, labels, label_ct, &problem);

    if (code == 0)
        code = check_problem(schema, header, &problem, &column);
    if (code < 0)
        return code;
    *output = (struct dms_scored_output){
        .column = &schema->columns[column],
        .transform = problem.transform,
        .labels = problem.labels,
    };
    return 0;
}

int64_t dms_scored_output_self(const struct dms_scored_output *output, uint64_t target)
{
    if (!output->exclude_self)
        return -1;
    return output->self ? output->self[target] : (int64_t)target;
}
