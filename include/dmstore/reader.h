/*
 * The prefetching reader: a stream of minibatches of masks and outputs from a snapshot, prepared
 * ahead by worker threads in a bounded number of buffers. The ideas are FFCV's (Leclerc et al.,
 * CVPR 2023): the order of a whole epoch is known in advance, raw chunks are read in place through
 * the page cache that all processes share, buffers are used again.
 *
 * The order is a pure function of (snapshot, rows asked for, order, seed, epoch): neither threads
 * nor buffers nor the batch size change it. One thread at a time may use a reader; several readers
 * of one snapshot may run at once.
 *
 * A file that is cut short while it is read in place is an error, with chunk and offset: workers
 * copy out of maps under a handler for SIGBUS (installed in the process by the first reader;
 * signals that are not a worker's go to the action that was there before) and compare the files'
 * lengths afterwards. A batch that points into a file is exposed while the caller holds it: an
 * access may raise SIGBUS, and bits that were gone are reported by the next call of
 * dms_reader_next. So an epoch that ends with DMS_END was read from whole files.
 */
#ifndef DMSTORE_READER_H
#define DMSTORE_READER_H

#include "dmstore/error.h"
#include "dmstore/schema.h"
#include "dmstore/snapshot.h"

DMS_BEGIN_DECLS

enum dms_order {
    DMS_ORDER_SEQUENTIAL = 0,   /* as the rows lie in the snapshot */
    DMS_ORDER_QUASI_RANDOM = 1, /* groups shuffled; rows drawn from a window of groups */
    DMS_ORDER_RANDOM = 2,       /* every row anywhere; uncompressed masks and outputs only */
};

/* A run of model ids: first_id, first_id + 1, ... */
struct dms_id_range {
    uint64_t first_id;
    uint64_t id_ct;
};

struct dms_reader_options {
    const char *output;    /* name of an output column; NULL: masks only */
    uint64_t first_target; /* the slice of targets that is read and delivered ... */
    uint64_t target_ct;    /* ... 0: all from first_target on */
    /* Which models, as increasing, disjoint runs; NULL: every live model that has a value in
     * `output`. A model that is asked for and not there, or that has no value, is an error. */
    const struct dms_id_range *ids;
    size_t id_range_ct;
    enum dms_order order;
    uint64_t seed;
    uint32_t batch_rows;    /* rows of a batch (1024); the last one of an epoch may be shorter */
    uint32_t window_groups; /* of DMS_ORDER_QUASI_RANDOM (8) */
    bool masks;             /* deliver masks row by row (true) */
    bool mask_columns;      /* deliver them transposed too (false) */
    enum dms_dtype dtype;   /* of the outputs delivered: DMS_F16 or DMS_F32 (DMS_F32) */
    unsigned thread_ct;     /* worker threads (1); 0: one a processor */
    uint32_t slot_ct;       /* batches prepared ahead, those the caller holds included (4) */
    uint64_t memory_bytes;  /* bound on all buffers; 0: none. INVALID when 2 slots do not fit */
    /* A cache of decoded chunks (dms_snapshot_warm); one that is not of this store, or damaged, is
     * an error. NULL: the store's own, if there is one that is good. "": none. Chunks that the
     * cache does not have as they are in the snapshot are decoded. */
    const char *warm_path;
};
DMS_API void dms_reader_options_init(struct dms_reader_options *options);

struct dms_batch {
    uint64_t epoch;
    uint64_t position; /* of its first row in the epoch's order */
    uint32_t row_ct;
    const uint64_t *ids; /* row_ct model ids */
    /* Rank of each row among the rows of the reader in increasing order of id: 0 .. row_ct of the
     * epoch - 1, the same in all epochs and after compaction. */
    const uint64_t *ranks;
    /* row_ct rows of example_ct bits, row-major; the stride is a multiple of 8 bytes, bits from
     * example_ct to the end of the stride are zero. Points into the file where the rows of the
     * batch follow one another in a raw chunk with such a stride. */
    const uint8_t *masks;
    size_t mask_stride_bytes;
    /* The same bits by training example: bit i of mask_columns[b * example_ct + k] is example k of
     * row 64 b + i, for b < (row_ct + 63) / 64; bits of rows that are not there are zero. */
    const uint64_t *mask_columns;
    /* row_ct rows of target_ct x values_per_target values of options.dtype, row-major; stride in
     * values, the values between the end of a row and the stride are zero. float: multiple of 16 */
    const void *outputs;
    size_t output_stride_values;
};

typedef struct dms_reader dms_reader;

/* Opens a reader at (epoch 0, position 0). The snapshot must outlive it. The caller owns *reader.
 * INVALID: the options contradict themselves or the schema, or the memory is too little; NOT_FOUND:
 * no such column, or a model that is asked for has no value; UNSUPPORTED: random order of
 * compressed chunks, or 2^32 rows and more. */
DMS_API int dms_reader_open(dms_snapshot *snapshot, const struct dms_reader_options *options,
                            dms_reader **reader);

/* Ends the workers, in mid-epoch too. Accepts NULL. */
DMS_API void dms_reader_close(dms_reader *reader);

/* Rows of an epoch. */
DMS_API uint64_t dms_reader_row_ct(const dms_reader *reader);

/* Goes on at row `position` of epoch `epoch`: what was prepared otherwise is thrown away. INVALID:
 * beyond the end of an epoch, or batches have not been given back. */
DMS_API int dms_reader_seek(dms_reader *reader, uint64_t epoch, uint64_t position);

/* The next batch, or DMS_END at the end of the epoch; the call after that begins the next epoch.
 * *batch belongs to the reader and is valid until dms_reader_release; a caller may hold up to
 * slot_ct - 1 of them. Errors of a worker arrive here, in the order of the stream, with chunk and
 * offset in the message; after one, seek or close. */
DMS_API int dms_reader_next(dms_reader *reader, const struct dms_batch **batch);
DMS_API void dms_reader_release(dms_reader *reader, const struct dms_batch *batch);

/* Bytes of all buffers of this reader. */
DMS_API uint64_t dms_reader_memory_bytes(const dms_reader *reader);

DMS_END_DECLS

#endif
