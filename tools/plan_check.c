/*
 * Compares the masks of models with those of their plan; see plan_check.h.
 */
#include "plan_check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "mask_file.h"
#include "report.h"

struct check {
    const char *directory;
    const struct removal_plan *plan;
    const uint64_t *targets;
    size_t target_ct;
    const dms_retrained *retrained;
    struct mask_file file;
    uint8_t *packed; /* a mask of the file */
};

static int compare_targets(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

static bool is_listed(const struct check *check, const struct plan_row *row)
{
    return !row->has_target || bsearch(&row->target, check->targets, check->target_ct,
                                       sizeof(row->target), compare_targets);
}

/* Whether the row is one more model of the training set of the row before it, so that its mask in
 * the file need not be read. */
static bool repeats(const struct plan_row *row, const struct plan_row *before)
{
    return row->repeat > 0 && row->repeat == before->repeat + 1 && row->k == before->k &&
           row->has_target == before->has_target && row->target == before->target;
}

/* *mask: which one of the retrained models' the row has in the file. */
static int find_mask(struct check *check, size_t row, size_t *mask)
{
    int code = mask_file_read(&check->file, row, 1, check->packed);

    return code < 0 ? code : dms_retrained_find_mask(check->retrained, check->packed, mask);
}

static int compare_masks(struct check *check)
{
    const struct removal_plan *plan = check->plan;
    size_t planned = 0, trained;
    int code = 0;

    if (check->file.file.row_ct != plan->row_ct)
        return dms_source_fail(DMS_ERR_INVALID,
                               "'%s' has %" PRIu64 " masks, and the plan %zu models",
                               check->file.file.path, check->file.file.row_ct, plan->row_ct);
    for (size_t i = 0; code == 0 && i < plan->row_ct; i++) {
        const struct plan_row *row = &plan->rows[i];

        if (!is_listed(check, row))
            continue;
        code = dms_retrained_find_model(check->retrained, row->id, &trained);
        if (code < 0)
            return code;
        if (i == 0 || !repeats(row, row - 1))
            code = find_mask(check, i, &planned);
        if (code == DMS_ERR_NOT_FOUND || (code == 0 && planned != trained))
            return dms_source_fail(DMS_ERR_CONFLICT,
                                   "model %" PRIu64 " of '%s' was not trained on what the plan in "
                                   "'%s' says: its mask is another",
                                   row->id, dms_retrained_path(check->retrained), check->directory);
    }
    return code;
}

int plan_check_masks(const char *command, const char *directory, const struct removal_plan *plan,
                     const uint64_t *targets, size_t target_ct, const dms_retrained *retrained,
                     uint64_t example_ct)
{
    struct check check = {.directory = directory,
                          .plan = plan,
                          .targets = targets,
                          .target_ct = target_ct,
                          .retrained = retrained,
                          .packed = malloc(example_ct / 8 + 1)};
    char *path = output_file_path(directory, "masks.npy");
    int code = path ? 0 : DMS_ERR_NO_MEMORY;

    if (code == 0 && !check.packed)
        code = dms_source_fail(DMS_ERR_NO_MEMORY, "out of memory for a mask");
    if (code == 0 && access(path, F_OK) != 0) {
        tool_warn(command,
                  "'%s' is not there: models are taken for what the plan says by their ids alone",
                  path);
    } else if (code == 0) {
        code = mask_file_open(&check.file, path, example_ct, MASKS_UNPACKED);
        if (code == 0)
            code = compare_masks(&check);
        mask_file_close(&check.file);
    }
    free(check.packed);
    free(path);
    return code;
}
