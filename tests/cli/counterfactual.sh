#!/usr/bin/env bash
# `dmstore counterfactual`: the sets of each kind and what is predicted of them, plans and what is in them, and how predicted
# changes compare with those of models that were really retrained, all as NumPy finds them; and what is refused.
. "$(dirname "$0")/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/digits_run.sh"
digits_run
make_part=$DMSTORE_BUILD_DIR/tests/cli/make_part

correlations
cat >reference.py <<'PYTHON'
import csv, json
import numpy as np
from correlations import *

GRID = [10, 20, 40, 80, 160, 320, 640, 1280]

def check_scores(report):
    """Means and correlations of all groups are those of the pairs."""
    pairs = report["pairs"]
    def check(group, members):
        x, y = (np.array([p[name] for p in members]) for name in ("predicted", "actual"))
        wanted = {"predicted": x.mean(), "actual": y.mean(), "pearson": correlation(x, y),
                  "spearman": spearman(x, y)}
        assert group["pair_count"] == len(members)
        for name, value in wanted.items():
            assert same(group[name], value), (group, name, value)
    pairs = [p for p in pairs if p["actual"] is not None]
    check(report["overall"], pairs)
    for kind in report["kinds"]:
        of_kind = [p for p in pairs if p["kind"] == kind["kind"]]
        check(kind, of_kind)
        for size in kind["sizes"]:
            check(size, [p for p in of_kind if p["k"] == size["k"]])
PYTHON

# ---- a small store with chosen weights -------------------------------------------------------------------------------------

check_python "models" <<'PYTHON'
random = np.random.default_rng(1)
np.save("masks.npy", np.argsort(random.random((6, 12)), axis=1) < 6)
np.save("y.npy", np.zeros((6, 4), np.float32))
w = np.zeros((4, 12))
w[0, [1, 3, 5, 8, 9]] = [2, -1, 2, 0.5, -1]  # ties on both sides
w[2, :] = np.arange(12) - 5.5                # no zeros
w[3, [0, 11]] = [1, 1]
np.save("w.npy", w)                          # target 1 is a null model
np.save("b.npy", np.array([1, 2, 3, 4.0]))
np.save("classes.npy", np.array([0, 1, 2] * 4))
np.save("target_classes.npy", np.array([2, 0, 1, 3]))
coordinates = np.zeros((16, 2))
coordinates[:12, 0] = [5, 3, 3, 1, 9, 9, 9, 9, 9, 9, 9, 9]
coordinates[15] = [9, 0]
np.save("coordinates.npy", coordinates)
PYTHON
dmstore create small.dms --examples 12 --output y:4:f32 --output other:4:f32
check "are taken in" dmstore ingest small.dms --masks masks.npy --output y=y.npy
check "a fit with chosen weights" "$make_part" small.dms chosen y 0 4 chosen.dmfit --weights w.npy --bias b.npy
check "a fit without a bias" "$make_part" small.dms unbiased y 0 4 unbiased.dmfit --weights w.npy --no-bias
check "a fit of one target" "$make_part" small.dms some y 2 3 some.dmfit
check "are merged" dmstore merge-fits small.dms chosen.dmfit unbiased.dmfit some.dmfit

removed() { # FIT OPTION...: what a plan removes, a line a set: "kind k: examples"
    rm -rf plan
    dmstore counterfactual small.dms "$@" --plan plan >/dev/null 2>"$stderr_file" || {
        cat "$stderr_file"
        return 1
    }
    python <<'PYTHON'
import csv
masks = np.load("plan/masks.npy")
for row, mask in zip(csv.DictReader(open("plan/plan.csv")), masks):
    if row["kind"] != "control":
        print(f'{row["kind"]} {row["k"]}:', *np.flatnonzero(~mask))
PYTHON
}
echo "7 2 # listed" >list.txt
# Positive weights, the lower index first; then zeros by index; then negative weights. And the other way round.
check_output "the sets of all kinds" "list 2: 2 7
top 1: 1
top 5: 0 1 2 5 8
top 11: 0 1 2 3 4 5 6 7 8 10 11
bottom 1: 3
bottom 10: 0 2 3 4 6 7 8 9 10 11
zero 7: 0 2 4 6 7 10 11
class 4: 2 5 8 11
nearest 2: 1 3
random 11: 0 1 2 3 5 6 7 8 9 10 11
top 10: 0 1 2 4 5 6 7 8 10 11" removed chosen --target 0 --remove top:1 --remove top:5 --remove top:11 --remove bottom:1 \
    --remove bottom:10 --remove zero:7 --remove class:4 --labels classes.npy --target-labels target_classes.npy \
    --remove nearest:2 --distances coordinates.npy --remove random:11 --remove top:grid --remove zero:grid \
    --remove @list.txt # the grid ends before nothing is left to train on, and before there are too few zeros
