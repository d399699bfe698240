/*
 * One pass over the models of a role.
 */
#ifndef DMS_SOLVER_PASS_H
#define DMS_SOLVER_PASS_H

#include "solver/problem.h"

/* Calls `visit` with every batch of DMS_PASS_ROWS models of `role`, in the order of a source that
 * is not shuffled, with the outputs of targets target .. target + target_ct - 1. Ends early with
 * what `visit` failed with. */
int dms_problem_visit(const struct dms_problem *problem, enum dms_role role, size_t target,
                      size_t target_ct, int (*visit)(void *context, const struct dms_batch *batch),
                      void *context);

/* The same without masks, in the same order. */
int dms_problem_visit_outputs(const struct dms_problem *problem, enum dms_role role, size_t target,
                              size_t target_ct,
                              int (*visit)(void *context, const struct dms_batch *batch),
                              void *context);

/* Where the words of a batch go: word b of example k, from[b * example_ct + k] for b <
 * batch_word_ct, is word first + b of word_ct of that example. */
typedef void dms_place_words(size_t example_ct, size_t word_ct, size_t first, size_t batch_word_ct,
                             const uint64_t *from, uint64_t *to);

/* The masks of all models of `role`, 64 models to a word, in new memory, which the caller frees:
 * example_ct x ((row_ct + 63) / 64) words in the order that `place` gives them. */
int dms_problem_read_masks(const struct dms_problem *problem, enum dms_role role,
                           dms_place_words *place, uint64_t **words);

/* Bytes of these words. */
uint64_t dms_mask_words_bytes(size_t example_ct, uint64_t row_ct);

/* Models of a batch of such a pass; only the last one may have fewer. */
#define DMS_PASS_ROWS 1024

#endif
