/*
 * Pairs of key and value: metadata of a schema, problem and provenance of a fit. Their code
 * (SPEC.md section 3) and their rules.
 */
#ifndef DMS_FORMAT_PAIRS_H
#define DMS_FORMAT_PAIRS_H

#include "dmstore/schema.h"
#include "format/cursor.h"

#include <stddef.h>

/* Appends a pair. */
void dms_pair_encode(struct dms_encoder *encoder, const struct dms_metadata *pair);

/* The text of the next pair, key and value without a byte between; NULL (and cursor->bad) when
 * there is none, when it is too long or has a zero byte in it. */
const uint8_t *dms_pair_read(struct dms_cursor *cursor, size_t *key_bytes, size_t *value_bytes);

/* Sorted by key, each key once, within the limits; INVALID else. `what` names them. */
int dms_pairs_check(const struct dms_metadata *pairs, size_t pair_ct, const char *what);

/* Bytes of all keys and values with a zero byte after each. */
size_t dms_pairs_text_bytes(const struct dms_metadata *pairs, size_t pair_ct);

/* Copies pairs into `copies`, and their texts to *room, which moves behind them. */
void dms_pairs_place(const struct dms_metadata *pairs, size_t pair_ct, struct dms_metadata *copies,
                     char **room);

/* Reads pair_ct pairs likewise; when that fails, cursor->bad is set. The room must hold all that
 * the cursor has left and two bytes more a pair. */
void dms_pairs_read(struct dms_cursor *cursor, size_t pair_ct, struct dms_metadata *copies,
                    char **room);

/* Copies `bytes` bytes of text as a string to *room, which moves behind it. */
const char *dms_text_place(const void *text, size_t bytes, char **room);

/* A copy of pairs in one block of memory, for the caller to free(). */
int dms_pairs_copy(const struct dms_metadata *pairs, size_t pair_ct, struct dms_metadata **copy);

#endif
