/*
 * The index over LMDB: see index.h. Every value is a version number, a record of format/state.h (or
 * a small one coded here), and the XXH3-64 of both, so that a damaged page is an error and never a
 * wrong answer.
 */
#include "store/index.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "format/cursor.h"
#include "format/ids.h"
#include "format/schema.h"
#include "store/paths.h"
#include "store/sums.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    VALUE_VERSION = 1,
    KEY_BYTES_MAX = 16,
    READER_MAX = 2048,
    TOTALS_BLOCK = 256, /* values in one entry of the totals */
    SUM_BYTES = 48,
};

/* Address space to reserve: the file grows only as it is used. */
#define MAP_BYTES (UINT64_C(64) << 30)
#define MAP_BYTES_MIN (UINT64_C(16) << 20)

/* LMDB's table of readers takes 64 bytes for each, and less than a page for its head. */
#define READER_TABLE_BYTES ((off_t)READER_MAX * 64 + 4096)

enum table {
    TABLE_META,
    TABLE_SEGMENTS,
    TABLE_GROUPS,
    TABLE_BATCHES,
    TABLE_IDS,
    TABLE_PENDING,
    TABLE_TOTALS,
    TABLE_CT
};

static const char *const table_names[TABLE_CT] = {"meta", "segments", "groups", "batches",
                                                  "ids",  "pending",  "totals"};

/* Keys of TABLE_META. */
enum { META_STATE = 1, META_SCHEMA = 2 };

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
    MDB_dbi tables[TABLE_CT];
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

