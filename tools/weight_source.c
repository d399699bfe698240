/*
 * Reads weights in blocks of targets; see weight_source.h.
 */
#include "weight_source.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore.h>

#include "number.h"
#include "report.h"

/* Of a dense matrix in memory; at least one target. */
#define BLOCK_BYTES (64u << 20)

enum { WEIGHT = 0, INDPTR = 0, INDICES = 1, DATA = 2 };

/* ---- opening ---- */

static int check_kind(const struct npy_file *file, const char *kinds, uint32_t dimension_ct)
{
    char description[NPY_DESCRIPTION_BYTES];

    if (strchr(kinds, file->npy.kind) && file->npy.dimension_ct == dimension_ct)
        return 0;
    return dms_source_fail(DMS_ERR_INVALID, "'%s' is %s: expected %s of %" PRIu32 " dimension%s",
                           file->path, npy_describe(&file->npy, description),
                           strchr(kinds, 'f') ? "numbers" : "integers", dimension_ct,
                           tool_plural(dimension_ct));
}

static int open_dense(struct weight_source *source)
{
    struct npy_file *file = &source->files[WEIGHT];
    uint64_t example_ct, target_bytes;
    char description[NPY_DESCRIPTION_BYTES];
    int code = npy_file_open(file, source->weight);

    if (code == 0)
        code = check_kind(file, "fiub", 2);
    if (code < 0)
        return code;
    example_ct = file->npy.dimensions[source->transposed ? 1 : 0];
    source->target_ct = file->npy.dimensions[source->transposed ? 0 : 1];
    if (example_ct != source->example_ct)
        return dms_source_fail(DMS_ERR_INVALID,
                               "'%s' is %s: expected one %s for each of %" PRIu64 " examples%s",
                               file->path, npy_describe(&file->npy, description),
                               source->transposed ? "column" : "row", source->example_ct,
                               source->target_ct != source->example_ct ? ""
                               : source->transposed ? "; without --transposed, rows are"
                                                    : "; with --transposed, columns are");
    target_bytes = source->example_ct * file->npy.item_bytes;
    source->block_capacity = BLOCK_BYTES / target_bytes > 0 ? BLOCK_BYTES / target_bytes : 1;
    if (source->block_capacity > source->target_ct)
        source->block_capacity = source->target_ct;
    source->block = malloc(source->block_capacity * target_bytes + 1);
    return source->block ? 0
                         : dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for a block of '%s'",
                                           file->path);
}

static int open_sparse(struct weight_source *source)
{
    const char *const paths[] = {source->indptr, source->indices, source->data};
    struct npy_file *files = source->files;
    int code = 0;

    for (int i = INDPTR; code == 0 && i <= DATA; i++) {
        code = npy_file_open(&files[i], paths[i]);
        if (code == 0)
            code = check_kind(&files[i], i == DATA ? "fiub" : "iu", 1);
    }
    if (code < 0)
        return code;
    if (files[INDPTR].row_ct == 0)
        return dms_source_fail(DMS_ERR_INVALID,
                               "'%s' is empty: it has one entry more than there "
                               "are targets",
                               source->indptr);
    if (files[INDICES].row_ct != files[DATA].row_ct)
        return dms_source_fail(
            DMS_ERR_INVALID,
            "'%s' has %" PRIu64 " entries and '%s' %" PRIu64 ": they belong to other matrices",
            source->indices, files[INDICES].row_ct, source->data, files[DATA].row_ct);
    source->target_ct = files[INDPTR].row_ct - 1;
    return 0;
}

int weight_source_open(struct weight_source *source)
{
    int code;

    for (int i = 0; i < 3; i++)
        source->files[i].descriptor = -1;
    source->capacity = source->example_ct;
    source->examples = calloc(source->capacity + 1, sizeof(*source->examples));
    source->weights = calloc(source->capacity + 1, sizeof(*source->weights));
    if (!source->examples || !source->weights)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %" PRIu64 " weights",
                               source->example_ct);
    code = source->weight ? open_dense(source) : open_sparse(source);
    if (code == 0 && source->target_ct == 0)
        code = dms_source_fail(DMS_ERR_INVALID, "'%s' has no targets",
                               source->weight ? source->weight : source->indptr);
    return code;
}

void weight_source_close(struct weight_source *source)
{
    for (int i = 0; i < 3; i++)
        npy_file_close(&source->files[i]);
    free(source->block);
    free(source->examples);
    free(source->weights);
}

/* ---- weights ---- */

/* Adds a weight, which comes after those of smaller examples, unless it is 0. */
static int add_weight(struct weight_source *source, const struct npy_file *file, uint64_t place,
                      uint64_t example, const uint8_t *item)
{
    struct number number = number_load(&file->npy, item);
    double weight = 0;

    number_store(&number, DMS_F64, &weight);
    if (!isfinite(weight))
        return dms_source_fail(DMS_ERR_INVALID,
                               "'%s': the weight of example %" PRIu64 " for target %" PRIu64
                               " of the file is %f: weights must be finite",
                               file->path, example, place, weight);
    if (!isfinite(weight * source->factor))
        return dms_source_fail(DMS_ERR_INVALID,
                               "'%s': the weight of example %" PRIu64 " for target %" PRIu64
                               " of the file is %g, and too large when it is multiplied by %g",
                               file->path, example, place, weight, source->factor);
    weight *= source->factor;
    if (weight == 0)
        return 0;
    source->examples[source->weight_ct] = (uint32_t)example;
    source->weights[source->weight_ct++] = weight;
    return 0;
}

