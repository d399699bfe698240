#!/usr/bin/env bash
# `dmstore influence`: its weights are the differences of means that NumPy finds, on margins and on correctness, with models left out
# target by target; the same for any threads and memory; Lemma 1; and on real models LASSO ranks them better (Table K.1).
. "$(dirname "$0")/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/digits_run.sh"
digits_run

cat >reference.py <<'PYTHON'
import numpy as np

def influences(masks, y, use=None):
    """Weights and bias of one target over the rows `use` with finite outputs (eq. 15)."""
    use = np.isfinite(y) if use is None else use & np.isfinite(y)
    masks, y = masks[use].astype(float), y[use]
    n, ones = len(y), masks.sum(axis=0)
    with np.errstate(all="ignore"):
        theta = masks.T @ y / ones - (1 - masks).T @ y / (n - ones)
    theta[(ones == 0) | (ones == n)] = 0
    return theta, (y.mean() - theta @ (ones / n) if n else 0.0)

class Fit:
    def __init__(self, directory, examples):
        indptr, indices, data, self.bias, self.targets = (
            np.load(f"{directory}/{name}.npy") for name in ("indptr", "indices", "data", "bias", "targets"))
        assert (data != 0).all()
        self.weight = np.zeros((examples, len(self.targets)))
        for place in range(len(self.targets)):
            own = slice(indptr[place], indptr[place + 1])
            self.weight[indices[own], place] = data[own]

    def check(self, masks, y, use=None):
        for place, target in enumerate(self.targets):
            theta, bias = influences(masks, y[:, target], None if use is None else use[:, target])
            assert np.allclose(self.weight[:, place], theta, rtol=1e-9, atol=1e-11), (target, abs(self.weight[:, place] - theta).max())
            assert (self.weight[theta == 0, place] == 0).all()
            assert abs(self.bias[place] - bias) < 1e-8 * (1 + abs(bias)), (target, self.bias[place], bias)
PYTHON

influence() { # NAME OPTION...: estimates and exports
    check "influence $1" dmstore influence run.dms --name "$1" "${@:2}"
    dmstore export-fit run.dms "$1" -o "$1" --sparse >/dev/null
}

# 2,300 models of 70 examples: 5 is in all of them, 6 in none, 7 in all but one. Targets of y: 2 is constant, 3 has values that are not
# finite, 4 has none that is. More than two batches of the reader, and no multiple of 64.
check_python "models" <<'PYTHON'
random = np.random.default_rng(3)
masks = random.random((2300, 70)) < 0.4
masks[:, 5], masks[:, 6], masks[:, 7] = True, False, np.arange(2300) != 100
y = masks @ random.normal(size=(70, 20)) / 4 + random.normal(size=(2300, 20)) + 3
y[:, 2], y[::7, 3], y[5::11, 3], y[:, 4] = 1.7, np.nan, np.inf, np.nan
seen = masks @ random.normal(size=(70, 70)) + 5 * masks
logits = random.normal(size=(2300, 5, 3)) + masks[:, :5, None]
np.save("masks.npy", masks)
np.save("y.npy", y.astype(np.float32))
np.save("seen.npy", seen.astype(np.float16))
np.save("logits.npy", logits.astype(np.float32))
np.save("labels.npy", np.array([0, 2, 1, 1, 0]))
own = np.arange(20) * 3
own[8] = -1
np.save("own.npy", own)
PYTHON
dmstore create run.dms --examples 70 --output y:20:f32 --output seen:70:f16 --output logits:5x3:f32 --chunk-rows 256 >/dev/null
check "are taken in" dmstore ingest run.dms --masks masks.npy --output y=y.npy --output seen=seen.npy --output logits=logits.npy

