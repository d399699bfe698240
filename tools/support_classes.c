/*
 * Chooses classes for mislabelled examples; see support_classes.h.
 */
#include "support_classes.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "fit_arrays.h"
#include "options.h"
#include "report.h"

int support_classes_check_labels(const struct fit_query *query, const char *what)
{
    if (!dms_fit_problem(query->header, "labels") || query->targets_are.labels)
        return 0;
    return dms_source_fail(DMS_ERR_INVALID,
                           "fit %s was made with labels: to %s, give the same (--target-labels)",
                           query->header->name, what);
}

/* ---- where classes are from ---- */

static bool parse_class(const char *text, int64_t *class)
{
    uint64_t number;

    if (!tool_parse_number(text, 0, &number) || number > INT64_MAX)
        return false;
    *class = (int64_t)number;
    return true;
}

static int find_likely(const struct fit_query *query, const struct dms_support_options *options,
                       int64_t *classes)
{
    int code = support_classes_check_labels(query, "find the most likely wrong classes");

    return code < 0 ? code
                    : dms_support_wrong_classes(query->snapshot, query->fit, query->positions,
                                                query->position_ct, options, classes);
}

static int read_classes(const struct fit_query *query, const char *path, int64_t *classes)
{
    int64_t *read = NULL;
    size_t read_ct;
    int code = fit_array_integers(path, "class", &read, &read_ct);

    if (code == 0 && read_ct != query->header->target_ct)
        code = dms_source_fail(DMS_ERR_INVALID, "'%s' has %zu classes for %" PRIu64 " targets",
                               path, read_ct, query->header->target_ct);
    for (size_t i = 0; code == 0 && i < query->position_ct; i++) {
        struct dms_fitted_target target;

        code = fit_query_target(query, i, &target);
        if (code == 0)
            classes[i] = read[target.target];
    }
    free(read);
    return code;
}

/* ---- what they must be ---- */

/* Classes of an output of logits; else any number will do. */
static int64_t class_limit(const struct fit_query *query)
{
    const struct dms_schema *schema = dms_snapshot_schema(query->snapshot);
    uint32_t column;

    if (dms_schema_find(schema, query->header->output, &column) < 0 ||
        schema->columns[column].values_per_target < 2)
        return INT64_MAX;
    return (int64_t)schema->columns[column].values_per_target;
}

static int check_classes(const struct fit_query *query, const int64_t *classes)
{
    const int64_t *labels = query->targets_are.labels;
    int64_t limit = class_limit(query);

    for (size_t i = 0; i < query->position_ct; i++) {
        struct dms_fitted_target target;
        int code = fit_query_target(query, i, &target);

        if (code < 0)
            return code;
        if (classes[i] < 0 || classes[i] >= limit)
            return dms_source_fail(DMS_ERR_INVALID,
                                   "target %" PRIu64 ": there is no class %" PRId64, target.target,
                                   classes[i]);
        if (labels && labels[target.target] == classes[i])
            return dms_source_fail(DMS_ERR_INVALID,
                                   "target %" PRIu64 " is of class %" PRId64
                                   " itself: examples that are mislabelled get another one",
                                   target.target, classes[i]);
    }
    return 0;
}

int support_classes_find(const struct fit_query *query, const struct dms_support_options *options,
                         const char *text, int64_t **classes)
{
    int64_t *found = calloc(query->position_ct + 1, sizeof(*found)), class;
    int code =
        found ? 0 : dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for the classes of targets");

    if (code == 0 && strcmp(text, "auto") == 0) {
        code = find_likely(query, options, found);
    } else if (code == 0 && parse_class(text, &class)) {
        for (size_t i = 0; i < query->position_ct; i++)
            found[i] = class;
    } else if (code == 0) {
        code = read_classes(query, text, found);
    }
    if (code == 0)
        code = check_classes(query, found);
    if (code < 0) {
        free(found);
        return code;
    }
    *classes = found;
    return 0;
}
