"""Questions to a fit against what Python has for them: `dmstore embed` against SciPy's svds and scikit-learn's randomised
PCA, and `dmstore predict` against SciPy's sparse product.

    query_sklearn.py --dmstore PROGRAM --generate-fit PROGRAM [--full] [--examples D] [--targets N] [--weights W]
                     [--groups G] [--components K] [--masks M] [--repeats R] [--directory DIR]

On a made-up fit (see fit_data.h) of N targets with W weights each. dmstore is timed as a command, from its start to its
end, reading the fit included, and writes all scores. svds (ARPACK, tol 1e-10) gets the sparse matrix with normalised rows
in memory and a LinearOperator that centres it, as a dense one would need n x d numbers; randomized_svd, of the same
operator, is what scikit-learn's PCA(svd_solver="randomized") does, and is not exact: how far off its last variance is, is said.
Variances and scores of dmstore are compared with those of svds. Predictions of M masks for all targets: dmstore reads the
fit and the masks and writes a matrix of float32; SciPy, which has the weights as a sparse matrix and the masks as float32
in memory, multiplies them. The predictions of both are compared. Runs take turns. Prints rows as the other benchmarks do:
medians, (least..greatest).
"""
import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import sklearn
from sklearn.utils.extmath import randomized_svd

EMBED_LIMIT_S = 60  # for 100 components at the published size


