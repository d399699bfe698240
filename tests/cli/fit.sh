#!/usr/bin/env bash
# dmstore fit: planted datamodels are found, solutions agree with coordinate descent in double precision, every option does
# what it says, jobs join, stop, go on and fail as they should.
source "$(dirname "$0")/tap.sh"
source "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"

# ---- what fits are held against ---------------------------------------------------------------------------------------

cat >reference.py <<'PYTHON'
import json, os
import numpy as np

def load(directory):
    """The arrays of an exported fit, weights in double precision."""
    fit = {name[:-4]: np.load(os.path.join(directory, name)) for name in os.listdir(directory) if name.endswith(".npy")}
    fit["weight"] = fit["weight"].astype(float)
    return fit

def scales(x, standardize):
    s = x.std(axis=0)
    return np.where(s < 1e-12, 0, s if standardize else 1)

def objective(x, y, w, b, lam, standardize=True):
    return ((y - b - x @ w) ** 2).mean() / 2 + lam * (scales(x, standardize) * np.abs(w)).sum()

def lasso(x, y, lam, standardize=True):
    """The smallest objective, by coordinate descent until nothing moves."""
    x, s = x.astype(float), scales(x, standardize)
    centred, r = x - x.mean(axis=0), y - y.mean()
    w, square = np.zeros(x.shape[1]), (centred ** 2).mean(axis=0)
    for _ in range(100000):
        moved = 0.0
        for k in np.flatnonzero(s):
            u = centred[:, k] @ r / len(y) + square[k] * w[k]
            new = np.sign(u) * max(abs(u) - lam * s[k], 0) / square[k]
            if new != w[k]:
                r -= centred[:, k] * (new - w[k])
                moved = max(moved, abs(new - w[k]))
                w[k] = new
        if moved < 1e-10:
            break
    return w, y.mean() - x.mean(axis=0) @ w

def check_optimal(x, y, fit, position, standardize=True, within=1e-6):
    """The exported weights of one target are as good as the best there are, for these rows and its lambda."""
    lam, w, b = fit["lam"][position], fit["weight"][:, position], float(fit["bias"][position])
    best = objective(x, y, *lasso(x, y, lam, standardize), lam, standardize)
    got = objective(x, y, w, b, lam, standardize)
    assert got - best <= within * y.var() / 2, (position, got, best)

def largest_lambda(x, y):
    s = scales(x, True)
    gradient = np.abs((x - x.mean(axis=0)).T @ (y - y.mean())) / len(y)
    return (gradient[s > 0] / s[s > 0]).max()
PYTHON

# ---- the stores -----------------------------------------------------------------------------------------------------------

# base: 1,200 models of 40 examples, 8 targets with planted weights, a constant one and one with NaNs.
check_python "models with planted datamodels" <<'PYTHON'
random = np.random.default_rng(1)
models, examples, planted = 1200, 40, 8
masks = np.argsort(random.random((models, examples)), axis=1) < examples // 2
weights = np.zeros((examples, planted))
for target in range(planted):
    weights[random.choice(examples, 5, replace=False), target] = random.choice([-1, 1], 5) * random.uniform(0.5, 2, 5)
outputs = masks @ weights + 3 + random.normal(size=(models, planted)) * 0.3
with_nan = outputs[:, 0].copy()
with_nan[random.choice(models, 200, replace=False)] = np.nan
with_nan[7] = np.inf
outputs = np.column_stack([outputs, np.full(models, 1.5), with_nan]).astype(np.float32)
np.save("masks.npy", masks)
np.save("outputs.npy", outputs)
np.save("weights.npy", weights)
np.save("logits.npy", np.stack([outputs, np.zeros_like(outputs), np.full_like(outputs, -9)], axis=2)[:, :4])
np.save("labels.npy", np.array([0, 0, 1, 0]))
np.save("lambdas.npy", np.array([0.5, 0.1, 0.02]))
np.save("self.npy", np.array([3, -1, 0, 39, 1, 2, 5, 3, 0, 0]))
np.save("seen.npy", (masks[:, :12] @ random.normal(size=(12, examples)) + random.normal(size=(models, examples))
                     + 5 * masks).astype(np.float32))
PYTHON
dmstore create base --examples 40 --output y:10:f32 --output logits:4x3:f32 --output seen:40:f32 --chunk-rows 64
check "they are taken in" dmstore ingest base --masks masks.npy --output y=outputs.npy --output logits=logits.npy \
    --output seen=seen.npy
