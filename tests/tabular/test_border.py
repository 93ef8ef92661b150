"""The border between two windows: a row on the edge stays out of the earlier one, and is counted on either side."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from bulkpull.catalog import ColumnType
from bulkpull.tabular.border import lies_at
from bulkpull.tabular.convert import convert
from bulkpull.tabular.table import Border, ColumnPlan, Order

EDGE = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.behaviour(84)
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
        ([1, 2], pl.Int64(), [False, False]),
    ],
)
def test_what_lies_on_an_edge_is_told_by_its_first_moment(
    values: list[object], dtype: pl.DataType, found: list[bool]
) -> None:
    frame = pl.DataFrame({"Month": pl.Series(values, dtype=dtype)})

    told = frame.with_columns(found=lies_at(EDGE, column="Month", dtype=dtype))
    assert told["found"].to_list() == found


def test_a_file_keeps_its_rows_but_for_those_of_the_next_window(tmp_path: Path) -> None:
    source = tmp_path / "report"
    source.write_bytes(b"Id,Month\r\n1,2026-10-01\r\n2,2026-11-01\r\n3,2026-10-01\r\n4,2026-11-01\r\n")
    into = tmp_path / "parquet"
    into.mkdir()
    order = Order(
        source=source,
        into=into,
        columns=(ColumnPlan("Id", ColumnType.STRING), ColumnPlan("Month", ColumnType.MONTH)),
        metadata={},
        max_unpacked_bytes=10**6,
        batch_bytes=16,
        border=Border("Month", start=datetime(2026, 10, 1, tzinfo=UTC), end=EDGE),
    )

    table = convert(order)

    assert (table.rows, table.left_out_rows, table.start_rows) == (2, 2, 2)
    assert pl.read_parquet(table.files[0].path)["Id"].to_list() == ["1", "3"]


def test_equal_content_has_an_equal_hash_however_it_is_packed(tmp_path: Path) -> None:
    content, hashes = b"Id\n1\n2\n", []
    for number, stored in enumerate((content, gzip.compress(content), gzip.compress(content, mtime=1))):
        source, into = tmp_path / f"report{number}", tmp_path / f"parquet{number}"
        source.write_bytes(stored)
        into.mkdir()
        columns = (ColumnPlan("Id", ColumnType.STRING),)
        hashes.append(convert(Order(source, into, columns, {}, 10**6, 10**6)).content_hash)

    assert len(set(hashes)) == 1
