#!/usr/bin/env bash
# `dmstore compare`: correlations and common top examples of weights are those of NumPy and SciPy, ties, zeros and null models
# included; LDS of one fit's weights on the models of another, of the same store or of one of its own; what cannot be compared.
. "$(dirname "$0")/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"

correlations
cat >reference.py <<'PYTHON'
import json
import numpy as np
from correlations import ranks

def correlation(x, y):
    return None if (x == x[0]).all() or (y == y[0]).all() else np.corrcoef(x, y)[0, 1]

def cosine(x, y):
    return x @ y / np.sqrt((x @ x) * (y @ y)) if x.any() and y.any() else None

def top(x, k):
    return set(np.argsort(-x, kind="stable")[:k])

def same(got, wanted):
    assert (got is None) == (wanted is None) and (got is None or abs(got - wanted) < 1e-9), (got, wanted)

def mean(values):
    values = [v for v in values if v is not None]
    return np.mean(values) if values else None

def check_weights(report, a, b, tops):
    """a, b: a column a target of the report."""
    found = report["targets"]
    for place, target in enumerate(found):
        x, y = a[:, place], b[:, place]
        same(target["spearman"], correlation(ranks(x), ranks(y)))
        same(target["pearson"], correlation(x, y))
        same(target["cosine"], cosine(x, y))
        assert (target["a_weights"], target["b_weights"]) == ((x != 0).sum(), (y != 0).sum())
        assert target["common"] == [len(top(x, k) & top(y, k)) for k in tops], (place, target["common"])
    for name in ("spearman", "pearson", "cosine", "a_lds", "b_lds"):
        same(report["mean"][name], mean([t[name] for t in found]))
        assert report["defined"][name] == sum(t[name] is not None for t in found)
    for place, k in enumerate(tops):
        common = np.array([t["common"][place] for t in found])
        assert report["top"][place]["k"] == k
        same(report["top"][place]["overlap"], (common / k).mean())
        same(report["top"][place]["jaccard"], (common / (2 * k - common)).mean())

def lds(masks, weight, y):
    return correlation(ranks(np.float32(masks @ weight)), ranks(y))
PYTHON

# Weights of 40 examples for 9 targets: sparse with many ties; target 1 is null in a, 2 in both, 3 is one weight for all examples, 4
# has no zeros, 5 is negative, 6 is the same in both, 7 the opposite; b does not have 8. Runs of two stores, the second with larger masks.
check_python "weights and models" <<'PYTHON'
random = np.random.default_rng(11)
def sparse():
    return np.round(random.normal(size=(40, 9)) * 2) / 8 * (random.random((40, 9)) < 0.4)
a, b = sparse(), sparse() / 2
b += a / 2
a[:, 1], a[:, 2], b[:, 2], a[:, 3] = 0, 0, 0, 0.1
a[:, 4], b[:, 4] = random.normal(size=(2, 40))
a[:, 5], b[:, 5], b[:, 6], b[:, 7] = -abs(a[:, 5]), -abs(b[:, 5]), a[:, 6], -a[:, 7]
np.save("a.npy", a)
np.save("b.npy", np.ascontiguousarray(b[:, :8]))
np.save("b_targets.npy", np.arange(8))
for name, size in (("first", 20), ("second", 28)):
    masks = np.argsort(random.random((400, 40)), axis=1) < size
    np.save(f"{name}_masks.npy", masks)
    np.save(f"{name}_y.npy", (masks @ b + random.normal(size=(400, 9)) / 4).astype(np.float32))
    np.save(f"{name}_z.npy", (masks @ a + random.normal(size=(400, 9)) / 4).astype(np.float32))
PYTHON
create() { # STORE OPTION...
    dmstore create "$1.dms" --examples 40 --output y:9:f32 --output z:9:f32 "${@:2}" >/dev/null
    dmstore ingest "$1.dms" --masks "$1_masks.npy" --output y="$1_y.npy" --output z="$1_z.npy" >/dev/null
}
create first
create second
check "a" dmstore import-fit first.dms --name a --output z --weight a.npy --holdout 100
check "b" dmstore import-fit first.dms --name b --output y --weight b.npy --targets-file b_targets.npy --holdout 150
check "b of the other store" dmstore import-fit second.dms --name b --output y --weight b.npy --targets-file b_targets.npy \
    --holdout 150
