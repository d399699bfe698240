/*
 * Reading and checking the index as a whole: see index_check.h.
 */
#include "store/index_check.h"

#include "base/alloc.h"
#include "base/error.h"
#include "format/ids.h"
#include "format/schema.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- reading ---- */

static int take_pending(void *context, uint64_t segment)
{
    struct dms_index_view *view = context;
    int status = dms_grow((void **)&view->pending, &view->pending_capacity, view->pending_ct + 1,
                          sizeof *view->pending);
    if (status == 0) {
        view->pending[view->pending_ct++] = segment;
    }
    return status;
}

static int add_run(struct dms_placed_runs *placed, const struct dms_placed_run *run)
{
    int status = dms_grow((void **)&placed->runs, &placed->capacity, placed->run_ct + 1,
                          sizeof *placed->runs);
    if (status == 0) {
        placed->runs[placed->run_ct++] = *run;
    }
    return status;
}

static int take_run(void *context, uint64_t first, uint32_t count, const struct dms_id_place *place)
{
    struct dms_placed_run run = {first, count, *place};
    return add_run(context, &run);
}

static int read_sums(struct dms_index_txn *txn, struct dms_index_view *view)
{
    const struct dms_schema *schema = view->catalog.schema;
    view->sums = dms_alloc(schema->column_ct, sizeof *view->sums);
    int status = view->sums ? 0 : DMS_ERR_NO_MEMORY;
    for (uint32_t c = 0; status == 0 && c < schema->column_ct; c++) {
        const struct dms_column *column = &schema->columns[c];
        if (column->kind == DMS_COLUMN_OUTPUT) {
            view->sums[c] = dms_alloc_aligned(_Alignof(struct dms_exact_sum),
                                              (size_t)dms_column_value_ct(column) *
                                                  sizeof(struct dms_exact_sum));
            status =
                view->sums[c] ? dms_index_get_sums(txn, column, view->sums[c]) : DMS_ERR_NO_MEMORY;
        }
    }
    return status;
}

static int read_all(struct dms_index_txn *txn, bool with_totals, struct dms_index_view *view)
{
    int status = dms_index_get_meta(txn, &view->meta);
    status = status ? status : dms_index_load(txn, &view->catalog);
    status = status ? status : dms_index_each_pending(txn, take_pending, view);
    status = status ? status : dms_index_each_id_run(txn, take_run, &view->placed);
    if (status == 0 && with_totals) {
        uint64_t example_ct = view->catalog.schema->example_ct;
        view->counts = dms_alloc((size_t)example_ct, sizeof *view->counts);
        status =
            view->counts ? dms_index_get_counts(txn, view->counts, example_ct) : DMS_ERR_NO_MEMORY;
        status = status ? status : read_sums(txn, view);
    }
    return status;
}

static int read_here(const char *store_path, bool with_totals, struct dms_index_view *view)
{
    struct dms_index_view read = {0};
    struct dms_index *index = NULL;
    struct dms_index_txn *txn = NULL;
    int status = dms_index_open(store_path, false, &index);
    status = status ? status : dms_index_begin(index, false, &txn);
    status = status ? status : read_all(txn, with_totals, &read);
    dms_index_abort(txn);
    dms_index_close(index);
    if (status != 0) {
        dms_index_view_free(&read);
        return status;
    }
    *view = read;
    return 0;
}

/* Reads the index in a child process: LMDB trusts its file, and a damaged one can make it abort,
 * loop, or touch memory that is not there. Returns 0 unless the child came to such an end. */
static int probe(const char *store_path, bool with_totals)
{
    enum { PATIENCE_SECONDS = 300 };
    pid_t child = fork();
    if (child < 0) {
        return dms_fail_errno("cannot start a process that tries the index of '%s'", store_path);
    }
    if (child == 0) {
        struct dms_index_view view = {0};
        alarm(PATIENCE_SECONDS);
        (void)read_here(store_path, with_totals, &view);
        dms_index_view_free(&view);
        _exit(0);
    }
    int outcome;
    pid_t got;
    do {
        got = waitpid(child, &outcome, 0);
    } while (got < 0 && errno == EINTR);
    if (got == child && (!WIFEXITED(outcome) || WEXITSTATUS(outcome) != 0)) {
        return dms_fail(DMS_ERR_CORRUPT,
                        "index of '%s' is damaged: LMDB fails on it: run 'dmstore recover'",
                        store_path);
    }
    return 0;
}

