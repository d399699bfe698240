/*
 * Scheduling. There are two kinds of work: a *unit* makes one part of one block of a window
 * readable (checks its hash, or decodes it); a *piece* copies the rows that a batch takes from one
 * window. Pieces are begun strictly in the order of the stream, units of several windows ahead.
 *
 * Invariants, under the one lock: the cursor is the first row that no piece has been begun for; it
 * lies in the window `current`, the windows after it follow in the ring. A window is free again
 * when the cursor has left it and its pieces have ended; a slot, when the consumer has given it
 * back. A failure ends the beginning of pieces; what was begun before it, all of it earlier in the
 * stream, is still delivered.
 */
#include "reader/prefetch.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/thread.h"

#include <stdlib.h>
#include <unistd.h>

enum slot_state { SLOT_FREE, SLOT_FILLING, SLOT_READY, SLOT_HELD };

/* A batch and where it is on its way. */
struct slot {
    struct dms_batch batch; /* the first member: the consumer gives this address back */
    struct dms_batch_buffers buffers;
    enum slot_state state;
    uint64_t number; /* of the batch, since the last seek */
    uint32_t row_ct;
    uint32_t open_piece_ct;         /* begun and not ended */
    bool is_complete;               /* all its pieces were begun */
    struct dms_error_state failure; /* code 0: none */
};

/* A window and its blocks' rows. */
struct window {
    struct dms_order_window order;
    struct dms_window_space space;
    struct dms_row_view *views; /* window_blocks x part_ct; NULL in random order */
    struct dms_buffer *rows;    /* decoded, as many */
    bool is_loaded;             /* `order` is filled in */
    uint64_t number;            /* of the window since the last seek */
    size_t unit_ct, next_unit, done_unit_ct;
    uint32_t open_piece_ct;
    size_t failed_unit; /* the first one that failed, when failure.code != 0 */
    struct dms_error_state failure;
};

struct dms_prefetch {
    struct dms_prefetch_plan plan;
    pid_t process; /* that has the workers */
    pthread_mutex_t lock;
    pthread_cond_t work_arrived;  /* for workers */
    pthread_cond_t batch_arrived; /* for the consumer */
    pthread_cond_t all_idle;      /* for a seek */
    bool stopping;
    bool paused;        /* by a seek, or after a failure: nothing new is begun */
    unsigned active_ct; /* workers that are at something */

    struct slot *slots;
    struct slot *filling;                   /* the slot whose batch is not complete, or NULL */
    uint64_t next_number;                   /* of the next batch to begin */
    uint64_t next_wanted;                   /* of the next batch to deliver ... */
    uint64_t wanted_epoch, wanted_position; /* ... and where it begins */
    uint32_t held_ct;

    struct window *windows; /* a ring of plan.window_ct */
    uint64_t current;       /* number of the cursor's window since the last seek */
    uint64_t next_load;     /* of the next window to load */
    uint64_t cursor;        /* position in the current window's epoch */

    unsigned worker_ct;
    pthread_t workers[];
};

static struct window *window_at(struct dms_prefetch *prefetch, uint64_t number)
{
    return &prefetch->windows[number % prefetch->plan.window_ct];
}

/* ---- windows ---- */

/* Makes the window whose order was filled in, the next of the ring, known to the workers. */
static void begin_window(struct dms_prefetch *prefetch, struct window *window)
{
    window->is_loaded = true;
    window->number = prefetch->next_load++;
    window->unit_ct = window->views ? window->order.block_ct * prefetch->plan.source->part_ct : 0;
    window->next_unit = window->done_unit_ct = 0;
    window->failure.code = 0;
}

/* Loads the windows for which there is room, behind the current one. */
static void load_windows(struct dms_prefetch *prefetch)
{
    while (prefetch->next_load < prefetch->current + prefetch->plan.window_ct) {
        struct window *window = window_at(prefetch, prefetch->next_load);
        if (window->is_loaded) {
            return;
        }
        const struct window *before = window_at(prefetch, prefetch->next_load - 1);
        dms_order_next(&prefetch->plan.order, &before->order, window->space, &window->order);
        begin_window(prefetch, window);
    }
}

