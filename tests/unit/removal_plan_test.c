/*
 * Plans of models to train (tools/removal_plan.h): what is written is read back, and every line
 * that the writer would not have written is refused with the name of the file and its number.
 */
#include "tests/unit/tap.h"

#include <dmstore.h>

#include <stdlib.h>
#include <unistd.h>

#include "tools/npy_file.h"
#include "tools/removal_plan.h"

#define DIRECTORY "removal_plan_test.plan"
#define TABLE DIRECTORY "/plan.csv"
#define MASKS DIRECTORY "/masks.npy"
#define HEAD "id,target,k,repeat,kind,label\n"

enum { EXAMPLES = 11, TARGETS = 50 };

static const uint64_t removed[] = {9, 0, 4};

/* ---- writing ---- */

static int write_plan(uint64_t row_ct)
{
    struct plan_row top = {.has_target = true, .target = 7, .k = 3, .kind = "top"};
    struct plan_row relabel = {.has_target = true,
                               .target = 49,
                               .k = 2,
                               .kind = "relabel",
                               .has_label = true,
                               .label = INT64_MIN + 1};
    struct removal_plan_writer writer;
    int code = removal_plan_create(&writer, DIRECTORY, EXAMPLES, row_ct, 100);

    if (code == 0)
        code = removal_plan_add_controls(&writer, 2);
    if (code == 0)
        code = removal_plan_add_repeats(&writer, &top, 3, removed, 3);
    if (code == 0)
        code = removal_plan_add(&writer, &relabel, removed, 2);
    return removal_plan_end(&writer, code);
}

static bool masks_are_right(void)
{
    struct npy_file file = {0};
    uint8_t masks[6][EXAMPLES];
    bool are_right = npy_file_open(&file, MASKS) == 0 && file.npy.kind == 'b' && file.row_ct == 6 &&
                     file.row_bytes == EXAMPLES &&
                     npy_file_read(&file, 0, 6, 0, EXAMPLES, masks) == 0;

    for (size_t row = 0; are_right && row < 6; row++) {
        for (size_t i = 0; i < EXAMPLES; i++) {
            size_t k = row < 2 ? 0 : row < 5 ? 3 : 2;
            bool is_removed = false;

            for (size_t r = 0; r < k; r++)
                is_removed |= removed[r] == i;
            are_right &= masks[row][i] == !is_removed;
        }
    }
    npy_file_close(&file);
    return are_right;
}

static void test_round_trip(void)
{
    struct removal_plan plan = {0};
    const struct plan_row *row;

    is_int(write_plan(6), 0, "a plan is written");
    ok(masks_are_right(), "its masks are ones but for what is removed");
    is_int(removal_plan_read(DIRECTORY, TARGETS, &plan), 0, "and read");
    if (!ok(plan.row_ct == 6, "with all rows"))
        return;
    row = &plan.rows[1];
    ok(row->id == 101 && !row->has_target && row->k == 0 && row->repeat == 1 && !row->has_label &&
           strcmp(row->kind, "control") == 0,
       "a control");
    row = &plan.rows[4];
    ok(row->id == 104 && row->has_target && row->target == 7 && row->k == 3 && row->repeat == 2 &&
           strcmp(row->kind, "top") == 0,
       "a repeat");
    row = &plan.rows[5];
    ok(row->id == 105 && row->target == 49 && row->has_label && row->label == INT64_MIN + 1,
       "a label");
    removal_plan_free(&plan);
}

static void test_unfinished(void)
{
    unlink(TABLE);
    unlink(MASKS);
    is_int(write_plan(7), DMS_ERR_INVALID, "a plan with too few rows is not finished");
    contains(dms_error_message(), "6 of 7 rows", "and the message says so");
    is_int(write_plan(5), DMS_ERR_INVALID, "nor is one with too many");
    ok(access(TABLE, F_OK) != 0 && access(MASKS, F_OK) != 0 && rmdir(DIRECTORY) == 0,
       "and nothing is left of either");
}

