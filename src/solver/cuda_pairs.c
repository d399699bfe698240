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
#include "solver/pair_band.h"

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

/* Counts on their way back. */
struct result {
    uint32_t *counts, *pinned;      /* side x side */
    struct dms_pair_rectangle part; /* .counts NULL: nothing is on its way */
    dms_cuda_event *counted, *returned;
};

/* What the caller asks for. */
struct request {
    size_t first_a, end_a, first_b, end_b;
    void *taker;
    int (*take)(void *taker, const struct dms_pair_rectangle *rectangle);
};

struct dms_cuda_pair_counter {
    struct dms_cuda cuda;
    size_t example_ct;
    uint64_t row_room;       /* rows that it was opened for */
    const uint64_t *columns; /* given_words for each example, stride_words apart */
    size_t given_words, stride_words;
    size_t side, panel_ct;
    size_t word_room;  /* that a column on the device has room for */
    size_t word_ct;    /* that it has */
    size_t column_max; /* of a staging buffer */
    dms_cuda_stream *copying, *computing, *returning;
    struct place *places;
    size_t place_ct;
    struct staging staging[2];
    struct result results[2];
    uint64_t use_ct, staged_ct, part_ct; /* so far */
};

/* ---- memory ---- */

/* Words of a column on the device: whole steps of the kernels, one at least. */
static size_t device_words(uint64_t word_ct)
{
    uint64_t step = DMS_CUDA_COLUMN_WORDS, step_ct = (word_ct + step - 1) / step;

    return (size_t)((step_ct > 0 ? step_ct : 1) * step);
}

/* Room for a column. */
static uint64_t column_bytes(const struct dms_cuda_pair_counter *counter)
{
    return (uint64_t)counter->word_room * sizeof(uint64_t);
}

static size_t largest_side(size_t example_ct)
{
    return example_ct == 0 ? 1 : example_ct < SIDE_MAX ? example_ct : SIDE_MAX;
}

/* Columns of a staging buffer: some pieces of a panel, one being packed while the other is
 * copied. */
static size_t staged_columns(size_t side, uint64_t bytes_of_column)
{
    size_t piece = (side + STAGING_PIECES - 1) / STAGING_PIECES;
    uint64_t fitting = STAGING_BYTES / bytes_of_column;

    if (fitting < 1)
        return 1;
    return fitting < piece ? (size_t)fitting : piece;
}

static uint64_t result_bytes(uint64_t side)
{
    return side * side * sizeof(uint32_t);
}

