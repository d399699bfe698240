#!/usr/bin/env bash
# `dmstore cluster`: on well-separated targets the clusters are those of scikit-learn's SpectralClustering but for their names,
# whole or class by class; agreement with given labels is scikit-learn's adjusted Rand index.
. "$(dirname "$0")/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/small_fits.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/digits_run.sh"
digits_run

cat >reference.py <<'PYTHON'
import json
import numpy as np
from sklearn.cluster import SpectralClustering
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

def unit(x):
    return x / np.linalg.norm(x, axis=1)[:, None]

def spectral(x, k, gamma=1.0):
    return SpectralClustering(k, gamma=gamma, assign_labels="kmeans", random_state=0).fit(x).labels_

def check_sizes(report):
    for group in report["groups"]:
        got = [t["cluster"] for t in report["targets"] if t.get("class") == group.get("class") and t["cluster"] is not None]
        assert list(np.bincount(got, minlength=report["clusters"])) == group["sizes"] == sorted(group["sizes"], reverse=True)
        assert len(got) == group["targets"]
PYTHON

cluster() { # FILE STORE FIT OPTION...
    check "cluster ${*:2}" dmstore cluster "${@:2}" --json
    cp "$stdout_file" "$1"
}

# ---- well separated --------------------------------------------------------------------------------------------------------

# Four groups, of sizes that differ, each on some examples of its own; target 17 has no weights. large needs ARPACK.
check_python "made-up fits" <<'PYTHON'
r = np.random.default_rng(2)
def groups(sizes, d, noise):
    label = r.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centre = np.zeros((len(sizes), d))
    for g in range(len(sizes)):
        centre[g, 5 * g:5 * g + 5] = 1 + r.random(5)
    return label, centre[label] * r.uniform(0.5, 2, (len(label), 1)) + noise * r.normal(size=(len(label), d)) * (r.random((len(label), d)) < 0.3)
label, x = groups([20, 30, 15, 10], 40, 0.15)
x[17] = 0
np.save("four.npy", x)
np.save("label.npy", label)
np.save("class.npy", label % 2 * 10 - 5)
np.save("short.npy", label[:5])
large_label, large = groups([200, 150, 150, 100], 40, 0.15)
np.save("large.npy", large)
apart = np.zeros((600, 40))
for g in range(4):
    apart[large_label == g, 5 * g:5 * g + 5] = r.uniform(1, 1.3, (np.sum(large_label == g), 5))
np.save("apart.npy", apart)
np.save("large_label.npy", large_label)
np.save("same.npy", np.tile(x[0], (75, 1)))
np.save("tiny.npy", x * 1e-4)
PYTHON
make_store four.dms 40 75
make_store large.dms 40 600
for fit in four same tiny; do import four.dms "$fit"; done
import large.dms large
import large.dms apart
cluster four.json four.dms four -k 4 --truth label.npy
cluster narrow.json four.dms four -k 4 --gamma 5
cluster kept.json four.dms four -k 4 --no-normalize --gamma 0.5
cluster pca.json four.dms four -k 4 --pca 3
cluster large.json large.dms large -k 4 --truth large_label.npy -o large-clusters.npy
# Between groups the similarity is 0 to the last bit, and the largest eigenvalue, 1, comes four times.
cluster apart.json large.dms apart -k 4 --gamma 400 --truth large_label.npy
cluster odd.json four.dms four -k 3 --truth label.npy
check_python "clusters are those of scikit-learn, and agree with the truth as it says" <<'PYTHON'
from reference import *
x, label, keep = np.load("four.npy"), np.load("label.npy"), np.arange(75) != 17
def check(path, points, k, gamma=1.0):
    report = json.load(open(path))
    got = [t["cluster"] for t in report["targets"]]
    assert got[17] is None and report["groups"][0]["left_out"] == 1
    check_sizes(report)
    got = np.array([g for g in got if g is not None])
    assert adjusted_rand_score(got, spectral(points, k, gamma)) == 1, path
    return report, got
report, got = check("four.json", unit(x[keep]), 4)
assert report["groups"][0]["adjusted_rand_index"] == adjusted_rand_score(got, label[keep]) == 1
distance = ((unit(x[keep])[:, None] - unit(x[keep])[None]) ** 2).sum(axis=2)
similarity = np.exp(-distance)[~np.eye(74, dtype=bool)].mean()
assert abs(report["groups"][0]["mean_similarity"] - similarity) < 1e-6
check("narrow.json", unit(x[keep]), 4, 5)
check("kept.json", x[keep], 4, 0.5)
check("pca.json", PCA(3, svd_solver="full").fit_transform(unit(x[keep])), 4)
report = json.load(open("odd.json"))
got = np.array([t["cluster"] for t in report["targets"] if t["cluster"] is not None])
assert abs(report["groups"][0]["adjusted_rand_index"] - adjusted_rand_score(label[keep], got)) < 1e-12
assert 0.3 < report["groups"][0]["adjusted_rand_index"] < 1
large, clusters = np.load("large.npy"), np.load("large-clusters.npy")
assert [t["cluster"] for t in json.load(open("large.json"))["targets"]] == clusters.tolist()
assert adjusted_rand_score(clusters, spectral(unit(large), 4)) == 1
for name in ("large", "apart"):
    assert json.load(open(name + ".json"))["groups"][0]["adjusted_rand_index"] == 1
