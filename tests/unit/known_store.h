/*
 * A small store of every dtype whose whole content can be worked out from the model ids: built
 * through the public interface by known_store_build, and held against what any snapshot of it says
 * by known_store_check.
 *
 * Rows come in all the ways there are: bulk writes with drawn and sampled masks, appended rows with
 * absent values that were sealed, staged rows in batches of several and of one, a column that was
 * added later, and removed rows in all of them.
 */
#ifndef DMS_TESTS_UNIT_KNOWN_STORE_H
#define DMS_TESTS_UNIT_KNOWN_STORE_H

#include "base/mix.h"
#include "tests/unit/tap.h"

#include <dmstore.h>

#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    KNOWN_EXAMPLES = 77,
    KNOWN_MASK_BYTES = (KNOWN_EXAMPLES + 7) / 8,
    KNOWN_SUBSET = 20, /* size of sampled masks */
    KNOWN_SEED = 9,
    KNOWN_COLUMNS = 17,
    KNOWN_EXTRA = 16, /* position of the column that is added later */
    KNOWN_OUTPUTS = 4,
    KNOWN_SCALARS = 10,
    KNOWN_FIRST_SCALAR = 2 + KNOWN_OUTPUTS,
};

/* Models by the way they came: first id, distance to the next, count. */
struct known_series {
    uint64_t first, step, count;
};
enum known_way {
    KNOWN_BULK,
    KNOWN_SAMPLED_BULK,
    KNOWN_SEALED,
    KNOWN_BATCH,
    KNOWN_SINGLE,
    KNOWN_LATE,
    KNOWN_WAYS
};
static const struct known_series known_series[KNOWN_WAYS] = {
    [KNOWN_BULK] = {1000, 1, 150},  [KNOWN_SAMPLED_BULK] = {5000, 1, 70},
    [KNOWN_SEALED] = {2000, 7, 40}, [KNOWN_BATCH] = {3000, 3, 10},
    [KNOWN_SINGLE] = {3500, 1, 3},  [KNOWN_LATE] = {4000, 1, 2},
};
static const uint64_t known_removed[] = {1003, 1149, 2007, 3003, 5000};
enum { KNOWN_REMOVED = sizeof known_removed / sizeof known_removed[0] };

/* Ends the test when something fails that is not its subject. */
#define must(status) known_must((status), #status)
__attribute__((unused)) static void known_must(int status, const char *what)
{
    if (status != 0) {
        printf("Bail out! %s: %s (%s)\n", what, dms_error_message(), dms_error_name(status));
        exit(1);
    }
}

static void *known_alloc(size_t bytes)
{
    void *memory = calloc(bytes + 1, 1);
    known_must(memory ? 0 : DMS_ERR_NO_MEMORY, "calloc");
    return memory;
}

/* ---- what is in it ---- */

static uint64_t known_random(uint64_t id, uint64_t column, uint64_t k)
{
    return dms_mix((id * 64 + column) * DMS_MIX_STEP + k * UINT64_C(0xd1342543de82ef95));
}

static enum known_way known_way(uint64_t id)
{
    for (int way = 0; way < KNOWN_WAYS; way++) {
        const struct known_series *series = &known_series[way];
        if (id >= series->first && id < series->first + series->step * series->count &&
            (id - series->first) % series->step == 0) {
            return (enum known_way)way;
        }
    }
    return KNOWN_WAYS;
}

static bool known_is_live(uint64_t id)
{
    for (size_t k = 0; k < KNOWN_REMOVED; k++) {
        if (known_removed[k] == id) {
            return false;
        }
    }
    return known_way(id) != KNOWN_WAYS;
}

static bool known_is_present(uint64_t id, uint32_t column)
{
    enum known_way way = known_way(id);
    if (column < 2) {
        return true;
    }
    if (column == KNOWN_EXTRA) {
        return way == KNOWN_LATE;
    }
    return way == KNOWN_BULK || way == KNOWN_SAMPLED_BULK || (id + column) % 4 != 0;
}

static bool known_is_sampled(uint64_t id)
{
    return known_way(id) == KNOWN_SAMPLED_BULK || known_way(id) == KNOWN_SINGLE;
}

