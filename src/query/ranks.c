/*
 * Average ranks by radix sort, and the correlations that are made of them; see ranks.h.
 */
#include "query/ranks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- ranks ---- */

/* An integer that is ordered as the value is; -0 and 0 get the same. */
static uint32_t sort_key(float value)
{
    uint32_t bits;

    if (value == 0)
        value = 0;
    memcpy(&bits, &value, sizeof(bits));
    return bits & UINT32_C(0x80000000) ? ~bits : bits | UINT32_C(0x80000000);
}

/* Sorts by bits 32 .. 63, stably. Returns where the result is: `keys` or `spare`. */
static uint64_t *radix_sort(uint64_t *keys, uint64_t *spare, size_t key_ct)
{
    for (unsigned shift = 32; shift < 64; shift += 8) {
        size_t starts[256] = {0}, sum = 0;
        uint64_t *swap;

        for (size_t i = 0; i < key_ct; i++)
            starts[keys[i] >> shift & 255]++;
        if (starts[keys[0] >> shift & 255] == key_ct)
            continue; /* numbers from f16 have the same low byte */
        for (size_t digit = 0; digit < 256; digit++) {
            size_t count = starts[digit];

            starts[digit] = sum;
            sum += count;
        }
        for (size_t i = 0; i < key_ct; i++)
            spare[starts[keys[i] >> shift & 255]++] = keys[i];
        swap = keys;
        keys = spare;
        spare = swap;
    }
    return keys;
}

void dms_rank(const float *values, struct dms_ranking *ranking, uint64_t *scratch)
{
    size_t value_ct = ranking->value_ct;
    uint64_t *sorted;

    ranking->varies = false;
    if (value_ct == 0)
        return;
    for (size_t i = 0; i < value_ct; i++)
        scratch[i] = (uint64_t)sort_key(values[i]) << 32 | i;
    sorted = radix_sort(scratch, scratch + value_ct, value_ct);
    for (size_t start = 0, end; start < value_ct; start = end) {
        for (end = start; end < value_ct && sorted[end] >> 32 == sorted[start] >> 32; end++) {
            ranking->order[end] = (uint32_t)sorted[end];
        }
        for (size_t i = start; i < end; i++)
            ranking->ranks[ranking->order[i]] = (double)(start + 1 + end) / 2;
        ranking->varies |= end - start < value_ct;
    }
}

static int compare_values(const void *left, const void *right)
{
    const struct dms_placed_value *a = left, *b = right;

    return (a->value > b->value) - (a->value < b->value);
}

void dms_rank_doubles(const double *values, struct dms_ranking *ranking,
                      struct dms_placed_value *scratch)
{
    size_t value_ct = ranking->value_ct;

    ranking->varies = false;
    for (size_t i = 0; i < value_ct; i++)
        scratch[i] = (struct dms_placed_value){values[i], (uint32_t)i};
    qsort(scratch, value_ct, sizeof(*scratch), compare_values);
    for (size_t start = 0, end; start < value_ct; start = end) {
        for (end = start; end < value_ct && scratch[end].value == scratch[start].value; end++)
            ranking->order[end] = scratch[end].place;
        for (size_t i = start; i < end; i++)
            ranking->ranks[ranking->order[i]] = (double)(start + 1 + end) / 2;
        ranking->varies |= end - start < value_ct;
    }
}

/* ---- correlations ---- */

static double quotient(double covariance, double prediction_square, double output_square)
{
    if (!(output_square > 0))
        return NAN;
    if (!(prediction_square > 0))
        return 0;
    return covariance / sqrt(prediction_square * output_square);
}

static bool all_equal(const double *values, size_t value_ct)
{
    for (size_t i = 1; i < value_ct; i++) {
        if (values[i] != values[0])
            return false;
    }
    return true;
}

double dms_mean(const double *values, size_t value_ct)
{
    double sum = 0;

    for (size_t i = 0; i < value_ct; i++)
        sum += values[i];
    return sum / (double)value_ct;
}

double dms_correlation(const double *predictions, const double *outputs, size_t value_ct)
{
    double prediction_mean, output_mean, covariance = 0, prediction_square = 0, output_square = 0;

    /* Sums of rounded differences from a mean need not be 0 for equal values. */
    if (all_equal(outputs, value_ct))
        return NAN;
    if (all_equal(predictions, value_ct))
        return 0;
    prediction_mean = dms_mean(predictions, value_ct);
    output_mean = dms_mean(outputs, value_ct);
    for (size_t i = 0; i < value_ct; i++) {
        double prediction = predictions[i] - prediction_mean, output = outputs[i] - output_mean;

        covariance += prediction * output;
        prediction_square += prediction * prediction;
        output_square += output * output;
    }
    return quotient(covariance, prediction_square, output_square);
}

