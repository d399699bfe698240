/*
 * dmstore import-fit: takes the weights that any other attribution method has estimated as a fit,
 * so that all methods are asked and scored in one way.
 */
#include "commands.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <dmstore.h>

#include "fit_arrays.h"
#include "fit_sink.h"
#include "index_list.h"
#include "options.h"
#include "progress.h"
#include "report.h"
#include "weight_source.h"

static const char name[] = "import-fit";

/* The command line. */
struct request {
    const char *store;
    const char *directory; /* what `dmstore export-fit` wrote; fills what is not given */
    const char *weight, *indptr, *indices, *data, *bias, *targets;
    const char *labels, *self, *threshold, *like, *source, *scale;
    bool transposed, negate, as_json;
    int transform; /* a word; -1: not given */
    double factor;
    struct dms_fit_options options;
    char *command_line;
};

/* What the command holds while it works. */
struct import {
    struct request *request;
    char *paths[6]; /* in the directory */
    int64_t *labels, *self;
    dms_snapshot *snapshot;
    dms_fit *like;
    struct dms_fit_header *header;
    struct weight_source source;
    struct index_list targets;
    double *biases; /* NULL: none */
    uint64_t first_target;
    struct dms_output_moments *moments; /* of targets first_target ... */
    struct provenance provenance;
    struct fit_sink sink;
    struct progress progress;
};

/* ---- the command line ---- */

static bool has_sparse(const struct request *request)
{
    return request->indptr || request->indices || request->data;
}

/* Turns the words of the command line into options. */
static int interpret(struct request *request)
{
    struct dms_fit_options *options = &request->options;

    if (!options->name)
        return tool_fail_usage(name, "--name is missing: what the fit shall be called");
    if (!options->output && !request->like)
        return tool_fail_usage(name, "--output is missing: the column that the weights predict");
    if (!request->weight && !has_sparse(request) && !request->directory)
        return tool_fail_usage(name, "the weights are missing: give --weight, or --indptr, "
                                     "--indices and --data, or --from");
    if (request->weight && has_sparse(request))
        return tool_fail_usage(name, "--weight is in place of --indptr, --indices and --data");
    if (has_sparse(request) && !(request->indptr && request->indices && request->data))
        return tool_fail_usage(name, "--indptr, --indices and --data belong together");
    if (request->transposed && !request->weight)
        return tool_fail_usage(name, "--transposed is about --weight, which is not given");
    request->factor = 1;
    if (request->scale && !tool_parse_real(request->scale, &request->factor))
        return tool_fail_usage(name, "--scale: '%s' is no number", request->scale);
    if (request->factor == 0)
        return tool_fail_usage(name, "--scale is 0: no weight would be left");
    if (request->negate)
        request->factor = -request->factor;
    if (request->like &&
        (options->held_out_ct != DMS_FIT_DEFAULT || options->validation_ct != DMS_FIT_DEFAULT ||
         request->transform >= 0 || request->threshold || options->exclude_self))
        return tool_fail_usage(name, "--like takes the models and the output of the other fit: "
                                     "--holdout, --validation, --transform, --threshold and "
                                     "--exclude-self cannot be given with it");
    options->exclude_self |= request->self != NULL;
    return tool_interpret_transform(name, request->transform, request->threshold, options);
}

