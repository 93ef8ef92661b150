"""The commands as people and cron jobs run them: in this process where that is enough, else as a program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bulkpull.simulator import Scenario, Simulator

Command = Callable[..., "Outcome"]
Serve = Callable[[Scenario], Simulator]

# Reports are ready at once, so polls need not wait.
QUICK = {"BULKPULL_POLL_INITIAL_SECONDS": "0.02", "BULKPULL_POLL_MAX_SECONDS": "0.1"}
OFFERED = ("Profile", "OfficeUsage", "MSLearn")


def small(**changes: Any) -> Scenario:
    """A service with three datasets of a few rows; a user who may see everything."""
    given: dict[str, Any] = {"rows": 40, "datasets": OFFERED}
    return Scenario(**(given | changes))


SMALL = small()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output, which has to be one JSON value and nothing else."""
        return json.loads(self.out)


def start_program(
    *arguments: str, environment: Mapping[str, str], folder: Path, **options: Any
) -> subprocess.Popen[str]:
    """Start `python -m bulkpull`; both streams are pipes unless `options` say otherwise."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BULKPULL_")}
    given: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(  # noqa: S603 - our own interpreter and program
        [sys.executable, "-m", "bulkpull", *arguments],
        env=kept | {"COLUMNS": "80"} | dict(environment),
        cwd=folder,
        text=True,
        **given,
    )


def finish(process: subprocess.Popen[str]) -> Outcome:
    """Wait for its end."""
    out, err = process.communicate()
    return Outcome(process.returncode, out or "", err or "")
