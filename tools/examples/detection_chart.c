/* The SVG chart of the subset size simulation: one line a feature frequency, a disc at its best. */
#include "detection_chart.h"

#include <math.h>
#include <stdio.h>

#define WIDTH 860
#define HEIGHT 520
/* The plot area. */
#define LEFT 80
#define RIGHT 640
#define TOP 84
#define BOTTOM 440

/* From rare to common. */
static const char *const colors[FREQUENCY_CT] = {"#440154", "#414487", "#2a788e",
                                                 "#22a884", "#7ad151", "#d9b400"};

static double x_of(double alpha)
{
    return LEFT + alpha * (RIGHT - LEFT);
}

static double y_of(double correlation, double low, double high)
{
    return BOTTOM - (correlation - low) / (high - low) * (BOTTOM - TOP);
}

size_t best_detection(const struct detection *detections, size_t detection_ct, unsigned frequency)
{
    size_t best = 0;

    for (size_t i = 1; i < detection_ct; i++)
        if (detections[i].correlations[frequency] > detections[best].correlations[frequency])
            best = i;
    return best;
}

/* The axis covers all correlations, in whole steps of 0.05. */
static void find_range(const struct detection *detections, size_t detection_ct, double *low,
                       double *high)
{
    *low = 0;
    *high = 0.05;
    for (size_t i = 0; i < detection_ct; i++)
        for (unsigned frequency = 0; frequency < FREQUENCY_CT; frequency++) {
            double correlation = detections[i].correlations[frequency];
            *low = fmin(*low, floor(correlation * 20) / 20);
            *high = fmax(*high, ceil(correlation * 20) / 20);
        }
}

static void draw_frame(FILE *file, uint64_t model_ct, double low, double high)
{
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
            "font-family=\"sans-serif\" font-size=\"14\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
            WIDTH, HEIGHT);
    fprintf(file,
            "<text x=\"%d\" y=\"32\" font-size=\"18\">At which subset size is a feature of the "
            "training data detected best?</text>\n"
            "<text x=\"%d\" y=\"56\" fill=\"#555\">LASSO datamodels of %llu min-norm regressions a "
            "subset size; %d examples, %d features</text>\n",
            LEFT, LEFT, (unsigned long long)model_ct, EXAMPLE_CT, FEATURE_CT);
    for (int tick = (int)lround(low * 20); tick <= lround(high * 20); tick++)
        fprintf(file,
                "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n"
                "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.2f</text>\n",
                LEFT, RIGHT, y_of(tick / 20.0, low, high), y_of(tick / 20.0, low, high),
                tick == 0 ? "#888" : "#ddd", LEFT - 10, y_of(tick / 20.0, low, high) + 5,
                tick / 20.0);
    for (int tick = 1; tick <= 9; tick++)
        fprintf(file,
                "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"#888\"/>\n"
                "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">0.%d</text>\n",
                x_of(tick / 10.0), x_of(tick / 10.0), BOTTOM, BOTTOM + 6, x_of(tick / 10.0),
                BOTTOM + 24, tick);
    fprintf(file,
            "<line x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\" stroke=\"#888\"/>\n"
            "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">subset size as a fraction of the "
            "training set, alpha</text>\n"
            "<text transform=\"translate(22 %d) rotate(-90)\" text-anchor=\"middle\">correlation "
            "of weights and planted influence</text>\n",
            LEFT, RIGHT, BOTTOM, BOTTOM, (LEFT + RIGHT) / 2, BOTTOM + 54, (TOP + BOTTOM) / 2);
}

static void draw_line(FILE *file, const struct detection *detections, size_t detection_ct,
                      unsigned frequency, double low, double high)
{
    const struct detection *best = &detections[best_detection(detections, detection_ct, frequency)];

    fprintf(file, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2.5\" points=\"",
            colors[frequency]);
    for (size_t i = 0; i < detection_ct; i++)
        fprintf(file, "%s%.1f,%.1f", i == 0 ? "" : " ", x_of(detections[i].alpha),
                y_of(detections[i].correlations[frequency], low, high));
    fprintf(file,
            "\"/>\n<circle cx=\"%.1f\" cy=\"%.1f\" r=\"7\" fill=\"%s\" stroke=\"white\" "
            "stroke-width=\"1.5\"/>\n",
            x_of(best->alpha), y_of(best->correlations[frequency], low, high), colors[frequency]);
}

static void draw_legend(FILE *file, const struct detection *detections, size_t detection_ct)
{
    fprintf(file,
            "<text x=\"%d\" y=\"%d\">feature is in</text>\n"
            "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">best at</text>\n",
            RIGHT + 24, TOP + 10, WIDTH - 20, TOP + 10);
    for (unsigned frequency = 0; frequency < FREQUENCY_CT; frequency++) {
        int y = TOP + 38 + 26 * (int)frequency;

        fprintf(file,
                "<circle cx=\"%d\" cy=\"%d\" r=\"7\" fill=\"%s\"/>\n"
                "<text x=\"%d\" y=\"%d\">%u example%s</text>\n"
                "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%.1f</text>\n",
                RIGHT + 31, y - 5, colors[frequency], RIGHT + 46, y, 1u << frequency,
                frequency == 0 ? "" : "s", WIDTH - 20, y,
                detections[best_detection(detections, detection_ct, frequency)].alpha);
    }
}

int detection_chart_write(const char *path, const struct detection *detections, size_t detection_ct)
{
    double low, high;
    FILE *file = fopen(path, "w");

    if (!file)
        return -1;
    find_range(detections, detection_ct, &low, &high);
    draw_frame(file, detections[0].model_ct, low, high);
    for (unsigned frequency = 0; frequency < FREQUENCY_CT; frequency++)
        draw_line(file, detections, detection_ct, frequency, low, high);
    draw_legend(file, detections, detection_ct);
    fputs("</svg>\n", file);
    int failed = ferror(file);
    return fclose(file) != 0 || failed ? -1 : 0;
}
