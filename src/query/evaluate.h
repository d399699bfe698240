/*
 * Evaluation with guests: fits whose weights are scored on models that they know nothing of. What
 * dms_evaluate (include/dmstore/evaluate.h) does is the same without any.
 */
#ifndef DMS_QUERY_EVALUATE_H
#define DMS_QUERY_EVALUATE_H

#include "dmstore/evaluate.h"

/*
 * The first host_ct fits say which output is scored, and the first judge_ct >= host_ct, all made of
 * models of this store, which models count: those that all of them have held out. Of fits after the
 * hosts, which may predict another output and come from another store, only LDS is defined; they
 * must be of as many examples and targets.
 */
int dms_evaluate_guests(dms_snapshot *snapshot, dms_fit *const *fits, size_t fit_ct, size_t host_ct,
                        size_t judge_ct, const struct dms_evaluate_options *options,
                        struct dms_evaluation **evaluation);

#endif
