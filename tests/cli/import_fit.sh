#!/usr/bin/env bash
# `dmstore import-fit`: what export-fit wrote comes back as the same numbers; weights of any other method are taken in, dense or
# sparse, and scored on the models of another fit; without a bias only LDS is scored; what is no matrix of weights is refused.
. "$(dirname "$0")/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"

# 300 models of 30 examples, 5 targets: 2 is constant, 3 has values that are not finite. A square column, and logits.
check_python "models" <<'PYTHON'
random = np.random.default_rng(7)
masks = np.argsort(random.random((300, 30)), axis=1) < 15
weights = random.normal(size=(30, 5)) * (random.random((30, 5)) < 0.4)
y = masks @ weights + random.normal(size=(300, 5)) / 2 + 1
y[:, 2], y[::9, 3] = 1.25, np.nan
np.save("masks.npy", masks)
np.save("y.npy", y.astype(np.float32))
square = masks @ random.normal(size=(30, 30)) + random.normal(size=(300, 30)) + 5 * masks
np.save("square.npy", square.astype(np.float32))
logits = random.normal(size=(300, 4, 3)) + masks[:, :4, None]
np.save("logits.npy", logits.astype(np.float32))
np.save("labels.npy", np.array([0, 2, 1, 1]))
np.save("wrong.npy", np.array([0, 2, 1, 0]))
PYTHON
dmstore create run.dms --examples 30 --output y:5:f32 --output square:30:f32 --output logits:4x3:f32 --chunk-rows 64 >/dev/null
check "are taken in" dmstore ingest run.dms --masks masks.npy --output y=y.npy --output square=square.npy \
    --output logits=logits.npy
check "a fit" dmstore fit run.dms --name main --output y --holdout 60 --validation 40 --lambdas 30
check "dense" dmstore export-fit run.dms main -o dense
check "sparse" dmstore export-fit run.dms main -o sparse --sparse

import() { # NAME OPTION...
    check "import $1" dmstore import-fit run.dms --name "$1" "${@:2}"
}

# ---- there and back --------------------------------------------------------------------------------------------------------

import back --like main --from sparse
check_printed "says what was taken in" "fit back, 5 targets of y with"
dmstore export-fit run.dms back -o back --sparse >/dev/null
for file in indptr indices data bias targets; do
    check_same "sparse $file comes back" sparse/$file.npy back/$file.npy
done
import dense --like main --from dense
dmstore export-fit run.dms dense -o dense-back >/dev/null
for file in weight bias targets; do
    check_same "dense $file comes back" dense/$file.npy dense-back/$file.npy
done
check "both are scored" dmstore eval run.dms main back --json
cp "$stdout_file" both.json
check_python "alike, R^2 too" <<'PYTHON'
import json
main, back = json.load(open("both.json"))["fits"]
assert main["targets"] == back["targets"] and main["mean"] == back["mean"] and main["mean"]["r2"] > 0.3
assert main["method"] == "lasso" and back["method"] == "import" and back["without_bias"] == 0
PYTHON
check "the same again" dmstore import-fit run.dms --name back --like main --from sparse --json
check_printed "adds nothing" '"added": 0'
check_error "other numbers under the name" 1 "under another name, or remove the fit" \
    dmstore import-fit run.dms --name back --like main --from dense --scale 3
check_error "other models under the name" 1 "take another --name" \
    dmstore import-fit run.dms --name back --output y --from sparse --holdout 59
dmstore snapshot run.dms -o run.manifest >/dev/null
check_error "a manifest is refused before its files are read" 1 "'run.manifest' is not a store" \
    dmstore import-fit run.manifest --name x --like main --weight none.npy
check "fits tells" dmstore fits run.dms back
check_printed "the method" "method = import"
check_printed "where it came from" "data = sparse/data.npy"
check_printed "the models of the other fit" "held out        60 models, ids 240-299"

# ---- other methods ---------------------------------------------------------------------------------------------------------

check_python "weights of a method that measures removal, a row a target" <<'PYTHON'
weight, bias = np.load("dense/weight.npy"), np.load("dense/bias.npy")
np.save("removal.npy", -weight.T[[3, 0, 4]] / 4)
np.save("picked.npy", np.array([3, 0, 4]))
np.save("halves.npy", np.ascontiguousarray(weight[:, [3, 0, 4]] / 4).astype(np.float16))
np.save("fortran.npy", np.asfortranarray(weight))
PYTHON
import removal --output y --weight removal.npy --transposed --targets-file picked.npy --scale 4 --negate --holdout 60 \
    --source "ours, version 3"
