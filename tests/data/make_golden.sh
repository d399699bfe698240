#!/usr/bin/env bash
# Makes the golden stores of the format's version: small stores of every kind of content, and the hashes of what they
# export. Run once for a version; afterwards the files are never made again, only read (tests/cli/golden.sh).
#
#   DMSTORE=... PYTHON=... tests/data/make_golden.sh tests/data/golden-1.0
set -euo pipefail

target=$(mkdir -p "$1" && cd "$1" && pwd)
source_dir=$(cd "$(dirname "$0")/../.." && pwd)
: "${DMSTORE:=dmstore}" "${PYTHON:=python3}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PYTHONDONTWRITEBYTECODE=1

rows() {
    "$PYTHON" "$source_dir/tests/reader/rows.py" "$@"
}
create() { # STORE OPTION...
    "$DMSTORE" create "$1" $(rows options) --chunk-rows 64 --dataset-digest 00ff --meta run=golden "${@:2}"
}
ingest() { # STORE RANGE [OPTION...]
    rm -rf input
    rows npy input ${sampled-} "$2"
    "$DMSTORE" ingest "$1" --masks input/masks.npy --ids input/ids.npy $(rows columns output input) \
        $(rows columns scalar input) "${@:3}"
}
append() { # STORE RANGE [OPTION...]
    rows frames "$2" | "$DMSTORE" append "$1" "${@:3}"
}
fill_late() { # STORE: an added column, filled for some models
    "$DMSTORE" add-column "$1" --output late:9:f32
    "$PYTHON" -c '
import numpy as np
ids = np.array([2, 3, 41], np.uint64)
np.save("ids.npy", ids)
np.save("late.npy", (ids[:, None] * 1000 + np.arange(9)).astype("f4"))'
    "$DMSTORE" ingest "$1" --ids ids.npy --output late=late.npy
}

# Raw chunks, sampled masks, staged rows, removed and replaced ones, a column added later.
create grown --codec none
ingest grown 0:8
append grown 40:43
fill_late grown
sampled=--sampled ingest grown 20:24 --sampled 0.5:7
"$DMSTORE" rm grown --ids 1,42
append grown 3:4:1 --on-duplicate replace
append grown 1:2:1

# Compressed chunks and a state block, then more rows.
create compacted --codec zstd:3
append compacted 40:44
ingest compacted 0:8
fill_late compacted
"$DMSTORE" rm compacted --ids 5
"$DMSTORE" compact compacted --codec zstd:1
append compacted 50:52

rows frames 60:62 >frames
"$DMSTORE" append grown --spool spool <frames

for store in grown compacted; do
    mkdir "exports-$store"
    (
        cd "exports-$store"
        "$DMSTORE" export "../$store" --masks masks.npy --ids ids.npy --fill-missing --output late=late.npy \
            $(rows columns output .) $(rows columns scalar .)
        sha256sum -- *.npy >"$target/$store.sha256"
    )
    rm -rf "${target:?}/$store"
    mkdir -p "$target/$store/lmdb"
    cp -R "$store/segments" "$target/$store/"
    gzip -9n <"$store/lmdb/data.mdb" >"$target/$store/lmdb/data.mdb.gz" # mostly empty pages
done
rm -rf "$target/spool"
cp -R spool "$target/"
du -a --apparent-size "$target"
