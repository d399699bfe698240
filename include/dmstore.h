/*
 * dmstore: a columnar store for the masks and outputs of models trained on random subsets of a
 * training set. This header takes in the whole public interface; libdmstore(3) is the guide to it.
 *
 * Functions return 0 on success and a negative enum dms_error on failure; dms_error_message() then
 * says what failed, naming the object. Options and results may be NULL where said. Nothing here
 * prints or exits.
 */
#ifndef DMSTORE_H
#define DMSTORE_H

#include "dmstore/cluster.h"
#include "dmstore/compare.h"
#include "dmstore/convert.h"
#include "dmstore/counterfactual.h"
#include "dmstore/device.h"
#include "dmstore/embed.h"
#include "dmstore/error.h"
#include "dmstore/evaluate.h"
#include "dmstore/fit.h"
#include "dmstore/frame.h"
#include "dmstore/gram.h"
#include "dmstore/import.h"
#include "dmstore/influence.h"
#include "dmstore/nearest.h"
#include "dmstore/npy.h"
#include "dmstore/predict.h"
#include "dmstore/reader.h"
#include "dmstore/retrained.h"
#include "dmstore/sample.h"
#include "dmstore/schema.h"
#include "dmstore/select.h"
#include "dmstore/snapshot.h"
#include "dmstore/solve.h"
#include "dmstore/store.h"
#include "dmstore/support.h"
#include "dmstore/verify.h"
#include "dmstore/warm.h"

#endif
