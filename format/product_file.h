/*
 * Files of products, `gram/DIGEST.COLUMN.products` (SPEC.md, the section on them): for each target
 * the sum over the models of mask times output, for every example. Lists and sums encoded, decoded
 * and validated; no I/O.
 *
 * A float16 is a whole number of DMS_OUTPUT_UNIT, and so are the sums: they are exact, whatever the
 * order they were taken in, as long as they stay below 2^53 units: a target has sums where m times
 * its largest output, 2^52 units at most, promises that. Of random subsets the sum of
 * example k is near n_k T / m, T the sum over all m models, so that only what it deviates from
 * there is kept, in as many bytes as the largest deviation of a target needs.
 */
#ifndef DMS_FORMAT_PRODUCT_FILE_H
#define DMS_FORMAT_PRODUCT_FILE_H

#include "format/gram_file.h"

/* 2^-24, the smallest positive float16. */
#define DMS_OUTPUT_UNIT 0x1p-24

enum {
    DMS_PRODUCT_ENTRY_BYTES = 32,
    DMS_PRODUCT_WIDTH_MAX = 7,  /* bytes of a deviation: sums are below 2^53 */
    DMS_PRODUCT_SHIFT_MAX = 52, /* of dms_product_entry.shift */
};

/* A target of the file. What is not kept (width 0) has zeros everywhere. */
struct dms_product_entry {
    uint64_t offset;      /* follows from the widths of those before it */
    uint64_t hash;        /* XXH3-64 of its bytes */
    uint64_t fingerprint; /* of the outputs that were summed up: dms_output_key */
    int64_t total;        /* T: the sum of all outputs, in units */
    uint8_t width;        /* bytes of a deviation */
    uint8_t shift;        /* total and deviations are multiples of 2^shift units */
    uint16_t largest;     /* the largest size of an output, a float16 */
};

/* m times the largest output, for sums to be kept; and what no sum is above then, in units. */
#define DMS_PRODUCT_SUM_MAX 0x1p28
#define DMS_PRODUCT_UNITS_MAX (INT64_C(1) << 52)

/* The fingerprint of a target is the sum mod 2^64, over the models, of this times the output in
 * units. Keys are odd: no single output can change unnoticed. */
uint64_t dms_output_key(uint64_t model_id);

/* CORRUPT when this is no head of such a file or its lengths do not fit, VERSION when of a newer
 * one. */
int dms_product_head_decode(const uint8_t bytes[DMS_GRAM_HEAD_BYTES], struct dms_gram_head *head);

/* Bytes of the lists behind a head, up to the first target's; and where that is. */
uint64_t dms_product_lists_bytes(uint64_t example_ct, uint64_t range_ct, uint64_t target_ct);
uint64_t dms_product_targets_offset(uint64_t example_ct, uint64_t range_ct, uint64_t target_ct);

/* Appends the lists: ranges of the row set, singles, one entry a target. */
int dms_product_lists_encode(const struct dms_row_set *rows, size_t example_ct,
                             const uint32_t *singles, size_t target_ct,
                             const struct dms_product_entry *entries, struct dms_buffer *buffer);

/* Decodes dms_product_lists_bytes bytes into head->range_ct ranges, head->example_ct singles and
 * head->target_ct entries. CORRUPT unless their hash is right, the ranges are a row set of
 * head->row_ct models, no single is above that, totals are within bounds and multiples of their
 * 2^shift, and the targets end where the file ends. */
int dms_product_lists_decode(const struct dms_gram_head *head, const uint8_t *bytes,
                             struct dms_id_range *ranges, uint32_t *singles,
                             struct dms_product_entry *entries);

/* The models and examples of a file, for its sums. */
struct dms_product_masks {
    size_t example_ct;
    uint64_t row_ct;         /* m > 0 */
    const uint32_t *singles; /* n_k */
};

/* Chooses width and shift for example_ct sums and entry->total, of which none is above
 * DMS_PRODUCT_UNITS_MAX in size. */
void dms_product_sums_measure(const struct dms_product_masks *masks, const int64_t *sums,
                              struct dms_product_entry *entry);

/* to: entry->width x example_ct bytes, of the entry that was measured. */
void dms_product_sums_encode(const struct dms_product_masks *masks, const int64_t *sums,
                             const struct dms_product_entry *entry, uint8_t *to);

/* The inverse. false: some are above DMS_PRODUCT_UNITS_MAX in size, which none can be. */
bool dms_product_sums_decode(const struct dms_product_masks *masks,
                             const struct dms_product_entry *entry, const uint8_t *bytes,
                             int64_t *sums);

#endif