check_output "nothing but zeros" "top 3: 0 1 2" removed chosen --target 1 --remove top:3
check_output "a list, once for all targets" "list 2: 2 7" removed chosen --target all --remove @list.txt
check_output "weights of another fit, once for all targets" $'top 2: 0 11\nbottom 1: 1' removed chosen --target all \
    --by unbiased:3 --remove top:2 --remove bottom:1

check "random sets" removed chosen --target all --remove random:3 --remove random:6
cp "$stdout_file" first
check_output "are the same again" "$(cat first)" removed chosen --target all --remove random:3 --remove random:6
check "other ones with another seed" bash -c "! cmp -s first <($(declare -f dmstore python removed); DMSTORE=$DMSTORE \
    PYTHON=$PYTHON stderr_file=$stderr_file; removed chosen --target all --remove random:3 --remove random:6 --seed 5)"
check_python "differ between targets, and larger sets have the smaller ones" <<'PYTHON'
sets = [set(line.split(":")[1].split()) for line in open("first")]
assert len(sets) == 8 and len({tuple(sorted(s)) for s in sets[::2]}) > 1
assert all(small < large and len(small) == 3 for small, large in zip(sets[::2], sets[1::2]))
PYTHON

check "predictions" dmstore counterfactual small.dms chosen --target all --json --remove top:1 --remove bottom:3 \
    --remove @list.txt --target-labels target_classes.npy
cp "$stdout_file" small.json
check_python "are minus the sums of weights" <<'PYTHON'
import json
report = json.load(open("small.json"))
got = [(p["target"], p["kind"], p["k"], p["effect"], p["predicted"]) for p in report["pairs"]]
assert got == [(0, "top", 1, 2, -2), (0, "bottom", 3, -2, 2), (0, "list", 2, 0, 0),
               (1, "top", 1, 0, 0), (1, "bottom", 3, 0, 0), (1, "list", 2, 0, 0),
               (2, "top", 1, 5.5, -5.5), (2, "bottom", 3, -13.5, 13.5), (2, "list", 2, -2, 2),
               (3, "top", 1, 1, -1), (3, "bottom", 3, 0, 0), (3, "list", 2, 0, 0)], got
assert [p["label"] for p in report["pairs"][::3]] == [2, 0, 1, 3] and report["pairs"][2]["list"] == "list.txt"
assert report["set_count"] == 9 and report["target_count"] == 4 and report["extrapolates"]
assert [(k["kind"], k["pair_count"], k["predicted"]) for k in report["kinds"]] == [
    ("top", 4, -2.125), ("bottom", 4, 3.875), ("list", 4, 0.5)]
assert report["overall"] == {"pair_count": 12, "predicted": 0.75}
PYTHON
check_error "with a warning that they extrapolate" 0 "have 9 to 12 examples, those of training 6:" \
    dmstore counterfactual small.dms chosen --target all --remove top:1 --remove bottom:3
check "a table" dmstore counterfactual small.dms chosen --target all --remove top:1 --remove bottom:3 -o small.csv
check_line "has a line for each kind and size" "top 1 4 -2.1250"
check_line "and one for all" "all all 8 +0.8750"
check_output "CSV has a line a pair" "target,kind,k,effect,predicted,actual,runs
0,top,1,2,-2,,0
0,bottom,3,-2,2,,0" head -3 small.csv
check "a target of a fit that has one only" dmstore counterfactual small.dms some --target all --remove top:2
check_printed "is the one that is meant" "y: fit some, 1 target, 1 set"

# ---- retrained models: small -----------------------------------------------------------------------------------------------

# Sets of targets 0 (top:1: example 1; bottom:1: example 3) and 3 (top:1: example 0), two models each; three controls.
check_python "outputs of retrained models" <<'PYTHON'
removed = [None, 1, 3, 0, 1, None, 3, 0, None]
masks = np.ones((9, 12), bool)
for row, example in enumerate(removed):
    if example is not None:
        masks[row, example] = False
