"""Batches → one durable file."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from polars.io.plugins import register_io_source

from bulkpull.conversion.messages import WideningRequest
from bulkpull.conversion.read_table import rows_in
from bulkpull.conversion.write_table import conversion_disk_error, widen_file, write_table

FRAME = pl.DataFrame({"A": [str(number) for number in range(1_000)], "B": list(range(1_000))})


def table_of(frames: Iterator[pl.DataFrame]) -> pl.LazyFrame:
    return register_io_source(lambda *_: frames, schema=FRAME.schema)


def test_frames_are_written_in_their_order_and_the_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "part[0]*.parquet"  # a name, not a pattern
    frames = [FRAME.slice(start, 100) for start in range(0, 1_000, 100)]

    file = write_table(table_of(iter(frames)), path=path, row_group_rows=300, metadata={"a": "b"}, formats={})

    assert pl.read_parquet(path, glob=False).equals(FRAME)
    assert (file.rows, rows_in(path)) == (1_000, 1_000)
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file.bytes == path.stat().st_size


def test_a_wider_file_keeps_the_values_of_every_column_that_it_had(tmp_path: Path) -> None:
    """Also of one whose name is empty; a column that it lacked is empty."""
    source, into = tmp_path / "part-00000.parquet", tmp_path / "new"
    into.mkdir()
    pl.DataFrame({"": [1, 2], "Units": [3, 4]}).write_parquet(source)

    file = widen_file(WideningRequest(source, into, {"Added": "Int64", "": "Int64", "UNITS": "Decimal(38, 6)"}))

    table = pl.read_parquet(file.path)
    assert table.columns == ["Added", "", "UNITS"]
    assert table.cast(pl.Float64).rows() == [(None, 1, 3), (None, 2, 4)]


def test_the_file_is_forced_to_the_disk_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda number: forced.append(os.fstat(number).st_size))

    file = write_table(FRAME.lazy(), path=tmp_path / "a", row_group_rows=300, metadata={}, formats={})

    assert forced == [file.bytes]


def test_what_the_frames_raise_is_raised(tmp_path: Path) -> None:
    def frames() -> Iterator[pl.DataFrame]:
        yield FRAME
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_table(table_of(frames()), path=tmp_path / "a", row_group_rows=300, metadata={}, formats={})


@pytest.mark.fault(8)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_told_as_such() -> None:
    with pytest.raises(pl.exceptions.PolarsError) as caught:
        write_table(FRAME.lazy(), path=Path("/dev/full"), row_group_rows=300, metadata={}, formats={})

    trouble = conversion_disk_error(caught.value, folder=Path("/out"))

    assert "no space left" in str(trouble)
    assert "/out" in str(trouble)


@pytest.mark.fault(8)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT])
def test_errors_of_the_disk_are_told_by_number_and_by_text(number: int) -> None:
    by_number = conversion_disk_error(OSError(number, "x"), folder=Path("/out"))
    by_text = conversion_disk_error(pl.exceptions.ComputeError(f"x (os error {number})"), folder=Path("/out"))

    assert by_number is not None
    assert str(by_number) == str(by_text)


def test_other_errors_are_none_of_the_disks() -> None:
    assert conversion_disk_error(ValueError("x"), folder=Path("/out")) is None
    assert conversion_disk_error(OSError(errno.EINTR, "x"), folder=Path("/out")) is None
