/*
 * dmstore export-fit: writes a fit as NumPy files: the matrix of weights, dense or sparse, and one
 * number a target of bias, lambda and gap.
 */
#include "commands.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <dmstore.h>

#include "fit_summary.h"
#include "json.h"
#include "npy_file.h"
#include "options.h"
#include "output_file.h"
#include "progress.h"
#include "report.h"

static const char name[] = "export-fit";

/* Rows of the dense matrix that are in memory at once take about this. */
#define ROWS_BYTES (64u << 20)

/* The files, in the order in which they get their names; those not written have no path. */
enum { WEIGHT, INDPTR, INDICES, DATA, BIAS, LAMBDA, GAP, TARGETS, FILE_CT };

static const struct {
    const char *name;
    char kind; /* NumPy's */
    uint32_t item_bytes;
} files[FILE_CT] = {
    [WEIGHT] = {"weight.npy", 'f', 4},   [INDPTR] = {"indptr.npy", 'i', 8},
    [INDICES] = {"indices.npy", 'i', 4}, [DATA] = {"data.npy", 'f', 8},
    [BIAS] = {"bias.npy", 'f', 8},       [LAMBDA] = {"lam.npy", 'f', 8},
    [GAP] = {"gap.npy", 'f', 8},         [TARGETS] = {"targets.npy", 'i', 8},
};

struct exporter {
    const dms_fit *fit;
    const char *directory;
    bool sparse;
    uint64_t example_ct, target_ct, weight_ct;
    struct npy_writer writers[FILE_CT];
    struct progress progress;
};

/* ---- files ---- */

static int create_file(struct exporter *exporter, int file, uint32_t dimension_ct, uint64_t rows,
                       uint64_t columns)
{
    const uint64_t dimensions[] = {rows, columns};
    char *path = output_file_path(exporter->directory, files[file].name);
    int code = path ? npy_writer_create(&exporter->writers[file], path, files[file].kind,
                                        files[file].item_bytes, dimension_ct, dimensions)
                    : DMS_ERR_NO_MEMORY;

    free(path);
    return code;
}

static int create_files(struct exporter *exporter)
{
    int code = 0;

    for (int file = BIAS; file < FILE_CT && code == 0; file++)
        code = create_file(exporter, file, 1, exporter->target_ct, 0);
    if (code < 0 || !exporter->sparse)
        return code ? code
                    : create_file(exporter, WEIGHT, 2, exporter->example_ct, exporter->target_ct);
    code = create_file(exporter, INDPTR, 1, exporter->target_ct + 1, 0);
    if (code == 0)
        code = create_file(exporter, INDICES, 1, exporter->weight_ct, 0);
    return code ? code : create_file(exporter, DATA, 1, exporter->weight_ct, 0);
}

static bool is_written(const struct exporter *exporter, int file)
{
    return exporter->sparse ? file != WEIGHT : file > DATA || file == WEIGHT;
}

static int commit_files(struct exporter *exporter)
{
    int code = 0;

    for (int file = 0; file < FILE_CT && code == 0; file++) {
        if (is_written(exporter, file))
            code = npy_writer_commit(&exporter->writers[file]);
    }
    return code;
}

static int write_items(const struct exporter *exporter, int file, uint64_t first, uint64_t item_ct,
                       const void *items)
{
    return item_ct == 0 ? 0
                        : npy_writer_write(&exporter->writers[file], first, item_ct, 0,
                                           files[file].item_bytes, items);
}

static int advance(struct exporter *exporter, uint64_t done, uint64_t total)
{
    if (progress_update(&exporter->progress, done, total))
        return dms_source_fail(DMS_ERR_INTERRUPTED, "interrupted");
    return 0;
}

/* ---- one number a target, and the sparse matrix ---- */

static int write_target(struct exporter *exporter, uint64_t position, uint64_t weight_at,
                        const struct dms_fitted_target *target)
{
    int64_t number = (int64_t)target->target;
    int64_t end = (int64_t)(weight_at + target->weight_ct);
    double bias = target->flags & DMS_FITTED_NO_BIAS ? NAN : target->bias;
    int code = write_items(exporter, BIAS, position, 1, &bias);

    if (code == 0)
        code = write_items(exporter, LAMBDA, position, 1, &target->lambda);
    if (code == 0)
        code = write_items(exporter, GAP, position, 1, &target->gap);
    if (code == 0)
        code = write_items(exporter, TARGETS, position, 1, &number);
    if (code < 0 || !exporter->sparse)
        return code;
    code = write_items(exporter, INDPTR, position + 1, 1, &end);
    if (code == 0)
        code = write_items(exporter, INDICES, weight_at, target->weight_ct, target->examples);
    return code ? code : write_items(exporter, DATA, weight_at, target->weight_ct, target->weights);
}

