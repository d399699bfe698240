/*
 * Rows whose every bit follows from model id and version: see known_rows.h.
 */
#include "tests/fault/known_rows.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

/* Room that a file system in memory must have to be used. */
#define MEMORY_DISK_BYTES (UINT64_C(256) << 20)

static char problem[1024];

const char *known_problem(void)
{
    return problem;
}

__attribute__((format(printf, 2, 3))) static int fail(int code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(problem, sizeof problem, format, arguments);
    va_end(arguments);
    return dms_source_fail(code, "%s", problem);
}

/* A failure of the library itself, with its message. */
static int fail_library(int code, const char *what)
{
    return fail(code, "%s: %s: %s", what, dms_error_name(code), dms_error_message());
}

uint64_t known_mix(uint64_t a, uint64_t b)
{
    uint64_t x = a * UINT64_C(0x9E3779B97F4A7C15) + b + UINT64_C(0xD1B54A32D192ED03);

    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

uint64_t known_seed(void)
{
    const char *text = getenv("DMSTORE_TEST_SEED");
    struct timespec now;
    uint64_t seed;

    clock_gettime(CLOCK_REALTIME, &now);
    seed = text != NULL ? strtoull(text, NULL, 0)
                        : known_mix((uint64_t)now.tv_sec, (uint64_t)now.tv_nsec);
    printf("# DMSTORE_TEST_SEED=0x%" PRIx64 "\n", seed);
    return seed;
}

/* --- rows --- */

void known_row_make(struct known_row *known, uint64_t id, uint32_t version)
{
    uint64_t seed = known_mix(id, version);

    for (size_t k = 0; k < KNOWN_MASK_BYTES; k++)
        known->mask[k] = (uint8_t)known_mix(seed, k);
    known->mask[KNOWN_MASK_BYTES - 1] &= (1 << KNOWN_EXAMPLES % 8) - 1;
    /* The float16 numbers 1024 .. 2047: their sums are exact in a double. */
    for (size_t k = 0; k < KNOWN_TARGETS; k++)
        known->margins[k] = 0x6400 | (known_mix(seed, 1000 + k) & 1023);
    known->version = version;
    known->outputs[0] = known->margins;
    known->scalars[0] = &known->version;
    known->row = (struct dms_row){
        .id = id, .mask = known->mask, .outputs = known->outputs, .scalars = known->scalars};
}

int known_create(const char *path, const char *codec)
{
    struct dms_column columns[2];
    struct dms_schema schema = {.example_ct = KNOWN_EXAMPLES,
                                .chunk_rows = KNOWN_CHUNK_ROWS,
                                .column_ct = 2,
                                .columns = columns};
    int status = dms_output_parse("margins:40:f16", &columns[0]);

    if (status == 0)
        status = dms_scalar_parse("version:u32", &columns[1]);
    if (status == 0)
        status = dms_codec_parse(codec, &schema.codec);
    return status ? status : dms_store_create(path, &schema);
}

/* The context of a row source: models first, first + 1, ... */
struct known_range {
    uint64_t first;
    uint32_t version;
};

static int read_masks(void *context, uint64_t row, uint32_t row_ct, uint8_t *masks)
{
    const struct known_range *range = context;
    struct known_row known;

    for (uint32_t k = 0; k < row_ct; k++) {
        known_row_make(&known, range->first + row + k, range->version);
        memcpy(masks + (size_t)k * KNOWN_MASK_BYTES, known.mask, KNOWN_MASK_BYTES);
    }
    return 0;
}

static int read_values(void *context, uint32_t column_index, uint64_t row, uint32_t row_ct,
                       uint64_t target, uint64_t target_ct, void *values)
{
    const struct known_range *range = context;
    size_t bytes = column_index == 0 ? (size_t)target_ct * sizeof(uint16_t) : sizeof(uint32_t);
    uint8_t *to = values;
    struct known_row known;

    for (uint32_t k = 0; k < row_ct; k++) {
        known_row_make(&known, range->first + row + k, range->version);
        memcpy(to + k * bytes,
               column_index == 0 ? (void *)(known.margins + target) : (void *)&known.version,
               bytes);
    }
    return 0;
}

int known_write(dms_store *store, uint64_t first, uint64_t count, uint32_t version)
{
    static const uint32_t columns[2] = {2, 3};
    struct known_range range = {first, version};
    uint64_t *ids = calloc(count, sizeof *ids);
    struct dms_row_source source = {
        .context = &range,
        .row_ct = count,
        .ids = ids,
        .read_masks = read_masks,
        .column_ct = 2,
        .columns = columns,
        .read_values = read_values,
    };
    struct dms_write_options options = {.on_duplicate = DMS_DUPLICATE_REPLACE};
    int status;

    if (ids == NULL)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "no memory for the test's own ids");
    for (uint64_t k = 0; k < count; k++)
        ids[k] = first + k;
    status = dms_store_write(store, &source, &options, NULL);
    free(ids);
    return status;
}