int dms_index_view_read(const char *store_path, bool with_totals, struct dms_index_view *view)
{
    /* An index that this process works with already is not tried first. */
    int status = dms_index_is_open(store_path) ? 0 : probe(store_path, with_totals);
    return status ? status : read_here(store_path, with_totals, view);
}

void dms_index_view_free(struct dms_index_view *view)
{
    for (uint32_t c = 0; view->sums && c < view->catalog.schema->column_ct; c++) {
        free(view->sums[c]);
    }
    free(view->sums);
    free(view->counts);
    free(view->pending);
    free(view->placed.runs);
    dms_catalog_clear(&view->catalog);
    *view = (struct dms_index_view){0};
}

/* ---- comparing with the segments ---- */

static int differs(const char *what, uint64_t number)
{
    return dms_fail(DMS_ERR_CORRUPT,
                    "the index and the segments differ in %s %" PRIu64 ": run 'dmstore recover'",
                    what, number);
}

/* Compares what two records are coded as. */
static int compare_coded(const struct dms_buffer *a, const struct dms_buffer *b, const char *what,
                         uint64_t number)
{
    return a->size == b->size && memcmp(a->data, b->data, a->size) == 0 ? 0 : differs(what, number);
}

static int compare_groups(const struct dms_catalog *left, const struct dms_catalog *right,
                          struct dms_buffer *a, struct dms_buffer *b)
{
    int status =
        left->group_ct == right->group_ct ? 0 : differs("the number of groups,", right->group_ct);
    for (size_t k = 0; status == 0 && k < left->group_ct; k++) {
        dms_buffer_clear(a);
        dms_buffer_clear(b);
        status = dms_group_record_encode(&left->groups[k], a);
        status = status ? status : dms_group_record_encode(&right->groups[k], b);
        status = status ? status : compare_coded(a, b, "group", right->groups[k].number);
    }
    return status;
}

static int compare_batches(const struct dms_catalog *left, const struct dms_catalog *right,
                           struct dms_buffer *a, struct dms_buffer *b)
{
    int status =
        left->batch_ct == right->batch_ct ? 0 : differs("the number of batches,", right->batch_ct);
    for (size_t k = 0; status == 0 && k < left->batch_ct; k++) {
        dms_buffer_clear(a);
        dms_buffer_clear(b);
        status = dms_batch_record_encode(&left->batches[k], a);
        status = status ? status : dms_batch_record_encode(&right->batches[k], b);
        status = status ? status : compare_coded(a, b, "batch", right->batches[k].number);
    }
    return status;
}

static int compare_fits(const struct dms_catalog *left, const struct dms_catalog *right,
                        struct dms_buffer *a, struct dms_buffer *b)
{
    int status = left->fit_ct == right->fit_ct ? 0 : differs("the number of fits,", right->fit_ct);
    for (size_t k = 0; status == 0 && k < left->fit_ct; k++) {
        dms_buffer_clear(a);
        dms_buffer_clear(b);
        status = dms_fit_record_encode(&left->fits[k], a);
        status = status ? status : dms_fit_record_encode(&right->fits[k], b);
        status = status ? status : compare_coded(a, b, "fit", right->fits[k].number);
    }
    return status;
}

static int compare_segments(const struct dms_catalog *left, const struct dms_catalog *right)
{
    int status = left->segment_ct == right->segment_ct
                     ? 0
                     : differs("the number of segments,", right->segment_ct);
    for (size_t k = 0; status == 0 && k < left->segment_ct; k++) {
        const struct dms_segment_record *a = &left->segments[k];
        const struct dms_segment_record *b = &right->segments[k];
        if (a->number != b->number || a->committed_bytes != b->committed_bytes ||
            a->kind != b->kind || memcmp(a->uuid, b->uuid, DMS_UUID_BYTES) != 0) {
            status = differs("segment", b->number);
        }
    }
    return status;
}

