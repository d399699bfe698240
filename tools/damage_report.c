/*
 * Prints damaged places as text or JSON and gathers the models that are lost; see damage_report.h.
 */
#include "damage_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

int damage_report_json_ids(struct json_writer *json, const char *key,
                           const struct id_ranges *ranges)
{
    char *text = id_ranges_text(ranges);

    if (!text)
        return DMS_ERR_NO_MEMORY;
    json_text(json, key, text);
    free(text);
    return 0;
}

static int write_json(struct json_writer *json, const struct dms_damage *damage,
                      const struct id_ranges *lost, const struct id_ranges *targets)
{
    int code;

    json_object_open(json, NULL);
    json_text(json, "file", damage->path);
    json_u64(json, "offset", damage->offset);
    json_u64(json, "bytes", damage->bytes);
    json_text(json, "what", damage->what);
    if (damage->has_group)
        json_u64(json, "group", damage->group);
    if (damage->column)
        json_text(json, "column", damage->column);
    code = damage_report_json_ids(json, "lost_ids", lost);
    if (code == 0 && damage->fit) {
        json_text(json, "fit", damage->fit);
        code = damage_report_json_ids(json, "lost_targets", targets);
    }
    json_object_close(json);
    return code;
}

static void write_text(const struct dms_damage *damage, const struct id_ranges *lost,
                       const struct id_ranges *targets)
{
    fputs(damage->path, stdout);
    if (damage->bytes > 0) /* 0: it is no place in a file, such as a commit that is missing */
        printf(": at offset %" PRIu64 ", %" PRIu64 " bytes", damage->offset, damage->bytes);
    printf(": %s\n", damage->what);
    if (lost->item_ct > 0) {
        fputs("  models to train again: ", stdout);
        id_ranges_print(lost, stdout);
        putchar('\n');
    }
    if (damage->fit) {
        printf("  targets of fit %s to fit again: ", damage->fit);
        if (targets->item_ct == 0)
            fputs("none, it had none", stdout);
        id_ranges_print(targets, stdout);
        putchar('\n');
    }
}

void damage_report_add(void *context, const struct dms_damage *damage)
{
    struct damage_report *report = context;
    struct id_ranges lost = {0}, targets = {0};
    int code;

    code = id_ranges_add_ids(&lost, damage->lost_ids, damage->lost_id_ct);
    if (code == 0)
        code = id_ranges_add_ids(&report->lost, damage->lost_ids, damage->lost_id_ct);
    if (code == 0)
        code = id_ranges_add_ids(&targets, damage->lost_targets, damage->lost_target_ct);
    progress_end(report->progress);
    if (code == 0 && report->json)
        code = write_json(report->json, damage, &lost, &targets);
    else if (code == 0)
        write_text(damage, &lost, &targets);
    if (code < 0)
        report->code = code;
    id_ranges_free(&lost);
    id_ranges_free(&targets);
}
