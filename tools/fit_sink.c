/*
 * Parts of a fit on their way to the store; see fit_sink.h.
 */
#include "fit_sink.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "json.h"
#include "report.h"

/* A part is stored when it has so many weights, 12 bytes each; while it is, they are there twice.
 */
#define PART_WEIGHTS (UINT64_C(8) << 20)

static int create_part(struct fit_sink *sink)
{
    struct provenance said = *sink->provenance;
    int code;

    /* The texts of the copy are its own. */
    for (size_t i = 0; i < said.pair_ct; i++)
        said.pairs[i].value = said.texts[i];
    provenance_say_job(&said, sink->command_line, sink->started);
    code = dms_fit_part_create(sink->header, said.pairs, said.pair_ct, &sink->part);
    sink->part_weight_ct = 0;
    return code;
}

static int store_part(struct fit_sink *sink)
{
    dms_store *store = NULL;
    uint64_t added_ct = 0;
    int code = dms_store_open(sink->store, &store);

    if (code == 0)
        code = dms_store_merge_fit(store, sink->part, &added_ct);
    dms_store_close(store);
    if (code == DMS_ERR_CONFLICT) /* where it EXISTS, the message says so */
        return tool_advise_other_name(code);
    if (code < 0)
        return code;
    sink->stored_ct += dms_fit_part_target_ct(sink->part);
    sink->added_ct += added_ct;
    dms_fit_part_free(sink->part);
    sink->part = NULL;
    return 0;
}

int fit_sink_check(const char *path)
{
    dms_store *store = NULL;
    int code = dms_store_open(path, &store);

    dms_store_close(store);
    return code;
}

int fit_sink_add(struct fit_sink *sink, const struct dms_fitted_target *target)
{
    int code = sink->part ? 0 : create_part(sink);

    if (code == 0)
        code = dms_fit_part_add(sink->part, target);
    if (code < 0)
        return code;
    sink->target_ct++;
    sink->weight_ct += target->weight_ct;
    sink->without_bias_ct += (target->flags & DMS_FITTED_NO_BIAS) != 0;
    sink->part_weight_ct += target->weight_ct;
    return sink->part_weight_ct >= PART_WEIGHTS ? store_part(sink) : 0;
}

int fit_sink_end(struct fit_sink *sink, int code)
{
    if (code == 0 && sink->part)
        code = store_part(sink);
    dms_fit_part_free(sink->part);
    sink->part = NULL;
    if (code < 0 && sink->stored_ct > 0)
        return dms_source_fail(code,
                               "%s (%" PRIu64 " target%s of fit %s stored already; dmstore rm-fit "
                               "removes it)",
                               dms_error_message(), sink->stored_ct,
                               sink->stored_ct == 1 ? " is" : "s are", sink->header->name);
    return code;
}

void fit_sink_print(const struct fit_sink *sink)
{
    const struct dms_fit_header *header = sink->header;
    char targets[TOOL_HUMAN_BYTES], weights[TOOL_HUMAN_BYTES], training[TOOL_HUMAN_BYTES];
    char held_out[TOOL_HUMAN_BYTES];

    printf("%s: fit %s, %s target%s of %s with %s weight%s", sink->store, header->name,
           tool_human_count(sink->target_ct, targets), tool_plural(sink->target_ct), header->output,
           tool_human_count(sink->weight_ct, weights), tool_plural(sink->weight_ct));
    if (sink->added_ct < sink->target_ct)
        printf(", %" PRIu64 " there already", sink->target_ct - sink->added_ct);
    printf(
        "; %s training model%s, %s held out\n", tool_human_count(header->training.row_ct, training),
        tool_plural(header->training.row_ct), tool_human_count(header->held_out.row_ct, held_out));
    if (sink->without_bias_ct > 0)
        printf("%s target%s without a bias: only LDS is scored\n",
               tool_human_count(sink->without_bias_ct, targets),
               tool_plural(sink->without_bias_ct));
}

void fit_sink_print_json(const struct fit_sink *sink)
{
    const struct dms_fit_header *header = sink->header;
    struct json_writer json;

    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_text(&json, "store", sink->store);
    json_text(&json, "fit", header->name);
    json_text(&json, "method", dms_fit_method(header));
    json_text(&json, "output", header->output);
    json_u64(&json, "targets", sink->target_ct);
    json_u64(&json, "added", sink->added_ct);
    json_u64(&json, "examples", header->example_ct);
    json_u64(&json, "weights", sink->weight_ct);
    json_u64(&json, "without_bias", sink->without_bias_ct);
    json_u64(&json, "training", header->training.row_ct);
    json_u64(&json, "validation", header->validation.row_ct);
    json_u64(&json, "held_out", header->held_out.row_ct);
    json_object_close(&json);
    json_end(&json);
}
