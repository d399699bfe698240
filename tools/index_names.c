/*
 * Reads and prints names and labels; see index_names.h.
 */
#include "index_names.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore.h>

#include "fit_arrays.h"
#include "report.h"

/* Reads the whole file; the caller frees *text, which ends in a zero byte. */
static int read_text(const char *path, char **text, size_t *bytes)
{
    FILE *file = fopen(path, "re");
    size_t capacity = 0, used = 0;
    char *read = NULL;

    if (!file)
        return tool_source_fail_errno("cannot open '%s'", path);
    do {
        char *grown = realloc(read, capacity = capacity > 0 ? 2 * capacity : 65536);

        if (!grown) {
            free(read);
            fclose(file);
            return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for '%s'", path);
        }
        read = grown;
        used += fread(read + used, 1, capacity - used - 1, file);
    } while (used == capacity - 1);
    if (ferror(file)) {
        free(read);
        fclose(file);
        return tool_source_fail_errno("cannot read '%s'", path);
    }
    fclose(file);
    read[used] = '\0';
    *text = read;
    *bytes = used;
    return 0;
}

/* Cuts the text into lines. */
static int read_names(const char *path, const char *what, struct index_names *names)
{
    uint64_t line_ct = 0;
    size_t bytes = 0;
    int code = read_text(path, &names->text, &bytes);

    if (code < 0)
        return code;
    names->names = calloc(names->count + 1, sizeof(*names->names));
    if (!names->names)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for '%s'", path);
    for (char *line = names->text, *end; line < names->text + bytes; line = end + 1) {
        end = strchr(line, '\n');
        if (!end)
            end = line + strlen(line);
        if (end > line && end[-1] == '\r')
            end[-1] = '\0';
        *end = '\0';
        if (line_ct < names->count)
            names->names[line_ct] = line;
        line_ct++;
    }
    if (line_ct != names->count)
        return dms_source_fail(DMS_ERR_INVALID,
                               "'%s' has %" PRIu64 " lines: expected a name for each of %" PRIu64
                               " %ss",
                               path, line_ct, names->count, what);
    return 0;
}

static int read_labels(const char *path, const char *what, struct index_names *names)
{
    size_t label_ct;
    int code = fit_array_integers(path, "label", &names->labels, &label_ct);

    if (code == 0 && label_ct != names->count)
        code = dms_source_fail(DMS_ERR_INVALID, "'%s' has %zu labels for %" PRIu64 " %ss", path,
                               label_ct, names->count, what);
    return code;
}

int index_names_read(const char *names_path, const char *labels_path, const char *what,
                     uint64_t count, struct index_names *names)
{
    struct index_names read = {.count = count};
    int code = names_path ? read_names(names_path, what, &read) : 0;

    if (code == 0 && labels_path)
        code = read_labels(labels_path, what, &read);
    if (code < 0) {
        index_names_free(&read);
        return code;
    }
    *names = read;
    return 0;
}

void index_names_free(struct index_names *names)
{
    free(names->text);
    free(names->names);
    free(names->labels);
    *names = (struct index_names){0};
}

/* A name in quotes, so that it is seen where a name that begins with a number begins. What a
 * terminal would obey becomes '?'. */
static void print_name(const char *name, FILE *file)
{
    putc('\'', file);
    for (const char *c = name; *c; c++)
        putc((unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c, file);
    putc('\'', file);
}

static void print_between(const char *before, const struct index_names *names, uint64_t index,
                          const char *after, FILE *file)
{
    if (!names->labels && !names->names)
        return;
    fputs(before, file);
    if (names->labels)
        fprintf(file, "class %" PRId64 "%s", names->labels[index], names->names ? ", " : "");
    if (names->names)
        print_name(names->names[index], file);
    fputs(after, file);
}

void index_names_print(const struct index_names *names, uint64_t index, FILE *file)
{
    print_between("  ", names, index, "", file);
}

void index_names_print_aside(const struct index_names *names, uint64_t index, FILE *file)
{
    print_between(" (", names, index, ")", file);
}

void index_names_json(const struct index_names *names, uint64_t index, struct json_writer *json)
{
    if (names->labels)
        json_i64(json, "label", names->labels[index]);
    if (names->names)
        json_text(json, "name", names->names[index]);
}

void index_names_csv_head(const struct index_names *names, const char *prefix, FILE *file)
{
    if (names->labels)
        fprintf(file, ",%slabel", prefix);
    if (names->names)
        fprintf(file, ",%sname", prefix);
}

void index_names_csv(const struct index_names *names, uint64_t index, FILE *file)
{
    if (names->labels)
        fprintf(file, ",%" PRId64, names->labels[index]);
    if (!names->names)
        return;
    fputs(",\"", file);
    for (const char *c = names->names[index]; *c; c++) {
        if (*c == '"')
            putc('"', file);
        putc(*c, file);
    }
    putc('"', file);
}