static void known_mask(uint64_t id, uint8_t mask[KNOWN_MASK_BYTES])
{
    if (known_is_sampled(id)) {
        must(dms_sample_mask(KNOWN_EXAMPLES, KNOWN_SUBSET, KNOWN_SEED, id, mask));
        return;
    }
    memset(mask, 0, KNOWN_MASK_BYTES);
    for (uint32_t k = 0; k < KNOWN_EXAMPLES; k++) {
        mask[k / 8] |= (uint8_t)((known_random(id, 0, k) & 1) << k % 8);
    }
}

/* Value k of a column of a model, as in memory. Floating-point numbers have few digits, so that
 * sums are exact. */
static void known_value(const struct dms_column *column, uint32_t position, uint64_t id, uint64_t k,
                        uint8_t *value)
{
    size_t bytes = dms_column_value_bytes(column);
    uint64_t random = known_random(id, position, k);
    uint16_t half = random % 50 == 0   ? 0x7e01
                    : random % 51 == 0 ? 0xfc00
                                       : (uint16_t)(0x2c00 + random % 0x2000);
    float single = random % 50 == 0 ? NAN : (float)((int)(random % 4096) - 2048) / 16;
    memset(value, 0, bytes);
    switch (column->dtype) {
    case DMS_BOOL:
        value[0] = random & 1;
        break;
    case DMS_F16:
        memcpy(value, &half, sizeof half);
        break;
    case DMS_F32:
        memcpy(value, &single, sizeof single);
        break;
    case DMS_TEXT:
        memset(value, 'a' + (int)(random % 26), random % (bytes + 1));
        break;
    default:
        memcpy(value, &random, bytes);
    }
}

/* Values first .. first + count - 1 of a model, zero where it has none. */
static void known_values(const struct dms_column *column, uint32_t position, uint64_t id,
                         uint64_t first, uint64_t count, uint8_t *values)
{
    size_t bytes = dms_column_value_bytes(column);
    memset(values, 0, count * bytes);
    for (uint64_t k = 0; k < count && known_is_present(id, position); k++) {
        known_value(column, position, id, first + k, values + k * bytes);
    }
}

__attribute__((unused)) static double known_half(uint16_t half)
{
    int exponent = half >> 10 & 31;
    int fraction = half & 1023;
    double value = exponent == 31  ? (fraction ? NAN : INFINITY)
                   : exponent == 0 ? ldexp(fraction, -24)
                                   : ldexp(1024 + fraction, exponent - 25);
    return half & 0x8000 ? -value : value;
}

/* A value of an output column, as in memory, as a number. */
__attribute__((unused)) static double known_number(enum dms_dtype dtype, const uint8_t *value)
{
    uint16_t half;
    float single;
    switch (dtype) {
    case DMS_F16:
        memcpy(&half, value, sizeof half);
        return known_half(half);
    case DMS_F32:
        memcpy(&single, value, sizeof single);
        return single;
    default:
        return value[0];
    }
}

/* ---- building it ---- */

__attribute__((unused)) static void known_store_create(const char *path, const char *codec)
{
    static const char *const outputs[KNOWN_OUTPUTS] = {"margins:2500:f16", "logits:40x3:f32",
                                                       "flags:2501x3:bool", "labels:30:u8"};
    static const char *const scalars[KNOWN_SCALARS] = {
        "alpha:f64", "seed:u64", "host:s5", "epochs:i32", "steps:u32",
        "time:i64",  "loss:f32", "kind:u8", "done:bool",  "half:f16"};
    struct dms_column columns[KNOWN_OUTPUTS + KNOWN_SCALARS];
    struct dms_metadata note = {"note", "made by tests/unit/known_store.h"};
    struct dms_schema schema = {.example_ct = KNOWN_EXAMPLES,
                                .chunk_rows = 64,
                                .column_ct = KNOWN_OUTPUTS + KNOWN_SCALARS,
                                .columns = columns,
                                .metadata_ct = 1,
                                .metadata = &note};
    for (int k = 0; k < KNOWN_OUTPUTS; k++) {
        must(dms_output_parse(outputs[k], &columns[k]));
    }
    for (int k = 0; k < KNOWN_SCALARS; k++) {
        must(dms_scalar_parse(scalars[k], &columns[KNOWN_OUTPUTS + k]));
    }
    must(dms_codec_parse(codec, &schema.codec));
    must(dms_store_create(path, &schema));
}

