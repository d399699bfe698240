/*
 * dms_retrained_*: models of another store are found by id and by mask, their outputs are those
 * that were appended, means leave out what is not finite, and stores that are about something else
 * are refused.
 *
 * The store of the fits has models 0 .. 19 of 20 examples. The runs have three masks: A without
 * examples 0 and 1 (models 1000, 1003, 1005), B without example 2 (1001), and the full one (1002,
 * 1004). Model 1006 has no values in `margins`.
 */
#include "tests/unit/tap.h"

#include <dmstore.h>

#include <math.h>
#include <stdlib.h>

enum {
    EXAMPLES = 20,
    MASK_BYTES = (EXAMPLES + 7) / 8,
    MARGINS = 6,
    WIDE = 20000, /* more than is read at a time */
    LOGITS = 4,
    CLASSES = 3,
    FIRST_RUN = 1000,
    RUNS = 7,
    BAD_TARGET = 2,  /* not finite in model 1004 */
    LOST_TARGET = 3, /* finite in no model of mask A */
};

#define STORE "retrained_test.dms"
#define OTHER "retrained_test_runs.dms"

static const int64_t labels[LOGITS] = {0, 2, 1, 2};

#define must(status) must_not_fail((status), #status)
static void must_not_fail(int status, const char *what)
{
    if (status < 0) {
        printf("Bail out! %s: %s\n", what, dms_error_message());
        exit(1);
    }
}

/* ---- what is in the stores ---- */

static void run_mask(uint64_t id, uint8_t mask[MASK_BYTES])
{
    memset(mask, 0xff, MASK_BYTES);
    mask[MASK_BYTES - 1] = 0x0f;
    if (id == 1000 || id == 1003 || id == 1005)
        mask[0] = 0xfc;
    else if (id == 1001)
        mask[0] = 0xfb;
}

static float margin_of(uint64_t id, uint64_t target)
{
    if (target == BAD_TARGET && id == 1004)
        return INFINITY;
    if (target == LOST_TARGET && (id == 1000 || id == 1003 || id == 1005))
        return NAN;
    return (float)(id % 16) * 8 + (float)target;
}

static float wide_of(uint64_t id, uint64_t target)
{
    return (float)(target % 512) + (float)(id % 4) / 4;
}

/* Class 0 leads by 3 but in model 1001, where class 2 does by 2. */
static float logit_of(uint64_t id, int class)
{
    return class == 0 ? 5.0f : class == 1 ? 2.0f : id == 1001 ? 7.0f : 1.0f;
}

static void add_model(dms_store *store, uint64_t id, const uint8_t *mask)
{
    static float margins[MARGINS], wide[WIDE], logits[LOGITS * CLASSES];
    const void *outputs[] = {id == 1006 ? NULL : margins, wide, logits};
    struct dms_row row = {.id = id, .mask = mask, .outputs = outputs};

    for (uint64_t t = 0; t < MARGINS; t++)
        margins[t] = margin_of(id, t);
    for (uint64_t t = 0; t < WIDE; t++)
        wide[t] = wide_of(id, t);
    for (int k = 0; k < LOGITS * CLASSES; k++)
        logits[k] = logit_of(id, k % CLASSES);
    must(dms_append_rows(store, &row, 1, DMS_DUPLICATE_ERROR, NULL));
}

static void remove_tree(const char *path)
{
    char command[256];

    snprintf(command, sizeof(command), "rm -rf '%s'", path);
    if (system(command) != 0)
        diag("cannot remove %s", path);
}

struct store_plan {
    uint64_t example_ct;
    const char *margins;
    uint8_t digest; /* 0: none */
};

static dms_store *create_store(const char *path, struct store_plan plan)
{
    struct dms_column columns[3];
    struct dms_schema schema = {.example_ct = plan.example_ct,
                                .chunk_rows = 64,
                                .column_ct = 3,
                                .columns = columns,
                                .digest_bytes = plan.digest ? 1 : 0,
                                .digest = {plan.digest}};
    dms_store *store;

    remove_tree(path);
    must(dms_output_parse(plan.margins, &columns[0]));
    must(dms_output_parse("wide:20000:f32", &columns[1]));
    must(dms_output_parse("logits:4x3:f32", &columns[2]));
    must(dms_store_create(path, &schema));
    must(dms_store_open(path, &store));
    return store;
}

static const struct store_plan usual = {EXAMPLES, "margins:6:f32", 7};

