/*
 * Fits of a store (include/dmstore/fit.h): beginning one, adding a part, removing one. A part is
 * compared with what is there on a snapshot, without a lock; under the writer lock it is only
 * checked that nothing has come in between.
 */
#include "store/store_handle.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "format/ids.h"
#include "format/schema.h"
#include "store/bulk_segment.h"
#include "store/fit_part.h"
#include "store/paths.h"
#include "store/snapshot.h"
#include "store/transaction.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What is smaller goes to the log, under the writer lock; else to a bulk segment, before it. */
#define LOG_PART_BYTES (UINT64_C(1) << 20)

/* A part is read whole, to check its hash, before any of its targets is lent, and damage to a byte
 * costs all of them: what comes in one piece is kept in parts of about this size. */
#define PART_BYTES (UINT64_C(4) << 20)

/* A number that no fit and no part had or will have: 62 random bits, and not 0. */
static int number_make(uint64_t *number)
{
    uint8_t random[DMS_UUID_BYTES];
    int status = dms_uuid_make(random);
    *number = dms_load_u64(random) >> 1 | 1;
    return status;
}

/* ---- headers ---- */

/* Whether a fit with this header can be one of this store: uuid, d, output and n. */
static int check_store(const struct dms_commit *commit, const struct dms_fit_header *header)
{
    const struct dms_schema *schema = commit->schema;
    uint32_t column;
    if (memcmp(header->store_uuid, commit->store->uuid, DMS_UUID_BYTES) != 0) {
        return dms_fail(DMS_ERR_CONFLICT, "fit '%s' is of another store than '%s'", header->name,
                        commit->store->path);
    }
    int status = dms_schema_find(schema, header->output, &column);
    if (status != 0) {
        return dms_fail_prefix(status, "fit '%s'", header->name);
    }
    if (schema->columns[column].kind != DMS_COLUMN_OUTPUT ||
        schema->columns[column].target_ct != header->target_ct ||
        schema->example_ct != header->example_ct) {
        return dms_fail(DMS_ERR_CONFLICT,
                        "fit '%s' is of %" PRIu64 " targets of output %s and %" PRIu64
                        " examples, which is not what store '%s' has",
                        header->name, header->target_ct, header->output, header->example_ct,
                        commit->store->path);
    }
    return 0;
}

static int read_header_at(int descriptor, const char *path,
                          const struct dms_segment_record *segment,
                          const struct dms_fit_record *record, struct dms_fit_header **header)
{
    struct dms_block block;
    uint8_t *payload = NULL;
    int status = dms_block_read_header(descriptor, path, segment->number, record->offset,
                                       segment->committed_bytes, &block);
    if (status == 0 && (block.type != DMS_BLOCK_FIT || block.header_hash != record->header_hash)) {
        status = dms_fail(DMS_ERR_CORRUPT,
                          "segment '%s': the header of fit '%s' is not at offset 0x%" PRIx64
                          ": run 'dmstore verify'",
                          path, record->name, record->offset);
    }
    if (status == 0) {
        payload = dms_alloc_aligned(DMS_BLOCK_ALIGNMENT, (size_t)block.payload_bytes + 1);
        status =
            payload ? dms_block_read_payload(descriptor, path, &block, payload) : DMS_ERR_NO_MEMORY;
    }
    status = status ? status : dms_fit_header_decode(payload, (size_t)block.payload_bytes, header);
    free(payload);
    return status;
}

/* Reads the header of a fit that is there. */
static int read_header(const struct dms_commit *commit, const struct dms_fit_record *record,
                       struct dms_fit_header **header)
{
    struct dms_segment_record segment;
    int status = dms_index_get_segment(commit->txn, record->segment, &segment);
    if (status != 0) {
        return status == DMS_END
                   ? dms_fail(DMS_ERR_CORRUPT,
                              "fit '%s' is in segment %" PRIu64 ", which store '%s' does not have: "
                              "run 'dmstore recover'",
                              record->name, record->segment, commit->store->path)
                   : status;
    }
    char *path = dms_path_segment(commit->store->path, record->segment);
    int descriptor = path ? dms_segment_open(path) : DMS_ERR_NO_MEMORY;
    status =
        descriptor < 0 ? descriptor : read_header_at(descriptor, path, &segment, record, header);
    dms_close(descriptor);
    free(path);
    return status;
}

