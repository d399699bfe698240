/*
 * Parts of fits (SPEC.md section 10.2): which array stands where in a payload, writing one, and
 * looking at one in place. See fit.h.
 *
 * The arrays are lent as they lie in the file, so that this is for little-endian machines.
 */
#include "format/fit.h"

#include "base/alloc.h"
#include "base/endian.h"
#include "base/error.h"
#include "format/layout.h"
#include "format/pairs.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "parts of fits are used in place");
_Static_assert(sizeof(double) == 8, "doubles are IEEE 754 binary64");

enum { FIXED_BYTES = 64, SECTION_ALIGNMENT = 64 };

#define FLAGS_KNOWN                                                                   \
    ((uint32_t)DMS_FITTED_UNCERTIFIED | DMS_FITTED_CONSTANT | DMS_FITTED_PATH_ENDED | \
     DMS_FITTED_LAST_LAMBDA | DMS_FITTED_REFITTED | DMS_FITTED_ESTIMATED | DMS_FITTED_NO_BIAS)

/* ---- sections ---- */

enum section {
    TARGETS,
    FLAGS,
    CHOSEN,
    BIASES,
    LAMBDAS,
    GAPS,
    NULL_DEVIANCES,
    MEANS,
    ROW_CTS,
    WEIGHT_BEGINS,
    PATH_BEGINS,
    EXAMPLES,
    WEIGHTS,
    PATH_LAMBDAS,
    PATH_ERRORS,
    PATH_GAPS,
    PATH_WEIGHT_CTS,
    SECTION_CT
};

/* What a section has an entry for. */
enum section_of { A_TARGET, A_BOUND, A_WEIGHT, A_LAMBDA };

static const struct {
    uint8_t entry_bytes;
    uint8_t of; /* enum section_of */
} sections[SECTION_CT] = {
    [TARGETS] = {8, A_TARGET},         [FLAGS] = {4, A_TARGET},
    [CHOSEN] = {4, A_TARGET},          [BIASES] = {8, A_TARGET},
    [LAMBDAS] = {8, A_TARGET},         [GAPS] = {8, A_TARGET},
    [NULL_DEVIANCES] = {8, A_TARGET},  [MEANS] = {8, A_TARGET},
    [ROW_CTS] = {8, A_TARGET},         [WEIGHT_BEGINS] = {8, A_BOUND},
    [PATH_BEGINS] = {8, A_BOUND},      [EXAMPLES] = {4, A_WEIGHT},
    [WEIGHTS] = {8, A_WEIGHT},         [PATH_LAMBDAS] = {8, A_LAMBDA},
    [PATH_ERRORS] = {8, A_LAMBDA},     [PATH_GAPS] = {8, A_LAMBDA},
    [PATH_WEIGHT_CTS] = {4, A_LAMBDA},
};

struct layout {
    uint64_t begins[SECTION_CT];
    uint64_t ends[SECTION_CT];
};

/* Where everything stands. false: more than a segment holds, which keeps all sums in range. */
static bool layout_make(uint64_t target_ct, uint64_t weight_ct, uint64_t path_ct,
                        uint64_t provenance_bytes, struct layout *layout)
{
    uint64_t limit = DMS_SEGMENT_BYTES_MAX / 2; /* beside a segment's other blocks */
    if (target_ct > limit / 8 || weight_ct > limit / 8 || path_ct > limit / 8 ||
        provenance_bytes > limit) {
        return false;
    }
    const uint64_t counts[] = {
        [A_TARGET] = target_ct,
        [A_BOUND] = target_ct + 1,
        [A_WEIGHT] = weight_ct,
        [A_LAMBDA] = path_ct,
    };
    uint64_t at = FIXED_BYTES + provenance_bytes;
    for (int k = 0; k < SECTION_CT; k++) {
        layout->begins[k] = dms_align(at, SECTION_ALIGNMENT);
        at = layout->begins[k] + counts[sections[k].of] * sections[k].entry_bytes;
        layout->ends[k] = at;
    }
    return at <= limit;
}

/* ---- rules of a target ---- */

