"""Checks before a snapshot is published: how its columns differ, and whether it would harm readers (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bulkpull.errors import HeldBack
from bulkpull.output.manifest import Drift, PublishedColumn
from bulkpull.pipeline.publication.publish_notes import describe_drift


def find_schema_drift(
    published: Mapping[str, str],
    columns: Sequence[PublishedColumn],
    *,
    empty: frozenset[str] = frozenset(),
    unrequested: Sequence[str] = (),
) -> Drift:
    """
    How the columns differ from those of the last snapshot of the same question (pure); names are compared without case.

    Args:
        published: Parquet type by column name, as `published_types` tells them; empty when nothing is published.
        columns: As published now; those that only kept windows of a history have count as gone.
        empty: Columns, in lower case, without a value in any snapshot: their types may still change.
        unrequested: Columns of the file that were not requested.
    """
    if not published:
        return Drift(unrequested=list(unrequested))
    before = {name.casefold(): kind for name, kind in published.items()}
    columns = [column for column in columns if not column.vanished]
    now = {column.name.casefold() for column in columns}
    new = [name for name in unrequested if name.casefold() not in before]
    return Drift(
        unrequested=new,
        appeared=[column.name for column in columns if column.name.casefold() not in before and column.name not in new],
        vanished=[name for name in published if name.casefold() not in now],
        retyped=[
            f"{column.name}: {before[column.name.casefold()]} → {column.type}{_first_that_did_not_fit(column)}"
            for column in columns
            if before.get(column.name.casefold(), column.type) != column.type and column.name.casefold() not in empty
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
    on_shrink: str,
    on_drift: str,
    fail_on_redacted: bool,
) -> None:
    """
    Refuse to publish data that would harm readers (pure). The data are kept, and the fix says how to publish them.

    Raises:
        HeldBack: No rows where the current snapshot has some, drift with `on_drift = "fail"`, or redacted data with
            `fail_on_redacted`.
    """
    publish = f"`bulkpull runs publish {run_id} {dataset}` publishes it anyway"
    if fail_on_redacted and data_redacted:
        raise HeldBack(
            f"{dataset}: the service withheld revenue or personal data",
            why="the role of this user does not see it (dataRedacted)",
            fix=f"give the user the Executive report viewer role; {publish}",
        )
    if rows == 0 and current_rows and on_shrink == "hold":
        raise HeldBack(
            f"{dataset}: the report has no rows, and the current snapshot has {current_rows:,}",
            fix=f"the current one stays; if no rows are correct, {publish}",
        )
    if drift and on_drift == "fail":
        raise HeldBack(
            f"{dataset}: the columns differ from {'the published snapshot' if drift.changes else 'what was asked for'}",
            why=describe_drift(drift),
            fix=f"adapt the readers; then {publish}",
        )
