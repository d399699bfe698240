/*
 * dmstore export: writes masks, outputs, scalars and ids of all models as .npy files, rows by
 * increasing id, the values bit for bit those that came in.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore/convert.h>
#include <dmstore/snapshot.h>
#include <dmstore/store.h>

#include "commands.h"
#include "json.h"
#include "npy_file.h"
#include "options.h"
#include "progress.h"
#include "row_plan.h"

static const char name[] = "export";

/* Values of a group that are in memory at once, unless one row of one tile takes more. */
#define READ_BYTES (64u << 20)

/* Masks that are unpacked at once, unless one takes more. */
#define UNPACK_BYTES (1u << 20)

/* What the command line says. */
struct request {
    const char *path;
    const char *masks;
    bool packed_masks;
    struct tool_list outputs;
    struct tool_list scalars;
    const char *ids;
    bool fill_missing;
    bool as_json;
};

struct exporter {
    dms_snapshot *snapshot;
    const struct dms_schema *schema;
    struct row_plan plan;
    bool fill_missing;
    struct progress progress;
    uint64_t done_bytes, total_bytes;
    uint8_t *data;     /* what was read */
    size_t data_bytes; /* allocated */
};

/* A rectangle of one group that is read at once. */
struct block {
    size_t group;
    uint32_t row, row_ct;
    uint64_t target, target_ct;
    uint64_t row_bytes; /* in memory */
};

static int reserve_data(struct exporter *exporter, uint64_t bytes)
{
    uint8_t *data;

    if (bytes <= exporter->data_bytes)
        return 0;
    data = realloc(exporter->data, bytes);
    if (!data)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %" PRIu64 " bytes of values",
                               bytes);
    exporter->data = data;
    exporter->data_bytes = bytes;
    return 0;
}

/* Counts bytes as written; INTERRUPTED when a signal asks to stop. */
static int advance(struct exporter *exporter, uint64_t bytes)
{
    exporter->done_bytes += bytes;
    if (progress_update(&exporter->progress, exporter->done_bytes, exporter->total_bytes))
        return dms_source_fail(DMS_ERR_INTERRUPTED, "interrupted");
    return 0;
}

/* The part of a piece that lies in a block; row_ct 0: none. */
static struct row_piece piece_in_block(const struct row_piece *piece, const struct block *block)
{
    uint32_t begin = piece->row > block->row ? piece->row : block->row;
    uint32_t piece_end = piece->row + piece->row_ct, block_end = block->row + block->row_ct;
    uint32_t end = piece_end < block_end ? piece_end : block_end;
    struct row_piece part = *piece;

    part.row = begin;
    part.row_ct = end > begin ? end - begin : 0;
    part.file_row += begin - piece->row;
    part.first_id += begin - piece->row;
    return part;
}

/* How many rows of `row_bytes` to read at once, of row_ct. */
static uint32_t rows_at_once(uint64_t row_bytes, uint32_t row_ct)
{
    uint64_t fit = READ_BYTES / row_bytes;

    return fit >= row_ct ? row_ct : fit > 0 ? (uint32_t)fit : 1;
}

/* ---- masks ---- */

static int write_unpacked(struct exporter *exporter, const struct npy_writer *writer,
                          const struct row_piece *part, const uint8_t *masks)
{
    uint64_t example_ct = exporter->schema->example_ct;
    uint64_t mask_bytes = (example_ct + 7) / 8;
    uint64_t room = UNPACK_BYTES > example_ct ? UNPACK_BYTES / example_ct : 1;
    uint8_t *bytes = malloc(room * example_ct);
    int code = 0;

    if (!bytes)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for masks");
    for (uint64_t done = 0; done < part->row_ct && code == 0; done += room) {
        uint64_t row_ct = part->row_ct - done < room ? part->row_ct - done : room;

        for (uint64_t i = 0; i < row_ct; i++)
            dms_unpack_mask(masks + (done + i) * mask_bytes, example_ct, bytes + i * example_ct);
        code = npy_writer_write(writer, part->file_row + done, row_ct, 0, example_ct, bytes);
        if (code == 0)
            code = advance(exporter, row_ct * example_ct);
    }
    free(bytes);
    return code;
}

