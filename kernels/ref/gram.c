/*
 * The gram solver's kernels in portable C.
 */
#include "kernels/gram_variants.h"

#include "kernels/ref/gram_body.h"

GRAM_TABLE(ref)
