/*
 * Fibers for the threads of a block, and reference functions for the instructions of a warp.
 */
#include "cuda_on_cpu.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#endif
#ifdef WITH_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

#define THREAD_MAX 1024
#define WARP 32
#define STACK_BYTES ((size_t)256 << 10)
#define SHARED_MAX 16

struct cpu_dimension threadIdx, blockIdx, blockDim, gridDim;

enum fiber_state { READY, AT_BARRIER, IN_WARP, ENDED };

enum warp_operation { MMA_F16, MMA_S8, MMA_B1 };

/* What a thread brings to an instruction of its warp. */
struct warp_argument {
    enum warp_operation operation;
    void *c;
    const uint32_t *a;
    uint32_t b[2];
};

struct fiber {
    ucontext_t context;
#ifndef WITH_ASAN
    jmp_buf jump;
    bool has_begun;
#endif
    enum fiber_state state;
    const char *file; /* of the barrier that it waits at */
    int line;
    struct warp_argument argument;
};

static struct fiber *fibers; /* THREAD_MAX of them, made when first needed */
static uint8_t *stacks;
#ifdef WITH_ASAN
static ucontext_t scheduler;
#else
static jmp_buf scheduler;
#endif
static unsigned running, thread_ct;
static const struct cpu_launch *current;
static const void *current_work;
static const void *shared[SHARED_MAX];
static unsigned shared_ct;
static uint64_t random_state = 1;

static uint32_t next_random(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33);
}

void cpu_seed(uint64_t seed)
{
    random_state = seed * 2 + 1;
    next_random();
}

static void break_rule(const char *what)
{
    const struct fiber *fiber = &fibers[running];

    fprintf(stderr, "kernel %s, block (%u, %u): %s (thread %u, %s:%d)\n", current->name, blockIdx.x,
            blockIdx.y, what, running, fiber->file ? fiber->file : "-", fiber->line);
    abort();
}

/* ---- switching ---- */

#ifdef WITH_ASAN
static const void *scheduler_stack;
static size_t scheduler_bytes;
#endif

/* From a fiber to the scheduler. Address sanitizers must be told; without one the contexts are only
 * used to begin with, since swapcontext asks the system for the signal mask each time. */
static void yield(void)
{
    unsigned self = running;
#ifdef WITH_ASAN
    void *fake;

    __sanitizer_start_switch_fiber(&fake, scheduler_stack, scheduler_bytes);
    swapcontext(&fibers[self].context, &scheduler);
    __sanitizer_finish_switch_fiber(fake, &scheduler_stack, &scheduler_bytes);
#else
    if (_setjmp(fibers[self].jump) == 0)
        _longjmp(scheduler, 1);
#endif
}

static void resume(unsigned thread)
{
    running = thread;
    threadIdx = (struct cpu_dimension){thread % current->threads.x, thread / current->threads.x};
#ifdef WITH_ASAN
    void *fake;

    __sanitizer_start_switch_fiber(&fake, stacks + thread * STACK_BYTES, STACK_BYTES);
    swapcontext(&scheduler, &fibers[thread].context);
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#else
    if (_setjmp(scheduler) != 0)
        return;
    if (fibers[thread].has_begun)
        _longjmp(fibers[thread].jump, 1);
    fibers[thread].has_begun = true;
    setcontext(&fibers[thread].context);
#endif
}

/* A fiber runs one kernel after the other. */
static void run_fiber(void)
{
#ifdef WITH_ASAN
    __sanitizer_finish_switch_fiber(NULL, &scheduler_stack, &scheduler_bytes);
#endif
    for (;;) {
        current->kernel(current_work);
        fibers[running].state = ENDED;
        yield();
    }
}

static void make_fibers(void)
{
    fibers = calloc(THREAD_MAX, sizeof *fibers);
    stacks = mmap(NULL, THREAD_MAX * STACK_BYTES, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!fibers || stacks == MAP_FAILED) {
        fprintf(stderr, "no memory for fibers\n");
        abort();
    }
    for (unsigned i = 0; i < THREAD_MAX; i++) {
        getcontext(&fibers[i].context);
        fibers[i].context.uc_stack.ss_sp = stacks + i * STACK_BYTES;
        fibers[i].context.uc_stack.ss_size = STACK_BYTES;
        makecontext(&fibers[i].context, run_fiber, 0);
    }
}

/* ---- blocks ---- */

