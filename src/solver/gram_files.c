/*
 * The directory of files of counts and products in a store: names, lists, removal.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "solver/gram.h"
#include "solver/pair_counts_parts.h"
#include "solver/products_file.h"
#include "store/snapshot.h"

#define DIGEST_CT (DMS_DIGEST_TEXT_BYTES - 1)

/* ---- names ---- */

void dms_row_set_digest_text(const struct dms_row_set *rows, char text[DMS_DIGEST_TEXT_BYTES])
{
    snprintf(text, DMS_DIGEST_TEXT_BYTES, "%016" PRIx64 "%016" PRIx64, rows->digest[1],
             rows->digest[0]);
}

char *dms_gram_path(const char *store_path, const struct dms_row_set *rows, enum dms_gram_kind kind,
                    uint32_t column_id)
{
    char digest[DMS_DIGEST_TEXT_BYTES];

    dms_row_set_digest_text(rows, digest);
    if (kind == DMS_GRAM_PAIRS)
        return dms_format("%s/gram/%s.pairs", store_path, digest);
    return dms_format("%s/gram/%s.%" PRIu32 ".products", store_path, digest, column_id);
}

/* Reads the number of a column, and goes on behind it; false: there is none. */
static bool parse_column(const char **text, uint32_t *column_id)
{
    size_t digit_ct = strspn(*text, "0123456789");
    unsigned long long number =
        digit_ct > 0 && digit_ct <= 10 ? strtoull(*text, NULL, 10) : ULLONG_MAX;

    *text += digit_ct;
    *column_id = (uint32_t)number;
    /* One name a column. */
    return number <= UINT32_MAX && (digit_ct == 1 || (*text)[-(ptrdiff_t)digit_ct] != '0');
}

/* Whether a file is one of these. */
static bool parse_name(const char *text, struct dms_gram_name *name)
{
    *name = (struct dms_gram_name){.kind = DMS_GRAM_PAIRS};
    if (strspn(text, "0123456789abcdef") != DIGEST_CT || text[DIGEST_CT] != '.')
        return false;
    memcpy(name->digest, text, DIGEST_CT);
    text += DIGEST_CT + 1;
    if (strncmp(text, "pairs", 5) == 0) {
        text += 5;
    } else {
        name->kind = DMS_GRAM_PRODUCTS;
        if (!parse_column(&text, &name->column_id) || strncmp(text, ".products", 9) != 0)
            return false;
        text += 9;
    }
    name->unfinished = strcmp(text, ".tmp") == 0;
    return name->unfinished || *text == 0;
}

static int choose_names(const struct dirent *entry)
{
    struct dms_gram_name name;

    return parse_name(entry->d_name, &name);
}

/* Calls visit for all files, by name. */
static int visit_names(const char *store_path,
                       int (*visit)(void *context, const char *path,
                                    const struct dms_gram_name *name),
                       void *context)
{
    char *directory = dms_path_join(store_path, "gram");
    struct dirent **entries = NULL;
    int rc = DMS_OK, entry_ct;

    if (!directory)
        return DMS_ERR_NO_MEMORY;
    entry_ct = scandir(directory, &entries, choose_names, alphasort);
    if (entry_ct < 0 && errno != ENOENT)
        rc = dms_fail_errno("cannot read directory '%s'", directory);
    for (int i = 0; i < entry_ct; i++) {
        char *path = rc == DMS_OK ? dms_path_join(directory, entries[i]->d_name) : NULL;
        struct dms_gram_name name;

        if (rc == DMS_OK && parse_name(entries[i]->d_name, &name))
            rc = path ? visit(context, path, &name) : DMS_ERR_NO_MEMORY;
        free(path);
        free(entries[i]);
    }
    free(entries);
    free(directory);
    return rc;
}

/* The finished ones. */
struct finished {
    int (*visit)(void *context, const char *path, const struct dms_gram_name *name);
    void *context;
};

static int visit_finished(void *context, const char *path, const struct dms_gram_name *name)
{
    const struct finished *finished = context;

    return name->unfinished ? DMS_OK : finished->visit(finished->context, path, name);
}

