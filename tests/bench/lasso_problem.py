"""A LASSO problem as datamodels pose it, for comparisons of dmstore with other solvers: fair-coin masks and outputs of
planted sparse datamodels, the duality gap by which all solutions are judged, and fits of it by the dmstore command.
"""
import json
import os
import subprocess
import sys
import time

import numpy as np

PLANTED_WEIGHTS = 20
SEED = 1


def limit_cores(core_ct):
    """Ties this process and its threads to the first of the cores it may use."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:core_ct])


def fail(message):
    sys.exit(f"{os.path.splitext(os.path.basename(sys.argv[0]))[0]}: {message}")


class Problem:
    """Masks and outputs, and the same standardised and centred, for the sampled targets. `setting` has rows, examples,
    targets, sample (of targets), lambdas (how many) and lambda_min_ratio."""

    def __init__(self, setting):
        random = np.random.default_rng(SEED)
        self.setting = setting
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

    def lambdas(self, at):
        """The path of the target at place `at` of the sample."""
        largest = np.abs(self.x.T @ self.y[:, at]).max() / len(self.x)
        return np.geomspace(largest, largest * self.setting.lambda_min_ratio, self.setting.lambdas)

    def gaps(self, at, weights, lambdas):
        """Duality gaps of the columns of `weights` (standardised scale) over the null deviance, and the objectives. The
        dual point is the best multiple of the residual."""
        y, row_ct = self.y[:, at], len(self.x)
        residuals = y[:, None] - self.x @ weights
        squares = (residuals ** 2).sum(axis=0)
        products = y @ residuals
        limits = lambdas * row_ct / np.maximum(np.abs(self.x.T @ residuals).max(axis=0), 1e-300)
        dual_scales = np.clip(products / squares, -limits, limits)
        objectives = squares / (2 * row_ct) + lambdas * np.abs(weights).sum(axis=0)
        duals = (dual_scales * products - dual_scales ** 2 * squares / 2) / row_ct
        return (objectives - duals) / (y @ y / (2 * row_ct)), objectives


class Dmstore:
    """Fits of whole paths of a problem by the command. `setting` has dmstore (the program) and tol besides."""

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
            fail(f"{' '.join(command)}: exit status {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def time_fit(self, core_ct, solver="auto", target_ct=None, lambda_ct=None):
        """Seconds a target of a new fit of all targets, or of the first target_ct; of whole paths, or of the first
        lambda_ct lambdas of each."""
        setting = self.setting
        target_ct = target_ct or setting.targets
        lambda_ct = lambda_ct or setting.lambdas
        ratio = setting.lambda_min_ratio ** ((lambda_ct - 1) / max(setting.lambdas - 1, 1))
        self.fit_ct += 1
        start = time.perf_counter()
        self.run("fit", self.store, "--output", "y", "--name", f"fit{self.fit_ct}", "--targets", f"0:{target_ct}",
                 "--solver", solver, "--holdout", 0, "--validation", 0, "--full-path", "--no-refit", "--lambdas",
                 lambda_ct, "--lambda-min-ratio", repr(ratio), "--tol", setting.tol, "--threads", core_ct,
                 core_ct=core_ct)
        return (time.perf_counter() - start) / target_ct

    def weights(self):
        """Of the sampled targets at the last lambda of the last fit, on the scale of the masks, in float64."""
        to = os.path.join(self.directory, f"exported{self.fit_ct}")
        self.run("export-fit", self.store, f"fit{self.fit_ct}", "-o", to, "--sparse")
        starts, examples, values = (np.load(os.path.join(to, name + ".npy")) for name in ("indptr", "indices", "data"))
        weights = np.zeros((self.setting.examples, len(self.problem.sample)))
        for at, target in enumerate(self.problem.sample):
            own = slice(starts[target], starts[target + 1])
            weights[examples[own], at] = values[own]
        return weights

    def check(self):
        """Of the last fit, which must be of all targets: the worst gap that it states of all targets and lambdas, and
        the gaps and objectives of the sample at its last lambda, computed here. Ends the program when the paths or the
        gaps are not what they should be."""
        fit = json.loads(self.run("fits", self.store, f"fit{self.fit_ct}", "--targets", f"0:{self.setting.targets}",
                                  "--json"))
        targets = fit["targets"]
        worst = max(step["gap"] for target in targets for step in target["path"])
        weights, gaps, objectives = self.weights(), [], []
        for at, target in enumerate(self.problem.sample):
            path = [step["lambda"] for step in targets[target]["path"]]
            lambdas = self.problem.lambdas(at)[:len(path)]
            if not np.allclose(path, lambdas, rtol=1e-5):
                fail(f"the path of target {target} is another one")
            standardized = weights[:, at:at + 1] * self.problem.scales[:, None]
            found, values = self.problem.gaps(at, standardized, lambdas[-1:])
            if found[0] > 1.01 * self.setting.tol + 1e-9:
                fail(f"target {target} has a gap of {found[0]}, not {targets[target]['gap']}")
            gaps.append(found[0])
            objectives.append(values[0])
        return worst, np.array(gaps), np.array(objectives)
