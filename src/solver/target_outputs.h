/*
 * What solvers in closed form have to know of the outputs of a block of targets on the models of
 * one role: which rows count for each target, sums over these, and the products of outputs and
 * masks.
 */
#ifndef DMS_SOLVER_TARGET_OUTPUTS_H
#define DMS_SOLVER_TARGET_OUTPUTS_H

#include "solver/packed_rows.h"

/* One target: sums over its rows, of y - shift. */
struct dms_output_moments {
    double row_weight; /* W */
    double shift;      /* the first output with weight, so that equal outputs give exact zeros */
    double sum, square_sum;
};

/* What files of products know outputs by. */
struct dms_output_print {
    uint64_t fingerprint; /* format/product_file.h: of float16 outputs that are finite */
    double largest;       /* of the sizes of outputs with weight */
};

struct dms_target_outputs {
    size_t first, target_ct; /* of the problem */
    size_t tile_ct;          /* of DMS_LANES targets */
    size_t example_ct;
    uint64_t row_ct;
    size_t word_ct;
    struct dms_output_moments *moments; /* tile_ct x DMS_LANES */
    /* What was not asked for is NULL. */
    uint64_t *row_words;             /* as many x word_ct: the rows of each target, in the order of
                                      * struct dms_packed_rows */
    double *products;                /* tile_ct x example_ct x DMS_LANES: sums of x_k (y - shift) */
    double *sums;                    /* as many, while they are read: of one batch */
    float *outputs;                  /* row_ct x target_ct */
    struct dms_output_print *prints; /* tile_ct x DMS_LANES */
    uint32_t *singles;               /* example_ct: rows that have each example */
};

/* What to keep beside moments. */
enum dms_kept_outputs {
    DMS_KEEP_ROWS = 1, /* row_words */
    DMS_KEEP_PRODUCTS = 2,
    DMS_KEEP_OUTPUTS = 4,
    DMS_KEEP_PRINTS = 8, /* of a column of float16 */
    DMS_KEEP_SINGLES = 16,
};

/* Bytes for one target of a tile; `keep`: what is kept, of enum dms_kept_outputs. */
uint64_t dms_target_outputs_bytes(size_t example_ct, uint64_t row_ct, unsigned keep);

struct dms_outputs_request {
    enum dms_role role;
    size_t first, target_ct; /* of the problem */
    unsigned keep;
    /* May be NULL. Told after every batch how many of the role's rows have been read; what it
     * returns other than 0 ends the pass. */
    int (*tell)(void *context, uint64_t row_ct);
    void *context;
};

/* Reads outputs in one pass over the models. Where the problem has products of these outputs
 * (struct dms_problem.products), they are taken from there: the outcome is the same, but the masks
 * are not read. The caller ends *targets with dms_target_outputs_free, which accepts what is all
 * zero. */
int dms_target_outputs_read(const struct dms_problem *problem, struct dms_pool *pool,
                            const struct dms_outputs_request *request,
                            struct dms_target_outputs *targets);
void dms_target_outputs_free(struct dms_target_outputs *targets);

double dms_output_mean(const struct dms_output_moments *moments);
/* 1/(2W) sum (y - mean)^2; 0 without rows and where all outputs are equal. */
double dms_output_null_deviance(const struct dms_output_moments *moments);

#endif