cp -r base untouched

exported() { # FIT [STORE]: exports it into the directory FIT
    rm -rf "$1"
    dmstore export-fit "${2:-base}" "$1" -o "$1" >/dev/null
}

# ---- what comes out -------------------------------------------------------------------------------------------------------

check "a fit" dmstore fit base --output y --name first --holdout 100 --validation 100 --lambda-min-ratio 0.001 --tol 1e-6 \
    --log first.jsonl
check_printed "says who trains" "training     1,000 models, ids 0 to 999"
check_printed "who validates" "validation   100 models, ids 1000 to 1099"
check_printed "who is held out" "held out     100 models, ids 1100 to 1199"
check_printed "that all is certified" "10 of 10 targets"
check_printed "that one output is constant" "constant output      1 target"
check "the store is good" dmstore verify base
check_output "the checkpoint is gone" "" find . -name '*.checkpoint*'
check_output "the log has a line for each target" 10 grep -c '"event": "target"' first.jsonl
exported first
check_python "the planted weights are found, and the objective is the best there is" <<'PYTHON'
from reference import *
fit, planted, x, y = load("first"), np.load("weights.npy"), np.load("masks.npy")[:1100], np.load("outputs.npy")[:1100]
y = y.astype(float)
assert list(fit["targets"]) == list(range(10))
assert (fit["gap"] <= 1e-6).all(), fit["gap"]
for target in range(8):
    found, true = fit["weight"][:, target], planted[:, target]
    largest = np.argsort(-np.abs(found))[:5]
    assert set(largest) == set(np.flatnonzero(true)), (target, found)
    assert np.abs(found - true).max() < 0.1, (target, found - true)
    check_optimal(x, y[:, target], fit, target)
assert (fit["weight"][:, 8] == 0).all() and fit["bias"][8] == 1.5 and fit["lam"][8] == 0
finite = np.isfinite(y[:, 9])
check_optimal(x[finite], y[finite, 9], fit, 9)
for line in open("first.jsonl"):
    json.loads(line)
PYTHON
check "the same fit again under another name" dmstore fit base --output y --name second --holdout 100 --validation 100 \
    --lambda-min-ratio 0.001 --tol 1e-6
exported second
check_same "has the same bytes" first/weight.npy second/weight.npy
check "with one thread and the smallest memory" dmstore fit base --output y --name third --holdout 100 --validation 100 \
    --lambda-min-ratio 0.001 --tol 1e-6 --threads 1 --memory 8M --seed 5
exported third
check_python "it agrees to the certificate" <<'PYTHON'
from reference import *
one, other = load("first"), load("third")
assert np.abs(one["weight"] - other["weight"]).max() < 0.02
assert (other["gap"] <= 1e-6).all()
PYTHON
check "the summary as JSON" dmstore fit base --output y --name json --holdout 100 --targets 2:4 --json
cp "$stdout_file" json.json
check_python "has the numbers" <<'PYTHON'
import json
summary = json.load(open("json.json"))
assert (summary["training"], summary["validation"], summary["held_out"]) == (990, 110, 100), summary
assert summary["targets"] == summary["certified_targets"] == summary["added"] == 2 and summary["first_target"] == 2, summary
assert summary["certified_pairs"] == summary["pairs"] > 2 and summary["worst_gap"] <= 1e-4, summary
assert summary["solver"] == "gram", summary
PYTHON

# ---- options that change the problem --------------------------------------------------------------------------------------

check "lambdas from a file, without standardisation, without refit" dmstore fit base --output y --name file --holdout 100 \
    --validation 100 --lambda-file lambdas.npy --no-standardize --no-refit --tol 1e-6 --targets :8
exported file
check "two lambdas from the data, all models training" dmstore fit base --output y --name two --lambdas 2 --validation 0 \
    --lambda-min-ratio 0.1 --tol 1e-6 --targets 0:8
exported two
check "on the first models only" dmstore fit base --output y --name few --holdout 100 --validation 100 --rows-used 300 \
    --tol 1e-6 --no-refit --targets 0:8
exported few
check "each target without the models that saw it" dmstore fit base --output seen --name unseen --exclude-self --tol 1e-6 \
    --validation 120
