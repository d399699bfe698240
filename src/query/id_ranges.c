/*
 * Sets of model ids as runs; see id_ranges.h.
 */
#include "query/id_ranges.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"

uint64_t dms_id_ranges_count(const struct dms_id_range *ranges, size_t range_ct)
{
    uint64_t count = 0;

    for (size_t i = 0; i < range_ct; i++)
        count += ranges[i].id_ct;
    return count;
}

bool dms_id_ranges_contain(const struct dms_id_range *ranges, size_t range_ct, uint64_t id)
{
    size_t low = 0, high = range_ct; /* the first range that ends behind `id` is in low .. high */

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (ranges[middle].first_id + (ranges[middle].id_ct - 1) < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < range_ct && ranges[low].first_id <= id;
}

void dms_id_ranges_limit(struct dms_id_range *ranges, size_t *range_ct, uint64_t id_ct)
{
    size_t kept;

    for (kept = 0; kept < *range_ct && id_ct > 0; kept++) {
        if (ranges[kept].id_ct > id_ct)
            ranges[kept].id_ct = id_ct;
        id_ct -= ranges[kept].id_ct;
    }
    *range_ct = kept;
}

int dms_id_ranges_of(const uint64_t *ids, size_t id_ct, struct dms_id_range **ranges,
                     size_t *range_ct)
{
    struct dms_id_range *made = dms_alloc(id_ct, sizeof(*made));
    size_t made_ct = 0;

    if (!made)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; i < id_ct; i++) {
        struct dms_id_range *last = made_ct > 0 ? &made[made_ct - 1] : NULL;

        if (i > 0 && ids[i] == ids[i - 1])
            continue;
        if (last && ids[i] - last->first_id == last->id_ct)
            last->id_ct++;
        else
            made[made_ct++] = (struct dms_id_range){ids[i], 1};
    }
    *ranges = made;
    *range_ct = made_ct;
    return 0;
}

void dms_id_ranges_print(const struct dms_id_range *ranges, size_t range_ct, char *text,
                         size_t text_bytes)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < range_ct; i++) {
        uint64_t first = ranges[i].first_id, last = first + (ranges[i].id_ct - 1);

        if (text_bytes - used <
            48) { /* a comma, two numbers, a dash, and what stands for the rest */
            snprintf(text + used, text_bytes - used, ",...");
            return;
        }
        used +=
            (size_t)snprintf(text + used, text_bytes - used, "%s%" PRIu64, i > 0 ? "," : "", first);
        if (last > first)
            used += (size_t)snprintf(text + used, text_bytes - used, "-%" PRIu64, last);
    }
}

int dms_id_ranges_intersect(const struct dms_id_range *a, size_t a_ct, const struct dms_id_range *b,
                            size_t b_ct, struct dms_id_range **common, size_t *common_ct)
{
    struct dms_id_range *made = dms_alloc(a_ct + b_ct, sizeof(*made));
    size_t made_ct = 0, i = 0, j = 0;

    if (!made)
        return DMS_ERR_NO_MEMORY;
    while (i < a_ct && j < b_ct) {
        uint64_t a_last = a[i].first_id + (a[i].id_ct - 1);
        uint64_t b_last = b[j].first_id + (b[j].id_ct - 1);
        uint64_t first = a[i].first_id > b[j].first_id ? a[i].first_id : b[j].first_id;
        uint64_t last = a_last < b_last ? a_last : b_last;

        if (first <= last)
            made[made_ct++] = (struct dms_id_range){first, last - first + 1};
        i += a_last <= b_last;
        j += b_last <= a_last;
    }
    *common = made;
    *common_ct = made_ct;
    return 0;
}

int dms_id_ranges_live(dms_snapshot *snapshot, struct dms_id_range **ranges, size_t *range_ct)
{
    const struct dms_id_run *runs;
    struct dms_id_range *made;
    size_t run_ct, made_ct = 0;
    int code = dms_snapshot_id_runs(snapshot, &runs, &run_ct);

    if (code < 0)
        return code;
    made = dms_alloc(run_ct, sizeof(*made));
    if (!made)
        return DMS_ERR_NO_MEMORY;
    for (size_t i = 0; i < run_ct; i++) {
        struct dms_id_range *last = made_ct > 0 ? &made[made_ct - 1] : NULL;

        if (last && last->first_id + last->id_ct == runs[i].first_id)
            last->id_ct += runs[i].id_ct;
        else
            made[made_ct++] = (struct dms_id_range){runs[i].first_id, runs[i].id_ct};
    }
    *ranges = made;
    *range_ct = made_ct;
    return 0;
}