static int target_fail(const struct dms_fit_header *header, const struct dms_fitted_target *target,
                       const char *what)
{
    return dms_fail(DMS_ERR_INVALID, "fit '%s', target %" PRIu64 ": %s", header->name,
                    target->target, what);
}

/* What is wrong with the weights, or NULL. */
static const char *weights_check(uint64_t example_ct, const struct dms_fitted_target *target)
{
    for (size_t k = 0; k < target->weight_ct; k++) {
        if (target->examples[k] >= example_ct) {
            return "a weight is for an example that there is not";
        }
        if (k > 0 && target->examples[k] <= target->examples[k - 1]) {
            return "examples are not increasing";
        }
        if (!isfinite(target->weights[k]) || target->weights[k] == 0) {
            return "a weight is 0 or not finite";
        }
    }
    return NULL;
}

/* What is wrong with the path, or NULL. A gap that was not computed is NaN, as an error is where
 * there are no validation rows. */
static const char *path_check(uint64_t example_ct, const struct dms_fitted_target *target)
{
    if (target->path_ct == 0 ? target->chosen != 0 : target->chosen >= target->path_ct) {
        return "the chosen lambda is not on the path";
    }
    for (size_t k = 0; k < target->path_ct; k++) {
        if (!isfinite(target->path_lambdas[k]) || target->path_lambdas[k] <= 0 ||
            (k > 0 && target->path_lambdas[k] >= target->path_lambdas[k - 1])) {
            return "lambdas of the path are not positive and decreasing";
        }
        if (target->path_errors[k] < 0 || target->path_gaps[k] < 0) {
            return "an error or a gap of the path is negative";
        }
        if (target->path_weight_cts[k] > example_ct) {
            return "a lambda of the path has more weights than there are examples";
        }
    }
    return NULL;
}

/* What is wrong with a target, or NULL. */
static const char *target_check(uint64_t example_ct, uint64_t column_target_ct,
                                const struct dms_fitted_target *target)
{
    if (target->target >= column_target_ct) {
        return "the output has no such target";
    }
    if ((target->flags & ~FLAGS_KNOWN) != 0) {
        return "it has a flag that is not known";
    }
    if (!isfinite(target->bias) || !isfinite(target->mean)) {
        return "bias or mean is not finite";
    }
    if (!isfinite(target->lambda) || target->lambda < 0 || !isfinite(target->null_deviance) ||
        target->null_deviance < 0 || !isfinite(target->gap) || target->gap < 0) {
        return "lambda, gap or null deviance is negative or not finite";
    }
    const char *what = weights_check(example_ct, target);
    return what ? what : path_check(example_ct, target);
}

int dms_fitted_target_check(const struct dms_fit_header *header,
                            const struct dms_fitted_target *target)
{
    const char *what = target_check(header->example_ct, header->target_ct, target);
    return what ? target_fail(header, target, what) : 0;
}

/* ---- encoding ---- */

static void count_entries(const struct dms_fit_part_content *content, uint64_t *weight_ct,
                          uint64_t *path_ct)
{
    *weight_ct = 0;
    *path_ct = 0;
    for (size_t k = 0; k < content->target_ct; k++) {
        *weight_ct += content->targets[k]->weight_ct;
        *path_ct += content->targets[k]->path_ct;
    }
}

static uint64_t provenance_measure(const struct dms_fit_part_content *content)
{
    uint64_t bytes = 0;
    for (size_t k = 0; k < content->provenance_ct; k++) {
        bytes += dms_align(
            8 + strlen(content->provenance[k].key) + strlen(content->provenance[k].value), 8);
    }
    return bytes;
}

static int part_layout(const struct dms_fit_part_content *content, struct layout *layout)
{
    uint64_t weight_ct;
    uint64_t path_ct;
    count_entries(content, &weight_ct, &path_ct);
    return layout_make(content->target_ct, weight_ct, path_ct, provenance_measure(content), layout)
               ? 0
               : dms_fail(DMS_ERR_INVALID,
                          "fit '%s': %zu targets with %" PRIu64
                          " weights are too much for one part: fit fewer targets in a job",
                          content->header->name, content->target_ct, weight_ct);
}

int dms_fit_part_measure(const struct dms_fit_part_content *content, uint64_t *bytes)
{
    struct layout layout;
    int status = part_layout(content, &layout);
    if (status == 0) {
        *bytes = layout.ends[SECTION_CT - 1];
    }
    return status;
}

