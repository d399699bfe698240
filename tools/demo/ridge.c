/*
 * A ridge classifier: for each class the linear function of the pixels that comes nearest, in
 * squared error with a penalty on its weights, to +1 on the images of the class and -1 on all
 * others; the score is its value. Solved in closed form, (X'X + PENALTY I) W = X'Y, where the rows
 * of X are the images of the subset, pixels scaled to 0 .. 1, with a 1 at the end for the constant
 * (penalised like a pixel, so that the empty subset has a solution, too: 0).
 *
 * Nearly all of the time would go into X'X. The products of each training image's features are
 * therefore kept as small integers; a model sums those of its images, eight or more at a time and
 * exactly, so that the outcome does not depend on an order.
 */
#include "learner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore/store.h>

#define PENALTY 1.0

#define FEATURE_CT (IMAGE_PIXELS + 1) /* the last one is the constant, PIXEL_MAX */
#define SCALE ((double)PIXEL_MAX)     /* of features in integers */

/* Products of features i >= j, at i (i + 1) / 2 + j; and room to whole vectors. */
#define PRODUCT_CT ((FEATURE_CT * (FEATURE_CT + 1) / 2 + 31) / 32 * 32)

/* So many products, each at most PIXEL_MAX^2, have a sum that fits in 16 bits. */
#define SHORT_SUM_CT (UINT16_MAX / (PIXEL_MAX * PIXEL_MAX))

/* Classes and room to whole vectors. */
#define CLASS_STRIDE 16

struct ridge {
    struct lesson lesson;
    uint16_t *products; /* training_ct x PRODUCT_CT */
    float *features;    /* query_ct x FEATURE_CT, scaled */
    /* Of the model in work: */
    uint16_t short_sums[PRODUCT_CT];
    uint32_t sums[PRODUCT_CT];                /* X'X */
    int32_t class_sums[CLASS_CT][FEATURE_CT]; /* X'Y */
    double factor[FEATURE_CT][FEATURE_CT];    /* lower triangle: X'X + PENALTY I = L L' */
    float weights[FEATURE_CT][CLASS_STRIDE];  /* W */
};

static unsigned feature(const struct image *image, size_t i)
{
    return i < IMAGE_PIXELS ? image->pixels[i] : PIXEL_MAX;
}

static void ridge_free(void *prepared)
{
    struct ridge *ridge = prepared;

    if (ridge) {
        free(ridge->products);
        free(ridge->features);
    }
    free(ridge);
}

static int ridge_prepare(const struct lesson *lesson, void **prepared)
{
    struct ridge *ridge = calloc(1, sizeof(*ridge));

    if (ridge) {
        ridge->lesson = *lesson;
        ridge->products = calloc(lesson->training_ct, PRODUCT_CT * sizeof(*ridge->products));
        ridge->features = calloc(lesson->query_ct, FEATURE_CT * sizeof(*ridge->features));
    }
    if (!ridge || !ridge->products || !ridge->features) {
        ridge_free(ridge);
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for the products of pixels");
    }

    for (size_t example = 0; example < lesson->training_ct; example++) {
        const struct image *image = &lesson->training[example];
        uint16_t *product = ridge->products + example * PRODUCT_CT;

        for (size_t i = 0; i < FEATURE_CT; i++) {
            for (size_t j = 0; j <= i; j++)
                *product++ = (uint16_t)(feature(image, i) * feature(image, j));
        }
    }
    for (size_t query = 0; query < lesson->query_ct; query++) {
        for (size_t i = 0; i < FEATURE_CT; i++)
            ridge->features[query * FEATURE_CT + i] =
                (float)(feature(&lesson->queries[query], i) / SCALE);
    }
    *prepared = ridge;
    return 0;
}

static void add_products(uint16_t *restrict sums, const uint16_t *restrict products)
{
    for (size_t i = 0; i < PRODUCT_CT; i++)
        sums[i] = (uint16_t)(sums[i] + products[i]);
}

