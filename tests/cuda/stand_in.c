/*
 * A module (kernels/cuda/module.h) whose device is the processor: the kernels run on fibers
 * (cuda_on_cpu.h). Work in streams is put off until somebody waits for it, and then streams take
 * turns by chance as far as events allow, so that a missing wait, or memory that is used again too
 * early, gives wrong results. What goes wrong is said in the environment,
 * DMSTORE_STAND_IN=KEY=NUMBER,...:
 *
 *     devices=N   that many devices (1)
 *     memory=N    bytes of memory (1 GiB)
 *     taken=N     of these, bytes that others take when they have been counted (0)
 *     lost=N      the device is lost after N operations
 *     seed=N      of all that is left to chance
 *     plain=1     products of halves by plain loops: on fibers their kernel takes a second for what
 *                 a fit does hundreds of times (tests/cuda/products_test.c has the kernel)
 *
 * Memory of the device is memory of the process with a size of its own, so that address sanitizers
 * see what is outside of it.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_on_cpu.h"
#include "kernels/cuda/device.h"

#define CODE_MEMORY 2
#define CODE_NO_DEVICE 100
#define CODE_LOST 719

enum operation_kind { RUN, COPY, CLEAR, RECORD, WAIT };

struct event {
    uint64_t recorded, come; /* how often */
};

struct operation {
    enum operation_kind kind;
    struct cpu_launch launch;
    void *work; /* of a launch, owned */
    void *to;
    const void *from;
    size_t bytes;
    struct event *event;
    uint64_t count; /* of the event that is waited for */
    struct operation *next;
};

struct stream {
    struct operation *first, **last;
    struct stream *next;
};

/* An allocation, in front of what is handed out. */
struct allocation {
    size_t bytes;
    uint64_t padding[7];
};

static struct stream *streams;
static uint64_t total_bytes = UINT64_C(1) << 30, used_bytes, taken_bytes;
static uint64_t operation_ct, lost_after;
static int device_total = 1;
static bool is_lost, is_plain;
static uint64_t random_state = 1;

static uint32_t next_random(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33);
}

static void read_settings(void)
{
    const char *text = getenv("DMSTORE_STAND_IN");

    while (text && *text) {
        const char *value = strchr(text, '=');
        unsigned long long number = value ? strtoull(value + 1, NULL, 10) : 0;

        if (strncmp(text, "devices=", 8) == 0)
            device_total = (int)number;
        else if (strncmp(text, "memory=", 7) == 0)
            total_bytes = number;
        else if (strncmp(text, "taken=", 6) == 0)
            taken_bytes = number;
        else if (strncmp(text, "lost=", 5) == 0)
            lost_after = number;
        else if (strncmp(text, "plain=", 6) == 0)
            is_plain = number != 0;
        else if (strncmp(text, "seed=", 5) == 0)
            random_state = number * 2 + 1;
        text = strchr(text, ',');
        text = text ? text + 1 : NULL;
    }
    cpu_seed(random_state);
}

static int status(void)
{
    return is_lost ? CODE_LOST : 0;
}

/* ---- streams ---- */

static bool is_ready(const struct operation *operation)
{
    return operation && (operation->kind != WAIT || operation->event->come >= operation->count);
}

static void perform(struct stream *stream)
{
    struct operation *operation = stream->first;

    stream->first = operation->next;
    if (!stream->first)
        stream->last = &stream->first;
    is_lost = is_lost || (lost_after > 0 && ++operation_ct >= lost_after);
    if (operation->kind == RECORD)
        operation->event->come++;
    else if (is_lost)
        ;
    else if (operation->kind == RUN)
        cpu_run(&operation->launch, operation->work);
    else if (operation->kind == COPY)
        memmove(operation->to, operation->from, operation->bytes);
    else if (operation->kind == CLEAR)
        memset(operation->to, 0, operation->bytes);
    free(operation->work);
    free(operation);
}

