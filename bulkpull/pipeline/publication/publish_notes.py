"""Notes for the manifest about how a snapshot differs from the one before (pure)."""

from __future__ import annotations

from collections.abc import Sequence

from bulkpull.clock import iso_utc
from bulkpull.formatting import join_some
from bulkpull.insights.error_mapping import WITHHELD
from bulkpull.model import Pull
from bulkpull.output.manifest import DatasetRecord, Drift
from bulkpull.pipeline.outcome import window_days
from bulkpull.question import question_of


def noted_rows_before(rows: int, *, baseline: DatasetRecord | None, note_shrink: float) -> int | None:
    """Rows of the snapshot before, where this one has fewer by more than the share `note_shrink`; else `None`."""
    return baseline.rows if baseline and rows < baseline.rows * (1 - note_shrink) else None


def publication_notes(
    pull: Pull,
    rows: int,
    *,
    rows_before: int | None,
    before: DatasetRecord | None,
    lacking_columns: Sequence[str] | None,
) -> list[str]:
    """
    What readers of a new snapshot should know.

    Args:
        before: The last snapshot of the same question, or else the current one.
        lacking_columns: Requested columns that did not come; `None` where the service withheld no data.
    """
    notes = [] if rows_before is None else [describe_shrink(rows, before=rows_before)]
    if before is not None and (note := _first_sums(pull, rows, before)):
        notes.append(note)
    if lacking_columns is not None:
        notes.append(WITHHELD)
        if lacking_columns:
            names = ", ".join(lacking_columns)
            notes.append(f"the service left withheld columns out, the rest is published: {names}")
    if pull.window is not None and pull.source is None:
        notes.append(
            f"the current snapshot holds {iso_utc(pull.window.start)} to {iso_utc(pull.window.end)} only and takes the "
            "place of the whole dataset; `--as NAME` publishes a window under a name of its own"
        )  # case W8
    return notes


def _first_sums(pull: Pull, rows: int, before: DatasetRecord) -> str | None:
    """Why the first snapshot with metrics has fewer rows than the one before it (behaviour 163)."""
    if before.metrics or not pull.metrics or rows >= before.rows:
        return None
    if (before.timespan, before.window) != (question_of(pull).span, window_days(pull)):
        return None
    return (
        f"{rows:,} rows where the snapshot before, without metrics, had {before.rows:,}: rows that are alike in every "
        f"column now come as one, with the sums of {join_some(list(pull.metrics))}"
    )


def describe_shrink(rows: int, *, before: int) -> str:
    """The note about a snapshot with far fewer rows than the one before."""
    return (
        f"{rows:,} rows where the snapshot before had {before:,}, {1 - rows / before:.0%} fewer: look whether that is "
        "right (`note_shrink` says from which share on this is noted)"
    )


def drift_notes(drift: Drift) -> list[str]:
    """A sentence about changed columns, and one about columns that were not requested."""
    notes: list[str] = []
    if drift.changes:
        changed = drift.model_copy(update={"unrequested": []})
        notes.append(f"columns differ from the snapshot before: {describe_drift(changed)}")
    if drift.unrequested:
        notes.append(f"the report has columns that were not requested, kept as text: {', '.join(drift.unrequested)}")
    return notes


def describe_drift(drift: Drift) -> str:
    """The differences in one line."""
    changes = (
        ("appeared", drift.appeared),
        ("vanished", drift.vanished),
        ("another type", drift.retyped),
        ("not asked for", drift.unrequested),
    )
    return "; ".join(f"{word}: {', '.join(names)}" for word, names in changes if names)
