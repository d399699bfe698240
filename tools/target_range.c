/*
 * Reads a range of targets; see target_range.h.
 */
#include "target_range.h"

#include <string.h>

#include "options.h"

bool target_range_parse(const char *text, uint64_t *first, uint64_t *end)
{
    const char *colon = strchr(text, ':');
    char first_text[32]; /* more digits than a 64-bit number has */
    size_t first_bytes;

    *first = *end = 0;
    if (!colon || strcmp(text, ":") == 0)
        return false;
    first_bytes = (size_t)(colon - text);
    if (first_bytes >= sizeof(first_text))
        return false;
    memcpy(first_text, text, first_bytes);
    first_text[first_bytes] = '\0';
    if (first_bytes > 0 && !tool_parse_number(first_text, 0, first))
        return false;
    return !colon[1] || (tool_parse_number(colon + 1, 0, end) && *end > *first);
}
