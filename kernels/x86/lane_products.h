/*
 * The two products of masks and lanes by tables of subset sums, for one type of number: included
 * by each x86 variant, for each type, after it has defined
 *   REAL: the type;
 *   NAMED(name): the function's name with the type's suffix;
 *   VECTOR_BYTES: 32 or 64;
 *   SLICE_VECTORS: 1 or 2, so many vectors of lanes go through everything together;
 *   WIDE_WORD_CT: from so many words on, the wide layout is the faster one;
 *   COLUMNS_PER_BLOCK: so many that a slice of their sums stays in L2.
 *
 * A word of 64 bits is cut into fields of a few bits. For each field the sums of all subsets of
 * its values are put in a table; the sum that belongs to a word is then one entry per field. Wide
 * fields need fewer additions and larger tables: those below were measured to be the best
 * (tests/bench/NOTES.md). Lanes are worked on in slices, so that the tables stay near the
 * processor; a slice goes through everything before the next one begins.
 */

/* Names of this file, each defined once for every type. */
#define vector NAMED(vector)
#define slice NAMED(slice)
#define sum_of NAMED(sum_of)
#define scratch_space NAMED(scratch_space)
#define build_table NAMED(build_table)
#define load_slices NAMED(load_slices)
#define add_narrow NAMED(add_narrow)
#define add_wide NAMED(add_wide)
#define add_selected NAMED(add_selected)
#define multiply_line NAMED(multiply_line)
#define multiply_by_tables NAMED(multiply_by_tables)
#define multiply_transposed_by_tables NAMED(multiply_transposed_by_tables)
#define kernels NAMED(kernels)

typedef REAL vector __attribute__((vector_size(VECTOR_BYTES), may_alias));

struct slice {
    vector vectors[SLICE_VECTORS];
};

#define SLICE_LANES (sizeof(struct slice) / sizeof(REAL))

struct scratch_space {
    struct slice tables[ENTRY_CT_MAX];
    uint64_t words[WORDS_PER_LINE][ROWS_PER_BLOCK + 8]; /* + 8: not all in one set of a cache */
};

static inline struct slice sum_of(struct slice a, const struct slice *b)
{
    a.vectors[0] += b->vectors[0];
#if SLICE_VECTORS == 2
    a.vectors[1] += b->vectors[1];
#endif
    return a;
}

/*
 * Fills the table of a field, given its values: entry e is the sum of those whose bits are set in
 * e. Eight entries at a time are those of the first three values, to each of which is added a sum
 * of others: that of one other less, which is in the table, and the value that it lacks.
 */
static inline __attribute__((always_inline)) void build_table(const struct slice *values,
                                                              unsigned width, struct slice *table)
{
    struct slice low[8] = {{{{0}}}};

    low[1] = values[0];
    low[2] = values[1];
    low[3] = sum_of(low[2], &values[0]);
    low[4] = values[2];
    low[5] = sum_of(low[4], &values[0]);
    low[6] = sum_of(low[4], &values[1]);
    low[7] = sum_of(low[6], &values[0]);
    for (size_t e = 0; e < 8; e++)
        table[e] = low[e];
    for (size_t high = 1; high < (size_t)1 << (width - 3); high++) {
        struct slice sum =
            sum_of(table[8 * (high & (high - 1))], &values[3 + __builtin_ctzll(high)]);

#pragma GCC unroll 8
        for (size_t e = 0; e < 8; e++)
            table[8 * high + e] = sum_of(sum, &low[e]);
    }
}

/* A slice of the values of a word; those from value_ct on count as zeros. */
static inline void load_slices(const REAL *values, size_t value_ct, struct slice slices[64])
{
    for (size_t i = 0; i < value_ct; i++)
        slices[i] = *(const struct slice *)(values + i * DMS_LANES);
    for (size_t i = value_ct; i < 64; i++)
        slices[i] = (struct slice){{{0}}};
}

#define BUILD_TABLE(part, entry, position, width) \
    build_table(slices + (position), width, tables + (entry));

