/*
 * Fits in a recovery: what is brought back of them, and what is told to be lost. See
 * recover_parts.h.
 */
#include "store/recover_parts.h"

#include "base/alloc.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

/* ---- what the old index knew ---- */

static int add_fit_targets(const struct dms_fit_record *fit, struct dms_id_set *targets)
{
    int status = 0;
    for (size_t p = 0; status == 0 && p < fit->part_ct; p++) {
        const struct dms_fit_part_record *part = &fit->parts[p];
        status = dms_id_set_add_live(targets, part->runs, part->run_bytes, part->target_ct, NULL);
    }
    dms_id_set_sort(targets);
    return status;
}

/* Tells of the targets of a fit that the old index had and the segments do not have any more. */
static int tell_lost(struct dms_recovery *recovery, const struct dms_fit_record *known)
{
    const struct dms_fit_record *fit = dms_catalog_fit(&recovery->replay.catalog, known->number);
    struct dms_id_set lost = {0};
    struct dms_id_set there = {0};
    int status = add_fit_targets(known, &lost);
    status = status || !fit ? status : add_fit_targets(fit, &there);
    if (status == 0) {
        dms_id_set_subtract(&lost, &there);
        if (!fit || lost.id_ct > 0) {
            struct dms_damage damage = {
                .path = recovery->survey.directory,
                .what = fit ? "the commits that added parts of a fit are lost"
                            : "the commit that began a fit is lost",
                .fit = known->name,
                .lost_targets = lost.ids,
                .lost_target_ct = lost.id_ct,
            };
            dms_damage_tell(&recovery->damage, &damage);
        }
    }
    dms_id_set_free(&lost);
    dms_id_set_free(&there);
    return status;
}

static void remove_fit(struct dms_catalog *catalog, size_t position)
{
    dms_fit_record_clear(&catalog->fits[position]);
    catalog->fit_ct--;
    memmove(catalog->fits + position, catalog->fits + position + 1,
            (catalog->fit_ct - position) * sizeof *catalog->fits);
}

int dms_recovery_compare_fits(struct dms_recovery *recovery)
{
    struct dms_catalog *catalog = &recovery->replay.catalog;
    const struct dms_catalog *known = &recovery->known.catalog;
    bool is_newest = recovery->has_known && known->sequence >= recovery->history.highest;
    int status = 0;
    if (recovery->replay.is_exact || !is_newest) {
        return 0;
    }
    for (size_t k = 0; status == 0 && k < known->fit_ct; k++) {
        status = tell_lost(recovery, &known->fits[k]);
    }
    for (size_t k = catalog->fit_ct; k-- > 0;) {
        if (!dms_catalog_fit(known, catalog->fits[k].number)) {
            remove_fit(catalog, k); /* by a commit that is lost */
        }
    }
    return status;
}

/* ---- damage ---- */

static void remove_part(struct dms_fit_record *fit, uint64_t number)
{
    struct dms_fit_part_record *part = dms_fit_record_part(fit, number);
    if (part) {
        dms_fit_part_record_clear(part);
        fit->part_ct--;
        memmove(part, part + 1, (fit->part_ct - (size_t)(part - fit->parts)) * sizeof *part);
    }
}

/* What is to be dropped, by numbers: positions change on the way. */
struct lost_block {
    uint64_t fit;
    uint64_t part; /* 0: the whole fit */
};

int dms_recovery_drop_damaged_fits(struct dms_recovery *recovery)
{
    struct dms_catalog *catalog = &recovery->replay.catalog;
    const struct dms_references *references = &recovery->references;
    size_t lost_ct = 0;
    struct lost_block *lost = dms_alloc(references->item_ct + 1, sizeof *lost);
    if (!lost) {
        return DMS_ERR_NO_MEMORY;
    }
    for (size_t k = 0; k < references->item_ct; k++) {
        const struct dms_reference *reference = &references->items[k];
        if (dms_reference_is_of_fit(reference) &&
            !dms_reference_holds(&recovery->survey, reference)) {
            const struct dms_fit_record *fit = &catalog->fits[reference->container];
            bool is_part = reference->kind == DMS_REFERENCE_FIT_PART;
            lost[lost_ct++] =
                (struct lost_block){fit->number, is_part ? fit->parts[reference->part].number : 0};
        }
    }
    for (size_t k = 0; k < lost_ct; k++) {
        struct dms_fit_record *fit = dms_catalog_fit(catalog, lost[k].fit);
        recovery->is_changed = true;
        if (fit && lost[k].part == 0) {
            remove_fit(catalog, (size_t)(fit - catalog->fits));
        } else if (fit) {
            remove_part(fit, lost[k].part);
        }
    }
    free(lost);
    return 0;
}
