/*
 * A plan of models to train on training sets that somebody asks about: DIR/masks.npy, the training
 * set of each model as a trainer takes it (bool, rows x examples), and DIR/plan.csv, which says
 * what each of them is for. Row r of both is the model with id `first id + r`, by which its outputs
 * are found again in a store of retrained models.
 *
 * plan.csv is text: the line "id,target,k,repeat,kind,label" and a line a row without blanks or
 * quotes. Control rows, which train on everything, have k = 0; they and sets that are the same for
 * all targets have no target.
 *
 * Functions return 0 or a negative enum dms_error with the message set (see report.h).
 */
#ifndef DMSTORE_TOOLS_REMOVAL_PLAN_H
#define DMSTORE_TOOLS_REMOVAL_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "npy_file.h"
#include "output_file.h"

#define REMOVAL_KIND_BYTES 24 /* a kind with its terminating zero byte */

struct plan_row {
    uint64_t id;
    bool has_target;
    uint64_t target;
    uint64_t k;      /* examples that are removed (or relabelled) */
    uint64_t repeat; /* 0, 1, 2 ... for models with one training set */
    /* How they were chosen: small letters, digits and '-', e.g. "control", "top", "relabel". */
    char kind[REMOVAL_KIND_BYTES];
    bool has_label; /* The examples that the mask leaves out are not removed: they get ... */
    int64_t label;  /* ... this class. */
};

/* ---- writing ---- */

struct removal_plan_writer {
    struct npy_writer masks;
    struct output_file table_file;
    FILE *table;
    uint8_t *mask;
    uint64_t example_ct, first_id, row_ct;
    uint64_t written_ct;
};

/* Begins both files in `directory`, which is made if it is not there. Memory: one mask. End it with
 * removal_plan_end; a zeroed writer may be ended, too. */
int removal_plan_create(struct removal_plan_writer *writer, const char *directory,
                        uint64_t example_ct, uint64_t row_ct, uint64_t first_id);

/* Adds a row for the training set without `removed`. row->id is not used: the writer counts. */
int removal_plan_add(struct removal_plan_writer *writer, const struct plan_row *row,
                     const uint64_t *removed, size_t removed_ct);

/* Adds repeats 0 .. repeat_ct - 1 of a row. */
int removal_plan_add_repeats(struct removal_plan_writer *writer, const struct plan_row *row,
                             uint64_t repeat_ct, const uint64_t *removed, size_t removed_ct);

/* Adds that many control rows, which remove nothing. */
int removal_plan_add_controls(struct removal_plan_writer *writer, uint64_t repeat_ct);

/* Gives the files their names when `code`, what the caller came to, is 0 and all rows have been
 * added, else removes them. Returns `code` or what failed. */
int removal_plan_end(struct removal_plan_writer *writer, int code);

/* ---- reading ---- */

struct removal_plan {
    struct plan_row *rows; /* by increasing id, without gaps */
    size_t row_ct;
};

/* Reads directory/plan.csv for targets below target_ct. INVALID names the line that is not as the
 * writer writes them. The caller ends *plan with removal_plan_free; a zeroed one may be freed. */
int removal_plan_read(const char *directory, uint64_t target_ct, struct removal_plan *plan);
void removal_plan_free(struct removal_plan *plan);

#endif
