/*
 * dmstore info: what a store holds, in short: counts, ids, sizes, metadata, and summaries of the
 * masks and of the output columns.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <dmstore.h>

#include "column_report.h"
#include "fit_summary.h"
#include "json.h"
#include "options.h"
#include "report.h"

static const char name[] = "info";

/* In how many models the training examples are. */
struct mask_summary {
    uint64_t smallest, largest; /* of the counts of all examples */
    uint64_t sum;
    uint64_t unused_ct; /* examples that are in no model */
};

struct column_summary {
    uint64_t model_ct; /* that have a value */
    uint64_t finite_ct, nonfinite_ct;
};

/* Everything that is printed. */
struct summary {
    const char *path;
    const struct dms_schema *schema;
    struct dms_snapshot_info info;
    struct mask_summary masks;
    struct column_summary *columns; /* one a column of the schema */
    struct fit_list fits;
    uint64_t gram_ct, gram_bytes; /* files of counts of pairs */
};

/* ---- gathering ---- */

static int summarize_masks(dms_snapshot *snapshot, uint64_t example_ct, struct mask_summary *masks)
{
    uint64_t *counts = calloc(example_ct, sizeof(*counts));
    int code;

    if (!counts)
        return dms_source_fail(DMS_ERR_NO_MEMORY,
                               "out of memory for the counts of %" PRIu64 " examples", example_ct);
    code = dms_snapshot_example_counts(snapshot, counts);
    if (code < 0)
        goto out;
    *masks = (struct mask_summary){.smallest = UINT64_MAX};
    for (uint64_t i = 0; i < example_ct; i++) {
        masks->smallest = counts[i] < masks->smallest ? counts[i] : masks->smallest;
        masks->largest = counts[i] > masks->largest ? counts[i] : masks->largest;
        masks->sum += counts[i];
        masks->unused_ct += counts[i] == 0;
    }
out:
    free(counts);
    return code;
}

static int count_values(dms_snapshot *snapshot, const struct dms_schema *schema, uint32_t column,
                        struct column_summary *summary)
{
    uint64_t value_ct = dms_column_value_ct(&schema->columns[column]);
    struct dms_target_statistics *statistics = calloc(value_ct, sizeof(*statistics));
    int code;

    if (!statistics)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for the statistics of column %s",
                               schema->columns[column].name);
    code = dms_snapshot_target_statistics(snapshot, column, statistics);
    for (uint64_t i = 0; code == 0 && i < value_ct; i++) {
        summary->finite_ct += statistics[i].finite_ct;
        summary->nonfinite_ct += statistics[i].nonfinite_ct;
    }
    free(statistics);
    return code;
}

static int add_gram(void *context, const struct dms_gram_file *file)
{
    struct summary *summary = context;

    summary->gram_ct++;
    summary->gram_bytes += file->bytes;
    return 0;
}

/* Where somebody else keeps his counts to himself, all but them can be told. */
static int add_gram_files(struct summary *summary)
{
    int code = dms_gram_files(summary->path, false, add_gram, summary);

    return code == DMS_ERR_PERMISSION ? 0 : code;
}

static int gather(dms_snapshot *snapshot, struct summary *summary)
{
    const struct dms_schema *schema = dms_snapshot_schema(snapshot);
    int code;

    summary->schema = schema;
    dms_snapshot_info(snapshot, &summary->info);
    summary->columns = calloc(schema->column_ct, sizeof(*summary->columns));
    if (!summary->columns)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %u columns",
                               schema->column_ct);
    code = summarize_masks(snapshot, schema->example_ct, &summary->masks);
    for (uint32_t i = 0; code == 0 && i < schema->column_ct; i++) {
        code = column_count_models(snapshot, i, &summary->columns[i].model_ct);
        if (code == 0 && schema->columns[i].kind == DMS_COLUMN_OUTPUT)
            code = count_values(snapshot, schema, i, &summary->columns[i]);
    }
    if (code == 0)
        code = add_gram_files(summary);
    return code ? code : fit_list_make(snapshot, &summary->fits);
}

static double quotient(uint64_t sum, uint64_t count)
{
    return count > 0 ? (double)sum / (double)count : 0;
}

