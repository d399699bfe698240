/*
 * Salvage: see salvage.h. Blocks between two commits of a file that neither covers belong to a
 * transaction whose commit was destroyed. Their ids, directories and rows tell its edits; what it
 * removed is seen later, by ids that are live twice.
 */
#include "store/salvage.h"

#include "base/alloc.h"
#include "base/endian.h"
#include "base/error.h"
#include "format/fit.h"
#include "format/ids.h"
#include "format/rows.h"
#include "store/codec.h"
#include "store/scan.h"
#include "store/tile_directory.h"

#include <stdlib.h>
#include <string.h>

/* One lost transaction being looked at: blocks first .. end - 1 of a file. */
struct run {
    const struct dms_survey *survey;
    const struct dms_salvage_options *options;
    struct dms_salvage *salvage;
    const struct dms_survey_file *file;
    size_t first, end;
    struct dms_lost_transaction *transaction;
    uint32_t last_column_ct; /* columns of the group before, 0 at the first */
};

static int add_edit(struct run *run, const struct dms_edit *edit)
{
    return dms_edit_encode(edit, &run->transaction->edits);
}

static int add_lost_ids(struct run *run, const uint64_t *ids, uint32_t id_ct)
{
    struct dms_salvage *salvage = run->salvage;
    if (!run->transaction->is_certain) {
        return 0;
    }
    int status = dms_grow((void **)&salvage->lost_ids, &salvage->lost_id_capacity,
                          salvage->lost_id_ct + id_ct, sizeof *salvage->lost_ids);
    for (uint32_t k = 0; status == 0 && k < id_ct; k++) {
        salvage->lost_ids[salvage->lost_id_ct++] = ids[k];
    }
    return status;
}

/* ---- batches ---- */

/* Reads the ids of a rows block that is right. */
static int read_batch_ids(const struct run *run, const struct dms_block *block, uint64_t **ids)
{
    const struct dms_rows_fields *fields = &block->rows;
    struct dms_row_layout layout;
    uint8_t *payload;
    int status = dms_row_layout_make(run->options->schema, fields->column_ct, &layout);
    if (status == 0 && (fields->row_bytes != layout.row_bytes || fields->row_ct == 0 ||
                        block->payload_bytes != (uint64_t)fields->row_ct * fields->row_bytes)) {
        status = dms_fail(DMS_ERR_CORRUPT, "a rows block does not fit the schema");
    }
    status = status ? status : dms_survey_read_payload(run->file, block, &payload);
    if (status != 0) {
        return status;
    }
    *ids = dms_alloc(fields->row_ct, sizeof **ids);
    for (uint32_t row = 0; *ids && row < fields->row_ct; row++) {
        (*ids)[row] = dms_load_u64(payload + (size_t)row * fields->row_bytes);
    }
    free(payload);
    return *ids ? 0 : DMS_ERR_NO_MEMORY;
}

static int salvage_batch(struct run *run, const struct dms_found_block *found)
{
    struct dms_block block;
    struct dms_buffer runs = {0};
    uint64_t *ids = NULL;
    uint32_t run_bytes;
    int status = dms_survey_read_header(run->file, found, &block);
    status = status ? status : read_batch_ids(run, &block, &ids);
    if (status == 0) {
        status = dms_ids_encode(ids, block.rows.row_ct, &runs, &run_bytes);
    }
    if (status == 0) {
        struct dms_edit edit = {
            .type = DMS_EDIT_ADD_BATCH,
            .add_batch =
                {
                    .batch = block.rows.batch,
                    .row_ct = block.rows.row_ct,
                    .run_bytes = run_bytes,
                    .offset = block.offset,
                    .header_hash = block.header_hash,
                    .column_ct = block.rows.column_ct,
                    .runs = runs.data,
                },
        };
        status = add_edit(run, &edit);
    }
    dms_buffer_free(&runs);
    free(ids);
    return dms_is_damage(status) || status == DMS_ERR_INVALID ? 0 : status;
}

/* ---- fits ---- */

