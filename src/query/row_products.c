/*
 * Lists of rows by example, and the products that come from them or from the rows; see
 * row_products.h.
 */
#include "query/row_products.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* Counts the weights of each example, then puts each where the count says. */
static void fill_lists(struct dms_row_products *products)
{
    const struct dms_embedding *embedding = products->embedding;
    size_t *begins = products->begins;

    for (size_t i = 0; i < embedding->row_ct; i++) {
        for (size_t k = 0; k < embedding->rows[i].weight_ct; k++)
            begins[embedding->rows[i].examples[k] + 1]++;
    }
    for (size_t e = 0; e < embedding->example_ct; e++)
        begins[e + 1] += begins[e];
    for (size_t i = 0; i < embedding->row_ct; i++) {
        const struct dms_embedding_row *row = &embedding->rows[i];

        for (size_t k = 0; k < row->weight_ct; k++) {
            size_t at = begins[row->examples[k]]++;

            products->rows[at] = (uint32_t)i;
            products->weights[at] = row->weights[k] * row->scale;
        }
    }
    memmove(begins + 1, begins, embedding->example_ct * sizeof(*begins));
    begins[0] = 0;
}

int dms_row_products_create(const struct dms_embedding *embedding, bool with_lists,
                            struct dms_row_products *products)
{
    *products = (struct dms_row_products){.embedding = embedding};
    if (!with_lists)
        return 0;
    products->begins = dms_alloc(embedding->example_ct + 1, sizeof(*products->begins));
    products->rows = dms_alloc(embedding->weight_ct, sizeof(*products->rows));
    products->weights = dms_alloc(embedding->weight_ct, sizeof(*products->weights));
    if (!products->begins || !products->rows || !products->weights)
        return DMS_ERR_NO_MEMORY;
    fill_lists(products);
    return 0;
}

void dms_row_products_free(struct dms_row_products *products)
{
    free(products->begins);
    free(products->rows);
    free(products->weights);
    *products = (struct dms_row_products){0};
}

uint64_t dms_row_products_bytes(const struct dms_embedding *embedding)
{
    return (embedding->example_ct + UINT64_C(1)) * sizeof(size_t) +
           embedding->weight_ct * (sizeof(uint32_t) + sizeof(double));
}

static void multiply_by_lists(const struct dms_row_products *products,
                              const struct dms_embedding_row *row, double *values)
{
    memset(values, 0, products->embedding->row_ct * sizeof(*values));
    for (size_t k = 0; k < row->weight_ct; k++) {
        double weight = row->weights[k] * row->scale;
        size_t end = products->begins[row->examples[k] + 1];

        for (size_t at = products->begins[row->examples[k]]; at < end; at++)
            values[products->rows[at]] += weight * products->weights[at];
    }
}

static void multiply_by_rows(const struct dms_embedding *embedding,
                             const struct dms_embedding_row *row, double *dense, double *values)
{
    for (size_t k = 0; k < row->weight_ct; k++)
        dense[row->examples[k]] = row->weights[k] * row->scale;
    for (size_t i = 0; i < embedding->row_ct; i++) {
        const struct dms_embedding_row *other = &embedding->rows[i];
        double sum = 0;

        for (size_t k = 0; k < other->weight_ct; k++)
            sum += dense[other->examples[k]] * (other->weights[k] * other->scale);
        values[i] = sum;
    }
    for (size_t k = 0; k < row->weight_ct; k++)
        dense[row->examples[k]] = 0;
}

void dms_row_products_of(const struct dms_row_products *products, size_t row, double *dense,
                         double *values)
{
    if (products->begins)
        multiply_by_lists(products, &products->embedding->rows[row], values);
    else
        multiply_by_rows(products->embedding, &products->embedding->rows[row], dense, values);
}