static int parse(int argc, char **argv, struct request *request)
{
    struct dms_fit_options *fit = &request->options;
    const struct tool_option options[] = {
        OPTION_TEXT("name", 0, "FIT", &fit->name, "name of the fit"),
        OPTION_TEXT("output", 0, "COLUMN", &fit->output,
                    "the output column that the weights predict"),
        OPTION_TEXT("weight", 0, "FILE", &request->weight,
                    ".npy of the weights: a row an example, a column a target"),
        OPTION_FLAG("transposed", 0, &request->transposed,
                    "--weight has a row for each target and a column for each example"),
        OPTION_TEXT("indptr", 0, "FILE", &request->indptr,
                    "with --indices and --data: sparse weights, where each target's begin"),
        OPTION_TEXT("indices", 0, "FILE", &request->indices, "examples of sparse weights"),
        OPTION_TEXT("data", 0, "FILE", &request->data, "values of sparse weights"),
        OPTION_TEXT("from", 0, "DIR", &request->directory,
                    "take what is not given from the files that 'dmstore export-fit' wrote to DIR"),
        OPTION_TEXT("bias", 0, "FILE", &request->bias,
                    ".npy of one bias a target, NaN: not known; without one only LDS is scored"),
        OPTION_TEXT("targets-file", 0, "FILE", &request->targets,
                    "which targets the weights are of, in their order (default: all of COLUMN)"),
        OPTION_TEXT("scale", 0, "S", &request->scale, "multiply the weights by S"),
        OPTION_FLAG("negate", 0, &request->negate,
                    "change the sign of the weights: they are effects of removing an example"),
        OPTION_COUNT("holdout", 0, "H", &fit->held_out_ct, NULL,
                     "hold out the H largest model ids, to score the fit on (default 0)"),
        OPTION_COUNT("validation", 0, "V", &fit->validation_ct, NULL,
                     "note the V largest ids before those as validation models (default 0)"),
        OPTION_TEXT("like", 0, "FIT2", &request->like,
                    "models, output and transform of another fit: both are scored alike"),
        OPTION_CHOICE("transform", 0, "none|margin|correct", &request->transform,
                      tool_transform_words,
                      "the weights predict margins of logits, or correctness"),
        OPTION_TEXT("threshold", 0, "T", &request->threshold,
                    "the weights predict correctness: whether the output, or the margin, is above "
                    "T"),
        OPTION_TEXT("labels", 0, "FILE", &request->labels,
                    ".npy: the correct class of each target, for logits"),
        OPTION_FLAG("exclude-self", 0, &fit->exclude_self,
                    "leave out models that were trained on the target itself"),
        OPTION_TEXT("self", 0, "FILE", &request->self,
                    ".npy: which example each target is, -1: none (default: target j is j); "
                    "implies --exclude-self"),
        OPTION_TEXT("source", 0, "TEXT", &request->source,
                    "where the weights come from, to be kept with them"),
        OPTION_THREADS(&fit->thread_ct, "threads to work with (default: one a processor)"),
        OPTION_BYTES("memory", 0, "BYTES", &fit->memory_bytes, NULL,
                     "memory to use for the means of the outputs (default 4G)"),
        OPTION_FLAG("json", 0, &request->as_json, "print the summary as JSON"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE --name FIT --output COLUMN --weight FILE [options]",
        .description =
            "Takes the weights of another attribution method (TRAK, influence functions,\n"
            "TracIn ...) as a fit of STORE, so that it can be asked and scored as datamodels\n"
            "are. Without a bias only LDS is scored.\n",
        .positional_min = 1,
        .positional_max = 1,
        .options = options,
    };
    char **positionals;
    int status;

    dms_fit_options_init(fit);
    request->command_line = provenance_command_line(argc, argv);
    if (!request->command_line)
        return tool_fail(name, "out of memory");
    status = tool_options_parse(&usage, argc, argv, &positionals, NULL);
    if (status != TOOL_CONTINUE)
        return status;
    request->store = positionals[0];
    return interpret(request);
}

/* ---- files ---- */

/* Sets *path to DIR/file unless it is set, or the file is not there. */
static int find_file(struct import *import, size_t place, const char *file, const char **path)
{
    const char *directory = import->request->directory;
    size_t bytes = strlen(directory) + strlen(file) + 2;

    if (*path)
        return 0;
    import->paths[place] = malloc(bytes);
    if (!import->paths[place])
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");
    snprintf(import->paths[place], bytes, "%s/%s", directory, file);
    if (access(import->paths[place], F_OK) == 0)
        *path = import->paths[place];
    return 0;
}

static int find_files(struct import *import)
{
    struct request *request = import->request;
    bool is_given = request->weight || has_sparse(request);
    int code = find_file(import, 0, "bias.npy", &request->bias);

    if (code == 0)
        code = find_file(import, 1, "targets.npy", &request->targets);
    if (code == 0 && !is_given)
        code = find_file(import, 2, "weight.npy", &request->weight);
    if (code == 0 && !is_given)
        code = find_file(import, 3, "indptr.npy", &request->indptr);
    if (code == 0 && !is_given)
        code = find_file(import, 4, "indices.npy", &request->indices);
    if (code == 0 && !is_given)
        code = find_file(import, 5, "data.npy", &request->data);
    if (code < 0)
        return code;
    if (request->weight && has_sparse(request))
        return dms_source_fail(DMS_ERR_INVALID,
                               "'%s' has weight.npy and sparse weights, too: name those that are "
                               "meant (--weight, or --indptr, --indices and --data)",
                               request->directory);
    if (!request->weight && !(request->indptr && request->indices && request->data))
        return dms_source_fail(DMS_ERR_NOT_FOUND,
                               "'%s' has neither weight.npy nor indptr.npy, indices.npy and "
                               "data.npy",
                               request->directory);
    return 0;
}

static int read_arrays(struct import *import)
{
    struct request *request = import->request;
    struct dms_fit_options *options = &request->options;
    int code = request->directory ? find_files(import) : 0;

    if (code == 0 && request->labels)
        code = fit_array_integers(request->labels, "label", &import->labels, &options->label_ct);
    if (code == 0 && request->self)
        code = fit_array_integers(request->self, "example", &import->self, &options->self_ct);
    options->labels = import->labels;
    options->self = import->self;
    return code;
}

static int open_weights(struct import *import)
{
    const struct request *request = import->request;

    import->source = (struct weight_source){
        .weight = request->weight,
        .indptr = request->indptr,
        .indices = request->indices,
        .data = request->data,
        .transposed = request->transposed,
        .factor = request->factor,
        .example_ct = import->header->example_ct,
    };
    return weight_source_open(&import->source);
}

/* Which target each one of the files is. */
static int choose_targets(struct import *import)
{
    const struct request *request = import->request;
    const struct dms_fit_header *header = import->header;
    uint64_t target_ct = import->source.target_ct;
    int code =
        request->targets
            ? index_list_read(request->targets, "target", header->target_ct, &import->targets)
            : index_list_parse("all", "target", header->target_ct, &import->targets);

    if (code < 0)
        return code;
    if (import->targets.index_ct == target_ct)
        return 0;
    if (!request->targets)
        return dms_source_fail(DMS_ERR_INVALID,
                               "'%s' has the weights of %" PRIu64 " target%s, and column %s has "
                               "%" PRIu64 ": say which they are (--targets-file)",
                               request->weight ? request->weight : request->indptr, target_ct,
                               tool_plural(target_ct), header->output, header->target_ct);
    return dms_source_fail(DMS_ERR_INVALID,
                           "'%s' lists %zu targets, and there are weights of %" PRIu64,
                           request->targets, import->targets.index_ct, target_ct);
}

static int read_biases(struct import *import)
{
    const char *path = import->request->bias;
    size_t bias_ct = 0;
    int code = path ? fit_array_doubles(path, "bias", &import->biases, &bias_ct) : 0;

    if (code < 0 || !path)
        return code;
    if (bias_ct != import->targets.index_ct)
        return dms_source_fail(DMS_ERR_INVALID,
                               "'%s' has %zu biases, and there are weights of %zu targets", path,
                               bias_ct, import->targets.index_ct);
    for (size_t i = 0; i < bias_ct; i++) {
        if (isinf(import->biases[i])) /* NaN: not known */
            return dms_source_fail(DMS_ERR_INVALID, "'%s': bias %zu is infinite", path, i);
    }
    return 0;
}

/* ---- the store ---- */

static int plan(struct import *import)
{
    const struct request *request = import->request;
    int code = fit_sink_check(request->store);

    if (code == 0)
        code = dms_snapshot_open(request->store, &import->snapshot);
    if (code == 0 && request->like)
        code = dms_fit_open(import->snapshot, request->like, &import->like);
    if (code == 0)
        code = dms_import_plan(import->snapshot, &request->options, import->like, &import->header);
    /* With another fit to be like, it is that one which does not go with what was given. */
    return code == DMS_ERR_CONFLICT && !request->like ? tool_advise_other_name(code) : code;
}

/* Means of the outputs of the targets, and of those between them. */
static int read_moments(struct import *import)
{
    struct dms_fit_options options = import->request->options;
    uint64_t first = UINT64_MAX, end = 0;

    for (size_t i = 0; i < import->targets.index_ct; i++) {
        uint64_t target = import->targets.indices[i];

        first = target < first ? target : first;
        end = target >= end ? target + 1 : end;
    }
    import->first_target = options.first_target = first;
    options.end_target = end;
    import->moments = calloc(end - first, sizeof(*import->moments));
    if (!import->moments)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %" PRIu64 " targets",
                               end - first);
    return dms_import_moments(import->snapshot, import->header, &options, progress_show_targets,
                              &import->progress, import->moments);
}

