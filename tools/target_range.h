/*
 * The argument of --targets: a range of targets of a column.
 */
#ifndef DMSTORE_TOOLS_TARGET_RANGE_H
#define DMSTORE_TOOLS_TARGET_RANGE_H

#include <stdbool.h>
#include <stdint.h>

/* Reads "A:B", "A:" or ":B" as targets *first .. *end - 1; a missing number gives 0, which as an
 * end stands for that of the column. Returns false when it is something else, or an empty range. */
bool target_range_parse(const char *text, uint64_t *first, uint64_t *end);

#endif
