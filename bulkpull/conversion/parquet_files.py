"""Reads and writes Parquet files by polars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import polars as pl

from bulkpull.conversion.column_metadata import AnnotatedSchema
from bulkpull.conversion.formats import Source, TableFiles

_ARROW_SCHEMA = "ARROW:schema"  # the writer's own entry


class ParquetFiles:
    """The format that is published."""

    def write(
        self,
        frame: pl.LazyFrame,
        path: Path,
        *,
        row_group_rows: int,
        metadata: Mapping[str, str],
        column_metadata: Mapping[str, Mapping[str, str]],
    ) -> None:
        frame.sink_parquet(
            path,
            compression="zstd",
            compression_level=1,  # 3, the default, takes half as much time again and makes the file 3 % larger
            row_group_size=row_group_rows,
            metadata=dict(metadata),
            arrow_schema=AnnotatedSchema(frame.collect_schema(), column_metadata) if column_metadata else None,
            engine="streaming",
        )

    def scan(self, sources: Sequence[Source]) -> pl.LazyFrame:
        paths = cast(
            "list[Path]", list(sources)
        )  # or open files: polars takes either, and has no type for "one of them"
        return pl.scan_parquet(paths, glob=False)  # brackets in a path are a pattern to polars

    def metadata(self, source: Source) -> dict[str, str]:
        return {name: text for name, text in pl.read_parquet_metadata(source).items() if name != _ARROW_SCHEMA}


FILES: TableFiles = ParquetFiles()
