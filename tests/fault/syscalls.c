/*
 * Every operation on a store, disturbed at every call that it makes: the i-th call to the system
 * fails, once or for good, or moves half of the bytes, or is interrupted, or finds no memory, or
 * the process dies there. The operation must succeed or fail with a message that names its object,
 * without crash, hang or leak; afterwards the store is whole, holds the state before or after (what
 * was acknowledged in any case), and the operation can be repeated.
 *
 * Each disturbed operation and each examination of what it left runs in a process of its own. Jobs
 * (an operation with one kind of fault) run side by side. DMSTORE_TEST_CAMPAIGN=1 disturbs every
 * allocation of memory, too, not a sample.
 */
#include "tests/fault/inject.h"
#include "tests/fault/known_fits.h"
#include "tests/fault/known_rows.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ID_MAX = 512,
    FIT_IDS = 450, /* the targets of fit main are judged as if they were models with these ids */
    JOB_MAX = 256,
    RUN_SECONDS = 60, /* an operation that takes longer hangs */
    MEMORY_SAMPLE = 80,
    LASTING_SAMPLE = 25,
};

/* --- operations --- */

/* What a disturbed process tells before it exits, in memory shared with the process that judges it.
 */
struct outcome {
    bool ended;
    int status;
    char message[512];
    size_t unfreed_ct;
    uintptr_t unfreed_by;
    bool acknowledged[ID_MAX]; /* models whose append returned 0 */
};

static struct outcome *outcome;

static const char *below(const char *directory, const char *name, char path[KNOWN_PATH_BYTES])
{
    snprintf(path, KNOWN_PATH_BYTES, "%.400s/%s", directory, name);
    return path;
}

static int with_store(const char *directory, int (*work)(dms_store *store, const char *directory))
{
    char path[KNOWN_PATH_BYTES];
    dms_store *store;
    int status = dms_store_open(below(directory, "store", path), &store);

    if (status == 0) {
        status = work(store, directory);
        dms_store_close(store);
    }
    return status;
}

static int create(const char *directory)
{
    char path[KNOWN_PATH_BYTES];

    return known_create(below(directory, "store", path), "auto");
}

/* A store with two segments of groups, removed rows and staged rows: models 0 .. 139 and 200 ..
 * 229; and a fit in two parts: targets 0 .. 4. */
static int fill_store(dms_store *store, const char *directory)
{
    static const uint64_t removed[] = {3, 4, 5, 70, 210};
    int status = known_write(store, 0, 100, 1);

    (void)directory;
    if (status == 0)
        status = known_write(store, 100, 40, 1);
    if (status == 0)
        status = known_append(store, 200, 30, 1, DMS_DUPLICATE_ERROR);
    if (status == 0)
        status = known_fit_add(store, "main", 0, 3);
    if (status == 0)
        status = known_fit_add(store, "main", 3, 5);
    return status ? status
                  : dms_store_remove(store, removed, sizeof removed / sizeof *removed, false, NULL);
}

static int make_filled(const char *directory)
{
    int status = create(directory);

    return status ? status : with_store(directory, fill_store);
}

/* Rows one by one, going on after a failure as a training farm does; the first failure is the
 * result. */
static int append_some(dms_store *store, const char *directory)
{
    char message[sizeof outcome->message] = "";
    int result = 0;

    (void)directory;
    for (uint64_t id = 300; id < 304; id++) {
        int status = known_append(store, id, 1, 1, DMS_DUPLICATE_ERROR);

        outcome->acknowledged[id] = status == 0;
        if (status != 0 && result == 0) {
            result = status;
            snprintf(message, sizeof message, "%s", dms_error_message());
        }
    }
    return result ? dms_source_fail(result, "%s", message) : 0;
}

static int append(const char *directory)
{
    return with_store(directory, append_some);
}

/* The rows that make a group full, which is then sealed by the way. */
static int append_full_group(dms_store *store, const char *directory)
{
    (void)directory;
    return known_append(store, 300, KNOWN_CHUNK_ROWS, 1, DMS_DUPLICATE_ERROR);
}