/* Lets go of a window once nobody needs it. */
static void free_window(const struct dms_prefetch *prefetch, struct window *window)
{
    if (window->number < prefetch->current && window->open_piece_ct == 0) {
        window->is_loaded = false;
    }
}

static bool take_unit(struct dms_prefetch *prefetch, struct window **taken, size_t *unit)
{
    for (uint64_t number = prefetch->current; number < prefetch->next_load; number++) {
        struct window *window = window_at(prefetch, number);
        if (window->next_unit < window->unit_ct) {
            *taken = window;
            *unit = window->next_unit++;
            return true;
        }
    }
    return false;
}

static int do_unit(const struct dms_prefetch_plan *plan, struct window *window, size_t unit,
                   struct dms_batch_scratch *scratch)
{
    size_t part = unit % plan->source->part_ct;
    size_t at = dms_window_block(&window->order, unit / plan->source->part_ct);
    const struct dms_row_block *block = &plan->table->blocks[at];
    int status = dms_source_map(plan->source, block, part, &window->views[unit]);
    if (status == DMS_END) {
        status = dms_source_decode(plan->source, block, part, &scratch->row, &window->rows[unit],
                                   &window->views[unit]);
    }
    return status;
}

/* Called, and returns, with the lock held. */
static void run_unit(struct dms_prefetch *prefetch, struct window *window, size_t unit,
                     struct dms_batch_scratch *scratch)
{
    pthread_mutex_unlock(&prefetch->lock);
    int status = do_unit(&prefetch->plan, window, unit, scratch);
    pthread_mutex_lock(&prefetch->lock);
    if (status != 0 && (window->failure.code == 0 || unit < window->failed_unit)) {
        dms_error_save(&window->failure);
        window->failure.code = status;
        window->failed_unit = unit;
    }
    window->done_unit_ct++;
    if (window->done_unit_ct == window->unit_ct) {
        pthread_cond_broadcast(&prefetch->work_arrived);
    }
}

/* ---- pieces ---- */

/* What a worker is to do for a batch. */
struct piece_task {
    struct slot *slot;
    struct window *window;
    struct dms_piece piece;
};

static struct slot *free_slot(struct dms_prefetch *prefetch)
{
    for (uint32_t k = 0; k < prefetch->plan.slot_ct; k++) {
        if (prefetch->slots[k].state == SLOT_FREE) {
            return &prefetch->slots[k];
        }
    }
    return NULL;
}

/* Begins a batch at the cursor. */
static void begin_batch(struct dms_prefetch *prefetch, struct slot *slot)
{
    uint64_t rest = prefetch->plan.table->row_ct - prefetch->cursor;
    slot->state = SLOT_FILLING;
    slot->number = prefetch->next_number++;
    slot->batch.epoch = window_at(prefetch, prefetch->current)->order.epoch;
    slot->batch.position = prefetch->cursor;
    slot->row_ct =
        rest < prefetch->plan.shape.row_ct ? (uint32_t)rest : prefetch->plan.shape.row_ct;
    slot->is_complete = false;
    slot->failure.code = 0;
    slot->buffers.masks_in_place = NULL;
    prefetch->filling = slot;
}

/* Moves the cursor over the rows of a piece that is begun. */
static void advance(struct dms_prefetch *prefetch, struct window *window, uint32_t row_ct)
{
    prefetch->cursor += row_ct;
    if (prefetch->cursor == window->order.first + window->order.row_ct) {
        prefetch->current++;
        if (prefetch->cursor == prefetch->plan.table->row_ct) {
            prefetch->cursor = 0;
        }
    }
}

static bool take_piece(struct dms_prefetch *prefetch, struct piece_task *task)
{
    load_windows(prefetch);
    struct window *window = window_at(prefetch, prefetch->current);
    if (prefetch->current == prefetch->next_load || window->done_unit_ct < window->unit_ct) {
        return false;
    }
    struct slot *slot = prefetch->filling ? prefetch->filling : free_slot(prefetch);
    if (!slot) {
        return false;
    }
    if (!prefetch->filling) {
        begin_batch(prefetch, slot);
    }
    uint64_t window_rest = window->order.first + window->order.row_ct - prefetch->cursor;
    uint32_t batch_row = (uint32_t)(prefetch->cursor - slot->batch.position);
    uint32_t row_ct = slot->row_ct - batch_row;
    row_ct = window_rest < row_ct ? (uint32_t)window_rest : row_ct;
    *task = (struct piece_task){
        slot,
        window,
        {prefetch->plan.source, prefetch->plan.table, &window->order, window->views,
         prefetch->cursor, row_ct, batch_row, row_ct == slot->row_ct},
    };
    slot->open_piece_ct++;
    slot->is_complete = batch_row + row_ct == slot->row_ct;
    if (slot->is_complete) {
        prefetch->filling = NULL;
    }
    window->open_piece_ct++;
    advance(prefetch, window, row_ct);
    if (window->failure.code != 0) {
        slot->failure = window->failure;
        prefetch->paused = true;
    }
    return true;
}

