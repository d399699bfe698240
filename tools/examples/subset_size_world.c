/* The learning task of the subset size simulation, and the training of a model. */
#include "subset_size_world.h"

#include <math.h>
#include <string.h>

/* SplitMix64, as in make_margins.c. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

unsigned world_frequency(unsigned feature)
{
    return feature * FREQUENCY_CT / FEATURE_CT;
}

/* Gives `feature` to 2^frequency different examples. */
static void place_feature(struct world *world, unsigned feature, uint64_t *random)
{
    for (unsigned left = 1u << world_frequency(feature); left > 0;) {
        uint8_t *place = &world->examples[next_random(random) % EXAMPLE_CT][feature];

        left -= *place == 0;
        *place = 1;
    }
}

static void make_target(struct world *world, unsigned target, uint64_t *random)
{
    for (unsigned feature = 0; feature < FEATURE_CT; feature++)
        world->targets[target][feature] =
            feature == target || next_random(random) % EXAMPLE_CT < 1u << world_frequency(feature);
}

static double inner_product(const uint8_t *a, const uint8_t *b)
{
    unsigned shared = 0;

    for (unsigned feature = 0; feature < FEATURE_CT; feature++)
        shared += a[feature] & b[feature];
    return shared;
}

void world_make(struct world *world, uint64_t seed)
{
    uint64_t random = seed;

    memset(world, 0, sizeof *world);
    for (unsigned feature = 0; feature < FEATURE_CT; feature++) {
        world->feature_weights[feature] = next_random(&random) & 1 ? 1 : -1;
        place_feature(world, feature, &random);
    }
    for (unsigned target = 0; target < TARGET_CT; target++)
        make_target(world, target, &random);

    for (unsigned i = 0; i < EXAMPLE_CT; i++) {
        for (unsigned feature = 0; feature < FEATURE_CT; feature++)
            world->labels[i] += world->examples[i][feature] * world->feature_weights[feature];
        for (unsigned j = 0; j < EXAMPLE_CT; j++)
            world->gram[i][j] = inner_product(world->examples[i], world->examples[j]);
        for (unsigned target = 0; target < TARGET_CT; target++)
            world->target_gram[i][target] =
                inner_product(world->examples[i], world->targets[target]);
    }
}

/* Four sums at once: one alone would wait for every addition. */
static double dot(const double *a, const double *b, unsigned size)
{
    double sums[4] = {0, 0, 0, 0};
    unsigned i = 0;

    for (; i + 4 <= size; i += 4)
        for (unsigned lane = 0; lane < 4; lane++)
            sums[lane] += a[i + lane] * b[i + lane];
    for (; i < size; i++)
        sums[0] += a[i] * b[i];
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

/*
 * Solves gram a = labels for the Gram matrix of `size` examples, in the lower triangle of `factor`,
 * by Cholesky's method in place. Labels are exact sums of feature weights, so that an example whose
 * features are a linear combination of earlier ones' tells nothing new: its pivot is 0, and its
 * coefficient.
 */
static void solve(unsigned size, double factor[][EXAMPLE_CT], const double *labels,
                  double *coefficients)
{
    for (unsigned i = 0; i < size; i++) {
        double diagonal = factor[i][i];

        for (unsigned j = 0; j < i; j++) {
            double rest = factor[i][j] - dot(factor[i], factor[j], j);
            factor[i][j] = factor[j][j] > 0 ? rest / factor[j][j] : 0;
        }
        double pivot = diagonal - dot(factor[i], factor[i], i);
        factor[i][i] = pivot > 1e-9 * diagonal ? sqrt(pivot) : 0;
        double rest = labels[i] - dot(factor[i], coefficients, i);
        coefficients[i] = factor[i][i] > 0 ? rest / factor[i][i] : 0;
    }
    for (unsigned i = size; i-- > 0;) {
        coefficients[i] = factor[i][i] > 0 ? coefficients[i] / factor[i][i] : 0;
        for (unsigned j = 0; j < i; j++)
            coefficients[j] -= factor[i][j] * coefficients[i];
    }
}

/*
 * The weights of minimum norm that fit all labels y of a subset with feature matrix X are X^T a
 * with X X^T a = y; the output on target t is sum over the subset of a_i (x_i . t).
 */
void world_train(const struct world *world, const uint8_t *mask, float outputs[TARGET_CT])
{
    unsigned subset[EXAMPLE_CT], size = 0;
    double factor[EXAMPLE_CT][EXAMPLE_CT], labels[EXAMPLE_CT], coefficients[EXAMPLE_CT];
    double sums[TARGET_CT] = {0};

    for (unsigned example = 0; example < EXAMPLE_CT; example++)
        if (mask[example >> 3] >> (example & 7) & 1)
            subset[size++] = example;
    for (unsigned i = 0; i < size; i++) {
        labels[i] = world->labels[subset[i]];
        for (unsigned j = 0; j <= i; j++)
            factor[i][j] = world->gram[subset[i]][subset[j]];
    }
    solve(size, factor, labels, coefficients);

    for (unsigned i = 0; i < size; i++)
        for (unsigned target = 0; target < TARGET_CT; target++)
            sums[target] += coefficients[i] * world->target_gram[subset[i]][target];
    for (unsigned target = 0; target < TARGET_CT; target++)
        outputs[target] = (float)sums[target];
}

double world_planted_influence(const struct world *world, unsigned target, unsigned example)
{
    return world->examples[example][target] * world->feature_weights[target];
}
