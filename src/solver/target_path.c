/*
 * The lambda path of one target.
 */
#include "solver/target_path.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"

void dms_sparse_model_free(struct dms_sparse_model *model)
{
    free(model->examples);
    free(model->weights);
    memset(model, 0, sizeof *model);
}

uint64_t dms_target_path_bytes(const struct dms_problem *problem)
{
    uint64_t models = 2 * (sizeof(double) + sizeof(uint32_t)) * (uint64_t)problem->example_ct;

    return models + (3 * sizeof(double) + sizeof(uint32_t)) * (uint64_t)problem->lambda_ct;
}

int dms_target_path_init(struct dms_target_path *path, const struct dms_problem *problem,
                         size_t target, size_t column)
{
    size_t room = problem->lambda_ct;

    memset(path, 0, sizeof *path);
    path->target = problem->first_target + target;
    path->column = column;
    path->self = problem->self ? problem->self[target] : -1;
    path->lambdas = dms_alloc(room, sizeof *path->lambdas);
    path->errors = dms_alloc(room, sizeof *path->errors);
    path->gaps = dms_alloc(room, sizeof *path->gaps);
    path->weight_cts = dms_alloc(room, sizeof *path->weight_cts);
    if (!path->lambdas || !path->errors || !path->gaps || !path->weight_cts) {
        dms_target_path_free(path);
        return DMS_ERR_NO_MEMORY;
    }
    return DMS_OK;
}

void dms_target_path_free(struct dms_target_path *path)
{
    free(path->lambdas);
    free(path->errors);
    free(path->gaps);
    free(path->weight_cts);
    dms_sparse_model_free(&path->model);
    dms_sparse_model_free(&path->best);
    memset(path, 0, sizeof *path);
}

/* Log-spaced, both ends exact. */
double dms_target_path_lambda(const struct dms_target_path *path, const struct dms_problem *problem,
                              uint32_t index)
{
    uint32_t last = problem->lambda_ct - 1;

    if (problem->lambdas)
        return problem->lambdas[index];
    if (index == 0)
        return path->largest_lambda;
    if (index == last)
        return path->largest_lambda * problem->lambda_min_ratio;
    return path->largest_lambda * pow(problem->lambda_min_ratio, (double)index / last);
}

void dms_target_path_begin(struct dms_target_path *path, const struct dms_problem *problem,
                           double largest_lambda)
{
    path->largest_lambda = largest_lambda;
    if (!(path->null_deviance > 0) || !(largest_lambda > 0)) {
        path->flags |= DMS_FITTED_CONSTANT;
        path->finished = true;
        path->lambda = 0;
        path->gap = 0;
        dms_sparse_model_free(&path->best);
        path->best.bias = path->mean;
        return;
    }
    path->lambda = dms_target_path_lambda(path, problem, 0);
}

void dms_target_path_advance(struct dms_target_path *path, const struct dms_problem *problem,
                             double gap, size_t weight_ct, double error, bool *is_best)
{
    uint32_t index = path->path_ct;
    /* A tie stays with the larger lambda; without validation rows the last lambda is taken. */
    bool best = index == 0 || isnan(error) || error < path->errors[path->chosen];

    path->lambdas[index] = path->lambda;
    path->errors[index] = error;
    path->gaps[index] = gap;
    path->weight_cts[index] = (uint32_t)weight_ct;
    path->path_ct++;
    path->since_best = best ? 0 : path->since_best + 1;
    if (best)
        path->chosen = index;
    if (path->path_ct == problem->lambda_ct) {
        path->finished = true;
        if (path->chosen == index)
            path->flags |= DMS_FITTED_LAST_LAMBDA;
    } else if (!problem->full_path && path->since_best >= DMS_PATH_PATIENCE) {
        path->finished = true;
        path->flags |= DMS_FITTED_PATH_ENDED;
    } else {
        path->lambda = dms_target_path_lambda(path, problem, path->path_ct);
    }
    *is_best = best;
}

void dms_target_path_abandon(struct dms_target_path *path)
{
    path->flags |= DMS_FITTED_UNCERTIFIED;
    path->finished = true;
}

void dms_target_path_take_best(struct dms_target_path *path)
{
    struct dms_sparse_model swap = path->model;

    path->model = path->best;
    path->best = swap;
    if (path->path_ct == 0)
        return;
    path->lambda = path->lambdas[path->chosen];
    path->gap = path->gaps[path->chosen];
}

