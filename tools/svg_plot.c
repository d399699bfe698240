/*
 * Draws plots; see svg_plot.h. Numbers on axes have a real minus sign and powers of ten as such.
 */
#include "svg_plot.h"

#include <math.h>
#include <string.h>

#include "page.h"
#include "report.h"

/* The plot and its frame. */
#define WIDTH 360
#define HEIGHT 240
#define LEFT 48
#define RIGHT 348
#define TOP 26
#define BOTTOM 200

/* About so many ticks on an axis. */
#define TICKS 6

/* Wider labels below the plot would touch each other: fewer ticks have them. */
#define WIDE_LABEL 6
#define WIDE_TICKS 4

double svg_round_step(double step)
{
    double power = pow(10, floor(log10(step)));

    for (int factor = 1; factor <= 5; factor += factor == 1 ? 1 : 3) {
        if (step <= factor * power * (1 + 1e-9))
            return factor * power;
    }
    return 10 * power;
}

struct svg_axis svg_axis_around(const char *label, const double *values, size_t value_ct)
{
    double low = INFINITY, high = -INFINITY, room;

    for (size_t i = 0; i < value_ct; i++) {
        if (isfinite(values[i])) {
            low = fmin(low, values[i]);
            high = fmax(high, values[i]);
        }
    }
    if (low > high)
        low = 0, high = 1;
    /* Values that are equal but for rounding have no ticks between them. */
    room = fmax(0.04 * (high - low), 1e-6 * fmax(fabs(low), fabs(high)));
    if (!(high > low))
        room = fmax(fabs(high), 1e-6) / 2;
    return (struct svg_axis){label, low - room, high + room, false, false};
}

/* ---- where things are ---- */

/* How far along the axis, 0 .. 1 from end to end. */
static double along(const struct svg_axis *axis, double value)
{
    if (axis->is_log)
        return log(value / axis->low) / log(axis->high / axis->low);
    return (value - axis->low) / (axis->high - axis->low);
}

static double x_of(const struct svg_plot *plot, double value)
{
    return LEFT + (RIGHT - LEFT) * along(&plot->x, value);
}

static double y_of(const struct svg_plot *plot, double value)
{
    return BOTTOM - (BOTTOM - TOP) * along(&plot->y, value);
}

/* ---- axes ---- */

/* "−0.25", "1,000", "2·10⁻⁵" into `text`; step: the distance to the next label, 0: powers of ten.
 */
static void write_number(double value, double step, char text[PAGE_NUMBER_BYTES])
{
    double size = fabs(value);
    int exponent = size > 0 ? (int)floor(log10(size) + 1e-9) : 0;
    int last_digit = step > 0 ? (int)floor(log10(step) + 1e-9) : exponent;
    int decimal_ct = last_digit < 0 ? -last_digit : 0;

    if (size <= 1e-9 * step)
        snprintf(text, PAGE_NUMBER_BYTES, "0");
    else if (size >= 1000 && size < 1e6 && decimal_ct == 0)
        snprintf(text, PAGE_NUMBER_BYTES, "%s%d,%03d", value < 0 ? "−" : "",
                 (int)(size + 0.5) / 1000, (int)(size + 0.5) % 1000);
    else if (decimal_ct <= (step > 0 ? 5 : 4) && exponent < 6)
        snprintf(text, PAGE_NUMBER_BYTES, "%s%.*f", value < 0 ? "−" : "", decimal_ct, size);
    else
        page_number(value, exponent > last_digit ? exponent - last_digit + 1 : 1, text);
    if (strncmp(text, "1·", strlen("1·")) == 0) /* 10⁻⁵, not 1·10⁻⁵ */
        memmove(text, text + strlen("1·"), strlen(text + strlen("1·")) + 1);
}

static void draw_tick(const struct svg_plot *plot, bool is_x, double value, double step)
{
    char text[PAGE_NUMBER_BYTES];

    write_number(value, step, text);
    if (is_x)
        fprintf(plot->file,
                "<path class=\"grid\" d=\"M%.1f %dV%d\"/><text class=\"x\" x=\"%.1f\" "
                "y=\"%d\">%s</text>\n",
                x_of(plot, value), TOP, BOTTOM, x_of(plot, value), BOTTOM + 16, text);
    else
        fprintf(plot->file,
                "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text class=\"y\" x=\"%d\" "
                "y=\"%.1f\">%s</text>\n",
                LEFT, y_of(plot, value), RIGHT, LEFT - 6, y_of(plot, value) + 4, text);
}

