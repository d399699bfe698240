/*
 * Tests of fits (include/dmstore/fit.h): parts in memory and as files, parts in a store, joining,
 * and what a snapshot shows.
 */
#include "tap.h"

#include "dmstore/fit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { EXAMPLE_CT = 100, TARGET_CT = 40, PATH_CT = 3 };

static char directory[] = "fit_test.XXXXXX";

static char *path_of(const char *name)
{
    static char path[4][256];
    static int next;
    char *made = path[next++ % 4];
    snprintf(made, sizeof path[0], "%s/%s", directory, name);
    return made;
}

/* ---- made-up fits ---- */

static struct dms_id_range training_ranges[] = {{0, 5}, {7, 1}};
static struct dms_id_range validation_ranges[] = {{10, 2}};
static const struct dms_metadata problem[] = {{"lambdas", "100"}, {"standardize", "true"}};
static const struct dms_metadata provenance[] = {{"seed", "7"}, {"host", "gpu01"}};

static struct dms_fit_header header_of(const char *name)
{
    return (struct dms_fit_header){
        .name = name,
        .output = "margins",
        .sequence = 3,
        .example_ct = EXAMPLE_CT,
        .target_ct = TARGET_CT,
        .training = {2, training_ranges, 6, {11, 12}},
        .validation = {1, validation_ranges, 2, {13, 14}},
        .problem_ct = 2,
        .problem = problem,
    };
}

/* What a made-up target points to. */
struct made_target {
    struct dms_fitted_target target;
    uint32_t examples[EXAMPLE_CT];
    double weights[EXAMPLE_CT];
    double path_lambdas[PATH_CT], path_errors[PATH_CT], path_gaps[PATH_CT];
    uint32_t path_weight_cts[PATH_CT];
};

/* A target whose numbers follow from its number and a salt; target 5 is constant. */
static const struct dms_fitted_target *make_target(struct made_target *made, uint64_t number,
                                                   double salt)
{
    bool is_constant = number == 5;
    size_t weight_ct = is_constant ? 0 : 1 + (size_t)(number * 7 % 13);
    for (size_t k = 0; k < weight_ct; k++) {
        made->examples[k] = (uint32_t)(k * 7 + number % 5);
        made->weights[k] = salt + (double)number - 0.25 * (double)k + 1000;
    }
    for (size_t k = 0; k < PATH_CT; k++) {
        made->path_lambdas[k] = 1.0 / (double)(k + 1);
        made->path_errors[k] = k == 2 ? NAN : 0.5 + (double)k;
        made->path_gaps[k] = 1e-5;
        made->path_weight_cts[k] = (uint32_t)(k * 3);
    }
    made->target = (struct dms_fitted_target){
        .target = number,
        .flags = is_constant ? DMS_FITTED_CONSTANT : DMS_FITTED_REFITTED,
        .bias = -0.5 * (double)number,
        .lambda = is_constant ? 0 : 0.5,
        .gap = 1e-6,
        .null_deviance = is_constant ? 0 : 2.5,
        .mean = 0.125,
        .row_ct = 8,
        .weight_ct = weight_ct,
        .examples = made->examples,
        .weights = made->weights,
        .path_ct = is_constant ? 0 : PATH_CT,
        .chosen = is_constant ? 0 : 1,
        .path_lambdas = made->path_lambdas,
        .path_errors = made->path_errors,
        .path_gaps = made->path_gaps,
        .path_weight_cts = made->path_weight_cts,
    };
    return &made->target;
}

static bool is_same_array(const void *a, const void *b, size_t bytes)
{
    return bytes == 0 || memcmp(a, b, bytes) == 0;
}

static bool is_same_target(const struct dms_fitted_target *a, const struct dms_fitted_target *b)
{
    return a->target == b->target && a->flags == b->flags && a->bias == b->bias &&
           a->lambda == b->lambda && a->gap == b->gap && a->null_deviance == b->null_deviance &&
           a->mean == b->mean && a->row_ct == b->row_ct && a->weight_ct == b->weight_ct &&
           a->path_ct == b->path_ct && a->chosen == b->chosen &&
           is_same_array(a->examples, b->examples, a->weight_ct * sizeof *a->examples) &&
           is_same_array(a->weights, b->weights, a->weight_ct * sizeof *a->weights) &&
           is_same_array(a->path_lambdas, b->path_lambdas, a->path_ct * sizeof(double)) &&
           is_same_array(a->path_errors, b->path_errors, a->path_ct * sizeof(double)) &&
           is_same_array(a->path_gaps, b->path_gaps, a->path_ct * sizeof(double)) &&
           is_same_array(a->path_weight_cts, b->path_weight_cts, a->path_ct * sizeof(uint32_t));
}

