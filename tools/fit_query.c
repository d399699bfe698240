/*
 * Opens what is asked; see fit_query.h.
 */
#include "fit_query.h"

#include <stdlib.h>
#include <string.h>

#include "index_list.h"
#include "report.h"

int fit_query_parse(struct fit_query *query, const struct tool_usage *usage, int argc, char **argv)
{
    struct tool_usage store_and_fit = *usage;
    char **positionals;
    int status;

    store_and_fit.positional_min = 2;
    store_and_fit.positional_max = 2;
    status = tool_options_parse(&store_and_fit, argc, argv, &positionals, NULL);
    if (status != TOOL_CONTINUE)
        return status;
    query->store = positionals[0];
    query->fit_name = positionals[1];
    return TOOL_CONTINUE;
}

/* Those of the list that the fit has when it is a range, else all of them. */
static int find_positions(struct fit_query *query, const struct index_list *list)
{
    bool is_range = index_list_is_range(query->targets);
    int code = 0;

    query->positions = calloc(list->index_ct + 1, sizeof(*query->positions));
    if (!query->positions)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %zu targets", list->index_ct);
    for (size_t i = 0; i < list->index_ct; i++) {
        code = dms_fit_find(query->fit, list->indices[i], &query->positions[query->position_ct]);
        if (code == 0)
            query->position_ct++;
        else if (code != DMS_ERR_NOT_FOUND || !is_range)
            return code;
    }
    if (query->position_ct == 0 && list->index_ct > 0)
        return code; /* NOT_FOUND of the last one says which targets there are */
    return 0;
}

static int choose_targets(struct fit_query *query)
{
    struct index_list list = {0};
    int code = index_list_parse(query->targets, "target", query->header->target_ct, &list);

    if (code == 0)
        code = find_positions(query, &list);
    index_list_free(&list);
    return code;
}

int fit_query_open(struct fit_query *query)
{
    int code = dms_snapshot_open(query->store, &query->snapshot);

    if (code == 0)
        code = dms_fit_open(query->snapshot, query->fit_name, &query->fit);
    if (code < 0)
        return code;
    query->header = dms_fit_get_header(query->fit);
    if (query->targets)
        code = choose_targets(query);
    if (code == 0)
        code = index_names_read(query->names, query->labels, "example", query->header->example_ct,
                                &query->examples_are);
    if (code == 0)
        code = index_names_read(query->target_names, query->target_labels, "target",
                                query->header->target_ct, &query->targets_are);
    return code;
}

void fit_query_close(struct fit_query *query)
{
    free(query->positions);
    index_names_free(&query->examples_are);
    index_names_free(&query->targets_are);
    dms_fit_close(query->fit);
    dms_snapshot_close(query->snapshot);
}

int fit_query_check_outputs(const struct fit_query *query)
{
    const char *method = dms_fit_problem(query->header, "method");

    if (!method || strcmp(method, "pca") != 0)
        return 0;
    return dms_source_fail(DMS_ERR_INVALID,
                           "fit '%s' holds principal components of datamodels: they predict no "
                           "output",
                           query->fit_name);
}

int fit_query_positions_in(const struct fit_query *query, const dms_fit *fit, size_t **positions)
{
    size_t *found = calloc(query->position_ct + 1, sizeof(*found));
    int code = found ? 0 : dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");

    for (size_t i = 0; code == 0 && i < query->position_ct; i++) {
        struct dms_fitted_target target;

        code = fit_query_target(query, i, &target);
        if (code == 0)
            code = dms_fit_find(fit, target.target, &found[i]);
    }
    if (code < 0) {
        free(found);
        return code;
    }
    *positions = found;
    return 0;
}

int fit_query_target(const struct fit_query *query, size_t place, struct dms_fitted_target *target)
{
    return dms_fit_target(query->fit, query->positions[place], target);
}
