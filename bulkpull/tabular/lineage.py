"""What a Parquet file says of its own origin: the keys that the conversion wrote into its metadata."""

from __future__ import annotations

from pathlib import Path

import polars as pl

PREFIX = "bulkpull."


def read_lineage(path: Path) -> dict[str, str]:
    """
    Dataset, run, execution, query hash and generation time of a Parquet file, by their names without the prefix.

    Raises:
        OSError: The file is not there or cannot be read.
        ValueError: It is no Parquet file.
    """
    try:
        told = pl.read_parquet_metadata(path)
    except pl.exceptions.PolarsError as error:
        raise ValueError(str(error)) from None
    return {name.removeprefix(PREFIX): value for name, value in told.items() if name.startswith(PREFIX)}