/* A part with targets first .. end - 1, added from the last to the first. */
static dms_fit_part *make_part(const struct dms_fit_header *header, uint64_t first, uint64_t end,
                               double salt)
{
    dms_fit_part *part = NULL;
    struct made_target made;
    if (dms_fit_part_create(header, provenance, 2, &part) != 0) {
        return NULL;
    }
    for (uint64_t target = end; target-- > first;) {
        if (dms_fit_part_add(part, make_target(&made, target, salt)) != 0) {
            dms_fit_part_free(part);
            return NULL;
        }
    }
    return part;
}

static bool part_is(const dms_fit_part *part, uint64_t first, uint64_t end, double salt)
{
    bool is = dms_fit_part_target_ct(part) == end - first;
    for (uint64_t target = first; is && target < end; target++) {
        struct made_target made;
        struct dms_fitted_target found;
        is = dms_fit_part_target(part, (size_t)(target - first), &found) == 0 &&
             is_same_target(&found, make_target(&made, target, salt));
    }
    return is;
}

/* ---- parts in memory ---- */

static void test_part(void)
{
    struct dms_fit_header header = header_of("main");
    struct made_target made;
    struct dms_fitted_target found;
    dms_fit_part *part = make_part(&header, 3, 9, 0);
    if (!ok(part != NULL, "a part is made")) {
        diag("%s", dms_error_message());
        return;
    }
    ok(part_is(part, 3, 9, 0), "targets that were added backwards are there in order");
    is_text(dms_fit_part_header(part)->name, "main", "its header is a copy");
    is_int(dms_fit_part_header(part)->training.ranges[1].first_id, 7, "row sets and all");
    is_int(dms_fit_part_add(part, make_target(&made, 4, 0)), DMS_ERR_EXISTS, "a target twice");
    contains(dms_error_message(), "target 4", "is named");
    is_int(dms_fit_part_target(part, 6, &found), DMS_ERR_INVALID, "there is no seventh target");
    dms_fit_part_free(part);
    dms_fit_part_free(NULL);
}

/* Each change makes a target wrong. */
static void test_target_rules(void)
{
    struct dms_fit_header header = header_of("main");
    dms_fit_part *part = NULL;
    struct made_target made;
    is_int(dms_fit_part_create(&header, NULL, 0, &part), 0, "a part without provenance");
#define refused(number, change, what)                                                      \
    do {                                                                                   \
        make_target(&made, number, 0);                                                     \
        change;                                                                            \
        is_int(dms_fit_part_add(part, &made.target), DMS_ERR_INVALID, what " is refused"); \
    } while (0)
    refused(1, made.target.target = TARGET_CT, "a target that there is not");
    refused(1, made.target.flags = 64, "an unknown flag");
    refused(1, made.target.bias = NAN, "a bias that is not finite");
    refused(1, made.target.gap = -1, "a negative gap");
    refused(1, made.target.gap = NAN, "a gap that is no number");
    refused(1, made.weights[2] = INFINITY, "an infinite weight");
    refused(1, made.weights[2] = 0, "a weight of 0");
    refused(1, made.examples[2] = EXAMPLE_CT, "an example out of range");
    refused(1, made.examples[2] = made.examples[1], "an example twice");
    refused(1, made.target.chosen = PATH_CT, "a choice beyond the path");
    refused(1, made.path_lambdas[1] = 2, "a path that goes up");
#undef refused
    is_int(dms_fit_part_target_ct(part), 0, "nothing was added");
    is_int(dms_fit_part_save(part, path_of("empty.dmfit")), DMS_ERR_INVALID,
           "a part without targets is not saved");
    dms_fit_part_free(part);
}

