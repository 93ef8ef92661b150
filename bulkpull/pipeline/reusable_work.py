"""
Reusable work of earlier runs, on the service and in the staging folder (pure).

An interrupted run leaves reports, and perhaps converted files, which the resuming run uses. Recent reports of other
runs are used if they answer the same question, and deleted otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from bulkpull.model import Report
from bulkpull.output.ledger_facts import ConversionFacts, InWindowsFacts
from bulkpull.pipeline.steps.naming import ReportName, parse_report_name

# A fetched window is kept until its dataset is complete: the service restates the latest months only.
KEPT = timedelta(hours=72)
_RESTATED = timedelta(days=62)
# An older report's data is old, and the service may have cleaned its file up.
FRESH = timedelta(hours=24)


PARTS = "parts"
"""In the private folder: the windows of datasets that are not published yet, by dataset and mark, whatever the run."""


@dataclass(slots=True)
class Reusable:
    """
    Work of earlier runs that this run may use, by fingerprint of the pull. An item can be taken once.

    Attributes:
        reports: The latest attempt last.
        splits: Windows that were requested in halves, because their reports failed.
        in_windows: Whole pulls that were requested in windows, of which some are here, with the reason.
    """

    reports: dict[str, list[Report]] = field(default_factory=dict)
    converted: dict[str, ConversionFacts] = field(default_factory=dict)
    splits: frozenset[str] = frozenset()
    in_windows: Mapping[str, InWindowsFacts] = field(default_factory=dict)

    def has(self, fingerprint: str) -> bool:
        """Whether nothing has to be ordered for that pull as a whole: it was fetched, ordered, or split in halves."""
        return fingerprint in self.converted or fingerprint in self.splits or self.has_report(fingerprint)

    def has_report(self, fingerprint: str) -> bool:
        """Whether there is a report for that pull."""
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
    """
    The facts about an earlier run of this output folder that are needed here.

    Attributes:
        carried_on: It is unfinished and may still be resumed, so its reports are left to it.
        published: Datasets that it has published: their reports are no longer needed.
        keeps_reports: It was asked to leave its reports on the service (`keep_reports`).
    """

    run_id: str
    carried_on: bool = False
    published: frozenset[str] = frozenset()
    keeps_reports: bool = False


@dataclass(slots=True)
class SortedReports:
    """One-off reports of ours, sorted into those that this run may use and those to delete."""

    usable: dict[str, list[Report]] = field(default_factory=dict)
    orphans: list[Report] = field(default_factory=list)


def sort_reports(
    reports: Iterable[Report],
    *,
    run_id: str,
    fingerprints: Mapping[str, str],
    runs: Iterable[KnownRun],
    now: datetime,
    answered: Mapping[str, datetime] = MappingProxyType({}),
    published_reports: Collection[str] = (),
) -> SortedReports:
    """
    Sort the one-off reports that carry our names (pure).

    Args:
        run_id: The current run; its own reports are usable at any age.
        fingerprints: Those of the pulls of this run, also as earlier versions wrote them, each with the one of today.
        runs: The other runs of this output folder. Reports of runs that are not among them are left alone: another
            folder, or another machine, may be waiting for them.
        answered: When the data were made that are published for the same question, by fingerprint. A report that was
            ordered before would put older data in their place (case N18).
        published_reports: Ids of the reports whose data are published. A run that was killed between the publication
            and its note in the ledger collects the same data again, and orders nothing.
    """
    known = {run.run_id: run for run in (*runs, KnownRun(run_id))}
    named = [(name, report) for report in reports if (name := parse_report_name(report.name)) and name.run_id]
    result = SortedReports()
    for name, report in sorted(named, key=lambda pair: (pair[0].run_id or "", pair[0].attempt or 0)):
        run = known.get(name.run_id or "")
        fingerprint = fingerprints.get(name.fingerprint, name.fingerprint)
        ordered_at, made_at = report.created_at or name.ordered_at, answered.get(fingerprint)
        if run is None:
            continue
        is_same = report.report_id in published_reports
        if made_at is not None and ordered_at is not None and ordered_at < made_at and not is_same:
            if not run.keeps_reports:
                result.orphans.append(report)
        elif name.run_id == run_id:
            result.usable.setdefault(fingerprint, []).append(report)
        elif name.fingerprint in fingerprints and name.dataset not in run.published and _is_fresh(name, now=now):
            result.usable.setdefault(fingerprint, []).insert(0, report)
        elif not run.keeps_reports and (not run.carried_on or name.dataset in run.published):
            result.orphans.append(report)
    return result


def _is_fresh(name: ReportName, *, now: datetime) -> bool:
    return name.ordered_at is not None and now - name.ordered_at < FRESH


def may_reuse(window_end: datetime, *, kept_at: datetime, now: datetime) -> bool:
    """Whether a window that an earlier run fetched is still up to date (pure)."""
    return now - kept_at < (KEPT if now - window_end > _RESTATED else FRESH)
