"""
One report's file → one Parquet file: the passes over the file that tie the stages together.

Types are settled by looking at every value, and a Parquet file's types stand at its start. So the first batch decides,
and the file is written in the hope that the rest agrees. When a later value does not, the writing ends, the rest of the
file is only looked at, and a second pass writes it with the types that are then known to hold. A column's type only
ever widens, so there is no third.

Three stages run at once, each a batch ahead of the next: inflate and check, read and narrow, encode and write.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import polars as pl

from bulkpull.catalog import ColumnType
from bulkpull.errors import NotTheReport
from bulkpull.tabular.ahead import ahead
from bulkpull.tabular.header import Layout, read_header, refuse_strangers
from bulkpull.tabular.inflate import READ_BYTES, unpacked
from bulkpull.tabular.narrow import Column
from bulkpull.tabular.shape import Batch, batches, first_undecodable, split_header
from bulkpull.tabular.sink import disk_trouble, rows_in, write_parquet
from bulkpull.tabular.table import ColumnPlan, ConvertedTable, Order, ParquetFile

PART = "part-00000.parquet"

# A row group is buffered while it is encoded: by bytes, because reports have from 5 to 10,000 columns.
_ROW_GROUP_BYTES = 32 * 1024 * 1024
_ROW_GROUP_ROWS = (128, 262_144)
_START_BYTES = 64 * 1024
_PASSES = 2


def convert(order: Order, *, read_bytes: int = READ_BYTES) -> ConvertedTable:
    """
    Convert `order.source` into `order.into`, in this process.

    Args:
        read_bytes: How much of the file to read at once; with `order.batch_bytes` the edges that values may lie on.

    Raises:
        FileDamaged: The bytes are not the file that was stored.
        NotTheReport: The file is whole, but not what was asked for.
        TooLarge: It unpacks to more than `order.max_unpacked_bytes`.
        DiskTrouble: The Parquet file cannot be written.
    """
    path = order.into / PART
    columns: dict[str, Column] = {}
    try:
        path.unlink(missing_ok=True)  # left behind by a child that died
        for _ in range(_PASSES):
            with ExitStack() as stack:
                reading = _Reading(order, read_bytes=read_bytes, columns=columns)
                raw = stack.enter_context(ahead(reading.batches(), depth=1))
                frames = stack.enter_context(ahead(reading.frames(raw), depth=1))
                file = _write(frames, reading=reading, path=path)
            if file is not None:
                return reading.outcome(file)
    except Exception as error:
        path.unlink(missing_ok=True)
        if trouble := disk_trouble(error, folder=order.into):
            raise trouble from error
        raise
    raise AssertionError("types that were settled by the whole file did not hold on a second look")


def _write(frames: Iterator[pl.DataFrame], *, reading: _Reading, path: Path) -> ParquetFile | None:
    """Write all frames; `None`, and no file, when their types changed on the way and another pass is needed."""
    first = next(frames, None)
    start = [] if first is None else [first]
    schema = reading.schema() if first is None else first.schema
    changed = False

    def alike() -> Iterator[pl.DataFrame]:
        nonlocal changed
        for frame in chain(start, frames):
            changed = frame.schema != schema
            if changed:
                return
            yield frame

    file = write_parquet(
        alike(), path=path, schema=schema, row_group_rows=_row_group_rows(first), metadata=reading.order.metadata
    )
    for _ in frames:  # only to see what else does not fit
        changed = True
    reading.settle()
    if changed or reading.schema() != schema:
        path.unlink()
        return None
    return file


def _row_group_rows(first: pl.DataFrame | None) -> int:
    if first is None:
        return _ROW_GROUP_ROWS[1]
    least, most = _ROW_GROUP_ROWS
    return min(most, max(least, _ROW_GROUP_BYTES * first.height // max(1, int(first.estimated_size()))))


class _Reading:
    """
    One pass over the file.

    Attributes:
        columns: What is known of each column, by name; carried from one pass to the next.
    """

    def __init__(self, order: Order, *, read_bytes: int, columns: dict[str, Column]) -> None:
        self.order = order
        self._pieces = self._counted(
            unpacked(order.source, max_unpacked_bytes=order.max_unpacked_bytes, read_bytes=read_bytes)
        )
        self._unpacked_bytes = self._rows = self._nul_bytes = 0
        start, self._pieces = _start_of(self._pieces)
        refuse_strangers(start)
        header, self._pieces = split_header(self._pieces)
        self._layout = read_header(header, columns=order.columns)
        self._columns = columns
        for plan in _plans(order, self._layout):
            columns.setdefault(plan.name, Column(plan))

    def batches(self) -> Iterator[Batch]:
        """First stage: the checked rows."""
        layout = self._layout
        for batch in batches(
            self._pieces, fields=layout.fields, separator=layout.separator, batch_bytes=self.order.batch_bytes
        ):
            self._rows += batch.rows
            self._nul_bytes += batch.nul_bytes
            yield batch

    def frames(self, raw: Iterator[Batch]) -> Iterator[pl.DataFrame]:
        """Second stage: the same rows as columns of their present types, in the order that was asked for."""
        layout = self._layout
        fields = (*layout.wanted, *(index for _, index in layout.extra))
        for batch in raw:
            text = _read(batch, layout=layout)
            yield pl.DataFrame(
                [
                    column.take(text.to_series(index), first_row=batch.first_row).alias(name)
                    for (name, column), index in zip(self._columns.items(), fields, strict=True)
                ]
            )

    def schema(self) -> pl.Schema:
        """The columns' types as they are known now."""
        return pl.Schema({name: column.dtype for name, column in self._columns.items()})

    def settle(self) -> None:
        """Decide what only the whole file tells."""
        for column in self._columns.values():
            column.settle()

    def outcome(self, file: ParquetFile) -> ConvertedTable:
        """The account of a finished pass, once three counts of its rows agree."""
        found = rows_in(file.path)
        if not self._rows == file.rows == found:
            raise _counts_differ(f"{self._rows:,} rows", f"{found:,} rows in the Parquet file")
        return ConvertedTable(
            files=(file,),
            rows=found,
            columns=tuple(self._columns[plan.name].outcome() for plan in self.order.columns),
            unpacked_bytes=self._unpacked_bytes,
            extra_columns=tuple(name for name, _ in self._layout.extra),
            nul_bytes=self._nul_bytes,
        )

    def _counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._unpacked_bytes += len(piece)
            yield piece