influence main --output y --holdout 200
check_printed "tells what was done" "fit main, 20 targets of y with"
influence some --output y --holdout 200 --targets 3:7 --rows-used 900
influence seen --output seen --holdout 200 --exclude-self
influence own --output y --self own.npy
influence above --output y --threshold 3.25 --holdout 200
influence margin --output logits --transform margin --labels labels.npy
influence correct --output logits --threshold 0 --labels labels.npy
check_python "weights and biases are those of NumPy" <<'PYTHON'
from reference import *
masks, y, seen = np.load("masks.npy"), np.load("y.npy").astype(float), np.load("seen.npy").astype(float)
main = Fit("main", 70)
main.check(masks[:2100], y[:2100])
assert not main.weight[:, [2, 4]].any() and not main.weight[[5, 6]].any() and main.weight[7, 0] != 0
assert main.bias[2] == np.float32(1.7) and main.bias[4] == 0
some = Fit("some", 70)
assert list(some.targets) == [3, 4, 5, 6]
some.check(masks[:900], y[:900])
Fit("seen", 70).check(masks[:2100], seen[:2100], ~masks[:2100])
own = np.load("own.npy")
Fit("own", 70).check(masks, y, np.where(own >= 0, ~masks[:, own], True))
finite = np.isfinite(y)
Fit("above", 70).check(masks[:2100], np.where(finite | np.isinf(y), y > 3.25, np.nan)[:2100])
PYTHON
check_python "of logits, too" <<'PYTHON'
from reference import *
masks, logits, labels = np.load("masks.npy"), np.load("logits.npy").astype(float), np.load("labels.npy")
right = np.take_along_axis(logits, labels[None, :, None], axis=2)[:, :, 0]
np.put_along_axis(logits, np.broadcast_to(labels[None, :, None], (2300, 5, 1)), -np.inf, axis=2)
margin = (right - logits.max(axis=2)).astype(np.float32).astype(float)
Fit("margin", 70).check(masks, margin)
Fit("correct", 70).check(masks, (margin > 0).astype(float))
PYTHON
dmstore fits run.dms main --targets 0:20 >main.txt
check_python "null deviances, rows and flags" <<'PYTHON'
y = np.load("y.npy").astype(float)[:2100]
for line in open("main.txt").read().splitlines()[-20:]:
    words = line.split()
    values = y[np.isfinite(y[:, int(words[0])]), int(words[0])]
    assert int(words[7]) == len(values), line
    assert abs(float(words[6]) - (values.var() / 2 if len(values) else 0)) < 1e-5, line
    assert words[8] == ("constant,estimated" if words[0] in ("2", "4") else "estimated"), line
PYTHON
check "in the memory of one block or many" dmstore influence run.dms --name small --output y --holdout 200 --memory 5M --threads 3
dmstore export-fit run.dms small -o small --sparse >/dev/null
for file in data indices indptr bias; do
    check_same "the same $file" main/$file.npy small/$file.npy
done
check "portable kernels" env DMSTORE="$DMSTORE" DMS_KERNELS=ref "$DMSTORE" influence run.dms --name ref --output y --holdout 200
dmstore export-fit run.dms ref -o ref --sparse >/dev/null
check_python "find the same up to rounding" <<'PYTHON'
for name in ("data", "bias"):
    a, b = np.load(f"main/{name}.npy"), np.load(f"ref/{name}.npy")
    assert a.shape == b.shape and np.allclose(a, b, rtol=1e-9, atol=1e-12)
PYTHON

# ---- jobs and refusals -----------------------------------------------------------------------------------------------------

check "a job" dmstore influence run.dms --name jobs --output y --holdout 200 --targets 0:8
check "another joins, with the models of the fit" dmstore influence run.dms --name jobs --output y --targets 8: --json
check_printed "12 targets" '"added": 12'
check_printed "of the same models" '"held_out": 200'
dmstore export-fit run.dms jobs -o jobs --sparse >/dev/null
check_same "and the fit is the same" main/data.npy jobs/data.npy
check_error "another problem is refused" 1 "was begun with" \
    dmstore influence run.dms --name jobs --output y --threshold 0 --holdout 200
check_error "a regression is not joined" 1 "was begun with method = lasso, this job has influence: take another --name" bash -c \
    '"$0" fit run.dms --name lasso --output y --targets 0:2 --holdout 200 --lambdas 5 >/dev/null
     "$0" influence run.dms --name lasso --output y --holdout 200' "$DMSTORE"
check_error "nor are influences by a regression" 1 "was begun with method = influence, this job has lasso" dmstore fit run.dms --name main --output y --holdout 200
check_output "a list of fits has no certificates of influences" "- -" bash -c \
    '"$0" fits run.dms | awk "\$1 == \"main\" { print \$8, \$9 }"' "$DMSTORE"
dmstore snapshot run.dms -o run.manifest >/dev/null
check_error "a manifest is refused" 1 "'run.manifest' is not a store" \
    dmstore influence run.manifest --name x --output y
