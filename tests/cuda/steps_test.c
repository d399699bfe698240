/*
 * The kernels on rows and examples (residuals, sums, steps), against plain loops in double
 * precision that do the same lane by lane: modes mixed, rows without weight, lanes without a
 * target, outputs as float and as float16. Runs on the stand-in, or on a card (tests/cuda/gpu.sh).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "device_arrays.h"
#include "kernels/kernels.h"
#include "unit/tap.h"

#define STRIDE 64
#define LANE_CT 48

/* A panel and a batch on the host, and where they are on the device. */
struct world {
    uint32_t example_ct, row_ct;
    bool with_counts, with_table, half_outputs, standardize;
    double *means, *inverse_variances, *fields;
    double *weights, *averages, *previous, *counts, *sums;
    double *products, *residuals;
    float *table, *outputs;
    uint64_t *masks, *ranks;
    struct dms_cuda_lane lanes[STRIDE];
    struct dms_cuda_panel panel; /* on the device */
    struct dms_cuda_batch batch;
};

static double *random_doubles(size_t count)
{
    double *values = malloc((count + 1) * sizeof *values);

    for (size_t i = 0; i < count; i++)
        values[i] = random_real();
    return values;
}

static double *field(struct world *world, enum dms_cuda_field f, size_t l)
{
    return &world->fields[(size_t)f * STRIDE + l];
}

/* Means of which some are 0 or 1, and variances to match. */
static void make_examples(struct world *world)
{
    size_t values = (size_t)world->example_ct * STRIDE;

    world->means = random_doubles(world->example_ct);
    world->inverse_variances = random_doubles(world->example_ct);
    for (size_t k = 0; k < world->example_ct; k++) {
        double mean = k % 11 == 7 ? (double)(k % 2) : 0.5 + world->means[k] * 0.4;

        world->means[k] = mean;
        world->inverse_variances[k] = mean > 0 && mean < 1 ? 1 / (mean * (1 - mean)) : 0;
    }
    world->weights = random_doubles(values);
    world->averages = random_doubles(values);
    world->previous = random_doubles(values);
    world->counts = random_doubles(values);
    world->sums = random_doubles(values);
    for (size_t i = 0; i < values; i++) {
        world->counts[i] = floor(50 + 40 * world->counts[i]);
        if (i % 3 == 0)
            world->weights[i] = 0;
    }
}

static void make_lanes(struct world *world)
{
    world->fields = random_doubles((size_t)DMS_CUDA_FIELD_CT * STRIDE);
    memset(world->lanes, 0, sizeof world->lanes);
    for (size_t l = 0; l < STRIDE; l++) {
        world->lanes[l] = (struct dms_cuda_lane){
            .self = l % 5 == 2 && world->example_ct > 0 ? (int64_t)(l % world->example_ct) : -1,
            .column = (uint32_t)(l * 7 % LANE_CT),
            .used = l < LANE_CT && l != 20,
            .moving = l % 4 != 1,
            .mode = (uint8_t)(l / 16),
            .restart = l % 6 == 0};
        *field(world, DMS_CUDA_ROW_WEIGHT, l) = l == 9 ? 0 : 100 + (double)l;
        *field(world, DMS_CUDA_STEP, l) = 0.3;
        *field(world, DMS_CUDA_LAMBDA, l) = 0.2;
        *field(world, DMS_CUDA_HAS_PIVOT, l) = 0;
        *field(world, DMS_CUDA_PUSH, l) = l % 7 == 0 ? 0 : 0.4;
    }
}

/* Rows whose outputs are not finite here and there; exact in float16. */
static void make_rows(struct world *world)
{
    size_t word_ct = world->example_ct / 64 + 1;

    world->masks = calloc(world->row_ct * word_ct + 1, sizeof *world->masks);
    world->ranks = calloc(world->row_ct + 1, sizeof *world->ranks);
    world->outputs = calloc((size_t)world->row_ct * STRIDE + 1, sizeof *world->outputs);
    world->products = random_doubles((size_t)world->row_ct * STRIDE);
    world->residuals = random_doubles((size_t)world->row_ct * STRIDE);
    world->table = calloc((size_t)(world->row_ct + 1) * STRIDE, sizeof *world->table);
    for (size_t i = 0; i < world->row_ct; i++) {
        world->ranks[i] = (i * 5 + 3) % world->row_ct; /* all different unless 5 divides row_ct */
        for (size_t k = 0; k < world->example_ct; k++)
            world->masks[i * word_ct + k / 64] |= (uint64_t)(random_word() >> 31) << (k % 64);
        for (size_t l = 0; l < STRIDE; l++) {
            world->outputs[i * STRIDE + l] = (float)(rint(random_real() * 512) / 64);
            world->table[i * STRIDE + l] = (float)random_real();
        }
        world->outputs[i * STRIDE + i % 40] = i % 3 == 0 ? NAN : INFINITY;
    }
}

