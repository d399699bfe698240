/*
 * Reading the newest schema of a store directory or manifest from the files alone (dms_schema_read
 * of include/dmstore/store.h): no LMDB, no lock, so that workers can do it on a network file
 * system. Only block headers and the payloads of segment and commit blocks are read.
 */
#include "dmstore/store.h"

#include "base/error.h"
#include "base/file.h"
#include "format/schema.h"
#include "store/paths.h"
#include "store/replay.h"
#include "store/segment.h"
#include "store/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Replaces *newest by a schema of a later version, of which it takes the ownership. */
static void keep_newer(struct dms_schema **newest, struct dms_schema *schema)
{
    if (!*newest || schema->version > (*newest)->version) {
        struct dms_schema *older = *newest;
        *newest = schema;
        schema = older;
    }
    dms_schema_free(schema);
}

static int take_schema(void *context, const struct dms_edit *edit)
{
    struct dms_schema *schema;
    if (edit->type != DMS_EDIT_SET_SCHEMA) {
        return 0;
    }
    int status =
        dms_schema_decode(edit->set_schema.schema, (size_t)edit->set_schema.schema_bytes, &schema);
    if (status == 0) {
        keep_newer(context, schema);
    }
    return status;
}

int dms_survey_find_schema(const struct dms_survey *survey, struct dms_schema **schema)
{
    struct dms_schema *newest = NULL;
    int status = 0;
    for (size_t k = 0; status == 0 && k < survey->file_ct; k++) {
        const struct dms_survey_file *file = &survey->files[k];
        struct dms_schema *copy;
        if (file->schema && !file->is_foreign &&
            (!newest || file->schema->version > newest->version)) {
            status = dms_schema_copy(file->schema, &copy);
            if (status == 0) {
                keep_newer(&newest, copy);
            }
        }
    }
    /* Segment blocks have the schema of their time; a commit that changes it says its version. */
    for (size_t k = 0; status == 0 && k < survey->commit_ct; k++) {
        const struct dms_found_commit *commit = &survey->commits[k];
        if (!survey->files[commit->file].is_foreign &&
            (!newest || commit->block.commit.schema_version > newest->version)) {
            status = dms_commit_each_edit(survey, commit, take_schema, &newest);
            status = dms_is_damage(status) ? 0 : status;
        }
    }
    if (status != 0) {
        dms_schema_free(newest);
        return status;
    }
    *schema = newest;
    return 0;
}

static int add_file(void *context, uint64_t number)
{
    return dms_survey_add_file(context, number, UINT64_MAX);
}

static int read_from_store(const char *path, struct dms_schema **schema)
{
    struct dms_survey survey;
    int status = dms_survey_begin(&survey, path);
    if (status != 0) {
        return status;
    }
    struct dms_schema *newest = NULL;
    status = dms_segments_list(path, add_file, &survey);
    if (status == DMS_ERR_NOT_FOUND) {
        status = dms_fail_prefix(status, "'%s' is not a store", path);
    }
    status = status ? status : dms_survey_walk(&survey);
    status = status ? status : dms_survey_part_foreign(&survey, dms_survey_store_uuid(&survey));
    status = status ? status : dms_survey_find_schema(&survey, &newest);
    if (status == 0 && !newest) {
        status = dms_fail(DMS_ERR_CORRUPT, "store '%s' has no segment that tells its schema", path);
    }
    dms_survey_end(&survey);
    if (status != 0) {
        dms_schema_free(newest);
        return status;
    }
    *schema = newest;
    return 0;
}

/* Reads the state block that follows the segment block of a manifest. */
static int read_state(int descriptor, const char *path, uint64_t offset,
                      struct dms_catalog *catalog)
{
    struct dms_block block;
    struct dms_buffer payload = {0};
    uint64_t size;
    int status = dms_file_size(descriptor, path, &size);
    status = status ? status : dms_block_read_header(descriptor, path, 0, offset, size, &block);
    if (status == 0 && block.type != DMS_BLOCK_STATE) {
        status = dms_fail(DMS_ERR_CORRUPT, "manifest '%s' has no state", path);
    }
    status = status ? status : dms_buffer_append_zeros(&payload, (size_t)block.payload_bytes + 1);
    status = status ? status : dms_block_read_payload(descriptor, path, &block, payload.data);
    status = status ? status
                    : dms_catalog_decode(payload.data, (size_t)block.payload_bytes, catalog, NULL);
    dms_buffer_free(&payload);
    return status;
}

static int read_from_manifest(const char *path, struct dms_schema **schema)
{
    struct dms_buffer payload = {0};
    struct dms_segment_fields fields;
    struct dms_catalog catalog = {0};
    uint64_t extent;
    int descriptor = dms_open(path, O_RDONLY, 0);
    if (descriptor < 0) {
        return descriptor;
    }
    int status = dms_segment_read_fields(descriptor, path, 0, &payload, &fields, &extent);
    if (status == 0 && fields.kind != DMS_SEGMENT_MANIFEST) {
        status = dms_fail(DMS_ERR_INVALID, "'%s' is neither a store nor a manifest", path);
    }
    status = status ? status : read_state(descriptor, path, extent, &catalog);
    if (status == 0) {
        *schema = catalog.schema;
        catalog.schema = NULL;
    }
    dms_catalog_clear(&catalog);
    dms_buffer_free(&payload);
    dms_close(descriptor);
    return status;
}

int dms_schema_read(const char *path, struct dms_schema **schema)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        return dms_fail_errno("cannot open store '%s'", path);
    }
    return S_ISDIR(info.st_mode) ? read_from_store(path, schema) : read_from_manifest(path, schema);
}
