/*
 * Reads lists of indices; see index_list.h.
 */
#include "index_list.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore.h>

#include "npy_file.h"
#include "options.h"
#include "report.h"
#include "target_range.h"

static const char npy_magic[] = "\x93NUMPY";

/* A list on its way. */
struct builder {
    const char *source; /* for messages: a file's name, or the option's text */
    const char *what;
    uint64_t limit;
    struct index_list list;
    size_t capacity;
    uint8_t *is_listed; /* one bit for each index below limit */
};

static int begin(struct builder *builder)
{
    builder->is_listed = calloc(builder->limit / 8 + 1, 1);
    return builder->is_listed ? 0 : dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for a list");
}

static int add(struct builder *builder, uint64_t index)
{
    struct index_list *list = &builder->list;

    if (index >= builder->limit)
        return dms_source_fail(DMS_ERR_INVALID,
                               "'%s' names %s %" PRIu64 ", but there are %" PRIu64 " only",
                               builder->source, builder->what, index, builder->limit);
    if (builder->is_listed[index / 8] >> (index % 8) & 1)
        return dms_source_fail(DMS_ERR_INVALID, "'%s' names %s %" PRIu64 " twice", builder->source,
                               builder->what, index);
    builder->is_listed[index / 8] |= (uint8_t)(1u << (index % 8));
    if (list->index_ct == builder->capacity) {
        size_t capacity = builder->capacity > 0 ? 2 * builder->capacity : 64;
        uint64_t *grown = realloc(list->indices, capacity * sizeof(*grown));

        if (!grown)
            return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for '%s'", builder->source);
        list->indices = grown;
        builder->capacity = capacity;
    }
    list->indices[list->index_ct++] = index;
    return 0;
}

/* ---- files ---- */

static int read_text(FILE *file, struct builder *builder)
{
    char word[32];
    uint64_t line = 1;
    int c = getc(file), code = 0;

    while (code == 0 && c != EOF) {
        size_t word_bytes = 0;
        uint64_t index;

        while (c == '#' || isspace(c) || c == ',') {
            while (c == '#' && (c = getc(file)) != EOF && c != '\n')
                c = '#';
            line += c == '\n';
            if (c != EOF)
                c = getc(file);
        }
        while (c != EOF && c != '#' && c != ',' && !isspace(c)) {
            if (word_bytes + 1 < sizeof(word))
                word[word_bytes++] = (char)c;
            c = getc(file);
        }
        word[word_bytes] = '\0';
        if (word_bytes == 0)
            continue;
        if (!tool_parse_number(word, 0, &index))
            return dms_source_fail(DMS_ERR_INVALID,
                                   "'%s' line %" PRIu64 ": '%s' is not the number of %s %s",
                                   builder->source, line, word,
                                   strchr("aeiou", builder->what[0]) ? "an" : "a", builder->what);
        code = add(builder, index);
    }
    return code < 0 || !ferror(file) ? code
                                     : tool_source_fail_errno("cannot read '%s'", builder->source);
}

/* One bool for every index. */
static int read_flags(const struct npy_file *file, struct builder *builder)
{
    uint8_t *flags;
    int code;

    if (file->row_ct != builder->limit || file->row_values != 1)
        return dms_source_fail(DMS_ERR_INVALID, "'%s' has %" PRIu64 " flags for %" PRIu64 " %ss",
                               builder->source, file->row_ct, builder->limit, builder->what);
    flags = malloc(file->row_ct + 1);
    code = flags ? npy_file_read(file, 0, file->row_ct, 0, 1, flags)
                 : dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for '%s'", builder->source);
    for (uint64_t i = 0; code == 0 && i < file->row_ct; i++) {
        if (flags[i])
            code = add(builder, i);
    }
    free(flags);
    return code;
}

static int read_npy(const char *path, struct builder *builder)
{
    struct npy_file file = {.descriptor = -1};
    int code = npy_file_open_integers(&file, path, builder->what);

    if (code == 0 && file.npy.kind == 'b') {
        code = read_flags(&file, builder);
    } else {
        for (uint64_t i = 0; code == 0 && i < file.row_ct; i++) {
            uint64_t index;

            code = npy_file_read_integers(&file, builder->what, i, 1, &index);
            if (code == 0)
                code = add(builder, index);
        }
    }
    npy_file_close(&file);
    return code;
}

static int read_file(const char *path, struct builder *builder)
{
    char magic[sizeof(npy_magic) - 1];
    FILE *file = fopen(path, "re");
    int code;

    if (!file)
        return tool_source_fail_errno("cannot open '%s'", path);
    if (fread(magic, 1, sizeof(magic), file) == sizeof(magic) &&
        memcmp(magic, npy_magic, sizeof(magic)) == 0) {
        code = read_npy(path, builder);
    } else {
        rewind(file);
        code = read_text(file, builder);
    }
    fclose(file);
    return code;
}

/* ---- lists ---- */

static int finish(struct builder *builder, int code, struct index_list *list)
{
    free(builder->is_listed);
    if (code < 0) {
        index_list_free(&builder->list);
        return code;
    }
    *list = builder->list;
    return 0;
}

int index_list_read(const char *path, const char *what, uint64_t limit, struct index_list *list)
{
    struct builder builder = {.source = path, .what = what, .limit = limit};
    int code = begin(&builder);

    return finish(&builder, code < 0 ? code : read_file(path, &builder), list);
}

static int add_range(struct builder *builder, uint64_t first, uint64_t end)
{
    int code = 0;

    if (end == 0)
        end = builder->limit;
    if (first >= end || end > builder->limit)
        return dms_source_fail(DMS_ERR_INVALID,
                               "'%s' is not a part of 0:%" PRIu64 ", the %ss there are",
                               builder->source, builder->limit, builder->what);
    for (uint64_t i = first; code == 0 && i < end; i++)
        code = add(builder, i);
    return code;
}

int index_list_parse(const char *text, const char *what, uint64_t limit, struct index_list *list)
{
    struct builder builder = {.source = text, .what = what, .limit = limit};
    uint64_t first, end;
    int code = begin(&builder);

    if (code == 0 && text[0] == '@') {
        builder.source = text + 1;
        code = read_file(text + 1, &builder);
    } else if (code == 0 && strcmp(text, "all") == 0) {
        code = limit > 0 ? add_range(&builder, 0, limit) : 0;
    } else if (code == 0 && tool_parse_number(text, 0, &first)) {
        code = add(&builder, first);
    } else if (code == 0 && target_range_parse(text, &first, &end)) {
        code = add_range(&builder, first, end);
    } else if (code == 0) {
        code = dms_source_fail(DMS_ERR_INVALID,
                               "'%s' is neither the number of a %s, nor FIRST:END, all or @FILE",
                               text, what);
    }
    return finish(&builder, code, list);
}

void index_list_free(struct index_list *list)
{
    free(list->indices);
    *list = (struct index_list){0};
}

bool index_list_is_range(const char *text)
{
    return text[0] != '@' && (strchr(text, ':') || strcmp(text, "all") == 0);
}
