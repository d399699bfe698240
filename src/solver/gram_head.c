/*
 * What files of counts and of products are held against before anything else is read.
 */
#include "solver/gram_head.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"

int dms_gram_head_read(int descriptor, const char *path, const uint8_t *store_uuid,
                       int (*decode)(const uint8_t bytes[DMS_GRAM_HEAD_BYTES],
                                     struct dms_gram_head *head),
                       struct dms_gram_head *head)
{
    uint8_t bytes[DMS_GRAM_HEAD_BYTES];
    uint64_t file_bytes;
    int rc = dms_file_check_regular(descriptor, path);

    if (rc == DMS_OK)
        rc = dms_file_size(descriptor, path, &file_bytes);
    if (rc == DMS_OK && file_bytes < DMS_GRAM_HEAD_BYTES)
        rc = dms_fail(DMS_ERR_CORRUPT, "it is cut off: %" PRIu64 " bytes are no head", file_bytes);
    if (rc == DMS_OK)
        rc = dms_pread_full(descriptor, path, bytes, sizeof bytes, 0);
    if (rc == DMS_OK)
        rc = decode(bytes, head);
    if (rc == DMS_OK && store_uuid && memcmp(head->store_uuid, store_uuid, DMS_UUID_BYTES) != 0)
        rc = dms_fail(DMS_ERR_INVALID, "it is of another store");
    if (rc == DMS_OK && file_bytes != head->file_bytes)
        rc = dms_fail(DMS_ERR_CORRUPT, "it has %" PRIu64 " bytes, not %" PRIu64, file_bytes,
                      head->file_bytes);
    return rc;
}