static int compare_schemas(const struct dms_catalog *left, const struct dms_catalog *right,
                           struct dms_buffer *a, struct dms_buffer *b)
{
    dms_buffer_clear(a);
    dms_buffer_clear(b);
    int status = dms_schema_encode(left->schema, a);
    status = status ? status : dms_schema_encode(right->schema, b);
    return status ? status : compare_coded(a, b, "schema version", right->schema->version);
}

int dms_index_view_compare(const struct dms_index_view *view, const struct dms_catalog *replayed)
{
    const struct dms_catalog *catalog = &view->catalog;
    struct dms_buffer a = {0};
    struct dms_buffer b = {0};
    int status = 0;
    if (catalog->sequence != replayed->sequence || catalog->commit_hash != replayed->commit_hash) {
        status = differs("the last commit,", replayed->sequence);
    }
    status = status ? status : compare_schemas(catalog, replayed, &a, &b);
    status = status ? status : compare_segments(catalog, replayed);
    status = status ? status : compare_groups(catalog, replayed, &a, &b);
    status = status ? status : compare_batches(catalog, replayed, &a, &b);
    status = status ? status : compare_fits(catalog, replayed, &a, &b);
    /* The index may have given out more numbers, to writers that have not committed yet. */
    if (status == 0 &&
        (catalog->next_group < replayed->next_group || catalog->next_batch < replayed->next_batch ||
         catalog->next_segment < replayed->next_segment)) {
        status = differs("the next numbers after commit", replayed->sequence);
    }
    dms_buffer_free(&a);
    dms_buffer_free(&b);
    return status;
}

/* ---- ids ---- */

static int compare_runs(const void *a, const void *b)
{
    uint64_t left = ((const struct dms_placed_run *)a)->first;
    uint64_t right = ((const struct dms_placed_run *)b)->first;
    return (left > right) - (left < right);
}

/* Joins runs that continue one another, so that the same ids always look the same. CORRUPT when an
 * id is there twice. */
static int normalise(struct dms_placed_runs *placed)
{
    size_t kept = 0;
    if (placed->run_ct > 1) {
        qsort(placed->runs, placed->run_ct, sizeof *placed->runs, compare_runs);
    }
    for (size_t k = 0; k < placed->run_ct; k++) {
        const struct dms_placed_run *run = &placed->runs[k];
        struct dms_placed_run *last = kept > 0 ? &placed->runs[kept - 1] : NULL;
        if (last && run->first - last->first < last->count) {
            return dms_fail(DMS_ERR_CORRUPT, "model id %" PRIu64 " is live twice", run->first);
        }
        if (last && run->first == last->first + last->count && run->first != 0 &&
            run->place.staged == last->place.staged &&
            run->place.container == last->place.container &&
            run->place.row == last->place.row + last->count) {
            last->count += run->count;
        } else {
            placed->runs[kept++] = *run;
        }
    }
    placed->run_ct = kept;
    return 0;
}

/* Adds the runs of a group's or batch's live rows. */
static int add_live(struct dms_placed_runs *placed, struct dms_ids_iterator iterator,
                    const uint8_t *removed, struct dms_id_place place)
{
    struct dms_id_span span;
    int status;
    while ((status = dms_ids_next(&iterator, &span)) > 0) {
        for (uint32_t k = 0; k < span.count;) {
            uint32_t length = 0;
            while (k + length < span.count && !dms_row_is_removed(removed, span.row + k + length)) {
                length++;
            }
            place.row = span.row + k;
            struct dms_placed_run run = {span.first + k, length, place};
            status = length > 0 ? add_run(placed, &run) : 0;
            if (status != 0) {
                return status;
            }
            k += length + 1;
        }
    }
    return status;
}

static int live_runs(const struct dms_catalog *catalog, struct dms_placed_runs *placed)
{
    int status = 0;
    for (size_t k = 0; status == 0 && k < catalog->group_ct; k++) {
        const struct dms_group_record *group = &catalog->groups[k];
        status = add_live(placed, dms_ids_begin(group->runs, group->run_bytes, group->row_ct),
                          group->removed, (struct dms_id_place){false, group->number, 0});
    }
    for (size_t k = 0; status == 0 && k < catalog->batch_ct; k++) {
        const struct dms_batch_record *batch = &catalog->batches[k];
        status = add_live(placed, dms_ids_begin(batch->runs, batch->run_bytes, batch->row_ct),
                          batch->removed, (struct dms_id_place){true, batch->number, 0});
    }
    return status ? status : normalise(placed);
}

