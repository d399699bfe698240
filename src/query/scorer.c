/*
 * The scores of a target, and its part of the bootstrap; see scorer.h.
 */
#include "query/scorer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "query/ranks.h"

/* Masks that several of a target's models share. */
struct repeats {
    size_t mask_ct;
    uint32_t *masks;  /* their numbers */
    float *averages;  /* of the outputs of all models of the mask */
    float *halves[2]; /* of every second model, and of the others */
    double opt;
    double ceiling;
};

/* Sums of the outputs of the models of a mask. */
struct mask_sum {
    uint32_t row_ct;
    double sum, half_sums[2];
    double deviation_square;
};

struct dms_scorer {
    const struct dms_held_out *held_out;
    const struct dms_bootstrap *bootstrap;
    struct dms_bootstrap_sums sums;
    struct dms_bootstrap_scratch resample;

    /* The models of the target: those whose output is finite. */
    size_t row_ct;
    uint32_t *masks;   /* of these models */
    float *outputs;    /* of these models */
    float *values;     /* predictions of one fit for them */
    double *wide[2];   /* outputs and predictions as double */
    uint64_t *sorting; /* 2 x row_ct */
    struct dms_ranking output_ranking;
    struct dms_ranking *prediction_rankings; /* one a fit */

    /* Only where masks repeat. */
    struct mask_sum *mask_sums; /* one a mask */
    struct repeats repeats;
    struct dms_ranking mask_rankings[2];
};

/* ---- memory ---- */

static int create_ranking(size_t value_ct, struct dms_ranking *ranking)
{
    ranking->order = dms_alloc(value_ct, sizeof(*ranking->order));
    ranking->ranks = dms_alloc(value_ct, sizeof(*ranking->ranks));
    return ranking->order && ranking->ranks ? 0 : DMS_ERR_NO_MEMORY;
}

static void free_ranking(struct dms_ranking *ranking)
{
    free(ranking->order);
    free(ranking->ranks);
}

static int create_rows(struct dms_scorer *scorer, size_t row_ct)
{
    scorer->masks = dms_alloc(row_ct, sizeof(*scorer->masks));
    scorer->outputs = dms_alloc(row_ct, sizeof(*scorer->outputs));
    scorer->values = dms_alloc(row_ct, sizeof(*scorer->values));
    scorer->wide[0] = dms_alloc(row_ct, sizeof(*scorer->wide[0]));
    scorer->wide[1] = dms_alloc(row_ct, sizeof(*scorer->wide[1]));
    scorer->sorting = dms_alloc(2 * row_ct, sizeof(*scorer->sorting));
    return scorer->masks && scorer->outputs && scorer->values && scorer->wide[0] &&
                   scorer->wide[1] && scorer->sorting
               ? create_ranking(row_ct, &scorer->output_ranking)
               : DMS_ERR_NO_MEMORY;
}

static int create_predictions(struct dms_scorer *scorer, size_t row_ct)
{
    size_t fit_ct = scorer->bootstrap->fit_ct;
    int code = 0;

    scorer->prediction_rankings = dms_alloc(fit_ct, sizeof(*scorer->prediction_rankings));
    if (!scorer->prediction_rankings)
        return DMS_ERR_NO_MEMORY;
    for (size_t fit = 0; code == 0 && fit < fit_ct; fit++)
        code = create_ranking(row_ct, &scorer->prediction_rankings[fit]);
    return code;
}

static int create_repeats(struct dms_scorer *scorer)
{
    size_t mask_ct = scorer->held_out->mask_ct, repeated_ct = scorer->held_out->repeated_ct;
    struct repeats *repeats = &scorer->repeats;
    int code;

    if (repeated_ct == 0)
        return 0;
    scorer->mask_sums = dms_alloc(mask_ct, sizeof(*scorer->mask_sums));
    repeats->masks = dms_alloc(repeated_ct, sizeof(*repeats->masks));
    repeats->averages = dms_alloc(repeated_ct, sizeof(*repeats->averages));
    repeats->halves[0] = dms_alloc(repeated_ct, sizeof(*repeats->halves[0]));
    repeats->halves[1] = dms_alloc(repeated_ct, sizeof(*repeats->halves[1]));
    code = scorer->mask_sums && repeats->masks && repeats->averages && repeats->halves[0] &&
                   repeats->halves[1]
               ? create_ranking(repeated_ct, &scorer->mask_rankings[0])
               : DMS_ERR_NO_MEMORY;
    return code < 0 ? code : create_ranking(repeated_ct, &scorer->mask_rankings[1]);
}

