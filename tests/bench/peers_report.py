"""What the comparisons with other programs print: rows of figures, each beside that of dmstore, as Markdown and as
JSON, with the machine, its load, and the peers that are not there and why.

A figure is the median of its values; (least..greatest) is their spread. "dmstore ahead" is how many times better
dmstore is in the same table: above 1 it is ahead of the peer.
"""
import importlib
import importlib.metadata
import json
import os
import platform
import re
import statistics

OURS = "dmstore"


def processor():
    with open("/proc/cpuinfo") as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown")


def text_of(values):
    text = f"{statistics.median(values):.4g}"
    return text + (f" ({min(values):.4g}..{max(values):.4g})" if len(values) > 1 else "")


def missing(distribution, module=None):
    """Why a Python package cannot be used here, or None. What pip said, where installing failed, is in
    $DMSTORE_PEERS_LOGS."""
    try:
        importlib.import_module(module or distribution)
        return None
    except Exception as error:  # a package may fail in its own ways
        return what_installing_said(distribution) or f"{type(error).__name__}: {error}".splitlines()[0]


def what_installing_said(distribution):
    log = os.path.join(os.environ.get("DMSTORE_PEERS_LOGS", "/nonexistent"), distribution)
    if not os.path.exists(log):
        return None
    with open(log) as file:
        lines = [line.strip() for line in file if re.match("error", line.strip(), re.IGNORECASE)]
    return re.sub(r"https?://\S+", "...", lines[-1]) if lines else "installing it failed"


def version_of(distribution):
    return importlib.metadata.version(distribution)


class Report:
    def __init__(self, title, notes):
        self.title, self.notes = title, notes
        self.rows, self.unavailable = [], {}
        self.loads = []
        self.note_load()

    def note_load(self):
        self.loads.append(os.getloadavg()[0])

    def add(self, table, peer, version, setting, values, more_is_better=False, is_reference=None, **details):
        """A figure of `table`, which names what is measured, its unit, the data and the threads. Peers are held against
        rows that are references: those of dmstore unless said otherwise."""
        self.note_load()
        is_reference = peer == OURS if is_reference is None else is_reference
        self.rows.append({"table": table, "peer": peer, "version": version, "setting": setting, "values": list(values),
                          "figure": statistics.median(values), "more_is_better": more_is_better,
                          "is_reference": is_reference, **details})

    def say_unavailable(self, peer, reason):
        self.unavailable[peer] = reason

    def finish(self):
        """Gives each row of a peer how far ahead of it the best reference of the same table is."""
        for row in self.rows:
            ours = [other["figure"] for other in self.rows if other["table"] == row["table"] and other["is_reference"]]
            row["ahead"] = None
            if row["peer"] == OURS or not ours:
                continue
            better, worse = (max(ours), row["figure"]) if row["more_is_better"] else (row["figure"], min(ours))
            row["ahead"] = better / worse if worse else None

    def machine(self):
        return {"cores": os.cpu_count(), "processor": processor(), "system": platform.system(),
                "release": platform.release(), "load_least": min(self.loads), "load_greatest": max(self.loads)}

    def markdown(self):
        machine = self.machine()
        lines = [f"## {self.title}", "",
                 f"machine: {machine['cores']} cores, {machine['processor']}, {machine['system']} "
                 f"{machine['release']}; load {machine['load_least']:.1f} to {machine['load_greatest']:.1f}", ""]
        for note in self.notes:
            lines += [note, ""]
        for table in dict.fromkeys(row["table"] for row in self.rows):
            lines += [f"### {table}", ""]
            lines += ["| peer | version | setting | figure | dmstore ahead |", "|---|---|---|---|---|"]
            lines += [self.line_of(row) for row in self.rows if row["table"] == table] + [""]
        lines += [f"{peer}: not available: {reason}" for peer, reason in self.unavailable.items()]
        return "\n".join(lines).rstrip() + "\n"

    @staticmethod
    def line_of(row):
        ahead = "" if row["ahead"] is None else f"{row['ahead']:.3g} x" + ("" if row["ahead"] > 1 else ": NO")
        return f"| {row['peer']} | {row['version']} | {row['setting']} | {text_of(row['values'])} | {ahead} |"

    def write(self, path):
        """PATH.md and PATH.json, and the first on the standard output."""
        self.finish()
        with open(path + ".json", "w") as file:
            json.dump({"title": self.title, "notes": self.notes, "machine": self.machine(), "rows": self.rows,
                       "unavailable": self.unavailable}, file, indent=1)
            file.write("\n")
        with open(path + ".md", "w") as file:
            file.write(self.markdown())
        print(self.markdown(), flush=True)
