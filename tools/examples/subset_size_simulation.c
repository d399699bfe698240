/*
 * The simulation of Ilyas et al. 2022, Appendix B: at which subset size are features of the
 * training data detected best? subset_size_simulation.sh runs all of it.
 *
 *   subset_size_simulation train STORE MODELS           trains models until the store has MODELS
 *   subset_size_simulation chart FILE.svg FIT STORE...  what the fits called FIT say, as a table
 *                                                       and a chart
 *
 * A store's subset size is in its metadata, as alpha=0.3; so is the seed of the learning task.
 *
 * What is the paper's: 150 features, 125 training examples, linear regression of minimum norm,
 * alpha from 0.1 to 0.9, 50,000 or 1,000,000 models, and the claim: the rarer a feature, the larger
 * the subsets at which it is detected best. A feature that one example has is seen only in models
 * that have this example, and credited with what it does only when the other features of that
 * example are known from others, in large subsets; a feature that many examples have is learned
 * from any large subset, so that only small ones show what a single example adds.
 *
 * What is ours: the learning task (subset_size_world.h), and the measure of detection: the
 * correlation, over all training examples, of the datamodel's weights with the planted influence
 * through the feature that the target is about, averaged over the 25 features of a frequency. Other
 * features of the target are noise in it, so that it stays well below 1.
 */
#include <dmstore.h>

#include <dmstore/fit.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "detection_chart.h"
#include "subset_size_world.h"

#define OUTPUT "predictions"
#define BATCH_MODELS 16384
#define STORE_MAX 64
#define THREAD_MAX 64

static int fail(const char *format, const char *about)
{
    fputs("subset_size_simulation: ", stderr);
    fprintf(stderr, format, about);
    fputc('\n', stderr);
    return 1;
}

static int fail_library(void)
{
    return fail("%s", dms_error_message());
}

/* The value of a key in the store's metadata, or NULL. */
static const char *metadata(const struct dms_schema *schema, const char *key)
{
    for (uint32_t i = 0; i < schema->metadata_ct; i++)
        if (strcmp(schema->metadata[i].key, key) == 0)
            return schema->metadata[i].value;
    return NULL;
}

/* The learning task that a store is about; NULL with a message. The caller frees it. */
static struct world *make_world(const struct dms_schema *schema, const char *path)
{
    const char *seed = metadata(schema, "seed");
    struct world *world = malloc(sizeof *world);

    if (!world)
        fail("%s", "out of memory");
    else if (!seed || !metadata(schema, "alpha") || schema->example_ct != EXAMPLE_CT) {
        fail("'%s' is no store of this simulation", path);
        free(world);
        world = NULL;
    } else
        world_make(world, strtoull(seed, NULL, 10));
    return world;
}

/* ---- training ---- */

/* Models that are trained in one go, and then written. */
struct batch {
    const struct world *world;
    struct dms_sampling sampling;
    uint32_t column;
    uint32_t model_ct;
    uint64_t ids[BATCH_MODELS];
    uint8_t masks[BATCH_MODELS][MASK_BYTES];
    uint16_t outputs[BATCH_MODELS][TARGET_CT]; /* float16 */
};

/* What one thread trains: models first .. end - 1 of the batch. */
struct share {
    pthread_t thread;
    struct batch *batch;
    uint32_t first, end;
};

static void *train_share(void *context)
{
    const struct share *share = context;
    struct batch *batch = share->batch;
    float outputs[TARGET_CT];

    for (uint32_t model = share->first; model < share->end; model++) {
        /* Cannot fail: the subset size is within the training set. */
        dms_sample_mask(EXAMPLE_CT, batch->sampling.subset_size, batch->sampling.seed,
                        batch->ids[model], batch->masks[model]);
        world_train(batch->world, batch->masks[model], outputs);
        dms_f32_to_f16(outputs, TARGET_CT, batch->outputs[model]);
    }
    return NULL;
}

static void train_batch(struct batch *batch)
{
    struct share shares[THREAD_MAX];
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t thread_ct = processors < 1            ? 1
                         : processors > THREAD_MAX ? THREAD_MAX
                                                   : (uint32_t)processors;
    uint32_t started_ct = 0;

    for (uint32_t i = 0; i < thread_ct; i++) {
        shares[i].batch = batch;
        shares[i].first = (uint32_t)((uint64_t)batch->model_ct * i / thread_ct);
        shares[i].end = (uint32_t)((uint64_t)batch->model_ct * (i + 1) / thread_ct);
        if (pthread_create(&shares[i].thread, NULL, train_share, &shares[i]) != 0) {
            shares[i].end = batch->model_ct; /* the rest, in this thread */
            train_share(&shares[i]);
            break;
        }
        started_ct++;
    }
    for (uint32_t i = 0; i < started_ct; i++)
        pthread_join(shares[i].thread, NULL);
}

