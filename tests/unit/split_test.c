/*
 * The split of models into training, validation and held out, and the digests of these sets: on
 * small stores whose masks are known, however their rows came.
 */
#include "base/hash.h"
#include "solver/split.h"
#include "tests/unit/tap.h"

#include <dmstore.h>

#include <stdlib.h>
#include <unistd.h>

enum { EXAMPLES = 100, MASK_BYTES = (EXAMPLES + 7) / 8, COLUMN = 2 };

#define must(status) must_not_fail((status), #status)
static void must_not_fail(int status, const char *what)
{
    if (status < 0) {
        printf("Bail out! %s: %s\n", what, dms_error_message());
        exit(1);
    }
}

/* ---- stores ---- */

/* A mask that `number` determines; models of equal numbers have equal masks. */
static void make_mask(uint64_t number, uint8_t mask[MASK_BYTES])
{
    must(dms_sample_mask(EXAMPLES, EXAMPLES / 2, 1, number, mask));
}

static void remove_tree(const char *path)
{
    char command[256];

    snprintf(command, sizeof(command), "rm -rf '%s'", path);
    if (system(command) != 0)
        diag("cannot remove %s", path);
}

static void create(const char *path)
{
    struct dms_column column;
    struct dms_schema schema = {.example_ct = EXAMPLES, .chunk_rows = 64};

    remove_tree(path);
    must(dms_output_parse("margins:3:f16", &column));
    schema.column_ct = 1;
    schema.columns = &column;
    must(dms_store_create(path, &schema));
}

/* Appends model `id` with the mask of `number`, and with outputs or without. */
static void add(dms_store *store, uint64_t id, uint64_t number, bool has_value)
{
    static const uint16_t margins[3] = {0, 0, 0};
    const void *outputs[1] = {has_value ? margins : NULL};
    uint8_t mask[MASK_BYTES];

    make_mask(number, mask);
    must(dms_append(store, id, mask, outputs, NULL));
}

static void read_hashes(dms_store *store, unsigned thread_ct, struct dms_model_hashes *hashes)
{
    dms_snapshot *snapshot = NULL;

    must(dms_store_snapshot(store, &snapshot));
    must(dms_model_hashes_read(snapshot, COLUMN, thread_ct, hashes));
    dms_snapshot_close(snapshot);
}

/* ---- what is expected ---- */

/* The set as text, "0-4 7 9-12". */
static const char *text_of(const struct dms_row_set *set)
{
    static char text[1024];
    size_t length = 0;

    text[0] = '\0';
    for (size_t i = 0; i < set->range_ct; i++) {
        const struct dms_id_range *range = &set->ranges[i];
        const char *space = i > 0 ? " " : "";

        length += (size_t)snprintf(text + length, sizeof(text) - length,
                                   range->id_ct > 1 ? "%s%" PRIu64 "-%" PRIu64 : "%s%" PRIu64,
                                   space, range->first_id, range->first_id + range->id_ct - 1);
    }
    return text;
}

/* Adds to a digest, by school arithmetic on 32-bit digits. */
static void expect_model(uint64_t digest[2], uint64_t id, uint64_t number)
{
    uint8_t named[8 + MASK_BYTES];
    struct dms_hash128 hash;
    uint32_t digits[4];
    uint64_t carry = 0;

    for (int i = 0; i < 8; i++)
        named[i] = (uint8_t)(id >> 8 * i);
    make_mask(number, named + 8);
    hash = dms_hash128(named, sizeof(named));
    for (int i = 0; i < 4; i++) {
        uint64_t sum = (uint32_t)(digest[i / 2] >> i % 2 * 32) + carry +
                       (uint32_t)((i < 2 ? hash.low : hash.high) >> i % 2 * 32);

        digits[i] = (uint32_t)sum;
        carry = sum >> 32;
    }
    digest[0] = digits[0] | (uint64_t)digits[1] << 32;
    digest[1] = digits[2] | (uint64_t)digits[3] << 32;
}

static bool same_digest(const struct dms_row_set *set, const uint64_t digest[2])
{
    return set->digest[0] == digest[0] && set->digest[1] == digest[1];
}

