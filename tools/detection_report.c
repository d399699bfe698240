/*
 * Prints detection curves; see detection_report.h.
 */
#include "detection_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "output_file.h"
#include "report.h"

/* A share; '-' for NaN. */
static void print_share(double value)
{
    if (isnan(value))
        printf("  %10s", "-");
    else
        printf("  %10.4f", value);
}

void detection_print(const struct dms_detection_curve *curve, uint64_t target_ct, double radius)
{
    char pairs[TOOL_HUMAN_BYTES], leaked[TOOL_HUMAN_BYTES], targets[TOOL_HUMAN_BYTES];

    printf("\n%s pair%s within %g; %s of %s targets %s in one\n",
           tool_human_count(curve->true_pair_ct, pairs), tool_plural(curve->true_pair_ct), radius,
           tool_human_count(curve->leaked_target_ct, leaked), tool_human_count(target_ct, targets),
           curve->leaked_target_ct == 1 ? "is" : "are");
    printf("%34s  %22s\n", "by weight", "in random order");
    printf("%10s  %10s  %10s  %10s  %10s\n", "pairs", "precision", "recall", "precision", "recall");
    for (size_t i = 0; i < curve->point_ct; i++) {
        const struct dms_detection_point *point = &curve->points[i];

        printf("%10s", tool_human_count(point->pair_ct, pairs));
        print_share(point->precision);
        print_share(point->recall);
        print_share(point->random_precision);
        print_share(point->random_recall);
        putchar('\n');
    }
}

void detection_json(const struct dms_detection_curve *curve, double radius,
                    struct json_writer *json)
{
    json_double(json, "radius", radius);
    json_u64(json, "true_pairs", curve->true_pair_ct);
    json_u64(json, "leaked_targets", curve->leaked_target_ct);
    json_array_open(json, "curve");
    for (size_t i = 0; i < curve->point_ct; i++) {
        const struct dms_detection_point *point = &curve->points[i];

        json_object_open(json, NULL);
        json_u64(json, "pairs", point->pair_ct);
        json_double(json, "precision", point->precision);
        json_double(json, "recall", point->recall);
        json_double(json, "random_precision", point->random_precision);
        json_double(json, "random_recall", point->random_recall);
        json_object_close(json);
    }
    json_array_close(json);
}

/* Empty for NaN. */
static void write_share(FILE *stream, double value)
{
    putc(',', stream);
    if (!isnan(value))
        fprintf(stream, "%.17g", value);
}

int detection_write_csv(const struct dms_detection_curve *curve, const char *path)
{
    struct output_file file = {0};
    FILE *stream;
    int code = output_file_begin_stream(&file, path, &stream);

    if (code < 0)
        return output_file_end_stream(&file, stream, code);
    fputs("pairs,precision,recall,random_precision,random_recall\n", stream);
    for (size_t i = 0; i < curve->point_ct; i++) {
        const struct dms_detection_point *point = &curve->points[i];

        fprintf(stream, "%" PRIu64, point->pair_ct);
        write_share(stream, point->precision);
        write_share(stream, point->recall);
        write_share(stream, point->random_precision);
        write_share(stream, point->random_recall);
        putc('\n', stream);
    }
    return output_file_end_stream(&file, stream, 0);
}
