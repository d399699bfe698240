# Fits on the processor and on a CUDA device, compared: sourced after tap.sh and numpy.sh by the tests of --device cuda.

# make_store STORE: 360 models of 48 examples with planted weights of 20 targets in `y`, targets that are the examples in
# `seen`, and logits of two classes in `logits`.
make_store() {
    python <<'PYTHON' || return
random = np.random.default_rng(3)
models, examples, targets = 360, 48, 20
masks = np.argsort(random.random((models, examples)), axis=1) < examples // 2
def outputs(targets):
    weights = np.zeros((examples, targets))
    for target in range(targets):
        weights[random.choice(examples, 4, replace=False), target] = random.uniform(0.5, 2, 4)
    return masks @ weights + random.normal(size=(models, targets)) * 0.3
np.save("masks.npy", masks)
np.save("y.npy", outputs(targets).astype(np.float16))
seen = outputs(examples) + 2 * masks
seen[random.random(seen.shape) < 0.01] = np.nan
np.save("seen.npy", seen.astype(np.float32))
logits = outputs(6)
np.save("logits.npy", np.stack([logits - logits.mean(), np.zeros_like(logits)], axis=2).astype(np.float16))
np.save("labels.npy", np.array([0, 1, 0, 1, 0, 1]))
PYTHON
    dmstore create "$1" --examples 48 --output y:20:f16 --output seen:48:f32 --output logits:6x2:f16 --chunk-rows 64 \
        >"$stdout_file" &&
        dmstore ingest "$1" --masks masks.npy --output y=y.npy --output seen=seen.npy --output logits=logits.npy \
            >"$stdout_file" 2>"$stderr_file"
}

# fit_on DEVICE STORE NAME OPTION...: a fit by saga, the solver that runs on both, whose weights are then in NAME/. Its path
# has $lambda_ct lambdas.
lambda_ct=4
fit_on() {
    dmstore fit "$2" --name "$3" --solver saga --device "$1" --holdout 30 --validation 40 --lambdas $lambda_ct --lambda-min-ratio 0.02 "${@:4}" &&
        rm -rf "$3" && dmstore export-fit "$2" "$3" -o "$3" >/dev/null
}

# check_both DESCRIPTION STORE NAME OPTION...: the same lambdas, all certified, and weights as near as the gaps leave open.
check_both() {
    check "$1: on the processor" fit_on cpu "$2" "$3-cpu" "${@:4}"
    check "$1: on the device" fit_on cuda "$2" "$3-cuda" "${@:4}"
    check_python "$1: they agree" "$3-cpu" "$3-cuda" <<'PYTHON'
one, other = [{name: np.load(f"{fit}/{name}.npy").astype(float) for name in ("weight", "bias", "lam", "gap")}
              for fit in sys.argv[1:3]]
assert np.allclose(one["lam"], other["lam"], rtol=1e-9), (one["lam"], other["lam"])
assert np.abs(one["weight"] - other["weight"]).max() < 0.02, np.abs(one["weight"] - other["weight"]).max()
assert np.abs(one["bias"] - other["bias"]).max() < 0.05, np.abs(one["bias"] - other["bias"]).max()
assert np.abs(one["weight"]).max() > 0.3
PYTHON
}

# fit_digits DEVICE TARGETS LAMBDAS OPTION...: a fit on the run of digits_run.sh, weights in digits-DEVICE/.
fit_digits() {
    dmstore fit digits.dms --output test_margins --name "digits-$1" --device "$1" --targets "$2" --lambdas "$3" \
        --lambda-min-ratio 0.01 --holdout 400 --validation 400 --tol 1e-6 "${@:4}" &&
        rm -rf "digits-$1" && dmstore export-fit digits.dms "digits-$1" -o "digits-$1" >/dev/null
}