static void *outputs_on_device(const struct world *world)
{
    size_t count = (size_t)world->row_ct * STRIDE;
    uint16_t *halves = malloc(count * 2 + 2);
    void *array;

    if (!world->half_outputs) {
        free(halves);
        return device_array(world->outputs, count * sizeof(float));
    }
    dms_kernels_get()->f32_to_f16(world->outputs, count, halves);
    array = device_array(halves, count * 2);
    free(halves);
    return array;
}

static void place(struct world *world)
{
    size_t bytes = (size_t)world->example_ct * STRIDE * 8, rows = (size_t)world->row_ct * STRIDE;
    size_t word_ct = world->example_ct / 64 + 1;

    world->panel = (struct dms_cuda_panel){
        .example_ct = world->example_ct,
        .stride = STRIDE,
        .lane_ct = LANE_CT,
        .row_ct = world->row_ct + 1000,
        .standardize = world->standardize,
        .means = device_array(world->means, world->example_ct * 8),
        .inverse_variances = device_array(world->inverse_variances, world->example_ct * 8),
        .lanes = device_array(world->lanes, sizeof world->lanes),
        .fields = device_array(world->fields, (size_t)DMS_CUDA_FIELD_CT * STRIDE * 8),
        .partial = device_doubles((size_t)DMS_CUDA_SUMS * DMS_CUDA_PARTS * STRIDE),
        .weights = device_array(world->weights, bytes),
        .averages = device_array(world->averages, bytes),
        .previous = device_array(world->previous, bytes),
        .counts = world->with_counts ? device_array(world->counts, bytes) : NULL,
        .sums = device_array(world->sums, bytes),
        .table = world->with_table ? device_array(world->table, rows * 4) : NULL,
        .products = device_array(world->products, rows * 8),
        .residuals = device_array(world->residuals, rows * 8)};
    world->batch =
        (struct dms_cuda_batch){.masks = device_array(world->masks, world->row_ct * word_ct * 8),
                                .outputs = outputs_on_device(world),
                                .ranks = device_array(world->ranks, world->row_ct * 8),
                                .row_ct = world->row_ct,
                                .mask_words = (uint32_t)word_ct,
                                .output_stride = STRIDE,
                                .half_outputs = world->half_outputs};
}

static void make_world(struct world *world)
{
    make_examples(world);
    make_lanes(world);
    make_rows(world);
    place(world);
}

static void free_world(struct world *world)
{
    void *arrays[] = {world->means,    world->inverse_variances,
                      world->fields,   world->weights,
                      world->averages, world->previous,
                      world->counts,   world->sums,
                      world->products, world->residuals,
                      world->table,    world->outputs,
                      world->masks,    world->ranks};

    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]);
}

/* ---- comparing ---- */

static bool near(double a, double b)
{
    return a == b || fabs(a - b) <= 1e-10 * (1 + fabs(a) + fabs(b));
}

static void same(const double *wanted, const double *array, size_t count, const char *what)
{
    double *got = malloc((count + 1) * sizeof *got);
    size_t wrong_ct = 0, first = 0;

    device_read(got, array, count * sizeof *got);
    for (size_t i = 0; i < count; i++)
        if (!near(got[i], wanted[i]) && wrong_ct++ == 0)
            first = i;
    if (!ok(wrong_ct == 0, "%s", what))
        diag("%zu of %zu are wrong; at %zu: %g, not %g", wrong_ct, count, first, got[first],
             wanted[first]);
    free(got);
}

static void same_fields(struct world *world, const char *what)
{
    same(world->fields, world->panel.fields, (size_t)DMS_CUDA_FIELD_CT * STRIDE, what);
}

static void same_values(const struct world *world, const double *wanted, const double *array,
                        const char *what)
{
    same(wanted, array, (size_t)world->example_ct * STRIDE, what);
}

/* ---- rows ---- */

static double output(const struct world *world, size_t i, size_t l)
{
    return (double)world->outputs[i * STRIDE + world->lanes[l].column];
}

static bool counts(const struct world *world, size_t i, size_t l)
{
    int64_t self = world->lanes[l].self;
    size_t word_ct = world->example_ct / 64 + 1;

    return world->lanes[l].used && isfinite(output(world, i, l)) &&
           !(self >= 0 && world->masks[i * word_ct + (size_t)self / 64] >> (self % 64) & 1);
}

