"""Holds `dmstore fit --solver ridge` against scikit-learn's Ridge, and least squares against NumPy's lstsq.

    ridge_reference.py DMSTORE DIRECTORY

As sklearn_reference.py, whose rules on which models count for what are used here too. Rows without weight are dropped from
the matrices, columns are standardised here, and the solvers share nothing with dmstore's: singular values of the masks, not
the eigenvalues of a matrix of counts.
"""
import json
import sys

import numpy as np
from sklearn.linear_model import Ridge

from sklearn_reference import TRAINING, VALIDATION, Case, Comparison, Dmstore, Tests, linear_outputs, subsets


class RidgeCase(Case):
    """lam: the lambda of all targets, 0 for least squares; None: chosen on the validation models."""

    def __init__(self, masks, outputs, lam=None, ratio=1e-6, tol=1e-12, **others):
        super().__init__(masks, outputs, ratio=ratio, tol=tol, **others)
        self.lam = lam

    def options(self, dmstore):
        options = [option for option in super().options(dmstore) if option != "--full-path"]
        if self.lam is not None:
            at = next(i for i, option in enumerate(options) if option in ("--lambdas", "--lambda-file"))
            count = 4 if options[at] == "--lambdas" else 2
            options[at:at + count] = ["--lambda", self.lam]
        return ["--solver", "ridge", *options]

    def fitted(self, target):
        """Masks and outputs that the target is fitted to."""
        rows = self.rows(target, *([TRAINING, VALIDATION] if self.refit else [TRAINING]))
        return self.masks[rows].astype(float), self.outputs[rows, target].astype(float)

    def solve(self, x, y, lam):
        """Weights and bias by another implementation."""
        weights = np.zeros(x.shape[1])
        columns = np.flatnonzero(x.max(axis=0) > x.min(axis=0))
        z = x[:, columns] - x[:, columns].mean(axis=0)
        if lam == 0:
            weights[columns] = np.linalg.lstsq(z, y - y.mean(), rcond=1e-10)[0]
        else:
            scales = x[:, columns].std(axis=0) if self.standardize else np.ones(len(columns))
            ridge = Ridge(alpha=len(y) * lam, fit_intercept=True, solver="svd").fit(z / scales, y)
            weights[columns] = ridge.coef_ / scales
        return weights, y.mean() - x.mean(axis=0) @ weights

    def gap(self, x, y, weights, lam):
        """How far the objective is above its minimum, over the null deviance: with gradient g and Hessian H, g'H^-1 g / 2."""
        columns = np.flatnonzero(x.max(axis=0) > x.min(axis=0))
        scales = x[:, columns].std(axis=0) if self.standardize and lam > 0 else np.ones(len(columns))
        z, centred = (x[:, columns] - x[:, columns].mean(axis=0)) / scales, y - y.mean()
        v = weights[columns] * scales
        gradient = z.T @ (z @ v - centred) / len(y) + lam * v
        hessian = z.T @ z / len(y) + lam * np.eye(len(columns))
        return gradient @ np.linalg.pinv(hessian, rcond=1e-10, hermitian=True) @ gradient / 2 / (centred @ centred / (2 * len(y)))

    def path(self, target):
        rows = self.rows(target, TRAINING)
        x, y = self.masks[rows].astype(float), self.outputs[rows, target].astype(float)
        lambdas = self.lambda_list
        if lambdas is None:
            varying = x.max(axis=0) > x.min(axis=0)
            largest = 100 * (1 if self.standardize else x[:, varying].var(axis=0).mean())
            lambdas = largest * np.logspace(0, np.log10(self.ratio), self.lambdas)
        rows = self.rows(target, VALIDATION)
        solutions = [self.solve(x, y, lam) for lam in lambdas]
        return np.asarray(lambdas), np.array([
            np.mean((self.outputs[rows, target].astype(float) - self.masks[rows] @ w - b) ** 2) for w, b in solutions])


