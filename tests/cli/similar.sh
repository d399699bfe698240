#!/usr/bin/env bash
# `dmstore similar`: the nearest targets are those that scikit-learn's cosine_similarity finds, ties in order of target; targets
# without weights have no neighbours and are none.
. "$(dirname "$0")/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/small_fits.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/digits_run.sh"
digits_run

similar() { # FILE STORE FIT OPTION...
    check "similar ${*:2}" dmstore similar "${@:2}" --json
    cp "$stdout_file" "$1"
}

dmstore export-fit digits.dms knn -o knn >/dev/null
similar one.json digits.dms knn --target 7 -k 5
similar all.json digits.dms knn --target all
similar pca.json digits.dms knn --target all -k 3 --pca 4
similar kept.json digits.dms knn --target 3:9 -k 59 --pca 4 --no-normalize
check_python "neighbours on digits are those of scikit-learn" <<'PYTHON'
import json
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import cosine_similarity
def check(path, x, targets, k):
    wanted, report = cosine_similarity(x), json.load(open(path))
    np.fill_diagonal(wanted, -2)
    assert [t["target"] for t in report["targets"]] == list(targets)
    for t in report["targets"]:
        got = [s["similarity"] for s in t["similar"]]
        row = wanted[t["target"]]
        assert len(got) == k and np.allclose(got, np.sort(row)[::-1][:k], atol=2e-6), (path, t["target"])
        assert np.allclose(got, row[[s["target"] for s in t["similar"]]], atol=2e-6)
        assert got == sorted(got, reverse=True) and len({s["target"] for s in t["similar"]} - {t["target"]}) == k
x = np.load("knn/weight.npy").T.astype(float)
check("one.json", x, [7], 5)
check("all.json", x, range(60), 10)
unit = x / np.linalg.norm(x, axis=1)[:, None]
check("pca.json", PCA(4, svd_solver="full").fit_transform(unit), range(60), 3)
check("kept.json", PCA(4, svd_solver="full").fit_transform(x), range(3, 9), 59)
PYTHON
check_python "one target alone, from rows, gives what it gives among many, from lists" <<'PYTHON'
import json
one = json.load(open("one.json"))["targets"][0]["similar"]
assert one == json.load(open("all.json"))["targets"][7]["similar"][:5]
PYTHON
check_output "other threads: the same" "" diff all.json <(dmstore similar digits.dms knn --target all --json --threads 3)

# ---- ties, null rows, small fits ---------------------------------------------------------------------------------------------

# Targets 1, 3 and 6 are equal but for their length, 2 is opposite, 4 without weights, 5 at a right angle to all.
check_python "made-up fits" <<'PYTHON'
x = np.array([[1, 1, 0, 0], [2, 0, 0, 0], [-4, 0, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 3], [8, 0, 0, 0.0]])
np.save("ties.npy", x)
np.save("some.npy", x[[0, 4, 5]])
np.save("which.npy", np.array([0, 4, 5]))
open("names.txt", "w").writelines(f"target {t}\n" for t in "abcdefg")
PYTHON
make_store small.dms 4 7
import small.dms ties
import small.dms some --targets-file which.npy
check_output "ties follow the numbers; a target without weights is no neighbour" "1:1 3:1 0:0.70711 5:0 2:-1" bash -c '
    echo $("$0" similar small.dms ties --target 6 -k 50 -o - | sed 1d | sed "s/^6,//; s/,/:/; s/\.70710.*/.70711/")' "$DMSTORE"
check "a target without weights" dmstore similar small.dms ties --target 4
check_line "has no neighbours" "target 4: nothing to compare"
similar ties.json small.dms ties --target all -k 2
check_output "of all targets" "[[1,3],[3,6],[5,0],[1,6],[],[0,1],[1,3]]" bash -c \
    '"$0" -c "import json; print(json.dumps([[s[\"target\"] for s in t[\"similar\"]] for t in json.load(open(\"ties.json\"))[\"targets\"]], separators=(\",\", \":\")))"' \
    "$PYTHON"
similar some.json small.dms some --target all -k 1 --target-names names.txt
check_python "a fit of some targets has neighbours by their numbers, with names" <<'PYTHON'
import json
a, e, f = json.load(open("some.json"))["targets"]
assert a == {"target": 0, "name": "target a", "similar": [{"target": 5, "similarity": 0, "name": "target f"}]}, a
assert e["similar"] == [] and f["similar"][0]["target"] == 0
PYTHON

# ---- refusals --------------------------------------------------------------------------------------------------------------

check_error "no target" 2 "--target is missing" dmstore similar small.dms ties
check_error "an array" 2 "cannot be an array" dmstore similar small.dms ties --target 1 -o x.npy
check_error "no components asked for" 2 "--pca: at least one" dmstore similar small.dms ties --target 1 --pca 0
check_error "no targets in a list" 1 "names no targets" dmstore similar small.dms ties --target @/dev/null
check_error "no neighbours asked for" 2 "-k: at least one" dmstore similar small.dms ties --target 1 -k 0
check_error "a target that is not fitted" 1 "fit 'some' has no target 1" dmstore similar small.dms some --target 1
check_error "a target that is not there" 1 "target" dmstore similar small.dms ties --target 7
check_error "too many components" 1 "have 1 to 4 principal components" dmstore similar small.dms ties --target 1 --pca 9
check_error "lengths without components" 2 "goes with --pca only" dmstore similar small.dms ties --target 1 --no-normalize
check_error "an unknown fit" 1 "there is no fit 'no'" dmstore similar small.dms no --target 1
done_testing
