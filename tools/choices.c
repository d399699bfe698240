/*
 * Words that several commands take and print; see choices.h.
 */
#include "choices.h"

#include <dmstore.h>

const char *const device_words[] = {
    [DMS_DEVICE_AUTO] = "auto", [DMS_DEVICE_CPU] = "cpu", [DMS_DEVICE_CUDA] = "cuda", NULL};
const char *const solver_words[] = {[DMS_SOLVER_SAGA] = "saga",
                                    [DMS_SOLVER_RIDGE] = "ridge",
                                    [DMS_SOLVER_GRAM] = "gram",
                                    [DMS_SOLVER_AUTO] = "auto",
                                    NULL};