/* Lets one stream that can go on do one thing. */
static void advance(void)
{
    unsigned ready_ct = 0, pick;

    for (struct stream *stream = streams; stream; stream = stream->next)
        ready_ct += is_ready(stream->first);
    if (ready_ct == 0) {
        fprintf(stderr, "stand-in: the streams wait for each other\n");
        abort();
    }
    pick = next_random() % ready_ct;
    for (struct stream *stream = streams; stream; stream = stream->next)
        if (is_ready(stream->first) && pick-- == 0) {
            perform(stream);
            return;
        }
}

static void drain(void)
{
    for (struct stream *stream = streams; stream;)
        if (stream->first) {
            advance();
            stream = streams;
        } else {
            stream = stream->next;
        }
}

static int enqueue(struct stream *stream, struct operation operation)
{
    struct operation *kept = malloc(sizeof *kept);

    if (is_lost) {
        free(operation.work);
        free(kept);
        return CODE_LOST;
    }
    *kept = operation;
    kept->next = NULL;
    *stream->last = kept;
    stream->last = &kept->next;
    return 0;
}

int cpu_begin(const struct cpu_launch *launch, const void *work, size_t work_bytes, void *stream)
{
    void *kept = malloc(work_bytes);

    memcpy(kept, work, work_bytes);
    return enqueue(stream, (struct operation){.kind = RUN, .launch = *launch, .work = kept});
}

static int create_stream(dms_cuda_stream **created)
{
    struct stream *stream = calloc(1, sizeof *stream);

    stream->last = &stream->first;
    stream->next = streams;
    streams = stream;
    *created = stream;
    return status();
}

static void destroy_stream(dms_cuda_stream *stream)
{
    drain();
    for (struct stream **place = &streams; *place; place = &(*place)->next)
        if (*place == stream) {
            *place = (*place)->next;
            break;
        }
    free(stream);
}

static int finish(dms_cuda_stream *stream)
{
    while (((struct stream *)stream)->first)
        advance();
    return status();
}

static int create_event(dms_cuda_event **event)
{
    *event = calloc(1, sizeof(struct event));
    return status();
}

static void destroy_event(dms_cuda_event *event)
{
    drain();
    free(event);
}

static int record(dms_cuda_event *event, dms_cuda_stream *stream)
{
    ((struct event *)event)->recorded++;
    return enqueue(stream, (struct operation){.kind = RECORD, .event = event});
}

static int wait(dms_cuda_stream *stream, dms_cuda_event *event)
{
    return enqueue(stream, (struct operation){.kind = WAIT,
                                              .event = event,
                                              .count = ((struct event *)event)->recorded});
}

static int await(dms_cuda_event *event)
{
    struct event *awaited = event;

    while (!is_lost && awaited->come < awaited->recorded)
        advance();
    return status();
}

static int copy(void *to, const void *from, size_t bytes, dms_cuda_stream *stream)
{
    return enqueue(stream,
                   (struct operation){.kind = COPY, .to = to, .from = from, .bytes = bytes});
}

static int clear(void *memory, size_t bytes, dms_cuda_stream *stream)
{
    return enqueue(stream, (struct operation){.kind = CLEAR, .to = memory, .bytes = bytes});
}

/* ---- devices and memory ---- */

static const char *error_text(int code)
{
    return code == CODE_MEMORY      ? "stand-in: out of memory"
           : code == CODE_NO_DEVICE ? "stand-in: no device"
                                    : "stand-in: the device fell off the bus";
}

static enum dms_cuda_failure classify(int code)
{
    return code == CODE_MEMORY      ? DMS_CUDA_NO_MEMORY
           : code == CODE_NO_DEVICE ? DMS_CUDA_NO_DEVICE
           : code == CODE_LOST      ? DMS_CUDA_LOST
                                    : DMS_CUDA_OTHER;
}

static int device_ct(int *ct)
{
    *ct = device_total;
    return device_total > 0 ? 0 : CODE_NO_DEVICE;
}

static int memory(uint64_t *free_bytes, uint64_t *all_bytes)
{
    *free_bytes = total_bytes - used_bytes;
    *all_bytes = total_bytes;
    return status();
}

static int device_info(int device, struct dms_cuda_device_info *info)
{
    if (device < 0 || device >= device_total)
        return CODE_NO_DEVICE;
    *info = (struct dms_cuda_device_info){.major = 9};
    snprintf(info->name, sizeof info->name, "stand-in %d", device);
    return memory(&info->free_bytes, &info->total_bytes);
}

