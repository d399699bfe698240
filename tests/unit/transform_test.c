/*
 * Margins and correctness of batches, and the padding after them.
 */
#include "solver/transform.h"
#include "tests/unit/tap.h"

#include <math.h>

enum { ROWS = 2, TARGETS = 3, CLASSES = 3, FROM_STRIDE = 16, TO_STRIDE = 16 };

static bool is_same(float got, float wanted)
{
    return isnan(wanted) ? isnan(got) : got == wanted;
}

static void check(const char *name, enum dms_transform transform, double threshold, size_t class_ct,
                  const int64_t *labels, const float *from, const float wanted[ROWS][TARGETS])
{
    struct dms_transform_shape shape = {
        .row_ct = ROWS,
        .target_ct = TARGETS,
        .class_ct = class_ct,
        .from_stride = FROM_STRIDE,
        .to_stride = TO_STRIDE,
    };
    float to[ROWS * TO_STRIDE];

    for (int i = 0; i < ROWS * TO_STRIDE; i++)
        to[i] = 99;
    dms_transform_apply(transform, threshold, &shape, labels, from, to);
    for (int i = 0; i < ROWS; i++) {
        bool padded = true;

        for (int t = 0; t < TARGETS; t++) {
            if (!ok(is_same(to[i * TO_STRIDE + t], wanted[i][t]), "%s: row %d, target %d", name, i,
                    t))
                diag("got %g, wanted %g", (double)to[i * TO_STRIDE + t], (double)wanted[i][t]);
        }
        for (int t = TARGETS; t < TO_STRIDE; t++)
            padded &= to[i * TO_STRIDE + t] == 0;
        ok(padded, "%s: row %d ends in zeros", name, i);
    }
}

int main(void)
{
    static const float logits[ROWS * FROM_STRIDE] = {
        [0] = 3, 1,        2,  1,  3,        2, -1, -1,  -1, [9] = 50,
        60,      [16] = 0, -5, -2, INFINITY, 1, 0,  NAN, 0,  1,
    };
    static const int64_t labels[TARGETS] = {0, 2, 1};
    static const float margins[ROWS][TARGETS] = {{1, -1, 0}, {2, -INFINITY, NAN}};
    static const float correct[ROWS][TARGETS] = {{1, 0, 0}, {1, 0, NAN}};
    static const float stored[ROWS * FROM_STRIDE] = {
        [0] = 2, -1, 0, 77, [16] = NAN, INFINITY, -INFINITY,
    };
    static const float right[ROWS][TARGETS] = {{1, 0, 0}, {NAN, 1, 0}};
    static const float above[ROWS][TARGETS] = {{1, 0, 1}, {NAN, 1, 0}}; /* -1 is not above -1 */

    check("margin of logits", DMS_TRANSFORM_MARGIN, 0, CLASSES, labels, logits, margins);
    check("correctness of logits", DMS_TRANSFORM_CORRECT, 0, CLASSES, labels, logits, correct);
    check("correctness of margins", DMS_TRANSFORM_CORRECT, 0, 1, NULL, stored, right);
    check("with a threshold", DMS_TRANSFORM_CORRECT, -1, 1, NULL, stored, above);
    return tap_done();
}