static void check_moments(struct world *world)
{
    for (size_t l = 0; l < STRIDE; l++)
        for (size_t i = 0; i < world->row_ct; i++) {
            double y = output(world, i, l);

            if (world->lanes[l].used && !isfinite(y))
                *field(world, DMS_CUDA_NONFINITE, l) += 1;
            if (!counts(world, i, l))
                continue;
            if (*field(world, DMS_CUDA_HAS_PIVOT, l) == 0) {
                *field(world, DMS_CUDA_PIVOT, l) = y;
                *field(world, DMS_CUDA_HAS_PIVOT, l) = 1;
            }
            y -= *field(world, DMS_CUDA_PIVOT, l);
            *field(world, DMS_CUDA_SUM_ROWS, l) += 1;
            *field(world, DMS_CUDA_MOMENT_1, l) += y;
            *field(world, DMS_CUDA_MOMENT_2, l) += y * y;
        }
    device_check(module->add_moments(&world->panel, &world->batch, stream), "moments");
    same_fields(world, "moments");
}

static void check_weights_of_rows(struct world *world)
{
    uint64_t words[64] = {0}, *array;
    size_t word_ct = (world->row_ct + 63) / 64, wrong_ct = 0;

    for (size_t i = 0; i < world->row_ct; i++)
        for (size_t l = 0; l < STRIDE; l++)
            world->residuals[i * STRIDE + l] = counts(world, i, l);
    device_check(module->weigh_rows(&world->panel, &world->batch, stream), "weights of rows");
    same(world->residuals, world->panel.residuals, (size_t)world->row_ct * STRIDE,
         "weights of rows");
    array = device_array(words, sizeof words);
    device_check(module->mark_rows(&world->panel, &world->batch, 7, array, stream), "marking");
    device_read(words, array, sizeof words);
    for (size_t i = 0; i < 64 * word_ct; i++)
        wrong_ct += (words[i / 64] >> (i % 64) & 1) != (i < world->row_ct && counts(world, i, 7));
    ok(wrong_ct == 0, "marks of rows with weight");
}

/* One lane of a batch: its residuals, table and sums. */
static void residuals_of_lane(struct world *world, size_t l)
{
    uint8_t mode = world->lanes[l].mode;
    double bias = *field(world, DMS_CUDA_CENTRE, l) - *field(world, DMS_CUDA_SHIFT, l);
    double correction = 0;

    for (size_t i = 0; i < world->row_ct; i++) {
        bool counted = mode != DMS_CUDA_MODE_NONE && counts(world, i, l);
        double y = counted ? output(world, i, l) : 0;
        double e = counted ? world->products[i * STRIDE + l] + bias - y : 0;

        *field(world, DMS_CUDA_SUM_RESIDUAL, l) += e;
        *field(world, DMS_CUDA_SUM_SQUARE, l) += e * e;
        *field(world, DMS_CUDA_SUM_OUTPUT, l) += e * (y - *field(world, DMS_CUDA_MEAN, l));
        *field(world, DMS_CUDA_SUM_ROWS, l) += counted;
        if (world->with_table && (mode == DMS_CUDA_MODE_SAGA || mode == DMS_CUDA_MODE_EVALUATE)) {
            float *old = &world->table[world->ranks[i] * STRIDE + l];
            double kept = (double)*old;

            *old = (float)e;
            if (mode == DMS_CUDA_MODE_SAGA)
                e = (double)*old - kept;
        }
        correction += e;
        world->residuals[i * STRIDE + l] = e;
    }
    *field(world, DMS_CUDA_CORRECTION, l) = correction;
}

static void check_residuals(struct world *world)
{
    size_t count = (size_t)world->row_ct * STRIDE, wrong_ct = 0;
    float *table = malloc(count * sizeof *table + 4);

    for (size_t l = 0; l < STRIDE && world->row_ct > 0; l++)
        residuals_of_lane(world, l);
    device_check(module->find_residuals(&world->panel, &world->batch, stream), "residuals");
    same(world->residuals, world->panel.residuals, count, "residuals");
    same_fields(world, "sums of residuals");
    if (world->with_table) {
        device_read(table, world->panel.table, count * sizeof *table);
        for (size_t i = 0; i < count; i++)
            wrong_ct += !near((double)table[i], (double)world->table[i]);
        ok(wrong_ct == 0, "the table");
    }
    free(table);
}

/* ---- examples ---- */

static double mean_of(struct world *world, size_t k, size_t l)
{
    double row_weight = *field(world, DMS_CUDA_ROW_WEIGHT, l);

    if (!world->with_counts)
        return world->means[k];
    return row_weight > 0 ? world->counts[k * STRIDE + l] / row_weight : 0;
}

