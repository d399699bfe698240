/*
 * Spool files: rows that a worker wrote without the index (on a network file system), one file a
 * call, and their collection into the store. A spool file is a segment block, a rows block and a
 * commit block (SPEC.md section 5).
 */
#include "dmstore/store.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "format/ids.h"
#include "format/schema.h"
#include "kernels/kernels.h"
#include "store/paths.h"
#include "store/segment.h"
#include "store/staged.h"
#include "store/store_handle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- writing ---- */

struct spool_edits {
    struct dms_buffer encoded;
    uint32_t edit_ct;
};

static int add_edit(void *context, const struct dms_edit *edit)
{
    struct spool_edits *edits = context;
    edits->edit_ct++;
    return dms_edit_encode(edit, &edits->encoded);
}

static int write_blocks(const struct dms_schema *schema, const struct dms_row *rows, size_t row_ct,
                        struct dms_segment_writer *writer)
{
    struct spool_edits edits = {0};
    uint64_t batch_ct;
    const struct dms_row **pointers = dms_alloc(row_ct, sizeof *pointers);
    if (!pointers) {
        return DMS_ERR_NO_MEMORY;
    }
    int status = 0;
    for (size_t k = 0; status == 0 && k < row_ct; k++) {
        pointers[k] = &rows[k];
        status = dms_row_check(schema, &rows[k]);
    }
    if (status == 0) {
        status = dms_rows_write(schema, pointers, row_ct, 0, writer, add_edit, &edits, &batch_ct);
    }
    if (status == 0) {
        struct dms_block block = {
            .type = DMS_BLOCK_COMMIT,
            .commit =
                {
                    .sequence = 1,
                    .begin = writer->committed,
                    .time_ns = dms_now_ns(),
                    .edit_ct = edits.edit_ct,
                    .schema_version = schema->version,
                    .blocks_hash =
                        dms_hash64(writer->header_hashes.data, writer->header_hashes.size),
                    .next_group = 1,
                    .next_batch = batch_ct,
                    .next_segment = 1,
                },
        };
        status = dms_segment_add(writer, &block, edits.encoded.data, edits.encoded.size);
    }
    free(pointers);
    dms_buffer_free(&edits.encoded);
    return status;
}

/* Writes the file under a temporary name and gives it its name when it is durable. */
static int write_file(const char *spool, const char *name, const uint8_t store_uuid[DMS_UUID_BYTES],
                      const struct dms_schema *schema, const struct dms_row *rows, size_t row_ct)
{
    struct dms_segment_writer writer = {.descriptor = -1};
    char *temporary = dms_format("%s/%s.tmp", spool, name);
    char *final = dms_format("%s/%s.dms", spool, name);
    int status = temporary && final ? 0 : DMS_ERR_NO_MEMORY;
    if (status == 0) {
        status =
            dms_segment_create_at(temporary, store_uuid, 0, DMS_SEGMENT_SPOOL, schema, 0, &writer);
    }
    if (status == 0) {
        status = write_blocks(schema, rows, row_ct, &writer);
        status = status ? status : dms_segment_flush(&writer);
        status = status ? status : dms_file_sync(writer.descriptor, writer.path);
        status = status ? status : dms_file_rename(temporary, final);
        status = status ? status : dms_directory_sync(spool);
        if (status != 0) {
            struct dms_error_state failure;
            dms_error_save(&failure);
            (void)dms_file_remove(temporary);
            dms_error_restore(&failure);
        }
        dms_segment_writer_close(&writer);
    }
    free(temporary);
    free(final);
    return status;
}

/* The store's uuid from one of its segment files, or from a manifest. */
struct uuid_search {
    const char *store_path;
    uint8_t *store_uuid;
};

static int read_uuid(const char *path, uint64_t number, uint8_t *store_uuid)
{
    struct dms_buffer payload = {0};
    struct dms_segment_fields fields;
    uint64_t extent;
    int descriptor = dms_open(path, O_RDONLY, 0);
    int status = descriptor < 0 ? descriptor
                                : dms_segment_read_fields(descriptor, path, number, &payload,
                                                          &fields, &extent);
    if (status == 0) {
        memcpy(store_uuid, fields.store_uuid, DMS_UUID_BYTES);
    }
    dms_close(descriptor);
    dms_buffer_free(&payload);
    return status;
}

/* Ends the search at the first segment that can be read. */
static int try_segment(void *context, uint64_t number)
{
    const struct uuid_search *search = context;
    char *path = dms_path_segment(search->store_path, number);
    int status = path ? read_uuid(path, number, search->store_uuid) : DMS_ERR_NO_MEMORY;
    free(path);
    return status == 0 ? DMS_END : status == DMS_ERR_NO_MEMORY ? status : 0;
}

