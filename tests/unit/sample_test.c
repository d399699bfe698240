/*
 * The subset generator, which must never change: golden values computed with numpy.random.Philox
 * and a few lines of Python after the definition in <dmstore/sample.h>, the uniformity of what it
 * draws, and the exact arithmetic of subset sizes.
 */
#include "format/sample.h"

#include "tests/unit/tap.h"

#include <dmstore/error.h>
#include <stdlib.h>

static void test_stream(void)
{
    static const struct {
        uint64_t seed, id, words[9];
    } golden[] = {
        {0,
         0,
         {0x02f4ba6408e4d89b, 0x3dd62b0b9ca8c5b2, 0x1c8667a55d902e79, 0x907d7a052fd5b4dc,
          0x809bf322883987c3, 0x471128b9e807f7dd, 0xf250ba0dbec065b7, 0xfc6ed66767a457bc,
          0x40fa86f0f781945d}},
        {1,
         2,
         {0x4f2f4313b5536b09, 0x5b617be3219ff32a, 0x097293476f9275cb, 0xf63f3bf4962c3942,
          0x04dcc60473aa0f43, 0x6d905c9b986b0028, 0x559a6c953d16fe9d, 0xbd24fd1da9945eea,
          0xa3484ceef3376fef}},
        {UINT64_MAX,
         UINT64_MAX,
         {0x6d46cc0e71f0be7e, 0x924ea1693f9a8bc0, 0xfdc35f0198c91181, 0xb4a311f17aa6568d,
          0x67e12c1eff8de57e, 0x6877618422b87b0e, 0x0b6af2bc95a81510, 0x941b27e5d2440b04,
          0x1e9fe961fae988ca}},
        {0x0123456789abcdef,
         0xfedcba9876543210,
         {0x2d2e7c09c193c5fa, 0xd56c6aa2d11f06aa, 0x184fcdf7f5474a23, 0x367832d087008054,
          0x56ffd4cf84d16286, 0x09fc1192f2145d80, 0x53d6554fb9aa0f62, 0x0c3f437f88182365,
          0x7de3c4de6ea2e355}},
    };

    for (size_t g = 0; g < sizeof(golden) / sizeof(golden[0]); g++) {
        struct dms_philox stream;
        bool same = true;

        dms_philox_start(&stream, golden[g].seed, golden[g].id);
        for (size_t i = 0; i < 9; i++)
            same &= dms_philox_next(&stream) == golden[g].words[i];
        ok(same, "the words of (%" PRIu64 ", %" PRIu64 ") are numpy's", golden[g].seed,
           golden[g].id);
    }
}

static void test_counter_carry(void)
{
    static const uint64_t golden[8] = {0x863b0aaab7752694, 0xbdda658b5acf5571, 0x515f4973445f96d7,
                                       0x4207ae0ee393df5e, 0xd7b56219144ef7a0, 0xff25dba1c673270c,
                                       0x0e96c19645fad01f, 0x8a79e4b6737d2aa6};
    struct dms_philox stream;
    bool same = true;

    dms_philox_start(&stream, 5, 6);
    stream.counter[0] = UINT64_MAX;
    stream.counter[1] = UINT64_MAX;
    stream.counter[2] = 7;
    for (size_t i = 0; i < 8; i++)
        same &= dms_philox_next(&stream) == golden[i];
    ok(same, "the counter carries from word to word");
}

/* Limits just above half the range refuse about every other word. */
static void test_below(void)
{
    static const struct {
        uint64_t limit, numbers[6], next_word;
    } golden[] = {
        {1, {0, 0, 0, 0, 0, 0}, 0x2c6c49c06eb25350},
        {2, {1, 0, 1, 1, 0, 0}, 0x2c6c49c06eb25350},
        {3, {1, 0, 2, 2, 1, 0}, 0x2c6c49c06eb25350},
        {10, {5, 1, 8, 8, 4, 1}, 0x2c6c49c06eb25350},
        {UINT64_C(0x8000000000000001),
         {0x457f09a0c303937e, 0x6c9eeda65f77fedc, 0x13baf280cbe71026, 0x006b4b5243365a4b,
          0x45f6dfce106d99d8, 0x7cdc07b1e295c625},
         0xc4502a8f6a1e0af3},
        {UINT64_MAX,
         {0x8afe1341860726fb, 0x3010657c54d1c69b, 0xd6a30d7db5c7e6da, 0xd93ddb4cbeeffdb7,
          0x6e9f9f7394e59335, 0x2775e50197ce204c},
         0x2c6c49c06eb25350},
        {UINT64_C(0xaaaaaaaaaaaaaaaa),
         {0x200aee52e3368467, 0x8f175e53ce854491, 0x90d3e7887f4aa924, 0x1a4e98abba896add,
          0x1d9d868049cc378a, 0x585bba71f1593d2d},
         0x2903aa08d28febac},
    };

    for (size_t g = 0; g < sizeof(golden) / sizeof(golden[0]); g++) {
        struct dms_philox stream;
        bool same = true;

        dms_philox_start(&stream, 9, 9);
        for (size_t i = 0; i < 6; i++)
            same &= dms_philox_below(&stream, golden[g].limit) == golden[g].numbers[i];
        same &= dms_philox_next(&stream) == golden[g].next_word;
        ok(same, "numbers below %" PRIu64 ", and how many words they take", golden[g].limit);
    }
}