exported unseen
check "with a map of targets to examples" dmstore fit base --output y --name mapped --exclude-self --self self.npy \
    --tol 1e-6 --validation 120
exported mapped
check "a map says that they are left out" dmstore fit base --output y --name map_alone --self self.npy \
    --tol 1e-6 --validation 120
exported map_alone
check "which is the same fit" cmp mapped/weight.npy map_alone/weight.npy
check_python "all of them are as good as brute force" <<'PYTHON'
from reference import *
x, y, seen = np.load("masks.npy"), np.load("outputs.npy").astype(float), np.load("seen.npy").astype(float)
file, two, few, unseen, mapped = [load(name) for name in ("file", "two", "few", "unseen", "mapped")]
for target in range(8):
    assert file["lam"][target] in (0.5, 0.1, 0.02), file["lam"]
    check_optimal(x[:1000], y[:1000, target], file, target, standardize=False)
    smallest = 0.1 * largest_lambda(x, y[:, target])
    assert abs(two["lam"][target] - smallest) <= 1e-6 * smallest, (two["lam"][target], smallest)
    check_optimal(x, y[:, target], two, target)
    check_optimal(x[:300], y[:300, target], few, target)
for target in range(0, 40, 7):
    rows = ~x[:, target]
    check_optimal(x[rows], seen[rows, target], unseen, target)
    assert unseen["weight"][target, target] == 0
for target, own in enumerate(np.load("self.npy")):
    rows = np.isfinite(y[:, target]) & ~(x[:, own] & (own >= 0))
    if target != 8:
        check_optimal(x[rows], y[rows, target], mapped, target)
PYTHON
check "margins from logits" dmstore fit base --output logits --transform margin --labels labels.npy --name margin --tol 1e-6
exported margin
check "correctness from logits" dmstore fit base --output logits --transform correct --labels labels.npy --name right
exported right
check_python "are fitted as if they were stored" <<'PYTHON'
from reference import *
x, logits, margin, right = np.load("masks.npy"), np.load("logits.npy").astype(float), load("margin"), load("right")
margins = logits[:, :, 0] - np.maximum(logits[:, :, 1], logits[:, :, 2])
margins[:, 2] = logits[:, 2, 1] - np.maximum(logits[:, 2, 0], logits[:, 2, 2])
for target in range(4):
    check_optimal(x, margins[:, target], margin, target)
    check_optimal(x, (margins[:, target] > 0).astype(float), right, target, within=1e-4)
PYTHON

# ---- wrong requests -------------------------------------------------------------------------------------------------------

fit() { # OPTION...
    dmstore fit base --name wrong "$@"
}
check_error "an unknown output" 1 "there are: y, logits, seen" fit --output z
check_error "no output" 2 "--output is missing" fit
check_error "no name" 2 "--name is missing" dmstore fit base --output y
check_error "a name that is none" 1 "no name for a fit" dmstore fit base --output y --name a/b
check_error "logits without a transform" 1 "3 values for each target" fit --output logits
check_error "logits without labels" 1 "labels" fit --output logits --transform margin
check_error "labels of another length" 1 "10 labels for the 4 targets" fit --output logits --transform margin --labels self.npy
check_error "labels without logits" 1 "no logits" fit --output y --transform correct --labels labels.npy
check_error "a margin of margins" 1 "one value for each target already" fit --output y --transform margin
check_error "more held out than there are" 1 "1200" fit --output y --holdout 1150 --validation 60
check_error "nobody left to train" 1 "no models are left to train on" fit --output y --holdout 1100 --validation 100
check_error "no models to train on" 2 "--rows-used" fit --output y --rows-used 0
check_error "more training models than there are" 1 "1080" fit --output y --rows-used 1081
check_error "own examples of a column that has others" 1 "which example a target is" fit --output y --exclude-self
check_error "a map of another length" 1 "10 entries" fit --output seen --exclude-self --self self.npy
check_error "targets that are not there" 1 "0:10" fit --output y --targets 5:11
check_error "targets that are no range" 2 "--targets" fit --output y --targets 5:5
check_error "a tolerance of 0" 2 "tolerance" fit --output y --tol 0
check_error "a tolerance that is no number" 2 "--tol" fit --output y --tol 1e-4x
check_error "a ratio of 1" 2 "between 0 and 1" fit --output y --lambda-min-ratio 1
check_error "CUDA" 1 "this build has no CUDA backend" fit --output y --device cuda
check_error "too little memory" 1 "memory" fit --output y --memory 10K
check_error "no place for the checkpoint" 1 "--checkpoint" fit --output y --checkpoint nowhere/it
mkfifo pipe
check_error "a pipe, or a device, instead of a part" 1 "cannot write 'pipe': it is there and is not a regular file" \
    fit --output y -o pipe