check "all held out" dmstore import-fit second.dms --name none --output y --weight a.npy

compare() { # FILE ARGUMENT...
    check "compare ${*:2}" dmstore compare "${@:2}" --json
    cp "$stdout_file" "$1"
}

compare same.json first.dms a b -k 1,3,20,40
check_python "one store: weights, and LDS on models that both have held out" <<'PYTHON'
from reference import *
report, a, b = json.load(open("same.json")), np.load("a.npy")[:, :8], np.load("b.npy")
check_weights(report, a, b, [1, 3, 20, 40])
assert report["target_count"] == 8 and report["targets_a_only"] == 1 and report["targets_b_only"] == 0
assert report["rows"] == 100 and report["unscored"] is None and not report["extrapolates"]
assert report["defined"]["spearman"] == 5 and report["defined"]["a_lds"] == 8
masks, y = np.load("first_masks.npy")[300:], np.load("first_y.npy")[300:].astype(float)
for target in report["targets"]:
    j = target["target"]
    for name, weight in (("a_lds", a[:, j]), ("b_lds", b[:, j])):
        if weight.any() and (j, name) != (3, "a_lds"):  # equal weights predict what rounding makes of one number
            assert abs(target[name] - lds(masks, weight, y[:, j])) < 1e-3, (j, name, target[name])
        elif not weight.any():
            assert target[name] == 0
same(report["targets"][6]["spearman"], 1)
same(report["targets"][7]["cosine"], -1)
PYTHON
check_output "other threads: the same" "" diff same.json <(dmstore compare first.dms a b -k 1,3,20,40 --json --threads 3)
check_error "another store: a warning that it extrapolates" 0 \
    "28 to 28 examples, those that a was trained on 20 to 20: its predictions extrapolate" \
    dmstore compare first.dms a b --store-b second.dms
compare other.json first.dms a b --store-b second.dms --target 0:5
check_python "LDS on all models that b has held out" <<'PYTHON'
from reference import *
report, a, b = json.load(open("other.json")), np.load("a.npy")[:, :5], np.load("b.npy")[:, :5]
check_weights(report, a, b, [10])
assert report["rows"] == 150 and report["extrapolates"] and report["b"]["store"] == "second.dms" and report["targets_b_only"] == 0
masks, y = np.load("second_masks.npy")[250:], np.load("second_y.npy")[250:].astype(float)
for j in (0, 4):
    assert abs(report["targets"][j]["a_lds"] - lds(masks, a[:, j], y[:, j])) < 1e-3
    assert abs(report["targets"][j]["b_lds"] - lds(masks, b[:, j], y[:, j])) < 1e-3
assert report["targets"][4]["b_lds"] > 0.9
PYTHON
check "the other way round" dmstore compare first.dms b a
check_printed "says what it did not compare" "1 target not compared: not in b"
check_printed "and what has no correlation" "3 targets without correlations: all weights of a fit are equal"
check_line "LDS has two lines" "LDS on 100 held-out models of a"
check "weights only" dmstore compare first.dms a b --no-lds --json
check_printed "no LDS" '"a_lds": null'
check "a fit that has held out nothing" dmstore compare first.dms a none --store-b second.dms
check_printed "is said to" "no LDS: the second fit has held out no models"
dmstore compare first.dms a b -k 1,3,20,40 -o table.csv >/dev/null
check_python "CSV has the same numbers" <<'PYTHON'
import csv
from reference import *
report = json.load(open("same.json"))
rows = list(csv.DictReader(open("table.csv")))
assert len(rows) == 8
for row, target in zip(rows, report["targets"]):
    assert [int(row[f"common_{k}"]) for k in (1, 3, 20, 40)] == target["common"] and int(row["target"]) == target["target"]
    for name in ("spearman", "pearson", "cosine", "a_lds", "b_lds"):
        same(float(row[name]) if row[name] else None, None if target[name] is None else float(f"{target[name]:.12g}"))
PYTHON
check_output "the CSV on standard output" "$(cat table.csv)" dmstore compare first.dms a b -k 1,3,20,40 -o -

