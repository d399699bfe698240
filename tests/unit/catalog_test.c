/*
 * Edits and the catalog: edits have the bytes of SPEC.md section 4, applying them gives the state
 * that they say, an edit that does not fit the state is refused, and a state survives its code
 * (section 5).
 */
#include "tap.h"

#include "base/buffer.h"
#include "base/error.h"
#include "format/schema.h"
#include "format/state.h"

#include <stdlib.h>

enum { SEGMENT = 3 };

static const uint8_t five_ids[] = {0, 3, 14, 2}; /* 0 1 2 9 10 */

/* ---- edits ---- */

static struct dms_edit add_group(uint64_t group)
{
    return (struct dms_edit){
        .type = DMS_EDIT_ADD_GROUP,
        .add_group = {
            .group = group, .row_ct = 5, .run_bytes = sizeof(five_ids), .runs = five_ids}};
}

static struct dms_edit add_batch(uint64_t batch)
{
    return (struct dms_edit){.type = DMS_EDIT_ADD_BATCH,
                             .add_batch = {.batch = batch,
                                           .row_ct = 5,
                                           .run_bytes = sizeof(five_ids),
                                           .offset = 0x2000,
                                           .header_hash = 11,
                                           .column_ct = 3,
                                           .runs = five_ids}};
}

static struct dms_edit set_column(uint64_t group, uint32_t column_id, uint64_t offset)
{
    return (struct dms_edit){.type = DMS_EDIT_SET_COLUMN,
                             .set_column = {.group = group,
                                            .column_id = column_id,
                                            .present_ct = 4,
                                            .offset = offset,
                                            .header_hash = 7,
                                            .stored_bytes = 900}};
}

static struct dms_edit remove_rows(bool staged, uint64_t container, const uint8_t *rows,
                                   uint32_t row_ct)
{
    return (struct dms_edit){
        .type = DMS_EDIT_REMOVE_ROWS,
        .remove_rows = {.staged = staged, .row_ct = row_ct, .container = container, .rows = rows}};
}

/* Encodes an edit, holds it against the golden bytes, decodes it and encodes that again. */
static void round_trip(const char *what, const struct dms_edit *edit, const uint8_t *golden,
                       size_t golden_bytes)
{
    struct dms_buffer buffer = {0}, again = {0};
    struct dms_edit decoded;
    size_t at = 0;
    unsigned accepted = 0;

    ok(dms_edit_encode(edit, &buffer) == 0 && buffer.size == golden_bytes &&
           memcmp(buffer.data, golden, golden_bytes) == 0,
       "%s: the bytes of SPEC.md", what);
    ok(dms_edit_next(golden, golden_bytes, &at, &decoded) == 1 && at == golden_bytes &&
           dms_edit_encode(&decoded, &again) == 0 && again.size == golden_bytes &&
           memcmp(again.data, golden, golden_bytes) == 0,
       "%s: decoded and encoded again", what);
    is_int(dms_edit_next(golden, golden_bytes, &at, &decoded), 0, "nothing follows");
    for (size_t bytes = 1; bytes < golden_bytes; bytes++) {
        at = 0;
        accepted += dms_edit_next(golden, bytes, &at, &decoded) >= 0;
    }
    is_int(accepted, 0, "every shorter edit is refused");
    dms_buffer_free(&buffer);
    dms_buffer_free(&again);
}

