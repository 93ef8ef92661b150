"""
Many pulls of a few rows in one process, as an orchestrator would run them, and what they cost in blocks.

    python -m benchmarks.ours_many FOLDER RUNS     # twenty pulls a run, against the service that the environment names

Prints one JSON object a block of a hundred pulls: processor milliseconds a pull (this process; its converters), and the
resident memory, MB.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
from pathlib import Path

import anyio

import bulkpull

_RUNS_A_BLOCK = 5


async def main() -> None:
    """Export again and again."""
    folder, runs = Path(sys.argv[1]), int(sys.argv[2])
    settings = bulkpull.Settings(poll_initial_seconds=0.05, poll_max_seconds=0.2, requests_per_second=1_000,
                                 request_burst=100, retain_runs=1)  # fmt: skip
    own_s, children_s = _cpu_s()
    for number in range(1, runs + 1):
        manifest = await bulkpull.export(output=folder, settings=settings)
        assert manifest.status == "complete", manifest.status
        if number % _RUNS_A_BLOCK == 0:
            pulls = _RUNS_A_BLOCK * len(manifest.datasets)
            gc.collect()
            own, children = _cpu_s()
            costs = {"own_ms": 1e3 * (own - own_s) / pulls, "children_ms": 1e3 * (children - children_s) / pulls}
            print(json.dumps({**costs, "mb": _resident_mb()}), flush=True)
            own_s, children_s = own, children


def _cpu_s() -> tuple[float, float]:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    own, children = (usage.ru_utime + usage.ru_stime for usage in both)
    return own, children


def _resident_mb() -> float:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1e3


if __name__ == "__main__":
    anyio.run(main)
