/*
 * Retrained models as they are kept in memory; see dmstore/retrained.h.
 */
#ifndef DMS_QUERY_RETRAINED_H
#define DMS_QUERY_RETRAINED_H

#include "base/hash.h"
#include "dmstore/retrained.h"
#include "query/scored_output.h"

/* The models that share a mask. */
struct dms_mask_group {
    struct dms_hash128 hash;
    size_t first_model; /* of `ids` */
    size_t model_ct;
};

struct dms_retrained_model {
    uint64_t id;
    size_t mask;
};

struct dms_retrained {
    char *path; /* NULL: the store of the fit */
    dms_snapshot *snapshot;
    bool owns_snapshot;
    unsigned thread_ct;
    struct dms_scored_output output;
    size_t model_ct;
    uint64_t *ids; /* mask after mask, increasing in each */
    size_t mask_ct;
    struct dms_mask_group *masks;       /* by smallest id */
    size_t *by_hash;                    /* numbers of masks, by hash */
    struct dms_retrained_model *models; /* by id */
};

/* Opens those models of the store of the fit itself that train on everything. */
int dms_retrained_open_controls(dms_snapshot *snapshot, dms_fit *fit,
                                const struct dms_retrained_options *options,
                                dms_retrained **retrained);

/* The model, or NULL. */
const struct dms_retrained_model *dms_retrained_find_id(const dms_retrained *retrained,
                                                        uint64_t id);

/* How messages call the store. */
const char *dms_retrained_name(const dms_retrained *retrained);

#endif
