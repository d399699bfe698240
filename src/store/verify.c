/*
 * Checking a store (include/dmstore/verify.h): the index is read first, in one short transaction,
 * and says which bytes were committed; those are then checked, while others may go on appending.
 * Without an index, the segments themselves say it.
 */
#include "dmstore/verify.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "store/check.h"
#include "store/damage.h"
#include "store/index_check.h"
#include "store/paths.h"
#include "store/replay.h"
#include "store/segment.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct verification {
    const char *path;
    bool quick;
    bool has_index;
    struct dms_index_view view;          /* if it has one */
    struct dms_error_state index_damage; /* else */
    struct dms_survey survey;
    struct dms_history history;
    struct dms_replay replay;
    bool has_replay;
    struct dms_references references;
    struct dms_totals totals;
    struct dms_damage_report damage;
    struct dms_verify_report report;
    const struct dms_verify_options *options;
};

/* ---- opening ---- */

static int read_index(struct verification *verification)
{
    int status = dms_index_view_read(verification->path, !verification->quick, &verification->view);
    verification->has_index = status == 0;
    if (dms_is_damage(status) || status == DMS_ERR_NOT_FOUND) {
        dms_error_save(&verification->index_damage);
        status = 0;
    }
    return status;
}

static int add_file(void *context, uint64_t number)
{
    return dms_survey_add_file(context, number, UINT64_MAX);
}

/* Opens the files that the index or else the directory names; *is_complete: none is missing. */
static int open_files(struct verification *verification, bool *is_complete)
{
    struct dms_survey *survey = &verification->survey;
    const struct dms_catalog *catalog = &verification->view.catalog;
    int status = dms_survey_begin(survey, verification->path);
    survey->progress = verification->options->progress;
    survey->progress_context = verification->options->progress_context;
    *is_complete = true;
    if (status == 0 && !verification->has_index) {
        return dms_segments_list(verification->path, add_file, survey);
    }
    for (size_t k = 0; status == 0 && k < catalog->segment_ct; k++) {
        status = dms_survey_add_file(survey, catalog->segments[k].number,
                                     catalog->segments[k].committed_bytes);
        *is_complete = status == 0 && *is_complete && survey->files[k].descriptor >= 0;
    }
    return status;
}

/* Reads the index and opens all files it names. Where one is gone because a compaction ended
 * meanwhile, the newer index names others. */
static int open_store(struct verification *verification)
{
    for (uint64_t last_sequence = 0;; last_sequence = verification->view.meta.sequence) {
        bool is_complete;
        dms_survey_end(&verification->survey);
        dms_index_view_free(&verification->view);
        int status = read_index(verification);
        status = status ? status : open_files(verification, &is_complete);
        if (status != 0 || is_complete || verification->view.meta.sequence == last_sequence) {
            return status;
        }
    }
}

/* ---- files ---- */

/* The store that the files belong to: as the index says, else as most files say. */
static const uint8_t *find_store_uuid(const struct verification *verification)
{
    return verification->has_index ? verification->view.meta.store_uuid
                                   : dms_survey_store_uuid(&verification->survey);
}

static int check_record(struct verification *verification, size_t file_index)
{
    struct dms_survey *survey = &verification->survey;
    const struct dms_survey_file *file = &survey->files[file_index];
    const struct dms_segment_record *record =
        dms_catalog_segment(&verification->view.catalog, file->number);
    static const uint8_t unknown[DMS_UUID_BYTES];
    if (!record || !file->schema || memcmp(record->uuid, unknown, DMS_UUID_BYTES) == 0 ||
        (memcmp(record->uuid, file->record.uuid, DMS_UUID_BYTES) == 0 &&
         record->kind == file->record.kind)) {
        return 0;
    }
    (void)dms_fail(DMS_ERR_CORRUPT,
                   "the segment block is not that of the segment which the index means");
    return dms_survey_note(survey, file_index, 0, file->limit);
}

