/*
 * The two products of masks and lanes in portable C, for one type of number: included by
 * lane_products.c for each, after it has defined
 *   REAL: the type;
 *   NAMED(name): the function's name with the type's suffix.
 */

/*
 * sum[l] += the sum of values[i, l] over the bits i that are set. The 64 values are added among
 * themselves first: rounding then grows with the number of words and not with that of values.
 */
static void NAMED(add_selected)(uint64_t selected, const REAL *values, REAL *sum)
{
    REAL part[DMS_LANES] = {0};

    for (; selected != 0; selected &= selected - 1) {
        const REAL *value = values + (size_t)__builtin_ctzll(selected) * DMS_LANES;

        for (size_t lane = 0; lane < DMS_LANES; lane++)
            part[lane] += value[lane];
    }
    for (size_t lane = 0; lane < DMS_LANES; lane++)
        sum[lane] += part[lane];
}

void NAMED(dms_ref_lane_multiply)(const uint8_t *masks, size_t row_ct, size_t row_stride_bytes,
                                  size_t column_ct, const void *weights, void *products,
                                  void *workspace)
{
    const REAL *weight = weights;
    REAL *product = products;

    (void)workspace;
    for (size_t i = 0; i < row_ct; i++, product += DMS_LANES) {
        memset(product, 0, DMS_LANES * sizeof(REAL));
        for (size_t k = 0; k < column_ct; k += 64) {
            uint64_t selected = dms_load_u64(masks + i * row_stride_bytes + k / 8);

            NAMED(add_selected)(selected, weight + k * DMS_LANES, product);
        }
    }
}

void NAMED(dms_ref_lane_multiply_transposed)(const uint64_t *columns, size_t column_stride,
                                             size_t row_ct, size_t column_ct, const void *values,
                                             void *sums, void *workspace)
{
    const REAL *value = values;
    REAL *sum = sums;

    (void)workspace;
    memset(sum, 0, column_ct * DMS_LANES * sizeof(REAL));
    for (size_t i = 0; i < row_ct; i += 64, columns += column_stride)
        for (size_t k = 0; k < column_ct; k++)
            NAMED(add_selected)(columns[k], value + i * DMS_LANES, sum + k * DMS_LANES);
}
