/*
 * An open file of products: the sums over the models of mask times output, target by target, each
 * checked when it is read.
 */
#ifndef DMS_SOLVER_PRODUCTS_FILE_H
#define DMS_SOLVER_PRODUCTS_FILE_H

#include <stdbool.h>

#include "dmstore/gram.h"
#include "format/product_file.h"

/* Opens the file of products at `path`, which may be removed meanwhile. `store_uuid` is that of the
 * store it must be of, or NULL. The caller ends *products with dms_products_close. NOT_FOUND: no
 * such file. CORRUPT: its head or lists are damaged, or it is cut off, or is no regular file.
 * INVALID: it is of another store. */
int dms_products_file_open(const char *path, const uint8_t *store_uuid, dms_products **products);

/* As dms_products_file_open, of a file that is open and that messages call `path`, whether it still
 * has that name or not. The descriptor is taken over. */
int dms_products_file_read(int descriptor, const char *path, const uint8_t *store_uuid,
                           dms_products **products);

/* They belong to the products. */
const struct dms_gram_head *dms_products_head(const dms_products *products);
const struct dms_row_set *dms_products_rows(const dms_products *products);
const uint32_t *dms_products_singles(const dms_products *products);

/* Whether a target has sums, and they are of outputs with this fingerprint. */
bool dms_products_has(const dms_products *products, uint64_t target, uint64_t fingerprint);

/* What it says of a target; width 0: it has no sums. */
const struct dms_product_entry *dms_products_entry(const dms_products *products, uint64_t target);

/* sums[k] is that of example k, in DMS_OUTPUT_UNIT, of a target that has sums. May be called from
 * several threads at once. CORRUPT: the target is damaged in the file, or cut off. */
int dms_products_sums(const dms_products *products, uint64_t target, int64_t *sums);

#endif
