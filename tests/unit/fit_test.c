/*
 * Tests of fits (include/dmstore/fit.h): parts in memory and as files, parts in a store, joining,
 * and what a snapshot shows.
 */
#include "tap.h"

#include <dmstore.h>

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
    refused(1, made.target.flags = 1U << 31, "an unknown flag");
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

/* ---- fits in a store ---- */

/* Ends the test when something fails that is not its subject. */
#define must(status) must_be_0((status), #status)
static void must_be_0(int status, const char *what)
{
    if (status != 0) {
        printf("Bail out! %s: %s (%s)\n", what, dms_error_message(), dms_error_name(status));
        exit(1);
    }
}

/* A store of six models; *header is made to fit it. */
static dms_store *make_store(const char *name, struct dms_fit_header *header)
{
    struct dms_column column;
    struct dms_schema request = {.example_ct = EXAMPLE_CT, .column_ct = 1, .columns = &column};
    struct dms_snapshot_info info;
    dms_store *store;
    dms_snapshot *snapshot;
    must(dms_output_parse("margins:40", &column));
    must(dms_store_create(path_of(name), &request));
    must(dms_store_open(path_of(name), &store));
    for (uint64_t id = 0; id < 6; id++) {
        uint8_t mask[(EXAMPLE_CT + 7) / 8] = {(uint8_t)id};
        uint16_t margins[TARGET_CT] = {0};
        const void *outputs[] = {margins};
        must(dms_append(store, id, mask, outputs, NULL));
    }
    must(dms_store_snapshot(store, &snapshot));
    dms_snapshot_info(snapshot, &info);
    memcpy(header->store_uuid, info.store_uuid, sizeof info.store_uuid);
    dms_snapshot_close(snapshot);
    return store;
}

static int merge(dms_store *store, const struct dms_fit_header *header, uint64_t first,
                 uint64_t end, double salt, uint64_t *added_ct)
{
    dms_fit_part *part = make_part(header, first, end, salt);
    int status = part ? dms_store_merge_fit(store, part, added_ct) : -1;
    dms_fit_part_free(part);
    return status;
}

/* Whether a fit has exactly targets first .. end - 1, as made up with salt 0. */
static bool fit_is(const dms_fit *fit, uint64_t first, uint64_t end)
{
    bool is = dms_fit_target_ct(fit) == end - first;
    for (uint64_t number = first; is && number < end; number++) {
        struct made_target made;
        struct dms_fitted_target found;
        size_t position;
        is = dms_fit_find(fit, number, &position) == 0 && position == number - first &&
             dms_fit_target(fit, position, &found) == 0 &&
             is_same_target(&found, make_target(&made, number, 0));
    }
    return is;
}

static bool snapshot_fit_is(dms_snapshot *snapshot, const char *name, uint64_t first, uint64_t end)
{
    dms_fit *fit;
    int status = dms_fit_open(snapshot, name, &fit);
    bool is = status == 0 && fit_is(fit, first, end);
    if (!is) {
        diag("%s", status == 0 ? "a target is wrong" : dms_error_message());
    }
    if (status == 0) {
        dms_fit_close(fit);
    }
    return is;
}

/* The same of the store as it is now. */
static bool store_fit_is(const char *path, const char *name, uint64_t first, uint64_t end)
{
    dms_snapshot *snapshot;
    must(dms_snapshot_open(path, &snapshot));
    bool is = snapshot_fit_is(snapshot, name, first, end);
    dms_snapshot_close(snapshot);
    return is;
}

