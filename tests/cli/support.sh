#!/usr/bin/env bash
# `dmstore support`: estimates from weights and from retrained models are those of NumPy and scikit-learn; plans hold the
# examples of largest weight; what cannot be estimated is censored, or refused.
. "$(dirname "$0")/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/digits_run.sh"
digits_run

cat >reference.py <<'PYTHON'
import csv
import json
import math
import numpy as np

def order(weight):
    """Examples by decreasing weight, lower index first."""
    return np.argsort(-weight, kind="stable")

def heuristic(weight, m0):
    """The smallest k, and whether it is known."""
    sums = np.concatenate([[0.0], np.cumsum(np.sort(weight[weight > 0])[::-1])])
    above = np.flatnonzero(sums > m0)
    return (above[0], True) if len(above) else (len(sums) - 1, False)

def isotonic(k, y, w):
    try:
        from sklearn.isotonic import IsotonicRegression
        return IsotonicRegression(increasing=False).fit_transform(k, y, sample_weight=w)
    except ImportError: # the same, by min-max of means
        n = len(y)
        mean = lambda i, j: np.average(y[i:j + 1], weights=w[i:j + 1])
        return np.array([min(max(mean(i, j) for j in range(at, n)) for i in range(at + 1)) for at in range(n)])

def search(points):
    """points: (k, outputs of its models), first those of the controls. The crossing, or None."""
    points = [(k, np.array(y)[np.isfinite(y)]) for k, y in points]
    points = [(k, y) for k, y in points if len(y)]
    k, y, w = (np.array(x, float) for x in zip(*[(k, y.mean(), len(y)) for k, y in points]))
    if y[0] < 0:
        return 0.0, isotonic(k, y, w)
    fitted = isotonic(k, y, w)
    below = np.flatnonzero(fitted <= 0)
    if not len(below):
        return None, fitted
    i = below[0]
    return (k[i] if i == 0 else np.interp(0, [fitted[i], fitted[i - 1]], [k[i], k[i - 1]])), fitted

def read_plan(directory):
    return list(csv.DictReader(open(directory + "/plan.csv"))), np.load(directory + "/masks.npy")

def close(got, wanted, tolerance=1e-9):
    return abs(got - wanted) <= tolerance * (1 + abs(wanted))
PYTHON

# ---- from weights ----------------------------------------------------------------------------------------------------------

make_part() {
    "$DMSTORE_BUILD_DIR/tests/cli/make_part" "$@"
}

# Six targets of 12 examples, and three control runs, ids 20 to 22:
#   0 has equal weights, 1 none and is wrong from the beginning, 2 none and is right, 3 weights whose sum is exactly M0,
#   4 positive weights that are not enough, 5 an output that is not finite. Example 11 is in no subset.
check_python "a small store" <<'PYTHON'
random = np.random.default_rng(3)
weight = np.zeros((6, 12))
weight[0, [9, 3, 7, 5]] = 0.5, 0.5, 0.5, -0.25
weight[3, [8, 1, 4]] = 0.5, 0.5, 0.25
weight[4, [2, 6, 0, 10]] = 0.25, 0.125, -1, -2
weight[5, [6, 7, 1]] = 0.125, 0.25, -0.5
np.save("weight.npy", weight)
np.save("bias.npy", np.array([0.25, -1, 2, 0.125, 3.5, 0.0]))
masks = random.random((9, 12)) < 0.5
masks[:6, 11], masks[6:] = False, True
outputs = random.normal(size=(9, 6))
outputs[6:] = [[0.75, -0.5, 2, 1, 0.5, 0.25], [1, -0.25, 2, 1, 0.25, np.nan], [0.75, 0.5, 2, 1, 0.5, 0.5]]
np.save("masks.npy", masks)
np.save("outputs.npy", outputs.astype(np.float32))
np.save("ids.npy", np.r_[0:6, 20:23])
np.save("wrong.npy", np.full(6, 3))
PYTHON
dmstore create made.dms --examples 12 --output y:6:f32 --output flat:6:f32
dmstore ingest made.dms --masks masks.npy --output y=outputs.npy --output flat=outputs.npy --ids ids.npy >/dev/null
cp -r made.dms bare.dms
dmstore rm bare.dms --ids 20-22 >/dev/null
for store in made bare; do
    make_part $store.dms fit y 0 6 $store.dmfit --weights weight.npy --bias bias.npy
    make_part $store.dms nobias flat 0 6 $store-nobias.dmfit --weights weight.npy --no-bias
    dmstore merge-fits $store.dms $store.dmfit $store-nobias.dmfit >/dev/null
