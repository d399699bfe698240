/*
 * Telling the caller of verify or recover about damage: each place once, with the models that it
 * costs.
 */
#ifndef DMS_STORE_DAMAGE_H
#define DMS_STORE_DAMAGE_H

#include "dmstore/verify.h"
#include "store/id_set.h"
#include "store/references.h"

#include <stdint.h>

struct dms_damage_report {
    void (*on_damage)(void *context, const struct dms_damage *damage); /* or NULL */
    void *damage_context;
    uint64_t damage_ct;
    uint64_t lost_target_ct;
    struct dms_id_set lost; /* all ids that were told; dms_id_set_free releases it */
};

/* Tells of one place that costs no models, and of what it costs a fit. */
void dms_damage_tell(struct dms_damage_report *report, const struct dms_damage *damage);

/* Tells of all places of a survey, in order of file and offset. A place costs the live rows of the
 * groups and batches of the catalog that refer into it, and the targets of the fits that do. */
int dms_damage_tell_places(struct dms_damage_report *report, struct dms_survey *survey,
                           const struct dms_catalog *catalog,
                           const struct dms_references *references);

#endif
