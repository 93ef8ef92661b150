"""Time spans: a name tells its length, and whatever a dataset lists may be asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkpull.catalog import load_catalog
from bulkpull.errors import SettingsError
from bulkpull.timespans import check_timespan, choose_timespan, has_time_axis, is_span_name, lengths_days, span_days

CATALOG = load_catalog()
DEFAULT = CATALOG.default_timespan


@pytest.mark.behaviour(62, 164)
def test_spans_are_ordered_by_their_length_and_lifetime_is_the_longest() -> None:
    ordered = [
        "TODAY", "YESTERDAY", "LAST_7_DAYS", "LAST_2_WEEKS", "LAST_30_DAYS", "LAST_MONTH", "LAST_90_DAYS",
        "LAST_QUARTER", "LAST_180_DAYS", "LAST_6_MONTHS", "LAST_365_DAYS", "LAST_1_YEAR", "LAST_18_MONTHS",
        "LAST_2_YEARS", "LAST_36_MONTHS", "LAST_10_YEARS", "LIFETIME",
    ]  # fmt: skip

    assert list(lengths_days(reversed(ordered))) == ordered


@given(
    count=st.integers(1, 500),
    unit=st.sampled_from(["DAY", "WEEK", "MONTH", "QUARTER", "YEAR"]),
    plural=st.sampled_from(["", "S"]),
)
def test_twice_as_many_units_are_twice_as_long(count: int, unit: str, plural: str) -> None:
    once, twice = span_days(f"LAST_{count}_{unit}{plural}"), span_days(f"last_{2 * count}_{unit.lower()}s")

    assert once is not None
    assert twice == pytest.approx(2 * once)
    assert once < float("inf")
    assert span_days("lifetime") == float("inf")


@pytest.mark.parametrize("name", ["FISCAL_YEAR_2026", "LAST_X_DAYS", "LAST_", "NEXT_MONTH", "LAST_3_FORTNIGHTS", ""])
def test_the_length_of_an_unknown_form_is_not_guessed(name: str) -> None:
    assert span_days(name) is None
    assert list(lengths_days([name, "LAST_MONTH"])) == ["LAST_MONTH"]


@pytest.mark.behaviour(62)
@pytest.mark.parametrize("span", CATALOG.timespans)
def test_the_length_of_every_documented_span_is_known(span: str) -> None:
    assert is_span_name(span)
    assert span_days(span) is not None


@pytest.mark.behaviour(164)
@pytest.mark.parametrize("asked", ["LAST_2_YEARS", "last_2_years", "widest"])
def test_two_years_are_used_where_they_are_offered(asked: str) -> None:
    ranges = ("LAST_MONTH", "LAST_3_MONTHS", "LAST_6_MONTHS", "LAST_1_YEAR", "LAST_2_YEARS")

    assert choose_timespan(ranges, asked=asked, default=DEFAULT) == ("LAST_2_YEARS", None)
    assert choose_timespan(ranges, asked=None, default=DEFAULT) == ("LAST_6_MONTHS", "LAST_2_YEARS")


def test_a_listed_span_of_an_unknown_form_is_used_when_asked_for_and_never_by_itself() -> None:
    ranges = ("LAST_MONTH", "FISCAL_YEAR_2026")

    assert choose_timespan(ranges, asked="fiscal_year_2026", default=DEFAULT) == ("FISCAL_YEAR_2026", "LAST_MONTH")
    assert choose_timespan(ranges, asked="widest", default=DEFAULT) == ("LAST_MONTH", None)
    assert choose_timespan(ranges, asked=None, default=DEFAULT) == ("LAST_MONTH", None)
    assert choose_timespan(("FISCAL_YEAR_2026",), asked="widest", default=DEFAULT) == (None, None)


@pytest.mark.behaviour(51, 165)
@pytest.mark.parametrize("asked", [None, "widest", "LIFETIME", "LAST_MONTH"])
@pytest.mark.parametrize("ranges", [(), ("LIFETIME",), ("Lifetime",)])
def test_a_dataset_whose_only_span_is_lifetime_gets_no_timespan(ranges: tuple[str, ...], asked: str | None) -> None:
    assert not has_time_axis(ranges)
    assert choose_timespan(ranges, asked=asked, default=DEFAULT) == (None, None)


@pytest.mark.behaviour(165)
def test_lifetime_besides_other_spans_is_the_widest_of_them() -> None:
    ranges = ("LAST_MONTH", "LAST_1_YEAR", "LIFETIME")

    assert choose_timespan(ranges, asked="widest", default=DEFAULT) == ("LIFETIME", None)
    assert choose_timespan(ranges, asked=None, default=DEFAULT) == ("LAST_MONTH", "LIFETIME")


def test_a_span_that_nobody_knows_is_refused_with_all_that_are_offered() -> None:
    ranges = [("LAST_MONTH", "LAST_6_MONTHS"), ("LAST_2_YEARS", "LAST_MONTH"), ()]

    with pytest.raises(SettingsError) as refused:
        check_timespan("LAST_WEEK", ranges=ranges, documented=CATALOG.timespans)

    assert "LAST_WEEK" in refused.value.reason
    assert "LAST_MONTH, LAST_6_MONTHS, LAST_2_YEARS" in (refused.value.fix or "")


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("LAST_WEEK", "the shortest that holds it is LAST_MONTH;"),
        ("LAST_90_DAYS", "the shortest that holds it is LAST_6_MONTHS;"),
        ("LAST_6_MONHTS", "did you mean LAST_6_MONTHS?"),
        ("LAST_9_YEARS", "did you mean LAST_2_YEARS?"),
        ("LAST_WEK", "offered are"),
    ],
)
def test_a_span_is_proposed_by_its_length_where_the_name_tells_one(asked: str, hint: str) -> None:
    """LAST_WEEK and LAST_1_YEAR are much alike, and not the same."""
    ranges = [("LAST_MONTH", "LAST_6_MONTHS", "LAST_2_YEARS")]

    with pytest.raises(SettingsError) as refused:
        check_timespan(asked, ranges=ranges, documented=())

    assert str(refused.value.fix).startswith(hint)


@pytest.mark.parametrize("asked", [None, "widest", "WIDEST", "today", "LAST_2_YEARS", "fiscal_year_2026"])
def test_a_span_that_is_documented_or_listed_by_any_dataset_is_no_slip(asked: str | None) -> None:
    check_timespan(asked, ranges=[("FISCAL_YEAR_2026", "LAST_2_YEARS")], documented=CATALOG.timespans)