y = np.arange(36, dtype=np.float32).reshape(9, 4) ** 2 / 64
y[2, 0], y[[3, 7], 3], y[8, 0] = np.nan, np.inf, np.nan
np.save("run_masks.npy", masks)
np.save("run_y.npy", y)
PYTHON
dmstore create small_runs.dms --examples 12 --output y:4:f32
check "are taken in" dmstore ingest small_runs.dms --masks run_masks.npy --output y=run_y.npy
check "are compared" dmstore counterfactual small.dms chosen --target 0:4 --remove top:1 --remove bottom:1 \
    --actual small_runs.dms --json
cp "$stdout_file" actual.json
check_python "with the means of what is finite, and pairs without models are left out" <<'PYTHON'
from reference import *
report, y = json.load(open("actual.json")), np.load("run_y.npy").astype(float)
pairs = {(p["target"], p["kind"]): p for p in report["pairs"]}
base = np.array([y[[0, 5], 0].mean(), *y[[0, 5, 8], 1:].mean(axis=0)])
assert same(pairs[0, "top"]["actual"], y[[1, 4], 0].mean() - base[0]) and pairs[0, "top"]["runs"] == 2
assert same(pairs[0, "bottom"]["actual"], y[6, 0] - base[0]) and pairs[0, "bottom"]["runs"] == 1
assert same(pairs[1, "top"]["actual"], y[[3, 7], 1].mean() - base[1]), "target 1: the first example"
assert pairs[3, "top"]["actual"] is None and pairs[3, "top"]["runs"] == 0
assert pairs[2, "top"]["actual"] is None and pairs[2, "bottom"]["runs"] == 2
assert report["base"] == "runs" and report["runs"] == "small_runs.dms"
assert report["pairs_untrained"] == 1 and report["outputs_nonfinite"] == 3
check_scores(report)
PYTHON
check "as a table" dmstore counterfactual small.dms chosen --target 0:4 --remove top:1 --remove bottom:1 --actual small_runs.dms
check_printed "that says what was left out" "1 pair left out: no model was trained on the set"
check_printed "and what changes are relative to" "less that of the retrained models of all training examples"
check "all masks" dmstore counterfactual small.dms chosen --target all --actual small_runs.dms --json
cp "$stdout_file" masks.json
check_python "are compared for all targets" <<'PYTHON'
from reference import *
report, w, y = json.load(open("masks.json")), np.load("w.npy"), np.load("run_y.npy").astype(float)
y[~np.isfinite(y)] = np.nan
pairs = report["pairs"]
assert [(p["target"], p["kind"], p["k"]) for p in pairs] == [(t, "mask", 1) for t in range(4) for _ in range(3)]
assert [p["effect"] for p in pairs] == [w[t, e] for t in range(4) for e in (1, 3, 0)]
rows = ([1, 4], [2, 6], [3, 7])
wanted = [np.nanmean(y[r, t]) - np.nanmean(y[[0, 5, 8], t]) if np.isfinite(y[r, t]).any() else None
          for t in range(4) for r in rows]
assert all(same(p["actual"], a) for p, a in zip(pairs, wanted)), (pairs, wanted)
check_scores(report)
PYTHON

# Controls that have no finite output on a target tell nothing of its changes.
check_python "controls without an output" <<'PYTHON'
y = np.load("run_y.npy")
y[[0, 5, 8], 1] = np.nan
np.save("baseless_y.npy", y)
PYTHON
dmstore create baseless.dms --examples 12 --output y:4:f32
dmstore ingest baseless.dms --masks run_masks.npy --output y=baseless_y.npy >/dev/null
check "are no base" dmstore counterfactual small.dms chosen --target 0:2 --actual baseless.dms
check_printed "which is said" "3 pairs left out: no model of all training examples has a finite output on the target"

# Without controls there, those of the store, and without any, the prediction.
check "without the controls" dmstore rm small_runs.dms --ids 0,5,8
base_of() { # prints what the base is, and the actual change of target 0
    dmstore counterfactual small.dms chosen --target 0 --remove top:1 --actual small_runs.dms --json >base.json 2>/dev/null &&
        "$PYTHON" -c 'import json; r = json.load(open("base.json")); print(r["base"], r["pairs"][0]["actual"])'
}
check_output "the base is predicted" "predicted -1.375" base_of
check_error "which takes a bias" 1 "fit 'unbiased' has no bias" \
    dmstore counterfactual small.dms unbiased --target 0 --remove top:1 --actual small_runs.dms