static int value_fail(const struct dms_index_txn *txn, enum table table)
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
    for (int table = 0; table < TABLE_CT; table++) {
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
        code = mdb_env_set_maxdbs(index->environment, TABLE_CT);
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

int dms_index_commit(struct dms_index_txn *txn)
{
    int status = index_fail(txn->index, mdb_txn_commit(txn->txn), "commit");
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

struct key {
    uint8_t bytes[KEY_BYTES_MAX];
    size_t size;
};

/* Big-endian, so that LMDB keeps numbers in order. */
static struct key number_key(uint64_t number)
{
    struct key key = {.size = 8};
    for (int k = 0; k < 8; k++) {
        key.bytes[k] = (uint8_t)(number >> (56 - 8 * k));
    }
    return key;
}

static struct key totals_key(uint32_t column_id, uint32_t block)
{
    return number_key((uint64_t)column_id << 32 | block);
}

static uint64_t key_number(const MDB_val *key)
{
    uint64_t number = 0;
    for (size_t k = 0; k < 8 && k < key->mv_size; k++) {
        number = number << 8 | ((const uint8_t *)key->mv_data)[k];
    }
    return number;
}

/* The scratch buffer with the version in place, for a value. */
static struct dms_buffer *value_begin(struct dms_index_txn *txn, int *status)
{
    dms_buffer_clear(&txn->scratch);
    uint8_t version[8] = {VALUE_VERSION};
    *status = dms_buffer_append(&txn->scratch, version, sizeof version);
    return &txn->scratch;
}

/* Appends the hash and puts the scratch buffer. */
static int value_put(struct dms_index_txn *txn, enum table table, struct key key)
{
    uint8_t hash[8];
    dms_store_u64(hash, dms_hash64(txn->scratch.data, txn->scratch.size));
    int status = dms_buffer_append(&txn->scratch, hash, sizeof hash);
    if (status != 0) {
        return status;
    }
    MDB_val mdb_key = {key.size, key.bytes};
    MDB_val value = {txn->scratch.size, txn->scratch.data};
    return index_fail(txn->index, mdb_put(txn->txn, txn->index->tables[table], &mdb_key, &value, 0),
                      "store an entry");
}

/* A cursor over the record in a value, after its version and hash were checked. */
static int value_open(const struct dms_index_txn *txn, enum table table, const MDB_val *value,
                      struct dms_cursor *cursor)
{
    const uint8_t *data = value->mv_data;
    if (value->mv_size < 16 ||
        dms_load_u64(data + value->mv_size - 8) != dms_hash64(data, value->mv_size - 8)) {
        return value_fail(txn, table);
    }
    if (dms_load_u64(data) != VALUE_VERSION) {
        return dms_fail(
            DMS_ERR_VERSION,
            "index '%s' is of a newer format version: update dmstore, or run 'dmstore recover'",
            txn->index->path);
    }
    *cursor = dms_cursor_begin(data + 8, value->mv_size - 16);
    return 0;
}

static int value_get(struct dms_index_txn *txn, enum table table, struct key key,
                     struct dms_cursor *cursor)
{
    MDB_val mdb_key = {key.size, key.bytes};
    MDB_val value;
    int code = mdb_get(txn->txn, txn->index->tables[table], &mdb_key, &value);
    return code == 0 ? value_open(txn, table, &value, cursor)
                     : index_fail(txn->index, code, "read an entry");
}

static int value_delete(struct dms_index_txn *txn, enum table table, struct key key)
{
    MDB_val mdb_key = {key.size, key.bytes};
    return index_fail(txn->index, mdb_del(txn->txn, txn->index->tables[table], &mdb_key, NULL),
                      "delete an entry");
}

/* Calls visit for every entry of a table in order of its key, until one returns non-zero. */
static int table_each(struct dms_index_txn *txn, enum table table,
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

/* ---- meta and schema ---- */

int dms_index_get_meta(struct dms_index_txn *txn, struct dms_index_meta *meta)
{
    struct dms_cursor cursor;
    int status = value_get(txn, TABLE_META, number_key(META_STATE), &cursor);
    if (status != 0) {
        return status == DMS_END ? value_fail(txn, TABLE_META) : status;
    }
    struct dms_index_meta read = {0};
    const uint8_t *uuid = dms_cursor_bytes(&cursor, DMS_UUID_BYTES);
    read.sequence = dms_cursor_u64(&cursor);
    read.commit_hash = dms_cursor_u64(&cursor);
    read.next_group = dms_cursor_u64(&cursor);
    read.next_batch = dms_cursor_u64(&cursor);
    read.next_segment = dms_cursor_u64(&cursor);
    read.log_segment = dms_cursor_u64(&cursor);
    read.bulk_segment = dms_cursor_u64(&cursor);
    read.staged_ct = dms_cursor_u64(&cursor);
    read.model_ct = dms_cursor_u64(&cursor);
    read.orphan_bytes = dms_cursor_u64(&cursor);
    read.statistics_stale = dms_cursor_u64(&cursor);
    if (!dms_cursor_ended_well(&cursor)) {
        return value_fail(txn, TABLE_META);
    }
    memcpy(read.store_uuid, uuid, DMS_UUID_BYTES);
    *meta = read;
    return 0;
}

int dms_index_put_meta(struct dms_index_txn *txn, const struct dms_index_meta *meta)
{
    int status;
    struct dms_encoder encoder = dms_encoder_begin(value_begin(txn, &status));
    dms_encode_bytes(&encoder, meta->store_uuid, DMS_UUID_BYTES);
    dms_encode_u64(&encoder, meta->sequence);
    dms_encode_u64(&encoder, meta->commit_hash);
    dms_encode_u64(&encoder, meta->next_group);
    dms_encode_u64(&encoder, meta->next_batch);
    dms_encode_u64(&encoder, meta->next_segment);
    dms_encode_u64(&encoder, meta->log_segment);
    dms_encode_u64(&encoder, meta->bulk_segment);
    dms_encode_u64(&encoder, meta->staged_ct);
    dms_encode_u64(&encoder, meta->model_ct);
    dms_encode_u64(&encoder, meta->orphan_bytes);
    dms_encode_u64(&encoder, meta->statistics_stale);
    status = status ? status : encoder.status;
    return status ? status : value_put(txn, TABLE_META, number_key(META_STATE));
}

int dms_index_get_schema(struct dms_index_txn *txn, struct dms_schema **schema)
{
    struct dms_cursor cursor;
    int status = value_get(txn, TABLE_META, number_key(META_SCHEMA), &cursor);
    if (status != 0) {
        return status == DMS_END ? value_fail(txn, TABLE_META) : status;
    }
    return dms_schema_decode(cursor.data, cursor.size, schema);
}

int dms_index_put_schema(struct dms_index_txn *txn, const struct dms_schema *schema)
{
    int status;
    struct dms_buffer *buffer = value_begin(txn, &status);
    status = status ? status : dms_schema_encode(schema, buffer);
    return status ? status : value_put(txn, TABLE_META, number_key(META_SCHEMA));
}

/* ---- segments, groups, batches ---- */

int dms_index_get_segment(struct dms_index_txn *txn, uint64_t number,
                          struct dms_segment_record *record)
{
    struct dms_cursor cursor;
    int status = value_get(txn, TABLE_SEGMENTS, number_key(number), &cursor);
    return status ? status : dms_segment_record_decode(&cursor, record);
}

int dms_index_put_segment(struct dms_index_txn *txn, const struct dms_segment_record *record)
{
    int status;
    struct dms_buffer *buffer = value_begin(txn, &status);
    status = status ? status : dms_segment_record_encode(record, buffer);
    return status ? status : value_put(txn, TABLE_SEGMENTS, number_key(record->number));
}

int dms_index_get_group(struct dms_index_txn *txn, uint64_t number, struct dms_group_record *record)
{
    struct dms_cursor cursor;
    int status = value_get(txn, TABLE_GROUPS, number_key(number), &cursor);
    return status ? status : dms_group_record_decode(&cursor, record);
}

int dms_index_put_group(struct dms_index_txn *txn, const struct dms_group_record *record)
{
    int status;
    struct dms_buffer *buffer = value_begin(txn, &status);
    status = status ? status : dms_group_record_encode(record, buffer);
    return status ? status : value_put(txn, TABLE_GROUPS, number_key(record->number));
}

int dms_index_get_batch(struct dms_index_txn *txn, uint64_t number, struct dms_batch_record *record)
{
    struct dms_cursor cursor;
    int status = value_get(txn, TABLE_BATCHES, number_key(number), &cursor);
    return status ? status : dms_batch_record_decode(&cursor, record);
}

static int put_batch(struct dms_index_txn *txn, const struct dms_batch_record *record)
{
    int status;
    struct dms_buffer *buffer = value_begin(txn, &status);
    status = status ? status : dms_batch_record_encode(record, buffer);
    return status ? status : value_put(txn, TABLE_BATCHES, number_key(record->number));
}

static int load_segment(void *context, uint64_t number, struct dms_cursor *cursor)
{
    struct dms_segment_record record;
    int status = dms_segment_record_decode(cursor, &record);
    (void)number;
    return status ? status : dms_catalog_add_segment(context, &record);
}

static int load_group(void *context, uint64_t number, struct dms_cursor *cursor)
{
    struct dms_group_record record;
    (void)number;
    int status = dms_group_record_decode(cursor, &record);
    if (status == 0) {
        status = dms_catalog_add_group(context, &record);
        dms_group_record_clear(&record);
    }
    return status;
}

static int load_batch(void *context, uint64_t number, struct dms_cursor *cursor)
{
    struct dms_batch_record record;
    (void)number;
    int status = dms_batch_record_decode(cursor, &record);
    if (status == 0) {
        status = dms_catalog_add_batch(context, &record);
        dms_batch_record_clear(&record);
    }
    return status;
}

int dms_index_load(struct dms_index_txn *txn, struct dms_catalog *catalog)
{
    struct dms_catalog loaded = {0};
    struct dms_index_meta meta;
    int status = dms_index_get_meta(txn, &meta);
    if (status == 0) {
        status = dms_index_get_schema(txn, &loaded.schema);
    }
    if (status == 0) {
        status = table_each(txn, TABLE_SEGMENTS, load_segment, &loaded);
    }
    if (status == 0) {
        status = table_each(txn, TABLE_GROUPS, load_group, &loaded);
    }
    if (status == 0) {
        status = table_each(txn, TABLE_BATCHES, load_batch, &loaded);
    }
    if (status != 0) {
        dms_catalog_clear(&loaded);
        return status;
    }
    loaded.sequence = meta.sequence;
    loaded.commit_hash = meta.commit_hash;
    loaded.next_group = meta.next_group;
    loaded.next_batch = meta.next_batch;
    loaded.next_segment = meta.next_segment;
    *catalog = loaded;
    return 0;
}

/* ---- model ids ---- */

struct id_run {
    uint64_t first;
    uint32_t count;
    struct dms_id_place place; /* of the first id */
};

static int id_run_decode(struct dms_cursor *cursor, uint64_t first, struct id_run *run)
{
    run->first = first;
    run->count = dms_cursor_u32(cursor);
    run->place.row = dms_cursor_u32(cursor);
    run->place.container = dms_cursor_u64(cursor);
    run->place.staged = dms_cursor_u64(cursor) != 0;
    if (!dms_cursor_ended_well(cursor) || run->count == 0) {
        return dms_fail(DMS_ERR_CORRUPT, "index entry of model id %" PRIu64 " is malformed", first);
    }
    return 0;
}

static int id_run_put(struct dms_index_txn *txn, const struct id_run *run)
{
    int status;
    struct dms_encoder encoder = dms_encoder_begin(value_begin(txn, &status));
    dms_encode_u32(&encoder, run->count);
    dms_encode_u32(&encoder, run->place.row);
    dms_encode_u64(&encoder, run->place.container);
    dms_encode_u64(&encoder, run->place.staged);
    status = status ? status : encoder.status;
    return status ? status : value_put(txn, TABLE_IDS, number_key(run->first));
}

/* The last run that begins at or before `id` and, when it does not reach `id`, the next one;
 * DMS_END when neither. */
static int id_run_at_or_after(struct dms_index_txn *txn, uint64_t id, struct id_run *run)
{
    MDB_cursor *cursor;
    int code = mdb_cursor_open(txn->txn, txn->index->tables[TABLE_IDS], &cursor);
    if (code != 0) {
        return index_fail(txn->index, code, "read a table");
    }
    struct key at = number_key(id);
    MDB_val key = {at.size, at.bytes};
    MDB_val value;
    struct dms_cursor record;
    int status = 0;
    code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    if (code == 0 && key_number(&key) == id) {
        goto found;
    }
    bool has_next = code == 0;
    code = mdb_cursor_get(cursor, &key, &value, has_next ? MDB_PREV : MDB_LAST);
    if (code == 0) {
        status = value_open(txn, TABLE_IDS, &value, &record);
        status = status ? status : id_run_decode(&record, key_number(&key), run);
        if (status != 0 || id - run->first < run->count) {
            goto out;
        }
        code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    } else if (has_next) {
        code = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    }
    if (code != 0) {
        status = index_fail(txn->index, code, "read a table");
        goto out;
    }
found:
    status = value_open(txn, TABLE_IDS, &value, &record);
    status = status ? status : id_run_decode(&record, key_number(&key), run);
out:
    mdb_cursor_close(cursor);
    return status;
}

int dms_index_find_id(struct dms_index_txn *txn, uint64_t id, struct dms_id_place *place)
{
    struct id_run run;
    int status = id_run_at_or_after(txn, id, &run);
    if (status != 0) {
        return status;
    }
    if (id < run.first || id - run.first >= run.count) {
        return DMS_END;
    }
    *place = run.place;
    place->row += (uint32_t)(id - run.first);
    return 0;
}

int dms_index_next_id(struct dms_index_txn *txn, uint64_t id, uint64_t *next)
{
    struct id_run run;
    int status = id_run_at_or_after(txn, id, &run);
    if (status == 0) {
        *next = run.first > id ? run.first : id;
    }
    return status;
}

/* The part of a run from its ids offset .. offset + count - 1. */
static struct id_run run_part(const struct id_run *run, uint64_t offset, uint64_t count)
{
    struct id_run part = *run;
    part.first += offset;
    part.place.row += (uint32_t)offset;
    part.count = (uint32_t)count;
    return part;
}

/* Takes ids first .. first + count - 1 out of whatever runs hold them. */
static int release_ids(struct dms_index_txn *txn, uint64_t first, uint64_t count)
{
    uint64_t last = first + (count - 1);
    for (;;) {
        struct id_run run;
        int status = id_run_at_or_after(txn, first, &run);
        if (status != 0) {
            return status == DMS_END ? 0 : status;
        }
        if (run.first > last) {
            return 0;
        }
        status = value_delete(txn, TABLE_IDS, number_key(run.first));
        uint64_t run_last = run.first + (run.count - 1);
        if (status == 0 && run.first < first) {
            struct id_run left = run_part(&run, 0, first - run.first);
            status = id_run_put(txn, &left);
        }
        if (status == 0 && run_last > last) {
            struct id_run right = run_part(&run, last + 1 - run.first, run_last - last);
            status = id_run_put(txn, &right);
        }
        if (status != 0) {
            return status;
        }
    }
}

/* Places the ids of encoded runs, wherever they were before. */
static int assign_ids(struct dms_index_txn *txn, const uint8_t *runs, size_t run_bytes,
                      uint32_t row_ct, bool staged, uint64_t container)
{
    struct dms_ids_iterator iterator = dms_ids_begin(runs, run_bytes, row_ct);
    struct dms_id_span span;
    int status;
    while ((status = dms_ids_next(&iterator, &span)) > 0) {
        struct id_run run = {span.first, span.count, {staged, container, span.row}};
        status = release_ids(txn, span.first, span.count);
        status = status ? status : id_run_put(txn, &run);
        if (status != 0) {
            return status;
        }
    }
    return status;
}

struct id_run_visit {
    int (*visit)(void *context, uint64_t first, uint32_t count, const struct dms_id_place *place);
    void *context;
};

static int visit_id_run(void *context, uint64_t number, struct dms_cursor *cursor)
{
    struct id_run_visit *visit = context;
    struct id_run run;
    int status = id_run_decode(cursor, number, &run);
    return status ? status : visit->visit(visit->context, run.first, run.count, &run.place);
}

int dms_index_each_id_run(struct dms_index_txn *txn,
                          int (*visit)(void *context, uint64_t first, uint32_t count,
                                       const struct dms_id_place *place),
                          void *context)
{
    struct id_run_visit each = {visit, context};
    return table_each(txn, TABLE_IDS, visit_id_run, &each);
}

/* ---- edits ---- */

static int apply_add_group(struct dms_index_txn *txn, struct dms_index_meta *meta,
                           const struct dms_edit *edit)
{
    struct dms_group_record record = {0};
    int status = dms_group_record_from_edit(edit, &record);
    if (status == 0) {
        status = dms_index_put_group(txn, &record);
    }
    if (status == 0) {
        status =
            assign_ids(txn, record.runs, record.run_bytes, record.row_ct, false, record.number);
    }
    if (status == 0) {
        meta->model_ct += record.row_ct;
    }
    dms_group_record_clear(&record);
    return status;
}

static int apply_add_batch(struct dms_index_txn *txn, struct dms_index_meta *meta,
                           const struct dms_edit *edit, uint64_t segment)
{
    struct dms_batch_record record = {0};
    int status = dms_batch_record_from_edit(edit, segment, &record);
    if (status == 0) {
        status = put_batch(txn, &record);
    }
    if (status == 0) {
        status = assign_ids(txn, record.runs, record.run_bytes, record.row_ct, true, record.number);
    }
    if (status == 0) {
        meta->model_ct += record.row_ct;
        meta->staged_ct += record.row_ct;
    }
    dms_batch_record_clear(&record);
    return status;
}

static int gone(const char *what, uint64_t number)
{
    return dms_fail(DMS_ERR_CORRUPT,
                    "index has no %s %" PRIu64 " that a commit changes: run 'dmstore recover'",
                    what, number);
}

static int apply_set_column(struct dms_index_txn *txn, const struct dms_edit *edit,
                            uint64_t segment)
{
    struct dms_group_record record = {0};
    int status = dms_index_get_group(txn, edit->set_column.group, &record);
    if (status == DMS_END) {
        return gone("group", edit->set_column.group);
    }
    if (status == 0) {
        status = dms_group_record_set_column(&record, edit, segment);
    }
    if (status == 0) {
        status = dms_index_put_group(txn, &record);
    }
    dms_group_record_clear(&record);
    return status;
}

static int apply_drop_group(struct dms_index_txn *txn, struct dms_index_meta *meta, uint64_t number)
{
    struct dms_group_record record = {0};
    int status = dms_index_get_group(txn, number, &record);
    if (status == DMS_END) {
        return gone("group", number);
    }
    if (status == 0) {
        status = value_delete(txn, TABLE_GROUPS, number_key(number));
    }
    if (status == 0) {
        meta->model_ct -= record.live_ct;
    }
    dms_group_record_clear(&record);
    return status;
}

/* The next batch at or after *number, below end; DMS_END when there is none. */
static int next_batch(struct dms_index_txn *txn, uint64_t *number, uint64_t end_number,
                      uint32_t *live_ct)
{
    MDB_cursor *cursor;
    int code = mdb_cursor_open(txn->txn, txn->index->tables[TABLE_BATCHES], &cursor);
    if (code != 0) {
        return index_fail(txn->index, code, "read a table");
    }
    struct key at = number_key(*number);
    MDB_val key = {at.size, at.bytes};
    MDB_val value;
    struct dms_cursor record_cursor;
    struct dms_batch_record record = {0};
    code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    int status = index_fail(txn->index, code, "read a table");
    if (status == 0 && key_number(&key) >= end_number) {
        status = DMS_END;
    }
    if (status == 0) {
        status = value_open(txn, TABLE_BATCHES, &value, &record_cursor);
    }
    if (status == 0) {
        status = dms_batch_record_decode(&record_cursor, &record);
    }
    if (status == 0) {
        *number = record.number;
        *live_ct = record.live_ct;
        dms_batch_record_clear(&record);
    }
    mdb_cursor_close(cursor);
    return status;
}

static int apply_drop_batches(struct dms_index_txn *txn, struct dms_index_meta *meta,
                              uint64_t first, uint64_t count)
{
    uint64_t end_number = first + count < first ? UINT64_MAX : first + count;
    uint64_t number = first;
    uint32_t live_ct = 0;
    int status;
    while ((status = next_batch(txn, &number, end_number, &live_ct)) == 0) {
        status = value_delete(txn, TABLE_BATCHES, number_key(number));
        if (status != 0) {
            return status;
        }
        meta->model_ct -= live_ct;
        meta->staged_ct -= live_ct;
        number++;
    }
    return status == DMS_END ? 0 : status;
}

/* Takes the ids of removed rows out of the id table. */
static int release_rows(struct dms_index_txn *txn, const uint8_t *runs, size_t run_bytes,
                        uint32_t row_ct, const struct dms_edit *edit)
{
    uint64_t *ids = dms_alloc(row_ct, sizeof *ids);
    if (!ids) {
        return DMS_ERR_NO_MEMORY;
    }
    int status = dms_ids_decode(runs, run_bytes, row_ct, ids);
    for (uint32_t k = 0; status == 0 && k < edit->remove_rows.row_ct; k++) {
        uint32_t row = dms_load_u32(edit->remove_rows.rows + (size_t)k * 4);
        status = release_ids(txn, ids[row], 1);
    }
    free(ids);
    return status;
}

static int apply_remove_staged(struct dms_index_txn *txn, struct dms_index_meta *meta,
                               const struct dms_edit *edit)
{
    struct dms_batch_record record = {0};
    int status = dms_index_get_batch(txn, edit->remove_rows.container, &record);
    if (status == DMS_END) {
        return gone("batch", edit->remove_rows.container);
    }
    if (status == 0) {
        status = dms_rows_remove(&record.removed, record.row_ct, &record.live_ct, edit);
    }
    if (status == 0) {
        status = release_rows(txn, record.runs, record.run_bytes, record.row_ct, edit);
    }
    if (status == 0) {
        status = put_batch(txn, &record);
        meta->model_ct -= edit->remove_rows.row_ct;
        meta->staged_ct -= edit->remove_rows.row_ct;
    }
    dms_batch_record_clear(&record);
    return status;
}

static int apply_remove_rows(struct dms_index_txn *txn, struct dms_index_meta *meta,
                             const struct dms_edit *edit)
{
    if (edit->remove_rows.staged) {
        return apply_remove_staged(txn, meta, edit);
    }
    struct dms_group_record record = {0};
    int status = dms_index_get_group(txn, edit->remove_rows.container, &record);
    if (status == DMS_END) {
        return gone("group", edit->remove_rows.container);
    }
    if (status == 0) {
        status = dms_rows_remove(&record.removed, record.row_ct, &record.live_ct, edit);
    }
    if (status == 0) {
        status = release_rows(txn, record.runs, record.run_bytes, record.row_ct, edit);
    }
    if (status == 0) {
        status = dms_index_put_group(txn, &record);
        meta->model_ct -= edit->remove_rows.row_ct;
    }
    dms_group_record_clear(&record);
    return status;
}

static int apply_set_schema(struct dms_index_txn *txn, const struct dms_edit *edit)
{
    struct dms_schema *schema;
    int status =
        dms_schema_decode(edit->set_schema.schema, (size_t)edit->set_schema.schema_bytes, &schema);
    if (status == 0) {
        status = dms_index_put_schema(txn, schema);
        dms_schema_free(schema);
    }
    return status;
}

int dms_index_apply(struct dms_index_txn *txn, struct dms_index_meta *meta,
                    const struct dms_edit *edit, uint64_t segment)
{
    switch (edit->type) {
    case DMS_EDIT_ADD_GROUP:
        return apply_add_group(txn, meta, edit);
    case DMS_EDIT_SET_COLUMN:
        return apply_set_column(txn, edit, segment);
    case DMS_EDIT_ADD_BATCH:
        return apply_add_batch(txn, meta, edit, segment);
    case DMS_EDIT_DROP_GROUP:
        return apply_drop_group(txn, meta, edit->drop_group.group);
    case DMS_EDIT_DROP_BATCHES:
        return apply_drop_batches(txn, meta, edit->drop_batches.first, edit->drop_batches.count);
    case DMS_EDIT_REMOVE_ROWS:
        return apply_remove_rows(txn, meta, edit);
    case DMS_EDIT_SET_SCHEMA:
        return apply_set_schema(txn, edit);
    case DMS_EDIT_DROP_SEGMENT: {
        int status = value_delete(txn, TABLE_SEGMENTS, number_key(edit->drop_segment.segment));
        return status == DMS_END ? gone("segment", edit->drop_segment.segment) : status;
    }
    case DMS_EDIT_STATE:
        break;
    }
    return 0;
}

/* Places the live ids of a recovered group or batch. */
static int assign_live_ids(struct dms_index_txn *txn, const uint8_t *runs, size_t run_bytes,
                           uint32_t row_ct, const uint8_t *removed, bool staged, uint64_t container)
{
    struct dms_ids_iterator iterator = dms_ids_begin(runs, run_bytes, row_ct);
    struct dms_id_span span;
    int status;
    while ((status = dms_ids_next(&iterator, &span)) > 0) {
        for (uint32_t k = 0; k < span.count;) {
            uint32_t length = 0;
            while (k + length < span.count && !dms_row_is_removed(removed, span.row + k + length)) {
                length++;
            }
            if (length > 0) {
                struct id_run run = {span.first + k, length, {staged, container, span.row + k}};
                status = id_run_put(txn, &run);
                if (status != 0) {
                    return status;
                }
            }
            k += length + 1;
        }
    }
    return status;
}

int dms_index_store_catalog(struct dms_index_txn *txn, struct dms_index_meta *meta,
                            const struct dms_catalog *catalog)
{
    int status = dms_index_put_schema(txn, catalog->schema);
    for (size_t k = 0; status == 0 && k < catalog->segment_ct; k++) {
        status = dms_index_put_segment(txn, &catalog->segments[k]);
    }
    meta->model_ct = 0;
    meta->staged_ct = 0;
    for (size_t k = 0; status == 0 && k < catalog->group_ct; k++) {
        const struct dms_group_record *group = &catalog->groups[k];
        status = dms_index_put_group(txn, group);
        if (status == 0) {
            status = assign_live_ids(txn, group->runs, group->run_bytes, group->row_ct,
                                     group->removed, false, group->number);
        }
        meta->model_ct += group->live_ct;
    }
    for (size_t k = 0; status == 0 && k < catalog->batch_ct; k++) {
        const struct dms_batch_record *batch = &catalog->batches[k];
        status = put_batch(txn, batch);
        if (status == 0) {
            status = assign_live_ids(txn, batch->runs, batch->run_bytes, batch->row_ct,
                                     batch->removed, true, batch->number);
        }
        meta->model_ct += batch->live_ct;
        meta->staged_ct += batch->live_ct;
    }
    return status ? status : dms_index_put_meta(txn, meta);
}

/* ---- pending segments ---- */

int dms_index_put_pending(struct dms_index_txn *txn, uint64_t segment)
{
    int status;
    value_begin(txn, &status);
    return status ? status : value_put(txn, TABLE_PENDING, number_key(segment));
}

int dms_index_delete_pending(struct dms_index_txn *txn, uint64_t segment)
{
    return value_delete(txn, TABLE_PENDING, number_key(segment));
}

int dms_index_is_pending(struct dms_index_txn *txn, uint64_t segment)
{
    struct dms_cursor cursor;
    return value_get(txn, TABLE_PENDING, number_key(segment), &cursor);
}

struct pending_visit {
    int (*visit)(void *context, uint64_t segment);
    void *context;
};

static int visit_pending(void *context, uint64_t number, struct dms_cursor *record)
{
    struct pending_visit *each = context;
    (void)record;
    return each->visit(each->context, number);
}

int dms_index_each_pending(struct dms_index_txn *txn, int (*visit)(void *context, uint64_t segment),
                           void *context)
{
    struct pending_visit each = {visit, context};
    return table_each(txn, TABLE_PENDING, visit_pending, &each);
}

/* ---- totals ---- */

/* Reads one block of totals of `bytes` bytes into `block`, zeros when it is not there yet. */
static int totals_get(struct dms_index_txn *txn, struct key key, uint8_t *block, size_t bytes)
{
    struct dms_cursor cursor;
    memset(block, 0, bytes);
    int status = value_get(txn, TABLE_TOTALS, key, &cursor);
    if (status == DMS_END) {
        return 0;
    }
    if (status == 0 && cursor.size != bytes) {
        status = value_fail(txn, TABLE_TOTALS);
    }
    if (status == 0) {
        memcpy(block, cursor.data, bytes);
    }
    return status;
}

static int totals_put(struct dms_index_txn *txn, struct key key, const uint8_t *block, size_t bytes)
{
    int status;
    struct dms_buffer *buffer = value_begin(txn, &status);
    status = status ? status : dms_buffer_append(buffer, block, bytes);
    return status ? status : value_put(txn, TABLE_TOTALS, key);
}

static uint64_t block_values(uint64_t value_ct, uint64_t first)
{
    return value_ct - first < TOTALS_BLOCK ? value_ct - first : TOTALS_BLOCK;
}

int dms_index_add_counts(struct dms_index_txn *txn, const uint32_t *counts, uint64_t count_ct,
                         int sign)
{
    uint8_t block[TOTALS_BLOCK * 8];
    for (uint64_t first = 0; first < count_ct; first += TOTALS_BLOCK) {
        struct key key = totals_key(DMS_SCHEMA_MASK_COLUMN, (uint32_t)(first / TOTALS_BLOCK));
        uint64_t here = block_values(count_ct, first);
        int status = totals_get(txn, key, block, here * 8);
        for (uint64_t k = 0; k < here; k++) {
            uint64_t count = dms_load_u64(block + k * 8);
            dms_store_u64(block + k * 8,
                          sign > 0 ? count + counts[first + k] : count - counts[first + k]);
        }
        status = status ? status : totals_put(txn, key, block, here * 8);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

int dms_index_get_counts(struct dms_index_txn *txn, uint64_t *counts, uint64_t count_ct)
{
    uint8_t block[TOTALS_BLOCK * 8];
    for (uint64_t first = 0; first < count_ct; first += TOTALS_BLOCK) {
        uint64_t here = block_values(count_ct, first);
        int status =
            totals_get(txn, totals_key(DMS_SCHEMA_MASK_COLUMN, (uint32_t)(first / TOTALS_BLOCK)),
                       block, here * 8);
        if (status != 0) {
            return status;
        }
        for (uint64_t k = 0; k < here; k++) {
            counts[first + k] = dms_load_u64(block + k * 8);
        }
    }
    return 0;
}

static void sum_load(const uint8_t *from, struct dms_exact_sum *sum)
{
    sum->sum = (dms_int128)((dms_uint128)dms_load_u64(from + 8) << 64 | dms_load_u64(from));
    sum->square_sum = (dms_uint128)dms_load_u64(from + 24) << 64 | dms_load_u64(from + 16);
    sum->finite_ct = dms_load_u64(from + 32);
    sum->nonfinite_ct = dms_load_u64(from + 40);
}

static void sum_store(uint8_t *to, const struct dms_exact_sum *sum)
{
    dms_store_u64(to, (uint64_t)(dms_uint128)sum->sum);
    dms_store_u64(to + 8, (uint64_t)((dms_uint128)sum->sum >> 64));
    dms_store_u64(to + 16, (uint64_t)sum->square_sum);
    dms_store_u64(to + 24, (uint64_t)(sum->square_sum >> 64));
    dms_store_u64(to + 32, sum->finite_ct);
    dms_store_u64(to + 40, sum->nonfinite_ct);
}

int dms_index_add_sums(struct dms_index_txn *txn, const struct dms_column *column,
                       uint64_t first_value, const struct dms_exact_sum *sums, uint64_t value_ct,
                       int sign)
{
    uint64_t total_ct = dms_column_value_ct(column);
    uint8_t block[TOTALS_BLOCK * SUM_BYTES];
    for (uint64_t done = 0; done < value_ct;) {
        uint64_t at = first_value + done;
        uint64_t block_first = at / TOTALS_BLOCK * TOTALS_BLOCK;
        uint64_t here = block_values(total_ct, block_first);
        struct key key = totals_key(column->id, (uint32_t)(at / TOTALS_BLOCK));
        int status = totals_get(txn, key, block, here * SUM_BYTES);
        for (; done < value_ct && first_value + done < block_first + here; done++) {
            uint8_t *entry = block + (first_value + done - block_first) * SUM_BYTES;
            struct dms_exact_sum sum;
            sum_load(entry, &sum);
            dms_sums_merge(column->dtype, &sum, &sums[done], sign);
            sum_store(entry, &sum);
        }
        status = status ? status : totals_put(txn, key, block, here * SUM_BYTES);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

int dms_index_get_sums(struct dms_index_txn *txn, const struct dms_column *column,
                       struct dms_exact_sum *sums)
{
    uint64_t total_ct = dms_column_value_ct(column);
    uint8_t block[TOTALS_BLOCK * SUM_BYTES];
    for (uint64_t first = 0; first < total_ct; first += TOTALS_BLOCK) {
        uint64_t here = block_values(total_ct, first);
        int status = totals_get(txn, totals_key(column->id, (uint32_t)(first / TOTALS_BLOCK)),
                                block, here * SUM_BYTES);
        if (status != 0) {
            return status;
        }
        for (uint64_t k = 0; k < here; k++) {
            sum_load(block + k * SUM_BYTES, &sums[first + k]);
        }
    }
    return 0;
}

int dms_index_clear_totals(struct dms_index_txn *txn)
{
    return index_fail(txn->index, mdb_drop(txn->txn, txn->index->tables[TABLE_TOTALS], 0),
                      "clear a table");
}
