/*
 * Every variant of every kernel that this machine can run, compared with naive loops written here:
 * odd sizes, tails, misaligned inputs and outputs, and guard bytes around what may be written.
 * Inputs end where their allocation ends, so that a sanitizer sees a read past the end.
 */
#include "base/mix.h"
#include "kernels/kernels.h"
#include "tests/unit/tap.h"

#include <math.h>
#include <stdlib.h>

#define GUARD_BYTES 64
#define GUARD 0xa5

static const char *const variant_names[] = {"ref", "avx2", "avx512"};
static const size_t sizes[] = {0,    1,    2,    3,    7,    8,    9,    15,   16,
                               17,   31,   32,   33,   63,   64,   65,   100,  127,
                               128,  129,  255,  256,  257,  511,  512,  513,  1000,
                               1023, 1024, 1025, 4095, 4096, 4097, 5000, 8191, 9000};
static const size_t size_ct = sizeof(sizes) / sizeof(sizes[0]);

static uint64_t random_state = 1;

static uint64_t random_u64(void)
{
    return dms_mix_next(&random_state);
}

static void fill_random(uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)random_u64();
}

static void *must_alloc(size_t size)
{
    void *memory = malloc(size == 0 ? 1 : size);

    if (memory == NULL) {
        printf("Bail out! no memory for a test\n");
        exit(1);
    }
    return memory;
}

/* An input of `size` bytes, `misalignment` past an aligned address, that ends with its allocation.
 */
struct input {
    uint8_t *allocation;
    uint8_t *data;
};

static struct input random_input(size_t size, size_t misalignment)
{
    struct input input = {.allocation = must_alloc(size + misalignment)};

    input.data = input.allocation + misalignment;
    fill_random(input.data, size);
    return input;
}

/* An output of `size` bytes between guards. */
struct output {
    uint8_t *allocation;
    uint8_t *data;
    size_t size;
    size_t misalignment;
};

static struct output guarded_output(size_t size, size_t misalignment)
{
    struct output output = {.size = size, .misalignment = misalignment};

    output.allocation = must_alloc(size + misalignment + 2 * GUARD_BYTES);
    memset(output.allocation, GUARD, size + misalignment + 2 * GUARD_BYTES);
    output.data = output.allocation + GUARD_BYTES + misalignment;
    return output;
}

static bool guards_intact(const struct output *output)
{
    for (size_t i = 0; i < GUARD_BYTES + output->misalignment; i++)
        if (output->allocation[i] != GUARD)
            return false;
    for (size_t i = 0; i < GUARD_BYTES; i++)
        if (output->data[output->size + i] != GUARD)
            return false;
    return true;
}

static void test_pack(const struct dms_kernels *kernels)
{
    bool packed = true, unpacked = true, guarded = true, seen_right = true;

    for (size_t s = 0; s < size_ct; s++)
        for (size_t shift = 0; shift < 4; shift++) {
            size_t n = sizes[s], byte_ct = (n + 7) / 8;
            struct input bytes = random_input(n, shift);
            struct output bits = guarded_output(byte_ct, shift + 1);
            struct output back = guarded_output(n, shift);
            uint8_t *wanted = must_alloc(byte_ct);
            uint8_t all = 0, seen;

            memset(wanted, 0, byte_ct);
            for (size_t k = 0; k < n; k++) {
                /* Mostly 0 and 1; at the larger shifts any value, rarely. */
                if (shift < 2 || bytes.data[k] % 16 != 0)
                    bytes.data[k] &= 1;
                all |= bytes.data[k];
                if (bytes.data[k] != 0)
                    wanted[k / 8] |= (uint8_t)(1 << k % 8);
            }
            seen = kernels->pack_bits(bytes.data, n, bits.data);
            seen_right &= seen == all;
            packed &= memcmp(bits.data, wanted, byte_ct) == 0;
            kernels->unpack_bits(bits.data, n, back.data);
            for (size_t k = 0; k < n; k++)
                unpacked &= back.data[k] == (bytes.data[k] != 0);
            guarded &= guards_intact(&bits) && guards_intact(&back);
            free(bytes.allocation);
            free(bits.allocation);
            free(back.allocation);
            free(wanted);
        }
    ok(packed, "%s: pack_bits sets the right bits, tail bits zero", kernels->name);
    ok(seen_right, "%s: pack_bits returns the OR of its input", kernels->name);
    ok(unpacked, "%s: unpack_bits gives the bytes back", kernels->name);
    ok(guarded, "%s: pack_bits and unpack_bits stay inside their outputs", kernels->name);
}

