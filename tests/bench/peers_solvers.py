"""`dmstore fit` against other solvers of the LASSO, side by side in one run: seconds a target for the same paths, to
the same duality gap.

    peers_solvers.py --dmstore PROGRAM [--solver saga,gram] [--sizes MxD,MxD] [--targets N] [--sample S] [--lambdas K]
                     [--lambda-min-ratio R] [--tol T] [--threads 1,2] [--repeats R] [--directory DIR] [--output PATH]

The problem is that of fit_sklearn.py: fair-coin masks, planted sparse datamodels, whole paths without validation
models or refit. Peers solve S of the N targets; dmstore all of them. Every solution of every solver has a duality gap
of at most T of the null deviance: one function computes the gaps of all solutions of all peers, in float64, from
their weights. Each peer's own tolerance is searched on one target, to end between 0.4 T and T, and made smaller when
another target needs it. dmstore keeps the weights of one lambda: its own certificates are taken for the path, and
held against that function at several lambdas, by fits that end there.

dmstore is timed as a command, from its start to its end, reading the store included; a second row has what one more
target costs: the difference of a fit of all targets and one of a quarter of them. Peers get standardised masks in
float64 and Fortran order in memory; what is timed is their solver alone, after a first call. The Gram matrix has a
table of its own. With several threads each peer runs in as many processes, which share the matrices and take
different targets, as its solver uses one core best: its time is the mean of the processes' seconds a target over
their number, as if none ever waited for another.

Prints Markdown; writes PATH.md and PATH.json.
"""
import argparse
import math
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
import peers_report
from lasso_problem import Dmstore, Problem, fail, limit_cores
from threadpoolctl import threadpool_info, threadpool_limits

SEARCH_STEPS = 7
SEARCHED = 0.4  # the least share of the tolerance that a search ends with
CHECKED_LAMBDAS = 4
WARM_UP_LAMBDAS = 2
MANY = 1000000


# ---- peers ---------------------------------------------------------------------------------------------------------


class Peer:
    """A solver. `tol` is its own measure of when to stop."""

    name, package, setting, tol = "", "", "", 1e-4

    def missing(self):
        return peers_report.missing(self.package.replace("-", "_"), self.module)

    def version(self):
        return peers_report.version_of(self.package)

    def prepare(self, problem):
        """What a process does once, untimed."""

    def solve(self, problem, at, lambdas):
        """Solves the path of the target at place `at` of the sample, in any form."""
        raise NotImplementedError

    def weights(self, solution):
        """examples x lambdas, in standardised columns."""
        return solution

    def solve_all(self, problem, places):
        """(seconds, weights) of each of the targets. What only a process's first call does is over before."""
        self.prepare(problem)
        self.solve(problem, places[0], problem.lambdas(places[0])[:WARM_UP_LAMBDAS])
        found = []
        for at in places:
            lambdas = problem.lambdas(at)
            start = time.perf_counter()
            solution = self.solve(problem, at, lambdas)
            found.append((time.perf_counter() - start, self.weights(solution)))
        return found


class Sklearn(Peer):
    name, package, module, tol = "scikit-learn lasso_path", "scikit-learn", "sklearn.linear_model", 6e-5

    def __init__(self, with_gram):
        self.with_gram = with_gram
        given = "Gram matrix and Xy given" if with_gram else "no Gram matrix"
        self.setting = f"{given}, copy_X=False, check_input=False"

    def missing(self):
        return peers_report.missing(self.package, self.module)

    def solve(self, problem, at, lambdas):
        from sklearn.linear_model import lasso_path
        given = {"precompute": False}
        if self.with_gram:
            given = {"precompute": problem.gram, "Xy": problem.correlations[:, at]}
        return lasso_path(problem.x, problem.y[:, at], alphas=lambdas, copy_X=False, check_input=False, tol=self.tol,
                          max_iter=MANY, **given)[1]


class Celer(Peer):
    name, package, module, tol = "celer celer_path", "celer", "celer", 8e-5
    setting = 'pb="lasso", prune=True'

    def solve(self, problem, at, lambdas):
        from celer import celer_path
        return celer_path(problem.x, problem.y[:, at], "lasso", alphas=lambdas, prune=True, tol=self.tol, max_iter=MANY,
                          max_epochs=MANY)[1]


class Adelie(Peer):
    package, module, tol = "adelie", "adelie", 2e-8

    def weights(self, solution):
        return solution.betas.toarray().T


