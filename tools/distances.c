/*
 * Reads matrices of distances, or coordinates; see distances.h.
 */
#include "distances.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include <dmstore.h>

#include "number.h"

#define EARTH_RADIUS_KM 6371.0088
#define DEGREE (3.14159265358979323846 / 180)

const char *const distance_metric_words[] = {"euclidean", "haversine", NULL};

/* ---- opening ---- */

static int fail_shape(const struct distances *distances)
{
    char description[NPY_DESCRIPTION_BYTES];

    return dms_source_fail(
        DMS_ERR_INVALID,
        "'%s' is %s: expected numbers, distances of shape (%" PRIu64 ", %" PRIu64
        ") or coordinates of the training examples, then the targets, of shape (%" PRIu64 ", ...)",
        distances->file.path, npy_describe(&distances->file.npy, description), distances->target_ct,
        distances->example_ct, distances->example_ct + distances->target_ct);
}

/* Reads value_ct values of a row of the file as doubles. */
static int read_values(const struct distances *distances, uint64_t row, uint64_t first,
                       uint64_t value_ct, double *values)
{
    const struct npy_file *file = &distances->file;
    uint64_t item_bytes = (uint64_t)file->npy.item_bytes;
    int code =
        npy_file_read(file, row, 1, first * item_bytes, value_ct * item_bytes, distances->row);

    for (uint64_t i = 0; code == 0 && i < value_ct; i++) {
        struct number number = number_load(&file->npy, distances->row + i * item_bytes);

        number_store(&number, DMS_F64, &values[i]);
    }
    return code;
}

static int check_coordinates(const struct distances *distances, uint64_t row, const double *values)
{
    for (uint64_t i = 0; i < distances->file.row_values; i++) {
        if (!isfinite(values[i]))
            return dms_source_fail(DMS_ERR_INVALID,
                                   "'%s', row %" PRIu64 ", column %" PRIu64 " is not finite",
                                   distances->file.path, row, i);
    }
    if (distances->metric == DISTANCE_HAVERSINE && fabs(values[0]) > 90)
        return dms_source_fail(DMS_ERR_INVALID, "'%s', row %" PRIu64 ": %g is not a latitude",
                               distances->file.path, row, values[0]);
    return 0;
}

/* Latitude and longitude become a point of the unit sphere: the square of half the chord between
 * two of them is what the haversine formula computes, without its trigonometry for each pair. */
static void put_on_sphere(double point[3])
{
    double latitude = point[0] * DEGREE, longitude = point[1] * DEGREE;

    point[0] = cos(latitude) * cos(longitude);
    point[1] = cos(latitude) * sin(longitude);
    point[2] = sin(latitude);
}

static int read_coordinates(struct distances *distances)
{
    bool is_geographic = distances->metric == DISTANCE_HAVERSINE;
    uint64_t row_ct = distances->file.row_ct;
    int code = 0;

    if (is_geographic && distances->dimension_ct != 2)
        return dms_source_fail(DMS_ERR_INVALID,
                               "'%s' has %" PRIu64
                               " coordinates a row: haversine wants latitude and longitude",
                               distances->file.path, distances->dimension_ct);
    distances->dimension_ct += is_geographic;
    distances->coordinates = calloc(row_ct * distances->dimension_ct + 1, sizeof(double));
    if (!distances->coordinates)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for '%s'", distances->file.path);
    for (uint64_t row = 0; code == 0 && row < row_ct; row++) {
        double *values = distances->coordinates + row * distances->dimension_ct;

        code = read_values(distances, row, 0, distances->file.row_values, values);
        if (code == 0)
            code = check_coordinates(distances, row, values);
        if (code == 0 && is_geographic)
            put_on_sphere(values);
    }
    return code;
}

/* Decides by the shape which of the two the file is. */
static int open_values(struct distances *distances)
{
    const struct dms_npy *npy = &distances->file.npy;
    bool is_numbers = npy->kind == 'f' || npy->kind == 'i' || npy->kind == 'u';

    if (!is_numbers || npy->dimension_ct != 2 || npy->dimensions[1] == 0)
        return fail_shape(distances);
    distances->row = malloc(distances->file.row_bytes);
    if (!distances->row)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for '%s'", distances->file.path);
    if (npy->dimensions[0] == distances->example_ct + distances->target_ct) {
        distances->dimension_ct = npy->dimensions[1];
        return read_coordinates(distances);
    }
    if (npy->dimensions[0] != distances->target_ct || npy->dimensions[1] != distances->example_ct)
        return fail_shape(distances);
    if (distances->metric == DISTANCE_HAVERSINE)
        return dms_source_fail(DMS_ERR_INVALID,
                               "'%s' holds distances: there are no coordinates for haversine",
                               distances->file.path);
    return 0;
}

int distances_open(struct distances *distances, const char *path, enum distance_metric metric,
                   uint64_t example_ct, uint64_t target_ct)
{
    int code;

    *distances = (struct distances){
        .example_ct = example_ct,
        .target_ct = target_ct,
        .metric = metric,
    };
    code = npy_file_open(&distances->file, path);
    if (code < 0) {
        *distances = (struct distances){0};
        return code;
    }
    code = open_values(distances);
    if (code < 0)
        distances_close(distances);
    return code;
}

void distances_close(struct distances *distances)
{
    npy_file_close(&distances->file);
    free(distances->coordinates);
    free(distances->row);
    *distances = (struct distances){0};
}

/* ---- distances ---- */

static double euclidean(const double *a, const double *b, uint64_t dimension_ct)
{
    double sum = 0;

    for (uint64_t i = 0; i < dimension_ct; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sqrt(sum);
}

/* Along the surface, from the chord between two points of the unit sphere. */
static double great_circle(const double *a, const double *b)
{
    return 2 * EARTH_RADIUS_KM * asin(fmin(euclidean(a, b, 3) / 2, 1));
}

static double between(const struct distances *distances, uint64_t target, uint64_t example)
{
    uint64_t dimension_ct = distances->dimension_ct;
    const double *from = distances->coordinates + (distances->example_ct + target) * dimension_ct;
    const double *to = distances->coordinates + example * dimension_ct;

    return distances->metric == DISTANCE_HAVERSINE ? great_circle(from, to)
                                                   : euclidean(from, to, dimension_ct);
}

static int check_distance(const struct distances *distances, uint64_t target, uint64_t example,
                          double distance)
{
    if (distance >= 0)
        return 0;
    return dms_source_fail(DMS_ERR_INVALID,
                           "'%s': the distance of target %" PRIu64 " to example %" PRIu64
                           " is not a distance",
                           distances->file.path, target, example);
}

int distances_of_target(struct distances *distances, uint64_t target, double *to_examples)
{
    int code = distances->coordinates
                   ? 0
                   : read_values(distances, target, 0, distances->example_ct, to_examples);

    for (uint64_t i = 0; code == 0 && i < distances->example_ct; i++) {
        if (distances->coordinates)
            to_examples[i] = between(distances, target, i);
        code = check_distance(distances, target, i, to_examples[i]);
    }
    return code;
}

int distances_of_pair(struct distances *distances, uint64_t target, uint64_t example,
                      double *distance)
{
    int code = 0;

    if (distances->coordinates)
        *distance = between(distances, target, example);
    else
        code = read_values(distances, target, example, 1, distance);
    return code < 0 ? code : check_distance(distances, target, example, *distance);
}
