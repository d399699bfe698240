/*
 * Damage to segment files: every bit of a small store is flipped and its files are cut at every
 * byte. Each time verify must find it, reading must give an error or the right bytes, and recover
 * must bring back rows as they were written and name those that it cannot. So too when files are
 * missing, exchanged, or of another store, and when blocks were changed and hashed anew
 * (DMSTORE_TEST_FORGERIES sets how many).
 *
 * Bits beyond what was committed count for nothing; the stores here have none. Recovery is tried at
 * every RECOVER_EVERY-th place (DMSTORE_TEST_RECOVER_EVERY sets it; 1 for all).
 */
#include "base/endian.h"
#include "base/hash.h"
#include "format/layout.h"
#include "tests/fault/known_fits.h"
#include "tests/fault/known_rows.h"
#include "tests/unit/tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Targets of the fit "main", in parts of 2 and 1. */
enum { FIT_TARGETS = 3, FIT_FIRST_PART = 2 };

enum { RECOVER_EVERY = 197, FILES_MAX = 8, IDS_MAX = 64, PATH_BYTES = KNOWN_PATH_BYTES };

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
 * rows of the others. compacted: before that, so that there is a state block. */
static int make_store(struct subject *subject, const char *name, const char *codec, bool compacted)
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
    status = status ? status : known_fit_add(store, "main", 0, FIT_FIRST_PART);
    status = status ? status : known_append(store, 4, 1, 2, DMS_DUPLICATE_REPLACE);
    status = status ? status : known_fit_add(store, "main", FIT_FIRST_PART, FIT_TARGETS);
    if (compacted) {
        struct dms_compact_options options = {.all = true};
        status = status ? status : dms_store_compact(store, &options, NULL);
        status = status ? status : known_append(store, 200, 2, 1, DMS_DUPLICATE_ERROR);
        add_expected(expected, 200, 2, 1);
    }
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

