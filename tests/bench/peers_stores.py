"""The store of dmstore against other formats, side by side in one run: bytes a row, ingest, shuffled minibatches,
opening, memory.

    peers_stores.py --dmstore PROGRAM --build DIR [--rows M] [--examples D] [--targets N] [--slice S] [--batch-rows B]
                    [--threads 1,2] [--epochs E] [--repeats R] [--ffcv-python PROGRAM] [--directory DIR] [--output PATH]

All take in the same two .npy files, packed masks (fair coins) and float16 outputs; D is a multiple of 8.
peers_formats.py has the other formats and how each is set up, epochs_bench reads for dmstore. Each measurement is a
process of its own, tied to as many cores as it may use threads; everything is in the page cache. Ingest ends when all
is synced to the disk; its MB count packed masks and float16 outputs, whatever a format makes of them; dmstore's time
is that of its two commands, that of others is without the start of Python and its imports. Minibatches of all
targets, and of S of them; each process reads one epoch that does not count, in which all that is delivered is added
up and compared with the files, then E that do. Random order: any row anywhere; quasi-random: chunks of rows shuffled,
rows drawn from a window of 8. Memory is the most of the process's own (RssAnon, sampled every 5 ms and at the end),
less what it had before it opened or wrote anything: pages of the page cache and the interpreter do not count. Runs
take turns.

Prints Markdown; writes PATH.md and PATH.json.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np
import peers_report
from lasso_problem import fail, limit_cores
from peers_formats import CHUNK_ROWS, FORMATS, bytes_of, sums_of

FORMATS_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers_formats.py")
ORDERS = ("random", "quasi-random")
NO_ORDER = {"random": "a row group is the least that it can read",
            "quasi-random": "a map gains nothing by it"}


# ---- processes -----------------------------------------------------------------------------------------------------


def anonymous_bytes(process_id):
    try:
        with open(f"/proc/{process_id}/status") as file:
            return next((int(line.split()[1]) << 10 for line in file if line.startswith("RssAnon:")), 0)
    except OSError:
        return 0


class Ran:
    """A command that ended well: its seconds, what it printed, and the most anonymous memory that was seen."""

    def __init__(self, command, core_ct):
        with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as errors:
            start = time.perf_counter()
            process = subprocess.Popen([str(word) for word in command], stdout=printed, stderr=errors,
                                       preexec_fn=lambda: limit_cores(core_ct))
            self.memory = 0
            while process.poll() is None:
                self.memory = max(self.memory, anonymous_bytes(process.pid))
                time.sleep(0.005)
            self.seconds = time.perf_counter() - start
            self.status = process.returncode
            self.printed, self.errors = (file.seek(0) or file.read() for file in (printed, errors))

    def result(self, command):
        if self.status != 0:
            fail(f"{' '.join(map(str, command))}: exit status {self.status}: {self.errors.strip()}")
        return self


def run(command, core_ct):
    return Ran(command, core_ct).result(command)


def with_memory(found, ran):
    """What a process said of itself, and the most memory that it took beyond what it had before: what was sampled, or
    at its end."""
    before = found.get("anonymous_before", 0)
    return {**found, "memory": max(ran.memory, found.get("anonymous_after", 0), before) - before}


# ---- what is compared ----------------------------------------------------------------------------------------------


class Dmstore:
    name, orders, thread_note = "dmstore", ORDERS, ""

    def __init__(self, setting, codec):
        self.setting, self.codec = setting, codec
        self.version = run([setting.dmstore, "--version"], 1).printed.splitlines()[0].split()[-1]
        self.how = f"--codec {codec}, " + ("checked on first touch" if codec == "none" else "decoded in each epoch")
        if codec != "none":
            self.orders = ("quasi-random",)
        self.is_reference = codec == "none"

    def ingest(self, path, core_ct):
        setting = self.setting
        created = run([setting.dmstore, "create", path, "--examples", setting.examples, "--output",
                       f"margins:{setting.targets}:f16", "--codec", self.codec], core_ct)
        filled = run([setting.dmstore, "ingest", path, "--masks", setting.masks, "--packed-masks", "--output",
                      f"margins={setting.outputs}", "--threads", core_ct], core_ct)
        return {"seconds": created.seconds + filled.seconds, "memory": filled.memory, "bytes": bytes_of(path)}

    def read(self, path, order, target_ct, core_ct):
        setting = self.setting
        ran = run([os.path.join(setting.build, "tests/bench/epochs_bench"), "--store", path, "--output", "margins",
                   "--order", order, "--first-target", setting.first_of(target_ct), "--targets", target_ct,
                   "--batch-rows", setting.batch_rows, "--threads", core_ct, "--epochs", setting.epochs], core_ct)
        return with_memory(json.loads(ran.printed), ran)


class PeerFailed(Exception):
    """Of a peer, whose figures end there; the others go on."""


class Other:
    """A format of peers_formats.py."""

    is_reference = False

    def __init__(self, setting, key):
        kind = FORMATS[key]
        self.setting, self.key, self.name, self.orders = setting, key, kind.name, kind.orders
        self.package, self.thread_note = kind.package, kind.thread_note
        self.how = kind.setting + (f"; {kind.thread_note}" if kind.thread_note else "")
        self.python = setting.ffcv_python if key == "ffcv" else sys.executable

    def run(self, what, *arguments, core_ct=1):
        ran = Ran([self.python, "-B", FORMATS_PROGRAM, self.key, what, *arguments], core_ct)
        if ran.status != 0:
            lines = ran.errors.strip().splitlines()
            return None, lines[-1] if lines else f"exit status {ran.status}"
        return with_memory(json.loads(ran.printed.splitlines()[-1]), ran), None

    def missing(self):
        """Why it cannot be had, or None; gives it its version."""
        found, reason = self.run("version")
        self.version = found["version"] if found else None
        return reason and (peers_report.what_installing_said(self.package) or reason)

    def measure(self, what, *arguments, core_ct):
        found, reason = self.run(what, *arguments, "--threads", core_ct, core_ct=core_ct)
        if reason:
            raise PeerFailed(reason)
        return found

    def ingest(self, path, core_ct):
        return self.measure("ingest", "--path", path, "--masks", self.setting.masks, "--outputs", self.setting.outputs,
                            core_ct=core_ct)

    def read(self, path, order, target_ct, core_ct):
        setting = self.setting
        return self.measure("read", "--path", path, "--order", order, "--first-target", setting.first_of(target_ct),
                            "--targets", target_ct, "--batch-rows", setting.batch_rows, "--epochs", setting.epochs,
                            core_ct=core_ct)


# ---- measuring -----------------------------------------------------------------------------------------------------


class Figures:
    """Values by table and peer, in the order in which they came."""

    def __init__(self):
        self.tables, self.more_is_better = {}, {}

    def add(self, table, peer, values, more_is_better=False):
        self.tables.setdefault(table, {}).setdefault(peer, []).extend(values)
        self.more_is_better[table] = more_is_better

    def report(self, report):
        for table, peers in self.tables.items():
            for peer, values in peers.items():
                report.add(table, peer.name, peer.version, peer.how, values, self.more_is_better[table],
                           is_reference=peer.is_reference)


def go_on_without(peer, peers, what, error, report):
    peers.remove(peer)
    report.say_unavailable(f"{peer.name} from {what} on", str(error))


def measure_ingest(setting, peers, figures, report):
    """Leaves what the last run wrote, by peer."""
    megabytes = setting.rows * (setting.examples // 8 + 2 * setting.targets) / 1e6
    paths = {}
    for core_ct in setting.threads:
        where = f"{core_ct} thread{'s' if core_ct > 1 else ''}"
        for _ in range(setting.repeats):
            for peer in list(peers):
                paths.setdefault(peer, os.path.join(setting.directory, f"data{len(paths)}"))
                shutil.rmtree(paths[peer], ignore_errors=True)
                os.sync()  # so that nobody waits for another's writes
                try:
                    found = peer.ingest(paths[peer], core_ct)
                except PeerFailed as error:
                    go_on_without(peer, peers, "ingest", error, report)
                    continue
                figures.add(f"Ingest, MB/s, {where}", peer, [megabytes / found["seconds"]], True)
                figures.add(f"Memory of ingest, MiB, {where}", peer, [found["memory"] / 2 ** 20])
                figures.tables.setdefault("Bytes a row", {})[peer] = [found["bytes"] / setting.rows]
                figures.more_is_better["Bytes a row"] = False
    return paths


def check_read(setting, peer, order, target_ct, found):
    wanted = {"rows": setting.rows, "mask_sum": setting.mask_sum, "output_sum": setting.output_sums[target_ct]}
    for what, value in wanted.items():
        if found[what] != value:
            fail(f"{peer.name}, {order}, {target_ct} targets: delivered another {what}: {found[what]}, not {value}")


def measure_read(setting, peer, path, order, target_ct, core_ct, figures):
    found = peer.read(path, order, target_ct, core_ct)
    check_read(setting, peer, order, target_ct, found)
    where = f"{core_ct} thread{'s' if core_ct > 1 else ''}"
    asked = f"{'all ' if target_ct == setting.targets else ''}{target_ct} targets"
    figures.add(f"Shuffled minibatches, {order}, {asked}, rows/s, {where}", peer,
                [setting.rows / seconds for seconds in found["epochs"]], True)
    figures.add(f"Memory of reading, {order}, {asked}, MiB, {where}", peer, [found["memory"] / 2 ** 20])
    figures.add("Opening, ms", peer, [found["open"] * 1e3])


def measure_reads(setting, peers, paths, figures, report):
    for core_ct in setting.threads:
        for order in ORDERS:
            for target_ct in setting.output_sums:
                for _ in range(setting.repeats):
                    for peer in [peer for peer in peers if order in peer.orders]:
                        try:
                            measure_read(setting, peer, paths[peer], order, target_ct, core_ct, figures)
                        except PeerFailed as error:
                            go_on_without(peer, peers, f"reading in {order} order", error, report)


def make_data(setting):
    setting.masks, setting.outputs = (os.path.join(setting.directory, name) for name in ("masks.npy", "outputs.npy"))
    run([os.path.join(setting.build, "tests/bench/generate"), "--rows", setting.rows, "--examples", setting.examples,
         "--targets", setting.targets, "--packed", setting.masks, "--margins", setting.outputs], os.cpu_count())
    masks, outputs = (np.load(path, mmap_mode="r") for path in (setting.masks, setting.outputs))
    setting.output_sums = {}
    for target_ct in dict.fromkeys((setting.targets, setting.slice)):
        first = setting.first_of(target_ct)
        setting.mask_sum, setting.output_sums[target_ct] = sums_of(masks, outputs[:, first:first + target_ct])


def find_peers(setting, report):
    peers = [Dmstore(setting, "none"), Dmstore(setting, "zstd:1")]
    for key in FORMATS:
        peer = Other(setting, key)
        reason = peer.missing()
        if reason:
            report.say_unavailable(peer.name, reason)
            continue
        peers.append(peer)
        for order in ORDERS:
            if order not in peer.orders:
                report.notes.append(f"{peer.name} is not in the tables of {order} order: {NO_ORDER[order]}.")
    return peers


def read_setting():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dmstore", default="dmstore")
    parser.add_argument("--build", default=".", help="the build tree, for tests/bench/generate and epochs_bench")
    parser.add_argument("--ffcv-python", default=sys.executable, help="a Python that has FFCV")
    parser.add_argument("--directory", default=".")
    parser.add_argument("--output", default="peers-stores")
    parser.add_argument("--threads", type=lambda text: [int(word) for word in text.split(",")], default=[1, 2])
    usual = {"rows": 8192, "examples": 50000, "targets": 10000, "slice": 100, "batch_rows": 1024, "epochs": 2,
             "repeats": 3}
    for name, value in usual.items():
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=value)
    setting = parser.parse_args()
    setting.threads = [core_ct for core_ct in setting.threads if core_ct <= len(os.sched_getaffinity(0))]
    if setting.examples % 8 != 0:
        fail("--examples must be a multiple of 8")
    # A slice begins where no tile does.
    setting.first_of = lambda target_ct: 0 if target_ct == setting.targets else (setting.targets - target_ct) // 2
    return setting


def main():
    setting = read_setting()
    report = peers_report.Report("Stores", [
        f"{setting.rows} models, {setting.examples} examples, {setting.targets} targets; batches of "
        f"{setting.batch_rows}; chunks of {CHUNK_ROWS} rows."])
    parent, setting.directory = setting.directory, None
    setting.directory = tempfile.mkdtemp(prefix="dmstore-bench-", dir=parent)
    try:
        make_data(setting)
        figures = Figures()
        peers = find_peers(setting, report)
        paths = measure_ingest(setting, peers, figures, report)
        measure_reads(setting, peers, paths, figures, report)
        figures.report(report)
    finally:
        shutil.rmtree(setting.directory)
    report.write(setting.output)


main()
