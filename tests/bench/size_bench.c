/*
 * Bytes a row of whole stores (segments, index and all), against what the bits and values are: raw,
 * masks under zstd against their entropy, masks kept as seeds, margins under zstd.
 *
 *   size_bench [--full] [--rows M] [--directory DIR]
 *
 * The entropy of a mask is that of a subset of K of d examples, log2 C(d, K) bits: all are equally
 * likely. The masks are dms_sample_mask's, without telling the store so. The margins are those of
 * data.h.
 */
#include "tests/bench/bench.h"
#include "tests/bench/data.h"

#include <inttypes.h>
#include <math.h>

/* What of a store is weighed: all of it, or its segment files, in which the columns are. */
enum weighed { WHOLE_STORE, SEGMENTS };

/* A store and what its bytes a row are compared with. */
struct kind {
    const char *what;
    enum weighed weighed;
    uint64_t example_ct, target_ct;
    double alpha; /* 0: coins */
    const char *codec;
    bool is_claimed;
    const char *reference_name;
    bool is_goal_of_ratio;
    double limit;
};

static const struct kind kinds[] = {
    {"raw masks and margins, whole store", WHOLE_STORE, 50000, 10000, 0, "none", false, "d/8 + 2n",
     true, 1.01},
    {"raw masks and margins, whole store", WHOLE_STORE, 50000, 2000, 0, "none", false, "d/8 + 2n",
     true, 1.01},
    {"raw masks and margins, whole store", WHOLE_STORE, 50000, 100, 0, "none", false, "d/8 + 2n",
     true, 1.01},
    {"raw masks and margins, whole store", WHOLE_STORE, 20000, 10000, 0, "none", false, "d/8 + 2n",
     true, 1.01},
    {"raw masks and margins, whole store", WHOLE_STORE, 20000, 2000, 0, "none", false, "d/8 + 2n",
     true, 1.01},
    {"raw masks and margins, whole store", WHOLE_STORE, 20000, 100, 0, "none", false, "d/8 + 2n",
     true, 1.01},
    {"raw masks and margins, whole store", WHOLE_STORE, 2000, 2000, 0, "none", false, "d/8 + 2n",
     true, 1.05},
    {"raw masks and margins, whole store", WHOLE_STORE, 2000, 100, 0, "none", false, "d/8 + 2n",
     true, 1.05},
    {"raw masks and margins, whole store", WHOLE_STORE, 2000, 10, 0, "none", false, "d/8 + 2n",
     true, 1.05},
    {"zstd:1 masks, alpha 0.1, segments", SEGMENTS, 50000, 0, 0.1, "zstd:1", false,
     "log2 C(d, K) / 8", true, 1.08},
    {"zstd:1 masks, alpha 0.2, segments", SEGMENTS, 50000, 0, 0.2, "zstd:1", false,
     "log2 C(d, K) / 8", true, 1.03},
    {"zstd:1 masks, alpha 0.75, segments", SEGMENTS, 50000, 0, 0.75, "zstd:1", false,
     "log2 C(d, K) / 8", true, 1.03},
    {"seed masks, alpha 0.1, whole store", WHOLE_STORE, 50000, 0, 0.1, "none", true, NULL, false,
     64},
    {"seed masks, alpha 0.5, whole store", WHOLE_STORE, 50000, 0, 0.5, "none", true, NULL, false,
     64},
    {"zstd:1 margins (d = 64), whole store", WHOLE_STORE, 64, 10000, 0, "zstd:1", false, "2n", true,
     0.82},
};

/* Of a subset. */
static double entropy_bytes(double example_ct, double subset_size)
{
    double nats =
        lgamma(example_ct + 1) - lgamma(subset_size + 1) - lgamma(example_ct - subset_size + 1);
    return nats / log(2) / 8;
}

static void measure(const struct kind *kind, uint64_t row_ct, const char *directory)
{
    struct bench_data data = {.row_ct = row_ct,
                              .example_ct = kind->example_ct,
                              .target_ct = kind->target_ct,
                              .subset_size =
                                  (uint64_t)llround(kind->alpha * (double)kind->example_ct),
                              .seed = 1};
    const char *store = bench_path(directory, "store");
    struct bench_series bytes = {.value_ct = 0};
    double example_ct = (double)data.example_ct;
    double plain = example_ct / 8 + 2 * (double)data.target_ct;
    bench_create(&data, store, kind->codec, 0);
    bench_fill(&data, store, BENCH_IDS_IN_ORDER, kind->is_claimed);
    const char *weighed = kind->weighed == WHOLE_STORE ? store : bench_path(store, "segments");
    bench_add(&bytes, (double)bench_directory_bytes(weighed) / (double)row_ct);
    bench_remove(store);
    if (kind->alpha > 0) {
        plain = entropy_bytes(example_ct, (double)data.subset_size);
    } else if (kind->example_ct < kind->target_ct && kind->codec[0] == 'z') {
        plain = 2 * (double)data.target_ct;
    }
    bench_print_row(&(struct bench_row){
        .what = kind->what,
        .size = bench_text("%" PRIu64 " rows, d %" PRIu64 ", n %" PRIu64, row_ct, data.example_ct,
                           data.target_ct),
        .series = &bytes,
        .unit = "B a row",
        .reference_name = kind->reference_name,
        .reference_value = plain,
        .goal = BENCH_AT_MOST,
        .is_goal_of_ratio = kind->is_goal_of_ratio,
        .limit = kind->limit,
    });
}

int main(int argc, char **argv)
{
    uint64_t row_ct = 0;
    bool is_full = false;
    const char *directory = NULL;
    const struct bench_flag flags[] = {
        {.name = "full", .is_set = &is_full},
        {.name = "rows", .number = &row_ct},
        {.name = "directory", .text = &directory},
    };
    bench_read_flags(argc, argv, flags, sizeof flags / sizeof *flags);
    row_ct = row_ct ? row_ct : (is_full ? 50000 : 4000);
    directory = bench_make_directory(directory);
    bench_print_head(directory);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        measure(&kinds[k], row_ct, directory);
    }
    bench_remove(directory);
    return 0;
}