check_python "a control in the store itself" <<'PYTHON'
np.save("control.npy", np.ones((1, 12), bool))
np.save("control_y.npy", np.full((1, 4), 0.5, np.float32))
np.save("control_id.npy", np.array([77]))
PYTHON
dmstore ingest small.dms --masks control.npy --output y=control_y.npy --ids control_id.npy >/dev/null
check_output "is the base where the runs have none" "store 1.625" base_of

# A fit of logits: what models put out is their margin. The runs lack example 5; their controls lead by 2.
check_python "logits" <<'PYTHON'
random = np.random.default_rng(2)
np.save("logit_masks.npy", np.argsort(random.random((60, 12)), axis=1) < 6)
np.save("logits.npy", random.normal(size=(60, 2, 3)).astype(np.float32))
np.save("logit_labels.npy", np.array([2, 0]))
masks = np.ones((3, 12), bool)
masks[1:, 5] = False
np.save("logit_run_masks.npy", masks)
np.save("logit_runs.npy", np.array([[[0, 1, 3], [9, 7, 5]], [[4, 0, 0], [0, 0, 1]], [[0, 0, 2], [3, 0, 1]]], np.float32))
PYTHON
for run in logits:logit_masks:logits logit_runs:logit_run_masks:logit_runs; do
    IFS=: read -r store masks outputs <<<"$run"
    dmstore create "$store.dms" --examples 12 --output logits:2x3:f32
    dmstore ingest "$store.dms" --masks "$masks.npy" --output logits="$outputs.npy" >/dev/null
done
check "fit margins" dmstore fit logits.dms --output logits --name margin --transform margin --labels logit_labels.npy \
    --holdout 0 --validation 10 --lambdas 5
echo 5 >five.txt
margin() {
    dmstore counterfactual logits.dms margin --target all --actual logit_runs.dms "$@"
}
check "compare margins" margin --target-labels logit_labels.npy --remove @five.txt -o margin.csv
check_output "they are those of the target's class" "0,-3,2 1,-1.5,2" bash -c \
    'echo $(tail -n +2 margin.csv | cut -d, -f1,7,8)'
check_error "which must be known" 1 "give the same (--target-labels)" margin
check "a fit that leaves out models which have seen the target" "$make_part" small.dms own y 0 4 own.dmfit exclude-self=yes
dmstore merge-fits small.dms own.dmfit >/dev/null
check_error "counts all retrained ones, and says so" 0 "models that have not seen the target itself" \
    dmstore counterfactual small.dms own --target all --actual small_runs.dms

# ---- retrained models: digits ----------------------------------------------------------------------------------------------

sets="--target 0:30 --remove top:grid --remove bottom:grid --remove zero:40 --remove random:grid --remove class:100
    --remove nearest:20 --labels files/train_labels.npy --target-labels files/labels.npy --distances pixels.npy"
check_python "pixels as coordinates" <<'PYTHON'
images = [np.load(f"files/{name}images.npy").reshape(-1, 64) for name in ("train_", "")]
np.save("pixels.npy", np.concatenate(images).astype(np.float32))
PYTHON
check "plan" dmstore counterfactual digits.dms knn $sets --plan plan --repeats 2 --first-id 100000
check_printed "says how many models are to be trained" "plan/plan.csv has 1,622 models to train, ids 100000 to 101621"
check "export the fit" dmstore export-fit digits.dms knn -o knn
check_python "a plan has the sets that it says" <<'PYTHON'
from reference import *
masks, rows = np.load("plan/masks.npy"), list(csv.DictReader(open("plan/plan.csv")))
w, labels = np.load("knn/weight.npy").astype(float), np.load("files/train_labels.npy")
target_labels, pixels = np.load("files/labels.npy"), np.load("pixels.npy").astype(float)
if w.shape[0] != 1400:
    w = w.T
