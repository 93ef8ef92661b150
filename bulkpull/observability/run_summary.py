"""The summary of a finished run as one value, its outcome in one sentence, and notes that are not errors (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

from bulkpull.clock import iso_utc
from bulkpull.formatting import join_some, plural
from bulkpull.observability.failures import failed_datasets, group_by_reason
from bulkpull.observability.timings import RunTimings
from bulkpull.output.manifest import DatasetRecord, Manifest, Totals, is_lost


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A finished run; a dataset without `rows_before` is published for the first time."""

    manifest: Manifest
    output: Path
    timings: RunTimings = field(default_factory=RunTimings)
    rows_before: Mapping[str, int] = field(default_factory=dict)


class Severity(StrEnum):
    """The severity of an outcome, of a run or a dataset."""

    GOOD = "good"
    QUIET = "quiet"
    MIXED = "mixed"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """The outcome of a run in one word and one sentence."""

    tone: Severity
    word: str
    sentence: str


def run_outcome(manifest: Manifest) -> RunOutcome:
    """How the run ended."""
    whole = plural(len(manifest.datasets), "dataset")
    there = [record for record in manifest.datasets if record.is_current]
    if manifest.interrupted:
        done = f"{len(there)} of {whole} done" if manifest.datasets else "before any report was created"
        sentence = f"The run was stopped, {done}; the same command resumes it."
        return RunOutcome(Severity.MIXED, "Interrupted", sentence)
    if manifest.submitted:
        sentence = f"Reports for {whole} are created; bulkpull runs resume collects them."
        return RunOutcome(Severity.QUIET, "Submitted", sentence)
    lost = len(failed_datasets(manifest))
    if manifest.status == "failed":
        return RunOutcome(Severity.BAD, "Failed", f"None of {whole} was exported.")
    if manifest.status == "partial":
        are = "is" if len(there) == 1 else "are"
        return RunOutcome(Severity.MIXED, "Partial", f"{len(there)} of {whole} {are} up to date; {lost} failed.")
    absent = sum(record.status == "unavailable" for record in manifest.datasets)
    not_offered = f"; {absent} not offered to this account" if absent else ""
    return RunOutcome(Severity.GOOD, "Complete", f"{_all_there(there)}{not_offered}.")


def _all_there(records: list[DatasetRecord]) -> str:
    skipped = sum(record.status == "skipped" for record in records)
    fresh = len(records) - skipped
    rows = plural(Totals.of(record for record in records if record.status == "complete").rows, "row")
    if not skipped:
        return f"{plural(fresh, 'dataset')} exported, {rows}"
    if not fresh:
        return f"{plural(skipped, 'dataset')} skipped, with no newer data"
    return f"{plural(fresh, 'dataset')} exported, {rows}; {skipped} skipped, with no newer data"


def run_notes(manifest: Manifest, *, with_skipped: bool, most_misfits: int | None = None) -> list[str]:
    """Notes of a run, each once however many datasets it concerns; code stands between backticks."""
    reasons = [
        (record.dataset, record.reason or "")
        for record in manifest.datasets
        if (record.status == "skipped" and with_skipped) or (record.status == "unavailable" and not is_lost(record))
    ]
    notes = [(record.dataset, note) for record in manifest.datasets for note in record.notes]
    return [
        *manifest.notes,
        *_grouped(reasons, may_differ="moments"),
        *_grouped(notes, may_differ="nothing"),
        *_created_schedules(manifest),
        *_wider(manifest),
        *_misfits(manifest, most_misfits),
    ]


def _grouped(reasons: Iterable[tuple[str, str]], *, may_differ: Literal["moments", "nothing"]) -> list[str]:
    return [f"{join_some(datasets)}: {reason}" for datasets, reason in group_by_reason(reasons, may_differ=may_differ)]


def _created_schedules(manifest: Manifest) -> list[str]:
    """The notes on new scheduled reports: before their first execution no run finds newer data."""
    created = [
        (record.dataset, iso_utc(record.next_due_at))
        for record in manifest.datasets
        if record.next_due_at and record.decision and record.decision.scheduled_report in ("make", "replace")
    ]
    one = "the first execution of its new scheduled report is due at"
    several = "the first executions of their new scheduled reports are due at"
    due = one if len(created) == 1 else several
    return _grouped(((dataset, f"{due} {due_at}") for dataset, due_at in created), may_differ="moments")


def _wider(manifest: Manifest) -> list[str]:
    spans: dict[tuple[str, str], list[str]] = {}
    for record in manifest.datasets:
        if record.status == "complete" and record.timespan and record.wider_timespan and not record.window:
            spans.setdefault((record.timespan, record.wider_timespan), []).append(record.dataset)
    return [
        f"{join_some(datasets)}: {span} was exported, {wider_span} is offered: `--timespan widest`"
        for (span, wider_span), datasets in spans.items()
    ]


def _misfits(manifest: Manifest, most: int | None) -> list[str]:
    misfits = [
        f"{record.dataset}.{column.name} (row {column.misfit['row']:,}: {column.misfit['value']!r})"
        for record in manifest.datasets
        for column in record.columns
        if column.misfit
    ]
    if not misfits:
        return []
    shown = misfits[:most]
    more = f" and {len(misfits) - len(shown)} more, all in the manifest" if len(shown) < len(misfits) else ""
    return [f"kept as text, because a value did not fit: {', '.join(shown)}{more}"]
