/*
 * Writes and reads plans of models to train; see removal_plan.h.
 */
#include "removal_plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <dmstore.h>

#include "options.h"
#include "report.h"

#define FIELD_CT 6

static const char head[] = "id,target,k,repeat,kind,label";

/* ---- writing ---- */

static int create_masks(struct removal_plan_writer *writer, const char *directory)
{
    uint64_t shape[] = {writer->row_ct, writer->example_ct};
    char *path = output_file_path(directory, "masks.npy");
    int code = path ? npy_writer_create(&writer->masks, path, 'b', 1, 2, shape) : DMS_ERR_NO_MEMORY;

    free(path);
    return code;
}

static int create_table(struct removal_plan_writer *writer, const char *directory)
{
    char *path = output_file_path(directory, "plan.csv");
    int code = path ? output_file_create(&writer->table_file, path) : DMS_ERR_NO_MEMORY;

    free(path);
    if (code < 0)
        return code;
    writer->table = output_file_stream(&writer->table_file);
    if (!writer->table)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");
    fprintf(writer->table, "%s\n", head);
    return 0;
}

/* Better than to fill the disk first: plans of many targets, sizes and repeats are large. */
static int check_room(const char *directory, uint64_t row_ct, uint64_t example_ct)
{
    char wanted[TOOL_HUMAN_BYTES], free_text[TOOL_HUMAN_BYTES];
    uint64_t bytes, free_bytes;
    struct statvfs disk;

    if (__builtin_mul_overflow(row_ct, example_ct, &bytes))
        return dms_source_fail(DMS_ERR_INVALID, "%" PRIu64 " models are too many for a plan",
                               row_ct);
    if (statvfs(directory, &disk) != 0 ||
        __builtin_mul_overflow((uint64_t)disk.f_bavail, (uint64_t)disk.f_frsize, &free_bytes) ||
        bytes <= free_bytes)
        return 0;
    return dms_source_fail(DMS_ERR_INVALID,
                           "the masks of %" PRIu64 " models take %s, and '%s' has room for %s: "
                           "plan for fewer targets, sets or repeats",
                           row_ct, tool_human_bytes(bytes, wanted), directory,
                           tool_human_bytes(free_bytes, free_text));
}

int removal_plan_create(struct removal_plan_writer *writer, const char *directory,
                        uint64_t example_ct, uint64_t row_ct, uint64_t first_id)
{
    int code = 0;

    /* In place: the stream of the table points to its file. */
    *writer = (struct removal_plan_writer){
        .example_ct = example_ct, .row_ct = row_ct, .first_id = first_id};
    if (row_ct > UINT64_MAX - first_id)
        code = dms_source_fail(DMS_ERR_INVALID,
                               "there are no ids from %" PRIu64 " on for %" PRIu64 " models",
                               first_id, row_ct);
    else if (mkdir(directory, 0777) != 0 && errno != EEXIST)
        code = tool_source_fail_errno("cannot make the directory '%s'", directory);
    if (code == 0)
        code = check_room(directory, row_ct, example_ct);
    if (code == 0) {
        writer->mask = malloc(example_ct + 1);
        if (!writer->mask)
            code = dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for a mask");
    }
    if (code == 0)
        code = create_masks(writer, directory);
    if (code == 0)
        code = create_table(writer, directory);
    return code < 0 ? removal_plan_end(writer, code) : 0;
}

int removal_plan_add(struct removal_plan_writer *writer, const struct plan_row *row,
                     const uint64_t *removed, size_t removed_ct)
{
    FILE *table = writer->table;

    if (writer->written_ct == writer->row_ct)
        return dms_source_fail(DMS_ERR_INVALID, "the plan is full: it has %" PRIu64 " rows",
                               writer->row_ct);
    memset(writer->mask, 1, writer->example_ct);
    for (size_t i = 0; i < removed_ct; i++)
        writer->mask[removed[i]] = 0;
    fprintf(table, "%" PRIu64 ",", writer->first_id + writer->written_ct);
    if (row->has_target)
        fprintf(table, "%" PRIu64, row->target);
    fprintf(table, ",%" PRIu64 ",%" PRIu64 ",%s,", row->k, row->repeat, row->kind);
    if (row->has_label)
        fprintf(table, "%" PRId64, row->label);
    putc('\n', table);
    return npy_writer_write(&writer->masks, writer->written_ct++, 1, 0, writer->example_ct,
                            writer->mask);
}

int removal_plan_add_repeats(struct removal_plan_writer *writer, const struct plan_row *row,
                             uint64_t repeat_ct, const uint64_t *removed, size_t removed_ct)
{
    struct plan_row repeated = *row;
    int code = 0;

    for (repeated.repeat = 0; code == 0 && repeated.repeat < repeat_ct; repeated.repeat++)
        code = removal_plan_add(writer, &repeated, removed, removed_ct);
    return code;
}

int removal_plan_add_controls(struct removal_plan_writer *writer, uint64_t repeat_ct)
{
    const struct plan_row control = {.kind = "control"};

    return removal_plan_add_repeats(writer, &control, repeat_ct, NULL, 0);
}

int removal_plan_end(struct removal_plan_writer *writer, int code)
{
    if (code == 0 && writer->written_ct != writer->row_ct)
        code = dms_source_fail(DMS_ERR_INVALID, "the plan has %" PRIu64 " of %" PRIu64 " rows",
                               writer->written_ct, writer->row_ct);
    /* The masks first: a table that is there has its masks beside it. */
    if (code == 0)
        code = npy_writer_commit(&writer->masks);
    else
        npy_writer_abandon(&writer->masks);
    code = output_file_end_stream(&writer->table_file, writer->table, code);
    free(writer->mask);
    *writer = (struct removal_plan_writer){0};
    return code;
}

