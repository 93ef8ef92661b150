"""Finds earlier runs of an output folder to resume or close, and their reusable work."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio.to_thread

from bulkpull.catalog import load_catalog
from bulkpull.clock import iso_utc
from bulkpull.config.settings import Settings
from bulkpull.errors import SettingsError
from bulkpull.model import Pull, Report
from bulkpull.output.integrity import size_of
from bulkpull.output.layout import RUN_ID, Layout
from bulkpull.output.ledger import Ledger, RunEntry, StepEntry
from bulkpull.output.manifest import DatasetRecord, PartRecord
from bulkpull.output.run_history import resolve_run_id
from bulkpull.output.store import OutputStore
from bulkpull.output.workspace import OutputFolder
from bulkpull.pipeline.converted_pull import was_cleared
from bulkpull.pipeline.naming import earlier_fingerprint, parse_report_name, pull_fingerprint
from bulkpull.pipeline.request import ExportRequest, is_same_request
from bulkpull.pipeline.reusable_work import (
    FRESH,
    KEPT,
    SPLIT,
    KnownRun,
    Reusable,
    SortedReports,
    may_reuse,
    sort_reports,
)
from bulkpull.pipeline.splitting import split_pull, with_halves
from bulkpull.question import question_of

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
        taken_over: A nightly run that was interrupted after it had published something. A new run reuses its reports
            and files, and checks every dataset again, because newer data may be ready.
        alive: Ids of unfinished runs that may still be resumed, `carried_on` included.
        closed: Unfinished runs that were interrupted too long ago: the service may have deleted their reports, and has
            refreshed the data since.
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


def choose_run(asked: str | None, *, runs: Sequence[RunEntry], output: Path) -> RunEntry:
    """
    The run to resume: the named one, else the newest unfinished one, else the newest (pure).

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
    The request and settings with which an earlier run is resumed (pure).

    Raises:
        SettingsError: The run used another service.
    """
    base = run.request.get("api_base_url")
    if base != settings.api_base_url:
        raise SettingsError(
            f"run {run.run_id} was made against {base}, and the settings name {settings.api_base_url}",
            fix="resume it with the settings that it was started with, or start a new run",
        )
    # Runs from before the setting `metrics` selected none.
    asked = {
        "timespan": run.request.get("timespan"),
        "metrics": run.request.get("metrics") or "none",
        "keep_raw": settings.keep_raw or bool(run.request.get("keep_raw")),
    }
    return ExportRequest.of_run(run.request), settings.model_copy(update=asked)


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
        key: The values that must be equal for a run to be resumed, from `ExportRequest.as_key`.
        resume: The run that the user wants to resume, whatever its status.
        published: Ids of the runs that current snapshots are of.
    """
    unfinished = [run for run in runs if is_unfinished(run)]
    young = [run for run in unfinished if is_young(run, now=now)]
    if resume is not None:
        wanted = next((run for run in runs if run.run_id == resume), None)
    else:
        wanted = next((run for run in runs if is_same_request(run.request, key)), None)
        wanted = wanted if wanted in unfinished else None
    carried_on = wanted if wanted is not None and is_young(wanted, now=now) else None
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


def is_young(run: RunEntry, *, now: datetime) -> bool:
    """Whether it was active within a day; a whole run under a quota may take longer than that."""
    activity = (run.started_at, run.ended_at, run.active_at)
    return now - max(datetime.fromisoformat(moment) for moment in activity if moment) < FRESH


async def _published_before(ledger: Ledger, *, run_id: str, folder: OutputFolder) -> dict[str, DatasetRecord]:
    """
    The snapshots that the run had published, by dataset.

    They count only while `current.json` names them and their files exist; other datasets are exported again.
    """
    done: dict[str, DatasetRecord] = {}
    for entry in await ledger.steps(run_id):
        named = folder.current.datasets.get(entry.dataset)
        if entry.step == "published" and named is not None and named.run_id == run_id:
            record = DatasetRecord.model_validate(entry.facts["record"])
            if await anyio.to_thread.run_sync(_all_there, folder.store, record):
                done[entry.dataset] = record
    return done


@dataclass(frozen=True, slots=True)
class ReusableWork:
    """
    What this run reuses, and what it has to delete.

    Attributes:
        done: What the run that is carried on has published, by dataset.
        listed: All reports that the service lists; `None` if the list is unknown.
        parts: Each pull with the windows, and halves of windows, in which it may be requested.
    """

    done: Mapping[str, DatasetRecord]
    listed: Sequence[Report] | None
    parts: Mapping[Pull, Sequence[Pull]]
    reusable: Reusable
    orphans: Sequence[Report]


