/*
 * The row source over .npy files; see npy_source.h. The callbacks read blocks of BLOCK_BYTES, which
 * stay in the processor's cache between the read and the conversion.
 */
#include "npy_source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore/convert.h>

#include "number.h"
#include "report.h"

/* On the stack of whichever thread the library calls from. */
#define BLOCK_BYTES (128u << 10)

/* Converts value_ct values; on failure *failed is the index of the first that does not fit. */
typedef enum number_fit (*convert_function)(const struct npy_source_column *column,
                                            const uint8_t *from, size_t value_ct, void *to,
                                            size_t *failed);

struct npy_source_column {
    struct npy_file file;
    const struct dms_column *definition; /* in the schema */
    convert_function convert;            /* NULL: the bytes are taken as they are */
};

/* ---- conversions ---- */

static enum number_fit convert_f32_to_f16(const struct npy_source_column *column,
                                          const uint8_t *from, size_t value_ct, void *to,
                                          size_t *failed)
{
    (void)column;
    *failed = dms_f32_to_f16((const float *)(const void *)from, value_ct, to);
    return *failed < value_ct ? NUMBER_UNFIT : NUMBER_ROUNDED;
}

static enum number_fit convert_f16_to_f32(const struct npy_source_column *column,
                                          const uint8_t *from, size_t value_ct, void *to,
                                          size_t *failed)
{
    (void)column;
    (void)failed;
    dms_f16_to_f32((const uint16_t *)(const void *)from, value_ct, to);
    return NUMBER_EXACT;
}

/* bool and u8 into each other: bytes that must be 0 or 1. */
static enum number_fit convert_bool(const struct npy_source_column *column, const uint8_t *from,
                                    size_t value_ct, void *to, size_t *failed)
{
    uint8_t all = 0;

    (void)column;
    for (size_t i = 0; i < value_ct; i++)
        all |= from[i];
    if (all > 1) {
        for (*failed = 0; from[*failed] <= 1;)
            ++*failed;
        return NUMBER_UNFIT;
    }
    memcpy(to, from, value_ct);
    return NUMBER_EXACT;
}

static enum number_fit convert_exactly(const struct npy_source_column *column, const uint8_t *from,
                                       size_t value_ct, void *to, size_t *failed)
{
    size_t from_bytes = column->file.npy.item_bytes;
    size_t to_bytes = dms_column_value_bytes(column->definition);

    for (size_t i = 0; i < value_ct; i++) {
        struct number number = number_load(&column->file.npy, from + i * from_bytes);
        enum number_fit fit =
            number_store(&number, column->definition->dtype, (uint8_t *)to + i * to_bytes);

        *failed = i;
        if (fit != NUMBER_EXACT)
            return fit;
    }
    return NUMBER_EXACT;
}

/* Texts of another length: the zero bytes at the end do not count. */
static enum number_fit convert_text(const struct npy_source_column *column, const uint8_t *from,
                                    size_t value_ct, void *to, size_t *failed)
{
    size_t from_bytes = column->file.npy.item_bytes;
    size_t to_bytes = dms_column_value_bytes(column->definition);

    for (size_t i = 0; i < value_ct; i++) {
        const uint8_t *text = from + i * from_bytes;
        size_t text_bytes = from_bytes;

        while (text_bytes > 0 && text[text_bytes - 1] == 0)
            text_bytes--;
        *failed = i;
        if (text_bytes > to_bytes)
            return NUMBER_UNFIT;
        memset((uint8_t *)to + i * to_bytes, 0, to_bytes);
        memcpy((uint8_t *)to + i * to_bytes, text, text_bytes);
    }
    return NUMBER_EXACT;
}

static bool npy_is(const struct dms_npy *npy, char kind, uint32_t item_bytes)
{
    return npy->kind == kind && npy->item_bytes == item_bytes;
}

/* Whether the file's type is the column's own. */
static bool is_same_type(const struct dms_npy *npy, const struct dms_column *column)
{
    switch (column->dtype) {
    case DMS_U8:
        return npy_is(npy, 'u', 1);
    case DMS_F16:
        return npy_is(npy, 'f', 2);
    case DMS_F32:
        return npy_is(npy, 'f', 4);
    case DMS_F64:
        return npy_is(npy, 'f', 8);
    case DMS_I32:
        return npy_is(npy, 'i', 4);
    case DMS_U32:
        return npy_is(npy, 'u', 4);
    case DMS_I64:
        return npy_is(npy, 'i', 8);
    case DMS_U64:
        return npy_is(npy, 'u', 8);
    case DMS_TEXT:
        return npy_is(npy, 'S', (uint32_t)dms_column_value_bytes(column));
    case DMS_BOOL:
        return false; /* never unchecked */
    }
    return false;
}

