"""Reads a Parquet file's footer: its row count, and the lineage metadata that the conversion wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from bulkpull.conversion.messages import FORMAT_KEY
from bulkpull.conversion.write_parquet import rows_in

_PREFIX = "bulkpull."


@dataclass(frozen=True, slots=True)
class Footer:
    """
    The footer of a Parquet file.

    Attributes:
        rows: As a reader finds them.
        lineage: Dataset, run, execution, query hash and generation time, by their names without the prefix.
        formats: How the dates of a column were written in the report's file (`forms`).
    """

    rows: int
    lineage: dict[str, str]
    formats: dict[str, str] = field(default_factory=dict)


def read_footer(path: Path) -> Footer:
    """
    Read the end of a Parquet file.

    Raises:
        OSError: The file is not there or cannot be read.
        ValueError: It is no Parquet file.
    """
    try:
        rows, metadata = rows_in(path), pl.read_parquet_metadata(path)
    except pl.exceptions.PolarsError as error:
        raise ValueError(str(error)) from None
    formats = formats_of(metadata)
    lineage = {
        name.removeprefix(_PREFIX): text
        for name, text in metadata.items()
        if name.startswith(_PREFIX) and not name.startswith(FORMAT_KEY)
    }
    return Footer(rows, lineage, formats)


def formats_of(metadata: Mapping[str, str]) -> dict[str, str]:
    """How the dates of columns were written, by column, from the key-value metadata of a file (pure)."""
    return {name.removeprefix(FORMAT_KEY): form for name, form in metadata.items() if name.startswith(FORMAT_KEY)}
