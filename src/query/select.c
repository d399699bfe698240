/*
 * dms_select: averages the weights of the targets, sorts the examples by the average, and takes
 * them from the front as far as the quotas of their classes allow.
 */
#include "dmstore/select.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"

void dms_select_options_init(struct dms_select_options *options)
{
    *options = (struct dms_select_options){.direction = DMS_SELECT_MINIMIZE};
}

/* An example that may be chosen. */
struct candidate {
    double weight;
    double order; /* the weight, or minus the weight: the smaller the better */
    uint64_t example;
    size_t class;
};

/* All examples are of one class when none are given. */
struct class_quota {
    int64_t label;
    size_t available_ct, chosen_ct;
    double weight_sum; /* of those available */
};

struct work {
    const dms_fit *fit;
    const size_t *positions;
    size_t position_ct;
    const struct dms_select_options *options;
    size_t example_ct;            /* d */
    double *weights;              /* w, d of them */
    bool *is_excluded;            /* d of them */
    struct candidate *candidates; /* those not excluded, best first */
    size_t candidate_ct;
    struct class_quota *classes; /* by increasing label */
    size_t class_ct;
    struct dms_selection *result;
};

/* ---- the mean weights ---- */

static int check_target_weights(const struct work *work)
{
    const double *weights = work->options->target_weights;
    double sum = 0;

    for (size_t i = 0; weights && i < work->position_ct; i++) {
        if (!isfinite(weights[i]) || weights[i] < 0)
            return dms_fail(DMS_ERR_INVALID,
                            "the weight %g of target number %zu is no finite number that is not "
                            "negative",
                            weights[i], i);
        sum += weights[i];
    }
    if (weights && !(sum > 0 && isfinite(sum)))
        return dms_fail(DMS_ERR_INVALID, "the sum %g of the weights of the targets is not usable",
                        sum);
    return 0;
}

/* Adds all targets to work->weights and the bias. */
static int add_targets(struct work *work)
{
    const double *target_weights = work->options->target_weights;
    double target_weight_sum = 0;

    for (size_t t = 0; t < work->position_ct; t++) {
        double target_weight = target_weights ? target_weights[t] : 1;
        struct dms_fitted_target target;
        int code = dms_fit_target(work->fit, work->positions[t], &target);

        if (code < 0)
            return code;
        if (target_weight == 0)
            continue;
        if (target.flags & DMS_FITTED_NO_BIAS)
            work->result->bias = NAN;
        work->result->bias += target_weight * target.bias;
        for (size_t i = 0; i < target.weight_ct; i++)
            work->weights[target.examples[i]] += target_weight * target.weights[i];
        target_weight_sum += target_weight;
    }
    work->result->bias /= target_weight_sum;
    for (size_t i = 0; i < work->example_ct; i++) {
        work->weights[i] /= target_weight_sum;
        work->result->full_weight_sum += work->weights[i];
    }
    if (!isfinite(work->result->full_weight_sum)) /* such weights have no order */
        return dms_fail(DMS_ERR_INVALID,
                        "fit %s: the weights are too large for their sums to be finite",
                        dms_fit_get_header(work->fit)->name);
    return 0;
}

static int average_targets(struct work *work)
{
    int code = work->position_ct > 0
                   ? check_target_weights(work)
                   : dms_fail(DMS_ERR_INVALID, "there are no targets to select examples for");

    if (code < 0)
        return code;
    work->weights = dms_alloc(work->example_ct, sizeof(*work->weights));
    return work->weights ? add_targets(work) : DMS_ERR_NO_MEMORY;
}

/* ---- who may be chosen ---- */

static int note_excluded(struct work *work)
{
    const struct dms_select_options *options = work->options;

    work->is_excluded = dms_alloc(work->example_ct, sizeof(*work->is_excluded));
    if (!work->is_excluded)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; i < options->excluded_ct; i++) {
        if (options->excluded[i] >= work->example_ct)
            return dms_fail(DMS_ERR_INVALID,
                            "example %" PRIu64 " cannot be excluded: there are %zu only",
                            options->excluded[i], work->example_ct);
        work->is_excluded[options->excluded[i]] = true;
    }
    return 0;
}

