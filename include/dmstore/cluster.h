/*
 * Clusters of targets: spectral clustering of their embeddings (Ilyas et al. 2022, "Datamodels",
 * section 4.3), k-means, and how far two clusterings agree.
 */
#ifndef DMSTORE_CLUSTER_H
#define DMSTORE_CLUSTER_H

#include "dmstore/embed.h"
#include "dmstore/error.h"
#include "dmstore/fit.h"

DMS_BEGIN_DECLS

struct dms_cluster_options {
    size_t cluster_ct;         /* K: 8 */
    bool keep_length;          /* false: rows are divided by their Euclidean length */
    double gamma;              /* 1; > 0 */
    const struct dms_pca *pca; /* NULL; else the scores in these components are clustered, and
                                  keep_length is that of the components */
    uint32_t restart_ct;       /* 10: of k-means, of which the best is taken */
    uint64_t seed;             /* of the centres that k-means begins with */
    unsigned thread_ct;        /* 0: one a processor; changes no result */
    uint64_t memory_bytes;     /* 4 GiB: bound on what is allocated */
};
DMS_API void dms_cluster_options_init(struct dms_cluster_options *options);

struct dms_clustering {
    size_t row_ct;          /* n: targets in clusters */
    size_t left_out_ct;     /* targets without weights */
    double mean_similarity; /* over pairs of targets, 0 .. 1; NaN for one target. Near 0 or 1: gamma
                               is too large or too small to tell near from far */
    double inertia;         /* of k-means: sum of squared distances to the centres */
};

/*
 * Spectral clustering (Ng, Jordan, Weiss 2002; von Luxburg 2007, section 5) of the embeddings x of
 * targets, in the variant of scikit-learn's SpectralClustering(assign_labels="kmeans"):
 * similarities a_ij = exp(-gamma |x_i - x_j|^2), a_ii = 0; D the diagonal matrix of their row sums
 * (1 for a row of zeros); the eigenvectors of the K largest eigenvalues of D^-1/2 A D^-1/2, which
 * are those of the smallest of the normalised Laplacian; their rows times D^-1/2 go through
 * k-means.
 *
 * clusters[i] is that of positions[i]: clusters are numbered from the largest, equal ones in order
 * of their first target; -1 for a target without weights. Takes n^2 floats, 12 bytes a weight and
 * what dms_pca_create takes for K eigenvectors of an n x n matrix.
 *
 * INVALID: more clusters than targets with weights, gamma is not above 0, memory_bytes is too
 * little (the message says how much is needed). UNSUPPORTED: LAPACK or ARPACK is not installed.
 */
DMS_API int dms_cluster(const dms_fit *fit, const size_t *positions, size_t position_ct,
                        const struct dms_cluster_options *options, int64_t *clusters,
                        struct dms_clustering *clustering);

struct dms_k_means_options {
    size_t cluster_ct;   /* K: 8 */
    uint32_t restart_ct; /* 10 */
    uint64_t seed;
    unsigned thread_ct; /* 0: one a processor; changes no result */
};
DMS_API void dms_k_means_options_init(struct dms_k_means_options *options);

/*
 * k-means (Lloyd 1982) of points (point_ct x dimension_ct, row-major), from centres that k-means++
 * draws (Arthur and Vassilvitskii 2007), each the best of 2 + log K candidates; at most 300 rounds.
 * A cluster that loses all its points gets the one that is furthest from its centre. The restart
 * with the smallest inertia wins, of equal ones the first. clusters[i]: of point i, numbered as
 * above. INVALID: more clusters than points, or a point that is not finite.
 */
DMS_API int dms_k_means(const double *points, size_t point_ct, size_t dimension_ct,
                        const struct dms_k_means_options *options, int64_t *clusters,
                        double *inertia);

/*
 * The adjusted Rand index of two clusterings of item_ct items (Hubert and Arabie 1985, eq. 5): 1
 * where they are the same but for the names of the clusters, 0 on average for random ones of these
 * sizes. 1 where both have one cluster, or only clusters of one.
 */
DMS_API int dms_adjusted_rand_index(const int64_t *first, const int64_t *second, size_t item_ct,
                                    double *index);

DMS_END_DECLS

#endif
