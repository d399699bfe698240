/*
 * The index over LMDB: opening it, transactions, and the values of its tables (index.h,
 * index_values.h). Every value is a version number, a record, and the XXH3-64 of both, so that a
 * damaged page is an error and never a wrong answer.
 */
#include "store/index.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "format/cursor.h"
#include "store/index_values.h"
#include "store/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Values of version 2 are for the eyes of programs that know fits (since 1.1). */
enum { VALUE_VERSION = 1, VALUE_VERSION_NEWER = 2, KEY_BYTES = 8, READER_MAX = 2048 };

/* Address space to reserve: the file grows only as it is used. */
#define MAP_BYTES (UINT64_C(64) << 30)
#define MAP_BYTES_MIN (UINT64_C(16) << 20)

/* A file system with less room than this counts as full. */
#define FULL_DISK_BYTES (UINT64_C(1) << 20)

/* LMDB's table of readers takes 64 bytes for each, and less than a page for its head. */
#define READER_TABLE_BYTES ((off_t)READER_MAX * 64 + 4096)

static const char *const table_names[DMS_INDEX_TABLE_CT] = {"meta", "segments", "groups", "batches",
                                                            "ids",  "pending",  "totals"};

/* The environment of one store in this process: LMDB allows one only. */
struct dms_index {
    struct dms_index *next; /* in the list of open ones */
    dev_t device;
    ino_t inode;
    pid_t process;
    unsigned user_ct;
    int lock_descriptor;
    char *path;
    MDB_env *environment;
    MDB_dbi tables[DMS_INDEX_TABLE_CT];
    pthread_rwlock_t resize_lock; /* shared by transactions, exclusive to change the map */
};

struct dms_index_txn {
    struct dms_index *index;
    MDB_txn *txn;
    struct dms_buffer scratch;
};

static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static struct dms_index *open_indexes;

static void lock_for_fork(void)
{
    pthread_mutex_lock(&open_lock);
}

static void unlock_after_fork(void)
{
    pthread_mutex_unlock(&open_lock);
}

/* Another thread may be opening a store when this process forks; the child must be able to. */
static void prepare_for_fork(void)
{
    pthread_atfork(lock_for_fork, unlock_after_fork, unlock_after_fork);
}

/* The one place where LMDB's codes become ours. */
static int index_fail(const struct dms_index *index, int code, const char *what)
{
    switch (code) {
    case 0:
        return 0;
    case MDB_NOTFOUND:
        return DMS_END;
    case MDB_MAP_FULL:
        return DMS_INDEX_FULL;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_PANIC:
        return dms_fail(DMS_ERR_CORRUPT, "index '%s' is damaged (%s: %s): run 'dmstore recover'",
                        index->path, what, mdb_strerror(code));
    case MDB_VERSION_MISMATCH:
        return dms_fail(DMS_ERR_VERSION,
                        "index '%s' was written by another version of LMDB: run 'dmstore recover'",
                        index->path);
    default:
        break;
    }
    if (code > 0) {
        errno = code;
        return dms_fail_errno("cannot %s in index '%s'", what, index->path);
    }
    return dms_fail(DMS_ERR_IO, "cannot %s in index '%s': %s", what, index->path,
                    mdb_strerror(code));
}

int dms_index_value_fail(const struct dms_index_txn *txn, enum dms_index_table table)
{
    return dms_fail(DMS_ERR_CORRUPT, "index '%s' is damaged (table %s): run 'dmstore recover'",
                    txn->index->path, table_names[table]);
}

/* ---- opening ---- */

static int open_tables(struct dms_index *index, bool create)
{
    MDB_txn *txn;
    int code = mdb_txn_begin(index->environment, NULL, create ? 0 : MDB_RDONLY, &txn);
    if (code != 0) {
        return index_fail(index, code, "begin a transaction");
    }
    for (int table = 0; table < DMS_INDEX_TABLE_CT; table++) {
        code =
            mdb_dbi_open(txn, table_names[table], create ? MDB_CREATE : 0, &index->tables[table]);
        if (code == MDB_NOTFOUND) {
            mdb_txn_abort(txn);
            return dms_fail(DMS_ERR_CORRUPT, "index '%s' has no table %s: run 'dmstore recover'",
                            index->path, table_names[table]);
        }
        if (code != 0) {
            mdb_txn_abort(txn);
            return index_fail(index, code, "open a table");
        }
    }
    return index_fail(index, mdb_txn_commit(txn), "commit");
}

