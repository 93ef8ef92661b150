"""What the parts of a snapshot say about it, for its manifest entry (pure)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import accumulate

from bulkpull.clock import iso_utc
from bulkpull.conversion.messages import ConvertedColumn
from bulkpull.conversion.parquet_types import TEXT
from bulkpull.output.manifest import DatasetRecord, PartRecord, PublishedColumn
from bulkpull.pipeline.publication.type_merge import known_formats, known_types
from bulkpull.pipeline.steps.converted_pull import ConvertedPull, content_notes, vouched_by, vouched_for_all


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """A snapshot as its manifest entry describes it; the attributes are those of `DatasetRecord`."""

    rows: int
    columns: tuple[PublishedColumn, ...]
    earlier_types: dict[str, str]
    earlier_formats: dict[str, str]
    downloaded_bytes: int
    content_hash: str
    vouched_by: tuple[str, ...]
    stored_md5: str | None
    generated_at: datetime | None
    unbelieved_at: datetime | None
    parts: tuple[PartRecord, ...]
    notes: tuple[str, ...]


def describe_snapshot(
    parts: Sequence[ConvertedPull],
    *,
    earlier: DatasetRecord | None,
    has_window: bool,
    vanished: frozenset[str] = frozenset(),
) -> SnapshotFacts:
    """
    The facts about a snapshot, whose only window is listed where one was requested (`has_window`).

    `vanished` are the columns, in lower case, that only kept windows of a history have.
    """
    columns = published_columns(parts, vanished=vanished)
    names = {column.name.casefold() for column in columns}
    # Kept windows do not show how fresh a growing snapshot is.
    fresh = [part for part in parts if not part.is_published] or list(parts)
    made_at = [part.execution.generated_at for part in fresh if part.execution.generated_at]
    unbelieved = [part.execution.unbelieved_at for part in parts if part.execution.unbelieved_at]
    unbelieved_at = max(unbelieved, default=None)
    hashes = [part.table.content_hash for part in parts]
    notes = list(content_notes(parts))
    if unbelieved_at is not None:
        notes.append(
            f"the service says that this data was made at {iso_utc(unbelieved_at)}, which lies ahead of its own clock: "
            "not believed, executions are told apart by their ids instead"
        )
    return SnapshotFacts(
        rows=sum(part.table.rows for part in parts),
        columns=tuple(columns),
        earlier_types={name: kind for name, kind in known_types(earlier).items() if name.casefold() not in names},
        earlier_formats={name: form for name, form in known_formats(earlier).items() if name.casefold() not in names},
        downloaded_bytes=sum(part.stored.size_bytes for part in parts),
        content_hash=hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()[:32],
        vouched_by=tuple(vouched_for_all(parts)),
        stored_md5=parts[0].stored.md5 if len(parts) == 1 else None,
        generated_at=min(made_at) if len(made_at) == len(fresh) else None,
        unbelieved_at=unbelieved_at,
        parts=tuple(map(_part_record, parts)) if len(parts) > 1 or has_window else (),
        notes=tuple(notes),
    )


def published_columns(
    parts: Sequence[ConvertedPull], *, vanished: frozenset[str] = frozenset()
) -> list[PublishedColumn]:
    """
    The columns as published; for each column the details come from the first part that has any.

    Rows are numbered through the whole snapshot, in the order of its files (case W17).
    """
    rows_before = list(accumulate((part.table.rows for part in parts), initial=0))
    columns: list[PublishedColumn] = []
    for place in range(len(parts[0].table.columns)):
        candidates = [
            _published_column(part.table.columns[place], rows) for part, rows in zip(parts, rows_before, strict=False)
        ]
        # A part that was converted once more, to agree with another, knows no misfit of its own.
        candidates.sort(key=lambda column: (column.misfit is None, column.why_text is None, column.outgrown is None))
        of_snapshot = {
            "empty": all(column.empty for column in candidates),
            "format": next((column.format for column in candidates if column.format and not column.empty), None),
            "vanished": candidates[0].name.casefold() in vanished,
        }
        columns.append(candidates[0].model_copy(update=of_snapshot))
    return columns + [
        PublishedColumn(name=name, type=TEXT, vanished=name.casefold() in vanished)
        for name in parts[0].table.extra_columns
    ]


def _published_column(column: ConvertedColumn, rows_before: int) -> PublishedColumn:
    values = asdict(column) | {"declared": str(column.declared)}
    for misfit in filter(None, (values["misfit"], values["outgrown"])):
        misfit["row"] += rows_before
    return PublishedColumn(**values)


def _part_record(part: ConvertedPull) -> PartRecord:
    found = part.window_rows
    return PartRecord(
        start=part.window.start,
        end=part.window.end,
        query_id=part.report.query_id if part.report else None,
        report_id=part.execution.report_id,
        execution_id=part.execution.execution_id,
        generated_at=part.execution.generated_at,
        rows=part.table.rows,
        edge_rows=found.edge,
        outside_rows=found.before + found.after,
        undated_rows=found.undated,
        downloaded_bytes=part.stored.size_bytes,
        vouched_by=vouched_by(part),
        run_id=part.published_by,
    )
