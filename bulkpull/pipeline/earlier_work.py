"""Finds what earlier runs left that a run can use: snapshots that it published before, reports, and converted files."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio.to_thread

from bulkpull.catalog import load_catalog
from bulkpull.clock import iso_utc
from bulkpull.model import Pull, Report
from bulkpull.output.integrity import size_of
from bulkpull.output.layout import RUN_ID, Layout
from bulkpull.output.ledger import Ledger, StepEntry
from bulkpull.output.manifest import DatasetRecord, PartRecord
from bulkpull.output.no_follow import size_beneath
from bulkpull.output.store import OutputStore
from bulkpull.output.workspace import OutputFolder
from bulkpull.pipeline.resume import EarlierRuns
from bulkpull.pipeline.reusable_work import (
    FRESH,
    IN_WINDOWS,
    KEPT,
    SPLIT,
    InWindows,
    KnownRun,
    Reusable,
    SortedReports,
    may_reuse,
    sort_reports,
)
from bulkpull.pipeline.steps.naming import earlier_fingerprint, parse_report_name, pull_fingerprint
from bulkpull.pipeline.windows.date_windows import split_pull, with_halves
from bulkpull.question import question_of


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
        folder: Runs with a folder in it are ours, even if the ledger no longer has them.
    """
    done = await _published_before(ledger, run_id=run_id, folder=folder) if earlier.carried_on else {}
    noted_splits = await ledger.noted(SPLIT, since=iso_utc(now - KEPT))
    splits = frozenset(str(entry.facts["mark"]) for entry in noted_splits)
    in_windows = await _requested_in_windows(ledger, since=iso_utc(now - FRESH))
    parts = {pull: _parts_of(pull, in_windows.get(pull_fingerprint(pull)), splits, now=now) for pull in pulls}
    to_fetch = [part for pull, windows in parts.items() if pull.dataset not in done for part in windows]
    fingerprints = {part: pull_fingerprint(part) for part in to_fetch}
    known_fingerprints = {
        known: today for part, today in fingerprints.items() for known in (earlier_fingerprint(part), today)
    }
    windows = {fingerprint: part.window.end for part, fingerprint in fingerprints.items() if part.window is not None}
    made_at = {pull.dataset: _published_data_time(pull, folder) for pull in parts}
    answered = {
        fingerprint: at for part, fingerprint in fingerprints.items() if (at := made_at[part.dataset]) is not None
    }
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
        fingerprints=known_fingerprints,
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
    there = {
        pull_fingerprint(pull)
        for pull, windows in parts.items()
        if any(fingerprints.get(part) in converted or found.usable.get(fingerprints.get(part, "")) for part in windows)
    }
    # Where nothing of the windows is left, one report for all is tried first, as if they had never been.
    in_windows = {mark: windows for mark, windows in in_windows.items() if mark in there}
    parts = {pull: _parts_of(pull, in_windows.get(pull_fingerprint(pull)), splits, now=now) for pull in parts}
    reusable = Reusable(found.usable, converted, splits, in_windows)
    return ReusableWork(done, listed, parts, reusable, orphans=[] if listed is None else found.orphans)


async def _requested_in_windows(ledger: Ledger, *, since: str) -> dict[str, InWindows]:
    """The datasets that were requested in windows whose outcome is not known, by fingerprint of the whole pull."""
    found: dict[str, InWindows] = {}
    for entry in await ledger.noted(IN_WINDOWS, since=since):
        mark = str(entry.facts["mark"])
        if entry.facts.get("failed"):
            found.pop(mark, None)
        else:
            found[mark] = InWindows.from_ledger(entry.facts)
    return found


def _parts_of(pull: Pull, in_windows: InWindows | None, splits: Collection[str], *, now: datetime) -> list[Pull]:
    """The pull itself, its windows, and the halves of windows, in which it may be requested."""
    asked = replace(pull, window=in_windows.window) if in_windows and pull.window is None else pull
    windows = dict.fromkeys((pull, *split_pull(asked, catalog=load_catalog(), now=now)))
    return [half for window in windows for half in with_halves(window, splits)]


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


def was_cleared(facts: Mapping[str, Any], private: Path) -> bool:
    """Whether the downloaded file that the ledger describes is gone: its data are published, or were given up."""
    try:
        return size_beneath(Path(facts["stored"]["path"]), root=private) is None
    except (KeyError, TypeError):
        return True  # written by another version


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