check_error "targets that only one has" 1 "have no target in common" dmstore compare first.dms a b --target 8
check_error "more than there are" 1 "largest 41 weights cannot be compared: there are 40 examples" \
    dmstore compare first.dms a b -k 5,41
check_error "k that is none" 2 "'5,0' is no list of numbers" dmstore compare first.dms a b -k 5,0
check_error "an empty k" 2 "is no list" dmstore compare first.dms a b -k ''
check_error "a fit that is not there" 1 "there is no fit 'c'" dmstore compare first.dms a c
check_error "two outputs of one stream" 2 "cannot both be printed" dmstore compare first.dms a b --json -o -
check "components of datamodels" dmstore embed first.dms a --pca 2 --name parts
check_error "are no targets" 1 "fit parts has principal components of datamodels (method pca), and fit a targets" \
    dmstore compare first.dms a parts
check "two fits of components" dmstore compare first.dms parts parts
check_printed "have no LDS" "no LDS: principal components predict no output"
check_error "a fit too few" 2 "" dmstore compare first.dms a
python <<'PYTHON'
np.save("few.npy", np.ones((40, 3)))
np.save("few_y.npy", np.load("first_y.npy")[:, :3].copy())
PYTHON
dmstore create few.dms --examples 40 --output y:3:f32 >/dev/null
dmstore ingest few.dms --masks first_masks.npy --output y=few_y.npy >/dev/null
dmstore import-fit few.dms --name few --output y --weight few.npy >/dev/null
check_error "other targets" 1 "of 40 examples and 9 targets, fit few of 40 and 3" \
    dmstore compare first.dms a few --store-b few.dms
create_about() { # STORE DIGEST
    cp first_masks.npy "$1_masks.npy"
    cp first_y.npy "$1_y.npy"
    cp first_z.npy "$1_z.npy"
    create "$1" --dataset-digest "$2"
    dmstore import-fit "$1.dms" --name a --output z --weight a.npy --holdout 100 >/dev/null
}
create_about this 0123456789abcdef
create_about that 0123456789abcdee
check_error "other data" 1 "about different data sets" dmstore compare this.dms a a --store-b that.dms
check "one digest alone is no reason" dmstore compare this.dms a a --store-b first.dms
check_line "a fit agrees with itself" "cosine of weights 1.0000"

# Weights with a large number in common, and some whose squares are no doubles.
check_python "hard weights" <<'PYTHON'
random = np.random.default_rng(5)
common = 1e8 + random.normal(size=(40, 9))
np.save("common.npy", common)
np.save("common_too.npy", common + random.normal(size=(40, 9)))
large = random.normal(size=(40, 9))
large[:, 1:3] *= 1e300, 1e-300
np.save("large.npy", large)
PYTHON
for name in common common_too large; do
    check "import $name" dmstore import-fit first.dms --name $name --output y --weight $name.npy
done
compare common.json first.dms common common_too --no-lds
compare large.json first.dms large a --no-lds
check_python "are correlated as NumPy does" <<'PYTHON'
from reference import *
common, common_too, large, a = (np.load(f"{name}.npy") for name in ("common", "common_too", "large", "a"))
for target in json.load(open("common.json"))["targets"]:
    j = target["target"]
    assert abs(target["pearson"] - np.corrcoef(common[:, j], common_too[:, j])[0, 1]) < 1e-6, target
large[:, 1:3] /= 1e300, 1e-300
for target in json.load(open("large.json"))["targets"]:
    j = target["target"]
    if np.ptp(a[:, j]) > 0:
        same(target["pearson"], np.corrcoef(large[:, j], a[:, j])[0, 1])
        same(target["cosine"], large[:, j] @ a[:, j] / np.linalg.norm(large[:, j]) / np.linalg.norm(a[:, j]))
PYTHON

# Models that come later, of which another fit holds out some.
dmstore ingest this.dms --masks second_masks.npy --output y=second_y.npy --output z=second_z.npy --first-id 400 >/dev/null
dmstore import-fit this.dms --name later --output z --weight a.npy --holdout 50 >/dev/null
check "no model that both have held out" dmstore compare this.dms a later
check_printed "is said to" "no LDS: there is no model that both fits have held out"
done_testing