static int read_block(struct weight_source *source, uint64_t place)
{
    const struct npy_file *file = &source->files[WEIGHT];
    uint64_t item_bytes = file->npy.item_bytes, left = source->target_ct - place;
    uint64_t target_ct = left < source->block_capacity ? left : source->block_capacity;

    source->block_first = place;
    source->block_target_ct = target_ct;
    if (source->transposed)
        return npy_file_read(file, place, target_ct, 0, file->row_bytes, source->block);
    return npy_file_read(file, 0, source->example_ct, place * item_bytes, target_ct * item_bytes,
                         source->block);
}

static int read_dense(struct weight_source *source, uint64_t place)
{
    const struct npy_file *file = &source->files[WEIGHT];
    uint64_t item_bytes = file->npy.item_bytes, at, step;
    int code = 0;

    if (place < source->block_first || place >= source->block_first + source->block_target_ct)
        code = read_block(source, place);
    at = place - source->block_first;
    step = source->transposed ? 1 : source->block_target_ct;
    if (source->transposed)
        at *= source->example_ct;
    for (uint64_t k = 0; code == 0 && k < source->example_ct; k++)
        code = add_weight(source, file, place, k, source->block + (at + k * step) * item_bytes);
    return code;
}

/* ---- sparse columns ---- */

struct entry {
    uint64_t example;
    uint8_t item[8];
};

static int compare_entries(const void *left, const void *right)
{
    uint64_t a = ((const struct entry *)left)->example, b = ((const struct entry *)right)->example;

    return (a > b) - (a < b);
}

/* Where the column begins and ends in the other two files. */
static int read_bounds(const struct weight_source *source, uint64_t place, uint64_t bounds[2])
{
    const struct npy_file *file = &source->files[INDPTR];
    int code = npy_file_read_integers(file, "begin", place, 2, bounds);

    if (code < 0)
        return code;
    if (bounds[0] > bounds[1] || bounds[1] > source->files[DATA].row_ct ||
        (place == 0 && bounds[0] != 0))
        return dms_source_fail(DMS_ERR_INVALID,
                               "'%s': entries %" PRIu64 " and %" PRIu64 " are %" PRIu64
                               " and %" PRIu64 ": they must increase from 0 to %" PRIu64,
                               file->path, place, place + 1, bounds[0], bounds[1],
                               source->files[DATA].row_ct);
    if (bounds[1] - bounds[0] > source->example_ct)
        return dms_source_fail(DMS_ERR_INVALID,
                               "'%s': target %" PRIu64 " of the file has %" PRIu64
                               " weights, but there are %" PRIu64 " examples",
                               file->path, place, bounds[1] - bounds[0], source->example_ct);
    if (place + 1 == source->target_ct && bounds[1] != source->files[DATA].row_ct)
        return dms_source_fail(DMS_ERR_INVALID,
                               "'%s' ends with %" PRIu64 ", but there are %" PRIu64 " weights",
                               file->path, bounds[1], source->files[DATA].row_ct);
    return 0;
}

static int read_entries(const struct weight_source *source, const uint64_t bounds[2],
                        struct entry *entries)
{
    const struct npy_file *data = &source->files[DATA];
    uint64_t entry_ct = bounds[1] - bounds[0];
    uint64_t *examples = calloc(entry_ct + 1, sizeof(*examples));
    uint8_t *items = malloc(entry_ct * data->npy.item_bytes + 1);
    int code = examples && items ? 0 : dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");

    if (code == 0)
        code = npy_file_read_integers(&source->files[INDICES], "example", bounds[0], entry_ct,
                                      examples);
    if (code == 0)
        code = npy_file_read(data, bounds[0], entry_ct, 0, data->row_bytes, items);
    for (uint64_t i = 0; code == 0 && i < entry_ct; i++) {
        entries[i].example = examples[i];
        memcpy(entries[i].item, items + i * data->npy.item_bytes, data->npy.item_bytes);
    }
    free(examples);
    free(items);
    return code;
}

static int read_sparse(struct weight_source *source, uint64_t place)
{
    struct entry *entries = NULL;
    uint64_t bounds[2];
    int code = read_bounds(source, place, bounds);

    if (code < 0)
        return code;
    entries = calloc(bounds[1] - bounds[0] + 1, sizeof(*entries));
    if (!entries)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");
    code = read_entries(source, bounds, entries);
    if (code == 0)
        qsort(entries, bounds[1] - bounds[0], sizeof(*entries), compare_entries);
    for (uint64_t i = 0; code == 0 && i < bounds[1] - bounds[0]; i++) {
        uint64_t example = entries[i].example;

        if (example >= source->example_ct)
            code = dms_source_fail(DMS_ERR_INVALID,
                                   "'%s': target %" PRIu64 " of the file has example %" PRIu64
                                   ": examples are 0 to %" PRIu64,
                                   source->indices, place, example, source->example_ct - 1);
        else if (i > 0 && example == entries[i - 1].example)
            code = dms_source_fail(DMS_ERR_INVALID,
                                   "'%s': target %" PRIu64 " of the file has example %" PRIu64
                                   " twice",
                                   source->indices, place, example);
        else
            code = add_weight(source, &source->files[DATA], place, example, entries[i].item);
    }
    free(entries);
    return code;
}

int weight_source_read(struct weight_source *source, uint64_t place)
{
    source->weight_ct = 0;
    return source->weight ? read_dense(source, place) : read_sparse(source, place);
}
