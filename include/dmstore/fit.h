/*
 * Fits: fitted datamodels, kept in the store beside the runs that they were fitted to.
 *
 * A fit has a name, a header that the job which began it fixed (which output, which models train,
 * validate and are held out, which problem), and parts: what one job found for some of the targets.
 * Jobs that fit other targets of the same name add their parts, at the same time too; a target is
 * fitted once. On hosts that cannot write the store a part is a file of its own, which
 * dms_store_merge_fit takes in.
 */
#ifndef DMSTORE_FIT_H
#define DMSTORE_FIT_H

#include "dmstore/reader.h"
#include "dmstore/snapshot.h"
#include "dmstore/store.h"

DMS_BEGIN_DECLS

/* A set of models by id, and the digest that tells whether their masks are still the same: the sum
 * mod 2^128 of XXH3-128 over (model id as 8 bytes little-endian, packed mask); low, high half. */
struct dms_row_set {
    size_t range_ct;
    struct dms_id_range *ranges; /* increasing, disjoint, not touching */
    uint64_t row_ct;
    uint64_t digest[2];
};

/* What all parts of a fit share. Strings and arrays belong to the object that the header came from,
 * or to the caller. */
struct dms_fit_header {
    const char *name;   /* as a column's name */
    const char *output; /* the output column it predicts */
    uint8_t store_uuid[16];
    uint64_t sequence;   /* of the snapshot that fixed the row sets */
    uint64_t example_ct; /* d */
    uint64_t target_ct;  /* n of the output column; a fit may have some of them only */
    struct dms_row_set training, validation, held_out;
    /* The problem: options that change the solution, sorted by key ("lambdas", "standardize" ...).
     * Jobs can join a fit only with the very same problem and row sets. */
    size_t problem_ct;
    const struct dms_metadata *problem;
};

enum dms_fitted_flags {
    /* The gap of the solution is above the tolerance, or max_epochs ended its path too soon. */
    DMS_FITTED_UNCERTIFIED = 1,
    DMS_FITTED_CONSTANT = 2,    /* null deviance 0: zero weights and the mean */
    DMS_FITTED_PATH_ENDED = 4,  /* the path ended early: its validation error had turned */
    DMS_FITTED_LAST_LAMBDA = 8, /* the smallest lambda was chosen: perhaps the ratio is too large */
    DMS_FITTED_REFITTED = 16,   /* refitted on training and validation rows */
    /* Not the solution of a regression (an influence estimate, weights of another method, a
     * principal component): there is nothing to certify, and the gap is 0. */
    DMS_FITTED_ESTIMATED = 32,
    /* The level of the output is not known: the bias is 0, and only what does not depend on it may
     * be used. */
    DMS_FITTED_NO_BIAS = 64,
};

/* The datamodel of one target: prediction for mask x is bias + sum over i of weights[i] *
 * x[examples[i]] (Ilyas et al. 2022, eq. 1 and 8; weights on the 0/1 scale of the mask). */
struct dms_fitted_target {
    uint64_t target;
    uint32_t flags; /* DMS_FITTED_* */
    double bias;
    double lambda;        /* chosen; 0 for a constant target */
    double gap;           /* duality gap of these weights and bias / null deviance */
    double null_deviance; /* of the rows it was fitted to: 1/(2W) sum (y - mean)^2 */
    double mean;          /* of the output over those rows */
    uint64_t row_ct;      /* W: rows with weight (finite output, not excluded) */
    size_t weight_ct;
    const uint32_t *examples; /* weight_ct of them, increasing */
    const double *weights;    /* none of them 0 */
    /* The path as far as it went, largest lambda first; chosen < path_ct, or path_ct = 0. */
    size_t path_ct;
    size_t chosen;
    const double *path_lambdas;
    const double *path_errors; /* mean squared error on the validation rows (NaN: none) */
    const double *path_gaps;
    const uint32_t *path_weight_cts;
};

/* ---- parts ---- */

typedef struct dms_fit_part dms_fit_part;

/* Begins a part in memory. provenance_ct pairs say how this job was run (version, host, seed,
 * threads, device, times ...). Everything is copied. */
DMS_API int dms_fit_part_create(const struct dms_fit_header *header,
                                const struct dms_metadata *provenance, size_t provenance_ct,
                                dms_fit_part **part);
