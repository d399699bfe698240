/*
 * Counts of the training examples, and the curvature of the regression.
 */
#include "solver/design.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "kernels/kernels.h"
#include "kernels/lane_updates.h"
#include "kernels/lanes.h"

#define BATCH_ROWS 1024
/* Passes of power iteration, and the factor by which what they find may be too small: the spectrum
 * of random masks is dense at its upper edge, so that iteration comes near it quickly and then
 * slowly. */
#define POWER_PASSES 10
#define POWER_MARGIN 1.1

/* Opens the models of `role`. The outputs of one target come along, unused: a source has at least
 * one. */
static int open_masks(const struct dms_problem *problem, enum dms_role role,
                      struct dms_batch_source *source)
{
    return problem->open(problem->context, role, false, 0, 1, BATCH_ROWS, source);
}

/* Calls `visit` with every batch of one pass. */
static int visit_batches(struct dms_batch_source *source,
                         void (*visit)(void *context, const struct dms_batch *batch), void *context)
{
    const struct dms_batch *batch;
    int rc = source->seek(source->context, 0);

    while (rc == DMS_OK && (rc = source->next(source->context, &batch)) == DMS_OK) {
        visit(context, batch);
        source->release(source->context, batch);
    }
    return rc == DMS_END ? DMS_OK : rc;
}

/* ---- counts ---- */

struct counting {
    struct dms_design *design;
    uint32_t *batch_counts;
};

static void count_batch(void *context, const struct dms_batch *batch)
{
    struct counting *counting = context;
    size_t example_ct = counting->design->example_ct;

    memset(counting->batch_counts, 0, example_ct * sizeof *counting->batch_counts);
    dms_kernels_get()->count_columns(batch->masks, batch->row_ct, batch->mask_stride_bytes,
                                     example_ct, counting->batch_counts);
    for (size_t k = 0; k < example_ct; k++)
        counting->design->counts[k] += counting->batch_counts[k];
}

int dms_design_create(const struct dms_problem *problem, enum dms_role role,
                      struct dms_design **design)
{
    struct dms_design *made = dms_alloc(1, sizeof *made);
    struct counting counting = {.design = made};
    struct dms_batch_source source;
    int rc = DMS_ERR_NO_MEMORY;

    if (!made)
        return rc;
    made->example_ct = problem->example_ct;
    made->row_ct = problem->row_ct[role];
    made->standardize = problem->standardize;
    made->counts = dms_alloc(made->example_ct, sizeof *made->counts);
    made->means = dms_alloc(made->example_ct, sizeof *made->means);
    made->inverse_variances = dms_alloc(made->example_ct, sizeof *made->inverse_variances);
    counting.batch_counts = dms_alloc(made->example_ct, sizeof *counting.batch_counts);
    if (!made->counts || !made->means || !made->inverse_variances || !counting.batch_counts)
        goto out;
    rc = open_masks(problem, role, &source);
    if (rc < 0)
        goto out;
    rc = visit_batches(&source, count_batch, &counting);
    source.close(source.context);
    if (rc < 0)
        goto out;
    for (size_t k = 0; k < made->example_ct; k++) {
        double mean = made->counts[k] / (double)made->row_ct;

        made->means[k] = mean;
        made->inverse_variances[k] = mean > 0 && mean < 1 ? 1 / (mean * (1 - mean)) : 0;
    }
    *design = made;
    made = NULL;
out:
    free(counting.batch_counts);
    dms_design_free(made);
    return rc;
}

void dms_design_free(struct dms_design *design)
{
    if (!design)
        return;
    free(design->counts);
    free(design->means);
    free(design->inverse_variances);
    free(design->penalties_f32);
    free(design->penalties_f64);
    free(design);
}

double dms_design_scale(bool standardize, double mean)
{
    double variance = mean * (1 - mean);

    if (!(variance > 0))
        return 0;
    return standardize ? sqrt(variance) : 1;
}

static double penalty(const struct dms_design *design, size_t example)
{
    return dms_design_scale(design->standardize, design->means[example]) *
           design->inverse_variances[example];
}

