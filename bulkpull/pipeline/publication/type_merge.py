"""
Gives the parts of one snapshot one set of types, and describes them as one table (pure).

It also plans the conversion of each column, from the catalog and from the types of earlier snapshots.

A column that is a number in one part and text in another makes every engine refuse the two together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from bulkpull.catalog import Catalog, CatalogColumn, ColumnType
from bulkpull.conversion.messages import ColumnPlan, ConvertedColumn, Misfit, WindowRows, is_same_form
from bulkpull.conversion.parquet_types import TEXT
from bulkpull.model import Pull
from bulkpull.output.manifest import DatasetRecord, PartRecord, PublishedColumn
from bulkpull.pipeline.steps.converted_pull import ConvertedPull, vouched_by


def published_types(record: DatasetRecord | None) -> dict[str, str]:
    """Parquet type by column of the latest reports, as published; empty when nothing is."""
    return {column.name: column.type for column in record.columns if not column.vanished} if record else {}


def known_types(record: DatasetRecord | None) -> dict[str, str]:
    """Parquet type by column, of the last snapshot that had the column."""
    return {**record.earlier_types, **{column.name: column.type for column in record.columns}} if record else {}


def empty_columns(record: DatasetRecord | None) -> frozenset[str]:
    """Columns of the snapshot, in lower case, that neither it nor an earlier one had a value of."""
    return frozenset(column.name.casefold() for column in record.columns if column.empty) if record else frozenset()


def known_formats(record: DatasetRecord | None) -> dict[str, str]:
    """How the dates of each column were written, in the last snapshot that had the column."""
    if record is None:
        return {}
    return {**record.earlier_formats, **{column.name: column.format for column in record.columns if column.format}}


@dataclass(frozen=True, slots=True)
class Goal:
    """The type that all parts should have for a column, and of dates the form."""

    type: str
    format: str | None = None

    def is_reached_by(self, column: ConvertedColumn) -> bool:
        """Whether a part has the column so."""
        return column.type == self.type and (column.format == self.format or column.empty or self.format is None)


def with_goals(plans: Iterable[ColumnPlan], goals: Mapping[str, Goal]) -> list[ColumnPlan]:
    """The plans of a conversion that reaches the goals, as far as the values allow."""
    return [
        replace(plan, published_type=goal.type, published_format=goal.format, published_empty=False)
        if (goal := goals.get(plan.name))
        else plan
        for plan in plans
    ]


def present_goals(columns: Iterable[ConvertedColumn]) -> dict[str, Goal]:
    """What a part has reached, to be kept by a conversion with another window edge."""
    return {column.name: Goal(column.type, column.format) for column in columns}


def as_text(_: frozenset[str]) -> str:
    """Text, which holds values of any type."""
    return TEXT


def type_conflicts(parts: Sequence[ConvertedPull], *, choose: Callable[[frozenset[str]], str]) -> dict[str, Goal]:
    """
    The columns on whose type or form of dates the parts do not agree, with what all of them should have.

    One snapshot has one form for a column, or its text could not be given back: dates in different forms become text.
    """
    goals: dict[str, Goal] = {}
    for columns in zip(*(part.table.columns for part in parts), strict=True):
        types = frozenset(column.type for column in columns)
        # A window without a value in the column says nothing about its type.
        informative = [column for column in columns if not column.empty] or list(columns)
        formats = dict.fromkeys(column.format for column in informative if column.format)
        chosen = {column.type for column in informative}
        if len(formats) > 1:
            goals[columns[0].name] = _one_form(formats, chosen, choose)
        elif len(types) > 1:
            kind = choose(frozenset(chosen)) if len(chosen) > 1 else next(iter(chosen))
            goals[columns[0].name] = Goal(kind, None if kind == TEXT else next(iter(formats), None))
    return goals


def _one_form(formats: Iterable[str], types: set[str], choose: Callable[[frozenset[str]], str]) -> Goal:
    first, *others = formats
    if len(types) > 1 or choose is as_text or not all(is_same_form(first, other) for other in others):
        return Goal(TEXT)
    # They differ in padding: the form without padding also reads numbers of one digit.
    return Goal(next(iter(types)), max((first, *others), key=lambda form: form.count("%-")))


def published_columns(parts: Sequence[ConvertedPull]) -> list[PublishedColumn]:
    """
    The columns as published; for each column the details come from the first part that has any.

    Rows are numbered through the whole snapshot, in the order of its files (case W17).
    """
    rows_before = list(accumulate((part.table.rows for part in parts), initial=0))
    columns: list[PublishedColumn] = []
    for place in range(len(parts[0].table.columns)):
        candidates = [
            _numbered_from(part.table.columns[place], rows) for part, rows in zip(parts, rows_before, strict=False)
        ]
        # A part that was converted once more, to agree with another, knows no misfit of its own.
        candidates.sort(key=lambda column: (column.misfit is None, column.why_text is None, column.outgrown is None))
        form = next((column.format for column in candidates if column.format and not column.empty), None)
        is_empty = all(column.empty for column in candidates)
        columns.append(_published_column(replace(candidates[0], empty=is_empty, format=form)))
    return columns + [PublishedColumn(name=name, type=TEXT) for name in parts[0].table.extra_columns]


def _numbered_from(column: ConvertedColumn, rows_before: int) -> ConvertedColumn:
    def later(misfit: Misfit | None) -> Misfit | None:
        return replace(misfit, row=misfit.row + rows_before) if misfit else None

    return replace(column, misfit=later(column.misfit), outgrown=later(column.outgrown))


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


def part_record(part: ConvertedPull) -> PartRecord:
    """A window's line in the manifest."""
    assert part.pull.window is not None
    found = part.table.window or WindowRows()
    return PartRecord(
        start=part.pull.window.start,
        end=part.pull.window.end,
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


def types_digest(hashes: Sequence[str]) -> str:
    """One hash for the content of several files, in their order."""
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()[:32]


def plan_columns(pull: Pull, *, catalog: Catalog, earlier: DatasetRecord | None) -> list[ColumnPlan]:
    """The columns of a pull, in the order of its query."""
    published = {name.casefold(): kind for name, kind in known_types(earlier).items()}
    formats = {name.casefold(): form for name, form in known_formats(earlier).items()}
    empty = empty_columns(earlier)
    plans: list[ColumnPlan] = []
    for name in pull.columns:
        column = _documented(name, pull, catalog=catalog)
        plans.append(
            ColumnPlan(
                name=name,
                declared=column.parquet_type if column else ColumnType.STRING,
                identifier=column.identifier if column else False,
                aliases=(column.name, *column.aliases) if column else (),
                published_type=published.get(name.casefold()),
                published_empty=name.casefold() in empty,
                published_format=formats.get(name.casefold()),
                amount=name in pull.metrics,
                flag_words=getattr(column, "values", ()),
            )
        )
    return plans


def _documented(name: str, pull: Pull, *, catalog: Catalog) -> CatalogColumn | None:
    """What the catalog says of a selected name; a metric that it does not know is a number by its nature."""
    known = catalog.find(pull.reads)
    if name not in pull.metrics:
        return known.column(name) if known else None
    metric = known.metric(name) if known else None
    return CatalogColumn(metric.name, metric.type) if metric else catalog.metric(name)