static void describe(struct import *import)
{
    const struct request *request = import->request;
    struct provenance *provenance = &import->provenance;

    if (request->source)
        provenance_say(provenance, "source", "%s", request->source);
    if (request->weight)
        provenance_say(provenance, "weight", "%s", request->weight);
    if (request->transposed)
        provenance_say(provenance, "transposed", "yes");
    if (!request->weight) {
        provenance_say(provenance, "indptr", "%s", request->indptr);
        provenance_say(provenance, "indices", "%s", request->indices);
        provenance_say(provenance, "data", "%s", request->data);
    }
    if (request->bias)
        provenance_say(provenance, "bias", "%s", request->bias);
    if (request->targets)
        provenance_say(provenance, "targets-file", "%s", request->targets);
    if (request->like)
        provenance_say(provenance, "like", "%s", request->like);
    provenance_say(provenance, "factor", "%.17g", request->factor);
}

static int add_target(struct import *import, size_t place)
{
    struct weight_source *source = &import->source;
    uint64_t target = import->targets.indices[place];
    const struct dms_output_moments *moments = &import->moments[target - import->first_target];
    bool has_bias = import->biases && !isnan(import->biases[place]);
    int code = weight_source_read(source, place);
    struct dms_fitted_target fitted = {
        .target = target,
        .flags = DMS_FITTED_ESTIMATED | (has_bias ? 0 : DMS_FITTED_NO_BIAS),
        .bias = has_bias ? import->biases[place] : 0,
        .null_deviance = moments->null_deviance,
        .mean = moments->mean,
        .row_ct = moments->row_ct,
        .weight_ct = source->weight_ct,
        .examples = source->examples,
        .weights = source->weights,
    };

    return code < 0 ? code : fit_sink_add(&import->sink, &fitted);
}

