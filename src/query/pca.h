/*
 * What the functions of struct dms_pca share.
 */
#ifndef DMS_QUERY_PCA_H
#define DMS_QUERY_PCA_H

#include "dmstore/embed.h"

/* Room for components, which are 0 as yet, without a mean. NULL: out of memory. */
struct dms_pca *dms_pca_alloc(size_t component_ct, size_t example_ct);

#endif
