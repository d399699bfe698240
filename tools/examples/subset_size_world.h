/*
 * The made-up learning task of the subset size simulation: a training set whose features are rare
 * or common, targets, and a learning algorithm that is run for real on every subset.
 *
 * A training example is a vector of 150 features that are 0 or 1. Features come in six groups of
 * 25: those of group f are 1 in exactly 2^f of the 125 training examples, f = 0 .. 5, drawn at
 * random. Each feature has a weight of +1 or -1, and the label of an example is the sum of the
 * weights of its features. There is one target a feature: a further example that has this feature
 * and each of the others with the probability that it has in the training set.
 *
 * A model is trained on a subset of the examples by least squares of minimum norm, without an
 * intercept; its output on a target is its prediction of the target's label. Everything is a
 * function of one seed.
 */
#ifndef SUBSET_SIZE_WORLD_H
#define SUBSET_SIZE_WORLD_H

#include <stdint.h>

#define EXAMPLE_CT 125
#define FEATURE_CT 150
#define TARGET_CT FEATURE_CT /* target t is about feature t */
#define FREQUENCY_CT 6       /* groups of features: in 1, 2, 4 .. 32 training examples */
#define MASK_BYTES ((EXAMPLE_CT + 7) / 8)

struct world {
    uint8_t examples[EXAMPLE_CT][FEATURE_CT];
    uint8_t targets[TARGET_CT][FEATURE_CT];
    double feature_weights[FEATURE_CT];
    double labels[EXAMPLE_CT];
    double gram[EXAMPLE_CT][EXAMPLE_CT];       /* of the examples: how many features they share */
    double target_gram[EXAMPLE_CT][TARGET_CT]; /* the same of examples and targets */
};

void world_make(struct world *world, uint64_t seed);

/* The group of a feature: it is in 1 << frequency training examples. */
unsigned world_frequency(unsigned feature);

/* Trains a model on the examples whose bits are set in `mask` and writes its outputs. */
void world_train(const struct world *world, const uint8_t *mask, float outputs[TARGET_CT]);

/* What example `example` does for target `target` through the target's own feature: the weight of
 * the feature where the example has it, else 0. Datamodels should find it. */
double world_planted_influence(const struct world *world, unsigned target, unsigned example);

#endif
