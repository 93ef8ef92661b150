"""Finds earlier runs of an output folder to resume or close (pure)."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bulkpull.config.settings import Settings
from bulkpull.errors import SettingsError
from bulkpull.output.ledger import RunEntry
from bulkpull.output.run_history import resolve_run_id
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
    The earlier runs that affect this one.

    Attributes:
        carried_on: The run that this command resumes.
        taken_over: A nightly run that was interrupted after it had published some datasets. A new run reuses its
            reports and files, and checks every dataset again, because newer data may be ready.
        alive: Ids of unfinished runs that may still be resumed, `carried_on` included.
        closed: Unfinished runs that were interrupted too long ago.
        is_empty: There was no earlier run, so the service has no report of this folder.
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
    Find the earlier run to resume, and those to close (pure).

    Args:
        runs: The newest first.
        key: From `ExportRequest.as_key`.
        resume: The run that the user wants to resume, whatever its status.
        published: Ids of the runs that current snapshots are of.
    """
    unfinished = [run for run in runs if is_unfinished(run)]
    young = [run for run in unfinished if is_young(run, now=now)]
    if resume is not None:
        found = next((run for run in runs if run.run_id == resume), None)
    else:
        found = next((run for run in runs if is_same_request(run.request, key)), None)
        found = found if found in unfinished else None
    carried_on = found if found is not None and is_young(found, now=now) else None
    alive = {run.run_id for run in young}
    taken_over = None
    if carried_on is not None and resume is None and key.get("nightly") and carried_on.run_id in published:
        carried_on, taken_over = None, carried_on
    elif carried_on is not None:
        alive.add(carried_on.run_id)
    closed = tuple(run for run in unfinished if run not in young)
    return EarlierRuns(carried_on, taken_over, frozenset(alive), closed, is_empty=not runs)


def is_young(run: RunEntry, *, now: datetime) -> bool:
    """Whether it was active within a day; a whole run under a quota may take longer than that."""
    activity = (run.started_at, run.ended_at, run.active_at)
    return now - max(moment for moment in activity if moment) < FRESH
