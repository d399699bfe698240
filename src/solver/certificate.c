/*
 * The duality gap, in double precision.
 */
#include "solver/certificate.h"

double dms_certificate_gap(const struct dms_certificate *certificate)
{
    double row_weight = certificate->row_weight;
    double mean = row_weight > 0 ? certificate->residual_sum / row_weight : 0;
    double square = certificate->residual_square - row_weight * mean * mean;
    double product = -certificate->output_product;
    double scale = 0;
    double gap;

    if (!(certificate->null_deviance > 0))
        return 0;
    if (square > 0) {
        scale = product / square;
        if (certificate->largest_gradient > 0) {
            double limit = certificate->lambda / certificate->largest_gradient;

            scale = scale > limit ? limit : scale < -limit ? -limit : scale;
        }
    } else {
        square = 0;
    }
    gap = (1 + scale * scale) * square / (2 * row_weight) - scale * product / row_weight +
          certificate->lambda * certificate->weighted_norm;
    /* At an exact solution rounding may take it below 0. */
    return gap < 0 ? 0 : gap / certificate->null_deviance;
}
