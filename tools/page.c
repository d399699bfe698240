/*
 * Writes the parts of pages; see page.h.
 */
#include "page.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

void page_text(FILE *file, const char *text)
{
    const unsigned char *next = (const unsigned char *)text;
    size_t left = strlen(text);

    while (left > 0) {
        size_t bytes = utf8_character_bytes(next, left);

        if (bytes == 0 || (*next < 0x20 && *next != '\t' && *next != '\n') || *next == 0x7f)
            fputs("\xef\xbf\xbd", file);
        else if (strchr("&<>\"'", *next))
            fprintf(file, "&#%d;", *next);
        else
            fwrite(next, 1, bytes, file);
        bytes += bytes == 0;
        next += bytes;
        left -= bytes;
    }
}

static void print_escaped(FILE *file, const char *format, va_list arguments)
{
    char *text = NULL;

    if (vasprintf(&text, format, arguments) < 0)
        return; /* out of memory: the page lacks a word */
    page_text(file, text);
    free(text);
}

void page_printf(FILE *file, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_escaped(file, format, arguments);
    va_end(arguments);
}

char *page_number(double value, int digit_ct, char text[PAGE_NUMBER_BYTES])
{
    static const char *const raised[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
    char plain[PAGE_NUMBER_BYTES], *power;
    int length;

    snprintf(plain, sizeof(plain), "%#.*g", digit_ct, value < 0 ? -value : value);
    power = strchr(plain, 'e');
    if (power)
        *power++ = '\0';
    if (plain[strlen(plain) - 1] == '.') /* "5." is 5 */
        plain[strlen(plain) - 1] = '\0';
    length = snprintf(text, PAGE_NUMBER_BYTES, "%s%s%s", value < 0 ? "−" : "", plain,
                      power ? "·10" : "");
    if (power && *power == '-')
        length += snprintf(text + length, PAGE_NUMBER_BYTES - (size_t)length, "⁻");
    if (power)
        power += 1 + strspn(power + 1, "0");
    for (; power && *power; power++)
        length +=
            snprintf(text + length, PAGE_NUMBER_BYTES - (size_t)length, "%s", raised[*power - '0']);
    return text;
}

char *page_fixed(double value, int decimal_ct, char text[PAGE_NUMBER_BYTES])
{
    char plain[PAGE_NUMBER_BYTES];
    bool is_zero;

    snprintf(plain, sizeof(plain), "%.*f", decimal_ct, value < 0 ? -value : value);
    is_zero = plain[strspn(plain, "0.")] == '\0';
    snprintf(text, PAGE_NUMBER_BYTES, "%s%.*s", value < 0 && !is_zero ? "−" : "",
             PAGE_NUMBER_BYTES - 4, plain);
    return text;
}

void page_begin(struct page *page, FILE *file, const char *title)
{
    *page = (struct page){.file = file};
    fputs("<!DOCTYPE html>\n"
          "<html lang=\"en\">\n"
          "<head>\n"
          "<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
          "style-src 'unsafe-inline'; img-src data:\">\n"
          "<title>",
          file);
    page_text(file, title);
    fprintf(file, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n", page_style);
}

void page_end(struct page *page)
{
    fputs("</main>\n</body>\n</html>\n", page->file);
}

void page_section_begin(struct page *page, const char *id, const char *heading)
{
    fprintf(page->file, "<section id=\"%s\">\n<h2>", id);
    page_text(page->file, heading);
    fputs("</h2>\n", page->file);
}

void page_section_end(struct page *page)
{
    fputs("</section>\n", page->file);
}

void page_figure_begin(struct page *page)
{
    page->figure_ct++;
    fputs("<figure>\n<div class=\"plots\">\n", page->file);
}

void page_caption_begin(struct page *page)
{
    fprintf(page->file, "</div>\n<figcaption><b>Figure %u.</b> ", page->figure_ct);
}

void page_caption_end(struct page *page)
{
    fputs("</figcaption>\n</figure>\n", page->file);
}

void page_fact(struct page *page, const char *term, const char *format, ...)
{
    va_list arguments;

    fputs("<dt>", page->file);
    page_text(page->file, term);
    fputs("</dt><dd>", page->file);
    va_start(arguments, format);
    print_escaped(page->file, format, arguments);
    va_end(arguments);
    fputs("</dd>\n", page->file);
}
