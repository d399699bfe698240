/*
 * Asks the first training models of a fit for the sizes of their subsets; see subset_sizes.h.
 */
#include "query/subset_sizes.h"

#include <stdlib.h>

#include "query/id_ranges.h"
#include "query/mask_pass.h"

/* How many of the training models are asked for the size of their subsets: enough to see whether
 * all have one size, and no pass over the whole store. */
#define TRAINING_SAMPLE 4096

/* What a pass over masks may take where nobody says. */
#define PASS_BYTES (UINT64_C(256) << 20)

int dms_subset_sizes_read(dms_snapshot *snapshot, const struct dms_row_set *training,
                          unsigned thread_ct, uint64_t memory_bytes, struct dms_subset_sizes *sizes)
{
    struct dms_id_range *live = NULL, *sample = NULL;
    struct dms_mask_pass pass = {.smallest_subset = UINT64_MAX};
    size_t live_ct, sample_ct = 0;
    int code = dms_id_ranges_live(snapshot, &live, &live_ct);

    if (code == 0)
        code = dms_id_ranges_intersect(training->ranges, training->range_ct, live, live_ct, &sample,
                                       &sample_ct);
    if (code == 0)
        dms_id_ranges_limit(sample, &sample_ct, TRAINING_SAMPLE);
    if (code == 0 && sample_ct > 0) /* else the models that it was trained on have been removed */
        code = dms_mask_pass_run(snapshot, sample, sample_ct, thread_ct, memory_bytes, &pass);
    if (code == 0)
        *sizes = (struct dms_subset_sizes){
            .is_known = sample_ct > 0,
            .smallest = pass.smallest_subset,
            .largest = pass.largest_subset,
        };
    free(live);
    free(sample);
    return code;
}

int dms_fit_subset_sizes(dms_snapshot *snapshot, const dms_fit *fit, unsigned thread_ct,
                         struct dms_subset_sizes *sizes)
{
    return dms_subset_sizes_read(snapshot, &dms_fit_get_header(fit)->training, thread_ct,
                                 PASS_BYTES, sizes);
}

bool dms_subsets_extrapolate(const struct dms_subset_sizes *sizes, uint64_t smallest,
                             uint64_t largest)
{
    return sizes->is_known && (smallest < sizes->smallest || largest > sizes->largest);
}
