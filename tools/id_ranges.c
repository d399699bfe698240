/*
 * Parses, joins and prints ranges of model ids; see id_ranges.h.
 */
#include "id_ranges.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore.h>

#include "options.h"

void id_ranges_free(struct id_ranges *ranges)
{
    free(ranges->items);
    *ranges = (struct id_ranges){0};
}

static int reserve(struct id_ranges *ranges, size_t more)
{
    size_t needed = ranges->item_ct + more;
    size_t capacity = ranges->capacity ? ranges->capacity : 16;
    struct id_range *items;

    if (needed <= ranges->capacity)
        return 0;
    while (capacity < needed)
        capacity *= 2;
    items = reallocarray(ranges->items, capacity, sizeof(*items));
    if (!items)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %zu ranges of ids", capacity);
    ranges->items = items;
    ranges->capacity = capacity;
    return 0;
}

int id_ranges_append(struct id_ranges *ranges, uint64_t first, uint64_t last)
{
    struct id_range *end = ranges->item_ct ? &ranges->items[ranges->item_ct - 1] : NULL;
    int code;

    if (end && (first <= end->last || first - end->last == 1)) {
        if (last > end->last)
            end->last = last;
        return 0;
    }
    code = reserve(ranges, 1);
    if (code < 0)
        return code;
    ranges->items[ranges->item_ct++] = (struct id_range){first, last};
    return 0;
}

static int compare_first(const void *left, const void *right)
{
    const struct id_range *a = left, *b = right;

    return (a->first > b->first) - (a->first < b->first);
}

/* Puts the ranges in order and joins those that overlap or touch. */
static void normalize(struct id_ranges *ranges)
{
    size_t item_ct = ranges->item_ct;

    if (item_ct == 0)
        return;
    qsort(ranges->items, item_ct, sizeof(*ranges->items), compare_first);
    ranges->item_ct = 1;
    for (size_t i = 1; i < item_ct; i++) {
        /* Has room: never more ranges than have been read. */
        struct id_range range = ranges->items[i];

        id_ranges_append(ranges, range.first, range.last);
    }
}

int id_ranges_add_ids(struct id_ranges *ranges, const uint64_t *ids, size_t id_ct)
{
    for (size_t i = 0; i < id_ct; i++) {
        struct id_range *end = ranges->item_ct ? &ranges->items[ranges->item_ct - 1] : NULL;
        int code;

        if (end && ids[i] > end->last && ids[i] - end->last == 1) {
            end->last = ids[i]; /* the usual case: ids in order need no more memory */
            continue;
        }
        code = reserve(ranges, 1);
        if (code < 0)
            return code;
        ranges->items[ranges->item_ct++] = (struct id_range){ids[i], ids[i]};
    }
    normalize(ranges);
    return 0;
}

/* Parses "N" or "N-M", bytes long. */
static bool parse_range(const char *text, size_t bytes, struct id_range *range)
{
    char part[64];
    char *dash;

    if (bytes >= sizeof(part))
        return false;
    memcpy(part, text, bytes);
    part[bytes] = '\0';
    dash = strchr(part, '-');
    if (dash)
        *dash = '\0';
    if (!tool_parse_number(part, 0, &range->first))
        return false;
    range->last = range->first;
    return !dash || (tool_parse_number(dash + 1, 0, &range->last) && range->last >= range->first);
}

int id_ranges_parse(const char *text, struct id_ranges *ranges)
{
    const char *part = text;

    for (;;) {
        size_t bytes = strcspn(part, ",");
        struct id_range range;
        int code;

        if (!parse_range(part, bytes, &range))
            return dms_source_fail(DMS_ERR_INVALID,
                                   "'%.*s' is not an id or a range of ids like 3-7", (int)bytes,
                                   part);
        code = reserve(ranges, 1);
        if (code < 0)
            return code;
        ranges->items[ranges->item_ct++] = range;
        if (!part[bytes])
            break;
        part += bytes + 1;
    }
    normalize(ranges);
    return 0;
}

uint64_t id_ranges_count(const struct id_ranges *ranges)
{
    uint64_t count = 0;

    for (size_t i = 0; i < ranges->item_ct; i++) {
        uint64_t last_index = ranges->items[i].last - ranges->items[i].first;

        if (last_index >= UINT64_MAX - count)
            return UINT64_MAX;
        count += last_index + 1;
    }
    return count;
}

void id_ranges_print(const struct id_ranges *ranges, FILE *file)
{
    for (size_t i = 0; i < ranges->item_ct; i++) {
        const struct id_range *range = &ranges->items[i];

        fprintf(file, "%s%" PRIu64, i > 0 ? "," : "", range->first);
        if (range->last > range->first)
            fprintf(file, "-%" PRIu64, range->last);
    }
}

char *id_ranges_text(const struct id_ranges *ranges)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *file = open_memstream(&text, &bytes);

    if (file) {
        id_ranges_print(ranges, file);
        if (fclose(file) == 0)
            return text;
        free(text);
    }
    dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for a list of ids");
    return NULL;
}
