/*
 * Counts pairs of packed columns on a CUDA device; see cuda_pairs.h.
 *
 * Three streams. Columns are packed in pinned buffers, two in turns, and copied in the first;
 * counted in the second; counts come back in the third. Events keep them apart: a panel is counted
 * from when it has come, and replaced when the last count with it is done; of two places for counts
 * one is filled while the other comes back and is handed to the caller.
 */
#include "solver/cuda_pairs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "solver/cuda_device.h"
#include "solver/packed_rows.h"

/* Examples of a panel, at most: a power of two, since it is halved where memory is little. To count
 * 4,096 x 4,096 pairs in bytes should take a card twice as long as a panel takes over PCIe. */
#define SIDE_MAX 4096
#define STAGING_BYTES ((size_t)16 << 20)
#define STAGING_PIECES 4
#define ROW_LIMIT (UINT64_C(1) << 31)
#define NO_PANEL SIZE_MAX
#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* A place for a panel on the device. */
struct place {
    uint64_t *columns; /* side x word_ct */
    size_t panel;      /* that is in it, NO_PANEL: none */
    uint64_t last_use;
    dms_cuda_event *ready, *used;
};

/* Columns on their way to the device. */
struct staging {
    uint64_t *columns; /* pinned, column_max x word_ct */
    dms_cuda_event *copied;
};

/* A part of what the caller asks for: examples of one panel and of another. */
struct part {
    size_t first_a, end_a, first_b, end_b;
    uint32_t *counts;
    size_t stride; /* from row to row of counts */
};

/* Counts on their way back. */
struct result {
    uint32_t *counts, *pinned; /* side x side */
    struct part part;          /* .counts NULL: nothing is on its way */
    dms_cuda_event *counted, *returned;
};

struct dms_cuda_pair_counter {
    struct dms_cuda cuda;
    const struct dms_packed_rows *rows;
    size_t side, panel_ct;
    size_t word_ct;    /* of a column on the device */
    size_t column_max; /* of a staging buffer */
    dms_cuda_stream *copying, *computing, *returning;
    struct place *places;
    size_t place_ct;
    struct staging staging[2];
    struct result results[2];
    uint64_t use_ct, staged_ct, part_ct; /* so far */
};

/* ---- memory ---- */

static uint64_t column_bytes(const struct dms_cuda_pair_counter *counter)
{
    return (uint64_t)counter->word_ct * sizeof(uint64_t);
}

static uint64_t result_bytes(uint64_t side)
{
    return side * side * sizeof(uint32_t);
}

static size_t panels_of(const struct dms_cuda_pair_counter *counter, size_t side)
{
    return (counter->rows->example_ct + side - 1) / side;
}

/* What the device needs at least for panels of that size. */
static uint64_t least_bytes(const struct dms_cuda_pair_counter *counter, size_t side)
{
    size_t panel_ct = panels_of(counter, side);

    return 2 * result_bytes(side) + (panel_ct < 2 ? panel_ct : 2) * side * column_bytes(counter);
}

/* Panels as large as two of them fit; places for as many as fit. */
static int choose_sizes(struct dms_cuda_pair_counter *counter, uint64_t device_bytes)
{
    uint64_t usable = dms_cuda_usable_bytes(&counter->cuda), place_ct;
    size_t example_ct = counter->rows->example_ct;
    size_t side = example_ct == 0 ? 1 : example_ct < SIDE_MAX ? example_ct : SIDE_MAX;

    if (device_bytes > 0 && device_bytes < usable)
        usable = device_bytes;
    while (side > 1 && least_bytes(counter, side) > usable)
        side /= 2;
    if (least_bytes(counter, side) > usable)
        return dms_fail(DMS_ERR_NO_MEMORY,
                        "counting pairs of examples in %" PRIu64 " rows needs %" PRIu64
                        " bytes of CUDA device %d (%s), and %" PRIu64 " can be used",
                        counter->rows->row_ct, least_bytes(counter, side), counter->cuda.index,
                        counter->cuda.name, usable);
    counter->side = side;
    counter->panel_ct = panels_of(counter, side);
    place_ct = (usable - 2 * result_bytes(side)) / (side * column_bytes(counter));
    counter->place_ct = place_ct < counter->panel_ct ? (size_t)place_ct : counter->panel_ct;
    /* Some pieces of a panel: one is packed while the other is copied. */
    counter->column_max = STAGING_BYTES / column_bytes(counter);
    if (counter->column_max > (side + STAGING_PIECES - 1) / STAGING_PIECES)
        counter->column_max = (side + STAGING_PIECES - 1) / STAGING_PIECES;
    if (counter->column_max < 1)
        counter->column_max = 1;
    return DMS_OK;
}