/* Lets every ready thread go on once, in an order of chance. */
static bool run_ready(void)
{
    unsigned order[THREAD_MAX], ready_ct = 0;

    for (unsigned i = 0; i < thread_ct; i++)
        if (fibers[i].state == READY)
            order[ready_ct++] = i;
    for (unsigned i = ready_ct; i > 0; i--) {
        unsigned pick = next_random() % i, thread = order[pick];

        order[pick] = order[i - 1];
        resume(thread);
    }
    return ready_ct > 0;
}

static bool all_ended(void)
{
    for (unsigned i = 0; i < thread_ct; i++)
        if (fibers[i].state != ENDED)
            return false;
    return true;
}

/* Nobody can go on: all must be at one barrier. */
static void open_barrier(void)
{
    const struct fiber *first = &fibers[0];

    for (unsigned i = 0; i < thread_ct; i++) {
        running = i;
        if (fibers[i].state == ENDED)
            break_rule("ended while others wait at a barrier");
        if (fibers[i].state == IN_WARP)
            break_rule("is in an instruction of its warp that others do not reach");
        if (fibers[i].line != first->line || strcmp(fibers[i].file, first->file) != 0)
            break_rule("waits at another barrier than the rest");
    }
    for (unsigned i = 0; i < thread_ct; i++)
        fibers[i].state = READY;
}

void cpu_run(const struct cpu_launch *launch, const void *work)
{
    if (!fibers)
        make_fibers();
    current = launch;
    current_work = work;
    thread_ct = launch->threads.x * launch->threads.y;
    blockDim = launch->threads;
    gridDim = launch->blocks;
    if (thread_ct == 0 || thread_ct > THREAD_MAX || launch->blocks.x == 0 ||
        launch->blocks.y == 0 || launch->blocks.y > 65535) {
        fprintf(stderr, "kernel %s: a launch that no device takes\n", launch->name);
        abort();
    }
    for (unsigned y = 0; y < launch->blocks.y; y++)
        for (unsigned x = 0; x < launch->blocks.x; x++) {
            blockIdx = (struct cpu_dimension){x, y};
            shared_ct = 0;
            for (unsigned i = 0; i < thread_ct; i++)
                fibers[i].state = READY;
            for (;;) {
                while (run_ready())
                    ;
                if (all_ended())
                    break;
                open_barrier();
            }
        }
}

void cpu_barrier(const char *file, int line)
{
    struct fiber *fiber = &fibers[running];

    fiber->file = file;
    fiber->line = line;
    fiber->state = AT_BARRIER;
    yield();
}

void cpu_share(void *array, size_t bytes)
{
    for (unsigned i = 0; i < shared_ct; i++)
        if (shared[i] == array)
            return;
    if (shared_ct == SHARED_MAX)
        break_rule("too many shared arrays");
    shared[shared_ct++] = array;
    memset(array, 0xff, bytes);
}

/* ---- instructions of a warp ---- */

/* PTX ISA, "Matrix fragments for mma.m16n8k16 with floating point type". */
static void multiply_f16(const struct fiber *warp)
{
    float a[16][16], b[16][8];

    for (unsigned lane = 0; lane < WARP; lane++) {
        const struct warp_argument *argument = &warp[lane].argument;
        unsigned g = lane / 4, t = lane % 4;

        for (unsigned i = 0; i < 4; i++)
            for (unsigned h = 0; h < 2; h++)
                a[g + 8 * (i & 1)][2 * t + h + 8 * (i / 2)] =
                    dms_half_value(argument->a[i] >> (16 * h) & 0xffff);
        for (unsigned i = 0; i < 2; i++)
            for (unsigned h = 0; h < 2; h++)
                b[2 * t + h + 8 * i][g] = dms_half_value(argument->b[i] >> (16 * h) & 0xffff);
    }
    for (unsigned lane = 0; lane < WARP; lane++) {
        float *c = warp[lane].argument.c;

        for (unsigned i = 0; i < 4; i++)
            for (unsigned k = 0; k < 16; k++)
                c[i] += a[lane / 4 + 8 * (i / 2)][k] * b[k][2 * (lane % 4) + i % 2];
    }
}

