#!/usr/bin/env bash
# Planted datamodels come back through the whole command line: masks are drawn by dmstore sample, outputs are sparse linear
# functions of them with heavy-tailed weights and noise, rounded to float16; the fit has to find which examples
# were planted and what they weigh.
source "$(dirname "$0")/tap.sh"
source "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"

# plant ALPHA: a store runs.dms of 6,000 models trained on that fraction of 300 examples, with 40 targets whose weights are
# in planted.npy (40, 300), and models 6,000 .. 6,999 that no fit sees. Weights have the tails of Student's t with 3 degrees of
# freedom; the noise has the variance of the linear part (R^2 = 0.5).
plant() {
    rm -rf runs.dms fit
    dmstore sample --examples 300 --alpha "$1" --seed 3 --count 7000 -o masks.npy &&
        draw_margins &&
        dmstore create runs.dms --examples 300 --output margins:40:f16 &&
        dmstore ingest runs.dms --masks masks.npy --output margins=margins.npy
}

draw_margins() {
    python <<'END'
rng = np.random.default_rng(1)
masks = np.load("masks.npy")
weights = np.zeros((40, 300))
for target in range(40):
    weights[target, rng.choice(300, 12, replace=False)] = rng.standard_t(3, 12)
signal = masks @ weights.T
noise = rng.standard_normal(signal.shape) * signal.std(axis=0)
np.save("planted.npy", weights)
np.save("margins.npy", (2 + signal + noise).astype(np.float16))
END
}

# The lasso at the lambda that predicts best keeps a tail of small weights that were not planted; and planted weights may be
# too small for 6,000 models. So support is judged above five standard errors of a weight.
for alpha in 0.5 0.2; do
    check "models on $alpha of the examples are stored" plant "$alpha"
    check "and fitted" dmstore fit runs.dms --output margins --name planted --holdout 1000 --validation 1000
    check "the fit is exported" dmstore export-fit runs.dms planted -o fit
    check_python "planted weights are found: all large ones, no false ones, correlation above 0.98" <<'END'
planted = np.load("planted.npy")
found = np.load("fit/weight.npy").T
assert found.shape == planted.shape, found.shape
assert np.array_equal(np.load("fit/targets.npy"), np.arange(40))
correlations, missed, false = [], 0, 0
for p, f in zip(planted, found):
    correlations.append(np.corrcoef(p, f)[0, 1])
    # The standard error of a weight is that of the noise, |p| sqrt(alpha (1 - alpha)), over sqrt(m alpha (1 - alpha)).
    error = np.linalg.norm(p) / np.sqrt(6000)
    missed += np.sum((np.abs(p) > 5 * error) & (f == 0))
    false += np.sum((p == 0) & (np.abs(f) > 5 * error))
print("correlation: mean %.4f, smallest %.4f; missed %d, false %d" % (np.mean(correlations), min(correlations), missed, false))
assert min(correlations) > 0.98 and missed == 0 and false == 0
END
    sed 's/^/# /' "$stdout_file"
    check_python "and predict held-out models as well as the planted ones do" <<'END'
masks, margins = np.load("masks.npy")[6000:], np.load("margins.npy")[6000:].astype(float)
predicted = masks @ np.load("fit/weight.npy").astype(float) + np.load("fit/bias.npy")
planted = masks @ np.load("planted.npy").T
def r2(p):
    return np.mean([np.corrcoef(p[:, t], margins[:, t])[0, 1] ** 2 for t in range(40)])
print("R^2: found %.4f, planted %.4f" % (r2(predicted), r2(planted)))
assert r2(predicted) > r2(planted) - 0.01
END
    sed 's/^/# /' "$stdout_file"
done
done_testing
