"""
Incremental snapshots: published windows that are kept, beside those that are requested again.

The service restates the latest months and drops the oldest ones. So each run replaces windows that may still be
restated and keeps the others; an empty answer never removes published rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from bulkpull.catalog import ColumnType
from bulkpull.conversion.messages import ConversionResult, ConvertedColumn, Misfit, ParquetFile
from bulkpull.errors import HeldBack
from bulkpull.model import Execution, Pull, Window
from bulkpull.output.manifest import DatasetRecord, PartRecord, PublishedColumn, PublishedFile
from bulkpull.pipeline.converted_pull import ConvertedPull
from bulkpull.pipeline.download import DownloadedFile
from bulkpull.pipeline.window_check import describe_window
from bulkpull.question import OPEN, Question


def published_parts(record: DatasetRecord | None, pull: Pull, *, output: Path) -> list[ConvertedPull]:
    """
    The windows of the published snapshot, the oldest first, as parts that have arrived.

    Args:
        record: The snapshot's record; one that answers another question, or tells no windows, has none.
    """
    if record is None or len(record.parts) != len(record.files):
        return []
    parts = [
        _part(part_record, file, record, pull, output=output)
        for part_record, file in zip(record.parts, record.files, strict=True)
    ]
    return sorted(parts, key=lambda part: _window(part).start)


def is_open(record: DatasetRecord) -> bool:
    """Whether a snapshot is one that grows."""
    return _open_since(record) is not None


def refuse_shorter_history(published: DatasetRecord | None, question: Question) -> None:
    """
    Refuse to replace a history by one that begins later (pure): what only it still has would be gone.

    Raises:
        HeldBack: With both beginnings.
    """
    since = _open_since(published) if published else None
    if published is None or since is None or question.window is None or question.window[0] <= since:
        return
    raise HeldBack(
        f"{published.dataset}: the published history begins at {since}, and a later one would take its place",
        why=f"--since says {question.window[0]}",
        fix="give the same --since, or another name by --as",
    )


def _open_since(record: DatasetRecord) -> str | None:
    window = (record.question or {}).get("window")
    return str(window[0]) if window and window[1] == OPEN else None


def keep_before(
    parts: Sequence[ConvertedPull], *, since: datetime, restated_from: datetime
) -> tuple[list[ConvertedPull], datetime]:
    """
    The published parts that are kept, and where the windows begin that are asked for again (pure).

    Args:
        since: The start of the whole.
        restated_from: What begins later may still be restated by the service.
    """
    kept = 0
    covered_until = reached = since
    for number, part in enumerate(parts, start=1):
        window = _window(part)
        if window.start != reached or window.end > restated_from:
            break
        reached = window.end
        if reached == reached.replace(day=1, hour=0, minute=0, second=0, microsecond=0):
            # Only whole months: one that was read before its end is read again.
            kept, covered_until = number, reached
    return list(parts[:kept]), covered_until


def without_emptied(
    parts: Sequence[ConvertedPull], published: Sequence[ConvertedPull]
) -> tuple[list[ConvertedPull], list[str]]:
    """
    The parts as they came, but for those that are empty where the published one has rows: these stay as published.

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


def refuse_other_columns(kept: Sequence[ConvertedPull], new: Sequence[ConvertedPull], *, dataset: str) -> None:
    """
    Refuse to join windows whose columns or types differ: readers are to have one table.

    Raises:
        HeldBack: With the columns that differ.
    """
    if not kept or not new:
        return
    before, now = _types(kept[0]), _types(new[0])
    if before == now:
        return
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    raise HeldBack(
        f"{dataset}: the windows that are kept and those that came differ in {', '.join(names[:4])}",
        why="columns or their types have changed since",
        fix="publish the history anew under another name (--as), or select columns that have stayed",
    )


def _types(part: ConvertedPull) -> dict[str, str]:
    table = part.table
    return {column.name: column.type for column in table.columns} | dict.fromkeys(table.extra_columns, "String")


def _part(
    part_record: PartRecord, file: PublishedFile, record: DatasetRecord, pull: Pull, *, output: Path
) -> ConvertedPull:
    window = Window(datetime.fromisoformat(part_record.start), datetime.fromisoformat(part_record.end))
    path = output / file.path
    execution = Execution(
        part_record.execution_id or "",
        part_record.report_id or "",
        "Completed",
        generated_at=datetime.fromisoformat(part_record.generated_at) if part_record.generated_at else None,
    )
    declared = [column for column in record.columns if column.declared is not None]
    table = ConversionResult(
        files=(ParquetFile(path, rows=file.rows, bytes=file.bytes, sha256=file.sha256),),
        rows=file.rows,
        columns=tuple(map(_column, declared)),
        unpacked_bytes=0,
        extra_columns=tuple(column.name for column in record.columns if column.declared is None),
        content_hash=file.sha256,
    )
    stored = DownloadedFile(path, part_record.downloaded_bytes, vouched_by=tuple(part_record.vouched_by))
    return ConvertedPull(replace(pull, window=window, keeps_history=False), None, execution, stored, table)


def _column(column: PublishedColumn) -> ConvertedColumn:
    return ConvertedColumn(
        name=column.name,
        type=column.type,
        declared=ColumnType(column.declared or ColumnType.STRING),
        misfit=Misfit(**column.misfit) if column.misfit else None,
        why_text=column.why_text,
        empty=column.empty,
        outgrown=Misfit(**column.outgrown) if column.outgrown else None,
        format=column.format,
    )


def _window(part: ConvertedPull) -> Window:
    assert part.pull.window is not None
    return part.pull.window
