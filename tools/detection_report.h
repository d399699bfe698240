/*
 * How `dmstore leakage` tells a detection curve: as a table for people, as JSON and as CSV.
 */
#ifndef DMSTORE_TOOLS_DETECTION_REPORT_H
#define DMSTORE_TOOLS_DETECTION_REPORT_H

#include <dmstore.h>

#include "json.h"

/* target_ct: targets that the curve is over. */
void detection_print(const struct dms_detection_curve *curve, uint64_t target_ct, double radius);

/* Writes members into an open object. */
void detection_json(const struct dms_detection_curve *curve, double radius,
                    struct json_writer *json);

/* One line a point; 0 or a negative enum dms_error with the message set. */
int detection_write_csv(const struct dms_detection_curve *curve, const char *path);

#endif