static size_t character_ct(const char *text)
{
    size_t count = 0;

    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static bool is_wide(const struct svg_axis *axis, double step)
{
    char low[PAGE_NUMBER_BYTES], high[PAGE_NUMBER_BYTES];

    write_number(ceil(axis->low / step - 1e-9) * step, step, low);
    write_number(floor(axis->high / step + 1e-9) * step, step, high);
    return character_ct(low) > WIDE_LABEL || character_ct(high) > WIDE_LABEL;
}

static void draw_linear_ticks(const struct svg_plot *plot, const struct svg_axis *axis)
{
    double range = axis->high - axis->low, step = svg_round_step(range / TICKS);

    if (axis == &plot->x && is_wide(axis, step))
        step = svg_round_step(range / WIDE_TICKS);
    if (axis->is_count)
        step = fmax(step, 1);
    for (double i = ceil(axis->low / step - 1e-9); i * step <= axis->high + 1e-9 * step; i++)
        draw_tick(plot, axis == &plot->x, i * step, step);
}

/* At powers of ten; where the axis has fewer than two of them, at 2 and 5 times these, too. */
static void draw_log_ticks(const struct svg_plot *plot, const struct svg_axis *axis)
{
    double first = floor(log10(axis->low)), last = floor(log10(axis->high) + 1e-9);
    double stride = ceil((last - first) / TICKS);
    bool is_short = log10(axis->high / axis->low) < 2;

    for (double power = first; power <= last; power += is_short || stride < 1 ? 1 : stride) {
        for (int factor = 1; factor <= 5; factor += factor == 1 ? 1 : 3) {
            double value = factor * pow(10, power);

            if (value >= axis->low * (1 - 1e-9) && value <= axis->high * (1 + 1e-9) &&
                (factor == 1 || is_short))
                draw_tick(plot, axis == &plot->x, value, 0);
        }
    }
}

void svg_plot_begin(const struct svg_plot *plot, const char *name, const char *description)
{
    const struct svg_axis *axes[] = {&plot->x, &plot->y};

    fprintf(plot->file, "<svg viewBox=\"0 0 %d %d\" role=\"img\"><title>", WIDTH, HEIGHT);
    page_text(plot->file, name);
    fputs("</title><desc>", plot->file);
    page_text(plot->file, description);
    fputs("</desc>\n", plot->file);
    for (int i = 0; i < 2; i++) {
        if (axes[i]->is_log)
            draw_log_ticks(plot, axes[i]);
        else
            draw_linear_ticks(plot, axes[i]);
    }
    fprintf(plot->file, "<path class=\"axis\" d=\"M%d %dH%d\"/>\n", LEFT, BOTTOM, RIGHT);
    fprintf(plot->file, "<text class=\"x label\" x=\"%d\" y=\"%d\">", (LEFT + RIGHT) / 2,
            HEIGHT - 6);
    page_text(plot->file, plot->x.label);
    fputs("</text><text class=\"label\" x=\"4\" y=\"13\">", plot->file);
    page_text(plot->file, plot->y.label);
    fputs("</text>\n", plot->file);
}

void svg_plot_end(const struct svg_plot *plot)
{
    fputs("</svg>\n", plot->file);
}

/* ---- what is in them ---- */

void svg_plot_bar(const struct svg_plot *plot, double from, double to, double height,
                  const char *tip)
{
    double left = x_of(plot, from), right = x_of(plot, to);
    double top = y_of(plot, height);

    fprintf(plot->file,
            "<rect class=\"bar\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"><title>",
            left + 0.5, top, fmax(right - left - 1, 0.5), BOTTOM - top);
    page_text(plot->file, tip);
    fputs("</title></rect>\n", plot->file);
}

void svg_plot_points(const struct svg_plot *plot, const double *xs, const double *ys,
                     size_t point_ct)
{
    fputs("<g class=\"points\">\n", plot->file);
    for (size_t i = 0; i < point_ct; i++)
        fprintf(plot->file, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2\"/>\n", x_of(plot, xs[i]),
                y_of(plot, ys[i]));
    fputs("</g>\n", plot->file);
}

static void draw_path(const struct svg_plot *plot, const char *style, const double *xs,
                      const double *ys, size_t point_ct, bool in_steps)
{
    bool is_down = false;

    fprintf(plot->file, "<path class=\"%s\" d=\"", style);
    for (size_t i = 0; i < point_ct; i++) {
        if (!isfinite(xs[i]) || !isfinite(ys[i])) {
            is_down = false;
            continue;
        }
        if (is_down && in_steps)
            fprintf(plot->file, "H%.2f", x_of(plot, xs[i]));
        fprintf(plot->file, "%c%.2f %.2f", is_down ? 'L' : 'M', x_of(plot, xs[i]),
                y_of(plot, ys[i]));
        is_down = true;
    }
    fputs("\"/>\n", plot->file);
}

void svg_plot_line(const struct svg_plot *plot, const char *style, const double *xs,
                   const double *ys, size_t point_ct)
{
    draw_path(plot, style, xs, ys, point_ct, false);
}

void svg_plot_steps(const struct svg_plot *plot, const char *style, const double *xs,
                    const double *ys, size_t point_ct)
{
    draw_path(plot, style, xs, ys, point_ct, true);
}

void svg_plot_mark(const struct svg_plot *plot, double x, double y, const char *tip)
{
    fprintf(plot->file, "<circle class=\"mark\" cx=\"%.2f\" cy=\"%.2f\" r=\"4\"><title>",
            x_of(plot, x), y_of(plot, y));
    page_text(plot->file, tip);
    fputs("</title></circle>\n", plot->file);
}

void svg_plot_vertical(const struct svg_plot *plot, double x, const char *word)
{
    double at = x_of(plot, x);
    bool is_left = at > (LEFT + RIGHT) / 2.0;

    fprintf(plot->file,
            "<path class=\"rule\" d=\"M%.2f %dV%d\"/><text class=\"rule %s\" x=\"%.2f\" "
            "y=\"%d\">",
            at, TOP - 4, BOTTOM, is_left ? "left" : "right", at + (is_left ? -4 : 4), TOP + 7);
    page_text(plot->file, word);
    fputs("</text>\n", plot->file);
}
