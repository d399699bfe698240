/*
 * The certificate of a LASSO solution: its duality gap, from sums over the rows.
 */
#ifndef DMS_SOLVER_CERTIFICATE_H
#define DMS_SOLVER_CERTIFICATE_H

/* Sums over the weighted rows i of one target; e_i = prediction - y_i, y~ = y - weighted mean. */
struct dms_certificate {
    double row_weight;       /* W */
    double residual_sum;     /* sum e */
    double residual_square;  /* sum e^2 */
    double output_product;   /* sum y~ e */
    double largest_gradient; /* max over the examples of |g_k|, of the re-centred residual */
    double weighted_norm;    /* sum s_k |w_k| */
    double lambda;
    double null_deviance; /* sum y~^2 / (2 W) */
};

/*
 * The duality gap of the weights, with the best bias for them, over the null deviance:
 *
 *     r = -(e - mean e), t = clip(sum y~ r / sum r^2, +- lambda / max |g_k|),
 *     gap = (1 + t^2) sum r^2 / (2 W) - t sum y~ r / W + lambda sum s_k |w_k|
 *
 * (the dual point is t r scaled to be feasible; Friedman, Hastie, Tibshirani 2010 for the problem,
 * Kim et al. 2007, eq. 9 and 10, for the gap). It is an upper bound on how far the objective is
 * from its minimum. Null deviance 0: 0.
 */
double dms_certificate_gap(const struct dms_certificate *certificate);

/* t of that formula: the scale of the dual point. 0 when the residual is. */
double dms_certificate_dual_scale(const struct dms_certificate *certificate);

#endif
