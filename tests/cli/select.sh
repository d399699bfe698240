#!/usr/bin/env bash
# `dmstore select`: the subset that it chooses is the one that NumPy finds by trying all subsets, ties, zeros, exclusions and
# classes go as the manual says, and its predictions are those of the datamodels.
. "$(dirname "$0")/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/digits_run.sh"

make_part() {
    "$DMSTORE_BUILD_DIR/tests/cli/make_part" "$@"
}

# ---- a store whose weights are chosen here ---------------------------------------------------------------------------------

# Weights are multiples of 1/16, so that sums are exact and ties are ties. Target 3 has no weights at all (the null model);
# example 9 is in no datamodel; 4 and 5 always weigh the same.
check_python "weights" <<'PYTHON'
random = np.random.default_rng(3)
weights = np.round(random.normal(size=(6, 10)) * (random.random((6, 10)) < 0.6) * 16) / 16
weights[3], weights[:, 9], weights[:, 5] = 0, 0, weights[:, 4]
np.save("weights.npy", weights)
np.save("bias.npy", np.round(random.normal(size=6) * 4) / 4)
np.save("masks.npy", random.random((6, 10)) < 0.5)
np.save("y.npy", np.zeros((6, 8), np.float32))
np.save("u.npy", np.array([1, 0, 2.5, 4]))
np.save("classes.npy", np.array([7, -1, 7, 7, -1, 7, -1, 3, 3, 3]))
PYTHON
dmstore create small.dms --examples 10 --output y:8:f32 >/dev/null
dmstore ingest small.dms --masks masks.npy --output y=y.npy >/dev/null
for fit in main nobias; do
    make_part small.dms $fit y 0 6 $fit.dmfit --weights weights.npy --bias bias.npy $([ $fit = main ] || echo --no-bias)
    dmstore merge-fits small.dms $fit.dmfit >/dev/null
done

cat >reference.py <<'PYTHON'
import itertools
import json
import os
import subprocess
import numpy as np

weights, bias = np.load("weights.npy"), np.load("bias.npy")

def selected(*arguments, fit="main"):
    run = subprocess.run([os.environ["DMSTORE"], "select", "small.dms", fit, *map(str, arguments), "--json"], check=True,
                         capture_output=True)
    return json.loads(run.stdout)

def chosen(report):
    return [e["example"] for e in report["examples"]]

def brute(w, k, sign, allowed):
    """The smallest sign * sum over all subsets that are allowed."""
    return min(sign * w[list(s)].sum() for s in itertools.combinations(range(len(w)), k) if allowed(s))
PYTHON
export DMSTORE

check_python "no subset is better, of any size, whatever the targets and their weights" <<'PYTHON'
from reference import *
for targets, text in ((range(6), "all"), (range(2, 6), "2:6"), ([3], "3"), ([1], "1")):
    u = np.load("u.npy") if text == "2:6" else np.ones(len(targets))
    extra = ["--weights", "u.npy"] if text == "2:6" else []
    w, b = u @ weights[list(targets)] / u.sum(), u @ bias[list(targets)] / u.sum()
    for k in range(1, 11):
        for direction, sign in (("minimize", 1), ("maximize", -1)):
            report = selected("-k", k, "--" + direction, "--targets", text, *extra)
            got = chosen(report)
            assert report["k"] == k == len(got) == len(set(got)) and report["direction"] == direction
            assert np.isclose(sign * w[got].sum(), brute(w, k, sign, lambda s: True)), (text, k)
            assert np.allclose([e["weight"] for e in report["examples"]], w[got])
            assert got == sorted(range(10), key=lambda i: (sign * w[i], i))[:k], (text, k)
            assert np.isclose(report["mean_output"], b + w[got].sum())
            assert np.isclose(report["mean_output_all"], b + w.sum())
            assert np.isclose(report["mean_output_random"], b + w.mean() * k)
            assert np.isclose(report["difference_to_random"], w[got].sum() - w.mean() * k)
