/*
 * The store handle: create, open, close, add a column (include/dmstore/store.h).
 */
#include "store/store_handle.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "format/schema.h"
#include "store/leftovers.h"
#include "store/paths.h"
#include "store/snapshot.h"
#include "store/transaction.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- create ---- */

/* An empty directory at `path`, made if it is not there; *made tells which. */
static int make_directory(const char *path, bool *made)
{
    if (mkdir(path, 0775) == 0) {
        *made = true;
        return 0;
    }
    if (errno != EEXIST) {
        return dms_fail_errno("cannot create directory '%s'", path);
    }
    DIR *directory = opendir(path);
    if (!directory) {
        return errno == ENOTDIR ? dms_fail(DMS_ERR_EXISTS, "'%s' exists already", path)
                                : dms_fail_errno("cannot open directory '%s'", path);
    }
    bool is_empty = true;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        is_empty &= strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    }
    closedir(directory);
    *made = false;
    return is_empty ? 0 : dms_fail(DMS_ERR_EXISTS, "'%s' exists already and is not empty", path);
}

static int commit_schema(void *context, struct dms_commit *commit)
{
    const struct dms_schema *schema = context;
    struct dms_buffer encoded = {0};
    int status = dms_schema_encode(schema, &encoded);
    if (status == 0) {
        struct dms_edit edit = {.type = DMS_EDIT_SET_SCHEMA,
                                .set_schema = {encoded.size, encoded.data}};
        status = dms_commit_edit(commit, &edit);
    }
    dms_buffer_free(&encoded);
    return status;
}

/* What the first commit builds on. */
static int write_first_meta(struct dms_index *index, const struct dms_schema *schema)
{
    struct dms_index_meta meta = {.next_group = 1, .next_batch = 1, .next_segment = 1};
    struct dms_index_txn *txn = NULL;
    int status = dms_uuid_make(meta.store_uuid);
    if (status == 0) {
        status = dms_index_begin(index, true, &txn);
    }
    if (status == 0) {
        status = dms_index_put_meta(txn, &meta);
        status = status ? status : dms_index_put_schema(txn, schema);
        if (status == 0) {
            return dms_index_commit(txn);
        }
    }
    dms_index_abort(txn);
    return status;
}

/* Makes files and index in an empty directory, and the first commit, which holds the schema. */
static int fill_directory(const char *path, struct dms_schema *schema)
{
    struct dms_index *index = NULL;
    dms_store *store = NULL;
    char *segments = dms_path_segments(path);
    char *lmdb = dms_path_index(path);
    char *parent = dms_path_parent(path);
    int status = segments && lmdb && parent ? 0 : DMS_ERR_NO_MEMORY;
    if (status == 0 && mkdir(segments, 0775) != 0) {
        status = dms_fail_errno("cannot create directory '%s'", segments);
    }
    if (status == 0) {
        status = dms_index_open(path, true, &index);
    }
    if (status == 0) {
        status = write_first_meta(index, schema);
    }
    if (status == 0) {
        status = dms_store_open(path, &store);
    }
    if (status == 0) {
        status = dms_commit_run(store, NULL, commit_schema, schema);
    }
    if (status == 0) {
        status = dms_directory_sync(lmdb);
        status = status ? status : dms_directory_sync(path);
        status = status ? status : dms_directory_sync(parent);
    }
    dms_store_close(store);
    dms_index_close(index);
    free(segments);
    free(lmdb);
    free(parent);
    return status;
}

/* Removes what a failed creation made; there is nothing else in it. */
static void remove_directory(const char *path, bool made)
{
    static const char *const files[] = {"lmdb/data.mdb", "lmdb/lock.mdb", "segments/00000001.dms",
                                        "dmstore.lock"};
    static const char *const directories[] = {"lmdb", "segments"};
    struct dms_error_state failure;
    dms_error_save(&failure);
    for (size_t k = 0; k < sizeof files / sizeof *files; k++) {
        char *file = dms_path_join(path, files[k]);
        if (file) {
            (void)unlink(file);
        }
        free(file);
    }
    for (size_t k = 0; k < sizeof directories / sizeof *directories; k++) {
        char *directory = dms_path_join(path, directories[k]);
        if (directory) {
            (void)rmdir(directory);
        }
        free(directory);
    }
    if (made) {
        (void)rmdir(path);
    }
    dms_error_restore(&failure);
}

int dms_store_create(const char *path, const struct dms_schema *request)
{
    struct dms_schema *schema;
    bool made = false;
    int status = dms_schema_prepare(request, &schema);
    if (status != 0) {
        return status;
    }
    status = make_directory(path, &made);
    if (status == 0) {
        status = dms_refuse_network(path);
        if (status == 0) {
            status = fill_directory(path, schema);
        }
        if (status != 0) {
            remove_directory(path, made);
        }
    }
    dms_schema_free(schema);
    return status;
}

/* ---- open ---- */

static int newer_features(const struct dms_store *store, uint64_t features)
{
    return dms_fail(DMS_ERR_VERSION,
                    "store '%s' uses features 0x%" PRIx64
                    " of a newer dmstore: it can be read, not written",
                    store->path, features);
}

