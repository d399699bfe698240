/*
 * Opens a source, reads it from beginning to end, closes it; see pass.h.
 */
#include "solver/pass.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"

/* struct dms_problem.open. */
typedef int open_source(void *context, enum dms_role role, bool shuffled, size_t target,
                        size_t target_ct, uint32_t batch_rows, struct dms_batch_source *source);

/* What is visited. */
struct visited {
    open_source *open;
    enum dms_role role;
    size_t target, target_ct;
};

static int visit_batches(const struct dms_problem *problem, const struct visited *visited,
                         int (*visit)(void *context, const struct dms_batch *batch), void *context)
{
    const struct dms_batch *batch;
    struct dms_batch_source source;
    int rc = visited->open(problem->context, visited->role, false, visited->target,
                           visited->target_ct, DMS_PASS_ROWS, &source);

    if (rc < 0)
        return rc;
    rc = source.seek(source.context, 0);
    while (rc == DMS_OK && (rc = source.next(source.context, &batch)) == DMS_OK) {
        rc = visit(context, batch);
        source.release(source.context, batch);
    }
    source.close(source.context);
    return rc == DMS_END ? DMS_OK : rc;
}

int dms_problem_visit(const struct dms_problem *problem, enum dms_role role, size_t target,
                      size_t target_ct, int (*visit)(void *context, const struct dms_batch *batch),
                      void *context)
{
    const struct visited visited = {problem->open, role, target, target_ct};

    return visit_batches(problem, &visited, visit, context);
}

int dms_problem_visit_outputs(const struct dms_problem *problem, enum dms_role role, size_t target,
                              size_t target_ct,
                              int (*visit)(void *context, const struct dms_batch *batch),
                              void *context)
{
    const struct visited visited = {problem->open_outputs ? problem->open_outputs : problem->open,
                                    role, target, target_ct};

    return visit_batches(problem, &visited, visit, context);
}

struct mask_reading {
    size_t example_ct, word_ct;
    dms_place_words *place;
    uint64_t *words;
};

static int take_masks(void *context, const struct dms_batch *batch)
{
    const struct mask_reading *reading = context;

    reading->place(reading->example_ct, reading->word_ct, (size_t)(batch->position / 64),
                   (batch->row_ct + 63u) / 64, batch->mask_columns, reading->words);
    return DMS_OK;
}

int dms_problem_read_masks(const struct dms_problem *problem, enum dms_role role,
                           dms_place_words *place, uint64_t **words)
{
    struct mask_reading reading = {
        .example_ct = problem->example_ct,
        .word_ct = (size_t)((problem->row_ct[role] + 63) / 64),
        .place = place,
    };
    size_t all;
    int rc;

    if (dms_mul_overflow(reading.example_ct, reading.word_ct, &all))
        return dms_fail(DMS_ERR_NO_MEMORY, "the masks of %zu examples are too large",
                        reading.example_ct);
    reading.words = dms_alloc(all, sizeof *reading.words);
    if (!reading.words)
        return DMS_ERR_NO_MEMORY;
    /* The outputs of one target come along, unused: a source has at least one. */
    rc = dms_problem_visit(problem, role, 0, 1, take_masks, &reading);
    if (rc < 0)
        free(reading.words);
    else
        *words = reading.words;
    return rc;
}

uint64_t dms_mask_words_bytes(size_t example_ct, uint64_t row_ct)
{
    return (row_ct + 63) / 64 * sizeof(uint64_t) * example_ct;
}
