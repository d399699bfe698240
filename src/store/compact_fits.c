/*
 * Moving fits: see compact_fits.h.
 */
#include "store/compact_fits.h"

#include "base/alloc.h"
#include "base/error.h"
#include "store/snapshot_parts.h"

#include <stdlib.h>

/* ---- choosing ---- */

static int add_move(const struct dms_catalog *catalog, const bool *leave, uint64_t segment,
                    const struct dms_fit_move *move, struct dms_fit_moves *moves)
{
    const struct dms_segment_record *record = dms_catalog_segment(catalog, segment);
    if (!record || !leave[record - catalog->segments]) {
        return 0;
    }
    int status = dms_grow((void **)&moves->moves, &moves->capacity, moves->move_ct + 1,
                          sizeof *moves->moves);
    if (status == 0) {
        moves->moves[moves->move_ct++] = *move;
    }
    return status;
}

int dms_fit_moves_choose(const struct dms_catalog *catalog, const bool *leave,
                         struct dms_fit_moves *moves)
{
    int status = 0;
    for (size_t f = 0; status == 0 && f < catalog->fit_ct; f++) {
        struct dms_fit_move move = {.fit = &catalog->fits[f]};
        status = add_move(catalog, leave, move.fit->segment, &move, moves);
        for (size_t p = 0; status == 0 && p < move.fit->part_ct; p++) {
            move.part = &move.fit->parts[p];
            status = add_move(catalog, leave, move.part->segment, &move, moves);
        }
    }
    return status;
}

void dms_fit_moves_clear(struct dms_fit_moves *moves)
{
    free(moves->moves);
    *moves = (struct dms_fit_moves){0};
}

/* ---- writing ---- */

static int copy_block(const struct dms_snapshot *snapshot, struct dms_fit_move *move,
                      struct dms_segment_writer *writer)
{
    uint64_t segment = move->part ? move->part->segment : move->fit->segment;
    uint64_t offset = move->part ? move->part->offset : move->fit->offset;
    uint64_t header_hash = move->part ? move->part->header_hash : move->fit->header_hash;
    struct dms_snapshot_file *file;
    uint64_t committed_bytes;
    uint8_t *framed = NULL;
    int status = dms_snapshot_file(snapshot, segment, &file, &committed_bytes);
    status = status ? status
                    : dms_block_read_header(file->descriptor, file->path, segment, offset,
                                            committed_bytes, &move->block);
    if (status == 0 && move->block.header_hash != header_hash) {
        status = dms_fail(DMS_ERR_CORRUPT,
                          "segment '%s': a block of the fit is not the one that is meant: run "
                          "'dmstore verify'",
                          file->path);
    }
    if (status == 0) {
        framed = dms_alloc_aligned(DMS_BLOCK_ALIGNMENT, (size_t)dms_block_extent(&move->block));
        status = framed ? dms_block_read_payload(file->descriptor, file->path, &move->block,
                                                 framed + DMS_BLOCK_HEADER_BYTES)
                        : DMS_ERR_NO_MEMORY;
    }
    status = status ? status : dms_segment_add_framed(writer, &move->block, framed);
    free(framed);
    return status ? dms_fail_prefix(status, "fit '%s'", move->fit->name) : 0;
}

int dms_fit_moves_write(const struct dms_snapshot *snapshot, struct dms_fit_moves *moves,
                        struct dms_segment_writer *writer)
{
    int status = 0;
    for (size_t k = 0; status == 0 && k < moves->move_ct; k++) {
        status = copy_block(snapshot, &moves->moves[k], writer);
    }
    return status;
}

/* ---- committing ---- */

/* Whether the block is still where the snapshot says: 0, or DMS_END. */
static int check_move(const struct dms_fit_move *move, struct dms_index_txn *txn)
{
    struct dms_fit_record record = {0};
    int status = dms_index_get_fit(txn, move->fit->number, &record);
    if (status == 0 && move->part) {
        const struct dms_fit_part_record *part = dms_fit_record_part(&record, move->part->number);
        bool is_there =
            part && part->segment == move->part->segment && part->offset == move->part->offset;
        status = is_there ? 0 : DMS_END;
    } else if (status == 0 &&
               (record.segment != move->fit->segment || record.offset != move->fit->offset)) {
        status = DMS_END;
    }
    dms_fit_record_clear(&record);
    return status;
}

int dms_fit_moves_commit(const struct dms_fit_moves *moves, struct dms_commit *commit)
{
    int status = 0;
    for (size_t k = 0; status == 0 && k < moves->move_ct; k++) {
        const struct dms_fit_move *move = &moves->moves[k];
        struct dms_edit edit;
        status = check_move(move, commit->txn);
        if (move->part) {
            edit = dms_fit_part_record_edit(move->fit, move->part);
            edit.set_fit_part.offset = move->block.offset;
            edit.set_fit_part.header_hash = move->block.header_hash;
        } else {
            edit = dms_fit_record_edit(move->fit);
            edit.set_fit.offset = move->block.offset;
            edit.set_fit.header_hash = move->block.header_hash;
        }
        status = status ? status : dms_commit_edit(commit, &edit);
    }
    return status;
}
