#!/usr/bin/env bash
# The module that nvcc made, on a real card: the tests of the kernels, of counts of pairs and of the engine, alone and under
# the tools of compute-sanitizer where it is installed, and fits and counts of pairs on both devices. Skipped, with the
# reason, where there is no card. gpu_rehearsal.sh runs it with DMSTORE_GPU_REHEARSAL, the module of another device, at small
# sizes.
. "$(dirname "${BASH_SOURCE[0]}")/../cli/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/digits_run.sh"
. "$DMSTORE_SOURCE_DIR/tests/cuda/both_devices.sh"

module=${DMSTORE_GPU_REHEARSAL:-$DMSTORE_BUILD_DIR/dmstore-cuda.so}
reason=
if [ ! -e "$module" ]; then
    reason="the CUDA module was not built: there is no nvcc"
else
    DMSTORE_CUDA_MODULE=$module run dmstore devices
    reason=$(sed -n 's/^cuda *no: //p' "$stdout_file")
fi
if [ -n "$reason" ]; then
    echo "1..0 # SKIP $reason"
    exit 0
fi
# Other tests have the run, too, and the processor makes it.
DMSTORE_CUDA_MODULE=/nonexistent digits_run
export DMSTORE_CUDA_MODULE=$module

tests=(products_test steps_test pairs_test engine_test)
lambda_ct=30
digit_targets=0:60
digit_lambdas=40
pair_examples=5000
pair_models=12000
if [ -n "${DMSTORE_GPU_REHEARSAL-}" ]; then
    tests=(products_test steps_test)
    lambda_ct=2
    digit_targets=0:1
    digit_lambdas=2
    pair_examples=150
    pair_models=700
fi

# ---- kernels and engine ---------------------------------------------------------------------------------------------------

sanitizer=$(PATH=$PATH:/usr/local/cuda/bin command -v compute-sanitizer)

# check_clean DESCRIPTION COMMAND...: no access out of bounds, no race in shared memory, no barrier that some do not reach.
check_clean() {
    for tool in memcheck racecheck synccheck; do
        if [ -n "$sanitizer" ]; then
            check "$1: $tool" "$sanitizer" --tool "$tool" --target-processes all --error-exitcode 9 "${@:2}"
        else
            skip "$1: $tool" "there is no compute-sanitizer"
        fi
    done
}

export DMSTORE_TEST_MODULE=$module
for test in "${tests[@]}"; do
    check "$test on the card" "$DMSTORE_BUILD_DIR/tests/cuda/$test"
    check_clean "$test" "$DMSTORE_BUILD_DIR/tests/cuda/$test"
done

# ---- fits -----------------------------------------------------------------------------------------------------------------

check "a store" make_store base
check_both "LASSO" base plain --output y --tol 1e-6
check_both "models left out of targets" base self --output seen --exclude-self --tol 1e-6
check_both "gaps beyond floats" base tight --output y --tol 1e-9
check "the same fit again" fit_on cuda base again --output y --tol 1e-6
check_same "has the same bytes" plain-cuda/weight.npy again/weight.npy
check_digits "$digit_targets" "$digit_lambdas"
# A part, so that the store does not have it: the tools are slow, and two targets have all kernels of a fit.
check_clean "digits" "$DMSTORE" fit digits.dms --output test_margins --name clean --device cuda --targets 0:2 --lambdas 3 \
    --holdout 400 --validation 400 -o clean.part

# ---- pairs ----------------------------------------------------------------------------------------------------------------

check "a store of masks" make_pairs_store pairs.dms "$pair_examples" "$pair_models"
check_same_pairs pairs.dms
done_testing