def run(*command):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"query_sklearn: {command[0]}: exit status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def peak_memory(process_id):
    """The largest resident memory of a process so far in MiB, 0 when it has ended."""
    with open(f"/proc/{process_id}/status") as file:
        return next((int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM:")), 0)


class Centred(scipy.sparse.linalg.LinearOperator):
    """A sparse matrix less the mean of its rows."""

    __array_ufunc__ = None  # array @ self is __rmatmul__

    def __init__(self, x):
        super().__init__(float, x.shape)
        self.x, self.transposed = x, x.T.tocsr()
        self.mean = np.asarray(x.mean(axis=0)).ravel()

    def _matmat(self, v):
        return self.x @ v - self.mean @ v

    def _rmatmat(self, u):
        return self.transposed @ u - np.outer(self.mean, u.sum(axis=0))

    def _matvec(self, v):
        return self.x @ v.ravel() - self.mean @ v.ravel()

    def _rmatvec(self, u):
        return self.transposed @ u.ravel() - self.mean * u.sum()

    def __rmatmul__(self, array):
        return self.rmatmat(array.T).T


class Rows:
    """The rows of a fit, normalised, and the operator that centres them."""

    def __init__(self, directory, example_ct):
        begins, examples, values = (np.load(os.path.join(directory, name + ".npy"))
                                    for name in ("indptr", "indices", "data"))
        x = scipy.sparse.csr_matrix((values, examples, begins), shape=(len(begins) - 1, example_ct))
        self.weights = x.astype(np.float32)
        self.bias = np.load(os.path.join(directory, "bias.npy"))
        self.x = scipy.sparse.diags(1 / np.sqrt(np.asarray(x.multiply(x).sum(axis=1)).ravel())) @ x
        self.operator = Centred(self.x)

    def exact(self, component_ct):
        u, s, _ = scipy.sparse.linalg.svds(self.operator, component_ct, tol=1e-10, random_state=0)
        return (u * s)[:, ::-1], s[::-1] ** 2 / (self.x.shape[0] - 1)

    def predict(self, masks):
        return self.weights @ masks + self.bias[:, None]

    def randomised(self, component_ct):
        _, s, _ = randomized_svd(self.operator, component_ct, n_iter=7, transpose=False, random_state=0)
        return s ** 2 / (self.x.shape[0] - 1)


class Dmstore:
    def __init__(self, setting, directory):
        self.setting, self.store = setting, os.path.join(directory, "store")
        self.scores, self.report, self.masks, self.predictions = (
            os.path.join(directory, name) for name in ("z.npy", "report.json", "masks.npy", "predictions.npy"))
        run(setting.generate_fit, "--store", self.store, "--examples", setting.examples, "--targets", setting.targets,
            "--weights", setting.weights, "--groups", setting.groups)
        run(setting.dmstore, "export-fit", self.store, "fit", "-o", os.path.join(directory, "fit"), "--sparse")

    def embed(self):
        """Seconds, the largest resident memory in MiB, and the variances."""
        setting, start = self.setting, time.perf_counter()
        with open(self.report, "w+") as file:
            process = subprocess.Popen([setting.dmstore, "embed", self.store, "fit", "--pca", str(setting.components), "-o",
                                        self.scores, "--json"], stdout=file)
            memory = 0
            while process.poll() is None:
                memory = max(memory, peak_memory(process.pid))
                time.sleep(0.005)
            seconds = time.perf_counter() - start
            if process.returncode != 0:
                sys.exit("query_sklearn: dmstore embed failed")
            file.seek(0)
            components = json.load(file)["components"]
        return seconds, memory, np.array([component["variance"] for component in components])


    def predict(self):
        run(self.setting.dmstore, "predict", self.store, "fit", "--masks", self.masks, "-o", self.predictions)


def timed(function, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def text_of(values, unit):
    return f"{statistics.median(values):.4g} {unit} ({min(values):.4g}..{max(values):.4g}, {len(values)} runs)"


def print_row(what, size, measured, reference_name, reference, limit=None):
    median = statistics.median(measured)
    goal = f"<= {limit} s | {'yes' if median <= limit else 'NO'}" if limit else "|"
    print(f"| {what} | {size} | {text_of(measured, 's')} | {reference_name}: {text_of(reference, 's')} | "
          f"{median / statistics.median(reference):.3f} | {goal} |", flush=True)


def read_setting():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dmstore", default="dmstore")
    parser.add_argument("--generate-fit", default="tests/bench/generate_fit")
    parser.add_argument("--full", action="store_true", help="the published size: d 50,000, n 10,000, 500 weights")
    for name in ("examples", "targets", "weights", "groups", "components", "masks"):
        parser.add_argument("--" + name, type=int)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--directory", default=".")
    setting = parser.parse_args()
    usual = (50000, 10000, 500, 200, 100, 1000) if setting.full else (10000, 2000, 200, 50, 50, 1000)
    for name, value in zip(("examples", "targets", "weights", "groups", "components", "masks"), usual):
        if getattr(setting, name) is None:
            setattr(setting, name, value)
    return setting


def check_components(scores, variances, wanted_scores, wanted_variances):
    """The largest relative error of a variance; of scores, of those whose variance is its neighbours' by no more than 1e-4
    apart, over their length."""
    gaps = -np.diff(wanted_variances) / wanted_variances[:-1]
    clear = np.r_[True, gaps > 1e-4] & np.r_[gaps > 1e-4, False]
    signs = np.sign((scores * wanted_scores).sum(axis=0))
    errors = np.linalg.norm(scores - wanted_scores * signs, axis=0) / np.linalg.norm(wanted_scores, axis=0)
    return abs(variances / wanted_variances - 1).max(), errors[clear].max(initial=0)


def measure_predict(setting, dmstore, rows, size):
    masks = np.random.default_rng(1).random((setting.masks, setting.examples), dtype=np.float32) < 0.5
    np.save(dmstore.masks, masks)
    dense = np.asfortranarray(masks.T.astype(np.float32))
    ours, theirs = [], []
    for _ in range(setting.repeats):
        ours.append(timed(dmstore.predict)[0])
        seconds, wanted = timed(rows.predict, dense)
        theirs.append(seconds)
    error = abs(np.load(dmstore.predictions) - wanted.T).max() / abs(wanted).max()
    print_row(f"predict, {setting.masks} masks, all targets", size, ours, "sparse product of SciPy", theirs)
    return f"predictions are within {error:.2g} of those of SciPy in float32, over the largest"


def measure_embed(setting, dmstore, rows, size):
    ours, exact, randomised = [], [], []
    for _ in range(setting.repeats):
        seconds, memory, variances = dmstore.embed()
        ours.append(seconds)
        seconds, (wanted_scores, wanted) = timed(rows.exact, setting.components)
        exact.append(seconds)
        seconds, rough = timed(rows.randomised, setting.components)
        randomised.append(seconds)
    variance_error, score_error = check_components(np.load(dmstore.scores), variances, wanted_scores, wanted)
    limit = EMBED_LIMIT_S if setting.full else None
    what = f"embed, {setting.components} components"
    print_row(what, size, ours, "svds of SciPy", exact, limit)
    print_row(what, size, ours, "randomized_svd of scikit-learn", randomised, limit)
    return (f"against svds, variances are within {variance_error:.2g} and scores within {score_error:.2g}; the randomised "
            f"ones are off by {abs(rough / wanted - 1).max():.2g}; embed took at most {memory:.0f} MiB resident, the sparse "
            f"weights being {rows.x.nnz * 12 / 2 ** 20:.0f} MiB")


def measure(setting, directory):
    dmstore = Dmstore(setting, directory)
    rows = Rows(os.path.join(directory, "fit"), setting.examples)
    size = f"d {setting.examples}, n {setting.targets}, {setting.weights} weights a target"
    print(f"machine: {os.cpu_count()} cores, {platform.system()} {platform.release()}")
    print(f"versions: SciPy {scipy.__version__}, scikit-learn {sklearn.__version__}, NumPy {np.__version__}\n")
    print("| what | size | measured | reference | ratio | goal | met |\n|---|---|---|---|---|---|---|")
    notes = [measure_predict(setting, dmstore, rows, size), measure_embed(setting, dmstore, rows, size)]
    print("\n" + "\n".join(notes))


def main():
    setting = read_setting()
    directory = tempfile.mkdtemp(prefix="dmstore-bench-", dir=setting.directory)
    try:
        measure(setting, directory)
    finally:
        shutil.rmtree(directory)


main()