/* Does what takes the whole batch, whose last piece has ended. */
static void finish_batch(const struct dms_batch_shape *shape, const struct dms_piece *last,
                         struct slot *slot)
{
    if (shape->mask_columns && !last->is_whole) {
        dms_batch_transpose(shape, slot->row_ct, &slot->buffers);
    }
    dms_batch_describe(shape, slot->row_ct, &slot->buffers, &slot->batch);
}

/* Called, and returns, with the lock held. */
static void run_piece(struct dms_prefetch *prefetch, struct piece_task *task,
                      struct dms_batch_scratch *scratch)
{
    struct slot *slot = task->slot;
    const struct dms_batch_shape *shape = &prefetch->plan.shape;
    int status = slot->failure.code;
    pthread_mutex_unlock(&prefetch->lock);
    if (status == 0) {
        status = dms_gather(shape, &task->piece, scratch, &slot->buffers);
    }
    pthread_mutex_lock(&prefetch->lock);
    if (status != 0 && slot->failure.code == 0) {
        dms_error_save(&slot->failure);
        slot->failure.code = status;
        prefetch->paused = true;
    }
    task->window->open_piece_ct--;
    free_window(prefetch, task->window);
    slot->open_piece_ct--;
    if (slot->open_piece_ct == 0 && (slot->is_complete || slot->failure.code != 0)) {
        if (slot->failure.code == 0) {
            pthread_mutex_unlock(&prefetch->lock);
            finish_batch(shape, &task->piece, slot);
            pthread_mutex_lock(&prefetch->lock);
        }
        slot->state = SLOT_READY;
        pthread_cond_signal(&prefetch->batch_arrived);
    }
    pthread_cond_broadcast(&prefetch->work_arrived);
}

/* ---- workers ---- */

static void *work(void *argument)
{
    struct dms_prefetch *prefetch = argument;
    struct dms_batch_scratch scratch = {0};
    pthread_mutex_lock(&prefetch->lock);
    while (!prefetch->stopping) {
        struct piece_task task;
        struct window *window;
        size_t unit;
        prefetch->active_ct++;
        if (!prefetch->paused && take_piece(prefetch, &task)) {
            run_piece(prefetch, &task, &scratch);
            prefetch->active_ct--;
        } else if (!prefetch->paused && take_unit(prefetch, &window, &unit)) {
            run_unit(prefetch, window, unit, &scratch);
            prefetch->active_ct--;
        } else {
            prefetch->active_ct--;
            if (prefetch->active_ct == 0) {
                pthread_cond_signal(&prefetch->all_idle);
            }
            pthread_cond_wait(&prefetch->work_arrived, &prefetch->lock);
        }
    }
    pthread_mutex_unlock(&prefetch->lock);
    dms_buffer_free(&scratch.row);
    dms_buffer_free(&scratch.values);
    dms_buffer_free(&scratch.ahead);
    return NULL;
}

/* ---- beginning and end ---- */

/* Goes to a place in the stream while no worker is at anything. */
static void go_to(struct dms_prefetch *prefetch, uint64_t epoch, uint64_t position)
{
    for (uint32_t k = 0; k < prefetch->plan.slot_ct; k++) {
        prefetch->slots[k].state = SLOT_FREE;
        prefetch->slots[k].open_piece_ct = 0;
    }
    for (uint32_t k = 0; k < prefetch->plan.window_ct; k++) {
        prefetch->windows[k].is_loaded = false;
    }
    prefetch->filling = NULL;
    prefetch->next_number = prefetch->next_wanted = 0;
    prefetch->current = prefetch->next_load = 0;
    prefetch->cursor = position;
    prefetch->wanted_epoch = epoch;
    prefetch->wanted_position = position;
    struct window *window = window_at(prefetch, 0);
    dms_order_find(&prefetch->plan.order, epoch, position, window->space, &window->order);
    begin_window(prefetch, window);
}

