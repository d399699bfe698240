/*
 * Times every variant of every kernel on one core, against memcpy of the larger side (kernels that
 * move bytes) or the portable variant (the others) in the same run.
 *
 * Usage: kernels_bench [REPEATS]. Each figure is the median of REPEATS timings (default 11), with
 * the spread (slowest - fastest) / median; each timing covers at least MIN_SECONDS.
 */
#include "base/mix.h"
#include "kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BIT_CT 50000 /* a CIFAR-10 mask */
#define ROW_CT 2048
#define MASK_BYTES (BIT_CT / 8)
#define PACKED_BYTES ((size_t)ROW_CT * MASK_BYTES)
#define BYTE_ROWS 256 /* unpacked: 12.8 MB, beyond the second-level cache, as in use */
#define UNPACKED_BYTES ((size_t)BYTE_ROWS * BIT_CT)
#define COLUMN_CT 1000 /* float16 columns */
#define HALF_CT ((size_t)ROW_CT * COLUMN_CT)
#define MIN_SECONDS 0.02
#define MAX_REPEATS 1001

/* Everything that the kernels read and write, allocated once. */
struct data {
    uint8_t *bits;   /* ROW_CT masks, half of the bits set */
    uint8_t *bytes;  /* the first BYTE_ROWS of them unpacked */
    uint8_t *copied; /* what memcpy writes */
    uint16_t *halves;
    float *floats;
    uint8_t *planes;
    uint32_t *counts;
    struct dms_exact_sum *sums;
};

static void *must_alloc(size_t size)
{
    void *memory = aligned_alloc(64, (size + 63) / 64 * 64);

    if (memory == NULL) {
        fprintf(stderr, "kernels_bench: no memory\n");
        exit(1);
    }
    memset(memory, 1, size);
    return memory;
}

static uint64_t random_u64(void)
{
    static uint64_t state = 1;

    return dms_mix_next(&state);
}

static void fill(struct data *data)
{
    const struct dms_kernels *ref = dms_kernels_by_name("ref");

    data->bits = must_alloc(PACKED_BYTES);
    data->bytes = must_alloc(UNPACKED_BYTES);
    data->copied = must_alloc(UNPACKED_BYTES);
    data->halves = must_alloc(HALF_CT * sizeof(*data->halves));
    data->floats = must_alloc(HALF_CT * sizeof(*data->floats));
    data->planes = must_alloc(HALF_CT * sizeof(*data->floats));
    data->counts = must_alloc(BIT_CT * sizeof(*data->counts));
    data->sums = must_alloc(COLUMN_CT * sizeof(*data->sums));
    for (size_t i = 0; i < PACKED_BYTES; i++)
        data->bits[i] = (uint8_t)random_u64();
    ref->unpack_bits(data->bits, UNPACKED_BYTES, data->bytes);
    /* Margins: sums of eight uniform numbers, spread over about -8 .. 8. */
    for (size_t i = 0; i < HALF_CT; i++) {
        uint64_t bits = random_u64();
        float sum = 0;

        for (int byte = 0; byte < 8; byte++)
            sum += (float)(bits >> 8 * byte & 255) / 128 - 1;
        data->floats[i] = sum;
    }
    ref->f32_to_f16(data->floats, HALF_CT, data->halves);
}

/* One call of each kernel on all of its data. */

static void run_pack(const struct dms_kernels *kernels, struct data *data)
{
    kernels->pack_bits(data->bytes, UNPACKED_BYTES, data->copied);
}

static void run_unpack(const struct dms_kernels *kernels, struct data *data)
{
    kernels->unpack_bits(data->bits, UNPACKED_BYTES, data->copied);
}

static void run_popcount(const struct dms_kernels *kernels, struct data *data)
{
    data->counts[0] += (uint32_t)kernels->popcount(data->bits, PACKED_BYTES);
}

static void run_count_columns(const struct dms_kernels *kernels, struct data *data)
{
    kernels->count_columns(data->bits, ROW_CT, MASK_BYTES, BIT_CT, data->counts);
}

static void run_split_2(const struct dms_kernels *kernels, struct data *data)
{
    kernels->split_bytes((const uint8_t *)data->halves, HALF_CT, 2, data->planes);
}

static void run_merge_2(const struct dms_kernels *kernels, struct data *data)
{
    kernels->merge_bytes((const uint8_t *)data->halves, HALF_CT, 2, data->planes);
}

static void run_split_4(const struct dms_kernels *kernels, struct data *data)
{
    kernels->split_bytes((const uint8_t *)data->floats, HALF_CT, 4, data->planes);
}

static void run_merge_4(const struct dms_kernels *kernels, struct data *data)
{
    kernels->merge_bytes((const uint8_t *)data->floats, HALF_CT, 4, data->planes);
}

static void run_f32_to_f16(const struct dms_kernels *kernels, struct data *data)
{
    data->counts[0] +=
        (uint32_t)kernels->f32_to_f16(data->floats, HALF_CT, (uint16_t *)(void *)data->planes);
}

static void run_f16_to_f32(const struct dms_kernels *kernels, struct data *data)
{
    kernels->f16_to_f32(data->halves, HALF_CT, (float *)(void *)data->planes);
}

static void run_sum_f16(const struct dms_kernels *kernels, struct data *data)
{
    kernels->sum_f16(data->halves, ROW_CT, COLUMN_CT, COLUMN_CT, data->sums);
}

