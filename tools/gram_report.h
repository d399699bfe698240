/*
 * What `dmstore gram` says: of the counts and products that it made or found, and of the files that
 * a store has.
 */
#ifndef DMS_TOOLS_GRAM_REPORT_H
#define DMS_TOOLS_GRAM_REPORT_H

#include <stdbool.h>

#include <dmstore.h>

/* The counts of a row set. */
struct counted {
    const char *role;
    char digest[DMS_DIGEST_TEXT_BYTES];
    uint64_t example_ct;
    struct dms_gram_result result;
    double seconds;
};

/* Its products. */
struct multiplied {
    const char *role;
    char digest[DMS_DIGEST_TEXT_BYTES];
    struct dms_products_result result;
    double seconds;
};

/* Training and validation models, as far as they were in work. */
struct gram_outcome {
    const char *output;     /* of the products; NULL: none were asked for */
    enum dms_device device; /* that was asked for */
    struct counted counted[2];
    struct multiplied multiplied[2];
    size_t role_ct;
};
void gram_report_print(const struct gram_outcome *outcome);
void gram_report_json(const struct gram_outcome *outcome);

/* Lists the files of the store at `path`, whose schema tells the names of columns. */
int gram_report_files(const char *path, const struct dms_schema *schema, bool as_json);

#endif
