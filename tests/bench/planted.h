/*
 * Sparse datamodels that are planted in the margins of data.h, so that a fit has something to find
 * and what it found can be held against the truth.
 *
 * A target has a support of examples, drawn uniformly, whose number has heavy tails, as have its
 * weights: many small ones and a few that are many times larger, most of them positive. What the
 * noise about them explains is the target's own, so that easy and hopeless targets stand side by
 * side. Everything is the same for the same seed.
 */
#ifndef DMSTORE_TESTS_BENCH_PLANTED_H
#define DMSTORE_TESTS_BENCH_PLANTED_H

#include <stddef.h>
#include <stdint.h>

struct bench_data;

/* What is planted. */
struct bench_planting {
    /* Weights of a target: a Pareto distribution with index 1 (half of the targets have less than
     * twice the least) between these, both included. At most half of the examples. */
    uint64_t support_least, support_most;
    /* Shares of a margin's variance that the weights explain, over all subsets: spread evenly
     * between these over any range of targets. 0 .. 1. */
    double r2_least, r2_most;
    uint64_t tail;         /* degrees of freedom of the weights' Student's t; 0: normal */
    double negative_share; /* of the weights */
};

/* 20 to 640 weights (72 in the mean), R^2 0.05 to 0.7, t with 3 degrees of freedom, a fifth of the
 * weights negative. */
void bench_planting_init(struct bench_planting *planting);

/* The datamodels: target t has entries begins[t] .. begins[t + 1] - 1 of examples (ascending) and
 * weights. Its margin is bias + the sum of the weights in the mask + deviation x a standard normal
 * number, rounded to float16. */
struct bench_planted {
    uint64_t target_ct;
    uint64_t *begins;
    uint32_t *examples;
    float *weights;
    float *biases;
    float *deviations;
    float *r2;
};

/* Draws the datamodels for data->target_ct targets: means and standard deviations of the margins
 * are those of data.h. data->subset_size 0 stands for alpha 0.5. Fit for data->planted; freed with
 * bench_planted_free, which accepts NULL. */
struct bench_planted *bench_plant(const struct bench_data *data,
                                  const struct bench_planting *planting);
void bench_planted_free(struct bench_planted *planted);

enum { BENCH_PLANTED_ROWS = 32 };

/* sums[i] = the sum of the target's weights whose examples are in mask i, for i <
 * BENCH_PLANTED_ROWS. Bit i of columns[k], below that, is bit k of mask i. A sum depends on its
 * mask alone. */
void bench_planted_sums(const struct bench_planted *planted, uint64_t target,
                        const uint64_t *columns, float *sums);

/* Writes the truth into directory `path`, which is made: indptr, indices, data and bias.npy as
 * `dmstore export-fit --sparse` has them and `dmstore import-fit --from` takes them, and r2.npy and
 * noise.npy (the deviations), one float32 a target. */
void bench_planted_write(const struct bench_planted *planted, const char *path);

#endif
