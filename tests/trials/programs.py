"""The real command as a child of the tests: started, waited for, killed with all that it started, and judged."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
from warm_programs import WARM

from bulkpull.simulator import Simulator

EFFECTS = Path(__file__).parent / "effects.py"
QUICK = {
    "BULKPULL_REQUESTS_PER_SECOND": "500",
    "BULKPULL_REQUEST_BURST": "100",
    "BULKPULL_POLL_INITIAL_SECONDS": "0.05",
    "BULKPULL_POLL_MAX_SECONDS": "0.2",
    "BULKPULL_REPORT_TIMEOUT_SECONDS": "60",
}


@dataclass(frozen=True, slots=True)
class Ending:
    """How the command ended; a negative code is the signal that killed it."""

    code: int
    out: bytes
    err: str

    @property
    def manifest(self) -> Any:
        """What `--json` printed; `None` for nothing."""
        return json.loads(self.out) if self.out.strip() else None


async def start(
    simulator: Simulator, output: Path, *datasets: str, script: Path | None = None, **environment: str
) -> anyio.abc.Process:
    """Start `bulkpull export --json`, or `script` in its place, in a session of its own; warm, where starts are."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BULKPULL_")}
    program = ["-c", warm_script(script)] if script else ["-m", "bulkpull"]
    return await anyio.open_process(
        [sys.executable, *program, "export", *datasets, "--output", str(output), "--json"],
        env=kept | QUICK | simulator.environment | environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def warm_script(script: Path) -> str:
    """A program that is this script, and may be started warm."""
    return f"{WARM}import runpy\nrunpy.run_path({str(script)!r}, run_name='__main__')\n"


async def finish(process: anyio.abc.Process) -> Ending:
    """Wait for its end."""
    reported: dict[str, bytes] = {}

    async def collect(name: str, stream: Any) -> None:
        reported[name] = b"".join([chunk async for chunk in stream])

    async with process, anyio.create_task_group() as group:
        group.start_soon(collect, "out", process.stdout)
        group.start_soon(collect, "err", process.stderr)
        code = await process.wait()
    return Ending(code, reported["out"], reported["err"].decode())


def kill(process: anyio.abc.Process) -> None:
    """Kill it and its children, who lead sessions of their own."""
    for pid in (process.pid, *children_of(process.pid)):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def children_of(pid: int) -> list[int]:
    """The children of a process, where /proc tells."""
    try:
        return [int(part) for part in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]
    except OSError:
        return []


def check_agreement(ending: Ending, output: Path) -> None:
    """Exit status, printed manifest and the one on disk say the same, and nothing shows a traceback."""
    assert "Traceback" not in ending.err, ending.err
    assert ending.code in (0, 1, 2, 3, 4, 130), ending
    manifest = ending.manifest
    if manifest is None or "error" in manifest:  # it ended before there was a manifest
        assert manifest is None or manifest["exit"] == ending.code, ending
        assert ending.code not in (0, 3), ending.err
        assert ending.err.strip(), "it failed without a word"
        return
    reported = Counter(record["status"] for record in manifest["datasets"])
    lost = reported["failed"] + reported["unavailable"]
    assert (ending.code == 0) == (manifest["status"] == "complete") == (lost == 0), ending
    assert all((record["reason"] is None) == (record["status"] == "complete") for record in manifest["datasets"])
    kept = output / "runs" / manifest["run_id"] / "manifest.json"
    if kept.exists():
        assert json.loads(kept.read_text("utf-8")) == manifest


def runs_in(output: Path) -> list[tuple[str, str | None]]:
    """Every run of the ledger and how it ended last, oldest first."""
    path = output / ".bulkpull" / "ledger.sqlite"
    database = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        return database.execute(
            "SELECT run_id, (SELECT status FROM ending WHERE ending.run_id = run.run_id ORDER BY rowid DESC LIMIT 1)"
            " FROM run ORDER BY rowid"
        ).fetchall()
    finally:
        database.close()


def reports_by_name(simulator: Simulator) -> Mapping[str, int]:
    """How many reports were created under each name; more than one needs a reason."""
    return Counter(
        call.name
        for call in simulator.calls
        if (call.method, call.endpoint) == ("POST", "ScheduledReport") and call.status == 200 and call.name
    )