/* Adds a fit to the commit. */
static int add_fit(struct dms_commit *commit, const struct dms_fit_header *header,
                   const struct dms_buffer *payload, uint64_t number)
{
    struct dms_block block = {.type = DMS_BLOCK_FIT, .fit = number};
    int status = dms_segment_add(commit->writer, &block, payload->data, payload->size);
    if (status == 0) {
        struct dms_edit edit = {
            .type = DMS_EDIT_SET_FIT,
            .set_fit =
                {
                    .fit = number,
                    .offset = block.offset,
                    .header_hash = block.header_hash,
                    .stored_bytes = dms_block_extent(&block),
                    .time_ns = dms_now_ns(),
                    .name_bytes = (uint32_t)strlen(header->name),
                    .name = (const uint8_t *)header->name,
                },
        };
        status = dms_commit_edit(commit, &edit);
    }
    return status;
}

/* ---- beginning ---- */

static int commit_begin(void *context, struct dms_commit *commit)
{
    const struct dms_fit_header *header = context;
    struct dms_fit_record record = {0};
    struct dms_fit_header *begun = NULL;
    struct dms_buffer payload = {0};
    uint64_t number;
    int status = check_store(commit, header);
    status = status ? status : dms_index_find_fit(commit->txn, header->name, &record);
    if (status == 0) {
        status = read_header(commit, &record, &begun);
        status = status ? status : dms_fit_header_compare(begun, header);
        status = status ? status : DMS_END; /* it is there */
    } else if (status == DMS_END) {
        status = number_make(&number);
        status = status ? status : dms_fit_header_encode(header, &payload);
        status = status ? status : add_fit(commit, header, &payload, number);
    }
    dms_buffer_free(&payload);
    dms_fit_record_clear(&record);
    free(begun);
    return status;
}

int dms_store_begin_fit(dms_store *store, const struct dms_fit_header *header)
{
    int status = dms_fit_header_check(header);
    status = status ? status : dms_commit_run(store, NULL, commit_begin, (void *)header);
    return status == DMS_END ? 0 : status;
}

/* ---- adding a part ---- */

/* Some of the new targets, as a part of the store. */
struct piece {
    dms_fit_part content; /* what it points to is the caller's part's */
    uint64_t number;
    struct dms_coded_part coded;
    struct dms_buffer runs; /* its targets */
    uint32_t run_bytes;
};

/* A part on its way into the store, as the store was when it was looked at. */
struct addition {
    struct dms_store *store;
    dms_fit_part fresh; /* the targets that are new; what it points to is the caller's part's */
    bool is_begun;      /* the fit was there */
    uint64_t fit;       /* its number, or the one it will have */
    struct piece *pieces;
    size_t piece_ct, piece_capacity;
    struct dms_segment_writer writer; /* of a bulk segment that holds the pieces already */
    bool is_written;
};

static bool is_same_f64(const double *a, const double *b, size_t count)
{
    return count == 0 || memcmp(a, b, count * sizeof *a) == 0;
}

static bool is_same_u32(const uint32_t *a, const uint32_t *b, size_t count)
{
    return count == 0 || memcmp(a, b, count * sizeof *a) == 0;
}