done

check "estimates, with control runs" dmstore support made.dms fit --json
cp "$stdout_file" made.json
cp "$stderr_file" made.stderr
check_output "there is no warning: nothing extrapolates" "" cat made.stderr
check_python "are those of NumPy" <<'PYTHON'
from reference import *
report, weight = json.load(open("made.json")), np.load("weight.npy")
assert report["fit"] == "fit" and report["output"] == "y" and report["method"] == "weights" and not report["extrapolates"]
m0 = np.nanmean(np.load("outputs.npy")[6:].astype(float), axis=0)
for t, target in enumerate(report["targets"]):
    k, known = heuristic(weight[t], m0[t])
    assert target["target"] == t and close(target["m0"], m0[t]) and target["m0_source"] == "control runs"
    assert target["control_runs"] == (2 if t == 5 else 3)
    assert target["support"] == (k if known else None) and target["censored"] == (not known)
    assert target["more_than"] == (None if known else k)
    assert target["conservative"] == (math.ceil(1.2 * k) if known else None)
    assert [e["example"] for e in target["examples"]] == list(order(weight[t])[:k])
    assert [e["weight"] for e in target["examples"]] == list(weight[t][order(weight[t])[:k]])
# By hand: ties by lower index; wrong from the beginning; no weights at all; not above M0 but equal; not enough.
assert [t["support"] for t in report["targets"]] == [2, 0, None, 3, None, None]
assert [e["example"] for e in report["targets"][0]["examples"]] == [3, 7]
assert [t["more_than"] for t in report["targets"]] == [None, None, 0, None, 2, 2]
assert report["cdf"] == [{"k": 0, "fraction": 1 / 6}, {"k": 1, "fraction": 1 / 6}, {"k": 2, "fraction": 2 / 6},
                         {"k": 5, "fraction": 3 / 6}], report["cdf"]
PYTHON
check "estimates, by the datamodel" dmstore support made.dms fit --all --m0 datamodel --json
cp "$stdout_file" datamodel.json
check_python "M0 is the bias and all weights" <<'PYTHON'
from reference import *
report, weight = json.load(open("datamodel.json")), np.load("weight.npy")
m0 = np.load("bias.npy") + weight.sum(axis=1)
for t, target in enumerate(report["targets"]):
    k, known = heuristic(weight[t], m0[t])
    assert close(target["m0"], m0[t]) and target["m0_source"] == "datamodel" and target["control_runs"] == 0
    assert target["support"] == (k if known else None) and target["more_than"] == (None if known else k)
assert report["extrapolates"]
PYTHON
check_error "without control runs, it says that it extrapolates" 0 "M0 is what the datamodel predicts for all 12 examples, and it was trained on subsets of " \
    dmstore support bare.dms fit --json
check_same "and the report is the same" datamodel.json "$stdout_file"
check_error "control runs that are not there" 1 "target 0 of fit fit has no control runs" \
    dmstore support bare.dms fit --m0 controls
check "a fit without a bias has control runs" dmstore support made.dms nobias --target 0
check_line "to tell M0" "0 2 3 0.8333"
check_error "or no M0" 1 "target 0 of fit nobias has no bias" dmstore support bare.dms nobias --target 0

check_output "one target: its examples are printed" "3 0.5 7 0.5" bash -c \
    'echo $("$0" support made.dms fit --target 0 | tail -n +5)' "$DMSTORE"
check_output "at most k of them" "3 0.5" bash -c 'echo $("$0" support made.dms fit --target 0 -k 1 | tail -n +5)' "$DMSTORE"
check_output "several targets: when they are asked for" "3 0.5" bash -c \
    'echo $("$0" support made.dms fit --target 0:2 -k 1 | sed -n 5p)' "$DMSTORE"
