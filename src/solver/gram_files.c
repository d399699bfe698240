/*
 * The directory of files of counts in a store: names, lists, removal.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "solver/gram.h"
#include "solver/pair_counts_parts.h"
#include "store/snapshot.h"

#define DIGEST_CT (DMS_DIGEST_TEXT_BYTES - 1)

static const char suffix[] = ".pairs";

/* ---- names ---- */

void dms_row_set_digest_text(const struct dms_row_set *rows, char text[DMS_DIGEST_TEXT_BYTES])
{
    snprintf(text, DMS_DIGEST_TEXT_BYTES, "%016" PRIx64 "%016" PRIx64, rows->digest[1],
             rows->digest[0]);
}

char *dms_gram_directory(const char *store_path)
{
    return dms_path_join(store_path, "gram");
}

char *dms_gram_path(const char *store_path, const struct dms_row_set *rows)
{
    char digest[DMS_DIGEST_TEXT_BYTES];

    dms_row_set_digest_text(rows, digest);
    return dms_format("%s/gram/%s%s", store_path, digest, suffix);
}

/* Whether a name begins with a digest and the suffix. */
static bool is_name(const char *name)
{
    return strspn(name, "0123456789abcdef") == DIGEST_CT &&
           strncmp(name + DIGEST_CT, suffix, sizeof suffix - 1) == 0;
}

/* A file of counts. */
static int choose_files(const struct dirent *entry)
{
    return is_name(entry->d_name) && entry->d_name[DIGEST_CT + sizeof suffix - 1] == 0;
}

/* Those, and what writers have not finished. */
static int choose_all(const struct dirent *entry)
{
    return is_name(entry->d_name);
}

/* Calls visit for the entries that `choose` wants, by name. */
static int visit_names(const char *store_path, int (*choose)(const struct dirent *entry),
                       int (*visit)(void *context, const char *path, const char *digest),
                       void *context)
{
    char *directory = dms_gram_directory(store_path);
    struct dirent **entries = NULL;
    int rc = DMS_OK, entry_ct;

    if (!directory)
        return DMS_ERR_NO_MEMORY;
    entry_ct = scandir(directory, &entries, choose, alphasort);
    if (entry_ct < 0 && errno != ENOENT)
        rc = dms_fail_errno("cannot read directory '%s'", directory);
    for (int i = 0; i < entry_ct; i++) {
        char *path = rc == DMS_OK ? dms_path_join(directory, entries[i]->d_name) : NULL;
        char digest[DMS_DIGEST_TEXT_BYTES];

        if (rc == DMS_OK) {
            snprintf(digest, sizeof digest, "%.*s", DIGEST_CT, entries[i]->d_name);
            rc = path ? visit(context, path, digest) : DMS_ERR_NO_MEMORY;
        }
        free(path);
        free(entries[i]);
    }
    free(entries);
    free(directory);
    return rc;
}

int dms_gram_each(const char *store_path,
                  int (*visit)(void *context, const char *path, const char *digest), void *context)
{
    return visit_names(store_path, choose_files, visit, context);
}