static int append_and_seal(const char *directory)
{
    return with_store(directory, append_full_group);
}

static int replace_rows(dms_store *store, const char *directory)
{
    (void)directory;
    return known_append(store, 95, 10, 2, DMS_DUPLICATE_REPLACE);
}

static int append_replacing(const char *directory)
{
    return with_store(directory, replace_rows);
}

static int write_rows(dms_store *store, const char *directory)
{
    (void)directory;
    return known_write(store, 300, 150, 1);
}

static int ingest(const char *directory)
{
    return with_store(directory, write_rows);
}

/* Over the end of one group, into staged rows and beyond. */
static int overwrite_rows(dms_store *store, const char *directory)
{
    (void)directory;
    return known_write(store, 130, 130, 2);
}

static int ingest_replacing(const char *directory)
{
    return with_store(directory, overwrite_rows);
}

static int seal_store(dms_store *store, const char *directory)
{
    (void)directory;
    return dms_store_seal(store, NULL);
}

static int seal(const char *directory)
{
    return with_store(directory, seal_store);
}

static int remove_some(dms_store *store, const char *directory)
{
    static const uint64_t ids[] = {0, 1, 99, 120, 201, 202};

    (void)directory;
    return dms_store_remove(store, ids, sizeof ids / sizeof *ids, true, NULL);
}

static int remove_rows(const char *directory)
{
    return with_store(directory, remove_some);
}

static int compact_store(dms_store *store, const char *directory)
{
    struct dms_codec codec = {DMS_CODEC_ZSTD, 1};
    struct dms_compact_options options = {.codec = &codec};

    (void)directory;
    return dms_store_compact(store, &options, NULL);
}

static int compact(const char *directory)
{
    return with_store(directory, compact_store);
}

static int add_to_fit(dms_store *store, const char *directory)
{
    (void)directory;
    return known_fit_add(store, "main", 0, 20);
}

static int merge_fits(const char *directory)
{
    return with_store(directory, add_to_fit);
}

static int remove_one_fit(dms_store *store, const char *directory)
{
    int status = dms_store_remove_fit(store, "main");

    (void)directory;
    return status == DMS_ERR_NOT_FOUND ? 0 : status;
}

static int remove_fit(const char *directory)
{
    return with_store(directory, remove_one_fit);
}

static int add_some_column(dms_store *store, const char *directory)
{
    struct dms_column column;
    int status = dms_output_parse("logits:7x3:f32", &column);

    (void)directory;
    if (status == 0)
        status = dms_store_add_column(store, &column);
    return status == DMS_ERR_EXISTS ? 0 : status;
}

static int add_column(const char *directory)
{
    return with_store(directory, add_some_column);
}

static int make_two_stores(const char *directory)
{
    char path[KNOWN_PATH_BYTES];
    dms_store *store;
    int status = make_filled(directory);

    if (status == 0)
        status = known_create(below(directory, "source", path), "none");
    if (status != 0)
        return status;
    status = dms_store_open(path, &store);
    if (status != 0)
        return status;
    status = known_write(store, 300, 80, 1);
    if (status == 0)
        status = known_append(store, 400, 10, 1, DMS_DUPLICATE_ERROR);
    dms_store_close(store);
    return status;
}

static int merge_source(dms_store *store, const char *directory)
{
    char path[KNOWN_PATH_BYTES];
    dms_snapshot *source;
    int status = dms_snapshot_open(below(directory, "source", path), &source);

    if (status == 0) {
        status = dms_store_merge(store, source, NULL, NULL);
        dms_snapshot_close(source);
    }
    return status;
}

static int merge(const char *directory)
{
    return with_store(directory, merge_source);
}

static int collect_spool(dms_store *store, const char *directory)
{
    char path[KNOWN_PATH_BYTES];

    return dms_spool_collect(store, below(directory, "spool", path), DMS_DUPLICATE_ERROR, false,
                             NULL);
}

