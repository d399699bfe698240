/*
 * Differences of means against least squares, over every subset of K of d examples: two ways to
 * estimate a linear datamodel that are the same up to a factor (Ilyas et al. 2022, Lemma 1), and
 * which factor that is. Nothing of the library is under test: these are the conventions by which
 * its weights are compared with empirical influences, held against numbers. Any function of the
 * subset will do as the output y; here it is noise.
 *
 * x in {0, 1}^d is the mask of a subset, alpha = K / d. The influence of example i is
 *
 *     w_infl[i] = E[y | i in the subset] - E[y | i not in the subset].
 *
 * 1. Cov(x_i, y) = alpha (E[y | in] - E[y]) = alpha (1 - alpha) w_infl[i].
 * 2. Var(x_i) = alpha (1 - alpha), and since all masks have the sum K, Cov(x_i, x_j) =
 *    -alpha (1 - alpha) / (d - 1). The covariance matrix is alpha (1 - alpha) d / (d - 1) P with
 *    P = I - 1 1^T / d, the projection to vectors of sum 0: it is singular.
 * 3. Least squares with an intercept solves Cov(x) w = Cov(x, y), up to a constant added to all
 *    weights; the solution of minimum norm is w_OLS = pinv(Cov(x)) Cov(x, y). The entries of
 *    Cov(x, y) have the sum Cov(K, y) = 0, so that P leaves it as it is, and
 *
 *        w_OLS = (d - 1) / d w_infl,    w_infl = d / (d - 1) w_OLS    for every alpha.
 *
 * 4. With masks z = 2 x - 1 the weights are half as large: w_infl / 2 = d / (d - 1) w_OLS. For half
 *    subsets the entries of z have the sum 0, and no intercept is needed.
 *
 * The paper states 4 with the factor 1 + 2 / n for n examples, which is too large by
 * (1 + 2 / n) (n - 1) / n - 1: 11% for n = 6, 7% for n = 12.
 */
#include "tests/unit/tap.h"

#include <math.h>
#include <stdlib.h>

#define EXAMPLE_MAX 12
#define SUBSET_MAX 924 /* 6 of 12 */

/* All subsets of one size and the output of each. */
struct design {
    unsigned example_ct; /* d */
    unsigned subset_ct;
    uint32_t subsets[SUBSET_MAX]; /* bit i: example i is in it */
    double outputs[SUBSET_MAX];
};

static double noise(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*state >> 11) / (double)(UINT64_C(1) << 53) - 0.5;
}

static void make_design(unsigned example_ct, unsigned subset_size, struct design *design)
{
    uint64_t state = 100 * example_ct + subset_size;

    design->example_ct = example_ct;
    design->subset_ct = 0;
    for (uint32_t subset = 0; subset < UINT32_C(1) << example_ct; subset++) {
        if ((unsigned)__builtin_popcount(subset) != subset_size)
            continue;
        design->subsets[design->subset_ct] = subset;
        design->outputs[design->subset_ct++] = noise(&state);
    }
}

static void differences_of_means(const struct design *design, double *influences)
{
    for (unsigned i = 0; i < design->example_ct; i++) {
        double sums[2] = {0, 0};
        unsigned counts[2] = {0, 0};

        for (unsigned s = 0; s < design->subset_ct; s++) {
            unsigned in = design->subsets[s] >> i & 1;

            sums[in] += design->outputs[s];
            counts[in]++;
        }
        influences[i] = sums[1] / counts[1] - sums[0] / counts[0];
    }
}

/* Turns rows and columns p and q of the symmetric matrix so that matrix[p][q] becomes 0, and
 * columns p and q of `vectors` with them. */
static void rotate(unsigned size, double matrix[][EXAMPLE_MAX], double vectors[][EXAMPLE_MAX],
                   unsigned p, unsigned q)
{
    double angle = 0.5 * atan2(2 * matrix[p][q], matrix[q][q] - matrix[p][p]);
    double c = cos(angle), s = sin(angle);

    for (unsigned k = 0; k < size; k++) {
        double kp = matrix[k][p], kq = matrix[k][q], vp = vectors[k][p], vq = vectors[k][q];

        matrix[k][p] = c * kp - s * kq;
        matrix[k][q] = s * kp + c * kq;
        vectors[k][p] = c * vp - s * vq;
        vectors[k][q] = s * vp + c * vq;
    }
    for (unsigned k = 0; k < size; k++) {
        double pk = matrix[p][k], qk = matrix[q][k];

        matrix[p][k] = c * pk - s * qk;
        matrix[q][k] = s * pk + c * qk;
    }
}

/* The solution of minimum norm of matrix x = right_side, for a symmetric positive semidefinite
 * matrix (which is destroyed): x = sum over its eigenvalues e > 0 of v (v . right_side) / e. The
 * eigenvectors v are found by Jacobi's rotations. */