static int create_resample(struct dms_scorer *scorer, size_t row_ct)
{
    struct dms_bootstrap_scratch *resample = &scorer->resample;

    if (scorer->bootstrap->method == DMS_BOOTSTRAP_NONE)
        return 0;
    resample->mask_counts = dms_alloc(scorer->held_out->mask_ct, sizeof(*resample->mask_counts));
    resample->row_counts = dms_alloc(row_ct, sizeof(*resample->row_counts));
    resample->influences = dms_alloc(row_ct, sizeof(*resample->influences));
    resample->ranks = dms_alloc(2 * row_ct, sizeof(*resample->ranks));
    return resample->mask_counts && resample->row_counts && resample->influences && resample->ranks
               ? dms_bootstrap_sums_create(scorer->bootstrap, &scorer->sums)
               : DMS_ERR_NO_MEMORY;
}

int dms_scorer_create(const struct dms_held_out *held_out, const struct dms_bootstrap *bootstrap,
                      struct dms_scorer **scorer)
{
    struct dms_scorer *made = dms_alloc(1, sizeof(*made));
    int code;

    if (!made)
        return DMS_ERR_NO_MEMORY;
    made->held_out = held_out;
    made->bootstrap = bootstrap;
    code = create_rows(made, held_out->row_ct);
    if (code == 0)
        code = create_predictions(made, held_out->row_ct);
    if (code == 0)
        code = create_repeats(made);
    if (code == 0)
        code = create_resample(made, held_out->row_ct);
    if (code < 0) {
        dms_scorer_free(made);
        return code;
    }
    *scorer = made;
    return 0;
}

void dms_scorer_free(struct dms_scorer *scorer)
{
    if (!scorer)
        return;
    dms_bootstrap_sums_free(&scorer->sums);
    free(scorer->resample.mask_counts);
    free(scorer->resample.row_counts);
    free(scorer->resample.influences);
    free(scorer->resample.ranks);
    free(scorer->masks);
    free(scorer->outputs);
    free(scorer->values);
    free(scorer->wide[0]);
    free(scorer->wide[1]);
    free(scorer->sorting);
    free_ranking(&scorer->output_ranking);
    for (size_t fit = 0; scorer->prediction_rankings && fit < scorer->bootstrap->fit_ct; fit++)
        free_ranking(&scorer->prediction_rankings[fit]);
    free(scorer->prediction_rankings);
    free(scorer->mask_sums);
    free(scorer->repeats.masks);
    free(scorer->repeats.averages);
    free(scorer->repeats.halves[0]);
    free(scorer->repeats.halves[1]);
    free_ranking(&scorer->mask_rankings[0]);
    free_ranking(&scorer->mask_rankings[1]);
    free(scorer);
}

size_t dms_scorer_bytes(size_t row_ct, const struct dms_bootstrap *bootstrap)
{
    /* A generous sum of all arrays above. */
    return row_ct * (160 + 12 * bootstrap->fit_ct) +
           8 * bootstrap->fit_ct * ((size_t)bootstrap->resample_ct + bootstrap->mask_ct);
}

const struct dms_bootstrap_sums *dms_scorer_sums(const struct dms_scorer *scorer)
{
    return &scorer->sums;
}

/* ---- repeated masks ---- */

static void sum_masks(struct dms_scorer *scorer)
{
    memset(scorer->mask_sums, 0, scorer->held_out->mask_ct * sizeof(*scorer->mask_sums));
    for (size_t i = 0; i < scorer->row_ct; i++) {
        struct mask_sum *sum = &scorer->mask_sums[scorer->masks[i]];

        sum->sum += scorer->outputs[i];
        sum->half_sums[sum->row_ct & 1] += scorer->outputs[i];
        sum->row_ct++;
    }
    for (size_t i = 0; i < scorer->row_ct; i++) {
        struct mask_sum *sum = &scorer->mask_sums[scorer->masks[i]];
        double deviation = scorer->outputs[i] - sum->sum / sum->row_ct;

        sum->deviation_square += deviation * deviation;
    }
}

/* What the best possible predictor of the averages scores; see dmstore/evaluate.h. */
static double noise_ceiling(struct dms_scorer *scorer)
{
    struct repeats *repeats = &scorer->repeats;
    double agreement;

    for (int half = 0; half < 2; half++) {
        scorer->mask_rankings[half].value_ct = repeats->mask_ct;
        dms_rank(repeats->halves[half], &scorer->mask_rankings[half], scorer->sorting);
    }
    agreement = dms_spearman(&scorer->mask_rankings[0], &scorer->mask_rankings[1]);
    return agreement > 0 ? sqrt(2 * agreement / (1 + agreement)) : NAN;
}

/* Fills scorer->repeats for the target. */
static void find_repeats(struct dms_scorer *scorer)
{
    struct repeats *repeats = &scorer->repeats;
    double variance_sum = 0;

    repeats->mask_ct = 0;
    repeats->opt = repeats->ceiling = NAN;
    if (!scorer->mask_sums)
        return;
    sum_masks(scorer);
    for (uint32_t mask = 0; mask < scorer->held_out->mask_ct; mask++) {
        const struct mask_sum *sum = &scorer->mask_sums[mask];
        size_t place = repeats->mask_ct;

        if (sum->row_ct < 2)
            continue;
        repeats->masks[place] = mask;
        repeats->averages[place] = (float)(sum->sum / sum->row_ct);
        repeats->halves[0][place] = (float)(sum->half_sums[0] / ((sum->row_ct + 1) / 2));
        repeats->halves[1][place] = (float)(sum->half_sums[1] / (sum->row_ct / 2));
        variance_sum += sum->deviation_square / (sum->row_ct - 1);
        repeats->mask_ct++;
    }
    if (repeats->mask_ct == 0)
        return;
    repeats->opt = variance_sum / (double)repeats->mask_ct;
    repeats->ceiling = noise_ceiling(scorer);
}