int known_append(dms_store *store, uint64_t first, uint64_t count, uint32_t version,
                 enum dms_on_duplicate on_duplicate)
{
    struct known_row *known = calloc(count, sizeof *known);
    struct dms_row *rows = calloc(count, sizeof *rows);
    int status;

    if (known == NULL || rows == NULL) {
        status = dms_source_fail(DMS_ERR_NO_MEMORY, "no memory for the test's own rows");
    } else {
        for (uint64_t k = 0; k < count; k++) {
            known_row_make(&known[k], first + k, version);
            rows[k] = known[k].row;
        }
        status = dms_append_rows(store, rows, count, on_duplicate, NULL);
    }
    free(known);
    free(rows);
    return status;
}

/* --- what a store holds --- */

/* What the rows of a store add up to. */
struct totals {
    uint64_t examples[KNOWN_EXAMPLES];
    double sums[KNOWN_TARGETS];
    double square_sums[KNOWN_TARGETS];
};

static void add_row(struct totals *totals, const struct known_row *known)
{
    for (size_t k = 0; k < KNOWN_EXAMPLES; k++)
        totals->examples[k] += known->mask[k >> 3] >> (k & 7) & 1;
    for (size_t k = 0; k < KNOWN_TARGETS; k++) {
        double value = 1024 + (known->margins[k] & 1023);

        totals->sums[k] += value;
        totals->square_sums[k] += value * value;
    }
}

/* Holds every bit of a row that was read against what it should be. */
static int check_row(uint64_t id, uint32_t version, const uint8_t *mask, const uint16_t *margins,
                     struct totals *totals)
{
    struct known_row expected;

    known_row_make(&expected, id, version);
    if (version == 0 || memcmp(mask, expected.mask, sizeof expected.mask) != 0 ||
        memcmp(margins, expected.margins, sizeof expected.margins) != 0)
        return fail(-1,
                    "model %" PRIu64 " (version %" PRIu32 ") has content that was never written",
                    id, version);
    add_row(totals, &expected);
    return 0;
}

/* Memory for the rows of one group or batch. */
struct group_rows {
    uint64_t *ids;
    uint8_t *live, *masks;
    uint16_t *margins;
    uint32_t *versions;
};

static int read_group(dms_snapshot *snapshot, size_t group, uint32_t row_ct,
                      struct group_rows *rows)
{
    int status;

    rows->ids = calloc(row_ct, sizeof *rows->ids);
    rows->live = calloc(row_ct, 1);
    rows->masks = calloc(row_ct, KNOWN_MASK_BYTES);
    rows->margins = calloc(row_ct, KNOWN_TARGETS * sizeof *rows->margins);
    rows->versions = calloc(row_ct, sizeof *rows->versions);
    if (!rows->ids || !rows->live || !rows->masks || !rows->margins || !rows->versions)
        return fail(DMS_ERR_NO_MEMORY, "no memory for the rows of a group");
    status = dms_snapshot_group_ids(snapshot, group, rows->ids);
    if (status == 0)
        status = dms_snapshot_group_live(snapshot, group, rows->live);
    if (status == 0)
        status = dms_snapshot_read_values(snapshot, group, 3, 0, row_ct, 0, 1, rows->versions);
    if (status == 0)
        status = dms_snapshot_read_masks(snapshot, group, 0, row_ct, rows->masks);
    if (status == 0)
        status = dms_snapshot_read_values(snapshot, group, 2, 0, row_ct, 0, KNOWN_TARGETS,
                                          rows->margins);
    return status ? fail_library(status, "reading a group") : 0;
}

static void group_rows_free(struct group_rows *rows)
{
    free(rows->ids);
    free(rows->live);
    free(rows->masks);
    free(rows->margins);
    free(rows->versions);
}

/* Adds the live rows of a group to the list, which has room for row_max. */
static int add_group(dms_snapshot *snapshot, size_t group, size_t row_max,
                     struct known_content *content, struct totals *totals)
{
    struct dms_group_info info;
    struct group_rows rows = {0};
    int status = dms_snapshot_group(snapshot, group, &info);