/* Whether two targets have the very same numbers. */
static bool is_same_target(const struct dms_fitted_target *a, const struct dms_fitted_target *b)
{
    return a->flags == b->flags && a->row_ct == b->row_ct && a->weight_ct == b->weight_ct &&
           a->path_ct == b->path_ct && a->chosen == b->chosen &&
           is_same_f64(&a->bias, &b->bias, 1) && is_same_f64(&a->lambda, &b->lambda, 1) &&
           is_same_f64(&a->gap, &b->gap, 1) &&
           is_same_f64(&a->null_deviance, &b->null_deviance, 1) &&
           is_same_f64(&a->mean, &b->mean, 1) &&
           is_same_u32(a->examples, b->examples, a->weight_ct) &&
           is_same_f64(a->weights, b->weights, a->weight_ct) &&
           is_same_f64(a->path_lambdas, b->path_lambdas, a->path_ct) &&
           is_same_f64(a->path_errors, b->path_errors, a->path_ct) &&
           is_same_f64(a->path_gaps, b->path_gaps, a->path_ct) &&
           is_same_u32(a->path_weight_cts, b->path_weight_cts, a->path_ct);
}

/* Takes a target unless the fit has it. EXISTS: it has it with other numbers. */
static int take_target(struct addition *addition, const dms_fit *there,
                       struct dms_fitted_target *target)
{
    struct dms_fitted_target found;
    size_t position;
    int status = there ? dms_fit_find(there, target->target, &position) : DMS_ERR_NOT_FOUND;
    if (status == DMS_ERR_NOT_FOUND) {
        addition->fresh.targets[addition->fresh.target_ct++] = target;
        return 0;
    }
    status = status ? status : dms_fit_target(there, position, &found);
    if (status == 0 && !is_same_target(&found, target)) {
        status = dms_fail(DMS_ERR_EXISTS,
                          "fit '%s' has target %" PRIu64
                          " already, with other numbers: fit it under another name, or remove the "
                          "fit ('dmstore rm-fit')",
                          addition->fresh.header->name, target->target);
    }
    return status;
}

/* Looks at the store as it is: is the part's fit there, and which of the targets are new? */
static int look(struct addition *addition, const dms_fit_part *part)
{
    struct dms_snapshot *snapshot = NULL;
    dms_fit *there = NULL;
    int status = dms_store_snapshot(addition->store, &snapshot);
    const struct dms_fit_record *record =
        status == 0 ? dms_catalog_fit_named(dms_snapshot_catalog(snapshot), part->header->name)
                    : NULL;
    addition->is_begun = record != NULL;
    if (record) {
        addition->fit = record->number;
        status = dms_fit_open(snapshot, record->name, &there);
        status = status ? status : dms_fit_header_compare(dms_fit_get_header(there), part->header);
    } else if (status == 0) {
        status = number_make(&addition->fit);
    }
    addition->fresh.target_ct = 0;
    for (size_t k = 0; status == 0 && k < part->target_ct; k++) {
        status = take_target(addition, there, part->targets[k]);
    }
    dms_fit_close(there);
    dms_snapshot_close(snapshot);
    return status;
}

static void clear_pieces(struct addition *addition)
{
    for (size_t k = 0; k < addition->piece_ct; k++) {
        dms_buffer_free(&addition->pieces[k].runs);
        dms_coded_part_clear(&addition->pieces[k].coded);
    }
    addition->piece_ct = 0;
}

/* About what a target takes in a part. */
static uint64_t target_bytes(const struct dms_fitted_target *target)
{
    return 100 + 12 * (uint64_t)target->weight_ct + 28 * (uint64_t)target->path_ct;
}

/* Divides the new targets among pieces. */
static int cut(struct addition *addition)
{
    const dms_fit_part *fresh = &addition->fresh;
    struct piece *piece = NULL;
    uint64_t piece_bytes = 0;
    int status = 0;
    clear_pieces(addition);
    for (size_t k = 0; status == 0 && k < fresh->target_ct; k++) {
        uint64_t bytes = target_bytes(fresh->targets[k]);
        if (!piece || piece_bytes + bytes > PART_BYTES) {
            status = dms_grow((void **)&addition->pieces, &addition->piece_capacity,
                              addition->piece_ct + 1, sizeof *addition->pieces);
            if (status != 0) {
                break;
            }
            piece = &addition->pieces[addition->piece_ct++];
            *piece = (struct piece){.content = *fresh};
            piece->content.targets += k;
            piece->content.target_ct = 0;
            piece_bytes = 0;
        }
        piece->content.target_ct++;
        piece_bytes += bytes;
    }
    return status;
}