static int select_device(int device)
{
    return device >= 0 && device < device_total ? status() : CODE_NO_DEVICE;
}

/* What is not written before it is read is NaN. */
static void *take(size_t bytes)
{
    struct allocation *allocation = malloc(sizeof *allocation + bytes);

    allocation->bytes = bytes;
    memset(allocation + 1, 0xff, bytes);
    return allocation + 1;
}

static int allocate(size_t bytes, void **address)
{
    if (is_lost)
        return CODE_LOST;
    if (used_bytes + taken_bytes > total_bytes || bytes > total_bytes - used_bytes - taken_bytes)
        return CODE_MEMORY;
    used_bytes += bytes;
    *address = take(bytes);
    return 0;
}

static void release(void *address)
{
    if (!address)
        return;
    drain();
    used_bytes -= ((struct allocation *)address - 1)->bytes;
    free((struct allocation *)address - 1);
}

static int allocate_pinned(size_t bytes, void **address)
{
    if (is_lost)
        return CODE_LOST;
    *address = take(bytes);
    return 0;
}

static void release_pinned(void *address)
{
    if (!address)
        return;
    drain();
    free((struct allocation *)address - 1);
}

/* ---- products ---- */

/* The value of factor f in lane l that the halves stand for. */
static double joined_value(const struct dms_cuda_product *work, uint32_t f, uint32_t l)
{
    uint64_t pair = work->halves[((size_t)f / 32 * 16 + f % 16) * work->stride + l];
    unsigned shift = f % 32 / 16 * 16;

    return ((double)dms_half_value(pair >> shift & 0xffff) +
            (double)dms_half_value(pair >> (32 + shift) & 0xffff)) *
           work->scales[l];
}

static void multiply_row(const struct dms_cuda_product *work, const double *values, uint32_t row)
{
    double sums[4096] = {0};

    for (uint32_t f = 0; f < work->bits.factor_ct; f++)
        if (work->bits.words[row * work->bits.row_stride + f / 64 * work->bits.word_stride] >>
                (f % 64) &
            1)
            for (uint32_t l = 0; l < work->stride; l++)
                sums[l] += values[(size_t)f * work->stride + l];
    for (uint32_t l = 0; l < work->stride; l++)
        if (work->active[l / DMS_CUDA_TILE]) {
            double *result = &work->result[(size_t)row * work->stride + l];

            *result = (work->adds ? *result : 0) + sums[l];
        }
}

DMS_KERNEL(plain_kernel, dms_cuda_product)
{
    double *values = malloc((size_t)work.bits.factor_ct * work.stride * sizeof *values + 1);

    if (!values || work.stride > 4096)
        abort();
    for (uint32_t f = 0; f < work.bits.factor_ct; f++)
        for (uint32_t l = 0; l < work.stride; l++)
            values[(size_t)f * work.stride + l] = joined_value(&work, f, l);
    for (uint32_t row = 0; row < work.bits.row_ct; row++)
        multiply_row(&work, values, row);
    free(values);
}

static int multiply_halves(const struct dms_cuda_product *product, dms_cuda_stream *stream)
{
    return is_plain ? DMS_LAUNCH(plain_kernel, 1, 1, 1, 1, stream, product)
                    : dms_cuda_multiply_halves(product, stream);
}

static struct dms_cuda_module module = {DMS_CUDA_MODULE_VERSION,
                                        "stand-in",
                                        error_text,
                                        classify,
                                        device_ct,
                                        device_info,
                                        select_device,
                                        memory,
                                        allocate,
                                        release,
                                        allocate_pinned,
                                        release_pinned,
                                        create_stream,
                                        destroy_stream,
                                        finish,
                                        create_event,
                                        destroy_event,
                                        record,
                                        wait,
                                        await,
                                        copy,
                                        clear,
                                        DMS_CUDA_LAUNCHERS};

__attribute__((visibility("default"))) const struct dms_cuda_module *dms_cuda_module_get(void);
const struct dms_cuda_module *dms_cuda_module_get(void)
{
    read_settings();
    module.multiply_halves = multiply_halves;
    return &module;
}
