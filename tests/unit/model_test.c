/*
 * The engine against a model of it: random operations (append, bulk write, fill, replace, remove,
 * seal, compact, merge, reopen, add a column) are done to a store and to plain arrays in memory,
 * and after each the store must hold exactly what the arrays hold: ids, masks, values, presence,
 * and the totals.
 *
 * The seed is printed; DMSTORE_TEST_SEED repeats a run, DMSTORE_TEST_CAMPAIGN makes it a hundred
 * times longer.
 */
#include "base/mix.h"
#include "tests/unit/tap.h"

#include <dmstore.h>

#include <math.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    EXAMPLES = 61,
    MASK_BYTES = 8,
    IDS = 400, /* ids are below this */
    F16_TARGETS = 150,
    BOOL_TARGETS = 13,
    LATE_TARGETS = 5,
    ROWS_MAX = 120, /* in one operation */
    SUBSET = 20,
    SAMPLE_SEED = 5,
};

/* Columns of values, in schema order after mask and id. */
enum { F16, BOOL, SCALAR, LATE, COLUMNS };

/* One model as it should be. */
struct model_row {
    bool is_there;
    uint8_t mask[MASK_BYTES];
    bool has[COLUMNS];
    uint16_t f16[F16_TARGETS];
    uint8_t flags[BOOL_TARGETS];
    double scalar;
    uint8_t late[LATE_TARGETS];
};

static struct model_row model[IDS];
static bool has_late_column;
static uint64_t random_state;
static char path[64];
static dms_store *store;

static uint64_t draw(uint64_t below)
{
    return dms_mix_next(&random_state) % below;
}

static void must(int status, const char *what)
{
    if (status != 0) {
        printf("Bail out! %s: %s (%s)\n", what, dms_error_message(), dms_error_name(status));
        exit(1);
    }
}

/* ---- rows ---- */

/* A random finite f16, or now and then an infinity. */
static uint16_t draw_f16(void)
{
    return draw(50) == 0 ? 0x7c00 : (uint16_t)((draw(2) << 15) | draw(0x7000));
}

static void draw_row(struct model_row *row, uint64_t id, bool sampled)
{
    memset(row, 0, sizeof *row);
    row->is_there = true;
    if (sampled) {
        must(dms_sample_mask(EXAMPLES, SUBSET, SAMPLE_SEED, id, row->mask), "sample");
    } else {
        for (unsigned k = 0; k < EXAMPLES; k++) {
            row->mask[k >> 3] |= (uint8_t)(draw(2) << (k & 7));
        }
    }
    for (unsigned k = 0; k < F16_TARGETS; k++) {
        row->f16[k] = draw_f16();
    }
    for (unsigned k = 0; k < BOOL_TARGETS; k++) {
        row->flags[k] = (uint8_t)draw(2);
    }
    for (unsigned k = 0; k < LATE_TARGETS; k++) {
        row->late[k] = (uint8_t)draw(256);
    }
    row->scalar = (double)draw(1000) / 7;
    for (unsigned c = 0; c < COLUMNS; c++) {
        row->has[c] = draw(8) != 0;
    }
    row->has[LATE] &= has_late_column;
}

static const void *row_values(const struct model_row *row, unsigned column)
{
    const void *values[COLUMNS] = {row->f16, row->flags, &row->scalar, row->late};
    return row->has[column] ? values[column] : NULL;
}

/* ---- checking ---- */

static const uint64_t target_cts[COLUMNS] = {F16_TARGETS, BOOL_TARGETS, 1, LATE_TARGETS};
static const size_t value_bytes[COLUMNS] = {2, 1, 8, 1};

