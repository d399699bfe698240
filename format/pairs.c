/*
 * Pairs: see pairs.h.
 */
#include "format/pairs.h"

#include "base/alloc.h"
#include "base/error.h"
#include "format/schema.h"

#include <string.h>

void dms_pair_encode(struct dms_encoder *encoder, const struct dms_metadata *pair)
{
    size_t key_bytes = strlen(pair->key);
    size_t value_bytes = strlen(pair->value);
    dms_encode_u32(encoder, (uint32_t)key_bytes);
    dms_encode_u32(encoder, (uint32_t)value_bytes);
    dms_encode_bytes(encoder, pair->key, key_bytes);
    dms_encode_padded(encoder, pair->value, value_bytes);
}

const uint8_t *dms_pair_read(struct dms_cursor *cursor, size_t *key_bytes, size_t *value_bytes)
{
    *key_bytes = dms_cursor_u32(cursor);
    *value_bytes = dms_cursor_u32(cursor);
    cursor->bad |=
        *key_bytes > DMS_METADATA_KEY_BYTES_MAX || *value_bytes > DMS_METADATA_VALUE_BYTES_MAX;
    const uint8_t *text = dms_cursor_padded(cursor, *key_bytes + *value_bytes);
    if (text && memchr(text, 0, *key_bytes + *value_bytes)) {
        cursor->bad = true;
    }
    return cursor->bad ? NULL : text;
}

int dms_pairs_check(const struct dms_metadata *pairs, size_t pair_ct, const char *what)
{
    if (pair_ct > DMS_METADATA_MAX) {
        return dms_fail(DMS_ERR_INVALID, "%s: %zu pairs are too many (at most %d)", what, pair_ct,
                        DMS_METADATA_MAX);
    }
    for (size_t k = 0; k < pair_ct; k++) {
        size_t key_bytes = strlen(pairs[k].key);
        if (key_bytes == 0 || key_bytes > DMS_METADATA_KEY_BYTES_MAX ||
            strlen(pairs[k].value) > DMS_METADATA_VALUE_BYTES_MAX) {
            return dms_fail(DMS_ERR_INVALID, "%s: key or value number %zu is empty or too long",
                            what, k + 1);
        }
        if (k > 0 && strcmp(pairs[k - 1].key, pairs[k].key) >= 0) {
            return dms_fail(DMS_ERR_INVALID, "%s: '%s' does not come after '%s'", what,
                            pairs[k].key, pairs[k - 1].key);
        }
    }
    return 0;
}

size_t dms_pairs_text_bytes(const struct dms_metadata *pairs, size_t pair_ct)
{
    size_t bytes = 0;
    for (size_t k = 0; k < pair_ct; k++) {
        bytes += strlen(pairs[k].key) + strlen(pairs[k].value) + 2;
    }
    return bytes;
}

const char *dms_text_place(const void *text, size_t bytes, char **room)
{
    char *copy = *room;
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    *room += bytes + 1;
    return copy;
}

void dms_pairs_place(const struct dms_metadata *pairs, size_t pair_ct, struct dms_metadata *copies,
                     char **room)
{
    for (size_t k = 0; k < pair_ct; k++) {
        copies[k].key = dms_text_place(pairs[k].key, strlen(pairs[k].key), room);
        copies[k].value = dms_text_place(pairs[k].value, strlen(pairs[k].value), room);
    }
}

void dms_pairs_read(struct dms_cursor *cursor, size_t pair_ct, struct dms_metadata *copies,
                    char **room)
{
    for (size_t k = 0; k < pair_ct; k++) {
        size_t key_bytes;
        size_t value_bytes;
        const uint8_t *text = dms_pair_read(cursor, &key_bytes, &value_bytes);
        if (!text) {
            return;
        }
        copies[k].key = dms_text_place(text, key_bytes, room);
        copies[k].value = dms_text_place(text + key_bytes, value_bytes, room);
    }
}

int dms_pairs_copy(const struct dms_metadata *pairs, size_t pair_ct, struct dms_metadata **copy)
{
    size_t pair_bytes = pair_ct * sizeof *pairs; /* of an array in memory: it does not overflow */
    struct dms_metadata *made = dms_alloc(pair_bytes + dms_pairs_text_bytes(pairs, pair_ct), 1);
    if (!made) {
        return DMS_ERR_NO_MEMORY;
    }
    char *room = (char *)(made + pair_ct);
    dms_pairs_place(pairs, pair_ct, made, &room);
    *copy = made;
    return 0;
}