static int compare_labels(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

/* Lists the classes there are. */
static int list_classes(struct work *work)
{
    const int64_t *classes = work->options->classes;
    int64_t *labels = dms_alloc(work->example_ct, sizeof(*labels));

    if (!labels)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; classes && i < work->example_ct; i++)
        labels[i] = classes[i];
    qsort(labels, work->example_ct, sizeof(*labels), compare_labels);
    for (size_t i = 0; i < work->example_ct; i++) {
        if (work->class_ct == 0 || labels[i] != labels[work->class_ct - 1])
            labels[work->class_ct++] = labels[i];
    }
    work->classes = dms_alloc(work->class_ct, sizeof(*work->classes));
    for (size_t i = 0; work->classes && i < work->class_ct; i++)
        work->classes[i].label = labels[i];
    free(labels);
    return work->classes ? 0 : DMS_ERR_NO_MEMORY;
}

static int compare_class(const void *label, const void *class)
{
    return compare_labels(label, &((const struct class_quota *)class)->label);
}

static size_t class_of(const struct work *work, size_t example)
{
    const struct class_quota *found;

    if (!work->options->classes)
        return 0;
    found = bsearch(&work->options->classes[example], work->classes, work->class_ct,
                    sizeof(*work->classes), compare_class);
    return (size_t)(found - work->classes);
}

static int compare_candidates(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;

    if (a->order != b->order)
        return a->order < b->order ? -1 : 1;
    return (a->example > b->example) - (a->example < b->example);
}

/* Lists those not excluded, best first, and counts them by class. */
static int list_candidates(struct work *work)
{
    bool largest = work->options->direction == DMS_SELECT_MAXIMIZE;

    work->candidates = dms_alloc(work->example_ct, sizeof(*work->candidates));
    if (!work->candidates)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; i < work->example_ct; i++) {
        double weight = work->weights[i];
        size_t class = class_of(work, i);

        if (work->is_excluded[i])
            continue;
        work->candidates[work->candidate_ct++] =
            (struct candidate){weight, largest ? -weight : weight, i, class};
        work->classes[class].available_ct++;
        work->classes[class].weight_sum += weight;
    }
    qsort(work->candidates, work->candidate_ct, sizeof(*work->candidates), compare_candidates);
    work->result->available_ct = work->candidate_ct;
    return 0;
}

static int check_enough(const struct work *work)
{
    size_t wanted = work->options->example_ct, share = wanted / work->class_ct;

    if (wanted == 0)
        return dms_fail(DMS_ERR_INVALID, "at least one example must be chosen");
    if (wanted > work->candidate_ct)
        return dms_fail(DMS_ERR_INVALID, "cannot choose %zu examples: of %zu, %zu are not excluded",
                        wanted, work->example_ct, work->candidate_ct);
    for (size_t i = 0; i < work->class_ct; i++) {
        const struct class_quota *class = &work->classes[i];

        if (class->available_ct < share)
            return dms_fail(DMS_ERR_INVALID,
                            "cannot choose %zu examples, %zu of each of %zu classes: class %" PRId64
                            " has %zu that are not excluded",
                            wanted, share, work->class_ct, class->label, class->available_ct);
    }
    return 0;
}

/* ---- the choice ---- */

static void take(struct work *work, const struct candidate *candidate)
{
    struct dms_selection *result = work->result;

    result->examples[result->example_ct] = candidate->example;
    result->weights[result->example_ct] = candidate->weight;
    result->example_ct++;
    result->weight_sum += candidate->weight;
}

/* Settles how many of each class are chosen. The next example of a class after its share is the
 * best one left of it, so that the first of all of them in order go to the classes they are of. */
