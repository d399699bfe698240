#!/usr/bin/env bash
# `dmstore eval`: its scores are those that NumPy finds from exported weights, masks and outputs; what is not defined is null,
# left out and counted; several fits are compared; what cannot be scored is refused.
. "$(dirname "$0")/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"

# ---- the reference ---------------------------------------------------------------------------------------------------------

correlations
cat >reference.py <<'PYTHON'
import json
import numpy as np
from correlations import *

SCORES = ["lds", "pearson", "mse", "r2", "auc", "opt", "lds_averaged", "ceiling"]

def auc(prediction, positive):
    if positive.all() or not positive.any():
        return None
    a, b = prediction[positive][:, None], prediction[~positive][None]
    return (a > b).mean() + (a == b).mean() / 2

def repeats(g, y, masks):
    """OPT, LDS with the averages over repeats, noise ceiling."""
    _, number = np.unique(masks, axis=0, return_inverse=True)
    rows = [np.flatnonzero(number == k) for k in range(number.max() + 1)]
    rows = [r for r in rows if len(r) > 1]
    if not rows:
        return None, None, None
    halves = [np.float32([y[r[h::2]].mean() for r in rows]) for h in (0, 1)]
    c = spearman(*halves)
    return (np.mean([y[r].var(ddof=1) for r in rows]),
            spearman(np.array([g[r[0]] for r in rows]), np.float32([y[r].mean() for r in rows])),
            np.sqrt(2 * c / (1 + c)) if c is not None and c > 0 else None)

def scores(weight, bias, mean, masks, y, use):
    """The scores of a target over the rows `use` with finite outputs."""
    use = use & np.isfinite(y)
    masks, y = masks[use], y[use]
    g = ((masks * weight).sum(axis=1) + bias).astype(np.float32).astype(float)
    lds = spearman(g, y)
    if lds is None:
        return dict.fromkeys(SCORES)
    error = ((y - g) ** 2).mean()
    return dict(zip(SCORES, [lds, correlation(g, y), error, 1 - error / ((y - mean) ** 2).mean(), auc(g, y > 0),
                             *repeats(g, y, masks)]))

class Fit:
    def __init__(self, directory):
        for name in ("weight", "bias", "targets"):
            setattr(self, name, np.load(f"{directory}/{name}.npy").astype(float))

    def scores(self, masks, y, training, held_out, exclude=None):
        """One dictionary a fitted target; exclude: the own example of each target, or None."""
        result = []
        for place, target in enumerate(self.targets.astype(int)):
            use, fitted = np.ones(len(y), bool), np.isfinite(y[:, target])
            if exclude is not None and exclude[target] >= 0:
                use = ~masks[:, exclude[target]]
            mean = y[training, target][(use & fitted)[training]].mean()
            result.append(scores(self.weight[:, place], self.bias[place], mean, masks[held_out], y[held_out, target],
                                 use[held_out]))
        return result

def check_fit(report, wanted, targets):
    """The report of a fit has these scores, their means, and counts what it left out."""
    assert [t["target"] for t in report["targets"]] == list(targets)
    for got, expected in zip(report["targets"], wanted):
        for name in SCORES:
            assert same(got[name], expected[name], 2e-5), (got["target"], name, got[name], expected[name])
    for name in SCORES:
        values = [w[name] for w in wanted if w[name] is not None]
        assert report["defined"][name] == len(values), name
        assert same(report["mean"][name], np.mean(values) if values else None, 2e-5), name
PYTHON

# ---- a store ---------------------------------------------------------------------------------------------------------------

