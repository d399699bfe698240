#!/usr/bin/env bash
# What a principal component means is seen by removing its examples (Ilyas et al. 2022, Appendix J): of components of the
# datamodels of digits, the examples at the upper and lower end are planned to be removed, models are really retrained without
# them, and the targets whose outputs change are those that the datamodels predict, and that lie at that end of the component.
. "$(dirname "$0")/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/digits_run.sh"
digits_run

check "components are kept as a fit" dmstore embed digits.dms knn --pca 3 --name parts -o z.npy --components c.npy
dmstore export-fit digits.dms knn -o knn >/dev/null

# ---- the ends of components ------------------------------------------------------------------------------------------------

check "the upper end" dmstore top digits.dms parts --target all -k 12 --json
cp "$stdout_file" top.json
check "the lower end" dmstore top digits.dms parts --target 1 -k 12 --negative --json
cp "$stdout_file" negative.json
check_python "top and bottom examples of a component come out of its weights" <<'PYTHON'
import json
c = np.load("c.npy")
top, negative = json.load(open("top.json"))["targets"], json.load(open("negative.json"))["targets"]
assert [t["target"] for t in top] == [0, 1, 2]
for component, target in enumerate(top):
    wanted = np.argsort(-c[component], kind="stable")[:12]
    assert [e["example"] for e in target["examples"]] == wanted.tolist()
    assert [e["weight"] for e in target["examples"]] == c[component, wanted].tolist()
assert [e["example"] for e in negative[0]["examples"]] == np.argsort(c[1], kind="stable")[:12].tolist()
PYTHON

# ---- removal ---------------------------------------------------------------------------------------------------------------

dmstore create runs.dms --examples 1400 --output test_margins:397:f16 --scalar accuracy:f32
remove="--remove top:40 --remove bottom:40 --remove random:40"
for component in 0 1 2; do
    first=$((100000 + 100 * component))
    ids=$first:$((first + 8)) # two models of all examples, and two of each set
    check "plan to remove examples of component $component" dmstore counterfactual digits.dms knn --target all \
        --by parts:$component $remove --plan plan$component --repeats 2 --first-id $first
    check "retrain" "$digits" train runs.dms --data digits.csv --masks plan$component/masks.npy --first-id $first --ids $ids
    check "compare" dmstore counterfactual digits.dms knn --target all --by parts:$component $remove --actual runs.dms --json
    cp "$stdout_file" removal$component.json
done
check_python "the examples that go are those at the ends of the component" <<'PYTHON'
c = np.load("c.npy")
for component in range(3):
    masks = np.load(f"plan{component}/masks.npy")
    top, bottom = (np.argsort(sign * c[component], kind="stable")[:40] for sign in (-1, 1))
    assert len(masks) == 8 and masks[:2].all() and (masks[2::2] == masks[3::2]).all()
    assert {tuple(np.flatnonzero(~mask)) for mask in masks[2:]} >= {tuple(np.sort(top)), tuple(np.sort(bottom))}
PYTHON
check_python "outputs change as predicted, most for targets at that end" <<'PYTHON'
import json
w, z, c = np.load("knn/weight.npy").astype(float), np.load("z.npy"), np.load("c.npy")
for component in range(3):
    report = json.load(open(f"removal{component}.json"))
    assert report["by"] == {"fit": "parts", "target": component}
    fall = {} # of the ten targets at that end, beside the others
    for kind, sign in (("top", -1), ("bottom", 1)):
        pairs = [p for p in report["pairs"] if p["kind"] == kind]
        assert [p["target"] for p in pairs] == list(range(60))
        removed = np.argsort(sign * c[component], kind="stable")[:40]
        predicted, actual = (np.array([p[name] for p in pairs]) for name in ("predicted", "actual"))
        assert np.allclose(predicted, -w[removed].sum(axis=0), atol=1e-5)
        assert np.corrcoef(predicted, actual)[0, 1] > 0.8, (component, kind, np.corrcoef(predicted, actual)[0, 1])
        end = np.argsort(sign * z[:, component])[:10]
        fall[kind] = np.delete(actual, end).mean() - actual[end].mean()
    spread = {k["kind"]: np.std([p["actual"] for p in report["pairs"] if p["kind"] == k["kind"]]) for k in report["kinds"]}
    assert min(spread["top"], spread["bottom"]) > 2 * spread["random"], spread
    assert min(fall["top"], fall["bottom"]) > 2 * spread["random"], (component, fall, spread)
PYTHON
check_error "components have no outputs to change" 1 "fit 'parts' holds principal components" \
    dmstore counterfactual digits.dms parts --target 0
check_error "nor to predict" 1 "they predict no output" dmstore predict digits.dms parts --keep-all
done_testing
