/*
 * What pages are made of: numbers as people print them, text that is escaped, ticks of axes, bins
 * of histograms.
 */
#include "tests/unit/tap.h"

#include "tools/histogram.h"
#include "tools/page.h"
#include "tools/svg_plot.h"

#include <math.h>
#include <stdlib.h>

static void test_numbers(void)
{
    char text[PAGE_NUMBER_BYTES];

    is_text(page_number(0.047, 3, text), "0.0470", "a number has its digits");
    is_text(page_number(-0.5, 2, text), "−0.50", "a real minus sign");
    is_text(page_fixed(-0.1836, 3, text), "−0.184", "so many decimals");
    is_text(page_fixed(-0.0004, 3, text), "0.000", "what rounds to 0 has no sign");
    is_text(page_number(6.36e-5, 3, text), "6.36·10⁻⁵", "a power of ten");
    is_text(page_number(-1e12, 1, text), "−1·10¹²", "of two digits");
    is_text(page_number(5, 1, text), "5", "no point at the end");
    is_text(page_number(0, 2, text), "0.0", "zero");
}

/* What `print` writes; the caller frees it. */
static char *printed(void (*print)(FILE *file, const void *context), const void *context)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *file = open_memstream(&text, &bytes);

    if (!file)
        exit(1);
    print(file, context);
    fclose(file);
    return text;
}

static void print_text(FILE *file, const void *text)
{
    page_text(file, text);
}

static void test_text(void)
{
    char *text = printed(print_text, "<a href=\"x\">&'\xc3\xa9\xff\x01\n");

    is_text(text, "&#60;a href=&#34;x&#34;&#62;&#38;&#39;\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\n",
            "text is escaped, and what is no text replaced");
    free(text);
}

static void print_plot(FILE *file, const void *context)
{
    struct svg_plot plot = *(const struct svg_plot *)context;

    plot.file = file;
    svg_plot_begin(&plot, "name", "description");
    svg_plot_end(&plot);
}

/* Whether the axis has these labels, and no others: as many as `label_ct`. */
static void check_ticks(struct svg_axis axis, const char *const *labels, size_t label_ct,
                        const char *what)
{
    struct svg_plot plot = {.x = axis, .y = {.label = "y", .high = 1}};
    char *text = printed(print_plot, &plot), wanted[100];
    size_t tick_ct = 0;
    bool all = true;

    for (size_t i = 0; i < label_ct; i++) {
        snprintf(wanted, sizeof(wanted), "\">%s</text>", labels[i]);
        all &= strstr(text, wanted) != NULL;
    }
    for (const char *at = text; (at = strstr(at, "class=\"x\"")); at++)
        tick_ct++;
    if (!ok(all && tick_ct == label_ct, "%s", what))
        diag("%s", text);
    free(text);
}

static void test_ticks(void)
{
    check_ticks((struct svg_axis){"x", -0.3, 0.3, false, false},
                (const char *[]){"−0.3", "−0.2", "−0.1", "0", "0.1", "0.2", "0.3"}, 7,
                "ticks on both sides of 0");
    check_ticks((struct svg_axis){"x", 0, 2500, false, false},
                (const char *[]){"0", "500", "1,000", "1,500", "2,000", "2,500"}, 6, "thousands");
    check_ticks((struct svg_axis){"x", 4e-6, 16e-6, false, false},
                (const char *[]){"5·10⁻⁶", "1.0·10⁻⁵", "1.5·10⁻⁵"}, 3,
                "small numbers keep the digits that tell them apart, and are few as they are wide");
    check_ticks((struct svg_axis){"x", 2e-6, 2e-2, true, false},
                (const char *[]){"10⁻⁵", "0.0001", "0.001", "0.01"}, 4, "powers of ten");
    check_ticks((struct svg_axis){"x", 1, 10, true, false}, (const char *[]){"1", "2", "5", "10"},
                4, "a short logarithmic axis");
}

static void test_rounding(void)
{
    const double values[] = {0.3, 0.1 + 0.2, 0.3, NAN};
    struct svg_axis axis = svg_axis_around("x", values, 4);
    struct svg_plot plot = {.x = axis, .y = axis};
    char *text = printed(print_plot, &plot);
    struct histogram histogram;

    ok(axis.low < 0.3 && axis.high > 0.3 && strlen(text) < 4000,
       "values that are equal but for rounding have an axis");
    free(text);
    histogram_make(values, 4, 0, -INFINITY, &histogram);
    ok(histogram.bin_ct == 1 && histogram.counts[0] == 3, "and one bin");
}

static void test_histogram(void)
{
    const double values[] = {0.1, 0.2, 0.2, NAN, 0.35, -7};
    struct histogram histogram;
    uint64_t sum = 0;

    histogram_make(values, 6, 0, -1, &histogram);
    for (size_t i = 0; i < histogram.bin_ct; i++)
        sum += histogram.counts[i];
    is_int(sum, 5, "all values but NaN are counted");
    is_int(histogram.below_ct, 1, "those below the least one in the first bin");
    is_int(histogram.counts[0], 1, "which begins there");
    ok(histogram.low == -1 && fabs(histogram.mean - (0.85 - 7) / 5) < 1e-12, "the mean is of all");
    histogram_make(values + 1, 2, 0, -INFINITY, &histogram);
    ok(histogram.bin_ct == 1 && histogram.counts[0] == 2 && histogram.low <= 0.2 &&
           histogram.low + histogram.step > 0.2,
       "equal values are in one bin");
    histogram_make((const double[]){0, 0}, 2, 1, -INFINITY, &histogram);
    ok(histogram.bin_ct == 1 && histogram.step == 1 && histogram.low == 0, "zeros, too");
    histogram_make(values + 3, 1, 0, -INFINITY, &histogram);
    is_int(histogram.bin_ct, 0, "no values have no bins");
}

int main(void)
{
    test_numbers();
    test_text();
    test_ticks();
    test_histogram();
    test_rounding();
    return tap_done();
}
