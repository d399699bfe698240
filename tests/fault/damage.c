/*
 * Damage to segment files: every bit of a small store is flipped and its files are cut at every
 * byte. Each time verify must find it, reading must give an error or the right bytes, and recover
 * must bring back rows as they were written and name those that it cannot. So too when files are
 * missing, exchanged, or of another store.
 *
 * Bits beyond what was committed count for nothing; the stores here have none. Recovery is tried at
 * every RECOVER_EVERY-th place (DMSTORE_TEST_RECOVER_EVERY sets it; 1 for all).
 */
#include "tests/fault/known_rows.h"
#include "tests/unit/tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RECOVER_EVERY = 97, FILES_MAX = 8, IDS_MAX = 64, PATH_BYTES = KNOWN_PATH_BYTES };

/* Counts that the test prints. */
struct counts {
    unsigned places;      /* bits flipped, or lengths cut to */
    unsigned missed;      /* damage that verify did not report */
    unsigned wrong;       /* rows that were read with other bytes */
    unsigned read_errors; /* rows that could not be read */
    unsigned rows;        /* rows that were read right */
    unsigned recoveries;  /* with and without the old index */
    unsigned bad_recoveries;
    unsigned recovered; /* rows brought back */
    unsigned lost;      /* rows named as lost */
};

/* What a store should hold. */
struct expected {
    size_t row_ct;
    uint64_t ids[IDS_MAX];
    uint32_t versions[IDS_MAX];
};

/* A store under test and its segment files. */
struct subject {
    const char *name;
    char path[PATH_BYTES];
    char copy[PATH_BYTES];
    size_t file_ct;
    char files[FILES_MAX][PATH_BYTES];
    size_t sizes[FILES_MAX];
    struct expected expected;
};

static const char *explain(int status)
{
    static char text[512];
    snprintf(text, sizeof text, "%s: %s", dms_error_name(status), dms_error_message());
    return text;
}

/* ---- the stores ---- */

static void add_expected(struct expected *expected, uint64_t first, uint64_t count,
                         uint32_t version)
{
    for (uint64_t id = first; id < first + count; id++) {
        size_t k = 0;
        while (k < expected->row_ct && expected->ids[k] != id) {
            k++;
        }
        expected->ids[k] = id;
        expected->versions[k] = version;
        expected->row_ct += k == expected->row_ct;
    }
}

static void remove_expected(struct expected *expected, uint64_t id)
{
    for (size_t k = 0; k < expected->row_ct; k++) {
        if (expected->ids[k] == id) {
            expected->row_ct--;
            expected->ids[k] = expected->ids[expected->row_ct];
            expected->versions[k] = expected->versions[expected->row_ct];
            return;
        }
    }
}

/* The version that model `id` should have; 0 when it should not be there. */
static uint32_t expected_version(const struct expected *expected, uint64_t id)
{
    for (size_t k = 0; k < expected->row_ct; k++) {
        if (expected->ids[k] == id) {
            return expected->versions[k];
        }
    }
    return 0;
}

static int list_files(struct subject *subject)
{
    char directory[PATH_BYTES + 16];
    snprintf(directory, sizeof directory, "%s/segments", subject->path);
    DIR *listing = opendir(directory);
    subject->file_ct = 0;
    for (struct dirent *entry; listing && (entry = readdir(listing)) != NULL;) {
        struct stat info;
        char *path = subject->files[subject->file_ct];
        if (entry->d_name[0] == '.' || subject->file_ct == FILES_MAX) {
            continue;
        }
        snprintf(path, PATH_BYTES, "%.400s/%.60s", directory, entry->d_name);
        if (stat(path, &info) == 0) {
            subject->sizes[subject->file_ct++] = (size_t)info.st_size;
        }
    }
    if (listing) {
        closedir(listing);
    }
    return subject->file_ct > 0 ? 0 : -1;
}

/* Sealed and staged rows, replaced and removed ones among them; the last commit of the log changes
 * rows of the others. */
static int make_store(struct subject *subject, const char *name, const char *codec)
{
    static const uint64_t removed[] = {3, 101};
    dms_store *store = NULL;
    struct expected *expected = &subject->expected;
    subject->name = name;
    snprintf(subject->path, PATH_BYTES, "%.200s/%.60s.dms", known_directory(), name);
    snprintf(subject->copy, PATH_BYTES, "%.200s/%.60s.copy", known_directory(), name);
    int status = known_create(subject->path, codec);
    status = status ? status : dms_store_open(subject->path, &store);
    status = status ? status : known_write(store, 0, 6, 1);
    status = status ? status : known_append(store, 100, 3, 1, DMS_DUPLICATE_ERROR);
    status = status ? status : known_append(store, 4, 1, 2, DMS_DUPLICATE_REPLACE);
    status = status ? status : dms_store_remove(store, removed, 2, false, NULL);
    dms_store_close(store);
    add_expected(expected, 0, 6, 1);
    add_expected(expected, 100, 3, 1);
    add_expected(expected, 4, 1, 2);
    remove_expected(expected, 3);
    remove_expected(expected, 101);
    return status ? status : list_files(subject);
}