static int make_environment(struct dms_index *index, uint64_t map_bytes, unsigned flags)
{
    int code = mdb_env_create(&index->environment);
    if (code == 0) {
        code = mdb_env_set_maxdbs(index->environment, DMS_INDEX_TABLE_CT);
    }
    if (code == 0) {
        code = mdb_env_set_maxreaders(index->environment, READER_MAX);
    }
    if (code == 0) {
        code = mdb_env_set_mapsize(index->environment, map_bytes);
    }
    if (code == 0) {
        code = mdb_env_open(index->environment, index->path, MDB_NOTLS | flags, 0664);
    }
    if (code != 0) {
        mdb_env_close(index->environment);
        index->environment = NULL;
    }
    return code;
}

/*
 * Gives LMDB's table of readers its place on the disk. LMDB maps that file and writes to the map,
 * so that on a full disk a hole in it raises SIGBUS. Its size stays what it is once there: other
 * processes have it mapped. What cannot be opened or reserved for another reason is left to LMDB.
 */
static int reserve_reader_table(const struct dms_index *index)
{
    char *path = dms_path_join(index->path, "lock.mdb");
    struct stat info;
    int status = 0;
    if (!path) {
        return DMS_ERR_NO_MEMORY;
    }
    int descriptor = dms_open(path, O_RDWR | O_CREAT, 0664);
    if (descriptor >= 0 && fstat(descriptor, &info) == 0 &&
        fallocate(descriptor, 0, 0, info.st_size > 0 ? info.st_size : READER_TABLE_BYTES) != 0 &&
        (errno == ENOSPC || errno == EDQUOT)) {
        status = dms_fail_errno("cannot reserve space for '%s'", path);
    }
    dms_close(descriptor);
    free(path);
    return status;
}

static int open_environment(struct dms_index *index, bool create)
{
    if (create && mkdir(index->path, 0775) != 0) {
        return dms_fail_errno("cannot create directory '%s'", index->path);
    }
    struct stat status;
    if (stat(index->path, &status) != 0) {
        return dms_fail_errno("cannot open index '%s'", index->path);
    }
    index->device = status.st_dev;
    index->inode = status.st_ino;
    int reserved = reserve_reader_table(index);
    if (reserved != 0) {
        return reserved;
    }
    int code = 0;
    unsigned flags = 0;
    for (uint64_t bytes = MAP_BYTES; bytes >= MAP_BYTES_MIN; bytes /= 2) {
        code = make_environment(index, bytes, flags);
        if ((code == EACCES || code == EROFS) && flags == 0 && !create) {
            flags = MDB_RDONLY;
            code = make_environment(index, bytes, flags);
        }
        /* Linux refuses address space with ENOMEM, valgrind with EINVAL. */
        if (code != ENOMEM && code != EINVAL) {
            break;
        }
    }
    if (code == EACCES && flags == MDB_RDONLY) {
        return dms_fail(DMS_ERR_PERMISSION,
                        "cannot open index '%s': also readers need permission to write its file "
                        "lock.mdb; without it, read through a manifest ('dmstore snapshot')",
                        index->path);
    }
    if (code != 0) {
        return index_fail(index, code, "open the environment");
    }
    int dead;
    mdb_reader_check(index->environment, &dead);
    return open_tables(index, create);
}

static void index_free(struct dms_index *index)
{
    if (index->environment && index->process == getpid()) {
        mdb_env_close(index->environment);
    }
    dms_close(index->lock_descriptor);
    pthread_rwlock_destroy(&index->resize_lock);
    free(index->path);
    free(index);
}

/* Opens an environment that this process has not open yet; takes over `path`. */
static int index_make(char *path, bool create, struct dms_index **index)
{
    struct dms_index *made = path ? dms_alloc(1, sizeof *made) : NULL;
    if (!made) {
        free(path);
        return DMS_ERR_NO_MEMORY;
    }
    made->path = path;
    made->process = getpid();
    made->user_ct = 1;
    made->lock_descriptor = -1;
    pthread_rwlock_init(&made->resize_lock, NULL);
    int status = open_environment(made, create);
    if (status != 0) {
        index_free(made);
        return status;
    }
    *index = made;
    return 0;
}

