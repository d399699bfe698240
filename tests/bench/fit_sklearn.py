"""`dmstore fit` against scikit-learn's lasso_path with a precomputed Gram matrix: seconds a target for the same paths.

    fit_sklearn.py --dmstore PROGRAM [--full] [--rows M] [--examples D] [--targets N] [--sample S] [--lambdas K]
                   [--lambda-min-ratio R] [--tol T] [--repeats R] [--directory DIR]

Both solve whole paths, without validation models or refit, on fair-coin masks and outputs of planted sparse
datamodels; dmstore all N targets, scikit-learn S of them. Every solution of both has a duality gap of at most T of
the null deviance: scikit-learn's tol is the largest found that gives this. Its gaps are computed here from its
weights; so is that of dmstore's weights at the last lambda, which the store keeps, and what dmstore says of the
lambdas before is taken from there. dmstore is timed as a command, from its start to its end, reading the store
included. scikit-learn gets masks that are standardised already, in float64 and Fortran order, its Gram matrix and X^T
y (timed apart), copy_X=False and check_input=False: what is timed is its solver alone.

Each is timed on one core (both tied to it, BLAS with one thread) and on all: dmstore with as many threads,
scikit-learn, whose solver uses one, in as many processes that share the matrices. Runs of both take turns. Prints rows
as the other benchmarks do: medians, (least..greatest).
"""
import argparse
import json
import multiprocessing
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lasso_path
from threadpoolctl import threadpool_info, threadpool_limits

warnings.simplefilter("error", ConvergenceWarning)

PLANTED_WEIGHTS = 20
MAX_ITERATIONS = 1000000
TOLERANCE_STEPS = 7  # of the search for scikit-learn's tol
SEED = 1


# ---- the problem ---------------------------------------------------------------------------------------------------


class Problem:
    """Masks and outputs, and the same standardised and centred, for the sampled targets."""

    def __init__(self, setting):
        random = np.random.default_rng(SEED)
        row_ct, example_ct, target_ct = setting.rows, setting.examples, setting.targets
        self.masks = random.random((row_ct, example_ct), dtype=np.float32) < 0.5
        weights = np.zeros((example_ct, target_ct), dtype=np.float32)
        for target in range(target_ct):
            examples = random.choice(example_ct, min(PLANTED_WEIGHTS, example_ct), replace=False)
            weights[examples, target] = random.normal(size=len(examples)) * 2 / np.sqrt(len(examples))
        noise = random.normal(size=(row_ct, target_ct))
        self.outputs = (self.masks.astype(np.float32) @ weights + noise).astype(np.float16)
        self.sample = np.sort(random.choice(target_ct, min(setting.sample, target_ct), replace=False))
        self.means, self.scales = self.masks.mean(axis=0), self.masks.std(axis=0)
        self.x = np.asfortranarray((self.masks - self.means) / self.scales)
        chosen = self.outputs[:, self.sample].astype(float)
        self.y = np.asfortranarray(chosen - chosen.mean(axis=0))
        self.gram = self.correlations = None

    def make_gram(self):
        self.gram = self.x.T @ self.x
        self.correlations = np.asfortranarray(self.x.T @ self.y)

    def lambdas(self, at, setting):
        """The path of the target at place `at` of the sample."""
        largest = np.abs(self.x.T @ self.y[:, at]).max() / len(self.x)
        return np.geomspace(largest, largest * setting.lambda_min_ratio, setting.lambdas)

    def gaps(self, at, weights, lambdas):
        """Duality gaps of the columns of `weights` over the null deviance, and the objectives. The dual point is the
        best multiple of the residual."""
        y, row_ct = self.y[:, at], len(self.x)
        residuals = y[:, None] - self.x @ weights
        squares = (residuals ** 2).sum(axis=0)
        products = y @ residuals
        limits = lambdas * row_ct / np.maximum(np.abs(self.x.T @ residuals).max(axis=0), 1e-300)
        dual_scales = np.clip(products / squares, -limits, limits)
        objectives = squares / (2 * row_ct) + lambdas * np.abs(weights).sum(axis=0)
        duals = (dual_scales * products - dual_scales ** 2 * squares / 2) / row_ct
        return (objectives - duals) / (y @ y / (2 * row_ct)), objectives


# ---- scikit-learn --------------------------------------------------------------------------------------------------


def solve_path(problem, at, lambdas, tol):
    """Weights (examples x lambdas) in standardised columns."""
    return lasso_path(problem.x, problem.y[:, at], alphas=lambdas, precompute=problem.gram,
                      Xy=problem.correlations[:, at], copy_X=False, check_input=False, tol=tol,
                      max_iter=MAX_ITERATIONS)[1]