# 900 models of 60 examples in the order of ids; 40 of the held-out ones, 700 to 899, repeat masks of others, some twice.
# Targets: 3 is constant, 4 has values that are not finite, 5 is positive, 6 has many ties, 7 is noise.
check_python "models" <<'PYTHON'
random = np.random.default_rng(5)
models, examples, targets = 900, 60, 12
masks = np.argsort(random.random((models, examples)), axis=1) < examples // 2
masks[830:860], masks[860:870] = masks[730:760], masks[730:740]
weights = random.normal(size=(examples, targets)) * (random.random((examples, targets)) < 0.2)
y = masks @ weights + random.normal(size=(models, targets))
y[:, 3], y[::7, 4], y[3::11, 4], y[:, 6], y[:, 7] = 1.5, np.nan, np.inf, np.round(y[:, 6]), random.normal(size=models)
y[:, 5] = abs(y[:, 5]) + 1
np.save("masks.npy", masks)
np.save("y.npy", y.astype(np.float16))
seen = masks @ random.normal(size=(examples, examples)) + random.normal(size=(models, examples)) + 9 * masks
np.save("seen.npy", seen.astype(np.float32))
own = np.arange(targets) * 2
own[4] = -1
np.save("own.npy", own)
logits = np.round(random.normal(size=(models, 5, 3)) + (masks[:, :5, None] - 0.5) * 3, 3)
np.save("logits.npy", logits.astype(np.float32))
np.save("labels.npy", np.array([0, 2, 1, 1, 0]))
np.save("wrong.npy", np.array([0, 2, 1, 1, 1]))
PYTHON
dmstore create run.dms --examples 60 --output y:12 --output seen:60:f32 --output logits:5x3:f32 --chunk-rows 64
check "are taken in" dmstore ingest run.dms --masks masks.npy --output y=y.npy --output seen=seen.npy \
    --output logits=logits.npy
split="--holdout 200 --validation 100"

fit() { # NAME OPTION...: fits and exports
    check "fit $1" dmstore fit run.dms --name "$1" "${@:2}"
    check "export $1" dmstore export-fit run.dms "$1" -o "$1"
}
fit main --output y $split
fit short --output y $split --rows-used 100 --targets 2:12
fit null --output y $split --lambdas 1 --no-refit # the first lambda of a path gives no weights
fit own --output y $split --exclude-self --self own.npy
fit seen --output seen $split --exclude-self
fit margin --output logits $split --transform margin --labels labels.npy
fit correct --output logits $split --transform correct --labels labels.npy

eval_json() { # FILE ARGUMENT...
    check "eval ${*:2}" dmstore eval run.dms "${@:2}" --json
    cp "$stdout_file" "$1"
}

# ---- one fit ---------------------------------------------------------------------------------------------------------------

eval_json main.json main
check_python "the scores are those of NumPy" <<'PYTHON'
from reference import *
report, masks, y = json.load(open("main.json")), np.load("masks.npy"), np.load("y.npy").astype(float)
assert report["rows"] == 200 and report["masks"] == 160 and report["repeated_masks"] == 30
assert report["targets_constant"] == 1 and report["targets_empty"] == 0 and not report["extrapolates"]
fit = report["fits"][0]
assert fit["name"] == "main" and fit["rows"] == 200 and "differences" not in report
wanted = Fit("main").scores(masks, y, slice(0, 700), slice(700, 900))
check_fit(fit, wanted, range(12))
assert fit["targets"][3]["lds"] is None and fit["targets"][5]["auc"] is None
assert fit["targets"][4]["nonfinite"] == (~np.isfinite(y[700:, 4])).sum() > 0
assert fit["mean"]["opt"] < fit["mean"]["mse"] and fit["mean"]["lds"] < fit["mean"]["ceiling"] < 1
PYTHON
check_python "the interval is that of an independent bootstrap of masks" <<'PYTHON'
from reference import *
random = np.random.default_rng(0)
report, masks, y = json.load(open("main.json")), np.load("masks.npy")[700:], np.load("y.npy").astype(float)[700:]
fit, mean = Fit("main"), json.load(open("main.json"))["fits"][0]["mean"]
assert report["bootstrap"] == {"method": "resampled", "resamples": 1000, "seed": 0}
g = np.float32([(masks * fit.weight[:, t]).sum(axis=1) + fit.bias[t] for t in range(12)]).T
_, number = np.unique(masks, axis=0, return_inverse=True)
rows, means = [np.flatnonzero(number == k) for k in range(number.max() + 1)], []
for _ in range(1000):
    drawn = np.concatenate([rows[k] for k in random.integers(len(rows), size=len(rows))])
    finite = [drawn[np.isfinite(y[drawn, t])] for t in range(12)]
    means.append(np.mean([spearman(g[finite[t], t], y[finite[t], t]) for t in range(12) if t != 3]))
low, high = np.quantile(means, [0.025, 0.975])
assert abs(mean["lds_low"] - low) < 0.25 * (high - low), (mean, low, high)
assert abs(mean["lds_high"] - high) < 0.25 * (high - low), (mean, low, high)
PYTHON
check_output "other threads and memory: the same" "" diff main.json \
    <(dmstore eval run.dms main --json --threads 3 --memory 2M)
