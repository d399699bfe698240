/*
 * Isotonic regression and where it crosses zero: pure functions on arrays.
 */
#include "dmstore/support.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"

/* Neighbours that share one fitted value: their weighted mean. */
struct block {
    double value, weight;
    size_t value_ct;
};

/* The last two blocks of the list become one while the later one is the larger. */
static size_t pool_violators(struct block *blocks, size_t block_ct)
{
    while (block_ct > 1 && blocks[block_ct - 2].value < blocks[block_ct - 1].value) {
        struct block *into = &blocks[block_ct - 2], *from = &blocks[block_ct - 1];
        double weight = into->weight + from->weight;

        into->value = (into->value * into->weight + from->value * from->weight) / weight;
        into->weight = weight;
        into->value_ct += from->value_ct;
        block_ct--;
    }
    return block_ct;
}

int dms_isotonic_fit(const double *values, const double *weights, size_t value_ct, double *fitted)
{
    struct block *blocks = dms_alloc(value_ct, sizeof(*blocks));
    size_t block_ct = 0;

    if (!blocks)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; i < value_ct; i++) {
        blocks[block_ct++] = (struct block){values[i], weights[i], 1};
        block_ct = pool_violators(blocks, block_ct);
    }
    for (size_t block = 0; block < block_ct; block++) {
        for (size_t i = 0; i < blocks[block].value_ct; i++)
            *fitted++ = blocks[block].value;
    }
    free(blocks);
    return 0;
}

double dms_zero_crossing(const double *ks, const double *values, size_t value_ct)
{
    for (size_t i = 0; i < value_ct; i++) {
        if (values[i] > 0)
            continue;
        if (i == 0)
            return ks[i];
        return ks[i - 1] + (ks[i] - ks[i - 1]) * (values[i - 1] / (values[i - 1] - values[i]));
    }
    return NAN;
}
