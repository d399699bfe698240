/*
 * Rows whose every bit follows from model id and version, so that whatever a store holds after a
 * fault can be judged: each row must be one that was written, whole. Failures are explained by
 * known_problem().
 */
#ifndef DMS_TESTS_FAULT_KNOWN_ROWS_H
#define DMS_TESTS_FAULT_KNOWN_ROWS_H

#include "dmstore.h"

#include <stddef.h>
#include <stdint.h>

enum {
    KNOWN_EXAMPLES = 203,
    KNOWN_MASK_BYTES = (KNOWN_EXAMPLES + 7) / 8,
    KNOWN_TARGETS = 40,
    KNOWN_CHUNK_ROWS = 64,
    KNOWN_PATH_BYTES = 512,
};

/* One row with the memory that it points into. Its scalar column `version` holds its version. */
struct known_row {
    struct dms_row row;
    uint8_t mask[KNOWN_MASK_BYTES];
    uint16_t margins[KNOWN_TARGETS];
    uint32_t version;
    const void *outputs[1];
    const void *scalars[1];
};

void known_row_make(struct known_row *known, uint64_t id, uint32_t version);

/* Creates a store for such rows. codec: as of dms_codec_parse. */
int known_create(const char *path, const char *codec);

/* Models first .. first + count - 1 of one version: a bulk write, and one commit of staged rows. */
int known_write(dms_store *store, uint64_t first, uint64_t count, uint32_t version);
int known_append(dms_store *store, uint64_t first, uint64_t count, uint32_t version,
                 enum dms_on_duplicate on_duplicate);

/* What a store holds, by id. */
struct known_content {
    size_t row_ct;
    struct known_entry {
        uint64_t id;
        uint32_t version;
    } * rows;
};

/* Reads all of a snapshot and checks every bit of it, the statistics too. A store directory or
 * manifest by path. */
int known_read_snapshot(dms_snapshot *snapshot, struct known_content *content);
int known_read(const char *path, struct known_content *content);
void known_content_clear(struct known_content *content);

/* The version of model `id`, 0 when it is not there (versions begin at 1). */
uint32_t known_version(const struct known_content *content, uint64_t id);

/* 0 when dms_verify finds the store whole (the tail of a crash is no damage). */
int known_verify(const char *path);

/* Copies the store to the directory `copy` (made and removed), rebuilds the copy's index from its
 * segments, verifies it and reads what it holds. That can be more than the store holds: a commit
 * that was interrupted before it was acknowledged, but after it was whole in its segment. */
int known_recover(const char *path, const char *copy, struct known_content *content);

/* What went wrong in the last failure of a function above; of this process. */
const char *known_problem(void);

/* A fresh directory for the files of a test, below TMPDIR or, without that, on a file system in
 * memory; an absolute path without symbolic links. It is removed when the process that made it
 * exits. */
const char *known_directory(void);

/* Copies a directory of files and directories; removes one, if it is there. Both 0 or -1. */
int tree_copy(const char *from, const char *to);
int tree_remove(const char *path);

/* Mixes numbers into a random-looking one. */
uint64_t known_mix(uint64_t a, uint64_t b);

/* The seed of a test's random choices: DMSTORE_TEST_SEED, else the time; printed as a TAP comment.
 */
uint64_t known_seed(void);

#endif