/* One byte out of place, anywhere, must show up in what pack_bits returns. */
static void test_pack_refuses(const struct dms_kernels *kernels)
{
    enum { BIT_CT = 333 };
    uint8_t bytes[BIT_CT] = {0};
    uint8_t bits[(BIT_CT + 7) / 8];
    bool found = true;

    for (size_t k = 0; k < BIT_CT; k++)
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[k] = (uint8_t)(1 << bit);
            found &= kernels->pack_bits(bytes, BIT_CT, bits) == bytes[k];
            found &= bits[k / 8] == 1 << k % 8;
            bytes[k] = 0;
        }
    ok(found, "%s: pack_bits reports a wrong byte at any position", kernels->name);
}

static void test_popcount(const struct dms_kernels *kernels)
{
    bool right = true;

    for (size_t s = 0; s < size_ct; s++)
        for (size_t shift = 0; shift < 3; shift++) {
            struct input bits = random_input(sizes[s], shift);
            uint64_t wanted = 0;

            if (shift == 2) /* the largest counts */
                memset(bits.data, 0xff, sizes[s]);
            for (size_t k = 0; k < 8 * sizes[s]; k++)
                wanted += bits.data[k / 8] >> k % 8 & 1;
            right &= kernels->popcount(bits.data, sizes[s]) == wanted;
            free(bits.allocation);
        }
    ok(right, "%s: popcount", kernels->name);
}

/* Compares with a naive count; a stride beyond the row leaves a gap that must not be read as
 * columns. */
static bool count_is_right(const struct dms_kernels *kernels, size_t row_ct, size_t bit_ct,
                           size_t gap, bool all_ones)
{
    size_t row_bytes = (bit_ct + 7) / 8;
    size_t stride = row_bytes + gap;
    size_t size = row_ct == 0 ? 0 : (row_ct - 1) * stride + row_bytes;
    struct input bits = random_input(size, gap % 3);
    struct output counts = guarded_output(bit_ct * sizeof(uint32_t), 0);
    uint32_t *got = (uint32_t *)(void *)counts.data;
    bool right = true;

    if (all_ones)
        memset(bits.data, 0xff, size);
    for (size_t k = 0; k < bit_ct; k++)
        got[k] = (uint32_t)k * 7; /* it adds to what is there */
    kernels->count_columns(bits.data, row_ct, stride, bit_ct, got);
    for (size_t k = 0; k < bit_ct; k++) {
        uint32_t wanted = (uint32_t)k * 7;

        for (size_t row = 0; row < row_ct; row++)
            wanted += bits.data[row * stride + k / 8] >> k % 8 & 1;
        right &= got[k] == wanted;
    }
    right &= guards_intact(&counts);
    if (!right)
        diag("%zu rows, %zu columns, gap %zu", row_ct, bit_ct, gap);
    free(bits.allocation);
    free(counts.allocation);
    return right;
}

