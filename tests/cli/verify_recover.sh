#!/usr/bin/env bash
# `dmstore verify` finds damage, names the place and the models to train again, and takes neither an empty store nor the
# tail of a crash for damage. `dmstore recover` makes the index again and brings back everything that is good.
. "$(dirname "$0")/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/fixture.sh"

contents() { # STORE: digest of all masks and values, by id
    rm -rf exported
    mkdir exported
    dmstore export "$1" --masks exported/masks.npy --output margins=exported/margins.npy >/dev/null &&
        cat exported/masks.npy exported/margins.npy | sha256sum
}

chunk_place() { # STORE COLUMN GROUP: "FILE OFFSET" of the payload of a chunk
    local place
    place=$(dmstore ls --chunks "$1" | awk -v column="$2" -v group="$3" '$1 == column && $2 == group { print $NF }')
    echo "$1/segments/$(printf %08d "${place%:*}").dms $((${place#*:} + 128))"
}

damage() { # FILE OFFSET: changes all bits of one byte
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    printf "\\x$(printf %02x $((byte ^ 255)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# ---- good stores ---------------------------------------------------------------------------------------------------

create_small run.dms
check "an empty store is good" dmstore verify run.dms
check_line "and said to be" "good"
check "an empty store can be recovered" dmstore recover run.dms
check "and is good" dmstore verify run.dms

ingest_small run.dms 0 100
append_small run.dms 200 201 202
dmstore rm run.dms --ids 7,201 >/dev/null
before=$(contents run.dms)
check "a store with sealed, staged and removed models is good" dmstore verify run.dms
check "also quickly" dmstore verify --quick run.dms
check "verify --json" dmstore verify --json run.dms
check_line "says good" '"good": true,'

cp -r run.dms tail.dms
head -c 1000 /dev/urandom >>"$(ls -d tail.dms/segments/* | tail -n 1)"
check "an uncommitted tail is no damage" dmstore verify tail.dms
check_output "and no model is lost" "$before" contents tail.dms

# ---- the index is lost ---------------------------------------------------------------------------------------------

rm -r run.dms/lmdb
check_status "without its index the store does not open" 1 dmstore info run.dms
check "recover makes it again" dmstore recover run.dms --lost-ids lost.txt
check_line "and counts the models" "run.dms: 101 models in 2 groups from $(ls run.dms/segments | wc -l) segments"
check_output "no model is lost" "" cat lost.txt
check_output "all values are back" "$before" contents run.dms
check_output "removed models stay removed" "7,100-199,201" dmstore missing run.dms --count 203
check "the store is good" dmstore verify run.dms
append_small run.dms 203
check_output "and can be written to" 203 dmstore get run.dms --id 203 --scalar seconds

# ---- damage in an output -------------------------------------------------------------------------------------------

read -r file offset <<<"$(chunk_place run.dms margins 2)"
damage "$file" "$offset"
check_status "verify finds a changed byte" 1 dmstore verify run.dms
check_printed "names the file" "$file: at offset "
check_printed "names the models to train again" "models to train again: 64-99"
check_status "verify --json finds it, too" 1 dmstore verify --json run.dms
check_line "names the models to train again" '"lost_ids": "64-99"'
check_line "names the column" '"column": "margins",'
check_status "verify --quick finds it, too" 1 dmstore verify --quick run.dms
check_error "reading it is an error" 1 "margins" dmstore get run.dms --id 70 --output margins
check_output "reading around it is none" 70 dmstore get run.dms --id 70 --scalar seconds
check_output "nor is reading another group" 1.004 dmstore get run.dms --id 1 --output margins --targets 0:1

cp -r run.dms partial.dms
check_error "recover says that models were lost" 1 \
    "the index was rebuilt, but 36 models were lost" dmstore recover run.dms --lost-ids lost.txt
check_output "and writes their ids" "64-99" cat lost.txt
check_output "they are missing" "7,64-199,201" dmstore missing run.dms --count 203
check_output "the others are back" 63 dmstore get run.dms --id 63 --scalar seconds
check_status "the damaged bytes are still there" 1 dmstore verify run.dms
check_printed "but concern no model" "no model that is there has lost anything"
check "compact --all drops them" dmstore compact --all run.dms
check "and the store is good" dmstore verify run.dms
ingest_small run.dms 64 36
check_output "the lost ones can be ingested again" 99 dmstore get run.dms --id 99 --scalar seconds
check_output "none is missing any more" "7,100-199,201" dmstore missing run.dms --count 203

check "recover --keep-partial keeps them" dmstore recover --keep-partial partial.dms
check_output "they are not missing" "7,100-199,201" dmstore missing partial.dms --count 203
check_output "with their scalars" 70 dmstore get partial.dms --id 70 --scalar seconds
check_error "without the damaged output" 1 "no value in column margins" dmstore get partial.dms --id 70 --output margins

# ---- on a terminal -------------------------------------------------------------------------------------------------

if command -v script >/dev/null; then
    check_status "verify of a damaged store on a terminal" 1 script -qec "'$DMSTORE' verify partial.dms" /dev/null
    check_printed "draws a progress bar" "verify ["
    cp "$stdout_file" terminal.txt
    # On a line of its own after \r, without what erases the bar.
    check "and takes it away before it prints" grep -q $'\r\x1b\\[Kpartial.dms/segments/' terminal.txt
else
    skip "verify of a damaged store on a terminal" "no script(1)"
fi

# ---- damage in masks, and a segment that is gone --------------------------------------------------------------------

create_small masks.dms
ingest_small masks.dms 0 100
read -r file offset <<<"$(chunk_place masks.dms mask 1)"
damage "$file" "$offset"
check_status "recover of a store with a damaged mask" 1 dmstore recover --keep-partial --json masks.dms
check_line "loses the models" '"lost_ids": "0-63"'

create_small gone.dms
ingest_small gone.dms 0 10
append_small gone.dms 20 21
rm "$(ls -d gone.dms/segments/* | head -n 1)"
check_status "verify misses a segment that is gone" 1 dmstore verify gone.dms

# ---- what is wrong -------------------------------------------------------------------------------------------------

mkdir empty
for command in verify recover; do
    check_error "$command of no store" 1 "no_such.dms" dmstore $command no_such.dms
    check_error "$command of a directory that is no store" 1 "empty" dmstore $command empty
done
done_testing
