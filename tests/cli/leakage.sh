#!/usr/bin/env bash
# `dmstore leakage`: planted duplicates are found, in the order of their weights; scores, distances and the detection curve are
# those that NumPy computes; a fit on real images ranks as NumPy does.
. "$(dirname "$0")/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/digits_run.sh"

# ---- planted duplicates ----------------------------------------------------------------------------------------------------

# 30 of 40 targets are fitted. Every third of these is an image of the training set, whose example gets a weight that stands
# out; the others are images of their own. All have 20 ordinary weights.
cat >reference.py <<'PYTHON'
import csv, json
import numpy as np
D, N, FIRST = 200, 40, 10
random = np.random.default_rng(5)
examples = random.random((D, 8)).astype(np.float32)
targets = random.random((N, 8)).astype(np.float32)
weights = np.zeros((N - FIRST, D))
planted = {}
for t in range(FIRST, N):
    weights[t - FIRST, random.choice(D, 20, replace=False)] = random.normal(size=20) / 50
    if t % 3 == 0:
        planted[t] = int(random.integers(D))
        targets[t] = examples[planted[t]]
        weights[t - FIRST, planted[t]] = 1 + random.integers(4) / 4  # with ties

def score(w, k):
    others = np.abs(np.delete(w, k))
    others = others[others > 0]
    return w[k] / (1.4826 * np.median(others))

def pairs(least_weight=0, least_score=0):
    """By weight, target and example."""
    found = [(-w[k], t + FIRST, int(k)) for t, w in enumerate(weights) for k in np.flatnonzero(w > 0)
             if w[k] >= least_weight and score(w, k) >= least_score]
    return [(t, k) for _, t, k in sorted(found)]

def check_curve(points, order, near):
    """near: fitted targets x examples."""
    leaked = near.any(1).sum()
    steps = [s for e in range(6) for s in (10**e, 2 * 10**e, 5 * 10**e) if s < len(order)] + [len(order)]
    assert [p["pairs"] for p in points] == steps
    for point in points:
        n = point["pairs"]
        hits = [(t, k) for t, k in order[:n] if near[t - FIRST, k]]
        assert np.isclose(point["precision"], len(hits) / n)
        assert np.isclose(point["recall"], len({t for t, _ in hits}) / leaked)
        assert np.isclose(point["random_precision"], near.mean())
        # Hypergeometric: no true pair of a target among n of all pairs.
        missed = [np.prod([(near.size - n - i) / (near.size - i) for i in range(c)]) for c in near.sum(1) if c > 0]
        assert np.isclose(point["random_recall"], 1 - np.mean(missed))
PYTHON
check_python "files" <<'PYTHON'
from reference import *
np.save("w.npy", weights)
np.save("images.npy", np.concatenate([examples, targets]))
distances = np.sqrt(((targets[:, None].astype(float) - examples[None]) ** 2).sum(2))
np.save("distances.npy", distances)
PYTHON
dmstore create small.dms --examples 200 --output y:40:f32 >/dev/null
"$DMSTORE_BUILD_DIR/tests/cli/make_part" small.dms main y 10 40 main.dmfit --weights w.npy
dmstore merge-fits small.dms main.dmfit >/dev/null

check "the planted ones stand out" dmstore leakage small.dms main --json
cp "$stdout_file" leaks.json
check "more of them, by weight alone" dmstore leakage small.dms main --threshold 0.01 -k 1000 --json
cp "$stdout_file" many.json
check "by both" dmstore leakage small.dms main --threshold 0.02 --score 2.5 -k 3 --json
cp "$stdout_file" both.json
check_python "in the order of NumPy, with its scores and their ten largest weights" <<'PYTHON'
from reference import *
def check(name, order, found):
    report = json.load(open(name))
    assert report["found"] == found
    assert [(c["target"], c["example"]) for c in report["candidates"]] == order, name
    for c in report["candidates"]:
        w = weights[c["target"] - FIRST]
        assert c["weight"] == w[c["example"]] and np.isclose(c["score"], score(w, c["example"]), rtol=1e-12)
        top = [k for k in np.argsort(-w, kind="stable")[:10] if w[k] > 0]
        assert [(e["example"], e["weight"]) for e in c["examples"]] == [(k, w[k]) for k in top]
    return report
