/*
 * A self-contained HTML page for people: style, escaped text, numbered figures. It loads nothing,
 * and says so to the browser.
 */
#ifndef DMSTORE_TOOLS_PAGE_H
#define DMSTORE_TOOLS_PAGE_H

#include <stdio.h>

struct page {
    FILE *file; /* errors are left to ferror */
    unsigned figure_ct;
};

/* The style sheet; in page_style.c. */
extern const char page_style[];

/* Everything up to the opened <main>, and everything after it. */
void page_begin(struct page *page, FILE *file, const char *title);
void page_end(struct page *page);

/* Prints text as such, whatever it is; what is not UTF-8 becomes U+FFFD. */
void page_text(FILE *file, const char *text);
void page_printf(FILE *file, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define PAGE_NUMBER_BYTES 64

/* Writes a number with so many digits as people print it, e.g. "−0.0470", "6.36·10⁻⁵", into `text`;
 * returns `text`. */
char *page_number(double value, int digit_ct, char text[PAGE_NUMBER_BYTES]);

/* Likewise, with so many decimals: "−0.184"; what rounds to 0 has no sign. */
char *page_fixed(double value, int decimal_ct, char text[PAGE_NUMBER_BYTES]);

/* <section> with its heading, and its end. `id` is one of the program's own. */
void page_section_begin(struct page *page, const char *id, const char *heading);
void page_section_end(struct page *page);

/* <figure>; what is drawn in it comes next, side by side where there is room. Then the caption is
 * begun with its number, written by the caller, and ended. */
void page_figure_begin(struct page *page);
void page_caption_begin(struct page *page);
void page_caption_end(struct page *page);

/* A term and what it is, in a <dl>; the text of the value is formatted, then escaped. */
void page_fact(struct page *page, const char *term, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
