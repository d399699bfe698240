/*
 * What the files of `gram/` have in common, counts of pairs and products (SPEC.md, the sections on
 * them): the head, and behind it the models that were taken in and how many of them have each
 * example. Encoded, decoded and validated; no I/O.
 */
#ifndef DMS_FORMAT_GRAM_FILE_H
#define DMS_FORMAT_GRAM_FILE_H

#include <stdbool.h>

#include "base/buffer.h"
#include "dmstore/gram.h"
#include "format/layout.h"

enum {
    DMS_GRAM_HEAD_BYTES = 128,
    DMS_GRAM_RANGE_BYTES = 16,
    DMS_GRAM_SINGLE_BYTES = 4,
};

struct dms_gram_head {
    enum dms_gram_kind kind;
    uint8_t store_uuid[DMS_UUID_BYTES];
    uint64_t sequence; /* of the snapshot whose models were taken in */
    uint64_t example_ct;
    uint64_t row_ct;
    uint64_t digest[2]; /* of the row set */
    uint64_t range_ct;
    uint64_t file_bytes;
    uint64_t lists_hash; /* XXH3-64 of the lists */
    /* Of products; else 0. */
    uint64_t column_id;
    uint64_t target_ct;
};

void dms_gram_head_encode(const struct dms_gram_head *head, uint8_t bytes[DMS_GRAM_HEAD_BYTES]);

/* CORRUPT when this is no head of a file of `kind`, or its numbers do not fit each other; VERSION
 * when it is of a newer one. Lengths of lists and file are not looked at. */
int dms_gram_head_decode(const uint8_t bytes[DMS_GRAM_HEAD_BYTES], enum dms_gram_kind kind,
                         struct dms_gram_head *head);

/* The lists begin with ranges and singles, padded with zeros to a multiple of 8: so many bytes. */
uint64_t dms_gram_rows_bytes(uint64_t example_ct, uint64_t range_ct);

/* `to`: dms_gram_rows_bytes bytes of zeros. */
void dms_gram_rows_encode(const struct dms_row_set *rows, size_t example_ct,
                          const uint32_t *singles, uint8_t *to);

/* Into head->range_ct ranges and head->example_ct singles. CORRUPT unless the ranges are a row set
 * of head->row_ct models and no single is above that. */
int dms_gram_rows_decode(const struct dms_gram_head *head, const uint8_t *bytes,
                         struct dms_id_range *ranges, uint32_t *singles);

/* Whether bytes from .. end - 1 are zero, as padding is: a file has one form only. */
bool dms_gram_is_padding(const uint8_t *bytes, uint64_t from, uint64_t end);

#endif
