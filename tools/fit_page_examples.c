/*
 * The section of a page that shows the training examples of largest weight; see fit_page.h.
 */
#include "fit_page.h"

#include <inttypes.h>
#include <math.h>

/* Smaller weights have fewer digits: with all their zeros they are wider than a picture. */
#define SMALL_WEIGHT 0.001

static void print_names(struct page *page, const struct index_names *names, uint64_t index)
{
    if (names->labels)
        page_printf(page->file, "class %" PRId64, names->labels[index]);
    if (names->labels && names->names)
        fputs("<br>", page->file);
    if (names->names)
        page_text(page->file, names->names[index]);
}

static int print_picture(struct page *page, const struct thumbnails *thumbnails, const char *what,
                         uint64_t index)
{
    int code;

    if (thumbnails->width == 0)
        return 0;
    fputs("<img src=\"", page->file);
    code = thumbnails_print(thumbnails, index, page->file);
    fprintf(page->file, "\" alt=\"Picture of %s %" PRIu64 "\">", what, index);
    return code;
}

static int print_row(struct page *page, const struct fit_findings *findings,
                     const struct fit_pictures *pictures, const struct shown_target *shown,
                     enum dms_weight_sign sign)
{
    const char *word = sign == DMS_POSITIVE_WEIGHTS ? "positive" : "negative";
    int code = 0;

    fprintf(page->file, "<p class=\"tag %s\">Most %s weights%s</p>\n<ol class=\"row %s\">\n", word,
            word, shown->example_cts[sign] == 0 ? ": none" : "", word);
    for (size_t i = 0; code == 0 && i < shown->example_cts[sign]; i++) {
        const struct dms_weighted_example *example = &shown->examples[sign][i];
        int digit_ct = fabs(example->weight) < SMALL_WEIGHT ? 2 : 3;
        char weight[PAGE_NUMBER_BYTES];

        fputs("<li>", page->file);
        code = print_picture(page, &pictures->examples, "training example", example->example);
        page_printf(page->file, "#%" PRIu32, example->example);
        fputs("<br><b>", page->file);
        page_printf(page->file, "%s%s", example->weight > 0 ? "+" : "",
                    page_number(example->weight, digit_ct, weight));
        fputs("</b><span>", page->file);
        print_names(page, &findings->query->examples_are, example->example);
        fputs("</span></li>\n", page->file);
    }
    fputs("</ol>\n", page->file);
    return code;
}

static int print_target(struct page *page, const struct fit_findings *findings,
                        const struct fit_pictures *pictures, const struct shown_target *shown)
{
    int code;

    fputs("<article class=\"target\">\n<h3>", page->file);
    fit_page_target_name(page, findings, shown->fitted.target);
    fputs("</h3>\n<div class=\"self\">", page->file);
    code = print_picture(page, &pictures->targets, "target", shown->fitted.target);
    fputs("<div>", page->file);
    page_printf(page->file, "%zu nonzero weight%s", shown->fitted.weight_ct,
                shown->fitted.weight_ct == 1 ? "" : "s");
    fputs("</div></div>\n<div>\n", page->file);
    for (int sign = 0; code == 0 && sign < 2; sign++)
        code = print_row(page, findings, pictures, shown, (enum dms_weight_sign)sign);
    fputs("</div>\n</article>\n", page->file);
    return code;
}

int fit_page_examples(struct page *page, const struct fit_findings *findings,
                      const struct fit_pictures *pictures)
{
    int code = 0;

    if (findings->shown_ct == 0)
        return 0;
    page_section_begin(page, "examples", "Training examples that matter most");
    fputs("<p>", page->file);
    page_printf(page->file,
                "For each target, the training examples of the largest weights, as in Figure 9 of "
                "the paper: training on those of positive weight raises the output on the target, "
                "training on those of negative weight lowers it. The number is the weight: by how "
                "much the predicted output changes when the example is in the training set.");
    fputs("</p>\n", page->file);
    for (size_t i = 0; code == 0 && i < findings->shown_ct; i++)
        code = print_target(page, findings, pictures, &findings->shown[i]);
    page_section_end(page);
    return code;
}