static void write_hexadecimal(const uint8_t *data, size_t bytes, char *text)
{
    *text = '\0';
    for (size_t i = 0; i < bytes; i++)
        sprintf(text + 2 * i, "%02x", data[i]);
}

/* ---- text ---- */

static void print_store(const struct summary *summary)
{
    const struct dms_schema *schema = summary->schema;
    const struct dms_snapshot_info *info = &summary->info;
    char bytes[TOOL_HUMAN_BYTES], codec[COLUMN_TEXT_BYTES], digest[2 * DMS_DIGEST_BYTES + 1];

    write_hexadecimal(schema->digest, schema->digest_bytes, digest);
    printf("%s\n", summary->path);
    printf("  examples        %" PRIu64 "\n", schema->example_ct);
    printf("  models          %" PRIu64, info->model_ct);
    if (info->model_ct > 0)
        printf(", ids %" PRIu64 " to %" PRIu64, info->smallest_id, info->largest_id);
    printf("\n  staged          %" PRIu64 "\n", info->staged_ct);
    printf("  removed         %" PRIu64 "\n", info->removed_ct);
    printf("  groups          %" PRIu64 " of up to %u models\n", info->group_ct,
           schema->chunk_rows);
    printf("  segments        %" PRIu64 ", %s\n", info->segment_ct,
           tool_human_bytes(info->file_bytes, bytes));
    printf("  codec           %s\n", codec_text(&schema->codec, codec));
    printf("  dataset digest  %s\n", digest[0] ? digest : "none");
    printf("  commit          %" PRIu64 "\n", info->sequence);
    if (summary->gram_ct > 0)
        printf("  counts, products %" PRIu64 " file%s, %s\n", summary->gram_ct,
               tool_plural(summary->gram_ct), tool_human_bytes(summary->gram_bytes, bytes));
    for (uint32_t i = 0; i < schema->metadata_ct; i++)
        printf("  %s = %s\n", schema->metadata[i].key, schema->metadata[i].value);
}

static void print_masks(const struct summary *summary)
{
    const struct mask_summary *masks = &summary->masks;

    if (summary->info.model_ct == 0)
        return;
    printf("masks\n  a model has %.6g of the %" PRIu64 " examples on average\n",
           quotient(masks->sum, summary->info.model_ct), summary->schema->example_ct);
    printf("  an example is in %" PRIu64 " to %" PRIu64 " models, %.6g on average", masks->smallest,
           masks->largest, quotient(masks->sum, summary->schema->example_ct));
    if (masks->unused_ct > 0)
        printf("; %" PRIu64 " examples are in none", masks->unused_ct);
    putchar('\n');
}

static void print_columns(const struct summary *summary)
{
    const struct dms_schema *schema = summary->schema;
    char dtype[COLUMN_TEXT_BYTES], shape[COLUMN_TEXT_BYTES];

    for (uint32_t i = 0; i < schema->column_ct; i++) {
        const struct dms_column *column = &schema->columns[i];
        const struct column_summary *counts = &summary->columns[i];

        if (column->kind == DMS_COLUMN_OUTPUT)
            printf("output %s, %s %s\n", column->name, column_shape_text(column, shape),
                   column_dtype_text(column, dtype));
        else if (column->kind == DMS_COLUMN_SCALAR)
            printf("scalar %s, %s\n", column->name, column_dtype_text(column, dtype));
        else
            continue;
        printf("  %" PRIu64 " model%s a value", counts->model_ct,
               counts->model_ct == 1 ? " has" : "s have");
        if (column->kind == DMS_COLUMN_OUTPUT && counts->model_ct > 0)
            printf("; %" PRIu64 " values are finite, %" PRIu64 " are not", counts->finite_ct,
                   counts->nonfinite_ct);
        putchar('\n');
    }
}

/* ---- JSON ---- */