static void divide(struct work *work)
{
    size_t wanted = work->options->example_ct, share = wanted / work->class_ct;
    size_t rest = wanted - share * work->class_ct;

    for (size_t i = 0; i < work->class_ct; i++)
        work->classes[i].chosen_ct = 0;
    for (size_t i = 0; i < work->candidate_ct; i++) {
        struct class_quota *class = &work->classes[work->candidates[i].class];

        if (class->chosen_ct < share) {
            class->chosen_ct++;
        } else if (class->chosen_ct == share && rest > 0) {
            class->chosen_ct++;
            rest--;
        }
    }
}

/* divide() has left some over when classes end with their share: no class gets more than one. */
static int check_divided(const struct work *work)
{
    size_t chosen_ct = 0;

    for (size_t i = 0; i < work->class_ct; i++)
        chosen_ct += work->classes[i].chosen_ct;
    if (chosen_ct < work->options->example_ct)
        return dms_fail(DMS_ERR_INVALID,
                        "cannot choose %zu examples as evenly of %zu classes as can be: %zu, as "
                        "the smaller ones have too few that are not excluded",
                        work->options->example_ct, work->class_ct, chosen_ct);
    return 0;
}

static int choose(struct work *work)
{
    size_t *left_cts = dms_alloc(work->class_ct, sizeof(*left_cts));
    struct dms_selection *result = work->result;

    if (!left_cts)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; i < work->class_ct; i++) {
        const struct class_quota *class = &work->classes[i];

        left_cts[i] = class->chosen_ct;
        if (class->chosen_ct > 0)
            result->random_weight_sum +=
                class->weight_sum / (double)class->available_ct * (double)class->chosen_ct;
    }
    for (size_t i = 0; i < work->candidate_ct; i++) {
        const struct candidate *candidate = &work->candidates[i];

        if (left_cts[candidate->class] > 0) {
            left_cts[candidate->class]--;
            take(work, candidate);
        }
    }
    free(left_cts);
    return 0;
}

static int create_result(struct work *work)
{
    size_t example_ct = work->options->example_ct;

    work->result = dms_alloc(1, sizeof(*work->result));
    if (!work->result)
        return DMS_ERR_NO_MEMORY;
    if (example_ct > work->example_ct)
        return dms_fail(DMS_ERR_INVALID, "cannot choose %zu examples of %zu", example_ct,
                        work->example_ct);
    work->result->examples = dms_alloc(example_ct, sizeof(*work->result->examples));
    work->result->weights = dms_alloc(example_ct, sizeof(*work->result->weights));
    return work->result->examples && work->result->weights ? 0 : DMS_ERR_NO_MEMORY;
}

void dms_selection_free(struct dms_selection *selection)
{
    if (!selection)
        return;
    free(selection->examples);
    free(selection->weights);
    free(selection);
}

int dms_select(const dms_fit *fit, const size_t *positions, size_t position_ct,
               const struct dms_select_options *options, struct dms_selection **selection)
{
    struct work work = {
        .fit = fit,
        .positions = positions,
        .position_ct = position_ct,
        .options = options,
        .example_ct = (size_t)dms_fit_get_header(fit)->example_ct,
    };
    int code = create_result(&work);

    if (code == 0)
        code = average_targets(&work);
    if (code == 0)
        code = note_excluded(&work);
    if (code == 0)
        code = list_classes(&work);
    if (code == 0)
        code = list_candidates(&work);
    if (code == 0)
        code = check_enough(&work);
    if (code == 0) {
        divide(&work);
        code = check_divided(&work);
    }
    if (code == 0)
        code = choose(&work);
    if (code == 0) {
        *selection = work.result;
        work.result = NULL;
    }
    dms_selection_free(work.result);
    free(work.weights);
    free(work.is_excluded);
    free(work.candidates);
    free(work.classes);
    return code;
}
