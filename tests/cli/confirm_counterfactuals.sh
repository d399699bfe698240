#!/usr/bin/env bash
# The example tools/examples/confirm_counterfactuals.sh, with few models, finds what the paper says, and its numbers are those of
# NumPy on what it leaves behind: the correlation of predicted and actual changes, and how many estimates are confirmed.
. "$(dirname "$0")/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"

example=$DMSTORE_SOURCE_DIR/tools/examples/confirm_counterfactuals.sh
if [ ! -x "$DMSTORE_BUILD_DIR/tools/demo/digits" ]; then
    echo "1..0 # SKIP no tools/demo/digits in the build tree"
    exit 0
fi
check "the example runs" bash "$example" --models 1000 --targets 10 --build-dir "$DMSTORE_BUILD_DIR" out
cp "$stdout_file" first.txt
sed 's/^/# /' first.txt

name=ridge-1000-10
dmstore export-fit out/ridge-1000.dms targets-10 -o fit >/dev/null
for part in changes search confirm; do
    dmstore export out/$part-$name.dms --masks $part-masks.npy --output test_margins=$part-outputs.npy >/dev/null
    cp out/$part-$name/plan.csv $part.csv
done
check_python "actual and predicted changes correlate as is printed, and as the paper says" <<'PYTHON'
import csv
import re
weight, bias = np.load("fit/weight.npy").astype(float), np.load("fit/bias.npy")
masks, outputs = np.load("changes-masks.npy"), np.load("changes-outputs.npy").astype(float)
rows = list(csv.DictReader(open("changes.csv")))
control = outputs[[r["kind"] == "control" for r in rows]].mean(axis=0)
sets = [i for i, r in enumerate(rows) if r["kind"] != "control"]
# A set without a target is asked about for all of them.
pairs = [(i, t) for i in sets for t in range(10) if rows[i]["target"] in ("", str(t))]
predicted = [-weight[~masks[i], t].sum() for i, t in pairs]
actual = [outputs[i, t] - control[t] for i, t in pairs]
pearson = np.corrcoef(predicted, actual)[0, 1]
printed = float(re.search(r"Pearson (\S+) \(the paper", open("first.txt").read()).group(1))
assert len(sets) == 120 and abs(pearson - printed) < 2e-4 and pearson > 0.9, (len(sets), pearson, printed)
PYTHON
check_python "as many estimates are confirmed as is printed, nearly all with 1.2 times as many" <<'PYTHON'
import csv
import re
outputs, masks = np.load("confirm-outputs.npy").astype(float), np.load("confirm-masks.npy")
rows = list(csv.DictReader(open("confirm.csv")))
assert all((~mask).sum() == int(row["k"]) for row, mask in zip(rows, masks))
text = open("first.txt").read()
for kind, line in (("confirm", "as many examples as estimated"), ("confirm-conservative", "1.2 times as many")):
    wrong = [outputs[i, int(r["target"])] < 0 for i, r in enumerate(rows) if r["kind"] == kind]
    confirmed, of = map(int, re.search(line + r": (\d+) of (\d+) confirmed", text).groups())
    assert confirmed == sum(wrong) and of == len(wrong) >= 5, (kind, confirmed, of, wrong)
    assert np.mean(wrong) >= (0.8 if kind == "confirm-conservative" else 0.4), (kind, wrong)
PYTHON
check_python "the estimates are where the margins of the search cross 0" <<'PYTHON'
import csv
outputs, rows = np.load("search-outputs.npy").astype(float), list(csv.DictReader(open("search.csv")))
planned = {(r["target"], r["kind"]): int(r["k"]) for r in csv.DictReader(open("confirm.csv"))}
for (target, kind), size in planned.items():
    points = [(0, outputs[0, int(target)])]
    points += [(int(r["k"]), outputs[i, int(target)]) for i, r in enumerate(rows) if r["target"] == target]
    k, y = (np.array(x) for x in zip(*points))
    # Where margins only fall, isotonic regression changes nothing.
    if (np.diff(y) > 0).any():
        continue
    i = np.flatnonzero(y <= 0)[0]
    crossing = np.interp(0, [y[i], y[i - 1]], [k[i], k[i - 1]])
    assert size == np.ceil(crossing * (1.2 if kind == "confirm-conservative" else 1)), (target, kind, size, crossing)
PYTHON

# What is there is used again.
check "it runs again" bash "$example" --models 1000 --targets 10 --build-dir "$DMSTORE_BUILD_DIR" out
cp "$stdout_file" second.txt
check_output "without training" 4 grep -c " 0 trained" second.txt
numbers() {
    grep -v "trained\|^fitting" "$1"
}
check_output "with the same numbers" "$(numbers first.txt)" numbers second.txt
check_error "an unknown option is a usage error" 2 "--targets N" bash "$example" --no-such
done_testing