/* ---- tests ---- */

static void test_ids_decide(void)
{
    struct dms_model_hashes hashes;
    struct dms_split split;
    dms_store *store;
    uint64_t digest[2] = {0, 0};

    create("ids.dms");
    must(dms_store_open("ids.dms", &store));
    for (uint64_t id = 100; id-- > 30;) /* the largest come first, and are sealed with others */
        add(store, id, id, id != 95);
    must(dms_store_seal(store, NULL));
    for (uint64_t id = 0; id < 30; id += 2)
        add(store, id, id, true);
    must(dms_store_remove(store, (const uint64_t[]){97, 40}, 2, false, NULL));

    read_hashes(store, 1, &hashes);
    is_int(hashes.model_ct, 71 - 1 + 15 - 1 - 2 + 1 - 1, "models with a value are counted");
    must(dms_split_choose(&hashes, 4, 3, 0, &split));
    is_text(text_of(&split.held_out), "94 96 98-99", "the largest ids are held out");
    is_text(text_of(&split.validation), "91-93", "those before them validate");
    is_text(text_of(&split.training), "0 2 4 6 8 10 12 14 16 18 20 22 24 26 28 30-39 41-90",
            "the others train");
    is_int(split.training.row_ct, 75, "and are counted");
    for (uint64_t id = 91; id <= 93; id++)
        expect_model(digest, id, id);
    ok(same_digest(&split.validation, digest), "the digest is the sum over id and mask");
    dms_split_free(&split);

    must(dms_split_choose(&hashes, 4, 3, 17, &split));
    is_text(text_of(&split.training), "0 2 4 6 8 10 12 14 16 18 20 22 24 26 28 30-31",
            "rows_used takes the first training ids");
    is_text(text_of(&split.validation), "91-93", "and leaves the others as they are");
    dms_split_free(&split);
    must(dms_split_choose(&hashes, 0, 0, 0, &split));
    is_int(split.held_out.row_ct + split.validation.row_ct, 0, "both sets may be empty");
    dms_split_free(&split);

    ok(dms_split_choose(&hashes, 80, 3, 0, &split) == DMS_ERR_INVALID, "too many are asked for");
    contains(dms_error_message(), "80", "the message has the numbers");
    ok(dms_split_choose(&hashes, UINT64_MAX, UINT64_MAX, 0, &split) == DMS_ERR_INVALID,
       "far too many are");
    ok(dms_split_choose(&hashes, 80, 2, 0, &split) == DMS_ERR_INVALID, "none is left to train on");
    contains(dms_error_message(), "no models are left to train on", "the message says so");
    ok(dms_split_choose(&hashes, 4, 3, 76, &split) == DMS_ERR_INVALID,
       "more are to be used than there are");
    dms_model_hashes_free(&hashes);
    dms_store_close(store);
}

static void test_equal_masks(void)
{
    /* Ids 0 .. 19; equal numbers are equal masks. */
    static const uint64_t numbers[20] = {0, 1,  2, 3,  4, 5,  6,  7,  8, 9,
                                         0, 11, 1, 13, 2, 15, 13, 17, 2, 1};
    struct dms_model_hashes hashes;
    struct dms_split split;
    dms_store *store;

    create("equal.dms");
    must(dms_store_open("equal.dms", &store));
    for (uint64_t id = 0; id < 20; id++)
        add(store, id, numbers[id], true);
    read_hashes(store, 2, &hashes);
    must(dms_split_choose(&hashes, 2, 3, 0, &split)); /* 18 19; 15 16 17 */
    is_text(text_of(&split.held_out), "1-2 12 14 18-19", "masks of held-out models are held out");
    is_text(text_of(&split.validation), "13 15-17", "masks of validation models validate");
    is_text(text_of(&split.training), "0 3-11", "repeated masks within one set stay");
    dms_split_free(&split);
    must(dms_split_choose(&hashes, 2, 3, 2, &split));
    is_text(text_of(&split.training), "0 3", "rows_used counts what is left");
    dms_split_free(&split);
    dms_model_hashes_free(&hashes);
    dms_store_close(store);

    create("same.dms");
    must(dms_store_open("same.dms", &store));
    for (uint64_t id = 0; id < 5; id++)
        add(store, id, 0, true);
    read_hashes(store, 1, &hashes);
    ok(dms_split_choose(&hashes, 1, 0, 0, &split) == DMS_ERR_INVALID,
       "when all masks are equal nothing is left");
    dms_model_hashes_free(&hashes);
    dms_store_close(store);
}

