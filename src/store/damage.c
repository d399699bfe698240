/*
 * Telling of damage: see damage.h.
 */
#include "store/damage.h"

#include "base/error.h"
#include "store/tile_directory.h"

void dms_damage_tell(struct dms_damage_report *report, const struct dms_damage *damage)
{
    report->damage_ct++;
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
        if (dms_reference_holds(survey, &first[k])) {
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
            dms_damage_tell(report, &damage);
            status = dms_id_set_add(&report->lost, ids.ids, ids.id_ct);
        }
        dms_id_set_free(&ids);
    }
    dms_id_set_sort(&report->lost);
    return status;
}
