"""A flame graph of ours at a scenario's work, by py-spy, which looks at the process from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.environment import BUILD, ROOT
from benchmarks.scenarios.common import Options, say

_RATE = 250


def write_profile(scenario: str, options: Options) -> Path:
    """
    Run one round of ours alone, every process of it watched; the SVG's path.

    Raises:
        CalledProcessError: py-spy could not be installed, or the scenario failed.
    """
    BUILD.mkdir(parents=True, exist_ok=True)
    target = BUILD / f"profile-{scenario}-{options.size}.svg"
    pyspy = Path(sys.executable).parent / "py-spy"
    if not pyspy.exists():
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "py-spy"], check=True)
    words = [pyspy, "record", "--subprocesses", "--rate", str(_RATE), "--format", "flamegraph",
             "--output", target, "--", sys.executable, "-m", "benchmarks", scenario, "--size",
             str(options.size_bytes or options.size), "--rounds", "1", "--peer", "none",
             *(word for case in options.cases for word in ("--case", case))]  # fmt: skip
    say("profiling: the harness itself and the simulator appear beside ours")
    subprocess.run([str(word) for word in words], check=True, cwd=ROOT, env={**os.environ})
    return target
