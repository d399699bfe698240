/*
 * dms_verify and dms_recover on a store of every dtype (known_store.h): good stores are good,
 * damage is named with group, column and models, a lost index costs nothing, and destroyed commits
 * are made up for.
 */
#include "tests/unit/known_store.h"

#include "base/endian.h"
#include "format/layout.h"

#include <dirent.h>
#include <fcntl.h>

static char directory[] = "verify_test.XXXXXX";

__attribute__((format(printf, 1, 2))) static void run(const char *format, ...)
{
    char command[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    known_must(system(command) == 0 ? 0 : DMS_ERR_IO, command);
}

/* A path below the test's directory; valid until the next call. */
static const char *in_directory(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

/* A fresh copy of the store at `path`. */
static const char *copy_of(const char *path)
{
    static char copy[256];
    snprintf(copy, sizeof copy, "%s/copy.dms", directory);
    run("rm -rf %s && cp -r %s %s", copy, path, copy);
    return copy;
}

/* ---- what was reported ---- */

/* The damage that costs models, or else the last. */
struct seen {
    unsigned count;
    bool costs;
    bool has_group;
    uint64_t group;
    uint64_t offset, bytes;
    char path[256], column[DMS_NAME_BYTES], what[256];
    uint64_t first_id;
    size_t id_ct;
};

static void see(void *context, const struct dms_damage *damage)
{
    struct seen *seen = context;
    seen->count++;
    if (seen->costs) {
        return;
    }
    seen->costs = damage->lost_id_ct > 0;
    seen->has_group = damage->has_group;
    seen->group = damage->group;
    seen->offset = damage->offset;
    seen->bytes = damage->bytes;
    snprintf(seen->path, sizeof seen->path, "%s", damage->path);
    snprintf(seen->column, sizeof seen->column, "%s", damage->column ? damage->column : "");
    snprintf(seen->what, sizeof seen->what, "%.255s", damage->what);
    seen->first_id = damage->lost_id_ct > 0 ? damage->lost_ids[0] : 0;
    seen->id_ct = damage->lost_id_ct;
}

static struct dms_verify_report verify(const char *path, bool quick, struct seen *seen)
{
    struct dms_verify_report report = {0};
    struct dms_verify_options options = {.quick = quick, .on_damage = see, .damage_context = seen};
    *seen = (struct seen){0};
    must(dms_verify(path, &options, &report));
    return report;
}

/* Whether verify finds nothing; says what it finds. */
static bool is_good(const char *path)
{
    struct seen seen;
    for (int quick = 0; quick < 2; quick++) {
        verify(path, quick, &seen);
        if (seen.count > 0) {
            diag("%s at 0x%" PRIx64 ": %s", seen.path, seen.offset, seen.what);
            return false;
        }
    }
    return true;
}

static struct dms_recover_report recover(const char *path, bool keep_partial)
{
    struct dms_recover_report report = {0};
    struct dms_recover_options options = {.keep_partial = keep_partial};
    must(dms_recover(path, &options, &report));
    return report;
}

/* The models of a store whose every value is right, 0 when one is wrong. */
static uint64_t right_models(const char *path)
{
    dms_snapshot *snapshot;
    must(dms_snapshot_open(path, &snapshot));
    uint64_t count = known_store_check(snapshot);
    dms_snapshot_close(snapshot);
    return count;
}

/* ---- damage on purpose ---- */

static void flip_byte(const char *path, uint64_t offset)
{
    uint8_t byte = 0;
    int descriptor = open(path, O_RDWR);
    known_must(descriptor >= 0 && pread(descriptor, &byte, 1, (off_t)offset) == 1 ? 0 : DMS_ERR_IO,
               path);
    byte ^= 0x10;
    known_must(pwrite(descriptor, &byte, 1, (off_t)offset) == 1 ? 0 : DMS_ERR_IO, path);
    close(descriptor);
}

static const char *segment_path(const char *path, uint64_t segment)
{
    static char file[512];
    snprintf(file, sizeof file, "%s/segments/%08" PRIu64 ".dms", path, segment);
    return file;
}

/* Where a chunk of the group with model `id` is. */
static struct dms_chunk_info find_chunk(const char *path, uint64_t id, uint32_t column,
                                        uint32_t tile, struct dms_group_info *group)
{
    dms_snapshot *snapshot;
    struct dms_position at;
    struct dms_chunk_info chunk;
    must(dms_snapshot_open(path, &snapshot));
    must(dms_snapshot_find(snapshot, id, &at));
    must(dms_snapshot_group(snapshot, at.group, group));
    must(dms_snapshot_chunk(snapshot, at.group, column, tile, &chunk));
    dms_snapshot_close(snapshot);
    return chunk;
}

/* The blocks of a type in a segment: offsets, in order. */
static size_t find_blocks(const char *file, uint8_t type, uint64_t *offsets, size_t offset_max)
{
    size_t count = 0;
    uint8_t header[DMS_BLOCK_HEADER_BYTES];
    uint64_t at = 0;
    int descriptor = open(file, O_RDONLY);
    while (pread(descriptor, header, sizeof header, (off_t)at) == sizeof header) {
        if (header[8] == type && count < offset_max) {
            offsets[count++] = at;
        }
        at += dms_align(DMS_BLOCK_HEADER_BYTES + dms_load_u64(header + 32), DMS_BLOCK_ALIGNMENT);
    }
    close(descriptor);
    return count;
}

/* Changes the header of the last block of a type in any segment of a store; its segment. */
static uint64_t destroy_last(const char *path, uint8_t type)
{
    for (uint64_t segment = 32; segment > 0; segment--) {
        uint64_t offsets[256];
        const char *file = segment_path(path, segment);
        size_t count = access(file, R_OK) == 0 ? find_blocks(file, type, offsets, 256) : 0;
        if (count > 0) {
            flip_byte(file, offsets[count - 1] + 50);
            return segment;
        }
    }
    return 0;
}

/* ---- tests ---- */

static void test_good(const char *path)
{
    struct seen seen;
    struct dms_verify_report report = verify(path, false, &seen);
    ok(is_good(path), "a good store is good");
    ok(report.chunk_ct > 50 && report.commit_ct > 0 && report.segment_ct > 0 &&
           report.checked_bytes > 10000,
       "what was checked is counted");
    is_int(report.orphan_bytes, 0, "there is no tail");
    const char *copy = copy_of(path);
    run("head -c 777 /dev/urandom >> $(ls -d %s/segments/* | tail -n 1)", copy);
    ok(is_good(copy), "a tail that was never committed is no damage");
    is_int(verify(copy, false, &seen).orphan_bytes, 777, "but counted");
    run("cp %s/dmstore.lock %s/segments/12345.dms && touch %s/segments/x", copy, copy, copy);
    ok(is_good(copy), "other files in segments/ are ignored");
}

static int stop(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    uint64_t *calls = context;
    return done_bytes > total_bytes || ++*calls == 3;
}

static void test_callbacks(const char *path)
{
    uint64_t calls = 0;
    struct dms_verify_report report = {.damage_ct = 9};
    struct dms_verify_options options = {.progress = stop, .progress_context = &calls};
    is_int(dms_verify(path, &options, &report), DMS_ERR_INTERRUPTED, "a check can be stopped");
    is_int(report.damage_ct, 9, "and tells nothing then");
    is_int(dms_verify(in_directory("nothing"), NULL, &report), DMS_ERR_NOT_FOUND, "no store");
    dms_store *store;
    struct dms_recover_report recovered;
    must(dms_store_open(path, &store));
    is_int(dms_recover(path, NULL, &recovered), DMS_ERR_BUSY, "recovery wants the store alone");
    dms_store_close(store);
}

static void test_lost_index(const char *path)
{
    struct seen seen;
    const char *copy = copy_of(path);
    struct dms_recover_report report = recover(copy, false);
    is_int(report.damage_ct + report.lost_id_ct + report.salvaged_ct, 0,
           "recovery of a good store finds nothing");
    is_int(report.model_ct, known_model_ct(), "and brings everything back");
    run("diff -r %s/segments %s/segments", path, copy);
    copy = copy_of(path);
    run("rm -r %s/lmdb", copy);
    verify(copy, false, &seen);
    ok(seen.count == 1 && !seen.costs, "a lost index is damage and costs no models");
    contains(seen.what, "", "a reason is given");
    report = recover(copy, false);
    is_int(report.model_ct, known_model_ct(), "recovery without the index brings everything back");
    is_int(right_models(copy), known_model_ct(), "and right");
    ok(is_good(copy), "the new index agrees with the segments");
}

static void test_bad_index(const char *path)
{
    struct seen seen;
    const char *copy;
    static const char *const spoil[] = {
        "head -c 8192 /dev/urandom | dd of=data.mdb conv=notrunc status=none",
        "truncate -s 20000 data.mdb",
        "truncate -s 0 data.mdb",
        "head -c 65536 /dev/urandom | dd of=data.mdb bs=8192 seek=1 conv=notrunc status=none",
    };
    for (size_t k = 0; k < sizeof spoil / sizeof *spoil; k++) {
        copy = copy_of(path);
        run("cd %s/lmdb && %s", copy, spoil[k]);
        verify(copy, false, &seen);
        ok(seen.count >= 1 && !seen.costs, "a spoilt index (%zu) is damage, no models are lost", k);
        ok(recover(copy, false).model_ct == known_model_ct() &&
               right_models(copy) == known_model_ct(),
           "recovery makes a new one");
    }
}

static void test_named_chunk(const char *path)
{
    struct seen seen;
    struct dms_group_info group;
    const char *copy = copy_of(path);
    struct dms_chunk_info chunk = find_chunk(copy, 1000, 2, 0, &group);
    const char *file = segment_path(copy, chunk.segment);
    flip_byte(file, chunk.offset + DMS_BLOCK_HEADER_BYTES + 5);
    for (int quick = 0; quick < 2; quick++) {
        struct dms_verify_report report = verify(copy, quick, &seen);
        is_int(report.damage_ct, 1, "a bad chunk is one damage");
        is_text(seen.path, file, "its file is named");
        is_int(seen.offset, chunk.offset, "its offset");
        ok(seen.has_group && seen.group == group.id, "its group");
        is_text(seen.column, "margins", "its column");
        contains(seen.what, "checksum mismatch", "and what is wrong");
        ok(seen.id_ct == group.live_ct && seen.first_id == 1000, "with the models to train again");
        is_int(report.lost_id_ct, group.live_ct, "which are counted");
    }
    struct dms_recover_report report = recover(copy, true);
    is_int(report.lost_id_ct, 0, "keep_partial keeps its models");
    is_int(report.model_ct, known_model_ct(), "all of them");
    ok(verify(copy, false, &seen).lost_id_ct == 0, "nothing live is damaged then");
    copy = copy_of(path);
    flip_byte(segment_path(copy, chunk.segment), chunk.offset + DMS_BLOCK_HEADER_BYTES + 5);
    report = recover(copy, false);
    is_int(report.lost_id_ct, group.live_ct, "otherwise they are lost");
    ok(report.lost_ids && report.lost_ids[0] == 1000, "and named");
    is_int(right_models(copy), known_model_ct() - group.live_ct, "the others are right");
    free(report.lost_ids);
}

static void test_mask(const char *path)
{
    struct dms_group_info group;
    const char *copy = copy_of(path);
    struct dms_chunk_info chunk = find_chunk(copy, 5003, 0, 0, &group);
    flip_byte(segment_path(copy, chunk.segment), chunk.offset + DMS_BLOCK_HEADER_BYTES + 1);
    struct dms_recover_report report = recover(copy, true);
    is_int(report.lost_id_ct, group.live_ct, "a damaged mask costs its models in any case");
    is_int(right_models(copy), known_model_ct() - group.live_ct, "the others are right");
    free(report.lost_ids);
}

static void test_dead_block(const char *path)
{
    struct seen seen;
    uint64_t offsets[64];
    /* The first rows block of the log was sealed. */
    const char *copy = copy_of(path);
    for (uint64_t segment = 1; segment < 10; segment++) {
        const char *file = segment_path(copy, segment);
        if (access(file, R_OK) == 0 && find_blocks(file, DMS_BLOCK_ROWS, offsets, 64) > 0) {
            flip_byte(file, offsets[0] + 300);
            verify(copy, false, &seen);
            ok(seen.count == 1 && !seen.costs, "a damaged block that is dead costs nothing");
            is_int(recover(copy, false).model_ct, known_model_ct(), "recovery neither");
            return;
        }
    }
    skip("a damaged block that is dead costs nothing", "compaction has removed it");
}

/* The last commit added the batches of the late models; its record is destroyed. */
static void test_destroyed_commit(const char *path, bool keep_index)
{
    struct seen seen;
    const char *copy = copy_of(path);
    destroy_last(copy, DMS_BLOCK_COMMIT);
    struct dms_verify_report verified = verify(copy, false, &seen);
    ok(verified.damage_ct > 0 && verified.lost_id_ct == 0, "a destroyed commit is damage");
    if (!keep_index) {
        run("rm -r %s/lmdb", copy);
    }
    struct dms_recover_report report = recover(copy, false);
    diag("%" PRIu64 " models, %" PRIu64 " salvaged, %" PRIu64 " lost", report.model_ct,
         report.salvaged_ct, report.lost_id_ct);
    is_int(report.lost_id_ct, 0, "it costs no models");
    if (keep_index) {
        is_int(report.model_ct, known_model_ct(), "all are there");
        is_int(right_models(copy), known_model_ct(), "and right");
    }
    verified = verify(copy, false, &seen);
    is_int(verified.lost_id_ct, 0, "what was recovered is whole");
    struct dms_recover_report again = recover(copy, false);
    is_int(again.model_ct, report.model_ct, "recovery again gives the same");
    run("rm -r %s/lmdb", copy);
    again = recover(copy, false);
    is_int(again.model_ct, report.model_ct, "also without the index");
    is_int(again.salvaged_ct, 0, "and has nothing to salvage any more");
    free(report.lost_ids);
    free(again.lost_ids);
}

/* A commit in the middle of the store's history. */
static void test_every_commit(const char *path)
{
    unsigned tried = 0;
    unsigned wrong = 0;
    for (uint64_t segment = 1; segment < 20; segment++) {
        uint64_t offsets[64];
        char file[512];
        snprintf(file, sizeof file, "%s", segment_path(path, segment));
        size_t count =
            access(file, R_OK) == 0 ? find_blocks(file, DMS_BLOCK_COMMIT, offsets, 64) : 0;
        for (size_t k = 0; k < count; k++, tried++) {
            const char *copy = copy_of(path);
            flip_byte(segment_path(copy, segment), offsets[k] + 49);
            struct dms_recover_report report = recover(copy, false);
            if (report.lost_id_ct > 0 || report.model_ct != known_model_ct() ||
                right_models(copy) != known_model_ct()) {
                diag("segment %" PRIu64 ", commit %zu: %" PRIu64 " models, %" PRIu64 " lost",
                     segment, k, report.model_ct, report.lost_id_ct);
                wrong++;
            }
            free(report.lost_ids);
        }
    }
    ok(tried > 0, "%u commits", tried);
    is_int(wrong, 0, "any one of them may be destroyed");
}

static void test_segment_block(const char *path)
{
    struct seen seen;
    struct dms_group_info group;
    const char *copy = copy_of(path);
    struct dms_chunk_info chunk = find_chunk(copy, 1000, 2, 0, &group);
    flip_byte(segment_path(copy, chunk.segment), 50);
    verify(copy, false, &seen);
    ok(seen.count > 0, "a damaged segment block is found");
    struct dms_recover_report report = recover(copy, false);
    is_int(report.model_ct, known_model_ct(), "its blocks are salvaged");
    is_int(right_models(copy), known_model_ct(), "and read");
    is_int(verify(copy, false, &seen).lost_id_ct, 0, "what was recovered is whole");
}

/* Files that do not belong here: one of another store, and one that a writer had just begun. */
static void test_other_files(const char *path, const char *other)
{
    struct seen seen;
    const char *copy = copy_of(path);
    run("head -c 100 /dev/urandom > %s/segments/00000098.dms", copy);
    ok(is_good(copy), "a file that was just begun is no damage");
    struct dms_recover_report report = recover(copy, false);
    ok(report.damage_ct == 0 && report.model_ct == known_model_ct(), "not to recovery either");
    copy = copy_of(path);
    run("rm -f %s/segments/00000001.dms", copy);
    run("cp %s/segments/00000001.dms %s/segments/", other, copy);
    verify(copy, false, &seen);
    ok(seen.count > 0, "a file of another store is damage");
    report = recover(copy, false);
    ok(report.damage_ct > 0, "also to recovery");
    run("test -e %s/segments/00000001.dms.foreign", copy);
    ok(verify(copy, false, &seen).lost_id_ct == 0, "which sets it aside");
    free(report.lost_ids);
}

static void test_schema(const char *path)
{
    struct dms_schema *schema;
    dms_snapshot *snapshot;
    char manifest[256];
    snprintf(manifest, sizeof manifest, "%s", in_directory("manifest"));
    must(dms_schema_read(path, &schema));
    is_int(schema->column_ct, KNOWN_COLUMNS, "the schema of a store is the newest");
    dms_schema_free(schema);
    must(dms_snapshot_open(path, &snapshot));
    must(dms_snapshot_write_manifest(snapshot, manifest));
    dms_snapshot_close(snapshot);
    must(dms_schema_read(manifest, &schema));
    is_int(schema->column_ct, KNOWN_COLUMNS, "so is that of a manifest");
    dms_schema_free(schema);
    is_int(dms_schema_read(in_directory("nothing"), &schema), DMS_ERR_NOT_FOUND, "no store");
}

static void test_store(const char *path)
{
    test_good(path);
    test_callbacks(path);
    test_lost_index(path);
    test_bad_index(path);
    test_named_chunk(path);
    test_mask(path);
    test_dead_block(path);
    test_destroyed_commit(path, true);
    test_destroyed_commit(path, false);
    test_every_commit(path);
    test_segment_block(path);
    test_schema(path);
    char other[256];
    snprintf(other, sizeof other, "%s", in_directory("other.dms"));
    test_other_files(path, other);
}

int main(void)
{
    dms_store *store;
    char path[256];
    known_must(mkdtemp(directory) ? 0 : DMS_ERR_IO, "mkdtemp");
    snprintf(path, sizeof path, "%s", in_directory("raw.dms"));
    known_store_build(path, "none");
    known_store_build(in_directory("other.dms"), "none");
    diag("a raw store");
    test_store(path);
    snprintf(path, sizeof path, "%s", in_directory("zstd.dms"));
    known_store_build(path, "zstd:3");
    diag("a compressed store");
    test_store(path);
    must(dms_store_open(path, &store));
    must(dms_store_compact(store, NULL, NULL));
    dms_store_close(store);
    diag("a compacted store");
    test_store(path);
    run("rm -rf %s", directory);
    return tap_done();
}
