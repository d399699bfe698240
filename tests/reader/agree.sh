#!/usr/bin/env bash
# The independent reader and dmstore export give the same bytes for stores of every kind, and the bytes that were put in.
# This is the proof that format/SPEC.md says what the program does.
source "$(dirname "$0")/../cli/tap.sh"
source "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"
if ! "$PYTHON" -c 'import zstandard, xxhash' 2>/dev/null; then
    echo "1..0 # SKIP $PYTHON has no zstandard or no xxhash"
    exit 0
fi
export PYTHONDONTWRITEBYTECODE=1

rows() {
    "$PYTHON" "$DMSTORE_SOURCE_DIR/tests/reader/rows.py" "$@"
}
read_store() {
    "$PYTHON" "$DMSTORE_SOURCE_DIR/tests/reader/reader.py" "$@"
}
create_options=$(rows options)
output_files=$(rows columns output DIRECTORY)
scalar_files=$(rows columns scalar DIRECTORY)
make_store() { # STORE OPTION...
    dmstore create "$1" $create_options --chunk-rows 64 "${@:2}" >/dev/null
}
ingest() { # STORE RANGE [OPTION...]
    rm -rf input
    rows npy input "$2" && dmstore ingest "$1" --masks input/masks.npy --ids input/ids.npy \
        ${output_files//DIRECTORY/input} ${scalar_files//DIRECTORY/input} "${@:3}" >/dev/null
}
append() { # STORE RANGE [OPTION...]
    rows frames "$2" | dmstore append "$1" "${@:3}" >/dev/null
}

# agree DESCRIPTION STORE RANGE...: dmstore and the reader export the same, which is those rows (none: not compared).
# $extra names columns of the store that rows.py does not know.
extra=
agree() {
    local description=$1 store=$2 differences name
    shift 2
    rm -rf ours theirs expected
    mkdir ours
    local outputs=${output_files//DIRECTORY/ours} scalars=${scalar_files//DIRECTORY/ours}
    for name in $extra; do
        outputs="$outputs --output $name=ours/$name.npy"
    done
    run dmstore export "$store" --masks ours/masks.npy --ids ours/ids.npy --fill-missing $outputs $scalars
    if [ "$status" -ne 0 ]; then
        fail "$description: dmstore exports" "$(cat "$stderr_file")"
        return
    fi
    run read_store "$store" --export theirs
    if [ "$status" -ne 0 ]; then
        fail "$description: the reader exports" "$(cat "$stderr_file")"
        return
    fi
    differences=$(for name in ours/*; do cmp "$name" "theirs/${name#ours/}" 2>&1; done)
    if [ -z "$differences" ]; then
        pass "$description: $(ls ours | wc -l) files are the same"
    else
        fail "$description: the files are the same" "$differences"
    fi
    [ $# -gt 0 ] || return
    rows npy expected "$@"
    differences=$(for name in expected/*; do cmp "$name" "ours/${name#expected/}" 2>&1; done)
    if [ -z "$differences" ]; then
        pass "$description: and what was put in"
    else
        fail "$description: and what was put in" "$differences"
    fi
}

# uses DESCRIPTION STORE ENCODING CODEC: the reader finds a chunk of that encoding and codec.
uses() {
    local found
    found=$("$PYTHON" - "$DMSTORE_SOURCE_DIR/tests/reader" "$2" "$3" "$4" <<'END'
import sys
sys.path.insert(0, sys.argv[1])
import reader
encoding, codec = int(sys.argv[3]), int(sys.argv[4])
files = reader.open_segments(sys.argv[2])
chunks = [block for file in files.values() for block in file.blocks.values() if block.type == reader.CHUNK]
print(sum((block.header[76], block.header[77]) == (encoding, codec) for block in chunks))
END
    )
    if [ "${found:-0}" -gt 0 ]; then
        pass "$1"
    else
        fail "$1" "no chunk of encoding $3 and codec $4"
    fi
}

make_store empty
agree "an empty store" empty

make_store raw --codec none
ingest raw 0:200
agree "a raw store" raw 0:200
uses "it has plain chunks" raw 0 0

make_store packed --codec zstd
ingest packed 0:200
agree "a zstd store" packed 0:200
uses "it has compressed byte planes" packed 1 1
uses "and compressed id runs or raw ones" packed 2 0

make_store automatic --codec auto
ingest automatic 5:70
agree "an automatic store" automatic 5:70

make_store sampled
rows npy input --sampled 0:150
dmstore ingest sampled --masks input/masks.npy --sampled 0.5:7 ${output_files//DIRECTORY/input} >/dev/null
agree "a store of sampled masks" sampled
uses "it has sampled chunks" sampled 3 0
check_same "whose masks are those that were drawn" input/masks.npy theirs/masks.npy
rows frames --sampled 150:160 | dmstore append sampled --sampled 0.5:7 >/dev/null
agree "with staged sampled rows" sampled

make_store farm --codec zstd --dataset-digest 00ff --meta run=first --meta "note=été"
append farm 30:40
append farm 0:10
agree "staged rows" farm 0:10 30:40
append farm 40:120 --batch 7
agree "rows that were sealed because a group was full" farm 0:10 30:120
ingest farm 10:30
dmstore seal farm >/dev/null
agree "sealed rows" farm 0:120
dmstore rm farm --ids 3,5-9,100-119 >/dev/null
append farm 200:205
dmstore rm farm --ids 201 >/dev/null
agree "removed rows" farm 0:3 4:5 10:100 200:201 202:205
append farm 5:6:1
append farm 201:202:1
agree "ids that were added again" farm 0:3 4:5 5:6:1 10:100 200:201 201:202:1 202:205
ingest farm 10:20:2 --on-duplicate replace
append farm 202:204:2 --on-duplicate replace
agree "replaced rows" farm 0:3 4:5 5:6:1 10:20:2 20:100 200:201 201:202:1 202:204:2 204:205
dmstore add-column farm --output late:90:f32 --scalar later:f64 >/dev/null
extra=late
append farm 300:301
agree "a column that has no values yet" farm
"$PYTHON" -c '
import numpy as np
ids = np.array([4, 10, 11, 50, 202], np.uint64)
np.save("some.npy", ids)
np.save("late.npy", (ids[:, None] * 1000 + np.arange(90)).astype("f4"))'
check "it is filled for some rows" dmstore ingest farm --ids some.npy --output late=late.npy
agree "a column that some rows have" farm
dmstore snapshot farm -o manifest >/dev/null
agree "a manifest" manifest
cp -R ours before
check "the store is compacted" dmstore compact farm
agree "a compacted store" farm
check_same "with the same masks" before/masks.npy ours/masks.npy
check_same "and values" before/late.npy ours/late.npy
append farm 400:402
agree "rows that were appended after it" farm
check "it is made raw" dmstore compact farm --codec none --all
agree "a store whose codec was changed" farm

make_store other --codec none --dataset-digest 00ff
dmstore add-column other --scalar later:f64 --output late:90:f32 >/dev/null
ingest other 500:560
append other 560:565
check "stores are merged" dmstore merge farm other
agree "a merged store" farm
rows npy expected 600:603
rows frames 600:603 >frames # a file: from a pipe the rows may come in several parts, which make several spool files
dmstore append farm --spool spool <frames >/dev/null
check "the reader reads a spool file" read_store "$(find spool -type f)" --export theirs
differences=$(for name in expected/*; do cmp "$name" "theirs/${name#expected/}" 2>&1; done)
check_output "which is what was put in" "" echo "$differences"
check "it is collected" dmstore ingest farm --spool spool
agree "with rows of a spool" farm
check "the index is made again" dmstore recover farm
agree "a recovered store" farm
done_testing
