/*
 * digits show: draws targets in the terminal, each beside the training images that help and harm it
 * most: those with the largest and the smallest weights of its fitted datamodel. It reads a fit
 * from the store through the public interface, as a program of one's own would.
 */
#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dmstore.h>
#include <dmstore/fit.h>

#include "demo.h"
#include "images.h"
#include "options.h"
#include "report.h"

static const char name[] = "show";

/* Images side by side: the target and three others, two characters a pixel, fit in 80 columns. */
#define SHOWN_CT 3
#define CELL_WIDTH (2 * IMAGE_SIDE)
#define CELL_GAP "  "

struct request {
    const char *store;
    const char *fit;
    const char *data;
    struct tool_list target_texts;
    uint64_t count;
    bool count_given;
    bool ascii;
};

/* ---- drawing ---- */

/* From paper to ink. */
static const char *const ascii_shades[] = {" ", ".", "+", "#", "@"};
static const char *const block_shades[] = {" ", "\u2591", "\u2592", "\u2593", "\u2588"};

#define SHADE_CT (sizeof(ascii_shades) / sizeof(ascii_shades[0]))

/* An image with what is written above it; image NULL: an empty place. */
struct cell {
    const struct image *image;
    char caption[CELL_WIDTH + 1];
};

static void draw_line(const struct image *image, size_t y, const char *const *shades)
{
    for (size_t x = 0; x < IMAGE_SIDE; x++) {
        size_t ink = image ? image->pixels[y * IMAGE_SIDE + x] : 0;
        const char *shade = shades[(ink * (SHADE_CT - 1) + PIXEL_MAX / 2) / PIXEL_MAX];

        printf("%s%s", shade, shade);
    }
}

static void draw_cells(const struct cell *cells, size_t cell_ct, const char *const *shades)
{
    for (size_t i = 0; i < cell_ct; i++)
        printf("%s%-*s", CELL_GAP, CELL_WIDTH, cells[i].caption);
    putchar('\n');
    for (size_t y = 0; y < IMAGE_SIDE; y++) {
        for (size_t i = 0; i < cell_ct; i++) {
            fputs(CELL_GAP, stdout);
            draw_line(cells[i].image, y, shades);
        }
        putchar('\n');
    }
}

/* ---- one target ---- */

struct influence {
    uint32_t example;
    double weight;
};

/* The largest weight first. */
static int compare_influences(const void *a, const void *b)
{
    double left = ((const struct influence *)a)->weight;
    double right = ((const struct influence *)b)->weight;

    return (left < right) - (left > right);
}

/* The cell of an influence; empty when it has not the sign that is asked for. */
static struct cell influence_cell(const struct digits *digits, const struct influence *influence,
                                  bool helpful)
{
    struct cell cell = {0};

    if (helpful ? influence->weight <= 0 : influence->weight >= 0)
        return cell;
    cell.image = &digits->training[influence->example];
    snprintf(cell.caption, sizeof(cell.caption), "%u  %+.4f #%" PRIu32, cell.image->label,
             influence->weight, influence->example);
    return cell;
}

/* Above the images that stand beside the target. */
static void print_heading(const char *text)
{
    printf("%s%-*s%s%s\n", CELL_GAP, CELL_WIDTH, "", CELL_GAP, text);
}

/* influences: in the order of compare_influences. */
static void draw_target(const struct digits *digits, const struct dms_fitted_target *target,
                        const struct influence *influences, const char *const *shades)
{
    const struct image *image = &digits->targets[target->target];
    struct cell helpful[1 + SHOWN_CT] = {{.image = image}}, harmful[1 + SHOWN_CT] = {{0}};

    for (size_t i = 0; i < SHOWN_CT && i < target->weight_ct; i++) {
        helpful[1 + i] = influence_cell(digits, &influences[i], true);
        harmful[1 + i] = influence_cell(digits, &influences[target->weight_ct - 1 - i], false);
    }
    printf("Target %" PRIu64 ", a %u: mean margin %+.3f, %zu training images have a weight\n",
           target->target, image->label, target->mean, target->weight_ct);
    print_heading("Most helpful:");
    snprintf(helpful[0].caption, sizeof(helpful[0].caption), "%u  target %" PRIu64, image->label,
             target->target);
    draw_cells(helpful, 1 + SHOWN_CT, shades);
    print_heading("Most harmful:");
    draw_cells(harmful, 1 + SHOWN_CT, shades);
    putchar('\n');
}

static int show_target(const dms_fit *fit, size_t position, const struct digits *digits,
                       const char *const *shades)
{
    struct dms_fitted_target target;
    struct influence *influences;
    int code = dms_fit_target(fit, position, &target);

    if (code < 0)
        return code;
    influences = calloc(target.weight_ct + 1, sizeof(*influences));
    if (!influences)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for weights");
    for (size_t i = 0; i < target.weight_ct; i++)
        influences[i] = (struct influence){target.examples[i], target.weights[i]};
    qsort(influences, target.weight_ct, sizeof(*influences), compare_influences);
    draw_target(digits, &target, influences, shades);
    free(influences);
    return 0;
}

/* ---- which targets ---- */

struct candidate {
    size_t position;
    unsigned label;
    double harm; /* the smallest weight */
};

static int compare_candidates(const void *a, const void *b)
{
    double left = ((const struct candidate *)a)->harm, right = ((const struct candidate *)b)->harm;

    return (left > right) - (left < right);
}