static int make_windows(struct dms_prefetch *prefetch)
{
    const struct dms_prefetch_plan *plan = &prefetch->plan;
    prefetch->windows = dms_alloc(plan->window_ct, sizeof *prefetch->windows);
    if (!prefetch->windows || plan->order.kind == DMS_ORDER_RANDOM) {
        return prefetch->windows ? 0 : DMS_ERR_NO_MEMORY;
    }
    for (uint32_t k = 0; k < plan->window_ct; k++) {
        struct window *window = &prefetch->windows[k];
        size_t block_ct = plan->order.window_blocks;
        size_t unit_ct = block_ct * plan->source->part_ct;
        window->space.blocks = dms_alloc(block_ct, sizeof *window->space.blocks);
        window->space.starts = dms_alloc(block_ct + 1, sizeof *window->space.starts);
        window->views = dms_alloc(unit_ct, sizeof *window->views);
        window->rows = dms_alloc(unit_ct, sizeof *window->rows);
        if (!window->space.blocks || !window->space.starts || !window->views || !window->rows) {
            return DMS_ERR_NO_MEMORY;
        }
    }
    return 0;
}

static int make_slots(struct dms_prefetch *prefetch)
{
    prefetch->slots = dms_alloc(prefetch->plan.slot_ct, sizeof *prefetch->slots);
    int status = prefetch->slots ? 0 : DMS_ERR_NO_MEMORY;
    for (uint32_t k = 0; status == 0 && k < prefetch->plan.slot_ct; k++) {
        status = dms_batch_buffers_make(&prefetch->plan.shape, &prefetch->slots[k].buffers);
    }
    return status;
}

int dms_prefetch_start(const struct dms_prefetch_plan *plan, struct dms_prefetch **prefetch)
{
    struct dms_prefetch *made =
        dms_alloc(1, sizeof *made + plan->thread_ct * sizeof made->workers[0]);
    if (!made) {
        return DMS_ERR_NO_MEMORY;
    }
    made->plan = *plan;
    made->process = getpid();
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->work_arrived, NULL);
    pthread_cond_init(&made->batch_arrived, NULL);
    pthread_cond_init(&made->all_idle, NULL);
    int status = make_windows(made);
    if (status == 0) {
        status = make_slots(made);
    }
    if (status == 0) {
        go_to(made, 0, 0);
    }
    while (status == 0 && made->worker_ct < plan->thread_ct) {
        status = dms_thread_start(&made->workers[made->worker_ct], work, made);
        made->worker_ct += status == 0;
    }
    if (status != 0) {
        dms_prefetch_stop(made);
        return status;
    }
    *prefetch = made;
    return 0;
}

static void end_workers(struct dms_prefetch *prefetch)
{
    pthread_mutex_lock(&prefetch->lock);
    prefetch->stopping = true;
    pthread_cond_broadcast(&prefetch->work_arrived);
    pthread_mutex_unlock(&prefetch->lock);
    for (unsigned k = 0; k < prefetch->worker_ct; k++) {
        pthread_join(prefetch->workers[k], NULL);
    }
    pthread_cond_destroy(&prefetch->work_arrived);
    pthread_cond_destroy(&prefetch->batch_arrived);
    pthread_cond_destroy(&prefetch->all_idle);
    pthread_mutex_destroy(&prefetch->lock);
}

