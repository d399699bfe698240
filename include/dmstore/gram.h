/*
 * What regressions on the same models have in common, taken from them once and kept in the store.
 *
 * Co-occurrence counts: how many models of a row set have both training examples a and b, for all
 * pairs. From them follows the Gram matrix of every regression on these models. They are kept as
 * `gram/DIGEST.pairs`, named by the digest of the row set, where all processes map the same file.
 *
 * Products: the sum over the models of a row set of mask times output, for all training examples
 * and targets of an output column (X'Y). They are kept as `gram/DIGEST.COLUMN.products`.
 *
 * Both are exact, and depend on nothing but the masks and outputs of their models: a file can be
 * removed and made again at any time. Fits find them.
 */
#ifndef DMSTORE_GRAM_H
#define DMSTORE_GRAM_H

#include "dmstore/device.h"
#include "dmstore/fit.h"
#include "dmstore/snapshot.h"
#include "dmstore/store.h"

DMS_BEGIN_DECLS

/* Hexadecimal digits of a row set's digest, as in the names of files, and a zero byte. */
#define DMS_DIGEST_TEXT_BYTES 33
DMS_API void dms_row_set_digest_text(const struct dms_row_set *rows,
                                     char text[DMS_DIGEST_TEXT_BYTES]);

/* ---- row sets ---- */

/* Which models to count: the row sets that dms_fit_plan would choose. */
struct dms_row_choice {
    const char *output;     /* models that have a value in this column; NULL: all */
    uint64_t held_out_ct;   /* 0 */
    uint64_t validation_ct; /* DMS_FIT_DEFAULT: a tenth of those that are not held out */
    uint64_t rows_used;     /* 0: all training models, else the first so many */
    unsigned thread_ct;     /* that hash masks; 0: one a processor */
};
DMS_API void dms_row_choice_init(struct dms_row_choice *choice);

/* The chosen row sets; an array for each. */
struct dms_row_sets {
    struct dms_row_set training, validation, held_out;
};

/* Chooses row sets of a snapshot with one pass over its masks. INVALID: more models asked for than
 * there are, or none left to train on; NOT_FOUND: no such output column. The caller ends *sets with
 * dms_row_sets_free, which accepts what is all zero. */
DMS_API int dms_row_sets_choose(dms_snapshot *snapshot, const struct dms_row_choice *choice,
                                struct dms_row_sets *sets);
DMS_API void dms_row_sets_free(struct dms_row_sets *sets);

/* ---- counting ---- */

enum dms_gram_keep {
    DMS_GRAM_KEEP, /* in the store, or fail */
    /* In memory where the store cannot be written, or has no space, or the snapshot is a manifest:
     * that is for reading. */
    DMS_GRAM_KEEP_IF_POSSIBLE,
    DMS_GRAM_MEMORY, /* in memory, unless the file is there */
};

struct dms_gram_options {
    enum dms_gram_keep keep; /* DMS_GRAM_KEEP */
    unsigned thread_ct;      /* 0: one a processor */
    /* What counts; the counts are the same. DMS_DEVICE_CPU: no card has ever run the other way.
     * DMS_DEVICE_AUTO: a CUDA device that can be opened, else the processor. */
    enum dms_device device;
    /* 4 GiB: what does not fit at once is counted in several passes over the masks. A CUDA device
     * counts from packed rows, m d / 8 bytes: where these take more than half, it gets them in
     * blocks, for every pass anew. */
    uint64_t memory_bytes;
    dms_progress progress; /* may be NULL: models that are counted, and all, over all passes */
    void *progress_context;
};
DMS_API void dms_gram_options_init(struct dms_gram_options *options);

/* How counts came about. */
enum dms_gram_origin {
    DMS_GRAM_FOUND,   /* the file was there */
    DMS_GRAM_COUNTED, /* all models were counted */
    DMS_GRAM_ADDED,   /* a file of some of the models was there; the others were counted */
};

struct dms_gram_result {
    enum dms_gram_origin origin;
    uint64_t row_ct;     /* models of the row set */
    uint64_t counted_ct; /* of them, counted now */
    uint64_t pass_ct;    /* passes over their masks */
    uint64_t file_bytes; /* 0: in memory */
    /* What counted and why; .device is DMS_DEVICE_AUTO when the file was there. */
    struct dms_placement placement;
    char device_name[128]; /* of a CUDA device, else "" */
};

typedef struct dms_gram dms_gram;

/*
 * Opens the counts of a row set: from its file in the store where there is one, else they are
 * counted, and kept as the options say. Where the store has counts of some of the models, with the
 * masks that they have in the snapshot, only the others are counted; the outcome is the same to
 * the byte, and the file that was added to is removed. When another process is counting the same
 * models, this one waits for it. result may be NULL.
 *
 * The snapshot may be closed before the counts. NOT_FOUND: a model of the row set is gone;
 * CONFLICT: its masks are not those of the digest; INVALID: 2^32 models or more, or a memory that
 * not even a part of the counts fits (the message says how much it takes); CORRUPT: a file, or a
 * tile of it, is damaged; PERMISSION (of a manifest always), NO_SPACE: the file cannot be kept;
 * INTERRUPTED: `progress` asked for it. Of CUDA devices, UNSUPPORTED: there is none, or it cannot
 * be used; NO_MEMORY: its memory does not suffice; IO: it was lost. What was begun does not stay.
 */
