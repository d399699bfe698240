/*
 * Reads the digits and parts them; see images.h.
 */
#include "images.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <dmstore/store.h>

#include "report.h"

#define TRAINING_PER_CLASS 140

#define LINE_BYTES 512 /* more than a line takes: 65 numbers of one or two digits */

/* All images of the file, before they are parted. */
struct image_list {
    struct image *items;
    size_t item_ct, capacity;
};

/* Reads one number of at most `max` and what follows it, which must be `end`; moves *text on. */
static bool parse_number(const char **text, unsigned max, char end, uint8_t *number)
{
    char *rest;
    unsigned long value = strtoul(*text, &rest, 10);

    if (rest == *text || value > max || *rest != end)
        return false;
    *text = rest + 1;
    *number = (uint8_t)value;
    return true;
}

static bool parse_line(const char *line, struct image *image)
{
    for (size_t i = 0; i < IMAGE_PIXELS; i++) {
        if (!parse_number(&line, PIXEL_MAX, ',', &image->pixels[i]))
            return false;
    }
    return parse_number(&line, CLASS_CT - 1, '\n', &image->label);
}

static int add_image(struct image_list *list, const struct image *image)
{
    if (list->item_ct == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 1024;
        struct image *items = realloc(list->items, capacity * sizeof(*items));

        if (!items)
            return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for the images");
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->item_ct++] = *image;
    return 0;
}

static int read_images(const char *path, FILE *file, struct image_list *list)
{
    char line[LINE_BYTES];
    uint32_t line_number = 0;

    while (fgets(line, sizeof(line), file)) {
        struct image image = {.line = ++line_number};
        int code;

        if (!parse_line(line, &image))
            return dms_source_fail(DMS_ERR_INVALID,
                                   "'%s' line %" PRIu32
                                   ": expected %d pixels of 0 to %d and a digit, separated by "
                                   "commas (is the file still compressed?)",
                                   path, line_number, IMAGE_PIXELS, PIXEL_MAX);
        code = add_image(list, &image);
        if (code < 0)
            return code;
    }
    return ferror(file) ? tool_source_fail_errno("cannot read '%s'", path) : 0;
}

/*
 * Whether image number `index` of the image_ct of its class is a target. The targets are spread
 * evenly over the class: the file goes from writer to writer, and so every writer is among the
 * training images and among the targets.
 */
static bool is_target(size_t index, size_t image_ct)
{
    size_t target_ct = image_ct - TRAINING_PER_CLASS;

    return (index + 1) * target_ct / image_ct > index * target_ct / image_ct;
}

static int part_images(const char *path, const struct image_list *list, struct digits *digits)
{
    size_t class_cts[CLASS_CT] = {0}, seen_cts[CLASS_CT] = {0};

    for (size_t i = 0; i < list->item_ct; i++)
        class_cts[list->items[i].label]++;
    for (unsigned class = 0; class < CLASS_CT; class ++) {
        if (class_cts[class] <= TRAINING_PER_CLASS)
            return dms_source_fail(DMS_ERR_INVALID,
                                   "'%s' has %zu images of the digit %u: more than %d are needed",
                                   path, class_cts[class], class, TRAINING_PER_CLASS);
    }

    digits->training = calloc(CLASS_CT * TRAINING_PER_CLASS, sizeof(*digits->training));
    digits->targets =
        calloc(list->item_ct - CLASS_CT * TRAINING_PER_CLASS, sizeof(*digits->targets));
    if (!digits->training || !digits->targets)
        return dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for the images");
    for (size_t i = 0; i < list->item_ct; i++) {
        const struct image *image = &list->items[i];

        if (is_target(seen_cts[image->label]++, class_cts[image->label]))
            digits->targets[digits->target_ct++] = *image;
        else
            digits->training[digits->training_ct++] = *image;
    }
    return 0;
}

int digits_read(const char *path, struct digits *digits)
{
    struct image_list list = {0};
    FILE *file = fopen(path, "r");
    int code;

    if (!file)
        return tool_source_fail_errno("cannot open '%s'", path);
    code = read_images(path, file, &list);
    if (code == 0)
        code = part_images(path, &list, digits);
    free(list.items);
    fclose(file);
    return code;
}

void digits_free(struct digits *digits)
{
    free(digits->training);
    free(digits->targets);
    *digits = (struct digits){0};
}
