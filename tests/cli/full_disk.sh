#!/usr/bin/env bash
# Commands on a disk that is full (a small tmpfs; needs root): a clear error, the store as it was, and everything works again
# when there is room.
source "$(dirname "$0")/tap.sh"
mkdir small
if ! mount -t tmpfs -o size=6m none small 2>/dev/null; then
    echo "1..0 # SKIP a tmpfs cannot be mounted here"
    exit 0
fi
trap 'umount -l "$work_dir/small"; rm -rf "$work_dir" "$stdout_file" "$stderr_file"' EXIT

dmstore sample --examples 4000 --alpha 0.5 --seed 1 --count 100 -o few.npy
dmstore sample --examples 4000 --alpha 0.5 --seed 1 --first-id 100 --count 20000 -o many.npy
lines() { # FIRST LAST: rows that append takes
    seq "$1" "$2" | sed 's/.*/{"id": &, "mask": [1, 2, 3]}/'
}
check "create" dmstore create small/store --examples 4000
check "ingest what fits" dmstore ingest small/store --masks few.npy
check_error "ingest what does not" 1 "No space left on device" dmstore ingest small/store --masks many.npy --first-id 100
check "the store is sound" dmstore verify small/store
check "with what was there" dmstore get small/store --id 99 --mask
append_until_full() { lines 1000000 1020000 | dmstore append small/store --format jsonl --acknowledge; }
check_error "append until the disk is full" 1 "No space left on device" append_until_full
cp "$stdout_file" acknowledged
check "the store is sound, still" dmstore verify small/store
lost=0
for id in $(sed -n '1p;$p' acknowledged); do
    dmstore get small/store --id "$id" --mask >/dev/null || lost=$((lost + 1))
done
if [ "$lost" -eq 0 ]; then pass "acknowledged rows are there"; else fail "acknowledged rows are there" "$lost are not"; fi
check_error "an export" 1 "No space left on device" dmstore export small/store --masks small/masks.npy
check_error "a draw" 1 "No space left on device" \
    dmstore sample --examples 4000 --alpha 0.5 --seed 1 --count 20000 -o small/masks.npy
check_error "a store that is created" 1 "No space left on device" dmstore create small/second --examples 4000
check_output "nothing of them is left" store ls small
check "there is room again" mount -o remount,size=200m small
check "the same ingest" dmstore ingest small/store --masks many.npy --first-id 100
append_all() { lines 1000000 1020000 | dmstore append small/store --format jsonl; }
check "the same rows" append_all
check "the store is sound in the end" dmstore verify small/store
count_of_models() { dmstore export small/store --ids ids.npy --json | grep -o '"models": [0-9]*'; }
check_output "with all of the rows" '"models": 40101' count_of_models
done_testing
