/*
 * Text and JSON about counts and products; see gram_report.h.
 */
#include "gram_report.h"

#include <inttypes.h>
#include <stdio.h>

#include "choices.h"
#include "json.h"
#include "report.h"
#include "write_report.h"

static const char *const origin_words[] = {"found", "counted", "added"};

/* ---- what was made or found ---- */

/* Pairs of bits that were looked at in a second. */
static double speed(const struct counted *counted)
{
    double example_ct = (double)counted->example_ct;

    return (double)counted->result.counted_ct * example_ct * (example_ct + 1) / 2 /
           (counted->seconds > 0 ? counted->seconds : 1e-9);
}

/* " on cuda: NVIDIA H100 (there is a CUDA device)", and why only where that was left open: nothing
 * when the processor was to count. */
static void print_placement(enum dms_device device, const struct dms_gram_result *result)
{
    if (device == DMS_DEVICE_CPU)
        return;
    printf(" on %s", device_words[result->placement.device]);
    if (result->device_name[0])
        printf(": %s", result->device_name);
    if (device == DMS_DEVICE_AUTO)
        printf(" (%s)", result->placement.reason);
}

static void print_counted(enum dms_device device, const struct counted *counted)
{
    const struct dms_gram_result *result = &counted->result;
    char bytes[TOOL_HUMAN_BYTES];

    printf("%s: %" PRIu64 " model%s, %s, %s: ", counted->role, result->row_ct,
           tool_plural(result->row_ct), counted->digest,
           result->file_bytes > 0 ? tool_human_bytes(result->file_bytes, bytes) : "not kept");
    if (result->origin == DMS_GRAM_FOUND) {
        puts("was there");
        return;
    }
    if (result->origin == DMS_GRAM_ADDED)
        printf("%" PRIu64 " added", result->counted_ct);
    else
        printf("counted");
    print_placement(device, result);
    printf(" in %.3g s, %.3g pairs of bits a second", counted->seconds, speed(counted));
    if (result->pass_ct > 1)
        printf(", %" PRIu64 " passes", result->pass_ct);
    putchar('\n');
}

static void json_counted(struct json_writer *json, const struct counted *counted)
{
    const struct dms_gram_result *result = &counted->result;

    json_object_open(json, NULL);
    json_text(json, "role", counted->role);
    json_text(json, "digest", counted->digest);
    json_u64(json, "models", result->row_ct);
    json_text(json, "origin", origin_words[result->origin]);
    json_u64(json, "counted", result->counted_ct);
    json_u64(json, "passes", result->pass_ct);
    json_text(json, "device",
              result->origin == DMS_GRAM_FOUND ? NULL : device_words[result->placement.device]);
    json_text(json, "device_name", result->device_name[0] ? result->device_name : NULL);
    json_u64(json, "bytes", result->file_bytes);
    json_double(json, "seconds", counted->seconds);
    json_double(json, "bit_pairs_per_second", speed(counted));
    json_object_close(json);
}

/* "training, products with margin: 3,138 of 3,138 targets, 335.1 MB: made in 12.3 s" */
static void print_multiplied(const char *output, const struct multiplied *multiplied)
{
    const struct dms_products_result *result = &multiplied->result;
    char bytes[TOOL_HUMAN_BYTES];

    printf("%s, products with %s: %" PRIu64 " of %" PRIu64 " target%s, %s: ", multiplied->role,
           output, result->kept_ct, result->target_ct, tool_plural(result->target_ct),
           tool_human_bytes(result->file_bytes, bytes));
    if (result->origin == DMS_GRAM_FOUND) {
        puts("were there");
        return;
    }
    if (result->origin == DMS_GRAM_ADDED)
        printf("those of %" PRIu64 " models added", result->counted_ct);
    else
        printf("made");
    printf(" in %.3g s", multiplied->seconds);
    if (result->pass_ct > 1)
        printf(", %" PRIu64 " passes", result->pass_ct);
    putchar('\n');
}

