"""
A disk that is really full: the real command on a file system of its own that is too small, at every layer that writes.

After each trial the file system is given room and the same command ends the work.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import anyio
import polars as pl
import pytest
from support import THOROUGH
from trials.programs import QUICK, Ending, check_agreement
from trials.readers import check_readers, check_tidiness

from bulkpull.simulator import Scenario, Simulator

pytestmark = pytest.mark.child_processes

DATASETS = ("Profile", "OfficeUsage")
SCENARIO = Scenario(rows={"Profile": 40, "OfficeUsage": 12_000}, datasets=DATASETS)
# Too small for the ledger, for the download, for the Parquet file beside it, for a little more.
SIZES_KB = (20, 120, 300, 600, 900) if THOROUGH else (20, 120, 300, 600)

# In a mount namespace of its own, where a user may mount: nothing of it is seen from outside.
_SCRIPT = """
set -u
mount -t tmpfs -o size="$SMALL"k none "$OUT" || exit 77
"$@" > "$LOG/first.json" 2> "$LOG/first.err"; echo $? > "$LOG/first.code"
cp -a "$OUT/." "$LOG/between"
mount -o remount,size=64m "$OUT"
"$@" > "$LOG/second.json" 2> "$LOG/second.err"; echo $? > "$LOG/second.code"
cp -a "$OUT/." "$LOG/after"
"""


def can_mount() -> bool:
    unshare = shutil.which("unshare")
    if sys.platform != "linux" or unshare is None:
        return False
    trial = [unshare, "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0  # noqa: S603 - as written here


@pytest.mark.skipif(not can_mount(), reason="a file system of one's own needs user namespaces")
@pytest.mark.fault(7, 8)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("size_kb", SIZES_KB)
async def test_a_full_disk_is_one_sentence_and_with_room_the_same_command_ends_the_work(
    tmp_path: Path, size_kb: int
) -> None:
    output, log = tmp_path / "out", tmp_path / "log"
    for folder in (output, log / "between", log / "after"):
        folder.mkdir(parents=True)
    async with Simulator(SCENARIO) as simulator:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BULKPULL_")}
        environment = kept | QUICK | simulator.environment | {"OUT": str(output), "LOG": str(log)}
        command = [sys.executable, "-m", "bulkpull", "export", *DATASETS, "--output", str(output), "--json"]
        await anyio.run_process(
            ["unshare", "-rm", "sh", "-c", _SCRIPT, "sh", *command], env=environment | {"SMALL": str(size_kb)}
        )
        first, second = ending(log, "first"), ending(log, "second")

        assert first.code in (1, 3), first
        reported = first.err + str(first.manifest)
        assert "room" in reported or "no space left" in reported, reported
        check_agreement(first, log / "between")
        assert second.code == 0, second
        check_agreement(second, log / "after")
        known = {record["dataset"]: [frame(log / "after", record)] for record in second.manifest["datasets"]}
        assert [known[dataset][0].height for dataset in DATASETS] == [40, 12_000]
        check_readers(log / "between", known, published=False)
        check_readers(log / "after", known, published=True)
        check_tidiness(log / "after")
        assert set(simulator.service.created_reports.values()) == {1}, "a report was made again"
        assert simulator.service.reports == {}


def ending(log: Path, which: str) -> Ending:
    code = int((log / f"{which}.code").read_text())
    return Ending(code, (log / f"{which}.json").read_bytes(), (log / f"{which}.err").read_text("utf-8"))


def frame(output: Path, record: dict[str, object]) -> pl.DataFrame:
    files = json.loads(json.dumps(record["files"]))
    return pl.read_parquet([output / file["path"] for file in files], glob=False)
