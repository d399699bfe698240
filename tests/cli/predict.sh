#!/usr/bin/env bash
# `dmstore predict`: predictions are those that NumPy computes from exported weights, on a real fit and on a made-up one; what
# leaves the sizes of training is said to; what has no level tells changes only.
. "$(dirname "$0")/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/digits_run.sh"

digits_run
dmstore export-fit digits.dms knn -o knn >/dev/null

# ---- one subset ------------------------------------------------------------------------------------------------------------

cat >reference.py <<'PYTHON'
import csv, json
import numpy as np
weights = np.load("knn/weight.npy").astype(np.float64)  # examples x targets
bias = np.load("knn/bias.npy")
full = bias + weights.sum(0)
def near(found, expected):
    # Weights are exported as float32.
    scale = 1 + np.abs(weights).sum(0)
    return (np.abs(np.asarray(found) - expected) < 1e-6 * scale).all()
def column(report, name):
    return [t[name] for t in report["targets"]]
PYTHON
printf '0 5\n7, 1399 # some\n' >some.txt
dmstore predict digits.dms knn --subset some.txt --json >subset.json 2>/dev/null
dmstore predict digits.dms knn --remove some.txt --json >remove.json 2>/dev/null
dmstore predict digits.dms knn --keep-all --json >all.json 2>/dev/null
: >none.txt
dmstore predict digits.dms knn --subset none.txt --json >none.json 2>/dev/null
check_python "a subset, what is left of a removal, all and nothing" <<'PYTHON'
from reference import *
some = [0, 5, 7, 1399]
for name, expected, size in [("subset", bias + weights[some].sum(0), 4), ("remove", full - weights[some].sum(0), 1396),
                             ("all", full, 1400), ("none", bias, 0)]:
    report = json.load(open(name + ".json"))
    assert (report["fit"], report["output"], report["examples"]) == ("knn", "test_margins", size)
    assert column(report, "target") == list(range(60))
    assert near(column(report, "prediction"), expected), name
    assert near(column(report, "change"), expected - full), name
    assert report["extrapolates"] is True
assert set(column(json.load(open("all.json")), "change")) == {0}
assert max(np.abs(column(json.load(open("remove.json")), "change"))) > 0
PYTHON
check_python "lists as .npy, of numbers and of flags" <<'PYTHON'
np.save("numbers.npy", np.array([7, 0, 1399, 5]))
flags = np.zeros(1400, bool)
flags[[0, 5, 7, 1399]] = True
np.save("flags.npy", flags)
PYTHON
for list in numbers flags; do
    check "$list" dmstore predict digits.dms knn --remove $list.npy --json
    check_same "give the same" remove.json "$stdout_file"
done
check "a table" dmstore predict digits.dms knn --remove some.txt --target 3:5 --target-labels files/labels.npy
check_printed "says what for" "test_margins: fit knn, 2 targets, 1,396 of 1,400 examples"
check_printed "has changes" "change"
check_printed "says what targets are" "  class "
check_output "no line ends in a blank" "0" bash -c '"$0" predict digits.dms knn --keep-all 2>/dev/null | grep -c " $" || true' "$DMSTORE"
check_error "another size is an extrapolation" 0 "the subset has 1,396 examples, those of training " \
    dmstore predict digits.dms knn --remove some.txt
check "CSV of some targets" dmstore predict digits.dms knn --remove some.txt --target 58: -o - --target-labels files/labels.npy
cp "$stdout_file" remove.csv
check_python "has the same numbers, and labels" <<'PYTHON'
from reference import *
rows = list(csv.DictReader(open("remove.csv")))
expected = json.load(open("remove.json"))["targets"][58:]
labels = np.load("files/labels.npy")
assert len(rows) == 2
for row, target in zip(rows, expected):
    assert int(row["target"]) == target["target"] and int(row["target_label"]) == labels[target["target"]]
    assert float(row["prediction"]) == target["prediction"] and float(row["change"]) == target["change"]
PYTHON

# ---- masks -----------------------------------------------------------------------------------------------------------------

check_python "masks of the size of training, unpacked and packed" <<'PYTHON'
random = np.random.default_rng(3)
masks = np.argsort(random.random((700, 1400)), axis=1) < 700
np.save("masks.npy", masks)
np.save("packed.npy", np.packbits(masks, axis=1, bitorder="little"))
np.save("few.npy", masks[:3].astype(np.uint8))
PYTHON
check "many masks" dmstore predict digits.dms knn --masks masks.npy -o masks.out.npy
check_printed "are summed up" "test_margins: fit knn, 60 targets, 700 subsets of 700 examples"
check "packed" dmstore predict digits.dms knn --masks packed.npy -o packed.out.npy --threads 3
check_same "the same bytes" masks.out.npy packed.out.npy
check_python "predictions are those of NumPy" <<'PYTHON'
from reference import *
found = np.load("masks.out.npy")
assert found.dtype == np.float64 and found.shape == (700, 60)
assert near(found, np.load("masks.npy") @ weights + bias)
PYTHON
check "a few as JSON" dmstore predict digits.dms knn --masks few.npy --json
cp "$stdout_file" few.json
check "and as CSV" dmstore predict digits.dms knn --masks few.npy -o few.csv
check_python "have the very same numbers" <<'PYTHON'
from reference import *
found = np.load("masks.out.npy")
report = json.load(open("few.json"))
assert report["targets"] == list(range(60)) and [m["mask"] for m in report["masks"]] == [0, 1, 2]
assert (np.array([m["predictions"] for m in report["masks"]]) == found[:3]).all()
rows = list(csv.DictReader(open("few.csv")))
assert list(rows[0]) == ["mask", "target", "prediction"]
assert [(int(r["mask"]), int(r["target"])) for r in rows] == [(m, t) for m in range(3) for t in range(60)]
assert [float(r["prediction"]) for r in rows] == list(found[:3].ravel())
PYTHON
check_python "one target, one mask as a subset" <<'PYTHON'
np.savetxt("first.txt", np.flatnonzero(np.load("few.npy")[0]), fmt="%d")
PYTHON
check "predicts" dmstore predict digits.dms knn --subset first.txt --target 7 -o first.npy
check_python "the same bits" <<'PYTHON'
assert np.load("first.npy").shape == (1, 1) and np.load("first.npy")[0, 0] == np.load("masks.out.npy")[0, 7]
PYTHON