int dms_index_open_path(const char *index_path, struct dms_index **index)
{
    return index_make(dms_strdup(index_path), true, index);
}

static int take_lock_file(const char *store_path, int operation, int *descriptor)
{
    char *path = dms_path_lock(store_path);
    if (!path) {
        return DMS_ERR_NO_MEMORY;
    }
    int status = 0;
    int opened = dms_open(path, O_RDONLY, 0);
    if (opened == DMS_ERR_NOT_FOUND) {
        opened = dms_open(path, O_RDWR | O_CREAT, 0664);
    }
    if (opened < 0) {
        status = opened;
    } else if (flock(opened, operation | LOCK_NB) != 0) {
        status =
            errno == EWOULDBLOCK
                ? dms_fail(DMS_ERR_BUSY, "store '%s' is open in another process (%s)", store_path,
                           operation == LOCK_SH ? "which rebuilds its index" : "close it first")
                : dms_fail_errno("cannot lock '%s'", path);
        dms_close(opened);
    } else {
        *descriptor = opened;
    }
    free(path);
    return status;
}

int dms_index_lock_exclusive(const char *store_path, int *descriptor)
{
    return take_lock_file(store_path, LOCK_EX, descriptor);
}

/* An index of this process that is open already, with one user more; NULL when there is none. */
static struct dms_index *find_open(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        return NULL;
    }
    for (struct dms_index *index = open_indexes; index; index = index->next) {
        if (index->device == status.st_dev && index->inode == status.st_ino &&
            index->process == getpid()) {
            index->user_ct++;
            return index;
        }
    }
    return NULL;
}

bool dms_index_is_open(const char *store_path)
{
    char *path = dms_path_index(store_path);
    pthread_mutex_lock(&open_lock);
    struct dms_index *found = path ? find_open(path) : NULL;
    if (found) {
        found->user_ct--;
    }
    pthread_mutex_unlock(&open_lock);
    free(path);
    return found != NULL;
}

int dms_index_open(const char *store_path, bool create, struct dms_index **index)
{
    int status = dms_refuse_network(store_path);
    if (status != 0) {
        return status;
    }
    char *path = dms_path_index(store_path);
    if (!path) {
        return DMS_ERR_NO_MEMORY;
    }
    pthread_once(&fork_once, prepare_for_fork);
    pthread_mutex_lock(&open_lock);
    struct dms_index *found = find_open(path);
    int lock_descriptor = -1;
    if (found) {
        free(path);
        *index = found;
        goto out;
    }
    status = take_lock_file(store_path, LOCK_SH, &lock_descriptor);
    if (status != 0) {
        free(path);
        goto out;
    }
    status = index_make(path, create, &found);
    if (status != 0) {
        dms_close(lock_descriptor);
        goto out;
    }
    found->lock_descriptor = lock_descriptor;
    found->next = open_indexes;
    open_indexes = found;
    *index = found;
out:
    pthread_mutex_unlock(&open_lock);
    return status;
}

void dms_index_close(struct dms_index *index)
{
    if (!index) {
        return;
    }
    pthread_mutex_lock(&open_lock);
    if (--index->user_ct == 0) {
        for (struct dms_index **at = &open_indexes; *at; at = &(*at)->next) {
            if (*at == index) {
                *at = index->next;
                break;
            }
        }
        index_free(index);
    }
    pthread_mutex_unlock(&open_lock);
}

/* ---- transactions ---- */

static int adopt_map_size(struct dms_index *index, uint64_t bytes)
{
    pthread_rwlock_wrlock(&index->resize_lock);
    int code = mdb_env_set_mapsize(index->environment, bytes);
    pthread_rwlock_unlock(&index->resize_lock);
    return index_fail(index, code, "resize the map");
}

/* Begins with the resize lock shared; whoever gets a transaction holds it. */
static int begin_locked(struct dms_index *index, bool write, MDB_txn **txn)
{
    for (bool checked_readers = false;;) {
        pthread_rwlock_rdlock(&index->resize_lock);
        int code = mdb_txn_begin(index->environment, NULL, write ? 0 : MDB_RDONLY, txn);
        if (code == 0) {
            return 0;
        }
        pthread_rwlock_unlock(&index->resize_lock);
        if (code == MDB_MAP_RESIZED) {
            int status = adopt_map_size(index, 0);
            if (status != 0) {
                return status;
            }
        } else if (code == MDB_READERS_FULL && !checked_readers) {
            int dead;
            mdb_reader_check(index->environment, &dead);
            checked_readers = true;
        } else {
            return index_fail(index, code, "begin a transaction");
        }
    }
}

