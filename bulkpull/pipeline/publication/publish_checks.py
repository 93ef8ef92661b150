"""Before a snapshot is published: how it differs from the last one, and whether it would harm readers (pure)."""

from __future__ import annotations

from collections.abc import Sequence

from bulkpull.clock import iso_utc
from bulkpull.config.settings import Settings
from bulkpull.errors import HeldBack
from bulkpull.formatting import join_some, plural
from bulkpull.insights.error_mapping import WITHHELD
from bulkpull.model import Pull
from bulkpull.output.manifest import DatasetRecord, Drift, PublishedColumn
from bulkpull.requested_data import requested_data


def find_schema_drift(
    earlier: DatasetRecord | None, columns: Sequence[PublishedColumn], *, unrequested: Sequence[str] = ()
) -> Drift:
    """
    How the columns differ from an earlier snapshot of the same requested data; names are compared without case.

    Columns that only kept windows of a history have count as gone. A column without a value in any snapshot may still
    change its type. The file has the `unrequested` columns as well.
    """
    before = {column.name.casefold(): column for column in earlier.columns if not column.vanished} if earlier else {}
    if not before:
        return Drift(unrequested=list(unrequested))
    columns = [column for column in columns if not column.vanished]
    now = {column.name.casefold() for column in columns}
    new = [name for name in unrequested if name.casefold() not in before]
    return Drift(
        unrequested=new,
        appeared=[column.name for column in columns if column.name.casefold() not in before and column.name not in new],
        vanished=[column.name for name, column in before.items() if name not in now],
        retyped=[
            f"{column.name}: {known.type} → {column.type}{_first_that_did_not_fit(column)}"
            for column in columns
            if (known := before.get(column.name.casefold())) and known.type != column.type and not known.empty
        ],
    )


def _first_that_did_not_fit(column: PublishedColumn) -> str:
    misfit = column.misfit or column.outgrown
    return f" (row {misfit['row']:,}: {misfit['value']!r})" if misfit else ""


def check_publishable(
    dataset: str,
    *,
    run_id: str,
    rows: int,
    current_rows: int | None,
    drift: Drift,
    data_redacted: bool,
    settings: Settings,
) -> None:
    """
    Refuse to publish data that would harm readers. The data are kept, and the fix says how to publish them.

    Raises:
        HeldBack: No rows where the current snapshot has some, drift with `on_drift = "fail"`, or redacted data with
            `fail_on_redacted`.
    """
    publish = f"`bulkpull runs publish {run_id} {dataset}` publishes it anyway"
    if settings.fail_on_redacted and data_redacted:
        raise HeldBack(
            f"{dataset}: the service withheld revenue or personal data",
            why="the role of this user does not see it (dataRedacted)",
            fix="give the user the Executive report viewer role, then export again, which creates a new report; "
            f"{publish}",
        )
    if rows == 0 and current_rows and settings.on_shrink == "hold":
        raise HeldBack(
            f"{dataset}: the report has no rows, and the current snapshot has {current_rows:,}",
            why="the role of this user does not see all data (dataRedacted)" if data_redacted else None,
            fix=f"the current one stays; if no rows are correct, {publish}",
        )
    if drift and settings.on_drift == "fail":
        raise HeldBack(
            f"{dataset}: the columns differ from {'the published snapshot' if drift.changes else 'what was asked for'}",
            why=describe_drift(drift),
            fix=f"adapt the readers; then {publish}",
        )


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
        before: The last snapshot of the same requested data, or else the current one.
        lacking_columns: Requested columns that did not come; `None` where the service withheld no data.
    """
    notes = [] if rows_before is None else [describe_shrink(rows, before=rows_before)]
    requested = requested_data(pull)
    if requested.limit is not None and rows > requested.limit:
        notes.append(
            f"its query asks for at most {plural(requested.limit, 'row')} (LIMIT), and the report came with {rows:,}: "
            "all of them are published"
        )
    if (
        before is not None
        and pull.metrics
        and not before.metrics
        and rows < before.rows
        and (before.timespan, before.window) == (requested.span, pull.window)
    ):
        notes.append(
            f"{rows:,} rows where the snapshot before, without metrics, had {before.rows:,}: rows that are equal in "
            f"every column are now one row, with the sums of {join_some(list(pull.metrics))}"
        )  # behaviour 163
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


def describe_shrink(rows: int, *, before: int) -> str:
    return (
        f"{rows:,} rows where the snapshot before had {before:,}, {1 - rows / before:.0%} fewer: check whether that is "
        "right (`note_shrink` sets the share from which this is noted)"
    )


def drift_notes(drift: Drift) -> list[str]:
    notes: list[str] = []
    if drift.changes:
        changed = drift.model_copy(update={"unrequested": []})
        notes.append(f"columns differ from the snapshot before: {describe_drift(changed)}")
    if drift.unrequested:
        notes.append(f"the report has columns that were not requested, kept as text: {', '.join(drift.unrequested)}")
    return notes


def describe_drift(drift: Drift) -> str:
    changes = (
        ("appeared", drift.appeared),
        ("vanished", drift.vanished),
        ("another type", drift.retyped),
        ("not asked for", drift.unrequested),
    )
    return "; ".join(f"{word}: {', '.join(names)}" for word, names in changes if names)