def check_sklearn(problem, setting, tol):
    """The worst gap over the sample, and the objectives at the last lambda."""
    worst, objectives = 0, []
    for at in range(len(problem.sample)):
        lambdas = problem.lambdas(at, setting)
        gaps, values = problem.gaps(at, solve_path(problem, at, lambdas, tol), lambdas)
        worst = max(worst, gaps.max())
        objectives.append(values[-1])
    return worst, np.array(objectives)


def choose_tol(problem, setting):
    """The largest tol whose worst gap is within setting.tol."""
    low, high = setting.tol / 2, setting.tol * 100  # scikit-learn stops at a gap of 2 tol at most
    for _ in range(TOLERANCE_STEPS):
        middle = np.sqrt(low * high)
        worst = check_sklearn(problem, setting, middle)[0]
        low, high = (middle, high) if worst <= setting.tol else (low, middle)
    return low


shared = None  # what the processes of time_sklearn inherit: (problem, paths of lambdas, tol)


def solve_shared(at):
    problem, paths, tol = shared
    solve_path(problem, at, paths[at], tol)


def time_sklearn(problem, setting, tol, core_ct):
    """Seconds a target. Some are solved twice where the processes would not have the same number of them otherwise."""
    global shared
    job_ct = -(-len(problem.sample) // core_ct) * core_ct
    shared = problem, [problem.lambdas(at, setting) for at in range(len(problem.sample))], tol
    with threadpool_limits(1), multiprocessing.get_context("fork").Pool(core_ct, limit_cores, [core_ct]) as pool:
        pool.map(int, range(core_ct), chunksize=1)  # all processes are there
        start = time.perf_counter()
        pool.map(solve_shared, (job % len(problem.sample) for job in range(job_ct)), chunksize=1)
        return (time.perf_counter() - start) / job_ct


def time_gram(problem, core_ct):
    with threadpool_limits(core_ct):
        start = time.perf_counter()
        problem.make_gram()
        return time.perf_counter() - start


# ---- dmstore -------------------------------------------------------------------------------------------------------


def limit_cores(core_ct):
    """Ties this process and its threads to the first of the cores it may use."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:core_ct])


class Dmstore:
    def __init__(self, setting, directory, problem):
        self.setting, self.directory, self.problem = setting, directory, problem
        self.store = os.path.join(directory, "store")
        self.fit_ct = 0
        self.run("create", self.store, "--examples", setting.examples, "--output", f"y:{setting.targets}:f16")
        self.run("ingest", self.store, "--masks", self.save("masks", problem.masks), "--output",
                 "y=" + self.save("outputs", problem.outputs))

    def save(self, name, values):
        path = os.path.join(self.directory, name + ".npy")
        np.save(path, values)
        return path

    def run(self, *arguments, core_ct=None):
        command = [self.setting.dmstore, *map(str, arguments)]
        limit = (lambda: limit_cores(core_ct)) if core_ct else None
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=limit)
        if done.returncode != 0:
            sys.exit(f"fit_sklearn: {' '.join(command)}: exit status {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def time_fit(self, core_ct):
        """Seconds a target of a new fit of all targets."""
        setting = self.setting
        self.fit_ct += 1
        start = time.perf_counter()
        self.run("fit", self.store, "--output", "y", "--name", f"fit{self.fit_ct}", "--holdout", 0, "--validation", 0,
                 "--full-path", "--no-refit", "--lambdas", setting.lambdas, "--lambda-min-ratio",
                 setting.lambda_min_ratio, "--tol", setting.tol, "--threads", core_ct, core_ct=core_ct)
        return (time.perf_counter() - start) / setting.targets

    def weights(self):
        """Of the sampled targets at the last lambda, on the scale of the masks, in float64."""
        to = os.path.join(self.directory, "exported")
        self.run("export-fit", self.store, f"fit{self.fit_ct}", "-o", to, "--sparse")
        starts, examples, values = (np.load(os.path.join(to, name + ".npy")) for name in ("indptr", "indices", "data"))
        weights = np.zeros((self.setting.examples, len(self.problem.sample)))
        for at, target in enumerate(self.problem.sample):
            own = slice(starts[target], starts[target + 1])
            weights[examples[own], at] = values[own]
        return weights

    def check(self):
        """The worst gap of all targets and lambdas, and the objectives of the sample at the last lambda. Ends the
        program when the paths or the gaps are not what they should be."""
        fit = json.loads(self.run("fits", self.store, f"fit{self.fit_ct}", "--targets", f"0:{self.setting.targets}",
                                  "--json"))
        targets = fit["targets"]
        worst = max(step["gap"] for target in targets for step in target["path"])
        weights, objectives = self.weights(), []
        for at, target in enumerate(self.problem.sample):
            lambdas = self.problem.lambdas(at, self.setting)
            if not np.allclose([step["lambda"] for step in targets[target]["path"]], lambdas, rtol=1e-5):
                sys.exit(f"fit_sklearn: the path of target {target} is another one")
            standardized = weights[:, at:at + 1] * self.problem.scales[:, None]
            gaps, values = self.problem.gaps(at, standardized, lambdas[-1:])
            if gaps[0] > 1.01 * self.setting.tol + 1e-9:
                sys.exit(f"fit_sklearn: target {target} has a gap of {gaps[0]}, not {targets[target]['gap']}")
            objectives.append(values[0])
        return worst, np.array(objectives)


# ---- the table -----------------------------------------------------------------------------------------------------


def text_of(values, unit):
    text = f"{statistics.median(values):.4g} {unit}"
    return text + (f" ({min(values):.4g}..{max(values):.4g}, {len(values)} runs)" if len(values) > 1 else "")


def print_row(what, size, measured, unit, reference_name=None, reference=None):
    beside = "| |"
    if reference:
        ratio = statistics.median(measured) / statistics.median(reference)
        beside = f"{reference_name}: {text_of(reference, unit)} | {ratio:.3f} |"
    print(f"| {what} | {size} | {text_of(measured, unit)} | {beside} | |", flush=True)


def print_head(setting, tol):
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown")
    blas = sorted({f"{pool['internal_api']} {pool['version']}" for pool in threadpool_info()
                   if pool["user_api"] == "blas"})
    print(f"machine: {os.cpu_count()} cores, {model}, {platform.system()} {platform.release()}")
    print(f"versions: {setting.version}, scikit-learn {sklearn.__version__}, NumPy {np.__version__}, {' '.join(blas)}, "
          f"Python {platform.python_version()}")
    print(f"gap: at most {setting.tol:g} of the null deviance; scikit-learn gets there with tol={tol:.3g}\n")
    print("| what | size | measured | reference | ratio | goal | met |\n|---|---|---|---|---|---|---|", flush=True)


def read_setting():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dmstore", default="dmstore")
    parser.add_argument("--full", action="store_true", help="the published sizes: m 12,000, d 2,000, n 200")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--examples", type=int)
    parser.add_argument("--targets", type=int)
    parser.add_argument("--sample", type=int)
    parser.add_argument("--lambdas", type=int, default=100)
    parser.add_argument("--lambda-min-ratio", type=float, default=0.01)
    parser.add_argument("--tol", type=float, default=1e-4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--directory", default=".")
    setting = parser.parse_args()
    usual = (12000, 2000, 200, 10) if setting.full else (3000, 500, 64, 6)
    for name, value in zip(("rows", "examples", "targets", "sample"), usual):
        if getattr(setting, name) is None:
            setattr(setting, name, value)
    setting.version = subprocess.run([setting.dmstore, "--version"], stdout=subprocess.PIPE, text=True,
                                     check=True).stdout.splitlines()[0]
    return setting


def measure(setting, directory):
    problem = Problem(setting)
    dmstore = Dmstore(setting, directory, problem)
    core_cts = {"one core": 1}
    if len(os.sched_getaffinity(0)) > 1:
        core_cts[f"all {len(os.sched_getaffinity(0))} cores"] = len(os.sched_getaffinity(0))
    grams, ours, theirs = ({where: [] for where in core_cts} for _ in range(3))
    tol = None
    for _ in range(setting.repeats):
        for where, core_ct in core_cts.items():
            grams[where].append(time_gram(problem, core_ct))
            tol = tol or choose_tol(problem, setting)
            ours[where].append(dmstore.time_fit(core_ct))
            theirs[where].append(time_sklearn(problem, setting, tol, core_ct))
    our_gap, our_objectives = dmstore.check()
    their_gap, their_objectives = check_sklearn(problem, setting, tol)
    print_head(setting, tol)
    data = f"{setting.rows} rows, d {setting.examples}, n {setting.targets}, {setting.lambdas} lambdas"
    for where in core_cts:
        print_row(f"fit, {where}", f"{data}, worst gap {our_gap:.2g} (scikit-learn: {their_gap:.2g})", ours[where],
                  "s a target", f"lasso_path of scikit-learn {sklearn.__version__}, {len(problem.sample)} targets",
                  theirs[where])
        print_row(f"the Gram matrix and X^T y of scikit-learn, {where}", f"{setting.rows} rows, d {setting.examples}",
                  grams[where], "s")
    difference = np.abs(our_objectives / their_objectives - 1).max()
    print(f"\nobjectives at the last lambda differ by {difference:.2g} at most")


def main():
    setting = read_setting()
    directory = tempfile.mkdtemp(prefix="dmstore-bench-", dir=setting.directory)
    try:
        measure(setting, directory)
    finally:
        shutil.rmtree(directory)


main()
