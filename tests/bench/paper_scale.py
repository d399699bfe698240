"""The whole job at the size of the published runs, from masks and outputs as files to scored datamodels, in one command.

    paper_scale.py --build DIR [--small | --fmow | --cifar] [--models M] [--examples D] [--targets N] [--held-out H]
                   [--validation V] [--alpha A] [--seed S] [--support LEAST:MOST] [--solver saga|gram] [--lambdas K]
                   [--lambda-min-ratio R] [--tol T] [--memory BYTES] [--threads N] [--codec CODEC] [--direct] [--directory DIR]
                   [--stop-after STAGE] [--json FILE]

Sizes: --small (seconds), --fmow (150,000 models, d 21,404, n 3,138), --cifar (300,000, d 50,000, n 10,000), each with
models held out beside; --models and so on change them. With fewer targets than the size has, what all of them would take is
printed in a table of its own, as extrapolated.

Stages: *generate* makes masks (one byte a bit) and float16 outputs with planted datamodels as .npy files (see planted.h;
the R^2 of the targets are spread over 0.05 to 0.7), with --direct a store at once; *ingest* creates a store and takes the
files in, which are then removed; *gram* (of --solver gram, where there is `dmstore gram`; else fit does it) counts pairs
of examples; *fit* solves K lambdas for each target, chooses one, refits; *eval* scores on the held-out models. Then, beside
the table, the planted weights are scored in the same way (the oracle). Each stage is one or two commands, of which are
taken the seconds on the wall and of the processors, and the most anonymous and resident memory (RssAnon, looked at every
0.1 s, and VmHWM).

With --directory everything is kept there: the same command goes on where it was stopped, at the stage and, within a fit,
at its checkpoint; log.txt tells what was run when. Seconds of all attempts are added up. Without it, a directory below
the working directory is used and removed. Free disk space is checked first.
"""
import argparse
import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time

sys.dont_write_bytecode = True

import paper_report  # noqa: E402
import paper_results  # noqa: E402
from watched import Failure, Usage, machine, run_quietly, run_watched  # noqa: E402

STAGES = ("generate", "ingest", "gram", "fit", "eval")
FIT, ORACLE, OUTPUT = "paper", "planted", "margins"
R2_LEAST, R2_MOST = 0.05, 0.7
DISK_SLACK = 256 << 20

SIZES = {
    "small": {"models": 4000, "examples": 300, "targets": 24, "held_out": 500, "support": "5:60"},
    "fmow": {"models": 150000, "examples": 21404, "targets": 3138, "held_out": 10000},
    "cifar": {"models": 300000, "examples": 50000, "targets": 10000, "held_out": 10000},
}


# ---- what is asked for ---------------------------------------------------------------------------------------------


def read_arguments(words=None):
    parser = argparse.ArgumentParser(prog="paper_scale", description="The whole job at the size of the published runs.")
    parser.add_argument("--build", default=".", help="build directory (default: the working directory)")
    size = parser.add_mutually_exclusive_group()
    for name in SIZES:
        size.add_argument(f"--{name}", dest="size", action="store_const", const=name)
    parser.add_argument("--models", type=int, help="that train and validate")
    parser.add_argument("--examples", type=int)
    parser.add_argument("--targets", type=int)
    parser.add_argument("--held-out", type=int, help="models beside these")
    parser.add_argument("--validation", type=int, help="of the models (default: a tenth)")
    parser.add_argument("--alpha", default="0.5")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--support", help="weights that are planted in a target (default 20:640)")
    parser.add_argument("--solver", choices=("saga", "gram"), default="saga")
    parser.add_argument("--lambdas", type=int, default=100)
    parser.add_argument("--lambda-min-ratio", default="0.01", help="smallest lambda over the largest")
    parser.add_argument("--tol", default="1e-4")
    parser.add_argument("--memory", default="4G", help="that gram, fit and eval may use")
    parser.add_argument("--threads", type=int, default=0, help="of all stages but generate (default: one a processor)")
    parser.add_argument("--codec", default="none", help="of the store")
    parser.add_argument("--direct", action="store_true", help="generate the store without files")
    parser.add_argument("--directory", help="where everything is kept, and gone on with")
    parser.add_argument("--stop-after", choices=STAGES)
    parser.add_argument("--json", metavar="FILE", help="write all figures; '-': in place of the tables")
    return fill_in(parser, parser.parse_args(words))


