"""What a Parquet file says of itself: its rows, and the origin that the conversion wrote into its metadata."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from bulkpull.conversion.messages import FORMAT_KEY
from bulkpull.conversion.write_parquet import rows_in

_PREFIX = "bulkpull."


@dataclass(frozen=True, slots=True)
class Footer:
    """
    The end of a Parquet file.

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
    formats = {
        name.removeprefix(FORMAT_KEY): metadata.pop(name) for name in list(metadata) if name.startswith(FORMAT_KEY)
    }
    lineage = {name.removeprefix(_PREFIX): metadata[name] for name in metadata if name.startswith(_PREFIX)}
    return Footer(rows, lineage, formats)
