/*
 * Parses --remove and makes its sets; see removal_sets.h.
 */
#include "removal_sets.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

/* The sizes of Ilyas et al. 2022, Figure 8. */
static const uint64_t grid[] = {10, 20, 40, 80, 160, 320, 640, 1280};

#define GRID_CT (sizeof(grid) / sizeof(grid[0]))

const char *const removal_rule_words[] = {
    [REMOVAL_TOP] = "top",   [REMOVAL_BOTTOM] = "bottom", [REMOVAL_RANDOM] = "random",
    [REMOVAL_ZERO] = "zero", [REMOVAL_CLASS] = "class",   [REMOVAL_NEAREST] = "nearest",
    [REMOVAL_LIST] = "list", [REMOVAL_MASK] = "mask",
};

/* ---- the options ---- */

bool removal_parse(const char *text, struct removal *removal)
{
    const char *colon = strchr(text, ':');
    size_t word_bytes = colon ? (size_t)(colon - text) : 0;

    *removal = (struct removal){.rule = REMOVAL_LIST};
    if (text[0] == '@') {
        removal->path = text + 1;
        return text[1] != '\0';
    }
    for (removal->rule = REMOVAL_TOP; removal->rule < REMOVAL_LIST; removal->rule++) {
        const char *word = removal_rule_words[removal->rule];

        if (strlen(word) == word_bytes && memcmp(text, word, word_bytes) == 0)
            break;
    }
    if (removal->rule == REMOVAL_LIST)
        return false;
    removal->is_grid = strcmp(colon + 1, "grid") == 0;
    return removal->is_grid || (tool_parse_number(colon + 1, 1000, &removal->k) && removal->k > 0);
}

static bool has_size(const struct removal *removal, uint64_t k)
{
    bool is_of_grid = false;

    for (size_t i = 0; i < GRID_CT; i++)
        is_of_grid |= grid[i] == k;
    return removal->is_grid ? is_of_grid : removal->k == k;
}

bool removal_overlaps(const struct removal *a, const struct removal *b)
{
    if (a->rule != b->rule)
        return false;
    if (a->rule == REMOVAL_LIST)
        return strcmp(a->path, b->path) == 0;
    return (a->is_grid && b->is_grid) || (a->is_grid ? has_size(a, b->k) : has_size(b, a->k));
}

/* Whether the sets are the same for all targets. */
static bool is_shared(const struct removal_sets *sets, const struct removal *removal)
{
    return sets->by || removal->rule == REMOVAL_LIST;
}

static int check_needs(const struct removal_sets *sets, const struct removal *removal)
{
    const char *word = removal_rule_words[removal->rule];

    if (!removal->is_grid && removal->k > sets->example_ct)
        return dms_source_fail(DMS_ERR_INVALID,
                               "--remove %s:%" PRIu64 ": there are %" PRIu64 " examples", word,
                               removal->k, sets->example_ct);
    if (sets->by && (removal->rule == REMOVAL_CLASS || removal->rule == REMOVAL_NEAREST))
        return dms_source_fail(DMS_ERR_INVALID,
                               "--remove %s is about the targets one by one: --by chooses the same "
                               "examples for all",
                               word);
    if (removal->rule == REMOVAL_CLASS &&
        (!sets->examples_are->labels || !sets->targets_are->labels))
        return dms_source_fail(DMS_ERR_INVALID,
                               "--remove class needs the classes of the examples (--labels) and of "
                               "the targets (--target-labels)");
    if (removal->rule == REMOVAL_NEAREST && !sets->distances)
        return dms_source_fail(DMS_ERR_INVALID, "--remove nearest needs --distances");
    return 0;
}

int removal_sets_prepare(struct removal_sets *sets)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < sets->removal_ct; i++) {
        struct removal *removal = &sets->removals[i];

        code = check_needs(sets, removal);
        if (code == 0 && removal->path) {
            code = index_list_read(removal->path, "example", sets->example_ct, &removal->listed);
            removal->k = removal->listed.index_ct;
        }
    }
    if (code < 0)
        return code;
    sets->order = calloc(sets->example_ct + 1, sizeof(*sets->order));
    sets->to_examples = calloc(sets->example_ct + 1, sizeof(*sets->to_examples));
    sets->mask = malloc(sets->example_ct / 8 + 1);
    if (!sets->order || !sets->to_examples || !sets->mask)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for sets of examples");
    return 0;
}

void removal_sets_free(struct removal_sets *sets)
{
    for (size_t i = 0; i < sets->removal_ct; i++)
        index_list_free(&sets->removals[i].listed);
    free(sets->order);
    free(sets->to_examples);
    free(sets->mask);
}

/* ---- orders ---- */

struct near_example {
    double distance;
    uint64_t example;
};

static int compare_distances(const void *left, const void *right)
{
    const struct near_example *a = left, *b = right;

    if (a->distance != b->distance)
        return a->distance < b->distance ? -1 : 1;
    return (a->example > b->example) - (a->example < b->example);
}