/* ---- reading ---- */

static void write_table(const char *text, size_t bytes)
{
    FILE *file = fopen(TABLE, "w");

    if (!file || fwrite(text, 1, bytes, file) != bytes || fclose(file) != 0) {
        printf("Bail out! cannot write " TABLE "\n");
        exit(1);
    }
}

static void check_refused(const char *text, size_t bytes, const char *part, const char *what)
{
    struct removal_plan plan = {0};

    write_table(text, bytes);
    is_int(removal_plan_read(DIRECTORY, TARGETS, &plan), DMS_ERR_INVALID, what);
    contains(dms_error_message(), part, "and the message says why");
    removal_plan_free(&plan);
}

static void test_refused(void)
{
    static const struct {
        const char *line, *message, *what;
    } cases[] = {
        {"1,2,3,4,top", "line 3: expected the 6 fields", "too few fields"},
        {"1,2,3,4,top,,", "line 3: expected the 6 fields", "too many fields"},
        {"", "line 3: expected the 6 fields", "an empty line"},
        {"x,2,3,4,top,", "line 3: 'x' is not a model id", "no id"},
        {"2,2,3,4,top,", "line 3: model 2 follows model 0", "an id that does not follow"},
        {"0,2,3,4,top,", "line 3: model 0 follows model 0", "an id twice"},
        {"1,-2,3,4,top,", "'-2' is not one of the targets", "a negative target"},
        {"1,50,3,4,top,", "'50' is not one of the targets", "a target that there is not"},
        {"1,2,,4,top,", "'' is not a number of examples", "no k"},
        {"1,2,3,1e3,top,", "'1e3' is not the number of a repeat", "a repeat that is no number"},
        {"1,2,3,4,,", "'' is not a kind", "no kind"},
        {"1,2,3,4,Top,", "'Top' is not a kind", "a kind in capitals"},
        {"1,2,3,4,abcdefghijklmnopqrstuvwxyz,", "is not a kind", "a long kind"},
        {"1,2,3,4,top,a", "'a' is not a class", "a label that is no number"},
        {"1,2,3,4,top,9223372036854775808", "is not a class", "a label that is too large"},
    };
    char text[256];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int bytes = snprintf(text, sizeof(text), HEAD "0,,0,0,control,\n%s\n", cases[i].line);

        check_refused(text, (size_t)bytes, cases[i].message, cases[i].what);
    }
    check_refused("id,target\n", 10, TABLE "' line 1: 'id,target' is not the head", "another head");
    check_refused(HEAD, strlen(HEAD), "plans no models", "no rows");
    check_refused("", 0, "plans no models", "nothing");
    check_refused(HEAD "0,,0,0,control,\0,\n", strlen(HEAD) + 18, "line 2", "a zero byte");
}

static void test_accepted(void)
{
    struct removal_plan plan = {0};
    const char *text = HEAD "18446744073709551615,,3,0,list,";

    write_table(text, strlen(text));
    ok(removal_plan_read(DIRECTORY, TARGETS, &plan) == 0 && plan.row_ct == 1 &&
           plan.rows[0].id == UINT64_MAX && plan.rows[0].k == 3,
       "the largest id, in a last line that does not end");
    removal_plan_free(&plan);
    unlink(TABLE);
    is_int(removal_plan_read(DIRECTORY, TARGETS, &plan), DMS_ERR_NOT_FOUND, "no plan");
    contains(dms_error_message(), TABLE, "and the message names the file");
}

int main(void)
{
    unlink(TABLE);
    unlink(MASKS);
    rmdir(DIRECTORY);
    test_round_trip();
    test_unfinished();
    is_int(write_plan(6), 0, "a plan is written over nothing");
    test_refused();
    test_accepted();
    unlink(MASKS);
    rmdir(DIRECTORY);
    return tap_done();
}
