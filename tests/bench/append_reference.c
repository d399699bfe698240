/*
 * The least that a durable append does: see append_reference.h.
 */
#include "tests/bench/append_reference.h"

#include "tests/bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct append_reference {
    int descriptor;
    MDB_env *environment;
    MDB_dbi table;
};

/* The key of the entry that says where the file ends. */
static const uint64_t end_key = UINT64_MAX;

static void check(int code, const char *what)
{
    if (code != 0) {
        bench_die("the reference cannot %s: %s", what, mdb_strerror(code));
    }
}

struct append_reference *append_reference_open(const char *directory)
{
    struct append_reference *reference = bench_alloc(sizeof *reference);
    MDB_txn *txn;
    reference->descriptor = open(bench_path(directory, "rows"), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (reference->descriptor < 0) {
        bench_die("cannot open the file of the reference: %s", strerror(errno));
    }
    check(mdb_env_create(&reference->environment), "make an environment");
    check(mdb_env_set_mapsize(reference->environment, (size_t)1 << 30), "set the map size");
    check(mdb_env_open(reference->environment, directory, MDB_NOTLS, 0666), "open LMDB");
    check(mdb_txn_begin(reference->environment, NULL, 0, &txn), "begin");
    check(mdb_dbi_open(txn, NULL, MDB_INTEGERKEY, &reference->table), "open the table");
    check(mdb_txn_commit(txn), "commit");
    return reference;
}

void append_reference_close(struct append_reference *reference)
{
    mdb_env_close(reference->environment);
    close(reference->descriptor);
    free(reference);
}

void append_reference_append(struct append_reference *reference, uint64_t id, const void *bytes,
                             size_t size)
{
    MDB_txn *txn;
    MDB_val value;
    uint64_t end = 0;
    MDB_val end_name = {sizeof end_key, (void *)&end_key};
    MDB_val name = {sizeof id, &id};
    check(mdb_txn_begin(reference->environment, NULL, 0, &txn), "begin");
    int code = mdb_get(txn, reference->table, &end_name, &value);
    if (code == 0) {
        memcpy(&end, value.mv_data, sizeof end);
    } else if (code != MDB_NOTFOUND) {
        check(code, "get");
    }
    if (pwrite(reference->descriptor, bytes, size, (off_t)end) != (ssize_t)size ||
        fdatasync(reference->descriptor) != 0) {
        bench_die("the reference cannot write: %s", strerror(errno));
    }
    uint64_t entry[] = {end, size};
    value = (MDB_val){sizeof entry, entry};
    check(mdb_put(txn, reference->table, &name, &value, 0), "put");
    end += size;
    value = (MDB_val){sizeof end, &end};
    check(mdb_put(txn, reference->table, &end_name, &value, 0), "put");
    check(mdb_txn_commit(txn), "commit");
}
