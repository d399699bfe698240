#!/usr/bin/env bash
# The module that nvcc made, on a real card: the tests of the kernels and of the engine, compute-sanitizer where it is
# installed, and fits on both devices. Skipped, with the reason, where there is no card.
. "$(dirname "${BASH_SOURCE[0]}")/../cli/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"
. "$DMSTORE_SOURCE_DIR/tests/cuda/both_devices.sh"

module=$DMSTORE_BUILD_DIR/dmstore-cuda.so
export DMSTORE_CUDA_MODULE=$module
reason=
if [ ! -e "$module" ]; then
    reason="the CUDA module was not built: there is no nvcc"
else
    run dmstore devices
    reason=$(sed -n 's/^cuda *no: //p' "$stdout_file")
fi
if [ -n "$reason" ]; then
    echo "1..0 # SKIP $reason"
    exit 0
fi

for test in products_test steps_test engine_test; do
    check "$test on the card" env DMSTORE_TEST_MODULE="$module" "$DMSTORE_BUILD_DIR/tests/cuda/$test"
    if command -v compute-sanitizer >/dev/null; then
        check "$test is clean" env DMSTORE_TEST_MODULE="$module" \
            compute-sanitizer --error-exitcode 9 "$DMSTORE_BUILD_DIR/tests/cuda/$test"
    else
        skip "$test is clean" "there is no compute-sanitizer"
    fi
done

check "a store" make_store base
lambda_ct=30
check_both "LASSO" base plain --output y --tol 1e-6
check_both "models left out of targets" base self --output seen --exclude-self --tol 1e-6
check_both "gaps beyond floats" base tight --output y --tol 1e-9
check "the same fit again" fit_on cuda base again --output y --tol 1e-6
check_same "has the same bytes" plain-cuda/weight.npy again/weight.npy
done_testing