static void json_store(struct json_writer *json, const struct summary *summary)
{
    const struct dms_schema *schema = summary->schema;
    const struct dms_snapshot_info *info = &summary->info;
    char codec[COLUMN_TEXT_BYTES], hexadecimal[2 * DMS_DIGEST_BYTES + 1];

    json_text(json, "store", summary->path);
    write_hexadecimal(info->store_uuid, sizeof(info->store_uuid), hexadecimal);
    json_text(json, "uuid", hexadecimal);
    json_u64(json, "sequence", info->sequence);
    json_u64(json, "examples", schema->example_ct);
    json_u64(json, "models", info->model_ct);
    json_u64(json, "staged", info->staged_ct);
    json_u64(json, "removed", info->removed_ct);
    if (info->model_ct > 0) {
        json_u64(json, "smallest_id", info->smallest_id);
        json_u64(json, "largest_id", info->largest_id);
    } else {
        json_null(json, "smallest_id");
        json_null(json, "largest_id");
    }
    json_u64(json, "groups", info->group_ct);
    json_u64(json, "chunk_rows", schema->chunk_rows);
    json_u64(json, "segments", info->segment_ct);
    json_u64(json, "bytes", info->file_bytes);
    json_u64(json, "count_files", summary->gram_ct);
    json_u64(json, "count_bytes", summary->gram_bytes);
    json_text(json, "codec", codec_text(&schema->codec, codec));
    write_hexadecimal(schema->digest, schema->digest_bytes, hexadecimal);
    json_text(json, "dataset_digest", schema->digest_bytes ? hexadecimal : NULL);
    json_object_open(json, "metadata");
    for (uint32_t i = 0; i < schema->metadata_ct; i++)
        json_text(json, schema->metadata[i].key, schema->metadata[i].value);
    json_object_close(json);
}

static void json_masks(struct json_writer *json, const struct summary *summary)
{
    const struct mask_summary *masks = &summary->masks;

    json_object_open(json, "masks");
    json_double(json, "mean_subset_size", quotient(masks->sum, summary->info.model_ct));
    json_u64(json, "smallest_count", masks->smallest);
    json_double(json, "mean_count", quotient(masks->sum, summary->schema->example_ct));
    json_u64(json, "largest_count", masks->largest);
    json_u64(json, "unused_examples", masks->unused_ct);
    json_object_close(json);
}

/* The columns of one kind, as array `key`. */
static void json_columns(struct json_writer *json, const char *key, enum dms_column_kind kind,
                         const struct summary *summary)
{
    json_array_open(json, key);
    for (uint32_t i = 0; i < summary->schema->column_ct; i++) {
        const struct dms_column *column = &summary->schema->columns[i];

        if (column->kind != kind)
            continue;
        json_object_open(json, NULL);
        column_json(json, column);
        json_u64(json, "models", summary->columns[i].model_ct);
        if (kind == DMS_COLUMN_OUTPUT) {
            json_u64(json, "finite", summary->columns[i].finite_ct);
            json_u64(json, "nonfinite", summary->columns[i].nonfinite_ct);
        }
        json_object_close(json);
    }
    json_array_close(json);
}

static void print_json(const struct summary *summary)
{
    struct json_writer json;

    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_store(&json, summary);
    json_masks(&json, summary);
    json_columns(&json, "outputs", DMS_COLUMN_OUTPUT, summary);
    json_columns(&json, "scalars", DMS_COLUMN_SCALAR, summary);
    fit_list_json(&json, &summary->fits);
    json_object_close(&json);
    json_end(&json);
}

int command_info(int argc, char **argv)
{
    bool as_json = false;
    const struct tool_option options[] = {
        OPTION_FLAG("json", 0, &as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE [--json]",
        .description =
            "Prints what STORE (a store or a manifest) holds: models, sizes, metadata, in how\n"
            "many models the examples are, and how many outputs are not finite.\n",
        .positional_min = 1,
        .positional_max = 1,
        .options = options,
    };
    struct summary summary = {0};
    dms_snapshot *snapshot = NULL;
    char **positionals;
    int code, status = tool_options_parse(&usage, argc, argv, &positionals, NULL);

    if (status != TOOL_CONTINUE)
        return status;
    summary.path = positionals[0];
    code = dms_snapshot_open(summary.path, &snapshot);
    if (code == 0)
        code = gather(snapshot, &summary);
    if (code < 0) {
        status = tool_fail_library(name);
    } else if (as_json) {
        print_json(&summary);
    } else {
        print_store(&summary);
        print_masks(&summary);
        print_columns(&summary);
        fit_list_print(&summary.fits);
    }
    fit_list_free(&summary.fits);
    free(summary.columns);
    dms_snapshot_close(snapshot);
    return tool_finish_output(name, code < 0 ? status : TOOL_OK);
}
