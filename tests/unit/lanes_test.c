/*
 * Every variant of the lane kernels that this machine can run, on problems of random bits: sizes
 * that fill no block, sparse and dense masks, wide strides, values that must not be touched.
 *
 * Whole numbers have exact sums in any order, so that most comparisons with the naive loops written
 * here are for equality; for others the tolerance is that of kernels/lanes.h. Inputs end where
 * their allocation ends, outputs and workspaces lie between guards.
 */
#include "base/endian.h"
#include "base/mix.h"
#include "kernels/kernels.h"
#include "kernels/lanes.h"
#include "tests/unit/tap.h"

#include <math.h>
#include <stdlib.h>

#define GUARD_BYTES 64
#define GUARD 0xa5

static const char *const variant_names[] = {"ref", "avx2", "avx512"};

static const struct {
    size_t row_ct, column_ct;
} sizes[] = {{0, 1},     {0, 100},  {1, 1},     {1, 64},   {1, 1000}, {2, 7},     {7, 8},
             {8, 9},     {9, 63},   {63, 64},   {64, 65},  {65, 127}, {100, 128}, {128, 511},
             {129, 513}, {200, 31}, {300, 700}, {1023, 5}, {1024, 1}, {1025, 70}, {70, 1025},
             {33, 4096}, {5, 4097}, {66, 5121}, {2050, 3}, {4100, 66}};
static const size_t size_ct = sizeof(sizes) / sizeof(sizes[0]);

/* Out of 256 bits, how many are set. */
static const unsigned densities[] = {0, 3, 128, 256};

static uint64_t random_state = 1;

static uint64_t random_u64(void)
{
    return dms_mix_next(&random_state);
}

/* Memory of exactly `size` bytes at an address that is a multiple of 64 and no higher power. */
static void *must_alloc(size_t size, void **allocation)
{
    if (posix_memalign(allocation, 128, size + 64) != 0) {
        printf("Bail out! no memory for a test\n");
        exit(1);
    }
    return (uint8_t *)*allocation + 64;
}

/* An output between guards, at first filled with bytes that are NaNs in both types. */
struct output {
    void *allocation;
    uint8_t *data;
    size_t size;
};

static struct output guarded_output(size_t size)
{
    struct output output = {.size = size};

    output.data = must_alloc(size + 2 * GUARD_BYTES, &output.allocation);
    memset(output.data, GUARD, size + 2 * GUARD_BYTES);
    output.data += GUARD_BYTES;
    memset(output.data, 0xff, size);
    return output;
}

static bool guards_intact(const struct output *output)
{
    for (size_t i = 0; i < GUARD_BYTES; i++)
        if (output->data[-1 - (ptrdiff_t)i] != GUARD || output->data[output->size + i] != GUARD)
            return false;
    return true;
}

/* Masks in both forms, with garbage wherever the contracts leave room for it. */
struct masks {
    size_t row_ct, column_ct;
    size_t row_stride_bytes, column_stride;
    void *row_allocation, *column_allocation;
    uint8_t *rows;
    uint64_t *columns;
};

static bool mask_bit(const struct masks *masks, size_t row, size_t column)
{
    return masks->rows[row * masks->row_stride_bytes + column / 8] >> column % 8 & 1;
}

static struct masks random_masks(size_t row_ct, size_t column_ct, unsigned density)
{
    struct masks masks = {.row_ct = row_ct, .column_ct = column_ct};
    size_t row_bytes = (column_ct + 63) / 64 * 8;
    size_t block_ct = (row_ct + 63) / 64;
    size_t size;

