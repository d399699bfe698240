/*
 * Rebuilding a store's index (include/dmstore/verify.h): the segments are surveyed, their commits
 * replayed, lost transactions salvaged, every live block checked, and what holds becomes the new
 * index. The old index, where it can be read, says only what was acknowledged; its content is not
 * used.
 */
#include "dmstore/verify.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "format/ids.h"
#include "format/schema.h"
#include "store/check.h"
#include "store/paths.h"
#include "store/recover_parts.h"
#include "store/segment.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- what there is ---- */

/* Reads the old index if it can be read. BUSY: somebody else is rebuilding it. */
static int read_known(struct dms_recovery *recovery)
{
    int status = dms_index_view_read(recovery->path, false, &recovery->known);
    recovery->has_known = status == 0;
    return status == DMS_ERR_BUSY || status == DMS_ERR_NO_MEMORY ? status : 0;
}

static int add_file(void *context, uint64_t number)
{
    return dms_survey_add_file(context, number, UINT64_MAX);
}

static int find_store_uuid(struct dms_recovery *recovery)
{
    const uint8_t *uuid = recovery->has_known ? recovery->known.meta.store_uuid
                                              : dms_survey_store_uuid(&recovery->survey);
    if (!uuid) {
        return dms_uuid_make(recovery->store_uuid); /* no segment block tells it any more */
    }
    memcpy(recovery->store_uuid, uuid, DMS_UUID_BYTES);
    return 0;
}

/* The newest schema of segment blocks, commits, and the old index. */
static int find_schema(struct dms_recovery *recovery)
{
    const struct dms_schema *known = recovery->known.catalog.schema;
    int status = dms_survey_find_schema(&recovery->survey, &recovery->schema);
    if (status == 0 && known && (!recovery->schema || known->version > recovery->schema->version)) {
        dms_schema_free(recovery->schema);
        recovery->schema = NULL;
        status = dms_schema_copy(known, &recovery->schema);
    }
    return status;
}

static int survey_segments(struct dms_recovery *recovery)
{
    struct dms_survey *survey = &recovery->survey;
    int status = dms_survey_begin(survey, recovery->path);
    survey->progress = recovery->options->progress;
    survey->progress_context = recovery->options->progress_context;
    status = status ? status : dms_segments_list(recovery->path, add_file, survey);
    status = status ? status : dms_survey_walk(survey);
    status = status ? status : find_store_uuid(recovery);
    status = status ? status : dms_survey_part_foreign(survey, recovery->store_uuid);
    return status ? status : find_schema(recovery);
}

/* ---- what happened ---- */

static int add_interrupted_ids(void *context, const struct dms_edit *edit)
{
    struct dms_recovery *recovery = context;
    switch (edit->type) {
    case DMS_EDIT_ADD_GROUP:
        return dms_id_set_add_live(&recovery->lost, edit->add_group.runs, edit->add_group.run_bytes,
                                   edit->add_group.row_ct, NULL);
    case DMS_EDIT_ADD_BATCH:
        return dms_id_set_add_live(&recovery->lost, edit->add_batch.runs, edit->add_batch.run_bytes,
                                   edit->add_batch.row_ct, NULL);
    default:
        return 0;
    }
}

/* A last commit whose blocks are not all right does not count; what it has added is lost unless it
 * can be salvaged. */
static int note_interrupted(struct dms_recovery *recovery)
{
    const struct dms_found_commit *interrupted = recovery->history.interrupted;
    if (!interrupted) {
        return 0;
    }
    recovery->is_changed = true;
    (void)dms_fail(DMS_ERR_CORRUPT, "commit %" PRIu64 " is not whole",
                   interrupted->block.commit.sequence);
    int status = dms_survey_note(&recovery->survey, interrupted->file, interrupted->block.offset,
                                 dms_block_extent(&interrupted->block));
    status = status ? status
                    : dms_commit_each_edit(&recovery->survey, interrupted, add_interrupted_ids,
                                           recovery);
    return dms_is_damage(status) ? 0 : status;
}

static bool has_holes(const struct dms_history *history)
{
    return history->commit_ct - history->begin != history->highest - history->state_sequence;
}