/* Fits all targets below target_ct with weight 1 for example 0 and 2 for example 4. */
static void add_fit(dms_store *store, struct dms_fit_options *options, uint64_t target_ct,
                    uint32_t flags)
{
    uint32_t examples[] = {0, 4};
    double weights[] = {1, 2};
    struct dms_fit_header *header;
    dms_snapshot *snapshot;
    dms_fit_part *part;

    options->held_out_ct = 0;
    options->validation_ct = 2;
    must(dms_store_snapshot(store, &snapshot));
    must(dms_fit_plan(snapshot, options, &header));
    must(dms_fit_part_create(header, NULL, 0, &part));
    for (uint64_t target = 0; target < target_ct; target++) {
        struct dms_fitted_target fitted = {
            .target = target,
            .flags = flags,
            .bias = flags & DMS_FITTED_NO_BIAS ? 0 : 0.5,
            .lambda = 0.1,
            .null_deviance = 1,
            .row_ct = 18,
            .weight_ct = 2,
            .examples = examples,
            .weights = weights,
        };

        must(dms_fit_part_add(part, &fitted));
    }
    must(dms_store_merge_fit(store, part, NULL));
    dms_fit_part_free(part);
    dms_fit_header_free(header);
    dms_snapshot_close(snapshot);
}

static struct dms_fit_options fit_options(const char *name, const char *output)
{
    struct dms_fit_options options;

    dms_fit_options_init(&options);
    options.name = name;
    options.output = output;
    return options;
}

static void make_store(void)
{
    dms_store *store = create_store(STORE, usual);
    struct dms_fit_options options;
    uint8_t mask[MASK_BYTES];

    for (uint64_t id = 0; id < 20; id++) {
        must(dms_sample_mask(EXAMPLES, EXAMPLES / 2, 1, id, mask));
        add_model(store, id, mask);
    }
    options = fit_options("main", "margins");
    add_fit(store, &options, MARGINS, 0);
    options = fit_options("wide", "wide");
    add_fit(store, &options, 1, 0);
    options = fit_options("unbiased", "margins");
    add_fit(store, &options, MARGINS, DMS_FITTED_ESTIMATED | DMS_FITTED_NO_BIAS);
    options = fit_options("margin", "logits");
    options.transform = DMS_TRANSFORM_MARGIN;
    options.labels = labels;
    options.label_ct = LOGITS;
    add_fit(store, &options, LOGITS, 0);
    dms_store_close(store);
}

static void make_runs(struct store_plan plan)
{
    dms_store *store = create_store(OTHER, plan);
    uint8_t mask[MASK_BYTES];

    /* Backwards, so that the order of rows is not that of ids. */
    for (uint64_t id = FIRST_RUN + RUNS; id-- > FIRST_RUN;) {
        run_mask(id, mask);
        add_model(store, id, mask);
    }
    dms_store_close(store);
}

/* ---- asking ---- */

struct opened {
    int code;
    dms_snapshot *snapshot;
    dms_fit *fit;
    dms_retrained *retrained;
};

static struct opened open_runs(const char *path, const char *fit, const int64_t *fit_labels)
{
    struct dms_retrained_options options;
    struct opened opened = {0};

    dms_retrained_options_init(&options);
    options.labels = fit_labels;
    options.label_ct = fit_labels ? LOGITS : 0;
    must(dms_snapshot_open(STORE, &opened.snapshot));
    must(dms_fit_open(opened.snapshot, fit, &opened.fit));
    opened.code =
        dms_retrained_open(path, opened.snapshot, opened.fit, &options, &opened.retrained);
    return opened;
}

static void finish(struct opened *opened)
{
    dms_retrained_close(opened->retrained);
    dms_fit_close(opened->fit);
    dms_snapshot_close(opened->snapshot);
}

static void test_masks(void)
{
    struct opened opened = open_runs(OTHER, "main", NULL);
    const dms_retrained *runs = opened.retrained;
    uint8_t mask[MASK_BYTES], wanted[MASK_BYTES];
    const uint64_t *ids = NULL;
    size_t id_ct = 0, found = 9;

    must(opened.code);
    is_int(dms_retrained_model_ct(runs), 6, "models with values in the column");
    is_int(dms_retrained_mask_ct(runs), 3, "different masks");
    must(dms_retrained_models(runs, 0, &ids, &id_ct));
    ok(id_ct == 3 && ids[0] == 1000 && ids[1] == 1003 && ids[2] == 1005,
       "the mask of the smallest id is the first, and has its repeats in order");
    is_int(dms_retrained_models(runs, 3, &ids, &id_ct), DMS_ERR_INVALID, "there is no fourth");
    run_mask(1001, wanted);
    must(dms_retrained_read_mask(runs, 1, mask));
    ok(memcmp(mask, wanted, MASK_BYTES) == 0, "a mask is read");
    ok(dms_retrained_find_mask(runs, wanted, &found) == 0 && found == 1, "a mask is found");
    ok(dms_retrained_find_model(runs, 1005, &found) == 0 && found == 0, "a model is found");
    ok(dms_retrained_find_controls(runs, &found) == 0 && found == 2, "the controls are found");
    wanted[0] = 0;
    is_int(dms_retrained_find_mask(runs, wanted, &found), DMS_ERR_NOT_FOUND, "another is not");
    contains(dms_error_message(), OTHER, "and the message names the store");
    is_int(dms_retrained_find_model(runs, 1006, &found), DMS_ERR_NOT_FOUND,
           "a model without values is not there");
    contains(dms_error_message(), "no outputs margins of model 1006", "and the message says so");
    finish(&opened);
}

