"""Parts of one snapshot: one type and one form of dates for each column, or text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from bulkpull.catalog import ColumnType
from bulkpull.conversion.messages import ConversionResult, ConvertedColumn
from bulkpull.model import DownloadedFile, Execution, OfferedDataset, Pull
from bulkpull.pipeline.publication.snapshot_facts import published_columns
from bulkpull.pipeline.publication.type_merge import Goal, type_conflicts
from bulkpull.pipeline.steps.converted_pull import ConvertedPull


def part(kind: str, form: str | None = None, *, empty: bool = False) -> ConvertedPull:
    column = ConvertedColumn("Month", kind, ColumnType.MONTH, format=form, empty=empty)
    pull = Pull("AzureUsage", OfferedDataset("AzureUsage", ("Month",)), ("Month",), "SELECT Month FROM AzureUsage")
    table = ConversionResult((), 1, (column,), 10, ())
    return ConvertedPull(pull, None, Execution("e", "r", "Completed"), DownloadedFile(Path("report"), 10), table)


@pytest.mark.case("W9")
@pytest.mark.behaviour(155, 185)
@pytest.mark.parametrize(
    ("parts", "goal"),
    [
        ([part("Date", "%^b-%Y"), part("Date", "%^b-%Y")], None),
        ([part("Date", empty=True), part("Date", "%^b-%Y")], None),
        ([part("Date", "%^b-%Y"), part("Date", "%Y-%m")], Goal("Date", "%^b-%Y")),
        ([part("Date", "%^b-%Y"), part("Date", empty=True), part("Date", "%b-%Y")], Goal("Date", "%^b-%Y")),
        ([part("Date", "%^b-%Y"), part("String")], Goal("String")),
        ([part("Date", "%Y-%m-%d"), part("Datetime(us)", "%Y-%m-%dT%H:%M")], Goal("Date", "%Y-%m-%d")),
        ([part("Date", "%m/%d/%Y"), part("Date", "%-m/%-d/%Y")], Goal("Date", "%-m/%-d/%Y")),
        ([part("Datetime(us)", empty=True), part("Date", "%Y-%m-%d")], Goal("Date", "%Y-%m-%d")),
    ],
)
def test_parts_agree_on_the_form_of_dates_as_on_types(parts: Sequence[ConvertedPull], goal: Goal | None) -> None:
    """What only text holds is read as the first part is: so the others tell which value does not fit."""
    assert type_conflicts(parts) == ({"Month": goal} if goal else {})


@pytest.mark.fault(89)
@pytest.mark.parametrize(
    ("kinds", "goal"),
    [
        (("Decimal(38, 6)", "Decimal(38, 6)"), None),
        (("Decimal(38, 6)", "Decimal(38, 18)", "Decimal(38, 12)"), "Decimal(38, 18)"),
        (("Int64", "Decimal(38, 12)"), "Decimal(38, 12)"),
        (("Int64", "String"), "String"),
        (("Int64", "Date"), "Int64"),
    ],
)
def test_parts_meet_in_the_narrowest_type_that_holds_all_of_their_numbers(
    kinds: Sequence[str], goal: str | None
) -> None:
    parts = [part(kind) for kind in kinds]

    assert type_conflicts(parts) == ({"Month": Goal(goal)} if goal else {})


@pytest.mark.case("W9")
def test_forms_that_could_not_be_agreed_on_become_text() -> None:
    for other in ("%-m/%-d/%Y", "%Y-%m-%d"):
        parts = [part("Date", "%m/%d/%Y"), part("Date", other)]

        assert type_conflicts(parts, as_text=True) == {"Month": Goal("String")}


@pytest.mark.case("W9")
def test_an_empty_first_part_does_not_hide_the_form_of_the_others() -> None:
    (column,) = published_columns([part("Date", empty=True), part("Date", "%^b-%Y")])

    assert (column.type, column.format, column.empty) == ("Date", "%^b-%Y", False)