/* All examples by their distance from the target. */
static int order_by_distance(struct removal_sets *sets, uint64_t target)
{
    struct near_example *sorted = calloc(sets->example_ct + 1, sizeof(*sorted));
    int code = sorted ? distances_of_target(sets->distances, target, sets->to_examples)
                      : dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for distances");

    for (uint64_t i = 0; code == 0 && i < sets->example_ct; i++)
        sorted[i] = (struct near_example){sets->to_examples[i], i};
    if (code == 0)
        qsort(sorted, sets->example_ct, sizeof(*sorted), compare_distances);
    for (uint64_t i = 0; code == 0 && i < sets->example_ct; i++)
        sets->order[i] = sorted[i].example;
    free(sorted);
    return code;
}

/* Fills the first k of sets->order, or as many as qualify: *example_ct. */
static int make_order(struct removal_sets *sets, const struct removal *removal,
                      const struct dms_fitted_target *target, uint64_t k, uint64_t *example_ct)
{
    struct dms_removal_options options = {.example_ct = sets->example_ct, .seed = sets->seed};
    size_t found_ct = 0;
    int code;

    *example_ct = sets->example_ct;
    if (removal->rule == REMOVAL_NEAREST)
        return order_by_distance(sets, target->target);
    if (removal->rule == REMOVAL_CLASS) {
        options.labels = sets->examples_are->labels;
        options.label = sets->targets_are->labels[target->target];
    }
    code = dms_removal_order(target, (enum dms_removal_kind)removal->rule, &options, k, sets->order,
                             &found_ct);
    *example_ct = found_ct;
    return code;
}

/* ---- sets ---- */

/* Visits the set of the first k examples of `order`, of which those before *removed_ct have left
 * the mask already. */
static int visit_set(struct removal_sets *sets, const struct removal *removal,
                     const uint64_t *order, uint64_t k, uint64_t *removed_ct,
                     removed_set_visit visit, void *context)
{
    struct removed_set set = {.removal = removal, .k = k, .examples = order, .mask = sets->mask};

    for (; *removed_ct < k; ++*removed_ct)
        sets->mask[order[*removed_ct] >> 3] &= (uint8_t) ~(1u << (order[*removed_ct] & 7));
    return visit(context, &set);
}

static void fill_mask(struct removal_sets *sets)
{
    memset(sets->mask, 0xff, sets->example_ct / 8 + 1);
    sets->mask[sets->example_ct / 8] = (uint8_t)((1u << (sets->example_ct & 7)) - 1);
}

static int fail_few(const struct removal *removal, const struct dms_fitted_target *target,
                    uint64_t example_ct)
{
    return dms_source_fail(
        DMS_ERR_INVALID, "--remove %s:%" PRIu64 ": target %" PRIu64 " has %" PRIu64 " examples %s",
        removal_rule_words[removal->rule], removal->k, target->target, example_ct,
        removal->rule == REMOVAL_ZERO ? "of weight 0" : "of its class");
}

/* Sizes of the grid end where no examples are left: none, or none to train on. */
static int visit_grid(struct removal_sets *sets, const struct removal *removal, uint64_t example_ct,
                      removed_set_visit visit, void *context)
{
    uint64_t removed_ct = 0;
    int code = 0;

    for (size_t i = 0; code == 0 && i < GRID_CT; i++) {
        if (grid[i] > example_ct || grid[i] >= sets->example_ct)
            break;
        code = visit_set(sets, removal, sets->order, grid[i], &removed_ct, visit, context);
    }
    return code;
}

static int visit_removal(struct removal_sets *sets, const struct removal *removal,
                         const struct dms_fitted_target *target, removed_set_visit visit,
                         void *context)
{
    uint64_t wanted_ct = removal->is_grid ? grid[GRID_CT - 1] : removal->k;
    uint64_t example_ct, removed_ct = 0;
    int code;

    fill_mask(sets);
    if (removal->rule == REMOVAL_LIST)
        return visit_set(sets, removal, removal->listed.indices, removal->k, &removed_ct, visit,
                         context);
    if (wanted_ct > sets->example_ct)
        wanted_ct = sets->example_ct;
    code = make_order(sets, removal, target, wanted_ct, &example_ct);
    if (code < 0)
        return code;
    if (removal->is_grid)
        return visit_grid(sets, removal, example_ct, visit, context);
    if (example_ct < removal->k)
        return fail_few(removal, target, example_ct);
    return visit_set(sets, removal, sets->order, removal->k, &removed_ct, visit, context);
}

int removal_sets_visit(struct removal_sets *sets, const struct dms_fitted_target *target,
                       removed_set_visit visit, void *context)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < sets->removal_ct; i++) {
        const struct removal *removal = &sets->removals[i];

        if (is_shared(sets, removal) != (target == NULL))
            continue;
        code = visit_removal(sets, removal, target ? target : sets->by, visit, context);
    }
    return code;
}
