"""What a command costs: wall time, processor time and peak memory of it and of every process that it starts."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_LOOK_EVERY_S = 0.02
_KB = 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """
    What one run cost.

    Attributes:
        wall_s: From its start to its end.
        cpu_s: User and system time, of children too.
        peak_bytes: Each process's own peak of resident memory, added up: at least what was in use at any one moment.
        output: What it wrote to standard output.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int
    output: str


def cost_of(command: Sequence[str], *, output: Path) -> Cost:
    """
    Run `command` to its end in a process of its own.

    Needs `/proc`, so Linux. Processes count from the moment that they are first seen, every 20 milliseconds.

    Args:
        output: A file for what it writes to standard output; overwritten.

    Raises:
        CalledProcessError: It failed.
    """
    peaks: dict[int, int] = {}
    with output.open("wb") as stdout:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=stdout)
        while True:
            # wait4, because it alone tells the processor time of this child and of its children, and of nothing else.
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            for each in _family(process.pid):
                peaks[each] = max(peaks.get(each, 0), _peak_bytes(each))
            time.sleep(_LOOK_EVERY_S)
        wall_s = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(
        wall_s=wall_s,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_bytes=sum(peaks.values()),
        output=output.read_text("utf-8"),
    )


def told(values: Iterable[float], *, unit: str = "") -> str:
    """Median and range of some measurements."""
    values = sorted(values)
    return f"{statistics.median(values):.2f}{unit} ({values[0]:.2f}–{values[-1]:.2f})"


def machine() -> str:
    """The machine, as far as it matters to read absolute numbers."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")),
        platform.processor(),
    )
    memory = next((int(line.split()[1]) for line in _lines(Path("/proc/meminfo")) if line.startswith("MemTotal")), 0)
    return (
        f"{os.cpu_count()} × {model}, {memory * _KB / 1e9:.0f} GB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def _family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children = [int(each) for task in _tasks(pid) for line in _lines(task / "children") for each in line.split()]
    return [pid, *(each for child in children for each in _family(child))]


def _tasks(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:  # it ended meanwhile
        return []


def _peak_bytes(pid: int) -> int:
    return next(
        (int(line.split()[1]) * _KB for line in _lines(Path(f"/proc/{pid}/status")) if line.startswith("VmHWM")), 0
    )


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except OSError:  # it ended meanwhile, or this is no Linux
        return []
