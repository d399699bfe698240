/*
 * Telling of damage: see damage.h.
 */
#include "store/damage.h"

#include "base/error.h"
#include "store/tile_directory.h"

void dms_damage_tell(struct dms_damage_report *report, const struct dms_damage *damage)
{
    report->damage_ct++;
    report->lost_target_ct += damage->lost_target_ct;
    if (report->on_damage) {
        report->on_damage(report->damage_context, damage);
    }
}

/* Adds the live ids of what a reference belongs to. */
static int add_ids(const struct dms_catalog *catalog, const struct dms_reference *reference,
                   struct dms_id_set *ids)
{
    return reference->kind == DMS_REFERENCE_ROWS
               ? dms_id_set_add_batch(ids, &catalog->batches[reference->container])
               : dms_id_set_add_group(ids, &catalog->groups[reference->container]);
}

/* Whether two references cost the same rows. */
static bool is_same_container(const struct dms_reference *a, const struct dms_reference *b)
{
    return a->container == b->container &&
           (a->kind == DMS_REFERENCE_ROWS) == (b->kind == DMS_REFERENCE_ROWS);
}

/* Adds the targets of a fit that a reference to it stands for. */
static int add_targets(const struct dms_fit_record *fit, const struct dms_reference *reference,
                       struct dms_id_set *targets)
{
    bool is_whole = reference->kind == DMS_REFERENCE_FIT;
    size_t first = is_whole ? 0 : reference->part;
    size_t end = is_whole ? fit->part_ct : reference->part + 1;
    int status = 0;
    for (size_t p = first; status == 0 && p < end; p++) {
        const struct dms_fit_part_record *part = &fit->parts[p];
        status = dms_id_set_add_live(targets, part->runs, part->run_bytes, part->target_ct, NULL);
    }
    return status;
}

/* Finds the next fit, from position *fit of the catalog on, that lost something in a place. A fit
 * without targets loses only itself. DMS_END when there is none. */
static int find_fit(const struct dms_survey *survey, const struct dms_catalog *catalog,
                    const struct dms_references *references, const struct dms_bad_place *place,
                    size_t *fit, struct dms_id_set *targets)
{
    const struct dms_reference *first;
    size_t item_ct = dms_references_find(references, place->file, place->offset,
                                         place->offset + place->bytes, &first);
    for (; *fit < catalog->fit_ct; *fit += 1) {
        bool is_hit = false;
        for (size_t k = 0; k < item_ct; k++) {
            if (!dms_reference_is_of_fit(&first[k]) || first[k].container != *fit ||
                dms_reference_holds(survey, &first[k])) {
                continue;
            }
            is_hit = true;
            int status = add_targets(&catalog->fits[*fit], &first[k], targets);
            if (status != 0) {
                return status;
            }
        }
        if (is_hit) {
            dms_id_set_sort(targets);
            return 0;
        }
    }
    return DMS_END;
}

/* Tells of a place; once more for every fit after the first that it costs something. */
static int tell_place(struct dms_damage_report *report, const struct dms_survey *survey,
                      const struct dms_catalog *catalog, const struct dms_references *references,
                      const struct dms_bad_place *place, struct dms_damage *damage)
{
    int status = 0;
    bool is_told = false;
    for (size_t fit = 0; status == 0; fit++) {
        struct dms_id_set targets = {0};
        status = find_fit(survey, catalog, references, place, &fit, &targets);
        if (status == 0) {
            damage->fit = catalog->fits[fit].name;
            damage->lost_targets = targets.ids;
            damage->lost_target_ct = targets.id_ct;
        }
        if (status == 0 || (status == DMS_END && !is_told)) {
            dms_damage_tell(report, damage);
            damage->lost_id_ct = 0; /* told */
            is_told = true;
        }
        dms_id_set_free(&targets);
    }
    return status == DMS_END ? 0 : status;
}

/* Finds what lies in a place: its ids, and the group and column when there is only one. */
static int fill_damage(const struct dms_survey *survey, const struct dms_catalog *catalog,
                       const struct dms_references *references, const struct dms_bad_place *place,
                       struct dms_id_set *ids, struct dms_damage *damage)
{
    const struct dms_reference *first;
    size_t item_ct = dms_references_find(references, place->file, place->offset,
                                         place->offset + place->bytes, &first);
    const struct dms_reference *last = NULL; /* that costs something */
    bool is_one_group = true;
    bool is_one_column = true;
    for (size_t k = 0; k < item_ct; k++) {
        if (dms_reference_is_of_fit(&first[k]) || dms_reference_holds(survey, &first[k])) {
            continue;
        }
        if (last) {
            is_one_group &= is_same_container(last, &first[k]);
            is_one_column &= last->column_id == first[k].column_id;
        }
        if (!last || !is_same_container(last, &first[k])) {
            int status = add_ids(catalog, &first[k], ids);
            if (status != 0) {
                return status;
            }
        }
        last = &first[k];
    }
    if (last && is_one_group && last->kind != DMS_REFERENCE_ROWS) {
        damage->has_group = true;
        damage->group = catalog->groups[last->container].number;
        const struct dms_column *column =
            is_one_column ? dms_schema_column(catalog->schema, last->column_id) : NULL;
        damage->column = column ? column->name : NULL;
    }
    return 0;
}

int dms_damage_tell_places(struct dms_damage_report *report, struct dms_survey *survey,
                           const struct dms_catalog *catalog,
                           const struct dms_references *references)
{
    int status = dms_references_note(survey, references);
    dms_survey_sort_places(survey);
    for (size_t k = 0; status == 0 && k < survey->place_ct; k++) {
        const struct dms_bad_place *place = &survey->places[k];
        struct dms_id_set ids = {0};
        struct dms_damage damage = {
            .path =
                place->file == DMS_NO_FILE ? survey->directory : survey->files[place->file].path,
            .offset = place->offset,
            .bytes = place->bytes,
            .what = place->what,
        };
        status = fill_damage(survey, catalog, references, place, &ids, &damage);
        if (status == 0) {
            dms_id_set_sort(&ids);
            damage.lost_ids = ids.ids;
            damage.lost_id_ct = ids.id_ct;
            status = tell_place(report, survey, catalog, references, place, &damage);
        }
        if (status == 0) {
            status = dms_id_set_add(&report->lost, ids.ids, ids.id_ct);
        }
        dms_id_set_free(&ids);
    }
    dms_id_set_sort(&report->lost);
    return status;
}