check_printed "has no bias" "without a bias: only LDS is scored"
dmstore export-fit run.dms removal -o removal >/dev/null
check_python "the weights are turned round, in the order of targets" <<'PYTHON'
assert list(np.load("removal/targets.npy")) == [0, 3, 4] and np.isnan(np.load("removal/bias.npy")).all()
assert np.allclose(np.load("removal/weight.npy"), np.load("dense/weight.npy")[:, [0, 3, 4]], rtol=1e-6, atol=0)
PYTHON
dmstore fits run.dms removal >"$stdout_file"
check_printed "its source is kept" "source = ours, version 3"
check "it is scored beside the fit" dmstore eval run.dms main removal --json
cp "$stdout_file" removal.json
check_python "by LDS alone" <<'PYTHON'
import json
report = json.load(open("removal.json"))
main, removal = report["fits"]
assert [t["target"] for t in removal["targets"]] == [0, 3, 4] and removal["without_bias"] == 3 and report["rows"] == 60
for a, b in zip(main["targets"], removal["targets"]):
    assert abs(a["lds"] - b["lds"]) < 1e-3 and a["rows"] == b["rows"]
    assert all(b[name] is None and a[name] is not None for name in ("pearson", "mse", "r2", "auc")), b
assert removal["defined"]["lds"] == 3 and removal["defined"]["mse"] == 0 and removal["mean"]["lds_low"] is not None
assert report["differences"][0]["lds_high"] is not None
PYTHON
check "the table" dmstore eval run.dms removal main
check_line "has the methods" "method import lasso"
check_printed "and says why" "3 targets of removal without a bias: only LDS is scored"
check_output "AUC is no matter of classes" 0 bash -c 'grep -c "one class" "$0"; true' "$stdout_file"
import again --like main --from removal
check_printed "what has no bias comes back without" "3 targets without a bias"
python <<'PYTHON'
bias = np.load("sparse/bias.npy")
bias[1] = np.nan
np.save("some_bias.npy", bias)
PYTHON
import partly --like main --from sparse --bias some_bias.npy
check "one target has no bias" dmstore eval run.dms partly main --json
cp "$stdout_file" partly.json
check_python "only that one has no error" <<'PYTHON'
import json
partly, main = json.load(open("partly.json"))["fits"]
assert partly["without_bias"] == 1 and partly["defined"]["mse"] == 3 and main["defined"]["mse"] == 4
assert partly["targets"][1]["mse"] is None and partly["targets"][1]["lds"] == main["targets"][1]["lds"]
PYTHON
import above --output y --weight dense/weight.npy --threshold 1.5 --holdout 60
check "of a number above a threshold" dmstore eval run.dms above --bootstrap 0
check_printed "says which" "whether y is above 1.5: 5 targets on 60 held-out models"
check_error "with another transform" 2 "is about correctness" \
    dmstore import-fit run.dms --name x --output y --weight dense/weight.npy --threshold 1 --transform margin
check_error "a threshold beside another fit" 2 "cannot be given with it" \
    dmstore import-fit run.dms --name x --like main --weight dense/weight.npy --threshold 1
check_python "biases that are large beside the weights" <<'PYTHON'
np.save("large_bias.npy", np.full(5, 7.3))
PYTHON
import tiny --like main --from dense --scale 1e-300
import huge --like main --from dense --scale 1e300
import slight --like main --from dense --scale 1e-10 --bias large_bias.npy
check "any scale is scored" dmstore eval run.dms main tiny huge slight --json --bootstrap 0
cp "$stdout_file" scales.json
check_python "by the same ranks" <<'PYTHON'
import json
main, tiny, huge, slight = json.load(open("scales.json"))["fits"]
outputs = np.load("y.npy").astype(float)[240:]
for one, *others in zip(main["targets"], tiny["targets"], huge["targets"], slight["targets"]):
    assert one["lds"] is None or one["lds"] > 0.3
    for other in others:
        assert one["lds"] == other["lds"] or abs(one["lds"] - other["lds"]) < 1e-3, (one, other)
    if one["lds"] is not None:
        y = outputs[:, one["target"]]
        assert abs(one["pearson"] - others[2]["pearson"]) < 1e-5 and abs(one["auc"] - others[2]["auc"]) < 1e-3
        assert abs(others[2]["mse"] / np.nanmean((y - 7.3) ** 2) - 1) < 1e-6