/* Sets how the file's values become the column's; INVALID when there is no way. */
static int choose_conversion(struct npy_source_column *column)
{
    const struct dms_npy *npy = &column->file.npy;
    enum dms_dtype dtype = column->definition->dtype;
    bool is_scalar = column->definition->kind == DMS_COLUMN_SCALAR;
    char description[NPY_DESCRIPTION_BYTES];

    if (is_same_type(npy, column->definition))
        return 0;
    if ((dtype == DMS_BOOL || dtype == DMS_U8) && (npy_is(npy, 'b', 1) || npy_is(npy, 'u', 1)))
        column->convert = convert_bool;
    else if (is_scalar && dtype == DMS_TEXT && npy->kind == 'S' && npy->item_bytes <= BLOCK_BYTES)
        column->convert = convert_text;
    else if (is_scalar && dtype != DMS_TEXT && strchr("biuf", npy->kind) && npy->item_bytes <= 8)
        column->convert = convert_exactly;
    else if (!is_scalar && dtype == DMS_F16 && npy_is(npy, 'f', 4))
        column->convert = convert_f32_to_f16;
    else if (!is_scalar && dtype == DMS_F32 && npy_is(npy, 'f', 2))
        column->convert = convert_f16_to_f32;
    if (column->convert)
        return 0;
    return dms_source_fail(
        DMS_ERR_INVALID, "'%s' is %s, which column %s of type %s does not take: convert it first%s",
        column->file.path, npy_describe(npy, description), column->definition->name,
        dms_dtype_name(dtype),
        dtype == DMS_F16 || dtype == DMS_F32 ? ", e.g. with numpy's astype('float32')" : "");
}

/* ---- opening ---- */

static int check_row_ct(struct npy_source *source, const struct npy_file *file)
{
    if (!source->first_path) {
        source->first_path = file->path;
        source->file_row_ct = file->row_ct;
        return 0;
    }
    if (file->row_ct == source->file_row_ct)
        return 0;
    return dms_source_fail(DMS_ERR_INVALID,
                           "'%s' has %" PRIu64 " rows but '%s' has %" PRIu64
                           ": all files must have one row for each model",
                           source->first_path, source->file_row_ct, file->path, file->row_ct);
}

int npy_source_open_masks(struct npy_source *source, const char *path, bool packed)
{
    int code = mask_file_open(&source->masks, path, source->schema->example_ct,
                              packed ? MASKS_PACKED : MASKS_UNPACKED);

    return code < 0 ? code : check_row_ct(source, &source->masks.file);
}

/* (m, dimensions of the column ...); a column of one value a row may leave them out. */
static bool shape_fits(const struct dms_npy *npy, const struct dms_column *column)
{
    if (dms_column_value_ct(column) == 1 && npy->dimension_ct == 1)
        return true;
    if (column->kind == DMS_COLUMN_SCALAR)
        return npy->dimension_ct == 2 && npy->dimensions[1] == 1;
    if (npy->dimension_ct != column->dimension_ct + 1)
        return false;
    for (uint32_t i = 0; i < column->dimension_ct; i++) {
        if (npy->dimensions[i + 1] != column->dimensions[i])
            return false;
    }
    return true;
}

static int check_column(struct npy_source_column *column)
{
    const struct dms_column *definition = column->definition;
    char description[NPY_DESCRIPTION_BYTES], wanted[NPY_DESCRIPTION_BYTES];
    size_t used;

    if (shape_fits(&column->file.npy, definition))
        return choose_conversion(column);
    used = (size_t)snprintf(wanted, sizeof(wanted), "(rows,");
    for (uint32_t i = 0; i < definition->dimension_ct && used < sizeof(wanted); i++)
        used += (size_t)snprintf(wanted + used, sizeof(wanted) - used, "%s %" PRIu64,
                                 i > 0 ? "," : "", definition->dimensions[i]);
    return dms_source_fail(DMS_ERR_INVALID, "'%s' is %s; column %s wants shape %s)",
                           column->file.path, npy_describe(&column->file.npy, description),
                           definition->name, wanted);
}

