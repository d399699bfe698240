"""What a fit of a planted run found, held against what was planted: reads the fit by `dmstore fits` and `export-fit`, its
scores from the tables of `dmstore eval`, and the truth that `generate --truth` has written (see planted.h).
"""
import array
import ast
import csv
import json
import math
import os
import statistics

from watched import Failure, run_quietly

R2_BIN_CT = 5
TARGETS_AT_ONCE = 500  # whose paths are held in memory

TYPE_CODES = {"<i4": "i", "<i8": "q", "<u4": "I", "<u8": "Q", "<f4": "f", "<f8": "d"}


def read_npy(path):
    """A one-dimensional .npy file, version 1, as an array."""
    with open(path, "rb") as file:
        if file.read(8) != b"\x93NUMPY\x01\x00":
            raise Failure(f"{path}: not a .npy file of version 1.0")
        header = ast.literal_eval(file.read(int.from_bytes(file.read(2), "little")).decode("latin1"))
        values = array.array(TYPE_CODES[header["descr"]])
        values.frombytes(file.read())
    if header["shape"] != (len(values),):
        raise Failure(f"{path}: its shape is {header['shape']}, but it has {len(values)} values")
    return values


class SparseWeights:
    """Weights of targets as export-fit and generate write them."""

    def __init__(self, directory):
        self.begins, self.examples, self.values = (read_npy(os.path.join(directory, name + ".npy"))
                                                   for name in ("indptr", "indices", "data"))

    def target(self, target):
        """{example: weight}"""
        own = slice(self.begins[target], self.begins[target + 1])
        return dict(zip(self.examples[own], self.values[own]))


def correlation(left, right, example_ct):
    """Pearson's, of two sparse vectors with all their zeros; None where one of them is constant."""
    def covariance(a, b):
        product = sum(value * b[example] for example, value in a.items() if example in b)
        return product - sum(a.values()) * sum(b.values()) / example_ct

    variances = covariance(left, left) * covariance(right, right)
    return covariance(left, right) / math.sqrt(variances) if variances > 0 else None


def read_scores(path):
    """{target: LDS} from the table that eval -o writes; targets without one are left out."""
    with open(path, newline="") as file:
        return {int(row["target"]): float(row["lds"]) for row in csv.DictReader(file) if row["lds"]}


def read_targets(dmstore, store, fit, target_ct):
    """What `fits` says of each target."""
    for first in range(0, target_ct, TARGETS_AT_ONCE):
        end = min(first + TARGETS_AT_ONCE, target_ct)
        report = json.loads(run_quietly(dmstore, "fits", store, fit, "--targets", f"{first}:{end}", "--json"))
        yield from report["targets"]


class Target:
    """A fitted target beside what was planted in it."""

    def __init__(self, found, fitted, planted, r2, lds, oracle_lds, example_ct):
        path = found["path"]
        self.r2, self.lds, self.oracle_lds = r2, lds, oracle_lds
        self.weight_ct, self.planted_ct = found["nnz"], len(planted)
        self.gap, self.flags = found["gap"], found["flags"]
        self.path_gap = max((step["gap"] for step in path), default=0.0)
        self.lambda_index, self.lambda_ct = found["chosen"] + 1, len(path)
        self.correlation = correlation(fitted, planted, example_ct)


def read_run(dmstore, store, fit, directory, example_ct, target_ct):
    """The targets of a fit. directory has truth/, exported/ (by export-fit), fit.csv and oracle.csv (by eval)."""
    fitted, planted = (SparseWeights(os.path.join(directory, name)) for name in ("exported", "truth"))
    r2 = read_npy(os.path.join(directory, "truth", "r2.npy"))
    scores, oracle = (read_scores(os.path.join(directory, name + ".csv")) for name in ("fit", "oracle"))
    targets = [Target(found, fitted.target(at), planted.target(at), r2[at], scores.get(at), oracle.get(at), example_ct)
               for at, found in enumerate(read_targets(dmstore, store, fit, target_ct))]
    if len(targets) != target_ct:
        raise Failure(f"fit {fit} has {len(targets)} targets, not {target_ct}")
    return targets


# ---- summaries -----------------------------------------------------------------------------------------------------


def mean(values):
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def quartiles(values):
    values = sorted(values)
    return [values[round(share * (len(values) - 1))] for share in (0, 0.25, 0.5, 0.75, 1)]


def summarize(targets):
    """Figures over all targets."""
    return {
        "targets": len(targets),
        "lds": mean(t.lds for t in targets),
        "oracle_lds": mean(t.oracle_lds for t in targets),
        "weights": quartiles(t.weight_ct for t in targets),
        "planted_weights": quartiles(t.planted_ct for t in targets),
        "worst_gap": max(t.gap for t in targets),
        "worst_path_gap": max(t.path_gap for t in targets),
        "uncertified": sum("uncertified" in t.flags for t in targets),
        "lambda_index": quartiles(t.lambda_index for t in targets),
        "lambdas_solved": mean(t.lambda_ct for t in targets),
        "last_lambda": sum("last-lambda" in t.flags for t in targets),
        "path_ended": sum("path-ended" in t.flags for t in targets) / len(targets),
        "correlation": mean(t.correlation for t in targets),
    }


def summarize_by_r2(targets, least, most):
    """The same in few words, for equal ranges of the planted R^2."""
    width = (most - least) / R2_BIN_CT or 1
    bins = [[] for _ in range(R2_BIN_CT)]
    for target in targets:
        bins[min(max(int((target.r2 - least) / width), 0), R2_BIN_CT - 1)].append(target)
    return [{
        "r2_least": least + at * width,
        "r2_most": least + (at + 1) * width,
        "targets": len(own),
        "lds": mean(t.lds for t in own),
        "oracle_lds": mean(t.oracle_lds for t in own),
        "weights": statistics.median(t.weight_ct for t in own),
        "lambda_index": statistics.median(t.lambda_index for t in own),
        "correlation": mean(t.correlation for t in own),
    } for at, own in enumerate(bins) if own]
