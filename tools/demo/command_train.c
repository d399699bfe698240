/*
 * digits train: what a worker of a training farm does. For each model id of its range that is not
 * in the store yet it draws the model's subset of the training images (or takes it from a file),
 * trains a model on it, computes the margins, and appends the row; a batch of rows is a commit. Any
 * number of workers may append to one store at once; one that was killed is simply started again.
 *
 * The models of a plan (`dmstore counterfactual`, `dmstore support`) are trained in the same way.
 * Where it has examples mislabelled, its mask leaves them out, but they stay, with the other label.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore.h>

#include "demo.h"
#include "images.h"
#include "learner.h"
#include "mask_file.h"
#include "model_row.h"
#include "options.h"
#include "output_file.h"
#include "progress.h"
#include "removal_plan.h"
#include "report.h"
#include "row_batch.h"
#include "write_report.h"

static const char name[] = "train";

static const struct learner *const learners[] = {&learner_knn, &learner_ridge};
static const char *const learner_words[] = {"knn", "ridge", NULL};

/* What the command line says. */
struct request {
    const char *store;
    const char *data;
    const char *ids;
    uint64_t first_id, end_id; /* of ids */
    const char *plan_directory;
    struct removal_plan plan; /* what is in it */
    char *plan_masks;         /* its file of masks, which `masks` then is */
    int learner;
    const char *alpha;
    uint64_t seed;
    bool sampled;
    const char *masks;
    uint64_t masks_first_id;
    bool alpha_given, seed_given, masks_first_id_given;
    uint64_t batch_rows;
};

/* Where masks come from: a file, or drawn by sampling. */
struct mask_source {
    struct mask_file file;
    uint64_t first_id; /* of its first row */
    struct dms_sampling sampling;
    size_t example_ct;
};

struct worker {
    struct digits digits;
    struct image *training; /* the training images with the labels that models are taught */
    struct image *queries;  /* targets, then perhaps the training images */
    struct lesson lesson;
    const struct learner *learner;
    void *prepared;
    float *scores;
    struct mask_source masks;
    uint8_t *mask, *taught_mask; /* of a model, and with the examples that are mislabelled in it */
    bool *is_there;              /* of the ids of the request: in the store already */
    dms_store *store;
    dms_snapshot *snapshot;
    struct row_layout layout;
    struct row_batch batch;
    struct row_sink sink;
};

/* ---- masks ---- */

static int open_masks(struct mask_source *source, const struct request *request, size_t example_ct)
{
    int code;

    source->example_ct = example_ct;
    if (!request->masks) {
        source->sampling.seed = request->seed;
        return dms_alpha_parse(request->alpha, example_ct, &source->sampling.subset_size);
    }
    code = mask_file_open(&source->file, request->masks, example_ct, MASKS_EITHER);
    if (code < 0)
        return code;
    source->first_id = request->masks_first_id;
    if (request->first_id < source->first_id ||
        request->end_id - source->first_id > source->file.file.row_ct)
        return dms_source_fail(DMS_ERR_INVALID,
                               "'%s' has the masks of models %" PRIu64 " to %" PRIu64
                               " only: choose other --ids or another --first-id",
                               request->masks, source->first_id,
                               source->first_id + source->file.file.row_ct - 1);
    return 0;
}

/* The mask of model `id`: (example_ct + 7) / 8 bytes. */
static int read_mask(const struct mask_source *source, uint64_t id, uint8_t *mask)
{
    if (!source->file.file.path)
        return dms_sample_mask(source->example_ct, source->sampling.subset_size,
                               source->sampling.seed, id, mask);
    return mask_file_read(&source->file, id - source->first_id, 1, mask);
}

/* ---- the plan ---- */

/* Takes masks and ids from the plan. */
static int read_plan(struct request *request)
{
    struct removal_plan *plan = &request->plan;
    int code = removal_plan_read(request->plan_directory, UINT64_MAX, plan);

    if (code < 0)
        return code;
    request->plan_masks = output_file_path(request->plan_directory, "masks.npy");
    if (!request->plan_masks)
        return DMS_ERR_NO_MEMORY;
    request->masks = request->plan_masks;
    request->masks_first_id = plan->rows[0].id;
    if (!request->ids) {
        request->first_id = plan->rows[0].id;
        request->end_id = request->first_id + plan->row_ct;
    }
    if (request->first_id < plan->rows[0].id ||
        request->end_id > plan->rows[plan->row_ct - 1].id + 1)
        return dms_source_fail(DMS_ERR_INVALID,
                               "the plan has models %" PRIu64 " to %" PRIu64 " only",
                               plan->rows[0].id, plan->rows[plan->row_ct - 1].id);
    return 0;
}

