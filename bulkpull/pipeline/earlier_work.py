"""
What earlier runs left that a run can use: snapshots that it published before, reports, and converted files.

An interrupted run leaves reports, and perhaps converted files, which the resuming run uses. Recent reports of other
runs are used if they hold the same requested data, and deleted otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import anyio.to_thread

from bulkpull.model import Pull, Report
from bulkpull.output.integrity import damaged_files
from bulkpull.output.layout import RUN_ID
from bulkpull.output.ledger import NotedFacts, StepEntry, published_datasets, read_facts
from bulkpull.output.ledger_facts import (
    ConversionFacts,
    ExecutionFacts,
    InWindowsFacts,
    PublicationFacts,
    ReportFacts,
    SplitFacts,
)
from bulkpull.output.manifest import DatasetRecord, PartRecord
from bulkpull.output.symlink_safety import size_beneath
from bulkpull.pipeline.open_run import FRESH, OpenedRun
from bulkpull.pipeline.steps.naming import earlier_fingerprint, parse_report_name, pull_fingerprint
from bulkpull.pipeline.windows.date_windows import split_pull, with_halves
from bulkpull.requested_data import requested_data

# A fetched window is kept until its dataset is complete: the service restates the latest months only.
KEPT = timedelta(hours=72)
_RESTATED = timedelta(days=62)
PARTS = "parts"
"""In the private folder: the windows of datasets that are not published yet, by dataset and mark, whatever the run."""


@dataclass(slots=True)
class ReusableWork:
    """
    What this run reuses, by fingerprint of the pull, and what it has to delete. An item can be taken once.

    Attributes:
        reports: The latest attempt comes last.
        splits: Windows that were requested in halves.
        in_windows: Whole pulls that were requested in windows, of which some are here.
        orphans: Reports to delete.
        done: What the resumed run has published, by dataset.
        parts: Each pull with the windows, and halves of windows, in which it may be requested.
    """

    reports: dict[str, list[Report]] = field(default_factory=dict)
    converted: dict[str, ConversionFacts] = field(default_factory=dict)
    splits: frozenset[str] = frozenset()
    in_windows: Mapping[str, InWindowsFacts] = field(default_factory=dict)
    orphans: list[Report] = field(default_factory=list)
    done: Mapping[str, DatasetRecord] = field(default_factory=dict)
    parts: Mapping[Pull, Sequence[Pull]] = field(default_factory=dict)

    def has(self, fingerprint: str) -> bool:
        """Whether that pull as a whole needs no new report: it was fetched, has one, or was split in halves."""
        return fingerprint in self.converted or fingerprint in self.splits or self.has_report(fingerprint)

    def has_report(self, fingerprint: str) -> bool:
        return bool(self.reports.get(fingerprint))

    def take_report(self, fingerprint: str) -> Report | None:
        """The latest report for that pull."""
        found = self.reports.get(fingerprint)
        return found.pop() if found else None

    def return_report(self, fingerprint: str, report: Report) -> None:
        """Return a report that was taken and not used."""
        self.reports.setdefault(fingerprint, []).append(report)

    def rest(self, dataset: str) -> list[Report]:
        """Take all other reports of a dataset, which are no longer needed."""
        found: list[Report] = []
        for reports in self.reports.values():
            while reports and (name := parse_report_name(reports[-1].name)) and name.dataset == dataset:
                found.append(reports.pop())
        return found


@dataclass(frozen=True, slots=True)
class KnownRun:
    """An earlier run of this folder. One that may be carried on keeps its reports, but for published datasets."""

    run_id: str
    carried_on: bool = False
    published: frozenset[str] = frozenset()
    keeps_reports: bool = False


def sort_reports(
    reports: Iterable[Report],
    *,
    run_id: str,
    fingerprints: Mapping[str, str],
    runs: Iterable[KnownRun],
    now: datetime,
    answered: Mapping[str, datetime] = MappingProxyType({}),
    published_reports: Collection[str] = (),
    withheld: Collection[str] = (),
) -> ReusableWork:
    """
    Sort the one-off reports that carry our names into those that this run may use and those to delete (pure).

    Args:
        run_id: The current run; its own reports are usable at any age.
        fingerprints: Those of the pulls of this run, also as earlier versions wrote them, each with the one of today.
        runs: The other runs of this output folder. Reports of runs that are not among them are left alone: another
            folder, or another machine, may be waiting for them.
        answered: When the published data of the same request were made, by fingerprint. A report that was created
            before would put older data in their place (case N18).
        published_reports: Ids of the reports whose data are published. A run that was cut off between the publication
            and its note in the ledger collects the same data again when it is resumed, and creates no report; another
            run does not.
        withheld: Ids of the reports that are held back because their data are redacted: a user who has got the role
            since needs a new one (behaviour 23).
    """
    known = {run.run_id: run for run in (*runs, KnownRun(run_id))}
    named = [(name, report) for report in reports if (name := parse_report_name(report.name)) and name.run_id]
    result = ReusableWork()
    for name, report in sorted(named, key=lambda pair: (pair[0].run_id or "", pair[0].attempt or 0)):
        run = known.get(name.run_id or "")
        if run is None:
            continue
        fingerprint = fingerprints.get(name.fingerprint, name.fingerprint)
        created_at, made_at = report.created_at or name.created_at, answered.get(fingerprint)
        is_fresh = name.created_at is not None and now - name.created_at < FRESH
        is_older = made_at is not None and created_at is not None and created_at < made_at
        is_own, is_published = name.run_id == run_id, report.report_id in published_reports
        if (is_published and not is_own) or (is_older and not is_published):
            if not run.keeps_reports:
                result.orphans.append(report)
        elif report.report_id in withheld:
            if not run.carried_on and not run.keeps_reports:
                result.orphans.append(report)
        elif is_own:
            result.reports.setdefault(fingerprint, []).append(report)
        elif name.fingerprint in fingerprints and name.dataset not in run.published and is_fresh:
            result.reports.setdefault(fingerprint, []).insert(0, report)
        elif not run.keeps_reports and (not run.carried_on or name.dataset in run.published):
            result.orphans.append(report)
    return result


async def find_reusable(
    run: OpenedRun,
    pulls: Iterable[Pull],
    *,
    listed: Sequence[Report] | None,
    published_anyway: Collection[str] | None = (),
) -> ReusableWork:
    """
    Find the reports and files of earlier runs that this run can use, and the reports to delete.

    Where the service's list is unknown, reports of the ledger are used and none is deleted. Of the datasets of
    `published_anyway` (`None` for all) redacted data are used too, whatever `fail_on_redacted` says.
    """
    ledger, folder, now = run.ledger, run.folder, run.clock.now()
    steps = await ledger.steps(run.run_id)
    done = await anyio.to_thread.run_sync(_published_before, steps, run) if run.earlier.carried_on else {}
    splits = frozenset(entry.facts.mark for entry in await ledger.noted(SplitFacts, since=now - KEPT))
    noted = {entry.facts.mark: entry.facts for entry in await ledger.noted(InWindowsFacts, since=now - FRESH)}
    in_windows = {mark: facts for mark, facts in noted.items() if not facts.failed}
    parts = {pull: _parts_of(pull, in_windows, splits, now=now) for pull in pulls}
    to_fetch = [part for pull, windows in parts.items() if pull.dataset not in done for part in windows]
    fingerprints = {part: pull_fingerprint(part) for part in to_fetch}
    made_at = await _published_data_times(run, parts)
    answered = {
        fingerprint: made_at[part.dataset] for part, fingerprint in fingerprints.items() if part.dataset in made_at
    }
    is_refused = run.settings.fail_on_redacted and published_anyway is not None
    withheld = {
        noted.facts.report_id
        for noted in (await ledger.noted(ExecutionFacts, since=now - KEPT) if is_refused else ())
        if noted.facts.data_redacted and noted.dataset not in (published_anyway or ())
    }
    reports = listed
    if reports is None:
        reports = [
            Report(facts.report_id, facts.name, facts.query_id, created_at=facts.created_at, execute_now=True)
            for facts in [entry.facts for entry in await ledger.noted(ReportFacts)]
        ]
    work = sort_reports(
        reports,
        run_id=run.run_id,
        fingerprints={name: mark for part, mark in fingerprints.items() for name in (earlier_fingerprint(part), mark)},
        runs=await _known_runs(run, reports),
        now=now,
        answered=answered,
        published_reports=await _published_reports(run, parts, since=now - KEPT) if answered else (),
        withheld=withheld,
    )
    ends = {fingerprint: part.window.end for part, fingerprint in fingerprints.items() if part.window is not None}
    kept: list[NotedFacts[ConversionFacts]] = []
    for entry in await ledger.noted(ConversionFacts, since=now - KEPT) if ends else []:
        end = ends.get(entry.facts.mark or "")
        if end is not None and now - entry.at < (KEPT if now - end > _RESTATED else FRESH):
            kept.append(entry)
    kept += read_facts(ConversionFacts, steps)
    kept = [entry for entry in kept if entry.facts.report_id not in withheld]
    converted = await anyio.to_thread.run_sync(_usable_conversions, kept, answered, folder.private)
    there = {
        pull_fingerprint(pull)
        for pull, windows in parts.items()
        if any(fingerprints.get(part) in converted or work.reports.get(fingerprints.get(part, "")) for part in windows)
    }
    # If nothing of the windows is left, one report for all is tried first, as in a first run.
    in_windows = {mark: facts for mark, facts in in_windows.items() if mark in there}
    parts = {pull: _parts_of(pull, in_windows, splits, now=now) for pull in parts}
    orphans = [] if listed is None else work.orphans
    return replace(
        work, converted=converted, splits=splits, in_windows=in_windows, orphans=orphans, done=done, parts=parts
    )


def _published_before(steps: Iterable[StepEntry], run: OpenedRun) -> dict[str, DatasetRecord]:
    """The snapshots that the run had published, by dataset, if `current.json` names them and their files exist."""
    store, current = run.folder.store, run.folder.current.datasets
    records = {entry.dataset: entry.facts.record for entry in read_facts(PublicationFacts, steps)}
    return {
        dataset: record
        for dataset, record in records.items()
        if dataset in current
        and current[dataset].run_id == run.run_id
        and record.files
        and not damaged_files(record, store)
    }


async def _known_runs(run: OpenedRun, reports: Iterable[Report]) -> list[KnownRun]:
    """The other runs of the folder that have reports; those with files in it are ours without the ledger as well."""
    named = {name.run_id for report in reports if (name := parse_report_name(report.name)) and name.run_id}
    noted = {entry.run_id: entry for entry in await run.ledger.runs()}
    known = noted.keys() | {name for name in run.folder.runs if RUN_ID.fullmatch(name)}
    return [
        KnownRun(
            run_id,
            carried_on=run_id in run.earlier.alive,
            published=published_datasets(await run.ledger.steps(run_id)),
            keeps_reports=run_id in noted and bool(noted[run_id].request.get("keep_reports")),
        )
        for run_id in sorted((named & known) - {run.run_id})
    ]


def _parts_of(
    pull: Pull, in_windows: Mapping[str, InWindowsFacts], splits: Collection[str], *, now: datetime
) -> list[Pull]:
    """The pull itself, its windows, and the halves of windows, in which it may be requested."""
    begun = in_windows.get(pull_fingerprint(pull))
    asked = replace(pull, window=begun.window) if begun and pull.window is None else pull
    windows = dict.fromkeys((pull, *split_pull(asked, now=now)))
    return [half for window in windows for half in with_halves(window, splits)]


async def _published_data_times(run: OpenedRun, pulls: Iterable[Pull]) -> dict[str, datetime]:
    """When the data were made that were published last, whole, for what each pull requests, where that is known."""
    folder = run.folder
    asked = {
        pull.dataset: requested_data(pull).sha256
        for pull in pulls
        if pull.dataset in folder.published and pull.dataset not in folder.damaged
    }
    records = [folder.published[dataset] for dataset in asked]
    if any(record.question_sha256 != asked[record.dataset] for record in records):
        # Before the current snapshot, which answers another question, there may have been one that answers this one.
        since = run.clock.now() - KEPT
        records += [entry.facts.record for entry in await run.ledger.noted(PublicationFacts, since=since)]
    times: dict[str, datetime] = {}
    for record in records:
        dataset, made_at = record.dataset, record.generated_at
        if made_at is not None and dataset in asked and record.question_sha256 == asked[dataset]:
            times[dataset] = max(made_at, times.get(dataset, made_at))
    return times


def records_and_parts(records: Iterable[DatasetRecord]) -> list[DatasetRecord | PartRecord]:
    """The records, each followed by those of its windows."""
    parts: list[DatasetRecord | PartRecord] = []
    for record in records:
        parts += [record, *record.parts]
    return parts


async def _published_reports(run: OpenedRun, pulls: Iterable[Pull], *, since: datetime) -> set[str]:
    """The reports whose data are published for these pulls; without a manifest they come from the ledger."""
    published = run.folder.published
    parts = records_and_parts(published[pull.dataset] for pull in pulls if pull.dataset in published)
    executions = {part.execution_id for part in parts}
    noted = [entry.facts for entry in await run.ledger.noted(ExecutionFacts, since=since)]
    by_execution = {facts.report_id for facts in noted if facts.execution_id in executions}
    return {part.report_id for part in parts if part.report_id is not None} | by_execution


def _usable_conversions(
    entries: Sequence[NotedFacts[ConversionFacts]], answered: Mapping[str, datetime], private: Path
) -> dict[str, ConversionFacts]:
    """
    The converted pulls, by fingerprint, of which no newer data are published and whose files were not cleared since.

    The ledger keeps the entries of published ones too.
    """
    there = [entry for entry in entries if size_beneath(entry.facts.stored.path, root=private) is not None]
    return {
        mark: entry.facts
        for mark, entry in [(entry.facts.mark or "", entry) for entry in there]
        if mark not in answered or (entry.facts.generated_at or entry.at) >= answered[mark]
    }
