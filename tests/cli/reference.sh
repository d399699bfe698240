#!/usr/bin/env bash
# Fits agree with scikit-learn's Lasso: tests/solver/sklearn_reference.py.
source "$(dirname "$0")/tap.sh"
source "$DMSTORE_SOURCE_DIR/tests/cli/sklearn.sh"
run_sklearn sklearn_reference.py
