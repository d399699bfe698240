/*
 * Rules that leave examples out; see gram_screening.h.
 */
#include "solver/gram_screening.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"

/* A lambda farther down the path than the next one is solved on the examples that have this part of
 * its gradient; the strong rule would let in most of them. */
#define FAR_SHARE 0.8

size_t dms_gram_choose_examples(struct dms_gram_target *target,
                                const struct dms_certificate *certificate)
{
    double lambda = target->now.lambda;
    double threshold =
        target->at_lambda ? lambda : fmax(2 * lambda - target->start.lambda, FAR_SHARE * lambda);
    double scale = dms_certificate_dual_scale(certificate);
    double radius = sqrt(2 * target->gap * target->path->null_deviance);
    size_t count = 0;

    for (size_t k = 0; k < target->example_ct; k++) {
        double gradient = fabs(target->now.gradients[k]), penalty = target->masks.scales[k];

        if (penalty == 0)
            continue;
        if (target->now.weights[k] == 0 &&
            (gradient < threshold * penalty ||
             fabs(scale) * gradient + target->masks.deviations[k] * radius < lambda * penalty))
            continue;
        target->examples[count++] = (uint32_t)k;
    }
    return count;
}

size_t dms_gram_candidates(const struct dms_gram_target *target, uint32_t *examples)
{
    size_t count = 0;

    for (size_t k = 0; k < target->example_ct; k++) {
        double penalty = target->now.lambda * target->masks.scales[k];
        bool moves = target->now.weights[k] != 0 || fabs(target->now.gradients[k]) > penalty;

        /* Without a branch, which could not be predicted. */
        examples[count] = (uint32_t)k;
        count += moves & (penalty > 0);
    }
    return count;
}

struct urgency {
    double value; /* how far an example is from what its optimality condition says */
    uint32_t example;
};

static int compare_urgency(const void *a, const void *b)
{
    const struct urgency *left = a, *right = b;
    int order = (left->value < right->value) - (left->value > right->value);

    return order != 0 ? order : (left->example > right->example) - (left->example < right->example);
}

static int compare_examples(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

int dms_gram_keep_urgent(struct dms_gram_target *target, size_t size, size_t limit)
{
    struct urgency *order = dms_alloc(size, sizeof *order);

    if (!order)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; i < size; i++) {
        uint32_t k = target->examples[i];
        double penalty = target->now.lambda * target->masks.scales[k];
        double pull = copysign(penalty, target->now.weights[k]);

        order[i].example = k;
        order[i].value = (target->now.weights[k] != 0 ? fabs(target->now.gradients[k] + pull)
                                                      : fabs(target->now.gradients[k]) - penalty) /
                         penalty;
    }
    qsort(order, size, sizeof *order, compare_urgency);
    for (size_t i = 0; i < limit; i++)
        target->examples[i] = order[i].example;
    qsort(target->examples, limit, sizeof *target->examples, compare_examples);
    free(order);
    return DMS_OK;
}
