/*
 * dms_fit_detection: gathers all pairs of positive weight with what is true of them, sorts them by
 * weight and counts along; what a random order does follows from how many true pairs the targets
 * have.
 */
#include "dmstore/nearest.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"

struct pair {
    double weight;
    uint32_t target, example;
    bool is_true;
};

struct detection {
    size_t example_ct;
    double all_pair_ct; /* targets x examples */
    struct pair *pairs;
    size_t pair_ct, capacity;
    uint8_t *flags;       /* of the target: which examples are true */
    uint64_t *target_cts; /* target_cts[t]: how many targets are in t true pairs, t <= example_ct */
    uint8_t *is_detected; /* one for each target of the output */
    struct dms_detection_curve *curve;
};

/* ---- gathering ---- */

static int gather_target(struct detection *detection, const struct dms_fitted_target *target)
{
    size_t true_ct = 0;
    int code = dms_grow((void **)&detection->pairs, &detection->capacity,
                        detection->pair_ct + target->weight_ct, sizeof(*detection->pairs));

    if (code < 0)
        return code;
    for (size_t k = 0; k < detection->example_ct; k++)
        true_ct += detection->flags[k] != 0;
    detection->target_cts[true_ct]++;
    detection->curve->true_pair_ct += true_ct;
    detection->curve->leaked_target_ct += true_ct > 0;
    for (size_t i = 0; i < target->weight_ct; i++) {
        if (target->weights[i] > 0)
            detection->pairs[detection->pair_ct++] = (struct pair){
                .weight = target->weights[i],
                .target = (uint32_t)target->target,
                .example = target->examples[i],
                .is_true = detection->flags[target->examples[i]] != 0,
            };
    }
    return 0;
}

static int gather(struct detection *detection, const dms_fit *fit, const size_t *positions,
                  size_t position_ct, dms_true_pairs true_pairs, void *context)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < position_ct; i++) {
        struct dms_fitted_target target;

        code = dms_fit_target(fit, positions[i], &target);
        if (code == 0)
            code = true_pairs(context, target.target, detection->flags);
        if (code == 0)
            code = gather_target(detection, &target);
    }
    detection->curve->pair_ct = detection->pair_ct;
    return code;
}

static int compare_pairs(const void *left, const void *right)
{
    const struct pair *a = left, *b = right;

    if (a->weight != b->weight)
        return a->weight > b->weight ? -1 : 1;
    if (a->target != b->target)
        return a->target < b->target ? -1 : 1;
    return (a->example > b->example) - (a->example < b->example);
}

/* ---- the curve ---- */

/* The expected share of the leaked targets that are in one of pair_ct pairs, drawn without
 * replacement: a target of t true pairs is in none with probability C(P - t, N) / C(P, N). */
static double random_recall(const struct detection *detection, double pair_ct)
{
    double missed = 1, detected_ct = 0;

    for (size_t t = 0; t <= detection->example_ct; t++) {
        double left = detection->all_pair_ct - (double)t;

        detected_ct += (double)detection->target_cts[t] * (1 - missed);
        missed *= left > pair_ct ? 1 - pair_ct / left : 0;
    }
    return detected_ct / (double)detection->curve->leaked_target_ct;
}

static void add_point(struct detection *detection, size_t pair_ct, uint64_t true_ct,
                      uint64_t detected_ct)
{
    struct dms_detection_curve *curve = detection->curve;
    bool is_leaked = curve->leaked_target_ct > 0;

    curve->points[curve->point_ct++] = (struct dms_detection_point){
        .pair_ct = pair_ct,
        .precision = (double)true_ct / (double)pair_ct,
        .recall = is_leaked ? (double)detected_ct / (double)curve->leaked_target_ct : NAN,
        .random_precision = (double)curve->true_pair_ct / detection->all_pair_ct,
        .random_recall = is_leaked ? random_recall(detection, (double)pair_ct) : NAN,
    };
}

/* 1, 2, 5, 10, 20, 50 ... */
static uint64_t next_step(uint64_t step)
{
    uint64_t leading = step;

    while (leading >= 10)
        leading /= 10;
    return leading == 2 ? step / 2 * 5 : step * 2;
}

static void walk(struct detection *detection)
{
    uint64_t true_ct = 0, detected_ct = 0, step = 1;

    for (size_t i = 0; i < detection->pair_ct; i++) {
        const struct pair *pair = &detection->pairs[i];

        if (pair->is_true) {
            true_ct++;
            detected_ct += !detection->is_detected[pair->target];
            detection->is_detected[pair->target] = 1;
        }
        if (i + 1 != step && i + 1 != detection->pair_ct)
            continue;
        add_point(detection, i + 1, true_ct, detected_ct);
        step = next_step(step);
    }
}

int dms_fit_detection(const dms_fit *fit, const size_t *positions, size_t position_ct,
                      dms_true_pairs true_pairs, void *context, struct dms_detection_curve *curve)
{
    const struct dms_fit_header *header = dms_fit_get_header(fit);
    struct dms_detection_curve made = {0};
    struct detection detection = {
        .example_ct = (size_t)header->example_ct,
        .all_pair_ct = (double)position_ct * (double)header->example_ct,
        .flags = dms_alloc((size_t)header->example_ct, 1),
        .target_cts = dms_alloc((size_t)header->example_ct + 1, sizeof(uint64_t)),
        .is_detected = dms_alloc((size_t)header->target_ct, 1),
        .curve = &made,
    };
    int code = detection.flags && detection.target_cts && detection.is_detected
                   ? gather(&detection, fit, positions, position_ct, true_pairs, context)
                   : DMS_ERR_NO_MEMORY;

    if (code == 0) {
        if (detection.pair_ct > 1)
            qsort(detection.pairs, detection.pair_ct, sizeof(*detection.pairs), compare_pairs);
        walk(&detection);
        *curve = made;
    }
    free(detection.pairs);
    free(detection.flags);
    free(detection.target_cts);
    free(detection.is_detected);
    return code;
}
