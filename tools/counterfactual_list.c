/*
 * Collects pairs of targets and removed sets; see counterfactual_list.h.
 */
#include "counterfactual_list.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* More pairs are not looked at by anyone, and would take more than 4 GiB. */
#define PAIR_CT_MAX (UINT64_C(1) << 26)

struct collector {
    const struct fit_query *query;
    const dms_retrained *retrained;
    struct counterfactual_list *list;
    size_t place; /* of the target whose sets are visited */
    bool is_shared;
};

/* ---- adding ---- */

static int append(struct counterfactual_list *list, const struct counterfactual *item)
{
    if (list->item_ct == list->capacity) {
        size_t capacity = list->capacity > 0 ? 2 * list->capacity : 256;
        struct counterfactual *grown;

        if (list->item_ct == PAIR_CT_MAX)
            return dms_source_fail(DMS_ERR_INVALID,
                                   "more than %" PRIu64 " pairs of targets and sets: choose fewer "
                                   "targets",
                                   PAIR_CT_MAX);
        grown = reallocarray(list->items, capacity, sizeof(*grown));
        if (!grown)
            return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %zu pairs", capacity);
        list->items = grown;
        list->capacity = capacity;
    }
    list->items[list->item_ct++] = *item;
    return 0;
}

/* Adds a set for one target. */
static int add_pair(struct collector *collector, const struct counterfactual *set,
                    const uint8_t *mask, size_t place)
{
    struct counterfactual item = *set;
    struct dms_fitted_target target;
    int code = fit_query_target(collector->query, place, &target);

    if (code < 0)
        return code;
    item.place = place;
    item.effect = dms_removal_effect(&target, mask);
    return append(collector->list, &item);
}

/* Adds a set for the target that is visited, or for all of them. */
static int add_set(struct collector *collector, const struct counterfactual *set,
                   const uint8_t *mask)
{
    struct counterfactual_list *list = collector->list;
    uint64_t subset = collector->query->header->example_ct - set->k;
    int code = 0;

    list->set_ct++;
    if (subset < list->smallest_subset)
        list->smallest_subset = subset;
    if (!collector->is_shared)
        return add_pair(collector, set, mask, collector->place);
    for (size_t place = 0; code == 0 && place < collector->query->position_ct; place++)
        code = add_pair(collector, set, mask, place);
    return code;
}

static int compare_pairs(const void *left, const void *right)
{
    const struct counterfactual *a = left, *b = right;

    if (a->place != b->place)
        return a->place < b->place ? -1 : 1;
    if (a->rule == REMOVAL_MASK)
        return (a->mask > b->mask) - (a->mask < b->mask);
    if (a->removal != b->removal)
        return a->removal < b->removal ? -1 : 1;
    return (a->k > b->k) - (a->k < b->k);
}

static void begin(const struct fit_query *query, struct counterfactual_list *list)
{
    *list = (struct counterfactual_list){.smallest_subset = query->header->example_ct};
}

static void finish(struct counterfactual_list *list)
{
    if (list->item_ct > 0)
        qsort(list->items, list->item_ct, sizeof(*list->items), compare_pairs);
}

/* ---- sets that are asked for ---- */

static int take_removed(void *context, const struct removed_set *set)
{
    struct collector *collector = context;
    struct counterfactual item = {
        .rule = set->removal->rule, .removal = set->removal, .k = set->k, .actual = NAN};

    if (collector->retrained) {
        int code = dms_retrained_find_mask(collector->retrained, set->mask, &item.mask);

        if (code < 0 && code != DMS_ERR_NOT_FOUND)
            return code;
        item.is_retrained = code == 0;
    }
    return add_set(collector, &item, set->mask);
}

int counterfactual_list_collect(const struct fit_query *query, struct removal_sets *sets,
                                const dms_retrained *retrained, struct counterfactual_list *list)
{
    struct collector collector = {
        .query = query, .retrained = retrained, .list = list, .is_shared = true};
    int code;

    begin(query, list);
    code = removal_sets_visit(sets, NULL, take_removed, &collector);
    collector.is_shared = false;
    for (; code == 0 && collector.place < query->position_ct; collector.place++) {
        struct dms_fitted_target target;

        code = fit_query_target(query, collector.place, &target);
        if (code == 0)
            code = removal_sets_visit(sets, &target, take_removed, &collector);
    }
    finish(list);
    return code;
}

/* ---- all masks ---- */

static int take_mask(void *context, size_t mask, const uint8_t *packed)
{
    struct collector *collector = context;
    uint64_t example_ct = collector->query->header->example_ct;
    struct counterfactual item = {
        .rule = REMOVAL_MASK, .k = example_ct, .is_retrained = true, .mask = mask, .actual = NAN};

    for (uint64_t i = 0; i < (example_ct + 7) / 8; i++)
        item.k -= (uint64_t)__builtin_popcount(packed[i]);
    /* Nothing is removed from the controls: they are what the others are compared with. */
    return item.k == 0 ? 0 : add_set(collector, &item, packed);
}

int counterfactual_list_collect_masks(const struct fit_query *query, const dms_retrained *retrained,
                                      struct counterfactual_list *list)
{
    struct collector collector = {
        .query = query, .retrained = retrained, .list = list, .is_shared = true};
    int code;

    begin(query, list);
    code = dms_retrained_visit_masks(retrained, take_mask, &collector);
    finish(list);
    return code;
}

/* ---- actual changes ---- */

int counterfactual_list_read_actual(const struct fit_query *query, const dms_retrained *retrained,
                                    const struct dms_retrained_options *options,
                                    struct counterfactual_list *list)
{
    struct dms_actual_change *changes = calloc(list->item_ct + 1, sizeof(*changes));
    size_t change_ct = 0, next = 0;
    int code;

    if (!changes)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %zu pairs", list->item_ct);
    for (size_t i = 0; i < list->item_ct; i++) {
        const struct counterfactual *item = &list->items[i];

        if (item->is_retrained)
            changes[change_ct++] = (struct dms_actual_change){
                .position = query->positions[item->place], .mask = item->mask};
    }
    list->runs = dms_retrained_path(retrained);
    list->untrained_ct = list->item_ct - change_ct;
    code = change_ct > 0
               ? dms_actual_changes(query->snapshot, query->fit, retrained, options, changes,
                                    change_ct, &list->base)
               : dms_source_fail(DMS_ERR_NOT_FOUND,
                                 "'%s' has no model of any of these training sets", list->runs);
    for (size_t i = 0; code == 0 && i < list->item_ct; i++) {
        if (!list->items[i].is_retrained)
            continue;
        list->items[i].actual = changes[next].change;
        list->items[i].run_ct = changes[next].model_ct;
        list->baseless_ct += isnan(changes[next].change) && changes[next].model_ct > 0;
        list->nonfinite_ct += changes[next++].nonfinite_ct;
    }
    free(changes);
    return code;
}

void counterfactual_list_free(struct counterfactual_list *list)
{
    free(list->items);
    *list = (struct counterfactual_list){0};
}