/* Two files of spooled rows, noted as acknowledged. */
static int spool(const char *directory)
{
    char store[KNOWN_PATH_BYTES];
    char path[KNOWN_PATH_BYTES];
    struct known_row known;
    int status = 0;

    below(directory, "store", store);
    below(directory, "spool", path);
    for (uint64_t id = 300; status == 0 && id < 302; id++) {
        known_row_make(&known, id, 1);
        status = dms_spool_write(path, store, &known.row, 1);
        outcome->acknowledged[id] = status == 0;
    }
    return status;
}

static int spool_and_collect(const char *directory)
{
    int status = spool(directory);

    return status ? status : with_store(directory, collect_spool);
}

/* What is in the spool goes into the store, so that it can be judged. */
static int collect(const char *directory)
{
    char path[KNOWN_PATH_BYTES];

    return access(below(directory, "spool", path), F_OK) == 0 ? with_store(directory, collect_spool)
                                                              : 0;
}

/* Reads everything, through the index and through a manifest: right or an error. */
static int read_back(const char *directory)
{
    struct known_content content;
    char store[KNOWN_PATH_BYTES];
    char manifest[KNOWN_PATH_BYTES];
    dms_snapshot *snapshot;
    int status = dms_snapshot_open(below(directory, "store", store), &snapshot);

    if (status != 0)
        return status;
    status = dms_snapshot_write_manifest(snapshot, below(directory, "manifest", manifest));
    if (status == 0)
        status = known_read_snapshot(snapshot, &content);
    dms_snapshot_close(snapshot);
    if (status == 0) {
        known_content_clear(&content);
        status = known_read(manifest, &content);
    }
    if (status == 0)
        known_content_clear(&content);
    return status;
}

static int recover(const char *directory)
{
    struct dms_recover_report report = {0};
    char path[KNOWN_PATH_BYTES];
    int status = dms_recover(below(directory, "store", path), NULL, &report);

    if (status == 0 && report.damage_ct != 0)
        status =
            dms_source_fail(DMS_ERR_CORRUPT, "recover finds damage in a whole store '%s'", path);
    free(report.lost_ids);
    return status;
}

static int verify(const char *directory)
{
    struct dms_verify_report report = {0};
    char path[KNOWN_PATH_BYTES];
    int status = dms_verify(below(directory, "store", path), NULL, &report);

    if (status == 0 && report.damage_ct != 0)
        status = dms_source_fail(DMS_ERR_CORRUPT, "verify finds damage in '%s'", path);
    return status;
}

struct operation {
    const char *name;
    int (*prepare)(const char *directory); /* makes what the operation starts from; NULL: nothing */
    int (*run)(const char *directory);
    bool is_atomic; /* one commit: all of its rows or none */
};

static const struct operation operations[] = {
    {"create", NULL, create, true},
    {"append", make_filled, append, false},
    {"append of a full group", make_filled, append_and_seal, true},
    {"append --on-duplicate replace", make_filled, append_replacing, true},
    {"ingest", make_filled, ingest, true},
    {"ingest --on-duplicate replace", make_filled, ingest_replacing, true},
    {"seal", make_filled, seal, true},
    {"rm", make_filled, remove_rows, true},
    {"compact", make_filled, compact, true},
    {"add-column", make_filled, add_column, true},
    {"merge", make_two_stores, merge, true},
    {"merge-fits", make_filled, merge_fits, true},
    {"rm-fit", make_filled, remove_fit, true},
    {"append --spool", make_filled, spool, false},
    {"append --spool and ingest --spool", make_filled, spool_and_collect, false},
    {"snapshot and reading", make_filled, read_back, true},
    {"verify", make_filled, verify, true},
    {"recover", make_filled, recover, true},
};

/* --- one disturbed run --- */

struct job {
    const struct operation *operation;
    enum inject_fault fault;
    bool is_lasting;
    bool is_sampled; /* not every call */
    pid_t process;
};

struct job_result {
    bool ended;
    unsigned long run_ct, error_ct, failure_ct;
    char first_failure[1024];
};

