"""
Growing snapshots: which published windows are kept beside those requested again, and with which columns (pure).

The service restates the latest months and drops the oldest ones. So each run replaces windows that may still be
restated and keeps the others; an empty answer never removes published rows. The service also adds and removes columns,
and a column may need a wider type: published windows have no CSV any more, so what they hold can be widened, but its
text cannot be given back.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from bulkpull.catalog import ColumnType
from bulkpull.conversion.messages import ConversionResult, ConvertedColumn, Misfit, TableFile
from bulkpull.conversion.parquet_types import TEXT
from bulkpull.errors import HeldBack
from bulkpull.formatting import join_some, plural
from bulkpull.model import DownloadedFile, Execution, Pull, Window
from bulkpull.output.layout import run_of_snapshot
from bulkpull.output.manifest import DatasetRecord, PublishedColumn
from bulkpull.pipeline.publication.type_merge import type_conflicts
from bulkpull.pipeline.steps.converted_pull import ConvertedPull
from bulkpull.pipeline.windows.date_windows import describe_window, first_of_month, open_since, restated_from


@dataclass(frozen=True, slots=True)
class Growth:
    """
    The `published` windows, those of them that are `kept`, and the start of those that are fetched again.

    `damaged` are the published windows whose files are not as they were published; they are never kept.
    """

    published: list[ConvertedPull]
    kept: list[ConvertedPull]
    covered_until: datetime
    damaged: list[ConvertedPull]

    def join(self, fetched: Sequence[ConvertedPull]) -> tuple[list[ConvertedPull], list[str]]:
        """
        The windows of the new snapshot, and notes; a window that came without rows keeps its published ones.

        Raises `HeldBack` where these are damaged.
        """
        for part in self.damaged:
            again = [other for other in fetched if part.window.start <= other.window.start < part.window.end]
            if part.table.rows and not any(other.table.rows for other in again):
                raise HeldBack(
                    f"{part.pull.dataset}: the published rows of {describe_window(part.window)} are damaged, and the "
                    "service has none of these days any more",
                    why=f"{part.table.files[0].path} is missing or has another size than when it was published",
                    fix="restore that file from a copy; without one `bulkpull runs forget "
                    f"{part.pull.dataset}` and the same command begin the history again with what the service has",
                )
        published = {part.window: part for part in self.published if part.table.rows}
        chosen, notes = list(self.kept), list[str]()
        for part in fetched:
            earlier = None if part.table.rows else published.get(part.window)
            chosen.append(earlier or part)
            if earlier is not None:
                window, rows = describe_window(part.window), earlier.table.rows
                notes.append(f"{window} came without rows: its {rows:,} published rows are kept")
        if self.kept:
            many = plural(len(self.kept), "window")
            notes.append(f"{many} up to {self.covered_until:%Y-%m-%d} kept as published")
        return chosen, notes


def plan_growth(
    pull: Pull,
    published: DatasetRecord | None,
    *,
    output: Path,
    restated_months: int | None,
    damaged: Container[str] = (),
) -> Growth:
    """
    Plan with the published windows, but for those whose files, by their paths in the output, are `damaged`.

    Raises `HeldBack` where the published history would be replaced by one that begins later or ends earlier.
    """
    window = pull.window
    assert window is not None
    since = open_since(published) if published is not None else None
    parts: list[ConvertedPull] = []
    if published is not None and since is not None:
        parts = _published_parts(published, pull, output=output)
        _refuse_shorter_history(published.dataset, window, since=since, until=parts[-1].window.end if parts else None)
    lost = [part for part in parts if part.table.files[0].path.relative_to(output).as_posix() in damaged]
    kept, covered_until, reached = 0, window.start, window.start
    # What ends later may still be restated by the service.
    last_end = restated_from(pull.offered.date_ranges, months=restated_months, now=window.end)
    for number, part in enumerate(parts, start=1):
        start, end = part.window.start, part.window.end
        if start != reached or end > last_end or part in lost:
            break
        reached = end
        if reached == first_of_month(reached):
            # Only whole months: a month that was fetched before its end is fetched again.
            kept, covered_until = number, reached
    return Growth(parts, parts[:kept], covered_until, lost)


def _refuse_shorter_history(dataset: str, window: Window, *, since: datetime, until: datetime | None) -> None:
    if window.start > since:
        raise HeldBack(
            f"{dataset}: the published history begins on {since:%Y-%m-%d}, and a later one would replace it",
            why=f"--since is {window.start:%Y-%m-%d}",
            fix="give the same --since or none, or another name by --as",
        )
    if until is not None and window.end < until:
        raise HeldBack(
            f"{dataset}: the published history ends on {until:%Y-%m-%d}, and an earlier end would cut it",
            why=f"--until is {window.end:%Y-%m-%d}",
            fix="leave --until out, or give another name by --as",
        )


def _published_parts(record: DatasetRecord, pull: Pull, *, output: Path) -> list[ConvertedPull]:
    """The windows of the published snapshot, the oldest first, as parts that have arrived."""
    if len(record.parts) != len(record.files):
        return []
    extra = tuple(column.name for column in record.columns if column.declared is None)
    parts: list[ConvertedPull] = []
    rows_before = 0
    for part, file in zip(record.parts, record.files, strict=True):
        path = output / file.path
        ids = part.execution_id or "", part.report_id or ""
        rows = range(rows_before + 1, rows_before + file.rows + 1)
        table = ConversionResult(
            files=(TableFile(path, rows=file.rows, bytes=file.bytes, sha256=file.sha256),),
            rows=file.rows,
            columns=tuple(_converted_column(column, rows) for column in record.columns if column.declared is not None),
            unpacked_bytes=0,
            extra_columns=extra,
            content_hash=file.sha256,
        )
        parts.append(
            ConvertedPull(
                replace(pull, window=Window(part.start, part.end), keeps_history=False),
                report=None,
                execution=Execution(*ids, "Completed", generated_at=part.generated_at),
                stored=DownloadedFile(path, part.downloaded_bytes, vouched_by=tuple(part.vouched_by)),
                table=table,
                published_by=part.run_id or run_of_snapshot(Path(file.path).parent.name),
            )
        )
        rows_before += file.rows
    return sorted(parts, key=lambda part: part.window.start)


def _converted_column(column: PublishedColumn, rows: range) -> ConvertedColumn:
    """A column of a window that has these rows of the snapshot."""

    def in_part(misfit: Mapping[str, Any] | None) -> Misfit | None:
        return Misfit(misfit["row"] - rows.start + 1, misfit["value"]) if misfit and misfit["row"] in rows else None

    return ConvertedColumn(
        column.name,
        column.type,
        declared=ColumnType(column.declared or ColumnType.STRING),
        misfit=in_part(column.misfit),
        why_text=column.why_text,
        empty=column.empty,
        outgrown=in_part(column.outgrown),
        format=column.format,
    )


def with_common_columns(parts: Sequence[ConvertedPull], *, dataset: str) -> list[ConvertedPull]:
    """
    The same parts, each described with all columns, in the order and with the types that their files should have.

    Columns of the newest window come first, then those that only earlier windows have. Where a part lacks a column, its
    file should have it without values.

    Raises:
        HeldBack: A column is text in some windows, and others that hold values cannot become text.
    """
    columns: dict[str, ConvertedColumn] = {}
    for part in reversed(parts):
        for column in part.table.columns:
            columns.setdefault(column.name.casefold(), column)
    extra = dict.fromkeys(name for part in reversed(parts) for name in part.table.extra_columns)
    aligned = [_with_columns(part, columns, tuple(extra)) for part in parts]
    goals = type_conflicts(aligned)
    common: list[ConvertedPull] = []
    for part in aligned:
        typed: list[ConvertedColumn] = []
        lost: list[str] = []
        for column in part.table.columns:
            kind = goals[column.name].type if column.name in goals else column.type
            if kind == TEXT != column.type and not column.empty:
                lost.append(column.name)
            typed.append(replace(column, type=kind))
        if lost:
            raise HeldBack(
                f"{dataset}: {join_some(lost)} became text, and a published history cannot follow",
                why=_first_that_did_not_fit(parts, lost[0]),
                fix="publish the history again under another name (--as), or select the columns that have stayed",
            )
        common.append(replace(part, table=replace(part.table, columns=tuple(typed))))
    return common


def vanished_columns(fetched: Sequence[ConvertedPull], published: DatasetRecord | None) -> frozenset[str]:
    """The columns, in lower case, that only windows of earlier runs have."""
    columns = published.columns if published else []
    if not fetched:
        return frozenset(column.name.casefold() for column in columns if column.vanished)
    came = {name.casefold() for part in fetched for name in file_types(part)}
    return frozenset(column.name.casefold() for column in columns) - came


def file_types(part: ConvertedPull) -> dict[str, str]:
    """The columns of a part's file in their order, with their types."""
    types = {column.name: column.type for column in part.table.columns}
    return types | dict.fromkeys(part.table.extra_columns, TEXT)


def _with_columns(part: ConvertedPull, columns: dict[str, ConvertedColumn], extra: tuple[str, ...]) -> ConvertedPull:
    own = {column.name.casefold(): column for column in part.table.columns}
    described = tuple(
        replace(own[name], name=column.name)
        if name in own
        else replace(column, misfit=None, outgrown=None, why_text=None, empty=True)
        for name, column in columns.items()
    )
    return replace(part, table=replace(part.table, columns=described, extra_columns=extra))


def _first_that_did_not_fit(parts: Sequence[ConvertedPull], name: str) -> str:
    for part in parts:
        for column in part.table.columns:
            value = column.misfit or column.outgrown
            if column.name == name and value is not None:
                return f"{value.value!r} in the window {describe_window(part.window)}"
    return "its values are written in another form than before"
