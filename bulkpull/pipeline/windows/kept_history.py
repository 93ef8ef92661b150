"""
Incremental snapshots: published windows that are kept, beside those that are requested again.

The service restates the latest months and drops the oldest ones. So each run replaces windows that may still be
restated and keeps the others; an empty answer never removes published rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from bulkpull.catalog import ColumnType
from bulkpull.conversion.messages import ConversionResult, ConvertedColumn, Misfit, TableFile
from bulkpull.errors import HeldBack
from bulkpull.formatting import plural
from bulkpull.model import DownloadedFile, Execution, Pull, Window
from bulkpull.output.layout import run_of_snapshot
from bulkpull.output.manifest import DatasetRecord, PartRecord, PublishedColumn, PublishedFile
from bulkpull.pipeline.steps.converted_pull import ConvertedPull
from bulkpull.pipeline.windows.date_windows import first_of_month, open_since, restated_from
from bulkpull.pipeline.windows.window_check import describe_window


@dataclass(frozen=True, slots=True)
class Growth:
    """
    Which windows of a growing snapshot are kept, and which are fetched.

    Attributes:
        kept: Those of them that stay, the oldest first.
        covered_until: Start of the windows that are requested again.
    """

    published: list[ConvertedPull]
    kept: list[ConvertedPull]
    covered_until: datetime

    def join(self, fetched: Sequence[ConvertedPull]) -> tuple[list[ConvertedPull], list[str]]:
        """The windows of the new snapshot, and notes for people (pure)."""
        chosen, notes = restore_emptied(fetched, self.published)
        if self.kept:
            many = plural(len(self.kept), "window")
            notes.append(f"{many} up to {self.covered_until:%Y-%m-%d} kept as published")
        return [*self.kept, *chosen], notes


def plan_growth(pull: Pull, published: DatasetRecord | None, *, output: Path, restated_months: int | None) -> Growth:
    """
    Choose the published windows to keep, and the start of those to request again (pure).

    Raises:
        HeldBack: The published history would be replaced by one that begins later or ends earlier.
    """
    window = pull.window
    assert window is not None
    is_history = published is not None and open_since(published) is not None
    parts = published_parts(published if is_history else None, pull, output=output)
    if published is not None and is_history:
        _refuse_shorter_history(published, window, until=_window(parts[-1]).end if parts else None)
    restated = restated_from(pull.offered.date_ranges, months=restated_months, now=window.end)
    kept, covered_until = keep_before(parts, since=window.start, restated_from=restated)
    return Growth(parts, kept, covered_until)


def published_parts(record: DatasetRecord | None, pull: Pull, *, output: Path) -> list[ConvertedPull]:
    """The windows of the published snapshot, the oldest first, as parts that have arrived."""
    if record is None or len(record.parts) != len(record.files):
        return []
    parts: list[ConvertedPull] = []
    rows_before = 0
    for window, file in zip(record.parts, record.files, strict=True):
        parts.append(_part(window, file, record, pull, output=output, rows_before=rows_before))
        rows_before += file.rows
    return sorted(parts, key=lambda part: _window(part).start)


def _refuse_shorter_history(published: DatasetRecord, window: Window, *, until: datetime | None) -> None:
    """Refuse to replace a history by one that covers less, because rows would be lost."""
    since = open_since(published)
    if since is not None and window.start > since:
        raise HeldBack(
            f"{published.dataset}: the published history begins on {since:%Y-%m-%d}, and a later one would replace it",
            why=f"--since is {window.start:%Y-%m-%d}",
            fix="give the same --since or none, or another name by --as",
        )
    if until is not None and window.end < until:
        raise HeldBack(
            f"{published.dataset}: the published history ends on {until:%Y-%m-%d}, and an earlier end would cut it",
            why=f"--until is {window.end:%Y-%m-%d}",
            fix="leave --until out, or give another name by --as",
        )


def keep_before(
    parts: Sequence[ConvertedPull], *, since: datetime, restated_from: datetime
) -> tuple[list[ConvertedPull], datetime]:
    """
    The published parts that are kept, and the start of the windows that are requested again (pure).

    Args:
        restated_from: What begins later may still be restated by the service.
    """
    kept = 0
    covered_until = reached = since
    for number, part in enumerate(parts, start=1):
        window = _window(part)
        if window.start != reached or window.end > restated_from:
            break
        reached = window.end
        if reached == first_of_month(reached):
            # Only whole months: a month that was fetched before its end is fetched again.
            kept, covered_until = number, reached
    return list(parts[:kept]), covered_until


def restore_emptied(
    parts: Sequence[ConvertedPull], published: Sequence[ConvertedPull]
) -> tuple[list[ConvertedPull], list[str]]:
    """
    Replace parts that came without rows by the published part of the same window, where that has rows (pure).

    Returns:
        The parts, and a note for each that stays.
    """
    before = {_window(part): part for part in published if part.table.rows}
    chosen: list[ConvertedPull] = []
    notes: list[str] = []
    for part in parts:
        earlier = before.get(_window(part))
        if earlier is None or part.table.rows:
            chosen.append(part)
            continue
        chosen.append(earlier)
        notes.append(
            f"{describe_window(_window(part))} came without rows: its {earlier.table.rows:,} published rows are kept"
        )
    return chosen, notes


def _part(
    published: PartRecord, file: PublishedFile, record: DatasetRecord, pull: Pull, *, output: Path, rows_before: int
) -> ConvertedPull:
    window = Window(published.start, published.end)
    path = output / file.path
    execution = Execution(
        published.execution_id or "",
        published.report_id or "",
        "Completed",
        generated_at=published.generated_at,
    )
    declared = [column for column in record.columns if column.declared is not None]
    table = ConversionResult(
        files=(TableFile(path, rows=file.rows, bytes=file.bytes, sha256=file.sha256),),
        rows=file.rows,
        columns=tuple(_column(column, rows=file.rows, rows_before=rows_before) for column in declared),
        unpacked_bytes=0,
        extra_columns=tuple(column.name for column in record.columns if column.declared is None),
        content_hash=file.sha256,
    )
    stored = DownloadedFile(path, published.downloaded_bytes, vouched_by=tuple(published.vouched_by))
    fetched_by = published.run_id or run_of_snapshot(Path(file.path).parent.name)
    return ConvertedPull(
        replace(pull, window=window, keeps_history=False), None, execution, stored, table, published_by=fetched_by
    )


def _column(column: PublishedColumn, *, rows: int, rows_before: int) -> ConvertedColumn:
    def in_part(misfit: Mapping[str, Any] | None) -> Misfit | None:
        row = misfit["row"] - rows_before if misfit else 0
        return Misfit(row, misfit["value"]) if misfit and 0 < row <= rows else None

    return ConvertedColumn(
        name=column.name,
        type=column.type,
        declared=ColumnType(column.declared or ColumnType.STRING),
        misfit=in_part(column.misfit),
        why_text=column.why_text,
        empty=column.empty,
        outgrown=in_part(column.outgrown),
        format=column.format,
    )


def _window(part: ConvertedPull) -> Window:
    assert part.pull.window is not None
    return part.pull.window
