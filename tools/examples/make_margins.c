/*
 * make_margins MASKS.npy MARGINS.npy TARGETS: makes up the outputs that models trained on those
 * masks would have, for the quickstart. Each target's margin is a sparse linear function of the
 * mask (a planted datamodel: a bias and INFLUENCE_CT training examples with weights) plus noise,
 * the same on every run. Margins are written as float32, as training scripts usually have them;
 * `dmstore ingest` rounds them to the column's float16.
 *
 * It is also an example of the library: .npy headers are read and printed by dmstore/npy.h.
 */
#include <dmstore.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INFLUENCE_CT 20

/* A planted datamodel of one target. */
struct datamodel {
    float bias;
    uint64_t examples[INFLUENCE_CT];
    float weights[INFLUENCE_CT];
};

/* SplitMix64: a small generator with a documented output for every state. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Near enough to a standard normal value: the sum of 12 uniform values in [0, 1) has variance 1 and
 * mean 6. */
static float next_normal(uint64_t *state)
{
    float sum = 0;
    for (int i = 0; i < 12; i++)
        sum += (float)(next_random(state) >> 40) / (float)(1 << 24);
    return sum - 6;
}

static void plant(struct datamodel *datamodels, uint64_t target_ct, uint64_t example_ct)
{
    uint64_t state = 1;
    for (uint64_t target = 0; target < target_ct; target++) {
        struct datamodel *datamodel = &datamodels[target];
        datamodel->bias = 2 + next_normal(&state);
        for (int i = 0; i < INFLUENCE_CT; i++) {
            datamodel->examples[i] = next_random(&state) % example_ct;
            datamodel->weights[i] = next_normal(&state) / 2;
        }
    }
}

/* mask: one byte an example, as in the .npy file. */
static float margin_of(const struct datamodel *datamodel, const uint8_t *mask, uint64_t *noise)
{
    float margin = datamodel->bias + next_normal(noise) / 2;
    for (int i = 0; i < INFLUENCE_CT; i++)
        margin += mask[datamodel->examples[i]] ? datamodel->weights[i] : 0;
    return margin;
}

static int fail(const char *what, const char *path)
{
    fprintf(stderr, "make_margins: %s '%s'\n", what, path);
    return 1;
}

/* Reads the header of an m x d bool file and leaves `file` at its first row. */
static int read_masks_header(FILE *file, struct dms_npy *npy, const char *path)
{
    uint8_t prefix[DMS_NPY_PREFIX_BYTES];
    size_t header_bytes;
    if (fread(prefix, 1, sizeof prefix, file) != sizeof prefix ||
        dms_npy_header_bytes(prefix, sizeof prefix, &header_bytes) != 0)
        return fail("not a .npy file:", path);

    uint8_t *header = malloc(header_bytes);
    if (!header)
        return fail("out of memory for the header of", path);
    memcpy(header, prefix, sizeof prefix);
    size_t rest = header_bytes - sizeof prefix;
    int failed = fread(header + sizeof prefix, 1, rest, file) != rest ||
                 dms_npy_parse(header, header_bytes, npy) != 0;
    free(header);
    if (failed)
        return fail("cannot read the header of", path);
    if (npy->dimension_ct != 2 || npy->kind != 'b' || npy->dimensions[1] == 0)
        return fail("expected a models x examples array of bool in", path);
    return 0;
}

static int write_margins(FILE *masks, const struct dms_npy *masks_npy, FILE *margins,
                         uint64_t target_ct)
{
    uint64_t model_ct = masks_npy->dimensions[0], example_ct = masks_npy->dimensions[1], noise = 2;
    struct datamodel *datamodels = calloc(target_ct, sizeof *datamodels);
    uint8_t *mask = malloc(example_ct);
    float *row = calloc(target_ct, sizeof *row);
    int result = 1;
    if (!datamodels || !mask || !row)
        goto out;

    plant(datamodels, target_ct, example_ct);
    struct dms_npy npy = {
        .kind = 'f', .item_bytes = 4, .dimension_ct = 2, .dimensions = {model_ct, target_ct}};
    uint8_t header[DMS_NPY_HEADER_BYTES];
    if (dms_npy_print(&npy, header) != 0 ||
        fwrite(header, 1, npy.data_offset, margins) != npy.data_offset)
        goto out;
    for (uint64_t model = 0; model < model_ct; model++) {
        if (fread(mask, 1, example_ct, masks) != example_ct)
            goto out;
        for (uint64_t target = 0; target < target_ct; target++)
            row[target] = margin_of(&datamodels[target], mask, &noise);
        if (fwrite(row, sizeof *row, target_ct, margins) != target_ct)
            goto out;
    }
    result = 0;
out:
    free(row);
    free(mask);
    free(datamodels);
    return result;
}

int main(int argc, char **argv)
{
    uint64_t target_ct = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;
    if (target_ct == 0) {
        fputs("usage: make_margins MASKS.npy MARGINS.npy TARGETS\n", stderr);
        return 2;
    }

    struct dms_npy npy;
    FILE *margins = NULL, *masks = fopen(argv[1], "rb");
    int result = masks ? read_masks_header(masks, &npy, argv[1]) : fail("cannot open", argv[1]);
    if (result == 0) {
        margins = fopen(argv[2], "wb");
        if (!margins)
            result = fail("cannot write", argv[2]);
        else if (write_margins(masks, &npy, margins, target_ct) != 0)
            result = fail("cannot finish", argv[2]);
    }
    if (margins && fclose(margins) != 0 && result == 0)
        result = fail("cannot finish", argv[2]);
    if (masks)
        fclose(masks);
    return result;
}