/* Draws into a buffer with guards on both sides; NULL (and a failed check) when a guard was hit. */
static const uint8_t *drawn_mask(uint64_t example_ct, uint64_t subset_size, uint64_t seed,
                                 uint64_t id)
{
    static uint8_t memory[1 + 75000 + 1];
    size_t byte_ct = (size_t)(example_ct + 7) / 8;

    memset(memory, 0xa5, sizeof(memory));
    if (dms_sample_mask(example_ct, subset_size, seed, id, memory + 1) != DMS_OK ||
        memory[0] != 0xa5 || memory[1 + byte_ct] != 0xa5) {
        ok(false, "a mask of %" PRIu64 " of %" PRIu64 " is drawn inside its buffer", subset_size,
           example_ct);
        return NULL;
    }
    return memory + 1;
}

static void test_small_masks(void)
{
    static const struct {
        uint64_t example_ct, subset_size, seed, id;
        const char *hex;
    } golden[] = {
        {1, 0, 0, 0, "00"},
        {1, 1, 0, 0, "01"},
        {8, 4, 0, 0, "53"},
        {13, 5, 42, 7, "6019"},
        {64, 32, 1, 1, "477190cb77698993"},
        {100, 29, 3, UINT64_C(12345678901234567890), "20cc1272a500c4182150219008"},
        {100, 99, UINT64_MAX, 0, "fffffffdffffffffffffffff0f"},
    };

    for (size_t g = 0; g < sizeof(golden) / sizeof(golden[0]); g++) {
        const uint8_t *mask =
            drawn_mask(golden[g].example_ct, golden[g].subset_size, golden[g].seed, golden[g].id);
        char hex[64] = "";

        for (size_t i = 0; mask != NULL && i < (golden[g].example_ct + 7) / 8; i++)
            snprintf(hex + 2 * i, 3, "%02x", mask[i]);
        is_text(hex, golden[g].hex, "a golden mask");
    }
}

