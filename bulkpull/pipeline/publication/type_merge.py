"""
Gives the parts of one snapshot one set of types, and plans the conversion of each column (pure).

A column that is a number in one part and text in another makes every engine refuse the two together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bulkpull.catalog import CatalogColumn, ColumnType, load_catalog
from bulkpull.conversion.messages import ColumnPlan, ConvertedColumn, is_same_form
from bulkpull.conversion.parquet_types import TEXT, common_type
from bulkpull.model import Pull
from bulkpull.output.manifest import DatasetRecord
from bulkpull.pipeline.steps.converted_pull import ConvertedPull


def known_types(record: DatasetRecord | None) -> dict[str, str]:
    """Parquet type by column, of the last snapshot that had the column."""
    return {**record.earlier_types, **{column.name: column.type for column in record.columns}} if record else {}


def known_formats(record: DatasetRecord | None) -> dict[str, str]:
    """How the dates of each column were written, in the last snapshot that had the column."""
    columns = record.columns if record else ()
    earlier = record.earlier_formats if record else {}
    return earlier | {column.name: column.format for column in columns if column.format}


@dataclass(frozen=True, slots=True)
class Goal:
    """The type that all parts should have for a column, and of dates the form."""

    type: str
    format: str | None = None

    def is_reached_by(self, column: ConvertedColumn) -> bool:
        return column.type == self.type and (column.format == self.format or column.empty or self.format is None)


def with_goals(plans: Iterable[ColumnPlan], goals: Mapping[str, Goal]) -> list[ColumnPlan]:
    """The plans of a conversion that reaches the goals, as far as the values allow."""
    return [
        replace(plan, published_type=goal.type, published_format=goal.format, published_empty=False)
        if (goal := goals.get(plan.name))
        else plan
        for plan in plans
    ]


def type_conflicts(parts: Sequence[ConvertedPull], *, as_text: bool = False) -> dict[str, Goal]:
    """
    The columns on whose type or form of dates the parts do not agree, with what all of them should have.

    One snapshot has one form for a column, or its text could not be given back: dates in different forms become text.
    With `as_text` all become text, which holds values of any type.
    """
    goals: dict[str, Goal] = {}
    for columns in zip(*(part.table.columns for part in parts), strict=True):
        # A window without a value in the column says nothing about its type.
        informative = [column for column in columns if not column.empty] or columns
        kinds = frozenset(column.type for column in informative)
        forms = list(dict.fromkeys(column.format for column in informative if column.format))
        kind, form = next(iter(kinds)), next(iter(forms), None)
        if len(forms) > 1:
            is_one_form = all(is_same_form(forms[0], other) for other in forms)
            kind = kind if len(kinds) == 1 and is_one_form and not as_text else TEXT
            # They differ in padding: the form without padding also reads numbers of one digit.
            form = max(forms, key=lambda form: form.count("%-"))
        elif len({column.type for column in columns}) == 1:
            continue
        elif len(kinds) > 1:
            kind = TEXT if as_text else common_type(kinds)
        if kind == TEXT and TEXT not in kinds and not as_text:
            # Read as the first part is, the others tell which value keeps the column text (contract, section 5).
            kind, form = informative[0].type, informative[0].format
        goals[columns[0].name] = Goal(kind, None if kind == TEXT else form)
    return goals


def plan_columns(pull: Pull, *, earlier: DatasetRecord | None) -> list[ColumnPlan]:
    published = {name.casefold(): kind for name, kind in known_types(earlier).items()}
    formats = {name.casefold(): form for name, form in known_formats(earlier).items()}
    empty = {column.name.casefold() for column in earlier.columns if column.empty} if earlier else set[str]()

    def plan(name: str) -> ColumnPlan:
        column, key = _documented(name, pull), name.casefold()
        return ColumnPlan(
            name=name,
            declared=column.parquet_type if column else ColumnType.STRING,
            identifier=column.identifier if column else False,
            aliases=(column.name, *column.aliases) if column else (),
            published_type=published.get(key),
            published_empty=key in empty,
            published_format=formats.get(key),
            amount=name in pull.metrics,
            flag_words=column.values if column else (),
        )

    return [plan(name) for name in pull.columns]


def _documented(name: str, pull: Pull) -> CatalogColumn | None:
    """What the catalog says of a selected name; a metric that it does not know is a number by its nature."""
    known = load_catalog().find(pull.reads)
    if name not in pull.metrics:
        return known.column(name) if known else None
    metric = known.metric(name) if known else None
    return CatalogColumn(metric.name, metric.type) if metric else load_catalog().metric(name)
