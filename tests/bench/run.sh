#!/usr/bin/env bash
# Runs the benchmarks of the store one after another and prints one table, in Markdown.
#
#   run.sh [--full] [--directory DIR] [--only NAME]...
#
# Programs are those of $DMSTORE_BUILD_DIR (else the working directory). --full takes the published sizes: about 20
# minutes, and 12 GB below DIR (else the working directory), which should be on the disk that is meant.
set -eu

build_dir=${DMSTORE_BUILD_DIR:-.}
names=(ingest size open append rewrite reader lanes)
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

head_lines=1
for name in "${only[@]:-${names[@]}}"; do
    program_flags=("${flags[@]+"${flags[@]}"}")
    case $name in
    ingest | open | rewrite) program_flags+=(--dmstore "$build_dir/dmstore") ;;
    esac
    # Of the heads, each of which says the same, the first is kept.
    "$build_dir/tests/bench/${name}_bench" "${program_flags[@]+"${program_flags[@]}"}" |
        awk -v with_head="$head_lines" '/^\|/ && !/^\| what / && !/^\|---/ { print; fflush(); next } with_head'
    head_lines=0
done
