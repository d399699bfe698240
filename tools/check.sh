#!/usr/bin/env bash
# Builds dmstore in every way it is supported and runs the tests of each; what continuous integration runs.
#
#   tools/check.sh [--quick|--campaign] [--build-dir DIR] [--only STAGE]...
#
#   --quick          the first stage only
#   --campaign       the long versions of the crash and damage tests (hours)
#   --build-dir DIR  where to build (default: build/check in the source tree; also DMSTORE_CHECK_DIR)
#   --only STAGE     this stage; can be repeated
#
# Stages: gcc (all tests; where there is an nvcc, the module for NVIDIA cards is built, too, and may not spill), clang
# (unit tests and fuzz corpora), asan (all tests, address and undefined sanitizers), tsan (the threaded tests, thread
# sanitizer), valgrind (a few tests, looking for leaks), distcheck (a release tarball, built from a read-only source and
# installed).
#
# Each stage builds from nothing in DIR/STAGE, its output is DIR/STAGE.log. The last line is `N passed, N failed` over
# all stages, with `, N skipped` when any test was; the exit status is 0 only if some test passed and none failed.
set -euo pipefail

source_dir=$(cd "$(dirname "$0")/.." && pwd)
build_dir=${DMSTORE_CHECK_DIR:-$source_dir/build/check}
stages=()
jobs=$(nproc)

usage() {
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
}

while [ $# -gt 0 ]; do
    case $1 in
    --quick) stages=(gcc) ;;
    --campaign) export DMSTORE_TEST_CAMPAIGN=1 ;;
    --build-dir) build_dir=${2:?--build-dir needs a directory} && shift ;;
    --only) stages+=("${2:?--only needs a stage}") && shift ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
    esac
    shift
done
[ ${#stages[@]} -gt 0 ] || stages=(gcc clang asan tsan valgrind distcheck)
for stage in "${stages[@]}"; do
    case $stage in
    gcc | clang | asan | tsan | valgrind | distcheck) ;;
    *) echo "check.sh: no stage '$stage'" >&2 && exit 2 ;;
    esac
done

# ---- stages --------------------------------------------------------------------------------------------------------
# Each runs in its own empty directory, as a subshell with `set -e`.

# The module for NVIDIA cards takes nvcc minutes: it is built in the first stage, and from the tarball by distcheck.
configure() {
    "$source_dir/configure" --quiet --enable-werror --without-cuda "$@"
}

stage_gcc() {
    configure CC=gcc --with-cuda=auto
    make -j"$jobs" check
}

stage_clang() {
    configure CC=clang
    make -j"$jobs" check TESTS='$(unit_tests) $(fuzz_tests)'
}

stage_asan() {
    configure CC=gcc --disable-shared --enable-sanitizers=address,undefined CFLAGS="-O1 -g"
    make -j"$jobs" check
}

stage_tsan() {
    configure CC=gcc --disable-shared --enable-sanitizers=thread CFLAGS="-O1 -g"
    export TSAN_OPTIONS="die_after_fork=0 ${TSAN_OPTIONS-}" # tests fork while they have threads
    export OPENBLAS_NUM_THREADS=1 # the sanitizer cannot see how threads of that library wait for each other
    make -j"$jobs" check TESTS='$(thread_tests)'
}

stage_valgrind() {
    configure CC=gcc --disable-shared
    local valgrind="valgrind --quiet --leak-check=full --errors-for-leak-kinds=definite,indirect,possible"
    valgrind+=" --error-exitcode=99 --child-silent-after-fork=yes" # children of the tests end by _exit
    printf '#!/bin/sh\nexec %s %s "$@"\n' "$valgrind" "$PWD/dmstore" >dmstore-valgrind
    chmod +x dmstore-valgrind
    make -j"$jobs" check TESTS='$(valgrind_tests)' LOG_COMPILER="$valgrind" DMSTORE="$PWD/dmstore-valgrind"
}

# The tests have run in the other stages: here the point is that the tarball is whole, so only the quick ones run.
stage_distcheck() {
    configure CC=gcc
    make -j"$jobs" distcheck TESTS='$(unit_tests)'
}

# ---- running and counting ------------------------------------------------------------------------------------------

passed=0 failed=0 skipped=0

count_results() { # DIR RESULT...: how many tests in DIR ended with one of these results
    local directory=$1 result count total=0
    shift
    for result in "$@"; do
        count=$(find "$directory" -name '*.trs' -exec grep -h "^:test-result: $result" {} + | wc -l)
        total=$((total + count))
    done
    echo "$total"
}

show_failures() { # STAGE: the end of the log of each test that failed, or of the stage when none did
    local trs shown=
    while IFS= read -r trs; do
        echo "---- $1: ${trs#"$build_dir/$1/"} ----" | sed 's/\.trs//'
        grep -vE '^(ok |PASS: |SKIP: )' "${trs%.trs}.log" | tail -n 100
        shown=yes
    done < <(find "$build_dir/$1" -name '*.trs' -exec grep -lE '^:test-result: (FAIL|XPASS|ERROR)' {} + | sort)
    if [ -z "$shown" ]; then
        echo "---- $1: no test failed, but the stage did; the end of $build_dir/$1.log ----"
        tail -n 60 "$build_dir/$1.log"
    fi
}

run_stage() { # STAGE
    local directory=$build_dir/$1 status=0 start=$SECONDS stage_passed stage_failed stage_skipped
    [ ! -e "$directory" ] || chmod -R u+w "$directory" # a distcheck that failed leaves a read-only tree
    rm -rf "$directory"
    mkdir -p "$directory"
    echo "== $1: building and testing in $directory"

    set +e # the subshell has its own -e, which a condition would switch off
    (
        set -e
        cd "$directory"
        "stage_$1"
    ) >"$build_dir/$1.log" 2>&1
    status=$?
    set -e

    stage_passed=$(count_results "$directory" PASS XFAIL)
    stage_failed=$(count_results "$directory" FAIL XPASS ERROR)
    stage_skipped=$(count_results "$directory" SKIP)
    if [ "$1" = distcheck ]; then # it removes its results when all is well; it counts as one test
        stage_passed=$((status == 0)) stage_failed=$((status != 0)) stage_skipped=0
    elif [ "$status" -ne 0 ] && [ "$stage_failed" -eq 0 ]; then
        stage_failed=1
    elif [ "$status" -eq 0 ] && [ "$stage_passed" -eq 0 ]; then
        echo "== $1: no test ran"
        stage_failed=1
    fi
    if [ "$stage_failed" -ne 0 ]; then show_failures "$1"; fi
    echo "== $1: $stage_passed passed, $stage_failed failed, $stage_skipped skipped in $((SECONDS - start)) s"

    passed=$((passed + stage_passed))
    failed=$((failed + stage_failed))
    skipped=$((skipped + stage_skipped))
}

"$source_dir/tools/install-dependencies.sh" check
mkdir -p "$build_dir"
build_dir=$(cd "$build_dir" && pwd)
cd "$source_dir"
echo "== generating configure"
autoreconf -fi >"$build_dir/autoreconf.log" 2>&1 || {
    cat "$build_dir/autoreconf.log"
    echo "0 passed, 1 failed"
    exit 1
}
for stage in "${stages[@]}"; do
    run_stage "$stage"
done

if [ "$skipped" -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