static void flush_short_sums(struct ridge *ridge)
{
    for (size_t i = 0; i < PRODUCT_CT; i++)
        ridge->sums[i] += ridge->short_sums[i];
    memset(ridge->short_sums, 0, sizeof(ridge->short_sums));
}

/* X'X and X'Y of the images in the mask. */
static void sum_images(struct ridge *ridge, const uint8_t *mask)
{
    int32_t total[FEATURE_CT] = {0};
    unsigned waiting = 0;

    memset(ridge->sums, 0, sizeof(ridge->sums));
    memset(ridge->class_sums, 0, sizeof(ridge->class_sums));
    for (size_t example = 0; example < ridge->lesson.training_ct; example++) {
        const struct image *image = &ridge->lesson.training[example];

        if (!(mask[example >> 3] >> (example & 7) & 1))
            continue;
        add_products(ridge->short_sums, ridge->products + example * PRODUCT_CT);
        if (++waiting == SHORT_SUM_CT) {
            flush_short_sums(ridge);
            waiting = 0;
        }
        for (size_t i = 0; i < FEATURE_CT; i++) {
            total[i] += (int32_t)feature(image, i);
            ridge->class_sums[image->label][i] += (int32_t)feature(image, i);
        }
    }
    flush_short_sums(ridge);

    /* Y is +1 on the class and -1 on the others: twice the sum of the class less the sum of all. */
    for (size_t class = 0; class < CLASS_CT; class ++) {
        for (size_t i = 0; i < FEATURE_CT; i++)
            ridge->class_sums[class][i] = 2 * ridge->class_sums[class][i] - total[i];
    }
}

/* Cholesky's factor of X'X + PENALTY I, row by row. The penalty keeps every pivot positive. */
static void factorize(struct ridge *ridge)
{
    const uint32_t *sum = ridge->sums;

    for (size_t i = 0; i < FEATURE_CT; i++) {
        double *row = ridge->factor[i];

        for (size_t j = 0; j <= i; j++) {
            const double *other = ridge->factor[j];
            double value = *sum++ / (SCALE * SCALE) + (i == j ? PENALTY : 0);

            for (size_t k = 0; k < j; k++)
                value -= row[k] * other[k];
            row[j] = i == j ? sqrt(value) : value / other[j];
        }
    }
}

/* The weights of one class: L L' w = X'y by substitution forwards and backwards. */
static void solve_class(struct ridge *ridge, size_t class)
{
    double solution[FEATURE_CT];

    for (size_t i = 0; i < FEATURE_CT; i++) {
        double value = ridge->class_sums[class][i] / SCALE;

        for (size_t k = 0; k < i; k++)
            value -= ridge->factor[i][k] * solution[k];
        solution[i] = value / ridge->factor[i][i];
    }
    for (size_t i = FEATURE_CT; i-- > 0;) {
        solution[i] /= ridge->factor[i][i];
        for (size_t k = 0; k < i; k++)
            solution[k] -= ridge->factor[i][k] * solution[i];
        ridge->weights[i][class] = (float)solution[i];
    }
}

static void score_query(const struct ridge *ridge, size_t query, float *scores)
{
    const float *features = ridge->features + query * FEATURE_CT;
    float sums[CLASS_STRIDE] = {0};

    for (size_t i = 0; i < FEATURE_CT; i++) {
        for (size_t class = 0; class < CLASS_STRIDE; class ++)
            sums[class] += ridge->weights[i][class] * features[i];
    }
    memcpy(scores, sums, CLASS_CT * sizeof(*scores));
}

static void ridge_train(void *prepared, const uint8_t *mask, float *scores)
{
    struct ridge *ridge = prepared;

    sum_images(ridge, mask);
    factorize(ridge);
    for (size_t class = 0; class < CLASS_CT; class ++)
        solve_class(ridge, class);
    for (size_t query = 0; query < ridge->lesson.query_ct; query++)
        score_query(ridge, query, scores + query * CLASS_CT);
}

const struct learner learner_ridge = {
    .name = "ridge",
    .description = "ridge classifier on the pixels, one class against the rest",
    .prepare = ridge_prepare,
    .free = ridge_free,
    .train = ridge_train,
};