const void *dms_design_penalties(struct dms_design *design, size_t real_bytes)
{
    size_t value_ct = design->example_ct * DMS_LANES;

    if (real_bytes == sizeof(float) && !design->penalties_f32) {
        design->penalties_f32 = dms_alloc_aligned(64, value_ct * sizeof(float));
        for (size_t i = 0; design->penalties_f32 && i < value_ct; i++)
            design->penalties_f32[i] = (float)penalty(design, i / DMS_LANES);
    }
    if (real_bytes == sizeof(double) && !design->penalties_f64) {
        design->penalties_f64 = dms_alloc_aligned(64, value_ct * sizeof(double));
        for (size_t i = 0; design->penalties_f64 && i < value_ct; i++)
            design->penalties_f64[i] = penalty(design, i / DMS_LANES);
    }
    return real_bytes == sizeof(float) ? (const void *)design->penalties_f32
                                       : (const void *)design->penalties_f64;
}

/* ---- curvature ---- */

/* One multiplication of DMS_LANES vectors with the Gram matrix of the centred masks. */
struct curvature {
    const struct dms_design *design;
    const struct dms_lane_kernels *kernels;
    float *vectors;  /* examples x lanes */
    float *products; /* batch rows x lanes */
    float *sums;     /* examples x lanes */
    double *totals;  /* examples x lanes */
    void *workspace;
    double shift[DMS_LANES]; /* means . vectors */
    double sum[DMS_LANES];   /* of the centred products */
    double largest_row_norm;
};

/* Lane 0 holds the change of a row's squared norm by each example that is in: the products are
 * norms. */
static void norm_batch(void *context, const struct dms_batch *batch)
{
    struct curvature *work = context;

    work->kernels->multiply(batch->masks, batch->row_ct, batch->mask_stride_bytes,
                            work->design->example_ct, work->vectors, work->products,
                            work->workspace);
    for (size_t i = 0; i < batch->row_ct; i++)
        work->largest_row_norm =
            fmax(work->largest_row_norm, work->products[i * DMS_LANES] - work->shift[0]);
}

static void gram_batch(void *context, const struct dms_batch *batch)
{
    struct curvature *work = context;
    size_t example_ct = work->design->example_ct;

    work->kernels->multiply(batch->masks, batch->row_ct, batch->mask_stride_bytes, example_ct,
                            work->vectors, work->products, work->workspace);
    for (size_t i = 0; i < batch->row_ct; i++)
        for (size_t l = 0; l < DMS_LANES; l++) {
            float *product = &work->products[i * DMS_LANES + l];

            *product -= (float)work->shift[l];
            work->sum[l] += (double)*product;
        }
    work->kernels->multiply_transposed(batch->mask_columns, example_ct, batch->row_ct, example_ct,
                                       work->products, work->sums, work->workspace);
    dms_lane_updates_get(sizeof *work->sums)
        ->accumulate(example_ct * DMS_LANES, work->sums, work->totals);
}

static int measure_row_norm(struct curvature *work, struct dms_batch_source *source)
{
    const struct dms_design *design = work->design;

    work->shift[0] = 0;
    for (size_t k = 0; k < design->example_ct; k++) {
        double mean = design->means[k];
        double inverse = design->inverse_variances[k];

        work->vectors[k * DMS_LANES] = (float)((1 - 2 * mean) * inverse);
        work->shift[0] -= mean * mean * inverse;
    }
    return visit_batches(source, norm_batch, work);
}

/* A fixed pseudo-random start: any vector that is not orthogonal to the answer would do. */
static void start_vectors(struct curvature *work)
{
    uint64_t state = 1;

    for (size_t i = 0; i < work->design->example_ct * DMS_LANES; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        work->vectors[i] = (float)((double)(state >> 33) / 4294967296.0 - 0.25) *
                           (float)sqrt(work->design->inverse_variances[i / DMS_LANES]);
    }
}