report = check("leaks.json", pairs(least_score=10), len(planted))
assert {(c["target"], c["example"]) for c in report["candidates"]} == set(planted.items())
order = pairs(least_weight=0.01)
assert len(order) > 150
check("many.json", order, len(order))
order = pairs(0.02, 2.5)
assert len(order) > 3
check("both.json", order[:3], len(order))
PYTHON
check "people read" dmstore leakage small.dms main -k 4
check_printed "of what" "y: fit main, 30 targets"
check_printed "how many there are" "10 candidates with a score of 10 or more"
check_printed "which of them follow" "here are the 4 of largest weight"
check_output "in lines that fit a terminal" "0" bash -c 'grep -c ".\{81\}" "$0" || true' "$stdout_file"
check_output "a few targets" "12 15" bash -c \
    'echo $("$0" leakage small.dms main --target 11:17 -o - | tail -n +2 | cut -d, -f1 | sort -n)' "$DMSTORE"

# ---- distances and the curve -----------------------------------------------------------------------------------------------

check "coordinates" dmstore leakage small.dms main --distances images.npy --radius 0.55 --curve curve.csv -o leaks.csv --json
cp "$stdout_file" near.json
check "distances" dmstore leakage small.dms main --distances distances.npy --radius 0.55 --json
cp "$stdout_file" matrix.json
check_python "the curve is that of NumPy" <<'PYTHON'
from reference import *
distances = np.load("distances.npy")
near = distances[FIRST:] <= 0.55
assert near.sum() > 30 and near.any(1).sum() > len(planted)  # more than the planted ones
for name in "near.json", "matrix.json":
    report = json.load(open(name))
    assert (report["radius"], report["true_pairs"], report["leaked_targets"]) == (0.55, near.sum(), near.any(1).sum())
    check_curve(report["curve"], pairs(), near)
    for c in report["candidates"]:
        assert abs(c["distance"] - distances[c["target"], c["example"]]) < 1e-12
rows = list(csv.DictReader(open("curve.csv")))
assert [{k: float(v) for k, v in r.items()} for r in rows] == json.load(open("near.json"))["curve"]
rows = list(csv.DictReader(open("leaks.csv")))
assert [[float(r[k]) for k in ("target", "example", "weight", "score", "distance")] for r in rows] == \
    [[c[k] for k in ("target", "example", "weight", "score", "distance")] for c in json.load(open("near.json"))["candidates"]]
PYTHON
check "duplicates only" dmstore leakage small.dms main --distances images.npy --radius 0
check_printed "are the planted ones" "10 pairs within 0; 10 of 30 targets are in one"
check_line "all of them come first" "10 1.0000 1.0000 0.0017 0.0017"
check "nothing near" dmstore leakage small.dms main --distances distances.npy --radius 0 --target 10:12 --json
check_printed "no recall" '"recall": null'
check_python "places on the earth" <<'PYTHON'
from reference import *
places = np.stack([np.degrees(np.arcsin(random.uniform(-1, 1, D + N))), random.uniform(-180, 180, D + N)], 1)
places[D + 12] = places[planted[12]] + [0, 0.01]
np.save("places.npy", places.astype(np.float32))
PYTHON
check "haversine" dmstore leakage small.dms main --distances places.npy --metric haversine --radius 1500 --json
cp "$stdout_file" places.json
check_python "the curve is that of scikit-learn's haversine, where that is there" <<'PYTHON'
from reference import *
places = np.radians(np.load("places.npy").astype(np.float64))
try:
    from sklearn.metrics.pairwise import haversine_distances
    distances = haversine_distances(places[D:], places[:D])
except ImportError:
    a, b = places[D:, None], places[None, :D]
    h = np.sin((a[..., 0] - b[..., 0]) / 2) ** 2 + np.cos(a[..., 0]) * np.cos(b[..., 0]) * np.sin((a[..., 1] - b[..., 1]) / 2) ** 2
    distances = 2 * np.arcsin(np.sqrt(h))
distances *= 6371.0088
report = json.load(open("places.json"))
near = distances[FIRST:] <= 1500
assert near.sum() > 50
check_curve(report["curve"], pairs(), near)
for c in report["candidates"]:
    expected = distances[c["target"], c["example"]]
    assert abs(c["distance"] - expected) < 1e-6 * expected
PYTHON

