/*
 * Fuzz target: headers of fits, parts of fits, and their records. The first byte says which. What
 * is accepted is encoded to the same bytes again, and nothing of a part that passed leads outside
 * of it.
 */
#include "fuzz.h"

#include "base/buffer.h"
#include "format/fit.h"
#include "format/fit_record.h"

#include <string.h>

static void require_same(struct dms_buffer *again, const uint8_t *data, size_t size)
{
    require(again->size == size && memcmp(again->data, data, size) == 0);
    dms_buffer_free(again);
}

static void fuzz_header(const uint8_t *data, size_t size)
{
    struct dms_fit_header *header, *copy;
    struct dms_buffer again = {0};

    if (dms_fit_header_decode(data, size, &header) != 0)
        return;
    require(dms_fit_header_copy(header, &copy) == 0);
    require(dms_fit_header_compare(header, copy) == 0);
    require(dms_fit_header_encode(copy, &again) == 0);
    require_same(&again, data, size);
    free(header);
    free(copy);
}

/* Reads all that a target points to. */
static uint64_t sum_target(const struct dms_fitted_target *target, uint64_t example_ct)
{
    uint64_t sum = 0, bits;

    for (size_t k = 0; k < target->weight_ct; k++) {
        require(target->examples[k] < example_ct);
        memcpy(&bits, &target->weights[k], sizeof(bits));
        sum += bits;
    }
    for (size_t k = 0; k < target->path_ct; k++) {
        memcpy(&bits, &target->path_lambdas[k], sizeof(bits));
        sum += bits + target->path_weight_cts[k];
        memcpy(&bits, &target->path_errors[k], sizeof(bits));
        sum += bits;
        memcpy(&bits, &target->path_gaps[k], sizeof(bits));
        sum += bits;
    }
    return sum;
}

/* Encodes a part that was found right from its targets. */
static void encode_again(const struct dms_fit_part_view *view,
                         const struct dms_fitted_target *targets, const uint8_t *data, size_t size)
{
    const struct dms_fitted_target **pointers = malloc(view->target_ct * sizeof(*pointers));
    struct dms_fit_header header = {
        .name = "f", .example_ct = view->example_ct, .target_ct = view->column_target_ct};
    struct dms_fit_part_content content = {.header_hash = view->header_hash,
                                           .header = &header,
                                           .provenance_ct = view->provenance_ct,
                                           .target_ct = (size_t)view->target_ct};
    struct dms_metadata *provenance;
    uint64_t bytes;
    uint8_t *payload;

    require(pointers != NULL);
    for (size_t k = 0; k < view->target_ct; k++)
        pointers[k] = &targets[k];
    require(dms_fit_part_view_provenance(view, &provenance) == 0);
    content.provenance = provenance;
    content.targets = pointers;
    require(dms_fit_part_measure(&content, &bytes) == 0 && bytes == size);
    payload = malloc(size);
    require(payload != NULL);
    dms_fit_part_encode(&content, payload, size);
    require(memcmp(payload, data, size) == 0);
    free(payload);
    free(provenance);
    free(pointers);
}

static void fuzz_part(const uint8_t *data, size_t size)
{
    struct dms_fit_part_view view;
    uint8_t *payload = aligned_alloc(64, (size + 64) / 64 * 64);
    struct dms_fitted_target *targets = NULL;
    uint64_t sum = 0;

    require(payload != NULL);
    memcpy(payload, data, size);
    if (dms_fit_part_view(payload, size, &view) != 0)
        goto out;
    targets = malloc(view.target_ct * sizeof(*targets));
    require(targets != NULL);
    for (size_t k = 0; k < view.target_ct; k++) {
        dms_fit_part_view_target(&view, k, &targets[k]);
        sum += sum_target(&targets[k], view.example_ct);
    }
    if (dms_fit_part_check(payload, &view) == 0)
        encode_again(&view, targets, payload, size);
    require(sum != 1 || size > 0); /* the sum is used */
out:
    free(targets);
    free(payload);
}

static void fuzz_record(const uint8_t *data, size_t size)
{
    struct dms_cursor cursor = dms_cursor_begin(data, size);
    struct dms_fit_record record = {0};
    struct dms_buffer again = {0};

    if (dms_fit_record_decode(&cursor, &record) != 0)
        return;
    require(dms_fit_record_encode(&record, &again) == 0);
    require_same(&again, data, cursor.at);
    dms_fit_record_clear(&record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const targets[])(const uint8_t *, size_t) = {fuzz_header, fuzz_part, fuzz_record};

    if (size > 0)
        targets[data[0] % (sizeof(targets) / sizeof(targets[0]))](data + 1, size - 1);
    return 0;
}
