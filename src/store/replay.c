/*
 * Applying commits to a catalog: see replay.h.
 */
#include "store/replay.h"

#include "base/alloc.h"
#include "base/error.h"
#include "format/schema.h"

#include <inttypes.h>
#include <stdlib.h>

static uint64_t sequence_of(const struct dms_found_commit *commit)
{
    return commit->block.commit.sequence;
}

/* An edit on its way into the catalog. */
struct application {
    struct dms_replay *replay;
    uint64_t segment;
    uint64_t sequence;
    bool is_salvaged;
    bool is_lenient; /* edits that do not fit are left out */
};

static int note_addition(const struct application *application, const struct dms_edit *edit)
{
    struct dms_replay *replay = application->replay;
    bool is_staged = edit->type == DMS_EDIT_ADD_BATCH;
    int status = dms_grow((void **)&replay->additions, &replay->addition_capacity,
                          replay->addition_ct + 1, sizeof *replay->additions);
    if (status == 0) {
        replay->additions[replay->addition_ct++] = (struct dms_addition){
            .is_staged = is_staged,
            .is_salvaged = application->is_salvaged,
            .number = is_staged ? edit->add_batch.batch : edit->add_group.group,
            .sequence = application->sequence,
        };
    }
    return status;
}

/* Where commits are missing, a fit whose name is used again was removed by one of them, and what
 * was salvaged gives way to a part that was committed. */
static void make_way(const struct application *application, const struct dms_edit *edit)
{
    struct dms_catalog *catalog = &application->replay->catalog;
    if (edit->type == DMS_EDIT_SET_FIT) {
        const struct dms_fit_record *other = dms_catalog_fit_of_edit(catalog, edit);
        if (other && other->number != edit->set_fit.fit) {
            struct dms_edit removal = {.type = DMS_EDIT_REMOVE_FIT, .remove_fit = {other->number}};
            (void)dms_catalog_apply(catalog, &removal, application->segment);
        }
    } else if (edit->type == DMS_EDIT_SET_FIT_PART && !application->is_salvaged) {
        struct dms_fit_record *fit = dms_catalog_fit(catalog, edit->set_fit_part.fit);
        if (fit) {
            dms_fit_record_drop_overlapping(fit, edit);
        }
    }
}

static int apply_edit(void *context, const struct dms_edit *edit)
{
    const struct application *application = context;
    struct dms_catalog *catalog = &application->replay->catalog;
    if (application->is_lenient) {
        make_way(application, edit);
    }
    if (edit->type == DMS_EDIT_SET_SCHEMA && application->is_lenient) {
        /* A later schema may have been taken from a segment block already. */
        struct dms_schema *schema;
        int status = dms_schema_decode(edit->set_schema.schema,
                                       (size_t)edit->set_schema.schema_bytes, &schema);
        bool is_older = status == 0 && schema->version < catalog->schema->version;
        if (status == 0) {
            dms_schema_free(schema);
        }
        if (is_older) {
            return 0;
        }
    }
    int status = dms_catalog_apply(catalog, edit, application->segment);
    if (status == 0 && (edit->type == DMS_EDIT_ADD_GROUP || edit->type == DMS_EDIT_ADD_BATCH)) {
        status = note_addition(application, edit);
    }
    return status == DMS_ERR_CORRUPT && application->is_lenient ? 0 : status;
}

/* The newest schema that a segment block tells, if it is newer than the catalog's. */
static int adopt_schema(const struct dms_survey *survey, struct dms_catalog *catalog)
{
    const struct dms_schema *newest = catalog->schema;
    for (size_t k = 0; k < survey->file_ct; k++) {
        const struct dms_schema *schema = survey->files[k].schema;
        if (schema && !survey->files[k].is_foreign &&
            (!newest || schema->version > newest->version)) {
            newest = schema;
        }
    }
    if (newest == catalog->schema) {
        return 0;
    }
    struct dms_schema *copy;
    int status = dms_schema_copy(newest, &copy);
    if (status == 0) {
        dms_schema_free(catalog->schema);
        catalog->schema = copy;
    }
    return status;
}

/* The schema that the first commit builds on. */
static int begin_schema(const struct dms_survey *survey, const struct dms_schema *fallback,
                        struct dms_catalog *catalog)
{
    const struct dms_schema *first = NULL;
    for (size_t k = 0; k < survey->file_ct && !first; k++) {
        first = survey->files[k].is_foreign ? NULL : survey->files[k].schema;
    }
    first = first ? first : fallback;
    if (!first) {
        return dms_fail(DMS_ERR_CORRUPT,
                        "store '%s' has no segment block that is readable: its schema is lost",
                        survey->store_path);
    }
    return dms_schema_copy(first, &catalog->schema);
}

static int apply_commit(struct dms_survey *survey, const struct dms_found_commit *commit,
                        bool is_lenient, struct dms_replay *replay)
{
    struct dms_survey_file *file = &survey->files[commit->file];
    const struct dms_commit_fields *fields = &commit->block.commit;
    struct application application = {
        .replay = replay,
        .segment = file->number,
        .sequence = fields->sequence,
        .is_lenient = is_lenient,
    };
    /* Before the edits: a commit may drop segments, but never its own. */
    int status = dms_catalog_note_commit(&replay->catalog, survey, commit);
    if (status == 0) {
        status = dms_commit_each_edit(survey, commit, apply_edit, &application);
    }
    if (status == 0 && !is_lenient && replay->catalog.schema->version != fields->schema_version) {
        status = dms_fail(DMS_ERR_CORRUPT,
                          "commit %" PRIu64 " says schema version %u, the schema is version %u",
                          fields->sequence, (unsigned)fields->schema_version,
                          (unsigned)replay->catalog.schema->version);
    }
    if (dms_is_damage(status)) {
        replay->is_exact = false;
        if (is_lenient) {
            return 0;
        }
        struct dms_found_block *block = dms_survey_block(file, commit->block.offset);
        status = dms_survey_note_block(survey, file, block);
    }
    return status;
}

