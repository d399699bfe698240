#!/usr/bin/env bash
# gpu.sh without a card, so that it does not run for the first time where there is one: on the stand-in, at small sizes, with
# a compute-sanitizer that only notes what it is asked for, and with the quickest of the test programs.
. "$(dirname "${BASH_SOURCE[0]}")/../cli/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"

mkdir bin
cat >bin/compute-sanitizer <<'SCRIPT'
#!/bin/sh
echo "$@" >>"$REHEARSAL_LOG"
case "$*" in *synccheck*steps_test) exit 9 ;; esac
SCRIPT
chmod +x bin/compute-sanitizer
export REHEARSAL_LOG=$PWD/sanitizer.log
PATH=$PWD/bin:$PATH DMSTORE_STAND_IN=plain=1 DMSTORE_GPU_REHEARSAL=$DMSTORE_BUILD_DIR/tests/cuda/stand_in.so \
    bash "$DMSTORE_SOURCE_DIR/tests/cuda/gpu.sh" >output 2>&1
if head -1 output | grep -q '^1\.\.0 # SKIP'; then
    cat output
    exit 0
fi
sed 's/^/# /' output
check "what a tool finds is a failure" grep -q '^not ok .* - steps_test: synccheck' output
check_output "and the only one" 1 grep -c '^not ok' output
check "digits are compared" grep -q '^ok .* - digits: they agree' output
check "and pairs" grep -q '^ok .* - pairs: they are the same bytes' output
check_output "each tool sees each test and a fit" "memcheck 3 racecheck 3 synccheck 3" \
    awk '{ ct[$2]++ } END { print "memcheck", ct["memcheck"], "racecheck", ct["racecheck"], "synccheck", ct["synccheck"] }' \
    sanitizer.log
check "the fit among them is on the device" grep -q 'dmstore fit digits.dms .*--device cuda' sanitizer.log
check "without the module it says so" env DMSTORE_GPU_REHEARSAL="$PWD/missing.so" bash "$DMSTORE_SOURCE_DIR/tests/cuda/gpu.sh"
check_line "and is skipped" "1..0 # SKIP the CUDA module was not built: there is no nvcc"
check "without a card it is skipped, too" env DMSTORE_STAND_IN=devices=0 \
    DMSTORE_GPU_REHEARSAL="$DMSTORE_BUILD_DIR/tests/cuda/stand_in.so" bash "$DMSTORE_SOURCE_DIR/tests/cuda/gpu.sh"
check_line "with the reason" "1..0 # SKIP there is no CUDA device (stand-in: no device)"
done_testing