static bool check_row(dms_snapshot *snapshot, uint64_t id)
{
    struct dms_position at;
    int status = dms_snapshot_find(snapshot, id, &at);
    if (!model[id].is_there) {
        return status == DMS_ERR_NOT_FOUND;
    }
    uint8_t mask[MASK_BYTES];
    if (status != 0 || dms_snapshot_read_masks(snapshot, at.group, at.row, 1, mask) != 0 ||
        memcmp(mask, model[id].mask, MASK_BYTES) != 0) {
        return false;
    }
    uint32_t column_ct = dms_snapshot_schema(snapshot)->column_ct - 2;
    for (uint32_t c = 0; c < column_ct; c++) {
        uint8_t values[2 * F16_TARGETS] = {0};
        uint8_t zeros[2 * F16_TARGETS] = {0};
        uint8_t present[16384 / 8];
        if (dms_snapshot_group_present(snapshot, at.group, c + 2, present) != 0 ||
            dms_snapshot_read_values(snapshot, at.group, c + 2, at.row, 1, 0, target_cts[c],
                                     values) != 0) {
            return false;
        }
        bool has = present[at.row >> 3] >> (at.row & 7) & 1;
        const void *expected = model[id].has[c] ? row_values(&model[id], c) : zeros;
        if (has != model[id].has[c] ||
            memcmp(values, expected, target_cts[c] * value_bytes[c]) != 0) {
            diag("model %" PRIu64 " column %" PRIu32 ": has %d, should have %d", id, c, has,
                 model[id].has[c]);
            return false;
        }
    }
    return true;
}

static double f16_value(uint16_t half)
{
    float value;
    dms_f16_to_f32(&half, 1, &value);
    return value;
}

static bool check_counts(dms_snapshot *snapshot)
{
    uint64_t counts[EXAMPLES];
    uint64_t expected[EXAMPLES] = {0};
    must(dms_snapshot_example_counts(snapshot, counts), "example counts");
    for (unsigned id = 0; id < IDS; id++) {
        for (unsigned k = 0; model[id].is_there && k < EXAMPLES; k++) {
            expected[k] += model[id].mask[k >> 3] >> (k & 7) & 1;
        }
    }
    return memcmp(counts, expected, sizeof counts) == 0;
}

static bool check_sums(dms_snapshot *snapshot)
{
    struct dms_target_statistics statistics[F16_TARGETS];
    must(dms_snapshot_target_statistics(snapshot, F16 + 2, statistics), "target statistics");
    for (unsigned k = 0; k < F16_TARGETS; k++) {
        /* Sums of multiples of 2^-24 below 2^53 of them are exact in long double. */
        long double sum = 0;
        uint64_t finite_ct = 0;
        uint64_t nonfinite_ct = 0;
        for (unsigned id = 0; id < IDS; id++) {
            if (model[id].is_there && model[id].has[F16]) {
                double value = f16_value(model[id].f16[k]);
                sum += isfinite(value) ? value : 0;
                finite_ct += isfinite(value) != 0;
                nonfinite_ct += !isfinite(value);
            }
        }
        if (statistics[k].sum != (double)sum || statistics[k].finite_ct != finite_ct ||
            statistics[k].nonfinite_ct != nonfinite_ct) {
            diag("target %u: sum %.17g, should be %.17Lg; %" PRIu64 " finite", k, statistics[k].sum,
                 sum, statistics[k].finite_ct);
            return false;
        }
    }
    return true;
}

static bool check_store(void)
{
    dms_snapshot *snapshot;
    must(dms_store_snapshot(store, &snapshot), "snapshot");
    uint64_t model_ct = 0;
    bool good = true;
    for (uint64_t id = 0; id < IDS && good; id++) {
        good = check_row(snapshot, id);
        model_ct += model[id].is_there;
        if (!good) {
            diag("model %" PRIu64 " is not as it should be", id);
        }
    }
    struct dms_snapshot_info info;
    dms_snapshot_info(snapshot, &info);
    good = good && info.model_ct == model_ct && check_counts(snapshot) && check_sums(snapshot);
    dms_snapshot_close(snapshot);
    return good;
}

/* ---- operations ---- */

static uint64_t ids[ROWS_MAX];
static struct model_row incoming[ROWS_MAX];

/* Distinct ids, in a run or all over. Returns their number. */
static size_t draw_ids(void)
{
    size_t count = 1 + draw(draw(3) == 0 ? ROWS_MAX : 6);
    if (draw(2)) {
        uint64_t first = draw(IDS - count);
        for (size_t k = 0; k < count; k++) {
            ids[k] = first + k;
        }
        return count;
    }
    bool used[IDS] = {false};
    for (size_t k = 0; k < count;) {
        ids[k] = draw(IDS);
        if (!used[ids[k]]) {
            used[ids[k]] = true;
            k++;
        }
    }
    return count;
}

