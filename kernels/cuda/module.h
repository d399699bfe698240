/*
 * What the CUDA module offers to the solver: a table of functions that manage a device (memory,
 * copies, streams, events) and launch kernels on it. Two modules have it: dmstore-cuda.so, made by
 * nvcc (runtime.cu), and the stand-in of the tests, which runs the same kernels on the processor
 * (tests/cuda/stand_in.c). C and CUDA C++ read this file.
 *
 * Values lie example by example or row by row: value of example (or row) i and lane l of a panel at
 * i * stride + l, where `stride`, a multiple of DMS_CUDA_STRIDE, is the lanes of the panel rounded
 * up. All values are doubles. A lane is one target; lanes from lane_ct to the stride are unused.
 *
 * Results do not depend on how a kernel's threads are scheduled: no kernel adds with atomics.
 */
#ifndef DMS_KERNELS_CUDA_MODULE_H
#define DMS_KERNELS_CUDA_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DMS_CUDA_MODULE_VERSION 2
/* The function that a module exports: const struct dms_cuda_module *dms_cuda_module_get(void). */
#define DMS_CUDA_MODULE_SYMBOL "dms_cuda_module_get"

#define DMS_CUDA_STRIDE 64
/* Lanes that are active or not together: a tile of the solver. */
#define DMS_CUDA_TILE 16

/* What a pass does in a lane. */
enum dms_cuda_mode {
    DMS_CUDA_MODE_NONE,
    DMS_CUDA_MODE_SAGA,     /* corrections against the table, then a step */
    DMS_CUDA_MODE_EVALUATE, /* residuals, which go to the table, if there is one */
    DMS_CUDA_MODE_VALIDATE, /* sums only */
};

struct dms_cuda_lane {
    int64_t self;    /* example that excludes a row, -1: none */
    uint32_t column; /* of its target in the outputs of a batch */
    uint8_t used, moving, mode;
    uint8_t restart; /* the last proximal point is the weight itself */
};

/* Numbers of a lane: field f of lane l at f * stride + l of an array of doubles. */
enum dms_cuda_field {
    /* set by the host */
    DMS_CUDA_CENTRE, /* SAGA moves these three */
    DMS_CUDA_CENTRE_AVERAGE,
    DMS_CUDA_SHIFT,
    DMS_CUDA_MEAN,
    DMS_CUDA_ROW_WEIGHT,
    DMS_CUDA_RESIDUAL_MEAN,
    DMS_CUDA_STEP, /* of SAGA, or of a proximal step */
    DMS_CUDA_LAMBDA,
    DMS_CUDA_PUSH, /* of momentum */
    /* of a pass: sums of residuals, and of the outputs' moments, which share the one of rows */
    DMS_CUDA_SUM_RESIDUAL,
    DMS_CUDA_SUM_SQUARE,
    DMS_CUDA_SUM_OUTPUT,
    DMS_CUDA_CORRECTION, /* of the batch alone: sum of new minus old residuals */
    DMS_CUDA_SUM_ROWS,
    DMS_CUDA_MOMENT_1,
    DMS_CUDA_MOMENT_2,
    DMS_CUDA_NONFINITE,
    DMS_CUDA_PIVOT, /* an output with weight, about which moments are */
    DMS_CUDA_HAS_PIVOT,
    /* sums over the examples */
    DMS_CUDA_NORM,
    DMS_CUDA_LARGEST,
    DMS_CUDA_WEIGHT_CT,
    DMS_CUDA_RESTART,
    DMS_CUDA_FIELD_CT,
};

/* What rows a batch has: masks as rows and as columns, outputs, places in the table. All on the
 * device. */
struct dms_cuda_batch {
    const uint64_t *masks;   /* row_ct x mask_words */
    const uint64_t *columns; /* as struct dms_batch.mask_columns */
    const void *outputs;     /* row_ct x output_stride: float, or float16 as bits */
    const uint64_t *ranks;
    uint32_t row_ct;
    uint32_t mask_words;
    uint64_t output_stride;
    uint32_t half_outputs; /* 1: float16 */
};