int dms_index_begin(struct dms_index *index, bool write, struct dms_index_txn **txn)
{
    if (index->process != getpid()) {
        return dms_fail(DMS_ERR_FORKED,
                        "the store was opened before fork(): open it again in the child");
    }
    struct dms_index_txn *begun = dms_alloc(1, sizeof *begun);
    if (!begun) {
        return DMS_ERR_NO_MEMORY;
    }
    begun->index = index;
    int status = begin_locked(index, write, &begun->txn);
    if (status != 0) {
        free(begun);
        return status;
    }
    *txn = begun;
    return 0;
}

static void end(struct dms_index_txn *txn)
{
    pthread_rwlock_unlock(&txn->index->resize_lock);
    dms_buffer_free(&txn->scratch);
    free(txn);
}

/* LMDB calls it an I/O error when the disk takes only a part of what it writes; that is what a full
 * one does. */
static int explain_full_disk(const struct dms_index *index, int status)
{
    struct statvfs room;
    if (status == DMS_ERR_IO && statvfs(index->path, &room) == 0 &&
        (uint64_t)room.f_bavail * room.f_frsize < FULL_DISK_BYTES) {
        return dms_fail_prefix(status, "no space is left on the file system of '%s'", index->path);
    }
    return status;
}

int dms_index_commit(struct dms_index_txn *txn)
{
    int status = index_fail(txn->index, mdb_txn_commit(txn->txn), "commit");
    status = explain_full_disk(txn->index, status);
    end(txn);
    return status;
}

void dms_index_abort(struct dms_index_txn *txn)
{
    if (txn) {
        mdb_txn_abort(txn->txn);
        end(txn);
    }
}

int dms_index_grow(struct dms_index *index)
{
    MDB_envinfo info;
    mdb_env_info(index->environment, &info);
    int status = adopt_map_size(index, info.me_mapsize * 2);
    return status == 0
               ? 0
               : dms_fail_prefix(
                     status, "index '%s' is full at %zu MiB and cannot grow (address space limit?)",
                     index->path, info.me_mapsize >> 20);
}

/* ---- values ---- */

/* A number as LMDB's key: big-endian, so that numbers stay in order. */
struct key {
    uint8_t bytes[KEY_BYTES];
};

static struct key number_key(uint64_t number)
{
    struct key key;
    for (int k = 0; k < KEY_BYTES; k++) {
        key.bytes[k] = (uint8_t)(number >> (56 - 8 * k));
    }
    return key;
}

static uint64_t key_number(const MDB_val *key)
{
    uint64_t number = 0;
    for (size_t k = 0; k < KEY_BYTES && k < key->mv_size; k++) {
        number = number << 8 | ((const uint8_t *)key->mv_data)[k];
    }
    return number;
}

struct dms_buffer *dms_index_value_begin(struct dms_index_txn *txn, int *status)
{
    dms_buffer_clear(&txn->scratch);
    uint8_t version[8] = {VALUE_VERSION};
    *status = dms_buffer_append(&txn->scratch, version, sizeof version);
    return &txn->scratch;
}

void dms_index_value_is_newer(struct dms_index_txn *txn)
{
    txn->scratch.data[0] = VALUE_VERSION_NEWER;
}

int dms_index_value_put(struct dms_index_txn *txn, enum dms_index_table table, uint64_t number)
{
    struct key key = number_key(number);
    uint8_t hash[8];
    dms_store_u64(hash, dms_hash64(txn->scratch.data, txn->scratch.size));
    int status = dms_buffer_append(&txn->scratch, hash, sizeof hash);
    if (status != 0) {
        return status;
    }
    MDB_val mdb_key = {KEY_BYTES, key.bytes};
    MDB_val value = {txn->scratch.size, txn->scratch.data};
    return index_fail(txn->index, mdb_put(txn->txn, txn->index->tables[table], &mdb_key, &value, 0),
                      "store an entry");
}

