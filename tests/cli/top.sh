#!/usr/bin/env bash
# `dmstore top`: the largest and the most negative weights of targets, on a real fit as NumPy sorts them, and on a made-up one
# with ties, few weights and none.
. "$(dirname "$0")/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/digits_run.sh"

# ---- a real fit ------------------------------------------------------------------------------------------------------------

digits_run
dmstore export-fit digits.dms knn -o knn >/dev/null
cat >reference.py <<'PYTHON'
import csv, json
import numpy as np
weights = np.load("knn/weight.npy").astype(np.float64)  # examples x targets
def check(report, targets, k, sign):
    assert [t["target"] for t in report["targets"]] == targets
    for target in report["targets"]:
        w = sign * weights[:, target["target"]]
        order = np.argsort(-w, kind="stable")
        order = order[w[order] > 0][:k]
        found = target["examples"]
        assert [e["example"] for e in found] == list(order), target["target"]
        assert np.allclose([e["weight"] for e in found], sign * w[order], rtol=1e-6, atol=0)
PYTHON
for target in 0 7 59; do
    check "the nearest of target $target" dmstore top digits.dms knn --target $target --json
    cp "$stdout_file" "top-$target.json"
done
check "the most harmful of all" dmstore top digits.dms knn --all-targets --negative -k 3 --json
cp "$stdout_file" negative.json
check "all there are" dmstore top digits.dms knn --target 50: -k 100K --json
cp "$stdout_file" everything.json
check_python "are those of NumPy" <<'PYTHON'
from reference import *
for target in 0, 7, 59:
    report = json.load(open(f"top-{target}.json"))
    assert (report["fit"], report["output"]) == ("knn", "test_margins")
    assert sorted(report["targets"][0]["examples"][0]) == ["example", "weight"]
    check(report, [target], 10, 1)
check(json.load(open("negative.json")), list(range(60)), 3, -1)
check(json.load(open("everything.json")), list(range(50, 60)), 1400, 1)
PYTHON
check "with what they are" dmstore top digits.dms knn --target 0:2 --names files/train_names.txt \
    --labels files/train_labels.npy --target-labels files/labels.npy --json
cp "$stdout_file" named.json
check "as a table, too" dmstore top digits.dms knn --target 0:2 --names files/train_names.txt \
    --labels files/train_labels.npy --target-labels files/labels.npy -o named.csv
check_python "names and labels are those of the files" <<'PYTHON'
from reference import *
names = open("files/train_names.txt").read().splitlines()
labels, target_labels = np.load("files/train_labels.npy"), np.load("files/labels.npy")
rows = csv.DictReader(open("named.csv"))
for target in json.load(open("named.json"))["targets"]:
    assert target["label"] == target_labels[target["target"]]
    for rank, example in enumerate(target["examples"]):
        row = next(rows)
        assert example["name"] == row["name"] == names[example["example"]]
        assert example["label"] == int(row["label"]) == labels[example["example"]]
        assert [int(row[k]) for k in ("target", "target_label", "rank", "example")] == \
            [target["target"], target["label"], rank + 1, example["example"]]
        assert float(row["weight"]) == example["weight"]
assert next(rows, None) is None
PYTHON

# ---- a made-up one ---------------------------------------------------------------------------------------------------------

check_python "ties, few weights, none" <<'PYTHON'
weights = np.zeros((4, 12))
weights[1, [9, 2, 5]] = [0.5, 0.5, 0.75]   # two equal ones, no negative
weights[2, [0, 3, 4, 11]] = [-1, -2, -1, 1]
weights[3, :] = 0.125                      # all equal
np.save("w.npy", weights)
np.save("sevens.npy", np.full(12, 7))
PYTHON
dmstore create small.dms --examples 12 --output y:6:f32 >/dev/null
"$DMSTORE_BUILD_DIR/tests/cli/make_part" small.dms main y 1 5 main.dmfit --weights w.npy
dmstore merge-fits small.dms main.dmfit >/dev/null
check_output "equal weights by their examples; a null model has none" "target 1: no positive weights
target 2: 3 positive weights, no more
5 0.75
2 0.5
9 0.5
target 3: 1 positive weight, no more
11 1
target 4: 3 of 12 positive weights
0 0.125
1 0.125
2 0.125" bash -c '"$0" top small.dms main --all-targets -k 3 | sed "s/  */ /g; s/^ //"' "$DMSTORE"
check_output "negative ones, the most negative first" "target,rank,example,weight
3,1,3,-2
3,2,0,-1
3,3,4,-1" dmstore top small.dms main --target all --negative -o -
printf 'the %d\tst\033[1m\n' 0 1 2 3 4 5 >names.txt
check_output "names in quotes, without what terminals obey" "target 4 ('the 4?st?[1m'): 1 of 12 positive weights
        0         0.125  class 7, '0 of 12'" dmstore top small.dms main --target 4 -k 1 --target-names names.txt \
    --names <(printf '%d of 12\n' 0 1 2 3 4 5 6 7 8 9 10 11) --labels sevens.npy
check_output "a file of targets, in its order" "4 2" bash -c \
    'echo "4, 2" >list.txt; echo $("$0" top small.dms main --target @list.txt | grep -o "^target [0-9]" | cut -c 8)' "$DMSTORE"
check "no weights at all" dmstore top small.dms main --target 1 --json
check_printed "are an empty list" '"examples": []'

# ---- refusals --------------------------------------------------------------------------------------------------------------

check_error "no target" 2 "--target J (or --all-targets) is needed" dmstore top small.dms main
check_error "both" 2 "cannot both be given" dmstore top small.dms main --target 1 --all-targets
check_error "no examples" 2 "-k: 1 to" dmstore top small.dms main --target 1 -k 0
check_error "a target that is not fitted" 1 "fit 'main' has no target 0: it has 4 targets of 1 to 4" \
    dmstore top small.dms main --target 0
check_error "one that is not there" 1 "'6' names target 6, but there are 6 only" dmstore top small.dms main --target 6
check_error "no such fit" 1 "there is no fit 'other'" dmstore top small.dms other --target 1
printf 'a\nb\n' >names.txt
check_error "names of something else" 1 "'names.txt' has 2 lines: expected a name for each of 12 examples" \
    dmstore top small.dms main --target 1 --names names.txt -o never.csv
check_output "leaves no file" "" find . -name 'never*'
check_error "JSON and CSV at once" 2 "cannot both be printed" dmstore top small.dms main --target 1 --json -o -
check_error "a table as .npy" 2 "is a table, as CSV" dmstore top small.dms main --target 1 -o never.npy
done_testing