assert masks.dtype == bool and masks.shape == (len(rows), 1400)
assert open("plan/plan.csv").readline() == "id,target,k,repeat,kind,label\n"
assert [int(r["id"]) for r in rows] == list(range(100000, 100000 + len(rows)))
assert [int(r["repeat"]) for r in rows] == [0, 1] * (len(rows) // 2) and not any(r["label"] for r in rows)
assert all(r["kind"] == "control" and r["target"] == "" and r["k"] == "0" for r in rows[:2]) and masks[:2].all()
assert (masks[::2] == masks[1::2]).all()
seen = set()
for row, mask in zip(rows[2:], masks[2:]):
    t, k, kind = int(row["target"]), int(row["k"]), row["kind"]
    gone, weight = ~mask, w[:, t]
    seen.add((t, k, kind))
    assert gone.sum() == k
    if kind == "top":
        assert (gone == np.isin(np.arange(1400), np.argsort(-weight, kind="stable")[:k])).all()
    if kind == "bottom":
        assert (gone == np.isin(np.arange(1400), np.argsort(weight, kind="stable")[:k])).all()
    if kind == "zero":
        assert (weight[gone] == 0).all()
    if kind == "class":
        assert (labels[gone] == target_labels[t]).all()
    if kind == "nearest":
        distance = ((pixels[:1400] - pixels[1400 + t]) ** 2).sum(axis=1)
        assert (gone == np.isin(np.arange(1400), np.argsort(distance, kind="stable")[:k])).all()
assert seen == {(t, k, kind) for t in range(30)
                for kind, ks in (("top", GRID), ("bottom", GRID), ("random", GRID), ("zero", [40]), ("class", [100]),
                                 ("nearest", [20])) for k in ks}
PYTHON
dmstore create runs.dms --examples 1400 --output test_margins:397:f16 --scalar accuracy:f32
check "retrain" "$digits" train runs.dms --data digits.csv --masks plan/masks.npy --first-id 100000 --ids 100000:101622
check "compare" dmstore counterfactual digits.dms knn $sets --actual runs.dms --json -o knn.csv
cp "$stdout_file" knn.json
check "export what was trained" dmstore export runs.dms --output test_margins=margins.npy
check_python "actual changes are those of the retrained models, and predictions correlate with them" <<'PYTHON'
from reference import *
report, rows = json.load(open("knn.json")), list(csv.DictReader(open("plan/plan.csv")))
y, w = np.load("margins.npy").astype(float), np.load("knn/weight.npy").astype(float)
masks = np.load("plan/masks.npy")
if w.shape[0] != 1400:
    w = w.T
wanted, equal = {}, {}
for number, mask in enumerate(masks):
    equal.setdefault(mask.tobytes(), []).append(number)
for row, mask in zip(rows[2:], masks[2:]):
    t, models = int(row["target"]), equal[mask.tobytes()]  # some targets have sets in common
    wanted[t, row["kind"], int(row["k"])] = (len(models), y[models, t].mean() - y[:2, t].mean(), ~mask @ w[:, t])
assert len(report["pairs"]) == len(wanted) == 810
for pair in report["pairs"]:
    run_ct, actual, effect = wanted[pair["target"], pair["kind"], pair["k"]]
    assert pair["runs"] == run_ct >= 2 and same(pair["actual"], actual)
    assert same(pair["effect"], effect, 1e-6) and pair["predicted"] == -pair["effect"]
check_scores(report)
kinds = {k["kind"]: k for k in report["kinds"]}
assert report["base"] == "runs" and report["overall"]["pearson"] > 0.9 and report["overall"]["spearman"] > 0.8
assert kinds["top"]["pearson"] > 0.8 and kinds["top"]["actual"] < 3 * kinds["random"]["actual"] < 0
assert kinds["bottom"]["actual"] > 0 and abs(kinds["zero"]["actual"]) < 0.01
lines = list(csv.DictReader(open("knn.csv")))
assert [(int(l["target"]), l["kind"], int(l["k"]), float(l["predicted"]), float(l["actual"])) for l in lines] == [
    (p["target"], p["kind"], p["k"], p["predicted"], p["actual"]) for p in report["pairs"]]
PYTHON
check_python "as SciPy finds" <<'PYTHON'
import json
try:
    from scipy import stats
except ImportError:
    raise SystemExit
report = json.load(open("knn.json"))
x, y = ([p[name] for p in report["pairs"]] for name in ("predicted", "actual"))
assert abs(stats.pearsonr(x, y)[0] - report["overall"]["pearson"]) < 1e-9
assert abs(stats.spearmanr(x, y)[0] - report["overall"]["spearman"]) < 1e-9
PYTHON
check_output "threads change nothing" "" diff knn.json \
    <(dmstore counterfactual digits.dms knn $sets --actual runs.dms --json --threads 3 2>/dev/null)
check "sets of another fit's target" dmstore counterfactual digits.dms knn --target all --by knn:7 --remove top:40 \
    --actual runs.dms --json
cp "$stdout_file" by.json
check_python "are compared for all targets" <<'PYTHON'
from reference import *
report = json.load(open("by.json"))
one = [p for p in json.load(open("knn.json"))["pairs"] if (p["target"], p["kind"], p["k"]) == (7, "top", 40)]
assert report["by"] == {"fit": "knn", "target": 7} and len(report["pairs"]) == 60 and report["set_count"] == 1
assert report["pairs"][7]["actual"] == one[0]["actual"] and report["pairs"][7]["effect"] == one[0]["effect"]
assert all(p["runs"] == one[0]["runs"] for p in report["pairs"])
check_scores(report)
PYTHON

# ---- refusals --------------------------------------------------------------------------------------------------------------

ask() { # OPTION...
    dmstore counterfactual small.dms chosen "$@"
}
check_error "no target" 2 "--target J" ask
check_error "a target that there is not" 1 "names target 4, but there are 4 only" ask --target 4
check_error "a target that was not fitted" 1 "fit 'some' has no target 0" dmstore counterfactual small.dms some --target 0
check_error "no such fit" 1 "chosen" dmstore counterfactual small.dms nothing --target 0
for what in top tip:3 top:0 top:x top: @ :3 mask:3; do
    check_error "--remove $what" 2 "--remove: '$what' is neither" ask --target 0 --remove "$what"
done
check_error "more than there are" 1 "there are 12 examples" ask --target 0 --remove top:13
check_error "a plan that leaves nothing to train on" 1 "--remove top leaves none of the 12 examples to train on" \
    ask --target 0 --remove top:12 --plan all
check_output "is not left behind" "" ls -A all
check "sets of a grid where there are too few examples" ask --target 0 --remove class:grid --labels classes.npy \
    --target-labels target_classes.npy
check_printed "are none" "no sets: there are too few examples"
check_output "which extrapolate to nothing" "" cat "$stderr_file"
check_error "too few zeros" 1 "target 0 has 7 examples of weight 0" ask --target 0 --remove zero:8
check_error "too few of the class" 1 "target 3 has 0 examples of its class" ask --target all --remove class:1 \
    --labels classes.npy --target-labels target_classes.npy
check_error "a class without labels" 1 "--target-labels" ask --target 0 --remove class:1 --labels classes.npy
check_error "nearest without distances" 1 "needs --distances" ask --target 0 --remove nearest:1
check_error "nearest of no target" 1 "--by chooses the same" ask --target 0 --by chosen:0 --remove nearest:1
echo 12 >beyond.txt
check_error "a list of an example that there is not" 1 "names example 12" ask --target 0 --remove @beyond.txt
check_error "no list" 1 "no.txt" ask --target 0 --remove @no.txt
check_error "no fit to choose by" 1 "nothing" ask --target 0 --by nothing:0 --remove top:1
check_error "no target to choose by" 1 "fit 'some' has no target 0" ask --target 0 --by some:0 --remove top:1
check_error "half of what to choose by" 2 "is not FIT:J" ask --target 0 --by chosen --remove top:1
check_error "chosen by a fit, but nothing removed" 2 "give --remove" ask --target 0 --by chosen:0 --actual small_runs.dms
check_error "repeats without a plan" 2 "go with --plan" ask --target 0 --repeats 2
check_error "no repeats" 2 "at least 1" ask --target 0 --plan plan --repeats 0
check_error "both a plan and what came of it" 2 "--plan comes before" ask --target 0 --plan plan --actual small_runs.dms
check_error "ids that end" 1 "there are no ids" ask --target 0 --remove top:1 --plan plan --first-id 18446744073709551615
check_error "runs that are not there" 1 "no.dms" ask --target 0 --actual no.dms
check_error "runs about other examples" 1 "is about 1400 training examples" ask --target 0 --actual runs.dms
check_error "runs of none of the sets" 1 "has no model of any of these training sets" ask --target 0 --remove top:7 \
    --actual small_runs.dms
dmstore create empty.dms --examples 12 --output other:4:f32
check_error "runs without the output" 1 "'empty.dms'" ask --target 0 --actual empty.dms
touch file
check_error "a plan that cannot be written" 1 "file" ask --target 0 --remove top:1 --plan file
check_error "a plan larger than any disk" 1 "plan for fewer targets, sets or repeats" \
    ask --target 0 --remove top:1 --plan plan --repeats 100000000000000
check_error "sets that would count twice" 2 "--remove top:10 and --remove top:grid ask about the same sets" \
    ask --target 0 --remove top:10 --remove bottom:10 --remove top:grid
check_error "a table as .npy" 2 "is a table, as CSV" ask --target 0 --remove top:1 -o never.npy
done_testing