check_output "as CSV" "target,support,conservative,k,more_than,m0,m0_source,control_runs
1,0,0,0,,-0.083333333333333329,control runs,3
2,,,,0,2,control runs,3" dmstore support made.dms fit --target 1:3 -o -
check_output "threads change nothing" "" diff made.json <(dmstore support made.dms fit --json --threads 3)

check "the run on digits" dmstore support digits.dms knn --json --names files/train_names.txt --target-labels files/labels.npy
cp "$stdout_file" knn.json
dmstore export-fit digits.dms knn -o knn --sparse >/dev/null
check_python "has the estimates of NumPy" <<'PYTHON'
from reference import *
report = json.load(open("knn.json"))
names, labels = open("files/train_names.txt").read().splitlines(), np.load("files/labels.npy")
start, example, value = (np.load(f"knn/{n}.npy") for n in ("indptr", "indices", "data"))
weight = np.zeros((60, 1400))
for t in range(60):
    weight[t, example[start[t]:start[t + 1]]] = value[start[t]:start[t + 1]]
np.save("knn_weight.npy", weight)
m0 = np.load("knn/bias.npy") + weight.sum(axis=1)
supports = []
for t, target in enumerate(report["targets"]):
    k, known = heuristic(weight[t], m0[t])
    supports.append(k if known else math.inf)
    assert target["support"] == (k if known else None) and target["more_than"] == (None if known else k)
    assert target["label"] == labels[t] and close(target["m0"], m0[t])
    assert [e["example"] for e in target["examples"]] == list(order(weight[t])[:k])
    assert all(e["name"] == names[e["example"]] for e in target["examples"])
for point in report["cdf"]:
    assert close(point["fraction"], np.mean(np.array(supports) <= point["k"])), point
known = [s for s in supports if s < math.inf]
assert len(known) > 5 and report["cdf"][-1]["fraction"] == len(known) / 60 and len(set(supports)) > 5
PYTHON

# ---- the guided search -----------------------------------------------------------------------------------------------------

check "a plan" dmstore support made.dms fit --plan plan --grid 1,3,6,11,12,13 --repeats 2 --first-id 100
check_printed "is told" "plan: 50 models to train for 6 targets"
check_python "has the examples of largest weight" <<'PYTHON'
from reference import *
rows, masks = read_plan("plan")
weight = np.load("weight.npy")
assert masks.shape == (50, 12) and masks.dtype == bool and [int(r["id"]) for r in rows] == list(range(100, 150))
assert [(r["kind"], r["target"], r["k"], r["repeat"]) for r in rows[:2]] == [("control", "", "0", "0"), ("control", "", "0", "1")]
assert masks[:2].all()
wanted = [(t, k, r) for t in range(6) for k in (1, 3, 6, 11) for r in (0, 1)]
assert [(int(r["target"]), int(r["k"]), int(r["repeat"])) for r in rows[2:]] == wanted
for row, mask in zip(rows[2:], masks[2:]):
    assert row["kind"] == "support" and row["label"] == ""
    assert set(np.flatnonzero(~mask)) == set(order(weight[int(row["target"])])[:int(row["k"])])
# Outputs as retrained models might have them. Target 0 crosses between 3 and 6, 1 is wrong from the beginning, 2 never
# is, 3 goes up and down, 4 has outputs that are not finite, 5 no control with a finite one.
def outputs(target, k, repeat):
    curve = {0: {0: 1, 1: 0.5, 3: 0.25, 6: -1, 11: -2}, 1: {0: -0.125, 1: 1, 3: 1, 6: 1, 11: 1},
             2: {0: 1, 1: 0.5, 3: 0.5, 6: 0.25, 11: 0.125}, 3: {0: 0.5, 1: 1, 3: -0.5, 6: 0.75, 11: -2},
             4: {0: 1, 1: 0.5, 3: np.nan, 6: 2, 11: -1}, 5: {0: np.nan, 1: 1, 3: 1, 6: -1, 11: -1}}[target][k]
    if target == 4 and k == 6 and repeat == 1:
        return np.inf
    return curve + (repeat - 0.5) / 8