static int read_masks(void *context, uint64_t row, uint32_t row_ct, uint8_t *masks)
{
    const struct batch *batch = context;

    memcpy(masks, batch->masks[row], (size_t)row_ct * MASK_BYTES);
    return 0;
}

static int read_outputs(void *context, uint32_t column_index, uint64_t row, uint32_t row_ct,
                        uint64_t target, uint64_t target_ct, void *values)
{
    const struct batch *batch = context;
    uint16_t *to = values;

    (void)column_index; /* there is only one */
    for (uint32_t i = 0; i < row_ct; i++)
        memcpy(to + i * target_ct, batch->outputs[row + i] + target, target_ct * sizeof *to);
    return 0;
}

/* How many models the store has; their ids are 0, 1, 2 ... */
static int count_models(dms_store *store, uint64_t *model_ct)
{
    dms_snapshot *snapshot = NULL;
    struct dms_snapshot_info info;

    if (dms_store_snapshot(store, &snapshot) != 0)
        return fail_library();
    dms_snapshot_info(snapshot, &info);
    *model_ct = info.model_ct;
    dms_snapshot_close(snapshot);
    return 0;
}

/* Trains models with ids first_id .. model_ct - 1. */
static int train_models(dms_store *store, struct batch *batch, uint64_t first_id, uint64_t model_ct)
{
    const struct dms_row_source source = {
        .context = batch,
        .ids = batch->ids,
        .read_masks = read_masks,
        .column_ct = 1,
        .columns = &batch->column,
        .read_values = read_outputs,
        .sampling = &batch->sampling,
    };

    for (uint64_t first = first_id; first < model_ct; first += BATCH_MODELS) {
        uint64_t left = model_ct - first;
        struct dms_row_source rows = source;

        batch->model_ct = left < BATCH_MODELS ? (uint32_t)left : BATCH_MODELS;
        for (uint32_t model = 0; model < batch->model_ct; model++)
            batch->ids[model] = first + model;
        train_batch(batch);
        rows.row_ct = batch->model_ct;
        if (dms_store_write(store, &rows, NULL, NULL) != 0)
            return fail_library();
    }
    return 0;
}

static int train(const char *path, uint64_t model_ct)
{
    struct batch *batch = calloc(1, sizeof *batch);
    struct world *world = NULL;
    struct dms_schema *schema = NULL;
    dms_store *store = NULL;
    uint64_t trained_ct = 0;
    int status = 1;

    if (!batch) {
        fail("%s", "out of memory");
        goto out;
    }
    if (dms_schema_read(path, &schema) != 0 ||
        dms_schema_find(schema, OUTPUT, &batch->column) != 0) {
        fail_library();
        goto out;
    }
    world = make_world(schema, path);
    if (!world)
        goto out;
    if (schema->columns[batch->column].target_ct != TARGET_CT ||
        schema->columns[batch->column].dtype != DMS_F16) {
        fail("the column " OUTPUT " of '%s' is not one of 150 float16 values", path);
        goto out;
    }
    batch->world = world;
    if (dms_alpha_parse(metadata(schema, "alpha"), EXAMPLE_CT, &batch->sampling.subset_size) != 0 ||
        dms_store_open(path, &store) != 0) {
        fail_library();
        goto out;
    }
    if (count_models(store, &trained_ct) != 0)
        goto out;
    if (trained_ct > model_ct) {
        fail("'%s' has more models than that already", path);
        goto out;
    }
    status = train_models(store, batch, trained_ct, model_ct);
out:
    dms_store_close(store);
    dms_schema_free(schema);
    free(world);
    free(batch);
    return status;
}

/* ---- measuring ---- */

static double correlation(const double *a, const double *b)
{
    double sum_a = 0, sum_b = 0, sum_aa = 0, sum_bb = 0, sum_ab = 0;

    for (unsigned i = 0; i < EXAMPLE_CT; i++) {
        sum_a += a[i];
        sum_b += b[i];
        sum_aa += a[i] * a[i];
        sum_bb += b[i] * b[i];
        sum_ab += a[i] * b[i];
    }
    double variances =
        (sum_aa - sum_a * sum_a / EXAMPLE_CT) * (sum_bb - sum_b * sum_b / EXAMPLE_CT);
    return variances > 0 ? (sum_ab - sum_a * sum_b / EXAMPLE_CT) / sqrt(variances) : 0;
}

