"""The tables of paper_scale.py, in Markdown, as README and NOTES.md have them."""
from watched import machine_text

GOAL_SECONDS, GOAL_BYTES = 30 * 60, 8 << 30  # of --fmow, from gram to eval

EXTRAPOLATED = ("fit", "eval")  # stages whose time grows with the targets; of the others it does in part


def number(value, digits=4):
    return "-" if value is None else f"{value:.{digits}g}"


def share(value):
    return "-" if value is None else f"{value:.4f}"


def mebibytes(value):
    return f"{value / 2**20:,.0f} MiB"


def print_head(report):
    setting, machine = report["setting"], report["machine"]
    size = f"--{setting['size']}: " if setting["size"] else ""
    busy = max([machine["load"], *(stage["load"] for stage in report["stages"])])
    print(f"machine: {machine_text(machine)}; largest load when a stage began {busy:.1f}")
    print(f"version: {report['version']}; {'default' if not setting['threads'] else setting['threads']} threads, --memory "
          f"{setting['memory']}")
    print(f"size: {size}{setting['models']:,} models ({setting['validation']:,} of them validate), {setting['held_out']:,} "
          f"held out, d = {setting['examples']:,}, n = {setting['targets']:,}, alpha {setting['alpha']}; {setting['lambdas']} "
          f"lambdas down to {setting['lambda_min_ratio']} of the largest, solver {setting['solver']}, tolerance {setting['tol']}")
    print()


def totals(stages):
    """The regression proper, once a store is there: what the goal is about."""
    job = [stage for stage in stages if stage["stage"] in ("gram", "fit", "eval")]
    return {
        "stage": " + ".join(stage["stage"] for stage in job),
        "seconds": sum(stage["seconds"] for stage in job),
        "processor_seconds": sum(stage["processor_seconds"] for stage in job),
        "anonymous_bytes": max(stage["anonymous_bytes"] for stage in job),
        "resident_bytes": max(stage["resident_bytes"] for stage in job),
        "attempts": 1,
    }


def print_stages(report):
    print("| stage | wall | processors | peak anonymous | peak resident |")
    print("|---|---|---|---|---|")
    for stage in [*report["stages"], totals(report["stages"])]:
        again = f" ({stage['attempts']} attempts)" if stage["attempts"] > 1 else ""
        print(f"| {stage['stage']}{again} | {number(stage['seconds'])} s | {number(stage['processor_seconds'])} s | "
              f"{mebibytes(stage['anonymous_bytes'])} | {mebibytes(stage['resident_bytes'])} |")
    print()


def print_goal(report):
    """The size that issue and README promise something for."""
    setting, job = report["setting"], totals(report["stages"])
    if setting["size"] == "fmow" and setting["targets"] == setting["size_targets"]:
        met = job["seconds"] <= GOAL_SECONDS and job["anonymous_bytes"] <= GOAL_BYTES
        print(f"goal: {GOAL_SECONDS // 60} minutes and {GOAL_BYTES >> 30} GiB of anonymous memory: {'met' if met else 'NOT met'}")
        print()


def print_results(results, setting):
    certified = results["targets"] - results["uncertified"]
    weights, planted, chosen = results["weights"], results["planted_weights"], results["lambda_index"]
    interval = "" if results["lds_low"] is None else f" ({share(results['lds_low'])} .. {share(results['lds_high'])})"
    rows = (
        ("LDS on held-out models, mean (95% interval)", share(results["lds"]) + interval),
        ("LDS of the planted weights (oracle), mean", share(results["oracle_lds"])),
        ("weights of a target: median, largest", f"{weights[2]:,}, {weights[4]:,}"),
        ("planted: median, largest", f"{planted[2]:,}, {planted[4]:,}"),
        ("correlation with the planted weights, mean", share(results["correlation"])),
        ("certified targets", f"{certified:,} of {results['targets']:,}"),
        ("largest gap: of the fit, of a lambda on a path", f"{number(results['worst_gap'])}, {number(results['worst_path_gap'])}"),
        ("chosen lambda, number of the path: smallest, median, largest", f"{chosen[0]}, {chosen[2]}, {chosen[4]} "
                                                                         f"of {setting['lambdas']}"),
        ("targets that chose the last lambda", f"{results['last_lambda']:,}"),
        ("paths ended early", f"{100 * results['path_ended']:.1f}%, after {results['lambdas_solved']:.1f} lambdas in the mean"),
    )
    print("| result | |")
    print("|---|---|")
    for name, value in rows:
        print(f"| {name} | {value} |")
    print()


def print_by_r2(ranges):
    print("| planted R^2 | targets | LDS | oracle's LDS | weights, median | lambda, median | correlation |")
    print("|---|---|---|---|---|---|---|")
    for own in ranges:
        print(f"| {own['r2_least']:.2f} .. {own['r2_most']:.2f} | {own['targets']:,} | {share(own['lds'])} | "
              f"{share(own['oracle_lds'])} | {number(own['weights'])} | {number(own['lambda_index'])} | "
              f"{share(own['correlation'])} |")
    print()


def print_extrapolated(report):
    """What all targets of the size would take when only some were fitted."""
    setting = report["setting"]
    if not setting["size_targets"] or setting["targets"] >= setting["size_targets"]:
        return
    factor = setting["size_targets"] / setting["targets"]
    print(f"**Extrapolated, not measured**: with {setting['size_targets']:,} targets in place of {setting['targets']:,}, "
          f"{' and '.join(EXTRAPOLATED)} times {factor:.4g}, what does not depend on the targets as measured; memory is not "
          "extrapolated:")
    print()
    print("| stage | wall, extrapolated | processors, extrapolated |")
    print("|---|---|---|")
    for stage in report["stages"]:
        if stage["stage"] in ("gram", *EXTRAPOLATED):
            times = factor if stage["stage"] in EXTRAPOLATED else 1
            print(f"| {stage['stage']} | {number(times * stage['seconds'])} s | "
                  f"{number(times * stage['processor_seconds'])} s |")
    print()


def print_tables(report):
    print_head(report)
    print_stages(report)
    print_goal(report)
    print_results(report["results"], report["setting"])
    print_by_r2(report["by_r2"])
    print_extrapolated(report)
    print("commands:")
    print()
    for stage in report["stages"]:
        for command in stage["commands"]:
            print(f"    {command}")