/* LDS of predictions with the averages over repeats. */
static double averaged_lds(struct dms_scorer *scorer, const float *predictions)
{
    struct repeats *repeats = &scorer->repeats;
    struct dms_ranking *values = &scorer->mask_rankings[0], *averages = &scorer->mask_rankings[1];

    if (repeats->mask_ct == 0)
        return NAN;
    for (size_t i = 0; i < repeats->mask_ct; i++)
        scorer->values[i] = predictions[scorer->held_out->first_rows[repeats->masks[i]]];
    values->value_ct = averages->value_ct = repeats->mask_ct;
    dms_rank(scorer->values, values, scorer->sorting);
    dms_rank(repeats->averages, averages, scorer->sorting);
    return dms_spearman(values, averages);
}

/* ---- a target ---- */

/* Picks the models that count. */
static void gather(struct dms_scorer *scorer, const float *outputs)
{
    size_t row_ct = 0;

    for (uint32_t row = 0; row < scorer->held_out->row_ct; row++) {
        if (!isfinite(outputs[row]))
            continue;
        scorer->masks[row_ct] = scorer->held_out->masks[row];
        scorer->outputs[row_ct] = outputs[row];
        scorer->wide[0][row_ct] = outputs[row];
        row_ct++;
    }
    scorer->row_ct = row_ct;
    scorer->output_ranking.value_ct = row_ct;
    dms_rank(scorer->outputs, &scorer->output_ranking, scorer->sorting);
}

static void score_fit(struct dms_scorer *scorer, const struct dms_prediction *prediction,
                      struct dms_ranking *ranking, double *scores)
{
    double *outputs = scorer->wide[0], *predictions = scorer->wide[1];
    double error_square = 0, null_square = 0;

    scores[DMS_SCORE_LDS_AVERAGED] = averaged_lds(scorer, prediction->values);
    for (size_t i = 0; i < scorer->row_ct; i++) {
        float value = prediction->values[scorer->held_out->first_rows[scorer->masks[i]]];
        double error = outputs[i] - (prediction->bias + prediction->unit * value);
        double deviation = outputs[i] - prediction->mean;

        scorer->values[i] = value;
        predictions[i] = value;
        error_square += error * error;
        null_square += deviation * deviation;
    }
    ranking->value_ct = scorer->row_ct;
    dms_rank(scorer->values, ranking, scorer->sorting);
    scores[DMS_SCORE_LDS] = dms_spearman(ranking, &scorer->output_ranking);
    scores[DMS_SCORE_PEARSON] = dms_correlation(predictions, outputs, scorer->row_ct);
    scores[DMS_SCORE_MSE] = error_square / (double)scorer->row_ct;
    scores[DMS_SCORE_R2] = 1 - error_square / null_square;
    scores[DMS_SCORE_AUC] = dms_auc(ranking, scorer->outputs);
    scores[DMS_SCORE_OPT] = scorer->repeats.opt;
    scores[DMS_SCORE_CEILING] = scorer->repeats.ceiling;
    if (prediction->no_level || prediction->no_bias)
        scores[DMS_SCORE_MSE] = scores[DMS_SCORE_R2] = scores[DMS_SCORE_OPT] = NAN;
    if (prediction->no_bias)
        scores[DMS_SCORE_PEARSON] = scores[DMS_SCORE_AUC] = NAN;
}

void dms_scorer_add(struct dms_scorer *scorer, const float *outputs,
                    const struct dms_prediction *predictions,
                    struct dms_target_evaluation *const *evaluations)
{
    const struct dms_bootstrap *bootstrap = scorer->bootstrap;

    gather(scorer, outputs);
    for (size_t fit = 0; fit < bootstrap->fit_ct; fit++) {
        evaluations[fit]->row_ct = scorer->row_ct;
        for (int score = 0; score < DMS_SCORE_CT; score++)
            evaluations[fit]->scores[score] = NAN;
    }
    if (!scorer->output_ranking.varies)
        return;
    find_repeats(scorer);
    for (size_t fit = 0; fit < bootstrap->fit_ct; fit++)
        score_fit(scorer, &predictions[fit], &scorer->prediction_rankings[fit],
                  evaluations[fit]->scores);
    dms_bootstrap_add(bootstrap, scorer->prediction_rankings, &scorer->output_ranking,
                      scorer->masks, &scorer->resample, &scorer->sums);
}