/* PTX ISA, "Matrix fragments for mma.m16n8k32" with bytes. */
static void multiply_s8(const struct fiber *warp)
{
    int a[16][32], b[32][8];

    for (unsigned lane = 0; lane < WARP; lane++) {
        const struct warp_argument *argument = &warp[lane].argument;
        unsigned g = lane / 4, t = lane % 4;

        for (unsigned i = 0; i < 4; i++)
            for (unsigned h = 0; h < 4; h++)
                a[g + 8 * (i & 1)][4 * t + h + 16 * (i / 2)] =
                    (int8_t)(argument->a[i] >> (8 * h) & 0xff);
        for (unsigned i = 0; i < 2; i++)
            for (unsigned h = 0; h < 4; h++)
                b[4 * t + h + 16 * i][g] = (int8_t)(argument->b[i] >> (8 * h) & 0xff);
    }
    for (unsigned lane = 0; lane < WARP; lane++) {
        int *c = warp[lane].argument.c;

        for (unsigned i = 0; i < 4; i++)
            for (unsigned k = 0; k < 32; k++)
                c[i] += a[lane / 4 + 8 * (i / 2)][k] * b[k][2 * (lane % 4) + i % 2];
    }
}

/* PTX ISA, "Matrix fragments for mma.m16n8k256". */
static void multiply_b1(const struct fiber *warp)
{
    uint32_t a[16][8], b[8][8];

    for (unsigned lane = 0; lane < WARP; lane++) {
        const struct warp_argument *argument = &warp[lane].argument;
        unsigned g = lane / 4, t = lane % 4;

        for (unsigned i = 0; i < 4; i++)
            a[g + 8 * (i & 1)][t + 4 * (i / 2)] = argument->a[i];
        for (unsigned i = 0; i < 2; i++)
            b[g][t + 4 * i] = argument->b[i];
    }
    for (unsigned lane = 0; lane < WARP; lane++) {
        int *c = warp[lane].argument.c;

        for (unsigned i = 0; i < 4; i++)
            for (unsigned w = 0; w < 8; w++)
                c[i] +=
                    __builtin_popcount(a[lane / 4 + 8 * (i / 2)][w] & b[2 * (lane % 4) + i % 2][w]);
    }
}

/* The last thread of the warp to come does the work of all. */
static void meet(enum warp_operation operation, void *c, const uint32_t *a, uint32_t b0,
                 uint32_t b1)
{
    unsigned first = running / WARP * WARP;

    fibers[running].argument = (struct warp_argument){operation, c, a, {b0, b1}};
    fibers[running].state = IN_WARP;
    if (first + WARP > thread_ct)
        break_rule("an instruction of a warp that is not whole");
    for (unsigned i = first; i < first + WARP; i++) {
        if (fibers[i].state != IN_WARP) {
            yield();
            return;
        }
        if (fibers[i].argument.operation != operation)
            break_rule("another instruction than the rest of the warp");
    }
    switch (operation) {
    case MMA_F16:
        multiply_f16(&fibers[first]);
        break;
    case MMA_S8:
        multiply_s8(&fibers[first]);
        break;
    case MMA_B1:
        multiply_b1(&fibers[first]);
        break;
    }
    for (unsigned i = first; i < first + WARP; i++)
        fibers[i].state = READY;
}

void cpu_mma_f16(float *c, const uint32_t *a, uint32_t b0, uint32_t b1)
{
    meet(MMA_F16, c, a, b0, b1);
}

void cpu_mma_s8(int *c, const uint32_t *a, uint32_t b0, uint32_t b1)
{
    meet(MMA_S8, c, a, b0, b1);
}

void cpu_mma_b1(int *c, const uint32_t *a, uint32_t b0, uint32_t b1)
{
    meet(MMA_B1, c, a, b0, b1);
}

/* ---- halves ---- */

/* To nearest, ties to even. */
uint32_t dms_half_bits(float value)
{
    uint32_t sign = signbit(value) ? 0x8000 : 0;
    float size = fabsf(value);
    int exponent;

    if (isnan(value))
        return sign | 0x7e00;
    if (size >= 65520)
        return sign | 0x7c00;
    frexpf(size, &exponent);
    if (size < 0x1p-14f)
        return sign | (uint32_t)rintf(size * 0x1p24f);
    /* Rounding up may carry into the exponent, as it should. */
    return sign |
           (((uint32_t)(exponent + 13) << 10) + (uint32_t)rintf(ldexpf(size, 11 - exponent)));
}

float dms_half_value(uint32_t bits)
{
    uint32_t exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
    float size = exponent == 31  ? fraction ? NAN : INFINITY
                 : exponent == 0 ? ldexpf((float)fraction, -24)
                                 : ldexpf((float)(fraction | 0x400), (int)exponent - 25);

    return bits & 0x8000 ? -size : size;
}
