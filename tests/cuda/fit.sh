#!/usr/bin/env bash
# dmstore fit --device cuda and dmstore devices, on the stand-in (stand_in.c): the kernels on the processor, streams that run
# in an order of chance, cards that are missing, too small, full or lost.
. "$(dirname "${BASH_SOURCE[0]}")/../cli/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"
. "$DMSTORE_SOURCE_DIR/tests/cuda/both_devices.sh"

stand_in=$DMSTORE_BUILD_DIR/tests/cuda/stand_in.so

# card SETTINGS COMMAND...: with a stand-in like that.
card() {
    DMSTORE_CUDA_MODULE=$stand_in DMSTORE_STAND_IN=$1 "${@:2}"
}

# ---- what devices there are -----------------------------------------------------------------------------------------------

check "the devices" card devices=2 dmstore devices
check_printed "with their memory" "cuda 0   stand-in 0, compute capability 9.0, 1.0 GiB of 1.0 GiB free"
check_printed "all of them" "cuda 1   stand-in 1"
check_line "auto would take one" "auto cuda"
check "the devices as JSON" card devices=2 dmstore devices --json
cp "$stdout_file" devices.json
check_python "have the same" <<'PYTHON'
import json
devices = json.load(open("devices.json"))
assert [card["name"] for card in devices["cuda"]] == ["stand-in 0", "stand-in 1"]
assert devices["cuda"][0]["free_bytes"] == 2 ** 30 and devices["auto"] == "cuda" and devices["has_module"]
PYTHON
check "no device" card devices=0 dmstore devices
check_line "is said with the reason" "cuda no: there is no CUDA device (stand-in: no device)"
check_line "and auto would take the processor" "auto cpu"
check "no module" dmstore devices
check_printed "is said, too" "this build has no CUDA backend: there is no '$DMSTORE_CUDA_MODULE'"
echo "no module" >broken.so
check "a file that is no module" env DMSTORE_CUDA_MODULE="$PWD/broken.so" "$DMSTORE" devices
check_printed "cannot be loaded" "the CUDA module cannot be loaded"

# ---- the same fits as on the processor ------------------------------------------------------------------------------------

check "a store" make_store base
export DMSTORE_STAND_IN=plain=1
export DMSTORE_CUDA_MODULE=$stand_in
check_both "LASSO" base plain --output y --tol 1e-5
check_both "models left out of targets" base self --output seen --exclude-self --targets 0:20 --tol 1e-5
check_both "margins of logits" base margin --output logits --transform margin --labels labels.npy --tol 1e-5
check_both "gaps beyond floats" base tight --output y --targets 0:4 --tol 1e-9
check_both "weights as they are, without a refit" base raw --output y --targets 0:7 --no-standardize --no-refit --tol 1e-5
export DMSTORE_STAND_IN=plain=0
lambda_ct=2
check_both "products as the tensor cores take them" base halves --output y --targets 0:3 --tol 1e-5
lambda_ct=4
export DMSTORE_STAND_IN=plain=1

check "the device is what auto takes" fit_on auto base auto --output y --tol 1e-5
check_printed "it says so" "device       cuda: stand-in 0, 1.0 GiB free (there is a CUDA device)"
check_printed "and how the work is divided" "blocks       1 of 20 targets, batches of 384 models, table of SAGA: device"
check_same "it is the same fit" plain-cuda/weight.npy auto/weight.npy
check "the fit" dmstore fits base auto
check_line "knows its device" "device = cuda: stand-in 0"
check "left to itself, a fit takes gram where its matrix fits, on the processor" \
    dmstore fit base --name unasked --output y --targets 0:2 --lambdas 2 --holdout 30
check_printed "and says so" "solver       gram (the Gram matrix fits the memory)"
check_printed "for both" "device       cpu (gram is solved on the processor)"
check "the device that is asked for decides the solver" \
    dmstore fit base --name asked --output y --targets 0:2 --lambdas 2 --holdout 30 --device cuda
check_printed "it is saga" "solver       saga (gram runs on the processor only)"
check_error "gram on a device is refused" 1 "the gram solver runs on the processor only" \
    dmstore fit base --name refused --output y --targets 0:2 --solver gram --device cuda --holdout 30
check "with a log" fit_on cuda base logged --output y --targets 0:2 --log logged.jsonl --json
check_output "that tells the device" 1 grep -c '"solver": "saga".*"device": "cuda", "name": "stand-in 0"' logged.jsonl
for seed in 2; do
    check "streams in another order (seed $seed)" card plain=1,seed=$seed fit_on cuda base "seed-$seed" --output y --tol 1e-5
    check_same "give the same bytes" plain-cuda/weight.npy "seed-$seed/weight.npy"
done

# ---- cards that are small, full, missing ----------------------------------------------------------------------------------

check "blocks as the card has room" card plain=1,memory=11600000 fit_on cuda base small --output seen --tol 1e-5 --json \
    --log small.jsonl
check_python "are several" <<'PYTHON'
import json
placement = json.loads(open("small.jsonl").readline())
assert placement["blocks"] == 2 and placement["block_targets"] == 32 and placement["free_bytes"] == 11600000
PYTHON
check_error "not even one block" 1 "of CUDA device 0 (stand-in 0), and 2 MiB can be used: use the processor" \
    card plain=1,memory=3000000 fit_on cuda base tiny --output y
check_error "memory that others have taken meanwhile" 1 "CUDA device 0 (stand-in 0) has no memory left for" \
    card plain=1,memory=16000000,taken=14500000 fit_on cuda base full --output y
check_error "no device" 1 "CUDA cannot be used: there is no CUDA device (stand-in: no device)" \
    card devices=0 fit_on cuda base none --output y
check "with auto the processor takes its place" card devices=0 fit_on auto base instead --output y --tol 1e-5
check_printed "and it is said why" "device       cpu (there is no CUDA device (stand-in: no device))"
check_same "it is the processor's fit" plain-cpu/weight.npy instead/weight.npy
check_error "ridge regression on a card" 1 "ridge regression is solved on the processor only" \
    dmstore fit base --output y --name ridge --solver ridge --lambda 1 --device cuda
check "ridge regression with auto" dmstore fit base --output y --name ridge --solver ridge --lambda 1 --holdout 30
check_printed "is on the processor" "device       cpu (ridge regression is solved on the processor)"

# ---- cards that are lost --------------------------------------------------------------------------------------------------

for after in 5 1200; do
    name=lost-$after
    check_error "a card is lost after $after operations" 1 "CUDA device 0 (stand-in 0)" \
        card plain=1,lost=$after fit_on cuda base "$name" --output y --tol 1e-5
    cp "$stderr_file" message
    check "the message says so" grep -q "the device fell off the bus" message
    if [ "$after" -gt 5 ]; then
        check "the checkpoint is kept" test -s "base.fit-$name-0-20.checkpoint"
        check "and said to be" grep -qF "is kept in 'base.fit-$name-0-20.checkpoint'" message
        check_error "the processor does not go on with it" 1 "it has device" \
            fit_on cpu base "$name" --output y --tol 1e-5 --resume
    fi
    check "another card goes on" fit_on cuda base "$name" --output y --tol 1e-5 --resume
    check_same "to the same bytes" plain-cuda/weight.npy "$name/weight.npy"
done
check "the store is good" dmstore verify base
done_testing