static bool is_same_run(const struct dms_placed_run *a, const struct dms_placed_run *b)
{
    return a->first == b->first && a->count == b->count && a->place.staged == b->place.staged &&
           a->place.container == b->place.container && a->place.row == b->place.row;
}

/* The live rows that the index counts, sealed and staged. */
static int check_row_counts(const struct dms_index_view *view)
{
    uint64_t model_ct = 0;
    uint64_t staged_ct = 0;
    for (size_t k = 0; k < view->catalog.group_ct; k++) {
        model_ct += view->catalog.groups[k].live_ct;
    }
    for (size_t k = 0; k < view->catalog.batch_ct; k++) {
        staged_ct += view->catalog.batches[k].live_ct;
    }
    model_ct += staged_ct;
    if (view->meta.model_ct != model_ct || view->meta.staged_ct != staged_ct) {
        return dms_fail(DMS_ERR_CORRUPT,
                        "the index counts %" PRIu64 " models, %" PRIu64
                        " are there: run 'dmstore recover'",
                        view->meta.model_ct, model_ct);
    }
    return 0;
}

int dms_index_view_check_ids(const struct dms_index_view *view)
{
    struct dms_placed_runs live = {0};
    struct dms_placed_runs listed = {0};
    int status = check_row_counts(view);
    status = status ? status : live_runs(&view->catalog, &live);
    for (size_t k = 0; status == 0 && k < view->placed.run_ct; k++) {
        status = add_run(&listed, &view->placed.runs[k]);
    }
    status = status ? status : normalise(&listed);
    for (size_t k = 0; status == 0 && k < live.run_ct && k < listed.run_ct; k++) {
        if (!is_same_run(&live.runs[k], &listed.runs[k])) {
            status = differs("the place of model", live.runs[k].first);
        }
    }
    if (status == 0 && live.run_ct != listed.run_ct) {
        status = differs("the number of runs of model ids,", live.run_ct);
    }
    free(live.runs);
    free(listed.runs);
    return status;
}

/* ---- totals ---- */

static int check_sums(const struct dms_column *column, const struct dms_exact_sum *listed,
                      const struct dms_exact_sum *added)
{
    for (uint64_t k = 0; k < dms_column_value_ct(column); k++) {
        struct dms_exact_sum zero = {0};
        const struct dms_exact_sum *expected = added ? &added[k] : &zero;
        bool is_same = listed[k].finite_ct == expected->finite_ct &&
                       listed[k].nonfinite_ct == expected->nonfinite_ct;
        /* Sums of f32 are rounded, in the order in which rows came and went. */
        if (column->dtype != DMS_F32) {
            is_same &= listed[k].sum == expected->sum;
            is_same &= listed[k].square_sum == expected->square_sum;
        }
        if (!is_same) {
            return dms_fail(DMS_ERR_CORRUPT,
                            "the sums of column %s, value %" PRIu64
                            ", are wrong in the index: run 'dmstore recover'",
                            column->name, k);
        }
    }
    return 0;
}

int dms_index_view_check_totals(const struct dms_index_view *view, const struct dms_totals *totals)
{
    const struct dms_schema *schema = view->catalog.schema;
    int status = 0;
    for (uint64_t k = 0; k < schema->example_ct; k++) {
        if (view->counts[k] != totals->counts[k]) {
            return dms_fail(DMS_ERR_CORRUPT,
                            "the index says that example %" PRIu64 " is in %" PRIu64
                            " masks, it is in %" PRIu32 ": run 'dmstore recover'",
                            k, view->counts[k], totals->counts[k]);
        }
    }
    for (uint32_t c = 0; status == 0 && c < schema->column_ct; c++) {
        if (view->sums[c]) {
            status = check_sums(&schema->columns[c], view->sums[c], totals->sums[c]);
        }
    }
    return status;
}
