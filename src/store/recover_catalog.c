/*
 * Making a replayed catalog sound: see recover_parts.h.
 */
#include "store/recover_parts.h"

#include "base/alloc.h"
#include "base/error.h"
#include "format/ids.h"
#include "format/schema.h"

#include <stdlib.h>
#include <string.h>

/* ---- when containers were added ---- */

static int compare_additions(const void *a, const void *b)
{
    const struct dms_addition *left = a;
    const struct dms_addition *right = b;
    if (left->is_staged != right->is_staged) {
        return left->is_staged ? 1 : -1;
    }
    return (left->number > right->number) - (left->number < right->number);
}

/* How a group or batch was added; NULL when it was part of the state at the beginning. Numbers are
 * used once. */
static const struct dms_addition *find_addition(const struct dms_replay *replay, bool is_staged,
                                                uint64_t number)
{
    struct dms_addition wanted = {.is_staged = is_staged, .number = number};
    return replay->additions ? bsearch(&wanted, replay->additions, replay->addition_ct,
                                       sizeof wanted, compare_additions)
                             : NULL;
}

static uint64_t added_at(const struct dms_replay *replay, bool is_staged, uint64_t number)
{
    const struct dms_addition *addition = find_addition(replay, is_staged, number);
    return addition ? addition->sequence : 0;
}

/* ---- removing rows ---- */

/* The rows of a group or batch, which look alike. */
struct container {
    bool is_staged;
    uint64_t number;
    uint32_t row_ct;
    uint32_t *live_ct;
    uint8_t **removed;
    const uint8_t *runs;
    uint32_t run_bytes;
};

static size_t container_ct(const struct dms_catalog *catalog)
{
    return catalog->group_ct + catalog->batch_ct;
}

static struct container container_at(const struct dms_catalog *catalog, size_t position)
{
    if (position < catalog->group_ct) {
        struct dms_group_record *group = &catalog->groups[position];
        return (struct container){false,           group->number, group->row_ct,   &group->live_ct,
                                  &group->removed, group->runs,   group->run_bytes};
    }
    struct dms_batch_record *batch = &catalog->batches[position - catalog->group_ct];
    return (struct container){
        true,        batch->number,   batch->row_ct, &batch->live_ct, &batch->removed,
        batch->runs, batch->run_bytes};
}

static int remove_row(const struct container *container, uint32_t row)
{
    if (!*container->removed) {
        *container->removed = dms_alloc(((size_t)container->row_ct + 7) / 8, 1);
        if (!*container->removed) {
            return DMS_ERR_NO_MEMORY;
        }
    }
    (*container->removed)[row >> 3] |= (uint8_t)(1u << (row & 7));
    *container->live_ct -= 1;
    return 0;
}

/* ---- what the old index knew ---- */

static const uint8_t *known_removed(const struct dms_catalog *known,
                                    const struct container *container)
{
    if (container->is_staged) {
        const struct dms_batch_record *batch = dms_catalog_batch(known, container->number);
        return batch && batch->row_ct == container->row_ct ? batch->removed : NULL;
    }
    const struct dms_group_record *group = dms_catalog_group(known, container->number);
    return group && group->row_ct == container->row_ct ? group->removed : NULL;
}

static int remove_known(struct dms_recovery *recovery)
{
    struct dms_replay *replay = &recovery->replay;
    int status = 0;
    for (size_t k = 0; status == 0 && k < container_ct(&replay->catalog); k++) {
        struct container container = container_at(&replay->catalog, k);
        const uint8_t *removed = known_removed(&recovery->known.catalog, &container);
        for (uint32_t row = 0; status == 0 && removed && row < container.row_ct; row++) {
            if (dms_row_is_removed(removed, row) && !dms_row_is_removed(*container.removed, row)) {
                status = remove_row(&container, row);
            }
        }
    }
    return status;
}

/* ---- ids that are there more than once ---- */

/* A row with its id, live or removed. */
struct placed_row {
    uint64_t id;
    uint64_t sequence; /* of the commit that added it */
    size_t position;   /* of its container */
    uint32_t row;
    bool is_staged;
    bool is_live;
};

struct placed_rows {
    struct placed_row *rows;
    size_t row_ct, capacity;
};

static int collect_rows(const struct dms_replay *replay, size_t position,
                        struct placed_rows *placed)
{
    struct container container = container_at(&replay->catalog, position);
    struct placed_row row = {
        .sequence = added_at(replay, container.is_staged, container.number),
        .position = position,
        .is_staged = container.is_staged,
    };
    struct dms_ids_iterator iterator =
        dms_ids_begin(container.runs, container.run_bytes, container.row_ct);
    struct dms_id_span span;
    int status = dms_grow((void **)&placed->rows, &placed->capacity,
                          placed->row_ct + container.row_ct, sizeof *placed->rows);
    while (status == 0 && (status = dms_ids_next(&iterator, &span)) > 0) {
        for (uint32_t k = 0; k < span.count; k++) {
            row.id = span.first + k;
            row.row = span.row + k;
            row.is_live = !dms_row_is_removed(*container.removed, row.row);
            placed->rows[placed->row_ct++] = row;
        }
        status = 0;
    }
    return status;
}