static double scale_of(struct world *world, size_t k, size_t l)
{
    double mean = mean_of(world, k, l), variance = mean * (1 - mean);

    return variance > 0 ? world->standardize ? sqrt(variance) : 1 : 0;
}

static double penalty_of(struct world *world, size_t k, size_t l)
{
    double scale = scale_of(world, k, l);

    return world->with_counts && scale == 0 ? 1e30 : scale * world->inverse_variances[k];
}

static double gradient_of(struct world *world, size_t k, size_t l)
{
    double gradient = world->averages[k * STRIDE + l];

    if (world->with_counts)
        gradient +=
            *field(world, DMS_CUDA_RESIDUAL_MEAN, l) * (world->means[k] - mean_of(world, k, l));
    return gradient;
}

static double soften(double value, double threshold)
{
    return copysign(fmax(fabs(value) - threshold, 0), value);
}

static void check_evaluation(struct world *world)
{
    for (size_t l = 0; l < STRIDE; l++) {
        double row_weight = *field(world, DMS_CUDA_ROW_WEIGHT, l), norm = 0, largest = 0, ct = 0;
        double scale = row_weight > 0 ? 1 / row_weight : 0;

        for (size_t k = 0; k < world->example_ct && world->lanes[l].mode == DMS_CUDA_MODE_EVALUATE;
             k++) {
            double s = world->inverse_variances[k] > 0 ? scale_of(world, k, l) : 0;
            double *average = &world->averages[k * STRIDE + l];

            *average =
                *average * scale - world->means[k] * *field(world, DMS_CUDA_CENTRE_AVERAGE, l);
            if (s == 0)
                continue;
            norm += s * fabs(world->weights[k * STRIDE + l]);
            largest = fmax(largest, fabs(gradient_of(world, k, l)) / s);
            ct += world->weights[k * STRIDE + l] != 0;
        }
        *field(world, DMS_CUDA_NORM, l) = norm;
        *field(world, DMS_CUDA_LARGEST, l) = largest;
        *field(world, DMS_CUDA_WEIGHT_CT, l) = ct;
    }
    device_check(module->end_evaluation(&world->panel, stream), "an evaluation");
    same_values(world, world->averages, world->panel.averages, "gradients");
    same_fields(world, "norms and largest gradients");
}

static void find_shift(struct world *world, size_t l)
{
    double shift = 0;

    for (size_t k = 0; k < world->example_ct; k++)
        shift += world->means[k] * world->weights[k * STRIDE + l];
    *field(world, DMS_CUDA_SHIFT, l) = shift;
}

static void saga_lane(struct world *world, size_t l, bool is_first)
{
    uint8_t mode = world->lanes[l].mode;
    double row_weight = *field(world, DMS_CUDA_ROW_WEIGHT, l);
    double share = row_weight > 0 ? 1 / row_weight : 0;
    double rows = (double)world->panel.row_ct / world->row_ct;
    double step = *field(world, DMS_CUDA_STEP, l);
    double correction = *field(world, DMS_CUDA_CORRECTION, l);

    for (size_t k = 0; k < world->example_ct; k++) {
        double *average = &world->averages[k * STRIDE + l], sum = world->sums[k * STRIDE + l];
        double *weight = &world->weights[k * STRIDE + l];
        double change = (sum - world->means[k] * correction) * share;

        if (mode == DMS_CUDA_MODE_EVALUATE)
            *average = is_first ? sum : *average + sum;
        if (mode != DMS_CUDA_MODE_SAGA)
            continue;
        *weight = soften(*weight - step * world->inverse_variances[k] * (change * rows + *average),
                         step * *field(world, DMS_CUDA_LAMBDA, l) * penalty_of(world, k, l));
        *average += change;
    }
    if (mode == DMS_CUDA_MODE_SAGA) {
        *field(world, DMS_CUDA_CENTRE, l) -=
            step * (correction * share * rows + *field(world, DMS_CUDA_CENTRE_AVERAGE, l));
        *field(world, DMS_CUDA_CENTRE_AVERAGE, l) += correction * share;
    }
    find_shift(world, l);
}

static void check_saga(struct world *world, bool is_first)
{
    for (size_t l = 0; l < STRIDE && world->row_ct > 0; l++)
        saga_lane(world, l, is_first);
    device_check(module->take_saga_step(&world->panel, world->row_ct, is_first, stream), "a step");
    same_values(world, world->averages, world->panel.averages, "averages after a step of SAGA");
    same_values(world, world->weights, world->panel.weights, "weights after a step of SAGA");
    same_fields(world, "centres and shifts after a step of SAGA");
}