#define ADD_ENTRY(part, entry, position, width)                      \
    parts[part] = sum_of(                                            \
        parts[part],                                                 \
        (const struct slice *)((const uint8_t *)(tables + (entry)) + \
                               field_offset(words[i], position, width, sizeof(struct slice))));

/*
 * Adds to a slice of sums[i] the values, value_ct <= 64 of them, whose bits are set in words[i].
 * For fewer words than WIDE_WORD_CT the larger tables do not pay.
 */
static void add_narrow(const REAL *values, size_t value_ct, const uint64_t *words, size_t word_ct,
                       REAL *sums, struct slice *tables)
{
    struct slice slices[64];

    load_slices(values, value_ct, slices);
    NARROW_LAYOUT(BUILD_TABLE)
    for (size_t i = 0; i < word_ct; i++) {
        struct slice *sum = (struct slice *)(sums + i * DMS_LANES);
        struct slice parts[2] = {*sum, {{{0}}}};

        NARROW_LAYOUT(ADD_ENTRY)
        *sum = sum_of(parts[0], &parts[1]);
    }
}

static void add_wide(const REAL *values, size_t value_ct, const uint64_t *words, size_t word_ct,
                     REAL *sums, struct slice *tables)
{
    struct slice slices[64];

    load_slices(values, value_ct, slices);
    WIDE_LAYOUT(BUILD_TABLE)
    for (size_t i = 0; i < word_ct; i++) {
        struct slice *sum = (struct slice *)(sums + i * DMS_LANES);
        struct slice parts[2] = {*sum, {{{0}}}};

        WIDE_LAYOUT(ADD_ENTRY)
        *sum = sum_of(parts[0], &parts[1]);
    }
}

static void add_selected(const REAL *values, size_t value_ct, const uint64_t *words, size_t word_ct,
                         REAL *sums, struct slice *tables)
{
    if (word_ct < WIDE_WORD_CT)
        add_narrow(values, value_ct, words, word_ct, sums, tables);
    else
        add_wide(values, value_ct, words, word_ct, sums, tables);
}

/* The same for a block of rows and the columns of up to WORDS_PER_LINE words. */
static void multiply_line(const uint8_t *masks, size_t row_ct, size_t row_stride_bytes,
                          size_t column_ct, const REAL *weights, REAL *products,
                          struct scratch_space *scratch)
{
    size_t word_ct = (column_ct + 63) / 64;

    for (size_t i = 0; i < row_ct; i++) {
        __builtin_prefetch(masks + (i + PREFETCHED_ROWS) * row_stride_bytes);
        for (size_t j = 0; j < word_ct; j++)
            memcpy(&scratch->words[j][i], masks + i * row_stride_bytes + 8 * j, 8);
    }
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

    for (size_t k = 0; k < column_ct; k += COLUMNS_PER_BLOCK) {
        size_t block_columns = at_most(column_ct - k, COLUMNS_PER_BLOCK);

        memset(sum + k * DMS_LANES, 0, block_columns * DMS_LANES * sizeof(REAL));
        for (size_t lane = 0; lane < DMS_LANES; lane += SLICE_LANES)
            for (size_t i = 0; i < row_ct; i += 64)
                add_selected(value + i * DMS_LANES + lane, at_most(row_ct - i, 64),
                             columns + i / 64 * column_stride + k, block_columns,
                             sum + k * DMS_LANES + lane, scratch->tables);
    }
}

static const struct dms_lane_kernels kernels = {
    .name = VARIANT_NAME,
    .real_bytes = sizeof(REAL),
    .workspace_bytes = sizeof(struct scratch_space),
    .multiply = multiply_by_tables,
    .multiply_transposed = multiply_transposed_by_tables,
};

#undef vector
#undef slice
#undef sum_of
#undef scratch_space
#undef build_table
#undef load_slices
#undef add_narrow
#undef add_wide
#undef BUILD_TABLE
#undef ADD_ENTRY
#undef add_selected
#undef multiply_line
#undef multiply_by_tables
#undef multiply_transposed_by_tables
#undef kernels
#undef SLICE_LANES