static int salvage_fit(struct run *run, const struct dms_found_block *found)
{
    struct dms_block block;
    struct dms_fit_header *header = NULL;
    uint8_t *payload = NULL;
    int status = dms_survey_read_header(run->file, found, &block);
    status = status ? status : dms_survey_read_payload(run->file, &block, &payload);
    status = status ? status : dms_fit_header_decode(payload, (size_t)block.payload_bytes, &header);
    if (status == 0) {
        struct dms_edit edit = {
            .type = DMS_EDIT_SET_FIT,
            .set_fit =
                {
                    .fit = block.fit,
                    .offset = block.offset,
                    .header_hash = block.header_hash,
                    .stored_bytes = dms_block_extent(&block),
                    .name_bytes = (uint32_t)strlen(header->name),
                    .name = (const uint8_t *)header->name,
                },
        };
        status = add_edit(run, &edit);
    }
    free(header);
    free(payload);
    return dms_is_damage(status) ? 0 : status;
}

static int add_part_edit(struct run *run, const struct dms_block *block,
                         const struct dms_fit_part_view *view)
{
    struct dms_buffer runs = {0};
    uint32_t run_bytes;
    int status = dms_ids_encode(view->targets, (uint32_t)view->target_ct, &runs, &run_bytes);
    if (status == 0) {
        struct dms_edit edit = {
            .type = DMS_EDIT_SET_FIT_PART,
            .set_fit_part =
                {
                    .fit = block->fit_part.fit,
                    .part = block->fit_part.part,
                    .offset = block->offset,
                    .header_hash = block->header_hash,
                    .stored_bytes = dms_block_extent(block),
                    .sequence = run->transaction->after + 1,
                    .target_ct = (uint32_t)view->target_ct,
                    .run_bytes = run_bytes,
                    .runs = runs.data,
                },
        };
        status = add_edit(run, &edit);
    }
    dms_buffer_free(&runs);
    return status;
}

static int salvage_fit_part(struct run *run, const struct dms_found_block *found)
{
    struct dms_block block;
    struct dms_fit_part_view view;
    uint8_t *payload = NULL;
    int status = dms_survey_read_header(run->file, found, &block);
    status = status ? status : dms_survey_read_payload(run->file, &block, &payload);
    status = status ? status : dms_fit_part_view(payload, (size_t)block.payload_bytes, &view);
    status = status ? status : dms_fit_part_check(payload, &view);
    status = status ? status : add_part_edit(run, &block, &view);
    free(payload);
    return dms_is_damage(status) ? 0 : status;
}

/* Headers first: a part can only be put into a fit that is there. */
static int salvage_fits(struct run *run)
{
    int status = 0;
    for (size_t k = run->first; status == 0 && k < run->end; k++) {
        if (run->file->blocks[k].type == DMS_BLOCK_FIT) {
            status = salvage_fit(run, &run->file->blocks[k]);
        }
    }
    for (size_t k = run->first; status == 0 && k < run->end; k++) {
        if (run->file->blocks[k].type == DMS_BLOCK_FIT_PART) {
            status = salvage_fit_part(run, &run->file->blocks[k]);
        }
    }
    return status;
}

/* ---- groups ---- */

/* What is known of one group of the run. */
struct group {
    uint64_t number;
    bool has_id_blocks; /* it was added here; else only columns of it were */
    uint64_t *ids;      /* owned; NULL when they cannot be read */
    uint32_t row_ct;
    bool has_mask;
    bool has_id_column;
    bool has_bad_column;     /* a column that is not whole */
    struct dms_buffer edits; /* set-column edits of the whole ones */
    uint32_t column_ct;      /* how many those are */
};

/* Reads the ids of a group from its id chunk. */
static int read_group_ids(const struct run *run, const struct dms_found_block *found,
                          struct group *group)
{
    const struct dms_schema *schema = run->options->schema;
    const struct dms_column *column = &schema->columns[1];
    struct dms_block block;
    uint8_t *payload = NULL;
    uint8_t *rows = NULL;
    int status = dms_survey_read_header(run->file, found, &block);
    status = status ? status : dms_chunk_check(schema, column, &block);
    status = status ? status : dms_survey_read_payload(run->file, &block, &payload);
    if (status != 0) {
        return status;
    }
    uint32_t row_ct = block.chunk.row_ct;
    uint64_t *ids = dms_alloc(row_ct, sizeof *ids);
    rows = dms_alloc(row_ct, sizeof *ids);
    status = ids && rows ? dms_chunk_decode(column, &block, payload, NULL, true, rows)
                         : DMS_ERR_NO_MEMORY;
    for (uint32_t row = 0; status == 0 && row < row_ct; row++) {
        ids[row] = dms_load_u64(rows + (size_t)row * 8);
    }
    if (status == 0 && !group->ids) {
        group->ids = ids;
        group->row_ct = row_ct;
        ids = NULL;
    }
    free(ids);
    free(rows);
    free(payload);
    return status;
}

