#!/usr/bin/env bash
# The independent reader of fits and dmstore export-fit give the same bytes: for parts in the log, in a segment of their own, after
# compaction and recovery, in a manifest and in part files. This is the proof that format/SPEC.md section 10 says what the program does.
source "$(dirname "$0")/../cli/tap.sh"
source "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"
if ! "$PYTHON" -c 'import zstandard, xxhash' 2>/dev/null; then
    echo "1..0 # SKIP $PYTHON has no zstandard or no xxhash"
    exit 0
fi
export PYTHONDONTWRITEBYTECODE=1

make_part() {
    "$DMSTORE_BUILD_DIR/tests/cli/make_part" "$@"
}
read_fits() {
    "$PYTHON" "$DMSTORE_SOURCE_DIR/tests/reader/fits.py" "$@"
}

# agree DESCRIPTION STORE FIT...: the reader finds these fits and gives the arrays that dmstore exports.
agree() {
    local description=$1 store=$2 fit differences
    shift 2
    rm -rf ours theirs
    run read_fits "$store" --export theirs
    if [ "$status" -ne 0 ] || [ "$(ls theirs)" != "$(printf '%s\n' "$@")" ]; then
        fail "$description: the reader exports" "$(cat "$stderr_file")" "$(ls theirs)"
        return
    fi
    for fit; do
        dmstore export-fit "$store" "$fit" -o "ours" --sparse >/dev/null
        rm ours/provenance.json
        differences=$(diff -rq ours "theirs/$fit" 2>&1)
        if [ -z "$differences" ]; then
            pass "$description: $(ls ours | wc -l) files of fit $fit are the same"
        else
            fail "$description: the files of fit $fit are the same" "$differences"
        fi
    done
}

dmstore create run --examples 20 --output margins:30000 --chunk-rows 64
for id in 0 1 2 3 4 5; do
    echo "{\"id\": $id, \"mask\": [$id]}"
done | dmstore append run --format jsonl >/dev/null
make_part run main margins 10 20 second.dmfit lambdas=100
make_part run main margins 0 10 first.dmfit lambdas=100
make_part run main margins 100 30000 large.dmfit lambdas=100 # becomes two parts
make_part run other margins 3 4 other.dmfit
check "parts are merged" dmstore merge-fits run second.dmfit first.dmfit other.dmfit
agree "small parts" run main other
check "a large one is merged" dmstore merge-fits run large.dmfit
agree "parts in a segment of their own" run main other
check_output "the reader says what there is" "main: 29920 of 30000 targets of margins, 4 parts
other: 1 of 30000 targets of margins, 1 parts" read_fits run
dmstore snapshot run -o manifest >/dev/null
agree "a manifest" manifest main other
check_output "a part file" "main: 10 of 30000 targets of margins, 1 parts" read_fits first.dmfit
make_part run gone margins 0 9 gone.dmfit
dmstore merge-fits run gone.dmfit >/dev/null
dmstore rm-fit run gone >/dev/null
agree "a fit was removed" run main other
check "the store is compacted" dmstore compact run --all
agree "a compacted store" run main other
rm -r run/lmdb
check "the index is made again" dmstore recover run
agree "a recovered store" run main other
check "parts come again" dmstore merge-fits run gone.dmfit
agree "a fit after recovery" run gone main other
done_testing