/* ---- judging a store ---- */

static int count_damage(const char *path, uint64_t *damage_ct, uint64_t *lost_id_ct)
{
    struct dms_verify_report report = {0};
    int status = dms_verify(path, NULL, &report);
    *damage_ct = report.damage_ct;
    *lost_id_ct = report.lost_id_ct;
    return status;
}

/* Reads one part of a row; counts an error, or compares. */
static void judge_part(int status, const void *got, const void *wanted, size_t bytes,
                       struct counts *counts, bool *is_read)
{
    if (status != 0) {
        *is_read = false;
    } else if (memcmp(got, wanted, bytes) != 0) {
        counts->wrong++;
    }
}

static void read_row(dms_snapshot *snapshot, uint64_t id, uint32_t version, struct counts *counts)
{
    struct dms_position at;
    struct known_row known;
    uint8_t mask[KNOWN_MASK_BYTES];
    uint16_t margins[KNOWN_TARGETS];
    uint32_t scalar;
    bool is_read = true;
    known_row_make(&known, id, version);
    if (dms_snapshot_find(snapshot, id, &at) != 0) {
        counts->read_errors++;
        return;
    }
    int status = dms_snapshot_read_masks(snapshot, at.group, at.row, 1, mask);
    judge_part(status, mask, known.mask, sizeof mask, counts, &is_read);
    status = dms_snapshot_read_values(snapshot, at.group, 2, at.row, 1, 0, KNOWN_TARGETS, margins);
    judge_part(status, margins, known.margins, sizeof margins, counts, &is_read);
    status = dms_snapshot_read_values(snapshot, at.group, 3, at.row, 1, 0, 1, &scalar);
    judge_part(status, &scalar, &known.version, sizeof scalar, counts, &is_read);
    counts->rows += is_read;
    counts->read_errors += !is_read;
}

static void read_store(const char *path, const struct expected *expected, struct counts *counts)
{
    dms_snapshot *snapshot;
    if (dms_snapshot_open(path, &snapshot) != 0) {
        counts->read_errors += (unsigned)expected->row_ct;
        return;
    }
    for (size_t k = 0; k < expected->row_ct; k++) {
        read_row(snapshot, expected->ids[k], expected->versions[k], counts);
    }
    dms_snapshot_close(snapshot);
}

/* ---- recovery ---- */