eval_json seed.json main --seed 1
check_output "another seed changes the interval only" "lds_high lds_low seed" bash -c \
    'echo $(diff main.json seed.json | sed -n "s/^< *\"\([a-z_]*\)\".*/\1/p" | sort)'
check "without resamples" dmstore eval run.dms main --json --bootstrap 0
check_printed "there is no interval" '"lds_low": null'
dmstore snapshot run.dms -o run.manifest >/dev/null
check_output "from a manifest" "" diff <(tail -n +3 main.json) <(dmstore eval run.manifest main --json | tail -n +3)

eval_json null.json null
check_python "a null fit has LDS 0 for every target, and in every resample" <<'PYTHON'
import json
fit = json.load(open("null.json"))["fits"][0]
assert [t["lds"] for t in fit["targets"]] == [0] * 3 + [None] + [0] * 8
assert [t["pearson"] for t in fit["targets"]] == [0] * 3 + [None] + [0] * 8
assert fit["mean"]["lds"] == fit["mean"]["lds_low"] == fit["mean"]["lds_high"] == 0 and fit["mean"]["auc"] == 0.5
assert abs(fit["mean"]["r2"]) < 0.1
PYTHON

# ---- what counts -----------------------------------------------------------------------------------------------------------

eval_json seen.json seen
eval_json own.json own --self own.npy
check_python "models that have seen the target itself do not count" <<'PYTHON'
from reference import *
masks = np.load("masks.npy")
for name, y, own in (("seen", np.load("seen.npy").astype(float), np.arange(60)),
                     ("own", np.load("y.npy").astype(float), np.load("own.npy"))):
    fit = json.load(open(name + ".json"))["fits"][0]
    check_fit(fit, Fit(name).scores(masks, y, slice(0, 700), slice(700, 900), own), range(y.shape[1]))
    excluded = [masks[700:, k].sum() if k >= 0 else 0 for k in own]
    assert [t["excluded"] for t in fit["targets"]] == excluded and max(excluded) > 50
PYTHON
eval_json margin.json margin --labels labels.npy
eval_json correct.json correct --labels labels.npy
check_python "outputs are transformed as for the fit" <<'PYTHON'
from reference import *
logits, labels, masks = np.load("logits.npy").astype(float), np.load("labels.npy"), np.load("masks.npy")
right = np.take_along_axis(logits, labels[None, :, None], axis=2)[:, :, 0]
np.put_along_axis(logits, np.broadcast_to(labels[None, :, None], (900, 5, 1)), -np.inf, axis=2)
margin = right - logits.max(axis=2)
for name, y in (("margin", margin), ("correct", (margin > 0).astype(float))):
    check_fit(json.load(open(name + ".json"))["fits"][0], Fit(name).scores(masks, y, slice(0, 700), slice(700, 900)), range(5))
PYTHON
check_error "a fit of logits needs labels" 1 "fit margin was made with labels: give the same (--labels)" \
    dmstore eval run.dms margin
check_error "other labels" 1 "fit margin was made with another file of labels" dmstore eval run.dms margin --labels wrong.npy
check_error "a fit with a map needs it" 1 "(--self)" dmstore eval run.dms own
check_error "another map" 1 "fit own was made with another file of self" dmstore eval run.dms own --self labels.npy

# ---- several fits ----------------------------------------------------------------------------------------------------------

eval_json pair.json main short
check_python "two fits are compared on common targets, and resamples are paired" <<'PYTHON'
from reference import *
report, masks, y = json.load(open("pair.json")), np.load("masks.npy"), np.load("y.npy").astype(float)
main, short = report["fits"]
assert report["target_count"] == 10 and report["targets_not_common"] == 2
check_fit(main, Fit("main").scores(masks, y, slice(0, 700), slice(700, 900))[2:], range(2, 12))
check_fit(short, Fit("short").scores(masks, y, np.r_[0:100, 600:700], slice(700, 900)), range(2, 12))
(difference,) = report["differences"]
assert difference["name"] == "short" and difference["minus"] == "main"
assert same(difference["lds"], short["mean"]["lds"] - main["mean"]["lds"], 2e-5) and difference["lds"] < 0
assert difference["lds_low"] <= difference["lds"] <= difference["lds_high"]
assert difference["lds_high"] - difference["lds_low"] < main["mean"]["lds_high"] - main["mean"]["lds_low"]
PYTHON
check_error "fits of different outputs" 1 "evaluate them one by one" dmstore eval run.dms main seen
dmstore fit run.dms --output y --name fewer --holdout 150 --validation 100 --targets 0:3 >/dev/null
# It has not held out 700 to 729, but 730 to 749, too, whose masks later models repeat.
check "held-out models that only one of them has" dmstore eval run.dms main fewer
check_printed "are not used" "30 models not used: only some of the fits held them out"
check_printed "and said to be so" "y: 3 targets on 170 held-out models"