/* Writes the masks of the pieces first .. end - 1, which are all that their group has. */
static int export_group_masks(struct exporter *exporter, const struct npy_writer *writer,
                              bool packed, size_t first, size_t end)
{
    const struct row_piece *pieces = exporter->plan.pieces;
    uint64_t mask_bytes = (exporter->schema->example_ct + 7) / 8;
    uint32_t rows_end = pieces[end - 1].row + pieces[end - 1].row_ct;
    struct block block = {.group = pieces[first].group, .row = pieces[first].row};
    uint32_t step = rows_at_once(mask_bytes, rows_end - block.row);
    int code = reserve_data(exporter, (uint64_t)step * mask_bytes);

    for (; block.row < rows_end && code == 0; block.row += step) {
        block.row_ct = rows_end - block.row < step ? rows_end - block.row : step;
        code = dms_snapshot_read_masks(exporter->snapshot, block.group, block.row, block.row_ct,
                                       exporter->data);
        for (size_t i = first; i < end && code == 0; i++) {
            struct row_piece part = piece_in_block(&pieces[i], &block);
            const uint8_t *masks = exporter->data + (part.row - block.row) * mask_bytes;

            if (part.row_ct == 0)
                continue;
            if (!packed) {
                code = write_unpacked(exporter, writer, &part, masks);
                continue;
            }
            code = npy_writer_write(writer, part.file_row, part.row_ct, 0, mask_bytes, masks);
            if (code == 0)
                code = advance(exporter, part.row_ct * mask_bytes);
        }
    }
    return code;
}

static int export_masks(struct exporter *exporter, const struct npy_writer *writer, bool packed)
{
    int code = 0;

    for (size_t first = 0, end; first < exporter->plan.piece_ct && code == 0; first = end) {
        end = row_plan_group_end(&exporter->plan, first);
        code = export_group_masks(exporter, writer, packed, first, end);
    }
    return code;
}

/* ---- values ---- */

static bool bit_is_set(const uint8_t *bits, uint64_t index)
{
    return bits[index >> 3] >> (index & 7) & 1;
}

/* The presence bits of a column in a group; the caller frees *present. */
static int read_present(const struct exporter *exporter, size_t group, uint32_t column,
                        uint8_t **present)
{
    struct dms_group_info info;
    int code = dms_snapshot_group(exporter->snapshot, group, &info);

    if (code < 0)
        return code;
    *present = calloc(1, (info.row_ct + 7) / 8 + 1);
    if (!*present)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");
    return dms_snapshot_group_present(exporter->snapshot, group, column, *present);
}

/* Fails, naming the smallest id, when a model has no value in the column. */
static int check_present(const struct exporter *exporter, uint32_t column)
{
    const struct row_plan *plan = &exporter->plan;
    uint64_t missing_ct = 0, smallest_id = UINT64_MAX;
    uint8_t *present = NULL;
    int code = 0;

    for (size_t i = 0; i < plan->piece_ct && code == 0; i++) {
        const struct row_piece *piece = &plan->pieces[i];

        if (i == 0 || piece->group != piece[-1].group) {
            free(present);
            present = NULL;
            code = read_present(exporter, piece->group, column, &present);
        }
        for (uint32_t row = 0; row < piece->row_ct && code == 0; row++) {
            if (bit_is_set(present, piece->row + row))
                continue;
            missing_ct++;
            if (piece->first_id + row < smallest_id)
                smallest_id = piece->first_id + row;
        }
    }
    free(present);
    if (code == 0 && missing_ct > 0)
        return dms_source_fail(
            DMS_ERR_NOT_FOUND,
            "%" PRIu64 " of %" PRIu64 " models have no value in column %s, the first of them model "
            "%" PRIu64 ": --fill-missing writes NaN or 0 for them",
            missing_ct, plan->row_ct, exporter->schema->columns[column].name, smallest_id);
    return code;
}

