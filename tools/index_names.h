/*
 * What an index means: the names (--names, a text file with a line each) and labels (--labels, a
 * .npy file of classes) of training examples or of targets, for reports.
 */
#ifndef DMSTORE_TOOLS_INDEX_NAMES_H
#define DMSTORE_TOOLS_INDEX_NAMES_H

#include <stdint.h>
#include <stdio.h>

#include "json.h"

/* A zeroed one knows no names and no labels. */
struct index_names {
    char *text;         /* all names, each ended by a zero byte; NULL: none */
    const char **names; /* count of them; NULL: none */
    int64_t *labels;    /* count of them; NULL: none */
    uint64_t count;
};

/* Reads the names and labels of `count` indices; a path may be NULL. `what`: "example" or
 * "target". INVALID: another number of lines or labels. The caller ends *names with
 * index_names_free. Returns 0 or a negative enum dms_error with the message set. */
int index_names_read(const char *names_path, const char *labels_path, const char *what,
                     uint64_t count, struct index_names *names);
void index_names_free(struct index_names *names);

/* Prints what is known of an index as people read it, as the last column of a table or in brackets
 * behind its number: "  class 5, '7 (line 18)'" or " (class 5, '7 (line 18)')" has label 5 and name
 * "7 (line 18)"; nothing where nothing is known. Control characters in names become '?'. */
void index_names_print(const struct index_names *names, uint64_t index, FILE *file);
void index_names_print_aside(const struct index_names *names, uint64_t index, FILE *file);

/* Writes the members "label" and "name" into an open object, where they are known. */
void index_names_json(const struct index_names *names, uint64_t index, struct json_writer *json);

/* For CSV: ",label,name" (prefix before each word) of the columns that are known, and the fields of
 * an index, names in quotes. */
void index_names_csv_head(const struct index_names *names, const char *prefix, FILE *file);
void index_names_csv(const struct index_names *names, uint64_t index, FILE *file);

#endif
