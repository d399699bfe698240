/*
 * Examples or targets as a command line names them: "7", "2:5", "all", "@FILE", or a file by
 * itself.
 *
 * A file is text, numbers with blanks, commas or line breaks between them and comments from '#' to
 * the end of a line; or a .npy file of integers, or of one bool for every index that there is.
 * Functions return 0 or a negative enum dms_error with the message set (see report.h).
 */
#ifndef DMSTORE_TOOLS_INDEX_LIST_H
#define DMSTORE_TOOLS_INDEX_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct index_list {
    uint64_t *indices; /* in the order given, none of them twice */
    size_t index_ct;
};

/* Reads a file. `what` names one index in messages, e.g. "example"; indices are below `limit`. The
 * caller ends the list with index_list_free; a zeroed one may be freed. INVALID: no such index, the
 * same one twice, not a list. */
int index_list_read(const char *path, const char *what, uint64_t limit, struct index_list *list);

/* Reads the text of an option: one index, a range FIRST:END (either may be left out), "all" or
 * "@FILE". */
int index_list_parse(const char *text, const char *what, uint64_t limit, struct index_list *list);

void index_list_free(struct index_list *list);

/* Whether the text is a range or "all": what is meant are those that there are in it. */
bool index_list_is_range(const char *text);

#endif
