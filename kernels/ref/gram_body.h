/*
 * The gram solver's kernels, written once for every instruction set: the including file is compiled
 * for one and ends with GRAM_TABLE. The compiler's vector types make the operations on several
 * values vector instructions of whatever width there is. kernels/gram.h says what the functions do.
 * No include guard: a file includes this once.
 */
#include <math.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "kernels/gram.h"

/* Of a vector: what fits a register, because compilers spill what does not. */
#if defined(__AVX512F__)
#define VALUES 8
#elif defined(__AVX2__)
#define VALUES 4
#else
#define VALUES 2
#endif

typedef double reals __attribute__((vector_size(VALUES * sizeof(double)), aligned(8), may_alias));
typedef int64_t longs __attribute__((vector_size(VALUES * sizeof(int64_t)), aligned(8), may_alias));
typedef int32_t words32
    __attribute__((vector_size(VALUES * sizeof(int32_t)), aligned(4), may_alias));

/* VALUES integers of 16 bits as doubles: compilers make several times as many instructions of two
 * conversions. */
#if defined(__AVX512F__)
#define WIDEN(from) \
    ((reals)_mm512_cvtepi32_pd(_mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)(from)))))
#elif defined(__AVX2__)
#define WIDEN(from) \
    ((reals)_mm256_cvtepi32_pd(_mm_cvtepi16_epi32(_mm_loadl_epi64((const __m128i *)(from)))))
#else
#define WIDEN(from) ((reals){(from)[0], (from)[1]})
#endif

/* For a constant row_ct: the compiler unrolls the loops over it. */
static inline __attribute__((always_inline)) void add_some_rows(size_t row_ct,
                                                                const int16_t *const *rows,
                                                                const double *weights,
                                                                size_t column_ct, double *sums)
{
    size_t k = 0;

    for (; k + VALUES <= column_ct; k += VALUES) {
        reals sum = *(reals *)(sums + k);

        for (size_t r = 0; r < row_ct; r++)
            sum += weights[r] * WIDEN(rows[r] + k);
        *(reals *)(sums + k) = sum;
    }
    for (; k < column_ct; k++)
        for (size_t r = 0; r < row_ct; r++)
            sums[k] += weights[r] * rows[r][k];
}

static void add_rows(size_t row_ct, const int16_t *const *rows, const double *weights,
                     size_t column_ct, double *sums)
{
    switch (row_ct) {
    case 1:
        add_some_rows(1, rows, weights, column_ct, sums);
        break;
    case 2:
        add_some_rows(2, rows, weights, column_ct, sums);
        break;
    case 3:
        add_some_rows(3, rows, weights, column_ct, sums);
        break;
    case DMS_GRAM_ROWS:
        add_some_rows(DMS_GRAM_ROWS, rows, weights, column_ct, sums);
        break;
    default:
        break;
    }
}

/* COLUMNS at a time: two rows side by side, so that one instruction multiplies pairs of 16 bits and
 * adds them; what comes of them in pieces of four columns is put in order. */
#if defined(__AVX512F__)
#define COLUMNS 32
static inline __attribute__((always_inline)) void add_multiples_at(const int16_t *const *rows,
                                                                   const int32_t *factor_pairs,
                                                                   double unit, size_t k,
                                                                   double *sums)
{
    const __m512i first = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
    const __m512i second = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
    __m512i low = _mm512_setzero_si512(), high = low, parts[2];

    for (size_t r = 0; r < DMS_GRAM_MULTIPLES; r += 2) {
        __m512i a = _mm512_loadu_si512(rows[r] + k), b = _mm512_loadu_si512(rows[r + 1] + k);
        __m512i factors = _mm512_set1_epi32(factor_pairs[r / 2]);

        low = _mm512_add_epi32(low, _mm512_madd_epi16(_mm512_unpacklo_epi16(a, b), factors));
        high = _mm512_add_epi32(high, _mm512_madd_epi16(_mm512_unpackhi_epi16(a, b), factors));
    }
    parts[0] = _mm512_permutex2var_epi64(low, first, high);
    parts[1] = _mm512_permutex2var_epi64(low, second, high);
    for (size_t p = 0; p < COLUMNS / VALUES; p++) {
        __m256i part = p % 2 == 0 ? _mm512_castsi512_si256(parts[p / 2])
                                  : _mm512_extracti64x4_epi64(parts[p / 2], 1);

        *(reals *)(sums + k + p * VALUES) += unit * (reals)_mm512_cvtepi32_pd(part);
    }
}
#elif defined(__AVX2__)
#define COLUMNS 16
static inline __attribute__((always_inline)) void add_multiples_at(const int16_t *const *rows,
                                                                   const int32_t *factor_pairs,
                                                                   double unit, size_t k,
                                                                   double *sums)
{
    __m256i low = _mm256_setzero_si256(), high = low, parts[2];

    for (size_t r = 0; r < DMS_GRAM_MULTIPLES; r += 2) {
        __m256i a = _mm256_loadu_si256((const __m256i *)(rows[r] + k));
        __m256i b = _mm256_loadu_si256((const __m256i *)(rows[r + 1] + k));
        __m256i factors = _mm256_set1_epi32(factor_pairs[r / 2]);

        low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), factors));
        high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), factors));
    }
    parts[0] = _mm256_permute2x128_si256(low, high, 0x20);
    parts[1] = _mm256_permute2x128_si256(low, high, 0x31);
    for (size_t p = 0; p < COLUMNS / VALUES; p++) {
        __m128i part = p % 2 == 0 ? _mm256_castsi256_si128(parts[p / 2])
                                  : _mm256_extracti128_si256(parts[p / 2], 1);

        *(reals *)(sums + k + p * VALUES) += unit * (reals)_mm256_cvtepi32_pd(part);
    }
}
#endif

