"""Finds what earlier runs left that a run can use: snapshots that it published before, reports, and converted files."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import anyio.to_thread

from bulkpull.catalog import load_catalog
from bulkpull.model import Pull, Report
from bulkpull.output.integrity import size_of
from bulkpull.output.layout import RUN_ID
from bulkpull.output.ledger import Ledger, NotedFacts, published_datasets, read_facts
from bulkpull.output.ledger_facts import (
    ConversionFacts,
    ExecutionFacts,
    InWindowsFacts,
    PublicationFacts,
    ReportFacts,
    SplitFacts,
)
from bulkpull.output.manifest import DatasetRecord, PartRecord
from bulkpull.output.store import OutputStore
from bulkpull.output.symlink_safety import size_beneath
from bulkpull.output.workspace import OutputFolder
from bulkpull.pipeline.open_run import OpenedRun
from bulkpull.pipeline.reusable_work import (
    FRESH,
    KEPT,
    KnownRun,
    Reusable,
    SortedReports,
    may_reuse,
    sort_reports,
)
from bulkpull.pipeline.steps.naming import earlier_fingerprint, parse_report_name, pull_fingerprint
from bulkpull.pipeline.windows.date_windows import split_pull, with_halves
from bulkpull.snapshot_question import question_of

_Converted = NotedFacts[ConversionFacts]


async def _published_before(ledger: Ledger, *, run_id: str, folder: OutputFolder) -> dict[str, DatasetRecord]:
    """
    The snapshots that the run had published, by dataset.

    They count only while `current.json` names them and their files exist; other datasets are exported again.
    """
    done: dict[str, DatasetRecord] = {}
    for entry in read_facts(PublicationFacts, await ledger.steps(run_id)):
        named = folder.current.datasets.get(entry.dataset)
        if named is not None and named.run_id == run_id:
            record = entry.facts.record
            if await anyio.to_thread.run_sync(_all_there, folder.store, record):
                done[entry.dataset] = record
    return done


@dataclass(frozen=True, slots=True)
class ReusableWork:
    """
    What this run reuses, and what it has to delete.

    Attributes:
        done: What the resumed run has published, by dataset.
        listed: All reports that the service lists; `None` if the list is unknown.
        parts: Each pull with the windows, and halves of windows, in which it may be requested.
    """

    done: Mapping[str, DatasetRecord]
    listed: Sequence[Report] | None
    parts: Mapping[Pull, Sequence[Pull]]
    reusable: Reusable
    orphans: Sequence[Report]


async def find_reusable(run: OpenedRun, pulls: Iterable[Pull], *, listed: Sequence[Report] | None) -> ReusableWork:
    """
    Find the reports and files of earlier runs that this run can use, and the reports to delete.

    Runs with a folder in the output folder are ours, even if the ledger no longer has them.

    Args:
        listed: All reports that the service lists; `None` if the list is unknown. Then reports of the ledger are used
            and none is deleted.
    """
    ledger, run_id, earlier, folder, now = run.ledger, run.run_id, run.earlier, run.folder, run.clock.now()
    done = await _published_before(ledger, run_id=run_id, folder=folder) if earlier.carried_on else {}
    splits = frozenset(entry.facts.mark for entry in await ledger.noted(SplitFacts, since=now - KEPT))
    in_windows = await _requested_in_windows(ledger, since=now - FRESH)
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
    keeping = {entry.run_id for entry in noted if entry.request.get("keep_reports")}
    known = {entry.run_id for entry in noted} | {name for name in folder.runs if RUN_ID.fullmatch(name)}
    runs = [
        KnownRun(
            known_id,
            carried_on=known_id in earlier.alive,
            published=published_datasets(await ledger.steps(known_id)),
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
            await _published_reports(parts, folder, ledger=ledger, since=now - KEPT) if answered else ()
        ),
    )
    kept: list[_Converted] = []
    for entry in await ledger.noted(ConversionFacts, since=now - KEPT) if windows else []:
        end = windows.get(entry.facts.mark or "")
        if end is not None and may_reuse(end, kept_at=entry.at, now=now):
            kept.append(entry)
    kept += read_facts(ConversionFacts, await ledger.steps(run_id))
    kept = await anyio.to_thread.run_sync(_still_there, kept, folder.private)
    converted = {entry.facts.mark or "": entry.facts for entry in kept if not _is_outdated(entry, answered)}
    there = {
        pull_fingerprint(pull)
        for pull, windows in parts.items()
        if any(fingerprints.get(part) in converted or found.usable.get(fingerprints.get(part, "")) for part in windows)
    }
    # If nothing of the windows is left, one report for all is tried first, as in a first run.
    in_windows = {mark: windows for mark, windows in in_windows.items() if mark in there}
    parts = {pull: _parts_of(pull, in_windows.get(pull_fingerprint(pull)), splits, now=now) for pull in parts}
    reusable = Reusable(found.usable, converted, splits, in_windows)
    return ReusableWork(done, listed, parts, reusable, orphans=[] if listed is None else found.orphans)


async def _requested_in_windows(ledger: Ledger, *, since: datetime) -> dict[str, InWindowsFacts]:
    """The datasets that were requested in windows whose outcome is not known, by fingerprint of the whole pull."""
    found = {entry.facts.mark: entry.facts for entry in await ledger.noted(InWindowsFacts, since=since)}
    return {mark: facts for mark, facts in found.items() if not facts.failed}


def _parts_of(pull: Pull, in_windows: InWindowsFacts | None, splits: Collection[str], *, now: datetime) -> list[Pull]:
    """The pull itself, its windows, and the halves of windows, in which it may be requested."""
    asked = replace(pull, window=in_windows.window) if in_windows and pull.window is None else pull
    windows = dict.fromkeys((pull, *split_pull(asked, catalog=load_catalog(), now=now)))
    return [half for window in windows for half in with_halves(window, splits)]


def _published_data_time(pull: Pull, folder: OutputFolder) -> datetime | None:
    """When the data were made that are published, whole, for the question of `pull`; `None` where that is not known."""
    record = folder.published.get(pull.dataset)
    if record is None or pull.dataset in folder.damaged or record.question_sha256 != question_of(pull).sha256:
        return None
    return record.generated_at


async def _published_reports(
    pulls: Iterable[Pull], folder: OutputFolder, *, ledger: Ledger, since: datetime
) -> set[str]:
    """The reports whose data are published for these pulls; without a manifest they come from the ledger."""
    records = [record for pull in pulls if (record := folder.published.get(pull.dataset)) is not None]
    parts: list[DatasetRecord | PartRecord] = [*records, *(part for record in records for part in record.parts)]
    executions = {part.execution_id for part in parts}
    noted = [entry.facts for entry in await ledger.noted(ExecutionFacts, since=since)]
    by_execution = {facts.report_id for facts in noted if facts.execution_id in executions}
    return {part.report_id for part in parts if part.report_id is not None} | by_execution


def _still_there(entries: Sequence[_Converted], private: Path) -> list[_Converted]:
    """The converted pulls whose files were not cleared since; the ledger keeps the entries of published ones too."""
    return [entry for entry in entries if not was_cleared(entry.facts, private)]


def was_cleared(facts: ConversionFacts, private: Path) -> bool:
    """Whether the downloaded file that the ledger describes is gone: its data are published, or were given up."""
    return size_beneath(facts.stored.path, root=private) is None


def _is_outdated(entry: _Converted, answered: Mapping[str, datetime]) -> bool:
    """Whether newer data than those of the ledger's entry are published for the same question."""
    made_at = answered.get(entry.facts.mark or "")
    return made_at is not None and (entry.facts.generated_at or entry.at) < made_at


async def _ordered_reports(ledger: Ledger) -> list[Report]:
    return [
        Report(facts.report_id, facts.name, facts.query_id, created_at=facts.created_at, execute_now=True)
        for facts in (entry.facts for entry in await ledger.noted(ReportFacts))
    ]


def _all_there(store: OutputStore, record: DatasetRecord) -> bool:
    return bool(record.files) and all(size_of(store, file.path) == file.bytes for file in record.files)
