/*
 * A file that a command writes: under a temporary name beside its own, which it gets when
 * everything is on disk, so that nobody ever sees half of it. "-" stands for standard output.
 *
 * Functions return 0 or a negative enum dms_error with the message set (see report.h).
 */
#ifndef DMSTORE_TOOLS_OUTPUT_FILE_H
#define DMSTORE_TOOLS_OUTPUT_FILE_H

#include <stdint.h>
#include <stdio.h>

struct output_file {
    int descriptor;
    char *path; /* NULL: standard output */
    char *temporary_path;
};

/* The path of a file in a directory, in new memory; NULL: out of memory, with the message set. */
char *output_file_path(const char *directory, const char *file);

/* Starts the file `path`, which is replaced in the end if it is there. Finish with
 * output_file_commit or output_file_abandon; a zeroed one may be abandoned. */
int output_file_create(struct output_file *file, const char *path);

/* Writes at an offset; may be called by several threads. Not for standard output. */
int output_file_write_at(const struct output_file *file, uint64_t offset, uint64_t bytes,
                         const void *data);

/* Writes after what was appended before. */
int output_file_append(const struct output_file *file, uint64_t bytes, const void *data);

/* A stream that appends to the file, for text; NULL: out of memory. What was written to it with
 * stdio is ended by output_file_end_stream. */
FILE *output_file_stream(struct output_file *file);

/* Starts the file `path` and a stream that appends to it. After a failure *stream is NULL, and
 * output_file_end_stream may be called. */
int output_file_begin_stream(struct output_file *file, const char *path, FILE **stream);

/* Ends a stream (or NULL) and its file: gives the file its name when `code`, what its writer came
 * to, is 0 and everything was written, else removes it. Returns `code` or what failed. */
int output_file_end_stream(struct output_file *file, FILE *stream, int code);

/* Syncs the file and gives it its name. The file is ended also when this fails. */
int output_file_commit(struct output_file *file);

/* Removes what was written; does nothing after output_file_commit. */
void output_file_abandon(struct output_file *file);

#endif