PYTHON
import halves --output y --weight halves.npy --targets-file picked.npy --scale 4
check "integers are weights, too" python <<'PYTHON'
np.save("ones.npy", np.ones((30, 5), np.int8))
PYTHON
import ones --output y --weight ones.npy --holdout 60 --validation 40
dmstore fits run.dms ones --json >ones.json
dmstore fits run.dms ones --targets 0:5 >ones.txt
check_python "means are those of the models that are not held out" <<'PYTHON'
import json
ones = json.load(open("ones.json"))
assert (ones["training"], ones["validation"], ones["held_out"]) == (200, 40, 60)
assert ones["method"] == "import" and ones["certified"] == 0
y = np.load("y.npy").astype(float)[:240]
for line in open("ones.txt").read().splitlines()[-5:]:
    target, deviance, rows = (line.split()[i] for i in (0, 6, 7))
    used = y[np.isfinite(y[:, int(target)]), int(target)]
    assert int(rows) == len(used) and abs(float(deviance) - used.var() / 2) < 1e-5 * (1 + used.var()), line
PYTHON

# ---- what is predicted -----------------------------------------------------------------------------------------------------

check_python "a square matrix" <<'PYTHON'
np.save("square_weight.npy", np.random.default_rng(1).normal(size=(30, 30)))
PYTHON
import square --output square --weight square_weight.npy --exclude-self --holdout 60
dmstore export-fit run.dms square -o square >/dev/null
import turned --output square --weight square_weight.npy --transposed --holdout 60
dmstore export-fit run.dms turned -o turned >/dev/null
check_python "is taken as it is said to be" <<'PYTHON'
weight = np.load("square_weight.npy").astype(np.float32)
assert (np.load("square/weight.npy") == weight).all() and (np.load("turned/weight.npy") == weight.T).all()
PYTHON
dmstore fits run.dms square --targets 0:30 >square.txt
check_python "models that have seen the target do not count" <<'PYTHON'
masks, y = np.load("masks.npy")[:240], np.load("square.npy").astype(float)[:240]
for line in open("square.txt").read().splitlines()[-30:]:
    target, deviance, rows = (line.split()[i] for i in (0, 6, 7))
    used = y[~masks[:, int(target)], int(target)]
    assert int(rows) == len(used) and abs(float(deviance) - used.var() / 2) < 1e-5 * used.var(), line
PYTHON
python <<'PYTHON'
np.save("four.npy", np.random.default_rng(2).normal(size=(30, 4)))
PYTHON
check_error "logits need a transform" 1 "values for each target" \
    dmstore import-fit run.dms --name logits --output logits --weight four.npy
import logits --output logits --weight four.npy --transform margin --labels labels.npy --holdout 60
import logits2 --like logits --labels labels.npy --weight four.npy --scale 2
check_error "another fit's labels must be given" 1 "(--labels)" \
    dmstore import-fit run.dms --name logits3 --like logits --weight four.npy
check_error "and be those" 1 "another file of labels" \
    dmstore import-fit run.dms --name logits3 --like logits --weight four.npy --labels wrong.npy
check "they are scored" dmstore eval run.dms logits logits2 --labels labels.npy
check_printed "on margins" "margins of logits: 4 targets on 60 held-out models"

# ---- refusals --------------------------------------------------------------------------------------------------------------

check_python "files that are wrong" <<'PYTHON'
weight = np.load("dense/weight.npy")
for name, at, value in (("nan", (7, 3), np.nan), ("inf", (29, 4), -np.inf)):
    wrong = weight.copy()
    wrong[at] = value
    np.save(name + ".npy", wrong)