class RidgeComparison(Comparison):
    def add(self, case, target, weights, bias, lam, gap):
        self.target_ct += 1
        rows = case.rows(target, TRAINING) if case.lam is None else case.rows(target, TRAINING, *[VALIDATION] * case.refit)
        y = case.outputs[rows, target]
        if len(y) == 0 or y.max() == y.min():
            self.constant_ct += 1
            mean = y.astype(float).mean() if len(y) else 0
            self.expect(not weights.any() and lam == 0 and gap == 0 and abs(bias - mean) <= 1e-12 * abs(mean), target,
                        f"a constant target has weights, lambda {lam}, gap {gap} or bias {bias}")
            return
        x, y = case.fitted(target)
        if case.lam is not None:
            self.expect(lam == case.lam, target, f"lambda {lam}, not {case.lam}")
        expected, expected_bias = case.solve(x, y, lam)
        size = np.abs(expected).max()
        difference = np.abs(weights - expected).max() / size if size > 0 else np.abs(weights).max()
        self.worst_weight = max(self.worst_weight, difference)
        self.expect(difference < 1e-7, target, f"weights differ by {difference:.1e} of the largest")
        self.expect(abs(bias - expected_bias) < 1e-7 * max(1, np.abs(y).max(), size), target,
                    f"bias {bias}, not {expected_bias}")
        constant = x.max(axis=0) == x.min(axis=0)
        self.expect(not weights[constant].any(), target, "an example without variance has a weight")
        recomputed = case.gap(x, y, weights, lam)
        self.worst_gap = max(self.worst_gap, gap)
        self.worst_gap_difference = max(self.worst_gap_difference, abs(gap - recomputed))
        self.expect(0 <= gap <= case.tol and abs(gap - recomputed) <= 1e-14, target,
                    f"gap {gap:.2e}, recomputed {recomputed:.2e}")


class RidgeTests(Tests):
    def check(self, description, case, constant_ct=0, path_targets=()):
        comparison = RidgeComparison()
        try:
            store = self.dmstore.make_store(case.masks, case.stored, case.ids)
            fit = self.dmstore.fit(store, *case.options(self.dmstore))
            listed = json.loads(self.dmstore.run("fits", store, fit["name"], "--targets", "0:", "--json"))
        except RuntimeError as error:
            self.report(description, [error])
            return None
        for target in range(case.outputs.shape[1]):
            comparison.add(case, target, fit["weight"][:, target], fit["bias"][target], fit["lam"][target],
                           fit["gap"][target])
        for target in path_targets:
            self.check_path(comparison, case, listed["targets"][target], target)
        comparison.expect(comparison.constant_ct == constant_ct, "all", f"{comparison.constant_ct} targets are constant")
        self.report(description, comparison.wrong,
                    [f"{comparison.target_ct} targets: weights within {comparison.worst_weight:.1e}, largest gap "
                     f"{comparison.worst_gap:.1e}, recomputed within {comparison.worst_gap_difference:.1e}"])
        return fit

    @staticmethod
    def check_path(comparison, case, listed, target):
        lambdas, errors = case.path(target)
        found = np.array([[step["lambda"], step["error"]] for step in listed["path"]])
        comparison.expect(found.shape == (len(lambdas), 2) and np.allclose(found[:, 0], lambdas, rtol=1e-12, atol=0), target,
                          f"path {found[:, 0]}, not {lambdas}")
        comparison.expect(np.allclose(found[:, 1], errors, rtol=1e-7), target, f"errors {found[:, 1]}, not {errors}")
        best = int(np.argmin(errors))
        comparison.expect(listed["chosen"] == best and listed["lambda"] == found[best, 0], target,
                          f"lambda {listed['chosen']} was chosen, not {best}")
        comparison.expect(("last-lambda" in listed["flags"]) == (best == len(lambdas) - 1),
                          target, f"flags {listed['flags']}")


