/*
 * Reads pictures one at a time, makes them small, and prints them; see thumbnails.h.
 */
#include "thumbnails.h"

#include <inttypes.h>
#include <stdlib.h>

#include <dmstore/store.h>

#include "png.h"

/* Larger pictures are made smaller: a page has hundreds of them. */
#define SIDE_MAX 64

/* What one picture may take in the file. */
#define PICTURE_SIDE_MAX 4096

/* What is read to find the largest value. */
#define SAMPLE_BYTES (UINT64_C(16) << 20)
#define SAMPLE_CT 1000

static int find_brightest(struct thumbnails *thumbnails)
{
    const struct npy_file *file = &thumbnails->file;
    uint64_t sample_ct = SAMPLE_BYTES / file->row_bytes + 1;
    uint8_t *picture = malloc((size_t)file->row_bytes);
    int code = picture ? 0 : dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for a picture");

    sample_ct = sample_ct < SAMPLE_CT ? sample_ct : SAMPLE_CT;
    sample_ct = sample_ct < file->row_ct ? sample_ct : file->row_ct;
    thumbnails->brightest = 1;
    for (uint64_t i = 0; code == 0 && i < sample_ct; i++) {
        code = npy_file_read(file, i * file->row_ct / sample_ct, 1, 0, file->row_bytes, picture);
        for (uint64_t k = 0; code == 0 && k < file->row_bytes; k++) {
            if (picture[k] > thumbnails->brightest)
                thumbnails->brightest = picture[k];
        }
    }
    free(picture);
    return code;
}

static int check_shape(const struct npy_file *file, const char *what, uint64_t count)
{
    const struct dms_npy *npy = &file->npy;
    uint64_t channel_ct = npy->dimension_ct == 4 ? npy->dimensions[3] : 1;
    char description[NPY_DESCRIPTION_BYTES];

    if (npy->kind != 'u' || npy->item_bytes != 1 || npy->dimension_ct < 3 ||
        npy->dimension_ct > 4 || (channel_ct != 1 && channel_ct != 3) ||
        npy->dimensions[1] - 1 >= PICTURE_SIDE_MAX || npy->dimensions[2] - 1 >= PICTURE_SIDE_MAX)
        return dms_source_fail(DMS_ERR_INVALID,
                               "'%s' is %s: expected pictures, uint8 of shape (count, height, "
                               "width) or with 1 or 3 channels behind",
                               file->path, npy_describe(npy, description));
    if (file->row_ct != count)
        return dms_source_fail(DMS_ERR_INVALID, "'%s' has %" PRIu64 " pictures for %" PRIu64 " %ss",
                               file->path, file->row_ct, count, what);
    return 0;
}

int thumbnails_open(struct thumbnails *thumbnails, const char *path, const char *what,
                    uint64_t count)
{
    struct thumbnails opened = {0};
    int code = npy_file_open(&opened.file, path);

    if (code < 0)
        return code;
    code = check_shape(&opened.file, what, count);
    if (code == 0) {
        const struct dms_npy *npy = &opened.file.npy;

        opened.height = (uint32_t)npy->dimensions[1];
        opened.width = (uint32_t)npy->dimensions[2];
        opened.channel_ct = npy->dimension_ct == 4 ? (uint32_t)npy->dimensions[3] : 1;
        code = find_brightest(&opened);
    }
    if (code < 0) {
        npy_file_close(&opened.file);
        return code;
    }
    *thumbnails = opened;
    return 0;
}

void thumbnails_close(struct thumbnails *thumbnails)
{
    if (thumbnails->width > 0)
        npy_file_close(&thumbnails->file);
    *thumbnails = (struct thumbnails){0};
}

/* The mean of the rows and columns of `picture` that pixel (row, column) of a smaller picture
 * stands for, scaled to 255. */
static uint8_t shrunk_value(const struct thumbnails *from, const uint8_t *picture, uint32_t width,
                            uint32_t height, uint32_t row, uint32_t column, uint32_t channel)
{
    uint32_t first_row = row * from->height / height, end_row = (row + 1) * from->height / height;
    uint32_t first = column * from->width / width, end = (column + 1) * from->width / width;
    uint64_t sum = 0, full = (uint64_t)(end_row - first_row) * (end - first) * from->brightest;

    for (uint32_t y = first_row; y < end_row; y++) {
        for (uint32_t x = first; x < end; x++)
            sum += picture[((size_t)y * from->width + x) * from->channel_ct + channel];
    }
    sum = (sum * 255 + full / 2) / full;
    return sum < 255 ? (uint8_t)sum : 255;
}

static uint32_t shrunk_side(uint32_t side, uint32_t larger)
{
    uint32_t shrunk = larger > SIDE_MAX ? side * SIDE_MAX / larger : side;

    return shrunk > 0 ? shrunk : 1;
}

static void print_base64(const uint8_t *bytes, size_t byte_ct, FILE *file)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < byte_ct; i += 3) {
        size_t left = byte_ct - i;
        uint32_t group = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (left > 2 ? bytes[i + 2] : 0);

        putc(digits[group >> 18], file);
        putc(digits[group >> 12 & 63], file);
        putc(left > 1 ? digits[group >> 6 & 63] : '=', file);
        putc(left > 2 ? digits[group & 63] : '=', file);
    }
}

int thumbnails_print(const struct thumbnails *thumbnails, uint64_t index, FILE *file)
{
    uint32_t larger =
        thumbnails->width > thumbnails->height ? thumbnails->width : thumbnails->height;
    uint32_t width = shrunk_side(thumbnails->width, larger);
    uint32_t height = shrunk_side(thumbnails->height, larger);
    uint8_t *picture = malloc((size_t)thumbnails->file.row_bytes), *next;
    uint8_t *pixels = malloc((size_t)width * height * thumbnails->channel_ct), *png = NULL;
    size_t png_bytes = 0;
    int code =
        picture && pixels
            ? npy_file_read(&thumbnails->file, index, 1, 0, thumbnails->file.row_bytes, picture)
            : dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for a picture");

    next = pixels;
    for (uint32_t row = 0; code == 0 && row < height; row++) {
        for (uint32_t column = 0; column < width; column++) {
            for (uint32_t channel = 0; channel < thumbnails->channel_ct; channel++)
                *next++ = shrunk_value(thumbnails, picture, width, height, row, column, channel);
        }
    }
    if (code == 0)
        code = png_encode(pixels, width, height, thumbnails->channel_ct, &png, &png_bytes);
    if (code == 0) {
        fputs("data:image/png;base64,", file);
        print_base64(png, png_bytes, file);
    }
    free(picture);
    free(pixels);
    free(png);
    return code;
}