y = np.array([[outputs(t, int(r["k"]), int(r["repeat"])) for t in range(6)] for r in rows])
np.save("plan_y.npy", y.astype(np.float32))
np.save("plan_ids.npy", np.arange(100, 150))
# In another order than that of the plan: models are found by their ids.
shuffled = np.random.default_rng(0).permutation(50)
np.save("shuffled_masks.npy", masks[shuffled])
np.save("shuffled_y.npy", y[shuffled].astype(np.float32))
np.save("shuffled_ids.npy", np.arange(100, 150)[shuffled])
PYTHON
dmstore create made-runs.dms --examples 12 --output y:6:f32
dmstore ingest made-runs.dms --masks shuffled_masks.npy --output y=shuffled_y.npy --ids shuffled_ids.npy >/dev/null
check "its models" dmstore support made.dms fit --plan plan --actual made-runs.dms --json
cp "$stdout_file" search.json
check_python "give the estimates of isotonic regression" <<'PYTHON'
from reference import *
report, (rows, _), y = json.load(open("search.json")), read_plan("plan"), np.load("plan_y.npy").astype(float)
weight = np.load("weight.npy")
assert report["method"] == "search" and not report["extrapolates"] and len(report["targets"]) == 6
for t, target in enumerate(report["targets"][:5]):
    points = [(0, y[:2, t])]
    for k in (1, 3, 6, 11):
        points.append((k, [y[i, t] for i, r in enumerate(rows) if r["target"] == str(t) and r["k"] == str(k)]))
    k, fitted = search(points)
    assert [p["k"] for p in target["points"]] == [0, 1, 3, 6, 11]
    assert [p["runs"] for p in target["points"]] == [np.isfinite(p).sum() for _, p in points]
    got = [p["fitted"] for p in target["points"] if p["fitted"] is not None]
    assert len(got) == len(fitted) and all(close(a, b) for a, b in zip(got, fitted)), (t, got, fitted)
    if k is None:
        assert target["support"] is None and target["censored"] and target["more_than"] == 11
    else:
        assert close(target["k"], k) and target["support"] == math.ceil(k) and not target["censored"], (t, target, k)
        assert target["conservative"] == min(math.ceil(1.2 * k), 12)
    size = 11 if k is None else math.ceil(k)
    assert [e["example"] for e in target["examples"]] == list(order(weight[t])[:size])
assert [t["support"] for t in report["targets"]] == [4, 0, None, 7, 9, None], report["targets"]
assert report["targets"][5]["m0"] is None and not report["targets"][5]["censored"] and not report["targets"][5]["examples"]
assert [p["fraction"] for p in report["cdf"]][-1] == 4 / 6
PYTHON
check "some of its targets" dmstore support made.dms fit --plan plan --actual made-runs.dms --target 3
check_line "are told" "3 7 8 0.5"
check "all of them" dmstore support made.dms fit --plan plan --actual made-runs.dms
check_line "a censored one is said to be so" "2 > 11 - 1"
check_printed "with the reason" "1 target of which it is only known that there are more (>): the mean output is not below 0 at the largest k of the plan"
check_printed "and one without controls" "1 target without an estimate: no control run has a finite output"
# Models that have the ids of the plan, but not its masks, tell nothing.
dmstore create other-runs.dms --examples 12 --output y:6:f32
dmstore ingest other-runs.dms --masks shuffled_masks.npy --output y=plan_y.npy --ids plan_ids.npy >/dev/null
check_error "models of another plan with the same ids" 1 "was not trained on what the plan in 'plan' says" \
    dmstore support made.dms fit --plan plan --actual other-runs.dms
mkdir table && cp plan/plan.csv table
check_error "a plan whose masks have been removed is believed, with a warning" 0 "'table/masks.npy' is not there" \
    dmstore support made.dms fit --plan table --actual made-runs.dms --target 3
head -5 plan/plan.csv >table/plan.csv && cp plan/masks.npy table
check_error "masks of another plan" 1 "has 50 masks, and the plan 4 models" \
    dmstore support made.dms fit --plan table --actual made-runs.dms
