/*
 * How the memory is divided that pairs are counted in: between a block of rows, the sums of a band,
 * and what reading takes. The processor counts in small blocks, which its caches hold. A device
 * wants rows in few large ones, since all counts of a band come back from it for each block: it
 * gets all rows at once where they take no more than half of what there is, and so reads the masks
 * once; else blocks of that half, for each band anew.
 */
#include <inttypes.h>

#include "base/error.h"
#include "solver/cuda_pairs.h"
#include "solver/gram.h"
#include "solver/pair_build.h"
#include "solver/pass.h"

#define BATCH_WORDS (DMS_PASS_ROWS / 64)
#define BLOCK_WORDS (DMS_PANEL_ROWS / 64)

/* What is divided. Sums take twice their bytes: beside them is their encoded form, which takes no
 * more. */
struct division {
    const struct dms_gram_task *task;
    size_t example_ct;
    uint64_t band_rows;   /* that a band is made for: on a device none, it gets rectangles */
    uint64_t fixed_bytes; /* all but the block and the sums */
    unsigned thread_ct;
};

static uint64_t block_bytes(const struct division *division, uint64_t word_ct)
{
    return word_ct * division->example_ct * sizeof(uint64_t);
}

/* The sums of the lowest band. */
static uint64_t least_sums(const struct division *division)
{
    return 2 * dms_pair_band_bytes(division->example_ct, 0, 1, division->band_rows,
                                   division->thread_ct);
}

/* Words of a block of `bytes`, in whole batches of the reader, one at least; no more than `all`,
 * which are whole batches. */
static uint64_t words_within(const struct division *division, uint64_t bytes, uint64_t all)
{
    uint64_t batches = bytes / block_bytes(division, BATCH_WORDS);
    uint64_t word_ct = (batches > 0 ? batches : 1) * BATCH_WORDS;

    return word_ct < all ? word_ct : all;
}

/* The block for a device, of `left` bytes for it and the sums. */
static uint64_t choose_words(const struct division *division, uint64_t left)
{
    uint64_t row_ct = division->task->row_ct, sums = least_sums(division);
    uint64_t batch_ct = row_ct > 0 ? (row_ct + DMS_PASS_ROWS - 1) / DMS_PASS_ROWS : 1;
    uint64_t beside = left > sums ? left - sums : 0;

    return words_within(division, beside < left / 2 ? beside : left / 2, batch_ct * BATCH_WORDS);
}

static uint64_t count_bands(const struct division *division, uint64_t bytes)
{
    uint64_t band_ct = 0;

    for (size_t first = 0; first < dms_pair_side(division->example_ct); band_ct++)
        first = dms_pair_band_choose(division->example_ct, first, division->band_rows,
                                     division->thread_ct, bytes);
    return band_ct;
}

/* Of what the allowed memory leaves beside what is fixed. */
static uint64_t left_bytes(const struct division *division)
{
    uint64_t memory_bytes = division->task->memory_bytes;

    return memory_bytes > division->fixed_bytes ? memory_bytes - division->fixed_bytes : 0;
}

static uint64_t block_words_of(const struct division *division)
{
    return division->task->on_device ? choose_words(division, left_bytes(division)) : BLOCK_WORDS;
}

/* Beside what is fixed: a block, and the sums of the lowest band. */
static uint64_t least_bytes(const struct division *division)
{
    return block_bytes(division, block_words_of(division)) + least_sums(division);
}

int dms_gram_plan_make(const struct dms_gram_task *task, struct dms_gram_plan *plan)
{
    struct division division = {
        .task = task,
        .example_ct = (size_t)dms_snapshot_schema(task->snapshot)->example_ct,
        .band_rows = task->on_device ? 0 : task->row_ct,
        .fixed_bytes = dms_gram_source_bytes(task->snapshot, task->row_ct) + task->kept_bytes,
        .thread_ct = task->thread_ct,
    };
    uint64_t word_ct;

    if (task->on_device)
        division.fixed_bytes += dms_cuda_pairs_host_bytes(division.example_ct, task->row_ct);
    while (division.thread_ct > 1 && least_bytes(&division) > left_bytes(&division))
        division.thread_ct--;
    if (least_bytes(&division) > left_bytes(&division))
        return dms_fail(DMS_ERR_INVALID,
                        "counting the pairs of %zu examples%s takes %" PRIu64
                        " MiB of memory at least, and %" PRIu64 " MiB are allowed: allow more",
                        division.example_ct, task->on_device ? " on a CUDA device" : "",
                        (division.fixed_bytes + least_bytes(&division)) / 1048576 + 1,
                        task->memory_bytes / 1048576);
    word_ct = block_words_of(&division);
    plan->block_words = (size_t)word_ct;
    plan->holds_rows = task->on_device && word_ct * 64 >= task->row_ct;
    plan->band_bytes = (left_bytes(&division) - block_bytes(&division, word_ct)) / 2;
    plan->band_ct = count_bands(&division, plan->band_bytes);
    plan->thread_ct = division.thread_ct;
    return DMS_OK;
}
