#!/usr/bin/env bash
# `dmstore bench read` reads what it says it reads, in every order, and refuses what cannot be read.
. "$(dirname "$0")/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/fixture.sh"

create_small run.dms
ingest_small run.dms 0 150
append_small run.dms 200 201
dmstore rm run.dms --ids 3,200 >/dev/null

for order in sequential quasi-random random; do
    check "reads in $order order" dmstore bench read run.dms --order "$order" --batch-rows 7 --epochs 3
    check_printed "has the models and their bytes" "run.dms: 150 models, 9 bytes each: masks, margins targets 0 to 2"
    check_printed "has three epochs" "epoch 2"
    check_printed "is held against memcpy" "memcpy"
done
check "reads two targets in two threads" dmstore bench read run.dms --output margins --targets 1: --threads 2
check_printed "has their bytes" "7 bytes each: masks, margins targets 1 to 2"
check "reads masks only" dmstore bench read --masks-only run.dms
check_printed "has theirs" "3 bytes each: masks"

check "--json" dmstore bench read run.dms --json --epochs 2
check_line "has the rows" '"rows": 150,'
check_line "has the bytes of a row" '"row_bytes": 9,'
cp "$stdout_file" report.json
if command -v python3 >/dev/null; then
    check "two epochs, a ratio and the memory" python3 -c '
import json, sys
report = json.load(open(sys.argv[1]))
assert len(report["epochs"]) == 2 and all(e["rows_per_second"] > 0 for e in report["epochs"])
assert report["ratio"] > 0 and report["memcpy_bytes_per_second"] > 0 and report["buffer_bytes"] > 0
last = report["epochs"][1]["bytes_per_second"]
assert abs(report["ratio"] - last / report["memcpy_bytes_per_second"]) < 1e-6 * report["ratio"]
' report.json
else
    skip "two epochs, a ratio and the memory" "no Python"
fi

check_error "an unknown measurement" 2 "cannot measure 'write'" dmstore bench write run.dms
check_error "an unknown order" 2 "'shuffled'" dmstore bench read run.dms --order shuffled
check_error "no threads" 2 "--threads" dmstore bench read run.dms --threads 0
check_error "masks only, and an output" 2 "--masks-only" dmstore bench read run.dms --masks-only --output margins
check_error "targets that are not there" 1 "out of range" dmstore bench read run.dms --targets 2:4
check_error "too little memory" 1 "bytes of memory" dmstore bench read run.dms --memory 100
create_small empty.dms
check_error "an empty store" 1 "no models" dmstore bench read empty.dms

# Masks of 5 of 2,000 examples compress.
dmstore create sparse.dms --examples 2000 --output margins:3:f16 --chunk-rows 64 --codec zstd
dmstore sample --examples 2000 --alpha 0.0025 --seed 7 --count 128 -o sparse.npy
dmstore ingest sparse.dms --masks sparse.npy >/dev/null
check_error "random order of a compressed store" 1 "quasi-random" dmstore bench read sparse.dms --masks-only --order random
check "quasi-random order of it" dmstore bench read sparse.dms --masks-only

# A file cut short while it is mapped is a message and exit status 1, whichever way it is noticed.
largest=$(ls -S run.dms/segments/* | head -1)
cp "$largest" whole
truncate -s 300 "$largest"
check_error "a truncated segment" 1 "segment" dmstore bench read run.dms
cp whole "$largest"
done_testing
