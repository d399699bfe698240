#!/usr/bin/env bash
# Ridge regression and least squares agree with scikit-learn and NumPy: tests/solver/ridge_reference.py.
source "$(dirname "$0")/tap.sh"
source "$DMSTORE_SOURCE_DIR/tests/cli/sklearn.sh"
run_sklearn ridge_reference.py