static const char *const fault_names[INJECT_FAULT_CT] = {
    "", "EIO", "ENOSPC", "EINTR", "short transfers", "no memory", "kill -9", "power failure",
};

static bool is_death(const struct job *job)
{
    return job->fault == INJECT_KILL || job->fault == INJECT_POWER;
}

extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

/* Runs the operation in this process, disturbed, and tells the outcome. */
static void run_disturbed(const struct job *job, const char *work, uint64_t at)
{
    struct inject_plan plan = {
        .fault = job->fault, .under = work, .at = at, .lasting = job->is_lasting};
    int status;

    alarm(RUN_SECONDS);
    inject_begin(&plan);
    status = job->operation->run(work);
    if (job->fault == INJECT_POWER)
        inject_power_failure(); /* right after it was told that it is done */
    inject_end();
    outcome->status = status;
    snprintf(outcome->message, sizeof outcome->message, "%s", dms_error_message());
    if (job->fault == INJECT_MEMORY) {
        outcome->unfreed_ct = inject_unfreed(&outcome->unfreed_by);
        if (__lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check() != 0)
            outcome->unfreed_ct++;
    }
    outcome->ended = true;
    _exit(0);
}

/* Runs `work` in a child; returns its wait status. */
#define IN_CHILD(...)                                                              \
    ({                                                                             \
        int wait_status = 0;                                                       \
        pid_t child = fork();                                                      \
        if (child == 0) {                                                          \
            __VA_ARGS__;                                                           \
            _exit(0);                                                              \
        }                                                                          \
        while (child > 0 && waitpid(child, &wait_status, 0) < 0 && errno == EINTR) \
            ;                                                                      \
        wait_status;                                                               \
    })

/* What a store holds before and after an operation, as versions by id. */
struct states {
    uint32_t before[ID_MAX];
    uint32_t after[ID_MAX];
};

/* The targets of the fit as versions: 1 for one that is there and right. */
static int read_fit(const char *path, uint32_t versions[ID_MAX])
{
    dms_snapshot *snapshot;
    struct known_fit fit = {0};
    int status = dms_snapshot_open(path, &snapshot);

    if (status != 0)
        return status;
    status = known_fit_read(snapshot, "main", &fit);
    for (unsigned target = 0; target < KNOWN_TARGETS; target++)
        versions[FIT_IDS + target] = (uint32_t)(fit.targets >> target & 1);
    if (status == 0 && fit.wrong_ct + fit.error_ct > 0)
        status = dms_source_fail(DMS_ERR_CORRUPT, "%zu targets of the fit in '%s' are not right",
                                 fit.wrong_ct + fit.error_ct, path);
    dms_snapshot_close(snapshot);
    return status;
}

static int read_versions(const char *directory, uint32_t versions[ID_MAX])
{
    struct known_content content;
    char path[KNOWN_PATH_BYTES];
    int status = collect(directory);

    if (status == 0)
        status = known_read(below(directory, "store", path), &content);
    else
        diag("what was spooled cannot be collected: %s", dms_error_message());
    if (status == 0) {
        for (uint64_t id = 0; id < ID_MAX; id++)
            versions[id] = known_version(&content, id);
        known_content_clear(&content);
        status = read_fit(path, versions);
    }
    return status;
}

static int judge_rows(const struct job *job, const struct states *states, const uint32_t *found,
                      char *text)
{
    bool is_done = outcome->ended && outcome->status == 0;
    size_t old_ct = 0;
    size_t new_ct = 0;

    for (size_t id = 0; id < ID_MAX; id++) {
        uint32_t before = states->before[id];
        uint32_t after = states->after[id];

        if (found[id] != before && found[id] != after)
            return sprintf(text,
                           "model %zu has version %u, neither that before (%u) nor after (%u)", id,
                           found[id], before, after);
        if ((is_done || outcome->acknowledged[id]) && found[id] != after)
            return sprintf(text, "model %zu has version %u, acknowledged was %u", id, found[id],
                           after);
        old_ct += before != after && found[id] == before;
        new_ct += before != after && found[id] == after;
    }
    if (job->operation->is_atomic && old_ct > 0 && new_ct > 0)
        return sprintf(text, "%zu rows are as before and %zu as after the operation", old_ct,
                       new_ct);
    return 0;
}