    masks.row_stride_bytes = row_bytes + random_u64() % 4 * 8;
    masks.column_stride = column_ct + random_u64() % 4;
    size = row_ct == 0 ? 0 : (row_ct - 1) * masks.row_stride_bytes + row_bytes;
    masks.rows = must_alloc(size, &masks.row_allocation);
    for (size_t i = 0; i < size; i++)
        masks.rows[i] = (uint8_t)random_u64();
    for (size_t i = 0; i < row_ct; i++)
        for (size_t k = 0; k < row_bytes * 8; k++) {
            uint8_t *byte = &masks.rows[i * masks.row_stride_bytes + k / 8];
            bool bit = k < column_ct && random_u64() % 256 < density;

            *byte = (uint8_t)((*byte & ~(1 << k % 8)) | bit << k % 8);
        }

    size = block_ct == 0 ? 0 : (block_ct - 1) * masks.column_stride + column_ct;
    masks.columns = must_alloc(size * sizeof(uint64_t), &masks.column_allocation);
    for (size_t i = 0; i < size; i++)
        masks.columns[i] = random_u64();
    for (size_t block = 0; block < block_ct; block++)
        for (size_t k = 0; k < column_ct; k++) {
            uint64_t word = 0;

            for (size_t i = 64 * block; i < row_ct && i < 64 * block + 64; i++)
                word |= (uint64_t)mask_bit(&masks, i, k) << i % 64;
            masks.columns[block * masks.column_stride + k] = word;
        }
    return masks;
}

static void free_masks(struct masks *masks)
{
    free(masks->row_allocation);
    free(masks->column_allocation);
}

/* `value_ct` x DMS_LANES values of a type, and the same as doubles. */
struct values {
    void *allocation, *exact_allocation;
    void *data;
    double *exact;
};

static double random_value(bool is_whole, bool is_float)
{
    double value = (double)(random_u64() % 2001) - 1000;

    if (!is_whole)
        value = ldexp((double)(random_u64() >> 11) - 0x1p52, (int)(random_u64() % 40) - 70);
    return is_float ? (double)(float)value : value;
}

static struct values random_values(size_t value_ct, bool is_whole, bool is_float)
{
    struct values values;
    size_t ct = value_ct * DMS_LANES;

    values.data = must_alloc(ct * (is_float ? sizeof(float) : sizeof(double)), &values.allocation);
    values.exact = must_alloc(ct * sizeof(double), &values.exact_allocation);
    for (size_t i = 0; i < ct; i++) {
        values.exact[i] = random_value(is_whole, is_float);
        if (is_float)
            ((float *)values.data)[i] = (float)values.exact[i];
        else
            ((double *)values.data)[i] = values.exact[i];
    }
    return values;
}

static void free_values(struct values *values)
{
    free(values->allocation);
    free(values->exact_allocation);
}

/*
 * One product by the kernels, checked against the naive sums, in double, of the values that the
 * bits select: equal to `tolerance` times the sum of absolute values.
 */
struct product {
    const struct dms_lane_kernels *kernels;
    const struct masks *masks;
    bool is_transposed;
    struct output output, workspace;
};

static struct product compute(const struct dms_lane_kernels *kernels, const struct masks *masks,
                              bool is_transposed, const void *values)
{
    struct product product = {.kernels = kernels, .masks = masks, .is_transposed = is_transposed};
    size_t out_ct = is_transposed ? masks->column_ct : masks->row_ct;

    product.output = guarded_output(out_ct * DMS_LANES * kernels->real_bytes);
    product.workspace = guarded_output(kernels->workspace_bytes);
    if (is_transposed)
        kernels->multiply_transposed(masks->columns, masks->column_stride, masks->row_ct,
                                     masks->column_ct, values, product.output.data,
                                     product.workspace.data);
    else
        kernels->multiply(masks->rows, masks->row_ct, masks->row_stride_bytes, masks->column_ct,
                          values, product.output.data, product.workspace.data);
    return product;
}

static void free_product(struct product *product)
{
    free(product->output.allocation);
    free(product->workspace.allocation);
}

static double product_at(const struct product *product, size_t i)
{
    const void *data = product->output.data;

    return product->kernels->real_bytes == sizeof(float) ? (double)((const float *)data)[i]
                                                         : ((const double *)data)[i];
}