static int open_place(const struct dms_cuda_pair_counter *counter, struct place *place)
{
    const struct dms_cuda_module *module = counter->cuda.module;
    int code = module->allocate(counter->side * column_bytes(counter), (void **)&place->columns);

    place->panel = NO_PANEL;
    if (code == 0)
        code = module->create_event(&place->ready);
    return code == 0 ? module->create_event(&place->used) : code;
}

static int open_staging(const struct dms_cuda_pair_counter *counter, struct staging *staging)
{
    const struct dms_cuda_module *module = counter->cuda.module;
    int code = module->allocate_pinned(counter->column_max * column_bytes(counter),
                                       (void **)&staging->columns);

    return code == 0 ? module->create_event(&staging->copied) : code;
}

static int open_result(const struct dms_cuda_pair_counter *counter, struct result *result)
{
    const struct dms_cuda_module *module = counter->cuda.module;
    size_t bytes = result_bytes(counter->side);
    int code = module->allocate(bytes, (void **)&result->counts);

    if (code == 0)
        code = module->allocate_pinned(bytes, (void **)&result->pinned);
    if (code == 0)
        code = module->create_event(&result->counted);
    return code == 0 ? module->create_event(&result->returned) : code;
}

static int open_all(struct dms_cuda_pair_counter *counter)
{
    const struct dms_cuda_module *module = counter->cuda.module;
    int code = module->create_stream(&counter->copying);

    if (code == 0)
        code = module->create_stream(&counter->computing);
    if (code == 0)
        code = module->create_stream(&counter->returning);
    for (size_t i = 0; code == 0 && i < COUNT_OF(counter->results); i++)
        code = open_result(counter, &counter->results[i]);
    for (size_t i = 0; code == 0 && i < COUNT_OF(counter->staging); i++)
        code = open_staging(counter, &counter->staging[i]);
    for (size_t i = 0; code == 0 && i < counter->place_ct; i++)
        code = open_place(counter, &counter->places[i]);
    return dms_cuda_check(&counter->cuda, code, "counts of pairs");
}

int dms_cuda_pairs_open(const struct dms_packed_rows *rows, uint64_t device_bytes,
                        struct dms_cuda_pair_counter **counter)
{
    size_t step = DMS_CUDA_COLUMN_WORDS, step_ct = (rows->word_ct + step - 1) / step;
    struct dms_cuda_pair_counter *made;
    int rc;

    if (rows->row_ct >= ROW_LIMIT)
        return dms_fail(DMS_ERR_INVALID,
                        "pairs are counted on CUDA devices in fewer than 2^31 rows, and not in "
                        "%" PRIu64,
                        rows->row_ct);
    made = dms_alloc(1, sizeof *made);
    if (!made)
        return DMS_ERR_NO_MEMORY;
    made->rows = rows;
    made->word_ct = (step_ct > 0 ? step_ct : 1) * step;
    rc = dms_cuda_open(&made->cuda);
    if (rc == DMS_OK)
        rc = choose_sizes(made, device_bytes);
    if (rc == DMS_OK) {
        made->places = dms_alloc(made->place_ct, sizeof *made->places);
        rc = made->places ? open_all(made) : DMS_ERR_NO_MEMORY;
    }
    if (rc < 0)
        dms_cuda_pairs_close(made);
    else
        *counter = made;
    return rc;
}

size_t dms_cuda_pairs_panel_size(const struct dms_cuda_pair_counter *counter)
{
    return counter->side;
}

static void close_event(const struct dms_cuda_module *module, dms_cuda_event *event)
{
    if (event)
        module->destroy_event(event);
}

static void close_places(struct dms_cuda_pair_counter *counter)
{
    const struct dms_cuda_module *module = counter->cuda.module;

    for (size_t i = 0; counter->places && i < counter->place_ct; i++) {
        module->release(counter->places[i].columns);
        close_event(module, counter->places[i].ready);
        close_event(module, counter->places[i].used);
    }
    for (size_t i = 0; i < COUNT_OF(counter->staging); i++) {
        module->release_pinned(counter->staging[i].columns);
        close_event(module, counter->staging[i].copied);
    }
    for (size_t i = 0; i < COUNT_OF(counter->results); i++) {
        module->release(counter->results[i].counts);
        module->release_pinned(counter->results[i].pinned);
        close_event(module, counter->results[i].counted);
        close_event(module, counter->results[i].returned);
    }
}

