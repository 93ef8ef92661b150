"""Reads what a published file says of itself: its row count, and the lineage metadata that the conversion wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from bulkpull.conversion.messages import FORMAT_KEY
from bulkpull.conversion.output_formats import Source, format_of

_PREFIX = "bulkpull."


@dataclass(frozen=True, slots=True)
class Footer:
    """
    What a file says of itself.

    Attributes:
        lineage: Dataset, run, execution, query hash and generation time, by their names without the prefix.
        formats: How the dates of a column were written in the report's file (`date_formats`).
    """

    rows: int
    lineage: dict[str, str]
    formats: dict[str, str] = field(default_factory=dict)


def read_footer(path: Path, *, source: Source | None = None) -> Footer:
    """Read what a file says of itself, from `source` if given. Raises `OSError`; `ValueError` for another format."""
    try:
        metadata = format_of(path).files.metadata(source or path)
        rows = rows_in(path, source=source)
    except pl.exceptions.PolarsError as error:
        raise ValueError(str(error)) from None
    lineage = {
        name.removeprefix(_PREFIX): text
        for name, text in metadata.items()
        if name.startswith(_PREFIX) and not name.startswith(FORMAT_KEY)
    }
    return Footer(rows, lineage, formats_of(metadata))


def rows_in(path: Path, *, source: Source | None = None) -> int:
    """The rows that a reader finds in a file, by its own count where the format has one."""
    return int(format_of(path).files.scan([source or path]).select(pl.len()).collect().item())


def formats_of(metadata: Mapping[str, str]) -> dict[str, str]:
    """How the dates of columns were written, by column, from the key-value metadata of a file (pure)."""
    return {name.removeprefix(FORMAT_KEY): form for name, form in metadata.items() if name.startswith(FORMAT_KEY)}
