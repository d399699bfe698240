/*
 * Known fits: see known_fits.h.
 */
#include "tests/fault/known_fits.h"

#include "tests/fault/known_rows.h"

#include <string.h>

enum { WEIGHTS_MAX = 9, PATH_CT = 2 };

/* What a known target points to. */
struct known_target {
    struct dms_fitted_target target;
    uint32_t examples[WEIGHTS_MAX];
    double weights[WEIGHTS_MAX];
    double lambdas[PATH_CT], errors[PATH_CT], gaps[PATH_CT];
    uint32_t weight_cts[PATH_CT];
};

static void target_make(struct known_target *known, const char *name, uint64_t number)
{
    uint64_t mix = known_mix((uint64_t)name[0] << 8 | (uint8_t)name[strlen(name) - 1], number);

    memset(known, 0, sizeof *known);
    for (uint32_t k = 0; k < WEIGHTS_MAX; k++) {
        known->examples[k] = k * 20 + (uint32_t)(mix % 20);
        known->weights[k] = 1 + (double)(known_mix(mix, k) % 1000);
    }
    for (uint32_t k = 0; k < PATH_CT; k++) {
        known->lambdas[k] = 1.0 / (k + 1);
        known->errors[k] = (double)(mix % 77);
        known->gaps[k] = 1e-6;
        known->weight_cts[k] = k;
    }
    known->target = (struct dms_fitted_target){
        .target = number,
        .flags = DMS_FITTED_REFITTED,
        .bias = (double)(mix % 1000),
        .lambda = 0.5,
        .gap = 1e-6,
        .null_deviance = 1,
        .row_ct = 5,
        .weight_ct = mix % (WEIGHTS_MAX + 1),
        .examples = known->examples,
        .weights = known->weights,
        .path_ct = PATH_CT,
        .chosen = 1,
        .path_lambdas = known->lambdas,
        .path_errors = known->errors,
        .path_gaps = known->gaps,
        .path_weight_cts = known->weight_cts,
    };
}

static bool is_same(const struct dms_fitted_target *a, const struct dms_fitted_target *b)
{
    return a->target == b->target && a->flags == b->flags && a->bias == b->bias &&
           a->weight_ct == b->weight_ct && a->path_ct == b->path_ct && a->chosen == b->chosen &&
           a->lambda == b->lambda && a->gap == b->gap && a->row_ct == b->row_ct &&
           memcmp(a->examples, b->examples, a->weight_ct * sizeof *a->examples) == 0 &&
           memcmp(a->weights, b->weights, a->weight_ct * sizeof *a->weights) == 0 &&
           memcmp(a->path_lambdas, b->path_lambdas, a->path_ct * sizeof(double)) == 0 &&
           memcmp(a->path_errors, b->path_errors, a->path_ct * sizeof(double)) == 0;
}

/* The store's uuid, which a header must have. */
static int read_uuid(dms_store *store, uint8_t uuid[16])
{
    dms_snapshot *snapshot;
    struct dms_snapshot_info info;
    int status = dms_store_snapshot(store, &snapshot);

    if (status == 0) {
        dms_snapshot_info(snapshot, &info);
        memcpy(uuid, info.store_uuid, sizeof info.store_uuid);
        dms_snapshot_close(snapshot);
    }
    return status;
}

int known_fit_add(dms_store *store, const char *name, uint64_t first, uint64_t end)
{
    struct dms_id_range training = {0, 3};
    struct dms_metadata problem[] = {{"lambdas", "2"}};
    struct dms_metadata provenance[] = {{"host", "known"}};
    struct dms_fit_header header = {
        .name = name,
        .output = "margins",
        .sequence = 1,
        .example_ct = KNOWN_EXAMPLES,
        .target_ct = KNOWN_TARGETS,
        .training = {1, &training, 3, {1, 2}},
        .problem_ct = 1,
        .problem = problem,
    };
    dms_fit_part *part = NULL;
    int status = read_uuid(store, header.store_uuid);

    if (status == 0)
        status = dms_fit_part_create(&header, provenance, 1, &part);
    for (uint64_t number = first; status == 0 && number < end; number++) {
        struct known_target known;

        target_make(&known, name, number);
        status = dms_fit_part_add(part, &known.target);
    }
    if (status == 0)
        status = dms_store_merge_fit(store, part, NULL);
    dms_fit_part_free(part);
    return status;
}

int known_fit_read(dms_snapshot *snapshot, const char *name, struct known_fit *found)
{
    dms_fit *fit;
    int status = dms_fit_open(snapshot, name, &fit);

    *found = (struct known_fit){0};
    if (status != 0)
        return status == DMS_ERR_NOT_FOUND ? 0 : status;
    for (size_t k = 0; k < dms_fit_target_ct(fit); k++) {
        struct dms_fitted_target target;
        struct known_target known;

        if (dms_fit_target(fit, k, &target) != 0) {
            found->error_ct++;
            continue;
        }
        target_make(&known, name, target.target);
        if (target.target < KNOWN_TARGETS && is_same(&target, &known.target))
            found->targets |= UINT64_C(1) << target.target;
        else
            found->wrong_ct++;
    }
    dms_fit_close(fit);
    return 0;
}