void dms_cuda_pairs_close(struct dms_cuda_pair_counter *counter)
{
    if (!counter)
        return;
    if (counter->cuda.module) {
        const struct dms_cuda_module *module = counter->cuda.module;
        dms_cuda_stream *streams[] = {counter->copying, counter->computing, counter->returning};

        /* What was begun may still use what is freed now. */
        for (size_t i = 0; i < COUNT_OF(streams); i++)
            if (streams[i])
                (void)module->finish(streams[i]);
        close_places(counter);
        for (size_t i = 0; i < COUNT_OF(streams); i++)
            if (streams[i])
                module->destroy_stream(streams[i]);
    }
    free(counter->places);
    free(counter);
}

/* ---- panels ---- */

/* Columns first .. end - 1 into a pinned buffer, with zeros behind the words that there are. */
static void pack(const struct dms_cuda_pair_counter *counter, size_t first, size_t end,
                 uint64_t *to)
{
    size_t given = counter->rows->word_ct, more = counter->word_ct - given;

    for (size_t k = first; k < end; k++, to += counter->word_ct) {
        if (given > 0)
            memcpy(to, counter->rows->columns + k * given, given * sizeof *to);
        memset(to + given, 0, more * sizeof *to);
    }
}

static int upload(struct dms_cuda_pair_counter *counter, size_t panel, struct place *place)
{
    const struct dms_cuda_module *module = counter->cuda.module;
    size_t first = panel * counter->side, end = first + counter->side;
    int code = module->wait(counter->copying, place->used);

    if (end > counter->rows->example_ct)
        end = counter->rows->example_ct;
    for (size_t k = first; code == 0 && k < end; k += counter->column_max) {
        struct staging *staging = &counter->staging[counter->staged_ct++ % 2];
        size_t column_ct = end - k < counter->column_max ? end - k : counter->column_max;

        code = module->await(staging->copied);
        if (code != 0)
            break;
        pack(counter, k, k + column_ct, staging->columns);
        code = module->copy(place->columns + (k - first) * counter->word_ct, staging->columns,
                            column_ct * column_bytes(counter), counter->copying);
        if (code == 0)
            code = module->record(staging->copied, counter->copying);
    }
    return code == 0 ? module->record(place->ready, counter->copying) : code;
}

/* Where the panel is; it comes to the place that was not used for the longest time, which is not
 * that of panel `other`. */
static int find_panel(struct dms_cuda_pair_counter *counter, size_t panel, size_t other,
                      struct place **found)
{
    struct place *oldest = NULL;
    int code;

    for (size_t i = 0; i < counter->place_ct; i++) {
        struct place *place = &counter->places[i];

        if (place->panel == panel) {
            place->last_use = ++counter->use_ct;
            *found = place;
            return 0;
        }
        if (place->panel != other && (!oldest || place->last_use < oldest->last_use))
            oldest = place;
    }
    oldest->panel = NO_PANEL;
    code = upload(counter, panel, oldest);
    if (code == 0)
        oldest->panel = panel;
    oldest->last_use = ++counter->use_ct;
    *found = oldest;
    return code;
}

/* ---- counting ---- */

/* Waits for counts that are on their way, and hands them to the caller. */
static int take_result(const struct dms_cuda_pair_counter *counter, struct result *result)
{
    const struct part *part = &result->part;
    size_t b_ct = part->end_b - part->first_b;
    int code;

    if (!part->counts)
        return 0;
    code = counter->cuda.module->await(result->returned);
    for (size_t i = 0; code == 0 && i < part->end_a - part->first_a; i++)
        memcpy(part->counts + i * part->stride, result->pinned + i * b_ct,
               b_ct * sizeof *part->counts);
    result->part.counts = NULL;
    return code;
}

