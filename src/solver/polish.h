/*
 * Polishing: a target that accelerated steps are slow for is solved directly on the few examples
 * that matter to it. One pass over the rows counts how often every two of them are in together, and
 * the problem on these counts is solved as solver/working_set.h says. The certificate over all
 * examples decides whether the result is a solution.
 */
#ifndef DMS_SOLVER_POLISH_H
#define DMS_SOLVER_POLISH_H

#include <stddef.h>
#include <stdint.h>

/* More examples than this are not polished: counting pairs of them would cost more passes than it
 * saves. */
#define DMS_POLISH_EXAMPLES 512

/* The problem of one target on some of the examples. */
struct dms_polish {
    size_t example_ct;
    uint32_t *examples; /* increasing */
    double *gradients;  /* of the smooth part at `weights`; moves with them */
    double *weights;
    double *scales;    /* s_k */
    double row_weight; /* W */
    double lambda;
    /* How far the optimality conditions may be from holding, over lambda s_k. The relative gap is
     * at most about twice that. */
    double enough;
    uint64_t *columns;  /* scratch of dms_polish_count */
    uint64_t *pair_cts; /* example_ct x example_ct, a <= b: weighted rows that have both */
};

/* Bytes that polishing on so many examples takes, with what dms_polish_solve needs for itself. */
uint64_t dms_polish_bytes(size_t example_ct);

/* Room for example_ct examples, to be filled in by the caller. NO_MEMORY. The caller ends *polish
 * with dms_polish_free. */
int dms_polish_create(size_t example_ct, struct dms_polish **polish);
void dms_polish_free(struct dms_polish *polish);

/* Adds the pairs in 64-row words: example a's rows are words[b * stride + examples[a]] for b <
 * word_ct, those with weight the bits of row_words[b] (NULL: all). */
void dms_polish_count(struct dms_polish *polish, const uint64_t *words, size_t stride,
                      size_t word_ct, const uint64_t *row_words);

/* Solves the problem from `weights` and `gradients` on, in place, when all pairs are counted. The
 * only error is NO_MEMORY. */
int dms_polish_solve(struct dms_polish *polish);

#endif