class AdelieNaive(Adelie):
    name, setting = "adelie grpnet", "gaussian, naive method, intercept=False, early_exit=False"

    def prepare(self, problem):
        import adelie
        self.x = adelie.matrix.dense(problem.x, method="naive", n_threads=1)

    def solve(self, problem, at, lambdas):
        import adelie
        return adelie.grpnet(self.x, adelie.glm.gaussian(problem.y[:, at]), lmda_path=lambdas, tol=self.tol,
                             intercept=False, early_exit=False, progress_bar=False, max_iters=MANY)


class AdelieCov(Adelie):
    name, setting = "adelie gaussian_cov", "covariance method, Gram matrix given, early_exit=False"

    def prepare(self, problem):
        import adelie
        self.gram = np.asfortranarray(problem.gram / len(problem.x))
        self.matrix = adelie.matrix.dense(self.gram, method="cov", n_threads=1)

    def solve(self, problem, at, lambdas):
        import adelie
        return adelie.solver.gaussian_cov(self.matrix, problem.correlations[:, at] / len(problem.x), lmda_path=lambdas,
                                          tol=self.tol, early_exit=False, progress_bar=False, max_iters=MANY)


class Glmnet(Peer):
    """R's, by peers_glmnet.R; matrices go through files."""

    name, package, tol = "glmnet (R)", "glmnet", 1e-8

    def __init__(self, method, directory):
        self.method, self.directory = method, directory
        self.setting = f'type.gaussian="{method}", standardize=FALSE, intercept=FALSE, fdev=0, devmax=1'

    @staticmethod
    def ask(expression):
        return subprocess.run(["Rscript", "-e", expression], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def missing(self):
        if not shutil.which("Rscript"):
            return "no Rscript (Debian: r-cran-glmnet)"
        return "R has no glmnet (Debian: r-cran-glmnet)" if self.ask("library(glmnet)").returncode != 0 else None

    def version(self):
        return self.ask('cat(as.character(packageVersion("glmnet")))').stdout

    def share(self, problem):
        with open(os.path.join(self.directory, "x"), "wb") as file:
            problem.x.T.tofile(file)

    def solve_all(self, problem, places):
        prefix = os.path.join(self.directory, f"glmnet{os.getpid()}")
        row_ct, example_ct = problem.x.shape
        paths = np.array([problem.lambdas(at) for at in places])
        np.array([row_ct, example_ct, paths.shape[1], len(places)], dtype=np.int32).tofile(prefix + ".sizes")
        problem.y[:, places].T.copy().tofile(prefix + ".y")
        paths.tofile(prefix + ".lambdas")
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers_glmnet.R")
        done = subprocess.run(["Rscript", script, self.directory, prefix, self.method, repr(self.tol)], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode != 0:
            fail(f"glmnet: {done.stderr.strip()}")
        seconds = np.fromfile(prefix + ".seconds")
        weights = np.fromfile(prefix + ".weights").reshape(len(places), paths.shape[1], example_ct)
        return [(own, path.T) for own, path in zip(seconds, weights)]


def all_peers(directory):
    return [Sklearn(False), Sklearn(True), Celer(), AdelieNaive(), AdelieCov(), Glmnet("naive", directory),
            Glmnet("covariance", directory)]


# ---- running a peer ------------------------------------------------------------------------------------------------


def work(peer, problem, places, core_ct, connection):
    """In a process of its own: solves, then judges."""
    limit_cores(core_ct)
    warnings.simplefilter("ignore")  # of solvers that did not reach their own goal: the gaps tell
    with threadpool_limits(1):
        found = peer.solve_all(problem, places)
        worst, last = 0, {}
        for at, (_, weights) in zip(places, found):
            gaps, objectives = problem.gaps(at, weights, problem.lambdas(at))
            worst = max(worst, np.max(np.nan_to_num(gaps, nan=np.inf)))
            last[at] = objectives[-1]
    connection.send((statistics.mean(seconds for seconds, _ in found), worst, last))


def run_peer(peer, problem, places, core_ct):
    """Seconds a target, the worst gap, and the objectives at the last lambda by place. None when a process ended
    early."""
    context = multiprocessing.get_context("fork")
    process_ct = min(core_ct, len(places))
    running = []
    for number in range(process_ct):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(peer, problem, places[number::process_ct], core_ct, theirs))
        process.start()
        theirs.close()
        running.append((process, ours))
    results = []
    for process, ours in running:
        try:
            results.append(ours.recv())
        except EOFError:
            results.append(None)
        process.join()
    if None in results:
        return None
    last = {at: value for result in results for at, value in result[2].items()}
    return statistics.mean(result[0] for result in results) / process_ct, max(result[1] for result in results), last


def next_tol(tol, gap, wanted, passed, failed):
    """What to try after tol, which gave this gap: in proportion, or the middle of what has passed and failed so far
    where that leads out of them."""
    other = tol * float(np.clip(math.sqrt(SEARCHED) * wanted / gap, 1e-3, 1e3))
    if (passed and other <= passed) or (failed and other >= failed):
        other = math.sqrt(passed * failed) if passed and failed else tol * (2 if passed else 0.5)
    return other


def search_tol(peer, problem, wanted):
    """Gives the peer the largest tol of those tried with which every gap of the first target is within `wanted`. False
    when there was none."""
    passed = failed = None
    for _ in range(SEARCH_STEPS):
        found = run_peer(peer, problem, [0], 1)
        if found is None:
            return False
        gap = max(found[1], wanted * 1e-6)
        if gap <= wanted:
            passed = peer.tol
            if gap >= SEARCHED * wanted:
                break
        else:
            failed = peer.tol
        peer.tol = next_tol(peer.tol, gap, wanted, passed, failed)
    peer.tol = passed or peer.tol
    return passed is not None


# ---- measuring -----------------------------------------------------------------------------------------------------


class Series:
    """What was measured of one solver with so many threads."""

    def __init__(self):
        self.seconds, self.gap, self.last = [], 0, {}


def measure_peer(peer, problem, core_ct, wanted, series):
    """One more run of the peer, with a smaller tol where a gap is too large: at its first run, as solutions are the
    same in all. Returns why there is none, or None."""
    for _ in range(SEARCH_STEPS):
        found = run_peer(peer, problem, list(range(len(problem.sample))), core_ct)
        if found is None:
            return "a process ended early"
        if found[1] <= wanted:
            break
        peer.tol *= float(min(0.7 * wanted / found[1], 0.7))
    else:
        return f"no tol gave a gap of {wanted}"
    series.seconds.append(found[0])
    series.gap, series.last = found[1], found[2]
    return None


def time_gram(problem, core_ct):
    with threadpool_limits(core_ct):
        start = time.perf_counter()
        problem.make_gram()
        return time.perf_counter() - start


class Ours:
    """dmstore with one of its solvers."""

    def __init__(self, dmstore, solver):
        self.dmstore, self.solver = dmstore, solver
        self.whole, self.more = {}, {}

    def measure(self, core_ct):
        dmstore, target_ct = self.dmstore, self.dmstore.setting.targets
        few = max(target_ct // 4, 1)
        part = dmstore.time_fit(core_ct, self.solver, target_ct=few) * few
        whole = dmstore.time_fit(core_ct, self.solver)
        self.whole.setdefault(core_ct, []).append(whole)
        if target_ct > few:
            self.more.setdefault(core_ct, []).append((whole * target_ct - part) / (target_ct - few))

    def check(self):
        """The worst gap of the path and, by the function that judges the peers, at some of its lambdas; the objectives
        at the last one. The fits of whole paths are over: the last of them is looked at first."""
        worst, found, objectives = self.dmstore.check()
        judged = [found.max()]
        lambda_ct = self.dmstore.setting.lambdas
        for part in range(1, CHECKED_LAMBDAS):
            self.dmstore.time_fit(os.cpu_count(), self.solver, lambda_ct=max(lambda_ct * part // CHECKED_LAMBDAS, 2))
            judged.append(self.dmstore.check()[1].max())
        return worst, max(judged), objectives


def find_peers(report, peers):
    there = []
    for peer in peers:
        reason = peer.missing()
        if reason:
            report.say_unavailable(peer.name, reason)
        else:
            there.append(peer)
    return there


def report_size(report, setting, problem, peers, measured, ours, grams):
    data = f"{setting.rows} models, {setting.examples} examples, {setting.lambdas} lambdas"
    for core_ct in setting.threads:
        where = f"{data}, {core_ct} thread{'s' if core_ct > 1 else ''}"
        table = f"Seconds a target: {where}"
        for our in ours:
            worst, judged, _ = our.checked
            gaps = f"worst gap {worst:.2g} (by the common function, at some lambdas: {judged:.2g})"
            how = f"--solver {our.solver}, whole command over {setting.targets} targets"
            report.add(table, "dmstore", setting.version, f"{how}; {gaps}", our.whole[core_ct], gap=worst,
                       tol=setting.tol)
            if core_ct in our.more:
                report.add(table, "dmstore", setting.version, f"--solver {our.solver}, one more target",
                           our.more[core_ct], is_reference=False)
        for peer in peers:
            series = measured[peer, core_ct]
            report.add(table, peer.name, peer.version(), f"{peer.setting}, tol {peer.tol:.2g}; "
                       f"worst gap {series.gap:.2g}", series.seconds, gap=series.gap, tol=peer.tol)
        report.add(f"Seconds for the Gram matrix: {where}", "NumPy", np.__version__, "X^T X and X^T y, float64, BLAS",
                   grams[core_ct])


def compare_objectives(problem, peers, measured, ours):
    """How far apart the objectives at the last lambda are at most, relatively."""
    found = [our.checked[2] for our in ours]
    found += [np.array([measured[peer, core_ct].last[at] for at in range(len(problem.sample))])
              for peer in peers for core_ct in problem.setting.threads]
    return max(np.abs(found[0] / other - 1).max() for other in found)


def measure_size(report, setting, directory):
    problem = Problem(setting)
    dmstore = Dmstore(setting, directory, problem)
    ours = [Ours(dmstore, solver) for solver in setting.solver]
    grams = {core_ct: [] for core_ct in setting.threads}
    for core_ct in setting.threads:
        grams[core_ct] += [time_gram(problem, core_ct) for _ in range(setting.repeats)]
    peers = []
    for peer in find_peers(report, setting.peers):
        if isinstance(peer, Glmnet):
            peer.share(problem)
        if search_tol(peer, problem, setting.tol):
            peers.append(peer)
        else:
            report.say_unavailable(f"{peer.name}, {setting.examples} examples", f"no tol gave a gap of {setting.tol}")
    measured = {(peer, core_ct): Series() for peer in peers for core_ct in setting.threads}
    for _ in range(setting.repeats):
        for core_ct in setting.threads:
            for our in ours:
                our.measure(core_ct)
            for peer in list(peers):
                reason = measure_peer(peer, problem, core_ct, setting.tol, measured[peer, core_ct])
                if reason:
                    report.say_unavailable(f"{peer.name}, {setting.examples} examples", reason)
                    peers.remove(peer)
    for our in ours:
        dmstore.time_fit(max(setting.threads), our.solver)
        our.checked = our.check()
    report_size(report, setting, problem, peers, measured, ours, grams)
    report.notes.append(f"{setting.examples} examples: the objectives of all at the last lambda differ by "
                        f"{compare_objectives(problem, peers, measured, ours):.2g} at most.")


def read_setting():
    def list_of(kind):
        return lambda text: [kind(word) for word in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dmstore", default="dmstore")
    parser.add_argument("--solver", type=list_of(str), default=["saga"])
    parser.add_argument("--sizes", type=list_of(str), default=["6000x1000", "20000x4000"])
    parser.add_argument("--targets", type=int, default=64)
    parser.add_argument("--sample", type=int, default=4)
    parser.add_argument("--lambdas", type=int, default=100)
    parser.add_argument("--lambda-min-ratio", type=float, default=0.01)
    parser.add_argument("--tol", type=float, default=1e-4)
    parser.add_argument("--threads", type=list_of(int), default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--directory", default=".")
    parser.add_argument("--output", default="peers-solvers")
    setting = parser.parse_args()
    setting.threads = [core_ct for core_ct in setting.threads if core_ct <= len(os.sched_getaffinity(0))]
    setting.version = subprocess.run([setting.dmstore, "--version"], stdout=subprocess.PIPE, text=True,
                                     check=True).stdout.splitlines()[0].split()[-1]
    return setting


def blas_text():
    return ", ".join(sorted({f"{pool['internal_api']} {pool['version']} ({pool.get('architecture', 'unknown')})"
                             for pool in threadpool_info() if pool["user_api"] == "blas"}))


def main():
    setting = read_setting()
    report = peers_report.Report("Solvers", [
        f"Every solution has a duality gap of at most {setting.tol:g} of the null deviance. Python "
        f"{sys.version.split()[0]}, NumPy {np.__version__}, {blas_text()}."])
    directory = tempfile.mkdtemp(prefix="dmstore-bench-", dir=setting.directory)
    try:
        setting.peers = all_peers(directory)
        for size in setting.sizes:
            setting.rows, setting.examples = map(int, size.split("x"))
            own = os.path.join(directory, size)
            os.mkdir(own)
            measure_size(report, setting, own)
            shutil.rmtree(own)
    finally:
        shutil.rmtree(directory)
    report.write(setting.output)


if __name__ == "__main__":
    main()
