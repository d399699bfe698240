/*
 * dmstore ls: lists the columns of a store, or all its chunks, with sizes, ratios and how they are
 * encoded.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdio.h>

#include <dmstore.h>

#include "column_report.h"
#include "fit_summary.h"
#include "json.h"
#include "options.h"
#include "report.h"

static const char name[] = "ls";

#define ENCODING_CT 4
#define CODEC_CT 2

static const char *const encoding_names[ENCODING_CT] = {"plain", "byte-planes", "id-runs",
                                                        "sampled"};
static const char *const codec_names[CODEC_CT] = {"none", "zstd"};
static const char *const kind_names[] = {[DMS_COLUMN_MASK] = "mask",
                                         [DMS_COLUMN_ID] = "id",
                                         [DMS_COLUMN_OUTPUT] = "output",
                                         [DMS_COLUMN_SCALAR] = "scalar"};

/* One chunk and where in the store it belongs. */
struct chunk {
    const struct dms_column *column;
    uint64_t group; /* permanent number */
    uint32_t tile;
    struct dms_chunk_info info;
};

/* What all chunks of a column come to. */
struct column_total {
    uint64_t model_ct;
    uint64_t chunk_ct;
    uint64_t stored_bytes, decoded_bytes;
    uint64_t form_cts[ENCODING_CT][CODEC_CT];
};

static double ratio(uint64_t stored_bytes, uint64_t decoded_bytes)
{
    return decoded_bytes > 0 ? (double)stored_bytes / (double)decoded_bytes : 0;
}

/* Calls visit for every chunk of one column in every sealed group. */
static int for_each_chunk(dms_snapshot *snapshot, uint32_t column_index,
                          void (*visit)(void *context, const struct chunk *chunk), void *context)
{
    const struct dms_column *column = &dms_snapshot_schema(snapshot)->columns[column_index];
    uint32_t tile_ct = dms_column_tile_ct(column);
    size_t group_ct = dms_snapshot_group_ct(snapshot);

    for (size_t group = 0; group < group_ct; group++) {
        struct dms_group_info group_info;
        int code = dms_snapshot_group(snapshot, group, &group_info);

        if (code < 0)
            return code;
        if (group_info.staged)
            continue;
        for (uint32_t tile = 0; tile < tile_ct; tile++) {
            struct chunk chunk = {.column = column, .group = group_info.id, .tile = tile};

            code = dms_snapshot_chunk(snapshot, group, column_index, tile, &chunk.info);
            if (code == DMS_ERR_NOT_FOUND)
                break; /* no model of this group has a value */
            if (code < 0)
                return code;
            visit(context, &chunk);
        }
    }
    return 0;
}

/* ---- columns ---- */

static void add_to_total(void *context, const struct chunk *chunk)
{
    struct column_total *total = context;

    total->chunk_ct++;
    total->stored_bytes += chunk->info.stored_bytes;
    total->decoded_bytes += chunk->info.decoded_bytes;
    total->form_cts[chunk->info.encoding % ENCODING_CT][chunk->info.codec % CODEC_CT]++;
}

/* Prints e.g. "plain/none 12, byte-planes/zstd 3". */
static void print_forms(const struct column_total *total)
{
    const char *separator = "";

    if (total->chunk_ct == 0)
        putchar('-');
    for (int encoding = 0; encoding < ENCODING_CT; encoding++) {
        for (int codec = 0; codec < CODEC_CT; codec++) {
            if (total->form_cts[encoding][codec] == 0)
                continue;
            printf("%s%s/%s %" PRIu64, separator, encoding_names[encoding], codec_names[codec],
                   total->form_cts[encoding][codec]);
            separator = ", ";
        }
    }
    putchar('\n');
}

static void print_column(const struct dms_column *column, const struct column_total *total)
{
    char dtype[COLUMN_TEXT_BYTES], shape[COLUMN_TEXT_BYTES], ratio_text[32] = "-";

    if (total->decoded_bytes > 0)
        snprintf(ratio_text, sizeof(ratio_text), "%.3f",
                 ratio(total->stored_bytes, total->decoded_bytes));
    printf("%-20s %-6s %-5s %12s %6u %10" PRIu64 " %8" PRIu64 " %15" PRIu64 " %6s  ", column->name,
           kind_names[column->kind], column_dtype_text(column, dtype),
           column_shape_text(column, shape), column->tile_targets, total->model_ct, total->chunk_ct,
           total->stored_bytes, ratio_text);
    print_forms(total);
}

static void json_column(struct json_writer *json, const struct dms_column *column,
                        const struct column_total *total)
{
    json_object_open(json, NULL);
    column_json(json, column);
    json_text(json, "kind", kind_names[column->kind]);
    json_u64(json, "tile_targets", column->tile_targets);
    json_u64(json, "models", total->model_ct);
    json_u64(json, "chunks", total->chunk_ct);
    json_u64(json, "stored_bytes", total->stored_bytes);
    json_u64(json, "decoded_bytes", total->decoded_bytes);
    json_array_open(json, "encodings");
    for (int encoding = 0; encoding < ENCODING_CT; encoding++) {
        for (int codec = 0; codec < CODEC_CT; codec++) {
            if (total->form_cts[encoding][codec] == 0)
                continue;
            json_object_open(json, NULL);
            json_text(json, "encoding", encoding_names[encoding]);
            json_text(json, "codec", codec_names[codec]);
            json_u64(json, "chunks", total->form_cts[encoding][codec]);
            json_object_close(json);
        }
    }
    json_array_close(json);
    json_object_close(json);
}