static enum dms_on_duplicate draw_rows(size_t count, bool sampled)
{
    enum dms_on_duplicate policy = draw(2) ? DMS_DUPLICATE_REPLACE : DMS_DUPLICATE_KEEP;
    for (size_t k = 0; k < count; k++) {
        if (model[ids[k]].is_there && draw(3) == 0 && !sampled) {
            incoming[k] = model[ids[k]]; /* the same bytes again */
        } else {
            draw_row(&incoming[k], ids[k], sampled);
        }
    }
    return policy;
}

/* Whether the values that are given are the ones that are there. */
static bool is_same(const struct model_row *given, const struct model_row *there)
{
    for (unsigned c = 0; c < COLUMNS; c++) {
        if (given->has[c] && (!there->has[c] || memcmp(row_values(given, c), row_values(there, c),
                                                       target_cts[c] * value_bytes[c]) != 0)) {
            return false;
        }
    }
    return memcmp(given->mask, there->mask, MASK_BYTES) == 0;
}

/* What a write of the incoming rows does to the model. */
static void apply_rows(size_t count, enum dms_on_duplicate policy)
{
    for (size_t k = 0; k < count; k++) {
        struct model_row *row = &model[ids[k]];
        if (!row->is_there || (policy == DMS_DUPLICATE_REPLACE && !is_same(&incoming[k], row))) {
            *row = incoming[k];
        }
    }
}

static void append_rows(bool sampled)
{
    static const struct dms_sampling sampling = {SUBSET, SAMPLE_SEED};
    size_t count = draw_ids();
    enum dms_on_duplicate policy = draw_rows(count, sampled);
    struct dms_row rows[ROWS_MAX];
    const void *outputs[ROWS_MAX][3];
    const void *scalars[ROWS_MAX][1];
    for (size_t k = 0; k < count; k++) {
        outputs[k][0] = row_values(&incoming[k], F16);
        outputs[k][1] = row_values(&incoming[k], BOOL);
        outputs[k][2] = row_values(&incoming[k], LATE);
        scalars[k][0] = row_values(&incoming[k], SCALAR);
        rows[k] = (struct dms_row){
            .id = ids[k],
            .mask = incoming[k].mask,
            .outputs = outputs[k],
            .scalars = scalars[k],
            .sampling = sampled ? &sampling : NULL,
            .column_ct = has_late_column ? 6 : 5,
        };
    }
    must(dms_append_rows(store, rows, count, policy, NULL), "append");
    apply_rows(count, policy);
}

static int read_masks(void *context, uint64_t row, uint32_t row_ct, uint8_t *masks)
{
    (void)context;
    for (uint32_t k = 0; k < row_ct; k++) {
        memcpy(masks + k * MASK_BYTES, incoming[row + k].mask, MASK_BYTES);
    }
    return 0;
}

static uint32_t source_columns[COLUMNS];

static int read_values(void *context, uint32_t column_index, uint64_t row, uint32_t row_ct,
                       uint64_t target, uint64_t target_ct, void *values)
{
    (void)context;
    unsigned c = source_columns[column_index] - 2;
    for (uint32_t k = 0; k < row_ct; k++) {
        const uint8_t *from = row_values(&incoming[row + k], c);
        memcpy((uint8_t *)values + k * target_ct * value_bytes[c], from + target * value_bytes[c],
               target_ct * value_bytes[c]);
    }
    return 0;
}

