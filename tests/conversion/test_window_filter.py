"""Which rows of a file lie within its window, in whatever form its times are written."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from bulkpull.catalog import ColumnType
from bulkpull.conversion.convert_file import convert
from bulkpull.conversion.date_formats import instant_of
from bulkpull.conversion.messages import ColumnPlan, ConversionRequest, ConversionResult, WindowBounds, WindowRows

START, EDGE = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)


def cut(
    folder: Path, *times: str, kind: ColumnType = ColumnType.MONTH, published: str | None = None, **keeps: object
) -> tuple[ConversionResult, WindowRows, list[str]]:
    """A file with these times: its table, what was found outside, and the numbers of the rows that are kept."""
    source, into = folder / "report", folder / "parquet"
    lines = "".join(f"{number},{time}\r\n" for number, time in enumerate(times, start=1))
    source.write_bytes(f"Id,Month\r\n{lines}".encode())
    into.mkdir(exist_ok=True)
    table = convert(
        ConversionRequest(
            source=source,
            into=into,
            columns=(
                ColumnPlan("Id", ColumnType.STRING),
                ColumnPlan("Month", kind, published_type=published),
            ),
            metadata={},
            max_unpacked_bytes=10**6,
            batch_bytes=16,
            bounds=WindowBounds("Month", START, EDGE, **keeps),  # type: ignore[arg-type]  # flags of a test
        )
    )
    assert table.window is not None
    return table, table.window, pl.read_parquet(table.files[0].path)["Id"].to_list()


@pytest.mark.behaviour(84, 155)
@pytest.mark.parametrize(
    ("values", "dtype", "found"),
    [
        ([date(2026, 11, 1), date(2026, 10, 31), None], pl.Date(), [True, False, False]),
        ([EDGE.replace(tzinfo=None), datetime(2026, 11, 1, 0, 0, 1)], pl.Datetime("us"), [True, False]),  # noqa: DTZ001 - meant
        ([EDGE, datetime(2026, 11, 2, tzinfo=UTC)], pl.Datetime("us", "UTC"), [True, False]),
        (["2026-11", "2026-11-01", "2026-11-01T00:00:00Z", "2026-11-01 00:00"], pl.String(), [True] * 4),
        (["NOV-2026", "Nov-2026", "Nov 2026", "202611", "20261101"], pl.String(), [True] * 5),
        (["NOV-2025", "nov-2026", "202610", "20261102", "01112026"], pl.String(), [False] * 5),
        (["2026-10", "2026-11-02", "2026-11-01 00:00:01", "11/1/2026", "", None], pl.String(), [False] * 6),
    ],
)
def test_a_value_names_its_first_moment(values: list[object], dtype: pl.DataType, found: list[bool]) -> None:
    frame = pl.DataFrame({"Month": pl.Series(values, dtype=dtype)})

    at = frame.select(instant_of(pl.col("Month"), dtype=dtype)).to_series()
    assert [item == EDGE.replace(tzinfo=None) for item in at] == found


@pytest.mark.case("W1", "W2")
@pytest.mark.behaviour(84, 155, 185, 186)
@pytest.mark.parametrize(
    ("kind", "inside", "edge", "outside"),
    [
        (ColumnType.MONTH, "OCT-2026", "NOV-2026", "SEP-2026"),
        (ColumnType.MONTH, "Oct 2026", "Nov 2026", "Dec 2026"),
        (ColumnType.MONTH, "2026-10", "2026-11", "2026-12"),
        (ColumnType.MONTH, "202610", "202611", "202701"),
        (ColumnType.MONTH, "20261001", "20261101", "20260901"),
        (ColumnType.MONTH, "10/01/2026", "11/01/2026", "09/01/2026"),
        (ColumnType.DATE, "10/31/2026", "11/01/2026", "09/30/2026"),
        (ColumnType.DATE, "31.10.2026", "01.11.2026", "02.11.2026"),
        (ColumnType.DATE, "2026-10-31", "2026-11-01", "2026-11-02"),
        (ColumnType.DATETIME, "2026-10-31T23:59:59", "2026-11-01T00:00:00", "2026-11-02T00:00:00"),
        (ColumnType.DATETIME, "2026-10-31T23:59:59Z", "2026-11-01T15:00:00Z", "2026-09-30T23:59:59Z"),
    ],
)
@pytest.mark.parametrize("published", [None, "String"])
def test_rows_outside_are_left_out_and_counted_in_every_form(  # noqa: PLR0917 - one row of the table
    kind: ColumnType, inside: str, edge: str, outside: str, published: str | None, tmp_path: Path
) -> None:
    table, found, kept = cut(tmp_path, inside, edge, outside, inside, kind=kind, published=published)

    assert kept == ["1", "4"]
    assert (table.rows, found.left_out, found.edge, found.before + found.after) == (2, 2, 1, 1)
    assert found.first_outside is not None
    assert (found.first_outside.row, found.first_outside.value) == (3, outside)


@pytest.mark.case("W1")
@pytest.mark.behaviour(189)
def test_rows_without_a_time_are_kept_and_counted(tmp_path: Path) -> None:
    _, found, kept = cut(tmp_path, "2026-10-01", "", "n/a", "0001-01-01", "9999-12-31", kind=ColumnType.DATE)

    assert kept == ["1", "2", "3", "4", "5"]
    assert (found.undated, len(found.undated_hashes), found.left_out) == (4, 4, 0)


def test_rows_without_a_time_may_be_left_to_another_file(tmp_path: Path) -> None:
    _, whole, _ = cut(tmp_path, "2026-10-01", "", "n/a", kind=ColumnType.DATE)
    of_first = whole.undated_hashes[:1]

    _, found, kept = cut(tmp_path, "2026-10-01", "", "n/a", kind=ColumnType.DATE, skip_undated=of_first)

    assert (kept, found.undated, found.left_out) == (["1", "3"], 2, 1)


def test_a_day_on_the_edge_may_be_kept_and_the_first_day_left_out(tmp_path: Path) -> None:
    times = ("2026-10-01", "2026-10-02", "2026-11-01", "2026-11-02")
    _, found, kept = cut(tmp_path, *times, kind=ColumnType.DATE, keep_edge=True, skip_first_day=True)

    assert (kept, found.edge, found.first_day, found.edges_are_days) == (["2", "3"], 1, 1, True)


@pytest.mark.case("W1")
def test_dates_that_may_be_read_in_two_ways_are_told(tmp_path: Path) -> None:
    _, found, _ = cut(tmp_path, "10/02/2026", "10/03/2026", kind=ColumnType.DATE)

    assert found.is_ambiguous
    assert found.form is None


def test_dates_that_may_be_read_in_two_ways_are_read_as_other_files_write_them(tmp_path: Path) -> None:
    times = ("02/10/2026", "10/03/2026", "03/10/2026")
    _, found, kept = cut(tmp_path, *times, kind=ColumnType.DATE, form="%d/%m/%Y")

    assert (kept, found.before, found.is_ambiguous) == (["1", "3"], 1, False)


def test_a_time_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    _, found, kept = cut(tmp_path, "2026-10-01", "week 40 of 2026", kind=ColumnType.DATE)

    assert (kept, found.unread) == (["1"], 1)
    assert found.first_unread is not None
    assert found.first_unread.row == 2


def test_the_rows_of_an_edge_have_a_digest_whatever_their_order(tmp_path: Path) -> None:
    digests = set()
    for number, rows in enumerate((("2026-11-01", "2026-10-02"), ("2026-10-02", "2026-11-01"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        source, into = folder / "report", folder / "parquet"
        source.write_bytes(("Month\r\n" + "".join(f"{row}\r\n" for row in rows)).encode())
        into.mkdir(exist_ok=True)
        bounds = WindowBounds("Month", START, EDGE)
        plan = ColumnPlan("Month", ColumnType.DATE)
        table = convert(ConversionRequest(source, into, (plan,), {}, 10**6, 10**6, bounds=bounds))
        assert table.window is not None
        digests.add(table.window.edge_digest)

    assert len(digests) == 1