check_error "or instead of a manifest" 1 "cannot write 'pipe': it is there and is not a regular file" \
    dmstore snapshot base -o pipe
check "is left alone" test -p pipe
check_python "labels and maps that lead nowhere" <<'PYTHON'
np.save("bad_labels.npy", np.array([0, 0, 3, 0]))
np.save("bad_self.npy", np.array([0] * 9 + [40]))
np.save("bad_lambdas.npy", np.array([0.1, 0.2]))
np.save("zero_lambdas.npy", np.array([0.1, 0.0]))
np.save("real_labels.npy", np.array([0.0, 1.0, 2.0, 0.0]))
np.save("whole_lambdas.npy", np.array([3, 2]))
PYTHON
check_error "a class that is none" 1 "label of target 2 is 3" fit --output logits --transform margin --labels bad_labels.npy
check_error "labels that are no integers" 1 "expected one label a row, an integer" fit --output logits --transform margin --labels real_labels.npy
check_error "an example that is none" 1 "target 9 is said to be example 40" fit --output y --exclude-self --self bad_self.npy
check_error "lambdas that grow" 1 "must decrease" fit --output y --lambda-file bad_lambdas.npy
check_error "a lambda of 0" 1 "above 0" fit --output y --lambda-file zero_lambdas.npy
check "lambdas that are integers" dmstore fit base --output y --name integers --lambda-file whole_lambdas.npy --targets 0:1
check_error "lambdas given twice" 2 "--lambda-file" fit --output y --lambda-file lambdas.npy --lambdas 3

# ---- jobs that join -------------------------------------------------------------------------------------------------------

joined() { # STORE FIRST END [OPTION...]
    dmstore fit "$1" --output y --name joined --holdout 100 --tol 1e-6 --targets "$2:$3" --threads 1 "${@:4}"
}
for first in 0 3 5 8; do
    case $first in 0) end=3 ;; 3) end=5 ;; 5) end=8 ;; 8) end=10 ;; esac
    joined base $first $end >joined.$first 2>&1 &
done
failed=0
for job in $(jobs -p); do wait "$job" || failed=$((failed + 1)); done
if [ $failed -eq 0 ]; then pass "four jobs at once"; else fail "four jobs at once" "$(cat joined.*)"; fi
exported joined
check_python "have all targets, and what one job finds" <<'PYTHON'
from reference import *
fit, x, y = load("joined"), np.load("masks.npy")[:1100], np.load("outputs.npy")[:1100].astype(float)
assert list(fit["targets"]) == list(range(10))
for target in range(8):
    check_optimal(x, y[:, target], fit, target)
PYTHON
check_error "targets that are there already" 1 "has targets 3-6 already" joined base 3 7
dmstore fit base --output y --name begun --targets 0:1 --lambdas 5 >/dev/null
check_error "another problem cannot join" 1 "lambdas" dmstore fit base --output y --name begun --targets 1:2 --lambdas 6
check_error "and says what can be done" 1 "rm-fit" dmstore fit base --output y --name begun --targets 1:2 --lambdas 6
check_error "nor another column" 1 "output" dmstore fit base --output logits --name begun --transform correct \
    --labels labels.npy --lambdas 5
check "the store grows" dmstore ingest base --masks masks.npy --output y=outputs.npy --first-id 5000
check "a later job joins with the models of the first" dmstore fit base --output y --name begun --targets 1:2 --lambdas 5
check_printed "which it takes from the fit" "training     1,080 models, ids 0 to 1079"
dmstore rm base --ids 1085,1090 >/dev/null
check_error "a model of the fit that is gone" 1 "validation model 1085 " \
    dmstore fit base --output y --name begun --targets 2:3 --lambdas 5

# ---- parts ----------------------------------------------------------------------------------------------------------------

