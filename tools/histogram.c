/*
 * Chooses bins and counts; see histogram.h.
 */
#include "histogram.h"

#include <math.h>

#include "svg_plot.h"

static void choose_bins(double low, double high, double least_step, struct histogram *histogram)
{
    double wanted_ct = fmin(fmax(sqrt((double)histogram->value_ct), 16), 30);
    double size = fmax(fabs(low), fabs(high));
    /* Values that are equal but for rounding are equal. */
    double width = high - low > 1e-9 * size ? (high - low) / wanted_ct : fmax(size / 100, 1e-9);

    histogram->step = svg_round_step(fmax(width, least_step));
    histogram->low = floor(low / histogram->step) * histogram->step;
    histogram->bin_ct = (size_t)fmax(floor((high - histogram->low) / histogram->step), 0) + 1;
    if (histogram->bin_ct > HISTOGRAM_BIN_MAX)
        histogram->bin_ct = HISTOGRAM_BIN_MAX;
}

static void count(double value, double least, struct histogram *histogram)
{
    double bin = floor((value - histogram->low) / histogram->step);
    size_t last = histogram->bin_ct - 1;
    size_t i = bin <= 0 ? 0 : bin >= (double)last ? last : (size_t)bin;

    histogram->counts[i]++;
    if (histogram->counts[i] > histogram->largest_count)
        histogram->largest_count = histogram->counts[i];
    histogram->below_ct += value < least;
}

void histogram_make(const double *values, size_t value_ct, double least_step, double least,
                    struct histogram *histogram)
{
    double low = INFINITY, high = -INFINITY, sum = 0;

    *histogram = (struct histogram){0};
    for (size_t i = 0; i < value_ct; i++) {
        if (isnan(values[i]))
            continue;
        low = fmin(low, values[i]);
        high = fmax(high, values[i]);
        sum += values[i];
        histogram->value_ct++;
    }
    if (histogram->value_ct == 0)
        return;
    histogram->mean = sum / (double)histogram->value_ct;
    low = fmax(low, least);
    choose_bins(low, fmax(high, low), least_step, histogram);
    for (size_t i = 0; i < value_ct; i++) {
        if (!isnan(values[i]))
            count(values[i], least, histogram);
    }
}