/* A file that the index does not know: being written, left by a crash, or of another store. */
static int look_at_other(void *context, uint64_t number)
{
    struct verification *verification = context;
    struct dms_survey other = {0};
    const uint8_t *uuid = find_store_uuid(verification);
    if (dms_survey_file(&verification->survey, number)) {
        return 0;
    }
    int status = dms_survey_begin(&other, verification->path);
    status = status ? status : dms_survey_add_file(&other, number, UINT64_MAX);
    if (status == 0 && other.files[0].descriptor >= 0) {
        status = dms_survey_read_beginning(&other.files[0]);
        bool is_foreign =
            status == 0 && uuid && memcmp(other.files[0].store_uuid, uuid, DMS_UUID_BYTES) != 0;
        status = dms_is_damage(status) ? 0 : status;
        if (is_foreign) {
            struct dms_damage damage = {
                .path = other.files[0].path,
                .bytes = other.files[0].size,
                .what = "the file belongs to another store",
            };
            dms_damage_tell(&verification->damage, &damage);
        } else {
            verification->report.orphan_bytes += other.files[0].size;
        }
    }
    dms_survey_end(&other);
    return status;
}

/* Without an index, what follows the last commit of a file was never committed. */
static void cut_orphans(struct verification *verification)
{
    struct dms_survey *survey = &verification->survey;
    for (size_t k = 0; k < survey->file_ct; k++) {
        struct dms_survey_file *file = &survey->files[k];
        const struct dms_segment_record *record =
            dms_catalog_segment(&verification->history.state, file->number);
        uint64_t end = record ? record->committed_bytes : 0;
        for (size_t b = 0; b < file->block_ct; b++) {
            const struct dms_found_block *block = &file->blocks[b];
            const struct dms_found_commit *interrupted = verification->history.interrupted;
            bool is_interrupted =
                interrupted && interrupted->file == k && interrupted->block.offset == block->offset;
            if (block->type == DMS_BLOCK_SEGMENT ||
                (block->type == DMS_BLOCK_COMMIT && block->is_good && !is_interrupted)) {
                uint64_t block_end = block->offset + dms_found_block_extent(block);
                end = end > block_end ? end : block_end;
            }
        }
        if (end > 0 && end < file->size) {
            verification->report.orphan_bytes += file->size - end;
            dms_survey_cut(survey, k, end);
        }
    }
}

static int walk_files(struct verification *verification)
{
    struct dms_survey *survey = &verification->survey;
    int status = dms_survey_walk(survey);
    status = status ? status : dms_survey_part_foreign(survey, find_store_uuid(verification));
    for (size_t k = 0; status == 0 && verification->has_index && k < survey->file_ct; k++) {
        const struct dms_survey_file *file = &survey->files[k];
        verification->report.orphan_bytes += file->size - file->block_limit;
        status = check_record(verification, k);
    }
    if (status == 0 && verification->has_index) {
        status = dms_segments_list(verification->path, look_at_other, verification);
    }
    return status;
}

/* ---- history ---- */

static int replay(struct verification *verification)
{
    struct dms_survey *survey = &verification->survey;
    uint64_t acknowledged = verification->has_index ? verification->view.meta.sequence : 0;
    int status = dms_history_make(survey, acknowledged, &verification->history);
    verification->report.commit_ct = verification->history.commit_ct;
    if (status == 0 && !verification->has_index) {
        cut_orphans(verification);
    }
    status = status ? status
                    : dms_history_replay(&verification->history, survey, NULL, 0,
                                         verification->view.catalog.schema, &verification->replay);
    verification->has_replay = status == 0;
    if (dms_is_damage(status)) {
        status = dms_survey_note(survey, DMS_NO_FILE, 0, 0);
    }
    return status;
}

/* What is live, as far as it is known; NULL when nothing is. */
static const struct dms_catalog *live_catalog(const struct verification *verification)
{
    if (verification->has_index) {
        return &verification->view.catalog;
    }
    return verification->has_replay ? &verification->replay.catalog : NULL;
}

/* ---- blocks ---- */

