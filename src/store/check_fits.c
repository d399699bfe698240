/*
 * The content of fit blocks and part blocks: see check_parts.h.
 */
#include "store/check_parts.h"

#include "base/error.h"
#include "format/fit.h"
#include "format/ids.h"
#include "store/scan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The fit that a live block is of; NULL for a dead block. */
static const struct dms_fit_record *fit_of(const struct dms_check *check,
                                           const struct dms_reference *reference)
{
    return reference ? &check->catalog->fits[reference->container] : NULL;
}

int dms_check_fit(struct dms_check *check, const struct dms_survey_file *file,
                  const struct dms_found_block *found, const struct dms_reference *reference)
{
    const struct dms_fit_record *record = fit_of(check, reference);
    struct dms_block block;
    struct dms_fit_header *header = NULL;
    uint8_t *payload = NULL;
    int status = dms_survey_read_header(file, found, &block);
    status = status ? status : dms_survey_read_payload(file, &block, &payload);
    status = status ? status : dms_fit_header_decode(payload, (size_t)block.payload_bytes, &header);
    if (status == 0 && header->example_ct != check->catalog->schema->example_ct) {
        status = dms_fail(DMS_ERR_CORRUPT, "fit '%s' has another number of examples than the store",
                          header->name);
    }
    if (status == 0 && record &&
        (record->number != block.fit || strcmp(record->name, header->name) != 0)) {
        status = dms_fail(DMS_ERR_CORRUPT, "its record is that of fit '%s'", record->name);
    }
    free(header);
    free(payload);
    return status;
}

/* The hash by which parts name their fit; of the block that the record refers to. */
static int read_header_hash(const struct dms_check *check, const struct dms_fit_record *record,
                            struct dms_hash128 *hash)
{
    const struct dms_survey_file *file = dms_survey_file(check->survey, record->segment);
    const struct dms_found_block *found = file ? dms_survey_block(file, record->offset) : NULL;
    struct dms_block block;
    uint8_t *payload = NULL;
    if (!found || found->type != DMS_BLOCK_FIT) {
        return DMS_END; /* that is reported as what it is */
    }
    int status = dms_survey_read_header(file, found, &block);
    status = status ? status : dms_survey_read_payload(file, &block, &payload);
    if (status == 0) {
        *hash = dms_hash128(payload, (size_t)block.payload_bytes);
    }
    free(payload);
    return dms_is_damage(status) ? DMS_END : status;
}

/* Whether a part has exactly the targets that its record says. */
static bool has_targets(const struct dms_fit_part_record *record,
                        const struct dms_fit_part_view *view)
{
    struct dms_ids_iterator iterator =
        dms_ids_begin(record->runs, record->run_bytes, record->target_ct);
    struct dms_id_span span;
    bool has = view->target_ct == record->target_ct;
    while (has && dms_ids_next(&iterator, &span) > 0) {
        has = view->targets[span.row] == span.first &&
              view->targets[span.row + span.count - 1] == span.first + span.count - 1;
    }
    return has;
}

/* Holds a live part against its record and its fit. */
static int check_record(const struct dms_check *check, const struct dms_reference *reference,
                        const struct dms_block *block, const struct dms_fit_part_view *view)
{
    const struct dms_fit_record *fit = fit_of(check, reference);
    const struct dms_fit_part_record *record = &fit->parts[reference->part];
    struct dms_hash128 hash;
    if (block->fit_part.fit != fit->number || block->fit_part.part != record->number ||
        !has_targets(record, view)) {
        return dms_fail(DMS_ERR_CORRUPT, "its record is that of another part of fit '%s'",
                        fit->name);
    }
    int status = read_header_hash(check, fit, &hash);
    if (status == 0 && (hash.low != view->header_hash.low || hash.high != view->header_hash.high)) {
        status = dms_fail(DMS_ERR_CORRUPT, "it is not a part of fit '%s'", fit->name);
    }
    return status == DMS_END ? 0 : status;
}

static int check_part(const struct dms_check *check, const struct dms_block *block,
                      const uint8_t *payload, const struct dms_reference *reference)
{
    struct dms_fit_part_view view;
    int status = dms_fit_part_view(payload, (size_t)block->payload_bytes, &view);
    status = status ? status : dms_fit_part_check(payload, &view);
    if (status == 0 && (block->fit_part.target_ct != view.target_ct ||
                        block->fit_part.first_target != view.targets[0] ||
                        block->fit_part.last_target != view.targets[view.target_ct - 1] ||
                        view.example_ct != check->catalog->schema->example_ct)) {
        status = dms_fail(DMS_ERR_CORRUPT, "its header and its content disagree");
    }
    return status == 0 && reference ? check_record(check, reference, block, &view) : status;
}

int dms_check_fit_part(struct dms_check *check, const struct dms_survey_file *file,
                       const struct dms_found_block *found, const struct dms_reference *reference)
{
    struct dms_block block;
    uint8_t *payload = NULL;
    int status = dms_survey_read_header(file, found, &block);
    if (status != 0) {
        return status;
    }
    if (!check->decode) {
        status = dms_scan_check_payload(file->descriptor, file->path, &block);
    } else {
        status = dms_survey_read_payload(file, &block, &payload);
        status = status ? status : check_part(check, &block, payload, reference);
    }
    check->chunk_ct++;
    free(payload);
    return dms_is_damage(status) && reference
               ? dms_fail_prefix(status, "part of fit '%s'", fit_of(check, reference)->name)
               : status;
}
