/*
 * Warns of extrapolation; see extrapolation.h.
 */
#include "extrapolation.h"

#include <inttypes.h>
#include <stdio.h>

const char *extrapolation_range(uint64_t smallest, uint64_t largest,
                                char text[EXTRAPOLATION_RANGE_BYTES])
{
    char first[TOOL_HUMAN_BYTES], last[TOOL_HUMAN_BYTES];

    if (smallest == largest)
        return tool_human_count(smallest, text);
    snprintf(text, EXTRAPOLATION_RANGE_BYTES, "%s to %s", tool_human_count(smallest, first),
             tool_human_count(largest, last));
    return text;
}

bool extrapolation_warn(const char *command, const char *subject, uint64_t smallest,
                        uint64_t largest, const struct dms_subset_sizes *training)
{
    char asked[EXTRAPOLATION_RANGE_BYTES], trained[EXTRAPOLATION_RANGE_BYTES];

    if (!dms_subsets_extrapolate(training, smallest, largest))
        return false;
    tool_warn(command,
              "%s %s example%s, those of training %s: these predictions extrapolate, and their "
              "level is not to be trusted",
              subject, extrapolation_range(smallest, largest, asked), tool_plural(largest),
              extrapolation_range(training->smallest, training->largest, trained));
    return true;
}