static void test_count_columns(const struct dms_kernels *kernels)
{
    static const size_t row_cts[] = {0, 1, 2, 7, 15, 16, 17, 31, 33, 64, 254, 255, 256, 300};
    static const size_t bit_cts[] = {0,   1,   7,   8,   9,    63,   64,   65,   255,  256, 257,
                                     511, 512, 513, 777, 1024, 4095, 4096, 4097, 5000, 8200};
    bool right = true;

    for (size_t r = 0; r < sizeof(row_cts) / sizeof(row_cts[0]); r++)
        for (size_t b = 0; b < sizeof(bit_cts) / sizeof(bit_cts[0]); b++)
            right &= count_is_right(kernels, row_cts[r], bit_cts[b], (r + b) % 4, false);
    ok(right, "%s: count_columns on small matrices", kernels->name);
    /* Counters of one byte hold 4,080 rows (255 in ref): pass their limits with ones everywhere. */
    right = count_is_right(kernels, 4079, 520, 3, true) &&
            count_is_right(kernels, 4080, 520, 0, true) &&
            count_is_right(kernels, 4081, 520, 1, true) &&
            count_is_right(kernels, 9001, 300, 2, true) &&
            count_is_right(kernels, 9001, 1100, 0, false);
    ok(right, "%s: count_columns beyond the range of its inner counters", kernels->name);
}

static void test_planes(const struct dms_kernels *kernels)
{
    bool split = true, merged = true, guarded = true;

    for (size_t s = 0; s < size_ct; s++)
        for (size_t value_size = 2; value_size <= 4; value_size += 2)
            for (size_t shift = 0; shift < 2; shift++) {
                size_t n = sizes[s], size = n * value_size;
                struct input values = random_input(size, shift);
                struct output planes = guarded_output(size, shift);
                struct output back = guarded_output(size, 1 - shift);

                kernels->split_bytes(values.data, n, value_size, planes.data);
                for (size_t i = 0; i < size; i++)
                    split &= planes.data[i % value_size * n + i / value_size] == values.data[i];
                kernels->merge_bytes(planes.data, n, value_size, back.data);
                merged &= memcmp(back.data, values.data, size) == 0;
                guarded &= guards_intact(&planes) && guards_intact(&back);
                free(values.allocation);
                free(planes.allocation);
                free(back.allocation);
            }
    ok(split, "%s: split_bytes", kernels->name);
    ok(merged, "%s: merge_bytes", kernels->name);
    ok(guarded, "%s: split_bytes and merge_bytes stay inside their outputs", kernels->name);
}

/* The value of a finite float16 or an infinity, by its definition. */
static double value_of_half(uint16_t half)
{
    int exponent = half >> 10 & 31;
    double fraction = half & 0x3ff;
    double magnitude = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);

    if (exponent == 31)
        magnitude = HUGE_VAL;
    return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

static bool is_nan_half(uint16_t half)
{
    return (half & 0x7fff) > 0x7c00;
}

/* Rounds by arithmetic: in double, where every multiple of the float16 spacing is exact. */
static uint16_t half_of_value(double value)
{
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    double magnitude = fabs(value);
    double units;
    int exponent;

    if (magnitude >= 65520)
        return sign | 0x7c00;
    if (magnitude < 0x1p-14)
        return sign | (uint16_t)nearbyint(magnitude * 0x1p24);
    frexp(magnitude, &exponent); /* magnitude in [2^(exponent-1), 2^exponent) */
    units = nearbyint(ldexp(magnitude, 11 - exponent));
    return sign | (uint16_t)(((exponent + 14) << 10) + ((int)units - 1024));
}

