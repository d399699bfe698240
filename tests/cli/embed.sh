#!/usr/bin/env bash
# `dmstore embed`: components and coordinates are those of scikit-learn's PCA, whatever the shape of the matrix; targets
# without weights are left out; components are kept as a fit, from which other fits are projected.
. "$(dirname "$0")/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/small_fits.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/digits_run.sh"
digits_run

cat >reference.py <<'PYTHON'
import json
import numpy as np
from sklearn.decomposition import PCA

def rows_of(x, normalize=True):
    """Rows with weights, and which those are."""
    keep = (x != 0).any(axis=1)
    x = x[keep]
    return (x / np.linalg.norm(x, axis=1)[:, None] if normalize else x), keep

def check_pca(x, stem, k, normalize=True, tolerance=1e-8):
    """The files STEM-z.npy and so on and the report STEM.json are what PCA makes of x, a row a target."""
    report = json.load(open(stem + ".json"))
    z, c, mean = (np.load(f"{stem}-{what}.npy") for what in "zcm")
    rows, keep = rows_of(x, normalize)
    p = PCA(k, svd_solver="full").fit(rows)
    assert report["rows"] == len(rows) and report["examples"] == x.shape[1] and report["normalized"] == normalize
    assert [t not in report["left_out"] for t in report["targets"]] == list(keep)
    assert c.shape == (k, x.shape[1]) and z.shape == (len(x), k) and c.dtype == z.dtype == np.float64
    assert np.allclose(mean, rows.mean(axis=0), rtol=0, atol=1e-15)
    assert np.isnan(z[~keep]).all() and np.isfinite(z[keep]).all()
    variance = np.array([component["variance"] for component in report["components"]])
    ratio = np.array([component["variance_ratio"] for component in report["components"]])
    assert np.allclose(variance, p.explained_variance_, rtol=1e-9, atol=1e-14), variance - p.explained_variance_
    assert np.allclose(ratio, p.explained_variance_ratio_, rtol=1e-9, atol=1e-14)
    assert abs(report["total_variance"] - rows.var(axis=0, ddof=1).sum()) < 1e-12
    # Directions mean something where there is variance; signs follow our rule, not scikit-learn's.
    some = variance > 1e-12 * variance[0]
    signs = np.sign((p.components_ * c).sum(axis=1))
    assert abs(c - p.components_ * signs[:, None])[some].max() < tolerance
    assert abs(z[keep] - p.transform(rows) * signs)[:, some].max() < tolerance
    assert (c[~some] == 0).all() and (z[keep][:, ~some] == 0).all()
    first = (abs(c) >= abs(c).max(axis=1, keepdims=True) * (1 - 1e-9)).argmax(axis=1)
    assert (c[np.arange(k), first][some] > 0).all()
    assert abs(c[some] @ c[some].T - np.eye(some.sum())).max() < 1e-9
PYTHON

embed() { # STEM STORE FIT OPTION...
    check "embed ${*:2}" dmstore embed "${@:2}" --json -o "$1-z.npy" --components "$1-c.npy" --mean "$1-m.npy"
    cp "$stdout_file" "$1.json"
}

# ---- digits ----------------------------------------------------------------------------------------------------------------

dmstore export-fit digits.dms knn --sparse -o knn >/dev/null
cat >>reference.py <<'PYTHON'

def weights(directory, d):
    """Exported sparse weights, a row a target."""
    begin, example, value = (np.load(f"{directory}/{what}.npy") for what in ("indptr", "indices", "data"))
    x = np.zeros((len(begin) - 1, d))
    x[np.repeat(np.arange(len(x)), np.diff(begin)), example] = value
    return x
PYTHON
embed five digits.dms knn --pca 5
embed kept digits.dms knn --pca 5 --no-normalize
embed all digits.dms knn --pca 60
embed some digits.dms knn --pca 3 --target 10:30
embed two digits.dms knn --pca 2 --target 7:9
check_python "components of digits are those of scikit-learn, all 60 of them, too, of which one has no variance" <<'PYTHON'
from reference import *
x = weights("knn", 1400)
check_pca(x, "five", 5)
check_pca(x, "kept", 5, normalize=False)
check_pca(x, "all", 60)
check_pca(x[10:30], "some", 3)
assert json.load(open("some.json"))["targets"] == list(range(10, 30))
check_pca(x[7:9], "two", 2)
assert json.load(open("two.json"))["components"][1]["variance"] == 0
PYTHON
check "a table" dmstore embed digits.dms knn --pca 2
check_printed "names what it is of" "knn: 60 targets on 1,400 examples, weights of unit length"
check "as CSV" dmstore embed digits.dms knn --pca 2 -o z.csv --target 3:5 --target-names <(seq 397 | sed 's/^/no "/')
check_output "with names of targets" 'target,target_name,z0,z1 3,"no ""4" 4,"no ""5"' bash -c \
    'echo $(head -1 z.csv) $(tail -n +2 z.csv | cut -d, -f1,2)'
