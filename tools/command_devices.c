/*
 * dmstore devices: the devices on which fits and counts of pairs can be computed, or why there is
 * only the processor.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include <dmstore.h>

#include "json.h"
#include "options.h"
#include "report.h"

static const char name[] = "devices";

/* Which one --device auto takes. */
static const char *automatic(const struct dms_cuda_status *status)
{
    return status->device_ct > 0 ? "cuda" : "cpu";
}

/* ---- for people ---- */

static int print_cards(const struct dms_cuda_status *status)
{
    for (size_t i = 0; i < status->device_ct; i++) {
        struct dms_device_info info;
        char free_bytes[TOOL_HUMAN_BYTES], total_bytes[TOOL_HUMAN_BYTES];
        int code = dms_cuda_device(i, &info);

        if (code < 0)
            return code;
        printf("cuda %-3zu %s, compute capability %d.%d, %s of %s free\n", i, info.name,
               info.capability_major, info.capability_minor,
               tool_human_bytes(info.free_bytes, free_bytes),
               tool_human_bytes(info.total_bytes, total_bytes));
    }
    return 0;
}

static int print_devices(const struct dms_cuda_status *status)
{
    long processor_ct = sysconf(_SC_NPROCESSORS_ONLN);
    int code = print_cards(status);

    if (code < 0)
        return code;
    if (status->device_ct == 0)
        printf("cuda     no: %s\n", status->reason);
    printf("cpu      %ld processor%s\n", processor_ct, tool_plural((uint64_t)processor_ct));
    printf("module   %s%s%s%s\n", status->module_path, status->has_module ? " (" : "",
           status->runtime, status->has_module ? ")" : "");
    printf("auto     %s\n", automatic(status));
    return 0;
}

/* ---- for programs ---- */

static int json_cards(struct json_writer *json, const struct dms_cuda_status *status)
{
    int code = 0;

    json_array_open(json, "cuda");
    for (size_t i = 0; code == 0 && i < status->device_ct; i++) {
        struct dms_device_info info;

        code = dms_cuda_device(i, &info);
        if (code < 0)
            break;
        json_object_open(json, NULL);
        json_u64(json, "device", i);
        json_text(json, "name", info.name);
        json_u64(json, "capability_major", (uint64_t)info.capability_major);
        json_u64(json, "capability_minor", (uint64_t)info.capability_minor);
        json_u64(json, "total_bytes", info.total_bytes);
        json_u64(json, "free_bytes", info.free_bytes);
        json_object_close(json);
    }
    json_array_close(json);
    return code;
}

static int json_devices(const struct dms_cuda_status *status)
{
    struct json_writer json;
    int code;

    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_u64(&json, "processors", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
    code = json_cards(&json, status);
    json_text(&json, "reason", status->device_ct > 0 ? NULL : status->reason);
    json_text(&json, "module", status->module_path);
    json_bool(&json, "has_module", status->has_module);
    json_text(&json, "runtime", status->has_module ? status->runtime : NULL);
    json_text(&json, "auto", automatic(status));
    json_object_close(&json);
    json_end(&json);
    return code;
}

int command_devices(int argc, char **argv)
{
    bool as_json = false;
    const struct tool_option options[] = {
        OPTION_FLAG("json", 0, &as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "[--json]",
        .description =
            "Lists the devices on which 'dmstore fit' and 'dmstore gram' can compute, and\n"
            "which of them --device auto takes. Without a CUDA device: why there is none.\n",
        .positional_min = 0,
        .positional_max = 0,
        .options = options,
    };
    struct dms_cuda_status cuda;
    char **positionals;
    int code, status = tool_options_parse(&usage, argc, argv, &positionals, NULL);

    if (status != TOOL_CONTINUE)
        return status;
    dms_cuda_probe(&cuda);
    code = as_json ? json_devices(&cuda) : print_devices(&cuda);
    return tool_finish_output(name, code < 0 ? tool_fail_library(name) : TOOL_OK);
}