in_parts=(--output y --name parts --holdout 100 --tol 1e-6 --threads 1)
cp -r untouched direct
dmstore snapshot untouched -o manifest >/dev/null
chmod -R a-w untouched
check "a job on a manifest" dmstore fit manifest "${in_parts[@]}" --targets :5 -o part-0.dmfit
check "another one" dmstore fit manifest "${in_parts[@]}" --targets 5: -o part-1.dmfit
chmod -R u+w untouched
check "their parts go into the store" dmstore merge-fits untouched part-0.dmfit part-1.dmfit
dmstore fit direct "${in_parts[@]}" --targets :5 >/dev/null && dmstore fit direct "${in_parts[@]}" --targets 5: >/dev/null
exported parts direct && mv parts parts.direct
exported parts untouched
for file in weight bias lam gap targets; do
    check_same "and are what jobs in the store find: $file" parts/$file.npy parts.direct/$file.npy
done
check_error "a manifest without -o" 1 "manifest" dmstore fit manifest --output y --name inside
check_error "a part that cannot be written" 1 "nowhere/part" dmstore fit manifest "${in_parts[@]}" -o nowhere/part

# ---- two solvers ----------------------------------------------------------------------------------------------------------

both=(--output y --holdout 100 --tol 1e-6)
dmstore gram base --remove >/dev/null
check "the Gram matrix" dmstore fit base "${both[@]}" --name by-gram --solver gram
check_printed "is what was asked for" "solver       gram (asked for), at most"
check_output "its counts of training and validation models are kept" 2 sh -c 'ls base/gram | grep -c "[.]pairs$"'
check "SAGA" dmstore fit base "${both[@]}" --name by-saga --solver saga
exported by-gram
exported by-saga
check_python "finds the same, with lambdas chosen in the same way" <<'PYTHON'
gram, saga = [{key: np.load(f"{fit}/{key}.npy").astype(float) for key in ("weight", "bias", "lam", "gap")} for fit in ("by-gram", "by-saga")]
assert np.allclose(gram["lam"], saga["lam"], rtol=1e-9), (gram["lam"], saga["lam"])
assert np.abs(gram["weight"] - saga["weight"]).max() < 1e-2, np.abs(gram["weight"] - saga["weight"]).max()
assert np.abs(gram["bias"] - saga["bias"]).max() < 1e-2
assert gram["gap"].max() <= 1e-6 and saga["gap"].max() <= 1e-6
PYTHON
check "a fit that finds the counts" dmstore fit base "${both[@]}" --name again --solver gram
exported again
check_same "finds the same weights" by-gram/weight.npy again/weight.npy
check "jobs of one fit may take either" dmstore fit base "${both[@]}" --name either --targets :5 --solver saga
check "and the other" dmstore fit base "${both[@]}" --name either --targets 5: --solver gram
dmstore create wide --examples 3000 --output y:2:f32 >/dev/null
dmstore sample --examples 3000 --alpha 0.5 --seed 3 --count 120 -o wide.npy >/dev/null
python <<<'np.save("wide_outputs.npy", np.random.default_rng(1).normal(size=(120, 2)).astype(np.float32))'
dmstore ingest wide --masks wide.npy --output y=wide_outputs.npy >/dev/null
wide=(--output y --lambdas 3 --lambda-min-ratio 0.5)
check "many examples and little memory" dmstore fit wide "${wide[@]}" --memory 24M --name little
check_printed "are for SAGA" "solver       saga (gram needs"
check_error "not for gram" 1 "the gram solver keeps 3000 x 3000 numbers in memory" \
    dmstore fit wide "${wide[@]}" --memory 24M --name none --solver gram
dmstore snapshot wide -o wide.manifest >/dev/null
check "where counts would be kept" dmstore fit wide "${wide[@]}" --memory 44M --name kept -o kept.dmfit
check_printed "the matrix fits" "solver       gram (the"
check "by way of a manifest they would be in memory" dmstore fit wide.manifest "${wide[@]}" --memory 44M --name kept -o memory.dmfit
check_printed "too" "solver       saga (gram needs"
check "where there is room for them" dmstore fit wide.manifest "${wide[@]}" --memory 56M --name kept -o room.dmfit
check_printed "they are made" "solver       gram (the"
printf x >>"$(ls base/gram/*.pairs | head -n 1)"
check_error "counts that are damaged are no counts" 1 "remove it with 'dmstore gram --remove'" \
    dmstore fit base "${both[@]}" --name damaged --solver gram
