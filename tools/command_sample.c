/*
 * dmstore sample: draws the training masks of a range of model ids and writes them as a .npy file
 * or as text. A mask is a function of (examples, alpha, seed, id) alone (dmstore/sample.h), so
 * threads draw blocks of masks apart and write them in turn.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <dmstore/convert.h>
#include <dmstore/sample.h>
#include <dmstore/store.h>

#include "commands.h"
#include "npy_file.h"
#include "options.h"
#include "progress.h"

static const char name[] = "sample";

/* What one thread makes before it waits for its turn to write. */
#define BLOCK_BYTES (1u << 20)

#define THREAD_MAX 64

enum format { FORMAT_NPY, FORMAT_PACKED, FORMAT_INDICES };

static const char *const format_words[] = {"npy", "packed", "indices", NULL};

/* What the command line says. */
struct request {
    uint64_t example_ct;
    const char *alpha;
    uint64_t subset_size; /* of alpha */
    uint64_t count;
    uint64_t seed;
    uint64_t first_id;
    uint64_t id;
    uint64_t thread_ct;
    bool count_given, seed_given, first_id_given, id_given;
    int format;
    const char *output;
};

/* What the threads share; everything from `next_block` on under the lock. */
struct job {
    const struct request *request;
    struct output_file file;
    uint64_t mask_bytes;
    uint64_t row_bytes; /* at most, in the output */
    uint64_t block_rows;
    pthread_mutex_t lock;
    pthread_cond_t turn_changed;
    uint64_t next_block; /* the first one that no thread has taken */
    uint64_t turn;       /* the block that is written next */
    int code;            /* of the first failure; the others then stop */
    char message[512];
    struct progress progress;
};

/* ---- one block ---- */

/* Writes the places of the ones, separated by spaces, and a newline; returns the end. */
static char *print_indices(const uint8_t *mask, uint64_t mask_bytes, char *out)
{
    const char *start = out;

    for (uint64_t i = 0; i < mask_bytes; i++) {
        for (unsigned bits = mask[i]; bits; bits &= bits - 1) {
            char digits[20];
            int digit_ct = 0;
            uint64_t index = 8 * i + (unsigned)__builtin_ctz(bits);

            if (out != start)
                *out++ = ' ';
            do
                digits[digit_ct++] = (char)('0' + index % 10);
            while ((index /= 10) > 0);
            while (digit_ct > 0)
                *out++ = digits[--digit_ct];
        }
    }
    *out++ = '\n';
    return out;
}

/* Draws rows row .. row + row_ct - 1 into `out`; sets *bytes. `mask` is room for one. */
static int draw_rows(const struct job *job, uint64_t row, uint64_t row_ct, uint8_t *mask,
                     uint8_t *out, size_t *bytes)
{
    const struct request *request = job->request;
    uint8_t *end = out;

    for (uint64_t i = 0; i < row_ct; i++) {
        uint8_t *drawn = request->format == FORMAT_PACKED ? end : mask;
        int code = dms_sample_mask(request->example_ct, request->subset_size, request->seed,
                                   request->first_id + row + i, drawn);

        if (code < 0)
            return code;
        if (request->format == FORMAT_INDICES) {
            end = (uint8_t *)print_indices(mask, job->mask_bytes, (char *)end);
            continue;
        }
        if (request->format == FORMAT_NPY)
            dms_unpack_mask(mask, request->example_ct, end);
        end += job->row_bytes;
    }
    *bytes = (size_t)(end - out);
    return 0;
}

/* ---- threads ---- */

/* Takes the next block; false when there is none left or somebody failed. */
static bool take_block(struct job *job, uint64_t *block)
{
    bool taken;

    pthread_mutex_lock(&job->lock);
    taken = job->code == 0 && job->next_block * job->block_rows < job->request->count;
    if (taken)
        *block = job->next_block++;
    pthread_mutex_unlock(&job->lock);
    return taken;
}

/* Waits for the turn of `block` and writes it, or hands on the failure `code`. */
static void write_block(struct job *job, uint64_t block, int code, const uint8_t *data,
                        size_t bytes)
{
    uint64_t done = (block + 1) * job->block_rows;

    pthread_mutex_lock(&job->lock);
    while (job->turn != block && job->code == 0)
        pthread_cond_wait(&job->turn_changed, &job->lock);
    if (job->code != 0)
        goto out;
    if (code == 0)
        code = output_file_append(&job->file, bytes, data);
    if (done > job->request->count)
        done = job->request->count;
    if (code == 0 && progress_update(&job->progress, done, job->request->count))
        code = dms_source_fail(DMS_ERR_INTERRUPTED, "interrupted");
    if (code < 0) {
        job->code = code;
        snprintf(job->message, sizeof(job->message), "%s", dms_error_message());
    }
    job->turn++;
    pthread_cond_broadcast(&job->turn_changed);
out:
    pthread_mutex_unlock(&job->lock);
}

static void *draw_blocks(void *context)
{
    struct job *job = context;
    uint8_t *mask = malloc(job->mask_bytes);
    uint8_t *data = malloc(job->block_rows * job->row_bytes);
    uint64_t block;

    while (take_block(job, &block)) {
        uint64_t row = block * job->block_rows;
        uint64_t left = job->request->count - row;
        size_t bytes = 0;
        int code = mask && data
                       ? draw_rows(job, row, left < job->block_rows ? left : job->block_rows, mask,
                                   data, &bytes)
                       : dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");

        write_block(job, block, code, data, bytes);
    }
    free(mask);
    free(data);
    return NULL;
}