/* Where what a crash may have left at the end of a file begins. */
static uint64_t orphan_begin(const struct dms_recovery *recovery, size_t file_index)
{
    const struct dms_survey_file *file = &recovery->survey.files[file_index];
    const struct dms_segment_record *known =
        recovery->has_known ? dms_catalog_segment(&recovery->known.catalog, file->number) : NULL;
    const struct dms_segment_record *begun =
        dms_catalog_segment(&recovery->history.state, file->number);
    uint64_t end = known ? known->committed_bytes : 0;
    end = begun && begun->committed_bytes > end ? begun->committed_bytes : end;
    for (size_t k = 0; k < file->block_ct; k++) {
        uint8_t type = file->blocks[k].type;
        if (type == DMS_BLOCK_SEGMENT || (type == DMS_BLOCK_COMMIT && file->blocks[k].is_good)) {
            uint64_t block_end = file->blocks[k].offset + dms_found_block_extent(&file->blocks[k]);
            end = end > block_end ? end : block_end;
        }
    }
    for (size_t k = 0; k < recovery->salvage.transaction_ct; k++) {
        const struct dms_lost_transaction *lost = &recovery->salvage.transactions[k];
        if (lost->file == file_index && lost->end > end) {
            end = lost->end;
        }
    }
    return end;
}

/* A tail that was never committed is no damage. Without the old index it cannot be told from
 * committed blocks that were destroyed, unless no commit is missing; nor can a file in which
 * nothing is right be told from one that was just begun. */
static void cut_orphans(struct dms_recovery *recovery)
{
    for (size_t k = 0; k < recovery->survey.file_ct; k++) {
        const struct dms_survey_file *file = &recovery->survey.files[k];
        uint64_t begin = orphan_begin(recovery, k);
        bool is_known = begin > 0 || dms_recovery_is_unknown(recovery, file);
        bool is_told = recovery->has_known || !has_holes(&recovery->history);
        if (is_known && is_told && !file->is_foreign) {
            dms_survey_cut(&recovery->survey, k, begin);
        }
    }
}

static int replay(struct dms_recovery *recovery)
{
    struct dms_salvage *salvage = &recovery->salvage;
    uint64_t acknowledged = recovery->has_known ? recovery->known.meta.sequence : 0;
    struct dms_salvage_options options = {
        .schema = recovery->schema,
        .known = recovery->has_known ? &recovery->known.catalog : NULL,
        .keep_partial = recovery->options->keep_partial,
    };
    int status = dms_history_make(&recovery->survey, acknowledged, &recovery->history);
    if (status == 0 && !options.schema) {
        options.schema = recovery->history.state.schema;
    }
    if (status == 0 && options.schema) {
        status = dms_salvage_find(&recovery->survey, &recovery->history, &options, salvage);
    }
    status = status ? status : note_interrupted(recovery);
    if (status == 0) {
        cut_orphans(recovery);
        status = dms_history_replay(&recovery->history, &recovery->survey, salvage->transactions,
                                    salvage->transaction_ct, recovery->schema, &recovery->replay);
    }
    recovery->is_changed |= !recovery->replay.is_exact;
    return status ? status
                  : dms_id_set_add(&recovery->lost, salvage->lost_ids, salvage->lost_id_ct);
}

/* ---- what holds ---- */

static int check_all(struct dms_recovery *recovery)
{
    struct dms_survey *survey = &recovery->survey;
    const struct dms_catalog *catalog = &recovery->replay.catalog;
    struct dms_check check = {
        .survey = survey,
        .catalog = catalog,
        .references = &recovery->references,
        .decode = true,
    };
    for (size_t k = 0; k < survey->file_ct; k++) {
        survey->total_bytes += 2 * survey->files[k].block_limit; /* here, and for the totals */
    }
    int status = dms_references_add_files(survey, catalog);
    status = status ? status : dms_references_make(survey, catalog, &recovery->references);
    status = status ? status : dms_check_run(&check);
    return status
               ? status
               : dms_damage_tell_places(&recovery->damage, survey, catalog, &recovery->references);
}

/* Adds up the totals of what is left. */
static int add_totals(struct dms_recovery *recovery)
{
    const struct dms_catalog *catalog = &recovery->replay.catalog;
    size_t place_ct = recovery->survey.place_ct;
    dms_references_free(&recovery->references);
    int status = dms_totals_begin(&recovery->totals, catalog->schema);
    status =
        status ? status : dms_references_make(&recovery->survey, catalog, &recovery->references);
    struct dms_check check = {
        .survey = &recovery->survey,
        .catalog = catalog,
        .references = &recovery->references,
        .decode = true,
        .live_only = true,
        .totals = &recovery->totals,
    };
    status = status ? status : dms_check_run(&check);
    if (status == 0 && recovery->survey.place_ct != place_ct) {
        status = dms_fail(DMS_ERR_IO,
                          "store '%s': blocks that could be read at first cannot be read now (%s)",
                          recovery->path, recovery->survey.places[place_ct].what);
    }
    return status;
}