DMS_API void dms_fit_part_free(dms_fit_part *part);

/* Adds a target (copied), in any order. EXISTS: the part has it already. INVALID: an index out of
 * range, a weight that is not finite ... Not thread-safe. */
DMS_API int dms_fit_part_add(dms_fit_part *part, const struct dms_fitted_target *target);

/* A part as a file (temporary name, fsync, rename), checksummed; and back: the caller owns *part.
 * Saving: INVALID for a part without targets, and where `path` is there and no regular file.
 * Loading: CORRUPT, INVALID (another kind of file). */
DMS_API int dms_fit_part_save(const dms_fit_part *part, const char *path);
DMS_API int dms_fit_part_load(const char *path, dms_fit_part **part);

/* The part's header and targets; they belong to the part. Targets are in increasing order. INVALID:
 * no such position. */
DMS_API const struct dms_fit_header *dms_fit_part_header(const dms_fit_part *part);
DMS_API size_t dms_fit_part_target_ct(const dms_fit_part *part);
DMS_API int dms_fit_part_target(const dms_fit_part *part, size_t position,
                                struct dms_fitted_target *target);

/* ---- in a store ---- */

/* Begins fit header->name, or joins the one that is there. CONFLICT: it is there with another
 * output, problem or other row sets; the message names the first difference. */
DMS_API int dms_store_begin_fit(dms_store *store, const struct dms_fit_header *header);

/* Adds a part to its fit in one durable commit, beginning the fit if it is not there. Targets that
 * are there with the very same numbers are skipped (a job that ran twice); with other numbers:
 * EXISTS, and nothing is added. A large part becomes several of about 4 MiB in the store, each with
 * its own hash. *added_ct (may be NULL): targets that are new. */
DMS_API int dms_store_merge_fit(dms_store *store, const dms_fit_part *part, uint64_t *added_ct);

/* Removes a fit with all its parts. NOT_FOUND. */
DMS_API int dms_store_remove_fit(dms_store *store, const char *name);

/* ---- reading ---- */

/* Fits of a snapshot, in the order of their names; *name belongs to the snapshot. */
DMS_API size_t dms_snapshot_fit_ct(const dms_snapshot *snapshot);
DMS_API const char *dms_snapshot_fit_name(const dms_snapshot *snapshot, size_t index);

typedef struct dms_fit dms_fit;

/* Opens fit `name`: all its parts as one table of targets, read in place. NOT_FOUND lists the fits
 * there are. The snapshot must outlive the fit, which the caller ends with dms_fit_close. */
DMS_API int dms_fit_open(dms_snapshot *snapshot, const char *name, dms_fit **fit);
DMS_API void dms_fit_close(dms_fit *fit);

/* They belong to the fit. */
DMS_API const struct dms_fit_header *dms_fit_get_header(const dms_fit *fit);
DMS_API size_t dms_fit_target_ct(const dms_fit *fit); /* fitted ones */

/* The value of `key` in the problem of a header, which it belongs to; NULL: it has no such key. The
 * key "method" says how the weights came about where that was no LASSO. */
DMS_API const char *dms_fit_problem(const struct dms_fit_header *header, const char *key);

/* That method: "lasso" where the problem has no such key. */
DMS_API const char *dms_fit_method(const struct dms_fit_header *header);

/* Fitted target number `position` in increasing order of target; pointers belong to the fit. May be
 * called from several threads at once. INVALID: no such position; CORRUPT: its part is damaged. */
DMS_API int dms_fit_target(const dms_fit *fit, size_t position, struct dms_fitted_target *target);

/* Position of target `target`. NOT_FOUND names the fit and the targets it has. */
DMS_API int dms_fit_find(const dms_fit *fit, uint64_t target, size_t *position);

/* The jobs whose parts make up the fit. */
struct dms_fit_part_info {
    uint64_t target_ct;
    uint64_t first_target, last_target;
    uint64_t sequence;     /* of the commit that added it */
    uint64_t time_ns;      /* when that was, since 1970 UTC */
    uint64_t stored_bytes; /* what it takes in the store */
    size_t provenance_ct;
    const struct dms_metadata *provenance;
};
DMS_API size_t dms_fit_part_ct(const dms_fit *fit);
DMS_API int dms_fit_part_info(const dms_fit *fit, size_t part, struct dms_fit_part_info *info);

DMS_END_DECLS

#endif
