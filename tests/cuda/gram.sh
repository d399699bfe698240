#!/usr/bin/env bash
# dmstore gram --device cuda on the stand-in (stand_in.c): the bytes of the processor's file, counted at once or in parts, and
# what is left when cards are missing, too small, full or lost.
. "$(dirname "${BASH_SOURCE[0]}")/../cli/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"
. "$DMSTORE_SOURCE_DIR/tests/cuda/both_devices.sh"

export DMSTORE_CUDA_MODULE=$DMSTORE_BUILD_DIR/tests/cuda/stand_in.so

# card SETTINGS COMMAND...: with a stand-in like that.
card() {
    DMSTORE_STAND_IN=$1 "${@:2}"
}

# count_on DEVICE OPTION...: all models of run.dms, into one file.
count_on() {
    dmstore gram run.dms --validation 0 --device "$1" "${@:2}"
}

check "a store" make_pairs_store run.dms 300 2100

# ---- the same bytes -------------------------------------------------------------------------------------------------------

check_same_pairs run.dms
for how in bits bytes; do
    dmstore gram run.dms --remove >/dev/null
    check "counted in $how" env DMS_CUDA_PAIRS=$how "$DMSTORE" gram run.dms --validation 0 --device cuda
    check "is the same" cmp run.dms/gram/*.pairs cpu.pairs
done
check "what is there" count_on cuda --json
check_line "is not counted again" '"origin": "found",'
check_line "by any device" '"device": null,'
check "without a card, too" card devices=0 count_on cuda

dmstore gram run.dms --remove >/dev/null
check "auto takes the card" count_on auto
check_printed "and says why" "on cuda: stand-in 0 (there is a CUDA device) in"
check "for the same bytes" cmp run.dms/gram/*.pairs cpu.pairs
dmstore gram run.dms --remove >/dev/null
check "another order of streams, on a card with room for a few columns" card seed=5,memory=150000 count_on cuda
check "gives the same bytes" cmp run.dms/gram/*.pairs cpu.pairs
dmstore gram run.dms --remove >/dev/null
check "the default" count_on cpu --json
check_line "is the processor" '"device": "cpu",'

# ---- in parts -------------------------------------------------------------------------------------------------------------

# Rows of 1.3 MiB and sums of 0.5 to 2.3 MiB, twice: with the least memory, which is told in MiB, rows are counted in blocks,
# and with 2 MiB more all rows are held while several bands are counted.
check "a store of more models" make_pairs_store large.dms 520 20000
dmstore gram large.dms --validation 0 >/dev/null
cp large.dms/gram/*.pairs large.pairs
dmstore gram large.dms --remove >/dev/null
count_within() { # MEMORY
    dmstore gram large.dms --validation 0 --threads 1 --device cuda --memory "$1" --json
}
check_error "too little memory says how much it takes" 1 "520 examples on a CUDA device takes" count_within 1M
least=$(sed -n 's/.*takes \([0-9]*\) MiB of memory at least.*/\1/p' "$stderr_file")
check "rows in blocks" count_within "${least}M"
cp "$stdout_file" blocks.json
check_python "are read for every band" <<'PYTHON'
import json
assert json.load(open("blocks.json"))["counts"][0]["passes"] > 1
PYTHON
check "for the same bytes" cmp large.dms/gram/*.pairs large.pairs
dmstore gram large.dms --remove >/dev/null
check "rows that are held" count_within "$((least + 2))M"
check_line "are read once" '"passes": 1,'
check "for the same bytes, too" cmp large.dms/gram/*.pairs large.pairs

# ---- cards that are missing, small, full, lost ----------------------------------------------------------------------------

# nothing_begun: the counts of half of the models, which were there, and nothing else.
nothing_begun() {
    [ "$(ls run.dms/gram)" = "$half" ] && cmp "run.dms/gram/$half" half.pairs
}

dmstore gram run.dms --remove >/dev/null
dmstore gram run.dms --validation 0 --rows-used 1000 >/dev/null
half=$(ls run.dms/gram)
cp "run.dms/gram/$half" half.pairs
check_error "no device" 1 "CUDA cannot be used: there is no CUDA device (stand-in: no device)" card devices=0 count_on cuda
check "leaves what was there" nothing_begun
check_error "no module" 1 "CUDA cannot be used: this build has no CUDA backend" \
    env DMSTORE_CUDA_MODULE=/nonexistent.so "$DMSTORE" gram run.dms --validation 0 --device cuda
check_error "a card that is too small" 1 "bytes of CUDA device 0 (stand-in 0), and 94 can be used" card memory=100 count_on cuda
check "leaves what was there, too" nothing_begun
check_error "a card that others have filled" 1 "CUDA device 0 (stand-in 0) has no memory left for counts of pairs" \
    card memory=400000,taken=300000 count_on cuda
check "leaves what was there as well" nothing_begun
for after in 1 3 20 40; do
    check_error "a card is lost after $after operations" 1 "the device fell off the bus" card lost=$after,memory=150000 count_on cuda
    cp "$stderr_file" message
    check "the message names it" grep -q "CUDA device 0 (stand-in 0) was lost during counting pairs" message
    check "and says what became of the counts" grep -q "no counts were kept; the processor can make them" message
    check "what was there stays" nothing_begun
done
check_error "auto does not begin anew after that" 1 "the device fell off the bus" card lost=20,memory=150000 count_on auto
check "auto without a card" card devices=0 count_on auto
check_printed "is the processor, and why" "1100 added on cpu (there is no CUDA device (stand-in: no device)) in"
check "with its bytes" cmp run.dms/gram/*.pairs cpu.pairs
dmstore gram run.dms --remove >/dev/null
check "auto with a card that is too small" card memory=100 count_on auto
check_printed "is the processor, too" "counted on cpu (counting pairs of examples in 2100 rows needs"
check "the store is good" dmstore verify run.dms
check_error "--list and a device" 2 "count nothing" dmstore gram run.dms --list --device cuda
done_testing