def add_fixed_lambdas(tests):
    rng = np.random.default_rng(21)
    masks = subsets(rng, 500, 40, 0.5)
    outputs = linear_outputs(rng, masks, 20)
    for lam in (1e-6, 0.03, 5):
        tests.check(f"lambda {lam}", RidgeCase(masks, outputs, lam))
        tests.check(f"lambda {lam} without standardisation", RidgeCase(masks, outputs, lam, standardize=False))
    tests.check("training and validation models are fitted to", RidgeCase(masks, outputs, 0.1, validation=120, refit=True))
    tests.check("and with --no-refit the training models", RidgeCase(masks, outputs, 0.1, validation=120))
    wild = outputs.copy()
    wild[-70:] *= 1000
    tests.check("not the ones held out, nor training ids that are not asked for",
                RidgeCase(masks, wild, 0.1, holdout=70, validation=80, rows_used=200, refit=True))
    tests.check("float16 outputs", RidgeCase(masks, outputs.astype(np.float16), 0.02))
    tests.check("a mean that is large beside the spread", RidgeCase(masks, 1000 + outputs, 0.02))
    tests.check("ids decide, not the order of rows",
                RidgeCase(masks, outputs, 0.1, ids=rng.permutation(5000)[:500], holdout=70, validation=80))
    for alpha in (0.1, 0.75):
        masks = subsets(rng, 400, 130, alpha)
        tests.check(f"alpha {alpha}", RidgeCase(masks, linear_outputs(rng, masks, 3), 0.05))
    masks = subsets(rng, 60, 90, 0.5)
    tests.check("fewer models than examples", RidgeCase(masks, linear_outputs(rng, masks, 5), 0.05))


def add_least_squares(tests):
    rng = np.random.default_rng(22)
    masks = subsets(rng, 400, 50, 0.5)
    outputs = linear_outputs(rng, masks, 18)
    fit = tests.check("least squares on subsets of one size", RidgeCase(masks, outputs, 0))
    wrong = [] if fit else ["there is no fit"]
    if fit and np.abs(fit["weight"].sum(axis=0)).max() > 1e-12:
        wrong.append(f"weights sum to {fit['weight'].sum(axis=0)}")
    tests.report("the smallest weights sum to 0", wrong)
    tests.check("whatever --no-standardize says", RidgeCase(masks, outputs, 0, standardize=False))
    independent = rng.random((400, 50)) < rng.uniform(0.2, 0.8, 50)
    tests.check("independent examples", RidgeCase(independent, linear_outputs(rng, independent, 4), 0))
    few = subsets(rng, 40, 90, 0.3)
    tests.check("fewer models than examples", RidgeCase(few, linear_outputs(rng, few, 4), 0))
    twice = np.concatenate([masks, masks[:, :7]], axis=1)
    repeated = np.repeat(twice[:60], 3, axis=0)
    tests.check("duplicates of examples and of models", RidgeCase(repeated, linear_outputs(rng, repeated, 4), 0))
    tests.check("duplicates at lambda 0.01", RidgeCase(repeated, linear_outputs(rng, repeated, 4), 0.01))
    for alpha in (0.1, 0.75):
        subset = subsets(rng, 500, 80, alpha)
        tests.check(f"alpha {alpha}", RidgeCase(subset, linear_outputs(rng, subset, 4), 0))
    tiny = np.array([[1, 0, 1, 0], [1, 1, 0, 0]])
    tests.check("two models", RidgeCase(tiny, np.array([[1.0, -2.0, 0.5], [2.0, 5.0, 0.5]]), 0), constant_ct=1)
    same = np.ones((10, 4))
    tests.check("only constant examples", RidgeCase(same, rng.standard_normal((10, 2)), 0))


