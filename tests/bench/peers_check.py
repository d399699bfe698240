"""What smoke.sh asks of a tiny run of peers.sh: that each peer is measured or said to be missing, that what is
measured is whole, and that the judges of the comparison see what is wrong.

    peers_check.py DIRECTORY
"""
import json
import os
import sys
import types

import numpy as np
import peers_formats
import peers_report
import peers_solvers
from lasso_problem import Problem

TOL = 1e-4


def load(name):
    with open(os.path.join(sys.argv[1], name + ".json")) as file:
        return json.load(file)


def expect(is_so, what):
    if not is_so:
        sys.exit(f"peers_check: {what}")


def check_peers(report, names):
    """Each is measured or missing, and not both."""
    measured = {row["peer"] for row in report["rows"]}
    for name in names:
        expect((name in measured) != (name in report["unavailable"]), f"{name} is neither measured nor missing")
    for name in measured - {"dmstore", "NumPy"}:
        expect(name in names, f"{name} is measured and unknown")


def check_figures(report):
    for row in report["rows"]:
        where = f"{row['peer']} in '{row['table']}'"
        expect(np.isfinite(row["values"]).all() and len(row["values"]) > 0, f"{where} has no figure")
        ours = [other["figure"] for other in report["rows"] if other["table"] == row["table"] and other["is_reference"]]
        if row["peer"] != "dmstore" and ours and row["figure"] and row["ahead"] is not None:
            ahead = max(ours) / row["figure"] if row["more_is_better"] else row["figure"] / min(ours)
            expect(np.isclose(row["ahead"], ahead), f"dmstore is {ahead} ahead of {where}, not {row['ahead']}")


def check_solvers():
    report = load("peers-solvers")
    check_peers(report, {peer.name for peer in peers_solvers.all_peers(".")})
    check_figures(report)
    judged = [row for row in report["rows"] if "gap" in row]
    for peer in ("dmstore", "scikit-learn lasso_path"):
        expect(peer in {row["peer"] for row in judged}, f"{peer} has no gap")
    for row in judged:
        expect(0 <= row["gap"] <= 1.01 * TOL, f"{row['peer']} has a gap of {row['gap']}")


def check_stores():
    report = load("peers-stores")
    check_peers(report, {kind.name for kind in peers_formats.FORMATS.values()})
    check_figures(report)
    tables = {}
    for row in report["rows"]:
        tables.setdefault(row["table"], {})[row["peer"]] = row["figure"]
    for table, figures in tables.items():
        expect("dmstore" in figures, f"dmstore is not in '{table}'")
        if "quasi-random" not in table:
            expect(peers_formats.Memmap.name in figures, f"maps of NumPy are not in '{table}'")
    expect(sum("Shuffled" in table for table in tables) == 4, "not all orders and slices are measured")
    sizes = tables["Bytes a row"]
    expect(sizes["NumPy memmap, fast_l1's layout"] > 3 * sizes[peers_formats.Memmap.name], "bytes are as small as bits")


def check_gaps():
    """The judge of solutions: nothing is wrong at the largest lambda with zero weights, much is below it."""
    setting = types.SimpleNamespace(rows=200, examples=30, targets=2, sample=1, lambdas=3, lambda_min_ratio=0.01)
    problem = Problem(setting)
    gaps, _ = problem.gaps(0, np.zeros((30, 3)), problem.lambdas(0))
    expect(abs(gaps[0]) < 1e-12 and gaps[1] > 0.01 and gaps[2] > 0.01, f"zero weights have gaps of {gaps}")


def check_search():
    """A solver that never gets there is found out; another gets the tol that it needs."""
    class Rough:
        def solve_all(self, problem, places):
            return [(1.0, np.zeros((30, 3))) for _ in places]

    class Fine(Rough):
        def solve_all(self, problem, places):
            from sklearn.linear_model import lasso_path
            return [(1.0, lasso_path(problem.x, problem.y[:, at], alphas=problem.lambdas(at), tol=self.tol)[1])
                    for at in places]

    setting = types.SimpleNamespace(rows=200, examples=30, targets=2, sample=1, lambdas=3, lambda_min_ratio=0.01)
    problem = Problem(setting)
    rough, fine = Rough(), Fine()
    rough.tol = fine.tol = 0.1
    expect(not peers_solvers.search_tol(rough, problem, TOL), "zero weights passed for solutions")
    expect(peers_solvers.search_tol(fine, problem, TOL) and fine.tol < 0.1, "no tol was found for scikit-learn")


def check_orders():
    """An epoch of a format delivers each row once, in any order, in batches."""
    class Numbers(peers_formats.Format):
        row_ct = 2500

        def slab(self, start, stop, first, end):
            rows = np.arange(start, stop)
            return rows, rows

        def take(self, rows, first, end):
            return rows, rows

    for order in ("random", "quasi-random"):
        one = Numbers(".")
        one.row_ct = 2500
        epochs = [np.concatenate([masks for masks, _ in one.batches(order, 0, 1, 100, epoch)]) for epoch in (0, 1)]
        for rows in epochs:
            expect((np.sort(rows) == np.arange(2500)).all(), f"{order} order does not deliver each row once")
            expect((rows != np.arange(2500)).mean() > 0.9, f"{order} order is not shuffled")
        expect((epochs[0] != epochs[1]).mean() > 0.9, f"{order} order is the same in all epochs")


def check_reasons():
    """A package that is not there has a reason, and what pip said comes first, without addresses."""
    expect("no_such_package" in peers_report.missing("no_such_package"), "a missing package has no reason")
    with open(os.path.join(sys.argv[1], "no_such_package"), "w") as file:
        file.write("WARNING: x\nERROR: nothing at https://host/path fits\n")
    os.environ["DMSTORE_PEERS_LOGS"] = sys.argv[1]
    said = peers_report.missing("no_such_package")
    expect(said == "ERROR: nothing at ... fits", f"the reason is '{said}'")


for check in (check_solvers, check_stores, check_gaps, check_search, check_orders, check_reasons):
    check()
