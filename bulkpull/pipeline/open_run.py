"""Opens a run in a locked output folder: which earlier run it carries on, and what those before it left undone."""

from __future__ import annotations

import secrets
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import anyio.to_thread

from bulkpull.clock import Clock, iso_utc
from bulkpull.config.settings import Settings
from bulkpull.event_types import CleanupPostponed, LedgerSetAside, RunAbandoned, RunStarted, SnapshotDamaged
from bulkpull.events import Events, about
from bulkpull.output.atomic_files import disk_errors
from bulkpull.output.cleanup import clean_up
from bulkpull.output.current import Current
from bulkpull.output.ledger import Ledger
from bulkpull.output.store import OutputStore
from bulkpull.output.workspace import OutputFolder, open_folder
from bulkpull.pipeline.request import ExportRequest
from bulkpull.pipeline.resume import ABANDONED, EarlierRuns, find_resumable


@dataclass(frozen=True, slots=True)
class OpenedRun:
    """
    A run that may begin, and what it works with.

    Attributes:
        run_id: Empty where the run is only planned.
        request: Of a resumed run with the window as it was then, since its reports were ordered for it.
        started_at: When it began, also where it is resumed now.
    """

    run_id: str
    request: ExportRequest
    started_at: datetime
    earlier: EarlierRuns
    folder: OutputFolder
    ledger: Ledger
    settings: Settings
    events: Events
    clock: Clock
    notes: tuple[str, ...] = ()


async def open_run(
    request: ExportRequest,
    *,
    ledger: Ledger,
    store: OutputStore,
    resume: str | None,
    started_at: datetime,
    settings: Settings,
    events: Events,
    clock: Clock,
) -> OpenedRun:
    """
    Resume an earlier run (`resume`, if the user names one) or begin a new one, and close runs of long ago.

    Finishes the clean-up of earlier runs, and deletes old snapshots before the free disk space is checked.

    Raises:
        DiskTrouble, LedgerError: The output folder cannot be used.
    """
    now, output = clock.now(), settings.output.absolute()
    with disk_errors(output):
        current = await anyio.to_thread.run_sync(Current.load, store)
    runs, key = await ledger.runs(), request.as_key(settings)
    earlier = find_resumable(runs, key=key, now=now, resume=resume, published=current.run_ids)
    for run in earlier.closed:
        await ledger.end_run(run.run_id, status=ABANDONED, summary=run.summary or {}, at=now)
    run_id, resumed = new_run_id(now), earlier.carried_on
    if resumed is not None:
        run_id, started_at = resumed.run_id, resumed.started_at
        request = request.continued_from(resumed.request)
        await ledger.resume_run(run_id, at=now)
    notes: list[str] = []
    if ledger.set_aside is not None:
        events.emit(LedgerSetAside(path=str(ledger.set_aside.path), reason=ledger.set_aside.why))
        notes.append(ledger.set_aside.sentence)
    taken_over = earlier.taken_over.run_id if earlier.taken_over else None
    with disk_errors(output):
        prepare = partial(open_folder, output, store, run_id=run_id, alive=earlier.alive, taken_over=taken_over)
        folder = await anyio.to_thread.run_sync(prepare)
    events.emit(RunStarted(run_id=run_id, resumed=resumed is not None))
    for run in earlier.closed:
        events.emit(RunAbandoned(abandoned=run.run_id, started_at=iso_utc(run.started_at)))
        notes.append(
            f"run {run.run_id} was interrupted and not resumed within a day, after which the service has newer data "
            "and may have deleted its reports: it is closed, and its datasets are requested again"
        )
    if taken_over is not None:
        notes.append(
            f"run {taken_over} was interrupted after it had published some datasets: this run uses what it left, "
            "and checks every dataset again"
        )
    for dataset, damage in folder.damaged.items():
        with about(dataset):
            events.emit(SnapshotDamaged(reason=damage))
    named, retain = folder.current, settings.retain_runs
    tidy = partial(clean_up, store, named.datasets, current=named, retain=retain, now=clock.now())
    for undone in await anyio.to_thread.run_sync(tidy):
        with about(undone.dataset) if undone.dataset else nullcontext():
            events.emit(CleanupPostponed(step=undone.step, reason=undone.reason))
    return OpenedRun(run_id, request, started_at, earlier, folder, ledger, settings, events, clock, tuple(notes))


def new_run_id(now: datetime) -> str:
    """The time (UTC), so that runs sort by time, and six random hex digits, so that ids are unique."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
