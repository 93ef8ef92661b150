"""Opens a run in a locked output folder: which earlier run it carries on, and what those before it left undone."""

from __future__ import annotations

import secrets
from collections.abc import Container, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread

from bulkpull.clock import Clock, iso_utc
from bulkpull.config.settings import Settings
from bulkpull.errors import SettingsError
from bulkpull.event_types import CleanupPostponed, LedgerSetAside, RunAbandoned, RunStarted, SnapshotDamaged
from bulkpull.events import Events, about
from bulkpull.output.atomic_files import disk_errors
from bulkpull.output.cleanup import clean_up
from bulkpull.output.current import Current
from bulkpull.output.ledger import Ledger, RunEntry
from bulkpull.output.run_history import resolve_run_id
from bulkpull.output.store import OutputStore
from bulkpull.output.workspace import OutputFolder, open_folder
from bulkpull.pipeline.request import ExportRequest, is_same_request

# An older report's data is old, and the service may have cleaned its file up.
FRESH = timedelta(hours=24)
SUBMITTED = "submitted"
INTERRUPTED = "interrupted"
ABANDONED = "abandoned"
# `None` after a kill: the run could not record its end.
_UNFINISHED = (None, INTERRUPTED, SUBMITTED)


@dataclass(frozen=True, slots=True)
class EarlierRuns:
    """
    The earlier runs that affect this one; without any, the service has no report of this folder.

    Attributes:
        carried_on: The run that this command resumes.
        taken_over: A nightly run that was interrupted after it had published some datasets. A new run reuses its
            reports and files, and checks every dataset again, because newer data may be ready.
        alive: Ids of unfinished runs that may still be resumed, `carried_on` included.
        closed: Unfinished runs that were interrupted too long ago.
    """

    carried_on: RunEntry | None = None
    taken_over: RunEntry | None = None
    alive: frozenset[str] = frozenset()
    closed: tuple[RunEntry, ...] = ()
    is_empty: bool = True


def is_unfinished(run: RunEntry) -> bool:
    """Whether it was interrupted, or only submitted its reports."""
    return run.status in _UNFINISHED


def choose_run(name: str | None, *, runs: Sequence[RunEntry], output: Path) -> RunEntry:
    """The run to resume: the named one, else the newest unfinished one, else the newest; `SettingsError` if none is."""
    if name is None and (unfinished := next(filter(is_unfinished, runs), None)) is not None:
        return unfinished
    known = {run.run_id: run for run in runs}
    return known[resolve_run_id(name, known=list(known), output=output)]


def resumed_request(run: RunEntry, *, settings: Settings) -> tuple[ExportRequest, Settings]:
    """The request and settings with which a run is resumed; `SettingsError` where it used another service (pure)."""
    base = run.request.get("api_base_url")
    if base != settings.api_base_url:
        raise SettingsError(
            f"run {run.run_id} was made against {base}, and the settings name {settings.api_base_url}",
            fix="resume it with the settings that it was started with, or start a new run",
        )
    # Runs from before the setting `metrics` selected none.
    then = {
        "timespan": run.request.get("timespan"),
        "metrics": run.request.get("metrics") or "none",
        "keep_raw": settings.keep_raw or bool(run.request.get("keep_raw")),
    }
    return ExportRequest.of_run(run.request), settings.model_copy(update=then)


def find_resumable(
    runs: Sequence[RunEntry],
    *,
    key: Mapping[str, Any],
    now: datetime,
    resume: str | None = None,
    published: Container[str] = (),
) -> EarlierRuns:
    """
    Find the earlier run to resume (`resume`, whatever its status, if the user names one), and those to close (pure).

    `runs` are in their order in the ledger, `published` the ids of those that current snapshots are of.
    """
    unfinished = [run for run in runs if is_unfinished(run)]
    if resume is not None:
        found = [run for run in runs if run.run_id == resume]
    else:
        found = [run for run in runs if is_same_request(run.request, key)][:1]
        found = [run for run in found if is_unfinished(run)]
    carried_on = next((run for run in found if is_young(run, now=now)), None)
    alive = {run.run_id for run in unfinished if is_young(run, now=now)}
    closed = tuple(run for run in unfinished if run.run_id not in alive)
    taken_over = None
    if carried_on is not None and resume is None and key.get("nightly") and carried_on.run_id in published:
        carried_on, taken_over = None, carried_on
    elif carried_on is not None:
        alive.add(carried_on.run_id)
    return EarlierRuns(carried_on, taken_over, frozenset(alive), closed, is_empty=not runs)


def is_young(run: RunEntry, *, now: datetime) -> bool:
    """Whether it was active within a day; a whole run under a quota may take longer than that."""
    activity = (run.started_at, run.ended_at, run.active_at)
    return now - max(moment for moment in activity if moment) < FRESH


@dataclass(frozen=True, slots=True)
class OpenedRun:
    """
    A run that may begin, and what it works with. One that is only planned has no id.

    A resumed one has the time at which it began, and the window as it was then: its reports were created for it.
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