/* A row source over one series. */
struct known_source {
    const struct dms_schema *schema;
    const struct known_series *series;
};

static int known_read_masks(void *context, uint64_t row, uint32_t row_ct, uint8_t *masks)
{
    const struct known_series *series = ((struct known_source *)context)->series;
    for (uint32_t k = 0; k < row_ct; k++) {
        known_mask(series->first + (row + k) * series->step, masks + (size_t)k * KNOWN_MASK_BYTES);
    }
    return 0;
}

static int known_read_values(void *context, uint32_t column_index, uint64_t row, uint32_t row_ct,
                             uint64_t target, uint64_t target_ct, void *values)
{
    const struct known_source *source = context;
    uint32_t position = column_index + 2;
    const struct dms_column *column = &source->schema->columns[position];
    uint64_t value_ct = target_ct * column->values_per_target;
    for (uint32_t k = 0; k < row_ct; k++) {
        known_values(column, position, source->series->first + (row + k) * source->series->step,
                     target * column->values_per_target, value_ct,
                     (uint8_t *)values + k * value_ct * dms_column_value_bytes(column));
    }
    return 0;
}

static void known_write_bulk(dms_store *store, const struct dms_schema *schema, enum known_way way)
{
    const struct known_series *series = &known_series[way];
    struct dms_sampling sampling = {KNOWN_SUBSET, KNOWN_SEED};
    struct known_source context = {schema, series};
    uint64_t *ids = known_alloc(series->count * sizeof *ids);
    uint32_t columns[KNOWN_OUTPUTS + KNOWN_SCALARS];
    for (uint64_t k = 0; k < series->count; k++) {
        ids[k] = series->first + k * series->step;
    }
    for (uint32_t k = 0; k < KNOWN_OUTPUTS + KNOWN_SCALARS; k++) {
        columns[k] = k + 2;
    }
    struct dms_row_source source = {
        .context = &context,
        .row_ct = series->count,
        .ids = ids,
        .read_masks = known_read_masks,
        .column_ct = KNOWN_OUTPUTS + KNOWN_SCALARS,
        .columns = columns,
        .read_values = known_read_values,
        .sampling = way == KNOWN_SAMPLED_BULK ? &sampling : NULL,
    };
    must(dms_store_write(store, &source, NULL, NULL));
    free(ids);
}

/* All values of a model in new memory, or NULL where it has none. */
static void *known_model_values(const struct dms_schema *schema, uint32_t position, uint64_t id)
{
    if (!known_is_present(id, position)) {
        return NULL;
    }
    const struct dms_column *column = &schema->columns[position];
    uint64_t value_ct = dms_column_value_ct(column);
    uint8_t *values = known_alloc(value_ct * dms_column_value_bytes(column));
    known_values(column, position, id, 0, value_ct, values);
    return values;
}

static void known_append(dms_store *store, const struct dms_schema *schema, enum known_way way,
                         size_t batch_rows)
{
    static const struct dms_sampling sampling = {KNOWN_SUBSET, KNOWN_SEED};
    const struct known_series *series = &known_series[way];
    for (uint64_t done = 0; done < series->count; done += batch_rows) {
        struct dms_row rows[64];
        uint8_t masks[64][KNOWN_MASK_BYTES];
        const void *outputs[64][KNOWN_OUTPUTS + 1];
        const void *scalars[64][KNOWN_SCALARS];
        for (size_t r = 0; r < batch_rows; r++) {
            uint64_t id = series->first + (done + r) * series->step;
            known_mask(id, masks[r]);
            for (uint32_t k = 0; k < KNOWN_OUTPUTS; k++) {
                outputs[r][k] = known_model_values(schema, 2 + k, id);
            }
            outputs[r][KNOWN_OUTPUTS] = schema->column_ct > KNOWN_EXTRA
                                            ? known_model_values(schema, KNOWN_EXTRA, id)
                                            : NULL;
            for (uint32_t k = 0; k < KNOWN_SCALARS; k++) {
                scalars[r][k] = known_model_values(schema, KNOWN_FIRST_SCALAR + k, id);
            }
            rows[r] = (struct dms_row){id,
                                       masks[r],
                                       outputs[r],
                                       scalars[r],
                                       known_is_sampled(id) ? &sampling : NULL,
                                       schema->column_ct};
        }
        must(dms_append_rows(store, rows, batch_rows, DMS_DUPLICATE_ERROR, NULL));
        for (size_t r = 0; r < batch_rows; r++) {
            for (uint32_t k = 0; k <= KNOWN_OUTPUTS; k++) {
                free((void *)(uintptr_t)outputs[r][k]);
            }
            for (uint32_t k = 0; k < KNOWN_SCALARS; k++) {
                free((void *)(uintptr_t)scalars[r][k]);
            }
        }
    }
}

