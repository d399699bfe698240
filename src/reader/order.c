/*
 * Orders as arithmetic: keys are mixed from seed, epoch and window; a permutation is six rounds of
 * a Feistel network. Nothing is kept between calls.
 */
#include "reader/order.h"

#include "base/mix.h"

enum { ROUNDS = 6 };

/* What a key is for, so that no two permutations share one. */
enum purpose { PURPOSE_BLOCKS = 1, PURPOSE_ROWS = 2 };

static uint64_t make_key(uint64_t seed, uint64_t epoch, enum purpose purpose, uint64_t window)
{
    uint64_t key = dms_mix(seed + DMS_MIX_STEP);
    key = dms_mix(key ^ epoch);
    return dms_mix(dms_mix(key + (uint64_t)purpose) ^ window);
}

/* ---- permutations ---- */

static uint64_t square_root_up(uint64_t count)
{
    uint64_t root = 1;
    for (uint64_t step = UINT64_C(1) << 31; step > 0; step /= 2) {
        if ((root + step) * (root + step) <= count) {
            root += step;
        }
    }
    return root * root < count ? root + 1 : root;
}

struct dms_permutation dms_permutation_make(uint64_t count, uint64_t key)
{
    uint64_t width = square_root_up(count);
    return (struct dms_permutation){count, width, (count + width - 1) / width, key};
}

/* A number below `limit`, from `value` and the key of a round. */
static inline uint64_t round_value(uint64_t value, uint64_t key, uint64_t limit)
{
    uint64_t mixed = (value ^ key) * UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return (mixed >> 32) * limit >> 32;
}

uint64_t dms_permutation_at(const struct dms_permutation *permutation, uint64_t index)
{
    uint64_t width = permutation->width;
    uint64_t height = permutation->height;
    do {
        uint64_t x = index % width;
        uint64_t y = index / width;
        uint64_t key = permutation->key;
        for (int round = 0; round < ROUNDS; round += 2) {
            x += round_value(y, key, width);
            x -= x >= width ? width : 0;
            key = key * UINT64_C(0xd1342543de82ef95) + 1;
            y += round_value(x, key, height);
            y -= y >= height ? height : 0;
            key = key * UINT64_C(0xd1342543de82ef95) + 1;
        }
        index = y * width + x;
    } while (index >= permutation->count);
    return index;
}

/* ---- windows ---- */

/* Begins an epoch: the window before its first one. */
static struct dms_order_window before_first(uint64_t epoch)
{
    return (struct dms_order_window){.epoch = epoch, .number = UINT64_MAX};
}

/* Fills in the blocks of window->number. */
static void take_blocks(const struct dms_epoch_order *order, struct dms_window_space space,
                        struct dms_order_window *window)
{
    const struct dms_row_table *table = order->table;
    if (order->kind == DMS_ORDER_RANDOM) {
        window->block_ct = table->block_ct;
        window->starts = table->starts;
        window->row_ct = table->row_ct;
        return;
    }
    struct dms_permutation blocks = dms_permutation_make(
        table->block_ct, make_key(order->seed, window->epoch, PURPOSE_BLOCKS, 0));
    size_t first = (size_t)window->number * order->window_blocks;
    size_t rest = table->block_ct - first;
    window->block_ct = rest < order->window_blocks ? rest : order->window_blocks;
    for (size_t k = 0; k < window->block_ct; k++) {
        size_t block = order->kind == DMS_ORDER_QUASI_RANDOM
                           ? (size_t)dms_permutation_at(&blocks, first + k)
                           : first + k;
        space.blocks[k] = block;
        space.starts[k] = window->row_ct;
        window->row_ct += table->blocks[block].kept_ct;
    }
    space.starts[window->block_ct] = window->row_ct;
    window->blocks = space.blocks;
    window->starts = space.starts;
}

void dms_order_next(const struct dms_epoch_order *order, const struct dms_order_window *before,
                    struct dms_window_space space, struct dms_order_window *window)
{
    uint64_t first = before->first + before->row_ct;
    bool is_new_epoch = first == order->table->row_ct;
    struct dms_order_window next = {
        .epoch = before->epoch + is_new_epoch,
        .number = is_new_epoch ? 0 : before->number + 1,
        .first = is_new_epoch ? 0 : first,
    };
    take_blocks(order, space, &next);
    next.shuffled = order->kind != DMS_ORDER_SEQUENTIAL;
    next.rows = dms_permutation_make(next.row_ct,
                                     make_key(order->seed, next.epoch, PURPOSE_ROWS, next.number));
    *window = next;
}

void dms_order_find(const struct dms_epoch_order *order, uint64_t epoch, uint64_t position,
                    struct dms_window_space space, struct dms_order_window *window)
{
    struct dms_order_window at = before_first(epoch);
    do {
        dms_order_next(order, &at, space, &at);
    } while (position - at.first >= at.row_ct);
    *window = at;
}

void dms_order_row(const struct dms_order_window *window, uint64_t position, size_t *block,
                   uint32_t *kept)
{
    uint64_t row = position - window->first;
    if (window->shuffled) {
        row = dms_permutation_at(&window->rows, row);
    }
    *block = dms_find_span(window->starts, window->block_ct, row);
    *kept = (uint32_t)(row - window->starts[*block]);
}
