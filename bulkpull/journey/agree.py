"""
Agree: the parts of one snapshot brought to one set of types, and told as one (pure).

A column that is a number in one part and text in another makes every engine refuse the two together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from bulkpull.clock import iso_utc
from bulkpull.journey.part import Part
from bulkpull.journey.vouching import vouched_by
from bulkpull.records.manifest import DatasetRecord, PartRecord, PublishedColumn
from bulkpull.tabular.table import ConvertedColumn

TEXT = "String"
# Of two types that parts came out as, the one that holds both; all others meet in text.
_WIDER = {
    frozenset({"Int64", "Decimal(38, 18)"}): "Decimal(38, 18)",
    frozenset({"Date", "Datetime(us)"}): "Datetime(us)",
}


def published_types(record: DatasetRecord | None) -> dict[str, str]:
    """Parquet type by column, as published; empty when nothing is."""
    return {column.name: column.type for column in record.columns} if record else {}


def known_types(record: DatasetRecord | None) -> dict[str, str]:
    """Parquet type by column, of the last snapshot that had the column."""
    return {**record.earlier_types, **published_types(record)} if record else {}


def types_of(columns: Iterable[ConvertedColumn]) -> dict[str, str]:
    """Parquet type by column."""
    return {column.name: column.type for column in columns}


def wider(types: frozenset[str]) -> str:
    """The type in which all of `types` have room, as `type_name` writes them."""
    return _WIDER.get(types, TEXT)


def always_text(_: frozenset[str]) -> str:
    """Text, which has room for everything."""
    return TEXT


def disagreements(parts: Sequence[Part], *, choose: Callable[[frozenset[str]], str]) -> dict[str, str]:
    """The columns on whose type the parts do not agree, with the type that all of them should have."""
    goals: dict[str, str] = {}
    for told in zip(*(part.table.columns for part in parts), strict=True):
        types = frozenset(column.type for column in told)
        # A window without a value in the column says nothing of its type.
        telling = frozenset(column.type for column in told if not column.empty) or types
        if len(types) > 1:
            goals[told[0].name] = choose(telling) if len(telling) > 1 else next(iter(telling))
    return goals


def columns_of(parts: Sequence[Part]) -> list[PublishedColumn]:
    """The columns as they are published; of several parts, the first that has something to tell of one tells it."""
    columns: list[PublishedColumn] = []
    for place in range(len(parts[0].table.columns)):
        told = [part.table.columns[place] for part in parts]
        # A part that was converted once more, to agree with another, knows no misfit of its own.
        told.sort(key=lambda each: (each.misfit is None, each.why_text is None, each.outgrown is None))
        columns.append(_published_column(replace(told[0], empty=all(each.empty for each in told))))
    return columns + [PublishedColumn(name=name, type=TEXT) for name in parts[0].table.extra_columns]


def _published_column(column: ConvertedColumn) -> PublishedColumn:
    misfit, outgrown = column.misfit, column.outgrown
    return PublishedColumn(
        name=column.name,
        type=column.type,
        declared=str(column.declared),
        format=column.format,
        why_text=column.why_text,
        misfit={"row": misfit.row, "value": misfit.value} if misfit else None,
        empty=column.empty,
        outgrown={"row": outgrown.row, "value": outgrown.value} if outgrown else None,
    )


def part_record(part: Part) -> PartRecord:
    """A window's line in the manifest."""
    assert part.pull.window is not None
    generated_at = part.execution.generated_at
    return PartRecord(
        start=iso_utc(part.pull.window.start),
        end=iso_utc(part.pull.window.end),
        query_id=part.report.query_id if part.report else None,
        report_id=part.execution.report_id,
        execution_id=part.execution.execution_id,
        generated_at=iso_utc(generated_at) if generated_at else None,
        rows=part.table.rows,
        downloaded_bytes=part.stored.size_bytes,
        vouched_by=vouched_by(part),
    )


def digest_of(hashes: Sequence[str]) -> str:
    """One hash for the content of several files, in their order."""
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()[:32]
