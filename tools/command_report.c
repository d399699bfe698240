/*
 * dmstore report: writes one self-contained HTML page about a fit.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore.h>

#include "extrapolation.h"
#include "fit_arrays.h"
#include "fit_findings.h"
#include "fit_page.h"
#include "fit_query.h"
#include "options.h"
#include "output_file.h"
#include "progress.h"
#include "report.h"

static const char name[] = "report";

/* Training examples of each sign that a target may have on the page. */
#define EXAMPLE_CT_MAX 50

/* The command line. */
struct request {
    struct fit_query query;
    const char *path, *self, *images, *target_images;
    uint64_t example_ct, memory_bytes;
    unsigned thread_ct;
};

static int parse(int argc, char **argv, struct request *request)
{
    const struct tool_option options[] = {
        OPTION_TEXT("output", 'o', "FILE", &request->path, "the page to write; '-': print it"),
        FIT_QUERY_TARGET_OPTION(&request->query),
        OPTION_COUNT("count", 'k', "K", &request->example_ct, NULL,
                     "training examples of each sign for a target (default 8)"),
        OPTION_TEXT("images", 0, "FILE", &request->images,
                    ".npy of pictures of the training examples: uint8 (count, height, width) or "
                    "with 1 or 3 channels behind"),
        OPTION_TEXT("target-images", 0, "FILE", &request->target_images,
                    ".npy of pictures of the targets"),
        FIT_QUERY_NAME_OPTIONS(&request->query),
        OPTION_TEXT("self", 0, "FILE", &request->self,
                    ".npy of the targets' own examples, for a fit that was made with one"),
        OPTION_THREADS(&request->thread_ct, "threads to work with (default: one a processor)"),
        OPTION_BYTES("memory", 0, "BYTES", &request->memory_bytes, NULL,
                     "memory to use for the scores (default 4G)"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE FIT -o FILE [options]",
        .description =
            "Writes a page about a fit of STORE (a store or a manifest): what was fitted, how\n"
            "well it predicts, how sparse it is, which training examples matter. The page is\n"
            "one HTML file that loads nothing else.\n",
        .options = options,
    };
    int status = fit_query_parse(&request->query, &usage, argc, argv);

    if (status != TOOL_CONTINUE)
        return status;
    if (!request->path)
        return tool_fail_usage(name, "--output FILE is missing");
    if (request->example_ct > EXAMPLE_CT_MAX)
        return tool_fail_usage(name, "--count: at most %d examples of each sign", EXAMPLE_CT_MAX);
    return TOOL_CONTINUE;
}

static int show_progress(void *progress, uint64_t done, uint64_t total)
{
    char text[100], done_text[TOOL_HUMAN_BYTES], total_text[TOOL_HUMAN_BYTES];

    snprintf(text, sizeof(text), "%s of %s targets scored", tool_human_count(done, done_text),
             tool_human_count(total, total_text));
    return progress_show(progress, text);
}

static int open_pictures(const struct request *request, struct fit_pictures *pictures)
{
    const struct dms_fit_header *header = request->query.header;
    int code = request->images ? thumbnails_open(&pictures->examples, request->images, "example",
                                                 header->example_ct)
                               : 0;

    if (code == 0 && request->target_images)
        code = thumbnails_open(&pictures->targets, request->target_images, "target",
                               header->target_ct);
    return code;
}

static int gather(const struct request *request, struct fit_findings *findings)
{
    int64_t *self = NULL;
    struct progress progress;
    struct fit_findings_options options = {
        .thread_ct = request->thread_ct,
        .memory_bytes = request->memory_bytes,
        .example_ct = (size_t)request->example_ct,
        .progress = show_progress,
        .progress_context = &progress,
    };
    int code =
        request->self ? fit_array_integers(request->self, "example", &self, &options.self_ct) : 0;

    options.self = self;
    progress_begin(&progress, name, PROGRESS_ROWS);
    if (code == 0)
        code = fit_findings_gather(&request->query, &options, findings);
    progress_end(&progress);
    free(self);
    return code;
}

/* What the page says, too, but a reader of logs should know. */
static void warn(const struct fit_findings *findings)
{
    const struct dms_evaluation *evaluation = findings->evaluation;

    if (!evaluation)
        tool_warn(name, "the page has no scores: %s", findings->score_reason);
    else
        extrapolation_warn(name, "the held-out masks have", evaluation->smallest_subset,
                           evaluation->largest_subset, &findings->sizes);
}

static int write_page(const struct request *request, const struct fit_findings *findings,
                      const struct fit_pictures *pictures)
{
    struct output_file output = {0};
    FILE *stream = NULL;
    int code = output_file_create(&output, request->path);

    if (code < 0)
        return code;
    stream = output_file_stream(&output);
    if (stream)
        code = fit_page_write(findings, pictures, stream);
    return output_file_end_stream(&output, stream, code);
}

static int report(struct request *request)
{
    struct fit_findings findings = {0};
    struct fit_pictures pictures = {0};
    char targets[TOOL_HUMAN_BYTES];
    int code = fit_query_open(&request->query);

    if (code == 0)
        code = open_pictures(request, &pictures);
    if (code == 0)
        code = gather(request, &findings);
    if (code == 0)
        warn(&findings);
    if (code == 0)
        code = write_page(request, &findings, &pictures);
    if (code == 0 && strcmp(request->path, "-") != 0)
        printf("%s: fit %s, %s target%s, %zu of them one by one\n", request->path,
               request->query.fit_name, tool_human_count(findings.target_ct, targets),
               tool_plural(findings.target_ct), findings.shown_ct);
    fit_findings_free(&findings);
    thumbnails_close(&pictures.examples);
    thumbnails_close(&pictures.targets);
    fit_query_close(&request->query);
    return code;
}

int command_report(int argc, char **argv)
{
    struct request request = {.example_ct = 8, .memory_bytes = UINT64_C(4) << 30};
    int status = parse(argc, argv, &request);

    if (status != TOOL_CONTINUE)
        return status;
    return tool_finish_output(name, report(&request) < 0 ? tool_fail_library(name) : TOOL_OK);
}
