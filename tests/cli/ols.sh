#!/usr/bin/env bash
# `dmstore fit --solver ridge` and `dmstore ols` on the command line: what may be asked for, what is said before the work, how
# jobs join, stop and go on, and that other commands take what they make. What the numbers are: ridge.sh.
source "$(dirname "$0")/tap.sh"
source "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"
source "$DMSTORE_SOURCE_DIR/tests/cli/digits_run.sh"
export OPENBLAS_NUM_THREADS=1

check_python "models" <<'PYTHON'
rng = np.random.default_rng(3)
masks = np.argsort(rng.random((400, 80)), axis=1) < 40
weights = rng.normal(size=(80, 80)) * (rng.random((80, 80)) < 0.2)
np.save("masks.npy", masks)
np.save("y.npy", (masks @ weights + rng.normal(size=(400, 80))).astype(np.float32))
holes = np.load("y.npy")
holes[rng.random(holes.shape) < 0.01] = np.nan
np.save("holes.npy", holes[:, :20])
np.save("self.npy", np.arange(80) // 2)
np.save("lambdas.npy", np.array([1, 0.1, 0.01]))
np.save("zero.npy", np.array([1, 0.1, 0]))
PYTHON
dmstore create base --examples 80 --output y:80:f32 --output holes:20:f32
check "in a store" dmstore ingest base --masks masks.npy --output y=y.npy --output holes=holes.npy

ridge() { # NAME OPTION...
    dmstore fit base --output y --solver ridge --name "$@"
}

# ---- what may be asked for ------------------------------------------------------------------------------------------------

check_error "--lambda is not for LASSO" 2 "--lambda is for --solver ridge" dmstore fit base --output y --name a --lambda 1
for option in "--lambdas 3" "--lambda-min-ratio 0.1" "--lambda-file lambdas.npy"; do
    check_error "--lambda and ${option% *}" 2 "--lambda is in place of" ridge a --lambda 1 $option
done
check_error "a lambda below 0" 2 "--lambda is -1" ridge a --lambda=-1
check_error "a lambda that is no number" 2 "'x' is no number" ridge a --lambda x
check_error "a lambda without end" 2 "--lambda" ridge a --lambda inf
for option in --full-path "--seed 3" "--max-epochs 3"; do
    check_error "${option% *}" 2 "${option% *} has no use with --solver ridge" ridge a $option
done
check_error "lambda 0 on a path" 1 "above 0" ridge a --lambda-file zero.npy
check_error "no model to choose lambda on" 1 "no validation models to choose lambda on" ridge a --validation 0
check_output "nothing was begun" 1 bash -c "'$DMSTORE' fits base | wc -l" # the heading
for option in "--lambda 1" "--solver ridge" "--lambdas 3" --no-standardize "--seed 1" "--device cpu"; do
    check_error "ols has no ${option% *}" 2 "${option% *}" dmstore ols base --output y --name a $option
done

# ---- what is said before the work -----------------------------------------------------------------------------------------

check "a fit" ridge plain --lambda 0.1 --targets 0:40 --holdout 50 --validation 50
check_printed "matrices, operations and memory are told before" "1 of 80 x 80, Cholesky factors: about 1.7e+05 operations"
check_line "and where it is in the end" "stored 40 targets in base"
check "every target with a matrix of its own" ridge own --lambda 0 --targets 0:30 --exclude-self
check_printed "is told, too" "30 of 80 x 80, eigenvectors: about 1.4e+08 operations"
check "targets that are the same example" ridge mapped --self self.npy --lambda 1
check_printed "share their matrix" "40 of 80 x 80, Cholesky factors"
check_error "too little memory" 1 "a matrix of 80 x 80 numbers" ridge small --lambda 1 --memory 40K
check_error "and for eigenvectors" 1 "three matrices of 80 x 80 numbers" dmstore ols base --output y --name small --memory 40K
check_error "the fit was not begun" 1 "no fit" dmstore fits base small
check_error "nothing is kept of a lambda that is too small" 1 "lambda 1e-300 is too small" ridge tiny --lambda 1e-300

# ---- jobs -----------------------------------------------------------------------------------------------------------------

check "another job joins" ridge plain --lambda 0.1 --targets 40:
check_error "targets that are there" 1 "already" ridge plain --lambda 0.1 --targets 3:5
check_error "not with another lambda" 1 "lambda" ridge plain --lambda 0.2 --targets 40:
check_error "not with a path" 1 "lambda" ridge plain --targets 40:
check_error "and no LASSO" 1 "cannot join" dmstore fit base --output y --name plain --targets 40:
check "all at once" ridge once --lambda 0.1 --holdout 50 --validation 50 --json
cp "$stdout_file" summary.json
check_python "the summary as JSON" <<'PYTHON'
import json
summary = json.load(open("summary.json"))
assert summary["targets"] == summary["certified_targets"] == 80 and summary["pairs"] == 0, summary
assert 0 < summary["worst_gap"] < 1e-14 and summary["median_weights"] == 80 and summary["training"] == 300, summary
PYTHON
for fit in plain once; do
    check "export" dmstore export-fit base $fit -o $fit
done
check_python "gives the same to the last digits" <<'PYTHON'
a, b = np.load("plain/weight.npy"), np.load("once/weight.npy")
assert np.abs(a - b).max() < 1e-6 * np.abs(a).max()
PYTHON
check "ols" dmstore ols base --output y --name least --targets 0:40
check "is ridge with lambda 0" ridge least --lambda 0 --targets 40: --no-standardize
check_output "and says so" "lambda = 0, method = ridge" bash -c "'$DMSTORE' fits base least --json |
    '$PYTHON' -c 'import json, sys; p = json.load(sys.stdin)[\"problem\"]
print(\", \".join(f\"{k} = {p[k]}\" for k in (\"lambda\", \"method\")), *(k for k in (\"solver\", \"standardize\") if k in p))'"

for options in "y --lambda 0.1" "y --lambdas 20 --exclude-self" "holes --lambda 0" "holes --lambdas 20"; do
    for threads in 1 3; do
        check "--output $options with $threads threads" dmstore fit base --solver ridge --output $options \
            --name "threads" --threads $threads --log log.$threads
        check "export" dmstore export-fit base threads -o threads.$threads --sparse
        dmstore rm-fit base threads >/dev/null
    done
    check_output "the same bytes" "" bash -c 'for file in threads.1/*.npy; do cmp "$file" threads.3/"${file##*/}"; done'
    rm -r threads.1 threads.3
done

check "a manifest" dmstore snapshot base -o manifest
check "a part of a fit" dmstore fit manifest --output y --solver ridge --lambda 0.1 --name plain2 -o part
check "is taken in" dmstore merge-fits base part

# A checkpoint comes after each block of 64 targets; the log says how far the fit is.
check_status "a fit that is not good enough" 1 ridge hard --exclude-self --lambda 0.1 --tol 1e-40
check_error "needs --resume then" 1 "resume it" ridge hard --exclude-self --lambda 0.1 --tol 1e-40
check "and is stored as it is" ridge hard --exclude-self --lambda 0.1 --tol 1e-40 --resume --allow-uncertified
check_line "with what was found before" "stored 80 targets in base"
check_output "the checkpoint is gone" "" find . -name '*.checkpoint*'

# ---- beside datamodels ----------------------------------------------------------------------------------------------------

digits_run
check "ridge on the digits" dmstore fit digits.dms --output test_margins --name ridge --solver ridge --targets 0:60 \
    --holdout 400 --validation 400 --lambdas 30
check "least squares on them" dmstore ols digits.dms --output test_margins --name ols --targets 0:60 --holdout 400 \
    --validation 400
check "eval" dmstore eval digits.dms knn ridge ols --json
cp "$stdout_file" scores.json
check_python "LASSO is the best, least squares are the worst" <<'PYTHON'
import json
scores = {fit["name"]: fit["mean"] for fit in json.load(open("scores.json"))["fits"]}
print({name: (score["lds"], score["mse"]) for name, score in scores.items()}, file=sys.stderr)
assert scores["knn"]["lds"] > scores["ridge"]["lds"] > scores["ols"]["lds"] > 0.1, scores
assert scores["knn"]["mse"] < scores["ridge"]["mse"] < scores["ols"]["mse"], scores
PYTHON

done_testing
