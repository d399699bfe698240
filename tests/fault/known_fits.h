/*
 * Fits whose every number follows from name and target, for the stores of known_rows.h, so that
 * whatever a store holds of them after a fault can be judged.
 */
#ifndef DMS_TESTS_FAULT_KNOWN_FITS_H
#define DMS_TESTS_FAULT_KNOWN_FITS_H

#include "dmstore.h"

#include <stddef.h>
#include <stdint.h>

/* Adds targets first .. end - 1 (below KNOWN_TARGETS) to fit `name` in one commit, beginning the
 * fit when it is not there. */
int known_fit_add(dms_store *store, const char *name, uint64_t first, uint64_t end);

/* What was found of a fit. */
struct known_fit {
    uint64_t targets; /* bit t: target t is there and right */
    size_t wrong_ct;  /* targets with other numbers */
    size_t error_ct;  /* targets that could not be read */
};

/* Reads all of a fit; a fit that is not there has nothing. Other failures than those of single
 * targets are the result. */
int known_fit_read(dms_snapshot *snapshot, const char *name, struct known_fit *found);

#endif