/* Equal ids: the newest last. Of those from one commit, or from before all commits, live ones are
 * newer than removed ones, and a group is newer than the batches it was sealed from. */
static int compare_rows(const void *a, const void *b)
{
    const struct placed_row *left = a;
    const struct placed_row *right = b;
    if (left->id != right->id) {
        return left->id < right->id ? -1 : 1;
    }
    if (left->sequence != right->sequence) {
        return left->sequence < right->sequence ? -1 : 1;
    }
    if (left->is_live != right->is_live) {
        return left->is_live ? 1 : -1;
    }
    if (left->is_staged != right->is_staged) {
        return left->is_staged ? -1 : 1;
    }
    return (left->position > right->position) - (left->position < right->position);
}

/* A live row must not be older than another with its id, even if that was removed since: whoever
 * added that removed this. */
static int remove_older_copies(struct dms_recovery *recovery)
{
    const struct dms_catalog *catalog = &recovery->replay.catalog;
    struct placed_rows placed = {0};
    int status = 0;
    for (size_t k = 0; status == 0 && k < container_ct(catalog); k++) {
        status = collect_rows(&recovery->replay, k, &placed);
    }
    if (placed.row_ct > 1) {
        qsort(placed.rows, placed.row_ct, sizeof *placed.rows, compare_rows);
    }
    for (size_t k = 0; status == 0 && k + 1 < placed.row_ct; k++) {
        if (placed.rows[k].is_live && placed.rows[k].id == placed.rows[k + 1].id) {
            struct container container = container_at(catalog, placed.rows[k].position);
            status = remove_row(&container, placed.rows[k].row);
        }
    }
    free(placed.rows);
    return status;
}

int dms_recovery_remove_superseded(struct dms_recovery *recovery)
{
    struct dms_replay *replay = &recovery->replay;
    if (replay->addition_ct > 1) {
        qsort(replay->additions, replay->addition_ct, sizeof *replay->additions, compare_additions);
    }
    if (replay->is_exact) {
        return 0; /* then every removal is known */
    }
    int status = recovery->has_known ? remove_known(recovery) : 0;
    return status ? status : remove_older_copies(recovery);
}

/* ---- damage ---- */

static void drop_column(struct dms_group_record *group, uint32_t column_id)
{
    uint32_t kept = 0;
    for (uint32_t c = 0; c < group->column_ct; c++) {
        if (group->columns[c].column_id != column_id) {
            group->columns[kept++] = group->columns[c];
        }
    }
    group->column_ct = kept;
}

/* Marks the containers that are lost, and drops columns that need not be there. */
static void mark_damaged(struct dms_recovery *recovery, bool *is_lost)
{
    struct dms_catalog *catalog = &recovery->replay.catalog;
    for (size_t k = 0; k < recovery->references.item_ct; k++) {
        const struct dms_reference *reference = &recovery->references.items[k];
        if (dms_reference_is_of_fit(reference) ||
            dms_reference_holds(&recovery->survey, reference)) {
            continue;
        }
        recovery->is_changed = true;
        if (reference->kind == DMS_REFERENCE_ROWS) {
            is_lost[catalog->group_ct + reference->container] = true;
        } else if (reference->column_id <= DMS_SCHEMA_ID_COLUMN ||
                   !recovery->options->keep_partial) {
            is_lost[reference->container] = true;
        } else {
            drop_column(&catalog->groups[reference->container], reference->column_id);
        }
    }
    for (size_t g = 0; g < catalog->group_ct; g++) {
        if (!dms_group_record_column(&catalog->groups[g], DMS_SCHEMA_MASK_COLUMN) ||
            !dms_group_record_column(&catalog->groups[g], DMS_SCHEMA_ID_COLUMN)) {
            is_lost[g] = true;
            recovery->is_changed = true;
        }
    }
    for (size_t k = 0; !recovery->replay.is_exact && k < container_ct(catalog); k++) {
        is_lost[k] |= *container_at(catalog, k).live_ct == 0; /* superseded: costs no rows */
    }
}

static int drop_groups(struct dms_recovery *recovery, const bool *is_lost)
{
    struct dms_catalog *catalog = &recovery->replay.catalog;
    size_t kept = 0;
    int status = 0;
    for (size_t g = 0; g < catalog->group_ct; g++) {
        if (!is_lost[g]) {
            catalog->groups[kept++] = catalog->groups[g];
            continue;
        }
        status = status ? status : dms_id_set_add_group(&recovery->lost, &catalog->groups[g]);
        dms_group_record_clear(&catalog->groups[g]);
    }
    catalog->group_ct = kept;
    return status;
}