static void add_multiples(const int16_t *const *rows, const int16_t *factors, double unit,
                          size_t column_ct, double *sums)
{
    size_t k = 0;

#if defined(COLUMNS)
    int32_t factor_pairs[DMS_GRAM_MULTIPLES / 2];

    memcpy(factor_pairs, factors, sizeof factor_pairs);
    for (; k + COLUMNS <= column_ct; k += COLUMNS)
        add_multiples_at(rows, factor_pairs, unit, k, sums);
#endif
    for (; k < column_ct; k++) {
        int32_t sum = 0;

        for (size_t r = 0; r < DMS_GRAM_MULTIPLES; r++)
            sum += factors[r] * rows[r][k];
        sums[k] += unit * sum;
    }
}

static void add_wide_row(const int32_t *row, double weight, size_t column_ct, double *sums)
{
    size_t k = 0;

    for (; k + VALUES <= column_ct; k += VALUES)
        *(reals *)(sums + k) +=
            weight * __builtin_convertvector(*(const words32 *)(row + k), reals);
    for (; k < column_ct; k++)
        sums[k] += weight * row[k];
}

static void add_scaled(size_t value_ct, double scale, const double *values, double *sums)
{
    size_t k = 0;

    for (; k + VALUES <= value_ct; k += VALUES)
        *(reals *)(sums + k) += scale * *(const reals *)(values + k);
    for (; k < value_ct; k++)
        sums[k] += scale * values[k];
}

static void add_where(const uint64_t *words, size_t stride, size_t row_ct, double value,
                      double *sums)
{
    longs bits, value_bits;
    size_t i = 0;

    for (size_t v = 0; v < VALUES; v++) {
        bits[v] = INT64_C(1) << v;
        memcpy((char *)&value_bits + v * sizeof value, &value, sizeof value);
    }
    for (; i + VALUES <= row_ct; i += VALUES) {
        longs some = (longs){0} + (int64_t)(words[(i >> 6) * stride] >> (i & 63));

        *(reals *)(sums + i) += (reals)(((some & bits) != 0) & value_bits);
    }
    for (; i < row_ct; i++)
        if (words[(i >> 6) * stride] >> (i & 63) & 1)
            sums[i] += value;
}

static double sum_pairs(size_t n, const uint32_t *counts, const double *singles,
                        const double *weights, double mean)
{
    reals sums = {0};
    double sum = 0;
    size_t k = 0;

    for (; k + VALUES <= n; k += VALUES) {
        reals count = __builtin_convertvector(*(const words32 *)(counts + k), reals);

        sums += *(const reals *)(weights + k) * (count - mean * *(const reals *)(singles + k));
    }
    for (size_t v = 0; v < VALUES; v++)
        sum += sums[v];
    for (; k < n; k++)
        sum += weights[k] * (counts[k] - mean * singles[k]);
    return sum;
}

/* A value without its sign. */
#define MAGNITUDE(value) ((reals)((longs)(value)&INT64_MAX))

static void sum_up(size_t example_ct, const double *weights, const double *gradients,
                   const double *products, const double *scales, struct dms_gram_sums *sums)
{
    reals product = {0}, slope = {0}, norm = {0}, largest = {0};
    longs zero_ct = {0};
    size_t k = 0;

    for (; k + VALUES <= example_ct; k += VALUES) {
        reals w = *(const reals *)(weights + k), g = *(const reals *)(gradients + k);
        reals s = *(const reals *)(scales + k), share = MAGNITUDE(g) / s;
        longs larger = (s > 0) & (share > largest);

        product += w * *(const reals *)(products + k);
        slope += w * g;
        norm += s * MAGNITUDE(w);
        largest = (reals)((larger & (longs)share) | (~larger & (longs)largest));
        zero_ct -= w == 0;
    }
    *sums = (struct dms_gram_sums){.weight_ct = k};
    for (size_t v = 0; v < VALUES; v++) {
        sums->product += product[v];
        sums->slope += slope[v];
        sums->norm += norm[v];
        sums->largest_gradient = fmax(sums->largest_gradient, largest[v]);
        sums->weight_ct -= (size_t)zero_ct[v];
    }
    for (; k < example_ct; k++) {
        sums->product += weights[k] * products[k];
        sums->slope += weights[k] * gradients[k];
        sums->norm += scales[k] * fabs(weights[k]);
        if (scales[k] > 0)
            sums->largest_gradient = fmax(sums->largest_gradient, fabs(gradients[k]) / scales[k]);
        sums->weight_ct += weights[k] != 0;
    }
}

#define GRAM_STRING(name) #name
#define GRAM_TABLE(variant)                                      \
    const struct dms_gram_kernels dms_gram_kernels_##variant = { \
        .name = GRAM_STRING(variant),                            \
        .add_rows = add_rows,                                    \
        .add_multiples = add_multiples,                          \
        .add_wide_row = add_wide_row,                            \
        .add_scaled = add_scaled,                                \
        .add_where = add_where,                                  \
        .sum_pairs = sum_pairs,                                  \
        .sum_up = sum_up,                                        \
    };
