"""The summary of a finished run as one value, and its outcome in one sentence (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from bulkpull.formatting import plural
from bulkpull.observability.failures import failed_datasets
from bulkpull.observability.timings import RunTimings
from bulkpull.output.manifest import DatasetRecord, Manifest, Totals


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