/* Teaches the labels of model `id`: where its row of the plan has a label, the examples that the
 * mask leaves out get it, and the learner's mask has them all. */
static int relabel(const struct removal_plan *plan, uint64_t id, struct image *training,
                   size_t training_ct, uint8_t *mask)
{
    const struct plan_row *row = &plan->rows[id - plan->rows[0].id];

    if (!row->has_label)
        return 0;
    if (row->label < 0 || row->label >= CLASS_CT)
        return dms_source_fail(DMS_ERR_INVALID, "model %" PRIu64 ": there is no digit %" PRId64, id,
                               row->label);
    for (size_t i = 0; i < training_ct; i++) {
        if (mask[i >> 3] >> (i & 7) & 1)
            continue;
        training[i].label = (uint8_t)row->label;
        mask[i >> 3] |= (uint8_t)(1u << (i & 7));
    }
    return 0;
}

/* ---- one worker ---- */

/* Marks the ids of the request that the store has. */
static int find_present(struct worker *worker, const struct request *request)
{
    const struct dms_id_run *runs;
    size_t run_ct;
    int code = dms_snapshot_id_runs(worker->snapshot, &runs, &run_ct);

    if (code < 0)
        return code;
    worker->is_there = calloc(request->end_id - request->first_id + 1, sizeof(bool));
    if (!worker->is_there)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for a list of ids");
    for (size_t i = 0; i < run_ct; i++) {
        uint64_t id = runs[i].first_id, end = id + runs[i].id_ct;

        for (id = id > request->first_id ? id : request->first_id; id < end && id < request->end_id;
             id++)
            worker->is_there[id - request->first_id] = true;
    }
    return 0;
}

/* Gives the learner its images: the store's columns tell which ones are to be scored. */
static int prepare_learner(struct worker *worker, const struct learner *learner)
{
    const struct digits *digits = &worker->digits;
    size_t query_ct = digits->target_ct + (worker->layout.of_training ? digits->training_ct : 0);

    worker->training = calloc(digits->training_ct, sizeof(*worker->training));
    worker->queries = calloc(query_ct, sizeof(*worker->queries));
    worker->scores = calloc(query_ct * CLASS_CT, sizeof(*worker->scores));
    worker->mask = calloc(1, worker->layout.mask_bytes);
    worker->taught_mask = calloc(1, worker->layout.mask_bytes);
    if (!worker->training || !worker->taught_mask || !worker->queries || !worker->scores ||
        !worker->mask)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for the scores of images");
    memcpy(worker->queries, digits->targets, digits->target_ct * sizeof(*worker->queries));
    if (worker->layout.of_training)
        memcpy(worker->queries + digits->target_ct, digits->training,
               digits->training_ct * sizeof(*worker->queries));
    memcpy(worker->training, digits->training, digits->training_ct * sizeof(*worker->training));
    worker->lesson = (struct lesson){
        .training = worker->training,
        .training_ct = digits->training_ct,
        .queries = worker->queries,
        .query_ct = query_ct,
    };
    worker->learner = learner;
    return learner->prepare(&worker->lesson, &worker->prepared);
}

/* Everything that comes before the first model. */
static int prepare_worker(struct worker *worker, const struct request *request)
{
    const struct dms_schema *schema;
    int code = digits_read(request->data, &worker->digits);

    if (code == 0)
        code = dms_store_open(request->store, &worker->store);
    if (code == 0)
        code = dms_store_snapshot(worker->store, &worker->snapshot);
    if (code < 0)
        return code;
    schema = dms_snapshot_schema(worker->snapshot);
    code = row_layout_make(schema, &worker->digits, &worker->layout);
    if (code == 0)
        code = row_batch_init(&worker->batch, schema);
    if (code == 0)
        code = open_masks(&worker->masks, request, worker->digits.training_ct);
    if (code == 0)
        code = find_present(worker, request);
    if (code == 0)
        code = prepare_learner(worker, learners[request->learner]);
    worker->sink = (struct row_sink){.store = worker->store};
    return code;
}

