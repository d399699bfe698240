/*
 * Fuzz target: lines of `dmstore append --format jsonl`. The first byte says whether rows may leave
 * their mask out. What is accepted is a row that the store could take.
 */
#include "fuzz.h"

#include "tools/jsonl_row.h"

#include <string.h>

enum { COLUMN_CT = 5, EXAMPLE_CT = 13 };

static const struct dms_schema *fuzz_schema(void)
{
    static struct dms_column columns[2 + COLUMN_CT] = {
        {.kind = DMS_COLUMN_MASK, .name = "mask"},
        {.kind = DMS_COLUMN_ID, .name = "id"},
    };
    static struct dms_schema schema = {
        .example_ct = EXAMPLE_CT, .columns = columns, .column_ct = 2 + COLUMN_CT};

    if (columns[2].name[0] == '\0') {
        require(dms_output_parse("margins:3x2:f16", &columns[2]) == 0);
        require(dms_output_parse("hits:2:bool", &columns[3]) == 0);
        require(dms_scalar_parse("alpha:f64", &columns[4]) == 0);
        require(dms_scalar_parse("host:s5", &columns[5]) == 0);
        require(dms_scalar_parse("time:i64", &columns[6]) == 0);
    }
    return &schema;
}

/* Touches every byte of the values of a row, and holds them against what their types allow. */
static void check_row(const struct dms_schema *schema, const struct dms_row *row)
{
    uint32_t output = 0, scalar = 0;

    require((row->mask[1] & ~0x1f) == 0); /* the bits after example 12 */
    for (uint32_t i = 2; i < schema->column_ct; i++) {
        const struct dms_column *column = &schema->columns[i];
        const uint8_t *values =
            column->kind == DMS_COLUMN_OUTPUT ? row->outputs[output++] : row->scalars[scalar++];
        size_t bytes = (size_t)dms_column_value_ct(column) * dms_column_value_bytes(column);
        uint8_t copy[64];

        require(bytes <= sizeof(copy));
        if (values == NULL)
            continue;
        memcpy(copy, values, bytes);
        for (size_t k = 0; column->dtype == DMS_BOOL && k < bytes; k++)
            require(copy[k] <= 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct dms_sampling sampling = {.subset_size = 6, .seed = 1};
    struct row_batch batch;
    char *line;

    if (size == 0)
        return 0;
    line = malloc(size);
    require(line != NULL && row_batch_init(&batch, fuzz_schema()) == 0);
    memcpy(line, data + 1, size - 1);
    line[size - 1] = '\0';
    if (jsonl_row_parse(line, size - 1, (data[0] & 1) != 0 ? &sampling : NULL, &batch) == 0) {
        require(batch.row_ct == 1);
        check_row(batch.schema, &batch.rows[0]);
    } else {
        require(batch.row_ct == 0);
    }
    row_batch_free(&batch);
    free(line);
    return 0;
}