# ---- made-up fits ----------------------------------------------------------------------------------------------------------

make_fit() { # NAME [ARGUMENT...]
    "$DMSTORE_BUILD_DIR/tests/cli/make_part" small.dms "$1" y 1 4 "$1.dmfit" "${@:2}" &&
        dmstore merge-fits small.dms "$1.dmfit" >/dev/null
}
check_python "weights of three of five targets: none, one, all" <<'PYTHON'
weights = np.zeros((3, 12))
weights[1, 4] = 0.25
weights[2] = np.arange(12) / 4 - 1.125
np.save("w.npy", weights)
np.save("b.npy", np.array([5.0, 1.0, -0.5]))
masks = np.zeros((6, 12), bool)
masks[:, :6] = True
np.save("train.npy", masks)
np.save("y.npy", np.zeros((6, 5), np.float32))
np.save("subsets.npy", np.array([[1] * 6 + [0] * 6, [0] * 12], np.uint8))
PYTHON
dmstore create small.dms --examples 12 --output y:5:f32 >/dev/null
dmstore ingest small.dms --masks train.npy --output y=y.npy >/dev/null
make_fit level --weights w.npy --bias b.npy
make_fit changes --weights w.npy --no-bias
dmstore predict small.dms level --masks subsets.npy -o level.npy >/dev/null 2>stderr
dmstore predict small.dms changes --masks subsets.npy -o changes.npy >stdout 2>/dev/null
check_python "predictions, and changes where there is no bias" <<'PYTHON'
weights, masks = np.load("w.npy"), np.load("subsets.npy")
assert (np.load("level.npy") == masks @ weights.T + np.load("b.npy")).all()
assert (np.load("changes.npy") == masks @ weights.T - weights.sum(1)).all()
assert "predicts changes only" in open("stdout").read()
assert "the subsets have 0 to 6 examples, those of training 6: these predictions extrapolate" in open("stderr").read()
PYTHON
printf '0 1 2 3 4 5' >six.txt
check "the size of training" dmstore predict small.dms level --subset six.txt --json
check_printed "is no extrapolation" '"extrapolates": false'
check_output "and not warned of" "" cat "$stderr_file"
check "one subset of a fit without biases" dmstore predict small.dms changes --subset six.txt --json
cp "$stdout_file" changes.json
check_python "has changes, and no predictions" <<'PYTHON'
import json
targets = json.load(open("changes.json"))["targets"]
assert [sorted(t) for t in targets] == [["change", "target"]] * 3
assert [t["change"] for t in targets] == list(-np.load("w.npy")[:, 6:].sum(1))
PYTHON
check_output "an example of no weight changes nothing" "1 0 2 0 3 -1.625" bash -c \
    'echo 11 >last.txt; echo $("$0" predict small.dms changes --remove last.txt -o - | tail -n +2 | tr , " ")' "$DMSTORE"
dmstore rm small.dms --ids 0-3 >/dev/null
check "training models that are gone" dmstore predict small.dms level --masks subsets.npy
check_output "tell no sizes" "" cat "$stderr_file"
check_python "no masks at all" <<'PYTHON'
np.save("no.npy", np.zeros((0, 12), bool))
PYTHON
check "are none" dmstore predict small.dms level --masks no.npy -o no.out.npy
check_python "and have no predictions" <<'PYTHON'
assert np.load("no.out.npy").shape == (0, 3)
PYTHON

# ---- refusals --------------------------------------------------------------------------------------------------------------

check_error "no subset" 2 "give one of --masks, --subset, --remove and --keep-all" dmstore predict small.dms level
check_error "two of them" 2 "give one of" dmstore predict small.dms level --keep-all --subset six.txt
check_error "no such fit" 1 "small.dms' has changes, level" \
    dmstore predict small.dms other --keep-all
check_error "a target that is not fitted" 1 "fit 'level' has no target 4: it has 3 targets of 1 to 3" \
    dmstore predict small.dms level --keep-all --target 4
echo 12 >twelve.txt
check_error "an example that is not there" 1 "'twelve.txt' names example 12, but there are 12 only" \
    dmstore predict small.dms level --remove twelve.txt
check_error "masks of another training set" 1 "bool (700, 1400); wanted bool or uint8 of shape (rows, 12)" \
    dmstore predict small.dms level --masks masks.npy -o never.npy
check_python "what is no mask" <<'PYTHON'
np.save("two.npy", np.full((2, 12), 2, np.uint8))
PYTHON
check_error "a two in a mask" 1 "'two.npy', row 0, column 0: 2 is not a mask value" \
    dmstore predict small.dms level --masks two.npy -o never.npy
check_output "leaves no file" "" find . -name "never*"
check_error "JSON and CSV at once" 2 "cannot both be printed" dmstore predict small.dms level --keep-all --json -o -
done_testing
