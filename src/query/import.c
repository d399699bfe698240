/*
 * Plans an imported fit, and finds what the store says of its targets; see dmstore/import.h.
 */
#include "dmstore/import.h"

#include <string.h>

#include "base/error.h"
#include "format/fit.h"
#include "query/estimate.h"
#include "query/scored_output.h"
#include "solver/split.h"

static void describe(const struct dms_fit_options *options, struct dms_problem_text *text)
{
    dms_estimate_describe(options, "import", text);
}

/* ---- planning ---- */

/* The models of `like` that are summed over must be as they were; the held-out ones are checked
 * when the fit is evaluated. */
static int check_rows(dms_snapshot *snapshot, const struct dms_fit_header *like,
                      const struct dms_fit_options *options)
{
    struct dms_model_hashes hashes = {0};
    uint32_t column;
    int code = dms_fit_options_check(options, dms_snapshot_schema(snapshot), &column);

    if (code == 0)
        code = dms_model_hashes_read(snapshot, column, options->thread_ct, &hashes);
    if (code == 0)
        code = dms_row_set_check(&like->training, "training", &hashes);
    if (code == 0)
        code = dms_row_set_check(&like->validation, "validation", &hashes);
    dms_model_hashes_free(&hashes);
    return code < 0 ? dms_fail_prefix(code, "fit %s", like->name) : 0;
}

static int plan_like(dms_snapshot *snapshot, const struct dms_fit_options *options,
                     const struct dms_fit_header *like, struct dms_fit_header **header)
{
    struct dms_fit_options problem;
    struct dms_problem_text text;
    struct dms_fit_header made = *like;
    int code;

    if (strcmp(dms_fit_method(like), "pca") == 0)
        return dms_fail(DMS_ERR_INVALID,
                        "fit %s has principal components of datamodels (method pca), which are no "
                        "targets of %s: nothing can be scored like it",
                        like->name, like->output);
    if (options->output && strcmp(options->output, like->output) != 0)
        return dms_fail(DMS_ERR_INVALID, "fit %s predicts column %s, not %s", like->name,
                        like->output, options->output);
    code = dms_scored_problem_read(like, options->labels, options->label_ct, options->self,
                                   options->self_ct, &problem);
    if (code == 0)
        code = check_rows(snapshot, like, &problem);
    if (code < 0)
        return code;
    problem.held_out_ct = dms_fit_problem_count(like, "holdout");
    problem.validation_ct = dms_fit_problem_count(like, "validation");
    problem.rows_used = dms_fit_problem_count(like, "rows-used");
    describe(&problem, &text);
    made.name = options->name;
    made.problem = text.pairs;
    made.problem_ct = text.pair_ct;
    return dms_fit_header_copy(&made, header);
}

int dms_import_plan(dms_snapshot *snapshot, const struct dms_fit_options *options,
                    const dms_fit *like, struct dms_fit_header **header)
{
    struct dms_fit_options resolved = *options;
    int code;

    if (!options->name)
        return dms_fail(DMS_ERR_INVALID, "the fit has no name");
    code = dms_fit_name_check(options->name);
    if (code < 0)
        return code;
    if (like)
        return plan_like(snapshot, options, dms_fit_get_header(like), header);
    if (resolved.validation_ct == DMS_FIT_DEFAULT)
        resolved.validation_ct = 0;
    return dms_fit_plan_as(snapshot, &resolved, describe, header);
}

/* ---- moments ---- */

struct moments {
    uint64_t first_target;
    struct dms_output_moments *moments;
};

static int take_moments(void *context, const struct dms_target_sums *sums)
{
    struct moments *moments = context;

    dms_target_sums_moments(sums, &moments->moments[sums->target - moments->first_target]);
    return 0;
}

int dms_import_moments(dms_snapshot *snapshot, const struct dms_fit_header *header,
                       const struct dms_fit_options *options, dms_progress progress,
                       void *progress_context, struct dms_output_moments *moments)
{
    struct moments context = {.first_target = options->first_target, .moments = moments};
    struct dms_fit_options problem;
    struct dms_sums_job job = {
        .snapshot = snapshot,
        .header = header,
        .options = &problem,
        .progress = progress,
        .progress_context = progress_context,
        .result = take_moments,
        .context = &context,
    };
    int code = dms_scored_problem_read(header, options->labels, options->label_ct, options->self,
                                       options->self_ct, &problem);

    if (code < 0)
        return code;
    problem.first_target = options->first_target;
    problem.end_target = options->end_target;
    problem.thread_ct = options->thread_ct;
    problem.memory_bytes = options->memory_bytes;
    return dms_sums_run(&job);
}