static int write_targets(struct exporter *exporter)
{
    uint64_t weight_at = 0;
    int64_t zero = 0;
    int code = exporter->sparse ? write_items(exporter, INDPTR, 0, 1, &zero) : 0;

    for (uint64_t i = 0; i < exporter->target_ct && code == 0; i++) {
        struct dms_fitted_target target;

        code = dms_fit_target(exporter->fit, i, &target);
        if (code == 0)
            code = write_target(exporter, i, weight_at, &target);
        if (code == 0)
            weight_at += target.weight_ct;
    }
    return code;
}

/* ---- the dense matrix ---- */

/* Fills rows first .. end - 1, one an example, from the weights of all targets. next[i]: the first
 * weight of target i that was not written yet. */
static int fill_rows(const struct exporter *exporter, uint64_t first, uint64_t end, uint64_t *next,
                     float *rows)
{
    memset(rows, 0, (end - first) * exporter->target_ct * sizeof(*rows));
    for (uint64_t i = 0; i < exporter->target_ct; i++) {
        struct dms_fitted_target target;
        int code = dms_fit_target(exporter->fit, i, &target);
        uint64_t k = next[i];

        if (code < 0)
            return code;
        for (; k < target.weight_ct && target.examples[k] < end; k++)
            rows[(target.examples[k] - first) * exporter->target_ct + i] = (float)target.weights[k];
        next[i] = k;
    }
    return 0;
}

/* Never more of the matrix in memory than ROWS_BYTES, or one row. */
static int write_dense(struct exporter *exporter)
{
    uint64_t row_bytes = exporter->target_ct * sizeof(float);
    uint64_t fit = row_bytes > 0 ? ROWS_BYTES / row_bytes : exporter->example_ct;
    uint64_t step = fit >= exporter->example_ct ? exporter->example_ct : fit > 0 ? fit : 1;
    float *rows = malloc(step * row_bytes + 1);
    uint64_t *next = calloc(exporter->target_ct + 1, sizeof(*next));
    int code = 0;

    if (!rows || !next)
        code = dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for %" PRIu64 " rows of weights",
                               step);
    for (uint64_t first = 0; first < exporter->example_ct && code == 0; first += step) {
        uint64_t end = exporter->example_ct - first < step ? exporter->example_ct : first + step;

        code = fill_rows(exporter, first, end, next, rows);
        if (code == 0 && row_bytes > 0)
            code = npy_writer_write(&exporter->writers[WEIGHT], first, end - first, 0, row_bytes,
                                    rows);
        if (code == 0)
            code = advance(exporter, end * row_bytes, exporter->example_ct * row_bytes);
    }
    free(rows);
    free(next);
    return code;
}

/* ---- provenance ---- */

static int json_provenance(struct json_writer *json, const struct exporter *exporter,
                           const struct fit_summary *summary)
{
    int code = 0;

    json_object_open(json, NULL);
    fit_summary_json(json, summary);
    json_array_open(json, "shape");
    json_u64(json, NULL, exporter->example_ct);
    json_u64(json, NULL, exporter->target_ct);
    json_array_close(json);
    fit_pairs_json(json, "problem", summary->header->problem, summary->header->problem_ct);
    json_array_open(json, "jobs");
    for (size_t i = 0; i < summary->part_ct && code == 0; i++) {
        struct dms_fit_part_info info;

        code = dms_fit_part_info(exporter->fit, i, &info);
        if (code == 0)
            fit_pairs_json(json, NULL, info.provenance, info.provenance_ct);
    }
    json_array_close(json);
    json_object_close(json);
    json_end(json);
    return code;
}

