/*
 * Id runs: golden bytes of SPEC.md section 2.2.1, lists at the ends of the range of ids, and codes
 * that are not the one right code of a list.
 */
#include "tap.h"

#include "base/buffer.h"
#include "base/error.h"
#include "format/ids.h"

enum { ROWS_MAX = 300 };

/* Encodes, compares with the golden bytes (unless NULL), decodes and compares with the list. */
static void round_trip(const char *what, const uint64_t *ids, uint32_t row_ct,
                       const uint8_t *golden, size_t golden_bytes)
{
    struct dms_buffer buffer = {0};
    uint64_t back[ROWS_MAX];
    uint32_t run_bytes = 0;

    ok(dms_ids_encode(ids, row_ct, &buffer, &run_bytes) == 0 && run_bytes == buffer.size,
       "%s: encoded", what);
    if (golden != NULL)
        ok(run_bytes == golden_bytes && memcmp(buffer.data, golden, golden_bytes) == 0,
           "%s: to the bytes of SPEC.md", what);
    ok(dms_ids_decode(buffer.data, run_bytes, row_ct, back) == 0 &&
           memcmp(back, ids, row_ct * sizeof(*ids)) == 0,
       "%s: and back", what);
    is_int(dms_ids_decode(buffer.data, run_bytes, row_ct + 1, back), DMS_ERR_CORRUPT,
           "too few ids are noticed");
    if (row_ct > 1)
        is_int(dms_ids_decode(buffer.data, run_bytes, row_ct - 1, back), DMS_ERR_CORRUPT,
               "too many ids are noticed");
    dms_buffer_free(&buffer);
}

static void test_round_trips(void)
{
    const uint64_t last = UINT64_MAX;
    const uint64_t runs[] = {0, 1, 2, 9, 10, 3};
    const uint8_t runs_code[] = {0, 3, 14, 2, 13, 1};
    const uint64_t ends[] = {last - 1, last, 0, 1, last};
    /* From 0 to 2^64 - 2 is -2, from 2^64 - 1 to 0 is +1, from 1 to 2^64 - 1 is -2. */
    const uint8_t ends_code[] = {3, 2, 2, 2, 3, 1};
    const uint64_t far[] = {UINT64_C(1) << 63, 0};
    uint64_t many[ROWS_MAX];

    round_trip("runs", runs, 6, runs_code, sizeof(runs_code));
    round_trip("the ends of the range", ends, 5, ends_code, sizeof(ends_code));
    round_trip("the farthest jumps", far, 2, NULL, 0);
    for (uint32_t row = 0; row < ROWS_MAX; row++)
        many[row] = 1000 + row;
    round_trip("one long run", many, ROWS_MAX, (const uint8_t[]){0xd0, 0x0f, 0xac, 0x02}, 4);
    for (uint32_t row = 0; row < ROWS_MAX; row++)
        many[row] = row * UINT64_C(0x9e3779b97f4a7c15);
    round_trip("no runs at all", many, ROWS_MAX, NULL, 0);
}

static void test_spans(void)
{
    const uint8_t code[] = {14, 2, 13, 1};
    struct dms_ids_iterator iterator = dms_ids_begin(code, sizeof(code), 3);
    struct dms_id_span span = {0};

    ok(dms_ids_next(&iterator, &span) == 1 && span.first == 7 && span.row == 0 && span.count == 2,
       "the first run");
    ok(dms_ids_next(&iterator, &span) == 1 && span.first == 1 && span.row == 2 && span.count == 1,
       "the second run");
    is_int(dms_ids_next(&iterator, &span), 0, "the end");
}

static void test_refused(void)
{
    static const struct {
        const char *what;
        uint32_t row_ct;
        size_t bytes;
        uint8_t code[24];
    } cases[] = {
        {"no ids", 1, 0, {0}},
        {"a run without a length", 1, 1, {0}},
        {"a run of no ids", 1, 2, {0, 0}},
        {"a run of more ids than rows", 2, 2, {0, 3}},
        {"a second run beyond the rows", 3, 4, {0, 2, 8, 2}},
        {"two runs that are one", 4, 4, {0, 2, 2, 2}},
        {"a run past the last id", 2, 2, {1, 2}},
        {"a number that does not end", 1, 2, {0x80, 0x80}},
        {"a number in more bytes than it takes", 1, 3, {0x80, 0, 1}},
        {"a number of 65 bits",
         1,
         11,
         {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 3, 1}},
        {"a length of 2^64 - 1",
         1,
         11,
         {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}},
    };
    uint64_t ids[8];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ok(dms_ids_decode(cases[i].code, cases[i].bytes, cases[i].row_ct, ids) == DMS_ERR_CORRUPT,
           "refused: %s", cases[i].what);
}

int main(void)
{
    test_round_trips();
    test_spans();
    test_refused();
    return tap_done();
}