static float float_of_bits(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

static uint32_t bits_of_float(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static void test_all_halves(const struct dms_kernels *kernels)
{
    enum { HALF_CT = 65536 };
    uint16_t *halves = must_alloc(HALF_CT * sizeof(*halves));
    uint16_t *back = must_alloc(HALF_CT * sizeof(*back));
    float *floats = must_alloc(HALF_CT * sizeof(*floats));
    bool widened = true, returned = true, nans = true;

    for (unsigned i = 0; i < HALF_CT; i++)
        halves[i] = (uint16_t)i;
    kernels->f16_to_f32(halves, HALF_CT, floats);
    is_int(kernels->f32_to_f16(floats, HALF_CT, back), HALF_CT, "no float16 overflows");
    for (unsigned i = 0; i < HALF_CT; i++) {
        if (is_nan_half(halves[i])) {
            uint32_t wanted = (uint32_t)(halves[i] & 0x8000) << 16 | 0x7fc00000 |
                              (uint32_t)(halves[i] & 0x3ff) << 13;

            nans &= bits_of_float(floats[i]) == wanted && back[i] == (halves[i] | 0x200);
        } else {
            widened &= (double)floats[i] == value_of_half(halves[i]) &&
                       bits_of_float(floats[i]) >> 31 == i >> 15;
            returned &= back[i] == halves[i];
        }
    }
    ok(widened, "%s: f16_to_f32 is exact for every float16", kernels->name);
    ok(returned, "%s: every float16 that is a number comes back unchanged", kernels->name);
    ok(nans, "%s: NaNs keep sign and payload and become quiet", kernels->name);
    free(halves);
    free(back);
    free(floats);
}

/* Fills in float32 values near everything that matters to rounding, then random ones. */
static size_t make_floats(float *floats, size_t limit)
{
    size_t n = 0;

    for (uint32_t half = 0; half < 0x7c00; half += 3) {
        /* Around each value and around the middle between it and the next. */
        double low = value_of_half((uint16_t)half);
        double next = half == 0x7bff ? 65536 : value_of_half((uint16_t)(half + 1));
        uint32_t middle = bits_of_float((float)((low + next) / 2));

        for (int step = -1; step <= 1 && n + 2 <= limit; step++) {
            floats[n++] = float_of_bits(middle + (uint32_t)step);
            floats[n++] = -float_of_bits(middle + (uint32_t)step);
        }
    }
    for (uint32_t exponent = 0; exponent < 255; exponent++)
        for (int step = -1; step <= 1 && n < limit; step++)
            floats[n++] = float_of_bits(((exponent << 23) + (uint32_t)step) & 0x7fffffff);
    while (n < limit) {
        uint32_t bits = (uint32_t)random_u64();

        /* Every other one in the range of float16, where most of the rounding happens. */
        if (n % 2 == 0)
            bits = (bits & 0x807fffff) | (100 + bits % 44) << 23;
        floats[n++] = float_of_bits(bits);
    }
    return n;
}

static void test_rounding(const struct dms_kernels *kernels)
{
    const size_t n = 400000;
    float *floats = must_alloc(n * sizeof(*floats));
    uint16_t *halves = must_alloc(n * sizeof(*halves));
    size_t wanted_overflow, got_overflow, wrong_ct = 0;

    wanted_overflow = make_floats(floats, n);
    for (size_t i = n; i-- > 0;)
        if (isfinite(floats[i]) && fabs((double)floats[i]) >= 65520)
            wanted_overflow = i;
    got_overflow = kernels->f32_to_f16(floats, n, halves);
    for (size_t i = 0; i < n; i++) {
        bool right = isnan(floats[i]) ? is_nan_half(halves[i]) && (halves[i] & 0x200) != 0
                                      : halves[i] == half_of_value((double)floats[i]);

        if (!right && wrong_ct++ < 5)
            diag("%s: f32 0x%08x became 0x%04x", kernels->name, bits_of_float(floats[i]),
                 halves[i]);
    }
    ok(wrong_ct == 0, "%s: f32_to_f16 rounds to nearest even", kernels->name);
    ok(got_overflow == wanted_overflow, "%s: f32_to_f16 finds the first overflow", kernels->name);
    free(floats);
    free(halves);
}

static void test_overflow_positions(const struct dms_kernels *kernels)
{
    enum { N = 53 };
    uint8_t *memory = must_alloc(N * sizeof(float) + 1);
    float values[N];
    uint16_t halves[N];
    bool right = true;

    for (size_t n = 0; n <= N; n++)
        for (size_t first = 0; first <= n; first++) {
            for (size_t i = 0; i < n; i++)
                values[i] = i % 5 == 0 ? HUGE_VALF : i % 7 == 0 ? NAN : 65519.99f;
            if (first < n)
                values[first] = first % 2 == 0 ? 65520.0f : -1e30f;
            if (first + 2 < n)
                values[first + 2] = 70000.0f; /* a later one changes nothing */
            memcpy(memory + 1, values, sizeof(values));
            right &= kernels->f32_to_f16((const float *)(void *)(memory + 1), n, halves) == first;
        }
    ok(right, "%s: f32_to_f16 reports the first overflow at any position", kernels->name);
    free(memory);
}

/* The integer that a finite float16 is in units of 2^-24. */
static int64_t units_of_half(uint16_t half)
{
    return (int64_t)(value_of_half(half) * 0x1p24);
}

static void add_naively(uint16_t half, struct dms_exact_sum *sum)
{
    if ((half & 0x7c00) == 0x7c00) {
        sum->nonfinite_ct++;
    } else {
        int64_t units = units_of_half(half);

        sum->sum += units;
        sum->square_sum += (dms_uint128)((dms_int128)units * units);
        sum->finite_ct++;
    }
}

static bool same_sum(const struct dms_exact_sum *a, const struct dms_exact_sum *b)
{
    return a->sum == b->sum && a->square_sum == b->square_sum && a->finite_ct == b->finite_ct &&
           a->nonfinite_ct == b->nonfinite_ct;
}

enum half_kind { SMALL_HALVES, ANY_HALVES, MOSTLY_SMALL_HALVES, LARGEST_IN_RANGE, HALF_KINDS };

static uint16_t random_half(enum half_kind kind)
{
    uint64_t bits = random_u64();
    uint16_t any = (uint16_t)bits;
    uint16_t small = (uint16_t)((any & 0x83ff) | (bits >> 16) % 22 << 10); /* below 128 */

    switch (kind) {
    case SMALL_HALVES:
        return small;
    case ANY_HALVES:
        return any;
    case MOSTLY_SMALL_HALVES:
        return (bits >> 32) % 50 == 0 ? any : small;
    default:
        return (uint16_t)((bits & 0x8000) |
                          0x57ff); /* 127.9375: the largest that takes the fast path */
    }
}

static bool sums_are_right(const struct dms_kernels *kernels, enum half_kind kind, size_t row_ct,
                           size_t column_ct, size_t gap)
{
    size_t stride = column_ct + gap;
    size_t value_ct = row_ct == 0 ? 0 : (row_ct - 1) * stride + column_ct;
    size_t misalignment = (row_ct + column_ct) % 3;
    struct input values = random_input(value_ct * 2, misalignment);
    size_t bytes = column_ct * sizeof(struct dms_exact_sum);
    struct output sums = guarded_output(bytes, 0);
    struct dms_exact_sum *got = (struct dms_exact_sum *)(void *)sums.data;
    struct dms_exact_sum *wanted = must_alloc(bytes);
    bool right = true;

    for (size_t i = 0; i < value_ct; i++) {
        uint16_t half = random_half(kind);

        memcpy(values.data + 2 * i, &half, 2);
    }
    for (size_t k = 0; k < column_ct; k++)
        got[k] = wanted[k] = (struct dms_exact_sum){-(dms_int128)k, k, 3, 4};
    kernels->sum_f16((const uint16_t *)(void *)values.data, row_ct, stride, column_ct, got);
    for (size_t row = 0; row < row_ct; row++)
        for (size_t k = 0; k < column_ct; k++) {
            uint16_t half;

            memcpy(&half, values.data + 2 * (row * stride + k), 2);
            add_naively(half, &wanted[k]);
        }
    for (size_t k = 0; k < column_ct; k++)
        right &= same_sum(&got[k], &wanted[k]);
    right &= guards_intact(&sums);
    if (!right)
        diag("kind %d, %zu rows, %zu columns, gap %zu", (int)kind, row_ct, column_ct, gap);
    free(values.allocation);
    free(sums.allocation);
    free(wanted);
    return right;
}

static void test_sums(const struct dms_kernels *kernels)
{
    static const size_t row_cts[] = {0, 1, 2, 3, 4, 5, 8, 13, 64, 257};
    static const size_t column_cts[] = {0, 1, 3, 7, 8, 9, 15, 16, 17, 40, 511, 512, 513, 1100};
    bool right[HALF_KINDS] = {true, true, true, true};

    for (size_t r = 0; r < sizeof(row_cts) / sizeof(row_cts[0]); r++)
        for (size_t c = 0; c < sizeof(column_cts) / sizeof(column_cts[0]); c++)
            for (int kind = 0; kind < HALF_KINDS; kind++)
                right[kind] &= sums_are_right(kernels, (enum half_kind)kind, row_cts[r],
                                              column_cts[c], (r + c) % 3);
    right[LARGEST_IN_RANGE] &= sums_are_right(kernels, LARGEST_IN_RANGE, 20001, 19, 0);
    ok(right[SMALL_HALVES], "%s: sum_f16 of values below 128", kernels->name);
    ok(right[ANY_HALVES], "%s: sum_f16 of any float16, infinities and NaNs too", kernels->name);
    ok(right[MOSTLY_SMALL_HALVES], "%s: sum_f16 of small values with exceptions", kernels->name);
    ok(right[LARGEST_IN_RANGE], "%s: sum_f16 at the limit of its fast path", kernels->name);
}

static void test_row_sums(void)
{
    enum { COLUMNS = 77 };
    uint16_t kept[COLUMNS], passing[COLUMNS];
    struct dms_exact_sum sums[COLUMNS], wanted[COLUMNS];

    for (size_t k = 0; k < COLUMNS; k++) {
        kept[k] = random_half(ANY_HALVES);
        passing[k] = random_half(ANY_HALVES);
        sums[k] = wanted[k] = (struct dms_exact_sum){0};
        add_naively(kept[k], &wanted[k]);
    }
    dms_sum_f16_row(passing, COLUMNS, 1, sums);
    dms_sum_f16_row(kept, COLUMNS, 1, sums);
    dms_sum_f16_row(passing, COLUMNS, -1, sums);
    for (size_t k = 0; k < COLUMNS; k++)
        if (!same_sum(&sums[k], &wanted[k])) {
            ok(false, "column %zu after a row came and went", k);
            return;
        }
    ok(true, "a row that comes and goes leaves no trace in the sums");
}

static void test_choice(void)
{
    const struct dms_kernels *chosen;

    ok(dms_kernels_by_name("ref") != NULL, "the portable kernels are always there");
    ok(dms_kernels_by_name("nonsense") == NULL, "there is no variant of an unknown name");
    setenv("DMS_KERNELS", "ref", 1);
    chosen = dms_kernels_get();
    is_text(chosen->name, "ref", "DMS_KERNELS forces a variant");
    setenv("DMS_KERNELS", "avx2", 1);
    ok(dms_kernels_get() == chosen, "the choice is made once");
}

int main(void)
{
    test_choice();
    for (size_t v = 0; v < sizeof(variant_names) / sizeof(variant_names[0]); v++) {
        const struct dms_kernels *kernels = dms_kernels_by_name(variant_names[v]);

        if (kernels == NULL) {
            skip(variant_names[v], "not supported by this machine");
            continue;
        }
        is_text(kernels->name, variant_names[v], "a variant knows its name");
        test_pack(kernels);
        test_pack_refuses(kernels);
        test_popcount(kernels);
        test_count_columns(kernels);
        test_planes(kernels);
        test_all_halves(kernels);
        test_rounding(kernels);
        test_overflow_positions(kernels);
        test_sums(kernels);
    }
    test_row_sums();
    return tap_done();
}
