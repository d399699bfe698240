/*
 * The claim and the report of commands that take rows in; see write_report.h.
 */
#include "write_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <dmstore/sample.h>

#include "json.h"
#include "options.h"
#include "report.h"

int sampling_parse(const char *text, uint64_t example_ct, struct dms_sampling *sampling)
{
    const char *colon = strchr(text, ':');
    char alpha[64];
    int code;

    if (!colon || (size_t)(colon - text) >= sizeof(alpha) ||
        !tool_parse_number(colon + 1, 0, &sampling->seed))
        return dms_source_fail(DMS_ERR_INVALID,
                               "'%s' is not ALPHA:SEED, e.g. 0.5:17, as given to 'dmstore sample'",
                               text);
    snprintf(alpha, sizeof(alpha), "%.*s", (int)(colon - text), text);
    code = dms_alpha_parse(alpha, example_ct, &sampling->subset_size);
    return code;
}

void write_result_add(struct dms_write_result *sum, const struct dms_write_result *part)
{
    sum->added_ct += part->added_ct;
    sum->unchanged_ct += part->unchanged_ct;
    sum->kept_ct += part->kept_ct;
    sum->replaced_ct += part->replaced_ct;
}

static uint64_t row_ct_of(const struct dms_write_result *result)
{
    return result->added_ct + result->unchanged_ct + result->kept_ct + result->replaced_ct;
}

static void print_json(const struct dms_write_result *result, double seconds)
{
    struct json_writer json;

    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_u64(&json, "rows", row_ct_of(result));
    json_u64(&json, "added", result->added_ct);
    json_u64(&json, "unchanged", result->unchanged_ct);
    json_u64(&json, "kept", result->kept_ct);
    json_u64(&json, "replaced", result->replaced_ct);
    json_double(&json, "seconds", seconds);
    json_object_close(&json);
    json_end(&json);
}

void write_result_print(const struct dms_write_result *result, double seconds, bool as_json)
{
    uint64_t row_ct = row_ct_of(result);
    char text[TOOL_HUMAN_BYTES];

    if (as_json) {
        print_json(result, seconds);
        return;
    }
    printf("%s rows in %.1f s", tool_human_count(row_ct, text), seconds);
    if (seconds > 0)
        printf(" (%s rows/s)", tool_human_count((uint64_t)((double)row_ct / seconds), text));
    printf(": %s added", tool_human_count(result->added_ct, text));
    printf(", %s unchanged", tool_human_count(result->unchanged_ct, text));
    if (result->kept_ct > 0)
        printf(", %s kept as they were", tool_human_count(result->kept_ct, text));
    if (result->replaced_ct > 0)
        printf(", %s replaced", tool_human_count(result->replaced_ct, text));
    putchar('\n');
}

double monotonic_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