static int add_targets(struct import *import)
{
    int code = 0;

    describe(import);
    import->sink = (struct fit_sink){
        .store = import->request->store,
        .header = import->header,
        .command_line = import->request->command_line,
        .started = time(NULL),
        .provenance = &import->provenance,
    };
    for (size_t i = 0; code == 0 && i < import->targets.index_ct; i++) {
        code = add_target(import, i);
        if (code == 0 && progress_show_targets(&import->progress, i + 1, import->targets.index_ct))
            code = dms_source_fail(DMS_ERR_INTERRUPTED, "interrupted");
    }
    return fit_sink_end(&import->sink, code);
}

/* ---- the command ---- */

static int run(struct import *import)
{
    int code = read_arrays(import);

    if (code == 0)
        code = plan(import);
    if (code == 0)
        code = open_weights(import);
    if (code == 0)
        code = choose_targets(import);
    if (code == 0)
        code = read_biases(import);
    if (code < 0)
        return code;
    progress_begin(&import->progress, name, PROGRESS_ROWS);
    code = read_moments(import);
    if (code == 0)
        code = add_targets(import);
    progress_end(&import->progress);
    return code;
}

static void free_import(struct import *import)
{
    weight_source_close(&import->source);
    index_list_free(&import->targets);
    free(import->biases);
    free(import->moments);
    dms_fit_header_free(import->header);
    dms_fit_close(import->like);
    dms_snapshot_close(import->snapshot);
    free(import->labels);
    free(import->self);
    for (size_t i = 0; i < sizeof(import->paths) / sizeof(import->paths[0]); i++)
        free(import->paths[i]);
}

int command_import_fit(int argc, char **argv)
{
    struct request request = {.transform = -1};
    struct import import = {.request = &request};
    int status = parse(argc, argv, &request);

    if (status == TOOL_CONTINUE) {
        status = run(&import) < 0 ? tool_fail_library(name) : TOOL_OK;
        if (status == TOOL_OK && request.as_json)
            fit_sink_print_json(&import.sink);
        else if (status == TOOL_OK)
            fit_sink_print(&import.sink);
        free_import(&import);
        status = tool_finish_output(name, status);
    }
    free(request.command_line);
    return status;
}
