/*
 * Batches made before: see prepared_source.h.
 */
#include "tests/bench/prepared_source.h"

#include "tests/bench/bench.h"

#include <stdlib.h>
#include <string.h>

/* How a source was opened, and the batches of its pass. */
struct pass {
    struct pass *next;
    enum dms_role role;
    bool shuffled;
    size_t target, target_ct;
    uint32_t batch_rows;
    struct dms_batch *batches; /* all with batch_rows rows, but the last one */
    size_t batch_ct;
};

struct prepared {
    struct dms_problem original;
    struct pass *passes;
};

/* One open source. */
struct cursor {
    const struct pass *pass;
    size_t *order; /* of the batches */
    size_t at;
};

/* ---- making ---------------------------------------------------------------- */

static void *copy_bytes(const void *bytes, size_t size)
{
    return memcpy(bench_alloc(size), bytes, size);
}

static struct dms_batch copy_batch(const struct dms_problem *problem, const struct dms_batch *batch)
{
    struct dms_batch copy = *batch;
    size_t row_ct = batch->row_ct;
    copy.ids = copy_bytes(batch->ids, row_ct * sizeof *batch->ids);
    copy.ranks = copy_bytes(batch->ranks, row_ct * sizeof *batch->ranks);
    copy.masks = copy_bytes(batch->masks, row_ct * batch->mask_stride_bytes);
    copy.mask_columns = copy_bytes(batch->mask_columns, (row_ct + 63) / 64 * problem->example_ct *
                                                            sizeof *batch->mask_columns);
    copy.outputs = copy_bytes(batch->outputs, row_ct * batch->output_stride_values * sizeof(float));
    return copy;
}

static void free_batch(const struct dms_batch *batch)
{
    free((void *)(uintptr_t)batch->ids);
    free((void *)(uintptr_t)batch->ranks);
    free((void *)(uintptr_t)batch->masks);
    free((void *)(uintptr_t)batch->mask_columns);
    free((void *)(uintptr_t)batch->outputs);
}

/* Copies all batches of the original's first pass. */
static void fill_pass(const struct dms_problem *problem, struct pass *pass)
{
    struct dms_batch_source source;
    const struct dms_batch *batch;
    size_t most = (size_t)(problem->row_ct[pass->role] / pass->batch_rows) + 1;
    int status;
    pass->batches = bench_alloc(most * sizeof *pass->batches);
    bench_check(problem->open(problem->context, pass->role, pass->shuffled, pass->target,
                              pass->target_ct, pass->batch_rows, &source),
                "open a source");
    bench_check(source.seek(source.context, 0), "seek");
    while ((status = source.next(source.context, &batch)) == 0) {
        pass->batches[pass->batch_ct++] = copy_batch(problem, batch);
        source.release(source.context, batch);
    }
    bench_check(status < 0 ? status : 0, "read");
    source.close(source.context);
}

static const struct pass *find_pass(struct prepared *prepared, const struct pass *wanted)
{
    struct pass *pass = prepared->passes;
    while (pass && (pass->role != wanted->role || pass->shuffled != wanted->shuffled ||
                    pass->target != wanted->target || pass->target_ct != wanted->target_ct ||
                    pass->batch_rows != wanted->batch_rows)) {
        pass = pass->next;
    }
    if (!pass) {
        pass = bench_alloc(sizeof *pass);
        *pass = *wanted;
        fill_pass(&prepared->original, pass);
        pass->next = prepared->passes;
        prepared->passes = pass;
    }
    return pass;
}

/* ---- handing out ----------------------------------------------------------- */

/* The last batch may be short and stays the last one. */
static int cursor_seek(void *context, uint64_t epoch)
{
    struct cursor *cursor = context;
    uint64_t state = epoch;
    for (size_t k = 0; k < cursor->pass->batch_ct; k++) {
        cursor->order[k] = k;
    }
    for (size_t k = cursor->pass->batch_ct; cursor->pass->shuffled && k > 2; k--) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        size_t other = (size_t)((state >> 33) % (k - 1));
        size_t swap = cursor->order[k - 2];
        cursor->order[k - 2] = cursor->order[other];
        cursor->order[other] = swap;
    }
    cursor->at = 0;
    return 0;
}

static int cursor_next(void *context, const struct dms_batch **batch)
{
    struct cursor *cursor = context;
    if (cursor->at == cursor->pass->batch_ct) {
        return DMS_END;
    }
    *batch = &cursor->pass->batches[cursor->order[cursor->at++]];
    return 0;
}

static void cursor_release(void *context, const struct dms_batch *batch)
{
    (void)context;
    (void)batch;
}

static void cursor_close(void *context)
{
    struct cursor *cursor = context;
    free(cursor->order);
    free(cursor);
}

static int prepared_open(void *context, enum dms_role role, bool shuffled, size_t target,
                         size_t target_ct, uint32_t batch_rows, struct dms_batch_source *source)
{
    struct cursor *cursor = bench_alloc(sizeof *cursor);
    cursor->pass = find_pass(context, &(struct pass){.role = role,
                                                     .shuffled = shuffled,
                                                     .target = target,
                                                     .target_ct = target_ct,
                                                     .batch_rows = batch_rows});
    cursor->order = bench_alloc(cursor->pass->batch_ct * sizeof *cursor->order);
    *source = (struct dms_batch_source){
        .context = cursor,
        .seek = cursor_seek,
        .next = cursor_next,
        .release = cursor_release,
        .close = cursor_close,
    };
    return cursor_seek(cursor, 0);
}

struct prepared *prepared_create(struct dms_problem *problem)
{
    struct prepared *prepared = bench_alloc(sizeof *prepared);
    prepared->original = *problem;
    problem->context = prepared;
    problem->open = prepared_open;
    return prepared;
}

void prepared_free(struct prepared *prepared)
{
    while (prepared->passes) {
        struct pass *pass = prepared->passes;
        prepared->passes = pass->next;
        for (size_t k = 0; k < pass->batch_ct; k++) {
            free_batch(&pass->batches[k]);
        }
        free(pass->batches);
        free(pass);
    }
    free(prepared);
}