/* Builds the whole store at `path`, which must not exist. */
__attribute__((unused)) static void known_store_build(const char *path, const char *codec)
{
    dms_store *store;
    struct dms_schema *schema;
    struct dms_column extra;
    known_store_create(path, codec);
    must(dms_store_open(path, &store));
    must(dms_schema_read(path, &schema));
    known_write_bulk(store, schema, KNOWN_BULK);
    known_write_bulk(store, schema, KNOWN_SAMPLED_BULK);
    known_append(store, schema, KNOWN_SEALED, 20);
    must(dms_store_seal(store, NULL));
    known_append(store, schema, KNOWN_BATCH, 10);
    known_append(store, schema, KNOWN_SINGLE, 1);
    dms_schema_free(schema);
    must(dms_output_parse("extra:12:f16", &extra));
    must(dms_store_add_column(store, &extra));
    must(dms_schema_read(path, &schema));
    known_append(store, schema, KNOWN_LATE, 2);
    must(dms_store_remove(store, known_removed, KNOWN_REMOVED, false, NULL));
    dms_schema_free(schema);
    dms_store_close(store);
}

/* ---- checking a snapshot ---- */

/* Compares rows and targets that were read with what they should be; prints the first difference.
 */
static bool known_check_range(dms_snapshot *snapshot, size_t group, const uint64_t *ids,
                              uint32_t position, uint32_t row, uint32_t row_ct, uint64_t target,
                              uint64_t target_ct)
{
    const struct dms_column *column = &dms_snapshot_schema(snapshot)->columns[position];
    uint64_t value_ct = target_ct * column->values_per_target;
    size_t row_bytes = value_ct * dms_column_value_bytes(column);
    uint8_t *values = known_alloc(row_ct * row_bytes);
    uint8_t *expected = known_alloc(row_bytes);
    int status =
        dms_snapshot_read_values(snapshot, group, position, row, row_ct, target, target_ct, values);
    bool same = status == 0;
    for (uint32_t k = 0; same && k < row_ct; k++) {
        known_values(column, position, ids[row + k], target * column->values_per_target, value_ct,
                     expected);
        same = memcmp(values + k * row_bytes, expected, row_bytes) == 0;
        if (!same) {
            diag("model %" PRIu64 ", column %s, targets from %" PRIu64 ": other values",
                 ids[row + k], column->name, target);
        }
    }
    if (status != 0) {
        diag("%s", dms_error_message());
    }
    free(values);
    free(expected);
    return same;
}

static bool known_check_column(dms_snapshot *snapshot, size_t group,
                               const struct dms_group_info *info, const uint64_t *ids,
                               uint32_t position)
{
    const struct dms_column *column = &dms_snapshot_schema(snapshot)->columns[position];
    uint64_t target_ct = column->target_ct;
    uint32_t third = info->row_ct / 3;
    bool same = known_check_range(snapshot, group, ids, position, 0, info->row_ct, 0, target_ct);
    same = same && known_check_range(snapshot, group, ids, position, third, info->row_ct - third,
                                     target_ct / 2, target_ct - target_ct / 2);
    same = same &&
           known_check_range(snapshot, group, ids, position, info->row_ct - 1, 1, 0, target_ct);
    same = same && known_check_range(snapshot, group, ids, position, 0, 0, 0, 0);
    if (target_ct > 1100) {
        /* Across the border of two tiles, from the middle of a byte to the middle of a byte. */
        same = same && known_check_range(snapshot, group, ids, position, third, third, 1021, 7);
        same =
            same && known_check_range(snapshot, group, ids, position, 0, info->row_ct, 1023, 1026);
        same = same && known_check_range(snapshot, group, ids, position, 0, info->row_ct, 3, 1);
    }
    return same;
}