/* Encodes the targets of a piece, and the list of them. */
static int code_piece(const struct addition *addition, struct piece *piece)
{
    size_t target_ct = piece->content.target_ct;
    uint64_t *targets = dms_alloc(target_ct, sizeof *targets);
    if (!targets) {
        return DMS_ERR_NO_MEMORY;
    }
    for (size_t k = 0; k < target_ct; k++) {
        targets[k] = piece->content.targets[k]->target;
    }
    int status = dms_ids_encode(targets, (uint32_t)target_ct, &piece->runs, &piece->run_bytes);
    status = status ? status : number_make(&piece->number);
    status = status ? status : dms_fit_part_code(&piece->content, &piece->coded);
    piece->coded.block.fit_part.fit = addition->fit;
    piece->coded.block.fit_part.part = piece->number;
    free(targets);
    return status;
}

/* Encodes all. *bytes: what their blocks take. */
static int code(struct addition *addition, uint64_t *bytes)
{
    int status = cut(addition);
    *bytes = 0;
    for (size_t k = 0; status == 0 && k < addition->piece_ct; k++) {
        status = code_piece(addition, &addition->pieces[k]);
        *bytes += status == 0 ? dms_block_extent(&addition->pieces[k].coded.block) : 0;
    }
    return status;
}

/* Whether none of the pieces has a target of a part: 0, or DMS_END. */
static int check_apart(const struct addition *addition, const struct dms_fit_part_record *part)
{
    for (size_t k = 0; k < addition->piece_ct; k++) {
        const struct piece *piece = &addition->pieces[k];
        uint64_t target;
        if (dms_target_runs_overlap(part->runs, part->run_bytes, part->target_ct, piece->runs.data,
                                    piece->run_bytes, (uint32_t)piece->content.target_ct,
                                    &target)) {
            return DMS_END;
        }
    }
    return 0;
}

/* Whether the fit is what it was when it was looked at, as far as these targets are concerned: 0,
 * or DMS_END. */
static int check_unchanged(const struct addition *addition, struct dms_commit *commit)
{
    struct dms_fit_record record = {0};
    int status = dms_index_find_fit(commit->txn, addition->fresh.header->name, &record);
    bool is_there = status == 0;
    if (status == DMS_END) {
        status = 0;
    }
    if (status == 0 &&
        (is_there != addition->is_begun || (is_there && record.number != addition->fit))) {
        status = DMS_END;
    }
    for (size_t k = 0; status == 0 && k < record.part_ct; k++) {
        status = check_apart(addition, &record.parts[k]);
    }
    dms_fit_record_clear(&record);
    return status;
}

/* Says in the commit where a piece is. */
static int commit_piece(const struct addition *addition, struct piece *piece,
                        struct dms_commit *commit)
{
    const struct dms_block *block = &piece->coded.block;
    struct dms_edit edit = {
        .type = DMS_EDIT_SET_FIT_PART,
        .set_fit_part =
            {
                .fit = addition->fit,
                .part = piece->number,
                .offset = block->offset,
                .header_hash = block->header_hash,
                .stored_bytes = dms_block_extent(block),
                .sequence = commit->meta.sequence + 1,
                .time_ns = dms_now_ns(),
                .target_ct = (uint32_t)piece->content.target_ct,
                .run_bytes = piece->run_bytes,
                .runs = piece->runs.data,
            },
    };
    return dms_commit_edit(commit, &edit);
}

static int add_pieces(struct addition *addition, struct dms_segment_writer *writer)
{
    int status = 0;
    for (size_t k = 0; status == 0 && k < addition->piece_ct; k++) {
        struct dms_coded_part *coded = &addition->pieces[k].coded;
        status = dms_segment_add_framed(writer, &coded->block, coded->framed);
    }
    return status;
}