static int apply_lost(const struct dms_survey *survey, const struct dms_lost_transaction *lost,
                      uint64_t sequence, struct dms_replay *replay)
{
    const struct dms_survey_file *file = &survey->files[lost->file];
    struct application application = {
        .replay = replay,
        .segment = file->number,
        .sequence = lost->is_certain ? sequence : 0,
        .is_salvaged = true,
        .is_lenient = true,
    };
    struct dms_edit edit;
    size_t at = 0;
    int status;
    replay->is_exact = false;
    while ((status = dms_edit_next(lost->edits.data, lost->edits.size, &at, &edit)) > 0) {
        status = apply_edit(&application, &edit);
        if (status != 0) {
            return status;
        }
    }
    return status ? status : dms_catalog_extend_segment(&replay->catalog, file, lost->end);
}

uint64_t dms_history_lost_sequence(const struct dms_history *history,
                                   const struct dms_lost_transaction *lost)
{
    uint64_t expected = history->state_sequence + 1;
    for (size_t k = history->begin; k < history->commit_ct; k++) {
        uint64_t sequence = sequence_of(history->commits[k]);
        uint64_t missing = expected > lost->after ? expected : lost->after + 1;
        if (missing < sequence || sequence >= lost->before) {
            return missing < sequence ? missing : sequence;
        }
        expected = sequence + 1;
    }
    return history->highest + 1;
}

/* Lost transactions in the order in which they are to be applied. */
struct lost_queue {
    struct lost_entry {
        uint64_t sequence;
        const struct dms_lost_transaction *lost;
    } * entries;
    size_t entry_ct;
    size_t at; /* the next to be applied */
};

static int compare_entries(const void *a, const void *b)
{
    const struct lost_entry *left = a;
    const struct lost_entry *right = b;
    if (left->sequence != right->sequence) {
        return left->sequence < right->sequence ? -1 : 1;
    }
    return (left->lost > right->lost) - (left->lost < right->lost);
}

static int make_queue(const struct dms_history *history, const struct dms_lost_transaction *lost,
                      size_t lost_ct, struct lost_queue *queue)
{
    queue->entries = dms_alloc(lost_ct, sizeof *queue->entries);
    if (!queue->entries) {
        return DMS_ERR_NO_MEMORY;
    }
    for (size_t k = 0; k < lost_ct; k++) {
        queue->entries[queue->entry_ct++] =
            (struct lost_entry){dms_history_lost_sequence(history, &lost[k]), &lost[k]};
    }
    qsort(queue->entries, queue->entry_ct, sizeof *queue->entries, compare_entries);
    return 0;
}

/* Applies the lost transactions up to a sequence number. */
static int apply_lost_until(struct lost_queue *queue, const struct dms_survey *survey,
                            uint64_t last, struct dms_replay *replay)
{
    int status = 0;
    while (status == 0 && queue->at < queue->entry_ct &&
           queue->entries[queue->at].sequence <= last) {
        const struct lost_entry *entry = &queue->entries[queue->at++];
        status = apply_lost(survey, entry->lost, entry->sequence, replay);
    }
    return status;
}

int dms_history_replay(struct dms_history *history, struct dms_survey *survey,
                       const struct dms_lost_transaction *lost, size_t lost_ct,
                       const struct dms_schema *fallback, struct dms_replay *replay)
{
    struct dms_replay made = {.is_exact = !history->is_rebuilt};
    struct lost_queue queue = {0};
    uint64_t expected = history->state_sequence + 1;
    made.catalog = history->state;
    history->state = (struct dms_catalog){0};
    int status = made.catalog.schema ? 0 : begin_schema(survey, fallback, &made.catalog);
    status = status ? status : make_queue(history, lost, lost_ct, &queue);
    for (size_t k = history->begin; status == 0 && k < history->commit_ct; k++) {
        uint64_t sequence = sequence_of(history->commits[k]);
        bool is_missing = sequence > expected;
        made.is_exact = made.is_exact && !is_missing;
        status = apply_lost_until(&queue, survey, sequence, &made);
        if (status == 0) {
            status = apply_commit(survey, history->commits[k], !made.is_exact, &made);
        }
        expected = sequence + 1;
    }
    if (status == 0) {
        made.is_exact = made.is_exact && expected > history->highest;
        status = apply_lost_until(&queue, survey, UINT64_MAX, &made);
    }
    if (status == 0 && !made.is_exact) {
        status = adopt_schema(survey, &made.catalog);
    }
    free(queue.entries);
    if (status != 0) {
        dms_replay_end(&made);
        return status;
    }
    *replay = made;
    return 0;
}

void dms_replay_end(struct dms_replay *replay)
{
    dms_catalog_clear(&replay->catalog);
    free(replay->additions);
    *replay = (struct dms_replay){0};
}