static bool known_check_masks(dms_snapshot *snapshot, size_t group, const uint64_t *ids,
                              uint32_t row, uint32_t row_ct)
{
    uint8_t *masks = known_alloc((size_t)row_ct * KNOWN_MASK_BYTES);
    uint8_t expected[KNOWN_MASK_BYTES];
    bool same = dms_snapshot_read_masks(snapshot, group, row, row_ct, masks) == 0;
    for (uint32_t k = 0; same && k < row_ct; k++) {
        known_mask(ids[row + k], expected);
        same = memcmp(masks + (size_t)k * KNOWN_MASK_BYTES, expected, KNOWN_MASK_BYTES) == 0;
    }
    if (!same) {
        diag("masks of group %zu: other bits, or %s", group, dms_error_message());
    }
    free(masks);
    return same;
}

/* Live rows, and presence of every column. */
static bool known_check_bitmaps(dms_snapshot *snapshot, size_t group,
                                const struct dms_group_info *info, const uint64_t *ids)
{
    uint8_t *bits = known_alloc((info->row_ct + 7) / 8);
    uint32_t live_ct = 0;
    bool same = dms_snapshot_group_live(snapshot, group, bits) == 0;
    for (uint32_t row = 0; row < info->row_ct; row++) {
        bool is_live = bits[row / 8] >> row % 8 & 1;
        live_ct += is_live;
        same &= is_live == known_is_live(ids[row]);
    }
    same &= live_ct == info->live_ct;
    for (uint32_t position = 0; position < KNOWN_COLUMNS; position++) {
        same &= dms_snapshot_group_present(snapshot, group, position, bits) == 0;
        for (uint32_t row = 0; row < info->row_ct; row++) {
            same &= (bits[row / 8] >> row % 8 & 1) == known_is_present(ids[row], position);
        }
    }
    free(bits);
    return same;
}

/* Whether every live model of the group is found at its place, and no removed one. */
static bool known_check_find(dms_snapshot *snapshot, size_t group,
                             const struct dms_group_info *info, const uint64_t *ids)
{
    bool same = true;
    for (uint32_t row = 0; row < info->row_ct; row++) {
        struct dms_position at;
        int status = dms_snapshot_find(snapshot, ids[row], &at);
        same &= known_is_live(ids[row]) ? status == 0 && at.group == group && at.row == row
                                        : status == DMS_ERR_NOT_FOUND;
    }
    return same;
}

/* Compares everything that the snapshot says with what the ids make one expect; prints what
 * differs. Returns the number of models seen, 0 after a difference. Makes no TAP checks, so that
 * threads and children may call it. */
__attribute__((unused)) static uint64_t known_store_check(dms_snapshot *snapshot)
{
    uint64_t model_ct = 0;
    bool same = dms_snapshot_schema(snapshot)->column_ct == KNOWN_COLUMNS;
    for (size_t group = 0; same && group < dms_snapshot_group_ct(snapshot); group++) {
        struct dms_group_info info;
        must(dms_snapshot_group(snapshot, group, &info));
        uint64_t *ids = known_alloc(info.row_ct * sizeof *ids);
        must(dms_snapshot_group_ids(snapshot, group, ids));
        bool bitmaps = known_check_bitmaps(snapshot, group, &info, ids);
        bool found = known_check_find(snapshot, group, &info, ids);
        if (!bitmaps || !found) {
            diag("group %zu: %s", group,
                 bitmaps ? "ids are not found where they are" : "live or present rows differ");
        }
        same = bitmaps && found && known_check_masks(snapshot, group, ids, 0, info.row_ct) &&
               known_check_masks(snapshot, group, ids, info.row_ct / 2, 1);
        for (uint32_t position = 2; same && position < KNOWN_COLUMNS; position++) {
            same = known_check_column(snapshot, group, &info, ids, position);
        }
        model_ct += info.live_ct;
        free(ids);
    }
    return same ? model_ct : 0;
}

__attribute__((unused)) static uint64_t known_model_ct(void)
{
    uint64_t count = 0;
    for (int way = 0; way < KNOWN_WAYS; way++) {
        count += known_series[way].count;
    }
    return count - KNOWN_REMOVED;
}

#endif
