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
import multiprocessing
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
import warnings

import numpy as np
import sklearn
from lasso_problem import Dmstore, Problem, limit_cores
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lasso_path
from threadpoolctl import threadpool_info, threadpool_limits

warnings.simplefilter("error", ConvergenceWarning)

MAX_ITERATIONS = 1000000
TOLERANCE_STEPS = 7  # of the search for scikit-learn's tol


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
        lambdas = problem.lambdas(at)
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
    shared = problem, [problem.lambdas(at) for at in range(len(problem.sample))], tol
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
    our_gap, _, our_objectives = dmstore.check()
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