int dms_gram_each(const char *store_path,
                  int (*visit)(void *context, const char *path, const struct dms_gram_name *name),
                  void *context)
{
    struct finished finished = {visit, context};

    return visit_names(store_path, visit_finished, &finished);
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

/* Tells what head and models say; the digest must be that of the name. */
static int describe(const struct dms_gram_head *head, const struct dms_row_set *rows,
                    struct dms_gram_file *file)
{
    const struct dms_id_range *last = rows->range_ct ? &rows->ranges[rows->range_ct - 1] : NULL;
    char digest[DMS_DIGEST_TEXT_BYTES];

    dms_row_set_digest_text(rows, digest);
    if (strcmp(digest, file->digest) != 0)
        return dms_fail(DMS_ERR_CORRUPT, "'%s' is of row set %s", file->path, digest);
    if (head->column_id != file->column_id)
        return dms_fail(DMS_ERR_CORRUPT, "'%s' is of column %" PRIu64, file->path, head->column_id);
    file->sequence = head->sequence;
    file->example_ct = head->example_ct;
    file->target_ct = head->target_ct;
    file->row_ct = head->row_ct;
    file->bytes = head->file_bytes;
    file->first_id = last ? rows->ranges[0].first_id : 0;
    file->last_id = last ? last->first_id + (last->id_ct - 1) : 0;
    return DMS_OK;
}

static int list_pairs(const struct listing *listing, struct dms_gram_file *file)
{
    struct dms_pair_counts *counts = NULL;
    int rc = dms_pair_counts_open(file->path, NULL, &counts);

    if (rc == DMS_OK)
        rc = describe(dms_pair_map_head(counts->file), dms_pair_counts_rows(counts), file);
    for (size_t t = 0; rc == DMS_OK && listing->check && t < dms_pair_tile_ct(counts->example_ct);
         t++)
        rc = dms_pair_map_check(counts->file, t);
    dms_pair_counts_free(counts);
    return rc;
}

static int check_products(const dms_products *products)
{
    size_t example_ct = (size_t)dms_products_example_ct(products);
    int64_t *sums = dms_alloc(example_ct, sizeof *sums);
    int rc = sums ? DMS_OK : DMS_ERR_NO_MEMORY;

    for (uint64_t t = 0; rc == DMS_OK && t < dms_products_target_ct(products); t++)
        if (dms_products_entry(products, t)->width > 0)
            rc = dms_products_sums(products, t, sums);
    free(sums);
    return rc;
}

static int list_products(const struct listing *listing, struct dms_gram_file *file)
{
    dms_products *products = NULL;
    int rc = dms_products_file_open(file->path, NULL, &products);

    if (rc == DMS_OK)
        rc = describe(dms_products_head(products), dms_products_rows(products), file);
    if (rc == DMS_OK && listing->check)
        rc = check_products(products);
    dms_products_close(products);
    return rc;
}

static int list_file(void *context, const char *path, const struct dms_gram_name *name)
{
    const struct listing *listing = context;
    const struct dms_gram_file named = {
        .path = path, .kind = name->kind, .digest = name->digest, .column_id = name->column_id};
    struct dms_gram_file file = named;
    int rc =
        name->kind == DMS_GRAM_PAIRS ? list_pairs(listing, &file) : list_products(listing, &file);

    if (rc == DMS_ERR_NOT_FOUND) /* removed meanwhile */
        return DMS_OK;
    if (rc == DMS_ERR_NO_MEMORY)
        return rc;
    if (rc < 0) {
        file = named;
        file.damage = dms_error_message();
    }
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

int dms_gram_check_writable(const dms_snapshot *snapshot)
{
    if (!dms_snapshot_is_manifest(snapshot))
        return DMS_OK;
    return dms_fail(DMS_ERR_PERMISSION,
                    "a manifest is for reading, and its store does not have what was asked for of "
                    "these models: make it in store '%s' itself",
                    dms_snapshot_path(snapshot));
}

struct removal {
    const char *digest; /* NULL: any */
    bool leftovers;     /* only what crashed writers left */
    uint64_t file_ct, bytes;
    struct dms_error_state failure; /* the first one: the other files are removed all the same */
};

static int remove_file(void *context, const char *path, const struct dms_gram_name *name)
{
    struct removal *removal = context;
    struct stat file;
    int rc;

    if ((removal->digest && strcmp(removal->digest, name->digest) != 0) ||
        (removal->leftovers && !name->unfinished))
        return DMS_OK;
    if (lstat(path, &file) != 0)
        return errno == ENOENT ? DMS_OK : dms_fail_errno("cannot look at '%s'", path);
    /* Writers make files; what else has such a name is nobody's. */
    rc = name->unfinished && S_ISREG(file.st_mode) ? dms_remove_temporary(path)
                                                   : dms_file_remove(path);
    if (rc < 0 && rc != DMS_ERR_BUSY && !removal->leftovers && removal->failure.code == 0)
        dms_error_save(&removal->failure);
    removal->file_ct += rc == DMS_OK;
    removal->bytes += rc == DMS_OK ? (uint64_t)file.st_size : 0;
    return DMS_OK;
}

int dms_gram_remove_file(const char *path)
{
    char *directory = dms_path_parent(path);
    int rc = directory ? dms_file_remove(path) : DMS_ERR_NO_MEMORY;

    if (rc == DMS_OK)
        rc = dms_directory_sync(directory);
    free(directory);
    return rc == DMS_ERR_PERMISSION ? DMS_OK : rc;
}

int dms_gram_remove_leftovers(const char *store_path)
{
    struct removal removal = {.leftovers = true};

    return visit_names(store_path, remove_file, &removal);
}

int dms_gram_remove(const char *path, const char *digest, uint64_t *removed_bytes)
{
    struct removal removal = {.digest = digest};
    int rc;

    if (is_file(path))
        return dms_fail(DMS_ERR_PERMISSION,
                        "'%s' is a manifest, which is for reading: remove files in the store "
                        "itself",
                        path);
    rc = visit_names(path, remove_file, &removal);
    if (rc == DMS_OK && removal.failure.code != 0)
        rc = dms_error_restore(&removal.failure);
    if (rc == DMS_OK && digest && removal.file_ct == 0)
        rc = dms_fail(DMS_ERR_NOT_FOUND, "store '%s' has no counts or products of row set %s", path,
                      digest);
    if (rc == DMS_OK && removed_bytes)
        *removed_bytes = removal.bytes;
    return rc;
}