np.save("huge.npy", np.full((30, 5), 1e300))
np.save("short.npy", weight[:29])
np.save("few.npy", weight[:, :4])
np.save("flat.npy", weight.ravel())
np.save("inf_bias.npy", np.array([0, 1, np.inf, 2, 3]))
np.save("few_bias.npy", np.zeros(4))
np.save("twice.npy", np.array([0, 1, 2, 3, 3]))
indptr, indices, data = (np.load(f"sparse/{name}.npy") for name in ("indptr", "indices", "data"))
np.save("down.npy", np.r_[indptr[:-2], indptr[-1] + 1, indptr[-1]])
np.save("short_indptr.npy", np.r_[indptr[:-1], indptr[-1] - 1])
big, double = indices.copy(), indices.copy()
big[0], double[1] = 30, double[0]
np.save("big.npy", big)
np.save("double.npy", double)
order = np.r_[np.arange(indptr[1])[::-1], np.arange(indptr[1], len(data))]
np.save("unsorted.npy", indices[order])
np.save("unsorted_data.npy", data[order])
PYTHON
refuse() { # DESCRIPTION TEXT OPTION...
    check_error "$1" 1 "$2" dmstore import-fit run.dms --name wrong --output y "${@:3}"
}
refuse "NaN" "'nan.npy': the weight of example 7 for target 3 of the file is nan" --weight nan.npy
refuse "infinity" "'inf.npy': the weight of example 29 for target 4 of the file is -inf" --weight inf.npy
refuse "a product that is too large" "too large when it is multiplied by 1e+10" --weight huge.npy --scale 1e10
refuse "an example too few" "one row for each of 30 examples" --weight short.npy
refuse "the other way round" "with --transposed" --weight removal.npy
refuse "one dimension" "numbers of 2 dimensions" --weight flat.npy
refuse "a target too few" "4 targets, and column y has 5: say which they are (--targets-file)" --weight few.npy
refuse "Fortran order" "Fortran" --weight fortran.npy
refuse "a bias that is not finite" "bias 2 is infinite" --weight dense/weight.npy --bias inf_bias.npy
refuse "biases of other targets" "4 biases" --weight dense/weight.npy --bias few_bias.npy
refuse "a target twice" "3" --weight dense/weight.npy --targets-file twice.npy
refuse "a list of other targets" "lists 3 targets" --weight dense/weight.npy --targets-file picked.npy
refuse "a file that is not there" "cannot open 'no.npy'" --weight no.npy
refuse "columns that end before they begin" "they must increase" --indptr down.npy --indices sparse/indices.npy --data sparse/data.npy
refuse "weights that no target has" "there are" --indptr short_indptr.npy --indices sparse/indices.npy --data sparse/data.npy
refuse "an example out of range" "has example 30: examples are 0 to 29" \
    --indptr sparse/indptr.npy --indices big.npy --data sparse/data.npy
refuse "an example twice" "twice" --indptr sparse/indptr.npy --indices double.npy --data sparse/data.npy
refuse "another matrix" "belong to other matrices" --indptr sparse/indptr.npy --indices sparse/indices.npy --data sparse/bias.npy
refuse "an empty directory" "has neither weight.npy" --from .
cp dense/weight.npy sparse/
refuse "a directory with both" "name those that are meant" --from sparse
refuse "all models held out" "no models are left" --weight dense/weight.npy --holdout 300
check_error "a column that is not there" 1 "there is no output column 'no'" \
    dmstore import-fit run.dms --name wrong --output no --weight dense/weight.npy
check_error "another fit's column" 1 "fit main predicts column y, not square" \
    dmstore import-fit run.dms --name wrong --output square --like main --weight square_weight.npy
check_output "nothing of all that is stored" 0 bash -c '"$0" fits run.dms | grep -c wrong; true' "$DMSTORE"
import unsorted --like main --indptr sparse/indptr.npy --indices unsorted.npy --data unsorted_data.npy --bias sparse/bias.npy
dmstore export-fit run.dms unsorted -o unsorted --sparse >/dev/null
check_same "examples in another order are sorted" sparse/data.npy unsorted/data.npy

check "components" dmstore embed run.dms main --pca 2 --name parts
check_error "are nothing to be scored like" 1 "has principal components of datamodels" \
    dmstore import-fit run.dms --name x --like parts --weight dense/weight.npy

check_error "no name" 2 "--name is missing" dmstore import-fit run.dms --output y --weight dense/weight.npy
check_error "no column" 2 "--output is missing" dmstore import-fit run.dms --name x --weight dense/weight.npy
check_error "no weights" 2 "the weights are missing" dmstore import-fit run.dms --name x --output y
check_error "two kinds" 2 "in place of" dmstore import-fit run.dms --name x --output y --weight a --data b
check_error "half of a sparse matrix" 2 "belong together" dmstore import-fit run.dms --name x --output y --data b
check_error "a scale of 0" 2 "--scale is 0" dmstore import-fit run.dms --name x --output y --weight a --scale 0
check_error "models of two kinds" 2 "--like takes the models" \
    dmstore import-fit run.dms --name x --like main --weight a --holdout 3
done_testing
