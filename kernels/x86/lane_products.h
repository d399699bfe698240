/*
 * The two products of masks and lanes by tables of subset sums, for one type of number: included
 * by each x86 variant, for each type, after it has defined
 *   REAL: the type;
 *   NAMED(name): the function's name with the type's suffix;
 *   VECTOR_BYTES: 32 or 64.
 *
 * A word of 64 bits is cut into fields of a few bits. For each field the sums of all subsets of
 * its values are put in a table; the sum that belongs to a word is then one entry per field. Wide
 * fields need fewer additions and larger tables: those below were measured to be the best
 * (tests/bench/NOTES.md). Lanes are worked on in slices of one vector, so that the tables stay
 * near the processor; a slice goes through everything before the next one begins.
 */

/* Names of this file, each defined once for every type. */
#define vector NAMED(vector)
#define scratch_space NAMED(scratch_space)
#define build_tables NAMED(build_tables)
#define add_words NAMED(add_words)
#define add_selected NAMED(add_selected)
#define multiply_line NAMED(multiply_line)
#define multiply_by_tables NAMED(multiply_by_tables)
#define multiply_transposed_by_tables NAMED(multiply_transposed_by_tables)
#define kernels NAMED(kernels)

typedef REAL vector __attribute__((vector_size(VECTOR_BYTES), may_alias));

#define SLICE_LANES (VECTOR_BYTES / sizeof(REAL))

struct scratch_space {
    vector tables[ENTRY_CT_MAX];
    uint64_t words[WORDS_PER_LINE][ROWS_PER_BLOCK];
};

/*
 * Fills the tables for value_ct <= 64 values, a slice of each. An entry that has a value from
 * value_ct on is left as it is: no word has the bit.
 */
static void build_tables(const struct layout *layout, const REAL *values, size_t value_ct,
                         vector *table)
{
    for (size_t f = 0; f < layout->field_ct; f++) {
        size_t first = layout->fields[f].position;

        table[0] = (vector){0};
        for (size_t j = 0; j < layout->fields[f].width && first + j < value_ct; j++) {
            vector value = *(const vector *)(values + (first + j) * DMS_LANES);
            size_t subset_ct = (size_t)1 << j;

            for (size_t subset = 0; subset < subset_ct; subset++)
                table[subset_ct + subset] = table[subset] + value;
        }
        table += (size_t)1 << layout->fields[f].width;
    }
}

/* sums[i] += what the tables say of words[i], for a slice. */
static inline __attribute__((always_inline)) void add_words(const struct layout *layout,
                                                            const vector *tables,
                                                            const uint64_t *words, size_t word_ct,
                                                            REAL *sums)
{
    for (size_t i = 0; i < word_ct; i++) {
        vector *sum = (vector *)(sums + i * DMS_LANES);
        vector parts[2] = {*sum, {0}};
        const uint8_t *table = (const uint8_t *)tables;

#pragma GCC unroll 16
        for (size_t f = 0; f < layout->field_ct; f++) {
            size_t offset = field_offset(words[i], layout->fields[f], VECTOR_BYTES);

            parts[f % 2] += *(const vector *)(table + offset);
            table += (size_t)VECTOR_BYTES << layout->fields[f].width;
        }
        *sum = parts[0] + parts[1];
    }
}

/* Adds to sums[i] the values, value_ct <= 64 of them, whose bits are set in words[i]. */
static void add_selected(const REAL *values, size_t value_ct, const uint64_t *words, size_t word_ct,
                         REAL *sums, vector *tables)
{
    if (word_ct < WIDE_WORD_CT) {
        build_tables(&narrow, values, value_ct, tables);
        add_words(&narrow, tables, words, word_ct, sums);
    } else {
        build_tables(&wide, values, value_ct, tables);
        add_words(&wide, tables, words, word_ct, sums);
    }
}

/* The same for a block of rows and the columns of up to WORDS_PER_LINE words. */
static void multiply_line(const uint8_t *masks, size_t row_ct, size_t row_stride_bytes,
                          size_t column_ct, const REAL *weights, REAL *products,
                          struct scratch_space *scratch)
{
    size_t word_ct = (column_ct + 63) / 64;

    for (size_t i = 0; i < row_ct; i++)
        for (size_t j = 0; j < word_ct; j++)
            memcpy(&scratch->words[j][i], masks + i * row_stride_bytes + 8 * j, 8);
    for (size_t lane = 0; lane < DMS_LANES; lane += SLICE_LANES)
        for (size_t j = 0; j < word_ct; j++)
            add_selected(weights + 64 * j * DMS_LANES + lane, at_most(column_ct - 64 * j, 64),
                         scratch->words[j], row_ct, products + lane, scratch->tables);
}

static void multiply_by_tables(const uint8_t *masks, size_t row_ct, size_t row_stride_bytes,
                               size_t column_ct, const void *weights, void *products,
                               void *workspace)
{
    const size_t line_columns = 64 * WORDS_PER_LINE;
    const REAL *weight = weights;
    REAL *product = products;

    memset(product, 0, row_ct * DMS_LANES * sizeof(REAL));
    for (size_t i = 0; i < row_ct; i += ROWS_PER_BLOCK)
        for (size_t k = 0; k < column_ct; k += line_columns)
            multiply_line(masks + i * row_stride_bytes + k / 8, at_most(row_ct - i, ROWS_PER_BLOCK),
                          row_stride_bytes, at_most(column_ct - k, line_columns),
                          weight + k * DMS_LANES, product + i * DMS_LANES, workspace);
}

static void multiply_transposed_by_tables(const uint64_t *columns, size_t column_stride,
                                          size_t row_ct, size_t column_ct, const void *values,
                                          void *sums, void *workspace)
{
    struct scratch_space *scratch = workspace;
    const REAL *value = values;
    REAL *sum = sums;

    memset(sum, 0, column_ct * DMS_LANES * sizeof(REAL));
    for (size_t k = 0; k < column_ct; k += COLUMNS_PER_BLOCK)
        for (size_t lane = 0; lane < DMS_LANES; lane += SLICE_LANES)
            for (size_t i = 0; i < row_ct; i += 64)
                add_selected(value + i * DMS_LANES + lane, at_most(row_ct - i, 64),
                             columns + i / 64 * column_stride + k,
                             at_most(column_ct - k, COLUMNS_PER_BLOCK), sum + k * DMS_LANES + lane,
                             scratch->tables);
}

static const struct dms_lane_kernels kernels = {
    .name = VARIANT_NAME,
    .real_bytes = sizeof(REAL),
    .workspace_bytes = sizeof(struct scratch_space),
    .multiply = multiply_by_tables,
    .multiply_transposed = multiply_transposed_by_tables,
};

#undef vector
#undef scratch_space
#undef build_tables
#undef add_words
#undef add_selected
#undef multiply_line
#undef multiply_by_tables
#undef multiply_transposed_by_tables
#undef kernels
#undef SLICE_LANES
