"""
Power cuts: whatever a disk may hold after one, readers find whole snapshots and the next start ends well.

An export is recorded, and for each of its effects on the disk the worst states that POSIX allows are laid out. A few of
them by default; TRIALS=all asks for every one.
"""

from __future__ import annotations

import random
import shutil
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from in_process import without_child_processes
from journeys.kit import assert_holds_what_the_csv_said, export
from support import THOROUGH, FakeClock
from trials.disk import Chance, Disk, Everything, Mixed, NamesOnly, State, prefixes
from trials.readers import check_readers, check_tidiness
from trials.recording import IN_CHILDREN, LOG, ROOT, Recorder

from bulkpull.simulator import Scenario, Simulator
from bulkpull.simulator.entities import StoredQuery, StoredReport

pytestmark = [
    pytest.mark.child_processes,
    pytest.mark.skipif(sys.platform != "linux", reason="descriptors are told apart by /proc"),
    pytest.mark.timeout(7_200 if THOROUGH else 600),
]

DATASETS = ("Profile", "OfficeUsage")
DAY_S = 86_400.0
FEW = 5


@dataclass
class Trial:
    """An export that was recorded, and the service as it was at each moment."""

    simulator: Simulator
    clock: FakeClock
    output: Path
    changes: dict[str, Any]
    known: dict[str, list[pl.DataFrame]] = field(default_factory=dict)
    moments: list[tuple[dict[str, StoredQuery], dict[str, StoredReport]]] = field(default_factory=list)

    async def export(self) -> None:
        manifest = await export(self.simulator, self.output, *DATASETS, clock=self.clock, **self.changes)
        assert manifest.status == "complete", [record.reason for record in manifest.datasets]
        for record in manifest.datasets:
            assert_holds_what_the_csv_said(
                self.output, manifest, record.dataset, await self.simulator.csv(record.dataset)
            )
            files = [self.output / file.path for file in record.files]
            self.known.setdefault(record.dataset, []).append(pl.read_parquet(files, glob=False))

    def surroundings(self) -> str | None:
        """Keep the service's state, and name it, when it has changed."""
        service = self.simulator.service
        now = (dict(service.queries), dict(service.reports))
        if self.moments and now == self.moments[-1]:
            return None
        self.moments.append(now)
        return str(len(self.moments) - 1)

    def restore(self, moment: str | None) -> None:
        """Take the service back to that state."""
        service, (queries, reports) = self.simulator.service, self.moments[int(moment or 0)]
        for stored, then in ((service.queries, queries), (service.reports, reports)):
            stored.clear()
            stored.update(then)  # type: ignore[arg-type]


@asynccontextmanager
async def recorded(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, earlier: int, **changes: Any
) -> AsyncIterator[tuple[Trial, Disk]]:
    """Export, after so many earlier exports of other data, and record it."""
    root, log = folder / "disk", folder / "log"
    root.mkdir()
    clock = FakeClock()
    scenario = Scenario(rows=12, datasets=DATASETS, refreshes=True, latency_s={"*": 2.0})
    async with Simulator(scenario, clock=clock) as simulator:
        trial = Trial(simulator, clock, root / "out", changes)
        for _ in range(earlier):
            with without_child_processes():
                await trial.export()
            clock.advance(3 * DAY_S)
        before = shutil.copytree(root, folder / "before", symlinks=True)
        monkeypatch.setenv(ROOT, str(root))
        monkeypatch.setenv(LOG, str(log))
        monkeypatch.setenv("PYTHONPATH", str(IN_CHILDREN))
        with Recorder(
            root, log, ledger=trial.output / ".bulkpull" / "ledger.sqlite", surroundings=trial.surroundings
        ).recording():
            await trial.export()
        for name in (ROOT, LOG, "PYTHONPATH"):
            monkeypatch.delenv(name)
        yield trial, Disk(log, before=before)


def states_of(disk: Disk, *, most: int | None) -> list[tuple[int, State]]:
    """What to try: after each entry nothing that was not synced, names without bytes, everything, and mixtures."""
    found: dict[object, tuple[int, State]] = {}
    for number in prefixes(disk, most=most):
        chances: list[Chance] = [Chance(), NamesOnly(), Everything(), Mixed((number, 1)), Mixed((number, 2))]
        die = random.Random(number)  # noqa: S311 - a choice of cases
        for chance in chances if most is None else die.sample(chances, 2):
            state = disk.after(number, chance=chance)
            key = (state.key, disk.recorded("ledger", number))
            found.setdefault(key, (number, state))
    return list(found.values())


async def test_the_recording_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was recorded, done again in its order, gives the very folder that the export left: no effect escaped."""
    async with recorded(tmp_path, monkeypatch, earlier=1, keep_raw=True) as (trial, disk):
        root = trial.output.parent
        disk.after(len(disk) - 1, chance=Everything()).lay_out(empty(tmp_path / "again"))

        assert contents(tmp_path / "again") == contents(root)


@pytest.mark.fault(95)
@pytest.mark.parametrize(
    ("earlier", "changes"),
    [
        pytest.param(0, {}, id="the first export"),
        pytest.param(1, {}, id="a second export, all data changed"),
        pytest.param(2, {"retain_runs": 1, "keep_reports": True}, id="an old snapshot goes"),
    ],
)
async def test_no_power_cut_hurts_a_reader_or_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: int, changes: dict[str, Any]
) -> None:
    async with recorded(tmp_path, monkeypatch, earlier=earlier, **changes) as (trial, disk):
        for number, state in states_of(disk, most=None if THOROUGH else FEW):
            try:
                await survives(trial, disk, state, number, published=earlier > 0)
            except BaseException as error:
                error.add_note(f"after entry {number}: {disk.entries[number]}")
                raise


async def survives(trial: Trial, disk: Disk, state: State, number: int, *, published: bool) -> None:
    """A reader looks, then the same export starts again, on this state of the disk."""
    state.lay_out(empty(trial.output.parent))
    private = trial.output / ".bulkpull"
    ledger = disk.recorded("ledger", number)
    if ledger is not None and private.exists():
        (private / "ledger.sqlite").write_bytes(state.content(ledger))
    trial.restore(disk.recorded("surroundings", number))
    live = {report.dataset for report in trial.simulator.service.reports.values()}
    created = Counter(trial.simulator.service.created_reports)

    check_readers(trial.output, trial.known, published=published)
    known = {dataset: list(frames) for dataset, frames in trial.known.items()}
    with without_child_processes():  # only the recorded export needs them
        await trial.export()

    found = check_readers(trial.output, known, published=True)
    assert found == {dataset: len(known[dataset]) - 1 for dataset in DATASETS}  # the newest data
    trial.known = known
    check_tidiness(trial.output)
    new = trial.simulator.service.created_reports - created
    assert set(new.values()) <= {1}
    if ledger is not None and not trial.changes.get("keep_reports"):
        assert not live & set(new), "a report was made although the service still had one for this run"


def empty(folder: Path) -> Path:
    """That folder with nothing in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def contents(root: Path) -> dict[str, tuple[str, object]]:
    """All that is in a folder, but for the ledger, which is recorded as a whole."""
    found: dict[str, tuple[str, object]] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if "/.bulkpull/ledger.sqlite" in name:
            continue
        if path.is_symlink():
            found[name] = ("link", str(path.readlink()))
        else:
            found[name] = ("folder", "") if path.is_dir() else ("file", path.read_bytes())
    return found