static size_t panels_of(const struct dms_cuda_pair_counter *counter, size_t side)
{
    return (counter->example_ct + side - 1) / side;
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
    size_t side = largest_side(counter->example_ct);

    if (device_bytes > 0 && device_bytes < usable)
        usable = device_bytes;
    while (side > 1 && least_bytes(counter, side) > usable)
        side /= 2;
    if (least_bytes(counter, side) > usable)
        return dms_fail(DMS_ERR_NO_MEMORY,
                        "counting pairs of examples in %" PRIu64 " rows needs %" PRIu64
                        " bytes of CUDA device %d (%s), and %" PRIu64 " can be used",
                        counter->row_room, least_bytes(counter, side), counter->cuda.index,
                        counter->cuda.name, usable);
    counter->side = side;
    counter->panel_ct = panels_of(counter, side);
    place_ct = (usable - 2 * result_bytes(side)) / (side * column_bytes(counter));
    counter->place_ct = place_ct < counter->panel_ct ? (size_t)place_ct : counter->panel_ct;
    counter->column_max = staged_columns(side, column_bytes(counter));
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

int dms_cuda_pairs_open(size_t example_ct, uint64_t row_ct, uint64_t device_bytes,
                        struct dms_cuda_pair_counter **counter)
{
    struct dms_cuda_pair_counter *made;
    int rc;

    if (row_ct >= ROW_LIMIT)
        return dms_fail(DMS_ERR_INVALID,
                        "pairs are counted on CUDA devices in fewer than 2^31 rows, and not in "
                        "%" PRIu64,
                        row_ct);
    made = dms_alloc(1, sizeof *made);
    if (!made)
        return DMS_ERR_NO_MEMORY;
    made->example_ct = example_ct;
    made->row_room = row_ct;
    made->word_room = made->word_ct = device_words((row_ct + 63) / 64);
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

uint64_t dms_cuda_pairs_host_bytes(size_t example_ct, uint64_t row_ct)
{
    size_t side = largest_side(example_ct);
    uint64_t column = device_words((row_ct + 63) / 64) * sizeof(uint64_t);

    return 2 * result_bytes(side) + 2 * staged_columns(side, column) * column;
}

const char *dms_cuda_pairs_device_name(const struct dms_cuda_pair_counter *counter)
{
    return counter->cuda.name;
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

int dms_cuda_pairs_set_rows(struct dms_cuda_pair_counter *counter, const uint64_t *columns,
                            size_t word_ct, size_t stride_words)
{
    if (word_ct > counter->word_room)
        return dms_fail(DMS_ERR_INVALID,
                        "%zu words of rows are more than the %zu that pairs are counted in",
                        word_ct, counter->word_room);
    counter->columns = columns;
    counter->given_words = word_ct;
    counter->stride_words = stride_words;
    counter->word_ct = device_words(word_ct);
    /* Nothing is under way: whoever counts waits for the last counts. */
    for (size_t i = 0; i < counter->place_ct; i++)
        counter->places[i].panel = NO_PANEL;
    return DMS_OK;
}

/* Columns first .. end - 1 into a pinned buffer, with zeros behind the words that there are. */
static void pack(const struct dms_cuda_pair_counter *counter, size_t first, size_t end,
                 uint64_t *to)
{
    size_t given = counter->given_words, more = counter->word_ct - given;

    for (size_t k = first; k < end; k++, to += counter->word_ct) {
        if (given > 0)
            memcpy(to, counter->columns + k * counter->stride_words, given * sizeof *to);
        memset(to + given, 0, more * sizeof *to);
    }
}

static int upload(struct dms_cuda_pair_counter *counter, size_t panel, struct place *place)
{
    const struct dms_cuda_module *module = counter->cuda.module;
    size_t first = panel * counter->side, end = first + counter->side;
    int code = module->wait(counter->copying, place->used);

    if (end > counter->example_ct)
        end = counter->example_ct;
    for (size_t k = first; code == 0 && k < end; k += counter->column_max) {
        struct staging *staging = &counter->staging[counter->staged_ct++ % 2];
        size_t column_ct = end - k < counter->column_max ? end - k : counter->column_max;

        code = module->await(staging->copied);
        if (code != 0)
            break;
        pack(counter, k, k + column_ct, staging->columns);
        code = module->copy(place->columns + (k - first) * counter->word_ct, staging->columns,
                            column_ct * counter->word_ct * sizeof(uint64_t), counter->copying);
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

/* Codes are those of the device, which are never negative, or what `take` failed with, which is. */

/* Waits for counts that are on their way, and hands them to the caller. */
static int take_result(const struct dms_cuda_pair_counter *counter, const struct request *request,
                       struct result *result)
{
    int code;

    if (!result->part.counts)
        return 0;
    code = counter->cuda.module->await(result->returned);
    if (code == 0)
        code = request->take(request->taker, &result->part);
    result->part.counts = NULL;
    return code;
}

/* Begins to count with both panels in their places. */
static int begin_part(const struct dms_cuda_pair_counter *counter, const struct place *a,
                      const struct place *b, struct result *result)
{
    const struct dms_cuda_module *module = counter->cuda.module;
    const struct dms_pair_rectangle *part = &result->part;
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

static int count_part(struct dms_cuda_pair_counter *counter, const struct request *request,
                      const struct dms_pair_rectangle *part)
{
    struct result *result = &counter->results[counter->part_ct++ % 2];
    size_t panel_a = part->first_a / counter->side, panel_b = part->first_b / counter->side;
    struct place *a = NULL, *b = NULL;
    int code = take_result(counter, request, result);

    if (code == 0)
        code = find_panel(counter, panel_a, panel_b, &a);
    if (code == 0)
        code = find_panel(counter, panel_b, panel_a, &b);
    if (code != 0)
        return code;
    result->part = *part;
    result->part.counts = result->pinned;
    return begin_part(counter, a, b, result);
}

/* The end of the panel that `first` is in, or that of the range. */
static size_t panel_end(const struct dms_cuda_pair_counter *counter, size_t first, size_t end)
{
    size_t whole = (first / counter->side + 1) * counter->side;

    return whole < end ? whole : end;
}

/* Panels of b forwards and backwards in turns: the last of one row are the first of the next. */
static int count_row(struct dms_cuda_pair_counter *counter, const struct request *request,
                     size_t first_a, size_t end_a, bool is_backwards)
{
    size_t first_panel = request->first_b / counter->side;
    size_t panel_ct = (request->end_b - 1) / counter->side - first_panel + 1;
    int code = 0;

    for (size_t i = 0; code == 0 && i < panel_ct; i++) {
        size_t first_b = (first_panel + (is_backwards ? panel_ct - 1 - i : i)) * counter->side;
        struct dms_pair_rectangle part = {.first_a = first_a, .end_a = end_a};

        part.first_b = first_b > request->first_b ? first_b : request->first_b;
        part.end_b = panel_end(counter, part.first_b, request->end_b);
        code = count_part(counter, request, &part);
    }
    return code;
}

static int count_all(struct dms_cuda_pair_counter *counter, const struct request *request)
{
    bool is_backwards = false;
    int code = counter->cuda.module->select(counter->cuda.index);

    for (size_t a = request->first_a, end; code == 0 && a < request->end_a; a = end) {
        end = panel_end(counter, a, request->end_a);
        code = count_row(counter, request, a, end, is_backwards);
        is_backwards = !is_backwards;
    }
    for (size_t i = 0; i < COUNT_OF(counter->results); i++) {
        int taken = code == 0 ? take_result(counter, request, &counter->results[i]) : 0;

        counter->results[i].part.counts = NULL;
        code = code == 0 ? taken : code;
    }
    return code;
}

int dms_cuda_pairs_count(struct dms_cuda_pair_counter *counter, size_t first_a, size_t end_a,
                         size_t first_b, size_t end_b, void *taker,
                         int (*take)(void *taker, const struct dms_pair_rectangle *rectangle))
{
    const struct request request = {first_a, end_a, first_b, end_b, taker, take};
    size_t example_ct = counter->example_ct;
    int code;

    if (first_a > end_a || end_a > example_ct || first_b > end_b || end_b > example_ct)
        return dms_fail(DMS_ERR_INVALID,
                        "pairs of examples %zu..%zu and %zu..%zu were asked for, and there are "
                        "%zu examples",
                        first_a, end_a, first_b, end_b, example_ct);
    if (first_a == end_a || first_b == end_b)
        return DMS_OK;
    code = count_all(counter, &request);
    return code < 0 ? code : dms_cuda_check(&counter->cuda, code, "counting pairs");
}