# check_digits TARGETS LAMBDAS: both devices choose the same lambdas, and their predictions are no farther apart than their
# certificates allow: a relative gap g leaves a root mean square distance of sqrt(g) standard deviations of the outputs to
# the predictions of the optimum.
check_digits() {
    check "digits: on the processor" fit_digits cpu "$1" "$2"
    check "digits: on the device" fit_digits cuda "$1" "$2"
    check "digits: what they were fitted to" dmstore export digits.dms --masks digit-masks.npy \
        --output test_margins=digit-margins.npy
    check_python "digits: they agree" <<'PYTHON'
one, other = [{name: np.load(f"digits-{device}/{name}.npy").astype(float)
               for name in ("weight", "bias", "lam", "gap", "targets")} for device in ("cpu", "cuda")]
masks, margins = np.load("digit-masks.npy")[:3600], np.load("digit-margins.npy")[:3600].astype(float)
deviations = margins[:, one["targets"].astype(int)].std(axis=0)
assert max(one["gap"].max(), other["gap"].max()) <= 1e-6, (one["gap"], other["gap"])
same = np.isclose(one["lam"], other["lam"], rtol=1e-6)
# Two lambdas with the same validation error but for rounding may be chosen either way.
assert same.mean() >= 0.95, (one["lam"], other["lam"])
distances = masks @ (one["weight"] - other["weight"]) + one["bias"] - other["bias"]
distances = np.sqrt((distances ** 2).mean(axis=0)) / deviations
allowed = np.sqrt(one["gap"]) + np.sqrt(other["gap"]) + 1e-6
assert (distances <= allowed)[same].all(), (distances, allowed)
assert ((one["weight"] != 0).sum(axis=0) > 3).all()
PYTHON
}

# make_pairs_store STORE EXAMPLES MODELS: masks of unequal rates, examples in no model and in all of them.
make_pairs_store() {
    python "$2" "$3" <<'PYTHON' || return
examples, models = int(sys.argv[1]), int(sys.argv[2])
random = np.random.default_rng(11)
masks = random.random((models, examples)) < np.where(np.arange(examples) % 3 == 0, 0.95, 0.3)
masks[:, 7] = False
masks[:, 8] = True
np.save("pair-masks.npy", masks)
np.save("pair-outputs.npy", np.zeros((models, 1), np.float32))
PYTHON
    dmstore create "$1" --examples "$2" --output y:1:f32 --chunk-rows 64 >"$stdout_file" &&
        dmstore ingest "$1" --masks pair-masks.npy --output y=pair-outputs.npy >"$stdout_file" 2>"$stderr_file"
}

# check_same_pairs STORE: pairs that the processor counts, and a device, at once and added to those of the first half of the
# models, are files of the same bytes. Leaves the device's file in the store, and the processor's in cpu.pairs.
check_same_pairs() {
    local half
    half=$(python <<<'print(len(np.load("pair-masks.npy")) // 2)')
    check "pairs: on the processor" dmstore gram "$1" --validation 0
    cp "$1"/gram/*.pairs cpu.pairs
    dmstore gram "$1" --remove >"$stdout_file"
    check "pairs: the first half on the device" dmstore gram "$1" --validation 0 --rows-used "$half" --device cuda
    check "pairs: the others" dmstore gram "$1" --validation 0 --device cuda
    check_printed "pairs: are added to them" "added on cuda"
    check "pairs: for the same bytes" cmp "$1"/gram/*.pairs cpu.pairs
    dmstore gram "$1" --remove >"$stdout_file"
    check "pairs: all of them on the device" dmstore gram "$1" --validation 0 --device cuda -o pairs.npy
    check_printed "pairs: it says so" "counted on cuda: "
    check "pairs: they are the same bytes" cmp "$1"/gram/*.pairs cpu.pairs
    # Sums in float are exact below 2^24.
    check_python "pairs: and what NumPy counts" <<'PYTHON'
masks = np.load("pair-masks.npy").astype(np.float32)
assert (np.load("pairs.npy") == masks.T @ masks).all()
PYTHON
}