static void free_worker(struct worker *worker)
{
    row_batch_free(&worker->batch);
    if (worker->learner)
        worker->learner->free(worker->prepared);
    mask_file_close(&worker->masks.file);
    free(worker->is_there);
    free(worker->mask);
    free(worker->taught_mask);
    free(worker->training);
    free(worker->scores);
    free(worker->queries);
    dms_snapshot_close(worker->snapshot);
    dms_store_close(worker->store);
    digits_free(&worker->digits);
}

static int train_model(struct worker *worker, const struct request *request, uint64_t id)
{
    const struct digits *digits = &worker->digits;
    int code = read_mask(&worker->masks, id, worker->mask);

    if (code < 0)
        return code;
    memcpy(worker->training, digits->training, digits->training_ct * sizeof(*worker->training));
    memcpy(worker->taught_mask, worker->mask, worker->layout.mask_bytes);
    if (request->plan_directory)
        code =
            relabel(&request->plan, id, worker->training, digits->training_ct, worker->taught_mask);
    if (code < 0)
        return code;
    worker->learner->train(worker->prepared, worker->taught_mask, worker->scores);
    return row_layout_add(&worker->layout, digits, id, worker->mask, worker->scores,
                          request->sampled ? &worker->masks.sampling : NULL, &worker->batch);
}

/* Trains what is missing; stops early, after a commit, on SIGINT and SIGTERM. */
static int train_models(struct worker *worker, const struct request *request)
{
    uint64_t model_ct = request->end_id - request->first_id;
    struct progress progress;
    bool interrupted = false;
    int code = 0;

    progress_begin(&progress, name, PROGRESS_ROWS);
    for (uint64_t i = 0; i < model_ct && code == 0; i++) {
        interrupted = progress_update(&progress, i, model_ct) != 0;
        if (interrupted)
            break;
        if (worker->is_there[i])
            continue;
        code = train_model(worker, request, request->first_id + i);
        if (code == 0 && worker->batch.row_ct >= request->batch_rows)
            code = row_sink_commit(&worker->sink, &worker->batch);
    }
    progress_end(&progress);
    if (code == 0)
        code = row_sink_commit(&worker->sink, &worker->batch);
    if (code == 0 && interrupted)
        code =
            dms_source_fail(DMS_ERR_INTERRUPTED, "interrupted: what was trained is in the store");
    return code;
}

static void print_report(const struct worker *worker, const struct request *request, double seconds)
{
    uint64_t model_ct = request->end_id - request->first_id;
    const struct dms_write_result *result = &worker->sink.result;
    uint64_t trained_ct = result->added_ct + result->unchanged_ct;
    char trained[TOOL_HUMAN_BYTES], there[TOOL_HUMAN_BYTES];

    printf("models %" PRIu64 " to %" PRIu64 ": %s trained (%s) and appended in %.1f s",
           request->first_id, request->end_id - 1, tool_human_count(trained_ct, trained),
           worker->learner->description, seconds);
    if (trained_ct < model_ct)
        printf(", %s were there", tool_human_count(model_ct - trained_ct, there));
    putchar('\n');
}

static int train(struct request *request)
{
    struct worker worker = {0};
    double start = monotonic_seconds();
    int status = TOOL_OK;

    if ((request->plan_directory && read_plan(request) < 0) ||
        prepare_worker(&worker, request) < 0 || train_models(&worker, request) < 0)
        status = tool_fail_library(name);
    else
        print_report(&worker, request, monotonic_seconds() - start);
    free_worker(&worker);
    removal_plan_free(&request->plan);
    free(request->plan_masks);
    return tool_finish_output(name, status);
}

/* ---- command line ---- */

