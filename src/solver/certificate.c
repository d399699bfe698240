/*
 * The duality gap, in double precision.
 */
#include "solver/certificate.h"

#include <math.h>

/* sum r^2; rounding may take it below 0 at an exact solution. */
static double residual_square(const struct dms_certificate *certificate)
{
    double row_weight = certificate->row_weight;
    double mean = row_weight > 0 ? certificate->residual_sum / row_weight : 0;

    return fmax(0, certificate->residual_square - row_weight * mean * mean);
}

double dms_certificate_dual_scale(const struct dms_certificate *certificate)
{
    double square = residual_square(certificate), scale, limit;

    if (!(square > 0))
        return 0;
    scale = -certificate->output_product / square;
    if (!(certificate->largest_gradient > 0))
        return scale;
    limit = certificate->lambda / certificate->largest_gradient;
    return scale > limit ? limit : scale < -limit ? -limit : scale;
}

double dms_certificate_gap(const struct dms_certificate *certificate)
{
    double row_weight = certificate->row_weight;
    double square = residual_square(certificate);
    double scale = dms_certificate_dual_scale(certificate);
    double gap;

    if (!(certificate->null_deviance > 0))
        return 0;
    gap = (1 + scale * scale) * square / (2 * row_weight) +
          scale * certificate->output_product / row_weight +
          certificate->lambda * certificate->weighted_norm;
    /* At an exact solution rounding may take it below 0. */
    return gap < 0 ? 0 : gap / certificate->null_deviance;
}
