#!/usr/bin/env bash
# The benchmarks of the store run, at sizes that take seconds: they end well and measure what they should. How fast
# anything is, is no matter here.
source "$(dirname "$0")/../cli/tap.sh"

# smoke NAME ROWS ARGUMENTS...: the benchmark prints that many rows, a number in each, and leaves no files.
smoke() {
    local rows
    run "$DMSTORE_BUILD_DIR/tests/bench/$1_bench" --directory . "${@:3}"
    rows=$(grep -cE '^\| [a-z].* \| [0-9.e+-]+ (s|ms|MiB|B a row|rows/s|MB/s|GB/s|multiply-adds/s)( |$)' "$stdout_file")
    if [ "$status" -ne 0 ]; then
        fail "$1_bench runs" "exit status $status" "$(cat "$stderr_file")"
    elif [ "$rows" -ne "$2" ]; then
        fail "$1_bench runs" "it printed $rows rows, not $2:" "$(cat "$stdout_file")"
    elif [ -n "$(ls)" ]; then
        fail "$1_bench runs" "it left files:" "$(ls)"
    else
        pass "$1_bench runs"
    fi
}

smoke ingest 7 --dmstore "$DMSTORE" --rows 100 --examples 1000 --targets 20 --repeats 1
smoke size 15 --rows 70
smoke open 26 --dmstore "$DMSTORE" --rows 1000 --group-rows 64 --value-rows 64 --repeats 1
smoke append 6 --rows 16 --examples 1000 --targets 20 --repeats 1
smoke reader 7 --rows 300 --examples 1000 --targets 20 --batch-rows 64 --repeats 1
smoke lanes 5 --rows 70 --columns 300 --variant ref --repeats 1
smoke rewrite 9 --dmstore "$DMSTORE" --rows 300 --examples 1000 --targets 20 --repeats 1

check "generate writes files that can be ingested" bash -c '
    "$DMSTORE_BUILD_DIR/tests/bench/generate" --rows 50 --examples 100 --targets 3 --subset-size 10 \
        --masks masks.npy --margins margins.npy &&
    "$DMSTORE" create store --examples 100 --output margins:3:f16 &&
    "$DMSTORE" ingest store --masks masks.npy --output margins=margins.npy --sampled 0.1:1'
done_testing