static int commit_part(void *context, struct dms_commit *commit)
{
    struct addition *addition = context;
    int status = check_store(commit, addition->fresh.header);
    status = status ? status : check_unchanged(addition, commit);
    if (status == 0 && !addition->is_written) {
        status = add_pieces(addition, commit->writer);
    }
    if (status == 0 && !addition->is_begun) {
        status = add_fit(commit, addition->fresh.header, &addition->pieces[0].coded.header,
                         addition->fit);
    }
    for (size_t k = 0; status == 0 && k < addition->piece_ct; k++) {
        status = commit_piece(addition, &addition->pieces[k], commit);
    }
    return status;
}

/* Writes a large part where nobody has to wait for it. */
static int write_part(struct addition *addition)
{
    struct dms_schema *schema = NULL;
    struct dms_snapshot *snapshot = NULL;
    int status = dms_store_snapshot(addition->store, &snapshot);
    status = status ? status : dms_schema_copy(dms_snapshot_schema(snapshot), &schema);
    dms_snapshot_close(snapshot);
    status =
        status ? status : dms_bulk_segment_begin(addition->store, schema, true, &addition->writer);
    status = status ? status : add_pieces(addition, &addition->writer);
    status = status ? status : dms_bulk_segment_sync(addition->store, &addition->writer);
    addition->is_written = status == 0;
    dms_schema_free(schema);
    return status;
}

/* One attempt; DMS_END when the fit has changed meanwhile. */
static int add_part(struct addition *addition, const dms_fit_part *part)
{
    int status = look(addition, part);
    if (status != 0 || addition->fresh.target_ct == 0) {
        return status;
    }
    uint64_t bytes;
    status = code(addition, &bytes);
    bool is_large = status == 0 && bytes > LOG_PART_BYTES;
    addition->is_written = false;
    if (is_large) {
        status = write_part(addition);
    }
    if (status == 0) {
        status = dms_commit_run(addition->store, is_large ? &addition->writer : NULL, commit_part,
                                addition);
    }
    dms_bulk_segment_end(addition->store, &addition->writer);
    return status;
}

int dms_store_merge_fit(dms_store *store, const dms_fit_part *part, uint64_t *added_ct)
{
    struct addition addition = {.store = store, .fresh = *part, .writer = {.descriptor = -1}};
    int status;
    if (part->target_ct == 0) {
        return dms_fail(DMS_ERR_INVALID, "fit '%s': this part has no targets", part->header->name);
    }
    addition.fresh.targets = dms_alloc(part->target_ct, sizeof *addition.fresh.targets);
    if (!addition.fresh.targets) {
        return DMS_ERR_NO_MEMORY;
    }
    do {
        status = add_part(&addition, part);
    } while (status == DMS_END);
    if (status == 0 && added_ct) {
        *added_ct = addition.fresh.target_ct;
    }
    clear_pieces(&addition);
    free(addition.pieces);
    free(addition.fresh.targets);
    return status;
}

/* ---- removing ---- */

static int commit_removal(void *context, struct dms_commit *commit)
{
    const char *name = context;
    struct dms_fit_record record = {0};
    int status = dms_index_find_fit(commit->txn, name, &record);
    if (status == DMS_END) {
        return dms_fail(DMS_ERR_NOT_FOUND, "there is no fit '%s' in store '%s'", name,
                        commit->store->path);
    }
    if (status == 0) {
        struct dms_edit edit = {.type = DMS_EDIT_REMOVE_FIT, .remove_fit = {record.number}};
        status = dms_commit_edit(commit, &edit);
    }
    dms_fit_record_clear(&record);
    return status;
}

int dms_store_remove_fit(dms_store *store, const char *name)
{
    return dms_commit_run(store, NULL, commit_removal, (void *)name);
}