/* Checks all tiles of a directory; *stored_bytes is what they take together. */
static int check_tiles(const struct run *run, const struct dms_directory *directory,
                       uint64_t *stored_bytes)
{
    *stored_bytes = dms_block_extent(&directory->block);
    int status = 0;
    for (uint32_t tile = 0; status == 0 && tile < directory->block.directory.tile_ct; tile++) {
        struct dms_found_block *chunk;
        struct dms_block block;
        status = dms_directory_tile(directory, tile, &chunk, &block);
        if (status == 0) {
            *stored_bytes += dms_block_extent(&block);
            status = dms_scan_check_payload(run->file->descriptor, run->file->path, &block);
        }
    }
    return status;
}

static int salvage_column(const struct run *run, const struct dms_found_block *found,
                          struct group *group)
{
    struct dms_directory directory = {0};
    uint64_t stored_bytes;
    int status = dms_directory_open(run->file, run->options->schema, found, &directory);
    status = status ? status : check_tiles(run, &directory, &stored_bytes);
    if (status == 0) {
        const struct dms_directory_fields *fields = &directory.block.directory;
        struct dms_edit edit = {
            .type = DMS_EDIT_SET_COLUMN,
            .set_column = {fields->group, fields->column_id, fields->present_ct,
                           directory.block.offset, directory.block.header_hash, stored_bytes},
        };
        status = dms_edit_encode(&edit, &group->edits);
        group->column_ct++;
        group->has_mask |= fields->column_id == 0;
        group->has_id_column |= fields->column_id == 1;
    } else if (dms_is_damage(status)) {
        group->has_bad_column = true;
        status = 0;
    }
    dms_directory_close(&directory);
    return status;
}

/* Whether a directory of the chunk's column stands in the run, after its tiles. */
static bool has_directory(const struct run *run, size_t chunk)
{
    const struct dms_found_block *blocks = run->file->blocks;
    for (size_t k = chunk + 1; k < run->end; k++) {
        if (blocks[k].type == DMS_BLOCK_DIRECTORY && blocks[k].number == blocks[chunk].number) {
            return blocks[k].column_id == blocks[chunk].column_id;
        }
    }
    return false;
}

static int read_group(const struct run *run, struct group *group)
{
    int status = 0;
    for (size_t k = run->first; status == 0 && k < run->end; k++) {
        const struct dms_found_block *block = &run->file->blocks[k];
        bool is_chunk = block->type == DMS_BLOCK_CHUNK;
        if ((!is_chunk && block->type != DMS_BLOCK_DIRECTORY) || block->number != group->number) {
            continue;
        }
        group->has_id_blocks |= block->column_id <= 1;
        if (is_chunk) {
            group->has_bad_column |= !has_directory(run, k);
            if (block->column_id == 1) {
                status = read_group_ids(run, block, group);
            }
        } else {
            status = salvage_column(run, block, group);
        }
        status = dms_is_damage(status) ? 0 : status;
    }
    return status;
}

static int add_group_edits(struct run *run, const struct group *group)
{
    struct dms_buffer runs = {0};
    uint32_t run_bytes;
    int status = dms_ids_encode(group->ids, group->row_ct, &runs, &run_bytes);
    if (status == 0) {
        struct dms_edit edit = {
            .type = DMS_EDIT_ADD_GROUP,
            .add_group = {group->number, group->row_ct, run_bytes, runs.data},
        };
        status = add_edit(run, &edit);
    }
    dms_buffer_free(&runs);
    return status;
}

/* Whether columns may have stood after the last block of a group that was cut off with the commit.
 * The old index says how many there were; without it, only a group with all columns, or as many as
 * the group before, is known to be complete. */