static int read_store_uuid(const char *path, uint8_t *store_uuid)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        return dms_fail_errno("cannot open '%s'", path);
    }
    if (S_ISREG(info.st_mode)) {
        return read_uuid(path, 0, store_uuid);
    }
    struct uuid_search search = {path, store_uuid};
    int status = dms_segments_list(path, try_segment, &search);
    return status == DMS_END ? 0
           : status          ? status
                    : dms_fail(DMS_ERR_CORRUPT, "store '%s' has no readable segment", path);
}

/* Makes the spool directory, durably, when it is not there. */
static int make_directory(const char *spool)
{
    if (mkdir(spool, 0775) != 0) {
        return errno == EEXIST ? 0 : dms_fail_errno("cannot create directory '%s'", spool);
    }
    char *parent = dms_path_parent(spool);
    int status = parent ? dms_directory_sync(parent) : DMS_ERR_NO_MEMORY;
    free(parent);
    return status;
}

int dms_spool_write(const char *spool, const char *store_path, const struct dms_row *rows,
                    size_t row_ct)
{
    struct dms_schema *schema = NULL;
    uint8_t store_uuid[DMS_UUID_BYTES];
    uint8_t random[DMS_UUID_BYTES];
    char name[2 * DMS_UUID_BYTES + 1];
    if (row_ct == 0) {
        return 0;
    }
    int status = dms_schema_read(store_path, &schema);
    if (status == 0) {
        status = read_store_uuid(store_path, store_uuid);
    }
    if (status == 0) {
        status = make_directory(spool);
    }
    if (status == 0) {
        status = dms_uuid_make(random);
    }
    if (status == 0) {
        for (size_t k = 0; k < DMS_UUID_BYTES; k++) {
            static const char digits[] = "0123456789abcdef";
            name[2 * k] = digits[random[k] >> 4];
            name[2 * k + 1] = digits[random[k] & 15];
        }
        name[2 * DMS_UUID_BYTES] = '\0';
        status = write_file(spool, name, store_uuid, schema, rows, row_ct);
    }
    dms_schema_free(schema);
    return status;
}

/* ---- collecting ---- */

/* A spool file in memory, and its rows as the append functions take them. */
struct spool_file {
    const char *path;
    struct dms_buffer segment_payload;
    struct dms_schema *schema;
    struct dms_buffer payload; /* of all rows blocks */
    struct dms_row_layout layout;
    uint64_t row_ct;
    uint32_t *destination; /* column of the store for each column of the file's schema */
};

static void spool_file_clear(struct spool_file *file)
{
    dms_buffer_free(&file->segment_payload);
    dms_buffer_free(&file->payload);
    dms_schema_free(file->schema);
    free(file->destination);
}

/* Each column of the file must be one of the store's, with the same shape. */
static int match_schema(struct spool_file *file, const struct dms_schema *store_schema)
{
    file->destination = dms_alloc(file->schema->column_ct, sizeof *file->destination);
    if (!file->destination) {
        return DMS_ERR_NO_MEMORY;
    }
    if (file->schema->example_ct != store_schema->example_ct) {
        return dms_fail(DMS_ERR_INVALID,
                        "spool file '%s' is about %" PRIu64 " examples, the store about %" PRIu64,
                        file->path, file->schema->example_ct, store_schema->example_ct);
    }
    for (uint32_t c = DMS_SCHEMA_FIRST_VALUE_COLUMN; c < file->schema->column_ct; c++) {
        const struct dms_column *column = &file->schema->columns[c];
        int status = dms_schema_find(store_schema, column->name, &file->destination[c]);
        if (status == 0) {
            const struct dms_column *found = &store_schema->columns[file->destination[c]];
            if (found->dtype != column->dtype || found->element_bits != column->element_bits ||
                found->kind != column->kind || found->target_ct != column->target_ct ||
                found->values_per_target != column->values_per_target) {
                status =
                    dms_fail(DMS_ERR_INVALID, "column %s has another shape or dtype in the store",
                             column->name);
            }
        }
        if (status != 0) {
            return dms_fail_prefix(status, "spool file '%s'", file->path);
        }
    }
    return 0;
}

/* Reads the block at *offset and moves on; its payload is appended to file->payload for a rows
 * block. */
static int read_block(struct spool_file *file, int descriptor, uint64_t size, uint64_t *offset,
                      struct dms_block *block)
{
    int status = dms_block_read_header(descriptor, file->path, 0, *offset, size, block);
    if (status != 0) {
        return status;
    }
    size_t before = file->payload.size;
    status = dms_buffer_append_zeros(&file->payload, (size_t)block->payload_bytes);
    if (status == 0) {
        status = dms_block_read_payload(descriptor, file->path, block, file->payload.data + before);
    }
    if (block->type != DMS_BLOCK_ROWS) {
        file->payload.size = before;
    }
    *offset += dms_block_extent(block);
    return status;
}