/* Puts NaN in place of the values of a row (floating-point types; others are zero already). */
static void fill_with_nan(const struct dms_column *column, uint8_t *values, uint64_t bytes)
{
    const uint16_t half = 0x7e00;
    const uint32_t single = 0x7fc00000;
    const uint64_t wide = UINT64_C(0x7ff8000000000000);
    const void *nan = column->dtype == DMS_F16   ? (const void *)&half
                      : column->dtype == DMS_F32 ? (const void *)&single
                      : column->dtype == DMS_F64 ? (const void *)&wide
                                                 : NULL;
    size_t value_bytes = dms_column_value_bytes(column);

    for (uint64_t i = 0; nan && i < bytes; i += value_bytes)
        memcpy(values + i, nan, value_bytes);
}

/* Writes what exporter->data holds of a block for the pieces first .. end - 1. */
static int write_block(struct exporter *exporter, const struct npy_writer *writer,
                       const struct dms_column *column, const struct block *block,
                       const uint8_t *present, size_t first, size_t end)
{
    uint64_t first_byte =
        block->target * column->values_per_target * dms_column_value_bytes(column);

    for (size_t i = first; i < end; i++) {
        struct row_piece part = piece_in_block(&exporter->plan.pieces[i], block);
        uint8_t *values = exporter->data + (part.row - block->row) * block->row_bytes;
        int code;

        if (part.row_ct == 0)
            continue;
        for (uint32_t row = 0; row < part.row_ct; row++) {
            if (!bit_is_set(present, part.row + row))
                fill_with_nan(column, values + row * block->row_bytes, block->row_bytes);
        }
        code = npy_writer_write(writer, part.file_row, part.row_ct, first_byte, block->row_bytes,
                                values);
        if (code == 0)
            code = advance(exporter, part.row_ct * block->row_bytes);
        if (code < 0)
            return code;
    }
    return 0;
}

/* How many targets to read at once: all, or as many whole tiles as fit for row_ct rows. */
static uint64_t targets_at_once(const struct dms_column *column, uint32_t row_ct)
{
    uint64_t target_bytes = column->values_per_target * dms_column_value_bytes(column);
    uint64_t fit = READ_BYTES / (row_ct * target_bytes);

    if (column->tile_targets == 0 || fit >= column->target_ct)
        return fit >= column->target_ct ? column->target_ct : fit > 0 ? fit : 1;
    fit -= fit % column->tile_targets;
    return fit > 0 ? fit : column->tile_targets;
}

/* Writes the values of the pieces first .. end - 1, which are all that their group has. */
static int export_group_values(struct exporter *exporter, const struct npy_writer *writer,
                               uint32_t position, size_t first, size_t end)
{
    const struct dms_column *column = &exporter->schema->columns[position];
    const struct row_piece *pieces = exporter->plan.pieces;
    uint64_t target_bytes = column->values_per_target * dms_column_value_bytes(column);
    uint32_t rows_begin = pieces[first].row;
    uint32_t rows_end = pieces[end - 1].row + pieces[end - 1].row_ct;
    uint64_t target_step = targets_at_once(column, rows_end - rows_begin);
    uint32_t row_step = rows_at_once(target_step * target_bytes, rows_end - rows_begin);
    struct block block = {.group = pieces[first].group};
    uint8_t *present = NULL;
    int code = read_present(exporter, block.group, position, &present);

    if (code == 0)
        code = reserve_data(exporter, row_step * target_step * target_bytes);
    for (; block.target < column->target_ct && code == 0; block.target += target_step) {
        uint64_t targets_left = column->target_ct - block.target;

        block.target_ct = targets_left < target_step ? targets_left : target_step;
        block.row_bytes = block.target_ct * target_bytes;
        for (block.row = rows_begin; block.row < rows_end && code == 0; block.row += row_step) {
            uint32_t rows_left = rows_end - block.row;

            block.row_ct = rows_left < row_step ? rows_left : row_step;
            code = dms_snapshot_read_values(exporter->snapshot, block.group, position, block.row,
                                            block.row_ct, block.target, block.target_ct,
                                            exporter->data);
            if (code == 0)
                code = write_block(exporter, writer, column, &block, present, first, end);
        }
    }
    free(present);
    return code;
}