/* Writes provenance.json, by way of memory. */
static int write_provenance(const struct exporter *exporter)
{
    struct output_file output = {0};
    struct fit_summary summary;
    struct json_writer json;
    char *text = NULL, *path = output_file_path(exporter->directory, "provenance.json");
    size_t bytes = 0;
    FILE *memory = path ? open_memstream(&text, &bytes) : NULL;
    int code = memory ? fit_summarize(exporter->fit, &summary)
                      : dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");

    if (code == 0) {
        json_begin(&json, memory);
        code = json_provenance(&json, exporter, &summary);
    }
    if (memory && fclose(memory) != 0 && code == 0)
        code = dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory");
    if (code == 0)
        code = output_file_create(&output, path);
    if (code == 0)
        code = output_file_append(&output, bytes, text);
    if (code == 0)
        code = output_file_commit(&output);
    output_file_abandon(&output);
    free(text);
    free(path);
    return code;
}

/* ---- the command ---- */

static int count_weights(struct exporter *exporter)
{
    int code = 0;

    for (uint64_t i = 0; i < exporter->target_ct && code == 0; i++) {
        struct dms_fitted_target target;

        code = dms_fit_target(exporter->fit, i, &target);
        if (code == 0)
            exporter->weight_ct += target.weight_ct;
    }
    return code;
}

static int make_directory(const char *path)
{
    if (mkdir(path, 0777) == 0 || errno == EEXIST)
        return 0; /* what is no directory fails when the first file is made */
    return tool_source_fail_errno("cannot create directory '%s'", path);
}

static int export_fit(struct exporter *exporter)
{
    int code = count_weights(exporter);

    if (code == 0 && exporter->sparse && exporter->example_ct > INT32_MAX)
        code = dms_source_fail(DMS_ERR_UNSUPPORTED, "indices.npy holds examples below 2^31 only");
    if (code == 0)
        code = make_directory(exporter->directory);
    if (code == 0)
        code = create_files(exporter);
    if (code == 0)
        code = write_targets(exporter);
    if (code == 0 && !exporter->sparse)
        code = write_dense(exporter);
    if (code == 0)
        code = commit_files(exporter);
    for (int file = 0; file < FILE_CT; file++)
        npy_writer_abandon(&exporter->writers[file]);
    return code ? code : write_provenance(exporter);
}

static int run(const char *store, const char *fit_name, struct exporter *exporter)
{
    dms_snapshot *snapshot = NULL;
    dms_fit *fit = NULL;
    int code = dms_snapshot_open(store, &snapshot);

    if (code == 0)
        code = dms_fit_open(snapshot, fit_name, &fit);
    if (code == 0) {
        exporter->fit = fit;
        exporter->example_ct = dms_fit_get_header(fit)->example_ct;
        exporter->target_ct = dms_fit_target_ct(fit);
        progress_begin(&exporter->progress, name, PROGRESS_BYTES);
        code = export_fit(exporter);
        progress_end(&exporter->progress);
    }
    dms_fit_close(fit);
    dms_snapshot_close(snapshot);
    return code;
}

int command_export_fit(int argc, char **argv)
{
    struct exporter exporter = {0};
    const struct tool_option options[] = {
        OPTION_TEXT("output", 'o', "DIR", &exporter.directory,
                    "directory to write the files to; it is made if it is not there"),
        OPTION_FLAG("sparse", 0, &exporter.sparse,
                    "write indptr.npy, indices.npy and data.npy instead of weight.npy"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE FIT -o DIR [--sparse]",
        .description =
            "Writes a fit of STORE (a store or a manifest) as NumPy files: weight.npy\n"
            "(float32, examples x fitted targets), bias.npy, lam.npy, gap.npy, targets.npy,\n"
            "and how it came about as provenance.json.\n",
        .positional_min = 2,
        .positional_max = 2,
        .options = options,
    };
    char **positionals;
    int code, status = tool_options_parse(&usage, argc, argv, &positionals, NULL);

    if (status != TOOL_CONTINUE)
        return status;
    if (!exporter.directory)
        return tool_fail_usage(name, "--output DIR is missing");
    code = run(positionals[0], positionals[1], &exporter);
    if (code < 0)
        return tool_fail_library(name);
    printf("%s: %" PRIu64 " target%s of fit %s, %" PRIu64 " weights\n", exporter.directory,
           exporter.target_ct, tool_plural(exporter.target_ct), positionals[1], exporter.weight_ct);
    return tool_finish_output(name, TOOL_OK);
}
