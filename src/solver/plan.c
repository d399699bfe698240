/*
 * Plans a fit: the header that all jobs of its name share, made from the options and the models
 * of the snapshot, or taken from the fit that is there when this job can join it.
 */
#include "solver/plan.h"

#include "base/alloc.h"
#include "base/error.h"
#include "format/fit.h"
#include "solver/split.h"

#include <stdlib.h>
#include <string.h>

void dms_fit_header_free(struct dms_fit_header *header)
{
    free(header);
}

/* ---- a new fit ---- */

/* A tenth of the models chooses lambda and none is held out, unless the caller says otherwise. */
static struct dms_fit_options with_defaults(const struct dms_fit_options *options,
                                            uint64_t model_ct)
{
    struct dms_fit_options resolved = *options;

    if (resolved.held_out_ct == DMS_FIT_DEFAULT)
        resolved.held_out_ct = 0;
    if (resolved.validation_ct == DMS_FIT_DEFAULT)
        resolved.validation_ct = dms_split_default_validation(model_ct, resolved.held_out_ct);
    return resolved;
}

static int plan_new(dms_snapshot *snapshot, const struct dms_fit_options *options,
                    dms_problem_describer *describe, const struct dms_column *column,
                    const struct dms_model_hashes *hashes, struct dms_fit_header **header)
{
    struct dms_fit_options resolved = with_defaults(options, hashes->model_ct);
    struct dms_problem_text problem;
    struct dms_snapshot_info info;
    struct dms_split split;
    struct dms_fit_header made;
    int code;

    if (hashes->model_ct == 0)
        return dms_fail(DMS_ERR_INVALID, "no model has a value in column %s", column->name);
    code = dms_split_choose(hashes, resolved.held_out_ct, resolved.validation_ct,
                            resolved.rows_used, &split);
    if (code < 0)
        return dms_fail_prefix(code, "column %s", column->name);
    dms_snapshot_info(snapshot, &info);
    describe(&resolved, &problem);
    made = (struct dms_fit_header){
        .name = options->name,
        .output = column->name,
        .sequence = info.sequence,
        .example_ct = dms_snapshot_schema(snapshot)->example_ct,
        .target_ct = column->target_ct,
        .training = split.training,
        .validation = split.validation,
        .held_out = split.held_out,
        .problem_ct = problem.pair_ct,
        .problem = problem.pairs,
    };
    memcpy(made.store_uuid, info.store_uuid, sizeof(made.store_uuid));
    code = dms_fit_header_copy(&made, header);
    dms_split_free(&split);
    return code;
}

/* ---- a fit that is there ---- */

uint64_t dms_fit_problem_count(const struct dms_fit_header *header, const char *key)
{
    const char *value = dms_fit_problem(header, key);

    return value ? strtoull(value, NULL, 10) : 0;
}

int dms_fit_check_problem_as(const struct dms_fit_header *header,
                             const struct dms_fit_options *options, dms_problem_describer *describe)
{
    struct dms_fit_options resolved = *options;
    struct dms_fit_header asked = *header;
    struct dms_problem_text problem;

    if (resolved.held_out_ct == DMS_FIT_DEFAULT)
        resolved.held_out_ct = dms_fit_problem_count(header, "holdout");
    if (resolved.validation_ct == DMS_FIT_DEFAULT)
        resolved.validation_ct = dms_fit_problem_count(header, "validation");
    describe(&resolved, &problem);
    asked.output = options->output;
    asked.problem = problem.pairs;
    asked.problem_ct = problem.pair_ct;
    return dms_fit_header_compare(header, &asked);
}

int dms_fit_check_problem(const struct dms_fit_header *header,
                          const struct dms_fit_options *options)
{
    return dms_fit_check_problem_as(header, options, dms_problem_describe);
}

int dms_fit_check_store(const struct dms_fit_header *header, dms_snapshot *snapshot)
{
    struct dms_snapshot_info info;

    dms_snapshot_info(snapshot, &info);
    if (memcmp(info.store_uuid, header->store_uuid, sizeof(info.store_uuid)) != 0)
        return dms_fail(DMS_ERR_CONFLICT, "fit '%s' was planned on another store", header->name);
    return 0;
}

static int check_rows(const struct dms_fit_header *header, const struct dms_model_hashes *hashes)
{
    int code = dms_row_set_check(&header->training, "training", hashes);

    if (code == 0)
        code = dms_row_set_check(&header->validation, "validation", hashes);
    if (code == 0)
        code = dms_row_set_check(&header->held_out, "held-out", hashes);
    return code;
}

/* *fit: NULL when the store has none of this name. */
static int open_existing(dms_snapshot *snapshot, const char *name, dms_fit **fit)
{
    *fit = NULL;
    for (size_t i = 0; i < dms_snapshot_fit_ct(snapshot); i++) {
        if (strcmp(dms_snapshot_fit_name(snapshot, i), name) == 0)
            return dms_fit_open(snapshot, name, fit);
    }
    return 0;
}

/* LASSO takes the last lambda of its path when no model chooses; a ridge path would be for nothing.
 */
static int check_choice(const struct dms_fit_options *options, const struct dms_fit_header *header)
{
    if (options->solver != DMS_SOLVER_RIDGE || options->ridge_lambda >= 0 ||
        header->validation.row_ct > 0)
        return 0;
    return dms_fail(DMS_ERR_INVALID, "ridge regression has no validation models to choose lambda "
                                     "on: ask for some, or give lambda");
}

int dms_fit_plan_as(dms_snapshot *snapshot, const struct dms_fit_options *options,
                    dms_problem_describer *describe, struct dms_fit_header **header)
{
    const struct dms_schema *schema = dms_snapshot_schema(snapshot);
    struct dms_model_hashes hashes = {0};
    struct dms_fit_header *planned = NULL;
    dms_fit *existing = NULL;
    uint32_t column;
    int code;

    if (!options->name)
        return dms_fail(DMS_ERR_INVALID, "the fit has no name");
    code = dms_fit_name_check(options->name);
    if (code == 0)
        code = dms_fit_options_check(options, schema, &column);
    if (code == 0)
        code = open_existing(snapshot, options->name, &existing);
    if (code == 0 && existing) {
        code = dms_fit_check_problem_as(dms_fit_get_header(existing), options, describe);
        if (code < 0)
            code =
                dms_fail_prefix(code, "cannot join fit %s, which is there already", options->name);
    }
    if (code == 0)
        code = dms_model_hashes_read(snapshot, column, options->thread_ct, &hashes);
    if (code < 0)
        goto out;
    if (existing) {
        code = check_rows(dms_fit_get_header(existing), &hashes);
        code = code < 0 ? dms_fail_prefix(code, "cannot join fit %s", options->name)
                        : dms_fit_header_copy(dms_fit_get_header(existing), &planned);
    } else {
        code = plan_new(snapshot, options, describe, &schema->columns[column], &hashes, &planned);
    }
    if (code == 0)
        code = check_choice(options, planned);
    if (code == 0) {
        *header = planned;
        planned = NULL;
    }
out:
    dms_fit_header_free(planned);
    dms_model_hashes_free(&hashes);
    dms_fit_close(existing);
    return code;
}

int dms_fit_plan(dms_snapshot *snapshot, const struct dms_fit_options *options,
                 struct dms_fit_header **header)
{
    return dms_fit_plan_as(snapshot, options, dms_problem_describe, header);
}