static void test_store(void)
{
    struct dms_fit_header header = header_of("main");
    struct dms_fit_header other = header_of("alpha");
    dms_store *store = make_store("store", &header);
    char *path = path_of("store");
    uint64_t added_ct = 0;
    dms_snapshot *snapshot;
    dms_fit *fit;
    memcpy(other.store_uuid, header.store_uuid, sizeof other.store_uuid);
    is_int(dms_store_begin_fit(store, &header), 0, "a fit is begun");
    is_int(dms_store_begin_fit(store, &header), 0, "and joined");
    ok(store_fit_is(path, "main", 0, 0), "it is there without targets");
    is_int(merge(store, &header, 10, 20, 0, &added_ct), 0, "a part is added");
    is_int(added_ct, 10, "with 10 targets");
    is_int(merge(store, &header, 0, 10, 0, NULL), 0, "a part in front of it");
    is_int(merge(store, &header, 20, 40, 0, NULL), 0, "and one behind");
    ok(store_fit_is(path, "main", 0, 40), "they are one fit");
    is_int(merge(store, &other, 3, 9, 0, NULL), 0, "a part begins a fit that is not there");
    must(dms_snapshot_open(path, &snapshot));
    is_int(dms_snapshot_fit_ct(snapshot), 2, "the store has two fits");
    is_text(dms_snapshot_fit_name(snapshot, 0), "alpha", "in order of their names");
    is_text(dms_snapshot_fit_name(snapshot, 1), "main", "as they should be");
    is_int(dms_fit_open(snapshot, "none", &fit), DMS_ERR_NOT_FOUND, "another one is not there");
    contains(dms_error_message(), "alpha, main", "and the message names the others");
    must(dms_fit_open(snapshot, "main", &fit));
    const struct dms_fit_header *read = dms_fit_get_header(fit);
    ok(read->training.ranges[1].first_id == 7 && strcmp(read->problem[0].key, "lambdas") == 0,
       "the header is read");
    struct dms_fit_part_info info;
    is_int(dms_fit_part_ct(fit), 3, "three jobs made it");
    ok(dms_fit_part_info(fit, 1, &info) == 0 && info.first_target == 0 && info.last_target == 9 &&
           info.target_ct == 10 && info.provenance_ct == 2 &&
           strcmp(info.provenance[0].value, "gpu01") == 0,
       "the second of them fitted the first ten targets");
    dms_fit_close(fit);
    dms_fit_close(NULL);
    ok(dms_store_remove_fit(store, "main") == 0, "a fit is removed");
    ok(snapshot_fit_is(snapshot, "main", 0, 40), "an open snapshot keeps it");
    dms_snapshot_close(snapshot);
    is_int(dms_store_remove_fit(store, "main"), DMS_ERR_NOT_FOUND, "it is gone");
    ok(store_fit_is(path, "alpha", 3, 9), "the other one is not");
    header.output = "margins";
    is_int(merge(store, &header, 1, 2, 0, NULL), 0, "its name may be used again");
    ok(store_fit_is(path, "main", 1, 2), "for a new fit");
    dms_store_close(store);
}

static void test_find(void)
{
    struct dms_fit_header header = header_of("main");
    dms_store *store = make_store("find", &header);
    dms_snapshot *snapshot;
    dms_fit *fit;
    size_t position;
    struct dms_fitted_target target;
    must(merge(store, &header, 30, 40, 0, NULL));
    must(merge(store, &header, 3, 9, 0, NULL));
    must(dms_store_snapshot(store, &snapshot));
    must(dms_fit_open(snapshot, "main", &fit));
    ok(dms_fit_find(fit, 30, &position) == 0 && position == 6, "target 30 is the seventh");
    is_int(dms_fit_find(fit, 9, &position), DMS_ERR_NOT_FOUND, "target 9 was not fitted");
    contains(dms_error_message(), "16 targets of 3 to 39", "the message says which were");
    is_int(dms_fit_find(fit, UINT64_C(1) << 32, &position), DMS_ERR_NOT_FOUND, "nor was 2^32");
    is_int(dms_fit_target(fit, 16, &target), DMS_ERR_INVALID, "there is no 17th");
    dms_fit_close(fit);
    dms_snapshot_close(snapshot);
    dms_store_close(store);
}

/* Targets that come again. */
static void test_again(void)
{
    struct dms_fit_header header = header_of("main");
    dms_store *store = make_store("again", &header);
    char *path = path_of("again");
    uint64_t added_ct = 99;
    must(merge(store, &header, 5, 15, 0, NULL));
    is_int(merge(store, &header, 5, 15, 0, &added_ct), 0, "the same part again");
    is_int(added_ct, 0, "adds nothing");
    is_int(merge(store, &header, 0, 20, 0, &added_ct), 0, "a part with some of them");
    is_int(added_ct, 10, "adds the others");
    ok(store_fit_is(path, "main", 0, 20), "which are right");
    is_int(merge(store, &header, 19, 25, 0.5, NULL), DMS_ERR_EXISTS, "other numbers are refused");
    contains(dms_error_message(), "target 19", "by target");
    ok(store_fit_is(path, "main", 0, 20), "and nothing of them is added");
    dms_store_close(store);
}