dmstore rm made-runs.dms --ids 107 >/dev/null
check_error "a model that is missing" 1 "107" dmstore support made.dms fit --plan plan --actual made-runs.dms

# ---- confirmation ----------------------------------------------------------------------------------------------------------

check "estimates can be confirmed" dmstore support made.dms fit --target 0:4 --confirm confirm --repeats 3
check_printed "by a plan of two training sets a target" "confirm: 12 models to train for 2 targets"
check_python "that leaves out the support, and 1.2 times as many" <<'PYTHON'
from reference import *
rows, masks = read_plan("confirm")
weight = np.load("weight.npy")
# Target 1 has support 0, and target 2 none that is known.
assert [(r["target"], r["kind"], r["k"], r["repeat"]) for r in rows] == [
    (t, kind, k, r) for t, sizes in (("0", "23"), ("3", "34")) for kind, k in zip(("confirm", "confirm-conservative"), sizes)
    for r in "012"]
for row, mask in zip(rows, masks):
    assert set(np.flatnonzero(~mask)) == set(order(weight[int(row["target"])])[:int(row["k"])])
np.save("six.npy", np.arange(6))
y = np.ones((12, 6))
y[0:3, 0], y[3:6, 0], y[6:9, 3], y[9:12, 3] = [-1, 0.5, 0.25], [-1, 0.5, np.nan], [0.5, 0.25, -0.25], [0, 0, 0]
np.save("confirm_y.npy", y.astype(np.float32))
PYTHON
dmstore create confirm.dms --examples 12 --output y:6:f32
dmstore ingest confirm.dms --masks confirm/masks.npy --output y=confirm_y.npy >/dev/null
check "the models of that plan" dmstore support made.dms fit --plan confirm --actual confirm.dms
check_line "confirm a set or not" "0 2 -0.08333 confirmed"
check_line "where the mean output is not below 0" "3 4 0 not confirmed"
check_printed "and are counted" "as many examples as estimated: 1 of 2 confirmed (50.0%)"
check "as JSON" dmstore support made.dms fit --plan confirm --actual confirm.dms --json
cp "$stdout_file" confirmed.json
check_python "the same" <<'PYTHON'
import json
report = json.load(open("confirmed.json"))
assert report["confirmed"] == [{"kind": "confirm", "estimates": 2, "confirmed": 1, "fraction": 0.5},
                               {"kind": "confirm-conservative", "estimates": 2, "confirmed": 1, "fraction": 0.5}]
assert [(t["target"], t["k"], t["runs"], t["confirmed"]) for t in report["targets"]] == [
    (0, 2, 3, True), (0, 3, 2, True), (3, 3, 3, False), (3, 4, 3, False)], report["targets"]
PYTHON
check_output "as CSV" "target,kind,k,runs,output,confirmed
0,confirm,2,3,-0.083333333333333329,1" bash -c '"$0" support made.dms fit --plan confirm --actual confirm.dms -o - | head -2' "$DMSTORE"
check_output "what targets are is said as by other commands" "target,target_label,kind,k,runs,output,confirmed
target,target_label,support,conservative,k,more_than,m0,m0_source,control_runs" bash -c \
    '"$0" support made.dms fit --plan confirm --actual confirm.dms -o - --target-labels six.npy | head -1
     "$0" support made.dms fit -o - --target-labels six.npy | head -1' "$DMSTORE"
check_error "nothing to confirm" 1 "no target has an estimate above 0" \
    dmstore support made.dms fit --target 1:3 --confirm nothing
check_error "a confirmation is not confirmed" 1 "--confirm follows a search" \
    dmstore support made.dms fit --plan confirm --actual confirm.dms --confirm again

# ---- mislabelling ----------------------------------------------------------------------------------------------------------