struct measured {
    const char *name;
    void (*run)(const struct dms_kernels *kernels, struct data *data);
    size_t item_ct; /* per call */
    const char *item;
    size_t copied_bytes; /* compare with memcpy of so many bytes; 0: with the portable variant */
};

static const struct measured measured[] = {
    {"pack_bits", run_pack, UNPACKED_BYTES, "B of bytes", UNPACKED_BYTES},
    {"unpack_bits", run_unpack, UNPACKED_BYTES, "B of bytes", UNPACKED_BYTES},
    {"popcount", run_popcount, PACKED_BYTES, "B of bits", 0},
    {"count_columns", run_count_columns, PACKED_BYTES, "B of bits", 0},
    {"split_bytes/2", run_split_2, HALF_CT * 2, "B", HALF_CT * 2},
    {"merge_bytes/2", run_merge_2, HALF_CT * 2, "B", HALF_CT * 2},
    {"split_bytes/4", run_split_4, HALF_CT * 4, "B", HALF_CT * 4},
    {"merge_bytes/4", run_merge_4, HALF_CT * 4, "B", HALF_CT * 4},
    {"f32_to_f16", run_f32_to_f16, HALF_CT, "values", 0},
    {"f16_to_f32", run_f16_to_f32, HALF_CT, "values", 0},
    {"sum_f16", run_sum_f16, HALF_CT, "values", 0},
};

static double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Median and spread of the seconds per call. NULL kernels: memcpy of measured->copied_bytes. */
static void time_calls(const struct measured *what, const struct dms_kernels *kernels,
                       struct data *data, int repeats, double *median, double *spread)
{
    double seconds[MAX_REPEATS];

    for (int repeat = -1; repeat < repeats; repeat++) { /* the first warms up */
        double start = seconds_now();
        double elapsed;
        unsigned call_ct = 0;

        do {
            if (kernels != NULL)
                what->run(kernels, data);
            else
                memcpy(data->copied, data->bytes, what->copied_bytes);
            call_ct++;
            elapsed = seconds_now() - start;
        } while (elapsed < MIN_SECONDS);
        if (repeat >= 0)
            seconds[repeat] = elapsed / call_ct;
    }
    qsort(seconds, (size_t)repeats, sizeof(seconds[0]), compare_doubles);
    *median = seconds[repeats / 2];
    *spread = (seconds[repeats * 3 / 4] - seconds[repeats / 4]) / *median;
}

static void print_line(const struct measured *what, const char *variant, double median,
                       double spread, double reference, const char *reference_name)
{
    printf("%-14s %-7s %9.3f ms  spread %4.0f%%  %7.2fe9 %s/s  %6.2f x %s\n", what->name, variant,
           1e3 * median, 100 * spread, 1e-9 * (double)what->item_ct / median, what->item,
           reference / median, reference_name);
    fflush(stdout);
}

static void measure(const struct measured *what, struct data *data, int repeats)
{
    static const char *const names[] = {"ref", "avx2", "avx512"};
    const char *reference_name = what->copied_bytes > 0 ? "memcpy" : "ref";
    double reference, median, spread;

    if (what->copied_bytes > 0) {
        time_calls(what, NULL, data, repeats, &reference, &spread);
        print_line(what, "memcpy", reference, spread, reference, reference_name);
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct dms_kernels *kernels = dms_kernels_by_name(names[i]);

        if (kernels == NULL) {
            printf("%-14s %-7s not supported by this machine\n", what->name, names[i]);
            continue;
        }
        time_calls(what, kernels, data, repeats, &median, &spread);
        if (what->copied_bytes == 0 && i == 0)
            reference = median;
        print_line(what, names[i], median, spread, reference, reference_name);
    }
}

static void print_machine(int repeats)
{
    char line[256];
    char model[256] = "unknown processor\n";
    FILE *file = fopen("/proc/cpuinfo", "r");

    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, "model name", 10) == 0 && strchr(line, ':') != NULL) {
            snprintf(model, sizeof(model), "%s", strchr(line, ':') + 2);
            break;
        }
    if (file != NULL)
        fclose(file);
    printf("machine: %ld cores, one used, %s", sysconf(_SC_NPROCESSORS_ONLN), model);
    printf("best variant: %s\n", dms_kernels_get()->name);
    printf("masks: %d rows of %d bits (%d rows unpacked); values: %d rows of %d\n", ROW_CT, BIT_CT,
           BYTE_ROWS, ROW_CT, COLUMN_CT);
    printf("repeats: %d, of at least %.0f ms each; medians\n\n", repeats, 1e3 * MIN_SECONDS);
}

int main(int argc, char **argv)
{
    struct data data;
    char *end = NULL;
    long repeats = argc > 1 ? strtol(argv[1], &end, 10) : 11;

    if (argc > 2 || (end != NULL && *end != '\0') || repeats < 1 || repeats > MAX_REPEATS) {
        fprintf(stderr, "usage: kernels_bench [REPEATS], at most %d\n", MAX_REPEATS);
        return 2;
    }
    fill(&data);
    print_machine((int)repeats);
    for (size_t i = 0; i < sizeof(measured) / sizeof(measured[0]); i++)
        measure(&measured[i], &data, (int)repeats);
    free(data.bits);
    free(data.bytes);
    free(data.copied);
    free(data.halves);
    free(data.floats);
    free(data.planes);
    free(data.counts);
    free(data.sums);
    return 0;
}
