"""The header × the columns asked for."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from csv_reports import texts

from bulkpull.catalog import ColumnType
from bulkpull.conversion.header import RowLayout, read_header, reject_non_csv
from bulkpull.conversion.messages import ColumnPlan
from bulkpull.errors import NotTheReport


def layout(line: str, *names: str) -> RowLayout:
    return read_header(line.encode(), columns=texts(*names))


@pytest.mark.behaviour(139)
@pytest.mark.fault(80)
@pytest.mark.parametrize(
    ("line", "wanted", "extra"),
    [
        ("MPNId,Month", (0, 1), ()),
        ("Month,MPNId", (1, 0), ()),
        ("mpnid,MONTH", (0, 1), ()),
        ("MPN Id,Month", (0, 1), ()),
        ("MPN_Id, Month ", (0, 1), ()),
        ("\ufeffMPNId,Month", (0, 1), ()),
        ('"MPNId","Month"', (0, 1), ()),
        ("New,MPNId,Month,Newer", (1, 2), (("New", 0), ("Newer", 3))),
        ("MPNId,Month,", (0, 1), (("column_3", 2),)),
        ('MPNId,Month,"with, comma"', (0, 1), (("with, comma", 2),)),
    ],
)
def test_columns_are_found_in_any_order_and_spelling(line: str, wanted: Sequence[int], extra: Sequence[object]) -> None:
    found = layout(line, "MPNId", "Month")

    assert (found.wanted, found.extra, found.separator) == (wanted, extra, ord(","))


@pytest.mark.behaviour(56, 140)
def test_a_label_of_an_older_edition_is_found_as_an_alias() -> None:
    columns = (ColumnPlan("Paid", ColumnType.INT), ColumnPlan("HasAzure", ColumnType.BOOL, aliases=("Azure Customer",)))

    assert read_header(b"azure customer,Paid", columns=columns).wanted == (1, 0)


def test_a_better_match_is_never_taken_by_a_weaker_one() -> None:
    """`Cost USD` could stand for `CostUSD`, but the column of exactly that name is there as well."""
    assert layout("Cost USD,CostUSD", "CostUSD").wanted == (1,)
    assert layout("cost,Cost", "Cost", "cost").wanted == (1, 0)


@pytest.mark.behaviour(136, 137)
def test_a_tab_is_found_as_the_separator_by_the_columns_it_parts() -> None:
    assert layout("MPNId\tMonth", "MPNId", "Month").separator == ord("\t")
    assert layout('MPNId\t"a, b, c"\tMonth', "MPNId", "Month").separator == ord("\t")
    assert layout("MPNId", "MPNId").separator == ord(",")


@pytest.mark.behaviour(140)
@pytest.mark.fault(80)
def test_missing_columns_are_named() -> None:
    with pytest.raises(NotTheReport, match="lacks 'Month', 'SKU': its header reads 'MPNId', 'Other'"):
        layout("MPNId,Other", "MPNId", "Month", "SKU")
    with pytest.raises(NotTheReport, match="lacks 'Month': its header"):
        layout("MPNId,Other", "MPNId", "Month")


@pytest.mark.fault(80)
@pytest.mark.parametrize("line", ["MPNId,MPNId,Month", "MPNId,Month,mpnid", "MPNId,Month,New,New", "mpnid,MPNID,Month"])
def test_a_header_twice_is_refused_by_its_name(line: str) -> None:
    with pytest.raises(NotTheReport, match="more than once"):
        layout(line, "MPNId", "Month")


@pytest.mark.fault(80)
def test_two_fields_of_one_column_under_different_spellings_leave_one_as_extra() -> None:
    found = layout("MPN Id,MPNId", "MPNId")

    assert found.wanted == (1,)
    assert found.extra == (("MPN Id", 0),)


@pytest.mark.fault(80)
def test_two_fields_that_match_one_column_equally_well_are_refused() -> None:
    with pytest.raises(NotTheReport, match="more than one column that may be 'MPNId': 'MPN Id', 'mpn_id'"):
        layout("MPN Id,Month,mpn_id", "MPNId", "Month")


@pytest.mark.fault(86)
@pytest.mark.parametrize("line", ["MPNId,Month".encode("utf-16-le"), "MPNId,Month".encode("utf-16-be")])
def test_utf_16_without_a_mark_is_refused_with_words(line: bytes) -> None:
    with pytest.raises(NotTheReport, match="UTF-16"):
        read_header(line, columns=texts("MPNId", "Month"))


@pytest.mark.fault(86)
def test_a_header_in_latin_1_is_refused_with_its_byte() -> None:
    with pytest.raises(NotTheReport, match="0xE4"):
        read_header("Währung".encode("latin-1"), columns=texts("Währung"))


@pytest.mark.fault(70, 86)
@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (b"\xff\xfeM\0P\0", "UTF-16"),
        (b"\xfe\xff\0M\0P", "UTF-16"),
        (b"<?xml version='1.0'?><Error><Code>AuthenticationFailed</Code></Error>", "AuthenticationFailed"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><Error>\n<Code>BlobNotFound</Code>", "BlobNotFound"),
        (b"\r\n<!DOCTYPE html><html>it's down", "page of XML or HTML"),
        (b"\xef\xbb\xbf", "empty"),
        (b"\r\n\r\n", "empty"),
    ],
)
def test_what_is_no_table_is_refused_for_what_it_is(start: bytes, expected: str) -> None:
    with pytest.raises(NotTheReport, match=expected):
        reject_non_csv(start)


def test_a_table_passes() -> None:
    reject_non_csv(b"\xef\xbb\xbfMPNId,Month\r\n1,2")


def test_messages_stay_short_however_wide_the_table_is() -> None:
    names = [f"Column{number}" for number in range(10_000)]

    with pytest.raises(NotTheReport, match="and 9992 more") as caught:
        layout("\x1b[31mred", *names)

    assert len(str(caught.value)) < 1000
    assert "\x1b" not in str(caught.value)