/* Position in the schema of the column of this name and kind. */
static int find_column(const struct dms_schema *schema, enum dms_column_kind kind, const char *name,
                       size_t name_bytes, uint32_t *position)
{
    char terminated[DMS_NAME_BYTES];
    int code;

    snprintf(terminated, sizeof(terminated), "%.*s", (int)name_bytes, name);
    if (strlen(terminated) != name_bytes)
        return dms_source_fail(DMS_ERR_NOT_FOUND, "there is no column '%.*s'", (int)name_bytes,
                               name);
    code = dms_schema_find(schema, terminated, position);
    if (code < 0)
        return code;
    if (schema->columns[*position].kind != kind)
        return dms_source_fail(DMS_ERR_INVALID, "column %s is not one of the %s", terminated,
                               kind == DMS_COLUMN_SCALAR ? "scalars" : "outputs");
    return 0;
}

int npy_source_open_column(struct npy_source *source, enum dms_column_kind kind, const char *name,
                           size_t name_bytes, const char *path)
{
    uint32_t position;
    struct npy_source_column *columns, *column;
    uint32_t *positions;
    int code = find_column(source->schema, kind, name, name_bytes, &position);

    if (code < 0)
        return code;
    for (uint32_t i = 0; i < source->column_ct; i++) {
        if (source->positions[i] == position)
            return dms_source_fail(DMS_ERR_INVALID, "column %.*s is given twice", (int)name_bytes,
                                   name);
    }
    columns = realloc(source->columns, (source->column_ct + 1) * sizeof(*columns));
    if (columns)
        source->columns = columns;
    positions = realloc(source->positions, (source->column_ct + 1) * sizeof(*positions));
    if (positions)
        source->positions = positions;
    if (!columns || !positions)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");
    column = &columns[source->column_ct];
    *column = (struct npy_source_column){.definition = &source->schema->columns[position]};
    code = npy_file_open(&column->file, path);
    if (code < 0)
        return code;
    positions[source->column_ct++] = position;
    code = check_column(column);
    return code < 0 ? code : check_row_ct(source, &column->file);
}

void npy_source_close(struct npy_source *source)
{
    mask_file_close(&source->masks);
    for (uint32_t i = 0; i < source->column_ct; i++)
        npy_file_close(&source->columns[i].file);
    free(source->columns);
    free(source->positions);
    free(source->chosen_rows);
    free(source->ids);
    *source = (struct npy_source){0};
}

/* ---- choosing rows and ids ---- */

/* Keeps of the chosen rows those whose flag in `file` is not 0. */
static int keep_completed(struct npy_source *source, const struct npy_file *file)
{
    static const char what[] = "completion flag";
    uint64_t flags[4096];
    const uint64_t flag_ct = sizeof(flags) / sizeof(flags[0]);
    uint64_t kept = 0;

    source->chosen_rows = calloc(source->row_ct + 1, sizeof(*source->chosen_rows));
    if (!source->chosen_rows)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for the list of rows");
    for (uint64_t done = 0; done < source->row_ct; done += flag_ct) {
        uint64_t part = source->row_ct - done < flag_ct ? source->row_ct - done : flag_ct;
        uint64_t row = source->first_row + done;
        int code = npy_file_read_integers(file, what, row, part, flags);

        if (code < 0)
            return code;
        for (uint64_t i = 0; i < part; i++) {
            if (flags[i])
                source->chosen_rows[kept++] = row + i;
        }
    }
    source->row_ct = kept;
    return 0;
}

int npy_source_choose_rows(struct npy_source *source, uint64_t begin, uint64_t end,
                           const char *completed)
{
    struct npy_file file;
    int code;

    if (end == UINT64_MAX)
        end = source->file_row_ct;
    if (begin > end || end > source->file_row_ct)
        return dms_source_fail(DMS_ERR_INVALID,
                               "rows %" PRIu64 ":%" PRIu64 " were asked for, but '%s' has %" PRIu64,
                               begin, end, source->first_path, source->file_row_ct);
    source->first_row = begin;
    source->row_ct = end - begin;
    if (!completed)
        return 0;
    code = npy_file_open_integers(&file, completed, "completion flag");
    if (code < 0)
        return code;
    code = check_row_ct(source, &file);
    if (code == 0)
        code = keep_completed(source, &file);
    npy_file_close(&file);
    return code;
}

