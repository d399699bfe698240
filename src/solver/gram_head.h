/*
 * Reading the head of a file of `gram/`, of counts or of products.
 */
#ifndef DMS_SOLVER_GRAM_HEAD_H
#define DMS_SOLVER_GRAM_HEAD_H

#include "format/gram_file.h"

/* Reads the head of an open file with `decode`, that of its kind. CORRUPT: also when it is no
 * regular file, or does not have the length that the head says; INVALID: it is of another store
 * than store_uuid (NULL: any). Messages do not name the file. */
int dms_gram_head_read(int descriptor, const char *path, const uint8_t *store_uuid,
                       int (*decode)(const uint8_t bytes[DMS_GRAM_HEAD_BYTES],
                                     struct dms_gram_head *head),
                       struct dms_gram_head *head);

#endif