def _read(batch: Batch, *, layout: Layout) -> pl.DataFrame:
    """The batch as columns of text, with the rows and the bytes of content that were counted in it."""
    try:
        text = pl.read_csv(
            batch.data,
            has_header=False,
            separator=chr(layout.separator),
            schema={f"field_{index}": pl.String for index in range(layout.fields)},
            null_values="",  # a quoted empty field is as empty as an unquoted one
            infer_schema=False,
            glob=False,
        )
    except pl.exceptions.PolarsError as error:
        undecodable = first_undecodable(batch, separator=layout.separator)
        last = batch.first_row + batch.rows - 1
        if undecodable is None:
            raise NotTheReport(
                f"the rows {batch.first_row:,} to {last:,} of the report's file cannot be read", why=str(error)[:200]
            ) from None
        row, byte = undecodable
        raise NotTheReport(
            f"row {row:,} of the report's file is not written in UTF-8",
            why=f"it has a byte 0x{byte:02X} that belongs to another encoding",
            fix="ask for the report again",
        ) from None
    content = sum(text.select(pl.all().str.len_bytes().sum().cast(pl.Int64)).row(0))
    if text.height != batch.rows:
        raise _counts_differ(f"{batch.rows:,} rows", f"{text.height:,} from row {batch.first_row:,} on")
    if content != batch.content_bytes:
        raise _counts_differ(
            f"{batch.content_bytes:,} bytes of content", f"{content:,} from row {batch.first_row:,} on"
        )
    return text


def _plans(order: Order, layout: Layout) -> Iterator[ColumnPlan]:
    yield from order.columns
    for name, _ in layout.extra:
        yield ColumnPlan(name, declared=ColumnType.STRING)


def _start_of(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    start = b""
    while len(start) < _START_BYTES and (piece := next(pieces, b"")):
        start += piece
    return start, chain([start], pieces)


def _counts_differ(counted: str, converted: str) -> NotTheReport:
    return NotTheReport(
        f"the report's file was not converted whole: {counted} were counted and {converted} converted",
        why="the converter and the independent count disagree",
        fix="keep the file with `keep_raw` and report this as a defect of bulkpull",
    )