    if (status != 0)
        return fail_library(status, "looking at a group");
    status = read_group(snapshot, group, info.row_ct, &rows);
    for (uint32_t k = 0; status == 0 && k < info.row_ct; k++) {
        if ((rows.live[k >> 3] >> (k & 7) & 1) == 0)
            continue;
        if (content->row_ct == row_max) {
            status = fail(-1, "there are more live rows than the %zu counted", row_max);
        } else {
            content->rows[content->row_ct++] = (struct known_entry){rows.ids[k], rows.versions[k]};
            status =
                check_row(rows.ids[k], rows.versions[k], rows.masks + (size_t)k * KNOWN_MASK_BYTES,
                          rows.margins + (size_t)k * KNOWN_TARGETS, totals);
        }
    }
    group_rows_free(&rows);
    return status;
}

static int compare_entries(const void *a, const void *b)
{
    const struct known_entry *left = a;
    const struct known_entry *right = b;

    return (left->id > right->id) - (left->id < right->id);
}

/* The list is sorted; no id may be in it twice, and the index by id must name the same ids. */
static int check_ids(dms_snapshot *snapshot, const struct known_content *content)
{
    const struct dms_id_run *runs;
    size_t run_ct;
    size_t row = 0;
    int status = dms_snapshot_id_runs(snapshot, &runs, &run_ct);

    if (status != 0)
        return fail_library(status, "reading the ids");
    for (size_t k = 1; k < content->row_ct; k++)
        if (content->rows[k].id == content->rows[k - 1].id)
            return fail(-1, "model %" PRIu64 " is there twice", content->rows[k].id);
    for (size_t k = 0; k < run_ct; k++)
        for (uint64_t step = 0; step < runs[k].id_ct; step++, row++)
            if (row >= content->row_ct || content->rows[row].id != runs[k].first_id + step)
                return fail(-1, "the list of ids names model %" PRIu64 " in place %zu",
                            runs[k].first_id + step, row);
    return row == content->row_ct ? 0 : fail(-1, "the list of ids ends early");
}

static int check_totals(dms_snapshot *snapshot, const struct totals *totals, size_t row_ct)
{
    uint64_t examples[KNOWN_EXAMPLES];
    struct dms_target_statistics statistics[KNOWN_TARGETS];
    int status = dms_snapshot_example_counts(snapshot, examples);

    if (status == 0)
        status = dms_snapshot_target_statistics(snapshot, 2, statistics);
    if (status != 0)
        return fail_library(status, "reading the statistics");
    for (size_t k = 0; k < KNOWN_EXAMPLES; k++)
        if (examples[k] != totals->examples[k])
            return fail(-1, "training example %zu is counted in %" PRIu64 " models, not %" PRIu64,
                        k, examples[k], totals->examples[k]);
    for (size_t k = 0; k < KNOWN_TARGETS; k++)
        if (statistics[k].sum != totals->sums[k] ||
            statistics[k].square_sum != totals->square_sums[k] ||
            statistics[k].finite_ct != row_ct || statistics[k].nonfinite_ct != 0)
            return fail(
                -1, "the sums of target %zu are %g, %g over %" PRIu64 " rows, not %g, %g over %zu",
                k, statistics[k].sum, statistics[k].square_sum, statistics[k].finite_ct,
                totals->sums[k], totals->square_sums[k], row_ct);
    return 0;
}

int known_read_snapshot(dms_snapshot *snapshot, struct known_content *content)
{
    struct known_content read = {0};
    struct totals totals = {0};
    struct dms_snapshot_info info;
    int status = 0;

    dms_snapshot_info(snapshot, &info);
    read.rows = calloc(info.model_ct + 1, sizeof *read.rows);
    if (read.rows == NULL)
        return fail(DMS_ERR_NO_MEMORY, "no memory for the list of %" PRIu64 " rows", info.model_ct);
    for (size_t group = 0; status == 0 && group < dms_snapshot_group_ct(snapshot); group++)
        status = add_group(snapshot, group, info.model_ct, &read, &totals);
    if (status == 0 && read.row_ct != info.model_ct)
        status =
            fail(-1, "there are %zu rows, not the %" PRIu64 " counted", read.row_ct, info.model_ct);
    if (status == 0) {
        qsort(read.rows, read.row_ct, sizeof *read.rows, compare_entries);
        status = check_ids(snapshot, &read);
    }
    if (status == 0)
        status = check_totals(snapshot, &totals, read.row_ct);
    if (status != 0) {
        known_content_clear(&read);
        return status;
    }
    *content = read;
    return 0;
}