PYTHON
check_output "other threads: the same" "" diff large.json <(dmstore cluster large.dms large -k 4 --truth large_label.npy \
    --threads 3 --json)
check_output "another seed: the same clusters" "" diff <(grep -v seed four.json) \
    <(dmstore cluster four.dms four -k 4 --truth label.npy --seed 5 --json 2>/dev/null | grep -v seed)
cluster digits.json digits.dms knn -k 3
check_python "on digits, whose clusters overlap, the cut is no worse than that of scikit-learn" <<'PYTHON'
from reference import *
import subprocess, os
subprocess.run([os.environ["DMSTORE"], "export-fit", "digits.dms", "knn", "-o", "knn"], check=True, capture_output=True)
x = unit(np.load("knn/weight.npy").T.astype(float))
a = np.exp(-((x[:, None] - x[None]) ** 2).sum(axis=2))
np.fill_diagonal(a, 0)
def cut(labels):
    return sum(a[labels == c][:, labels != c].sum() / a[labels == c].sum() for c in range(3))
got = np.array([t["cluster"] for t in json.load(open("digits.json"))["targets"]])
assert cut(got) <= cut(spectral(x, 3)) * 1.01, (cut(got), cut(spectral(x, 3)))
PYTHON

# ---- classes ---------------------------------------------------------------------------------------------------------------

cluster class.json four.dms four -k 2 --class class.npy --truth label.npy
cluster one.json four.dms four -k 2 --class class.npy --of -5
check_python "each class is clustered by itself" <<'PYTHON'
from reference import *
report, one, label, classes = json.load(open("class.json")), json.load(open("one.json")), np.load("label.npy"), np.load("class.npy")
check_sizes(report)
assert [g["class"] for g in report["groups"]] == [-5, 5]
assert [g["adjusted_rand_index"] for g in report["groups"]] == [1, 1]
assert [t["class"] for t in report["targets"]] == classes.tolist()
assert [g["class"] for g in one["groups"]] == [-5]
for t, alone in zip(report["targets"], one["targets"]):
    assert alone["cluster"] == (t["cluster"] if t["class"] == -5 else None)
PYTHON
check "CSV" dmstore cluster four.dms four -k 2 --class class.npy -o clusters.csv --target 15:20
check_output "has the class and the cluster" "target,class,cluster 17,$(python <<<'print(np.load("class.npy")[17])')," \
    bash -c 'echo $(sed -n "1p; 4p" clusters.csv)'
check "a table" dmstore cluster four.dms four -k 4 --truth label.npy --target-labels label.npy
check_printed "tells how far it agrees" "four: 74 targets in 4 clusters, similarity 0."
check_printed "with the truth" "adjusted Rand index 1.0000"

check "one target" dmstore cluster four.dms four -k 1 --target 18
check_line "has no similarities to average" "four: 1 target in 1 cluster"

# ---- corners ---------------------------------------------------------------------------------------------------------------

check_error "targets that are all the same" 0 "all similarities are nearly 1" dmstore cluster four.dms same -k 2
check_error "a gamma that is too small for the weights" 0 "all similarities are nearly 1 (1.000000" \
    dmstore cluster four.dms tiny -k 4 --no-normalize
check_error "a gamma that is too large" 0 "all similarities are nearly 0" dmstore cluster four.dms four -k 4 --gamma 1e6
check_error "targets without weights are warned of" 0 "1 target without weights is in no cluster" \
    dmstore cluster four.dms four -k 4
cluster each.json four.dms four -k 3 --target 1:4
check_output "as many clusters as targets" "[1,1,1]" bash -c 'sed -n "/sizes/,/]/p" each.json | tr -cd "[]0-9,"| sed "s/,$//"'
cluster whole.json four.dms four -k 1
check_output "one cluster" "74" bash -c 'grep -A1 sizes whole.json | tail -1 | tr -d " "'

check_error "no K" 2 "-k K is missing" dmstore cluster four.dms four
check_error "more clusters than targets" 1 "74 targets with weights cannot be in 75 clusters" \
    dmstore cluster four.dms four -k 75
check_error "more clusters than a class has targets" 1 "class -5: fit four: " dmstore cluster four.dms four -k 40 --class class.npy
check_error "gamma of 0" 2 "is not a number above 0" dmstore cluster four.dms four -k 2 --gamma 0
check_error "labels of too few targets" 1 "'short.npy' has 5 rows: output y has 75 targets" \
    dmstore cluster four.dms four -k 2 --truth short.npy
check_error "a class that no target has" 1 "no target of fit 'four' is of class 3" \
    dmstore cluster four.dms four -k 2 --class class.npy --of 3
check_error "a class that is no number" 2 "--of: '3.5' is not a class" \
    dmstore cluster four.dms four -k 2 --class class.npy --of 3.5
check_error "no components asked for" 2 "--pca: at least one" dmstore cluster four.dms four -k 2 --pca 0
check_error "a class without classes" 2 "--of needs --class" dmstore cluster four.dms four -k 2 --of 3
check_error "too little memory" 1 "bytes of memory, and 1048576 are allowed" dmstore cluster large.dms large -k 4 --memory 1M
done_testing