/* Word w (64 bits) of row m at words[m * row_stride + w * word_stride], for the rows of a product;
 * bit b of it is factor 64 w + b. Bits from factor_ct on are zero. */
struct dms_cuda_bits {
    const uint64_t *words;
    uint64_t row_stride, word_stride;
    uint32_t row_ct, factor_ct;
};

/* result[m, l] (+)= sum over the factors f of row m of values[f, l]. */
struct dms_cuda_product {
    struct dms_cuda_bits bits;
    const double *values;   /* factor_ct x stride: for dms_cuda_module.multiply */
    const uint64_t *halves; /* for .multiply_halves, made by .split_halves */
    const double *scales;   /* stride */
    const uint8_t *active;  /* stride / DMS_CUDA_TILE: tiles of 0 are left as they are */
    double *result;         /* bits.row_ct x stride */
    uint32_t stride;
    uint32_t adds; /* 0: replaces the result */
};

/*
 * values[f, l] as two halves (float16) with a scale that is a power of two: (high + low) scales[l],
 * to 22 bits of the largest value of the lane and better for smaller ones. For factor 32 g + j and
 * its partner 32 g + j + 16, j < 16, pair p = 16 g + j: halves[p * stride + l] has, 16 bits each
 * from the lowest, the high halves of both, then the low halves of both. DMS_CUDA_PAIRS(factor_ct)
 * pairs are written.
 */
struct dms_cuda_split {
    const double *values;
    uint64_t *halves;
    double *scales;
    double *partial; /* scratch, as in struct dms_cuda_panel */
    uint32_t factor_ct, stride;
};
#define DMS_CUDA_PAIRS(factor_ct) (((size_t)(factor_ct) + 63) / 64 * 32)

/* Rows or examples are divided into this many parts, whose sums are then added up in their order.
 */
#define DMS_CUDA_PARTS 64 /* at most */
#define DMS_CUDA_PART_CT(count) \
    ((count) > 256 * DMS_CUDA_PARTS ? DMS_CUDA_PARTS : (count) / 256 + 1)

/* Sums that one kernel takes, at most. */
#define DMS_CUDA_SUMS 5

/* Everything of a panel that elementwise kernels use. */
struct dms_cuda_panel {
    uint32_t example_ct, stride, lane_ct;
    uint64_t row_ct; /* of the design */
    uint32_t standardize;
    const double *means, *inverse_variances; /* example_ct */
    const struct dms_cuda_lane *lanes;       /* stride */
    double *fields;                          /* DMS_CUDA_FIELD_CT x stride */
    double *partial;                         /* DMS_CUDA_SUMS x DMS_CUDA_PARTS x stride: scratch */
    double *weights, *averages;              /* example_ct x stride */
    double *previous;                        /* the same; NULL: no accelerated steps */
    double *counts;                          /* the same; NULL: all rows have weight */
    double *sums;                            /* the same, for SAGA; else NULL */
    float *table;                            /* row_ct x stride, for SAGA; else NULL */
    double *products, *residuals;            /* batch rows x stride */
};

/* A weight to be set. */
struct dms_cuda_weight {
    double value;
    uint32_t example, lane;
};

/* counts[a * b_ct + b] += rows with weight that have both examples a_examples[a] and b_examples[b].
 * Columns as struct dms_batch.mask_columns with word_ct words; row_words: bits of the rows with
 * weight, NULL: all. */
struct dms_cuda_pairs {
    const uint64_t *columns;
    uint64_t column_stride;
    uint32_t word_ct;
    const uint64_t *row_words;
    const uint32_t *a_examples, *b_examples;
    uint32_t a_ct, b_ct;
    uint64_t *counts;
};

/*
 * counts[i * b_ct + j] = rows that have both column i of panel a and column j of panel b. A panel
 * has packed columns one after the other: row r is bit r % 64 of word r / 64 of a column's word_ct,
 * a multiple of DMS_CUDA_COLUMN_WORDS; words behind the rows are 0. Below 2^31 rows.
 */
struct dms_cuda_column_pairs {
    const uint64_t *a, *b;
    uint32_t word_ct, a_ct, b_ct;
    uint32_t *counts; /* a_ct x b_ct */
};
#define DMS_CUDA_COLUMN_WORDS 8