static double next_point(struct world *world, size_t k, size_t l)
{
    double point = world->weights[k * STRIDE + l], step = *field(world, DMS_CUDA_STEP, l);

    if (!world->lanes[l].moving || world->lanes[l].mode != DMS_CUDA_MODE_EVALUATE ||
        !(*field(world, DMS_CUDA_ROW_WEIGHT, l) > 0))
        return point;
    return soften(point - step * world->inverse_variances[k] * gradient_of(world, k, l),
                  step * *field(world, DMS_CUDA_LAMBDA, l) * penalty_of(world, k, l));
}

static void accelerate_lane(struct world *world, size_t l)
{
    bool moves = world->lanes[l].moving && world->lanes[l].mode == DMS_CUDA_MODE_EVALUATE;
    double restart = 0, push = *field(world, DMS_CUDA_PUSH, l);

    for (size_t k = 0; k < world->example_ct && world->lanes[l].mode == DMS_CUDA_MODE_EVALUATE;
         k++) {
        size_t at = k * STRIDE + l;
        double point = world->weights[at], next = next_point(world, k, l);
        double last = world->lanes[l].restart ? point : world->previous[at];

        if (world->inverse_variances[k] > 0)
            restart += (point - next) * (next - last) / world->inverse_variances[k];
        world->averages[at] = last;
        world->previous[at] = next;
        if (moves)
            world->weights[at] = next + push * (next - last);
    }
    *field(world, DMS_CUDA_RESTART, l) = restart;
    find_shift(world, l);
}

static void check_acceleration(struct world *world)
{
    for (size_t l = 0; l < STRIDE; l++)
        accelerate_lane(world, l);
    device_check(module->find_points(&world->panel, stream), "points");
    device_check(module->push_points(&world->panel, stream), "momentum");
    same_values(world, world->previous, world->panel.previous, "proximal points");
    same_values(world, world->averages, world->panel.averages, "the points before them");
    same_values(world, world->weights, world->panel.weights, "weights with momentum");
    same_fields(world, "restarts and shifts");
}

static void check_descent(struct world *world)
{
    for (size_t l = 0; l < STRIDE; l++) {
        for (size_t k = 0; k < world->example_ct; k++)
            world->weights[k * STRIDE + l] = next_point(world, k, l);
        find_shift(world, l);
    }
    device_check(module->descend(&world->panel, stream), "a plain step");
    same_values(world, world->weights, world->panel.weights, "weights after a plain step");
    device_check(module->find_shifts(&world->panel, stream), "shifts");
    same_fields(world, "shifts");
}

static void check_view(struct world *world)
{
    size_t example_ct = world->example_ct, l = 35;
    double *seen = device_doubles(3 * example_ct), *wanted = malloc((3 * example_ct + 1) * 8);

    for (size_t k = 0; k < example_ct; k++) {
        wanted[k] = world->weights[k * STRIDE + l];
        wanted[example_ct + k] = gradient_of(world, k, l);
        wanted[2 * example_ct + k] = world->inverse_variances[k] > 0 ? scale_of(world, k, l) : 0;
    }
    device_check(module->view(&world->panel, (uint32_t)l, seen, stream), "a view");
    same(wanted, seen, 3 * example_ct, "what a target looks like");
    free(wanted);
}

static void test_world(struct world world)
{
    diag("%u examples, %u rows%s%s%s%s", world.example_ct, world.row_ct,
         world.with_counts ? ", counts" : "", world.with_table ? ", table" : "",
         world.half_outputs ? ", float16" : "", world.standardize ? ", standardized" : "");
    make_world(&world);
    check_moments(&world);
    check_weights_of_rows(&world);
    check_residuals(&world);
    check_saga(&world, true);
    check_saga(&world, false);
    check_evaluation(&world);
    check_view(&world);
    check_acceleration(&world);
    check_descent(&world);
    free_world(&world);
}

int main(void)
{
    static const struct world worlds[] = {
        {.example_ct = 1, .row_ct = 1, .standardize = true},
        {.example_ct = 77,
         .row_ct = 259,
         .with_counts = true,
         .with_table = true,
         .half_outputs = true,
         .standardize = true},
        {.example_ct = 300, .row_ct = 64, .with_table = true},
        {.example_ct = 40, .row_ct = 0, .with_counts = true},
    };
    const char *reason = device_open();

    if (reason) {
        printf("1..0 # SKIP %s\n", reason);
        return 0;
    }
    for (size_t i = 0; i < sizeof worlds / sizeof *worlds; i++)
        test_world(worlds[i]);
    device_close();
    return tap_done();
}