/* A target that can be read must be right. */
static void read_fit(dms_snapshot *snapshot, struct counts *counts)
{
    struct known_fit fit;
    if (known_fit_read(snapshot, "main", &fit) != 0) {
        counts->read_errors += FIT_TARGETS;
        return;
    }
    counts->wrong += (unsigned)fit.wrong_ct;
    counts->read_errors += (unsigned)fit.error_ct;
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
    read_fit(snapshot, counts);
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

/* Whether all targets of the fit are there and right, or were named as lost. Without the old index,
 * nobody knows of those whose commit is destroyed. */
static bool is_fit_accounted(const char *path, const struct dms_recover_report *report,
                             bool had_index)
{
    dms_snapshot *snapshot;
    struct known_fit fit;
    size_t target_ct = 0;
    if (dms_snapshot_open(path, &snapshot) != 0) {
        return false;
    }
    int status = known_fit_read(snapshot, "main", &fit);
    for (unsigned target = 0; target < FIT_TARGETS; target++) {
        target_ct += fit.targets >> target & 1;
    }
    dms_snapshot_close(snapshot);
    return status == 0 && fit.wrong_ct == 0 && fit.error_ct == 0 &&
           (!had_index || target_ct + report->lost_target_ct >= FIT_TARGETS);
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
    if (!is_fit_accounted(path, report, had_index)) {
        diag("the recovered fit is not what it was, %" PRIu64 " targets lost",
             report->lost_target_ct);
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

/* ---- forged blocks ---- */

/* The offsets of the blocks of a file. */
static size_t find_blocks(const uint8_t *data, size_t size, size_t *offsets, size_t offset_max)
{
    size_t count = 0;
    for (size_t at = 0; at + DMS_BLOCK_HEADER_BYTES <= size && count < offset_max;) {
        offsets[count++] = at;
        at += dms_align(DMS_BLOCK_HEADER_BYTES + dms_load_u64(data + at + 32), DMS_BLOCK_ALIGNMENT);
    }
    return count;
}

/* Changes some bytes of a block, in the header's fields or in the payload, and makes its hashes
 * right again. Most changes are to small or to huge numbers. */
static void forge_block(uint8_t *block, uint64_t random)
{
    static const uint8_t values[] = {0, 1, 2, 7, 64, 127, 128, 255};
    size_t payload_bytes = (size_t)dms_load_u64(block + 32);
    size_t change_ct = 1 + random % 4;
    for (size_t k = 0; k < change_ct; k++) {
        uint64_t choice = known_mix(random, k);
        bool in_header = choice % 3 == 0 || payload_bytes == 0;
        size_t at =
            in_header ? 40 + choice / 3 % 80 : DMS_BLOCK_HEADER_BYTES + choice / 3 % payload_bytes;
        uint8_t value = values[choice / 1024 % sizeof values];
        block[at] = choice / 65536 % 2 == 0 ? value : (uint8_t)(block[at] ^ 1u << value % 8);
    }
    dms_store_u64(block + 40, dms_hash64(block + DMS_BLOCK_HEADER_BYTES, payload_bytes));
    dms_store_u64(block + 120, dms_hash64(block, 120));
}

/* Blocks whose hashes are right and whose content is not: the checks behind the hashes must hold,
 * and no row may be read that is not the one the index means. */
static void forge_blocks(const struct subject *subject, uint64_t seed, unsigned forgery_ct,
                         struct counts *counts)
{
    enum { BLOCKS_MAX = 256, RECOVER_FORGED_EVERY = 8 };
    size_t offsets[BLOCKS_MAX];
    for (unsigned k = 0; k < forgery_ct; k++) {
        uint64_t random = known_mix(seed, k);
        size_t f = random % subject->file_ct;
        uint8_t *data = read_file(subject->files[f], subject->sizes[f]);
        uint8_t *forged = read_file(subject->files[f], subject->sizes[f]);
        int descriptor = open(subject->files[f], O_RDWR);
        size_t block_ct = find_blocks(data, subject->sizes[f], offsets, BLOCKS_MAX);
        struct dms_verify_report report = {0};
        forge_block(forged + offsets[random / 16 % block_ct], random / 65536);
        write_at(descriptor, forged, subject->sizes[f], 0);
        /* Either verdict is possible: a time, say, may be changed. */
        int status = dms_verify(subject->path, NULL, &report);
        counts->missed += status == 0 && report.damage_ct == 0;
        counts->places++;
        read_store(subject->path, &subject->expected, counts);
        if (k % RECOVER_FORGED_EVERY == 0) {
            struct dms_recover_report recovered = {0};
            struct dms_recover_options options = {.keep_partial = random % 2 == 0};
            tree_remove(subject->copy);
            status = tree_copy(subject->path, subject->copy);
            status = status ? status : dms_recover(subject->copy, &options, &recovered);
            status = status ? status : dms_verify(subject->copy, NULL, &report);
            counts->bad_recoveries += status == 0 && report.lost_id_ct > 0;
            counts->recoveries++;
            free(recovered.lost_ids);
        }
        write_at(descriptor, data, subject->sizes[f], 0);
        close(descriptor);
        free(forged);
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
            /* The other store's first file has the number of this one's, or a wrong one. */
            if (strcmp(strrchr(other->files[g], '/'), name) != 0 && g > 0) {
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

/* What one process counts. */
struct results {
    struct counts cuts, flips, forgeries;
};

/* All bits, bytes and forgeries of one store. */
static void measure(const struct subject *subject, uint64_t seed, struct results *results)
{
    enum { FORGERIES = 800 };
    const char *text = getenv("DMSTORE_TEST_FORGERIES");
    /* So that the index is opened once. Nothing is read through this handle. */
    dms_store *open_store = NULL;
    if (dms_store_open(subject->path, &open_store) != 0) {
        diag("%s store does not open: %s", subject->name, explain(0));
        return;
    }
    cut_files(subject, &results->cuts);
    flip_bits(subject, &results->flips);
    forge_blocks(subject, seed, text ? (unsigned)strtoul(text, NULL, 10) : FORGERIES,
                 &results->forgeries);
    dms_store_close(open_store);
}

/* Measures each store in a process of its own. */
static void test_bits_and_lengths(const struct subject *subjects, size_t subject_ct)
{
    uint64_t seed = known_seed();
    struct results *results = mmap(NULL, subject_ct * sizeof *results, PROT_READ | PROT_WRITE,
                                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fflush(stdout);
    for (size_t k = 0; k < subject_ct; k++) {
        if (fork() == 0) {
            measure(&subjects[k], seed + k, &results[k]);
            fflush(stdout);
            _exit(0);
        }
    }
    for (size_t k = 0; k < subject_ct; k++) {
        int outcome;
        ok(wait(&outcome) > 0 && WIFEXITED(outcome), "no crash");
    }
    for (size_t k = 0; k < subject_ct; k++) {
        report(&subjects[k], "cut at every byte", &results[k].cuts);
        report(&subjects[k], "every bit flipped", &results[k].flips);
        diag("%s store: %u forged blocks do no harm", subjects[k].name,
             results[k].forgeries.missed);
        results[k].forgeries.missed = 0;
        report(&subjects[k], "forged blocks", &results[k].forgeries);
    }
    munmap(results, subject_ct * sizeof *results);
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
    static struct subject subjects[2];
    static struct subject other;
    if (!ok(make_store(&subjects[0], "raw", "none", false) == 0 &&
                make_store(&subjects[1], "compacted", "zstd:3", true) == 0 &&
                make_store(&other, "other", "none", false) == 0,
            "the stores are made")) {
        diag("%s", explain(0));
        return tap_done();
    }
    for (size_t k = 0; k < 2; k++) {
        uint64_t damage_ct;
        uint64_t lost_id_ct;
        ok(count_damage(subjects[k].path, &damage_ct, &lost_id_ct) == 0 && damage_ct == 0,
           "the %s store is good", subjects[k].name);
        test_files(&subjects[k], &other);
    }
    test_bits_and_lengths(subjects, 2);
    for (size_t k = 0; k < 2; k++) {
        uint64_t damage_ct;
        uint64_t lost_id_ct;
        ok(count_damage(subjects[k].path, &damage_ct, &lost_id_ct) == 0 && damage_ct == 0,
           "the %s store is good again", subjects[k].name);
    }
    return tap_done();
}