void dms_prefetch_stop(struct dms_prefetch *prefetch)
{
    if (!prefetch) {
        return;
    }
    /* A forked child has the memory but not the threads, and the lock may be anyone's. */
    if (prefetch->process == getpid()) {
        end_workers(prefetch);
    }
    size_t unit_ct = prefetch->plan.order.window_blocks * prefetch->plan.source->part_ct;
    for (uint32_t k = 0; prefetch->windows && k < prefetch->plan.window_ct; k++) {
        struct window *window = &prefetch->windows[k];
        for (size_t unit = 0; window->rows && unit < unit_ct; unit++) {
            dms_buffer_free(&window->rows[unit]);
        }
        free(window->space.blocks);
        free(window->space.starts);
        free(window->views);
        free(window->rows);
    }
    for (uint32_t k = 0; prefetch->slots && k < prefetch->plan.slot_ct; k++) {
        dms_batch_buffers_clear(&prefetch->plan.shape, &prefetch->slots[k].buffers);
    }
    free(prefetch->windows);
    free(prefetch->slots);
    free(prefetch);
}

/* ---- the consumer ---- */

static int fail_forked(void)
{
    return dms_fail(DMS_ERR_FORKED,
                    "a reader cannot be used after fork: open a new one in the child");
}

int dms_prefetch_seek(struct dms_prefetch *prefetch, uint64_t epoch, uint64_t position)
{
    if (prefetch->process != getpid()) {
        return fail_forked();
    }
    pthread_mutex_lock(&prefetch->lock);
    int status = 0;
    if (prefetch->held_ct > 0) {
        status = dms_fail(DMS_ERR_INVALID, "%u batches are held: release them before seeking",
                          prefetch->held_ct);
    } else if (prefetch->paused || epoch != prefetch->wanted_epoch ||
               position != prefetch->wanted_position) {
        prefetch->paused = true;
        while (prefetch->active_ct > 0) {
            pthread_cond_wait(&prefetch->all_idle, &prefetch->lock);
        }
        go_to(prefetch, epoch, position);
        prefetch->paused = false;
        pthread_cond_broadcast(&prefetch->work_arrived);
    }
    pthread_mutex_unlock(&prefetch->lock);
    return status;
}

/* The next batch to deliver once it is ready. */
static struct slot *wanted_slot(struct dms_prefetch *prefetch)
{
    for (uint32_t k = 0; k < prefetch->plan.slot_ct; k++) {
        struct slot *slot = &prefetch->slots[k];
        if (slot->state == SLOT_READY && slot->number == prefetch->next_wanted) {
            return slot;
        }
    }
    return NULL;
}

int dms_prefetch_next(struct dms_prefetch *prefetch, const struct dms_batch **batch)
{
    if (prefetch->process != getpid()) {
        return fail_forked();
    }
    struct slot *slot = NULL;
    int status = 0;
    pthread_mutex_lock(&prefetch->lock);
    if (prefetch->held_ct == prefetch->plan.slot_ct) {
        status = dms_fail(DMS_ERR_INVALID, "all %u batches are held: release one first",
                          prefetch->held_ct);
    }
    while (status == 0 && !(slot = wanted_slot(prefetch))) {
        pthread_cond_wait(&prefetch->batch_arrived, &prefetch->lock);
    }
    if (slot && slot->failure.code != 0) {
        status = dms_error_restore(&slot->failure);
    } else if (slot) {
        slot->state = SLOT_HELD;
        prefetch->held_ct++;
        prefetch->next_wanted++;
        bool is_last = slot->batch.position + slot->row_ct == prefetch->plan.table->row_ct;
        prefetch->wanted_epoch = slot->batch.epoch + is_last;
        prefetch->wanted_position = is_last ? 0 : slot->batch.position + slot->row_ct;
        *batch = &slot->batch;
    }
    pthread_mutex_unlock(&prefetch->lock);
    return status;
}

bool dms_prefetch_lends_map(const struct dms_batch *batch)
{
    const struct slot *slot = (const struct slot *)(const void *)batch;
    return batch->masks != NULL && batch->masks == slot->buffers.masks_in_place;
}

void dms_prefetch_release(struct dms_prefetch *prefetch, const struct dms_batch *batch)
{
    if (prefetch->process != getpid()) {
        return;
    }
    pthread_mutex_lock(&prefetch->lock);
    for (uint32_t k = 0; k < prefetch->plan.slot_ct; k++) {
        struct slot *slot = &prefetch->slots[k];
        if (&slot->batch == batch && slot->state == SLOT_HELD) {
            slot->state = SLOT_FREE;
            prefetch->held_ct--;
            pthread_cond_broadcast(&prefetch->work_arrived);
        }
    }
    pthread_mutex_unlock(&prefetch->lock);
}
