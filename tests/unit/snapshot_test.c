/*
 * Snapshots: what they say of a store whose content is known, in every codec, from threads and
 * children and manifests, and how they answer to wrong questions and damaged files.
 */
#include "store/snapshot.h"

#include "tests/unit/known_store.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

static char directory[] = "snapshot_test.XXXXXX";

/* The path of something in the test's directory; valid until the fourth call after. */
static const char *in_directory(const char *name)
{
    static char paths[4][256];
    static unsigned used;
    char *path = paths[used++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

static void run(const char *format, const char *path)
{
    char command[512];
    snprintf(command, sizeof command, format, path);
    known_must(system(command) == 0 ? 0 : DMS_ERR_IO, command);
}

static dms_snapshot *open_snapshot(const char *path)
{
    dms_snapshot *snapshot;
    must(dms_snapshot_open(path, &snapshot));
    return snapshot;
}

/* ---- content ---- */

static void test_info(dms_snapshot *snapshot)
{
    struct dms_snapshot_info info;
    dms_snapshot_info(snapshot, &info);
    is_int(info.model_ct, known_model_ct(), "models");
    is_int(info.staged_ct, 14, "staged models");
    is_int(info.removed_ct, KNOWN_REMOVED, "removed models");
    is_int(info.smallest_id, 1000, "smallest id");
    is_int(info.largest_id, 5069, "largest id");
    is_int(dms_snapshot_group_ct(snapshot), info.group_ct + 5, "groups and batches");
}

static void test_id_runs(dms_snapshot *snapshot)
{
    const struct dms_id_run *runs;
    size_t run_ct;
    uint64_t model_ct = 0;
    bool in_order = true;
    must(dms_snapshot_id_runs(snapshot, &runs, &run_ct));
    for (size_t k = 0; k < run_ct; k++) {
        model_ct += runs[k].id_ct;
        in_order &= k == 0 || runs[k].first_id >= runs[k - 1].first_id + runs[k - 1].id_ct;
    }
    ok(in_order, "runs of ids are in order");
    is_int(model_ct, known_model_ct(), "runs of ids hold every live model");
}

/* Adds up the masks of all live models. */
static void known_counts(dms_snapshot *snapshot, uint64_t *counts)
{
    const struct dms_id_run *runs;
    size_t run_ct;
    must(dms_snapshot_id_runs(snapshot, &runs, &run_ct));
    memset(counts, 0, KNOWN_EXAMPLES * sizeof *counts);
    for (size_t k = 0; k < run_ct; k++) {
        for (uint64_t id = runs[k].first_id; id < runs[k].first_id + runs[k].id_ct; id++) {
            uint8_t mask[KNOWN_MASK_BYTES];
            known_mask(id, mask);
            for (int e = 0; e < KNOWN_EXAMPLES; e++) {
                counts[e] += mask[e / 8] >> e % 8 & 1;
            }
        }
    }
}

static void known_statistics(dms_snapshot *snapshot, uint32_t position,
                             struct dms_target_statistics *statistics)
{
    const struct dms_column *column = &dms_snapshot_schema(snapshot)->columns[position];
    uint64_t value_ct = dms_column_value_ct(column);
    const struct dms_id_run *runs;
    size_t run_ct;
    must(dms_snapshot_id_runs(snapshot, &runs, &run_ct));
    memset(statistics, 0, value_ct * sizeof *statistics);
    for (size_t r = 0; r < run_ct; r++) {
        for (uint64_t id = runs[r].first_id; id < runs[r].first_id + runs[r].id_ct; id++) {
            for (uint64_t k = 0; k < value_ct && known_is_present(id, position); k++) {
                uint8_t bytes[8];
                known_value(column, position, id, k, bytes);
                double value = known_number(column->dtype, bytes);
                if (!isfinite(value)) {
                    statistics[k].nonfinite_ct++;
                    continue;
                }
                statistics[k].finite_ct++;
                statistics[k].sum += value;
                statistics[k].square_sum += value * value;
            }
        }
    }
}

static bool statistics_agree(dms_snapshot *snapshot, uint32_t position)
{
    uint64_t value_ct = dms_column_value_ct(&dms_snapshot_schema(snapshot)->columns[position]);
    struct dms_target_statistics *got = known_alloc(value_ct * sizeof *got);
    struct dms_target_statistics *expected = known_alloc(value_ct * sizeof *expected);
    must(dms_snapshot_target_statistics(snapshot, position, got));
    known_statistics(snapshot, position, expected);
    bool same = true;
    for (uint64_t k = 0; k < value_ct && same; k++) {
        same = got[k].finite_ct == expected[k].finite_ct &&
               got[k].nonfinite_ct == expected[k].nonfinite_ct && got[k].sum == expected[k].sum &&
               got[k].square_sum == expected[k].square_sum;
        if (!same) {
            diag("value %" PRIu64 ": sum %g of %" PRIu64 ", expected %g of %" PRIu64, k, got[k].sum,
                 got[k].finite_ct, expected[k].sum, expected[k].finite_ct);
        }
    }
    free(got);
    free(expected);
    return same;
}

static void test_statistics(dms_snapshot *snapshot, const char *how)
{
    uint64_t got[KNOWN_EXAMPLES];
    uint64_t expected[KNOWN_EXAMPLES];
    must(dms_snapshot_example_counts(snapshot, got));
    known_counts(snapshot, expected);
    ok(memcmp(got, expected, sizeof got) == 0, "counts of examples, %s", how);
    for (uint32_t position = 2; position < KNOWN_COLUMNS; position++) {
        const struct dms_column *column = &dms_snapshot_schema(snapshot)->columns[position];
        if (column->kind == DMS_COLUMN_OUTPUT) {
            ok(statistics_agree(snapshot, position), "statistics of column %s, %s", column->name,
               how);
        }
    }
}

/* The entries of sampled rows, each of which must draw the row's mask. */
static bool sampling_agrees(dms_snapshot *snapshot, size_t group, const struct dms_group_info *info)
{
    uint64_t *ids = known_alloc(info->row_ct * sizeof *ids);
    uint8_t *entries = known_alloc((size_t)info->row_ct * 16);
    bool all_sampled;
    bool expected = true;
    must(dms_snapshot_group_ids(snapshot, group, ids));
    must(dms_snapshot_read_sampling(snapshot, group, 0, info->row_ct, entries, &all_sampled));
    for (uint32_t row = 0; row < info->row_ct; row++) {
        static const uint8_t entry[16] = {KNOWN_SEED, [8] = KNOWN_SUBSET, [12] = 1};
        expected &= known_is_sampled(ids[row]);
        if (all_sampled && memcmp(entries + (size_t)row * 16, entry, sizeof entry) != 0) {
            all_sampled = !expected;
            break;
        }
    }
    free(ids);
    free(entries);
    return all_sampled == expected;
}

static void test_sampling(dms_snapshot *snapshot)
{
    bool same = true;
    for (size_t group = 0; group < dms_snapshot_group_ct(snapshot); group++) {
        struct dms_group_info info;
        must(dms_snapshot_group(snapshot, group, &info));
        same &= sampling_agrees(snapshot, group, &info);
    }
    ok(same, "sampled rows are told from others");
}

/* Bits of packed rows, whose first is the first target asked for. */
static void test_packed_bits(dms_snapshot *snapshot)
{
    const uint32_t position = 4;
    const struct dms_column *column = &dms_snapshot_schema(snapshot)->columns[position];
    const uint64_t target = 1022;
    const uint64_t target_ct = 5;
    bool same = true;
    for (size_t group = 0; group < dms_snapshot_group_ct(snapshot); group++) {
        struct dms_group_info info;
        must(dms_snapshot_group(snapshot, group, &info));
        uint64_t *ids = known_alloc(info.row_ct * sizeof *ids);
        uint8_t *rows = known_alloc(info.row_ct * dms_column_packed_bytes(column, target_ct));
        must(dms_snapshot_group_ids(snapshot, group, ids));
        must(dms_snapshot_read_packed(snapshot, group, position, 0, info.row_ct, target, target_ct,
                                      rows));
        for (uint32_t row = 0; row < info.row_ct; row++) {
            uint8_t expected[2] = {0};
            for (uint64_t k = 0; k < target_ct * 3 && known_is_present(ids[row], position); k++) {
                uint8_t bit[8];
                known_value(column, position, ids[row], target * 3 + k, bit);
                expected[k / 8] |= (uint8_t)(bit[0] << k % 8);
            }
            same &= memcmp(rows + (size_t)row * 2, expected, 2) == 0;
        }
        free(ids);
        free(rows);
    }
    ok(same, "packed bits from the middle of a byte on");
}

/* ---- chunks ---- */

static void test_raw_chunks(dms_snapshot *snapshot)
{
    const uint32_t position = 2;
    const struct dms_column *column = &dms_snapshot_schema(snapshot)->columns[position];
    struct dms_chunk_info info;
    const uint8_t *data;
    uint16_t values[1024];
    bool same = true;
    for (uint32_t tile = 0; tile < dms_column_tile_ct(column); tile++) {
        must(dms_snapshot_map_chunk(snapshot, 0, position, tile, &info, &data));
        for (uint32_t row = 0; row < info.row_ct; row++) {
            must(dms_snapshot_read_values(snapshot, 0, position, row, 1, info.first_target,
                                          info.target_ct, values));
            same &= memcmp(data + row * info.row_stride_bytes, values,
                           info.target_ct * sizeof values[0]) == 0;
        }
        same &= (uintptr_t)data % 64 == 0;
    }
    ok(same, "mapped chunks hold what reading copies");
    is_int(info.first_target, 2048, "the last tile's first target");
    is_int(info.target_ct, 452, "the last tile's targets");
    is_int(info.decoded_bytes, (uint64_t)64 * 452 * 2, "the last tile's bytes");
    is_int(dms_snapshot_map_chunk(snapshot, 3, 0, 0, &info, &data), DMS_ERR_UNSUPPORTED,
           "sampled masks are in no place");
    is_int(info.first_target, 2048, "a failure leaves the results alone");
}

static void test_compressed_chunks(dms_snapshot *snapshot)
{
    struct dms_chunk_info info;
    const uint8_t *data;
    must(dms_snapshot_chunk(snapshot, 0, 2, 0, &info));
    is_int(info.codec, DMS_CODEC_ZSTD, "the chunk is compressed");
    ok(info.stored_bytes < info.decoded_bytes, "and smaller for it");
    is_int(info.row_stride_bytes, 0, "it has no stride");
    is_int(dms_snapshot_map_chunk(snapshot, 0, 2, 0, &info, &data), DMS_ERR_UNSUPPORTED,
           "it cannot be mapped");
    contains(dms_error_message(), "chunk 0 of column margins", "the failure names the chunk");
}

/* ---- wrong questions ---- */

static void test_wrong_questions(dms_snapshot *snapshot)
{
    size_t group_ct = dms_snapshot_group_ct(snapshot);
    struct dms_position at;
    struct dms_group_info group;
    struct dms_chunk_info chunk;
    struct dms_target_statistics statistics;
    uint8_t bytes[16];
    is_int(dms_snapshot_find(snapshot, 1150, &at), DMS_ERR_NOT_FOUND, "an id after a run");
    is_int(dms_snapshot_find(snapshot, 0, &at), DMS_ERR_NOT_FOUND, "an id before all");
    contains(dms_error_message(), "model 0 ", "the failure names the model");
    is_int(dms_snapshot_group(snapshot, group_ct, &group), DMS_ERR_INVALID, "no such group");
    is_int(dms_snapshot_read_masks(snapshot, 0, 64, 1, bytes), DMS_ERR_INVALID, "no such row");
    is_int(dms_snapshot_read_masks(snapshot, 0, 1, UINT32_MAX, bytes), DMS_ERR_INVALID,
           "more rows than there are");
    is_int(dms_snapshot_read_values(snapshot, 0, 2, 0, 1, 2500, 1, bytes), DMS_ERR_INVALID,
           "no such target");
    is_int(dms_snapshot_read_values(snapshot, 0, 2, 0, 1, 1, UINT64_MAX, bytes), DMS_ERR_INVALID,
           "more targets than there are");
    is_int(dms_snapshot_read_values(snapshot, 0, KNOWN_COLUMNS, 0, 1, 0, 1, bytes), DMS_ERR_INVALID,
           "no such column");
    is_int(dms_snapshot_read_values(snapshot, 0, 0, 0, 1, 0, 1, bytes), DMS_ERR_INVALID,
           "masks are no values");
    is_int(dms_snapshot_read_values(snapshot, 0, 1, 0, 1, 0, 1, bytes), DMS_ERR_INVALID,
           "ids are no values");
    is_int(dms_snapshot_chunk(snapshot, 0, 2, 3, &chunk), DMS_ERR_INVALID, "no such tile");
    is_int(dms_snapshot_chunk(snapshot, 0, KNOWN_EXTRA, 0, &chunk), DMS_ERR_NOT_FOUND,
           "a column without values in the group");
    is_int(dms_snapshot_chunk(snapshot, group_ct - 1, 2, 0, &chunk), DMS_ERR_NOT_FOUND,
           "staged rows are in no chunk");
    is_int(dms_snapshot_target_statistics(snapshot, KNOWN_FIRST_SCALAR, &statistics),
           DMS_ERR_INVALID, "a scalar's statistics");
    dms_snapshot *none;
    is_int(dms_snapshot_open(in_directory("nothing"), &none), DMS_ERR_NOT_FOUND,
           "a path that is not there");
    dms_snapshot_close(NULL);
}

/* ---- threads, children, limits ---- */

static void *check_in_thread(void *snapshot)
{
    return (void *)(uintptr_t)known_store_check(snapshot);
}

static void test_threads(const char *path)
{
    enum { THREADS = 8 };
    dms_snapshot *snapshot = open_snapshot(path);
    pthread_t threads[THREADS];
    bool same = true;
    for (int k = 0; k < THREADS; k++) {
        known_must(pthread_create(&threads[k], NULL, check_in_thread, snapshot) == 0 ? 0
                                                                                     : DMS_ERR_IO,
                   "pthread_create");
    }
    for (int k = 0; k < THREADS; k++) {
        void *model_ct;
        pthread_join(threads[k], &model_ct);
        same &= (uintptr_t)model_ct == known_model_ct();
    }
    ok(same, "eight threads read one snapshot at once");
    dms_snapshot_close(snapshot);
}

/* Whether the function returns true in a forked child. */
static bool holds_in_child(bool (*function)(void *context), void *context)
{
    int status = -1;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        _exit(function(context) ? 0 : 1);
    }
    known_must(child > 0 && waitpid(child, &status, 0) == child ? 0 : DMS_ERR_IO, "fork");
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool reads_all(void *snapshot)
{
    uint64_t counts[KNOWN_EXAMPLES];
    uint64_t expected[KNOWN_EXAMPLES];
    must(dms_snapshot_example_counts(snapshot, counts));
    known_counts(snapshot, expected);
    return known_store_check(snapshot) == known_model_ct() &&
           memcmp(counts, expected, sizeof counts) == 0;
}

static void test_child(const char *path)
{
    dms_store *store;
    dms_snapshot *snapshot;
    must(dms_store_open(path, &store));
    must(dms_store_snapshot(store, &snapshot));
    dms_store_close(store);
    ok(holds_in_child(reads_all, snapshot),
       "a child reads its parent's snapshot, its store closed");
    ok(reads_all(snapshot), "and so does the parent");
    dms_snapshot_close(snapshot);
}

static bool opens_with_few_descriptors(void *path)
{
    struct rlimit limit;
    known_must(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
    limit.rlim_cur = 8;
    known_must(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
    dms_snapshot *snapshot = open_snapshot(path);
    bool same = dms_snapshot_group_ct(snapshot) == 30;
    dms_snapshot_close(snapshot);
    return same;
}

/* Thirty bulk writes, each with a segment of its own. */
static void test_descriptor_limit(void)
{
    char path[256];
    snprintf(path, sizeof path, "%s", in_directory("many"));
    dms_store *store;
    struct dms_schema *schema;
    known_store_create(path, "none");
    must(dms_store_open(path, &store));
    must(dms_schema_read(path, &schema));
    struct known_series series = {0, 1, 1};
    struct known_source context = {schema, &series};
    struct dms_row_source source = {
        .context = &context, .row_ct = 1, .ids = &series.first, .read_masks = known_read_masks};
    for (; series.first < 30; series.first++) {
        must(dms_store_write(store, &source, NULL, NULL));
    }
    dms_schema_free(schema);
    dms_store_close(store);
    ok(holds_in_child(opens_with_few_descriptors, path), "opening raises the limit of open files");
}

/* ---- a store that goes on ---- */

static void test_old_snapshot(const char *path)
{
    dms_snapshot *snapshot = open_snapshot(path);
    dms_snapshot *later;
    dms_store *store;
    struct dms_compact_options all = {.all = true};
    uint64_t id = 1000;
    must(dms_store_open(path, &store));
    must(dms_store_remove(store, &id, 1, false, NULL));
    must(dms_store_compact(store, &all, NULL));
    must(dms_store_snapshot(store, &later));
    is_int(known_store_check(snapshot), known_model_ct(),
           "a snapshot reads on after removal and compaction");
    test_statistics(snapshot, "of a state that has passed");
    struct dms_position at;
    is_int(dms_snapshot_find(later, id, &at), DMS_ERR_NOT_FOUND,
           "a later snapshot sees the removal");
    struct dms_snapshot_info info;
    dms_snapshot_info(later, &info);
    is_int(info.model_ct, known_model_ct() - 1, "and one model less");
    is_int(info.removed_ct, 0, "and no removed rows");
    dms_snapshot_close(later);
    dms_snapshot_close(snapshot);
    dms_store_close(store);
}

/* ---- manifests ---- */

static bool opens(const char *path)
{
    dms_snapshot *snapshot;
    if (dms_snapshot_open(path, &snapshot) != 0) {
        return false;
    }
    dms_snapshot_close(snapshot);
    return true;
}

static void flip_bit(int file, off_t offset, unsigned bit)
{
    uint8_t byte = 0;
    bool done = pread(file, &byte, 1, offset) == 1;
    byte ^= (uint8_t)(1u << bit);
    known_must(done && pwrite(file, &byte, 1, offset) == 1 ? 0 : DMS_ERR_IO, "flip a bit");
}

/* Counts the forms of a manifest with one bit flipped, or cut short, that open all the same. The
 * file is used up. */
static int damage_manifest(const char *path)
{
    int accepted = 0;
    int file = open(path, O_RDWR);
    known_must(file >= 0 && opens(path) ? 0 : DMS_ERR_IO, path);
    off_t size = lseek(file, 0, SEEK_END);
    for (off_t k = 0; k < size; k++) {
        flip_bit(file, k, (unsigned)k % 8);
        if (opens(path)) {
            diag("a flip at byte %ld is not seen", (long)k);
            accepted++;
        }
        flip_bit(file, k, (unsigned)k % 8);
    }
    for (off_t k = size - 1; k >= 0; k--) {
        known_must(ftruncate(file, k), "ftruncate");
        if (opens(path)) {
            diag("a cut at byte %ld is not seen", (long)k);
            accepted++;
        }
    }
    close(file);
    return accepted;
}

static void test_manifest(const char *path)
{
    char moved[300];
    char manifest[400];
    dms_snapshot *snapshot = open_snapshot(path);
    must(dms_snapshot_write_manifest(snapshot, in_directory("manifest")));
    snprintf(manifest, sizeof manifest, "%s/manifest", path);
    must(dms_snapshot_write_manifest(snapshot, manifest));
    dms_snapshot_close(snapshot);

    run("mv %s/lmdb snapshot_test.index", path);
    snapshot = open_snapshot(in_directory("manifest"));
    is_int(known_store_check(snapshot), known_model_ct(),
           "a manifest opens the store without its index");
    test_info(snapshot);
    test_statistics(snapshot, "from the rows");
    must(dms_snapshot_write_manifest(snapshot, in_directory("again")));
    dms_snapshot_close(snapshot);
    snapshot = open_snapshot(in_directory("again"));
    is_int(known_store_check(snapshot), known_model_ct(), "and can be written again");
    dms_snapshot_close(snapshot);
    run("mv snapshot_test.index %s/lmdb", path);

    is_int(damage_manifest(in_directory("again")), 0, "no damage to a manifest goes unseen");

    snprintf(moved, sizeof moved, "%s.moved", path);
    known_must(rename(path, moved), "rename");
    is_int(dms_snapshot_open(in_directory("manifest"), &snapshot), DMS_ERR_NOT_FOUND,
           "a store that has gone is not found");
    contains(dms_error_message(), "manifest", "the failure names the manifest");
    snprintf(manifest, sizeof manifest, "%s/manifest", moved);
    snapshot = open_snapshot(manifest);
    is_int(known_store_check(snapshot), known_model_ct(),
           "a manifest inside a store that was moved opens it");
    dms_snapshot_close(snapshot);
    known_must(rename(moved, path), "rename");
}

/* ---- damage ---- */

/* The segment file of the first chunk of a column in group 0, and where its payload begins. */
static void locate_chunk(dms_snapshot *snapshot, uint32_t position, char *path, size_t path_bytes,
                         uint64_t *payload)
{
    struct dms_chunk_info info;
    must(dms_snapshot_chunk(snapshot, 0, position, 0, &info));
    snprintf(path, path_bytes, "%s/segments/%08" PRIu64 ".dms", dms_snapshot_path(snapshot),
             info.segment);
    *payload = info.offset + 128;
}

static void flip_byte(const char *path, uint64_t offset)
{
    int file = open(path, O_RDWR);
    known_must(file >= 0 ? 0 : DMS_ERR_IO, path);
    flip_bit(file, (off_t)offset, 6);
    close(file);
}

static void test_flipped_byte(const char *path, bool is_raw)
{
    char file[PATH_MAX];
    uint64_t payload;
    uint16_t value;
    dms_snapshot *early = open_snapshot(path);
    locate_chunk(early, 2, file, sizeof file, &payload);
    must(dms_snapshot_read_values(early, 0, 2, 0, 1, 0, 1, &value));
    flip_byte(file, payload + 4000);
    is_int(dms_snapshot_read_values(early, 0, 2, 0, 1, 0, 1, &value), is_raw ? 0 : DMS_ERR_CORRUPT,
           "a raw chunk is checked once, a compressed one always");
    dms_snapshot *late = open_snapshot(path);
    is_int(dms_snapshot_read_values(late, 0, 2, 0, 1, 0, 1, &value), DMS_ERR_CORRUPT,
           "a flipped byte is found at first touch");
    contains(dms_error_message(), "chunk 0 of column margins in group",
             "the failure names the chunk");
    contains(dms_error_message(), file, "and the file");
    is_int(dms_snapshot_read_values(late, 0, 2, 0, 1, 1024, 1, &value), 0,
           "other chunks can be read");
    flip_byte(file, payload + 4000);
    is_int(dms_snapshot_read_values(late, 0, 2, 0, 1, 0, 1, &value), 0,
           "and so can this one when it is whole again");
    flip_byte(file, payload - 100);
    dms_snapshot *third = open_snapshot(path);
    is_int(dms_snapshot_read_values(third, 0, 2, 0, 1, 0, 1, &value), DMS_ERR_CORRUPT,
           "a header's flipped byte is found");
    flip_byte(file, payload - 100);
    dms_snapshot_close(early);
    dms_snapshot_close(late);
    dms_snapshot_close(third);
}

static void test_truncation(const char *path)
{
    char file[PATH_MAX];
    uint64_t payload;
    uint16_t values[2500];
    dms_snapshot *touched = open_snapshot(path);
    dms_snapshot *fresh = open_snapshot(path);
    locate_chunk(touched, 2, file, sizeof file, &payload);
    must(dms_snapshot_read_values(touched, 0, 2, 0, 1, 0, 2500, values));
    known_must(truncate(file, (off_t)payload + 4097), "truncate");
    is_int(dms_snapshot_read_values(touched, 0, 2, 63, 1, 0, 2500, values), DMS_ERR_CORRUPT,
           "a file that was cut is an error to a snapshot that has read it");
    contains(dms_error_message(), "chunk 0 of column margins in group",
             "the failure names the chunk");
    contains(dms_error_message(), file, "and the file");
    contains(dms_error_message(), "offset", "and the offset");
    is_int(dms_snapshot_read_values(fresh, 0, 2, 0, 1, 0, 1, values), DMS_ERR_CORRUPT,
           "and to one that has not");
    dms_snapshot *late;
    is_int(dms_snapshot_open(path, &late), DMS_ERR_CORRUPT,
           "a store with a file too short does not open");
    contains(dms_error_message(), "dmstore verify", "the failure says what to do");
    known_must(unlink(file), "unlink");
    is_int(dms_snapshot_open(path, &late), DMS_ERR_CORRUPT, "nor does one with a file less");
    contains(dms_error_message(), file, "the failure names it");
    dms_snapshot_close(touched);
    dms_snapshot_close(fresh);
}

static void test_store(const char *name, const char *codec)
{
    char path[256];
    snprintf(path, sizeof path, "%s", in_directory(name));
    diag("a store with codec %s", codec);
    known_store_build(path, codec);
    dms_snapshot *snapshot = open_snapshot(path);
    is_int(known_store_check(snapshot), known_model_ct(), "every value is there");
    test_info(snapshot);
    test_id_runs(snapshot);
    test_statistics(snapshot, "with the index");
    test_sampling(snapshot);
    test_packed_bits(snapshot);
    test_wrong_questions(snapshot);
    if (strcmp(codec, "none") == 0) {
        test_raw_chunks(snapshot);
    } else {
        test_compressed_chunks(snapshot);
    }
    dms_snapshot_close(snapshot);
    test_threads(path);
    test_child(path);
    test_manifest(path);
    test_flipped_byte(path, strcmp(codec, "none") == 0);
    test_old_snapshot(path);
    test_truncation(path);
}

int main(void)
{
    known_must(mkdtemp(directory) ? 0 : DMS_ERR_IO, "mkdtemp");
    test_store("raw", "none");
    test_store("compressed", "zstd:3");
    test_descriptor_limit();
    run("rm -rf %s", directory);
    return tap_done();
}
