"""Text → a narrower type, and the values that forbid it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import combinations, product

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import THOROUGH, examples

from bulkpull.catalog import ColumnType
from bulkpull.conversion.date_formats import read_dates, write_dates
from bulkpull.conversion.messages import ColumnPlan, ConvertedColumn, Misfit
from bulkpull.conversion.type_inference import ColumnTyper, _written_bytes

Values = Sequence[str | None]


def narrowed(
    declared: ColumnType,
    *batches: Values,
    identifier: bool = False,
    published: str | None = None,
    published_empty: bool = False,
    published_format: str | None = None,
    amount: bool = False,
) -> tuple[pl.Series, ConvertedColumn]:
    """The last batch as read, and the outcome after all of them."""
    plan = ColumnPlan(
        "Column",
        declared,
        identifier=identifier,
        published_type=published,
        published_empty=published_empty,
        published_format=published_format,
        amount=amount,
    )
    column, first_row, taken = ColumnTyper(plan), 1, pl.Series(dtype=pl.String)
    for values in batches:
        taken = column.convert(pl.Series("Column", values, pl.String), first_row=first_row)
        assert taken.len() == len(values)
        first_row += len(values)
    column.finalize()
    return taken, column.outcome()


NEVER_NARROWED = [
    "0012", "0E123", "12345678901234567890", "NA", "null", "NULL", "-", " x ", "nan", "007", "+7", "-0", " 7", "7 ",
    "1_0", "1.0", "1e3", "٣", "",
]  # fmt: skip


@pytest.mark.fault(87)
@pytest.mark.behaviour(152)
@pytest.mark.parametrize("declared", list(ColumnType))
def test_an_identifier_stays_text_whatever_was_declared(declared: ColumnType) -> None:
    taken, reported = narrowed(declared, ["12", "34"], identifier=True)

    assert (taken.to_list(), reported.type, reported.misfit) == (["12", "34"], "String", None)


@pytest.mark.fault(87)
@pytest.mark.parametrize("declared", [ColumnType.INT, ColumnType.BOOL, ColumnType.DATE, ColumnType.DATETIME])
@pytest.mark.parametrize("odd", NEVER_NARROWED)
def test_what_would_not_come_back_the_same_keeps_its_column_text(declared: ColumnType, odd: str) -> None:
    good = {ColumnType.INT: "7", ColumnType.BOOL: "1", ColumnType.DATE: "2026-11-23"}.get(declared, "2026-11-23T00:00")

    taken, reported = narrowed(declared, [good, None], [None, good, odd, good, "x"])

    assert taken.to_list() == [None, good, odd, good, "x"]
    assert reported.type == "String"
    assert reported.misfit == Misfit(row=5, value=odd)
    assert reported.why_text


@pytest.mark.fault(88)
@pytest.mark.parametrize(
    "odd",
    ["1,234", "(5)", "1e400", "nan", "Infinity", "-inf", "9" * 40, "1E-7", "$5", "5-", "", " 5", "0." + "1" * 19,
     "1" * 21, ".", "+", "--5", "5\n", "٣"],
)  # fmt: skip
def test_what_is_no_plain_amount_keeps_its_column_text(odd: str) -> None:
    taken, reported = narrowed(ColumnType.DECIMAL, ["1.50", odd, "2"])

    assert taken.to_list() == ["1.50", odd, "2"]
    assert (reported.type, reported.misfit) == ("String", Misfit(row=2, value=odd))


def least_scale(values: Values) -> int:
    """The smallest of the three scales that holds every value, by counting digits after the point."""
    digits = max((len(value.partition(".")[2].rstrip("0")) for value in values if value), default=0)
    return next(scale for scale in (6, 12, 18) if digits <= scale)


AMOUNTS = st.from_regex(re.compile(r"[+-]?([0-9]{1,20}(\.[0-9]{0,18})?|\.[0-9]{1,18})", re.ASCII), fullmatch=True)


@pytest.mark.fault(88)
@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), AMOUNTS), min_size=1))
def test_an_amount_is_the_number_that_python_reads_from_the_same_text(values: list[str | None]) -> None:
    taken, reported = narrowed(ColumnType.DECIMAL, values)

    assert reported.type == f"Decimal(38, {least_scale(values)})"
    assert taken.to_list() == [None if value is None else Decimal(value) for value in values]


@pytest.mark.fault(88, 89)
@pytest.mark.parametrize(
    "values",
    [
        ["1.25", "-3.50", "+0.10"],  # as many digits everywhere
        ["123.45", "6.", "78.9"],
        ["1.1234567", "0.0000001"],
        ["1.5000000", "2.2500000"],  # more digits than the type has, all of them zeros
        ["1.25", None, "17"],
        [".5", "17", "123456789012345678"],
    ],
)
def test_however_many_digits_amounts_have_none_is_rounded(values: list[str | None]) -> None:
    taken, reported = narrowed(ColumnType.DECIMAL, values)

    assert reported.type == f"Decimal(38, {least_scale(values)})"
    assert taken.to_list() == [None if value is None else Decimal(value) for value in values]


@pytest.mark.fault(88, 89)
def test_the_scale_of_amounts_only_grows_and_every_digit_is_kept() -> None:
    column, scales = ColumnTyper(ColumnPlan("Column", ColumnType.DECIMAL)), []
    for value in ("1.5", "0.1234560000", SEVEN, "2", THIRTEEN, "1"):
        taken = column.convert(pl.Series("Column", [value], pl.String), first_row=1)
        assert taken.to_list() == [Decimal(value)]
        scales.append(taken.dtype.scale)  # type: ignore[attr-defined]  # it is a Decimal

    assert scales == [6, 6, 12, 12, 18, 18]


@pytest.mark.fault(90)
def test_a_scale_that_no_value_needed_binds_nobody() -> None:
    _, reported = narrowed(ColumnType.DECIMAL, ["1.5"], published="Decimal(38, 18)", published_empty=True)

    assert reported.type == "Decimal(38, 6)"


@pytest.mark.fault(88)
def test_of_all_short_texts_of_digits_points_and_signs_those_are_amounts_that_have_the_form_of_one() -> None:
    """They are not looked at one by one while they are read as numbers, so this looks at all there are."""
    form = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)", re.ASCII)
    for length in range(1, 7 if THOROUGH else 5):
        for text in map("".join, product("07.+-", repeat=length)):
            assert (narrowed(ColumnType.DECIMAL, [text])[1].type != "String") == bool(form.fullmatch(text)), text


@pytest.mark.fault(87)
@settings(deadline=None, max_examples=examples(300))
@given(st.lists(st.text("0123456789+-_.,eE \t\n\0xinfa٣９", min_size=1, max_size=5), min_size=1, max_size=50))
def test_no_text_is_read_as_a_number_that_is_longer_than_the_text(values: list[str]) -> None:
    """Otherwise a text that is too long and one that is too short could hide each other."""
    text = pl.Series(values)
    numbers = text.cast(pl.Int64, strict=False)

    assert (numbers.cast(pl.String).str.len_bytes() <= text.str.len_bytes()).all()


def test_whole_numbers_are_measured_at_every_length() -> None:
    edges = [sign * (10**digits + step) for digits in range(19) for step in (-1, 0, 1) for sign in (1, -1)]
    edges += [2**63 - 1, -(2**63)]
    for values in (edges, *([edge] for edge in edges)):
        taken, reported = narrowed(ColumnType.INT, [*map(str, values), None])

        assert (reported.type, taken.to_list()) == ("Int64", [*values, None])
    assert _written_bytes(pl.Series(edges)) == sum(len(str(edge)) for edge in edges)


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=1))
def test_whole_numbers_become_int64(values: list[int | None]) -> None:
    taken, reported = narrowed(ColumnType.INT, [None if value is None else str(value) for value in values])

    assert reported.type == "Int64"
    assert taken.to_list() == values


@pytest.mark.fault(87, 88)
@settings(deadline=None, max_examples=examples(300))
@given(
    st.sampled_from([ColumnType.INT, ColumnType.BOOL, ColumnType.DATE, ColumnType.DATETIME, ColumnType.MONTH]),
    st.lists(st.one_of(st.none(), st.text("0123456789-+:/. TZeE,aPM", min_size=1, max_size=22)), max_size=5),
    st.sampled_from(["7", "2026-11-23", "2026-11-23 01:02:03", "true", "11/23/2026", "1/13/2026 1:02:03 PM"]),
)
def test_every_type_gives_every_text_back(declared: ColumnType, values: list[str | None], sample: str) -> None:
    values = [*values, sample]
    taken, reported = narrowed(declared, values)

    back = write_dates(taken, reported.format) if reported.format else taken.cast(pl.String)

    assert back.to_list() == values


@pytest.mark.behaviour(155)
@pytest.mark.parametrize(
    ("values", "kind", "pattern", "first"),
    [
        (["2026-11-23", None], "Date", "%Y-%m-%d", date(2026, 11, 23)),
        (["2026-11-23T01:02"], "Datetime(us)", "%Y-%m-%dT%H:%M", datetime(2026, 11, 23, 1, 2)),  # noqa: DTZ001 - naive stays naive
        (["2026-11-23 01:02:03"], "Datetime(us)", "%Y-%m-%d %H:%M:%S", datetime(2026, 11, 23, 1, 2, 3)),  # noqa: DTZ001 - the same
        (["2026-11-23T01:02:03.004"], "Datetime(us)", "%Y-%m-%dT%H:%M:%S%.3f", datetime(2026, 11, 23, 1, 2, 3, 4000)),  # noqa: DTZ001 - the same
        (["2026-11-23T01:02:03.000004Z"], "Datetime(us, UTC)", "%Y-%m-%dT%H:%M:%S%.6fZ",
         datetime(2026, 11, 23, 1, 2, 3, 4, tzinfo=UTC)),
        (["2026-11-23T01:02:03.0000040"], "Datetime(us)", "%Y-%m-%dT%H:%M:%S%.6f0", datetime(2026, 11, 23, 1, 2, 3, 4)),  # noqa: DTZ001 - the same
        (["2026-11-23T01:02:03+00:00"], "Datetime(us, UTC)", "%Y-%m-%dT%H:%M:%S+00:00",
         datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)),
        (["11/23/2026", "1/2/2026"], "Date", "%-m/%-d/%Y", date(2026, 11, 23)),
        (["11/23/2026", "01/02/2026"], "Date", "%m/%d/%Y", date(2026, 11, 23)),
        (["1/13/2026 1:02:03 PM"], "Datetime(us)", "%-m/%-d/%Y %-I:%M:%S %p", datetime(2026, 1, 13, 13, 2, 3)),  # noqa: DTZ001 - the same
        (["01/13/2026 12:00 AM"], "Datetime(us)", "%m/%d/%Y %I:%M %p", datetime(2026, 1, 13)),  # noqa: DTZ001 - the same
        (["1/13/2026 13:02"], "Datetime(us)", "%-m/%-d/%Y %H:%M", datetime(2026, 1, 13, 13, 2)),  # noqa: DTZ001 - the same
        (["0001-01-01", "9999-12-31"], "Date", "%Y-%m-%d", date(1, 1, 1)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("declared", [ColumnType.DATE, ColumnType.DATETIME, ColumnType.MONTH])
def test_dates_of_one_format_are_narrowed_and_the_format_is_told(
    declared: ColumnType, values: Values, kind: str, pattern: str, first: date
) -> None:
    taken, reported = narrowed(declared, values)

    assert (reported.type, reported.format, reported.why_text) == (kind, pattern, None)
    assert taken[0] == first
    assert write_dates(taken, pattern).to_list() == list(values)


@pytest.mark.behaviour(155)
@pytest.mark.parametrize(
    ("values", "row"),
    [
        (["2026-11-23", "2026-11-23T00:00:00"], 2),
        (["2026-11-23T01:02:03Z", "2026-11-23T01:02:03"], 2),
        (["2026-11-23T01:02:03Z", "2026-11-23T01:02:60Z"], 2),
        (["2026-11-23T01:02:03.1234567"], 1),
        (["2026-11-23T01:02:03.1"], 1),
        (["2026-11-23T01:02:03+01:00"], 1),
        (["2026-11"], 1),
        (["202611"], 1),
        (["Nov 2026"], 1),
        (["23.11.26"], 1),
        (["11.23.2026"], 1),
        (["23.11.2026", "1.2.2026"], 2),
        (["20261301"], 1),
        (["20261101", "2026-11-01"], 2),
        (["2026-02-30"], 1),
        (["2026-1-2"], 1),
        (["11/23/2026", "1/2/2026", "01/02/2026"], 3),
        (["13/1/2026"], 1),
        (["1/13/2026", "13/1/2026"], 2),
        (["1/13/2026 1:02 pm"], 1),
        (["1/13/26"], 1),
    ],
)
def test_dates_that_do_not_share_a_sure_format_stay_text(values: Values, row: int) -> None:
    for batches in ([values], [[value] for value in values]):
        taken, reported = narrowed(ColumnType.DATETIME, *batches)

        assert taken.to_list() == list(batches[-1])
        assert (reported.type, reported.format) == ("String", None)
        assert reported.misfit == Misfit(row=row, value=str(values[row - 1]))


@pytest.mark.behaviour(155)
def test_slashed_dates_stay_text_until_a_day_above_twelve_proves_the_month_first() -> None:
    _, doubtful = narrowed(ColumnType.DATE, ["1/2/2026"], ["12/12/2026"])
    _, proved = narrowed(ColumnType.DATE, ["1/2/2026"], ["12/13/2026"], ["3/4/2026"])

    assert (doubtful.type, doubtful.misfit) == ("String", None)
    assert "month or the day comes first" in str(doubtful.why_text)
    assert proved.type == "Date"


@pytest.mark.behaviour(154)
@pytest.mark.parametrize(
    ("values", "kind", "read"),
    [
        (["true", "false", None], "Boolean", [True, False, None]),
        (["0", "1", None], "Int64", [0, 1, None]),
        (["1"], "Int64", [1]),
    ],
)
def test_flags_become_what_gives_their_spelling_back(values: Values, kind: str, read: list[object]) -> None:
    taken, reported = narrowed(ColumnType.BOOL, values)

    assert (taken.to_list(), reported.type, reported.misfit) == (read, kind, None)


@pytest.mark.behaviour(154)
@pytest.mark.parametrize("value", ["Y", "N", "Yes", "No", "True", "FALSE", "2", "01"])
def test_other_flags_stay_text_and_say_why(value: str) -> None:
    taken, reported = narrowed(ColumnType.BOOL, [None, value])

    assert (taken.to_list(), reported.type, reported.misfit) == ([None, value], "String", Misfit(row=2, value=value))
    assert value in str(reported.why_text)


def test_flags_of_two_spellings_stay_text() -> None:
    _, reported = narrowed(ColumnType.BOOL, ["0", "1"], ["true"])

    assert (reported.type, reported.misfit) == ("String", Misfit(row=3, value="true"))


@pytest.mark.fault(90)
@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        (ColumnType.STRING, "String"), (ColumnType.GUID, "String"), (ColumnType.INT, "Int64"),
        (ColumnType.DECIMAL, "Decimal(38, 6)"), (ColumnType.DATE, "Date"), (ColumnType.DATETIME, "Datetime(us)"),
        (ColumnType.MONTH, "Date"), (ColumnType.BOOL, "Boolean"),
    ],
)  # fmt: skip
def test_a_column_without_values_has_the_type_that_was_declared(declared: ColumnType, kind: str) -> None:
    for batches in ([], [[None, None]]):
        taken, reported = narrowed(declared, *batches)

        assert (reported.type, reported.misfit, reported.why_text) == (kind, None, None)
        assert taken.null_count() == taken.len()


@pytest.mark.fault(89, 90)
@pytest.mark.parametrize(
    ("declared", "published", "kind"),
    [
        (ColumnType.BOOL, "Int64", "Int64"),
        (ColumnType.DATETIME, "Date", "Date"),
        (ColumnType.DATETIME, "Datetime(us, UTC)", "Datetime(us, UTC)"),
        (ColumnType.MONTH, "Datetime(us)", "Datetime(us)"),
        (ColumnType.INT, "Boolean", "Boolean"),
        (ColumnType.DATE, "String", "String"),
    ],
)
def test_a_column_without_values_keeps_the_type_it_was_published_with(
    declared: ColumnType, published: str, kind: str
) -> None:
    _, reported = narrowed(declared, [None], published=published)

    assert reported.type == kind


SEVEN, THIRTEEN = "0.1234567", "0.1234567890123"
DAY, MOMENT, MOMENT_UTC = "2026-11-23", "2026-11-23T01:02:03", "2026-11-23T01:02:03Z"


@pytest.mark.fault(89)
@pytest.mark.parametrize(
    ("declared", "published", "value", "kind"),
    [
        (ColumnType.DATE, "Datetime(us)", DAY, "Datetime(us)"),
        (ColumnType.MONTH, "Datetime(us)", "11/23/2026", "Datetime(us)"),
        (ColumnType.DATETIME, "Datetime(us)", MOMENT, "Datetime(us)"),
        (ColumnType.INT, "Decimal(38, 18)", "12", "Decimal(38, 18)"),
        (ColumnType.INT, "Decimal(38, 6)", "12", "Decimal(38, 6)"),
        (ColumnType.DECIMAL, "Decimal(38, 18)", "12", "Decimal(38, 18)"),
        (ColumnType.DECIMAL, "Decimal(38, 12)", "1.50", "Decimal(38, 12)"),
        (ColumnType.NUMBER, "Decimal(38, 12)", "7", "Decimal(38, 12)"),
        (ColumnType.NUMBER, "Decimal(38, 12)", "1.5", "Decimal(38, 12)"),
        (ColumnType.BOOL, "Int64", "0", "Int64"),
    ],
)
def test_what_would_fit_a_narrower_type_keeps_the_one_it_was_published_with(
    declared: ColumnType, published: str, value: str, kind: str
) -> None:
    taken, reported = narrowed(declared, [None, value], published=published)

    assert (reported.type, reported.misfit, reported.outgrown, reported.why_text) == (kind, None, None, None)
    assert taken.null_count() == 1
    if reported.format:
        assert write_dates(taken, reported.format).to_list() == [None, value]


@pytest.mark.fault(89)
@pytest.mark.parametrize(
    ("declared", "published", "batches", "kind", "outgrown"),
    [
        (ColumnType.DATETIME, "Date", [[None], [None, MOMENT]], "Datetime(us)", Misfit(3, MOMENT)),
        (ColumnType.DECIMAL, "Int64", [["7"], ["8", "1.50"]], "Decimal(38, 6)", Misfit(3, "1.50")),
        (ColumnType.DECIMAL, "Int64", [["7"]], "Decimal(38, 6)", None),
        (ColumnType.DECIMAL, "Decimal(38, 6)", [["1.5"], ["8", SEVEN]], "Decimal(38, 12)", Misfit(3, SEVEN)),
        (ColumnType.NUMBER, "Decimal(38, 12)", [["1.5"], [SEVEN, THIRTEEN]], "Decimal(38, 18)", Misfit(3, THIRTEEN)),
        (ColumnType.NUMBER, "Int64", [[SEVEN]], "Decimal(38, 12)", Misfit(1, SEVEN)),
    ],
)
def test_a_type_gives_way_to_a_wider_one_and_the_first_value_that_did_not_fit_is_told(
    declared: ColumnType, published: str, batches: list[Values], kind: str, outgrown: Misfit | None
) -> None:
    _, reported = narrowed(declared, *batches, published=published)

    assert (reported.type, reported.outgrown, reported.misfit) == (kind, outgrown, None)


@pytest.mark.fault(89)
@pytest.mark.parametrize(
    ("declared", "published", "value"),
    [
        (ColumnType.DATETIME, "Datetime(us, UTC)", MOMENT),
        (ColumnType.DATETIME, "Datetime(us)", MOMENT_UTC),
        (ColumnType.DATE, "Datetime(us, UTC)", DAY),
        (ColumnType.DATE, "Date", MOMENT_UTC),
        (ColumnType.BOOL, "Boolean", "1"),
        (ColumnType.BOOL, "Int64", "true"),
        (ColumnType.INT, "Decimal(38, 18)", "1e5"),
        (ColumnType.DATE, "Int64", DAY),
    ],
)
def test_what_no_type_but_text_holds_together_with_what_was_published_becomes_text(
    declared: ColumnType, published: str, value: str
) -> None:
    taken, reported = narrowed(declared, [None, value], [value], published=published)

    assert (taken.to_list(), reported.type) == ([value], "String")
    assert (reported.misfit, reported.outgrown) == (Misfit(2, value), None)
    assert reported.why_text


@pytest.mark.fault(89, 90)
def test_a_type_that_no_snapshot_had_a_value_of_binds_nobody() -> None:
    _, first = narrowed(ColumnType.DATETIME, [None])
    assert (first.type, first.empty) == ("Datetime(us)", True)

    _, second = narrowed(ColumnType.DATETIME, [MOMENT_UTC], published=first.type, published_empty=first.empty)
    assert (second.type, second.empty) == ("Datetime(us, UTC)", False)

    _, third = narrowed(ColumnType.DATETIME, [None], published=second.type, published_empty=second.empty)
    assert (third.type, third.empty) == ("Datetime(us, UTC)", False)  # a value was there before


APRIL = date(2023, 4, 1)


@pytest.mark.behaviour(155, 185, 186, 188, 189)
@pytest.mark.parametrize(
    ("declared", "values", "pattern", "first"),
    [
        (ColumnType.MONTH, ["APR-2023", None, "MAY-2023"], "%^b-%Y", APRIL),
        (ColumnType.MONTH, ["Apr-2023", "Dec-9999"], "%b-%Y", APRIL),
        (ColumnType.MONTH, ["APR 2023"], "%^b %Y", APRIL),
        (ColumnType.MONTH, ["Apr 2023", "Jan 0001"], "%b %Y", APRIL),
        (ColumnType.MONTH, ["2023-04", "1900-01"], "%Y-%m", APRIL),
        (ColumnType.MONTH, ["202304", "999912"], "%Y%m", APRIL),
        (ColumnType.MONTH, ["20230401", "20230501"], "%Y%m%d", APRIL),
        (ColumnType.MONTH, ["4/1/2023", "12/1/2023"], "%-m/%-d/%Y", APRIL),
        (ColumnType.MONTH, ["01.04.2023", "01.12.2023"], "%d.%m.%Y", APRIL),
        (ColumnType.DATE, ["20230401", None, "00010101", "99991231", "19000101"], "%Y%m%d", APRIL),
        (ColumnType.DATETIME, ["20230401"], "%Y%m%d", APRIL),
        (ColumnType.DATE, ["01.04.2023", "13.04.2023"], "%d.%m.%Y", APRIL),
    ],
)
def test_months_and_dates_of_one_form_are_dates_and_come_back_as_they_were_written(
    declared: ColumnType, values: Values, pattern: str, first: date
) -> None:
    for batches in ([values], [[value] for value in values if value]):
        taken, reported = narrowed(declared, *batches)

        assert (reported.type, reported.format, reported.why_text) == ("Date", pattern, None)
        assert write_dates(taken, pattern).to_list() == list(batches[-1])
    assert narrowed(declared, values)[0][0] == first
    assert read_dates(pl.Series(values), pattern).to_list() == narrowed(declared, values)[0].to_list()


@pytest.mark.behaviour(155, 185, 186)
@pytest.mark.parametrize(
    ("declared", "values", "misfit"),
    [
        (ColumnType.MONTH, ["APR-2023", "Apr-2023"], Misfit(2, "Apr-2023")),
        (ColumnType.MONTH, ["Apr-2023", "APR-2023"], Misfit(2, "APR-2023")),
        (ColumnType.MONTH, ["apr-2023"], Misfit(1, "apr-2023")),
        (ColumnType.MONTH, ["XXX-2023"], Misfit(1, "XXX-2023")),
        (ColumnType.MONTH, ["April 2023"], Misfit(1, "April 2023")),
        (ColumnType.MONTH, ["2023-04", "2023-4"], Misfit(2, "2023-4")),
        (ColumnType.MONTH, ["202304", "202313"], Misfit(2, "202313")),
        (ColumnType.MONTH, ["2023-04", "2023-04-01"], Misfit(2, "2023-04-01")),
        (ColumnType.MONTH, ["2/1/2026", "2/3/2026"], None),
        (ColumnType.DATE, ["APR-2023"], Misfit(1, "APR-2023")),
        (ColumnType.DATE, ["202304"], Misfit(1, "202304")),
        (ColumnType.DATE, ["00000000"], Misfit(1, "00000000")),
        (ColumnType.DATE, ["2023-04-01", "0000-01-01"], Misfit(2, "0000-01-01")),
        (ColumnType.DATETIME, ["0000-12-31 23:59:59"], Misfit(1, "0000-12-31 23:59:59")),
        (ColumnType.MONTH, ["JAN-0000"], Misfit(1, "JAN-0000")),
        (ColumnType.MONTH, ["0000-01"], Misfit(1, "0000-01")),
        (ColumnType.DATE, ["01.04.2023", "02.03.2023"], None),
    ],
)
def test_months_and_dates_without_one_sure_form_stay_text(
    declared: ColumnType, values: Values, misfit: Misfit | None
) -> None:
    _, reported = narrowed(declared, values)

    assert (reported.type, reported.format, reported.misfit) == ("String", None, misfit)
    assert reported.why_text


@pytest.mark.behaviour(155, 185)
@pytest.mark.parametrize(
    ("declared", "before", "value", "kind", "form"),
    [
        (ColumnType.MONTH, "%^b-%Y", "APR-2023", "Date", "%^b-%Y"),
        (ColumnType.MONTH, "%^b-%Y", "Apr-2023", "String", None),
        (ColumnType.MONTH, "%^b-%Y", "2023-04", "String", None),
        (ColumnType.MONTH, "%Y-%m", "2023-04-01", "String", None),
        (ColumnType.DATE, "%Y-%m-%d", "20230401", "String", None),
        (ColumnType.DATE, "%m/%d/%Y", "1/13/2026", "Date", "%-m/%-d/%Y"),
        (ColumnType.DATE, "%-m/%-d/%Y", "11/13/2026", "Date", "%-m/%-d/%Y"),
        (ColumnType.MONTH, "%^b-%Y", None, "Date", "%^b-%Y"),
    ],
)
def test_dates_in_another_form_than_before_become_text(
    declared: ColumnType, before: str, value: str | None, kind: str, form: str | None
) -> None:
    taken, reported = narrowed(declared, [None, value], published="Date", published_format=before)

    assert (reported.type, reported.format) == (kind, form)
    assert (write_dates(taken, form) if form else taken).to_list() == [None, value]
    if kind == "String":
        assert reported.misfit == Misfit(2, str(value))
        assert before in str(reported.why_text)


@pytest.mark.behaviour(162)
@pytest.mark.parametrize(
    ("batches", "published", "kind"),
    [
        ([["7", None, "-12"]], None, "Int64"),
        ([["7"], ["1.50"]], None, "Decimal(38, 6)"),
        ([["1.5"], ["7"]], None, "Decimal(38, 6)"),
        ([["1.5"], [SEVEN]], None, "Decimal(38, 12)"),
        ([[SEVEN], ["7"]], None, "Decimal(38, 12)"),
        ([["7"]], "Decimal(38, 18)", "Decimal(38, 18)"),
        ([["1.5"]], "Int64", "Decimal(38, 6)"),
        ([["12345678901234567890"]], None, "Decimal(38, 6)"),
        ([["007"]], None, "String"),
        ([["7"], ["1e5"]], None, "String"),
        ([["+7"]], None, "String"),
        ([["1.5"], ["0.1234567890123456789"]], None, "String"),
    ],
)
@pytest.mark.parametrize(("declared", "amount"), [(ColumnType.NUMBER, False), (ColumnType.INT, True)])
def test_a_metric_is_whole_numbers_until_a_value_needs_a_decimal(
    declared: ColumnType, amount: bool, batches: list[Values], published: str | None, kind: str
) -> None:
    taken, reported = narrowed(declared, *batches, published=published, amount=amount)

    assert reported.type == kind
    last = [None if value is None else Decimal(value) for value in batches[-1]]
    assert (taken.to_list() if kind != "String" else list(map(Decimal, taken))) == last


@pytest.mark.behaviour(154)
@pytest.mark.fault(90)
@pytest.mark.parametrize(
    ("words", "kind"),
    [(("0", "1"), "Int64"), (("Y", "N"), "String"), (("true", "false"), "Boolean"), ((), "Boolean")],
)
def test_a_flag_without_values_has_the_type_of_the_words_that_it_is_written_in(
    words: tuple[str, ...], kind: str
) -> None:
    column = ColumnTyper(ColumnPlan("Column", ColumnType.BOOL, flag_words=words))

    assert column.outcome().type == kind


VALUES = st.one_of(
    st.sampled_from([DAY, MOMENT, MOMENT_UTC, "11/23/2026", "0", "1", "true", "false", "007", "x"]),
    st.integers(-(10**19), 10**19).map(str),
    st.decimals(-1000, 1000, places=2).map(str),
    st.sampled_from([SEVEN, THIRTEEN]),
)
NIGHTS = st.lists(st.lists(st.one_of(st.none(), VALUES), max_size=4), min_size=1, max_size=8)
NUMBERS = ("Int64", "Decimal(38, 6)", "Decimal(38, 12)", "Decimal(38, 18)")
WIDER = {("Date", "Datetime(us)"), *combinations(NUMBERS, 2)}


@pytest.mark.fault(89)
@settings(deadline=None, max_examples=examples(300))
@given(st.lists(st.sampled_from(list(ColumnType)), min_size=8, max_size=8), st.booleans(), NIGHTS)
def test_over_any_nights_a_type_only_ever_widens_and_every_value_comes_back(
    declared: list[ColumnType], is_steady: bool, nights: list[list[str | None]]
) -> None:
    """Also where the declared type changes with a newer catalog."""
    published: ConvertedColumn | None = None
    for number, values in enumerate(nights):
        taken, reported = narrowed(
            declared[0] if is_steady else declared[number],
            values,
            published=published.type if published else None,
            published_empty=published.empty if published else False,
        )
        if published is not None and not published.empty and reported.type != published.type:
            assert reported.type == "String" or (published.type, reported.type) in WIDER
        if reported.type.startswith("Decimal"):
            assert taken.to_list() == [None if value is None else Decimal(value) for value in values]
        else:
            back = write_dates(taken, reported.format) if reported.format else taken.cast(pl.String)
            assert back.to_list() == values
        published = reported


@pytest.mark.fault(89)
@pytest.mark.parametrize("declared", [item for item in ColumnType if item not in (ColumnType.STRING, ColumnType.GUID)])
def test_a_column_published_as_text_stays_text(declared: ColumnType) -> None:
    taken, reported = narrowed(declared, ["1"], published="String")

    assert (taken.to_list(), reported.type, reported.misfit) == (["1"], "String", None)
    assert "published as text" in str(reported.why_text)


def test_values_after_a_batch_without_any_still_decide() -> None:
    taken, reported = narrowed(ColumnType.DATE, [None, None], [None, "2026-11-23T01:02:03Z"])

    assert reported.type == "Datetime(us, UTC)"
    assert taken.to_list() == [None, datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)]


def test_a_long_misfit_is_cut() -> None:
    _, reported = narrowed(ColumnType.INT, ["x" * 10_000])

    assert reported.misfit == Misfit(row=1, value="x" * 200)