/* FNV-1a, to compare masks of real size. */
static uint64_t digest(const uint8_t *bytes, size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static void test_large_masks(void)
{
    static const struct {
        uint64_t example_ct, subset_size, seed, id, digest;
    } golden[] = {
        {50000, 25000, 0, 0, 0xc4e5fd2a1c8f6ead},
        {50000, 14500, 2022, 299999, 0x527de517d0017def},
        {21404, 10702, 17, 149999, 0x4dea7633d395a922},
        {600000, 300000, 5, 3000000, 0xc2d8b34817022c21},
    };

    for (size_t g = 0; g < sizeof(golden) / sizeof(golden[0]); g++) {
        const uint8_t *mask =
            drawn_mask(golden[g].example_ct, golden[g].subset_size, golden[g].seed, golden[g].id);

        ok(mask != NULL && digest(mask, (golden[g].example_ct + 7) / 8) == golden[g].digest,
           "a golden mask of %" PRIu64 " examples", golden[g].example_ct);
    }
}

static void test_sizes(void)
{
    bool exact = true, clean = true;

    for (uint64_t example_ct = 0; example_ct <= 70; example_ct++)
        for (uint64_t subset_size = 0; subset_size <= example_ct; subset_size++) {
            const uint8_t *mask = drawn_mask(example_ct, subset_size, 11, example_ct);
            uint64_t ones = 0;

            if (mask == NULL)
                return;
            for (uint64_t k = 0; k < example_ct; k++)
                ones += mask[k / 8] >> k % 8 & 1;
            exact &= ones == subset_size;
            if (example_ct % 8 != 0)
                clean &= mask[example_ct / 8] >> example_ct % 8 == 0;
        }
    ok(exact, "every subset has exactly the size asked for, 0 and all included");
    ok(clean, "unused bits of the last byte are zero");
}

/* All 20 subsets of 3 out of 6 come up equally often; chi-square, 19 degrees of freedom, p = 0.001.
 */
static void test_subsets_equally_likely(void)
{
    enum { DRAW_CT = 40000, SUBSET_CT = 20 };
    unsigned seen[64] = {0};
    double chi_square = 0, expected = (double)DRAW_CT / SUBSET_CT;
    unsigned subset_ct = 0;

    for (uint64_t id = 0; id < DRAW_CT; id++) {
        uint8_t mask = 0;

        dms_sample_mask(6, 3, 4711, id, &mask);
        seen[mask & 63]++;
    }
    for (unsigned mask = 0; mask < 64; mask++)
        if (seen[mask] > 0) {
            subset_ct++;
            chi_square += (seen[mask] - expected) * (seen[mask] - expected) / expected;
        }
    is_int(subset_ct, SUBSET_CT, "all subsets occur");
    ok(chi_square < 43.82, "subsets are equally likely over ids (chi-square %.1f)", chi_square);
}

/* Each of 50 examples is in equally many subsets of 17; over seeds, for one id. */
static void test_examples_equally_likely(void)
{
    enum { DRAW_CT = 20000, EXAMPLE_CT = 50, SIZE = 17 };
    unsigned seen[EXAMPLE_CT] = {0};
    double expected = (double)DRAW_CT * SIZE / EXAMPLE_CT;
    double chi_square = 0;

    for (uint64_t seed = 0; seed < DRAW_CT; seed++) {
        uint8_t mask[(EXAMPLE_CT + 7) / 8];

        dms_sample_mask(EXAMPLE_CT, SIZE, seed, 3, mask);
        for (size_t k = 0; k < EXAMPLE_CT; k++)
            seen[k] += mask[k / 8] >> k % 8 & 1;
    }
    for (size_t k = 0; k < EXAMPLE_CT; k++)
        chi_square += (seen[k] - expected) * (seen[k] - expected) / expected;
    /* Without replacement the variance is smaller by the factor (d - K) / (d - 1). */
    chi_square *= (double)(EXAMPLE_CT - 1) / (EXAMPLE_CT - SIZE);
    ok(chi_square < 85.35, "examples are equally likely over seeds (chi-square %.1f)", chi_square);
}

static void test_alpha(void)
{
    static const struct {
        const char *text;
        uint64_t example_ct, subset_size;
    } good[] = {
        {"0.29", 50000, 14500}, /* 14499 in double arithmetic */
        {".5", 21404, 10702},
        {"0.5", 7, 3},
        {"1", 50000, 50000},
        {"1.000", 13, 13},
        {"0", 50000, 0},
        {"0.0", 50000, 0},
        {"0.1", 50000, 5000},
        {"0.999999999999999999", 50000, 49999},
        {"1.000000000000000000", UINT64_MAX, UINT64_MAX},
        {"0.000000000000000001", UINT64_C(1000000000000000000), 1},
        {"0.000000000000000001", UINT64_C(999999999999999999), 0},
        {"0.7", 10, 7},
        {"0.57", 100, 57}, /* 56 in double arithmetic */
    };
    static const char *const bad[] = {
        "",
        ".",
        "1.",
        "-0.5",
        "+0.5",
        "1.1",
        "2",
        "9.9",
        "0.5 ",
        " 0.5",
        "1e-1",
        "0x.8",
        "0,5",
        "half",
        "nan",
        "inf",
        "00",
        "0.5.",
        "0..5",
        "00.5",
        "1.000000000000000001",
        "0.1234567890123456789",
    };

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint64_t subset_size = 12345;

        ok(dms_alpha_parse(good[i].text, good[i].example_ct, &subset_size) == DMS_OK &&
               subset_size == good[i].subset_size,
           "%s of %" PRIu64 " is %" PRIu64, good[i].text, good[i].example_ct, good[i].subset_size);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t subset_size = 12345;

        ok(dms_alpha_parse(bad[i], 100, &subset_size) == DMS_ERR_INVALID && subset_size == 12345,
           "'%s' is refused", bad[i]);
    }
    contains(dms_error_message(), bad[sizeof(bad) / sizeof(bad[0]) - 1],
             "the message shows the text");
}

static void test_refusal(void)
{
    uint8_t mask[2] = {1, 2};

    is_int(dms_sample_mask(13, 14, 0, 0, mask), DMS_ERR_INVALID, "no subset larger than the set");
    contains(dms_error_message(), "14 out of 13", "the message has both sizes");
    ok(mask[0] == 1 && mask[1] == 2, "a refused call writes nothing");
}

int main(void)
{
    test_stream();
    test_counter_carry();
    test_below();
    test_small_masks();
    test_large_masks();
    test_sizes();
    test_subsets_equally_likely();
    test_examples_equally_likely();
    test_alpha();
    test_refusal();
    return tap_done();
}
