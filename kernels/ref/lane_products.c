/*
 * The products of masks and lanes in portable C, in float and in double: they define what the
 * faster variants compute, and add nothing but the values whose bits are set.
 */
#include "base/endian.h"
#include "kernels/lane_variants.h"

#include <string.h>

#define REAL float
#define NAMED(name) name##_f32
#include "kernels/ref/lane_products.h"
#undef REAL
#undef NAMED

#define REAL double
#define NAMED(name) name##_f64
#include "kernels/ref/lane_products.h"
#undef REAL
#undef NAMED
