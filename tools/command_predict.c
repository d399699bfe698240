/*
 * dmstore predict: what the datamodels of a fit predict for subsets of the training set, one that
 * is named by its examples, or many in a file of masks.
 */
#include "commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore.h>

#include "extrapolation.h"
#include "fit_query.h"
#include "index_list.h"
#include "mask_file.h"
#include "options.h"
#include "prediction_report.h"
#include "report.h"

static const char name[] = "predict";

/* Masks of a file that are predicted at once: their predictions stay small beside the weights. */
#define BLOCK_MASKS 512

struct request {
    struct fit_query query;
    const char *masks, *subset, *removed;
    bool keep_all;
    const char *output;
    bool as_json;
    unsigned thread_ct;
};

/* A prediction under way. */
struct work {
    const struct request *request;
    const struct fit_query *query;
    struct prediction_report report;
    size_t mask_bytes;
    uint8_t *masks;      /* block_masks */
    double *predictions; /* block_masks x targets */
    double *full;        /* of the targets, for the full training set */
    double *changes;     /* of the targets */
};

/* ---- the command line ---- */

static int check(const struct request *request)
{
    int given = (request->masks != NULL) + (request->subset != NULL) + (request->removed != NULL) +
                request->keep_all;

    if (given != 1)
        return tool_fail_usage(name,
                               "give one of --masks, --subset, --remove and --keep-all, to say "
                               "for which subset");
    if (request->as_json && request->output && strcmp(request->output, "-") == 0)
        return tool_fail_usage(name, "--json and -o - cannot both be printed");
    return TOOL_CONTINUE;
}

static int parse(int argc, char **argv, struct request *request)
{
    const struct tool_option options[] = {
        OPTION_TEXT("masks", 0, "FILE", &request->masks,
                    "the subsets that the rows of a .npy file are: bool (subsets x examples), or "
                    "packed uint8 (subsets x examples/8)"),
        OPTION_TEXT("subset", 0, "FILE", &request->subset, "the subset of the examples in FILE"),
        OPTION_TEXT("remove", 0, "FILE", &request->removed, "all examples but those in FILE"),
        OPTION_FLAG("keep-all", 0, &request->keep_all, "all examples"),
        FIT_QUERY_TARGET_OPTION(&request->query),
        OPTION_TEXT("target-names", 0, "FILE", &request->query.target_names,
                    "names of the targets: text, a line each"),
        OPTION_TEXT("target-labels", 0, "FILE", &request->query.target_labels,
                    ".npy of the targets' classes"),
        OPTION_THREADS(&request->thread_ct, "threads to work with (default: one a processor)"),
        OPTION_TEXT("output", 'o', "FILE", &request->output,
                    "write predictions to FILE: .npy, float64 (subsets x targets), else CSV; '-': "
                    "CSV instead of the report"),
        OPTION_FLAG("json", 0, &request->as_json, "print the report as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE FIT --masks FILE|--subset FILE|--remove FILE|--keep-all [options]",
        .description =
            "Prints what the datamodels of FIT predict for subsets of the training set of\n"
            "STORE (a store or a manifest): bias + sum of the weights of its examples, for\n"
            "all fitted targets unless --target names some.\n",
        .options = options,
    };
    int status = fit_query_parse(&request->query, &usage, argc, argv);

    return status == TOOL_CONTINUE ? check(request) : status;
}

/* ---- one subset ---- */

static void set_examples(uint8_t *mask, uint64_t example_ct)
{
    for (uint64_t k = 0; k < example_ct; k++)
        mask[k >> 3] |= (uint8_t)(1u << (k & 7));
}

/* Makes the mask that was asked for by its examples. */
static int make_subset(const struct work *work, uint8_t *mask)
{
    const struct request *request = work->request;
    const char *path = request->subset ? request->subset : request->removed;
    struct index_list list = {0};
    int code = path ? index_list_read(path, "example", work->query->header->example_ct, &list) : 0;

    if (code < 0)
        return code;
    if (!request->subset)
        set_examples(mask, work->query->header->example_ct);
    for (size_t i = 0; i < list.index_ct; i++)
        mask[list.indices[i] >> 3] ^= (uint8_t)(1u << (list.indices[i] & 7));
    index_list_free(&list);
    return 0;
}

static int predict(const struct work *work, const uint8_t *masks, size_t mask_ct,
                   double *predictions)
{
    const struct fit_query *query = work->query;

    return dms_predict_masks(query->fit, query->positions, query->position_ct, masks, mask_ct,
                             work->mask_bytes, work->request->thread_ct, predictions);
}

static void note_size(struct predicted_subsets *subsets, const uint8_t *mask, size_t mask_bytes)
{
    uint64_t size = 0;

    for (size_t i = 0; i < mask_bytes; i++)
        size += (uint64_t)__builtin_popcount(mask[i]);
    subsets->smallest = size < subsets->smallest ? size : subsets->smallest;
    subsets->largest = size > subsets->largest ? size : subsets->largest;
}

static int warn(const struct work *work, const char *subject, struct predicted_subsets *subsets)
{
    struct dms_subset_sizes sizes;
    int code = dms_fit_subset_sizes(work->query->snapshot, work->query->fit,
                                    work->request->thread_ct, &sizes);

    if (code == 0 && subsets->smallest <= subsets->largest)
        subsets->extrapolate =
            extrapolation_warn(name, subject, subsets->smallest, subsets->largest, &sizes);
    return code;
}

static int predict_subset(struct work *work)
{
    struct predicted_subsets subsets = {.smallest = UINT64_MAX};
    size_t target_ct = work->query->position_ct;
    int code = make_subset(work, work->masks);

    if (code == 0)
        code = predict(work, work->masks, 1, work->predictions);
    if (code < 0)
        return code;
    for (size_t i = 0; i < target_ct; i++)
        work->changes[i] = work->predictions[i] - work->full[i];
    note_size(&subsets, work->masks, work->mask_bytes);
    code = warn(work, "the subset has", &subsets);
    return code ? code
                : prediction_report_subset(&work->report, &subsets, work->predictions,
                                           work->changes);
}

/* ---- many ---- */

static int predict_block(struct work *work, const struct mask_file *file, uint64_t first,
                         size_t mask_ct, struct predicted_subsets *subsets)
{
    size_t target_ct = work->query->position_ct;
    int code = mask_file_read(file, first, mask_ct, work->masks);

    if (code == 0)
        code = predict(work, work->masks, mask_ct, work->predictions);
    if (code < 0)
        return code;
    for (size_t i = 0; i < mask_ct; i++)
        note_size(subsets, work->masks + i * work->mask_bytes, work->mask_bytes);
    for (size_t i = 0; work->report.changes_only && i < mask_ct * target_ct; i++)
        work->predictions[i] -= work->full[i % target_ct];
    return prediction_report_masks(&work->report, first, mask_ct, work->predictions);
}

static int predict_masks(struct work *work)
{
    struct predicted_subsets subsets = {.smallest = UINT64_MAX};
    struct mask_file file = {0};
    int code =
        mask_file_open(&file, work->request->masks, work->query->header->example_ct, MASKS_EITHER);

    if (code == 0)
        code = prediction_report_begin(&work->report, file.file.row_ct);
    for (uint64_t first = 0; code == 0 && first < file.file.row_ct; first += BLOCK_MASKS) {
        uint64_t left = file.file.row_ct - first;

        code = predict_block(work, &file, first, left < BLOCK_MASKS ? left : BLOCK_MASKS, &subsets);
    }
    if (code == 0)
        code = warn(work, "the subsets have", &subsets);
    code = prediction_report_end(&work->report, &subsets, code);
    mask_file_close(&file);
    return code;
}

/* ---- the command ---- */

/* Whether some target has no bias, so that only changes mean something. */
static int look_for_biases(struct work *work)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < work->query->position_ct; i++) {
        struct dms_fitted_target target;

        code = fit_query_target(work->query, i, &target);
        if (code == 0)
            work->report.changes_only |= (target.flags & DMS_FITTED_NO_BIAS) != 0;
    }
    return code;
}