/* Parses "A:B", the models A to B - 1. */
static bool parse_ids(const char *text, uint64_t *first_id, uint64_t *end_id)
{
    const char *colon = strchr(text, ':');
    char first[32];

    if (!colon || (size_t)(colon - text) >= sizeof(first))
        return false;
    memcpy(first, text, (size_t)(colon - text));
    first[colon - text] = '\0';
    return tool_parse_number(first, 1000, first_id) && tool_parse_number(colon + 1, 1000, end_id) &&
           *first_id < *end_id;
}

static int check_request(struct request *request)
{
    if (!request->data || (!request->ids && !request->plan_directory))
        return tool_fail_usage(name, "--data FILE and --ids A:B are needed");
    if (request->ids && !parse_ids(request->ids, &request->first_id, &request->end_id))
        return tool_fail_usage(name, "--ids: expected A:B with A < B, for models A to B - 1");
    if (request->masks && (request->alpha_given || request->seed_given || request->sampled))
        return tool_fail_usage(name, "--masks is instead of --alpha, --seed and --sampled");
    if (!request->masks && request->masks_first_id_given)
        return tool_fail_usage(name, "--first-id goes with --masks");
    if (request->plan_directory &&
        (request->masks || request->alpha_given || request->seed_given || request->sampled))
        return tool_fail_usage(name, "--plan is instead of --masks, --alpha, --seed and --sampled");
    if (!request->masks && !request->plan_directory && !request->seed_given)
        return tool_fail_usage(name, "--seed S (or --masks FILE, or --plan DIR) is needed");
    if (request->batch_rows == 0)
        return tool_fail_usage(name, "--batch: at least 1");
    return TOOL_CONTINUE;
}

int command_train(int argc, char **argv)
{
    struct request request = {.batch_rows = 64};
    char **positionals;
    const struct tool_option options[] = {
        OPTION_TEXT("data", 0, "FILE", &request.data, "the images: digits.csv (needed)"),
        OPTION_TEXT("ids", 0, "A:B", &request.ids,
                    "train models A to B - 1, those that are not in the store yet (needed but with "
                    "--plan)"),
        OPTION_CHOICE("model", 0, "knn|ridge", &request.learner, learner_words,
                      "10 nearest neighbours weighted by distance (default), or a ridge "
                      "classifier on the pixels"),
        OPTION_COUNT("seed", 0, "S", &request.seed, &request.seed_given,
                     "subsets are those of 'dmstore sample --examples 1400 --seed S'"),
        OPTION_TEXT("alpha", 0, "A", &request.alpha,
                    "part of the training images in a subset (default 0.5)"),
        OPTION_FLAG("sampled", 0, &request.sampled,
                    "let the store keep 16 bytes a model, from which a mask is drawn again, "
                    "instead of its bits"),
        OPTION_TEXT("masks", 0, "FILE", &request.masks,
                    "train on the subsets in this .npy file instead, a row a model: bool or "
                    "packed uint8; rows may be equal"),
        OPTION_TEXT("plan", 0, "DIR", &request.plan_directory,
                    "train the models of a plan that dmstore counterfactual or dmstore support "
                    "wrote; --ids may part it"),
        OPTION_COUNT("first-id", 0, "ID", &request.masks_first_id, &request.masks_first_id_given,
                     "model id of its first row (default 0)"),
        OPTION_COUNT("batch", 0, "K", &request.batch_rows, NULL,
                     "commit every K models (default 64)"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE --data FILE --ids A:B --seed S [options]",
        .description =
            "Trains models on subsets of 1,400 images of handwritten digits and appends a\n"
            "row for each: its mask, and the columns that the store has of these:\n"
            "  test_margins:397      margin (right class less best other) of each target\n"
            "  test_logits:397x10    the scores of its classes\n"
            "  train_margins:1400, train_logits:1400x10   the same of the training images\n"
            "  accuracy              part of the targets that the model gets right (scalar)\n"
            "Several workers may train disjoint ranges into one store at once.\n",
        .positional_min = 1,
        .positional_max = 1,
        .options = options,
    };
    int status = tool_options_parse(&usage, argc, argv, &positionals, NULL);

    if (status != TOOL_CONTINUE)
        return status;
    request.alpha_given = request.alpha != NULL;
    if (!request.alpha)
        request.alpha = "0.5";
    request.store = positionals[0];
    status = check_request(&request);
    return status == TOOL_CONTINUE ? train(&request) : status;
}