DMS_API int dms_gram_open(dms_snapshot *snapshot, const struct dms_row_set *rows,
                          const struct dms_gram_options *options, dms_gram **gram,
                          struct dms_gram_result *result);
DMS_API void dms_gram_close(dms_gram *gram);

DMS_API uint64_t dms_gram_example_ct(const dms_gram *gram);
DMS_API uint64_t dms_gram_row_ct(const dms_gram *gram);

/* Copies rows first .. first + row_ct - 1 of the symmetric d x d matrix of counts, row-major; its
 * diagonal has the number of models with each example. May be called from several threads at once.
 * Fastest where first and row_ct are multiples of 128. CORRUPT: a tile of the file is damaged. */
DMS_API int dms_gram_rows(const dms_gram *gram, uint64_t first, uint64_t row_ct, uint32_t *counts);

/* ---- products ---- */

typedef struct dms_products dms_products;

struct dms_products_result {
    enum dms_gram_origin origin;
    uint64_t row_ct;     /* models of the row set */
    uint64_t counted_ct; /* of them, multiplied now */
    uint64_t pass_ct;    /* passes over their masks */
    uint64_t target_ct;  /* of the column */
    uint64_t kept_ct;    /* of them, with sums in the file */
    uint64_t file_bytes;
};

/*
 * Opens the products of a row set and an output column: from their file in the store, if it is
 * there and the outputs are those that were summed up (they are read, without masks, to see), else
 * they are made and kept; `keep` and `device` of the options are not looked at. Where the store has
 * products of some of the models, only the others are multiplied and added; the outcome is the same
 * to the byte, and the file that was added to is removed. When another process is making the same
 * products, this one waits for it. result may be NULL.
 *
 * Outputs are float16, whole numbers of 2^-24, and sums of them are exact below 2^53 of these. Only
 * targets whose outputs are all finite and at most 2^28 / m in size, m the number of models, are
 * kept.
 *
 * The snapshot may be closed before the products. NOT_FOUND: no such column, or a model of the row
 * set is gone or has no value in it; INVALID: it is not an output of one float16 a target, there
 * are no models or 2^32 and more, or not even 16 targets fit the memory; CONFLICT: the masks are
 * not those of the digest (where products are made); else as dms_gram_open.
 */
DMS_API int dms_products_open(dms_snapshot *snapshot, const struct dms_row_set *rows,
                              const char *output, const struct dms_gram_options *options,
                              dms_products **products, struct dms_products_result *result);
DMS_API void dms_products_close(dms_products *products);

DMS_API uint64_t dms_products_example_ct(const dms_products *products);
DMS_API uint64_t dms_products_target_ct(const dms_products *products);

/* sums[k] = the sum of the target's outputs over the models that have example k, exact. May be
 * called from several threads at once. INVALID: no such target; NOT_FOUND: it is not kept; CORRUPT:
 * it is damaged in the file. */
DMS_API int dms_products_read(const dms_products *products, uint64_t target, double *sums);

/* ---- files ---- */

enum dms_gram_kind { DMS_GRAM_PAIRS, DMS_GRAM_PRODUCTS };

/* A file of counts or products. Pointers are valid during the callback only. */
struct dms_gram_file {
    const char *path;
    enum dms_gram_kind kind;
    const char *digest; /* of the row set, as in the name */
    uint32_t column_id; /* of products: that of the output column, as in the name */
    const char *damage; /* why it cannot be used; NULL: it can. All below is 0 then */
    uint64_t sequence;  /* of the snapshot whose models were taken in */
    uint64_t example_ct;
    uint64_t target_ct; /* of products */
    uint64_t row_ct;
    uint64_t first_id, last_id; /* of its models; 0 when there are none */
    uint64_t bytes;
};

/* Tells of all files of counts and products of the store directory `path`, or of the store of a
 * manifest, those that cannot be read included, in the order of their names; ends early with what
 * `tell` returns unless that is 0. `check`: all of them is checked, not only what they say of
 * themselves. */
DMS_API int dms_gram_files(const char *path, bool check,
                           int (*tell)(void *context, const struct dms_gram_file *file),
                           void *context);

/* Removes the files of a digest (NULL: all files, damaged ones and what crashed writers left
 * included) of the store directory `path`. Processes that have one open go on with it. NOT_FOUND:
 * there is no file of this digest; PERMISSION: `path` is a manifest, which is for reading.
 * *removed_bytes (may be NULL): what they took. */
DMS_API int dms_gram_remove(const char *path, const char *digest, uint64_t *removed_bytes);

DMS_END_DECLS

#endif
