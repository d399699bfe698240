/*
 * Small plots as SVG elements of an HTML page: axes, bars, points, lines. A plot is 360 x 240 units
 * and as wide as its place on the page, so that its text can be read on a phone; colours are the
 * page's (see page_style.c).
 */
#ifndef DMSTORE_TOOLS_SVG_PLOT_H
#define DMSTORE_TOOLS_SVG_PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct svg_axis {
    const char *label;
    double low, high; /* low < high; above 0 when is_log */
    bool is_log;
    bool is_count; /* ticks are at integers only */
};

struct svg_plot {
    FILE *file;
    struct svg_axis x, y;
};

/* The best of 1, 2 and 5 x 10^k that is not below `step` > 0. */
double svg_round_step(double step);

/* An axis around the finite ones of the values: a little wider than they are. */
struct svg_axis svg_axis_around(const char *label, const double *values, size_t value_ct);

/* Draws frame, ticks and labels. What the plot shows, in words for those who do not see it, and its
 * short name: plain text, which is escaped. */
void svg_plot_begin(const struct svg_plot *plot, const char *name, const char *description);
void svg_plot_end(const struct svg_plot *plot);

/* A bar from 0 up; `tip` is shown when one points at it. */
void svg_plot_bar(const struct svg_plot *plot, double from, double to, double height,
                  const char *tip);

/* One dot each. */
void svg_plot_points(const struct svg_plot *plot, const double *xs, const double *ys,
                     size_t point_ct);

/* A line through points, or in steps that keep each y up to the next x. `style` is its class on the
 * page: "line", "line faint", "line dashed". Points that are not finite leave a gap. */
void svg_plot_line(const struct svg_plot *plot, const char *style, const double *xs,
                   const double *ys, size_t point_ct);
void svg_plot_steps(const struct svg_plot *plot, const char *style, const double *xs,
                    const double *ys, size_t point_ct);

/* A dot that stands out; a vertical line with a word at its top. */
void svg_plot_mark(const struct svg_plot *plot, double x, double y, const char *tip);
void svg_plot_vertical(const struct svg_plot *plot, double x, const char *word);

#endif