static int export_values(struct exporter *exporter, const struct npy_writer *writer,
                         uint32_t position)
{
    int code = 0;

    for (size_t first = 0, end; first < exporter->plan.piece_ct && code == 0; first = end) {
        end = row_plan_group_end(&exporter->plan, first);
        code = export_group_values(exporter, writer, position, first, end);
    }
    return code;
}

/* ---- ids ---- */

static int export_ids(struct exporter *exporter, const struct npy_writer *writer)
{
    int code = 0;

    for (size_t i = 0; i < exporter->plan.piece_ct && code == 0; i++) {
        const struct row_piece *piece = &exporter->plan.pieces[i];
        uint64_t *ids;

        code = reserve_data(exporter, piece->row_ct * sizeof(*ids));
        if (code < 0)
            return code;
        ids = (uint64_t *)(void *)exporter->data;
        for (uint32_t row = 0; row < piece->row_ct; row++)
            ids[row] = piece->first_id + row;
        code = npy_writer_write(writer, piece->file_row, piece->row_ct, 0, sizeof(*ids), ids);
        if (code == 0)
            code = advance(exporter, piece->row_ct * sizeof(*ids));
    }
    return code;
}

/* ---- files ---- */

/* One file to write. */
struct target_file {
    enum dms_column_kind kind;
    uint32_t position; /* of the column in the schema */
    const char *path;
    struct npy_writer writer;
};

/* Type and shape in NumPy's terms. */
static int create_file(const struct exporter *exporter, const struct request *request,
                       struct target_file *file)
{
    const struct dms_column *column = &exporter->schema->columns[file->position];
    uint64_t dimensions[DMS_NPY_DIMENSION_MAX] = {exporter->plan.row_ct};
    uint32_t dimension_ct = 1;
    char kind = 'u';
    uint32_t item_bytes = (uint32_t)dms_column_value_bytes(column);

    if (file->kind == DMS_COLUMN_MASK) {
        uint64_t example_ct = exporter->schema->example_ct;

        dimensions[dimension_ct++] = request->packed_masks ? (example_ct + 7) / 8 : example_ct;
        return npy_writer_create(&file->writer, file->path, request->packed_masks ? 'u' : 'b', 1,
                                 dimension_ct, dimensions);
    }
    if (file->kind == DMS_COLUMN_OUTPUT) {
        for (uint32_t i = 0; i < column->dimension_ct; i++)
            dimensions[dimension_ct++] = column->dimensions[i];
    }
    if (column->dtype == DMS_BOOL)
        kind = 'b';
    else if (column->dtype == DMS_F16 || column->dtype == DMS_F32 || column->dtype == DMS_F64)
        kind = 'f';
    else if (column->dtype == DMS_I32 || column->dtype == DMS_I64)
        kind = 'i';
    else if (column->dtype == DMS_TEXT)
        kind = 'S';
    return npy_writer_create(&file->writer, file->path, kind, item_bytes, dimension_ct, dimensions);
}

static int write_file(struct exporter *exporter, const struct request *request,
                      struct target_file *file)
{
    int code;

    if (file->kind == DMS_COLUMN_MASK)
        code = export_masks(exporter, &file->writer, request->packed_masks);
    else if (file->kind == DMS_COLUMN_ID)
        code = export_ids(exporter, &file->writer);
    else
        code = export_values(exporter, &file->writer, file->position);
    return code;
}