static void solve_minimum_norm(unsigned size, double matrix[][EXAMPLE_MAX],
                               const double *right_side, double *solution)
{
    double vectors[EXAMPLE_MAX][EXAMPLE_MAX] = {{0}}, largest = 0;

    for (unsigned i = 0; i < size; i++)
        vectors[i][i] = 1;
    for (unsigned sweep = 0; sweep < 30; sweep++)
        for (unsigned p = 0; p < size; p++)
            for (unsigned q = p + 1; q < size; q++)
                rotate(size, matrix, vectors, p, q);
    for (unsigned i = 0; i < size; i++)
        largest = fmax(largest, matrix[i][i]);

    memset(solution, 0, size * sizeof *solution);
    for (unsigned e = 0; e < size; e++) {
        double along = 0;

        if (matrix[e][e] < 1e-10 * largest)
            continue;
        for (unsigned i = 0; i < size; i++)
            along += vectors[i][e] * right_side[i];
        for (unsigned i = 0; i < size; i++)
            solution[i] += vectors[i][e] * along / matrix[e][e];
    }
}

/* Least squares of the outputs on masks whose entries are in_value for an example in the subset and
 * out_value for another, with an intercept or without, of minimum norm. */
static void least_squares(const struct design *design, double in_value, double out_value,
                          bool intercept, double *weights)
{
    double means[EXAMPLE_MAX] = {0}, gram[EXAMPLE_MAX][EXAMPLE_MAX] = {{0}};
    double products[EXAMPLE_MAX] = {0};

    for (unsigned s = 0; s < design->subset_ct && intercept; s++)
        for (unsigned i = 0; i < design->example_ct; i++)
            means[i] += (design->subsets[s] >> i & 1 ? in_value : out_value) / design->subset_ct;
    for (unsigned s = 0; s < design->subset_ct; s++) {
        double row[EXAMPLE_MAX];

        for (unsigned i = 0; i < design->example_ct; i++)
            row[i] = (design->subsets[s] >> i & 1 ? in_value : out_value) - means[i];
        for (unsigned i = 0; i < design->example_ct; i++) {
            products[i] += row[i] * design->outputs[s];
            for (unsigned j = 0; j < design->example_ct; j++)
                gram[i][j] += row[i] * row[j];
        }
    }
    solve_minimum_norm(design->example_ct, gram, products, weights);
}

/* The factor f that makes f x weights nearest to `wanted`; *distance: what is left of `wanted`,
 * relative. */
static double fitted_factor(unsigned size, const double *weights, const double *wanted,
                            double *distance)
{
    double products = 0, squares = 0, rest = 0, norm = 0;

    for (unsigned i = 0; i < size; i++) {
        products += weights[i] * wanted[i];
        squares += weights[i] * weights[i];
    }
    for (unsigned i = 0; i < size; i++) {
        rest += pow(wanted[i] - products / squares * weights[i], 2);
        norm += wanted[i] * wanted[i];
    }
    *distance = sqrt(rest / norm);
    return products / squares;
}

static void test_half_subsets(unsigned example_ct)
{
    struct design design;
    double influences[EXAMPLE_MAX], weights[EXAMPLE_MAX], distance;

    make_design(example_ct, example_ct / 2, &design);
    differences_of_means(&design, influences);
    for (unsigned i = 0; i < example_ct; i++)
        influences[i] /= 2;
    least_squares(&design, 1, -1, false, weights);

    double factor = fitted_factor(example_ct, weights, influences, &distance);
    double ours = example_ct / (example_ct - 1.0), papers = 1 + 2.0 / example_ct;
    ok(distance < 1e-12, "n = %u, +-1 masks: influences are a multiple of the OLS weights",
       example_ct);
    ok(fabs(factor / ours - 1) < 1e-12, "n = %u: w_infl / 2 = %.6f w_OLS, and d / (d - 1) = %.6f",
       example_ct, factor, ours);
    double excess = papers / factor - 1;
    ok(excess > 0.069 && excess < 0.112, "n = %u: 1 + 2 / n = %.6f is too large by %.1f%%",
       example_ct, papers, 100 * excess);
}

static void test_any_subset_size(unsigned example_ct)
{
    double worst = 0;

    for (unsigned subset_size = 1; subset_size < example_ct; subset_size++) {
        struct design design;
        double influences[EXAMPLE_MAX], weights[EXAMPLE_MAX], distance;

        make_design(example_ct, subset_size, &design);
        differences_of_means(&design, influences);
        least_squares(&design, 1, 0, true, weights);

        double factor = fitted_factor(example_ct, weights, influences, &distance);
        worst = fmax(worst, fmax(distance, fabs(factor * (example_ct - 1) / example_ct - 1)));
    }
    ok(worst < 1e-12, "n = %u, 0/1 masks: w_infl = d / (d - 1) w_OLS for alpha from 1/%u to %u/%u",
       example_ct, example_ct, example_ct - 1, example_ct);
    diag("largest relative deviation: %.1e", worst);
}

int main(void)
{
    for (unsigned example_ct = 6; example_ct <= EXAMPLE_MAX; example_ct += 2) {
        test_half_subsets(example_ct);
        test_any_subset_size(example_ct);
    }
    return tap_done();
}
