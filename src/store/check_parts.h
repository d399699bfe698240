/*
 * The parts of a check that look inside chunks, rows blocks and fits, for check.c alone.
 *
 * Each returns 0, a failure that dms_is_damage() knows, or one that ends the check. `reference` is
 * the live one to this block, NULL when the block is dead.
 */
#ifndef DMS_STORE_CHECK_PARTS_H
#define DMS_STORE_CHECK_PARTS_H

#include "store/check.h"

int dms_check_chunk(struct dms_check *check, const struct dms_survey_file *file,
                    const struct dms_found_block *found, const struct dms_reference *reference);

int dms_check_rows(struct dms_check *check, const struct dms_survey_file *file,
                   const struct dms_found_block *found, const struct dms_reference *reference);

int dms_check_fit(struct dms_check *check, const struct dms_survey_file *file,
                  const struct dms_found_block *found, const struct dms_reference *reference);

int dms_check_fit_part(struct dms_check *check, const struct dms_survey_file *file,
                       const struct dms_found_block *found, const struct dms_reference *reference);

/* Whether row_ct packed rows of bit_ct bits each have zeros after their last bit. */
bool dms_check_row_tails(const uint8_t *rows, uint32_t row_ct, size_t row_stride, uint64_t bit_ct);

#endif