static void pairs_write(const struct dms_fit_part_content *content, uint8_t *at)
{
    for (size_t k = 0; k < content->provenance_ct; k++) {
        size_t key_bytes = strlen(content->provenance[k].key);
        size_t value_bytes = strlen(content->provenance[k].value);
        dms_store_u32(at, (uint32_t)key_bytes);
        dms_store_u32(at + 4, (uint32_t)value_bytes);
        memcpy(at + 8, content->provenance[k].key, key_bytes);
        memcpy(at + 8 + key_bytes, content->provenance[k].value, value_bytes);
        at += dms_align(8 + key_bytes + value_bytes, 8);
    }
}

static void fixed_write(const struct dms_fit_part_content *content, uint8_t *payload)
{
    uint64_t weight_ct;
    uint64_t path_ct;
    count_entries(content, &weight_ct, &path_ct);
    dms_store_u64(payload, content->header_hash.low);
    dms_store_u64(payload + 8, content->header_hash.high);
    dms_store_u64(payload + 16, content->header->example_ct);
    dms_store_u64(payload + 24, content->header->target_ct);
    dms_store_u64(payload + 32, content->target_ct);
    dms_store_u64(payload + 40, weight_ct);
    dms_store_u64(payload + 48, path_ct);
    dms_store_u32(payload + 56, (uint32_t)content->provenance_ct);
    dms_store_u32(payload + 60, (uint32_t)provenance_measure(content));
    pairs_write(content, payload + FIXED_BYTES);
}

/* Where entry `index` of a section goes. */
static uint8_t *entry_at(uint8_t *payload, const struct layout *layout, enum section section,
                         uint64_t index)
{
    return payload + layout->begins[section] + index * sections[section].entry_bytes;
}

static void f64_write(uint8_t *to, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    dms_store_u64(to, bits);
}

/* Writes an array as the machine has it, which is how it is read. */
static void array_write(uint8_t *payload, const struct layout *layout, enum section section,
                        uint64_t index, const void *entries, size_t entry_ct)
{
    if (entry_ct > 0) {
        memcpy(entry_at(payload, layout, section, index), entries,
               entry_ct * sections[section].entry_bytes);
    }
}

static void scalars_write(uint8_t *payload, const struct layout *layout, size_t k,
                          const struct dms_fitted_target *target)
{
    dms_store_u64(entry_at(payload, layout, TARGETS, k), target->target);
    dms_store_u32(entry_at(payload, layout, FLAGS, k), target->flags);
    dms_store_u32(entry_at(payload, layout, CHOSEN, k), (uint32_t)target->chosen);
    f64_write(entry_at(payload, layout, BIASES, k), target->bias);
    f64_write(entry_at(payload, layout, LAMBDAS, k), target->lambda);
    f64_write(entry_at(payload, layout, GAPS, k), target->gap);
    f64_write(entry_at(payload, layout, NULL_DEVIANCES, k), target->null_deviance);
    f64_write(entry_at(payload, layout, MEANS, k), target->mean);
    dms_store_u64(entry_at(payload, layout, ROW_CTS, k), target->row_ct);
}

void dms_fit_part_encode(const struct dms_fit_part_content *content, uint8_t *payload, size_t bytes)
{
    struct layout layout;
    uint64_t weight_at = 0;
    uint64_t path_at = 0;
    (void)part_layout(content, &layout); /* it was measured: it fits */
    memset(payload, 0, bytes);
    fixed_write(content, payload);
    for (size_t k = 0; k < content->target_ct; k++) {
        const struct dms_fitted_target *target = content->targets[k];
        scalars_write(payload, &layout, k, target);
        dms_store_u64(entry_at(payload, &layout, WEIGHT_BEGINS, k), weight_at);
        dms_store_u64(entry_at(payload, &layout, PATH_BEGINS, k), path_at);
        size_t weight_ct = target->weight_ct;
        array_write(payload, &layout, EXAMPLES, weight_at, target->examples, weight_ct);
        array_write(payload, &layout, WEIGHTS, weight_at, target->weights, weight_ct);
        size_t path_ct = target->path_ct;
        array_write(payload, &layout, PATH_LAMBDAS, path_at, target->path_lambdas, path_ct);
        array_write(payload, &layout, PATH_ERRORS, path_at, target->path_errors, path_ct);
        array_write(payload, &layout, PATH_GAPS, path_at, target->path_gaps, path_ct);
        array_write(payload, &layout, PATH_WEIGHT_CTS, path_at, target->path_weight_cts, path_ct);
        weight_at += weight_ct;
        path_at += path_ct;
    }
    dms_store_u64(entry_at(payload, &layout, WEIGHT_BEGINS, content->target_ct), weight_at);
    dms_store_u64(entry_at(payload, &layout, PATH_BEGINS, content->target_ct), path_at);
}