static bool may_lack_columns(const struct run *run, const struct group *group)
{
    const struct dms_found_block *last = &run->file->blocks[run->end - 1];
    const struct dms_catalog *known = run->options->known;
    const struct dms_group_record *record = known ? dms_catalog_group(known, group->number) : NULL;
    if (record) {
        return group->column_ct < record->column_ct;
    }
    bool is_last = last->number == group->number && last->type == DMS_BLOCK_DIRECTORY;
    return is_last && group->column_ct < run->options->schema->column_ct &&
           group->column_ct != run->last_column_ct;
}

static int salvage_group(struct run *run, uint64_t number)
{
    struct group group = {.number = number};
    int status = read_group(run, &group);
    bool is_whole = !group.has_bad_column;
    bool is_new = group.has_id_blocks;
    if (is_new) {
        is_whole = is_whole && !may_lack_columns(run, &group);
        run->last_column_ct = group.column_ct;
    }
    is_whole = is_whole || run->options->keep_partial;
    if (is_new) {
        is_whole = is_whole && group.ids && group.has_mask && group.has_id_column;
    }
    if (status == 0 && is_whole) {
        status = is_new ? add_group_edits(run, &group) : 0;
        status = status ? status
                        : dms_buffer_append(&run->transaction->edits, group.edits.data,
                                            group.edits.size);
    } else if (status == 0 && group.ids) {
        status = add_lost_ids(run, group.ids, group.row_ct);
    }
    dms_buffer_free(&group.edits);
    free(group.ids);
    return status;
}

/* Whether this block is the first of its group in the run. */
static bool begins_group(const struct run *run, size_t at)
{
    const struct dms_found_block *block = &run->file->blocks[at];
    if (block->type != DMS_BLOCK_CHUNK && block->type != DMS_BLOCK_DIRECTORY) {
        return false;
    }
    for (size_t k = at; k > run->first; k--) {
        const struct dms_found_block *before = &run->file->blocks[k - 1];
        if ((before->type == DMS_BLOCK_CHUNK || before->type == DMS_BLOCK_DIRECTORY) &&
            before->number == block->number) {
            return false;
        }
    }
    return true;
}

static int salvage_run(struct run *run)
{
    int status = 0;
    run->last_column_ct = 0;
    for (size_t k = run->first; status == 0 && k < run->end; k++) {
        const struct dms_found_block *block = &run->file->blocks[k];
        if (block->type == DMS_BLOCK_ROWS) {
            status = salvage_batch(run, block);
        } else if (begins_group(run, k)) {
            status = salvage_group(run, block->number);
        }
    }
    return status ? status : salvage_fits(run);
}

/* ---- which blocks ---- */

/* Whether the state that the replay begins with was taken after these blocks were dead already. */
static bool is_superseded(const struct dms_history *history, const struct dms_survey_file *file,
                          const struct dms_lost_transaction *transaction)
{
    if (history->state_sequence == 0) {
        return false;
    }
    if (transaction->before <= history->state_sequence) {
        return true;
    }
    const struct dms_segment_record *record = dms_catalog_segment(&history->state, file->number);
    if (record) {
        return transaction->begin < record->committed_bytes;
    }
    return file->number < history->state.next_segment && transaction->after == 0;
}

/* What a crash leaves behind at the end of a file looks like this too: is there a sign that it was
 * committed? is_followed: a commit that counts stands behind it. */
static bool was_committed(const struct dms_history *history, const struct dms_survey_file *file,
                          const struct dms_catalog *known,
                          const struct dms_lost_transaction *transaction, bool is_followed)
{
    if (is_followed) {
        return true;
    }
    if (known) {
        const struct dms_segment_record *record = dms_catalog_segment(known, file->number);
        return record && transaction->begin < record->committed_bytes;
    }
    return transaction->before != UINT64_MAX ||
           dms_history_lost_sequence(history, transaction) <= history->highest;
}