/* Adds the files of one list of NAME=FILE. */
static int add_columns(const struct exporter *exporter, enum dms_column_kind kind,
                       const struct tool_list *list, struct target_file *files, size_t *file_ct)
{
    for (size_t i = 0; i < list->item_ct; i++) {
        size_t name_bytes;
        const char *path = tool_split_assignment(list->items[i], &name_bytes);
        char column[DMS_NAME_BYTES];
        uint32_t position;
        int code;

        snprintf(column, sizeof(column), "%.*s", (int)name_bytes, list->items[i]);
        code = dms_schema_find(exporter->schema, column, &position);
        if (code < 0)
            return code;
        if (exporter->schema->columns[position].kind != kind)
            return dms_source_fail(DMS_ERR_INVALID, "column %s is not one of the %s", column,
                                   kind == DMS_COLUMN_OUTPUT ? "outputs" : "scalars");
        files[(*file_ct)++] =
            (struct target_file){.kind = kind, .position = position, .path = path};
    }
    return 0;
}

/* Lists the files that the request names; `files` has room for all of them. */
static int list_files(const struct exporter *exporter, const struct request *request,
                      struct target_file *files, size_t *file_ct)
{
    int code;

    if (request->masks)
        files[(*file_ct)++] =
            (struct target_file){.kind = DMS_COLUMN_MASK, .position = 0, .path = request->masks};
    if (request->ids)
        files[(*file_ct)++] =
            (struct target_file){.kind = DMS_COLUMN_ID, .position = 1, .path = request->ids};
    code = add_columns(exporter, DMS_COLUMN_OUTPUT, &request->outputs, files, file_ct);
    if (code == 0)
        code = add_columns(exporter, DMS_COLUMN_SCALAR, &request->scalars, files, file_ct);
    for (size_t i = 0; i < *file_ct && code == 0; i++) {
        for (size_t j = 0; j < i && code == 0; j++) {
            if (strcmp(files[i].path, files[j].path) == 0)
                code = dms_source_fail(DMS_ERR_INVALID, "'%s' is given for two things to write",
                                       files[i].path);
        }
        if (code == 0 && files[i].position >= 2 && !exporter->fill_missing)
            code = check_present(exporter, files[i].position);
    }
    return code;
}

/* Writes all files under temporary names; they get their own when all of them are complete. */
static int write_files(struct exporter *exporter, const struct request *request,
                       struct target_file *files, size_t file_ct)
{
    int code = 0;

    for (size_t i = 0; i < file_ct && code == 0; i++) {
        code = create_file(exporter, request, &files[i]);
        exporter->total_bytes += files[i].writer.npy.data_bytes;
    }
    progress_begin(&exporter->progress, name, PROGRESS_BYTES);
    for (size_t i = 0; i < file_ct && code == 0; i++)
        code = write_file(exporter, request, &files[i]);
    progress_end(&exporter->progress);
    for (size_t i = 0; i < file_ct && code == 0; i++)
        code = npy_writer_commit(&files[i].writer);
    for (size_t i = 0; i < file_ct; i++)
        npy_writer_abandon(&files[i].writer);
    return code;
}

static void print_report(const struct exporter *exporter, size_t file_ct, bool as_json)
{
    struct json_writer json;
    char models[TOOL_HUMAN_BYTES], bytes[TOOL_HUMAN_BYTES];

    if (!as_json) {
        printf("%s models, %s in %zu files\n", tool_human_count(exporter->plan.row_ct, models),
               tool_human_bytes(exporter->total_bytes, bytes), file_ct);
        return;
    }
    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_u64(&json, "models", exporter->plan.row_ct);
    json_u64(&json, "files", file_ct);
    json_u64(&json, "bytes", exporter->total_bytes);
    json_object_close(&json);
    json_end(&json);
}