/* The row of the files that chosen row `row` is; *run_ct: how many from there on follow each other
 * in the files, too, up to `row_ct`. */
static uint64_t file_row(const struct npy_source *source, uint64_t row, uint64_t row_ct,
                         uint64_t *run_ct)
{
    const uint64_t *rows = source->chosen_rows;
    uint64_t ct = 1;

    if (!rows) {
        *run_ct = row_ct;
        return source->first_row + row;
    }
    while (ct < row_ct && rows[row + ct] == rows[row] + ct)
        ct++;
    *run_ct = ct;
    return rows[row];
}

static int compare_ids(const void *first, const void *second)
{
    uint64_t a = *(const uint64_t *)first, b = *(const uint64_t *)second;

    return (a > b) - (a < b);
}

static int check_ids_differ(const struct npy_source *source, const char *path)
{
    uint64_t *sorted = malloc((source->row_ct + 1) * sizeof(*sorted));
    int code = 0;

    if (!sorted)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for the model ids");
    memcpy(sorted, source->ids, source->row_ct * sizeof(*sorted));
    qsort(sorted, source->row_ct, sizeof(*sorted), compare_ids);
    for (uint64_t i = 1; i < source->row_ct && code == 0; i++) {
        if (sorted[i] == sorted[i - 1])
            code = dms_source_fail(DMS_ERR_INVALID, "'%s' has model id %" PRIu64 " more than once",
                                   path, sorted[i]);
    }
    free(sorted);
    return code;
}

static int read_ids(struct npy_source *source, const char *path)
{
    static const char what[] = "model id";
    struct npy_file file;
    uint64_t run_ct;
    int code = npy_file_open_integers(&file, path, what);

    if (code < 0)
        return code;
    code = check_row_ct(source, &file);
    for (uint64_t row = 0; row < source->row_ct && code == 0; row += run_ct) {
        uint64_t first = file_row(source, row, source->row_ct - row, &run_ct);

        code = npy_file_read_integers(&file, what, first, run_ct, source->ids + row);
    }
    npy_file_close(&file);
    return code < 0 ? code : check_ids_differ(source, path);
}

int npy_source_set_ids(struct npy_source *source, uint64_t first_id, const char *path)
{
    uint64_t run_ct;

    source->ids = calloc(source->row_ct + 1, sizeof(*source->ids));
    if (!source->ids)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for the model ids");
    if (path)
        return read_ids(source, path);
    if (source->file_row_ct > 0 && first_id > UINT64_MAX - (source->file_row_ct - 1))
        return dms_source_fail(DMS_ERR_INVALID,
                               "ids from %" PRIu64 " on run past 2^64 - 1 before the last row",
                               first_id);
    for (uint64_t row = 0; row < source->row_ct; row++)
        source->ids[row] = first_id + file_row(source, row, 1, &run_ct);
    return 0;
}

/* ---- reading ---- */

static int read_masks(void *context, uint64_t row, uint32_t row_ct, uint8_t *masks)
{
    const struct npy_source *source = context;
    uint64_t mask_bytes = (source->schema->example_ct + 7) / 8;
    uint64_t run_ct;

    for (uint64_t done = 0; done < row_ct; done += run_ct) {
        uint64_t first = file_row(source, row + done, row_ct - done, &run_ct);
        int code = mask_file_read(&source->masks, first, run_ct, masks + done * mask_bytes);

        if (code < 0)
            return code;
    }
    return 0;
}