static void test_edit_bytes(void)
{
    static const uint8_t group[] = {1, 0, 0, 0, 24, 0, 0, 0, 6, 0, 0,  0, 0, 0, 0, 0,
                                    5, 0, 0, 0, 4,  0, 0, 0, 0, 3, 14, 2, 0, 0, 0, 0};
    static const uint8_t column[] = {2, 0, 0, 0, 40, 0, 0, 0, 6,    0,  0, 0, 0, 0, 0, 0,
                                     2, 0, 0, 0, 4,  0, 0, 0, 0,    16, 0, 0, 0, 0, 0, 0,
                                     7, 0, 0, 0, 0,  0, 0, 0, 0x84, 3,  0, 0, 0, 0, 0, 0};
    static const uint8_t batch[] = {3, 0, 0, 0, 48, 0, 0,  0, 8, 0, 0, 0, 0,  0,  0, 0, 5, 0, 0,
                                    0, 4, 0, 0, 0,  0, 32, 0, 0, 0, 0, 0, 0,  11, 0, 0, 0, 0, 0,
                                    0, 0, 3, 0, 0,  0, 0,  0, 0, 0, 0, 3, 14, 2,  0, 0, 0, 0};
    static const uint8_t removal[] = {6, 0, 0, 0, 24, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0,
                                      8, 0, 0, 0, 0,  0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t drop[] = {5, 0, 0, 0, 16, 0, 0, 0, 8, 0, 0, 0,
                                   0, 0, 0, 0, 2,  0, 0, 0, 0, 0, 0, 0};
    static const uint8_t row[4] = {4};
    struct dms_edit edit = add_group(6);

    round_trip("add group", &edit, group, sizeof(group));
    edit = set_column(6, 2, 0x1000);
    round_trip("set column", &edit, column, sizeof(column));
    edit = add_batch(8);
    round_trip("add batch", &edit, batch, sizeof(batch));
    edit = remove_rows(true, 8, row, 1);
    round_trip("remove rows", &edit, removal, sizeof(removal));
    edit = (struct dms_edit){.type = DMS_EDIT_DROP_BATCHES, .drop_batches = {8, 2}};
    round_trip("drop batches", &edit, drop, sizeof(drop));
}

static void test_fit_edit_bytes(void)
{
    static const uint8_t set[] = {16, 0,  0, 0, 56, 0, 0, 0, 9,   0,   0,   0,   0, 0, 0, 0,
                                  0,  32, 0, 0, 0,  0, 0, 0, 11,  0,   0,   0,   0, 0, 0, 0,
                                  0,  1,  0, 0, 0,  0, 0, 0, 77,  0,   0,   0,   0, 0, 0, 0,
                                  4,  0,  0, 0, 0,  0, 0, 0, 'm', 'a', 'i', 'n', 0, 0, 0, 0};
    static const uint8_t part[] = {
        17, 0, 0,  0, 72, 0,  0, 0, 9, 0, 0, 0, 0, 0,  0, 0, 5, 0, 0, 0, 0,  0, 0, 0, 0, 48, 0,
        0,  0, 0,  0, 0,  12, 0, 0, 0, 0, 0, 0, 0, 64, 2, 0, 0, 0, 0, 0, 0,  3, 0, 0, 0, 0,  0,
        0,  0, 78, 0, 0,  0,  0, 0, 0, 0, 5, 0, 0, 0,  4, 0, 0, 0, 0, 3, 14, 2, 0, 0, 0, 0};
    static const uint8_t removal[] = {18, 0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0};
    struct dms_edit edit = {.type = DMS_EDIT_SET_FIT,
                            .set_fit = {.fit = 9,
                                        .offset = 0x2000,
                                        .header_hash = 11,
                                        .stored_bytes = 256,
                                        .time_ns = 77,
                                        .name_bytes = 4,
                                        .name = (const uint8_t *)"main"}};

    round_trip("set fit", &edit, set, sizeof(set));
    edit = (struct dms_edit){.type = DMS_EDIT_SET_FIT_PART,
                             .set_fit_part = {.fit = 9,
                                              .part = 5,
                                              .offset = 0x3000,
                                              .header_hash = 12,
                                              .stored_bytes = 576,
                                              .sequence = 3,
                                              .time_ns = 78,
                                              .target_ct = 5,
                                              .run_bytes = sizeof(five_ids),
                                              .runs = five_ids}};
    round_trip("set fit part", &edit, part, sizeof(part));
    edit = (struct dms_edit){.type = DMS_EDIT_REMOVE_FIT, .remove_fit = {9}};
    round_trip("remove fit", &edit, removal, sizeof(removal));
}

static void test_edit_refusals(void)
{
    static const struct {
        const char *what;
        int code;
        uint8_t bytes[24];
    } cases[] = {
        {"an edit of the future", DMS_ERR_VERSION, {19, 0, 0, 0, 8}},
        {"type 0", DMS_ERR_VERSION, {0, 0, 0, 0, 8}},
        {"a length that is no multiple of 8", DMS_ERR_CORRUPT, {4, 0, 0, 0, 9}},
        {"a length beyond the payload", DMS_ERR_CORRUPT, {4, 0, 0, 0, 24}},
        {"a body that is too long", DMS_ERR_CORRUPT, {4, 0, 0, 0, 16}},
        {"removed rows of neither group nor batch", DMS_ERR_CORRUPT, {6, 0, 0, 0, 16, 0, 0, 0, 2}},
        {"a group without rows", DMS_ERR_CORRUPT, {1, 0, 0, 0, 16}},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dms_edit edit;
        size_t at = 0;

        ok(dms_edit_next(cases[i].bytes, sizeof(cases[i].bytes), &at, &edit) == cases[i].code,
           "refused: %s", cases[i].what);
    }
}

/* ---- the catalog ---- */

/* A catalog with a schema, one segment, a group and a batch. */
static void begin_catalog(struct dms_catalog *catalog)
{
    struct dms_segment_record segment = {
        .number = SEGMENT, .committed_bytes = 4096, .kind = DMS_SEGMENT_LOG};
    struct dms_schema request = {.example_ct = 10};
    struct dms_edit edits[] = {add_group(6), set_column(6, 0, 0x1000), set_column(6, 1, 0x1100),
                               add_batch(8), add_batch(9)};

    *catalog = (struct dms_catalog){
        .sequence = 4, .commit_hash = 77, .next_group = 7, .next_batch = 10, .next_segment = 4};
    ok(dms_schema_prepare(&request, &catalog->schema) == 0 &&
           dms_catalog_add_segment(catalog, &segment) == 0,
       "a new catalog");
    for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++)
        is_int(dms_catalog_apply(catalog, &edits[i], SEGMENT), 0, "an edit is applied");
}