/* ---- reading ---- */

/* Where a reader is. */
struct cursor {
    const char *path;
    uint64_t line;
    uint64_t target_ct;
};

static int fail_at(const struct cursor *cursor, const char *what, const char *text)
{
    return dms_source_fail(DMS_ERR_INVALID, "'%s' line %" PRIu64 ": '%s' is not %s", cursor->path,
                           cursor->line, text, what);
}

/* Cuts a line at its commas. */
static bool split_line(char *line, char *fields[FIELD_CT])
{
    size_t field_ct = 0;

    for (char *next = line; next;) {
        if (field_ct == FIELD_CT)
            return false;
        fields[field_ct++] = strsep(&next, ",");
    }
    return field_ct == FIELD_CT;
}

static bool is_kind(const char *text)
{
    size_t bytes = strlen(text);

    return bytes > 0 && bytes < REMOVAL_KIND_BYTES &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == bytes;
}

/* A class: an integer with an optional sign. */
static bool parse_label(const char *text, int64_t *label)
{
    bool is_negative = text[0] == '-';
    uint64_t size;

    if (!tool_parse_number(text + is_negative, 0, &size) || size > INT64_MAX)
        return false;
    *label = is_negative ? -(int64_t)size : (int64_t)size;
    return true;
}

static int read_row(const struct cursor *cursor, char *line, struct plan_row *row)
{
    char *fields[FIELD_CT];

    *row = (struct plan_row){0};
    if (!split_line(line, fields))
        return dms_source_fail(DMS_ERR_INVALID, "'%s' line %" PRIu64 ": expected the %d fields %s",
                               cursor->path, cursor->line, FIELD_CT, head);
    row->has_target = *fields[1] != '\0';
    row->has_label = *fields[5] != '\0';
    if (!tool_parse_number(fields[0], 0, &row->id))
        return fail_at(cursor, "a model id", fields[0]);
    if (row->has_target &&
        (!tool_parse_number(fields[1], 0, &row->target) || row->target >= cursor->target_ct))
        return fail_at(cursor, "one of the targets there are", fields[1]);
    if (!tool_parse_number(fields[2], 0, &row->k))
        return fail_at(cursor, "a number of examples", fields[2]);
    if (!tool_parse_number(fields[3], 0, &row->repeat))
        return fail_at(cursor, "the number of a repeat", fields[3]);
    if (!is_kind(fields[4]))
        return fail_at(cursor, "a kind of row", fields[4]);
    strcpy(row->kind, fields[4]);
    if (row->has_label && !parse_label(fields[5], &row->label))
        return fail_at(cursor, "a class", fields[5]);
    return 0;
}

static int append_row(const struct cursor *cursor, const struct plan_row *row,
                      struct removal_plan *plan, size_t *capacity)
{
    if (plan->row_ct > 0 && row->id - 1 != plan->rows[plan->row_ct - 1].id)
        return dms_source_fail(DMS_ERR_INVALID,
                               "'%s' line %" PRIu64 ": model %" PRIu64 " follows model %" PRIu64
                               ": ids count up by one",
                               cursor->path, cursor->line, row->id,
                               plan->rows[plan->row_ct - 1].id);
    if (plan->row_ct == *capacity) {
        size_t grown_ct = *capacity > 0 ? 2 * *capacity : 256;
        struct plan_row *grown = reallocarray(plan->rows, grown_ct, sizeof(*grown));

        if (!grown)
            return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for '%s'", cursor->path);
        plan->rows = grown;
        *capacity = grown_ct;
    }
    plan->rows[plan->row_ct++] = *row;
    return 0;
}

static int read_rows(FILE *file, struct cursor *cursor, struct removal_plan *plan)
{
    size_t line_capacity = 0, row_capacity = 0;
    char *line = NULL;
    ssize_t bytes;
    int code = 0;

    while (code == 0 && (bytes = getline(&line, &line_capacity, file)) > 0) {
        struct plan_row row;

        cursor->line++;
        if (line[bytes - 1] == '\n')
            line[--bytes] = '\0';
        if (strlen(line) != (size_t)bytes) {
            code = fail_at(cursor, "text", line);
            continue;
        }
        if (cursor->line == 1) {
            code = strcmp(line, head) == 0 ? 0 : fail_at(cursor, "the head of a plan", line);
            continue;
        }
        code = read_row(cursor, line, &row);
        if (code == 0)
            code = append_row(cursor, &row, plan, &row_capacity);
    }
    free(line);
    if (code == 0 && ferror(file))
        code = tool_source_fail_errno("cannot read '%s'", cursor->path);
    if (code == 0 && plan->row_ct == 0)
        code = dms_source_fail(DMS_ERR_INVALID, "'%s' plans no models", cursor->path);
    return code;
}

int removal_plan_read(const char *directory, uint64_t target_ct, struct removal_plan *plan)
{
    char *path = output_file_path(directory, "plan.csv");
    struct removal_plan read = {0};
    struct cursor cursor = {.path = path, .target_ct = target_ct};
    FILE *file = path ? fopen(path, "re") : NULL;
    int code = path ? 0 : DMS_ERR_NO_MEMORY;

    if (path && !file)
        code = tool_source_fail_errno("cannot open '%s'", path);
    if (code == 0)
        code = read_rows(file, &cursor, &read);
    if (file)
        fclose(file);
    free(path);
    if (code < 0) {
        removal_plan_free(&read);
        return code;
    }
    *plan = read;
    return 0;
}

void removal_plan_free(struct removal_plan *plan)
{
    free(plan->rows);
    *plan = (struct removal_plan){0};
}
