"""
The file formats of published tables: one table of them, and what the module of a format has to do.

A running export loads this module, so it does not import polars; the module of a format is loaded when it is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    import polars as pl

Source = Path | BinaryIO
"""A file to be read: its path, or an open file that can seek."""


class TableFiles(Protocol):
    """Reads and writes the files of one format. Whatever polars raises passes."""

    def write(
        self,
        frame: pl.LazyFrame,
        path: Path,
        *,
        row_group_rows: int,
        metadata: Mapping[str, str],
        column_metadata: Mapping[str, Mapping[str, str]],
    ) -> None:
        """Write all rows in bounded memory; the file is only ever written at its end."""

    def scan(self, sources: Sequence[Source]) -> pl.LazyFrame:
        """The rows of files of one schema, in their order."""

    def metadata(self, source: Source) -> dict[str, str]:
        """The file's own key-value metadata."""


@dataclass(frozen=True, slots=True)
class TableFormat:
    """
    A file format; a value that the conversion process receives with its request.

    Attributes:
        module: Holds `FILES`, which reads and writes them.
        sql_reader: The function of DuckDB that reads a list of such files.
    """

    name: str
    suffix: str
    module: str
    sql_reader: str | None = None

    @property
    def files(self) -> TableFiles:
        files: TableFiles = import_module(self.module).FILES
        return files


PARQUET = TableFormat("Parquet", ".parquet", "bulkpull.conversion.parquet_files", sql_reader="read_parquet")
FORMATS = {PARQUET.suffix: PARQUET}
"""Every format that published files may have, by the suffix of their names."""
WRITTEN = PARQUET
"""The format that an export writes."""


def is_table(name: str) -> bool:
    return Path(name).suffix in FORMATS


def format_of(name: str | Path) -> TableFormat:
    """The format of a file by its name (pure); a name without a known suffix is that of a Parquet file."""
    return FORMATS.get(Path(name).suffix, PARQUET)


def format_names(files: Iterable[str]) -> str:
    """The names of the formats of these files (pure); without files, of the format that is written."""
    return ", ".join(dict.fromkeys(format_of(file).name for file in files)) or WRITTEN.name