/* The same models in two stores, in other orders, one compacted: all that is derived is equal. */
static void test_order_is_no_matter(void)
{
    struct dms_compact_options compact = {.all = true};
    struct dms_model_hashes one, other;
    dms_store *first, *second;
    bool equal = true;

    create("first.dms");
    create("second.dms");
    must(dms_store_open("first.dms", &first));
    must(dms_store_open("second.dms", &second));
    for (uint64_t k = 0; k < 300; k++) {
        add(first, k, k, true);
        add(second, k * 7 % 300, k * 7 % 300, true);
    }
    must(dms_store_remove(second, (const uint64_t[]){5}, 1, false, NULL));
    must(dms_store_compact(second, &compact, NULL));
    add(second, 5, 5, true);
    read_hashes(first, 1, &one);
    read_hashes(second, 4, &other);
    is_int(other.model_ct, one.model_ct, "as many models");
    for (size_t i = 0; i < one.model_ct && i < other.model_ct; i++)
        equal &= memcmp(&one.models[i], &other.models[i], sizeof(one.models[i])) == 0;
    ok(equal, "order, compaction and threads change no hash");
    dms_model_hashes_free(&one);
    dms_model_hashes_free(&other);
    dms_store_close(first);
    dms_store_close(second);
}

static void test_check(void)
{
    struct dms_row row = {.id = 7};
    struct dms_model_hashes hashes;
    struct dms_split split;
    dms_store *store;
    uint8_t mask[MASK_BYTES];

    create("check.dms");
    must(dms_store_open("check.dms", &store));
    for (uint64_t id = 0; id < 40; id++)
        add(store, id, id, true);
    read_hashes(store, 1, &hashes);
    must(dms_split_choose(&hashes, 10, 10, 0, &split));
    is_int(dms_row_set_check(&split.training, "training", &hashes), 0, "a set is in its store");
    dms_model_hashes_free(&hashes);

    for (uint64_t id = 40; id < 50; id++)
        add(store, id, id, true);
    read_hashes(store, 1, &hashes);
    is_int(dms_row_set_check(&split.training, "training", &hashes), 0, "also when it has grown");
    dms_model_hashes_free(&hashes);

    must(dms_store_remove(store, (const uint64_t[]){12, 25}, 2, false, NULL));
    read_hashes(store, 1, &hashes);
    is_int(dms_row_set_check(&split.training, "training", &hashes), DMS_ERR_NOT_FOUND,
           "a model that is gone is noticed");
    contains(dms_error_message(), "training model 12 ", "and named");
    is_int(dms_row_set_check(&split.held_out, "held-out", &hashes), 0, "the other sets are there");
    dms_model_hashes_free(&hashes);

    add(store, 12, 12, true);
    make_mask(1000, mask);
    row.mask = mask;
    row.outputs = (const void *const[]){(const uint16_t[]){0, 0, 0}};
    must(dms_append_rows(store, &row, 1, DMS_DUPLICATE_REPLACE, NULL));
    read_hashes(store, 1, &hashes);
    is_int(dms_row_set_check(&split.training, "training", &hashes), DMS_ERR_CONFLICT,
           "a mask that was replaced is noticed");
    contains(dms_error_message(), "training", "in its set");
    dms_model_hashes_free(&hashes);
    dms_split_free(&split);
    dms_store_close(store);
}

int main(void)
{
    char directory[] = "split_test.XXXXXX";

    if (!mkdtemp(directory) || chdir(directory) != 0) {
        printf("Bail out! no directory to work in\n");
        return 1;
    }
    test_ids_decide();
    test_equal_masks();
    test_order_is_no_matter();
    test_check();
    if (chdir("..") == 0)
        remove_tree(directory);
    return tap_done();
}