check "and can be removed" dmstore gram base --remove
check "and made again" dmstore fit base "${both[@]}" --name remade --solver gram

# ---- stopped and gone on --------------------------------------------------------------------------------------------------

slow=(--output y --targets 0:4 --holdout 100 --full-path --lambdas 100 --lambda-min-ratio 1e-4 --tol 1e-8 --threads 1 --solver saga)
slow_fit() { # NAME [OPTION...]
    dmstore fit base "${slow[@]}" --name "$1" --log "$1.jsonl" "${@:2}"
}
written() { # FILE: when
    stat -c %y "$1" 2>/dev/null
}
# stop NAME SIGNAL: begins a fit and ends it once its checkpoint was renewed, or after half of the passes; sets $status
# and $renewed.
stop() {
    local pid first= checkpoint=base.fit-$1-0-4.checkpoint
    renewed=no
    : >"$1.jsonl"
    "$DMSTORE" fit base "${slow[@]}" --name "$1" --log "$1.jsonl" >"$1.out" 2>"$1.err" &
    pid=$!
    while [ $renewed = no ] && [ "$(grep -c pass "$1.jsonl")" -lt $((all / 2)) ] && kill -0 $pid 2>/dev/null; do
        first=${first:-$(written "$checkpoint")}
        [ -z "$first" ] || [ "$first" = "$(written "$checkpoint")" ] || renewed=yes
    done
    kill "-$2" $pid 2>/dev/null
    wait $pid 2>/dev/null
    status=$?
}
check "a long fit, in one go" slow_fit whole
all=$(grep -c pass whole.jsonl)
exported whole
for signal in KILL INT TERM; do
    stop "$signal" "$signal"
    if [ "$signal" = KILL ]; then
        [ "$status" -eq 137 ] && pass "one that was killed" || fail "one that was killed" "exit status $status"
    elif [ "$status" -eq 1 ] && grep -q -- "--resume goes on" "$signal.err"; then
        pass "one that got SIG$signal says how to go on"
    else
        fail "one that got SIG$signal says how to go on" "exit status $status" "$(cat "$signal.err")"
    fi
    check "its checkpoint is there" test -s "base.fit-$signal-0-4.checkpoint"
    passes=$(grep -c pass "$signal.jsonl")
    if [ "$signal" = KILL ]; then
        check_error "without --resume it is not overwritten" 1 "resume it" slow_fit KILL
        check_error "another job does not go on with it" 1 "seed = 0, this one has seed = 1" slow_fit KILL --resume --seed 1
    fi
    check "--resume goes on" slow_fit "$signal" --resume
    more=$(($(grep -c pass "$signal.jsonl") - passes))
    if [ $renewed = no ]; then
        skip "and does the rest only" "the checkpoint was that of the beginning"
    elif [ "$more" -lt "$all" ]; then
        pass "and does the rest only"
    else
        fail "and does the rest only" "$more passes after $passes, of $all"
    fi
    check_output "the checkpoint is gone" "" find . -name '*.checkpoint*'
    exported "$signal"
    for file in weight bias lam gap; do
        check_same "the result is as in one go: $file" "$signal/$file.npy" "whole/$file.npy"
    done
done
check "--resume without a checkpoint begins" dmstore fit base --output y --name fresh --targets 0:1 --resume

# ---- targets without a certificate ----------------------------------------------------------------------------------------

early=(--output y --name early --max-epochs 3 --targets 0:4 --tol 1e-9)
check_error "a fit that may not go on long enough" 1 "nothing is stored" dmstore fit base "${early[@]}"
check_printed "says how many targets are good" "0 of 4 targets"
check "what it has can be stored" dmstore fit base "${early[@]}" --resume --allow-uncertified --json
check_printed "and is counted" '"certified_targets": 0'
check_printed "and added" '"added": 4'
check_output "in the store" "" find . -name '*.checkpoint*'
# ---- a full disk ----------------------------------------------------------------------------------------------------------