static int read_blocks(struct spool_file *file, int descriptor, uint64_t offset)
{
    uint64_t size;
    struct dms_block block;
    int status = dms_file_size(descriptor, file->path, &size);
    do {
        if (status == 0) {
            status = read_block(file, descriptor, size, &offset, &block);
        }
        if (status == 0 && block.type == DMS_BLOCK_ROWS) {
            if (block.rows.column_ct != file->schema->column_ct ||
                block.rows.row_bytes != file->layout.row_bytes ||
                block.payload_bytes != (uint64_t)block.rows.row_ct * block.rows.row_bytes) {
                status = dms_fail(DMS_ERR_CORRUPT, "spool file '%s': rows do not fit the schema",
                                  file->path);
            }
            file->row_ct += block.rows.row_ct;
        } else if (status == 0 && block.type != DMS_BLOCK_COMMIT) {
            status =
                dms_fail(DMS_ERR_CORRUPT, "spool file '%s': unexpected block at offset 0x%" PRIx64,
                         file->path, block.offset);
        }
    } while (status == 0 && block.type != DMS_BLOCK_COMMIT);
    return status;
}

static int read_file(struct spool_file *file, const struct dms_store *store,
                     const struct dms_schema *store_schema)
{
    struct dms_segment_fields fields;
    uint64_t offset;
    int descriptor = dms_open(file->path, O_RDONLY, 0);
    if (descriptor < 0) {
        return descriptor;
    }
    int status = dms_segment_read_fields(descriptor, file->path, 0, &file->segment_payload, &fields,
                                         &offset);
    if (status == 0 && (fields.kind != DMS_SEGMENT_SPOOL ||
                        memcmp(fields.store_uuid, store->uuid, DMS_UUID_BYTES) != 0)) {
        status = dms_fail(DMS_ERR_INVALID, "'%s' is not a spool file of this store", file->path);
    }
    if (status == 0) {
        status = dms_schema_decode(fields.schema, fields.schema_bytes, &file->schema);
    }
    if (status == 0) {
        status = match_schema(file, store_schema);
    }
    if (status == 0) {
        status = dms_row_layout_make(file->schema, file->schema->column_ct, &file->layout);
    }
    if (status == 0) {
        status = read_blocks(file, descriptor, offset);
    }
    dms_close(descriptor);
    return status;
}

/* Where column c's values go in struct dms_row: its place among the store's columns of that kind.
 */
static uint32_t place_among_kind(const struct dms_schema *schema, uint32_t column)
{
    uint32_t place = 0;
    for (uint32_t c = 0; c < column; c++) {
        place += schema->columns[c].kind == schema->columns[column].kind;
    }
    return place;
}

/* Memory that a row built from a file needs: pointers for all columns, and bytes for unpacked
 * bools. */
struct row_memory {
    const void **outputs;
    const void **scalars;
    struct dms_sampling sampling;
    uint8_t *bools;
};

/* Points `row` at the values in a spooled row. */
static void view_row(const struct spool_file *file, const struct dms_schema *store_schema,
                     const uint8_t *from, struct row_memory *memory, struct dms_row *row)
{
    uint8_t *bools = memory->bools;
    *row = (struct dms_row){
        .id = dms_load_u64(from),
        .mask = from + file->layout.mask,
        .outputs = memory->outputs,
        .scalars = memory->scalars,
    };
    if (dms_load_u32(from + 20) != 0) {
        memory->sampling = (struct dms_sampling){.seed = dms_load_u64(from + 8),
                                                 .subset_size = dms_load_u32(from + 16)};
        row->sampling = &memory->sampling;
    }
    for (uint32_t c = DMS_SCHEMA_FIRST_VALUE_COLUMN; c < file->schema->column_ct; c++) {
        const struct dms_column *column = &file->schema->columns[c];
        uint32_t bit = c - DMS_SCHEMA_FIRST_VALUE_COLUMN;
        const void *values = from + file->layout.offsets[c];
        if (!(from[file->layout.presence + (bit >> 3)] >> (bit & 7) & 1)) {
            continue;
        }
        if (column->dtype == DMS_BOOL) {
            size_t value_ct = (size_t)dms_column_value_ct(column);
            dms_kernels_get()->unpack_bits(values, value_ct, bools);
            values = bools;
            bools += value_ct;
        }
        const void **slots = column->kind == DMS_COLUMN_OUTPUT ? memory->outputs : memory->scalars;
        slots[place_among_kind(store_schema, file->destination[c])] = values;
    }
}