void dms_target_path_result(const struct dms_target_path *path, struct dms_fitted_target *result)
{
    *result = (struct dms_fitted_target){
        .target = path->target,
        .flags = path->flags,
        .bias = path->model.bias,
        .lambda = path->lambda,
        .gap = path->gap,
        .null_deviance = path->null_deviance,
        .mean = path->mean,
        .row_ct = (uint64_t)path->row_weight,
        .weight_ct = path->model.weight_ct,
        .examples = path->model.examples,
        .weights = path->model.weights,
        .path_ct = path->path_ct,
        .chosen = path->chosen,
        .path_lambdas = path->lambdas,
        .path_errors = path->errors,
        .path_gaps = path->gaps,
        .path_weight_cts = path->weight_cts,
    };
}

/* ---- checkpoint ---- */

static void save_double(struct dms_encoder *encoder, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    dms_encode_u64(encoder, bits);
}

static double load_double(struct dms_cursor *cursor)
{
    uint64_t bits = dms_cursor_u64(cursor);
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static void save_model(struct dms_encoder *encoder, const struct dms_sparse_model *model)
{
    dms_encode_u64(encoder, model->weight_ct);
    save_double(encoder, model->bias);
    for (size_t i = 0; i < model->weight_ct; i++) {
        dms_encode_u32(encoder, model->examples[i]);
        save_double(encoder, model->weights[i]);
    }
}

static int load_model(struct dms_cursor *cursor, size_t example_ct, struct dms_sparse_model *model)
{
    uint64_t weight_ct = dms_cursor_u64(cursor);

    dms_sparse_model_free(model);
    model->bias = load_double(cursor);
    if (cursor->bad || weight_ct > example_ct)
        return dms_fail(DMS_ERR_CORRUPT, "a model of the checkpoint has too many weights");
    model->examples = dms_alloc(weight_ct, sizeof *model->examples);
    model->weights = dms_alloc(weight_ct, sizeof *model->weights);
    if (!model->examples || !model->weights)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; i < weight_ct; i++) {
        model->examples[i] = dms_cursor_u32(cursor);
        model->weights[i] = load_double(cursor);
        if (model->examples[i] >= example_ct)
            return dms_fail(DMS_ERR_CORRUPT, "a model of the checkpoint has example %u of %zu",
                            model->examples[i], example_ct);
    }
    model->weight_ct = weight_ct;
    return DMS_OK;
}

void dms_target_path_save(const struct dms_target_path *path, struct dms_encoder *encoder)
{
    dms_encode_u32(encoder, path->flags);
    dms_encode_u8(encoder, path->finished);
    dms_encode_u8(encoder, path->slow);
    dms_encode_u8(encoder, path->polished);
    dms_encode_u32(encoder, path->pass_ct);
    dms_encode_u32(encoder, path->path_ct);
    dms_encode_u32(encoder, path->chosen);
    dms_encode_u32(encoder, path->since_best);
    save_double(encoder, path->row_weight);
    save_double(encoder, path->mean);
    save_double(encoder, path->null_deviance);
    save_double(encoder, path->gap);
    save_double(encoder, path->largest_lambda);
    save_double(encoder, path->lambda);
    for (uint32_t i = 0; i < path->path_ct; i++) {
        save_double(encoder, path->lambdas[i]);
        save_double(encoder, path->errors[i]);
        save_double(encoder, path->gaps[i]);
        dms_encode_u32(encoder, path->weight_cts[i]);
    }
    save_model(encoder, &path->model);
    save_model(encoder, &path->best);
}

int dms_target_path_load(struct dms_target_path *path, const struct dms_problem *problem,
                         struct dms_cursor *cursor)
{
    int rc;

    path->flags = dms_cursor_u32(cursor);
    path->finished = dms_cursor_u8(cursor);
    path->slow = dms_cursor_u8(cursor);
    path->polished = dms_cursor_u8(cursor);
    path->pass_ct = dms_cursor_u32(cursor);
    path->path_ct = dms_cursor_u32(cursor);
    path->chosen = dms_cursor_u32(cursor);
    path->since_best = dms_cursor_u32(cursor);
    path->row_weight = load_double(cursor);
    path->mean = load_double(cursor);
    path->null_deviance = load_double(cursor);
    path->gap = load_double(cursor);
    path->largest_lambda = load_double(cursor);
    path->lambda = load_double(cursor);
    if (cursor->bad || path->path_ct > problem->lambda_ct ||
        (path->chosen > 0 && path->chosen >= path->path_ct))
        return dms_fail(DMS_ERR_CORRUPT,
                        "the path of target %" PRIu64 " in the checkpoint is damaged",
                        path->target);
    for (uint32_t i = 0; i < path->path_ct; i++) {
        path->lambdas[i] = load_double(cursor);
        path->errors[i] = load_double(cursor);
        path->gaps[i] = load_double(cursor);
        path->weight_cts[i] = dms_cursor_u32(cursor);
    }
    rc = load_model(cursor, problem->example_ct, &path->model);
    return rc < 0 ? rc : load_model(cursor, problem->example_ct, &path->best);
}
