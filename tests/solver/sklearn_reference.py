"""Holds `dmstore fit` against scikit-learn's Lasso: an implementation that shares nothing with it.

    sklearn_reference.py DMSTORE DIRECTORY

Each case makes a store in DIRECTORY from NumPy arrays, fits it through the command line, exports the fit, and compares
every target with the solution that scikit-learn finds for the same problem, from masks that are standardised here. All of
dmstore's rules are written down a second time: which models train, validate and are held out, which rows count for a
target, the path of lambdas, which of them is chosen, the refit, and the duality gap. Prints
TAP, with numbers in the comments.
"""
import itertools
import json
import os
import subprocess
import sys
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso

warnings.simplefilter("ignore", ConvergenceWarning)  # the last digits: what a solution is worth is computed here


# ---- the command ---------------------------------------------------------------------------------------------------

class Dmstore:
    def __init__(self, program, directory):
        self.program, self.directory = program, directory
        self.solver = None  # of all fits; None: as their options say
        self.names = itertools.count()

    def run(self, *arguments):
        command = [self.program, *map(str, arguments)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: exit status {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def save(self, values):
        path = os.path.join(self.directory, f"{next(self.names)}.npy")
        np.save(path, values)
        return path

    def make_store(self, masks, outputs, ids=None):
        """A store of masks (m, d) and outputs (m, n) or, of logits, (m, n, classes), f16 or f32."""
        path = os.path.join(self.directory, f"{next(self.names)}.dms")
        dtype = {2: "f16", 4: "f32"}[outputs.dtype.itemsize]
        ids = np.arange(len(masks)) if ids is None else ids
        shape = "x".join(map(str, outputs.shape[1:]))
        self.run("create", path, "--examples", masks.shape[1], "--output", f"y:{shape}:{dtype}")
        self.run("ingest", path, "--masks", self.save(masks.astype(np.uint8)), "--ids", self.save(ids.astype(np.uint64)),
                 "--output", "y=" + self.save(outputs))
        return path

    def fit(self, store, *options):
        """Fits all targets; a dict of the exported arrays, with the float64 weights as a matrix."""
        name = f"fit{next(self.names)}"
        to = os.path.join(self.directory, name)
        solver = ["--solver", self.solver] if self.solver else []
        self.run("fit", store, "--output", "y", "--name", name, "--threads", 1, *solver, *options)
        self.run("export-fit", store, name, "-o", to, "--sparse")
        files = {key: np.load(os.path.join(to, key + ".npy"))
                 for key in ("indptr", "indices", "data", "bias", "lam", "gap", "targets")}
        with open(os.path.join(to, "provenance.json")) as file:
            files["weight"] = np.zeros(json.load(file)["shape"])
        columns = np.repeat(np.arange(len(files["targets"])), np.diff(files["indptr"]))
        files["weight"][files["indices"], columns] = files["data"]
        files["name"] = name
        return files


# ---- the problem -----------------------------------------------------------------------------------------------------

TRAINING, VALIDATION, HELD_OUT, UNUSED = range(4)


def choose_roles(masks, ids, holdout, validation, rows_used):
    """The largest ids are held out, those before them validate; equal masks go where their largest id goes."""
    order = np.argsort(ids)
    largest_first = {id: rank for rank, id in enumerate(ids[order[::-1]])}
    rank_of_mask = {}
    for mask, id in zip(masks, ids):
        key = mask.tobytes()
        rank_of_mask[key] = min(rank_of_mask.get(key, len(ids)), largest_first[id])
    ranks = np.array([rank_of_mask[mask.tobytes()] for mask in masks])
    roles = np.where(ranks < holdout, HELD_OUT, np.where(ranks < holdout + validation, VALIDATION, TRAINING))
    if rows_used:
        training = [i for i in order if roles[i] == TRAINING]
        roles[training[rows_used:]] = UNUSED
    return roles


class Problem:
    """The regression of one target on some rows, in standardised columns: z = (x - mean) / s where s > 0."""

    def __init__(self, masks, outputs, standardize):
        x, self.y = masks.astype(float), outputs.astype(float)
        self.example_ct = x.shape[1]
        self.row_ct = len(self.y)
        self.means, deviations = x.mean(axis=0), x.std(axis=0)
        self.columns = np.flatnonzero(x.max(axis=0) > x.min(axis=0))  # s > 0, without rounding
        self.scales = deviations[self.columns] if standardize else np.ones(len(self.columns))
        self.z = np.asfortranarray((x[:, self.columns] - self.means[self.columns]) / self.scales)
        self.centred = self.y - self.y.mean()
        self.is_constant = self.y.max() == self.y.min()
        self.null_deviance = 0 if self.is_constant else self.centred @ self.centred / (2 * self.row_ct)

    def largest_lambda(self):
        return np.abs(self.z.T @ self.centred).max() / self.row_ct

    def solve(self, lam):
        """scikit-learn's weights, in standardised columns."""
        lasso = Lasso(alpha=lam, fit_intercept=False, tol=1e-13, max_iter=200000)
        return lasso.fit(self.z, self.centred).coef_

    def solve_path(self, lambdas):
        """The same for each lambda, more roughly, each begun where the one before ended."""
        lasso = Lasso(fit_intercept=False, tol=1e-11, max_iter=200000, warm_start=True)
        for lam in lambdas:
            lasso.set_params(alpha=lam)
            yield lasso.fit(self.z, self.centred).coef_.copy()

    def standardised(self, weights):
        return weights[self.columns] * self.scales

    def original(self, standardised):
        weights = np.zeros(self.example_ct)
        weights[self.columns] = standardised / self.scales
        return weights

    def bias(self, weights):
        return self.y.mean() - self.means @ weights

    def objective(self, v, lam):
        r = self.centred - self.z @ v
        return r @ r / (2 * self.row_ct) + lam * np.abs(v).sum()

    def is_unique(self, v, lam):
        """Whether the columns that could have a weight are far from dependent: then weights can be compared."""
        r = self.centred - self.z @ v
        active = np.abs(self.z.T @ r) / self.row_ct > lam * (1 - 1e-6)
        if not active.any():
            return True
        z = self.z[:, active]
        return np.linalg.eigvalsh(z.T @ z / self.row_ct)[0] > 0.02 * self.scales.min() ** 2 / self.scales.max() ** 2

    def gap(self, v, lam):
        """The relative duality gap. With r the residuals, re-centred, and g = z^T r / m:
        t = clip(y.r / r.r, +- lam / max |g|), gap = (1 + t^2) r.r / (2m) - t y.r / m + lam sum |v|, over the null deviance.
        """
        if self.is_constant:
            return 0.0
        r = self.centred - self.z @ v
        r = r - r.mean()
        rr, yr, largest = r @ r, self.centred @ r, np.abs(self.z.T @ r).max() / self.row_ct
        t = np.clip(yr / rr, -lam / largest, lam / largest) if rr > 0 else 0.0
        gap = (1 + t * t) * rr / (2 * self.row_ct) - t * yr / self.row_ct + lam * np.abs(v).sum()
        return gap / self.null_deviance


# ---- cases -----------------------------------------------------------------------------------------------------------

class Case:
    """Data of one case, the options it is fitted with, and what scikit-learn makes of it."""

    def __init__(self, masks, outputs, ids=None, holdout=0, validation=0, lambdas=20, ratio=0.01, tol=1e-9,
                 standardize=True, refit=False, full_path=True, exclude_self=False, self_map=None, rows_used=0,
                 lambda_list=None, stored=None, transform=()):
        """`stored`: the column, and `transform`: the options, that `outputs` are computed with from it; else as it is."""
        self.masks = np.asarray(masks, bool)
        self.outputs = outputs if outputs.dtype in (np.float16, np.float32) else outputs.astype(np.float32)
        self.stored, self.transform = self.outputs if stored is None else stored, transform
        self.ids = np.arange(len(masks)) if ids is None else np.asarray(ids)
        self.holdout, self.validation, self.rows_used = holdout, validation, rows_used
        self.lambdas, self.ratio, self.tol, self.lambda_list = lambdas, ratio, tol, lambda_list
        self.standardize, self.refit, self.full_path = standardize, refit, full_path
        self.self_map = np.arange(outputs.shape[1]) if exclude_self else self_map
        self.exclude_self = exclude_self
        self.roles = choose_roles(self.masks, self.ids, holdout, validation, rows_used)

    def options(self, dmstore):
        options = ["--holdout", self.holdout, "--validation", self.validation, "--tol", self.tol]
        if self.lambda_list is not None:
            options += ["--lambda-file", dmstore.save(np.asarray(self.lambda_list, float))]
        else:
            options += ["--lambdas", self.lambdas, "--lambda-min-ratio", self.ratio]
        if self.rows_used:
            options += ["--rows-used", self.rows_used]
        if self.exclude_self:
            options += ["--exclude-self"]
        elif self.self_map is not None:
            options += ["--exclude-self", "--self", dmstore.save(np.asarray(self.self_map, np.int64))]
        options += [dmstore.save(option) if isinstance(option, np.ndarray) else option for option in self.transform]
        flags = {"--no-standardize": not self.standardize, "--no-refit": not self.refit, "--full-path": self.full_path}
        return options + [flag for flag, given in flags.items() if given]

    def rows(self, target, *roles):
        """Rows of these roles that count for the target."""
        count = np.isin(self.roles, roles) & np.isfinite(self.outputs[:, target].astype(float))
        if self.self_map is not None and self.self_map[target] >= 0:
            count &= ~self.masks[:, self.self_map[target]]
        return np.flatnonzero(count)

    def problem(self, target, *roles):
        rows = self.rows(target, *roles)
        return Problem(self.masks[rows], self.outputs[rows, target], self.standardize)

    def path(self, target):
        """The lambdas of the target, and the validation error of each (none: an empty array)."""
        problem = self.problem(target, TRAINING)
        lambdas = self.lambda_list
        if lambdas is None:
            lambdas = problem.largest_lambda() * np.logspace(0, np.log10(self.ratio), self.lambdas)
        rows = self.rows(target, VALIDATION)
        errors = []
        for v in problem.solve_path(lambdas) if len(rows) else []:
            weights = problem.original(v)
            predictions = self.masks[rows] @ weights + problem.bias(weights)
            errors.append(np.mean((self.outputs[rows, target].astype(float) - predictions) ** 2))
            if not self.full_path and len(errors) - 1 - np.argmin(errors) >= 5:
                break
        return np.asarray(lambdas), np.asarray(errors)


class Comparison:
    """What came of the targets of a case; `wrong` explains failures."""

    def __init__(self):
        self.wrong = []
        self.target_ct = self.constant_ct = self.unique_ct = 0
        self.worst_objective = self.worst_weight = self.worst_gap = self.worst_gap_difference = 0.0

    def expect(self, condition, target, text):
        if not condition:
            self.wrong.append(f"target {target}: {text}")

    def add(self, case, target, weights, bias, lam, gap):
        self.target_ct += 1
        problem = case.problem(target, *([TRAINING, VALIDATION] if case.refit else [TRAINING]))
        if case.problem(target, TRAINING).is_constant:
            self.constant_ct += 1
            self.expect(not weights.any() and lam == 0 and gap == 0, target, "a constant target has weights, lambda or gap")
            mean = case.problem(target, TRAINING).y.mean()
            self.expect(abs(bias - mean) <= 1e-12 * abs(mean), target, f"bias {bias} is not the mean {mean}")
            return
        self.check_lambda(case, target, lam)
        self.check_solution(case, problem, target, weights, bias, lam, gap)

    def check_lambda(self, case, target, lam):
        lambdas, errors = case.path(target)
        index = np.argmin(np.abs(lambdas / lam - 1))
        # What may differ at a tolerance that is loose: sums are then single precision, validation errors those of rough weights.
        deviation, slack = (1e-9, 1e-7) if case.tol <= 1e-8 else (1e-6, case.tol)
        self.expect(abs(lambdas[index] / lam - 1) < deviation, target, f"lambda {lam} is none of {lambdas}")
        if len(errors) == 0:
            self.expect(index == len(lambdas) - 1, target, "without validation the last lambda is not chosen")
        elif index >= len(errors):
            self.expect(False, target, f"lambda {index} was chosen after the path's end at {len(errors) - 1}")
        else:
            best = np.argmin(errors)
            self.expect(index == best or errors[index] <= errors[best] * (1 + slack), target,
                        f"lambda {index} was chosen with error {errors[index]}, not {best} with {errors[best]}")

    def check_solution(self, case, problem, target, weights, bias, lam, gap):
        v, reference = problem.standardised(weights), problem.solve(lam)
        ours, theirs = problem.objective(v, lam), problem.objective(reference, lam)
        difference = (ours - theirs) / theirs
        self.worst_objective = max(self.worst_objective, abs(difference))
        self.expect(difference < max(1e-6, 2 * case.tol * problem.null_deviance / theirs) and difference > -1e-6, target,
                    f"objective {ours} differs from {theirs} by {difference:.1e}")
        self.expect(not np.any(np.delete(weights, problem.columns)), target, "an example without variance has a weight")
        expected = problem.bias(weights)
        self.expect(abs(bias - expected) <= 1e-6 * max(1, np.abs(problem.y).max()), target, f"bias {bias}, not {expected}")
        if case.tol <= 1e-8 and problem.is_unique(reference, lam):
            self.unique_ct += 1
            largest = np.abs(reference).max()
            deviation = np.abs(v - reference).max() / largest if largest > 0 else np.abs(v).max()
            self.worst_weight = max(self.worst_weight, deviation)
            self.expect(deviation <= 1e-3, target, f"weights differ by {deviation:.1e} of the largest")
        recomputed = problem.gap(v, lam)
        self.worst_gap = max(self.worst_gap, gap)
        self.worst_gap_difference = max(self.worst_gap_difference, abs(gap - recomputed))
        self.expect(0 <= gap <= case.tol, target, f"gap {gap:.2e} is not within {case.tol:.0e}")
        self.expect(abs(gap - recomputed) <= 1e-13 + 1e-4 * gap, target, f"gap {gap:.3e}, recomputed {recomputed:.3e}")


class Tests:
    def __init__(self, dmstore):
        self.dmstore = dmstore
        self.test_ct = self.failed_ct = 0

    def report(self, description, wrong, comments=()):
        if self.dmstore.solver:
            description = f"{self.dmstore.solver}: {description}"
        self.test_ct += 1
        self.failed_ct += bool(wrong)
        print(f"{'not ok' if wrong else 'ok'} {self.test_ct} - {description}")
        for line in [*comments, *wrong]:
            print("# " + str(line).replace("\n", "\n# "))
        sys.stdout.flush()

    def check(self, description, case, least_unique=0, constant_ct=0):
        """Fits the case and compares every target; of at least `least_unique` of them the weights, too."""
        comparison = Comparison()
        try:
            fit = self.dmstore.fit(self.dmstore.make_store(case.masks, case.stored, case.ids), *case.options(self.dmstore))
        except RuntimeError as error:
            self.report(description, [error])
            return None
        target_ct = case.outputs.shape[1]
        comparison.expect(list(fit["targets"]) == list(range(target_ct)), "all", f"targets {fit['targets']}")
        for target in range(target_ct):
            comparison.add(case, target, fit["weight"][:, target], fit["bias"][target], fit["lam"][target],
                           fit["gap"][target])
        comparison.expect(comparison.unique_ct >= least_unique, "all",
                          f"only {comparison.unique_ct} of {least_unique} solutions are clearly unique: choose other data")
        comparison.expect(comparison.constant_ct == constant_ct, "all", f"{comparison.constant_ct} targets are constant")
        comments = [f"{comparison.target_ct} targets, weights of {comparison.unique_ct} compared: objective within "
                    f"{comparison.worst_objective:.1e}, weights {comparison.worst_weight:.1e}, largest gap "
                    f"{comparison.worst_gap:.1e}, recomputed within {comparison.worst_gap_difference:.1e}"]
        self.report(description, comparison.wrong, comments)
        return fit

    def finish(self):
        print(f"1..{self.test_ct}")
        return self.failed_ct > 0


# ---- data ------------------------------------------------------------------------------------------------------------

def subsets(rng, model_ct, example_ct, alpha):
    """Masks of one size."""
    size = int(round(alpha * example_ct))
    return np.argsort(rng.random((model_ct, example_ct)), axis=1) < size


def linear_outputs(rng, masks, target_ct, noise=0.5, weight_ct=8, mean=1.0):
    """Sparse linear functions of the masks, and noise."""
    weights = np.zeros((masks.shape[1], target_ct))
    for target in range(target_ct):
        examples = rng.choice(masks.shape[1], min(weight_ct, masks.shape[1]), replace=False)
        weights[examples, target] = rng.standard_normal(len(examples))
    return mean + masks @ weights + noise * rng.standard_normal((len(masks), target_ct))


def add_all_cases(tests):
    rng = np.random.default_rng(11)
    masks = subsets(rng, 500, 40, 0.5)
    outputs = linear_outputs(rng, masks, 6)
    tests.check("random masks", Case(masks, outputs), 6)
    tests.check("lambda chosen on validation models", Case(masks, outputs, validation=100), 6)
    tests.check("and a refit on all", Case(masks, outputs, validation=100, refit=True), 6)
    tests.check("paths that end early", Case(masks, outputs, validation=100, lambdas=60, ratio=0.001, full_path=False), 6)
    tests.check("without standardisation", Case(masks, outputs, validation=100, refit=True, standardize=False), 6)
    tests.check("lambdas from a file", Case(masks, outputs, validation=50, lambda_list=[0.3, 0.1, 0.05, 0.02]), 6)
    tests.check("float16 outputs", Case(masks, outputs.astype(np.float16), validation=100, refit=True), 6)
    for tol in (1e-2, 1e-4):
        tests.check(f"gaps at --tol {tol:.0e}", Case(masks, outputs, validation=100, refit=True, tol=tol))
    tests.check("the first models only", Case(masks, outputs, validation=100, rows_used=200, refit=True), 6)
    wild = outputs.copy()
    wild[-70:] *= 1000
    tests.check("models that are held out are not used", Case(masks, wild, holdout=70, validation=80, refit=True), 6)
    tests.check("ids decide, not the order of rows",
                Case(masks, outputs, ids=rng.permutation(5000)[:500], holdout=70, validation=80, refit=True), 6)
    tests.check("a mean that is large beside the spread",
                Case(masks, 1000 + outputs, validation=100, refit=True), 6)
    masks = rng.random((400, 30)) < 0.3
    tests.check("independent examples instead of subsets of one size",
                Case(masks, linear_outputs(rng, masks, 4), validation=80, refit=True), 4)


def add_hard_cases(tests):
    rng = np.random.default_rng(12)
    for alpha in (0.1, 0.75):
        masks = subsets(rng, 400, 60, alpha)
        tests.check(f"alpha {alpha}", Case(masks, linear_outputs(rng, masks, 4), validation=80, refit=True), 4)
    masks = subsets(rng, 40, 90, 0.5)
    tests.check("fewer models than examples", Case(masks, linear_outputs(rng, masks, 5), ratio=0.05), 1)
    masks = np.repeat(subsets(rng, 120, 30, 0.5), 4, axis=0)
    masks = masks[rng.permutation(len(masks))]
    tests.check("every mask four times",
                Case(masks, linear_outputs(rng, masks, 4), holdout=10, validation=20, refit=True), 4)
    masks = subsets(rng, 300, 30, 0.5)
    masks = np.concatenate([masks, masks[:, :5]], axis=1)
    outputs = linear_outputs(rng, masks, 4, weight_ct=12)
    tests.check("examples that are always together", Case(masks, outputs, validation=60, refit=True))
    masks = subsets(rng, 300, 30, 0.5)
    masks[:, 3], masks[:, 17] = True, False
    tests.check("an example in every subset and one in none",
                Case(masks, linear_outputs(rng, masks, 4), validation=60, refit=True), 4)
    masks[0, 3], masks[1, 17] = False, True
    tests.check("an example in all subsets but one, and one in a single subset",
                Case(masks, linear_outputs(rng, masks, 4, weight_ct=20), validation=60, refit=True), 4)
    outputs = linear_outputs(rng, masks, 5)
    outputs[:, 1], outputs[:, 4] = 3.25, 0
    tests.check("constant targets beside others", Case(masks, outputs, validation=60, refit=True), 3, constant_ct=2)
    masks = np.array([[1, 0, 1, 0], [1, 1, 0, 0]])
    tests.check("two models", Case(masks, np.array([[1.0, -2.0, 0.5], [2.0, 5.0, 0.5]]), lambdas=5), constant_ct=1)
    tests.check("two models and one that validates",
                Case(np.array([[1, 0, 1, 0], [1, 1, 0, 0], [0, 1, 0, 1]]), np.array([[1.0], [2.0], [4.0]]), validation=1,
                     lambdas=5, refit=True))
    masks = subsets(rng, 300, 30, 0.5)
    outputs = linear_outputs(rng, masks, 5)
    outputs[rng.random(outputs.shape) < 0.1] = np.nan
    outputs[rng.random(outputs.shape) < 0.02] = np.inf
    outputs[rng.random(outputs.shape) < 0.02] = -np.inf
    outputs[:, 3] = linear_outputs(rng, masks, 1)[:, 0]
    tests.check("outputs that are not finite", Case(masks, outputs, validation=60, refit=True), 5)


def add_self_cases(tests):
    rng = np.random.default_rng(13)
    masks = subsets(rng, 400, 24, 0.5)
    outputs = linear_outputs(rng, masks, 24) + 3 * masks  # an example does much for itself
    tests.check("models that were trained on the target are left out",
                Case(masks, outputs, validation=100, refit=True, exclude_self=True), 24)
    outputs[rng.random(outputs.shape) < 0.05] = np.nan
    tests.check("and outputs that are not finite",
                Case(masks, outputs, validation=100, refit=True, exclude_self=True), 24)
    self_map = np.array([5, -1, 23, 5, 0, -1])
    tests.check("a map of targets to examples", Case(masks, outputs[:, :6], validation=100, refit=True, self_map=self_map), 6)

    outputs = linear_outputs(rng, masks, 24)
    case = Case(masks, outputs, exclude_self=True)
    fit = tests.check("without validation models", case, 24)
    wrong = [] if fit else ["there is no fit"]
    for target in (0, 11, 23) if fit else ():
        rows = np.flatnonzero(~masks[:, target])
        alone = Case(masks[rows], outputs[rows][:, [target]], ids=rows)
        found = tests.dmstore.fit(tests.dmstore.make_store(alone.masks, alone.outputs, alone.ids), *alone.options(tests.dmstore))
        difference = np.abs(found["weight"][:, 0] - fit["weight"][:, target]).max()
        if abs(found["lam"][0] / fit["lam"][target] - 1) > 1e-9 or difference > 1e-3 * np.abs(found["weight"]).max():
            wrong.append(f"target {target}: weights differ by {difference}, lambdas {found['lam'][0]} {fit['lam'][target]}")
    tests.report("a store without those models gives the same weights", wrong)


def add_transformed_cases(tests):
    """Margins and correctness are computed here from logits whose differences are exact in float32."""
    rng = np.random.default_rng(15)
    masks = subsets(rng, 300, 30, 0.5)
    logits = np.stack([linear_outputs(rng, masks, 4) for _ in range(3)], axis=2)
    logits = (np.round(logits * 64) / 64).astype(np.float32)
    labels = np.array([2, 0, 1, 1])
    margins = np.empty((300, 4))
    for target, label in enumerate(labels):
        others = np.delete(logits[:, target], label, axis=1)
        margins[:, target] = logits[:, target, label] - others.max(axis=1)
    for name, outputs in ("margin", margins), ("correct", (margins > 0).astype(float)):
        tests.check(f"--transform {name} of logits",
                    Case(masks, outputs, validation=60, refit=True, stored=logits,
                         transform=["--transform", name, "--labels", labels]), 4)
    tests.check("--transform correct of margins",
                Case(masks, (margins > 0).astype(float), validation=60, refit=True, stored=margins.astype(np.float32),
                     transform=["--transform", "correct"]), 4)


def add_closed_form(tests):
    """On orthogonal columns the weights are the soft-thresholded correlations: no solver is needed."""
    hadamard = np.ones((1, 1))
    for _ in range(5):
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    masks = hadamard[:, 1:] > 0  # 32 models, 31 examples, each in half of the models
    rng = np.random.default_rng(14)
    outputs = linear_outputs(rng, masks, 5, noise=0.2)
    fit = tests.check("orthogonal examples", Case(masks, outputs, ratio=0.1), 5)
    wrong = [] if fit else ["there is no fit"]
    for target in range(5) if fit else ():
        problem = Problem(masks, outputs[:, target].astype(np.float32), True)
        correlations = problem.z.T @ problem.centred / problem.row_ct
        lam = 0.1 * np.abs(correlations).max()
        expected = np.sign(correlations) * np.maximum(np.abs(correlations) - lam, 0) / 0.5  # s = 1/2
        difference = np.abs(expected - fit["weight"][:, target]).max()
        if difference > 1e-4 * np.abs(expected).max() or abs(fit["lam"][target] / lam - 1) > 1e-9:
            wrong.append(f"target {target}: weights differ by {difference}, lambda {fit['lam'][target]}, not {lam}")
    tests.report("their weights are soft-thresholded correlations", wrong)


def main():
    tests = Tests(Dmstore(sys.argv[1], sys.argv[2]))
    for tests.dmstore.solver in ("saga", "gram"):
        add_all_cases(tests)
        add_hard_cases(tests)
        add_self_cases(tests)
        add_transformed_cases(tests)
        add_closed_form(tests)
    return tests.finish()


if __name__ == "__main__":
    sys.exit(main())