static int apply(struct dms_catalog *catalog, struct dms_edit edit)
{
    return dms_catalog_apply(catalog, &edit, SEGMENT);
}

static void test_applied(void)
{
    static const uint8_t rows[8] = {0, 0, 0, 0, 4, 0, 0, 0};
    struct dms_catalog catalog;
    struct dms_group_record *group;

    begin_catalog(&catalog);
    group = dms_catalog_group(&catalog, 6);
    ok(group != NULL && group->row_ct == 5 && group->live_ct == 5 && group->column_ct == 2,
       "the group is there");
    ok(dms_catalog_batch(&catalog, 8) != NULL && dms_catalog_batch(&catalog, 8)->segment == SEGMENT,
       "so is the batch");
    is_int(apply(&catalog, set_column(6, 1, 0x5000)), 0, "a column is set again");
    ok(group->column_ct == 2 && dms_group_record_column(group, 1)->offset == 0x5000,
       "which replaces it");
    is_int(apply(&catalog, remove_rows(false, 6, rows, 2)), 0, "rows are removed");
    ok(group->live_ct == 3 && dms_row_is_removed(group->removed, 0) &&
           dms_row_is_removed(group->removed, 4) && !dms_row_is_removed(group->removed, 1),
       "those and no others");
    is_int(apply(&catalog,
                 (struct dms_edit){.type = DMS_EDIT_DROP_BATCHES, .drop_batches = {9, UINT64_MAX}}),
           0, "batches are dropped");
    ok(catalog.batch_ct == 1 && dms_catalog_batch(&catalog, 9) == NULL, "those in the range");
    is_int(apply(&catalog, (struct dms_edit){.type = DMS_EDIT_DROP_GROUP, .drop_group = {6}}), 0,
           "a group is dropped");
    is_int(catalog.group_ct, 0, "it is gone");
    dms_catalog_clear(&catalog);
}

