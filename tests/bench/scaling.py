"""How the seconds of each stage of the whole job grow with models, examples, targets and threads: paper_scale.py at many sizes.

    scaling.py --build DIR [--base M:D:N] [--models M,M...] [--examples D,D...] [--targets N,N...] [--threads T,T...]
               [--repeats R] [--solver saga|gram] [--memory BYTES] [--directory DIR] --csv FILE [--svg FILE] [--processors]
    scaling.py --plot CSV --svg FILE [--processors]

Each of the four is varied while the other three stay at the base (with one thread a processor). Every measurement becomes
a line of the CSV file as soon as it is there, and the plot is drawn from that file alone, so that it can be drawn again,
and lines of several runs on one machine can be put together. A point of the plot is the median of its repeats; the
exponent beside a line is the slope of the logarithms by least squares. --processors draws seconds that the processors
worked, which other programs disturb less, in place of those on the wall.
"""
import argparse
import csv
import os
import statistics
import sys

sys.dont_write_bytecode = True

import paper_scale  # noqa: E402
import scaling_plot  # noqa: E402
from watched import Failure, machine, machine_text  # noqa: E402

# What x is in words, and in the exponent.
AXES = {
    "models": ("models that train and validate, m", "m"),
    "examples": ("training examples, d", "d"),
    "targets": ("targets, n", "n"),
    "threads": ("threads, t", "t"),
}
STAGES = ("ingest", "gram", "fit", "eval")
SIZES = ("models", "examples", "targets", "threads")
FIELDS = ("axis", *SIZES, "solver", "repeat", "stage", "seconds", "processor_seconds", "anonymous_bytes", "load")


def numbers(text):
    return [int(word) for word in text.split(",")]


def read_arguments():
    parser = argparse.ArgumentParser(prog="scaling", description="How seconds grow with the size.")
    parser.add_argument("--build", default=".")
    parser.add_argument("--base", default="16000:1000:64", help="models:examples:targets that stay when another is varied")
    parser.add_argument("--models", type=numbers, default=[4000, 8000, 16000, 32000])
    parser.add_argument("--examples", type=numbers, default=[250, 500, 1000, 2000])
    parser.add_argument("--targets", type=numbers, default=[16, 32, 64, 128, 256])
    parser.add_argument("--threads", type=numbers, default=sorted({1, len(os.sched_getaffinity(0))}))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--solver", default="saga")
    parser.add_argument("--memory", default="4G")
    parser.add_argument("--directory", default=".", help="below which data are kept meanwhile")
    parser.add_argument("--csv", metavar="FILE", help="of all measurements")
    parser.add_argument("--plot", metavar="CSV", help="measure nothing, draw what an earlier run has measured")
    parser.add_argument("--svg", metavar="FILE", help="of the plot")
    parser.add_argument("--processors", action="store_true", help="plot seconds of processors, not those on the wall")
    setting = parser.parse_args()
    if bool(setting.csv) == bool(setting.plot):
        parser.error("give --csv to measure, or --plot to draw again")
    setting.build = os.path.abspath(setting.build)
    return setting


# ---- measuring -----------------------------------------------------------------------------------------------------


def sizes_of(setting):
    """[(axis, {models, examples, targets, threads})]; a size that two axes share is measured for both."""
    base = dict(zip(SIZES, [*map(int, setting.base.split(":")), len(os.sched_getaffinity(0))]))
    if len(base) != len(SIZES):
        raise Failure(f"--base is '{setting.base}': it must be models:examples:targets")
    return [(axis, {**base, axis: value}) for axis in SIZES for value in sorted(getattr(setting, axis))]


def measure(setting, size):
    """The stages of one run."""
    words = ["--build", setting.build, "--held-out", "500", "--solver", setting.solver, "--memory", setting.memory]
    for name, value in size.items():
        words += [f"--{name}", str(value)]
    words += ["--support", f"5:{min(size['examples'] // 4, 200)}"]
    return paper_scale.measure(paper_scale.read_arguments(words))["stages"]


def measure_all(setting):
    csv_path = os.path.abspath(setting.csv)
    is_new = not os.path.exists(csv_path)
    with open(csv_path, "a", newline="") as file:
        if is_new:
            print(f"# {machine_text(machine())}", file=file)
            print(",".join(FIELDS), file=file)
        writer = csv.DictWriter(file, FIELDS, extrasaction="ignore", lineterminator="\n")
        before = os.getcwd()
        os.chdir(setting.directory)
        try:
            for repeat in range(setting.repeats):
                for axis, size in sizes_of(setting):
                    for stage in measure(setting, size):
                        writer.writerow({"axis": axis, **size, "solver": setting.solver, "repeat": repeat, **stage})
                    file.flush()
        finally:
            os.chdir(before)


# ---- drawing -------------------------------------------------------------------------------------------------------


def read_measurements(path):
    """The machine and the lines of a CSV file."""
    with open(path, newline="") as file:
        first = file.readline()
        if not first.startswith("# "):
            raise Failure(f"'{path}' does not begin with the machine: it is not of scaling.py")
        return first[2:].strip(), list(csv.DictReader(file))


def name_of(line, solver_ct):
    """Of the line in the plot: fits of several solvers are told apart."""
    return f"fit, {line['solver']}" if line["stage"] == "fit" and solver_ct > 1 else line["stage"]


def panel_of(measurements, axis, field, solver_ct):
    """{name of a line: [(x, median of that field)]}"""
    values = {}
    for line in measurements:
        if line["axis"] == axis and line["stage"] in STAGES:
            values.setdefault(name_of(line, solver_ct), {}).setdefault(int(line[axis]), []).append(float(line[field]))
    return {name: sorted((x, statistics.median(measured)) for x, measured in own.items()) for name, own in values.items()}


def base_text(measurements):
    """The sizes that stay, as most lines have them."""
    base = {name: statistics.mode(line[name] for line in measurements) for name in SIZES}
    return (f"Where it is not the axis: m = {int(base['models']):,}, d = {int(base['examples']):,}, "
            f"n = {int(base['targets']):,}, {base['threads']} threads")


def load_text(measurements):
    """How busy the machine was: the load when stages began."""
    loads = [float(line["load"]) for line in measurements]
    return f"load {min(loads):.1f} to {max(loads):.1f} when stages began"


def draw(path, svg_path, is_of_processors):
    field, unit = ("processor_seconds", "seconds of processors") if is_of_processors else ("seconds", "seconds")
    machine_line, measurements = read_measurements(path)
    solvers = sorted({line["solver"] for line in measurements})
    panels = [(*AXES[axis], panel_of(measurements, axis, field, len(solvers))) for axis in SIZES]
    panels = [panel for panel in panels if panel[-1]]
    if not panels:
        raise Failure(f"'{path}' has no measurements")
    caption = [f"{base_text(measurements)}; solver {' and '.join(solvers)}, 100 lambdas, paths ended early.",
               f"{machine_line}; {load_text(measurements)}"]
    with open(svg_path, "w") as file:
        file.write(scaling_plot.draw(panels, unit, caption))


def main():
    setting = read_arguments()
    try:
        if setting.csv:
            measure_all(setting)
        if setting.svg:
            draw(setting.plot or setting.csv, setting.svg, setting.processors)
    except (Failure, OSError) as failure:
        sys.exit(f"scaling: {failure}")


if __name__ == "__main__":
    main()