static int check_blocks(struct verification *verification, const struct dms_catalog *catalog)
{
    bool with_totals = verification->has_index && !verification->quick;
    struct dms_survey *survey = &verification->survey;
    struct dms_check check = {
        .survey = survey,
        .catalog = catalog,
        .references = &verification->references,
        .decode = !verification->quick,
        .totals = with_totals ? &verification->totals : NULL,
    };
    int status = dms_references_add_files(survey, catalog);
    for (size_t k = 0; k < survey->file_ct; k++) {
        survey->total_bytes += survey->files[k].block_limit;
    }
    if (status == 0 && with_totals) {
        status = dms_totals_begin(&verification->totals, catalog->schema);
    }
    status = status ? status : dms_references_make(survey, catalog, &verification->references);
    status = status ? status : dms_check_run(&check);
    verification->report.chunk_ct = check.chunk_ct;
    return status;
}

/* ---- the index ---- */

static void tell_index_damage(struct verification *verification, const char *what)
{
    char *path = dms_path_index(verification->path);
    struct dms_damage damage = {.path = path ? path : verification->path, .what = what};
    dms_damage_tell(&verification->damage, &damage);
    free(path);
}

/* Holds the index against the segments. Where those are damaged, they cannot agree. */
static int check_index(struct verification *verification)
{
    const struct dms_index_view *view = &verification->view;
    bool segments_are_good = verification->survey.place_ct == 0;
    if (!verification->has_index) {
        tell_index_damage(verification, verification->index_damage.message);
        return 0;
    }
    int status = dms_index_view_check_ids(view);
    if (status == 0 && segments_are_good && verification->has_replay) {
        status = dms_index_view_compare(view, &verification->replay.catalog);
    }
    if (status == 0 && segments_are_good && !verification->quick &&
        view->meta.statistics_stale == 0) {
        status = dms_index_view_check_totals(view, &verification->totals);
    }
    if (dms_is_damage(status)) {
        struct dms_error_state reason;
        dms_error_save(&reason);
        tell_index_damage(verification, reason.message);
        status = 0;
    }
    return status;
}

/* ---- all of it ---- */

static int verify(struct verification *verification)
{
    int status = open_store(verification);
    status = status ? status : walk_files(verification);
    status = status ? status : replay(verification);
    const struct dms_catalog *catalog = live_catalog(verification);
    if (status == 0 && catalog) {
        status = check_blocks(verification, catalog);
    }
    if (status == 0) {
        static const struct dms_catalog nothing;
        status = dms_damage_tell_places(&verification->damage, &verification->survey,
                                        catalog ? catalog : &nothing, &verification->references);
    }
    status = status ? status : check_index(verification);
    if (status == 0) {
        struct dms_verify_report *report = &verification->report;
        for (size_t k = 0; k < verification->survey.file_ct; k++) {
            report->segment_ct += verification->survey.files[k].descriptor >= 0;
            report->checked_bytes += verification->survey.files[k].block_limit;
        }
        report->damage_ct = verification->damage.damage_ct;
        report->lost_id_ct = verification->damage.lost.id_ct;
        report->lost_target_ct = verification->damage.lost_target_ct;
    }
    return status;
}

int dms_verify(const char *path, const struct dms_verify_options *options,
               struct dms_verify_report *report)
{
    static const struct dms_verify_options defaults;
    options = options ? options : &defaults;
    struct verification *verification = dms_alloc(1, sizeof *verification);
    if (!verification) {
        return DMS_ERR_NO_MEMORY;
    }
    verification->path = path;
    verification->options = options;
    verification->quick = options->quick;
    verification->damage.on_damage = options->on_damage;
    verification->damage.damage_context = options->damage_context;
    int status = verify(verification);
    if (status == 0) {
        *report = verification->report;
    }
    dms_history_end(&verification->history);
    dms_replay_end(&verification->replay);
    dms_references_free(&verification->references);
    dms_totals_free(&verification->totals);
    dms_id_set_free(&verification->damage.lost);
    dms_survey_end(&verification->survey);
    dms_index_view_free(&verification->view);
    free(verification);
    return status;
}
