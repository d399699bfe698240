/*
 * digits files: writes what a report wants to know about targets and training images as files: the
 * images, their labels (`dmstore fit --labels` takes them, too) and a name for each.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <dmstore/error.h>
#include <dmstore/store.h>

#include "demo.h"
#include "images.h"
#include "npy_file.h"
#include "options.h"
#include "output_file.h"
#include "report.h"

static const char name[] = "files";

#define PATH_BYTES 4096

static int file_path(const char *directory, const char *prefix, const char *file,
                     char path[PATH_BYTES])
{
    if (snprintf(path, PATH_BYTES, "%s/%s%s", directory, prefix, file) >= PATH_BYTES)
        return dms_source_fail(DMS_ERR_INVALID, "the name of directory '%s' is too long",
                               directory);
    return 0;
}

/* The pixels as uint8 (images, 8, 8). */
static int write_images(const char *path, const struct image *images, size_t image_ct)
{
    struct npy_writer writer = {0};
    int code =
        npy_writer_create(&writer, path, 'u', 1, 3, (uint64_t[]){image_ct, IMAGE_SIDE, IMAGE_SIDE});

    for (size_t i = 0; i < image_ct && code == 0; i++)
        code = npy_writer_write(&writer, i, 1, 0, IMAGE_PIXELS, images[i].pixels);
    if (code == 0)
        code = npy_writer_commit(&writer);
    npy_writer_abandon(&writer);
    return code;
}

/* The digits as int64 (images,). */
static int write_labels(const char *path, const struct image *images, size_t image_ct)
{
    struct npy_writer writer = {0};
    int code = npy_writer_create(&writer, path, 'i', sizeof(int64_t), 1, (uint64_t[]){image_ct});

    for (size_t i = 0; i < image_ct && code == 0; i++) {
        int64_t label = images[i].label;

        code = npy_writer_write(&writer, i, 1, 0, sizeof(label), &label);
    }
    if (code == 0)
        code = npy_writer_commit(&writer);
    npy_writer_abandon(&writer);
    return code;
}

/* A line for each image, e.g. "7 (line 18)". */
static int write_names(const char *path, const struct image *images, size_t image_ct)
{
    struct output_file file = {0};
    int code = output_file_create(&file, path);

    for (size_t i = 0; i < image_ct && code == 0; i++) {
        char text[64];
        int bytes = snprintf(text, sizeof(text), "%u (line %" PRIu32 ")\n", images[i].label,
                             images[i].line);

        code = output_file_append(&file, (uint64_t)bytes, text);
    }
    if (code == 0)
        code = output_file_commit(&file);
    output_file_abandon(&file);
    return code;
}

static int write_files(const char *directory, const char *prefix, const struct image *images,
                       size_t image_ct)
{
    char path[PATH_BYTES];
    int code = file_path(directory, prefix, "images.npy", path);

    if (code == 0)
        code = write_images(path, images, image_ct);
    if (code == 0)
        code = file_path(directory, prefix, "labels.npy", path);
    if (code == 0)
        code = write_labels(path, images, image_ct);
    if (code == 0)
        code = file_path(directory, prefix, "names.txt", path);
    if (code == 0)
        code = write_names(path, images, image_ct);
    return code;
}

static int files(const char *data, const char *directory)
{
    struct digits digits = {0};
    int code = digits_read(data, &digits);

    if (code == 0 && mkdir(directory, 0777) != 0 && errno != EEXIST)
        code = tool_source_fail_errno("cannot make directory '%s'", directory);
    if (code == 0)
        code = write_files(directory, "", digits.targets, digits.target_ct);
    if (code == 0)
        code = write_files(directory, "train_", digits.training, digits.training_ct);
    if (code == 0)
        printf("%zu targets and %zu training images in %s\n", digits.target_ct, digits.training_ct,
               directory);
    digits_free(&digits);
    return tool_finish_output(name, code == 0 ? TOOL_OK : tool_fail_library(name));
}

int command_files(int argc, char **argv)
{
    const char *data = NULL, *directory = NULL;
    const struct tool_option options[] = {
        OPTION_TEXT("data", 0, "FILE", &data, "the images: digits.csv (needed)"),
        OPTION_TEXT("output", 'o', "DIR", &directory, "where the files go (needed)"),
        OPTION_END,
    };
    const struct tool_usage usage = {
        .command = name,
        .synopsis = "--data FILE -o DIR",
        .description =
            "Writes images.npy (uint8, n x 8 x 8), labels.npy (int64) and names.txt of the\n"
            "397 targets, and the same of the 1,400 training images with \"train_\" before\n"
            "their names: target j of an output is row j, training example k is row k.\n",
        .options = options,
    };
    int status = tool_options_parse(&usage, argc, argv, NULL, NULL);

    if (status != TOOL_CONTINUE)
        return status;
    if (!data || !directory)
        return tool_fail_usage(name, "--data FILE and -o DIR are needed");
    return files(data, directory);
}