# ---- a real fit ------------------------------------------------------------------------------------------------------------

digits_run
dmstore export-fit digits.dms knn -o knn >/dev/null
check "digits" dmstore leakage digits.dms knn --threshold 0 -k 100 --names files/train_names.txt --labels files/train_labels.npy \
    --target-names files/names.txt --json
cp "$stdout_file" digits.json
check_python "the largest weights of all, with what they are" <<'PYTHON'
from reference import *
weights = np.load("knn/weight.npy")
candidates = json.load(open("digits.json"))["candidates"]
found = [c["weight"] for c in candidates]
assert np.allclose(found, np.sort(weights.ravel())[::-1][:100], rtol=1e-6)
assert np.allclose(found, [weights[c["example"], c["target"]] for c in candidates], rtol=1e-6)
names, target_names = (open(f"files/{n}.txt").read().splitlines() for n in ("train_names", "names"))
for c in candidates:
    assert c["name"] == names[c["example"]] and c["target_name"] == target_names[c["target"]]
    assert all(e["name"] == names[e["example"]] for e in c["examples"])
PYTHON

# ---- few weights -----------------------------------------------------------------------------------------------------------

check_python "none, one, two" <<'PYTHON'
weights = np.zeros((3, 200))
weights[1, 5] = 0.5
weights[2, [7, 8]] = [1, -0.01]
np.save("few.npy", weights)
PYTHON
"$DMSTORE_BUILD_DIR/tests/cli/make_part" small.dms few y 0 3 few.dmfit --weights few.npy
dmstore merge-fits small.dms few.dmfit >/dev/null
check_output "one weight alone has an infinite score" "target,example,weight,score
2,7,1,67.449
1,5,0.5,inf" bash -c '"$0" leakage small.dms few -o - | sed "s/\(67.449\)[0-9]*/\1/"' "$DMSTORE"

# ---- refusals --------------------------------------------------------------------------------------------------------------

check_python "files that are no distances" <<'PYTHON'
distances = np.load("distances.npy")
distances[11, 3] = np.nan
np.save("nan.npy", distances)
distances[11, 3] = -1
np.save("negative.npy", distances)
images = np.load("images.npy")
np.save("short.npy", images[:-1])
images[4, 2] = np.inf
np.save("infinite.npy", images)
np.save("text.npy", np.array([[b"a"]]))
np.save("north.npy", np.full((240, 2), 91.0))
PYTHON
refuse() { # FILE TEXT [OPTION...]
    check_error "$1" 1 "$2" dmstore leakage small.dms main --distances "$1" --radius 1 "${@:3}"
}
refuse nan.npy "'nan.npy': the distance of target 11 to example 3 is not a distance"
refuse negative.npy "the distance of target 11 to example 3 is not a distance"
refuse short.npy "'short.npy' is float32 (239, 8): expected numbers, distances of shape (40, 200) or coordinates"
refuse infinite.npy "'infinite.npy', row 4, column 2 is not finite"
refuse text.npy "expected numbers"
refuse missing.npy "cannot open 'missing.npy'"
refuse north.npy "91 is not a latitude" --metric haversine
refuse images.npy "has 8 coordinates a row: haversine wants latitude and longitude" --metric haversine
refuse distances.npy "there are no coordinates for haversine" --metric haversine
check_error "a radius of nothing" 2 "go with --distances FILE" dmstore leakage small.dms main --radius 1
check_error "a curve without a radius" 2 "--curve wants --radius R" dmstore leakage small.dms main --distances images.npy --curve c.csv
check_error "a threshold that is no number" 2 "'x' is not a number, 0 or more" dmstore leakage small.dms main --threshold x
check_error "no such fit" 1 "there is no fit 'other'" dmstore leakage small.dms other
check_error "the curve and JSON on one output" 2 "--curve - and --json cannot both be printed" \
    dmstore leakage small.dms main --distances images.npy --radius 1 --curve - --json
check_error "both tables" 2 "--curve - and -o - cannot both be printed" \
    dmstore leakage small.dms main --distances images.npy --radius 1 --curve - -o -
check_output "the curve alone, without the report" "pairs,precision,recall,random_precision,random_recall" \
    bash -c '"$0" leakage small.dms main --distances images.npy --radius 1 --curve - | grep -v "^[0-9]"' "$DMSTORE"
done_testing