static void json_multiplied(struct json_writer *json, const char *output,
                            const struct multiplied *multiplied)
{
    const struct dms_products_result *result = &multiplied->result;

    json_object_open(json, NULL);
    json_text(json, "role", multiplied->role);
    json_text(json, "digest", multiplied->digest);
    json_text(json, "output", output);
    json_u64(json, "models", result->row_ct);
    json_text(json, "origin", origin_words[result->origin]);
    json_u64(json, "counted", result->counted_ct);
    json_u64(json, "passes", result->pass_ct);
    json_u64(json, "targets", result->target_ct);
    json_u64(json, "kept_targets", result->kept_ct);
    json_u64(json, "bytes", result->file_bytes);
    json_double(json, "seconds", multiplied->seconds);
    json_object_close(json);
}

void gram_report_print(const struct gram_outcome *outcome)
{
    for (size_t i = 0; i < outcome->role_ct; i++) {
        print_counted(outcome->device, &outcome->counted[i]);
        if (outcome->output)
            print_multiplied(outcome->output, &outcome->multiplied[i]);
    }
}

void gram_report_json(const struct gram_outcome *outcome)
{
    struct json_writer json;

    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_u64(&json, "examples", outcome->counted[0].example_ct);
    json_array_open(&json, "counts");
    for (size_t i = 0; i < outcome->role_ct; i++)
        json_counted(&json, &outcome->counted[i]);
    json_array_close(&json);
    json_array_open(&json, "products");
    for (size_t i = 0; outcome->output && i < outcome->role_ct; i++)
        json_multiplied(&json, outcome->output, &outcome->multiplied[i]);
    json_array_close(&json);
    json_object_close(&json);
    json_end(&json);
}

/* ---- files ---- */

/* The name of a column in *schema; its number when it is no longer there. */
static const char *column_name(const struct dms_schema *schema, uint32_t id, char text[32])
{
    for (uint32_t i = 0; i < schema->column_ct; i++)
        if (schema->columns[i].id == id)
            return schema->columns[i].name;
    snprintf(text, 32, "removed column %" PRIu32, id);
    return text;
}

struct listing {
    const struct dms_schema *schema;
    struct json_writer *json; /* NULL: text */
};

static int print_file(void *context, const struct dms_gram_file *file)
{
    const struct listing *listing = context;
    char bytes[TOOL_HUMAN_BYTES], column[32];

    printf("%s  ", file->digest);
    if (file->kind == DMS_GRAM_PRODUCTS)
        printf("products with %s  ", column_name(listing->schema, file->column_id, column));
    if (file->damage) {
        printf("CANNOT BE USED: %s\n", file->damage);
        return 0;
    }
    printf("%" PRIu64 " model%s, ids %" PRIu64 " to %" PRIu64 ", of commit %" PRIu64 ", %s\n",
           file->row_ct, tool_plural(file->row_ct), file->first_id, file->last_id, file->sequence,
           tool_human_bytes(file->bytes, bytes));
    return 0;
}

static int json_file(void *context, const struct dms_gram_file *file)
{
    const struct listing *listing = context;
    struct json_writer *json = listing->json;
    bool is_products = file->kind == DMS_GRAM_PRODUCTS;
    char column[32];

    json_object_open(json, NULL);
    json_text(json, "kind", is_products ? "products" : "pairs");
    json_text(json, "digest", file->digest);
    json_text(json, "output",
              is_products ? column_name(listing->schema, file->column_id, column) : NULL);
    json_text(json, "path", file->path);
    json_text(json, "damage", file->damage);
    json_u64(json, "examples", file->example_ct);
    json_u64(json, "models", file->row_ct);
    json_u64(json, "first_id", file->first_id);
    json_u64(json, "last_id", file->last_id);
    json_u64(json, "sequence", file->sequence);
    json_u64(json, "bytes", file->bytes);
    json_object_close(json);
    return 0;
}

int gram_report_files(const char *path, const struct dms_schema *schema, bool as_json)
{
    struct json_writer json;
    struct listing listing = {schema, as_json ? &json : NULL};
    int code;

    if (!as_json)
        return dms_gram_files(path, false, print_file, &listing);
    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_array_open(&json, "files");
    code = dms_gram_files(path, false, json_file, &listing);
    json_array_close(&json);
    json_object_close(&json);
    json_end(&json);
    return code;
}
