/*
 * Keeps the masks of one pass; see mask_columns.h.
 */
#include "solver/mask_columns.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "solver/column_bits.h"
#include "solver/pass.h"

/* Words of each example that are counted at a time: those of all examples stay in the cache. */
#define WORDS 64

/* As they come. */
static void place_words(size_t example_ct, size_t word_ct, size_t first, size_t batch_word_ct,
                        const uint64_t *from, uint64_t *to)
{
    (void)word_ct;
    memcpy(to + first * example_ct, from, batch_word_ct * example_ct * sizeof *from);
}

int dms_mask_columns_read(const struct dms_problem *problem, enum dms_role role,
                          struct dms_mask_columns *columns)
{
    struct dms_mask_columns made = {
        .example_ct = problem->example_ct,
        .row_ct = problem->row_ct[role],
        .word_ct = (size_t)((problem->row_ct[role] + 63) / 64),
    };
    int rc = dms_problem_read_masks(problem, role, place_words, &made.words);

    if (rc == DMS_OK)
        *columns = made;
    return rc;
}

void dms_mask_columns_free(struct dms_mask_columns *columns)
{
    free(columns->words);
    *columns = (struct dms_mask_columns){0};
}

uint64_t dms_mask_columns_count_bytes(size_t size)
{
    return (uint64_t)size * WORDS * sizeof(uint64_t);
}

int dms_mask_columns_count(const struct dms_mask_columns *columns, const uint64_t *row_words,
                           size_t first, size_t size, const uint32_t *examples, uint32_t *counts,
                           size_t stride)
{
    uint64_t *words = dms_alloc(size * WORDS, sizeof *words);

    if (!words)
        return DMS_ERR_NO_MEMORY;
    for (size_t a = first; a < size; a++)
        memset(counts + a * stride, 0, (a + 1) * sizeof *counts);
    for (size_t at = 0; at < columns->word_ct; at += WORDS) {
        size_t word_ct = columns->word_ct - at < WORDS ? columns->word_ct - at : WORDS;

        dms_gather_columns(columns->words + at * columns->example_ct, columns->example_ct, word_ct,
                           row_words + at, size, examples, words, WORDS);
        for (size_t a = first; a < size; a++)
            for (size_t b = 0; b <= a; b++)
                counts[a * stride + b] +=
                    (uint32_t)dms_count_both(words + a * WORDS, words + b * WORDS, word_ct);
    }
    free(words);
    return DMS_OK;
}