/* To a recovery, what the disk does not give is damage: it reports it and makes do with the rest.
 */
static bool has_given_up_rows(const struct job *job)
{
    return job->operation->run == recover && job->fault == INJECT_EIO &&
           outcome->status == DMS_ERR_CORRUPT;
}

/* Looks at what a run left, in a child of its own; the failure, if any, goes to the shared text. */
static void examine(const struct job *job, const char *work, const struct states *states,
                    char *text)
{
    char path[KNOWN_PATH_BYTES];
    uint32_t found[ID_MAX];
    int status;

    alarm(RUN_SECONDS);
    sprintf(text, "the examination crashes or hangs");
    below(work, "store", path);
    if (has_given_up_rows(job)) {
        if (read_versions(work, found) == 0)
            text[0] = '\0';
        else
            sprintf(text, "what is left is not right: %s", known_problem());
        return;
    }
    if (job->operation->prepare || (outcome->ended && outcome->status == 0)) {
        if (known_verify(path) != 0) {
            sprintf(text, "afterwards: %s", known_problem());
            return;
        }
        if (read_versions(work, found) != 0) {
            sprintf(text, "reading afterwards: %s", known_problem());
            return;
        }
        if (judge_rows(job, states, found, text) != 0)
            return;
    }
    memset(outcome->acknowledged, 0, sizeof outcome->acknowledged);
    status = job->operation->run(work);
    if (!job->operation->prepare && status == DMS_ERR_EXISTS &&
        (job->is_lasting || is_death(job))) {
        /* What creates a store cannot clean up after it when nothing works any more; the user does.
         */
        tree_remove(path);
        status = job->operation->run(work);
    } else if (!job->operation->prepare && status == DMS_ERR_EXISTS && outcome->status == 0) {
        status = 0;
    }
    if (status != 0)
        sprintf(text, "repeating it fails: %.400s", dms_error_message());
    else if (known_verify(path) != 0)
        sprintf(text, "repeated: %s", known_problem());
    else if (read_versions(work, found) != 0)
        sprintf(text, "reading, repeated: %s", known_problem());
    else if (memcmp(found, states->after, sizeof found) != 0)
        sprintf(text, "repeated, it does not end in the same state");
    else
        text[0] = '\0';
}

/* What is wrong with the outcome itself. */
static int judge_outcome(const struct job *job, const char *work, int wait_status, char *text)
{
    bool was_killed = WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL;

    if (is_death(job) && was_killed)
        return 0;
    if (WIFSIGNALED(wait_status))
        return sprintf(text, "%s (signal %d)",
                       WTERMSIG(wait_status) == SIGALRM ? "hangs" : "crashes",
                       WTERMSIG(wait_status));
    if (!outcome->ended)
        return sprintf(text, "the process exits with %d", WEXITSTATUS(wait_status));
    if (outcome->status > 0)
        return sprintf(text, "the result is %d", outcome->status);
    if (outcome->status < 0 && job->fault != INJECT_MEMORY &&
        strstr(outcome->message, work) == NULL)
        return sprintf(text, "the message names no file: '%s'", outcome->message);
    if (outcome->status < 0 && strlen(outcome->message) < 10)
        return sprintf(text, "the message says nothing: '%s'", outcome->message);
    if (outcome->unfreed_ct > 0)
        return sprintf(text, "%zu blocks of memory are lost, one obtained at 0x%" PRIxPTR,
                       outcome->unfreed_ct, outcome->unfreed_by);
    return 0;
}

/* The directory of a job with what the operation starts from. */
static void renew(const char *work, const char *template_directory)
{
    tree_remove(work);
    if (tree_copy(template_directory, work) != 0) {
        fprintf(stderr, "cannot copy %s to %s: %s\n", template_directory, work, strerror(errno));
        _exit(1);
    }
}