static int drop_batches(struct dms_recovery *recovery, const bool *is_lost)
{
    struct dms_catalog *catalog = &recovery->replay.catalog;
    size_t kept = 0;
    int status = 0;
    for (size_t b = 0; b < catalog->batch_ct; b++) {
        if (!is_lost[b]) {
            catalog->batches[kept++] = catalog->batches[b];
            continue;
        }
        status = status ? status : dms_id_set_add_batch(&recovery->lost, &catalog->batches[b]);
        dms_batch_record_clear(&catalog->batches[b]);
    }
    catalog->batch_ct = kept;
    return status;
}

int dms_recovery_drop_damaged(struct dms_recovery *recovery)
{
    struct dms_catalog *catalog = &recovery->replay.catalog;
    size_t group_ct = catalog->group_ct;
    bool *is_lost = dms_alloc(container_ct(catalog) + 1, sizeof *is_lost);
    if (!is_lost) {
        return DMS_ERR_NO_MEMORY;
    }
    mark_damaged(recovery, is_lost);
    int status = drop_groups(recovery, is_lost);
    int batch_status = drop_batches(recovery, is_lost + group_ct);
    free(is_lost);
    return status ? status : batch_status;
}

/* ---- numbers, schema, segments ---- */

static void raise(uint64_t *next, uint64_t used)
{
    if (*next <= used) {
        *next = used + 1;
    }
}

/* No number is ever given out again, also those of what was lost. */
static void complete_numbers(struct dms_recovery *recovery)
{
    struct dms_catalog *catalog = &recovery->replay.catalog;
    const struct dms_survey *survey = &recovery->survey;
    for (size_t f = 0; f < survey->file_ct; f++) {
        const struct dms_survey_file *file = &survey->files[f];
        raise(&catalog->next_segment, file->number);
        for (size_t k = 0; k < file->block_ct; k++) {
            const struct dms_found_block *block = &file->blocks[k];
            if (block->type == DMS_BLOCK_CHUNK || block->type == DMS_BLOCK_DIRECTORY) {
                raise(&catalog->next_group, block->number);
            } else if (block->type == DMS_BLOCK_ROWS) {
                raise(&catalog->next_batch, block->number);
            }
        }
    }
    if (recovery->has_known) {
        const struct dms_catalog *known = &recovery->known.catalog;
        raise(&catalog->next_group, known->next_group - 1);
        raise(&catalog->next_batch, known->next_batch - 1);
        raise(&catalog->next_segment, known->next_segment - 1);
    }
}

/* Segments whose file is gone can have nothing live. Those whose segment block is damaged have no
 * uuid any more, so that readers go by the hashes of what they look for. */
static void complete_segments(struct dms_recovery *recovery)
{
    struct dms_catalog *catalog = &recovery->replay.catalog;
    static const uint8_t unknown[DMS_UUID_BYTES];
    size_t kept = 0;
    for (size_t k = 0; k < catalog->segment_ct; k++) {
        struct dms_segment_record record = catalog->segments[k];
        const struct dms_survey_file *file = dms_survey_file(&recovery->survey, record.number);
        if (!file || file->descriptor < 0 || file->is_foreign) {
            recovery->is_changed = true;
            continue;
        }
        if (record.committed_bytes > file->size) {
            record.committed_bytes = file->size;
            recovery->is_changed = true;
        }
        if (!file->schema && memcmp(record.uuid, unknown, DMS_UUID_BYTES) != 0) {
            memcpy(record.uuid, unknown, DMS_UUID_BYTES);
            recovery->is_changed = true;
        }
        catalog->segments[kept++] = record;
    }
    catalog->segment_ct = kept;
}

static int complete_schema(struct dms_recovery *recovery)
{
    struct dms_catalog *catalog = &recovery->replay.catalog;
    if (!recovery->schema || recovery->schema->version <= catalog->schema->version) {
        return 0;
    }
    struct dms_schema *copy;
    int status = dms_schema_copy(recovery->schema, &copy);
    if (status == 0) {
        dms_schema_free(catalog->schema);
        catalog->schema = copy;
        recovery->is_changed = true;
    }
    return status;
}

static void count_salvaged(struct dms_recovery *recovery)
{
    const struct dms_catalog *catalog = &recovery->replay.catalog;
    for (size_t k = 0; k < container_ct(catalog); k++) {
        struct container container = container_at(catalog, k);
        const struct dms_addition *addition =
            find_addition(&recovery->replay, container.is_staged, container.number);
        if (addition && addition->is_salvaged) {
            recovery->salvaged_ct += *container.live_ct;
        }
    }
}

int dms_recovery_complete(struct dms_recovery *recovery)
{
    complete_numbers(recovery);
    complete_segments(recovery);
    count_salvaged(recovery);
    return complete_schema(recovery);
}