/* Refuses a store that a newer version writes in a way that this one would spoil. */
static int check_features(const struct dms_store *store, const struct dms_index_meta *meta)
{
    struct dms_buffer payload = {0};
    struct dms_segment_fields fields = {0};
    uint64_t extent;
    int status = 0;
    if ((meta->features & ~DMS_FEATURES_READ_ONLY) != 0) {
        return newer_features(store, meta->features);
    }
    if (meta->log_segment == 0) {
        return 0;
    }
    char *path = dms_path_segment(store->path, meta->log_segment);
    int descriptor = path ? dms_open(path, O_RDONLY, 0) : DMS_ERR_NO_MEMORY;
    if (descriptor < 0) {
        status = descriptor;
    } else {
        status = dms_segment_read_fields(descriptor, path, meta->log_segment, &payload, &fields,
                                         &extent);
    }
    if (status == 0 && (fields.features_read_only & ~DMS_FEATURES_READ_ONLY) != 0) {
        status = newer_features(store, fields.features_read_only);
    }
    if (status == 0 && memcmp(fields.store_uuid, meta->store_uuid, DMS_UUID_BYTES) != 0) {
        status = dms_fail(DMS_ERR_CORRUPT,
                          "segment '%s' belongs to another store: run 'dmstore verify'", path);
    }
    dms_close(descriptor);
    dms_buffer_free(&payload);
    free(path);
    return status;
}

static int read_meta(struct dms_store *store)
{
    struct dms_index_txn *txn;
    struct dms_index_meta meta;
    struct dms_schema *schema = NULL;
    int status = dms_index_begin(store->index, false, &txn);
    if (status != 0) {
        return status;
    }
    status = dms_index_get_meta(txn, &meta);
    if (status == 0) {
        memcpy(store->uuid, meta.store_uuid, DMS_UUID_BYTES);
        status = check_features(store, &meta);
    }
    if (status == 0) {
        status = dms_index_get_schema(txn, &schema);
    }
    if (status == 0) {
        store->column_ct = schema->column_ct;
    }
    dms_index_abort(txn);
    dms_schema_free(schema);
    return status;
}

int dms_store_open(const char *path, dms_store **store)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        return dms_fail_errno("cannot open store '%s'", path);
    }
    if (!S_ISDIR(info.st_mode)) {
        return dms_fail(DMS_ERR_INVALID,
                        "'%s' is not a store (a directory); a manifest can only be read", path);
    }
    struct dms_store *opened = dms_alloc(1, sizeof *opened);
    if (!opened) {
        return DMS_ERR_NO_MEMORY;
    }
    opened->log.descriptor = -1;
    pthread_mutex_init(&opened->log_lock, NULL);
    pthread_mutex_init(&opened->append_lock, NULL);
    pthread_cond_init(&opened->append_done, NULL);
    opened->path = dms_strdup(path);
    int status = opened->path ? dms_index_open(path, false, &opened->index) : DMS_ERR_NO_MEMORY;
    if (status == DMS_ERR_NOT_FOUND) {
        status = dms_fail_prefix(
            status, "'%s' is not a store, or has lost its index ('dmstore recover' makes it again)",
            path);
    }
    if (status == 0) {
        status = read_meta(opened);
    }
    if (status == 0) {
        status = dms_remove_leftovers(opened);
    }
    if (status != 0) {
        dms_store_close(opened);
        return status;
    }
    *store = opened;
    return 0;
}

void dms_store_close(dms_store *store)
{
    if (!store) {
        return;
    }
    dms_segment_writer_close(&store->log);
    dms_index_close(store->index);
    pthread_cond_destroy(&store->append_done);
    pthread_mutex_destroy(&store->append_lock);
    pthread_mutex_destroy(&store->log_lock);
    free(store->path);
    free(store);
}

int dms_store_snapshot(dms_store *store, struct dms_snapshot **snapshot)
{
    return dms_snapshot_from_index(store->index, store->path, snapshot);
}

int dms_maintenance_lock(const struct dms_store *store, bool wait, int *lock)
{
    char *path = dms_path_lock(store->path);
    int descriptor = path ? dms_open(path, O_RDWR | O_CREAT, 0664) : DMS_ERR_NO_MEMORY;
    int status = descriptor < 0 ? descriptor : 0;
    if (status == 0) {
        /* The second byte; the file as a whole is flock'ed shared by everybody who has the index
         * open. */
        struct flock region = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1, .l_len = 1};
        int result;
        do {
            result = fcntl(descriptor, wait ? F_OFD_SETLKW : F_OFD_SETLK, &region);
        } while (result != 0 && errno == EINTR);
        if (result != 0) {
            status =
                !wait && (errno == EAGAIN || errno == EACCES)
                    ? dms_fail(DMS_ERR_BUSY, "store '%s' is being sealed or compacted", store->path)
                    : dms_fail_errno("cannot lock '%s'", path);
            dms_close(descriptor);
        }
    }
    free(path);
    if (status == 0) {
        *lock = descriptor;
    }
    return status;
}

/* ---- schema changes ---- */

static int commit_column(void *context, struct dms_commit *commit)
{
    struct dms_schema *changed;
    int status = dms_schema_add_column(commit->schema, context, &changed);
    if (status == 0) {
        status = commit_schema(changed, commit);
        if (status == 0) {
            /* The commit record names the version; the next log segment begins with the new schema.
             */
            dms_schema_free(commit->schema);
            commit->schema = changed;
            commit->meta.log_segment = 0;
        } else {
            dms_schema_free(changed);
        }
    }
    return status;
}

int dms_store_add_column(dms_store *store, const struct dms_column *column)
{
    return dms_commit_run(store, NULL, commit_column, (void *)column);
}

int dms_source_fail(int code, const char *format, ...)
{
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return dms_fail(code, "%s", message);
}