static bool agrees(const struct product *product, const double *exact, double tolerance)
{
    const struct masks *masks = product->masks;
    size_t out_ct = product->is_transposed ? masks->column_ct : masks->row_ct;
    size_t in_ct = product->is_transposed ? masks->row_ct : masks->column_ct;

    for (size_t out = 0; out < out_ct; out++) {
        double sums[DMS_LANES] = {0}, magnitudes[DMS_LANES] = {0};

        for (size_t in = 0; in < in_ct; in++)
            if (product->is_transposed ? mask_bit(masks, in, out) : mask_bit(masks, out, in))
                for (size_t lane = 0; lane < DMS_LANES; lane++) {
                    sums[lane] += exact[in * DMS_LANES + lane];
                    magnitudes[lane] += fabs(exact[in * DMS_LANES + lane]);
                }
        for (size_t lane = 0; lane < DMS_LANES; lane++) {
            double got = product_at(product, out * DMS_LANES + lane);

            if (!(fabs(got - sums[lane]) <= tolerance * magnitudes[lane])) {
                diag("%zu rows, %zu columns: output %zu lane %zu is %.17g, not %.17g",
                     masks->row_ct, masks->column_ct, out, lane, got, sums[lane]);
                return false;
            }
        }
    }
    return true;
}

static void test_products(const struct dms_lane_kernels *kernels, bool is_transposed)
{
    bool is_float = kernels->real_bytes == sizeof(float);
    const char *what = is_transposed ? "multiply_transposed" : "multiply";
    const char *type = is_float ? "f32" : "f64";
    bool exact = true, close = true, guarded = true, repeatable = true;

    for (size_t s = 0; s < size_ct; s++)
        for (size_t d = 0; d < sizeof(densities) / sizeof(densities[0]); d++) {
            struct masks masks = random_masks(sizes[s].row_ct, sizes[s].column_ct, densities[d]);
            size_t in_ct = is_transposed ? masks.row_ct : masks.column_ct;
            struct values whole = random_values(in_ct, true, is_float);
            struct values any = random_values(in_ct, false, is_float);
            struct product of_whole = compute(kernels, &masks, is_transposed, whole.data);
            struct product of_any = compute(kernels, &masks, is_transposed, any.data);
            struct product again = compute(kernels, &masks, is_transposed, any.data);

            exact &= agrees(&of_whole, whole.exact, 0);
            close &= agrees(&of_any, any.exact, is_float ? 1e-5 : 1e-13);
            repeatable &= memcmp(of_any.output.data, again.output.data, again.output.size) == 0;
            guarded &= guards_intact(&of_any.output) && guards_intact(&of_any.workspace);
            free_product(&of_whole);
            free_product(&of_any);
            free_product(&again);
            free_values(&whole);
            free_values(&any);
            free_masks(&masks);
        }
    ok(exact, "%s %s: %s adds whole numbers exactly", kernels->name, type, what);
    ok(close, "%s %s: %s adds any numbers within its tolerance", kernels->name, type, what);
    ok(repeatable, "%s %s: %s gives the same bytes again", kernels->name, type, what);
    ok(guarded, "%s %s: %s stays inside its outputs", kernels->name, type, what);
}

