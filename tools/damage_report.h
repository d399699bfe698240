/*
 * How verify and recover tell of damaged places: each as it is found, and the ids of all models
 * that must be trained again in the end.
 */
#ifndef DMSTORE_TOOLS_DAMAGE_REPORT_H
#define DMSTORE_TOOLS_DAMAGE_REPORT_H

#include <dmstore.h>

#include "id_ranges.h"
#include "json.h"
#include "progress.h"

/* Starts as {0}; `lost` is ended with id_ranges_free. */
struct damage_report {
    struct json_writer *json;  /* an array is open in it; NULL: text */
    struct progress *progress; /* its bar is taken away before something is printed */
    struct id_ranges lost;     /* models that lost content through any of the damages */
    int code;                  /* negative: `lost` is not complete (out of memory) */
};

/* For on_damage of the library's options, with a struct damage_report as context. */
void damage_report_add(void *report, const struct dms_damage *damage);

/* Writes member `key`, the ranges as text. Returns 0 or DMS_ERR_NO_MEMORY. */
int damage_report_json_ids(struct json_writer *json, const char *key,
                           const struct id_ranges *ranges);

#endif
