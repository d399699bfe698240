/*
 * Prints what one model has in every column; see model_summary.h.
 */
#include "model_summary.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "json.h"
#include "model_values.h"
#include "values.h"

/* Range of the finite values of one output. */
struct range {
    double smallest, largest, sum;
    uint64_t finite_ct, nonfinite_ct;
};

static struct range range_of(const struct model_values *values)
{
    struct range range = {.smallest = INFINITY, .largest = -INFINITY};
    uint64_t value_ct = model_values_count(values);

    for (uint64_t i = 0; i < value_ct; i++) {
        double value = value_as_double(values->column, values->values, i);

        if (!isfinite(value)) {
            range.nonfinite_ct++;
            continue;
        }
        range.finite_ct++;
        range.sum += value;
        range.smallest = fmin(range.smallest, value);
        range.largest = fmax(range.largest, value);
    }
    return range;
}

/* ---- text ---- */

static void print_output(const struct model_values *values)
{
    struct range range = range_of(values);

    printf("%" PRIu64 " values", range.finite_ct + range.nonfinite_ct);
    if (range.finite_ct > 0)
        printf(", %.6g to %.6g, mean %.6g", range.smallest, range.largest,
               range.sum / (double)range.finite_ct);
    if (range.nonfinite_ct > 0)
        printf(", %" PRIu64 " not finite", range.nonfinite_ct);
}

static void print_column(const struct model_values *values)
{
    const struct dms_column *column = values->column;

    printf("  %-14s  ", column->name);
    if (!values->present)
        fputs("no value", stdout);
    else if (column->kind == DMS_COLUMN_MASK)
        printf("%" PRIu64 " of %" PRIu64 " examples", mask_count(values->values, column->target_ct),
               column->target_ct);
    else if (column->kind == DMS_COLUMN_SCALAR)
        value_print(column, values->values, 0, stdout);
    else
        print_output(values);
    putchar('\n');
}

static int print_text(dms_snapshot *snapshot, uint64_t id, const struct dms_group_info *group,
                      const struct dms_position *position)
{
    const struct dms_schema *schema = dms_snapshot_schema(snapshot);

    printf("model %" PRIu64 "\n", id);
    printf("  %-14s  row %u of %s %" PRIu64 "\n", "place", position->row,
           group->staged ? "staged batch" : "group", group->id);
    for (uint32_t i = 0; i < schema->column_ct; i++) {
        struct model_values values = {0};
        int code;

        if (schema->columns[i].kind == DMS_COLUMN_ID)
            continue;
        code = model_values_read(snapshot, position, i, 0, schema->columns[i].target_ct, &values);
        if (code < 0)
            return code;
        print_column(&values);
        model_values_free(&values);
    }
    return 0;
}

/* ---- JSON ---- */

static void json_output(struct json_writer *json, const struct model_values *values)
{
    struct range range = range_of(values);

    json_object_open(json, values->column->name);
    json_u64(json, "values", range.finite_ct + range.nonfinite_ct);
    json_u64(json, "nonfinite", range.nonfinite_ct);
    if (range.finite_ct > 0) {
        json_double(json, "smallest", range.smallest);
        json_double(json, "mean", range.sum / (double)range.finite_ct);
        json_double(json, "largest", range.largest);
    }
    json_object_close(json);
}

/* The columns of one kind, as object `key`; null for a column without a value. */
static int json_columns(struct json_writer *json, const char *key, enum dms_column_kind kind,
                        dms_snapshot *snapshot, const struct dms_position *position)
{
    const struct dms_schema *schema = dms_snapshot_schema(snapshot);

    json_object_open(json, key);
    for (uint32_t i = 0; i < schema->column_ct; i++) {
        const struct dms_column *column = &schema->columns[i];
        struct model_values values = {0};
        int code;

        if (column->kind != kind)
            continue;
        code = model_values_read(snapshot, position, i, 0, column->target_ct, &values);
        if (code < 0)
            return code;
        if (!values.present)
            json_null(json, column->name);
        else if (kind == DMS_COLUMN_OUTPUT)
            json_output(json, &values);
        else
            value_json(json, column->name, column, values.values, 0);
        model_values_free(&values);
    }
    json_object_close(json);
    return 0;
}

static int print_json(dms_snapshot *snapshot, uint64_t id, const struct dms_group_info *group,
                      const struct dms_position *position)
{
    uint64_t example_ct = dms_snapshot_schema(snapshot)->example_ct;
    struct model_values mask = {0};
    struct json_writer json;
    int code = model_values_read(snapshot, position, 0, 0, example_ct, &mask);

    if (code < 0)
        return code;
    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_u64(&json, "id", id);
    json_bool(&json, "staged", group->staged);
    json_u64(&json, group->staged ? "batch" : "group", group->id);
    json_u64(&json, "row", position->row);
    json_u64(&json, "examples", example_ct);
    json_u64(&json, "subset_size", mask_count(mask.values, example_ct));
    code = json_columns(&json, "outputs", DMS_COLUMN_OUTPUT, snapshot, position);
    if (code == 0)
        code = json_columns(&json, "scalars", DMS_COLUMN_SCALAR, snapshot, position);
    if (code == 0) {
        json_object_close(&json);
        json_end(&json);
    }
    model_values_free(&mask);
    return code;
}

int model_summary_print(dms_snapshot *snapshot, uint64_t id, const struct dms_position *position,
                        bool as_json)
{
    struct dms_group_info group;
    int code = dms_snapshot_group(snapshot, position->group, &group);

    if (code < 0)
        return code;
    return as_json ? print_json(snapshot, id, &group, position)
                   : print_text(snapshot, id, &group, position);
}