check_python "the same numbers" <<'PYTHON'
import csv, subprocess, os
subprocess.run([os.environ["DMSTORE"], "embed", "digits.dms", "knn", "--pca", "2", "-o", "z.npy", "--target", "3:5"], check=True)
rows = list(csv.DictReader(open("z.csv")))
assert ([[float(r["z0"]), float(r["z1"])] for r in rows] == np.load("z.npy")).all()
PYTHON

# ---- shapes ----------------------------------------------------------------------------------------------------------------

# wide and tall are large enough for ARPACK, on the side of the targets and of the examples.
check_python "made-up fits" <<'PYTHON'
r = np.random.default_rng(3)
def sparse(n, d, share):
    return r.normal(size=(n, d)) * (r.random((n, d)) < share) * np.linspace(0.2, 3, d)
wide = sparse(530, 560, 0.05)
wide[[4, 529]] = 0
tall = sparse(560, 520, 0.05)
tall[:, 5] = 0
low = sparse(6, 560, 0.3)[r.integers(0, 6, 530)] * r.choice([0.5, 1, 2], (530, 1))
low[:, 11] = 0
equal = np.tile(sparse(1, 560, 0.3), (530, 1))
for name in ("wide", "tall", "low", "equal"):
    np.save(name + ".npy", locals()[name])
np.save("tiny.npy", np.array([[1.0, 0, 0, 2], [0, 0, 0, 0], [1, 0, 0, -2], [0, 3, 0, 0], [2, 0, 0, 4]]))
np.save("null.npy", np.zeros((5, 4)))
np.save("single.npy", np.array([[0, 0, 0, 0.0]] * 3 + [[1, 2, 3, 4]] + [[0, 0, 0, 0]]))
np.save("huge.npy", np.array([[1e200, 1, 2, 3], [2, 1e200, 1, 1], [0, 1, 1e200, 0], [1e195, 1, 1, 1], [5e199, 0, 0, 1]]))
PYTHON
make_store wide.dms 560 530
make_store tall.dms 520 560
make_store tiny.dms 4 5
import wide.dms wide
import wide.dms low
import wide.dms equal
import tall.dms tall
for fit in tiny null single huge; do import tiny.dms "$fit"; done
embed wide wide.dms wide --pca 30
embed tall tall.dms tall --pca 30 --no-normalize
embed many wide.dms wide --pca 200 --threads 1
embed low wide.dms low --pca 20
embed equal wide.dms equal --pca 3
embed tiny tiny.dms tiny --pca 3
embed tiny4 tiny.dms tiny --pca 4 --no-normalize
embed huge tiny.dms huge --pca 2
check_python "large matrices, of low rank, of equal rows, and tiny ones: as scikit-learn" <<'PYTHON'
from reference import *
check_pca(np.load("wide.npy"), "wide", 30)
check_pca(np.load("wide.npy"), "many", 200)
check_pca(np.load("tall.npy"), "tall", 30, normalize=False)
check_pca(np.load("low.npy"), "low", 20)
assert [c["variance"] > 0 for c in json.load(open("low.json"))["components"]] == [True] * 5 + [False] * 15
report = json.load(open("equal.json"))
assert [c["variance"] for c in report["components"]] == [0, 0, 0] and (np.load("equal-z.npy") == 0).all()
check_pca(np.load("tiny.npy"), "tiny", 3)
check_pca(np.load("tiny.npy"), "tiny4", 4, normalize=False)
check_pca(np.load("huge.npy") / 1e200, "huge", 2)
assert json.load(open("tiny.json"))["left_out"] == [1]
PYTHON
check "other threads" dmstore embed wide.dms wide --pca 30 --threads 3 -o again.npy --components c.npy
check_same "the same coordinates" again.npy wide-z.npy
check_same "the same components" c.npy wide-c.npy
check_error "targets without weights are warned of" 0 "warning: 1 target without weights has no coordinates (the first: 1)" \
    dmstore embed tiny.dms tiny --pca 2

# ---- components as a fit ---------------------------------------------------------------------------------------------------