def add_rows(tests):
    """Targets whose rows differ."""
    rng = np.random.default_rng(23)
    masks = subsets(rng, 300, 24, 0.5)
    outputs = linear_outputs(rng, masks, 24) + 3 * masks
    holes = outputs.copy()
    holes[rng.random(outputs.shape) < 0.03] = np.nan
    holes[rng.random(outputs.shape) < 0.01] = np.inf
    holes[:, 3] = outputs[:, 3]
    holes[:, 7], holes[:, 8], holes[:, 9] = 3.25, np.nan, np.where(np.arange(300) == 5, np.nan, 1.5)
    columns = masks.copy()
    columns[:, 3], columns[:, 17] = True, False
    columns[0, 5], columns[1:, 5] = True, False  # its row is left out for some targets
    holes[0, 10:14] = np.nan
    for lam in (0, 0.04):
        tests.check(f"outputs that are not finite, lambda {lam}", RidgeCase(columns, holes, lam, validation=50, refit=True),
                    constant_ct=3)
        tests.check(f"models trained on the target left out, lambda {lam}",
                    RidgeCase(masks, outputs, lam, validation=80, refit=True, exclude_self=True))
        tests.check(f"both, lambda {lam}", RidgeCase(masks, holes, lam, exclude_self=True), constant_ct=3)
        self_map = np.array([5, -1, 23, 5, 0, -1])
        tests.check(f"a map of targets to examples, lambda {lam}", RidgeCase(masks, outputs[:, :6], lam, self_map=self_map))


def add_choices(tests):
    rng = np.random.default_rng(24)
    masks = subsets(rng, 400, 60, 0.5)
    outputs = linear_outputs(rng, masks, 18, noise=2)
    outputs[:, 2] = 1
    check = lambda description, case: tests.check(description, case, 1, (0, 1, 17))
    check("lambda chosen on validation models", RidgeCase(masks, outputs, validation=70))
    check("and a refit on all", RidgeCase(masks, outputs, validation=70, refit=True, lambdas=50))
    check("without standardisation", RidgeCase(masks, outputs, validation=70, refit=True, standardize=False))
    check("lambdas from a file", RidgeCase(masks, outputs, validation=300, refit=True, lambda_list=[3, 0.3, 0.2, 0.002]))
    check("lambdas that end too soon", RidgeCase(masks, outputs, validation=70, lambda_list=[1000, 100]))
    holes = outputs.copy()
    holes[rng.random(holes.shape) < 0.02] = np.nan
    holes[:, 2] = 1
    check("outputs that are not finite", RidgeCase(masks, holes, validation=70, refit=True))
    check("models trained on the target left out",
          RidgeCase(masks, outputs, validation=70, refit=True, self_map=np.arange(18)))
    few = subsets(rng, 90, 120, 0.5)
    tests.check("fewer models than examples",
                RidgeCase(few, linear_outputs(rng, few, 3), validation=20, refit=True, ratio=1e-4), 0, (0, 1, 2))


def add_transforms(tests):
    rng = np.random.default_rng(25)
    masks = subsets(rng, 300, 30, 0.5)
    logits = np.stack([linear_outputs(rng, masks, 4) for _ in range(3)], axis=2)
    logits = (np.round(logits * 64) / 64).astype(np.float32)
    labels = np.array([2, 0, 1, 1])
    margins = np.stack([logits[:, target, label] - np.delete(logits[:, target], label, axis=1).max(axis=1)
                        for target, label in enumerate(labels)], axis=1)
    for name, outputs in ("margin", margins), ("correct", (margins > 0).astype(float)):
        transform = ["--transform", name, "--labels", labels]
        tests.check(f"--transform {name}", RidgeCase(masks, outputs, 0.1, stored=logits, transform=transform))
        tests.check(f"--transform {name}, lambda chosen",
                    RidgeCase(masks, outputs, validation=60, refit=True, stored=logits, transform=transform), 0, (0, 3))


def main():
    tests = RidgeTests(Dmstore(sys.argv[1], sys.argv[2]))
    add_fixed_lambdas(tests)
    add_least_squares(tests)
    add_rows(tests)
    add_choices(tests)
    add_transforms(tests)
    return tests.finish()


if __name__ == "__main__":
    sys.exit(main())