/* Normalises the vectors of all lanes in the standardised metric: |s v| = 1. */
static void normalise(struct curvature *work)
{
    const struct dms_design *design = work->design;
    double norm[DMS_LANES] = {0};

    memset(work->shift, 0, sizeof work->shift);
    for (size_t k = 0; k < design->example_ct; k++)
        for (size_t l = 0; l < DMS_LANES && design->inverse_variances[k] > 0; l++) {
            double v = (double)work->vectors[k * DMS_LANES + l];

            norm[l] += v * v / design->inverse_variances[k];
        }
    for (size_t k = 0; k < design->example_ct; k++)
        for (size_t l = 0; l < DMS_LANES; l++) {
            float *v = &work->vectors[k * DMS_LANES + l];

            *v = norm[l] > 0 ? (float)((double)*v / sqrt(norm[l])) : 0;
            work->shift[l] += design->means[k] * (double)*v;
        }
}

/* Replaces the vectors by their products; returns the largest norm of one. */
static double finish_product(struct curvature *work)
{
    const struct dms_design *design = work->design;
    double norm[DMS_LANES] = {0}, largest = 0;

    for (size_t k = 0; k < design->example_ct; k++)
        for (size_t l = 0; l < DMS_LANES; l++) {
            size_t at = k * DMS_LANES + l;
            double value =
                (work->totals[at] - design->means[k] * work->sum[l]) / (double)design->row_ct;

            norm[l] += value * value * design->inverse_variances[k];
            work->vectors[at] = (float)(value * design->inverse_variances[k]);
        }
    for (size_t l = 0; l < DMS_LANES; l++)
        largest = fmax(largest, sqrt(norm[l]));
    return largest;
}

static int allocate_curvature(struct curvature *work)
{
    size_t value_ct = work->design->example_ct * DMS_LANES;

    work->vectors = dms_alloc_aligned(64, value_ct * sizeof *work->vectors);
    work->products = dms_alloc_aligned(64, BATCH_ROWS * DMS_LANES * sizeof *work->products);
    work->sums = dms_alloc_aligned(64, value_ct * sizeof *work->sums);
    work->totals = dms_alloc(value_ct, sizeof *work->totals);
    work->workspace = dms_alloc_aligned(64, work->kernels->workspace_bytes + 64);
    if (!work->vectors || !work->products || !work->sums || !work->totals || !work->workspace)
        return DMS_ERR_NO_MEMORY;
    memset(work->vectors, 0, value_ct * sizeof *work->vectors);
    return DMS_OK;
}

/* The largest eigenvalue of the Gram matrix, as far as power iteration finds it. */
static int measure_eigenvalue(struct curvature *work, struct dms_batch_source *source,
                              double *largest)
{
    size_t total_bytes = work->design->example_ct * DMS_LANES * sizeof *work->totals;
    int rc = DMS_OK;

    *largest = 0;
    start_vectors(work);
    for (int pass = 0; rc == DMS_OK && pass < POWER_PASSES; pass++) {
        normalise(work);
        memset(work->totals, 0, total_bytes);
        memset(work->sum, 0, sizeof work->sum);
        rc = visit_batches(source, gram_batch, work);
        *largest = fmax(*largest, finish_product(work));
    }
    return rc;
}

int dms_design_measure(struct dms_design *design, const struct dms_problem *problem,
                       enum dms_role role)
{
    struct curvature work = {.design = design, .kernels = dms_lane_variant_get()->f32};
    struct dms_batch_source source;
    double largest;
    int rc = allocate_curvature(&work);

    if (rc == DMS_OK)
        rc = open_masks(problem, role, &source);
    if (rc == DMS_OK) {
        rc = measure_row_norm(&work, &source);
        if (rc == DMS_OK)
            rc = measure_eigenvalue(&work, &source, &largest);
        source.close(source.context);
    }
    if (rc == DMS_OK) {
        design->largest_eigenvalue = largest * POWER_MARGIN;
        design->largest_row_norm = work.largest_row_norm;
    }
    free(work.vectors);
    free(work.products);
    free(work.sums);
    free(work.totals);
    free(work.workspace);
    return rc;
}
