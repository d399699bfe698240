# For tests that are a program in Python with scikit-learn: sourced after tap.sh.

# run_sklearn FILE: becomes tests/solver/FILE, which prints TAP, where a Python has scikit-learn; else the whole test is
# skipped.
run_sklearn() {
    local python
    for python in "${PYTHON:-python3}" /usr/bin/python3; do
        if "$python" -c 'import sklearn.linear_model' 2>/dev/null; then
            # One thread: the problems are tiny, and other tests run beside this one.
            OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1 \
                "$python" "$DMSTORE_SOURCE_DIR/tests/solver/$1" "$DMSTORE" "$work_dir"
            exit
        fi
    done
    echo "1..0 # SKIP no Python with scikit-learn (Debian: python3-sklearn)"
}
