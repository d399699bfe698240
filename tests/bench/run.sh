#!/usr/bin/env bash
# Runs the benchmarks of the store one after another and prints one table, in Markdown.
#
#   run.sh [--full] [--directory DIR] [--only NAME]...
#
# Programs are those of $DMSTORE_BUILD_DIR (else the working directory). --full takes the published sizes: about 40
# minutes, and 12 GB below DIR (else the working directory), which should be on the disk that is meant.
set -eu

build_dir=${DMSTORE_BUILD_DIR:-.}
names=(ingest size open append rewrite reader lanes pairs cuda fit fit_sklearn query query_sklearn)
only=()
flags=()
while [ $# -gt 0 ]; do
    case $1 in
    --full) flags+=("$1") ;;
    --directory) flags+=("$1" "${2:?--directory needs a value}") && shift ;;
    --only) only+=("${2:?--only needs a value}") && shift ;;
    *) sed -n 's/^# \{0,1\}//; 2,7p' "$0" >&2 && exit 2 ;;
    esac
    shift
done

# benchmark NAME FLAGS...: runs one program. Those against scikit-learn need a Python that has it.
benchmark() {
    case $1 in
    *_sklearn) ;;
    *)
        "$build_dir/tests/bench/$1_bench" "${@:2}"
        return
        ;;
    esac
    for python in "${PYTHON:-python3}" /usr/bin/python3; do
        if "$python" -c 'import sklearn' 2>/dev/null; then
            PYTHONDONTWRITEBYTECODE=1 "$python" "$(dirname "$0")/$1.py" "${@:2}"
            return
        fi
    done
    echo "$1 is left out: no Python with scikit-learn (Debian: python3-sklearn)" >&2
}

head_lines=1
for name in "${only[@]:-${names[@]}}"; do
    program_flags=("${flags[@]+"${flags[@]}"}")
    case $name in
    ingest | open | rewrite | fit_sklearn | query) program_flags+=(--dmstore "$build_dir/dmstore") ;;
    query_sklearn)
        program_flags+=(--dmstore "$build_dir/dmstore" --generate-fit "$build_dir/tests/bench/generate_fit")
        ;;
    esac
    # Of the heads, each of which says the same, the first is kept.
    benchmark "$name" "${program_flags[@]+"${program_flags[@]}"}" |
        awk -v with_head="$head_lines" '/^\|/ && !/^\| what / && !/^\|---/ { print; fflush(); next } with_head'
    head_lines=0
done
