/*
 * Principal components as a fit of the store and back (dms_pca_part, dms_pca_open): each is a
 * target whose weights are its entries; what a projection needs beside them is in numbers that a
 * fitted target has anyway.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "query/pca.h"

/* ---- to a part ---- */

static struct dms_metadata pair(const char *key, const char *value)
{
    return (struct dms_metadata){.key = key, .value = value};
}

static int add_component(const struct dms_pca *pca, size_t k, uint32_t *examples, double *weights,
                         dms_fit_part *part)
{
    const double *component = pca->components + k * pca->example_ct;
    double n = (double)pca->row_ct;
    struct dms_fitted_target target = {
        .target = k,
        .flags = DMS_FITTED_ESTIMATED | DMS_FITTED_NO_BIAS,
        .mean = pca->offsets[k],
        .null_deviance = pca->variances[k] * (n - 1) / n / 2,
        .row_ct = pca->row_ct,
        .examples = examples,
        .weights = weights,
    };

    for (size_t i = 0; i < pca->example_ct; i++) {
        if (component[i] == 0)
            continue;
        examples[target.weight_ct] = (uint32_t)i;
        weights[target.weight_ct++] = component[i];
    }
    return dms_fit_part_add(part, &target);
}

static int fill_part(const struct dms_pca *pca, dms_fit_part *part)
{
    uint32_t *examples = dms_alloc(pca->example_ct, sizeof(*examples));
    double *weights = dms_alloc(pca->example_ct, sizeof(*weights));
    int code = examples && weights ? 0 : DMS_ERR_NO_MEMORY;

    for (size_t k = 0; code == 0 && k < pca->component_ct; k++)
        code = add_component(pca, k, examples, weights, part);
    free(examples);
    free(weights);
    return code;
}

int dms_pca_part(const struct dms_pca *pca, const dms_fit *fit, const char *name,
                 const struct dms_metadata *provenance, size_t provenance_ct, dms_fit_part **part)
{
    struct dms_fit_header header = *dms_fit_get_header(fit);
    char rows[24];
    const struct dms_metadata problem[] = {
        pair("length", pca->keep_length ? "kept" : "unit"),
        pair("method", "pca"),
        pair("parent", header.name),
        pair("rows", rows),
    };
    dms_fit_part *made = NULL;
    int code;

    snprintf(rows, sizeof(rows), "%zu", pca->row_ct);
    header.name = name;
    header.problem = problem;
    header.problem_ct = sizeof(problem) / sizeof(problem[0]);
    code = dms_fit_part_create(&header, provenance, provenance_ct, &made);
    if (code == 0)
        code = fill_part(pca, made);
    if (code < 0) {
        dms_fit_part_free(made);
        return code;
    }
    *part = made;
    return 0;
}

/* ---- from a fit ---- */

static int read_component(const dms_fit *fit, size_t k, struct dms_pca *pca)
{
    struct dms_fitted_target target;
    int code = dms_fit_target(fit, k, &target);

    if (code == 0 && (target.target != k || target.row_ct < 2))
        code = dms_fail(DMS_ERR_INVALID, "fit %s does not have component %zu",
                        dms_fit_get_header(fit)->name, k);
    if (code < 0)
        return code;
    for (size_t i = 0; i < target.weight_ct; i++)
        pca->components[k * pca->example_ct + target.examples[i]] = target.weights[i];
    pca->row_ct = (size_t)target.row_ct;
    pca->offsets[k] = target.mean;
    pca->variances[k] =
        2 * target.null_deviance * (double)target.row_ct / (double)(target.row_ct - 1);
    return 0;
}

int dms_pca_open(const dms_fit *fit, struct dms_pca **pca)
{
    const struct dms_fit_header *header = dms_fit_get_header(fit);
    const char *method = dms_fit_problem(header, "method");
    const char *length = dms_fit_problem(header, "length");
    struct dms_pca *made;
    int code = 0;

    if (!method || strcmp(method, "pca") != 0 || dms_fit_target_ct(fit) == 0)
        return dms_fail(DMS_ERR_INVALID, "fit %s is none of principal components", header->name);
    made = dms_pca_alloc(dms_fit_target_ct(fit), (size_t)header->example_ct);
    if (!made)
        return DMS_ERR_NO_MEMORY;
    made->keep_length = length && strcmp(length, "kept") == 0;
    made->total_variance = NAN;
    for (size_t k = 0; code == 0 && k < made->component_ct; k++)
        code = read_component(fit, k, made);
    if (code < 0) {
        dms_pca_free(made);
        return code;
    }
    *pca = made;
    return 0;
}