/* The columns that a bulk write gives are the same for all rows. */
static struct dms_row_source make_source(size_t count, bool is_fill)
{
    struct dms_row_source source = {
        .row_ct = count,
        .ids = ids,
        .read_masks = is_fill ? NULL : read_masks,
        .columns = source_columns,
        .read_values = read_values,
    };
    for (unsigned c = 0; c < (has_late_column ? COLUMNS : LATE); c++) {
        bool is_given = draw(4) != 0;
        if (is_given) {
            source_columns[source.column_ct++] = c + 2;
        }
        for (size_t k = 0; k < count; k++) {
            if (is_given && !incoming[k].has[c]) {
                struct model_row other;
                draw_row(&other, ids[k], false);
                bool has[COLUMNS];
                memcpy(has, incoming[k].has, sizeof has);
                memcpy(incoming[k].f16, c == F16 ? other.f16 : incoming[k].f16, sizeof other.f16);
                has[c] = true;
                memcpy(incoming[k].has, has, sizeof has);
            }
            incoming[k].has[c] = is_given;
        }
    }
    return source;
}

static void write_rows(bool sampled)
{
    static const struct dms_sampling sampling = {SUBSET, SAMPLE_SEED};
    size_t count = draw_ids();
    struct dms_write_options options = {.on_duplicate = draw_rows(count, sampled), .thread_ct = 2};
    struct dms_row_source source = make_source(count, false);
    source.sampling = sampled ? &sampling : NULL;
    must(dms_store_write(store, &source, &options, NULL), "write");
    apply_rows(count, options.on_duplicate);
}

static void fill_columns(void)
{
    size_t drawn_ct = draw_ids();
    size_t count = 0;
    for (size_t k = 0; k < drawn_ct; k++) {
        if (model[ids[k]].is_there) {
            ids[count++] = ids[k];
        }
    }
    struct dms_write_options options = {.on_duplicate = draw_rows(count, false), .thread_ct = 2};
    struct dms_row_source source = make_source(count, true);
    must(dms_store_fill(store, &source, &options, NULL), "fill");
    for (size_t k = 0; k < count; k++) {
        struct model_row *row = &model[ids[k]];
        struct model_row merged = *row;
        struct model_row *given = &incoming[k];
        for (unsigned c = 0; c < COLUMNS; c++) {
            if (given->has[c] && (!row->has[c] || options.on_duplicate == DMS_DUPLICATE_REPLACE)) {
                merged.has[c] = true;
                memcpy((void *)row_values(&merged, c), row_values(given, c),
                       target_cts[c] * value_bytes[c]);
            }
        }
        *row = merged;
    }
}

static void remove_rows(void)
{
    size_t count = draw_ids();
    uint64_t removed_ct;
    uint64_t expected_ct = 0;
    must(dms_store_remove(store, ids, count, true, &removed_ct), "remove");
    for (size_t k = 0; k < count; k++) {
        expected_ct += model[ids[k]].is_there;
        model[ids[k]].is_there = false;
    }
    if (removed_ct != expected_ct) {
        ok(false, "removed as many as were there");
    }
}

static void compact(void)
{
    static const struct dms_codec codecs[] = {
        {DMS_CODEC_NONE, 1}, {DMS_CODEC_ZSTD, 1}, {DMS_CODEC_AUTO, 1}};
    struct dms_compact_options options = {.thread_ct = 2, .all = draw(4) == 0};
    if (draw(3) == 0) {
        options.codec = &codecs[draw(3)];
    }
    must(dms_store_compact(store, &options, NULL), "compact");
}

static void report_damage(void *context, const struct dms_damage *damage)
{
    (void)context;
    diag("%s at %" PRIu64 ": %s", damage->path, damage->offset, damage->what);
}

/* Verifies the store, now and then makes its index anew, and opens it again. */
static bool reopen(void)
{
    struct dms_verify_options options = {.quick = draw(2), .on_damage = report_damage};
    struct dms_verify_report report;
    bool good = true;
    must(dms_verify(path, &options, &report), "verify");
    dms_store_close(store);
    if (draw(2)) {
        struct dms_recover_options recover = {.on_damage = report_damage};
        struct dms_recover_report recovered = {0};
        must(dms_recover(path, &recover, &recovered), "recover");
        good = recovered.lost_id_ct == 0 && recovered.damage_ct == 0;
        free(recovered.lost_ids);
    }
    must(dms_store_open(path, &store), "open");
    return good && report.damage_ct == 0;
}