/* The ids that are gone, of all that were told. */
static int count_lost(struct dms_recovery *recovery)
{
    struct dms_id_set live = {0};
    int status = 0;
    if (recovery->has_known && recovery->is_changed) {
        status = dms_id_set_add_catalog(&recovery->lost, &recovery->known.catalog);
    }
    status = status ? status : dms_id_set_add_catalog(&live, &recovery->replay.catalog);
    dms_id_set_sort(&live);
    dms_id_set_sort(&recovery->lost);
    dms_id_set_subtract(&recovery->lost, &live);
    dms_id_set_free(&live);
    return status;
}

/* ---- all of it ---- */

static void fill_report(struct dms_recovery *recovery, struct dms_recover_report *report)
{
    const struct dms_catalog *catalog = &recovery->replay.catalog;
    *report = (struct dms_recover_report){
        .segment_ct = catalog->segment_ct,
        .group_ct = catalog->group_ct,
        .damage_ct = recovery->damage.damage_ct,
        .salvaged_ct = recovery->salvaged_ct,
        .fit_ct = catalog->fit_ct,
        .lost_target_ct = recovery->damage.lost_target_ct,
        .lost_id_ct = recovery->lost.id_ct,
        .lost_ids = recovery->lost.id_ct > 0 ? recovery->lost.ids : NULL,
    };
    for (size_t k = 0; k < catalog->group_ct; k++) {
        report->model_ct += catalog->groups[k].live_ct;
    }
    for (size_t k = 0; k < catalog->batch_ct; k++) {
        report->model_ct += catalog->batches[k].live_ct;
    }
    if (report->lost_ids) {
        recovery->lost = (struct dms_id_set){0}; /* the caller's now */
    }
}

static int recover(struct dms_recovery *recovery)
{
    int status = survey_segments(recovery);
    status = status ? status : replay(recovery);
    status = status ? status : dms_recovery_remove_superseded(recovery);
    status = status ? status : dms_recovery_compare_fits(recovery);
    status = status ? status : check_all(recovery);
    status = status ? status : dms_recovery_drop_damaged_fits(recovery);
    status = status ? status : dms_recovery_drop_damaged(recovery);
    status = status ? status : dms_recovery_complete(recovery);
    status = status ? status : add_totals(recovery);
    status = status ? status : count_lost(recovery);
    if (status == 0 && recovery->is_changed) {
        status = dms_recovery_write_state(recovery);
    }
    status = status ? status : dms_recovery_write_index(recovery);
    return status ? status : dms_recovery_set_aside(recovery);
}

static void recovery_end(struct dms_recovery *recovery)
{
    dms_id_set_free(&recovery->lost);
    dms_id_set_free(&recovery->damage.lost);
    dms_totals_free(&recovery->totals);
    dms_references_free(&recovery->references);
    dms_replay_end(&recovery->replay);
    dms_salvage_end(&recovery->salvage);
    dms_history_end(&recovery->history);
    dms_schema_free(recovery->schema);
    dms_survey_end(&recovery->survey);
    dms_index_view_free(&recovery->known);
    free(recovery);
}

int dms_recover(const char *path, const struct dms_recover_options *options,
                struct dms_recover_report *report)
{
    static const struct dms_recover_options defaults;
    int lock = -1;
    struct dms_recovery *recovery = dms_alloc(1, sizeof *recovery);
    if (!recovery) {
        return DMS_ERR_NO_MEMORY;
    }
    recovery->path = path;
    recovery->options = options ? options : &defaults;
    recovery->damage.on_damage = recovery->options->on_damage;
    recovery->damage.damage_context = recovery->options->damage_context;
    int status = dms_refuse_network(path);
    status = status ? status : read_known(recovery);
    status = status ? status : dms_index_lock_exclusive(path, &lock);
    status = status ? status : recover(recovery);
    if (status == 0) {
        fill_report(recovery, report);
    }
    dms_close(lock);
    recovery_end(recovery);
    return status;
}