static int find_candidates(const dms_fit *fit, const struct digits *digits,
                           struct candidate *candidates)
{
    for (size_t position = 0; position < dms_fit_target_ct(fit); position++) {
        struct candidate *candidate = &candidates[position];
        struct dms_fitted_target target;
        int code = dms_fit_target(fit, position, &target);

        if (code < 0)
            return code;
        *candidate = (struct candidate){position, digits->targets[target.target].label, 0};
        for (size_t i = 0; i < target.weight_ct; i++) {
            if (target.weights[i] < candidate->harm)
                candidate->harm = target.weights[i];
        }
    }
    return 0;
}

/* Shows the targets that a single training image harms most, at most one of each digit. */
static int show_most_harmed(const dms_fit *fit, const struct digits *digits, uint64_t count,
                            const char *const *shades)
{
    size_t target_ct = dms_fit_target_ct(fit);
    struct candidate *candidates = calloc(target_ct + 1, sizeof(*candidates));
    bool shown[CLASS_CT] = {false};
    int code = candidates ? find_candidates(fit, digits, candidates)
                          : dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for targets");

    if (code == 0)
        qsort(candidates, target_ct, sizeof(*candidates), compare_candidates);
    for (size_t i = 0; i < target_ct && count > 0 && code == 0; i++) {
        if (shown[candidates[i].label])
            continue;
        shown[candidates[i].label] = true;
        code = show_target(fit, candidates[i].position, digits, shades);
        count--;
    }
    free(candidates);
    return code;
}

static int show_asked(const dms_fit *fit, const struct digits *digits,
                      const struct tool_list *texts, const char *const *shades)
{
    for (size_t i = 0; i < texts->item_ct; i++) {
        uint64_t target;
        size_t position;
        int code;

        if (!tool_parse_number(texts->items[i], 0, &target))
            return dms_source_fail(DMS_ERR_INVALID, "--target: '%s' is not a number",
                                   texts->items[i]);
        code = dms_fit_find(fit, target, &position);
        if (code == 0)
            code = show_target(fit, position, digits, shades);
        if (code < 0)
            return code;
    }
    return 0;
}

/* ---- the whole ---- */

static int check_fit(const dms_fit *fit, const struct digits *digits)
{
    const struct dms_fit_header *header = dms_fit_get_header(fit);

    if (header->example_ct == digits->training_ct && header->target_ct == digits->target_ct)
        return 0;
    return dms_source_fail(DMS_ERR_INVALID,
                           "fit %s is about %" PRIu64 " examples and %" PRIu64
                           " targets, not about the %zu training images and %zu targets",
                           header->name, header->example_ct, header->target_ct, digits->training_ct,
                           digits->target_ct);
}

static int show(const struct request *request)
{
    bool utf8 = setlocale(LC_CTYPE, "") && strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    const char *const *shades = utf8 && !request->ascii ? block_shades : ascii_shades;
    struct digits digits = {0};
    dms_snapshot *snapshot = NULL;
    dms_fit *fit = NULL;
    int code = digits_read(request->data, &digits);

    if (code == 0)
        code = dms_snapshot_open(request->store, &snapshot);
    if (code == 0)
        code = dms_fit_open(snapshot, request->fit, &fit);
    if (code == 0)
        code = check_fit(fit, &digits);
    if (code == 0)
        code = request->target_texts.item_ct > 0
                   ? show_asked(fit, &digits, &request->target_texts, shades)
                   : show_most_harmed(fit, &digits, request->count, shades);
    dms_fit_close(fit);
    dms_snapshot_close(snapshot);
    digits_free(&digits);
    return tool_finish_output(name, code == 0 ? TOOL_OK : tool_fail_library(name));
}

int command_show(int argc, char **argv)
{
    struct request request = {.count = 3};
    char **positionals;
    const struct tool_option options[] = {
        OPTION_TEXT("data", 0, "FILE", &request.data, "the images: digits.csv (needed)"),
        OPTION_LIST("target", 0, "T", &request.target_texts, "show this target; may be repeated"),
        OPTION_COUNT("count", 0, "N", &request.count, &request.count_given,
                     "without --target: show N targets (default 3), those that a single training "
                     "image harms most, at most one of each digit"),
        OPTION_FLAG("ascii", 0, &request.ascii,
                    "draw with characters that every terminal has; the default where the locale "
                    "is not UTF-8"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "STORE FIT --data FILE [--target T ...] [options]",
        .description =
            "Draws targets, each beside the training images with the largest and the\n"
            "smallest weights in its datamodel. Above an image: its digit, its weight (what\n"
            "the target's margin gains when the image is in the training set) and its\n"
            "number among the training images.\n",
        .positional_min = 2,
        .positional_max = 2,
        .options = options,
    };
    int status = tool_options_parse(&usage, argc, argv, &positionals, NULL);

    if (status == TOOL_CONTINUE && !request.data)
        status = tool_fail_usage(name, "--data FILE is needed");
    if (status == TOOL_CONTINUE && request.count_given && request.target_texts.item_ct > 0)
        status = tool_fail_usage(name, "give either --target or --count");
    if (status == TOOL_CONTINUE) {
        request.store = positionals[0];
        request.fit = positionals[1];
        status = show(&request);
    }
    tool_list_free(&request.target_texts);
    return status;
}
