"""
One set of columns for the windows of a growing snapshot, of which some were published long ago (pure).

The service adds and removes columns, and a column may need a wider type. Published windows have no CSV any more, so
what they hold can be widened, but its text cannot be given back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bulkpull.conversion.messages import ConvertedColumn
from bulkpull.conversion.parquet_types import TEXT, common_type
from bulkpull.errors import HeldBack
from bulkpull.formatting import join_some
from bulkpull.output.manifest import DatasetRecord
from bulkpull.pipeline.publication.type_merge import type_conflicts
from bulkpull.pipeline.steps.converted_pull import ConvertedPull
from bulkpull.pipeline.windows.window_check import describe_window


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
    goals = type_conflicts(aligned, choose=common_type)
    common: list[ConvertedPull] = []
    for part in aligned:
        lost = [
            column.name
            for column in part.table.columns
            if (goal := goals.get(column.name)) and goal.type == TEXT != column.type and not column.empty
        ]
        if lost:
            raise HeldBack(
                f"{dataset}: {join_some(lost)} became text, and a published history cannot follow",
                why=_first_that_did_not_fit(parts, lost[0]),
                fix="publish the history again under another name (--as), or select the columns that have stayed",
            )
        typed = tuple(
            replace(column, type=goal.type) if (goal := goals.get(column.name)) else column
            for column in part.table.columns
        )
        common.append(replace(part, table=replace(part.table, columns=typed)))
    return common


def vanished_columns(fetched: Sequence[ConvertedPull], published: DatasetRecord | None) -> frozenset[str]:
    """The columns, in lower case, that only windows of earlier runs have."""
    columns = published.columns if published else []
    if not fetched:
        return frozenset(column.name.casefold() for column in columns if column.vanished)
    came = {column.name.casefold() for part in fetched for column in part.table.columns}
    came |= {name.casefold() for part in fetched for name in part.table.extra_columns}
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
            if column.name == name and value is not None and part.pull.window is not None:
                return f"{value.value!r} in the window {describe_window(part.pull.window)}"
    return "its values are written in another form than before"