static void test_not_applied(void)
{
    static const uint8_t row_five[4] = {5};
    static const uint8_t row_twice[8] = {1, 0, 0, 0, 1, 0, 0, 0};
    static const uint8_t short_ids[] = {0, 3};
    struct dms_edit few = add_group(7);
    struct dms_edit many_values = set_column(6, 0, 0x1000);
    struct dms_catalog catalog;

    begin_catalog(&catalog);
    few.add_group.runs = short_ids;
    few.add_group.run_bytes = sizeof(short_ids);
    many_values.set_column.present_ct = 6;
    is_int(apply(&catalog, add_group(6)), DMS_ERR_CORRUPT, "a group that is there already");
    is_int(apply(&catalog, add_batch(8)), DMS_ERR_CORRUPT, "a batch that is there already");
    is_int(apply(&catalog, few), DMS_ERR_CORRUPT, "a group with too few ids");
    is_int(apply(&catalog, many_values), DMS_ERR_CORRUPT, "a column with more values than rows");
    is_int(apply(&catalog, set_column(5, 0, 0x1000)), DMS_ERR_CORRUPT, "a column of no group");
    contains(dms_error_message(), "group 5", "the message names it");
    is_int(apply(&catalog, remove_rows(false, 6, row_five, 1)), DMS_ERR_CORRUPT,
           "a removed row beyond the last");
    is_int(apply(&catalog, remove_rows(true, 8, row_twice, 2)), DMS_ERR_CORRUPT,
           "a row removed twice");
    is_int(apply(&catalog, remove_rows(true, 6, row_five, 1)), DMS_ERR_CORRUPT, "rows of no batch");
    is_int(apply(&catalog, (struct dms_edit){.type = DMS_EDIT_DROP_GROUP, .drop_group = {5}}),
           DMS_ERR_CORRUPT, "a drop of no group");
    is_int(apply(&catalog, (struct dms_edit){.type = DMS_EDIT_DROP_SEGMENT, .drop_segment = {5}}),
           DMS_ERR_CORRUPT, "a drop of no segment");
    is_int(apply(&catalog,
                 (struct dms_edit){.type = DMS_EDIT_SET_SCHEMA, .set_schema = {2, short_ids}}),
           DMS_ERR_CORRUPT, "a schema that is none");
    dms_catalog_clear(&catalog);
}

/* ---- states ---- */

static void test_state(void)
{
    static const uint8_t rows[4] = {3};
    struct dms_catalog catalog, decoded = {0};
    struct dms_buffer buffer = {0}, again = {0};
    char *path = NULL;
    unsigned accepted = 0;

    begin_catalog(&catalog);
    is_int(apply(&catalog, remove_rows(false, 6, rows, 1)), 0, "a row is removed");
    is_int(dms_catalog_encode(&catalog, 123, "/data/run", &buffer), 0, "a state is encoded");
    is_int(buffer.size % 8, 0, "it is padded to 8");
    if (ok(dms_catalog_decode(buffer.data, buffer.size, &decoded, &path) == 0, "and decoded")) {
        is_text(path, "/data/run", "with its path");
        ok(decoded.sequence == 4 && decoded.commit_hash == 123 && decoded.next_segment == 4,
           "its numbers");
        ok(decoded.group_ct == 1 && decoded.batch_ct == 2 && decoded.segment_ct == 1 &&
               decoded.schema->example_ct == 10,
           "and all that is live");
        ok(decoded.groups[0].live_ct == 4 && dms_row_is_removed(decoded.groups[0].removed, 3),
           "the removed row is known");
        ok(dms_catalog_encode(&decoded, 123, path, &again) == 0 && again.size == buffer.size &&
               memcmp(again.data, buffer.data, again.size) == 0,
           "encoding it again gives the same bytes");
        dms_catalog_clear(&decoded);
        free(path);
    } else {
        diag("%s", dms_error_message());
    }
    for (size_t bytes = 0; bytes < buffer.size; bytes++)
        accepted += dms_catalog_decode(buffer.data, bytes, &decoded, NULL) >= 0;
    is_int(accepted, 0, "every shorter state is refused");
    dms_catalog_clear(&catalog);
    dms_buffer_free(&buffer);
    dms_buffer_free(&again);
}

int main(void)
{
    test_edit_bytes();
    test_fit_edit_bytes();
    test_edit_refusals();
    test_applied();
    test_not_applied();
    test_state();
    return tap_done();
}