mkdir small
if mount -t tmpfs -o size=6m none small 2>/dev/null; then
    trap 'umount -l "$work_dir/small" 2>/dev/null; rm -rf "$work_dir" "$stdout_file" "$stderr_file"' EXIT
    cp -r direct small/store
    small_fit() {
        dmstore fit small/store --output seen --name full --full-path "$@"
    }
    small_fit --targets 0:1 >/dev/null
    head -c 20000000 /dev/zero >small/filler 2>/dev/null
    check_error "a part on a full disk" 1 "No space left on device" small_fit --targets 1: -o small/part --checkpoint kept.1
    check_error "a fit in a store on a full disk" 1 "No space left on device" small_fit --targets 1: --checkpoint kept.2
    check_error "a checkpoint on a full disk" 1 "checkpoint" small_fit --targets 1:
    rm small/filler
    check "the store is good" dmstore verify small/store
    check "the part, when there is room" small_fit --targets 1: -o small/part --checkpoint kept.1 --resume
    check "the fit, when there is room" small_fit --targets 1: --checkpoint kept.2 --resume
    check_printed "without doing the work again" ", 0 passes,"
    check_error "its part is there already then" 1 "already" small_fit --targets 1: -o small/part --checkpoint kept.1
    umount small
else
    skip "fits on a full disk" "a tmpfs cannot be mounted here"
fi

# ---- memory ---------------------------------------------------------------------------------------------------------------

# keeps_to_memory DESCRIPTION MIB SLACK ARGUMENT...: a fit with --memory MIB takes less than SLACK MiB beside; it prints to peak.out.
keeps_to_memory() {
    local pid peak=0 now status
    "$DMSTORE" "${@:4}" --memory "$2M" >peak.out 2>&1 &
    pid=$!
    while kill -0 $pid 2>/dev/null; do
        now=$(awk '/^RssAnon/ {print $2}' /proc/$pid/status 2>/dev/null)
        [ "${now:-0}" -le "$peak" ] || peak=$now
        sleep 0.02
    done
    wait $pid
    status=$?
    echo "# $((peak / 1024)) MiB at most, for --memory $2M"
    if [ $status -eq 0 ] && [ "$peak" -gt 0 ] && [ "$peak" -lt $((($2 + $3) * 1024)) ]; then
        pass "$1"
    else
        fail "$1" "exit status $status, $peak KiB" "$(cat peak.out)"
    fi
}
# 24,576 x 4,096 outputs are 384 MiB as floats: four times --memory, and more than the bound that is held below.
if ldd "$DMSTORE" 2>/dev/null | grep -qE 'lib[atlu]+san'; then
    skip "memory" "a sanitizer has its own"
else
    check_python "many targets" <<'PYTHON'
random = np.random.default_rng(2)
models, examples, targets = 24576, 64, 4096
masks = random.random((models, examples)) < 0.5
np.save("many_masks.npy", masks)
outputs = np.lib.format.open_memmap("many.npy", mode="w+", dtype=np.float16, shape=(models, targets))
weights = random.normal(size=(examples, targets)).astype(np.float32)
for first in range(0, models, 4096):
    outputs[first:first + 4096] = masks[first:first + 4096] @ weights
PYTHON
    dmstore create many --examples 64 --output y:4096:f16 >/dev/null
    dmstore ingest many --masks many_masks.npy --output y=many.npy --threads 1 >/dev/null
    rm many.npy
    keeps_to_memory "a fit keeps to its memory" 96 256 fit many --output y --name many --lambdas 2 --lambda-min-ratio 0.9 \
        --no-refit --tol 0.1
    check_output "and does all targets" 1 grep -c "4096 of 4096 targets" peak.out
    # A model without finite outputs gives every target a Gram matrix of its own, and every thread much to hold.
    check_python "a model without outputs" <<'PYTHON'
random = np.random.default_rng(3)
masks = random.random((65536, 64)) < 0.5
outputs = (masks @ random.normal(size=(64, 512)).astype(np.float32)).astype(np.float16)
outputs[5] = np.nan
np.save("hole_masks.npy", masks)
np.save("hole.npy", outputs)
PYTHON
    dmstore create hole --examples 64 --output y:512:f16 >/dev/null
    dmstore ingest hole --masks hole_masks.npy --output y=hole.npy --threads 1 >/dev/null
    rm hole.npy
    keeps_to_memory "a fit of targets with rows of their own keeps to its memory" 48 48 fit hole --output y --name hole --lambdas 2 \
        --lambda-min-ratio 0.9 --no-refit --tol 0.1 --solver gram --threads 8
    check_output "and does all targets" 1 grep -c "512 of 512 targets" peak.out
fi
done_testing