/* ---- looking at a payload ---- */

static int fail_malformed(const char *what)
{
    return dms_fail(DMS_ERR_CORRUPT, "part of a fit is malformed: %s", what);
}

static void view_arrays(const uint8_t *payload, const struct layout *layout,
                        struct dms_fit_part_view *view)
{
    const void *arrays[SECTION_CT];
    for (int k = 0; k < SECTION_CT; k++) {
        arrays[k] = payload + layout->begins[k];
    }
    view->targets = arrays[TARGETS];
    view->flags = arrays[FLAGS];
    view->chosen = arrays[CHOSEN];
    view->biases = arrays[BIASES];
    view->lambdas = arrays[LAMBDAS];
    view->gaps = arrays[GAPS];
    view->null_deviances = arrays[NULL_DEVIANCES];
    view->means = arrays[MEANS];
    view->row_cts = arrays[ROW_CTS];
    view->weight_begins = arrays[WEIGHT_BEGINS];
    view->path_begins = arrays[PATH_BEGINS];
    view->examples = arrays[EXAMPLES];
    view->weights = arrays[WEIGHTS];
    view->path_lambdas = arrays[PATH_LAMBDAS];
    view->path_errors = arrays[PATH_ERRORS];
    view->path_gaps = arrays[PATH_GAPS];
    view->path_weight_cts = arrays[PATH_WEIGHT_CTS];
}

/* Positions that begin at 0, do not decrease, and end at `end`. */
static bool are_bounds(const uint64_t *begins, uint64_t target_ct, uint64_t end)
{
    bool are = begins[0] == 0 && begins[target_ct] == end;
    for (uint64_t k = 0; k < target_ct; k++) {
        are &= begins[k] <= begins[k + 1];
    }
    return are;
}

/* Targets and positions in order, and examples that there are. */
static int view_check(const struct dms_fit_part_view *view)
{
    bool is_ordered = true;
    uint32_t largest = 0;
    for (uint64_t k = 1; k < view->target_ct; k++) {
        is_ordered &= view->targets[k - 1] < view->targets[k];
    }
    if (!is_ordered || view->targets[view->target_ct - 1] >= view->column_target_ct) {
        return fail_malformed("its targets are not increasing, or out of range");
    }
    if (!are_bounds(view->weight_begins, view->target_ct, view->weight_ct) ||
        !are_bounds(view->path_begins, view->target_ct, view->path_ct)) {
        return fail_malformed("its targets have weights or lambdas out of range");
    }
    for (uint64_t k = 0; k < view->weight_ct; k++) {
        largest = view->examples[k] > largest ? view->examples[k] : largest;
    }
    return view->weight_ct > 0 && largest >= view->example_ct
               ? fail_malformed("a weight is for an example that there is not")
               : 0;
}