static int append_file(struct spool_file *file, dms_store *store,
                       const struct dms_schema *store_schema, enum dms_on_duplicate on_duplicate,
                       struct dms_write_result *result)
{
    uint32_t column_ct = store_schema->column_ct;
    size_t bool_bytes = 1;
    for (uint32_t c = DMS_SCHEMA_FIRST_VALUE_COLUMN; c < file->schema->column_ct; c++) {
        bool_bytes += file->schema->columns[c].dtype == DMS_BOOL
                          ? (size_t)dms_column_value_ct(&file->schema->columns[c])
                          : 0;
    }
    size_t row_ct = (size_t)file->row_ct;
    struct dms_row *rows = dms_alloc(row_ct, sizeof *rows);
    struct row_memory *memory = dms_alloc(row_ct, sizeof *memory);
    const void **slots = dms_alloc(row_ct * 2 * column_ct, sizeof *slots);
    uint8_t *bools = dms_alloc(row_ct, bool_bytes);
    int status = rows && memory && slots && bools ? 0 : DMS_ERR_NO_MEMORY;
    for (size_t k = 0; status == 0 && k < row_ct; k++) {
        memory[k].outputs = slots + k * 2 * column_ct;
        memory[k].scalars = memory[k].outputs + column_ct;
        memory[k].bools = bools + k * bool_bytes;
        view_row(file, store_schema, file->payload.data + k * file->layout.row_bytes, &memory[k],
                 &rows[k]);
    }
    if (status == 0) {
        status = dms_append_rows(store, rows, row_ct, on_duplicate, result);
    }
    free(rows);
    free(memory);
    free(slots);
    free(bools);
    return status;
}

static int collect_file(dms_store *store, const char *path, enum dms_on_duplicate on_duplicate,
                        bool keep_file, struct dms_write_result *result)
{
    struct spool_file file = {.path = path};
    struct dms_index_txn *txn;
    struct dms_schema *store_schema = NULL;
    struct dms_write_result added = {0};
    int status = dms_index_begin(store->index, false, &txn);
    if (status == 0) {
        status = dms_index_get_schema(txn, &store_schema);
        dms_index_abort(txn);
    }
    if (status == 0) {
        status = read_file(&file, store, store_schema);
    }
    if (status == 0) {
        status = append_file(&file, store, store_schema, on_duplicate, &added);
        if (status != 0) {
            status = dms_fail_prefix(status, "spool file '%s'", path);
        }
    }
    if (status == 0) {
        result->added_ct += added.added_ct;
        result->unchanged_ct += added.unchanged_ct;
        result->kept_ct += added.kept_ct;
        result->replaced_ct += added.replaced_ct;
        status = keep_file ? 0 : dms_file_remove(path);
    }
    spool_file_clear(&file);
    dms_schema_free(store_schema);
    return status;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in `spool` that end in .dms, sorted. */
static int list_files(const char *spool, char ***names, size_t *name_ct)
{
    size_t capacity = 0;
    int status = 0;
    DIR *directory = opendir(spool);
    *names = NULL;
    *name_ct = 0;
    if (!directory) {
        return dms_fail_errno("cannot open directory '%s'", spool);
    }
    for (struct dirent *entry; status == 0 && (entry = readdir(directory)) != NULL;) {
        size_t length = strlen(entry->d_name);
        if (length < 4 || strcmp(entry->d_name + length - 4, ".dms") != 0) {
            continue;
        }
        char *path = dms_path_join(spool, entry->d_name);
        status = path ? dms_grow((void **)names, &capacity, *name_ct + 1, sizeof **names)
                      : DMS_ERR_NO_MEMORY;
        if (status == 0) {
            (*names)[(*name_ct)++] = path;
        } else {
            free(path);
        }
    }
    closedir(directory);
    if (*name_ct > 0) {
        qsort(*names, *name_ct, sizeof **names, compare_names);
    }
    return status;
}

int dms_spool_collect(dms_store *store, const char *spool, enum dms_on_duplicate on_duplicate,
                      bool keep_files, struct dms_write_result *result)
{
    struct dms_write_result added = {0};
    struct dms_error_state first_failure = {0};
    char **names;
    size_t name_ct;
    int status = list_files(spool, &names, &name_ct);
    for (size_t k = 0; k < name_ct; k++) {
        int failed =
            status == 0 ? collect_file(store, names[k], on_duplicate, keep_files, &added) : 0;
        if (failed != 0 && first_failure.code == 0) {
            dms_error_save(&first_failure);
        }
        free(names[k]);
    }
    free(names);
    if (result) {
        *result = added;
    }
    return status == 0 && first_failure.code != 0 ? dms_error_restore(&first_failure) : status;
}