/* Instructions whose speed is measured with nothing around them. */
enum dms_cuda_unit {
    DMS_CUDA_UNIT_F16, /* tensor cores: float16, sums in float */
    DMS_CUDA_UNIT_S8,  /* bytes */
    DMS_CUDA_UNIT_B1,  /* bits, AND and popcount */
    DMS_CUDA_UNIT_F64, /* doubles, without tensor cores */
};

/*
 * block_ct blocks of DMS_CUDA_CEILING_THREADS threads each repeat an instruction step_ct times
 * DMS_CUDA_CEILING_CHAINS. sums[i] of thread i: what the warp's instructions give it when all
 * factors are 1, added up: per instruction 64 (F16), 128 (S8), 1024 (B1) or 1 (F64), which is also
 * the multiply-adds of a thread.
 */
struct dms_cuda_ceiling {
    enum dms_cuda_unit unit;
    uint32_t block_ct, step_ct;
    double one;   /* 1, which a compiler shall not know */
    double *sums; /* block_ct x DMS_CUDA_CEILING_THREADS */
};
#define DMS_CUDA_CEILING_THREADS 256
#define DMS_CUDA_CEILING_CHAINS 8

struct dms_cuda_device_info {
    char name[128];
    int major, minor; /* compute capability */
    uint64_t total_bytes, free_bytes;
};

/* What a code of the runtime means to the solver. */
enum dms_cuda_failure {
    DMS_CUDA_NO_DEVICE, /* none, or no driver */
    DMS_CUDA_NO_MEMORY,
    DMS_CUDA_LOST, /* the device can no longer be used by this process */
    DMS_CUDA_OTHER,
};

/* A stream is work in order; an event a point in it. */
typedef void dms_cuda_stream;
typedef void dms_cuda_event;

/* Functions return 0 or a code of the runtime, which is not 0; a failure of work that was begun
 * earlier may come from any later call. */
struct dms_cuda_module {
    uint32_t version;
    const char *name; /* e.g. "CUDA runtime 13.0" */

    const char *(*error_text)(int code);
    enum dms_cuda_failure (*classify)(int code);
    int (*device_ct)(int *device_ct);
    int (*device_info)(int device, struct dms_cuda_device_info *info);
    /* Devices are used by one thread at a time, which selects one first. */
    int (*select)(int device);
    int (*memory)(uint64_t *free_bytes, uint64_t *total_bytes);

    int (*allocate)(size_t bytes, void **memory);
    void (*release)(void *memory);
    /* Of the host; kernels may use it, too. */
    int (*allocate_pinned)(size_t bytes, void **memory);
    void (*release_pinned)(void *memory);

    int (*create_stream)(dms_cuda_stream **stream);
    void (*destroy_stream)(dms_cuda_stream *stream);
    int (*finish)(dms_cuda_stream *stream); /* waits for all that was begun in it */
    int (*create_event)(dms_cuda_event **event);
    void (*destroy_event)(dms_cuda_event *event);
    int (*record)(dms_cuda_event *event, dms_cuda_stream *stream);
    int (*wait)(dms_cuda_stream *stream, dms_cuda_event *event); /* work after it waits */
    int (*await)(dms_cuda_event *event); /* the caller waits; an event never recorded has come */

    /* In the order of the stream; either side may be memory of the host, which must be pinned or
     * stay as it is until the stream is finished. */
    int (*copy)(void *to, const void *from, size_t bytes, dms_cuda_stream *stream);
    int (*clear)(void *memory, size_t bytes, dms_cuda_stream *stream);

    /* ---- kernels ---- */

    /* columns of a batch from its masks, for example_ct examples */
    int (*transpose_bits)(const struct dms_cuda_batch *batch, uint32_t example_ct,
                          uint64_t *columns, dms_cuda_stream *stream);
    int (*multiply)(const struct dms_cuda_product *product, dms_cuda_stream *stream);
    int (*split_halves)(const struct dms_cuda_split *split, dms_cuda_stream *stream);
    int (*multiply_halves)(const struct dms_cuda_product *product, dms_cuda_stream *stream);