static void test_header_rules(void)
{
    struct dms_id_range touching[] = {{0, 5}, {5, 1}};
    struct dms_id_range backwards[] = {{7, 1}, {0, 5}};
    struct dms_metadata unsorted[] = {{"b", "1"}, {"a", "2"}};
    dms_fit_part *part = NULL;
    struct dms_fit_header header;
#define refused(change, what)                                                                      \
    do {                                                                                           \
        header = header_of("main");                                                                \
        change;                                                                                    \
        is_int(dms_fit_part_create(&header, NULL, 0, &part), DMS_ERR_INVALID, what " is refused"); \
    } while (0)
    refused(header.name = "a b", "a name with a space");
    contains(dms_error_message(), "no name for a fit", "and the message says so");
    refused(header.training.ranges = touching, "a set of touching ranges");
    refused(header.training.ranges = backwards, "a set of ranges in another order");
    refused(header.training.row_ct = 5, "a wrong number of rows");
    refused(header.problem = unsorted, "a problem that is not sorted");
    refused(header.example_ct = 0, "a fit without examples");
#undef refused
}

/* ---- parts as files ---- */

static void test_file(void)
{
    struct dms_fit_header header = header_of("main");
    char *path = path_of("part.dmfit");
    dms_fit_part *part = make_part(&header, 0, TARGET_CT, 0.5);
    dms_fit_part *loaded = NULL;
    is_int(dms_fit_part_save(part, path), 0, "a part is saved");
    if (!ok(dms_fit_part_load(path, &loaded) == 0, "and loaded")) {
        diag("%s", dms_error_message());
        return;
    }
    ok(part_is(loaded, 0, TARGET_CT, 0.5), "with all its numbers");
    const struct dms_fit_header *read = dms_fit_part_header(loaded);
    ok(strcmp(read->name, "main") == 0 && strcmp(read->output, "margins") == 0 &&
           read->sequence == 3 && read->example_ct == EXAMPLE_CT && read->target_ct == TARGET_CT,
       "with its header");
    ok(read->training.range_ct == 2 && read->training.ranges[1].first_id == 7 &&
           read->training.row_ct == 6 && read->training.digest[1] == 12 &&
           read->validation.ranges[0].id_ct == 2 && read->held_out.range_ct == 0,
       "with its row sets");
    ok(read->problem_ct == 2 && strcmp(read->problem[1].value, "true") == 0, "with its problem");
    is_int(dms_fit_part_save(loaded, path), 0, "it replaces the file");
    dms_fit_part_free(loaded);
    dms_fit_part_free(part);
    is_int(dms_fit_part_load(path_of("none.dmfit"), &part), DMS_ERR_NOT_FOUND, "no file");
}

/* Every byte of a file is covered: by a hash, by a rule, or by both. */
static void test_file_damage(void)
{
    struct dms_fit_header header = header_of("main");
    char *path = path_of("damaged.dmfit");
    dms_fit_part *part = make_part(&header, 4, 7, 0);
    int saved = dms_fit_part_save(part, path);
    dms_fit_part_free(part);
    FILE *file = saved == 0 ? fopen(path, "r+b") : NULL;
    size_t missed_ct = 0;
    long size = 0;
    if (!ok(file != NULL, "a small part is saved")) {
        return;
    }
    fseek(file, 0, SEEK_END);
    size = ftell(file);
    for (long at = 0; at < size; at++) {
        fseek(file, at, SEEK_SET);
        int byte = fgetc(file);
        fseek(file, at, SEEK_SET);
        fputc(byte ^ 1 << at % 8, file);
        fflush(file);
        if (dms_fit_part_load(path, &part) == 0) {
            missed_ct++;
            dms_fit_part_free(part);
        }
        fseek(file, at, SEEK_SET);
        fputc(byte, file);
        fflush(file);
    }
    is_int(missed_ct, 0, "a flipped bit is found at every byte");
    is_int(dms_fit_part_load(path, &part), 0, "and the file is right again");
    dms_fit_part_free(part);
    is_int(truncate(path, size - 64), 0, "a file is cut short");
    is_int(dms_fit_part_load(path, &part), DMS_ERR_CORRUPT, "and refused");
    contains(dms_error_message(), "damaged.dmfit", "by name");
    fclose(file);
}

int main(void)
{
    if (!mkdtemp(directory)) {
        return 1;
    }
    test_part();
    test_target_rules();
    test_header_rules();
    test_file();
    test_file_damage();
    return tap_done();
}
