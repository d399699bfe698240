"""Commands that are run and watched: seconds on the wall and of the processors, the most memory they had, what machine
they ran on. For the benchmarks that are scripts.
"""
import os
import platform
import signal
import subprocess
import time

QUICK_SECONDS = 0.005  # between looks at a process at first ...
SLOW_SECONDS = 0.1     # ... and when it has run for a while
REPORT_SECONDS = 5

TICKS = os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """A benchmark cannot go on; the message says why."""


def memory_of(process_id):
    """(anonymous, largest resident) bytes of a process: RssAnon now, VmHWM so far. Zeros when it is gone."""
    sizes = {"RssAnon": 0, "VmHWM": 0}
    try:
        with open(f"/proc/{process_id}/status") as file:
            for line in file:
                name, _, rest = line.partition(":")
                if name in sizes:
                    sizes[name] = int(rest.split()[0]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return sizes["RssAnon"], sizes["VmHWM"]


def processor_seconds_of(process_id):
    """Seconds that all threads of a process have computed, in the program and in the kernel."""
    try:
        with open(f"/proc/{process_id}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


class Usage:
    """What a command has used. RssAnon is the memory that is its own: maps of files are not in it."""

    def __init__(self):
        self.seconds = self.processor_seconds = 0.0
        self.anonymous_bytes = self.resident_bytes = 0

    def look(self, process_id):
        anonymous_bytes, resident_bytes = memory_of(process_id)
        self.anonymous_bytes = max(self.anonymous_bytes, anonymous_bytes)
        self.resident_bytes = max(self.resident_bytes, resident_bytes)


def wait_watched(process, usage, start, on_report):
    """Waits for a process; looks at its memory on the way and calls on_report(usage) every few seconds."""
    reported = start
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        usage.look(process.pid)
        now = time.monotonic()
        usage.seconds = now - start
        if now - reported >= REPORT_SECONDS:
            usage.processor_seconds = processor_seconds_of(process.pid)
            on_report(usage)
            reported = now
        time.sleep(QUICK_SECONDS if usage.seconds < 2 else SLOW_SECONDS)
    _, status, resources = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    usage.seconds = time.monotonic() - start
    usage.processor_seconds = resources.ru_utime + resources.ru_stime
    on_report(usage)


def run_watched(command, output, errors, on_report=lambda usage: None, descriptors=()):
    """Runs a command with its output in two open files. Returns its exit status and its Usage. When this program is
    interrupted, so is the command, which then has time to keep what it has done. It inherits the descriptors."""
    usage, start = Usage(), time.monotonic()
    process = subprocess.Popen([str(word) for word in command], stdout=output, stderr=errors, pass_fds=descriptors)
    try:
        wait_watched(process, usage, start, on_report)
    except BaseException:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            wait_watched(process, usage, start, on_report)
        raise
    return process.returncode, usage


def run_quietly(*command):
    """Runs a command that nobody measures; returns what it prints."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Failure(f"{' '.join(map(str, command))}: exit status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def machine():
    """What this machine is, as a dictionary; loads are of now."""
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown")
    with open("/proc/meminfo") as file:
        memory_kib = next(int(line.split()[1]) for line in file if line.startswith("MemTotal:"))
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": memory_kib * 1024,
        "system": f"{platform.system()} {platform.release()}",
        "load": os.getloadavg()[0],
    }


def machine_text(found):
    return (f"{found['processor']}, {found['cores']} cores, {found['memory_bytes'] / 2**30:.1f} GiB of memory, "
            f"{found['system']}")
