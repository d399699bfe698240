/*
 * Fuzz target: the edits of a commit. Each is decoded, encoded to the same bytes again, and applied
 * to a catalog; what the catalog has become is encoded and decoded, too.
 */
#include "fuzz.h"

#include "base/buffer.h"
#include "format/edit.h"
#include "format/schema.h"
#include "format/state.h"

#include <string.h>

enum { SEGMENT = 3 };

/* A catalog with a schema and the segment that the commit is in. */
static void begin_catalog(struct dms_catalog *catalog)
{
    struct dms_segment_record segment = {.number = SEGMENT, .kind = DMS_SEGMENT_LOG};
    struct dms_schema request = {.example_ct = 10};

    require(dms_schema_prepare(&request, &catalog->schema) == 0);
    require(dms_catalog_add_segment(catalog, &segment) == 0);
}

static void check_catalog(const struct dms_catalog *catalog)
{
    struct dms_buffer encoded = {0}, again = {0};
    struct dms_catalog decoded = {0};

    require(dms_catalog_encode(catalog, 1, NULL, &encoded) == 0);
    require(dms_catalog_decode(encoded.data, encoded.size, &decoded, NULL) == 0);
    require(dms_catalog_encode(&decoded, 1, NULL, &again) == 0);
    require(again.size == encoded.size && memcmp(again.data, encoded.data, encoded.size) == 0);
    dms_catalog_clear(&decoded);
    dms_buffer_free(&encoded);
    dms_buffer_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dms_buffer encoded = {0};
    struct dms_catalog catalog = {0};
    struct dms_edit edit;
    size_t at = 0, before = 0;
    int applied = 0;

    begin_catalog(&catalog);
    while (applied == 0 && dms_edit_next(data, size, &at, &edit) == 1) {
        dms_buffer_clear(&encoded);
        require(dms_edit_encode(&edit, &encoded) == 0);
        require(encoded.size == at - before &&
                memcmp(encoded.data, data + before, encoded.size) == 0);
        before = at;
        applied = dms_catalog_apply(&catalog, &edit, SEGMENT);
    }
    if (applied == 0)
        check_catalog(&catalog);
    dms_catalog_clear(&catalog);
    dms_buffer_free(&encoded);
    return 0;
}