static void test_outputs(void)
{
    struct opened opened = open_runs(OTHER, "main", NULL);
    struct dms_retrained_output outputs[] = {
        {1005, 5, 0}, {1000, 0, 0}, {1004, BAD_TARGET, 0}, {1001, 4, 0}, {1000, 0, 0}, {1005, 1, 0},
    };
    struct dms_retrained_output missing[] = {
        {1009, 0, 0}, {7, 0, 0}, {1000, 0, 0}, {8, 3, 0}, {7, 1, 0}, {1006, 0, 0},
    };
    struct dms_retrained_output beyond = {1000, MARGINS, 0};
    uint64_t nonfinite_ct = 9;
    bool are_right = true;

    must(opened.code);
    must(dms_retrained_outputs(opened.retrained, outputs, 6, &nonfinite_ct));
    for (int i = 0; i < 6; i++) {
        if (i != 2)
            are_right &= outputs[i].output == margin_of(outputs[i].id, outputs[i].target);
    }
    ok(are_right, "outputs are those of model and target, in any order and twice");
    ok(isnan(outputs[2].output) && nonfinite_ct == 1, "what is not finite is NaN, and counted");
    is_int(dms_retrained_outputs(opened.retrained, missing, 6, NULL), DMS_ERR_NOT_FOUND,
           "missing models are an error");
    contains(dms_error_message(), "no outputs margins of 4 models: 7-8,1006,1009",
             "that lists them as ranges");
    is_int(dms_retrained_outputs(opened.retrained, &beyond, 1, NULL), DMS_ERR_INVALID,
           "so is a target that the column does not have");
    must(dms_retrained_outputs(opened.retrained, outputs, 0, &nonfinite_ct));
    is_int(nonfinite_ct, 0, "nothing may be asked for");
    finish(&opened);
}

/* Targets that are far apart, and all of one model. */
static void test_wide(void)
{
    struct opened opened = open_runs(OTHER, "wide", NULL);
    struct dms_retrained_output *outputs = calloc(WIDE, sizeof(*outputs));
    bool are_right = true;

    must(opened.code);
    for (uint64_t i = 0; outputs && i < WIDE; i++)
        outputs[i] = (struct dms_retrained_output){FIRST_RUN + i % RUNS, WIDE - 1 - i, 0};
    must(dms_retrained_outputs(opened.retrained, outputs, WIDE, NULL));
    for (uint64_t i = 0; outputs && i < WIDE; i++)
        are_right &= outputs[i].output == wide_of(outputs[i].id, outputs[i].target);
    ok(outputs && are_right, "more targets than are read at a time");
    free(outputs);
    finish(&opened);
}

static void test_means(void)
{
    struct opened opened = open_runs(OTHER, "main", NULL);
    struct dms_retrained_mean means[] = {
        {.mask = 0, .target = 5},
        {.mask = 2, .target = BAD_TARGET},
        {.mask = 0, .target = LOST_TARGET},
        {.mask = 1, .target = LOST_TARGET},
    };
    struct dms_retrained_mean beyond = {.mask = 3};

    must(opened.code);
    must(dms_retrained_means(opened.retrained, means, 4));
    ok(means[0].mean == (1000 % 16 + 1003 % 16 + 1005 % 16) * 8 / 3.0 + 5 &&
           means[0].model_ct == 3 && means[0].nonfinite_ct == 0,
       "a mean over repeats");
    ok(means[1].mean == margin_of(1002, BAD_TARGET) && means[1].model_ct == 1 &&
           means[1].nonfinite_ct == 1,
       "without what is not finite");
    ok(isnan(means[2].mean) && means[2].model_ct == 0 && means[2].nonfinite_ct == 3,
       "which may be all of them");
    ok(means[3].mean == margin_of(1001, LOST_TARGET), "or none");
    is_int(dms_retrained_means(opened.retrained, &beyond, 1), DMS_ERR_INVALID, "no such mask");
    finish(&opened);
}