/* Whether a path is that of a file, and so of a manifest. */
static bool is_file(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

/* ---- lists ---- */

struct listing {
    bool check;
    int (*tell)(void *context, const struct dms_gram_file *file);
    void *context;
};

static int check_tiles(const struct dms_pair_counts *counts)
{
    int rc = DMS_OK;

    for (size_t t = 0; rc == DMS_OK && t < dms_pair_tile_ct(counts->example_ct); t++)
        rc = dms_pair_map_check(counts->file, t);
    return rc;
}

static int describe(const struct listing *listing, const struct dms_pair_counts *counts,
                    struct dms_gram_file *file)
{
    const struct dms_pair_head *head = dms_pair_map_head(counts->file);
    const struct dms_row_set *rows = dms_pair_counts_rows(counts);
    const struct dms_id_range *last = rows->range_ct ? &rows->ranges[rows->range_ct - 1] : NULL;
    char digest[DMS_DIGEST_TEXT_BYTES];

    dms_row_set_digest_text(rows, digest);
    if (strcmp(digest, file->digest) != 0)
        return dms_fail(DMS_ERR_CORRUPT, "counts of pairs '%s' are of row set %s", file->path,
                        digest);
    file->sequence = head->sequence;
    file->example_ct = head->example_ct;
    file->row_ct = head->row_ct;
    file->bytes = head->file_bytes;
    file->first_id = last ? rows->ranges[0].first_id : 0;
    file->last_id = last ? last->first_id + (last->id_ct - 1) : 0;
    return listing->check ? check_tiles(counts) : DMS_OK;
}

static int list_file(void *context, const char *path, const char *digest)
{
    const struct listing *listing = context;
    struct dms_gram_file file = {.path = path, .digest = digest};
    struct dms_pair_counts *counts = NULL;
    int rc = dms_pair_counts_open(path, NULL, &counts);

    if (rc == DMS_OK)
        rc = describe(listing, counts, &file);
    dms_pair_counts_free(counts);
    if (rc == DMS_ERR_NOT_FOUND) /* removed meanwhile */
        return DMS_OK;
    if (rc == DMS_ERR_CORRUPT || rc == DMS_ERR_VERSION)
        file =
            (struct dms_gram_file){.path = path, .digest = digest, .damage = dms_error_message()};
    else if (rc < 0)
        return rc;
    return listing->tell(listing->context, &file);
}

int dms_gram_files(const char *path, bool check,
                   int (*tell)(void *context, const struct dms_gram_file *file), void *context)
{
    struct listing listing = {.check = check, .tell = tell, .context = context};
    dms_snapshot *snapshot = NULL;
    int rc = is_file(path) ? dms_snapshot_open(path, &snapshot) : DMS_OK;

    if (rc == DMS_OK)
        rc = dms_gram_each(snapshot ? dms_snapshot_path(snapshot) : path, list_file, &listing);
    dms_snapshot_close(snapshot);
    return rc;
}

/* ---- removal ---- */

struct removal {
    const char *digest; /* NULL: any */
    bool leftovers;     /* only what crashed writers left */
    uint64_t file_ct, bytes;
};

static bool is_unfinished(const char *path)
{
    size_t length = strlen(path);

    return strcmp(path + length - (sizeof suffix - 1), suffix) != 0;
}

/* Whether a writer is at an unfinished file. */
static bool is_in_work(const char *path)
{
    int descriptor = dms_open(path, O_RDONLY, 0);
    bool in_work = descriptor >= 0 && flock(descriptor, LOCK_EX | LOCK_NB) != 0;

    if (descriptor >= 0)
        dms_close(descriptor);
    return in_work;
}

static int remove_file(void *context, const char *path, const char *digest)
{
    struct removal *removal = context;
    struct stat file;
    int rc;

    if ((removal->digest && strcmp(removal->digest, digest) != 0) ||
        (removal->leftovers && !is_unfinished(path)) || (is_unfinished(path) && is_in_work(path)))
        return DMS_OK;
    if (stat(path, &file) != 0)
        return errno == ENOENT ? DMS_OK : dms_fail_errno("cannot look at '%s'", path);
    rc = dms_file_remove(path);
    removal->file_ct += rc == DMS_OK;
    removal->bytes += rc == DMS_OK ? (uint64_t)file.st_size : 0;
    return rc;
}

int dms_gram_remove_leftovers(const char *store_path)
{
    struct removal removal = {.leftovers = true};

    return visit_names(store_path, choose_all, remove_file, &removal);
}

int dms_gram_remove(const char *path, const char *digest, uint64_t *removed_bytes)
{
    struct removal removal = {.digest = digest};
    int rc;

    if (is_file(path))
        return dms_fail(DMS_ERR_PERMISSION,
                        "'%s' is a manifest, which is for reading: remove counts of pairs in the "
                        "store itself",
                        path);
    rc = visit_names(path, choose_all, remove_file, &removal);
    if (rc == DMS_OK && digest && removal.file_ct == 0)
        rc = dms_fail(DMS_ERR_NOT_FOUND, "store '%s' has no counts of row set %s", path, digest);
    if (rc == DMS_OK && removed_bytes)
        *removed_bytes = removal.bytes;
    return rc;
}
