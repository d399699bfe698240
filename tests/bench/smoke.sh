#!/usr/bin/env bash
# The benchmarks of the store run, at sizes that take seconds: they end well and measure what they should. How fast
# anything is, is no matter here.
source "$(dirname "$0")/../cli/tap.sh"

# smoke_program NAME ROWS COMMAND...: the benchmark prints that many rows, a number in each, and leaves no files.
smoke_program() {
    local rows
    run "${@:3}"
    rows=$(grep -cE '^\| [a-z].* \| [0-9.e+-]+ (s|ms|MiB|B a row|rows/s|MB/s|GB/s|multiply-adds/s)( |$)' "$stdout_file")
    if [ "$status" -ne 0 ]; then
        fail "$1 runs" "exit status $status" "$(cat "$stderr_file")"
    elif [ "$rows" -ne "$2" ]; then
        fail "$1 runs" "it printed $rows rows, not $2:" "$(cat "$stdout_file")"
    elif [ -n "$(ls)" ]; then
        fail "$1 runs" "it left files:" "$(ls)"
    else
        pass "$1 runs"
    fi
}

# smoke NAME ROWS ARGUMENTS...: the same of a program of the build.
smoke() {
    smoke_program "$1_bench" "$2" "$DMSTORE_BUILD_DIR/tests/bench/$1_bench" --directory . "${@:3}"
}

smoke ingest 7 --dmstore "$DMSTORE" --rows 100 --examples 1000 --targets 20 --repeats 1
smoke size 15 --rows 70
smoke open 26 --dmstore "$DMSTORE" --rows 1000 --group-rows 64 --value-rows 64 --repeats 1
smoke append 6 --rows 16 --examples 1000 --targets 20 --repeats 1
smoke reader 7 --rows 300 --examples 1000 --targets 20 --batch-rows 64 --repeats 1
smoke lanes 5 --rows 70 --columns 300 --variant ref --repeats 1
DMSTORE_TEST_MODULE=$DMSTORE_BUILD_DIR/tests/cuda/stand_in.so \
    smoke cuda 6 --rows 70 --columns 100 --targets 64 --copy-mib 1 --repeats 1
check_output "cuda_bench says why it has no card" "SKIP: this build has no CUDA backend: there is no '/nonexistent'" \
    env DMSTORE_CUDA_MODULE=/nonexistent "$DMSTORE_BUILD_DIR/tests/bench/cuda_bench"
smoke fit 7 --rows 200 --examples 40 --store-rows 200 --store-examples 60 --targets 10 --lambdas 10 --repeats 1
smoke rewrite 9 --dmstore "$DMSTORE" --rows 300 --examples 1000 --targets 20 --repeats 1
smoke query 16 --dmstore "$DMSTORE" --examples 300 --targets 90 --weights 20 --groups 5 --masks 10 --components 4 --repeats 1

sklearn_python=
for python in "${PYTHON:-python3}" /usr/bin/python3; do
    "$python" -c 'import sklearn.linear_model' 2>/dev/null && sklearn_python=$python && break
done
if [ -n "$sklearn_python" ]; then
    # Two rows on one core, and two on all where there are more.
    smoke_program fit_sklearn.py $(($(nproc) > 1 ? 4 : 2)) "$sklearn_python" -B \
        "$DMSTORE_SOURCE_DIR/tests/bench/fit_sklearn.py" --dmstore "$DMSTORE" --rows 200 --examples 40 --targets 6 \
        --sample 2 --lambdas 10 --repeats 1
    smoke_program query_sklearn.py 3 "$sklearn_python" -B "$DMSTORE_SOURCE_DIR/tests/bench/query_sklearn.py" \
        --dmstore "$DMSTORE" --generate-fit "$DMSTORE_BUILD_DIR/tests/bench/generate_fit" --examples 300 --targets 90 \
        --weights 20 --groups 5 --components 4 --masks 10 --repeats 1
    mkdir tables
    check "peers.sh measures the peers that are there" env PYTHON="$sklearn_python" OPENBLAS_NUM_THREADS=1 \
        bash "$DMSTORE_SOURCE_DIR/tests/bench/peers.sh" --output tables --directory . \
        --solvers --sizes=200x40 --solvers --targets=4 --solvers --sample=2 --solvers --lambdas=5 --solvers --repeats=1 \
        --solvers --threads=1 --stores --rows=1500 --stores --examples=800 --stores --targets=40 --stores --slice=10 \
        --stores --repeats=1 --stores --threads=1 --stores --epochs=1
    check "its tables are whole, and its judges see what is wrong" \
        "$sklearn_python" -B "$DMSTORE_SOURCE_DIR/tests/bench/peers_check.py" tables
else
    skip "fit_sklearn.py runs" "no Python with scikit-learn (Debian: python3-sklearn)"
    skip "query_sklearn.py runs" "no Python with scikit-learn (Debian: python3-sklearn)"
    skip "peers.sh measures the peers that are there" "no Python with scikit-learn (Debian: python3-sklearn)"
    skip "its tables are whole, and its judges see what is wrong" "no Python with scikit-learn (Debian: python3-sklearn)"
fi

check "generate writes files that can be ingested" bash -c '
    "$DMSTORE_BUILD_DIR/tests/bench/generate" --rows 50 --examples 100 --targets 3 --subset-size 10 \
        --masks masks.npy --margins margins.npy &&
    "$DMSTORE" create store --examples 100 --output margins:3:f16 &&
    "$DMSTORE" ingest store --masks masks.npy --output margins=margins.npy --sampled 0.1:1'
check_output "generate_fit writes a fit with as many weights as it is told" "20/20 7.0" bash -c '
    "$DMSTORE_BUILD_DIR/tests/bench/generate_fit" --store fit --examples 100 --targets 20 --weights 7 --groups 3 &&
    "$DMSTORE" fits fit | awk "NR == 2 { print \$4, \$10 }"'
done_testing