    /* The sums DMS_CUDA_SUM_ROWS .. NONFINITE of a batch. */
    int (*add_moments)(const struct dms_cuda_panel *panel, const struct dms_cuda_batch *batch,
                       dms_cuda_stream *stream);
    /* residuals[i, l] becomes the row's weight in the lane. */
    int (*weigh_rows)(const struct dms_cuda_panel *panel, const struct dms_cuda_batch *batch,
                      dms_cuda_stream *stream);
    /* Residuals, or corrections, from the products, by each lane's mode; the table; sums. */
    int (*find_residuals)(const struct dms_cuda_panel *panel, const struct dms_cuda_batch *batch,
                          dms_cuda_stream *stream);

    /* After a batch with sums in panel->sums: SAGA's step, or adding to the averages, which the
     * first batch of a pass begins anew. */
    int (*take_saga_step)(const struct dms_cuda_panel *panel, uint32_t batch_rows,
                          uint32_t is_first, dms_cuda_stream *stream);
    /* After the last batch: in lanes of mode EVALUATE sums become average gradients, with
     * DMS_CUDA_CENTRE_AVERAGE and _ROW_WEIGHT; DMS_CUDA_NORM, _LARGEST and _WEIGHT_CT. */
    int (*end_evaluation)(const struct dms_cuda_panel *panel, dms_cuda_stream *stream);
    /* Proximal points of moving lanes of mode EVALUATE. find_points: to `previous`, what was there
     * to `averages`, DMS_CUDA_RESTART. push_points: weights from both by DMS_CUDA_PUSH, and
     * DMS_CUDA_SHIFT. descend: to the weights at once, and DMS_CUDA_SHIFT. */
    int (*find_points)(const struct dms_cuda_panel *panel, dms_cuda_stream *stream);
    int (*push_points)(const struct dms_cuda_panel *panel, dms_cuda_stream *stream);
    int (*descend)(const struct dms_cuda_panel *panel, dms_cuda_stream *stream);

    int (*set_weights)(const struct dms_cuda_panel *panel, const struct dms_cuda_weight *list,
                       size_t weight_ct, dms_cuda_stream *stream);
    int (*clear_lane)(const struct dms_cuda_panel *panel, uint32_t lane, dms_cuda_stream *stream);
    int (*find_shifts)(const struct dms_cuda_panel *panel, dms_cuda_stream *stream);
    /* Weights that are not 0 of lanes first .. first + lane_ct - 1, examples increasing, at
     * examples and values + i * example_ct, their numbers to weight_cts[i]. */
    int (*extract)(const struct dms_cuda_panel *panel, uint32_t first, uint32_t lane_ct,
                   uint32_t *examples, double *values, uint32_t *weight_cts,
                   dms_cuda_stream *stream);
    /* Weights, gradients and scales of one lane, example_ct of each, one after the other. */
    int (*view)(const struct dms_cuda_panel *panel, uint32_t lane, double *seen,
                dms_cuda_stream *stream);

    /* Bit i % 64 of words[i / 64]: row i of the batch has weight in the lane. */
    int (*mark_rows)(const struct dms_cuda_panel *panel, const struct dms_cuda_batch *batch,
                     uint32_t lane, uint64_t *words, dms_cuda_stream *stream);
    int (*count_pairs)(const struct dms_cuda_pairs *pairs, dms_cuda_stream *stream);
    /* The same by binary tensor cores, which cards of compute capability 8 and 9 have. */
    int (*count_pairs_mma)(const struct dms_cuda_pairs *pairs, dms_cuda_stream *stream);
    /* Counts of many pairs: by binary tensor cores, and by those for bytes, which all cards have.
     */
    int (*count_columns_b1)(const struct dms_cuda_column_pairs *pairs, dms_cuda_stream *stream);
    int (*count_columns_s8)(const struct dms_cuda_column_pairs *pairs, dms_cuda_stream *stream);

    /* For benchmarks. */
    int (*run_ceiling)(const struct dms_cuda_ceiling *ceiling, dms_cuda_stream *stream);
};

typedef const struct dms_cuda_module *dms_cuda_module_function(void);

#endif