static int compare_ids(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* Whether content and lost ids together are what the store should hold. Without the old index,
 * nobody knows of what stood at the end of the log: rows may be as they were before. */
static bool is_accounted(const struct expected *expected, const struct known_content *content,
                         const struct dms_recover_report *report, bool had_index)
{
    bool is_right = true;
    for (size_t k = 0; k < content->row_ct; k++) {
        uint32_t version = expected_version(expected, content->rows[k].id);
        is_right &= version == content->rows[k].version || !had_index;
    }
    for (size_t k = 0; had_index && k < expected->row_ct; k++) {
        bool is_there = known_version(content, expected->ids[k]) != 0;
        bool is_lost = report->lost_id_ct > 0 &&
                       bsearch(&expected->ids[k], report->lost_ids, report->lost_id_ct,
                               sizeof *report->lost_ids, compare_ids);
        is_right &= is_there != is_lost;
    }
    return is_right;
}

/* Judges the recovered store at `path`. */
static bool judge_recovered(const char *path, const struct expected *expected,
                            const struct dms_recover_report *report, bool had_index,
                            struct counts *counts)
{
    struct known_content content = {0};
    struct dms_recover_report again = {0};
    uint64_t damage_ct;
    uint64_t lost_id_ct;
    if (known_read(path, &content) != 0) {
        diag("the recovered store cannot be read: %s", known_problem());
        return false;
    }
    bool is_right = is_accounted(expected, &content, report, had_index);
    if (!is_right || content.row_ct != report->model_ct) {
        diag("recovered %zu rows, %" PRIu64 " said, %" PRIu64 " lost; these are not all",
             content.row_ct, report->model_ct, report->lost_id_ct);
        is_right = false;
    }
    counts->recovered += (unsigned)content.row_ct;
    counts->lost += (unsigned)report->lost_id_ct;
    known_content_clear(&content);
    int status = count_damage(path, &damage_ct, &lost_id_ct);
    if (status != 0 || lost_id_ct != 0 || (damage_ct != 0 && report->damage_ct == 0)) {
        diag("verify after recovery: %s, %" PRIu64 " damages, %" PRIu64 " models lost",
             explain(status), damage_ct, lost_id_ct);
        is_right = false;
    }
    status = dms_recover(path, NULL, &again);
    if (status != 0 || again.model_ct != report->model_ct || again.lost_id_ct != 0) {
        diag("recovered again: %s, %" PRIu64 " models, %" PRIu64 " lost", explain(status),
             again.model_ct, again.lost_id_ct);
        is_right = false;
    }
    free(again.lost_ids);
    return is_right;
}

static void recover_copy(const struct subject *subject, bool with_index, struct counts *counts)
{
    char index[PATH_BYTES + 8];
    struct dms_recover_report report = {0};
    snprintf(index, sizeof index, "%s/lmdb", subject->copy);
    tree_remove(subject->copy);
    if (tree_copy(subject->path, subject->copy) != 0 || (!with_index && tree_remove(index) != 0)) {
        diag("cannot copy the store: %s", strerror(errno));
        counts->bad_recoveries++;
        return;
    }
    counts->recoveries++;
    int status = dms_recover(subject->copy, NULL, &report);
    bool is_right;
    if (status == 0) {
        is_right = judge_recovered(subject->copy, &subject->expected, &report, with_index, counts);
    } else {
        /* With all segment blocks damaged and no index, nothing tells the schema. */
        is_right = status == DMS_ERR_CORRUPT && !with_index;
        if (!is_right) {
            diag("recover: %s", explain(status));
        }
    }
    counts->bad_recoveries += !is_right;
    free(report.lost_ids);
}

static unsigned recover_every(void)
{
    const char *text = getenv("DMSTORE_TEST_RECOVER_EVERY");
    int every = text ? atoi(text) : RECOVER_EVERY;
    return every > 0 ? (unsigned)every : RECOVER_EVERY;
}

/* Everything that is to be tried with a store that was damaged somehow. */
static void try_damaged(const struct subject *subject, const char *where, size_t at,
                        struct counts *counts)
{
    uint64_t damage_ct;
    uint64_t lost_id_ct;
    unsigned bad_before = counts->bad_recoveries + counts->wrong;
    int status = count_damage(subject->path, &damage_ct, &lost_id_ct);
    if (status != 0 || damage_ct == 0) {
        diag("%s at %zu of %s: verify does not find it: %s", where, at, subject->name,
             explain(status));
        counts->missed++;
    }
    read_store(subject->path, &subject->expected, counts);
    if (counts->places % recover_every() == 0) {
        recover_copy(subject, true, counts);
        recover_copy(subject, false, counts);
    }
    if (counts->bad_recoveries + counts->wrong != bad_before) {
        diag("%s at %zu of %s", where, at, subject->name);
    }
    counts->places++;
}

/* ---- damage ---- */

static void *read_file(const char *path, size_t size)
{
    uint8_t *data = malloc(size + 1);
    int descriptor = open(path, O_RDONLY);
    if (!data || descriptor < 0 || read(descriptor, data, size) != (ssize_t)size) {
        printf("Bail out! cannot read %s\n", path);
        exit(1);
    }
    close(descriptor);
    return data;
}

static void write_at(int descriptor, const void *data, size_t size, size_t offset)
{
    if (pwrite(descriptor, data, size, (off_t)offset) != (ssize_t)size) {
        printf("Bail out! cannot write: %s\n", strerror(errno));
        exit(1);
    }
}

static void flip_bits(const struct subject *subject, struct counts *counts)
{
    for (size_t f = 0; f < subject->file_ct; f++) {
        uint8_t *data = read_file(subject->files[f], subject->sizes[f]);
        int descriptor = open(subject->files[f], O_RDWR);
        for (size_t bit = 0; bit < subject->sizes[f] * 8; bit++) {
            uint8_t changed = data[bit / 8] ^ (uint8_t)(1 << bit % 8);
            write_at(descriptor, &changed, 1, bit / 8);
            try_damaged(subject, "a bit flipped", bit, counts);
            write_at(descriptor, &data[bit / 8], 1, bit / 8);
        }
        close(descriptor);
        free(data);
    }
}

static void cut_files(const struct subject *subject, struct counts *counts)
{
    for (size_t f = 0; f < subject->file_ct; f++) {
        uint8_t *data = read_file(subject->files[f], subject->sizes[f]);
        int descriptor = open(subject->files[f], O_RDWR);
        for (size_t size = subject->sizes[f]; size-- > 0;) {
            if (ftruncate(descriptor, (off_t)size) != 0) {
                printf("Bail out! cannot truncate: %s\n", strerror(errno));
                exit(1);
            }
            try_damaged(subject, "cut", size, counts);
        }
        write_at(descriptor, data, subject->sizes[f], 0);
        close(descriptor);
        free(data);
    }
}

/* ---- whole files ---- */

static void lose_files(struct subject *subject, struct counts *counts)
{
    char aside[PATH_BYTES];
    for (size_t f = 0; f < subject->file_ct; f++) {
        snprintf(aside, sizeof aside, "%.200s/aside", known_directory());
        rename(subject->files[f], aside);
        counts->places = 0;
        try_damaged(subject, "file missing", f, counts);
        rename(aside, subject->files[f]);
    }
}

static void exchange_files(struct subject *subject, struct counts *counts)
{
    char aside[PATH_BYTES];
    snprintf(aside, sizeof aside, "%.200s/aside", known_directory());
    rename(subject->files[0], aside);
    rename(subject->files[1], subject->files[0]);
    rename(aside, subject->files[1]);
    counts->places = 0;
    try_damaged(subject, "files exchanged", 0, counts);
    rename(subject->files[0], aside);
    rename(subject->files[1], subject->files[0]);
    rename(aside, subject->files[1]);
}

/* Puts the files of another store, with the same numbers, in the place of this one's. */
static void mix_files(struct subject *subject, const struct subject *other, struct counts *counts)
{
    for (size_t f = 0; f < subject->file_ct; f++) {
        const char *name = strrchr(subject->files[f], '/');
        for (size_t g = 0; g < other->file_ct; g++) {
            if (strcmp(strrchr(other->files[g], '/'), name) != 0) {
                continue;
            }
            uint8_t *own = read_file(subject->files[f], subject->sizes[f]);
            uint8_t *strange = read_file(other->files[g], other->sizes[g]);
            int descriptor = open(subject->files[f], O_RDWR | O_TRUNC);
            write_at(descriptor, strange, other->sizes[g], 0);
            counts->places = 0;
            try_damaged(subject, "file of another store", f, counts);
            if (ftruncate(descriptor, 0) != 0) {
                counts->missed++;
            }
            write_at(descriptor, own, subject->sizes[f], 0);
            close(descriptor);
            free(own);
            free(strange);
        }
    }
}

/* ---- the test ---- */

static void report(const struct subject *subject, const char *what, const struct counts *counts)
{
    ok(counts->missed == 0, "%s store, %s: verify finds all", subject->name, what);
    ok(counts->wrong == 0, "%s store, %s: no wrong data is read", subject->name, what);
    ok(counts->bad_recoveries == 0, "%s store, %s: recovered or named as lost", subject->name,
       what);
    diag("%s store, %s: %u places; %u rows read right, %u errors; %u recoveries, %u rows back, "
         "%u lost",
         subject->name, what, counts->places, counts->rows, counts->read_errors, counts->recoveries,
         counts->recovered, counts->lost);
}

static void test_bits_and_lengths(const struct subject *subject)
{
    struct counts flips = {0};
    struct counts cuts = {0};
    size_t bytes = 0;
    for (size_t f = 0; f < subject->file_ct; f++) {
        bytes += subject->sizes[f];
    }
    diag("%s store: %zu files of %zu bytes", subject->name, subject->file_ct, bytes);
    /* So that the index is opened once. Nothing is read through this handle. */
    dms_store *open_store = NULL;
    if (!ok(dms_store_open(subject->path, &open_store) == 0, "%s store opens", subject->name)) {
        return;
    }
    cut_files(subject, &cuts);
    report(subject, "cut at every byte", &cuts);
    flip_bits(subject, &flips);
    report(subject, "every bit flipped", &flips);
    dms_store_close(open_store);
}

static void test_files(struct subject *subject, const struct subject *other)
{
    struct counts counts = {0};
    lose_files(subject, &counts);
    report(subject, "a file missing", &counts);
    counts = (struct counts){0};
    exchange_files(subject, &counts);
    report(subject, "two files exchanged", &counts);
    counts = (struct counts){0};
    mix_files(subject, other, &counts);
    report(subject, "a file of another store", &counts);
}

int main(void)
{
    static struct subject raw;
    static struct subject zstd;
    uint64_t damage_ct;
    uint64_t lost_id_ct;
    if (!ok(make_store(&raw, "raw", "none") == 0 && make_store(&zstd, "zstd", "zstd:3") == 0,
            "two stores are made")) {
        diag("%s", explain(0));
        return tap_done();
    }
    ok(count_damage(raw.path, &damage_ct, &lost_id_ct) == 0 && damage_ct == 0,
       "the raw one is good");
    ok(count_damage(zstd.path, &damage_ct, &lost_id_ct) == 0 && damage_ct == 0, "so is the other");
    test_files(&raw, &zstd);
    test_files(&zstd, &raw);
    test_bits_and_lengths(&raw);
    test_bits_and_lengths(&zstd);
    ok(count_damage(raw.path, &damage_ct, &lost_id_ct) == 0 && damage_ct == 0,
       "the raw store is good again");
    return tap_done();
}
