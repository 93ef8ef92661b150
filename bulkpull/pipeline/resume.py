"""What earlier runs of an output folder mean for this one, carried on, closed or left alone; and what they left."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio.to_thread

from bulkpull.clock import iso_utc
from bulkpull.config.settings import Settings
from bulkpull.errors import SettingsError
from bulkpull.model import Report
from bulkpull.output.integrity import size_of
from bulkpull.output.ledger import Ledger, RunEntry
from bulkpull.output.manifest import Current, DatasetRecord
from bulkpull.output.run_history import RUN_ID, resolve_run_id
from bulkpull.pipeline.naming import parse_report_name
from bulkpull.pipeline.request import ExportRequest, is_same_request
from bulkpull.pipeline.reusable_work import FRESH, KEPT, KnownRun, Reusable, SortedReports, may_take_up, sort_reports

SUBMITTED = "submitted"
INTERRUPTED = "interrupted"
ABANDONED = "abandoned"
# `None` after a kill: the run had no time to say how it ended.
_UNFINISHED = (None, INTERRUPTED, SUBMITTED)


@dataclass(frozen=True, slots=True)
class EarlierRuns:
    """
    What earlier runs mean for this one.

    Attributes:
        carried_on: The run that the same command goes on with.
        alive: Ids of unfinished runs that may still be carried on, that one included.
        taken_over: A night that was cut off after it had published something. A new run goes on with its reports and
            files, and looks at every dataset again: newer data may be ready by now.
        closed: Unfinished runs that were cut off too long ago: the service may have cleaned up what they ordered, and
            has refreshed the data since.
        is_empty: There was none, so that there is nothing of ours to be looked for on the service.
    """

    carried_on: RunEntry | None = None
    taken_over: RunEntry | None = None
    alive: frozenset[str] = frozenset()
    closed: tuple[RunEntry, ...] = ()
    is_empty: bool = True


def is_unfinished(run: RunEntry) -> bool:
    """Whether it was cut off, or has submitted its reports and collected none."""
    return run.status in _UNFINISHED


def choose_run(asked: str | None, *, runs: Sequence[RunEntry], output: Path) -> RunEntry:
    """
    The run to carry on: the one that is named, else the newest unfinished one, else the newest (pure).

    Args:
        asked: A run's id or the beginning of one; `None` for none in particular.
        runs: The runs of the ledger, newest first.

    Raises:
        SettingsError: There is no such run; the message names what there is.
    """
    if asked is None and (unfinished := next(filter(is_unfinished, runs), None)) is not None:
        return unfinished
    known = {run.run_id: run for run in runs}
    return known[resolve_run_id(asked, known=list(known), output=output)]


def resumed_request(run: RunEntry, *, settings: Settings) -> tuple[ExportRequest, Settings]:
    """
    What to ask for, and with which settings, so that the run is carried on as it was begun (pure).

    Raises:
        SettingsError: It was made against another service.
    """
    base = run.request.get("api_base_url")
    if base != settings.api_base_url:
        raise SettingsError(
            f"run {run.run_id} was made against {base}, and the settings name {settings.api_base_url}",
            fix="resume it with the settings that it was begun with, or begin a new run",
        )
    # Runs from before the setting `metrics` selected none.
    asked = {
        "timespan": run.request.get("timespan"),
        "metrics": run.request.get("metrics") or "none",
        "keep_raw": settings.keep_raw or bool(run.request.get("keep_raw")),
    }
    return ExportRequest.of_run(run.request), settings.model_copy(update=asked)


def review(
    runs: Sequence[RunEntry],
    *,
    key: Mapping[str, Any],
    now: datetime,
    resume: str | None = None,
    published: Container[str] = (),
) -> EarlierRuns:
    """
    Say what becomes of earlier runs (pure).

    Args:
        runs: The newest first.
        key: What has to be equal for a run to be carried on, as `ExportRequest.as_key` gives it.
        resume: The run that the user wants to be carried on, however it ended.
        published: Ids of the runs that current snapshots are of.
    """
    unfinished = [run for run in runs if is_unfinished(run)]
    young = [run for run in unfinished if _is_young(run, now=now)]
    if resume is not None:
        wanted = next((run for run in runs if run.run_id == resume), None)
    else:
        wanted = next((run for run in runs if is_same_request(run.request, key)), None)
        wanted = wanted if wanted in unfinished else None
    carried_on = wanted if wanted is not None and _is_young(wanted, now=now) else None
    taken_over = None
    if resume is None and key.get("nightly") and carried_on is not None and carried_on.run_id in published:
        carried_on, taken_over = None, carried_on
    return EarlierRuns(
        carried_on=carried_on,
        taken_over=taken_over,
        alive=frozenset(run.run_id for run in young) | ({carried_on.run_id} if carried_on else set()),
        closed=tuple(run for run in unfinished if run not in young),
        is_empty=not runs,
    )


def _is_young(run: RunEntry, *, now: datetime) -> bool:
    """Whether it did something within a day: many windows under a quota take longer than that in all."""
    did = (run.started_at, run.ended_at, run.active_at)
    return now - max(datetime.fromisoformat(each) for each in did if each) < FRESH


async def published_before(ledger: Ledger, *, run_id: str, output: Path, current: Current) -> dict[str, DatasetRecord]:
    """
    What the run had published, by dataset.

    It counts only while `current.json` names it, and while its files are there; everything else is done again.
    """
    done: dict[str, DatasetRecord] = {}
    for entry in await ledger.steps(run_id):
        named = current.datasets.get(entry.dataset)
        if entry.step == "published" and named is not None and named.run_id == run_id:
            record = DatasetRecord.model_validate(entry.facts["record"])
            if await anyio.to_thread.run_sync(_all_there, output, record):
                done[entry.dataset] = record
    return done


@dataclass(slots=True)
class ReusableWork:
    """What this run takes over, and what it has to clear away."""

    leftovers: Reusable = field(default_factory=Reusable)
    orphans: list[Report] = field(default_factory=list)


async def find_reusable(
    reports: Iterable[Report] | None,
    *,
    ledger: Ledger,
    run_id: str,
    wanted: Mapping[str, str],
    windows: Mapping[str, datetime],
    splits: frozenset[str],
    alive: frozenset[str],
    folders: Iterable[str],
    now: datetime,
) -> ReusableWork:
    """
    Sort what earlier runs of this output folder left on the service.

    Args:
        reports: All that the service lists; `None` where it does not tell, and then those that the ledger knows are
            taken up, and none is cleared away.
        wanted: The marks of this run's pulls, each with the mark that they bear today.
        windows: The ends of the windows among them, by mark: what was fetched of these counts whatever the run.
        splits: Marks of windows that were asked for in halves.
        alive: Runs that may still be carried on, by another command.
        folders: Ids of runs that left a folder here: they are ours even where the ledger does not know them any more.
    """
    is_known = reports is not None
    reports = list(reports) if reports is not None else await _ordered_reports(ledger)
    named = {name.run_id for report in reports if (name := parse_report_name(report.name)) and name.run_id}
    noted = await ledger.runs()
    keeping = {run.run_id for run in noted if run.request.get("keep_reports")}
    known = {run.run_id for run in noted} | {name for name in folders if RUN_ID.fullmatch(name)}
    runs = [
        KnownRun(
            each,
            carried_on=each in alive,
            published=frozenset(entry.dataset for entry in await ledger.steps(each) if entry.step == "published"),
            keeps_reports=each in keeping,
        )
        for each in sorted((named & known) - {run_id})
    ]
    found: SortedReports = sort_reports(reports, run_id=run_id, wanted=wanted, runs=runs, now=now)
    converted: dict[str, Mapping[str, Any]] = {}
    for entry in await ledger.noted("converted", since=iso_utc(now - KEPT)) if windows else []:
        end = windows.get(str(entry.facts.get("mark")))
        if end is not None and may_take_up(end, kept_at=datetime.fromisoformat(entry.at), now=now):
            converted[str(entry.facts["mark"])] = entry.facts
    converted |= {
        str(entry.facts["mark"]): entry.facts for entry in await ledger.steps(run_id) if entry.step == "converted"
    }
    return ReusableWork(Reusable(found.usable, converted, splits), found.orphans if is_known else [])


async def _ordered_reports(ledger: Ledger) -> list[Report]:
    """The one-off reports that the ledger knows, as far as it does."""
    return [
        Report(
            str(entry.facts["report_id"]),
            str(entry.facts["name"]),
            str(entry.facts["query_id"]),
            created_at=datetime.fromisoformat(entry.facts["created_at"]) if entry.facts.get("created_at") else None,
            execute_now=True,
        )
        for entry in await ledger.noted("report")
    ]


def _all_there(output: Path, record: DatasetRecord) -> bool:
    return bool(record.files) and all(size_of(output, file.path) == file.bytes for file in record.files)
