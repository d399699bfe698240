/*
 * dms_fit_top: a target's weights of one sign, sorted.
 */
#include "dmstore/nearest.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "query/weight_order.h"

int dms_fit_top(const dms_fit *fit, const size_t *positions, size_t position_ct, size_t k,
                enum dms_weight_sign sign, struct dms_weighted_example *examples,
                size_t *example_cts)
{
    struct dms_weighted_example *sorted = NULL;
    size_t capacity = 0;
    int code = 0;

    for (size_t i = 0; code == 0 && i < position_ct; i++) {
        struct dms_fitted_target target;
        size_t example_ct;

        code = dms_fit_target(fit, positions[i], &target);
        if (code == 0)
            code = dms_grow((void **)&sorted, &capacity, target.weight_ct, sizeof(*sorted));
        if (code < 0)
            break;
        if (target.weight_ct == 0) {
            example_cts[i] = 0;
            continue;
        }
        example_ct = dms_weight_order_sign(&target, sign, sorted);
        example_cts[i] = example_ct < k ? example_ct : k;
        memcpy(examples + i * k, sorted, example_cts[i] * sizeof(*sorted));
    }
    free(sorted);
    return code;
}
