"""What a command costs: wall time, processor time and peak memory of it and of every process that it starts."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LOOK_EVERY_S = 0.02
_SHARES_EVERY_S = 0.1
_KB = 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """
    What one run cost.

    Attributes:
        wall_s: From its start to its end.
        cpu_s: User and system time, of children too.
        peak_bytes: The peaks of resident memory of all processes that live at one moment, added up, at the worst one:
            at least what was in use.
        output: What it wrote to standard output.
        own_peak_bytes: The most memory of the command's own process without its children; 0 where it was not asked for.
        own_median_bytes: The same in the median over its life: what a process holds that waits most of the time.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int
    output: str
    own_peak_bytes: int = 0
    own_median_bytes: int = 0


def cost_of(
    command: Sequence[str], *, output: Path, environment: Mapping[str, str] | None = None, by_share: bool = False
) -> Cost:
    """
    Run `command` to its end in a process of its own.

    Needs `/proc`, so Linux. Processes count from the moment that they are first seen, every 20 milliseconds.

    Args:
        output: A file for what it writes to standard output; overwritten.
        environment: Variables besides this process's own.
        by_share: Memory is what all processes hold at one moment, pages that several map counted once (PSS), looked at
            every tenth of a second, in place of the sum of their peaks. Looking costs a little of the machine's time.

    Raises:
        CalledProcessError: It failed.
    """
    sums, own = [0], [0]
    over = threading.Event()

    def watch(pid: int) -> None:
        while not over.wait(_SHARES_EVERY_S if by_share else _LOOK_EVERY_S):
            family = _family(pid)
            sizes = [_share_bytes(member) if by_share else _peak_bytes(member) for member in family]
            sums.append(sum(sizes))
            if by_share:
                own.append(sizes[0])

    with output.open("wb") as stdout:
        began = time.perf_counter()
        variables = {**os.environ, **(environment or {})}
        variables.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program is compiled, as its peers are
        process = subprocess.Popen(command, stdout=stdout, env=variables)
        watcher = threading.Thread(target=watch, args=(process.pid,))
        watcher.start()
        # wait4, because it alone tells the processor time of this child and of its children, and of nothing else.
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - began
        over.set()
        watcher.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(
        wall_s=wall_s,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_bytes=max(sums),
        output=output.read_text("utf-8"),
        own_peak_bytes=max(own),
        own_median_bytes=sorted(own)[len(own) // 2],
    )


def _family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children = [int(part) for task in _tasks(pid) for line in lines_of(task / "children") for part in line.split()]
    return [pid, *(item for child in children for item in _family(child))]


def _tasks(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:  # it ended meanwhile
        return []


def _peak_bytes(pid: int) -> int:
    return _kilobytes(Path(f"/proc/{pid}/status"), "VmHWM:")


def _share_bytes(pid: int) -> int:
    return _kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss:")


def _kilobytes(path: Path, field: str) -> int:
    return next((int(line.split()[1]) * _KB for line in lines_of(path) if line.startswith(field)), 0)


def lines_of(path: Path) -> list[str]:
    """The lines of a file of `/proc`; none when it is gone, or where there is no such thing."""
    try:
        return path.read_text("utf-8").splitlines()
    except OSError:  # it ended meanwhile, or this is no Linux
        return []