int known_read(const char *path, struct known_content *content)
{
    dms_snapshot *snapshot;
    int status = dms_snapshot_open(path, &snapshot);

    if (status != 0)
        return fail_library(status, "opening a snapshot");
    status = known_read_snapshot(snapshot, content);
    dms_snapshot_close(snapshot);
    return status;
}

void known_content_clear(struct known_content *content)
{
    free(content->rows);
    *content = (struct known_content){0};
}

uint32_t known_version(const struct known_content *content, uint64_t id)
{
    struct known_entry key = {.id = id};
    const struct known_entry *found =
        content->row_ct == 0
            ? NULL
            : bsearch(&key, content->rows, content->row_ct, sizeof key, compare_entries);

    return found != NULL ? found->version : 0;
}

/* --- verify, recover --- */

static void note_damage(void *context, const struct dms_damage *damage)
{
    char *text = context;

    if (text[0] == '\0')
        snprintf(text, 512, "%s at 0x%" PRIx64 ": %s", damage->path, damage->offset, damage->what);
}

int known_verify(const char *path)
{
    char first[512] = "";
    struct dms_verify_options options = {.on_damage = note_damage, .damage_context = first};
    struct dms_verify_report report = {0};
    int status = dms_verify(path, &options, &report);

    if (status != 0)
        return fail_library(status, "verify");
    return report.damage_ct == 0
               ? 0
               : fail(-1, "verify finds %" PRIu64 " damages; first: %s", report.damage_ct, first);
}

int known_recover(const char *path, const char *copy, struct known_content *content)
{
    struct dms_recover_report report = {0};
    int status = tree_copy(path, copy);

    if (status != 0)
        return fail(-1, "cannot copy '%s': %s", path, strerror(errno));
    status = dms_recover(copy, NULL, &report);
    if (status != 0)
        fail_library(status, "recover");
    else if (report.damage_ct != 0)
        status = fail(-1, "recover finds %" PRIu64 " damages", report.damage_ct);
    free(report.lost_ids);
    if (status == 0)
        status = known_verify(copy);
    if (status == 0)
        status = known_read(copy, content);
    tree_remove(copy);
    return status;
}

/* --- files --- */

static char directory[PATH_MAX];
static pid_t directory_owner;

static void remove_directory(void)
{
    if (getpid() == directory_owner)
        tree_remove(directory);
}

/* What is tested is the order of calls, not the disk: memory will do where no directory is asked
 * for. */
static const char *choose_parent(void)
{
    const char *asked = getenv("TMPDIR");
    struct statvfs memory;

    if (asked != NULL && asked[0] != '\0')
        return asked;
    return access("/dev/shm", W_OK) == 0 && statvfs("/dev/shm", &memory) == 0 &&
                   (uint64_t)memory.f_bavail * memory.f_frsize >= MEMORY_DISK_BYTES
               ? "/dev/shm"
               : "/tmp";
}

const char *known_directory(void)
{
    char made[KNOWN_PATH_BYTES / 2];

    snprintf(made, sizeof made, "%s/dmstore-fault-XXXXXX", choose_parent());
    if (mkdtemp(made) == NULL || realpath(made, directory) == NULL) {
        printf("Bail out! cannot make a directory like %s: %s\n", made, strerror(errno));
        exit(1);
    }
    directory_owner = getpid();
    atexit(remove_directory);
    return directory;
}

static int copy_file(const char *from, const char *to)
{
    char data[1 << 16];
    int input = open(from, O_RDONLY | O_CLOEXEC);
    int output = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    ssize_t got = input < 0 || output < 0 ? -1 : 1;

    while (got > 0) {
        got = read(input, data, sizeof data);
        if (got > 0 && write(output, data, (size_t)got) != got)
            got = -1;
    }
    if (input >= 0)
        close(input);
    if (output >= 0)
        close(output);
    return got < 0 ? -1 : 0;
}

static const char *copy_from, *copy_to;

static int copy_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    char to[KNOWN_PATH_BYTES];

    (void)status;
    (void)place;
    snprintf(to, sizeof to, "%s%s", copy_to, path + strlen(copy_from));
    return type == FTW_D ? mkdir(to, 0777) : copy_file(path, to);
}

int tree_copy(const char *from, const char *to)
{
    copy_from = from;
    copy_to = to;
    return nftw(from, copy_entry, 8, FTW_PHYS);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)place;
    return type == FTW_DP ? rmdir(path) : unlink(path);
}

int tree_remove(const char *path)
{
    return nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}