/* A cursor over the record in a value, after its version and hash were checked. */
static int value_open(const struct dms_index_txn *txn, enum dms_index_table table,
                      const MDB_val *value, struct dms_cursor *cursor)
{
    const uint8_t *data = value->mv_data;
    if (value->mv_size < 16 ||
        dms_load_u64(data + value->mv_size - 8) != dms_hash64(data, value->mv_size - 8)) {
        return dms_index_value_fail(txn, table);
    }
    uint64_t version = dms_load_u64(data);
    if (version != VALUE_VERSION && version != VALUE_VERSION_NEWER) {
        return dms_fail(
            DMS_ERR_VERSION,
            "index '%s' is of a newer format version: update dmstore, or run 'dmstore recover'",
            txn->index->path);
    }
    *cursor = dms_cursor_begin(data + 8, value->mv_size - 16);
    return 0;
}

int dms_index_value_get(struct dms_index_txn *txn, enum dms_index_table table, uint64_t number,
                        struct dms_cursor *cursor)
{
    struct key key = number_key(number);
    MDB_val mdb_key = {KEY_BYTES, key.bytes};
    MDB_val value;
    int code = mdb_get(txn->txn, txn->index->tables[table], &mdb_key, &value);
    return code == 0 ? value_open(txn, table, &value, cursor)
                     : index_fail(txn->index, code, "read an entry");
}

int dms_index_value_delete(struct dms_index_txn *txn, enum dms_index_table table, uint64_t number)
{
    struct key key = number_key(number);
    MDB_val mdb_key = {KEY_BYTES, key.bytes};
    return index_fail(txn->index, mdb_del(txn->txn, txn->index->tables[table], &mdb_key, NULL),
                      "delete an entry");
}

/* Reads the entry at *number or, where there is none, the nearest one before or after it. */
static int value_seek(struct dms_index_txn *txn, enum dms_index_table table, bool backwards,
                      uint64_t *number, struct dms_cursor *record)
{
    MDB_cursor *cursor;
    struct key at = number_key(*number);
    MDB_val key = {KEY_BYTES, at.bytes};
    MDB_val value;
    int code = mdb_cursor_open(txn->txn, txn->index->tables[table], &cursor);
    if (code != 0) {
        return index_fail(txn->index, code, "read a table");
    }
    code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    if (backwards && (code == MDB_NOTFOUND || (code == 0 && key_number(&key) != *number))) {
        code = mdb_cursor_get(cursor, &key, &value, code == 0 ? MDB_PREV : MDB_LAST);
    }
    int status = index_fail(txn->index, code, "read a table");
    if (status == 0) {
        status = value_open(txn, table, &value, record);
        *number = key_number(&key);
    }
    mdb_cursor_close(cursor);
    return status;
}

int dms_index_value_at_or_before(struct dms_index_txn *txn, enum dms_index_table table,
                                 uint64_t *number, struct dms_cursor *record)
{
    return value_seek(txn, table, true, number, record);
}

int dms_index_value_at_or_after(struct dms_index_txn *txn, enum dms_index_table table,
                                uint64_t *number, struct dms_cursor *record)
{
    return value_seek(txn, table, false, number, record);
}

int dms_index_each_value(struct dms_index_txn *txn, enum dms_index_table table,
                         int (*visit)(void *context, uint64_t number, struct dms_cursor *record),
                         void *context)
{
    MDB_cursor *cursor;
    int code = mdb_cursor_open(txn->txn, txn->index->tables[table], &cursor);
    if (code != 0) {
        return index_fail(txn->index, code, "read a table");
    }
    MDB_val key;
    MDB_val value;
    int status = 0;
    while (status == 0 && (code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        struct dms_cursor record;
        status = value_open(txn, table, &value, &record);
        if (status == 0) {
            status = visit(context, key_number(&key), &record);
        }
    }
    mdb_cursor_close(cursor);
    if (status == 0 && code != MDB_NOTFOUND) {
        status = index_fail(txn->index, code, "read a table");
    }
    return status;
}

int dms_index_clear(struct dms_index_txn *txn, enum dms_index_table table)
{
    return index_fail(txn->index, mdb_drop(txn->txn, txn->index->tables[table], 0),
                      "clear a table");
}