static void run_once(const struct job *job, const char *work, const char *template_directory,
                     const struct states *states, uint64_t at, struct job_result *result)
{
    static char *text; /* shared with the child that examines */
    int wait_status;

    if (text == NULL)
        text = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    renew(work, template_directory);
    memset(outcome, 0, sizeof *outcome);
    text[0] = '\0';
    wait_status = IN_CHILD(run_disturbed(job, work, at));
    if (judge_outcome(job, work, wait_status, text) == 0)
        IN_CHILD(examine(job, work, states, text));
    result->run_ct++;
    result->error_ct += outcome->status != 0 || !outcome->ended;
    if (text[0] != '\0') {
        result->failure_ct++;
        if (result->first_failure[0] == '\0')
            snprintf(result->first_failure, sizeof result->first_failure,
                     "call %" PRIu64 ": %.600s (said: %.300s)", at, text, outcome->message);
    }
}

/* --- jobs --- */

/* How many calls the operation makes in which this can go wrong; -1: it fails undisturbed. */
static int64_t count_calls(const struct job *job, const char *work, const char *template_directory)
{
    uint64_t *count =
        mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int wait_status;

    renew(work, template_directory);
    memset(outcome, 0, sizeof *outcome);
    wait_status = IN_CHILD({
        struct inject_plan plan = {.fault = job->fault, .under = work};

        alarm(RUN_SECONDS);
        inject_begin(&plan);
        outcome->status = job->operation->run(work);
        *count = inject_end();
        snprintf(outcome->message, sizeof outcome->message, "%s", dms_error_message());
    });
    return wait_status == 0 && outcome->status == 0 ? (int64_t)*count : -1;
}

static int make_states(const struct job *job, const char *work, const char *template_directory,
                       struct states *states)
{
    struct states *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int wait_status = IN_CHILD({
        mkdir(template_directory, 0777);
        if (job->operation->prepare) {
            if (job->operation->prepare(template_directory) != 0) {
                fprintf(stderr, "preparing: %s\n", dms_error_message());
                _exit(1);
            }
            if (read_versions(template_directory, shared->before) != 0) {
                fprintf(stderr, "preparing: %s\n", known_problem());
                _exit(1);
            }
        }
    });

    if (wait_status == 0) {
        renew(work, template_directory);
        wait_status = IN_CHILD({
            if (job->operation->run(work) != 0) {
                fprintf(stderr, "undisturbed: %s; %s\n", dms_error_message(), known_problem());
                _exit(1);
            }
            if (read_versions(work, shared->after) != 0) {
                fprintf(stderr, "undisturbed: %s\n", known_problem());
                _exit(1);
            }
        });
    }
    *states = *shared;
    return wait_status;
}

