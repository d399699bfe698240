/*
 * The variants of the elementwise kernels that lane_updates.c chooses from: float, then double.
 */
#ifndef DMS_KERNELS_LANE_UPDATE_VARIANTS_H
#define DMS_KERNELS_LANE_UPDATE_VARIANTS_H

#include "kernels/lane_updates.h"

extern const struct dms_lane_updates *const dms_lane_updates_ref[2];
#if defined(__x86_64__)
extern const struct dms_lane_updates *const dms_lane_updates_avx2[2];
extern const struct dms_lane_updates *const dms_lane_updates_avx512[2];
#endif

#endif
