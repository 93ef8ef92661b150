"""Notes on a run that are not errors: one list for the terminal and the page (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from bulkpull.clock import iso_utc
from bulkpull.formatting import join_some
from bulkpull.observability.failures import group_by_reason
from bulkpull.output.manifest import Manifest, is_lost


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
        f"{join_some(datasets)}: {used} was exported, {wider} is offered: `--timespan widest`"
        for (used, wider), datasets in spans.items()
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