check "components are kept" dmstore embed wide.dms wide --pca 30 --name parts
check_printed "the report says so" "kept as fit parts"
dmstore export-fit wide.dms parts -o parts >/dev/null
check "projected again from the kept fit" dmstore embed wide.dms parts --project wide -o again.npy
check_same "the same coordinates" again.npy wide-z.npy
check "another fit is projected" dmstore embed wide.dms wide --pca 30 --project low -o low-z.npy --json
cp "$stdout_file" projected.json
check "from the kept fit, too" dmstore embed wide.dms parts --project low -o again.npy
check_printed "the report says whose coordinates there are" "coordinates of 530 targets of fit low"
check_same "the same" again.npy low-z.npy
check "components that keep the length" dmstore embed wide.dms wide --pca 3 --no-normalize --name long --components c.npy
check "project what is not normalised either" dmstore embed wide.dms long --project low -o long-z.npy
check_python "kept weights are the components; other fits are centred with the mean of the first" <<'PYTHON'
from reference import *
c, mean = np.load("wide-c.npy"), np.load("wide-m.npy")
assert (np.load("parts/weight.npy") == c.T.astype(np.float32)).all()
low, wide = np.load("low.npy"), np.load("wide.npy")
assert json.load(open("projected.json"))["projected"] == "low"
assert abs(np.load("low-z.npy") - (rows_of(low)[0] - mean) @ c.T).max() < 1e-12
assert abs(np.load("long-z.npy") - (low - wide[(wide != 0).any(axis=1)].mean(axis=0)) @ np.load("c.npy").T).max() < 1e-11
PYTHON
yes name | head -530 >names.txt
check "projected targets have names" dmstore embed wide.dms parts --project low -o - --target-names names.txt
check_printed "in the table" '529,"name",'
check_python "kept fits say what they are" <<'PYTHON'
import json, subprocess, os
fit = json.loads(subprocess.run([os.environ["DMSTORE"], "fits", "wide.dms", "parts", "--json"], capture_output=True, check=True).stdout)
assert fit["problem"] == {"length": "unit", "method": "pca", "parent": "wide", "rows": "528"}, fit["problem"]
PYTHON
check "keeping the same again" dmstore embed wide.dms wide --pca 30 --name parts
check_error "but not others under this name" 1 "take another --name" dmstore embed wide.dms wide --pca 30 --name parts --no-normalize
check "verify" dmstore verify wide.dms

# ---- refusals --------------------------------------------------------------------------------------------------------------

check_error "without K" 2 "--pca K is missing" dmstore embed tiny.dms tiny
check_error "targets of components that are found already" 2 "--pca only" dmstore embed wide.dms parts --project low --target 0
check_error "names of another number of targets" 1 "names.txt" dmstore embed tiny.dms tiny --pca 1 --target-names names.txt
check_error "a name that another fit has" 1 "there is a fit 'low' already: take another --name" \
    dmstore embed wide.dms wide --pca 30 --name low -o early.npy
check_error "what is no name" 1 "is no name for a fit" dmstore embed wide.dms wide --pca 30 --name a/b -o early.npy
dmstore snapshot wide.dms -o wide.json >/dev/null
check_error "a manifest cannot keep components" 1 "a manifest can only be read" \
    dmstore embed wide.json wide --pca 30 --name more -o early.npy
check_error "nothing is written before that is known" 1 "No such file" cat early.npy
check_error "K of 0" 1 "have 1 to 4 principal components, not 0" dmstore embed tiny.dms tiny --pca 0
check_error "K above both sides" 1 "4 targets with weights on 4 examples have 1 to 4 principal components, not 5" \
    dmstore embed tiny.dms tiny --pca 5
check_error "no target with weights" 1 "need two targets with weights, here is none" dmstore embed tiny.dms null --pca 1
check_error "one target with weights" 1 "need two targets with weights, here is one" dmstore embed tiny.dms single --pca 1
check_error "too large to square" 1 "too large for their squares" dmstore embed tiny.dms huge --pca 2 --no-normalize
check_error "too little memory" 1 "bytes of memory, and 262144 are allowed" dmstore embed wide.dms wide --pca 30 --memory 256K
check_error "a fit that is none of components" 1 "--pca K is missing" dmstore embed tiny.dms tiny --project tiny
check_error "a target that is not there" 1 "target" dmstore embed tiny.dms tiny --pca 1 --target 9
check_error "an unknown fit" 1 "there is no fit 'no'" dmstore embed tiny.dms no --pca 1
check_error "an unknown fit to project" 1 "there is no fit 'no'" dmstore embed tiny.dms tiny --pca 1 --project no
check_error "a mean of kept components" 1 "go with --pca only" dmstore embed wide.dms parts --project low --mean m.npy
check_error "components on the terminal" 2 "name a file" dmstore embed tiny.dms tiny --pca 1 --components -
check_error "a mean on the terminal" 2 "name a file" dmstore embed tiny.dms tiny --pca 1 --mean -
check_error "two reports on one output" 2 "cannot both be printed" dmstore embed tiny.dms tiny --pca 1 --json -o -
done_testing