/* An infinity and a NaN are seen by the sums that select them, and by no others. */
static void test_not_finite(const struct dms_lane_kernels *kernels, bool is_transposed)
{
    enum { IN_CT = 150, OUT_CT = 1100, INFINITE_AT = 13, NAN_AT = 149, LANE = 9 };
    bool is_float = kernels->real_bytes == sizeof(float);
    size_t row_ct = is_transposed ? IN_CT : OUT_CT, column_ct = is_transposed ? OUT_CT : IN_CT;
    struct masks masks = random_masks(row_ct, column_ct, 128);
    struct values values = random_values(IN_CT, true, is_float);
    struct product product;
    bool right = true;

    for (size_t at = INFINITE_AT; at <= NAN_AT; at += NAN_AT - INFINITE_AT) {
        size_t i = at * DMS_LANES + LANE;
        double value = at == NAN_AT ? (double)NAN : -(double)INFINITY;

        if (is_float)
            ((float *)values.data)[i] = (float)value;
        else
            ((double *)values.data)[i] = value;
    }
    product = compute(kernels, &masks, is_transposed, values.data);
    for (size_t out = 0; out < OUT_CT; out++)
        for (size_t lane = 0; lane < DMS_LANES; lane++) {
            double got = product_at(&product, out * DMS_LANES + lane);
            bool infinite = is_transposed ? mask_bit(&masks, INFINITE_AT, out)
                                          : mask_bit(&masks, out, INFINITE_AT);
            bool nan =
                is_transposed ? mask_bit(&masks, NAN_AT, out) : mask_bit(&masks, out, NAN_AT);

            if (lane == LANE && nan)
                right &= isnan(got) != 0;
            else if (lane == LANE && infinite)
                right &= isinf(got) && got < 0;
            else
                right &= isfinite(got) != 0;
        }
    ok(right, "%s %s: %s keeps infinities and NaNs where they are selected", kernels->name,
       is_float ? "f32" : "f64", is_transposed ? "multiply_transposed" : "multiply");
    free_product(&product);
    free_values(&values);
    free_masks(&masks);
}

static bool transposes(const struct dms_lane_variant *variant, const struct masks *masks)
{
    size_t block_ct = (masks->row_ct + 63) / 64;
    size_t word_ct = block_ct == 0 ? 0 : (block_ct - 1) * masks->column_stride + masks->column_ct;
    struct output output = guarded_output(word_ct * sizeof(uint64_t));
    const uint64_t *columns = (const uint64_t *)(void *)output.data;
    bool right;

    variant->transpose_bits(masks->rows, masks->row_ct, masks->row_stride_bytes, masks->column_ct,
                            (uint64_t *)(void *)output.data, masks->column_stride);
    right = guards_intact(&output);
    for (size_t i = 0; i < word_ct; i++) {
        bool is_between = i % masks->column_stride >= masks->column_ct;

        right &= columns[i] == (is_between ? UINT64_MAX : masks->columns[i]);
    }
    free(output.allocation);
    return right;
}

static void test_transpose(const struct dms_lane_variant *variant)
{
    bool right = true;

    for (size_t s = 0; s < size_ct; s++)
        for (size_t d = 0; d < sizeof(densities) / sizeof(densities[0]); d++) {
            struct masks masks = random_masks(sizes[s].row_ct, sizes[s].column_ct, densities[d]);

            right &= transposes(variant, &masks);
            free_masks(&masks);
        }
    ok(right, "%s: transpose_bits puts every bit in its place and writes nothing else",
       variant->name);
}

static void test_variant(const struct dms_lane_variant *variant)
{
    const struct dms_lane_kernels *kernels[] = {variant->f32, variant->f64};

    ok(kernels[0]->real_bytes == sizeof(float) && kernels[1]->real_bytes == sizeof(double),
       "%s: the tables say their types", variant->name);
    for (size_t k = 0; k < 2; k++)
        for (int is_transposed = 0; is_transposed < 2; is_transposed++) {
            test_products(kernels[k], is_transposed);
            test_not_finite(kernels[k], is_transposed);
        }
    test_transpose(variant);
}

int main(void)
{
    for (size_t v = 0; v < sizeof(variant_names) / sizeof(variant_names[0]); v++) {
        const struct dms_lane_variant *variant = dms_lane_variant_by_name(variant_names[v]);

        if (variant == NULL) {
            skip(variant_names[v], "this machine cannot run it");
            continue;
        }
        is_text(variant->name, variant_names[v], "a variant is found by its name");
        test_variant(variant);
    }
    ok(dms_lane_variant_by_name("none") == NULL, "there is no variant 'none'");
    is_text(dms_lane_variant_get()->name, dms_kernels_get()->name,
            "all kernels are of one variant");
    return tap_done();
}
