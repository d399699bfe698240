#!/usr/bin/env bash
# The benchmarks of the store run, at sizes that take seconds: they end well and measure what they should. How fast
# anything is, is no matter here.
source "$(dirname "$0")/../cli/tap.sh"

# smoke_program NAME ROWS COMMAND...: the benchmark prints that many rows, a number in each, and leaves no files.
smoke_program() {
    local rows
    run "${@:3}"
    rows=$(grep -cE '^\| [a-z].* \| [0-9.e+-]+ (s|ms|MiB|B a row|rows/s|MB/s|GB/s|multiply-adds/s|bit pairs/s|pairs/s)( |$)' "$stdout_file")
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
smoke gram 4 --rows 100 --columns 300 --variant ref --repeats 1
smoke pairs $(($("$DMSTORE_BUILD_DIR/tests/bench/pairs_bench" --columns 10 --rows 10 --repeats 1 | grep -c 'a core') + 1)) \
    --columns 300 --rows 200 --repeats 1
DMSTORE_TEST_MODULE=$DMSTORE_BUILD_DIR/tests/cuda/stand_in.so \
    smoke cuda 15 --rows 70 --columns 100 --targets 64 --pair-rows 70 --pair-examples 30 --copy-mib 1 --blocks 1 --steps 2 --repeats 1
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
check_output "generate plants the same into files and into a store" "0 added, 3000 unchanged" bash -c '
    "$DMSTORE_BUILD_DIR/tests/bench/generate" --rows 3000 --examples 203 --targets 30 --alpha 0.5 --planted \
        --support 3:40 --r2 0.5 --masks masks.npy --margins margins.npy --completed completed.npy --store planted \
        --truth truth &&
    "$DMSTORE" ingest planted --masks masks.npy --output margins=margins.npy --completed completed.npy --json |
        sed -n "s/.*\"added\": \([0-9]*\).*/\1 added,/p; s/.*\"unchanged\": \([0-9]*\).*/\1 unchanged/p" | paste -sd " "'
check "generate makes the same margins on one processor" bash -c '
    taskset -c "$(taskset -cp $$ | sed "s/.*[ ,-]//")" "$DMSTORE_BUILD_DIR/tests/bench/generate" --rows 3000 \
        --examples 203 --targets 30 --alpha 0.5 --planted --support 3:40 --r2 0.5 --margins again.npy &&
    cmp margins.npy again.npy'
# 30 targets of 3,000 margins: the mean of their R^2 is off by 0.003 (a standard deviation) by chance.
check_output "the truth explains as much as it should" "0.50" bash -c '
    "$DMSTORE" import-fit planted --name truth --output margins --from truth --holdout 2900 >report &&
    "$DMSTORE" eval planted truth --bootstrap 0 | awk "\$1 == \"R^2\" { printf \"%.2f\", \$2 }"'
check_error "generate says which masks leave nothing to plant" 1 "masks of all 10 examples" \
    "$DMSTORE_BUILD_DIR/tests/bench/generate" --rows 5 --examples 10 --targets 1 --alpha 1 --planted --support 2
check_error "generate wants what is planted to be asked for" 1 "are for --planted" \
    "$DMSTORE_BUILD_DIR/tests/bench/generate" --rows 5 --examples 10 --targets 1 --truth truth
check_output "generate_fit writes a fit with as many weights as it is told" "20/20 7.0" bash -c '
    "$DMSTORE_BUILD_DIR/tests/bench/generate_fit" --store fit --examples 100 --targets 20 --weights 7 --groups 3 &&
    "$DMSTORE" fits fit | awk "NR == 2 { print \$4, \$10 }"'

# The whole job. The figures of --small are the same everywhere but for rounding; rows are its stages and their sum.
paper_scale() {
    "${PYTHON:-python3}" "$DMSTORE_SOURCE_DIR/tests/bench/paper_scale.py" --build "$DMSTORE_BUILD_DIR" "$@"
}
figure() { # NAME of a result, in the JSON of the last command
    "${PYTHON:-python3}" -c 'import json, sys; print(json.load(open(sys.argv[1]))["results"][sys.argv[2]])' "$stdout_file" "$1"
}
mkdir "$work_dir.scale" && cd "$work_dir.scale" || exit 1
smoke_program paper_scale.py 5 paper_scale --small
check "paper_scale.py stops after a stage" paper_scale --small --directory run --stop-after ingest
check_output "it has removed files that are in the store, and printed nothing" "lock log.txt state.json store truth" bash -c '
    cat "$0"; ls run | paste -sd " "' "$stdout_file"
cp run/state.json before.json
check "it goes on where it was stopped" paper_scale --small --directory run --json -
figures=$(for name in uncertified last_lambda path_ended lds oracle_lds correlation; do figure $name; done | paste -sd ' ')
if awk '{ exit !($1 == 0 && $3 == 1 && $4 > 0.55 && $4 < $5 && $5 < 0.6 && $6 > 0.97) }' <<<"$figures"; then
    pass "it finds what was planted"
else
    fail "it finds what was planted" "uncertified, last lambda, paths ended, LDS, oracle, correlation: $figures"
fi
check_output "it has made nothing twice" "1 1 1 1" "${PYTHON:-python3}" -c 'import json
before, after = (json.load(open(name))["stages"] for name in ("before.json", "run/state.json"))
assert all(after[stage] == before[stage] for stage in before), after
print(*(len(stage["attempts"]) for stage in after.values()))'
check_error "it refuses the directory of another run" 1 "is of a run with --seed 1, not 2" \
    paper_scale --small --seed 2 --directory run
check_error "it waits for nobody who works in a directory" 1 "'run' is in use by another paper_scale" \
    flock run/lock bash -c "$(declare -f paper_scale); paper_scale --small --directory run"
check_error "it looks for room on the disk first" 1 "GB of free disk space, and" paper_scale --fmow --models 1000000000
check_error "it names the flag that is missing" 2 "--targets is missing" paper_scale --models 100 --examples 100
check_error "it says why a command failed" 1 "ended with 2: dmstore fit: --tol is -1" paper_scale --small --tol -1
scaling() {
    "${PYTHON:-python3}" "$DMSTORE_SOURCE_DIR/tests/bench/scaling.py" "$@"
}
check "scaling.py runs" scaling --build "$DMSTORE_BUILD_DIR" --base 400:40:4 --models 400,800 --examples 40,80 \
    --targets 4,8 --threads 1,2 --repeats 1 --csv scaling.csv --svg scaling.svg
# A machine, a head, and the four stages of eight runs.
check_output "it keeps every measurement" 34 awk 'END { print NR }' scaling.csv
check_output "its plot is XML, with a line for three stages in each of four panels" "12 lines, 24 points" \
    "${PYTHON:-python3}" -c 'import xml.etree.ElementTree as tree
names = [element.tag.rpartition("}")[2] + element.get("class", "") for element in tree.parse("scaling.svg").iter()]
print(names.count("pathline"), "lines,", names.count("circle"), "points")'
check "it draws again" scaling --plot scaling.csv --svg again.svg
check_same "and the same" scaling.svg again.svg
check_error "it draws nothing else" 1 "does not begin with the machine" scaling --plot before.json --svg no.svg
cd "$work_dir" && rm -r "$work_dir.scale"
done_testing