/* Runs the threads, the caller being one of them. */
static int draw_all(struct job *job)
{
    pthread_t threads[THREAD_MAX];
    uint64_t started = 0;

    progress_begin(&job->progress, name, PROGRESS_ROWS);
    while (started + 1 < job->request->thread_ct &&
           pthread_create(&threads[started], NULL, draw_blocks, job) == 0)
        started++; /* what cannot be started is done by the others */
    draw_blocks(job);
    for (uint64_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    progress_end(&job->progress);
    return job->code < 0 ? dms_source_fail(job->code, "%s", job->message) : 0;
}

/* ---- the whole ---- */

static int write_npy_header(const struct request *request, const struct job *job)
{
    struct dms_npy npy = {
        .kind = request->format == FORMAT_NPY ? 'b' : 'u',
        .item_bytes = 1,
        .dimension_ct = 2,
        .dimensions = {request->count, job->row_bytes},
    };
    uint8_t header[DMS_NPY_HEADER_BYTES];
    int code = dms_npy_print(&npy, header);

    return code < 0 ? code : output_file_append(&job->file, npy.data_offset, header);
}

/* Bytes of a line of indices, at most: the largest index has the most digits. */
static uint64_t line_bytes(const struct request *request)
{
    uint64_t digit_ct = 1;

    for (uint64_t index = request->example_ct - 1; index >= 10; index /= 10)
        digit_ct++;
    return request->subset_size * (digit_ct + 1) + 1;
}

static int sample(const struct request *request)
{
    struct job job = {
        .request = request,
        .mask_bytes = (request->example_ct + 7) / 8,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .turn_changed = PTHREAD_COND_INITIALIZER,
    };
    int code;

    job.row_bytes = request->format == FORMAT_NPY      ? request->example_ct
                    : request->format == FORMAT_PACKED ? job.mask_bytes
                                                       : line_bytes(request);
    job.block_rows = job.row_bytes < BLOCK_BYTES ? BLOCK_BYTES / job.row_bytes : 1;
    code = output_file_create(&job.file, request->output);
    if (code < 0)
        return code;
    if (request->format != FORMAT_INDICES)
        code = write_npy_header(request, &job);
    if (code == 0)
        code = draw_all(&job);
    if (code == 0)
        code = output_file_commit(&job.file);
    else
        output_file_abandon(&job.file);
    return code;
}

/* Fills in what the options leave open and refuses what they cannot mean. */
static int check_request(struct request *request)
{
    long processor_ct = sysconf(_SC_NPROCESSORS_ONLN);

    if (request->example_ct == 0 || !request->alpha || !request->seed_given)
        return tool_fail_usage(name, "--examples D, --alpha A and --seed S are needed");
    if (request->example_ct > UINT32_MAX)
        return tool_fail_usage(name, "--examples: at most 2^32 - 1");
    if (request->id_given == request->count_given || (request->id_given && request->first_id_given))
        return tool_fail_usage(name, "give either --count M (and --first-id ID), or --id I for "
                                     "the mask of one model");
    if (request->id_given) {
        request->first_id = request->id;
        request->count = 1;
    }
    if (request->count > 0 && request->first_id > UINT64_MAX - (request->count - 1))
        return tool_fail_usage(name, "--first-id: the last id would be above 2^64 - 1");
    if (dms_alpha_parse(request->alpha, request->example_ct, &request->subset_size) < 0)
        return tool_fail_usage(name, "--alpha: %s", dms_error_message());
    if (request->thread_ct == 0)
        request->thread_ct = processor_ct > 0 ? (uint64_t)processor_ct : 1;
    if (request->thread_ct > THREAD_MAX)
        request->thread_ct = THREAD_MAX;
    if (request->format != FORMAT_INDICES && strcmp(request->output, "-") == 0 &&
        isatty(STDOUT_FILENO))
        return tool_fail_usage(name, "a terminal cannot show this: give -o FILE, or --format "
                                     "indices");
    return TOOL_CONTINUE;
}

int command_sample(int argc, char **argv)
{
    struct request request = {.output = "-"};
    const struct tool_option options[] = {
        OPTION_COUNT("examples", 0, "D", &request.example_ct, NULL,
                     "size of the training set (needed)"),
        OPTION_TEXT("alpha", 0, "A", &request.alpha,
                    "fraction of the examples in a subset, a decimal number: every subset has "
                    "exactly floor(A x D) of them (needed)"),
        OPTION_COUNT("seed", 0, "S", &request.seed, &request.seed_given,
                     "seed of the run; other seeds give other subsets (needed)"),
        OPTION_COUNT("count", 0, "M", &request.count, &request.count_given, "how many masks"),
        OPTION_COUNT("first-id", 0, "ID", &request.first_id, &request.first_id_given,
                     "model id of the first one (default 0)"),
        OPTION_COUNT("id", 0, "I", &request.id, &request.id_given,
                     "only the mask of this model, the same as in any larger draw"),
        OPTION_CHOICE("format", 0, "npy|packed|indices", &request.format, format_words,
                      "npy: bool (masks x examples), the default; packed: uint8, 8 examples a "
                      "byte, little bit order; indices: text, a line a mask"),
        OPTION_TEXT("output", 'o', "FILE", &request.output,
                    "where the masks go; - (default) is standard output"),
        OPTION_COUNT("threads", 0, "N", &request.thread_ct, NULL,
                     "threads (default: one a processor)"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "--examples D --alpha A --seed S (--count M | --id I) -o FILE",
        .description =
            "Draws training subsets of a fixed size, uniformly and without replacement. The\n"
            "subset of a model is a function of D, A, S and the model's id alone and stays\n"
            "the same for ever.\n",
        .options = options,
    };
    int status = tool_options_parse(&usage, argc, argv, NULL, NULL);

    if (status == TOOL_CONTINUE)
        status = check_request(&request);
    if (status != TOOL_CONTINUE)
        return status;
    return sample(&request) < 0 ? tool_fail_library(name) : TOOL_OK;
}