PYTHON
check_python "examples that are excluded are not chosen, nor counted among the random ones" <<'PYTHON'
from reference import *
w, out = weights.mean(axis=0), [0, 7, 9]
open("out.txt", "w").write("7 0\n9 # and no more\n")
np.save("out.npy", np.isin(np.arange(10), out))
for name in ("out.txt", "out.npy"):
    for k in range(1, 8):
        report = selected("-k", k, "--maximize", "--exclude", "@" + name)
        got = chosen(report)
        assert report["available"] == 7 and not set(got) & set(out)
        assert np.isclose(-w[got].sum(), brute(w, k, -1, lambda s: not set(s) & set(out)))
        rest = np.delete(w, out)
        assert np.isclose(report["mean_output_random"], bias.mean() + rest.mean() * k)
PYTHON
check_python "classes share alike, and what is left over goes where it does best" <<'PYTHON'
from reference import *
classes = np.load("classes.npy")
for exclude in ([], [1]):
    text = ["--exclude", "1"] if exclude else []
    w = weights.mean(axis=0)
    for k in range(1, 9 if exclude else 11):
        for direction, sign in (("minimize", 1), ("maximize", -1)):
            sizes = [k // 3, k // 3 + (k % 3 > 0)]
            def even(s):
                return not set(s) & set(exclude) and all((classes[list(s)] == c).sum() in sizes for c in (-1, 3, 7))
            report = selected("-k", k, "--" + direction, "--per-class", "classes.npy", *text)
            got = chosen(report)
            assert even(got) and np.isclose(sign * w[got].sum(), brute(w, k, sign, even)), (k, got)
            assert [sign * w[i] for i in got] == sorted(sign * w[got])
            free = np.delete(np.arange(10), exclude)
            random = sum((classes[got] == c).sum() * w[free][classes[free] == c].mean() for c in (-1, 3, 7))
            assert np.isclose(report["mean_output_random"], bias.mean() + random)
PYTHON
check_python "of equal weights the lower index is first; zeros stand between the signs" <<'PYTHON'
from reference import *
for target in range(6):
    got = chosen(selected("-k", 10, "--maximize", "--targets", target))
    w = weights[target]
    assert got == [i for _, i in sorted((-w[i], i) for i in range(10))], got
    assert abs(got.index(4) - got.index(5)) == 1 and got.index(4) < got.index(5)
assert chosen(selected("-k", 4, "--minimize", "--targets", 3)) == [0, 1, 2, 3]
PYTHON
check_python "without a bias the level is not known, the difference is" <<'PYTHON'
from reference import *
report, other = (selected("-k", 3, "--minimize", fit=fit) for fit in ("nobias", "main"))
assert report["mean_output"] is None and report["mean_output_all"] is None and report["mean_output_random"] is None
assert report["examples"] == other["examples"] and report["difference_to_random"] == other["difference_to_random"] < 0
PYTHON
check "and the report says so" dmstore select small.dms nobias -k 3 --minimize
check_line "of the level" "of these examples not known"

# ---- files -----------------------------------------------------------------------------------------------------------------

digits_run
names=files/train_names.txt labels=files/train_labels.npy
dmstore export-fit digits.dms knn -o knn >/dev/null
check "a selection of the digits" dmstore select digits.dms knn -k 200 --maximize --targets 10:60 --per-class $labels \
    --names $names --labels $labels -o chosen.csv --mask mask.npy
check_printed "tells what it did" "knn: 200 of 1,400 examples that maximize the mean output of 50 targets"
check_printed "and names examples" "(line "
dmstore select digits.dms knn -k 200 --maximize --targets 10:60 --per-class $labels -o chosen.npy >/dev/null 2>&1
check_error "another subset size is extrapolation" 0 "the selection has 200 examples, those of training 700: these predictions extrapolate" \
    dmstore select digits.dms knn -k 200 --maximize --json
check_printed "in JSON, too" '"extrapolates": true'
check "the size of training" dmstore select digits.dms knn -k 700 --maximize --json
check_printed "is none" '"extrapolates": false'
check_output "and there is no warning" "" bash -c \
    '"$DMSTORE" select digits.dms knn -k 700 --maximize 2>&1 >/dev/null'
check_python "the files agree with each other and with NumPy" <<'PYTHON'
import csv
w, labels = np.load("knn/weight.npy").astype(float)[:, 10:60].mean(axis=1), np.load("files/train_labels.npy")
names = open("files/train_names.txt").read().split("\n")
got, mask, rows = np.load("chosen.npy"), np.load("mask.npy"), list(csv.DictReader(open("chosen.csv")))
assert got.dtype == np.int64 and mask.dtype == bool and mask.shape == (1400,)
assert sorted(got) == list(np.flatnonzero(mask)) and [int(r["example"]) for r in rows] == list(got)
assert (np.bincount(labels[got]) == 20).all()
for c in range(10):
    assert w[got[labels[got] == c]].min() >= w[(labels == c) & ~mask].max() - 1e-9
assert np.allclose([float(r["weight"]) for r in rows], w[got], atol=1e-8)
assert all(r["name"] == names[int(r["example"])] and int(r["label"]) == labels[int(r["example"])] for r in rows)
PYTHON
check_output "the CSV may be printed" "$(cut -d, -f1,2 chosen.csv)" dmstore select digits.dms knn -k 200 --maximize \
    --targets 10:60 --per-class $labels -o -
check "a mask can be excluded" dmstore select digits.dms knn -k 1200 --minimize --exclude @mask.npy -o rest.npy
check_python "and the rest is chosen" <<'PYTHON'
assert sorted([*np.load("rest.npy"), *np.load("chosen.npy")]) == list(range(1400))
PYTHON
dmstore snapshot digits.dms -o digits.manifest >/dev/null
check_output "from a manifest" "$(dmstore select digits.dms knn -k 5 --minimize -o - 2>/dev/null)" \
    dmstore select digits.manifest knn -k 5 --minimize -o -

# ---- refusals --------------------------------------------------------------------------------------------------------------

select_small() {
    dmstore select small.dms main "$@"
}
check_error "no direction" 2 "either --minimize or --maximize" select_small -k 3
check_error "two directions" 2 "either --minimize or --maximize" select_small -k 3 --minimize --maximize
check_error "no K" 2 "-k K is missing" select_small --minimize
check_error "K = 0" 2 "-k K is missing" select_small --minimize -k 0
check_error "a K that is none" 2 "'many' is not a number" select_small --minimize -k many
check_error "JSON and CSV on one output" 2 "cannot both be printed" select_small --minimize -k 2 --json -o -
check_error "a mask on the terminal" 2 "name a file" select_small --minimize -k 2 --mask -
check_error "more than there are" 1 "cannot choose 11 examples of 10" select_small --minimize -k 11
check_error "more than are left" 1 "of 10, 7 are not excluded" select_small --minimize -k 8 --exclude @out.txt
check_error "a class with too few" 1 "class 3 has 1 that are not excluded" \
    select_small --minimize -k 6 --per-class classes.npy --exclude 7:9
echo 7 1 >two.txt
check_error "classes that have too few for the rest" 1 "cannot choose 8 examples" \
    select_small --minimize -k 8 --per-class classes.npy --exclude @two.txt
check_error "an example that does not exist" 1 "there are 10 only" select_small --minimize -k 2 --exclude 10
check_error "a target that the fit does not have" 1 "no target 7" select_small --minimize -k 2 --targets 7
check_error "a target that the output does not have" 1 "there are 8 only" select_small --minimize -k 2 --targets 8
check_python "weights whose sums are infinite" <<'PYTHON'
weights = np.zeros((6, 10))
weights[:3, 0], weights[:3, 1], weights[0, 2], weights[1:4, 2] = 1e308, -1e308, 1e308, 1
np.save("large.npy", weights)
PYTHON
make_part small.dms large y 0 6 large.dmfit --weights large.npy --bias bias.npy
dmstore merge-fits small.dms large.dmfit >/dev/null
check_error "sums that have no order" 1 "fit large: the weights are too large" dmstore select small.dms large -k 2 --maximize
check_error "another fit" 1 "main, nobias" dmstore select small.dms none -k 2 --minimize
check_python "unusable files" <<'PYTHON'
for name, values in (("short", [1, 1]), ("negative", [1] * 5 + [-1]), ("nan", [1] * 5 + [np.nan]), ("none", [0] * 6),
                     ("huge", [1e308] * 6)):
    np.save(name + ".npy", np.array(values, float))
PYTHON
for file in "short:2 weights for 6 targets" "negative:weight -1 of target number 5" "nan:weight nan of target number 5" \
    "none:the sum 0" "huge:the sum inf"; do
    check_error "weights: ${file%%:*}" 1 "${file#*:}" select_small --minimize -k 2 --weights "${file%%:*}.npy"
done
check_error "too few classes" 1 "classes for 10 examples" select_small --minimize -k 2 --per-class $labels
done_testing