static int allocate(struct work *work)
{
    size_t block_masks = work->request->masks ? BLOCK_MASKS : 1;
    size_t target_ct = work->query->position_ct;

    work->masks = calloc(block_masks, work->mask_bytes);
    work->predictions = calloc(block_masks * target_ct + 1, sizeof(double));
    work->full = calloc(target_ct + 1, sizeof(double));
    work->changes = calloc(target_ct + 1, sizeof(double));
    return work->masks && work->predictions && work->full && work->changes
               ? 0
               : dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for the predictions");
}

static int predict_full(struct work *work)
{
    int code;

    set_examples(work->masks, work->query->header->example_ct);
    code = predict(work, work->masks, 1, work->full);
    memset(work->masks, 0, work->mask_bytes);
    return code;
}

static int run(struct request *request)
{
    struct fit_query *query = &request->query;
    struct work work = {
        .request = request,
        .query = query,
        .report = {.query = query, .path = request->output, .as_json = request->as_json},
    };
    int code = fit_query_open(query);

    if (code == 0)
        code = fit_query_check_outputs(query);
    if (code == 0) {
        work.mask_bytes = (size_t)(query->header->example_ct + 7) / 8;
        code = look_for_biases(&work);
    }
    if (code == 0)
        code = allocate(&work);
    if (code == 0)
        code = predict_full(&work);
    if (code == 0)
        code = request->masks ? predict_masks(&work) : predict_subset(&work);
    free(work.masks);
    free(work.predictions);
    free(work.full);
    free(work.changes);
    return code;
}

int command_predict(int argc, char **argv)
{
    struct request request = {.query.targets = "all"};
    int code, status = parse(argc, argv, &request);

    if (status != TOOL_CONTINUE)
        return status;
    code = run(&request);
    fit_query_close(&request.query);
    return tool_finish_output(name, code < 0 ? tool_fail_library(name) : TOOL_OK);
}