static int list_columns(dms_snapshot *snapshot, struct json_writer *json)
{
    const struct dms_schema *schema = dms_snapshot_schema(snapshot);

    if (!json)
        printf("%-20s %-6s %-5s %12s %6s %10s %8s %15s %6s  %s\n", "COLUMN", "KIND", "DTYPE",
               "SHAPE", "TILE", "MODELS", "CHUNKS", "STORED", "RATIO", "ENCODINGS");
    for (uint32_t i = 0; i < schema->column_ct; i++) {
        struct column_total total = {0};
        int code = column_count_models(snapshot, i, &total.model_ct);

        if (code == 0)
            code = for_each_chunk(snapshot, i, add_to_total, &total);
        if (code < 0)
            return code;
        if (json)
            json_column(json, &schema->columns[i], &total);
        else
            print_column(&schema->columns[i], &total);
    }
    return 0;
}

/* The fits, after the columns. */
static int list_fits(dms_snapshot *snapshot, struct json_writer *json)
{
    struct fit_list fits;
    int code = fit_list_make(snapshot, &fits);

    if (code == 0 && json)
        fit_list_json(json, &fits);
    else if (code == 0)
        fit_list_print(&fits);
    fit_list_free(&fits);
    return code;
}

/* ---- chunks ---- */

static void print_chunk(void *context, const struct chunk *chunk)
{
    const struct dms_chunk_info *info = &chunk->info;
    char targets[64];

    (void)context;
    snprintf(targets, sizeof(targets), "%" PRIu64 ":%" PRIu64, info->first_target,
             info->first_target + info->target_ct);
    printf("%-20s %8" PRIu64 " %6u %6u %15s %-11s %-5s %12" PRIu64 " %6.3f %" PRIu64 ":%" PRIu64
           "\n",
           chunk->column->name, chunk->group, chunk->tile, info->row_ct, targets,
           encoding_names[info->encoding % ENCODING_CT], codec_names[info->codec % CODEC_CT],
           info->stored_bytes, ratio(info->stored_bytes, info->decoded_bytes), info->segment,
           info->offset);
}

static void json_chunk(void *context, const struct chunk *chunk)
{
    const struct dms_chunk_info *info = &chunk->info;
    struct json_writer *json = context;

    json_object_open(json, NULL);
    json_text(json, "column", chunk->column->name);
    json_u64(json, "group", chunk->group);
    json_u64(json, "tile", chunk->tile);
    json_u64(json, "rows", info->row_ct);
    json_u64(json, "first_target", info->first_target);
    json_u64(json, "targets", info->target_ct);
    json_text(json, "encoding", encoding_names[info->encoding % ENCODING_CT]);
    json_text(json, "codec", codec_names[info->codec % CODEC_CT]);
    json_u64(json, "stored_bytes", info->stored_bytes);
    json_u64(json, "decoded_bytes", info->decoded_bytes);
    json_u64(json, "segment", info->segment);
    json_u64(json, "offset", info->offset);
    json_object_close(json);
}

static int list_chunks(dms_snapshot *snapshot, struct json_writer *json)
{
    uint32_t column_ct = dms_snapshot_schema(snapshot)->column_ct;

    if (!json)
        printf("%-20s %8s %6s %6s %15s %-11s %-5s %12s %6s %s\n", "COLUMN", "GROUP", "TILE", "ROWS",
               "TARGETS", "ENCODING", "CODEC", "STORED", "RATIO", "SEGMENT:OFFSET");
    for (uint32_t i = 0; i < column_ct; i++) {
        int code = for_each_chunk(snapshot, i, json ? json_chunk : print_chunk, json);

        if (code < 0)
            return code;
    }
    return 0;
}

static int list_as_json(dms_snapshot *snapshot, bool chunks)
{
    struct json_writer json;
    int code;

    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_array_open(&json, chunks ? "chunks" : "columns");
    code = chunks ? list_chunks(snapshot, &json) : list_columns(snapshot, &json);
    json_array_close(&json);
    if (code == 0 && !chunks)
        code = list_fits(snapshot, &json);
    json_object_close(&json);
    json_end(&json);
    return code;
}

int command_ls(int argc, char **argv)
{
    bool chunks = false, as_json = false;
    const struct tool_option options[] = {
        OPTION_FLAG("chunks", 0, &chunks, "list every chunk instead of the columns"),
        OPTION_FLAG("json", 0, &as_json, "print the list as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE [--chunks] [--json]",
        .description =
            "Lists the columns of STORE (a store or a manifest), or every chunk, with stored\n"
            "bytes and their ratio to the bytes without compression and padding. Staged rows\n"
            "are in no chunk yet.\n",
        .positional_min = 1,
        .positional_max = 1,
        .options = options,
    };
    dms_snapshot *snapshot = NULL;
    char **positionals;
    int code, status = tool_options_parse(&usage, argc, argv, &positionals, NULL);

    if (status != TOOL_CONTINUE)
        return status;
    code = dms_snapshot_open(positionals[0], &snapshot);
    if (code == 0 && as_json)
        code = list_as_json(snapshot, chunks);
    else if (code == 0)
        code = chunks ? list_chunks(snapshot, NULL) : list_columns(snapshot, NULL);
    if (code == 0 && !as_json && !chunks)
        code = list_fits(snapshot, NULL);
    if (code < 0)
        status = tool_fail_library(name);
    dms_snapshot_close(snapshot);
    return tool_finish_output(name, code < 0 ? status : TOOL_OK);
}