static void test_join(void)
{
    struct dms_fit_header begun = header_of("main");
    struct dms_fit_header asked;
    struct dms_metadata fewer[] = {{"lambdas", "50"}, {"standardize", "true"}};
    struct dms_metadata more[] = {{"alpha", "1"}, {"lambdas", "100"}, {"standardize", "true"}};
    struct dms_id_range moved[] = {{0, 5}, {8, 1}};
    dms_store *store = make_store("join", &begun);
    must(dms_store_begin_fit(store, &begun));
#define conflicts(change, message)                                                           \
    do {                                                                                     \
        asked = begun;                                                                       \
        change;                                                                              \
        is_int(dms_store_begin_fit(store, &asked), DMS_ERR_CONFLICT, #change " is refused"); \
        contains(dms_error_message(), message, "the message says it");                       \
        is_int(merge(store, &asked, 0, 1, 0, NULL), DMS_ERR_CONFLICT, "a part, too");        \
    } while (0)
    conflicts(asked.problem = fewer, "fit 'main' was begun with lambdas = 100, this job has 50");
    conflicts((asked.problem = more, asked.problem_ct = 3),
              "without alpha, this job has alpha = 1");
    conflicts(asked.problem_ct = 1, "with standardize = true, this job does not");
    conflicts(asked.training.ranges = moved, "training models 7 to 7, this job has 8 to 8");
    conflicts(asked.validation.digest[0] = 1, "same validation models, but the masks");
    conflicts((asked.held_out.row_ct = 1, asked.held_out.range_ct = 1,
               asked.held_out.ranges = (struct dms_id_range[]){{90, 1}}),
              "0 held-out models, this job has 1");
    conflicts(asked.store_uuid[3] ^= 1, "another store");
    conflicts(asked.target_ct = 41, "41 targets");
#undef conflicts
    asked = begun;
    asked.sequence = 77;
    is_int(dms_store_begin_fit(store, &asked), 0, "another snapshot with the same rows may join");
    asked.name = "new";
    asked.output = "logits";
    is_int(dms_store_begin_fit(store, &asked), DMS_ERR_NOT_FOUND, "an output that is not there");
    dms_store_close(store);
}

/* A fit outlives what is done to the rows, and a manifest shows it. */
static void test_lasting(void)
{
    struct dms_fit_header header = header_of("main");
    dms_store *store = make_store("lasting", &header);
    char *path = path_of("lasting");
    char *manifest = path_of("lasting.manifest");
    struct dms_compact_options all = {.all = true};
    dms_snapshot *snapshot;
    uint64_t id = 2;
    struct dms_verify_report report;
    must(merge(store, &header, 0, 30, 0, NULL));
    must(dms_store_seal(store, NULL));
    must(dms_store_remove(store, &id, 1, false, NULL));
    ok(store_fit_is(path, "main", 0, 30), "a fit is there after seal and rm");
    must(dms_store_compact(store, &all, NULL));
    ok(store_fit_is(path, "main", 0, 30), "and after compact");
    must(dms_snapshot_open(path, &snapshot));
    must(dms_snapshot_write_manifest(snapshot, manifest));
    dms_snapshot_close(snapshot);
    ok(store_fit_is(manifest, "main", 0, 30), "and in a manifest");
    must(merge(store, &header, 30, 40, 0, NULL));
    ok(store_fit_is(manifest, "main", 0, 30), "which does not change");
    must(dms_store_compact(store, &all, NULL));
    ok(store_fit_is(path, "main", 0, 40), "a second compaction keeps it, too");
    dms_store_close(store);
    is_int(dms_verify(path, NULL, &report), 0, "the store can be verified");
    is_int(report.damage_ct, 0, "and is sound");
}

static void remove_index(const char *store)
{
    char command[300];
    snprintf(command, sizeof command, "rm -r %s/lmdb", store);
    must(system(command));
}

static uint64_t file_bytes(const char *path)
{
    struct dms_snapshot_info info;
    dms_snapshot *snapshot;
    must(dms_snapshot_open(path, &snapshot));
    dms_snapshot_info(snapshot, &info);
    dms_snapshot_close(snapshot);
    return info.file_bytes;
}

/* Compaction gives back the space of removed fits, and copies those that stand among them. */
static void test_compact(void)
{
    struct dms_fit_header header = header_of("main");
    struct dms_fit_header other;
    dms_store *store = make_store("compact", &header);
    char *path = path_of("compact");
    struct dms_verify_report report;
    dms_snapshot *before;
    char name[32];
    other = header;
    other.name = name;
    must(merge(store, &header, 0, 20, 0, NULL));
    for (int k = 0; k < 100; k++) {
        snprintf(name, sizeof name, "other-%d", k);
        must(merge(store, &other, 0, 40, 0, NULL));
        must(dms_store_remove_fit(store, name));
    }
    must(merge(store, &header, 20, 40, 0, NULL));
    must(dms_store_snapshot(store, &before));
    uint64_t bytes = file_bytes(path);
    must(dms_store_compact(store, NULL, NULL));
    ok(bytes > 1100000 && file_bytes(path) < 60000, "%" PRIu64 " bytes become %" PRIu64, bytes,
       file_bytes(path));
    ok(store_fit_is(path, "main", 0, 40), "the fit that stays is as it was");
    ok(snapshot_fit_is(before, "main", 0, 40), "also for a snapshot from before");
    dms_snapshot_close(before);
    must(dms_verify(path, NULL, &report));
    is_int(report.damage_ct, 0, "the store is sound");
    must(dms_store_compact(store, NULL, NULL));
    bytes = file_bytes(path);
    must(dms_store_compact(store, NULL, NULL));
    ok(store_fit_is(path, "main", 0, 40) && file_bytes(path) <= bytes + 4096,
       "nothing is copied that gains nothing");
    dms_store_close(store);
    remove_index(path);
    struct dms_recover_report recovered;
    must(dms_recover(path, NULL, &recovered));
    ok(store_fit_is(path, "main", 0, 40), "recover finds it where it was copied to");
}

/* The place of block number `index` of a type in a file; -1 when there is none. */
static long find_block(FILE *file, int type, int index)
{
    uint8_t header[128];
    for (long at = 0; fseek(file, at, SEEK_SET) == 0 && fread(header, 1, 128, file) == 128;
         at += 64) {
        bool is_block = memcmp(header, "dmsBlock", 8) == 0 && header[8] == type;
        if (is_block && index-- == 0) {
            return at;
        }
    }
    return -1;
}

/* Flips a bit of a block, `into` bytes from its beginning; false when there is no such block. */
static bool damage_block_in(const char *store, int segment, int type, int index, long into)
{
    char path[300];
    snprintf(path, sizeof path, "%s/segments/%08d.dms", store, segment);
    FILE *file = fopen(path, "r+b");
    long at = file ? find_block(file, type, index) : -1;
    if (at >= 0) {
        fseek(file, at + into, SEEK_SET);
        int byte = fgetc(file);
        fseek(file, at + into, SEEK_SET);
        fputc(byte ^ 16, file);
    }
    if (file) {
        fclose(file);
    }
    return at >= 0;
}

static bool damage_block(const char *store, int type, int index, long into)
{
    return damage_block_in(store, 1, type, index, into);
}

enum { FIT_BLOCK = 7, PART_BLOCK = 8, COMMIT_BLOCK = 6 };

enum { LONG_PATH_CT = 60000 };

/* A part of targets 7 .. 12, 1.6 MB each. */
static dms_fit_part *make_large_part(const struct dms_fit_header *header, struct made_target *made)
{
    static double lambdas[LONG_PATH_CT];
    static double errors[LONG_PATH_CT];
    static uint32_t counts[LONG_PATH_CT];
    dms_fit_part *part;
    for (size_t k = 0; k < LONG_PATH_CT; k++) {
        lambdas[k] = LONG_PATH_CT - (double)k;
    }
    must(dms_fit_part_create(header, NULL, 0, &part));
    for (uint64_t target = 12; target >= 7; target--) {
        make_target(made, target, 0);
        made->target.path_ct = LONG_PATH_CT;
        made->target.path_lambdas = lambdas;
        made->target.path_errors = errors;
        made->target.path_gaps = errors;
        made->target.path_weight_cts = counts;
        must(dms_fit_part_add(part, &made->target));
    }
    return part;
}

/* More than fits into the log, or into one part: written to a segment of its own first, in parts of
 * 4 MiB, so that a target is read without all others, and damage costs few. */
static void test_large(void)
{
    struct dms_fit_header header = header_of("large");
    dms_store *store = make_store("large", &header);
    char *path = path_of("large");
    struct made_target made;
    struct dms_fitted_target found;
    dms_fit_part *part = make_large_part(&header, &made);
    uint64_t added_ct;
    dms_snapshot *snapshot;
    dms_fit *fit;
    is_int(dms_store_merge_fit(store, part, &added_ct), 0, "ten megabytes are added");
    is_int(added_ct, 6, "all targets");
    must(merge(store, &header, 0, 7, 0, NULL));
    is_int(dms_store_merge_fit(store, part, &added_ct), 0, "and once more");
    is_int(added_ct, 0, "which changes nothing");
    must(dms_snapshot_open(path, &snapshot));
    must(dms_fit_open(snapshot, "large", &fit));
    is_int(dms_fit_part_ct(fit), 4, "they are three parts, beside a small one");
    ok(dms_fit_target(fit, 7, &found) == 0 && is_same_target(&found, &made.target),
       "and read as they were");
    ok(dms_fit_target(fit, 3, &found) == 0 && is_same_target(&found, make_target(&made, 3, 0)),
       "beside a small one");
    dms_fit_close(fit);
    dms_snapshot_close(snapshot);
    ok(damage_block_in(path, 2, PART_BLOCK, 1, 700), "one of them is damaged");
    must(dms_snapshot_open(path, &snapshot));
    must(dms_fit_open(snapshot, "large", &fit));
    ok(dms_fit_target(fit, 9, &found) == DMS_ERR_CORRUPT &&
           dms_fit_target(fit, 10, &found) == DMS_ERR_CORRUPT,
       "its targets cannot be read");
    ok(dms_fit_target(fit, 8, &found) == 0 && dms_fit_target(fit, 11, &found) == 0,
       "their neighbours can");
    dms_fit_close(fit);
    dms_snapshot_close(snapshot);
    dms_fit_part_free(part);
    dms_store_close(store);
}

/* ---- damage ---- */

/* What verify or recover told of fits. */
struct told {
    char fits[64]; /* names with spaces between */
    uint64_t first, last;
    size_t target_ct;
};

static void note_damage(void *context, const struct dms_damage *damage)
{
    struct told *told = context;
    if (damage->fit) {
        strcat(told->fits, damage->fit);
        strcat(told->fits, " ");
        told->target_ct += damage->lost_target_ct;
    }
    if (damage->lost_target_ct > 0) {
        told->first = damage->lost_targets[0];
        told->last = damage->lost_targets[damage->lost_target_ct - 1];
    }
}

/* A closed store with fit main of targets 0 .. 29 in three parts and fit other of 3 .. 8. */
static const char *make_damageable(const char *name, struct dms_fit_header *header)
{
    struct dms_fit_header other;
    dms_store *store = make_store(name, header);
    other = *header;
    other.name = "other";
    must(merge(store, header, 0, 10, 0, NULL));
    must(merge(store, header, 10, 20, 0, NULL));
    must(merge(store, header, 20, 30, 0, NULL));
    must(merge(store, &other, 3, 9, 0, NULL));
    dms_store_close(store);
    return path_of(name);
}

static void test_damaged_part(void)
{
    struct dms_fit_header header = header_of("main");
    const char *path = make_damageable("damaged-part", &header);
    struct told told = {0};
    struct dms_verify_options verify = {.on_damage = note_damage, .damage_context = &told};
    struct dms_recover_options recover = {.on_damage = note_damage, .damage_context = &told};
    struct dms_verify_report verified;
    struct dms_recover_report recovered;
    struct dms_fitted_target target;
    dms_snapshot *snapshot;
    dms_fit *fit;
    dms_store *store;
    ok(damage_block(path, PART_BLOCK, 1, 700), "the second part is damaged");
    must(dms_snapshot_open(path, &snapshot));
    must(dms_fit_open(snapshot, "main", &fit));
    is_int(dms_fit_target(fit, 3, &target), 0, "targets of the first can be read");
    is_int(dms_fit_target(fit, 13, &target), DMS_ERR_CORRUPT, "those of the second cannot");
    contains(dms_error_message(), "fit 'main'", "the message names the fit");
    dms_fit_close(fit);
    dms_snapshot_close(snapshot);
    must(dms_verify(path, &verify, &verified));
    ok(verified.damage_ct == 1 && verified.lost_target_ct == 10, "verify finds it");
    ok(strcmp(told.fits, "main ") == 0 && told.first == 10 && told.last == 19,
       "and names fit and targets");
    told = (struct told){0};
    must(dms_recover(path, &recover, &recovered));
    ok(recovered.fit_ct == 2 && recovered.lost_target_ct == 10 && recovered.lost_id_ct == 0 &&
           strcmp(told.fits, "main ") == 0 && told.target_ct == 10,
       "so does recover");
    must(dms_store_open(path, &store));
    is_int(merge(store, &header, 0, 30, 0, NULL), 0, "the lost targets are added again");
    dms_store_close(store);
    ok(store_fit_is(path, "main", 0, 30) && store_fit_is(path, "other", 3, 9), "and all is well");
    must(dms_verify(path, NULL, &verified));
    is_int(verified.lost_target_ct, 0, "verify finds no more loss");
}

static void test_damaged_header(void)
{
    struct dms_fit_header header = header_of("main");
    const char *path = make_damageable("damaged-header", &header);
    struct told told = {0};
    struct dms_recover_options recover = {.on_damage = note_damage, .damage_context = &told};
    struct dms_recover_report recovered;
    ok(damage_block(path, FIT_BLOCK, 1, 140), "the header of a fit is damaged");
    must(dms_recover(path, &recover, &recovered));
    ok(strcmp(told.fits, "other ") == 0 && told.first == 3 && told.last == 8,
       "recover names all its targets");
    is_int(recovered.fit_ct, 1, "one fit is left");
    ok(store_fit_is(path, "main", 0, 30), "the other one");
}

/* With and without the old index; with a commit record destroyed, too. */
static void test_recovered(void)
{
    struct dms_fit_header header = header_of("main");
    const char *path = make_damageable("recovered", &header);
    struct dms_recover_report report;
    struct dms_verify_report verified;
    remove_index(path);
    must(dms_recover(path, NULL, &report));
    is_int(report.fit_ct, 2, "fits are brought back without an index");
    ok(store_fit_is(path, "main", 0, 30) && store_fit_is(path, "other", 3, 9), "as they were");
    must(dms_verify(path, NULL, &verified));
    is_int(verified.damage_ct, 0, "and the index agrees with the segments");
    /* Commits: the schema, six rows, three parts of main (the first begins it), other. */
    ok(damage_block(path, COMMIT_BLOCK, 8, 50), "the commit of the second part is destroyed");
    must(dms_recover(path, NULL, &report));
    ok(store_fit_is(path, "main", 0, 30), "its part is salvaged");
    remove_index(path);
    ok(damage_block(path, COMMIT_BLOCK, 7, 50), "that of the first part, too");
    must(dms_recover(path, NULL, &report));
    ok(store_fit_is(path, "main", 0, 30) && store_fit_is(path, "other", 3, 9),
       "the fit is salvaged with its header");
}

/* A part whose commit and block are both destroyed is lost; the old index tells it. */
static void test_lost_part(void)
{
    struct dms_fit_header header = header_of("main");
    const char *path = make_damageable("lost-part", &header);
    struct told told = {0};
    struct dms_recover_options recover = {.on_damage = note_damage, .damage_context = &told};
    struct dms_recover_report report;
    ok(damage_block(path, COMMIT_BLOCK, 8, 50) && damage_block(path, PART_BLOCK, 1, 700),
       "a part is destroyed with its commit");
    must(dms_recover(path, &recover, &report));
    ok(told.target_ct == 10 && told.first == 10 && told.last == 19 && report.lost_target_ct == 10,
       "the old index knows what it had");
}

/* A removal whose commit is destroyed is not undone when the old index knows of it. */
static void test_lost_removal(void)
{
    struct dms_fit_header header = header_of("main");
    const char *path = make_damageable("lost-removal", &header);
    struct dms_recover_report report;
    dms_store *store;
    must(dms_store_open(path, &store));
    must(dms_store_remove_fit(store, "main"));
    must(merge(store, &header, 5, 7, 0, NULL));
    dms_store_close(store);
    ok(damage_block(path, COMMIT_BLOCK, 11, 50), "the commit of a removal is destroyed");
    must(dms_recover(path, NULL, &report));
    ok(store_fit_is(path, "main", 5, 7), "the new fit of that name is there, not the removed one");
    remove_index(path);
    must(dms_recover(path, NULL, &report));
    ok(store_fit_is(path, "main", 5, 7), "also without the old index");
}

int main(void)
{
    char command[300];
    if (!mkdtemp(directory)) {
        return 1;
    }
    test_part();
    test_target_rules();
    test_header_rules();
    test_file();
    test_file_damage();
    test_store();
    test_find();
    test_again();
    test_join();
    test_lasting();
    test_compact();
    test_large();
    test_damaged_part();
    test_damaged_header();
    test_recovered();
    test_lost_part();
    test_lost_removal();
    snprintf(command, sizeof command, "rm -r %s", directory);
    is_int(system(command), 0, "the tests' files are removed");
    return tap_done();
}