static void run_job(const struct job *job, const char *directory, struct job_result *result)
{
    struct states states = {0};
    char work[KNOWN_PATH_BYTES];
    char template_directory[KNOWN_PATH_BYTES];
    int64_t call_ct;
    uint64_t step = 1;
    int sample = job->fault == INJECT_MEMORY && !job->is_lasting ? MEMORY_SAMPLE : LASTING_SAMPLE;

    outcome =
        mmap(NULL, sizeof *outcome, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    below(directory, "work", work);
    below(directory, "template", template_directory);
    mkdir(directory, 0777);
    if (make_states(job, work, template_directory, &states) != 0 ||
        (call_ct = count_calls(job, work, template_directory)) < 0) {
        snprintf(result->first_failure, sizeof result->first_failure, "it fails undisturbed: %s",
                 outcome->message);
        result->failure_ct++;
        return;
    }
    if (job->is_sampled && call_ct > sample)
        step = (uint64_t)(call_ct + sample - 1) / (uint64_t)sample;
    if (job->fault == INJECT_POWER)
        call_ct++; /* the last one fails after the operation has told that it is done */
    for (uint64_t at = 1; at <= (uint64_t)call_ct; at += step)
        run_once(job, work, template_directory, &states, at, result);
    tree_remove(directory);
}

/* Runs all jobs, as many at a time as there are processors. */
static void run_jobs(struct job *jobs, size_t job_ct, struct job_result *results,
                     const char *directory)
{
    long processor_ct = sysconf(_SC_NPROCESSORS_ONLN);
    size_t started_ct = 0;
    size_t running_ct = 0;

    while (started_ct < job_ct || running_ct > 0) {
        if (started_ct < job_ct && running_ct < (size_t)processor_ct) {
            struct job *job = &jobs[started_ct];
            struct job_result *result = &results[started_ct];
            char work[KNOWN_PATH_BYTES];

            snprintf(work, sizeof work, "%s/%zu", directory, started_ct);
            fflush(stdout);
            job->process = fork();
            if (job->process == 0) {
                run_job(job, work, result);
                result->ended = true;
                _exit(0);
            }
            started_ct++;
            running_ct++;
        } else if (wait(NULL) > 0) {
            running_ct--;
        }
    }
}

static size_t list_jobs(struct job jobs[JOB_MAX])
{
    static const struct {
        enum inject_fault fault;
        bool is_lasting, is_sampled;
    } kinds[] = {
        {INJECT_EIO, false, false},   {INJECT_EIO, true, true},    {INJECT_ENOSPC, false, false},
        {INJECT_ENOSPC, true, true},  {INJECT_EINTR, true, true},  {INJECT_SHORT, false, true},
        {INJECT_SHORT, true, true},   {INJECT_KILL, false, false}, {INJECT_POWER, false, false},
        {INJECT_MEMORY, false, true}, {INJECT_MEMORY, true, true},
    };
    bool is_campaign = getenv("DMSTORE_TEST_CAMPAIGN") != NULL;
    const char *only = getenv("DMSTORE_TEST_ONLY");        /* part of an operation's name */
    const char *only_fault = getenv("DMSTORE_TEST_FAULT"); /* part of a fault's name */
    size_t job_ct = 0;

    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (size_t o = 0; o < sizeof operations / sizeof *operations; o++) {
            if ((only == NULL || strstr(operations[o].name, only) != NULL) &&
                (only_fault == NULL || strstr(fault_names[kinds[k].fault], only_fault) != NULL))
                jobs[job_ct++] = (struct job){
                    .operation = &operations[o],
                    .fault = kinds[k].fault,
                    .is_lasting = kinds[k].is_lasting,
                    .is_sampled = kinds[k].is_sampled && !is_campaign,
                };
        }
    }
    return job_ct;
}

int main(void)
{
    static struct job jobs[JOB_MAX];
    size_t job_ct = list_jobs(jobs);
    struct job_result *results = mmap(NULL, job_ct * sizeof *results, PROT_READ | PROT_WRITE,
                                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned long run_cts[INJECT_FAULT_CT] = {0};
    unsigned long error_cts[INJECT_FAULT_CT] = {0};

    struct inject_plan undisturbed = {.under = known_directory()};

    inject_begin(&undisturbed); /* nothing is synced to the disk from here on */
    run_jobs(jobs, job_ct, results, undisturbed.under);
    for (size_t k = 0; k < job_ct; k++) {
        if (!ok(results[k].ended && results[k].failure_ct == 0, "%s, %s%s: %lu calls disturbed",
                jobs[k].operation->name, fault_names[jobs[k].fault],
                jobs[k].is_lasting ? " for good" : "", results[k].run_ct))
            diag("%lu failures; the first: %s", results[k].failure_ct, results[k].first_failure);
        run_cts[jobs[k].fault] += results[k].run_ct;
        error_cts[jobs[k].fault] += results[k].error_ct;
    }
    for (int fault = 1; fault < INJECT_FAULT_CT; fault++)
        diag("%s: %lu runs disturbed, %lu of them ended in an error", fault_names[fault],
             run_cts[fault], error_cts[fault]);
    return tap_done();
}