/* Begins to count with both panels in their places. */
static int begin_part(const struct dms_cuda_pair_counter *counter, const struct place *a,
                      const struct place *b, struct result *result)
{
    const struct dms_cuda_module *module = counter->cuda.module;
    const struct part *part = &result->part;
    const struct dms_cuda_column_pairs pairs = {
        .a = a->columns + part->first_a % counter->side * counter->word_ct,
        .b = b->columns + part->first_b % counter->side * counter->word_ct,
        .word_ct = (uint32_t)counter->word_ct,
        .a_ct = (uint32_t)(part->end_a - part->first_a),
        .b_ct = (uint32_t)(part->end_b - part->first_b),
        .counts = result->counts,
    };
    int code = module->wait(counter->computing, a->ready);

    if (code == 0)
        code = module->wait(counter->computing, b->ready);
    if (code == 0)
        code = (counter->cuda.counts_in_bits ? module->count_columns_b1 : module->count_columns_s8)(
            &pairs, counter->computing);
    if (code == 0)
        code = module->record(a->used, counter->computing);
    if (code == 0)
        code = module->record(b->used, counter->computing);
    if (code == 0)
        code = module->record(result->counted, counter->computing);
    if (code == 0)
        code = module->wait(counter->returning, result->counted);
    if (code == 0)
        code = module->copy(result->pinned, result->counts,
                            (size_t)pairs.a_ct * pairs.b_ct * sizeof(uint32_t), counter->returning);
    return code == 0 ? module->record(result->returned, counter->returning) : code;
}

static int count_part(struct dms_cuda_pair_counter *counter, const struct part *part)
{
    struct result *result = &counter->results[counter->part_ct++ % 2];
    size_t panel_a = part->first_a / counter->side, panel_b = part->first_b / counter->side;
    struct place *a = NULL, *b = NULL;
    int code = take_result(counter, result);

    if (code == 0)
        code = find_panel(counter, panel_a, panel_b, &a);
    if (code == 0)
        code = find_panel(counter, panel_b, panel_a, &b);
    if (code != 0)
        return code;
    result->part = *part;
    return begin_part(counter, a, b, result);
}

/* The end of the panel that `first` is in, or that of the range. */
static size_t panel_end(const struct dms_cuda_pair_counter *counter, size_t first, size_t end)
{
    size_t whole = (first / counter->side + 1) * counter->side;

    return whole < end ? whole : end;
}

/* Panels of b forwards and backwards in turns: the last of one row are the first of the next. */
static int count_row(struct dms_cuda_pair_counter *counter, const struct part *row,
                     bool is_backwards)
{
    size_t first_panel = row->first_b / counter->side;
    size_t panel_ct = (row->end_b - 1) / counter->side - first_panel + 1;
    int code = 0;

    for (size_t i = 0; code == 0 && i < panel_ct; i++) {
        size_t panel = first_panel + (is_backwards ? panel_ct - 1 - i : i);
        struct part part = *row;

        if (panel * counter->side > row->first_b)
            part.first_b = panel * counter->side;
        part.end_b = panel_end(counter, part.first_b, row->end_b);
        part.counts += part.first_b - row->first_b;
        code = count_part(counter, &part);
    }
    return code;
}

static int count_all(struct dms_cuda_pair_counter *counter, const struct part *asked)
{
    bool is_backwards = false;
    int code = counter->cuda.module->select(counter->cuda.index);

    for (size_t a = asked->first_a; code == 0 && a < asked->end_a;) {
        struct part row = *asked;

        row.first_a = a;
        row.end_a = panel_end(counter, a, asked->end_a);
        row.counts += (a - asked->first_a) * asked->stride;
        code = count_row(counter, &row, is_backwards);
        is_backwards = !is_backwards;
        a = row.end_a;
    }
    for (size_t i = 0; i < COUNT_OF(counter->results); i++) {
        int taken = code == 0 ? take_result(counter, &counter->results[i]) : 0;

        counter->results[i].part.counts = NULL;
        code = code == 0 ? taken : code;
    }
    return code;
}

int dms_cuda_pairs_count(struct dms_cuda_pair_counter *counter, size_t first_a, size_t end_a,
                         size_t first_b, size_t end_b, uint32_t *counts)
{
    struct part asked = {first_a, end_a, first_b, end_b, counts, end_b - first_b};
    size_t example_ct = counter->rows->example_ct;

    if (first_a > end_a || end_a > example_ct || first_b > end_b || end_b > example_ct)
        return dms_fail(DMS_ERR_INVALID,
                        "pairs of examples %zu..%zu and %zu..%zu were asked for, and there are "
                        "%zu examples",
                        first_a, end_a, first_b, end_b, example_ct);
    if (first_a == end_a || first_b == end_b)
        return DMS_OK;
    return dms_cuda_check(&counter->cuda, count_all(counter, &asked), "counting pairs");
}
