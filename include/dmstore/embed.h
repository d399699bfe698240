/*
 * Embeddings of targets: each target is the vector of its datamodel's weights, one coordinate a
 * training example (Ilyas et al. 2022, "Datamodels", section 4.3). Principal components of these
 * vectors (Appendix J.2), and the targets that are nearest to one.
 *
 * Functions that work on targets take positions in the fit, as dms_fit_find gives them. A target
 * without weights (its path chose the null model) has no direction: it is left out.
 */
#ifndef DMSTORE_EMBED_H
#define DMSTORE_EMBED_H

#include "dmstore/error.h"
#include "dmstore/fit.h"

DMS_BEGIN_DECLS

/* ---- principal components ---- */

struct dms_pca_options {
    size_t component_ct;   /* K: 2; 1 .. the smaller of rows and examples */
    bool keep_length;      /* false: each row is first divided by its Euclidean length */
    unsigned thread_ct;    /* 0: one a processor; changes no result */
    uint64_t memory_bytes; /* 4 GiB: bound on what is allocated, the result included */
};
DMS_API void dms_pca_options_init(struct dms_pca_options *options);

/*
 * With X the matrix of the rows that are not left out (n x d) and mean their mean, Xc = X - 1 mean'
 * has the singular value decomposition U S V'. Component k is column k of V; the scores of the rows
 * are Xc V = U S.
 *
 * In each component the entry of the largest absolute value is positive (of entries that are equal
 * to nine digits, the first). A component whose variance is lost in rounding, below 1e-14 of the
 * mean square of X's rows, has no direction that means anything: it is all 0, with variance 0.
 */
struct dms_pca {
    size_t component_ct;   /* K */
    size_t example_ct;     /* d */
    size_t row_ct;         /* n */
    size_t left_out_ct;    /* targets without weights */
    bool keep_length;      /* as in the options */
    double *components;    /* K x d, row-major; rows have length 1 and are orthogonal */
    double *mean;          /* d; NULL where the components came from a fit */
    double *offsets;       /* K: component . mean, what is taken from component . row */
    double *variances;     /* K: S_k^2 / (n - 1), decreasing */
    double total_variance; /* of all components that there are; NaN as `mean` is NULL */
};

/*
 * Finds the components. Neither Xc nor its Gram matrix is made: their products with vectors come
 * from the sparse rows, and the Lanczos method (ARPACK) makes do with some hundred of them; LAPACK
 * solves small matrices, and finds more than a quarter of all components that there are. Works on
 * the smaller of the n x n and the d x d matrix, m x m: takes 3 K + 24 vectors of m numbers (for
 * LAPACK 3 m^2 + K m numbers) and 20 of d beside the result. The caller ends *pca with
 * dms_pca_free.
 *
 * INVALID: K is too large, fewer than two targets have weights, memory_bytes is too little (the
 * message says how much is needed). UNSUPPORTED: LAPACK or ARPACK is not installed.
 */
DMS_API int dms_pca_create(const dms_fit *fit, const size_t *positions, size_t position_ct,
                           const struct dms_pca_options *options, struct dms_pca **pca);
DMS_API void dms_pca_free(struct dms_pca *pca);

/* Scores of targets, of this fit or of another one of as many examples: scores (position_ct x K,
 * row-major) are components . row - offsets, the row normalised as those of the components were;
 * NaN for a target without weights. thread_ct as above. INVALID: another number of examples. */
DMS_API int dms_pca_project(const struct dms_pca *pca, const dms_fit *fit, const size_t *positions,
                            size_t position_ct, unsigned thread_ct, double *scores);

/*
 * The components as a part of fit `name`, to be merged into the store that `fit`, of which they
 * are, belongs to: target k is component k, its weights the component's entries (ESTIMATED,
 * NO_BIAS), `mean` its offset, row_ct n, and null_deviance half the variance with divisor n. The
 * problem says method "pca" and parent, rows and length ("unit" or "kept"); the models are those of
 * `fit`. The caller ends *part with dms_fit_part_free.
 */
DMS_API int dms_pca_part(const struct dms_pca *pca, const dms_fit *fit, const char *name,
                         const struct dms_metadata *provenance, size_t provenance_ct,
                         dms_fit_part **part);

/* The components back from such a fit, to project with. INVALID: the fit is none of components, or
 * has not all of them. */
DMS_API int dms_pca_open(const dms_fit *fit, struct dms_pca **pca);

/* ---- similar targets ---- */

struct dms_similar_options {
    size_t similar_ct;         /* k: 10 */
    const struct dms_pca *pca; /* NULL; else compares scores in these components */
    unsigned thread_ct;        /* 0: one a processor; changes no result */
};
DMS_API void dms_similar_options_init(struct dms_similar_options *options);

struct dms_similar {
    uint64_t target;
    double similarity; /* -1 .. 1 */
};

/*
 * The targets of the fit that are most like each of those at `positions`: those of the largest
 * cosine of the angle between the two vectors of weights (of scores, with components), equal ones
 * in order of target, the target itself left out. Row i of `similar` (position_ct x similar_ct) is
 * of positions[i] and has similar_cts[i] entries: fewer where the fit has no more targets with
 * weights, and none for a target without.
 */
DMS_API int dms_find_similar(const dms_fit *fit, const size_t *positions, size_t position_ct,
                             const struct dms_similar_options *options, struct dms_similar *similar,
                             size_t *similar_cts);

DMS_END_DECLS

#endif
