/*
 * Which models train, validate and are held out: chosen from the ids and masks of a snapshot alone,
 * so that every job that sees the same models chooses the same.
 *
 * The largest ids are held out, the largest before them validate, the others train. Models whose
 * masks are equal would let one side of the split know the other: all of them go where the one with
 * the largest id goes.
 */
#ifndef DMS_SOLVER_SPLIT_H
#define DMS_SOLVER_SPLIT_H

#include "base/hash.h"
#include "dmstore/fit.h"
#include "dmstore/snapshot.h"

/* The models that have a value in an output column, by increasing id. */
struct dms_model_hashes {
    size_t model_ct;
    struct dms_model_hash {
        uint64_t id;
        struct dms_hash128 mask; /* XXH3-128 of the packed mask */
        struct dms_hash128 row;  /* of the id and the packed mask: what row sets are digests of */
    } * models;
};

/* Hashes all of them with one pass over the masks, in bounded memory beside the 40 bytes a model.
 * thread_ct 0: one a processor. The caller ends *hashes with dms_model_hashes_free. */
int dms_model_hashes_read(dms_snapshot *snapshot, uint32_t column, unsigned thread_ct,
                          struct dms_model_hashes *hashes);
void dms_model_hashes_free(struct dms_model_hashes *hashes);

struct dms_split {
    struct dms_row_set training, validation, held_out;
};

/* Chooses the three sets; rows_used 0: all training models. INVALID: more models asked for than
 * there are, or none left to train on. The caller ends *split with dms_split_free. */
int dms_split_choose(const struct dms_model_hashes *hashes, uint64_t held_out_ct,
                     uint64_t validation_ct, uint64_t rows_used, struct dms_split *split);
void dms_split_free(struct dms_split *split);

/* Models that validate unless the caller says otherwise: a tenth of those that are not held out. */
uint64_t dms_split_default_validation(uint64_t model_ct, uint64_t held_out_ct);

/* The ids of training and validation models together. The caller frees *ranges. */
int dms_fit_used_ranges(const struct dms_fit_header *header, struct dms_id_range **ranges,
                        size_t *range_ct);

/* 0 when all models of `set` are there with the masks they had when its digest was made. NOT_FOUND
 * names the first id that is gone, CONFLICT says that masks have changed; `role` ("training") is
 * for these messages. */
int dms_row_set_check(const struct dms_row_set *set, const char *role,
                      const struct dms_model_hashes *hashes);

#endif