def fill_in(parser, setting):
    """Sizes that were not given are those of the preset."""
    preset = {"held_out": 1000, "support": "20:640", **SIZES.get(setting.size, {})}
    for name in ("models", "examples", "targets", "held_out", "support"):
        if getattr(setting, name) is None:
            if name not in preset:
                parser.error(f"--{name} is missing: give it, or one of --small, --fmow and --cifar")
            setattr(setting, name, preset[name])
    # A part of the targets is still a part of that size; other models or examples are a size of their own.
    if any(getattr(setting, name) != preset.get(name) for name in ("models", "examples", "held_out")):
        setting.size = None
    setting.size_targets = preset["targets"] if setting.size else None
    if setting.validation is None:
        setting.validation = setting.models // 10
    if min(setting.models, setting.examples, setting.targets, setting.held_out, setting.validation) < 1:
        parser.error("there must be models, examples, targets, held-out and validation models")
    return setting


# What decides the figures: a directory with other values is refused. build and so on are not among them.
DECISIVE = ("models", "examples", "targets", "held_out", "validation", "alpha", "seed", "support", "solver", "lambdas",
            "lambda_min_ratio", "tol", "memory", "threads", "codec", "direct")


# ---- what has been done --------------------------------------------------------------------------------------------


class State:
    """What has been done in a directory, and what it took; written anew whenever there is news."""

    def __init__(self, setting, directory):
        self.path = os.path.join(directory, "state.json")
        is_new = not os.listdir(directory)
        self.lock(directory)
        self.setting = {name: getattr(setting, name) for name in DECISIVE}
        self.stages = {}
        if os.path.exists(self.path):
            self.load()
        elif not is_new:
            raise Failure(f"'{directory}' is neither empty nor of an earlier run: give another --directory")
        self.machine = machine()
        self.save()

    def lock(self, directory):
        """Commands inherit the lock: one that outlives this program keeps the next one from starting it again."""
        self.descriptor = os.open(os.path.join(directory, "lock"), os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure(f"'{directory}' is in use by another paper_scale, or by a command that one left behind: wait "
                          "for it, or end it") from None

    def load(self):
        with open(self.path) as file:
            kept = json.load(file)
        for name, value in self.setting.items():
            if kept["setting"].get(name) != value:
                raise Failure(f"'{self.path}' is of a run with --{name.replace('_', '-')} {kept['setting'].get(name)}, not "
                              f"{value}: give another --directory, or remove it")
        self.stages = kept["stages"]

    def save(self):
        with open(self.path + ".new", "w") as file:
            json.dump({"setting": self.setting, "machine": self.machine, "stages": self.stages}, file, indent=2)
        os.replace(self.path + ".new", self.path)

    def is_done(self, stage):
        return self.stages.get(stage, {}).get("done", False)

    def begin(self, stage):
        """A new attempt at a stage. Figures of commands that it runs go to the list that is returned."""
        record = self.stages.setdefault(stage, {"done": False, "attempts": []})
        record["attempts"].append({"load": os.getloadavg()[0], "commands": []})
        return record["attempts"][-1]["commands"]

    def finish(self, stage):
        self.stages[stage]["done"] = True
        self.save()

    def figures(self, stage):
        """Sums and maxima over all that was run for a stage."""
        attempts = self.stages[stage]["attempts"]
        commands = [command for attempt in attempts for command in attempt["commands"]]
        return {
            "stage": stage,
            "seconds": sum(c["seconds"] for c in commands),
            "processor_seconds": sum(c["processor_seconds"] for c in commands),
            "anonymous_bytes": max(c["anonymous_bytes"] for c in commands),
            "resident_bytes": max(c["resident_bytes"] for c in commands),
            "attempts": len(attempts),
            "load": attempts[0]["load"],
            # The last attempt at a fit may only have found that it was stored already.
            "commands": [c["command"] for c in next(a["commands"] for a in reversed(attempts) if a["commands"])],
        }


# ---- the job -------------------------------------------------------------------------------------------------------


class Job:
    def __init__(self, setting, directory):
        self.setting, self.directory = setting, directory
        self.dmstore = os.path.join(setting.build, "dmstore")
        self.generate_program = os.path.join(setting.build, "tests", "bench", "generate")
        for program in (self.dmstore, self.generate_program):
            if not os.access(program, os.X_OK):
                raise Failure(f"there is no program '{program}': give --build, and `make check TESTS=` there")
        self.store = self.path("store")
        self.files = {name: self.path(name + ".npy") for name in ("masks", OUTPUT, "completed")}
        left_out = {"ingest"} if setting.direct else set()
        if setting.solver != "gram" or not re.search(r"^ +gram ", run_quietly(self.dmstore, "--help"), re.MULTILINE):
            left_out.add("gram")
        self.stages = [stage for stage in STAGES if stage not in left_out]
        self.state = State(setting, directory)

    def path(self, name):
        return os.path.join(self.directory, name)

    def log(self, text):
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}"
        with open(self.path("log.txt"), "a") as file:
            print(line, file=file)
        if sys.stderr.isatty():
            print(line, file=sys.stderr)

    def run(self, figures, *command, output=None):
        """Runs a command, watched; its figures are kept from time to time, so that a kill costs few of them."""
        kept = {"command": " ".join(map(str, command))}
        figures.append(kept)
        self.log(f"$ {kept['command']}")

        def on_report(usage):
            kept.update(vars(usage))
            self.state.save()
        on_report(Usage())
        with open(output or os.devnull, "w") as results, open(self.path("log.txt"), "a+") as errors:
            begin = errors.seek(0, os.SEEK_END)
            status, usage = run_watched(command, results, errors, on_report, [self.state.descriptor])
            errors.seek(begin)
            said = errors.read().strip()
        self.log(f"  ended with {status} after {usage.seconds:.1f} s, {usage.processor_seconds:.1f} s of processors, "
                 f"{usage.anonymous_bytes / 2**20:.0f} MiB anonymous")
        if status != 0:
            raise Failure(f"`{kept['command']}` ended with {status}: {said or 'it said nothing'}")

    # -- stages --

    def generate(self, figures):
        setting = self.setting
        shutil.rmtree(self.store, ignore_errors=True)
        outputs = ["--store", self.store, "--codec", setting.codec] if setting.direct else [
            word for name, path in self.files.items() for word in (f"--{name}", path)]
        self.run(figures, self.generate_program, "--rows", setting.models + setting.held_out, "--examples",
                 setting.examples, "--targets", setting.targets, "--alpha", setting.alpha, "--seed", setting.seed,
                 "--planted", "--support", setting.support, "--r2", f"{R2_LEAST}:{R2_MOST}", "--truth",
                 self.path("truth"), *outputs)

    def ingest(self, figures):
        shutil.rmtree(self.store, ignore_errors=True)
        self.run(figures, self.dmstore, "create", self.store, "--examples", self.setting.examples, "--output",
                 f"{OUTPUT}:{self.setting.targets}:f16", "--codec", self.setting.codec)
        self.run(figures, self.dmstore, "ingest", self.store, "--masks", self.files["masks"], "--output",
                 f"{OUTPUT}={self.files[OUTPUT]}", "--completed", self.files["completed"], *self.threads())

    def threads(self):
        return ["--threads", self.setting.threads] if self.setting.threads else []

    def split(self):
        return ["--holdout", self.setting.held_out, "--validation", self.setting.validation]

    def limits(self):
        return ["--memory", self.setting.memory, *self.threads()]

    def gram(self, figures):
        self.run(figures, self.dmstore, "gram", self.store, *self.split(), *self.limits())

    def is_fitted(self):
        """Whether the store has the whole fit: it was stored, and this program was stopped before it knew."""
        fits = json.loads(run_quietly(self.dmstore, "fits", self.store, "--json"))["fits"]
        return any(fit["name"] == FIT and fit["targets"] == self.setting.targets for fit in fits)

    def fit(self, figures):
        if figures is not self.state.stages["fit"]["attempts"][0]["commands"] and self.is_fitted():
            return
        self.run(figures, self.dmstore, "fit", self.store, "--output", OUTPUT, "--name", FIT, "--solver",
                 self.setting.solver, *self.split(), "--lambdas", self.setting.lambdas, "--lambda-min-ratio",
                 self.setting.lambda_min_ratio, "--tol", self.setting.tol, *self.limits(), "--resume", "--allow-uncertified", "--log", self.path("fit.log"), "--json",
                 output=self.path("fit.json"))

    def eval(self, figures):
        self.run(figures, self.dmstore, "eval", self.store, FIT, "-o", self.path("fit.csv"), "--json", *self.limits(),
                 output=self.path("eval.json"))

    # -- all of it --

    def check_disk(self):
        """Fails when what is still to be written would not fit."""
        setting, needed = self.setting, DISK_SLACK
        row_ct = setting.models + setting.held_out
        packed = row_ct * (setting.examples // 8 + 8 + 2 * setting.targets)
        sizes = {
            "generate": packed if setting.direct else row_ct * (setting.examples + 2 * setting.targets),
            "ingest": packed,
            # Two sets of models: 2 bytes for half of all pairs, and sums of products in double.
            "gram": 2 * (setting.examples ** 2 + 8 * setting.examples * setting.targets),
            "fit": 16 * setting.targets * min(setting.examples, 2000),
        }
        for stage in self.stages:
            if not self.state.is_done(stage):
                needed += sizes.get(stage, 0) * 21 // 20
        free = shutil.disk_usage(self.directory).free
        self.log(f"{needed / 1e9:.2f} GB will be written, {free / 1e9:.2f} GB are free")
        if needed > free:
            raise Failure(f"'{self.directory}' has {free / 1e9:.1f} GB of free disk space, and {needed / 1e9:.1f} GB are "
                          "needed: give another --directory, or fewer models or targets")

    def run_stages(self):
        """Runs what is still to be done. Returns whether all of it is."""
        self.check_disk()
        for stage in self.stages:
            if not self.state.is_done(stage):
                getattr(self, stage)(self.state.begin(stage))
                self.state.finish(stage)
            if stage == "ingest":
                for path in self.files.values():
                    with contextlib.suppress(FileNotFoundError):
                        os.remove(path)
            if stage == self.setting.stop_after:
                return stage == self.stages[-1]
        return True

    def score_oracle(self):
        """Scores what was planted as if it had been fitted, and writes the fit's weights for comparison."""
        known = json.loads(run_quietly(self.dmstore, "fits", self.store, "--json"))["fits"]
        if all(fit["name"] != ORACLE for fit in known):
            run_quietly(self.dmstore, "import-fit", self.store, "--name", ORACLE, "--like", FIT, "--from",
                        self.path("truth"), *self.limits())
        run_quietly(self.dmstore, "eval", self.store, ORACLE, "-o", self.path("oracle.csv"), "--bootstrap", 0,
                    *self.limits())
        run_quietly(self.dmstore, "export-fit", self.store, FIT, "-o", self.path("exported"), "--sparse")

    def report(self):
        """All figures, as a dictionary."""
        setting = self.setting
        self.score_oracle()
        with open(self.path("eval.json")) as file:
            scored = json.load(file)["fits"][0]["mean"]
        targets = paper_results.read_run(self.dmstore, self.store, FIT, self.directory, setting.examples, setting.targets)
        return {
            "version": run_quietly(self.dmstore, "--version").split("\n")[0],
            "machine": self.state.machine,
            "setting": {**self.state.setting, "size": setting.size, "size_targets": setting.size_targets},
            "stages": [self.state.figures(stage) for stage in self.stages],
            "results": {**paper_results.summarize(targets), "lds_low": scored["lds_low"], "lds_high": scored["lds_high"]},
            "by_r2": paper_results.summarize_by_r2(targets, R2_LEAST, R2_MOST),
        }


@contextlib.contextmanager
def chosen_directory(setting):
    """The directory of the run: the one that is kept, or one that is removed."""
    if setting.directory:
        os.makedirs(setting.directory, exist_ok=True)
        yield setting.directory
        return
    directory = tempfile.mkdtemp(prefix="paper-scale-", dir=".")
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def measure(setting):
    """Runs the job and returns its figures; None when it was to stop before its end."""
    with chosen_directory(setting) as directory:
        job = Job(setting, directory)
        return job.report() if job.run_stages() else None


def main():
    setting = read_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        report = measure(setting)
    except (Failure, OSError) as failure:
        sys.exit(f"paper_scale: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
    if report is None:
        return
    if setting.json != "-":
        paper_report.print_tables(report)
    if setting.json:
        with contextlib.nullcontext(sys.stdout) if setting.json == "-" else open(setting.json, "w") as file:
            json.dump(report, file, indent=2)
            file.write("\n")


if __name__ == "__main__":
    main()
