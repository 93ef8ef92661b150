"""CSV files as tests write them, and the way back from Parquet to the text they were made of."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from bulkpull.catalog import ColumnType
from bulkpull.conversion import decompress
from bulkpull.conversion.convert_file import convert
from bulkpull.conversion.date_formats import write_dates
from bulkpull.conversion.messages import ColumnPlan, ConversionRequest, ConversionResult, ConvertedColumn

Row = Sequence[str | None]


def csv_bytes(
    header: Sequence[str], rows: Sequence[Row], *, separator: str = ",", line_end: str = "\r\n", bom: bool = False
) -> bytes:
    """A file as a careful writer writes it: quotes only where they are needed."""

    def field(value: str | None) -> str:
        value = value or ""
        needs_quotes = any(letter in value for letter in (separator, '"', "\r", "\n"))
        return '"' + value.replace('"', '""') + '"' if needs_quotes else value

    lines = [separator.join(map(field, row)) + line_end for row in (header, *rows)]
    return ("\ufeff" if bom else "").encode() + "".join(lines).encode()


def pieces_of(data: bytes, size: int) -> Iterator[bytes]:
    """`data` cut into pieces of `size` bytes."""
    return (data[start : start + size] for start in range(0, len(data), size))


def texts(*names: str) -> tuple[ColumnPlan, ...]:
    """Columns that are declared as text."""
    return tuple(ColumnPlan(name, ColumnType.STRING) for name in names)


@dataclass(frozen=True)
class Converted:
    """The account of a conversion, and the Parquet file as polars reads it."""

    table: ConversionResult
    frame: pl.DataFrame

    def column(self, name: str) -> ConvertedColumn:
        return next(column for column in self.table.columns if column.name == name)

    def rows_as_text(self) -> list[tuple[str | None, ...]]:
        """Every cell written back the way its column says that it was written."""
        reported = {column.name: column for column in self.table.columns}
        back = [_written_back(series, reported.get(series.name)) for series in self.frame]
        return pl.DataFrame(back).rows()


def _written_back(series: pl.Series, column: ConvertedColumn | None) -> pl.Series:
    if column is not None and column.format is not None:
        return write_dates(series, column.format)
    assert not isinstance(series.dtype, pl.Decimal), "amounts are compared as numbers"
    return series.cast(pl.String)


def converted(
    data: bytes,
    columns: Sequence[ColumnPlan],
    *,
    batch_bytes: int = 1 << 20,
    piece_bytes: int = decompress.PIECE_BYTES,
    packed: bool = True,
    most: int = 1 << 40,
) -> Converted:
    """Convert `data` in this process, as gzip by default."""
    with tempfile.TemporaryDirectory() as folder:
        source, into = Path(folder, "stored"), Path(folder, "parquet")
        source.write_bytes(gzip.compress(data, 1) if packed else data)
        into.mkdir()
        request = ConversionRequest(
            source=source,
            into=into,
            columns=tuple(columns),
            metadata={"bulkpull.dataset": "AzureUsage"},
            max_unpacked_bytes=most,
            batch_bytes=batch_bytes,
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(decompress, "PIECE_BYTES", piece_bytes)
            table = convert(request)
        assert [file.path for file in table.files] == list(into.iterdir())
        return Converted(table, pl.read_parquet(table.files[0].path, glob=False))
