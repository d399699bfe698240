/*
 * Rank statistics of one target: how well predictions order and match outputs. Pure functions on
 * arrays; the caller has left out what is not finite.
 *
 * Ranks are average ranks: equal values share the mean of the places that they take.
 */
#ifndef DMS_QUERY_RANKS_H
#define DMS_QUERY_RANKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One variable, ranked. The arrays are the caller's and have room for value_ct elements each. */
struct dms_ranking {
    size_t value_ct;
    uint32_t *order; /* positions of the values in increasing order */
    double *ranks;   /* average rank of each value, 1 .. value_ct */
    bool varies;     /* not all values are equal */
};

/* Fills ranking->order, ranks and varies from ranking->value_ct finite values. scratch: 2 x
 * value_ct.
 */
void dms_rank(const float *values, struct dms_ranking *ranking, uint64_t *scratch);

/* The same for doubles; scratch: value_ct. */
struct dms_placed_value {
    double value;
    uint32_t place;
};
void dms_rank_doubles(const double *values, struct dms_ranking *ranking,
                      struct dms_placed_value *scratch);

/* NaN where there are no values. */
double dms_mean(const double *values, size_t value_ct);

/*
 * Pearson's correlation. NaN when the outputs are all equal or there are fewer than two; 0 when
 * the predictions are all equal and the outputs are not: they tell nothing about them.
 */
double dms_correlation(const double *predictions, const double *outputs, size_t value_ct);

/* Spearman's: Pearson's correlation of the average ranks, with the same conventions. */
double dms_spearman(const struct dms_ranking *predictions, const struct dms_ranking *outputs);

/*
 * Spearman's correlation of the sample in which value i stands counts[i] times. scratch: 2 x
 * value_ct.
 */
double dms_spearman_counted(const struct dms_ranking *predictions,
                            const struct dms_ranking *outputs, const uint32_t *counts,
                            double *scratch);

/*
 * influences[i]: the derivative of dms_spearman_counted by counts[i] where all counts are 1, ranks
 * that move included. Their sum is 0, and so are all of them where the correlation is not defined
 * or the predictions are all equal. scratch: 2 x value_ct.
 *
 * With h(a, b) = 1 for a < b, 1/2 for a = b, else 0, the centred rank of value i in a sample with
 * counts c is r_i = sum over k of c_k h(x_k, x_i) - sum c / 2 (s_i for the outputs), and rho =
 * A / sqrt(B D) with A = sum c r s, B = sum c r^2, D = sum c s^2. At c = 1 the sums of r and of s
 * are 0, so that dA/dc_j = r_j s_j + sum_i h(x_j, x_i) s_i + sum_i h(y_j, y_i) r_i, dB/dc_j = r_j^2
 * + 2 sum_i h(x_j, x_i) r_i, and so on.
 */
void dms_spearman_influences(const struct dms_ranking *predictions,
                             const struct dms_ranking *outputs, double *influences,
                             double *scratch);

/*
 * Area under the ROC curve of the predictions for `output > 0`: the Mann-Whitney statistic over
 * the number of pairs, ties counting one half. NaN when all outputs are of one class.
 */
double dms_auc(const struct dms_ranking *predictions, const float *outputs);

#endif
