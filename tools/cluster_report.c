/*
 * Prints clusters of targets; see cluster_report.h.
 */
#include "cluster_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "json.h"
#include "npy_file.h"
#include "report.h"

/* Targets of a cluster that the text names. */
#define NAMED_TARGETS 10

/* ---- text ---- */

static void print_cluster(const struct cluster_report *report, const struct cluster_group *group,
                          int64_t cluster)
{
    size_t named = 0;

    printf("  cluster %" PRId64 ", %zu target%s:", cluster, group->sizes[cluster],
           tool_plural(group->sizes[cluster]));
    for (size_t i = 0; i < group->place_ct; i++) {
        size_t place = group->places[i];

        if (report->clusters[place] != cluster)
            continue;
        if (named++ == NAMED_TARGETS) {
            fputs(" ...", stdout);
            break;
        }
        printf("%s %" PRIu64, named > 1 ? "," : "", report->targets[place]);
        index_names_print_aside(&report->query->targets_are, report->targets[place], stdout);
    }
    putchar('\n');
}

void cluster_report_print(const struct cluster_report *report)
{
    for (size_t g = 0; g < report->group_ct; g++) {
        const struct cluster_group *group = &report->groups[g];

        printf("%s: ", report->query->fit_name);
        if (report->classes)
            printf("class %" PRId64 ", ", group->class);
        printf("%zu target%s in %zu cluster%s", group->clustering.row_ct,
               tool_plural(group->clustering.row_ct), report->options->cluster_ct,
               tool_plural(report->options->cluster_ct));
        if (!isnan(group->clustering.mean_similarity)) /* one target has no pair */
            printf(", similarity %.4f on average", group->clustering.mean_similarity);
        if (report->truth)
            printf(", adjusted Rand index %.4f", group->rand_index);
        putchar('\n');
        for (size_t c = 0; c < report->options->cluster_ct; c++)
            print_cluster(report, group, (int64_t)c);
    }
}

/* ---- JSON ---- */

static void json_group(struct json_writer *json, const struct cluster_report *report,
                       const struct cluster_group *group)
{
    json_object_open(json, NULL);
    if (report->classes)
        json_i64(json, "class", group->class);
    json_u64(json, "targets", group->clustering.row_ct);
    json_u64(json, "left_out", group->clustering.left_out_ct);
    json_array_open(json, "sizes");
    for (size_t c = 0; c < report->options->cluster_ct; c++)
        json_u64(json, NULL, group->sizes[c]);
    json_array_close(json);
    json_double(json, "mean_similarity", group->clustering.mean_similarity);
    json_double(json, "inertia", group->clustering.inertia);
    if (report->truth)
        json_double(json, "adjusted_rand_index", group->rand_index);
    json_object_close(json);
}

static void json_target(struct json_writer *json, const struct cluster_report *report, size_t place)
{
    json_object_open(json, NULL);
    json_u64(json, "target", report->targets[place]);
    if (report->classes)
        json_i64(json, "class", report->classes[report->targets[place]]);
    if (report->clusters[place] >= 0)
        json_i64(json, "cluster", report->clusters[place]);
    else
        json_null(json, "cluster");
    index_names_json(&report->query->targets_are, report->targets[place], json);
    json_object_close(json);
}

void cluster_report_json(const struct cluster_report *report)
{
    struct json_writer json;

    json_begin(&json, stdout);
    json_object_open(&json, NULL);
    json_text(&json, "store", report->query->store);
    json_text(&json, "fit", report->query->fit_name);
    json_u64(&json, "clusters", report->options->cluster_ct);
    json_double(&json, "gamma", report->options->gamma);
    json_bool(&json, "normalized", !report->options->keep_length);
    json_u64(&json, "seed", report->options->seed);
    json_array_open(&json, "groups");
    for (size_t g = 0; g < report->group_ct; g++)
        json_group(&json, report, &report->groups[g]);
    json_array_close(&json);
    json_array_open(&json, "targets");
    for (size_t i = 0; i < report->target_ct; i++)
        json_target(&json, report, i);
    json_array_close(&json);
    json_object_close(&json);
    json_end(&json);
}

/* ---- files ---- */

static int write_csv(const struct cluster_report *report, const char *path)
{
    const struct index_names *names = &report->query->targets_are;
    struct output_file file = {0};
    int code = output_file_create(&file, path);
    FILE *stream = code == 0 ? output_file_stream(&file) : NULL;

    if (code < 0)
        return code;
    if (!stream)
        return output_file_end_stream(&file, NULL, DMS_ERR_NO_MEMORY);
    fputs(report->classes ? "target,class,cluster" : "target,cluster", stream);
    index_names_csv_head(names, "target_", stream);
    putc('\n', stream);
    for (size_t i = 0; i < report->target_ct; i++) {
        fprintf(stream, "%" PRIu64, report->targets[i]);
        if (report->classes)
            fprintf(stream, ",%" PRId64, report->classes[report->targets[i]]);
        putc(',', stream);
        if (report->clusters[i] >= 0)
            fprintf(stream, "%" PRId64, report->clusters[i]);
        index_names_csv(names, report->targets[i], stream);
        putc('\n', stream);
    }
    return output_file_end_stream(&file, stream, 0);
}

int cluster_report_write(const struct cluster_report *report, const char *path)
{
    const uint64_t dimensions[] = {report->target_ct};

    return npy_is_path(path) ? npy_write(path, 'i', 8, 1, dimensions, report->clusters)
                             : write_csv(report, path);
}

void cluster_report_free(struct cluster_report *report)
{
    free(report->targets);
    free(report->clusters);
    free(report->classes);
    free(report->truth);
    for (size_t g = 0; g < report->group_ct; g++) {
        free(report->groups[g].places);
        free(report->groups[g].sizes);
    }
    free(report->groups);
    *report = (struct cluster_report){0};
}
