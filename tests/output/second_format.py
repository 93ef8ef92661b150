"""A second file format: a line of JSON with the metadata, then an Arrow file. It exists for the tests alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import polars as pl

from bulkpull.conversion.output_formats import Source, TableFiles, TableFormat


class HeadedArrow:
    """Reads and writes it."""

    def write(
        self,
        frame: pl.LazyFrame,
        path: Path,
        *,
        row_group_rows: int,
        metadata: Mapping[str, str],
        column_metadata: Mapping[str, Mapping[str, str]],
    ) -> None:
        content = BytesIO()
        frame.collect().write_ipc(content, record_batch_size=row_group_rows)
        head = {"file": dict(metadata), "columns": {name: dict(pairs) for name, pairs in column_metadata.items()}}
        path.write_bytes(json.dumps(head).encode() + b"\n" + content.getvalue())

    def scan(self, sources: Sequence[Source]) -> pl.LazyFrame:
        return pl.concat([pl.read_ipc(BytesIO(_split(source)[1])) for source in sources]).lazy()

    def metadata(self, source: Source) -> dict[str, str]:
        return dict(json.loads(_split(source)[0])["file"])


def _split(source: Source) -> tuple[bytes, bytes]:
    content = source.read_bytes() if isinstance(source, Path) else source.read()
    head, _, rest = content.partition(b"\n")
    return head, rest


FILES: TableFiles = HeadedArrow()
HEADED_ARROW = TableFormat("headed Arrow", ".harrow", __name__)