static int export(const struct request *request)
{
    struct exporter exporter = {.fill_missing = request->fill_missing};
    size_t file_ct = 0;
    struct target_file *files =
        calloc(request->outputs.item_ct + request->scalars.item_ct + 2, sizeof(*files));
    int code, status;

    code = files ? dms_snapshot_open(request->path, &exporter.snapshot)
                 : dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");
    if (code < 0)
        goto out;
    exporter.schema = dms_snapshot_schema(exporter.snapshot);
    code = row_plan_make(exporter.snapshot, &exporter.plan);
    if (code == 0)
        code = list_files(&exporter, request, files, &file_ct);
    if (code == 0)
        code = write_files(&exporter, request, files, file_ct);
    if (code == 0)
        print_report(&exporter, file_ct, request->as_json);
out:
    status = code < 0 ? tool_fail_library(name) : tool_finish_output(name, TOOL_OK);
    free(files);
    free(exporter.data);
    row_plan_free(&exporter.plan);
    dms_snapshot_close(exporter.snapshot);
    return status;
}

static int check_request(const struct request *request)
{
    const struct tool_list *lists[] = {&request->outputs, &request->scalars};
    size_t name_bytes;

    if (!request->masks && !request->ids &&
        request->outputs.item_ct + request->scalars.item_ct == 0)
        return tool_fail_usage(name, "nothing to write: give --masks, --output, --scalar or --ids");
    if (request->packed_masks && !request->masks)
        return tool_fail_usage(name, "--packed-masks goes with --masks");
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < lists[i]->item_ct; j++) {
            const char *path = tool_split_assignment(lists[i]->items[j], &name_bytes);

            if (!path || name_bytes >= DMS_NAME_BYTES)
                return tool_fail_usage(name, "'%s' is not NAME=FILE", lists[i]->items[j]);
            if (strcmp(path, "-") == 0)
                return tool_fail_usage(name, "standard output cannot take a column");
        }
    }
    if ((request->masks && strcmp(request->masks, "-") == 0) ||
        (request->ids && strcmp(request->ids, "-") == 0))
        return tool_fail_usage(name, "standard output cannot take a column");
    return TOOL_CONTINUE;
}

int command_export(int argc, char **argv)
{
    struct request request = {0};
    char **positionals;
    const struct tool_option options[] = {
        OPTION_TEXT("masks", 0, "FILE", &request.masks, "training masks, bool (models x examples)"),
        OPTION_FLAG("packed-masks", 0, &request.packed_masks,
                    "packed instead: uint8, 8 examples a byte, little bit order"),
        OPTION_LIST("output", 0, "NAME=FILE", &request.outputs,
                    "values of an output column (models x its shape); may be repeated"),
        OPTION_LIST("scalar", 0, "NAME=FILE", &request.scalars,
                    "values of a scalar column (models); may be repeated"),
        OPTION_TEXT("ids", 0, "FILE", &request.ids, "model ids, uint64 (models)"),
        OPTION_FLAG("fill-missing", 0, &request.fill_missing,
                    "write NaN (0 for other types) for models that have no value in a column, "
                    "which is an error otherwise"),
        OPTION_FLAG("json", 0, &request.as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE [--masks FILE] [--output NAME=FILE ...] [--ids FILE] [options]",
        .description =
            "Writes .npy files of all models of STORE (a store or a manifest), rows by\n"
            "increasing id; the values are bit for bit those that came in. Files that are\n"
            "there are replaced when the new ones are complete.\n",
        .positional_min = 1,
        .positional_max = 1,
        .options = options,
    };
    int status = tool_options_parse(&usage, argc, argv, &positionals, NULL);

    if (status == TOOL_CONTINUE)
        status = check_request(&request);
    if (status == TOOL_CONTINUE) {
        request.path = positionals[0];
        status = export(&request);
    }
    tool_list_free(&request.outputs);
    tool_list_free(&request.scalars);
    return status;
}