async def find_reusable(
    listed: Sequence[Report] | None,
    *,
    ledger: Ledger,
    run_id: str,
    pulls: Iterable[Pull],
    earlier: EarlierRuns,
    folder: OutputFolder,
    now: datetime,
) -> ReusableWork:
    """
    Find the reports and files of earlier runs that this run can use, and the reports to delete.

    Args:
        listed: All reports that the service lists; `None` if the list is unknown. Then reports of the ledger are used
            and none is deleted.
        earlier: As `find_resumable` gives it.
        folder: Runs with a folder in it are ours, even if the ledger no longer has them.
    """
    done = await _published_before(ledger, run_id=run_id, folder=folder) if earlier.carried_on else {}
    noted_splits = await ledger.noted(SPLIT, since=iso_utc(now - KEPT))
    splits = frozenset(str(entry.facts["mark"]) for entry in noted_splits)
    parts = {
        pull: [
            half
            for window in dict.fromkeys((pull, *split_pull(pull, catalog=load_catalog(), now=now)))
            for half in with_halves(window, splits)
        ]
        for pull in pulls
    }
    asked = [part for pull, windows in parts.items() if pull.dataset not in done for part in windows]
    wanted = {part: pull_fingerprint(part) for part in asked}
    marks = {mark: today for part, today in wanted.items() for mark in (earlier_fingerprint(part), today)}
    windows = {mark: part.window.end for part, mark in wanted.items() if part.window is not None}
    made_at = {pull.dataset: _published_data_time(pull, folder) for pull in parts}
    answered = {mark: at for part, mark in wanted.items() if (at := made_at[part.dataset]) is not None}
    reports = await _ordered_reports(ledger) if listed is None else listed
    named = {name.run_id for report in reports if (name := parse_report_name(report.name)) and name.run_id}
    noted = await ledger.runs()
    keeping = {run.run_id for run in noted if run.request.get("keep_reports")}
    known = {run.run_id for run in noted} | {name for name in folder.runs if RUN_ID.fullmatch(name)}
    runs = [
        KnownRun(
            known_id,
            carried_on=known_id in earlier.alive,
            published=frozenset(entry.dataset for entry in await ledger.steps(known_id) if entry.step == "published"),
            keeps_reports=known_id in keeping,
        )
        for known_id in sorted((named & known) - {run_id})
    ]
    found: SortedReports = sort_reports(
        reports,
        run_id=run_id,
        wanted=marks,
        runs=runs,
        now=now,
        answered=answered,
        published_reports=(
            await _published_reports(parts, folder, ledger=ledger, since=iso_utc(now - KEPT)) if answered else ()
        ),
    )
    kept: list[StepEntry] = []
    for entry in await ledger.noted("converted", since=iso_utc(now - KEPT)) if windows else []:
        end = windows.get(str(entry.facts.get("mark")))
        if end is not None and may_reuse(end, kept_at=datetime.fromisoformat(entry.at), now=now):
            kept.append(entry)
    kept += [entry for entry in await ledger.steps(run_id) if entry.step == "converted"]
    kept = await anyio.to_thread.run_sync(_still_there, kept, Layout(folder.output).private)
    converted = {str(entry.facts["mark"]): entry.facts for entry in kept if not _is_outdated(entry, answered)}
    reusable = Reusable(found.usable, converted, splits)
    return ReusableWork(done, listed, parts, reusable, orphans=[] if listed is None else found.orphans)


def _published_data_time(pull: Pull, folder: OutputFolder) -> datetime | None:
    """When the data were made that are published, whole, for the question of `pull`; `None` where that is not known."""
    record = folder.published.get(pull.dataset)
    if record is None or pull.dataset in folder.damaged or record.question_sha256 != question_of(pull).sha256:
        return None
    return datetime.fromisoformat(record.generated_at) if record.generated_at else None


async def _published_reports(pulls: Iterable[Pull], folder: OutputFolder, *, ledger: Ledger, since: str) -> set[str]:
    """The reports whose data are published for these pulls; where the manifest is missing, the ledger tells them."""
    records = [record for pull in pulls if (record := folder.published.get(pull.dataset)) is not None]
    parts: list[DatasetRecord | PartRecord] = [*records, *(part for record in records for part in record.parts)]
    executions = {part.execution_id for part in parts}
    noted = [entry.facts for entry in await ledger.noted("execution", since=since)]
    by_execution = {facts.get("report_id") for facts in noted if facts.get("execution_id") in executions}
    return {str(report_id) for report_id in {part.report_id for part in parts} | by_execution if report_id is not None}


def _still_there(entries: Sequence[StepEntry], private: Path) -> list[StepEntry]:
    """The converted pulls whose files were not cleared since; the ledger keeps the entries of published ones too."""
    return [entry for entry in entries if not was_cleared(entry.facts, private)]


def _is_outdated(entry: StepEntry, answered: Mapping[str, datetime]) -> bool:
    """Whether newer data than those of the ledger's entry are published for the same question."""
    made_at = answered.get(str(entry.facts["mark"]))
    return made_at is not None and datetime.fromisoformat(entry.facts.get("generated_at") or entry.at) < made_at


async def _ordered_reports(ledger: Ledger) -> list[Report]:
    """The one-off reports in the ledger."""
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


def _all_there(store: OutputStore, record: DatasetRecord) -> bool:
    return bool(record.files) and all(size_of(store, file.path) == file.bytes for file in record.files)
