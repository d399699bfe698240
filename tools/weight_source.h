/*
 * Weights that another program has written, taken out of their files target by target: a dense
 * matrix, or the arrays of a sparse one in compressed columns (scipy.sparse.csc_matrix), as
 * `dmstore export-fit` writes them. Never more than a block of a dense matrix is in memory.
 *
 * Functions return 0 or a negative enum dms_error with the message set (see report.h); messages
 * name the file.
 */
#ifndef DMSTORE_TOOLS_WEIGHT_SOURCE_H
#define DMSTORE_TOOLS_WEIGHT_SOURCE_H

#include <stdbool.h>

#include "npy_file.h"

struct weight_source {
    /* The caller's: `weight`, or the other three. */
    const char *weight, *indptr, *indices, *data;
    bool transposed; /* rows of `weight` are targets, not examples */
    double factor;   /* by which all weights are multiplied */
    uint64_t example_ct;

    /* Set by weight_source_open. */
    uint64_t target_ct;
    struct npy_file files[3]; /* weight; or indptr, indices and data */
    uint8_t *block;           /* of a dense matrix: targets block_first .. + block_target_ct - 1 */
    uint64_t block_first, block_target_ct, block_capacity;
    uint32_t *examples; /* of the target that was read last; increasing */
    double *weights;    /* none of them 0 */
    size_t weight_ct, capacity;
};

/* Opens the files and holds their shapes against example_ct; weight_source_close ends it, also
 * after a failure. */
int weight_source_open(struct weight_source *source);
void weight_source_close(struct weight_source *source);

/* Reads the weights of the target at `place` 0 .. target_ct - 1 of the files; quickest in
 * increasing order. INVALID: a weight that is not finite, an example that is out of range or there
 * twice. */
int weight_source_read(struct weight_source *source, uint64_t place);

#endif