check_python "logits" <<'PYTHON'
random = np.random.default_rng(6)
masks = np.argsort(random.random((400, 12)), axis=1) < 6
logits = random.normal(size=(400, 4, 3)) + [0, 0.25, 0.5] + masks[:, :4, None] * [2, 0, 0]
masks[398:], logits[398] = True, np.nan
logits[399] = [[5, 2, 1], [5, 1, 2], [1, 5, 1], [5, 2, np.nan]]
np.save("logit_masks.npy", masks)
np.save("logits.npy", logits.astype(np.float32))
np.save("labels.npy", np.array([0, 0, 1, 0]))
np.save("few.npy", np.array([1, 2, 0]))
PYTHON
dmstore create logits.dms --examples 12 --output l:4x3:f32
dmstore ingest logits.dms --masks logit_masks.npy --output l=logits.npy >/dev/null
dmstore fit logits.dms --output l --name margin --transform margin --labels labels.npy --holdout 2 >/dev/null 2>&1
dmstore fit logits.dms --output l --name correct --transform correct --labels labels.npy --holdout 2 >/dev/null 2>&1
check "margins of logits" dmstore support logits.dms margin --json --target-labels labels.npy
cp "$stdout_file" margin.json
check_python "have M0 from control runs, where there is one" <<'PYTHON'
import json
targets = json.load(open("margin.json"))["targets"]
assert [t["m0_source"] for t in targets] == ["control runs"] * 3 + ["datamodel"]
assert [t["m0"] for t in targets[:3]] == [3, 3, 4] and [t["control_runs"] for t in targets] == [1, 1, 1, 0]
PYTHON
check "without labels" dmstore support logits.dms margin --target 0
check_printed "M0 is from the datamodel" "M0 from the datamodel"
check_error "correctness has no support" 1 "fit correct predicts correctness" dmstore support logits.dms correct
check "mislabelling as the likely wrong class" dmstore support logits.dms margin --target 0:3 --plan auto --relabel auto \
    --grid 2,4 --repeats 1 --target-labels labels.npy
check_output "by the control runs, the lowest of equal ones" "1,1,2,2,0,0" bash -c \
    'echo $(grep relabel auto/plan.csv | cut -d, -f6) | tr " " ,'
check_error "a class without a finite logit" 1 "target 3: a class has no finite logit" dmstore support logits.dms margin \
    --plan none --relabel auto --target-labels labels.npy
dmstore rm logits.dms --ids 398-399 >/dev/null
check "else" dmstore support logits.dms margin --plan auto --relabel auto --grid 2 --repeats 1 --target-labels labels.npy
check_output "by all models" "2,2,0,2" bash -c 'echo $(grep relabel auto/plan.csv | cut -d, -f6) | tr " " ,'
check_error "which needs labels" 1 "give the same (--target-labels)" \
    dmstore support logits.dms margin --plan none --relabel auto
check_error "a class that there is not" 1 "there is no class 3" dmstore support logits.dms margin --plan none --relabel 3
check_error "the target's own class" 1 "target 0 is of class 0 itself" \
    dmstore support logits.dms margin --plan none --relabel 0 --target-labels labels.npy
check_error "a class for some targets only" 1 "has 3 classes for 4 targets" \
    dmstore support logits.dms margin --plan none --relabel few.npy
check_error "margins have no likely class" 1 "which has no logits" dmstore support made.dms fit --plan none --relabel auto
check "a plan that fails leaves no plan" test ! -e none/plan.csv

# Really retrained: the examples of largest weight of eight digits get the next digit's label.
check_python "the next digit" <<'PYTHON'
np.save("next.npy", (np.load("files/labels.npy") + 1) % 10)
PYTHON
dmstore support digits.dms knn --target 0:8 --plan relabel --relabel next.npy --grid 1,2,4,8,16 --repeats 1 >/dev/null
dmstore create relabel.dms --examples 1400 --output test_margins:397:f32
check "are trained" "$digits" train relabel.dms --data digits.csv --plan relabel
check "how many mislabelled examples flip a digit" dmstore support digits.dms knn --plan relabel --actual relabel.dms --json
cp "$stdout_file" relabel.json
check_python "is what nearest neighbours in NumPy say" <<'PYTHON'
from reference import *
images = [np.load(f"files/{p}images.npy").reshape(-1, 64).astype(int) for p in ("", "train_")]
labels = [np.load(f"files/{p}labels.npy") for p in ("", "train_")]
rows, masks = read_plan("relabel")
report, weight = json.load(open("relabel.json")), np.load("knn_weight.npy")
def margin(target, taught):
    distance = ((images[1] - images[0][target]) ** 2).sum(axis=1)
    nearest = np.argsort(distance, kind="stable")[:10]
    scores = np.bincount(taught[nearest], np.exp(-distance[nearest] / 800) / 10, minlength=10)
    return scores[labels[0][target]] - np.delete(scores, labels[0][target]).max()