# ---- reports ---------------------------------------------------------------------------------------------------------------

check "a table" dmstore eval run.dms main short -o scores.csv
check_printed "has a column a fit" "main               short"
check_printed "the interval" "95% interval"
check_printed "the quantiles" "LDS over targets"
check_printed "the difference" "LDS of short - main: -"
check_printed "and says what it left out" "1 target left out of all means: the output is constant"
check "a table of more fits than a terminal is wide" dmstore eval run.dms main short fewer main
cp "$stdout_file" wide.txt
check_output "goes on below" "2 80" bash -c \
    'echo $(grep -c "^mean over targets" wide.txt) $(grep -v "^LDS of\|^[0-9]" wide.txt | wc -L)'
check_python "the CSV file has the same scores" <<'PYTHON'
import csv
from reference import *
rows = list(csv.DictReader(open("scores.csv")))
fits = json.load(open("pair.json"))["fits"]
assert [(r["fit"], int(r["target"])) for r in rows] == [(f["name"], t["target"]) for f in fits for t in f["targets"]]
for row, target in zip(rows, [t for f in fits for t in f["targets"]]):
    assert int(row["rows"]) == target["rows"]
    for name in SCORES:
        assert same(float(row[name]) if row[name] else None, target[name], 1e-11), (row, name)
PYTHON
check_output "the CSV on standard output" "$(cat scores.csv)" dmstore eval run.dms main short -o -
check_output "some targets" "main,4 main,5" bash -c \
    'echo $("$0" eval run.dms main --targets 4:6 -o - | tail -n +2 | cut -d, -f1,2)' "$DMSTORE"

# ---- refusals --------------------------------------------------------------------------------------------------------------

dmstore fit run.dms --output y --name none --holdout 0 --targets 0:1 >/dev/null
check_error "a fit that has held out nothing" 1 "fit none has held out no models" dmstore eval run.dms none
check_error "a fit that is not there" 1 "main" dmstore eval run.dms nothing
check_error "targets that the fit does not have" 1 "fit short has none of the targets 0:2" \
    dmstore eval run.dms short --targets 0:2
dmstore fit run.dms --output y --name begun --holdout 100 --max-epochs 1 --tol 1e-12 >/dev/null 2>&1
check_error "a fit that was only begun" 1 "fit begun has no targets" dmstore eval run.dms begun
check_error "targets that the column does not have" 1 "5:99 are not a part of 0:12" \
    dmstore eval run.dms main --targets 5:99
for range in 5 6:6 : a:b; do
    check_error "--targets $range" 2 "is not a range FIRST:END" dmstore eval run.dms main --targets $range
done
check_error "no fit" 2 "an argument is missing" dmstore eval run.dms
check_error "JSON and CSV on one output" 2 "cannot both be printed" dmstore eval run.dms main --json -o -
cp -r run.dms gone.dms
dmstore rm gone.dms --ids 800 >/dev/null
check_error "a held-out model is gone" 1 "800" dmstore eval gone.dms main
cp -r run.dms lone.dms
dmstore rm lone.dms --ids 0-699 >/dev/null
check "training models that are gone do not matter" dmstore eval lone.dms main --json
check_same "the scores are the same" <(tail -n +3 main.json) <(tail -n +3 "$stdout_file")
check_output "and there is no warning" "" bash -c '"$0" eval lone.dms main 2>&1 >/dev/null' "$DMSTORE"
check_python "the model comes back with another mask" <<'PYTHON'
masks = np.load("masks.npy")[[801]]
np.save("one.npy", masks)
np.save("one_y.npy", np.load("y.npy")[[800]])
PYTHON
dmstore ingest gone.dms --masks one.npy --output y=one_y.npy --first-id 800 >/dev/null
check_error "that is refused" 1 "fit main" dmstore eval gone.dms main

# Held-out models of another subset size.
fit_two_sizes "masks of two sizes"
check "another subset size" dmstore eval sizes.dms main
check_error "is extrapolation" 0 "have 5 examples, those of training 10: these predictions extrapolate" \
    dmstore eval sizes.dms main
done_testing