static void test_transform(void)
{
    static const int64_t wrong[LOGITS] = {0, 2, 1, 1};
    struct opened opened = open_runs(OTHER, "margin", labels);
    struct dms_retrained_output outputs[] = {{1000, 0, 0}, {1001, 0, 0}, {1001, 1, 0}};

    must(opened.code);
    must(dms_retrained_outputs(opened.retrained, outputs, 3, NULL));
    ok(outputs[0].output == 3 && outputs[1].output == -2 && outputs[2].output == 2,
       "outputs are transformed as those of the fit");
    finish(&opened);
    opened = open_runs(OTHER, "margin", NULL);
    is_int(opened.code, DMS_ERR_INVALID, "without labels it is refused");
    finish(&opened);
    opened = open_runs(OTHER, "margin", wrong);
    is_int(opened.code, DMS_ERR_CONFLICT, "and with others");
    finish(&opened);
}

/* ---- the whole training set ---- */

static int base_of(struct opened *opened, double *outputs, enum dms_base *base)
{
    size_t positions[] = {5, BAD_TARGET};
    struct dms_retrained_options options;

    dms_retrained_options_init(&options);
    return dms_base_outputs(opened->snapshot, opened->fit, opened->retrained, &options, positions,
                            2, outputs, base);
}

static void test_base(void)
{
    struct opened opened = open_runs(OTHER, "main", NULL);
    enum dms_base base;
    double outputs[2];

    must(base_of(&opened, outputs, &base));
    ok(base == DMS_BASE_RETRAINED && outputs[0] == (1002 % 16 + 1004 % 16) * 8 / 2.0 + 5 &&
           outputs[1] == margin_of(1002, BAD_TARGET),
       "the base is the mean of the controls of the runs");
    finish(&opened);
    opened = open_runs(NULL, "main", NULL);
    is_int(dms_retrained_mask_ct(opened.retrained), 20, "a store may be its own runs");
    must(base_of(&opened, outputs, &base));
    ok(base == DMS_BASE_PREDICTED && outputs[0] == 3.5, "without controls, it is predicted");
    finish(&opened);
    opened = open_runs(NULL, "unbiased", NULL);
    is_int(base_of(&opened, outputs, &base), DMS_ERR_INVALID, "which takes a bias");
    finish(&opened);
}

/* The store gets a control, so this comes last. */
static void test_own_controls(void)
{
    struct opened opened;
    uint8_t mask[MASK_BYTES];
    enum dms_base base;
    double outputs[2];
    dms_store *store;

    must(dms_store_open(STORE, &store));
    run_mask(1002, mask);
    add_model(store, 30, mask);
    dms_store_close(store);
    opened = open_runs(OTHER, "main", NULL);
    dms_retrained_close(opened.retrained);
    opened.retrained = NULL;
    must(base_of(&opened, outputs, &base));
    ok(base == DMS_BASE_STORE && outputs[0] == margin_of(30, 5), "controls of the fit's own store");
    is_text(dms_base_name(base), "store", "and it says so");
    finish(&opened);
}

static void test_refused(struct store_plan plan, const char *part, const char *what)
{
    struct opened opened;

    dms_store_close(create_store(OTHER, plan));
    opened = open_runs(OTHER, "main", NULL);
    is_int(opened.code, strstr(plan.margins, "margins") ? DMS_ERR_CONFLICT : DMS_ERR_NOT_FOUND,
           what);
    contains(opened.code < 0 ? dms_error_message() : "", part, "and the message says why");
    finish(&opened);
}

int main(void)
{
    struct opened opened;

    make_store();
    make_runs(usual);
    test_masks();
    test_outputs();
    test_wide();
    test_means();
    test_transform();
    test_base();
    test_own_controls();
    test_refused((struct store_plan){21, "margins:6:f32", 7}, "21 training examples",
                 "another number of examples");
    test_refused((struct store_plan){EXAMPLES, "margins:6:f32", 8}, "digests differ",
                 "another training set");
    test_refused((struct store_plan){EXAMPLES, "margins:7:f32", 7}, "has 7 x 1 values",
                 "another shape");
    test_refused((struct store_plan){EXAMPLES, "other:6:f32", 7}, "margins", "no such column");
    dms_store_close(create_store(OTHER, (struct store_plan){EXAMPLES, "margins:6:f16", 0}));
    opened = open_runs(OTHER, "main", NULL);
    ok(opened.code == 0 && dms_retrained_model_ct(opened.retrained) == 0 &&
           dms_retrained_mask_ct(opened.retrained) == 0,
       "another dtype, no digest and no models: nothing is there");
    finish(&opened);
    remove_tree(STORE);
    remove_tree(OTHER);
    return tap_done();
}