static void add_late_column(void)
{
    struct dms_column column;
    if (!has_late_column && draw(3) == 0) {
        must(dms_output_parse("late:5:u8", &column), "parse");
        must(dms_store_add_column(store, &column), "add column");
        has_late_column = true;
    }
}

static void make_schema(struct dms_schema *schema, struct dms_column columns[4], uint32_t column_ct)
{
    must(dms_output_parse("margins:150:f16", &columns[0]), "parse");
    must(dms_output_parse("flags:13:bool", &columns[1]), "parse");
    must(dms_scalar_parse("alpha:f64", &columns[2]), "parse");
    must(dms_output_parse("late:5:u8", &columns[3]), "parse");
    *schema = (struct dms_schema){
        .example_ct = EXAMPLES,
        .chunk_rows = 64,
        .codec = {DMS_CODEC_NONE, 1},
        .column_ct = column_ct,
        .columns = columns,
    };
}

/* All rows go into a new store, which takes the place of the old one. */
static void move_to_new_store(unsigned number)
{
    struct dms_schema schema;
    struct dms_column columns[4];
    dms_snapshot *snapshot;
    dms_store *next;
    char next_path[sizeof path];
    snprintf(next_path, sizeof next_path, "model_test.%d.%u", (int)getpid(), number);
    make_schema(&schema, columns, has_late_column ? 4 : 3);
    must(dms_store_create(next_path, &schema), "create");
    must(dms_store_open(next_path, &next), "open");
    must(dms_store_snapshot(store, &snapshot), "snapshot");
    must(dms_store_merge(next, snapshot, NULL, NULL), "merge");
    dms_snapshot_close(snapshot);
    dms_store_close(store);
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    if (system(command) != 0) {
        printf("# '%s' stays\n", path);
    }
    memcpy(path, next_path, sizeof path);
    store = next;
}

static const char *const operations[] = {
    "append",    "append sampled", "write",   "write sampled", "fill",
    "remove",    "seal",           "compact", "merge",         "verify, recover and open",
    "add column"};

static unsigned operate(unsigned step, bool *good)
{
    static const uint8_t weights[] = {0, 0, 0, 0, 1, 2, 2, 3, 4, 4, 5, 5, 6, 7, 8, 9, 10};
    unsigned operation = weights[draw(sizeof weights)];
    switch (operation) {
    case 0:
    case 1:
        append_rows(operation == 1);
        break;
    case 2:
    case 3:
        write_rows(operation == 3);
        break;
    case 4:
        fill_columns();
        break;
    case 5:
        remove_rows();
        break;
    case 6:
        must(dms_store_seal(store, NULL), "seal");
        break;
    case 7:
        compact();
        break;
    case 8:
        move_to_new_store(step);
        break;
    case 9:
        *good = reopen();
        break;
    default:
        add_late_column();
        break;
    }
    return operation;
}

int main(void)
{
    const char *seed = getenv("DMSTORE_TEST_SEED");
    unsigned step_ct = getenv("DMSTORE_TEST_CAMPAIGN") ? 30000 : 300;
    random_state = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    diag("seed %" PRIu64, random_state);
    struct dms_schema schema;
    struct dms_column columns[4];
    make_schema(&schema, columns, 3);
    snprintf(path, sizeof path, "model_test.%d", (int)getpid());
    must(dms_store_create(path, &schema), "create");
    must(dms_store_open(path, &store), "open");
    unsigned done_ct[sizeof operations / sizeof *operations] = {0};
    bool good = true;
    for (unsigned step = 0; step < step_ct && good; step++) {
        unsigned operation = operate(step, &good);
        done_ct[operation]++;
        good = good && check_store();
        if (!good) {
            diag("after step %u, %s", step, operations[operation]);
        }
    }
    ok(good, "the store is what the model says after each of %u operations", step_ct);
    for (size_t k = 0; k < sizeof operations / sizeof *operations; k++) {
        ok(done_ct[k] > 0 || !good, "%u x %s", done_ct[k], operations[k]);
    }
    dms_store_close(store);
    if (good) {
        char command[128];
        snprintf(command, sizeof command, "rm -rf '%s'", path);
        ok(system(command) == 0, "cleaned up");
    }
    return tap_done();
}