assert len(rows) == 1 + 8 * 5 and rows[0]["kind"] == "control"
for t, target in enumerate(report["targets"]):
    points = [(0, [margin(t, labels[1])])]
    for row, mask in zip(rows, masks):
        if row["target"] != str(t):
            continue
        assert row["kind"] == "relabel" and int(row["label"]) == (labels[0][t] + 1) % 10 == target["mislabelled_as"]
        assert set(np.flatnonzero(~mask)) == set(order(weight[t])[:int(row["k"])])
        points.append((int(row["k"]), [margin(t, np.where(mask, labels[1], int(row["label"])))]))
    assert all(close(p["output"], y[0], 1e-5) for p, (_, y) in zip(target["points"], points)), (t, target["points"], points)
    k, _ = search(points)
    assert k is not None and close(target["k"], k, 1e-4) and target["support"] == math.ceil(target["k"])
PYTHON

# ---- refusals --------------------------------------------------------------------------------------------------------------

check_error "a fit that is not there" 1 "main" dmstore support made.dms main
check_error "a target that is not fitted" 1 "fit 'knn' has no target 70" dmstore support digits.dms knn --target 70
check_error "a target that there is not" 1 "names target 6, but there are 6 only" dmstore support made.dms fit --target 6
check_error "a target that the plan does not have" 1 "the plan has no models for target 9" \
    dmstore support digits.dms knn --plan relabel --actual relabel.dms --target 9
printf 'id,target,k,repeat,kind,label\n0,0,3,0,top,\n' >plan/plan.csv
check_error "the plan of another command" 1 "kind 'top'" dmstore support made.dms fit --plan plan --actual confirm.dms
printf 'id,target,k,repeat,kind,label\n0,0,3,0,support,\n1,0,4,0,relabel,2\n' >plan/plan.csv
check_error "two plans in one" 1 "kinds 'support' and 'relabel'" \
    dmstore support made.dms fit --plan plan --actual confirm.dms
printf 'id,target,k,repeat,kind,label\n0,0,3,0,support,\n' >plan/plan.csv
check_error "a plan without controls" 1 "the plan has no control rows" \
    dmstore support made.dms fit --plan plan --actual confirm.dms
printf 'id,target,k,repeat,kind,label\n0,,0,0,control,\n' >plan/plan.csv
check_error "a plan of controls" 1 "the plan has no rows but controls" \
    dmstore support made.dms fit --plan plan --actual confirm.dms
check_error "a grid that leaves nothing to train on" 1 "too few for the first k of the grid" \
    dmstore support made.dms fit --plan none --grid 12
for grid in 0,1 2,2 2,1 a 1, ,1 ''; do
    check_error "--grid '$grid'" 2 "is not a list of" dmstore support made.dms fit --plan none --grid "$grid"
done
check_error "--actual without the plan" 2 "--actual RUNS goes with --plan DIR" dmstore support made.dms fit --actual runs.dms
check_error "two plans to write" 2 "write different plans" dmstore support made.dms fit --plan a --confirm b
check_error "nothing to report" 2 "finds nothing to report" dmstore support made.dms fit --plan a --json
check_error "--relabel without a plan" 2 "--relabel goes with" dmstore support made.dms fit --relabel 1
check_error "--repeats without a plan" 2 "--repeats goes with" dmstore support made.dms fit --repeats 3
check_error "no repeats" 2 "at least 1" dmstore support made.dms fit --plan a --repeats 0
check_error "all targets twice" 2 "cannot both be given" dmstore support made.dms fit --all --target 1
check_error "JSON and CSV on one output" 2 "cannot both be printed" dmstore support made.dms fit --json -o -
done_testing