/* The message for value `value` (counted over the row) of row `row`, which does not fit. */
static int fail_value(const struct npy_source_column *column, uint64_t row, uint64_t value,
                      const uint8_t *bytes, enum number_fit fit)
{
    const struct dms_column *definition = column->definition;
    char where[96] = "", text[NUMBER_TEXT_BYTES];
    size_t used = 0;
    struct number number;

    if (definition->kind == DMS_COLUMN_OUTPUT)
        used = (size_t)snprintf(where, sizeof(where), ", column %" PRIu64,
                                value / definition->values_per_target);
    if (definition->values_per_target > 1)
        snprintf(where + used, sizeof(where) - used, ", value %" PRIu64,
                 value % definition->values_per_target);
    if (definition->dtype == DMS_TEXT)
        return dms_source_fail(DMS_ERR_INVALID,
                               "'%s', row %" PRIu64 ": the text is longer than the %zu bytes of "
                               "column %s",
                               column->file.path, row, dms_column_value_bytes(definition),
                               definition->name);
    number = number_load(&column->file.npy, bytes);
    return dms_source_fail(DMS_ERR_INVALID, "'%s', row %" PRIu64 "%s: %s %s column %s of type %s%s",
                           column->file.path, row, where, number_describe(&number, text),
                           fit == NUMBER_ROUNDED ? "would be rounded in" : "does not fit into",
                           definition->name, dms_dtype_name(definition->dtype),
                           definition->dtype == DMS_F16 ? " (largest: 65504)" : "");
}

/* Converts values value .. value + value_ct - 1 of rows row .. row + row_ct - 1. */
static int convert_rows(const struct npy_source_column *column, uint64_t row, uint64_t row_ct,
                        uint64_t value, uint64_t value_ct, uint8_t *out)
{
    uint8_t block[BLOCK_BYTES] __attribute__((aligned(8)));
    const struct npy_file *file = &column->file;
    size_t item_bytes = file->npy.item_bytes;
    size_t failed = 0;
    enum number_fit fit;
    int code = npy_file_read(file, row, row_ct, value * item_bytes, value_ct * item_bytes, block);

    if (code < 0)
        return code;
    fit = column->convert(column, block, (size_t)(row_ct * value_ct), out, &failed);
    if (fit == NUMBER_EXACT || (fit == NUMBER_ROUNDED && column->convert == convert_f32_to_f16))
        return 0;
    return fail_value(column, row + failed / value_ct, value + failed % value_ct,
                      block + failed * item_bytes, fit);
}

/* Cuts rows and values so that each piece of the file fits into a block. */
static int convert_in_blocks(const struct npy_source_column *column, uint64_t row, uint64_t row_ct,
                             uint64_t value, uint64_t value_ct, uint8_t *out)
{
    uint64_t block_values = BLOCK_BYTES / column->file.npy.item_bytes;
    uint64_t part_values = value_ct < block_values ? value_ct : block_values;
    uint64_t block_rows = block_values / part_values;
    size_t value_bytes = dms_column_value_bytes(column->definition);

    if (part_values < value_ct)
        block_rows = 1;
    for (uint64_t done = 0; done < row_ct; done += block_rows) {
        uint64_t rows = row_ct - done < block_rows ? row_ct - done : block_rows;

        for (uint64_t first = 0; first < value_ct; first += part_values) {
            uint64_t left = value_ct - first;
            uint64_t values = left < part_values ? left : part_values;
            int code = convert_rows(column, row + done, rows, value + first, values,
                                    out + (done * value_ct + first) * value_bytes);

            if (code < 0)
                return code;
        }
    }
    return 0;
}

static int read_values(void *context, uint32_t column_index, uint64_t row, uint32_t row_ct,
                       uint64_t target, uint64_t target_ct, void *values)
{
    const struct npy_source *source = context;
    const struct npy_source_column *column = &source->columns[column_index];
    uint64_t value = target * column->definition->values_per_target;
    uint64_t value_ct = target_ct * column->definition->values_per_target;
    size_t value_bytes = dms_column_value_bytes(column->definition);
    uint64_t run_ct;

    for (uint64_t done = 0; done < row_ct; done += run_ct) {
        uint64_t first = file_row(source, row + done, row_ct - done, &run_ct);
        uint8_t *out = (uint8_t *)values + done * value_ct * value_bytes;
        int code = column->convert
                       ? convert_in_blocks(column, first, run_ct, value, value_ct, out)
                       : npy_file_read(&column->file, first, run_ct, value * value_bytes,
                                       value_ct * value_bytes, out);

        if (code < 0)
            return code;
    }
    return 0;
}

struct dms_row_source npy_source_rows(struct npy_source *source)
{
    return (struct dms_row_source){
        .context = source,
        .row_ct = source->row_ct,
        .ids = source->ids,
        .read_masks = source->masks.file.path ? read_masks : NULL,
        .column_ct = source->column_ct,
        .columns = source->positions,
        .read_values = read_values,
    };
}