double dms_spearman(const struct dms_ranking *predictions, const struct dms_ranking *outputs)
{
    if (!outputs->varies)
        return NAN;
    if (!predictions->varies)
        return 0;
    return dms_correlation(predictions->ranks, outputs->ranks, predictions->value_ct);
}

/* ---- resampled ---- */

/* ranks[i]: the average rank of value i among `counts` of each, minus their mean (total + 1) / 2.
 */
static void count_ranks(const struct dms_ranking *ranking, const uint32_t *counts, uint64_t total,
                        double *ranks)
{
    const uint32_t *order = ranking->order;
    uint64_t before = 0;

    for (size_t start = 0, end; start < ranking->value_ct; start = end) {
        uint64_t count = counts[order[start]];
        double rank;

        for (end = start + 1;
             end < ranking->value_ct && ranking->ranks[order[end]] == ranking->ranks[order[start]];
             end++)
            count += counts[order[end]];
        rank = (double)before + ((double)count - (double)total) / 2;
        for (size_t i = start; i < end; i++)
            ranks[order[i]] = rank;
        before += count;
    }
}

double dms_spearman_counted(const struct dms_ranking *predictions,
                            const struct dms_ranking *outputs, const uint32_t *counts,
                            double *scratch)
{
    size_t value_ct = predictions->value_ct;
    double *prediction_ranks = scratch, *output_ranks = scratch + value_ct;
    double covariance = 0, prediction_square = 0, output_square = 0;
    uint64_t total = 0;

    for (size_t i = 0; i < value_ct; i++)
        total += counts[i];
    count_ranks(predictions, counts, total, prediction_ranks);
    count_ranks(outputs, counts, total, output_ranks);
    for (size_t i = 0; i < value_ct; i++) {
        double weighted = counts[i] * prediction_ranks[i];

        covariance += weighted * output_ranks[i];
        prediction_square += weighted * prediction_ranks[i];
        output_square += counts[i] * output_ranks[i] * output_ranks[i];
    }
    return quotient(covariance, prediction_square, output_square);
}

/* ---- influences ---- */

/* sums[j] = sum over i of h(v_j, v_i) (rank of i - centre), added with `factor`; h as in ranks.h,
 * v the values of `by`. */
static void add_sums_above(const struct dms_ranking *by, const double *ranks, double centre,
                           double factor, double *sums)
{
    const uint32_t *order = by->order;
    double above = 0;

    for (size_t end = by->value_ct, start; end > 0; end = start) {
        double tied = 0;

        for (start = end; start > 0 && by->ranks[order[start - 1]] == by->ranks[order[end - 1]];
             start--)
            tied += ranks[order[start - 1]] - centre;
        for (size_t i = start; i < end; i++)
            sums[order[i]] += factor * (above + tied / 2);
        above += tied;
    }
}

void dms_spearman_influences(const struct dms_ranking *predictions,
                             const struct dms_ranking *outputs, double *influences, double *scratch)
{
    size_t value_ct = predictions->value_ct;
    double centre = (double)(value_ct + 1) / 2, covariance = 0, square = 0, output_square = 0;
    double *prediction_part = scratch, *output_part = scratch + value_ct;
    const double *r = predictions->ranks, *s = outputs->ranks;
    double scale, rho;

    memset(influences, 0, value_ct * sizeof(*influences));
    if (!predictions->varies || !outputs->varies)
        return;
    memset(scratch, 0, 2 * value_ct * sizeof(*scratch));
    for (size_t i = 0; i < value_ct; i++) {
        covariance += (r[i] - centre) * (s[i] - centre);
        square += (r[i] - centre) * (r[i] - centre);
        output_square += (s[i] - centre) * (s[i] - centre);
    }
    add_sums_above(predictions, s, centre, 1, influences);
    add_sums_above(outputs, r, centre, 1, influences);
    add_sums_above(predictions, r, centre, 2, prediction_part);
    add_sums_above(outputs, s, centre, 2, output_part);
    scale = sqrt(square * output_square);
    rho = covariance / scale;
    for (size_t i = 0; i < value_ct; i++) {
        double rank = r[i] - centre, output_rank = s[i] - centre;

        influences[i] = (rank * output_rank + influences[i]) / scale -
                        rho / 2 *
                            ((rank * rank + prediction_part[i]) / square +
                             (output_rank * output_rank + output_part[i]) / output_square);
    }
}

/* ---- classes ---- */

double dms_auc(const struct dms_ranking *predictions, const float *outputs)
{
    double rank_sum = 0, positive_ct = 0, negative_ct;

    for (size_t i = 0; i < predictions->value_ct; i++) {
        if (outputs[i] > 0) {
            rank_sum += predictions->ranks[i];
            positive_ct++;
        }
    }
    negative_ct = (double)predictions->value_ct - positive_ct;
    if (positive_ct == 0 || negative_ct == 0)
        return NAN;
    return (rank_sum - positive_ct * (positive_ct + 1) / 2) / (positive_ct * negative_ct);
}