static int measure_fit(const dms_fit *fit, const struct world *world, struct detection *detection)
{
    double sums[FREQUENCY_CT] = {0};
    unsigned counts[FREQUENCY_CT] = {0};

    for (size_t position = 0; position < dms_fit_target_ct(fit); position++) {
        struct dms_fitted_target fitted;
        double weights[EXAMPLE_CT] = {0}, planted[EXAMPLE_CT];

        if (dms_fit_target(fit, position, &fitted) != 0)
            return fail_library();
        for (size_t i = 0; i < fitted.weight_ct; i++)
            weights[fitted.examples[i]] = fitted.weights[i];
        for (unsigned example = 0; example < EXAMPLE_CT; example++)
            planted[example] = world_planted_influence(world, (unsigned)fitted.target, example);
        unsigned frequency = world_frequency((unsigned)fitted.target);
        sums[frequency] += correlation(weights, planted);
        counts[frequency]++;
    }
    for (unsigned frequency = 0; frequency < FREQUENCY_CT; frequency++) {
        if (counts[frequency] == 0)
            return fail("%s", "the fit has not got all targets");
        detection->correlations[frequency] = sums[frequency] / counts[frequency];
    }
    return 0;
}

static int measure_store(const char *path, const char *fit_name, struct detection *detection)
{
    dms_snapshot *snapshot = NULL;
    dms_fit *fit = NULL;
    struct world *world = NULL;
    int status = 1;

    if (dms_snapshot_open(path, &snapshot) != 0 || dms_fit_open(snapshot, fit_name, &fit) != 0) {
        fail_library();
        goto out;
    }
    world = make_world(dms_snapshot_schema(snapshot), path);
    if (!world)
        goto out;
    struct dms_snapshot_info info;
    dms_snapshot_info(snapshot, &info);
    detection->model_ct = info.model_ct;
    detection->alpha = strtod(metadata(dms_snapshot_schema(snapshot), "alpha"), NULL);
    status = measure_fit(fit, world, detection);
out:
    free(world);
    dms_fit_close(fit);
    dms_snapshot_close(snapshot);
    return status;
}

static int by_alpha(const void *a, const void *b)
{
    const struct detection *x = a, *y = b;

    return (x->alpha > y->alpha) - (x->alpha < y->alpha);
}

static void print_table(const struct detection *detections, size_t detection_ct)
{
    printf("Correlation of datamodel weights with planted influences; features that are in\n"
           "alpha ");
    for (unsigned frequency = 0; frequency < FREQUENCY_CT; frequency++)
        printf("%4u ex.", 1u << frequency);
    putchar('\n');
    for (size_t i = 0; i < detection_ct; i++) {
        printf("%5.2f ", detections[i].alpha);
        for (unsigned frequency = 0; frequency < FREQUENCY_CT; frequency++)
            printf("%8.3f", detections[i].correlations[frequency]);
        putchar('\n');
    }
    printf("best  ");
    for (unsigned frequency = 0; frequency < FREQUENCY_CT; frequency++)
        printf("%8.2f", detections[best_detection(detections, detection_ct, frequency)].alpha);
    putchar('\n');
}

static int chart(const char *chart_path, const char *fit_name, char **stores, size_t store_ct)
{
    struct detection detections[STORE_MAX];

    if (store_ct > STORE_MAX)
        return fail("%s", "too many stores");
    for (size_t i = 0; i < store_ct; i++)
        if (measure_store(stores[i], fit_name, &detections[i]) != 0)
            return 1;
    qsort(detections, store_ct, sizeof *detections, by_alpha);
    print_table(detections, store_ct);
    if (detection_chart_write(chart_path, detections, store_ct) != 0)
        return fail("cannot write the chart: %s", strerror(errno));
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "train") == 0 && strtoull(argv[3], NULL, 10) > 0)
        return train(argv[2], strtoull(argv[3], NULL, 10));
    if (argc >= 5 && strcmp(argv[1], "chart") == 0)
        return chart(argv[2], argv[3], argv + 4, (size_t)(argc - 4));
    fputs("usage: subset_size_simulation train STORE MODELS\n"
          "       subset_size_simulation chart FILE.svg FIT STORE...\n",
          stderr);
    return 2;
}