check_error "all models held out" 1 "no models are left" dmstore influence run.dms --name x --output y --holdout 2300
check_error "no memory" 1 "too few" dmstore influence run.dms --name x --output y --memory 1K
check_error "logits without labels" 1 "labels of the targets" dmstore influence run.dms --name x --output logits --threshold 0
check_error "no such column" 1 "there is no output column" dmstore influence run.dms --name x --output z
check_error "no name" 2 "--name is missing" dmstore influence run.dms --output y
check_error "a threshold that is none" 2 "'x' is no number" dmstore influence run.dms --name x --output y --threshold x
check_error "a threshold of margins" 2 "is about correctness" \
    dmstore influence run.dms --name x --output y --threshold 1 --transform margin

# ---- Lemma 1 ---------------------------------------------------------------------------------------------------------------

check_python "all subsets of 3 of 7" <<'PYTHON'
import itertools
masks = np.array([[k in subset for k in range(7)] for subset in itertools.combinations(range(7), 3)])
np.save("masks.npy", masks)
np.save("y.npy", np.random.default_rng(1).normal(size=(len(masks), 2)).astype(np.float32))
PYTHON
dmstore create all.dms --examples 7 --output y:2:f32 >/dev/null
dmstore ingest all.dms --masks masks.npy --output y=y.npy >/dev/null
check "their influences" dmstore influence all.dms --name main --output y
dmstore export-fit all.dms main -o all --sparse >/dev/null
check_python "are d / (d - 1) times the least squares of minimum norm" <<'PYTHON'
from reference import *
masks, y = np.load("masks.npy").astype(float), np.load("y.npy").astype(float)
least = np.linalg.pinv(masks - masks.mean(axis=0)) @ (y - y.mean(axis=0))
fit = Fit("all", 7)
assert np.allclose(fit.weight, 7 / 6 * least, atol=1e-12) and np.allclose(fit.bias, y.mean(axis=0) - 3 / 7 * fit.weight.sum(axis=0))
PYTHON

# ---- real models -----------------------------------------------------------------------------------------------------------

check "margins of digits" dmstore influence digits.dms --name infl --output test_margins --targets 0:60 --holdout 400
check "what there is of them" dmstore fits digits.dms infl --json
check_printed "all examples have a weight" '"mean_nnz": 1400,'
check "their correctness" dmstore influence digits.dms --name infl01 --output test_margins --targets 0:60 --holdout 400 --threshold 0
check "beside LASSO" dmstore eval digits.dms knn infl infl01 --json --bootstrap 200
cp "$stdout_file" three.json
check_python "LASSO has the higher LDS and AUC and the lower MSE (Table K.1)" <<'PYTHON'
import json
report = json.load(open("three.json"))
knn, infl, infl01 = report["fits"]
assert [f["method"] for f in report["fits"]] == ["lasso", "influence", "influence"]
assert [f["of_another_number"] for f in report["fits"]] == [False, False, True] and report["transform"] == "none"
assert knn["mean"]["lds"] > infl["mean"]["lds"] + 0.05 > 0.1 and knn["mean"]["auc"] > infl["mean"]["auc"] > 0.5
assert knn["mean"]["mse"] < infl["mean"]["mse"]
assert infl01["mean"]["mse"] is None is infl01["mean"]["r2"] and infl["mean"]["lds"] > infl01["mean"]["lds"] > 0.05
assert infl01["mean"]["auc"] > 0.5 and infl01["mean"]["pearson"] > 0
assert report["differences"][0]["lds_high"] < 0 and report["rows"] == 400
PYTHON
check "the other way round" dmstore eval digits.dms infl01 knn --bootstrap 0
check_printed "correctness is scored" "correctness of test_margins: 60 targets"
check_printed "and it says so" "knn predicts another number of test_margins than infl01, on which it is scored: no MSE and R^2"
check_line "MSE is that of one fit" "MSE $(dmstore eval digits.dms infl01 --bootstrap 0 | awk '$1 == "MSE" { print $2 }') -"
dmstore export-fit digits.dms infl -o infl --sparse >/dev/null
dmstore export-fit digits.dms infl01 -o infl01 --sparse >/dev/null
dmstore export digits.dms --masks digits_masks.npy --output test_margins=margins.npy >/dev/null
check_python "the influences of digits are those of NumPy" <<'PYTHON'
from reference import *
masks, margins = np.load("digits_masks.npy")[:3600], np.load("margins.npy")[:3600].astype(float)
Fit("infl", 1400).check(masks, margins)
Fit("infl01", 1400).check(masks, (margins > 0).astype(float))
PYTHON
done_testing