/* Looks at blocks first .. end - 1 of a file, which lie between two commits. */
static int consider(struct run *run, const struct dms_history *history, uint64_t after,
                    uint64_t before, bool is_followed)
{
    const struct dms_survey_file *file = run->file;
    struct dms_salvage *salvage = run->salvage;
    if (run->first == run->end) {
        return 0;
    }
    const struct dms_found_block *last = &file->blocks[run->end - 1];
    struct dms_lost_transaction transaction = {
        .file = (size_t)(file - run->survey->files),
        .begin = file->blocks[run->first].offset,
        .end = last->offset + dms_found_block_extent(last),
        .after = after,
        .before = before,
    };
    const struct dms_catalog *known = run->options->known;
    transaction.is_certain = was_committed(history, file, known, &transaction, is_followed);
    bool is_orphan = known && !transaction.is_certain;
    if (is_orphan || is_superseded(history, file, &transaction)) {
        return 0;
    }
    /* A bulk segment is written long before its commit: rows may have changed meanwhile. The log
     * is written under the writer lock: its tail is the newest there is. */
    transaction.is_certain |= file->record.kind == DMS_SEGMENT_LOG;
    int status = dms_grow((void **)&salvage->transactions, &salvage->transaction_capacity,
                          salvage->transaction_ct + 1, sizeof *salvage->transactions);
    if (status == 0) {
        run->transaction = &salvage->transactions[salvage->transaction_ct++];
        *run->transaction = transaction;
        status = salvage_run(run);
        if (run->transaction->edits.size == 0) {
            salvage->transaction_ct--; /* nothing of it can be told */
        }
    }
    return status;
}

/* The next commit that counts in a file, from commit *at of the survey on; NULL after the last. */
static const struct dms_found_commit *next_commit(const struct dms_survey *survey,
                                                  const struct dms_history *history, size_t file,
                                                  size_t *at)
{
    while (*at < survey->commit_ct) {
        const struct dms_found_commit *commit = &survey->commits[(*at)++];
        if (commit->file == file && commit != history->interrupted) {
            return commit;
        }
    }
    return NULL;
}

/* Goes through the blocks before position `covered` that stand in front of the commit `before` (or
 * the end, UINT64_MAX). The segment block, and commits that do not count, stand between them. */
static int salvage_gap(struct run *run, const struct dms_history *history, size_t covered,
                       uint64_t after, uint64_t before)
{
    const struct dms_survey_file *file = run->file;
    bool is_followed = before != UINT64_MAX;
    int status = 0;
    for (; status == 0 && run->first < covered; run->first = run->end + 1) {
        run->end = run->first;
        while (run->end < covered && file->blocks[run->end].type != DMS_BLOCK_SEGMENT &&
               file->blocks[run->end].type != DMS_BLOCK_COMMIT) {
            run->end++;
        }
        bool has_commit = run->end < covered && file->blocks[run->end].type == DMS_BLOCK_COMMIT;
        uint64_t own = has_commit ? file->blocks[run->end].number : 0;
        status = has_commit ? consider(run, history, own - 1, own + 1, is_followed)
                            : consider(run, history, after, before, is_followed);
        after = has_commit ? own : after;
    }
    return status;
}

static int salvage_file(struct run *run, const struct dms_history *history, size_t file_index)
{
    const struct dms_survey_file *file = &run->survey->files[file_index];
    const struct dms_found_commit *commit;
    size_t at = 0;
    uint64_t after = 0;
    int status = 0;
    run->file = file;
    run->first = 0;
    while (status == 0 && (commit = next_commit(run->survey, history, file_index, &at)) != NULL) {
        const struct dms_commit_fields *fields = &commit->block.commit;
        status = salvage_gap(run, history, dms_survey_position(file, fields->begin), after,
                             fields->sequence);
        after = fields->sequence;
        run->first = dms_survey_position(file, commit->block.offset + 1);
    }
    return status ? status : salvage_gap(run, history, file->block_ct, after, UINT64_MAX);
}

int dms_salvage_find(const struct dms_survey *survey, const struct dms_history *history,
                     const struct dms_salvage_options *options, struct dms_salvage *salvage)
{
    struct dms_salvage made = {0};
    struct run run = {.survey = survey, .options = options, .salvage = &made};
    int status = 0;
    for (size_t k = 0; status == 0 && k < survey->file_ct; k++) {
        if (survey->files[k].descriptor >= 0 && !survey->files[k].is_foreign) {
            status = salvage_file(&run, history, k);
        }
    }
    if (status != 0) {
        dms_salvage_end(&made);
        return status;
    }
    *salvage = made;
    return 0;
}

void dms_salvage_end(struct dms_salvage *salvage)
{
    for (size_t k = 0; k < salvage->transaction_ct; k++) {
        dms_buffer_free(&salvage->transactions[k].edits);
    }
    free(salvage->transactions);
    free(salvage->lost_ids);
    *salvage = (struct dms_salvage){0};
}
