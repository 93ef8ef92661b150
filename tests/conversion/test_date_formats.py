"""ISO dates read digit by digit, held against polars' own parser and against Python's calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import examples

from bulkpull.conversion.date_formats import IsoFormat, iso_format_of

SAMPLES = [
    "2026-11-23", "2026-11-23 01:02", "2026-11-23T01:02:03", "2026-11-23T01:02:03.004", "2026-11-23T01:02:03.000004Z",
    "2026-11-23T01:02:03.0000040", "2026-11-23T01:02+00:00", "2026-11-23 01:02:03+0000",
]  # fmt: skip


def format_of(sample: str) -> IsoFormat:
    found = iso_format_of(sample)
    assert found
    return found


def read(values: list[str | None], sample: str) -> list[object] | int:
    found = format_of(sample).read(pl.Series(values, dtype=pl.String))
    return found if isinstance(found, int) else found.to_list()


def one_changed(sample: str) -> st.SearchStrategy[str]:
    """The sample with a few letters replaced, put in or left out."""
    change = st.tuples(st.integers(0, len(sample)), st.integers(0, 2), st.text("0123456789-:.TZ +é", max_size=2))

    def changed(changes: list[tuple[int, int, str]]) -> str:
        text = sample
        for place, length, letters in changes:
            text = text[:place] + letters + text[place + length :]
        return text

    return st.lists(change, max_size=3).map(changed)


def fits_by_polars(form: IsoFormat, value: str) -> bool:
    parsed = pl.Series([value]).str.strptime(pl.Datetime("us"), form.pattern, strict=False)
    # polars also reads years with a sign, which are beyond what a date of Python holds.
    return value[:1].isdigit() and bool(parsed.dt.strftime(form.pattern)[0] == value)


@pytest.mark.behaviour(155)
@settings(deadline=None, max_examples=examples(300))
@given(st.data(), st.sampled_from(SAMPLES))
def test_what_is_read_is_what_polars_reads_and_writes_back_the_same(data: st.DataObject, sample: str) -> None:
    values = data.draw(st.lists(st.one_of(st.none(), st.just(sample), one_changed(sample)), min_size=1, max_size=6))
    form = format_of(sample)
    odd = [index for index, value in enumerate(values) if value is not None and not fits_by_polars(form, value)]

    found = read([*values, sample], sample)

    if odd:
        assert found == odd[0]
    else:
        text = pl.Series([*values, sample], dtype=pl.String)
        by_polars = text.str.strptime(pl.Datetime("us"), form.pattern).cast(pl.Datetime("us"))
        if form.utc:
            by_polars = by_polars.dt.replace_time_zone("UTC")
        assert found == by_polars.cast(form.dtype).to_list()


def test_each_day_of_the_calendar_and_no_other_is_a_date() -> None:
    """Years of every rule for leap days, and both ends of the calendar."""
    years = (1, 4, 100, 400, 1899, 1900, 1970, 2000, 2024, 2026, 2100, 9999)
    texts = [f"{year:04}-{month:02}-{day:02}" for year in years for month in range(14) for day in range(33)]
    good = [text for text in texts if _is_date(text)]

    assert read([*good], "2026-11-23") == [date.fromisoformat(text) for text in good]
    assert all(read([text], "2026-11-23") == 0 for text in texts if not _is_date(text))


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("empty", [0, 1, 2])
def test_empty_values_stay_empty_and_hide_nothing(empty: int) -> None:
    first = datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)
    values: list[str | None] = ["2026-11-23T01:02:03Z", "1970-01-01T00:00:00Z", "2026-11-23T01:02:03Z"]
    values[empty] = None
    want = [first, datetime(1970, 1, 1, tzinfo=UTC), first]

    assert read(values, "2026-11-23T01:02:03Z") == [None if at == empty else item for at, item in enumerate(want)]
    assert read([*values, None, "2026-02-30T00:00:00Z", None], "2026-11-23T01:02:03Z") == 4
    assert read([None, None, "2026-11-23"], "2026-11-23T01:02:03Z") == 2
