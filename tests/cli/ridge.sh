#!/usr/bin/env bash
# Ridge regression and least squares agree with scikit-learn and NumPy: tests/solver/ridge_reference.py, run where a Python
# has scikit-learn.
source "$(dirname "$0")/tap.sh"

for python in "${PYTHON:-python3}" /usr/bin/python3; do
    if "$python" -c 'import sklearn.linear_model' 2>/dev/null; then
        # One thread: the problems are tiny, and other tests run beside this one.
        OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1 \
            "$python" "$DMSTORE_SOURCE_DIR/tests/solver/ridge_reference.py" "$DMSTORE" "$work_dir"
        exit
    fi
done
echo "1..0 # SKIP no Python with scikit-learn (Debian: python3-sklearn)"