int dms_fit_part_view(const uint8_t *payload, size_t bytes, struct dms_fit_part_view *view)
{
    struct layout layout;
    if (bytes < FIXED_BYTES) {
        return fail_malformed("it is too short");
    }
    struct dms_fit_part_view made = {
        .header_hash = {dms_load_u64(payload), dms_load_u64(payload + 8)},
        .example_ct = dms_load_u64(payload + 16),
        .column_target_ct = dms_load_u64(payload + 24),
        .target_ct = dms_load_u64(payload + 32),
        .weight_ct = dms_load_u64(payload + 40),
        .path_ct = dms_load_u64(payload + 48),
        .provenance_ct = dms_load_u32(payload + 56),
        .provenance_bytes = dms_load_u32(payload + 60),
        .provenance = payload + FIXED_BYTES,
    };
    if (made.target_ct == 0 || made.example_ct == 0 || made.example_ct > DMS_EXAMPLE_CT_MAX ||
        made.provenance_ct > made.provenance_bytes / 8 || made.provenance_bytes % 8 != 0 ||
        !layout_make(made.target_ct, made.weight_ct, made.path_ct, made.provenance_bytes,
                     &layout) ||
        layout.ends[SECTION_CT - 1] != bytes) {
        return fail_malformed("its lengths do not fit together");
    }
    view_arrays(payload, &layout, &made);
    int status = view_check(&made);
    if (status == 0) {
        *view = made;
    }
    return status;
}

void dms_fit_part_view_target(const struct dms_fit_part_view *view, size_t position,
                              struct dms_fitted_target *target)
{
    uint64_t weight_begin = view->weight_begins[position];
    uint64_t path_begin = view->path_begins[position];
    *target = (struct dms_fitted_target){
        .target = view->targets[position],
        .flags = view->flags[position],
        .bias = view->biases[position],
        .lambda = view->lambdas[position],
        .gap = view->gaps[position],
        .null_deviance = view->null_deviances[position],
        .mean = view->means[position],
        .row_ct = view->row_cts[position],
        .weight_ct = (size_t)(view->weight_begins[position + 1] - weight_begin),
        .examples = view->examples + weight_begin,
        .weights = view->weights + weight_begin,
        .path_ct = (size_t)(view->path_begins[position + 1] - path_begin),
        .chosen = view->chosen[position],
        .path_lambdas = view->path_lambdas + path_begin,
        .path_errors = view->path_errors + path_begin,
        .path_gaps = view->path_gaps + path_begin,
        .path_weight_cts = view->path_weight_cts + path_begin,
    };
}

/* The bytes between provenance and sections, and between sections, are zero. */
static bool is_padded(const uint8_t *payload, const struct dms_fit_part_view *view)
{
    struct layout layout;
    uint64_t at = FIXED_BYTES + view->provenance_bytes;
    bool is = layout_make(view->target_ct, view->weight_ct, view->path_ct, view->provenance_bytes,
                          &layout);
    for (int k = 0; is && k < SECTION_CT; k++) {
        for (; at < layout.begins[k]; at++) {
            is &= payload[at] == 0;
        }
        at = layout.ends[k];
    }
    return is;
}

int dms_fit_part_check(const uint8_t *payload, const struct dms_fit_part_view *view)
{
    struct dms_metadata *provenance;
    if (!is_padded(payload, view)) {
        return fail_malformed("bytes between its arrays are not zero");
    }
    for (size_t k = 0; k < view->target_ct; k++) {
        struct dms_fitted_target target;
        dms_fit_part_view_target(view, k, &target);
        const char *what = target_check(view->example_ct, view->column_target_ct, &target);
        if (what) {
            return dms_fail(DMS_ERR_CORRUPT, "part of a fit, target %" PRIu64 ": %s", target.target,
                            what);
        }
    }
    int status = dms_fit_part_view_provenance(view, &provenance);
    if (status == 0) {
        free(provenance);
    }
    return status;
}

int dms_fit_part_view_provenance(const struct dms_fit_part_view *view,
                                 struct dms_metadata **provenance)
{
    struct dms_cursor cursor = dms_cursor_begin(view->provenance, view->provenance_bytes);
    size_t pair_ct = view->provenance_ct;
    struct dms_metadata *made =
        dms_alloc(pair_ct * sizeof *made + view->provenance_bytes + 2 * pair_ct, 1);
    if (!made) {
        return DMS_ERR_NO_MEMORY;
    }
    char *room = (char *)(made + pair_ct);
    dms_pairs_read(&cursor, pair_ct, made, &room);
    if (!dms_cursor_ended_well(&cursor) || dms_pairs_check(made, pair_ct, "provenance") != 0) {
        free(made);
        return dms_fail(DMS_ERR_CORRUPT, "provenance of a part of a fit is malformed");
    }
    *provenance = made;
    return 0;
}
