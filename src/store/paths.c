/*
 * Names inside a store directory: see paths.h.
 */
#include "store/paths.h"

#include "base/alloc.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/file.h"
#include "base/order.h"
#include "store/segment.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

char *dms_path_segments(const char *store_path)
{
    return dms_path_join(store_path, "segments");
}

char *dms_path_segment(const char *store_path, uint64_t number)
{
    return dms_format("%s/segments/%08" PRIu64 ".dms", store_path, number);
}

char *dms_path_index(const char *store_path)
{
    return dms_path_join(store_path, "lmdb");
}

char *dms_path_lock(const char *store_path)
{
    return dms_path_join(store_path, "dmstore.lock");
}

bool dms_segment_name_parse(const char *name, uint64_t *number)
{
    size_t digits = strspn(name, "0123456789");
    if (digits < 8 || digits > 19 || strcmp(name + digits, ".dms") != 0) {
        return false;
    }
    *number = strtoull(name, NULL, 10);
    return *number > 0 && (digits == 8 || name[0] != '0');
}

int dms_segments_list(const char *store_path, int (*visit)(void *context, uint64_t number),
                      void *context)
{
    uint64_t *numbers = NULL;
    size_t number_ct = 0;
    size_t capacity = 0;
    int status = 0;
    DIR *directory = NULL;
    char *path = dms_path_segments(store_path);
    if (!path) {
        return DMS_ERR_NO_MEMORY;
    }
    directory = opendir(path);
    if (!directory) {
        status = dms_fail_errno("cannot open directory '%s'", path);
        goto out;
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        uint64_t number;
        if (!dms_segment_name_parse(entry->d_name, &number)) {
            continue;
        }
        status = dms_grow((void **)&numbers, &capacity, number_ct + 1, sizeof *numbers);
        if (status != 0) {
            goto out;
        }
        numbers[number_ct++] = number;
    }
    if (number_ct > 0) {
        qsort(numbers, number_ct, sizeof *numbers, dms_compare_u64);
    }
    for (size_t k = 0; k < number_ct && status == 0; k++) {
        status = visit(context, numbers[k]);
    }
out:
    if (directory) {
        closedir(directory);
    }
    free(numbers);
    free(path);
    return status;
}

char *dms_path_temporary(const char *path)
{
    uint8_t random[DMS_UUID_BYTES];
    if (dms_uuid_make(random) != 0) {
        return NULL;
    }
    return dms_format("%s.tmp-%016" PRIx64, path, dms_load_u64(random));
}

/* Magic numbers of statfs(2) and of the file systems' own documentation. */
static const struct {
    unsigned long magic;
    const char *name;
} network_file_systems[] = {
    {0x6969, "NFS"},        {0x517B, "SMB"},      {0xFF534D42, "CIFS"},  {0xFE534D42, "SMB2"},
    {0x0BD00BD0, "Lustre"}, {0x47504653, "GPFS"}, {0x00C36400, "Ceph"},  {0x5346414F, "AFS"},
    {0x19830326, "BeeGFS"}, {0x20030528, "PVFS"}, {0xAAD7AAEA, "PanFS"}, {0x01161970, "GFS2"},
    {0x7461636F, "OCFS2"},  {0x6B414653, "AFS"},
};

int dms_refuse_network(const char *path)
{
    struct statfs status;
    int result;
    do {
        result = statfs(path, &status);
    } while (result != 0 && errno == EINTR);
    if (result != 0) {
        return dms_fail_errno("cannot examine the file system of '%s'", path);
    }
    for (size_t k = 0; k < sizeof network_file_systems / sizeof *network_file_systems; k++) {
        if ((unsigned long)status.f_type == network_file_systems[k].magic) {
            return dms_fail(DMS_ERR_UNSUPPORTED,
                            "'%s' is on a network file system (%s), where the index cannot be "
                            "used: keep the store on a local disk, "
                            "write from other hosts with 'append --spool', and read there through "
                            "a 'dmstore snapshot' manifest",
                            path, network_file_systems[k].name);
        }
    }
    return 0;
}
