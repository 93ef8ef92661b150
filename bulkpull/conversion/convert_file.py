"""
Converts one report file to one typed file, in one or two passes.

The type of a column depends on all its values, but a file is written with one set of types and one row group
size. So the first batch decides, and the file is written under the assumption that the rest fits. If a later batch does
not fit, writing stops, the rest of the file is only inspected, and a second pass writes it with the types that hold for
the whole file. Types only widen, so there is never a third pass.

Three stages run in parallel, each some batches ahead of the next: decompress and check, parse and infer types, encode
and write. Larger batches gain nothing and cost memory (`python -m benchmarks convert`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import polars as pl
import xxhash
from polars.io.plugins import register_io_source

from bulkpull.catalog import ColumnType
from bulkpull.conversion.csv_validator import Batch, batches, first_undecodable
from bulkpull.conversion.decompress import unpacked
from bulkpull.conversion.header import RowLayout, read_header, split_header
from bulkpull.conversion.messages import ColumnPlan, ConversionRequest, ConversionResult, TableFile
from bulkpull.conversion.read_table import rows_in
from bulkpull.conversion.type_inference import ColumnTyper
from bulkpull.conversion.window_filter import WindowCut
from bulkpull.conversion.write_table import removed_on_error, write_table
from bulkpull.errors import NotTheReport
from bulkpull.redact import printable

# A row group is buffered while it is encoded: by bytes, because reports have from 5 to 10,000 columns.
# It is most of what a process holds: with 48 MB a heavy export took 519 MB with two conversions at once and 846 with
# four, where 500 and 800 are meant. 32 MB would make files of many columns another 5 % larger.
_ROW_GROUP_BYTES = 40 * 1024 * 1024
_ROW_GROUP_ROWS = (128, 262_144)
# polars keeps a reference of so many bytes for each text, also an empty one, and its `estimated_size` leaves it out.
_TEXT_REFERENCE_BYTES = 16
# How many times larger than planned a row group may grow because later rows are longer than the first ones.
_ROW_GROUP_SLACK = 4
# The encoder works in bursts, a row group at a time: what is ready meanwhile keeps the other stages from waiting.
_BATCHES_AHEAD, _FRAMES_AHEAD = 2, 1
_PASSES = 2

Item = TypeVar("Item")


def convert(request: ConversionRequest) -> ConversionResult:
    """
    Convert `request.source` into `request.into`, in this process.

    Raises:
        FileDamaged: The bytes are not the file that was stored.
        NotTheReport: The file is whole, but not what was asked for.
        TooLarge: It unpacks to more than `request.max_unpacked_bytes`.
        DiskTrouble: The file cannot be written.
    """
    path = request.into / f"part-00000{request.table_format.suffix}"
    known = _Known()
    with removed_on_error(path):
        path.unlink(missing_ok=True)  # left behind by a child that died
        for _ in range(_PASSES):
            with ExitStack() as stack:
                reading = _FilePass(request, known)
                raw = stack.enter_context(prefetch(reading.batches(), depth=_BATCHES_AHEAD))
                frames = stack.enter_context(prefetch(reading.frames(raw), depth=_FRAMES_AHEAD))
                file = _write(frames, known=known, path=path, metadata=request.metadata)
            if file is not None:
                return reading.outcome(file)
    raise AssertionError("types inferred from the whole file did not hold in the second pass")


@contextmanager
def prefetch(items: Iterator[Item], *, depth: int) -> Iterator[Iterator[Item]]:
    """
    Run a stage in its own thread, at most `depth` items ahead of its consumer.

    What the stage raises is raised where its item would have come. On leaving the block the thread ends with the item
    that it is at. Threads share the work here because inflating, numpy and polars all leave the interpreter's lock.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:

        def results() -> Iterator[Item]:
            waiting = deque(thread.submit(next, items, None) for _ in range(depth))
            while (item := waiting.popleft().result()) is not None:
                waiting.append(thread.submit(next, items, None))
                yield item

        try:
            yield results()
        finally:
            thread.shutdown(wait=True, cancel_futures=True)


@dataclass(slots=True)
class _Known:
    """What is known about the file so far; passed on from one pass to the next."""

    columns: dict[str, ColumnTyper] = field(default_factory=dict)
    row_group_rows: int = 0
    _rows: int = 0
    _bytes: int = 0

    @property
    def schema(self) -> pl.Schema:
        return pl.Schema({name: column.dtype for name, column in self.columns.items()})

    @property
    def formats(self) -> dict[str, str]:
        return {name: column.format for name, column in self.columns.items() if column.format}

    def look_at(self, frame: pl.DataFrame) -> None:
        """Learn the size of its rows: from the first frame, and wherever a row group would outgrow its bytes."""
        self._rows += frame.height
        self._bytes += memory_bytes(frame)
        outgrown = self._bytes > _ROW_GROUP_SLACK * _ROW_GROUP_BYTES
        if outgrown or not self.row_group_rows:
            least, most = _ROW_GROUP_ROWS
            fitting = max(least, self._rows * _ROW_GROUP_BYTES // max(1, self._bytes))
            self.row_group_rows = min(self.row_group_rows or most, fitting)
        if outgrown or self._rows >= self.row_group_rows:
            self._rows = self._bytes = 0


def memory_bytes(frame: pl.DataFrame) -> int:
    """The values of a frame, and the references to its texts."""
    texts = frame.height * sum(dtype == pl.String for dtype in frame.dtypes)
    return int(frame.estimated_size()) + texts * _TEXT_REFERENCE_BYTES


def _write(
    frames: Iterator[pl.DataFrame], *, known: _Known, path: Path, metadata: Mapping[str, str]
) -> TableFile | None:
    """Write all frames; `None`, and no file, when something changed on the way and another pass is needed."""
    first = next(frames, None)
    schema, formats = known.schema if first is None else first.schema, known.formats
    # After a pass over the whole file its row groups are planned exactly.
    is_planned = known.row_group_rows > 0
    if first is not None and not is_planned:
        known.look_at(first)
    row_group_rows = known.row_group_rows or _ROW_GROUP_ROWS[1]
    rows, changed = 0, False

    def alike(*_: object) -> Iterator[pl.DataFrame]:
        nonlocal rows, changed
        if first is not None:
            rows = first.height
            yield first
        for frame in frames:
            known.look_at(frame)
            changed = frame.schema != schema or (known.row_group_rows < row_group_rows and not is_planned)
            if changed:
                return
            rows += frame.height
            yield frame

    table = register_io_source(alike, schema=schema)
    file = write_table(table, path=path, row_group_rows=row_group_rows, metadata=metadata, formats=formats)
    for frame in frames:  # only to learn the rest
        known.look_at(frame)
    for column in known.columns.values():
        column.finalize()
    if changed or known.schema != schema or known.formats != formats:
        path.unlink()
        return None
    return replace(file, rows=rows)


class _FilePass:
    """One pass over the file: opened and its header read on creation."""

    def __init__(self, request: ConversionRequest, known: _Known) -> None:
        self._request = request
        self._is_gzip = False
        self._unpacked_bytes = self._rows = self._kept_rows = self._nul_bytes = 0
        self._content = xxhash.xxh3_128()
        header, self._pieces = split_header(self._unpacked())
        self._accounted_bytes, self._ends_open = header.size_bytes, header.ends_open
        self._layout = read_header(
            header.line,
            columns=request.columns,
            is_redacted=request.is_redacted,
            needed=request.bounds.column if request.bounds else None,
        )
        self._present = [plan for plan in request.columns if plan.name not in self._layout.lacking]
        self._columns = known.columns
        extra = [ColumnPlan(name, declared=ColumnType.STRING) for name, _ in self._layout.extra]
        for plan in (*self._present, *extra):
            self._columns.setdefault(plan.name, ColumnTyper(plan))
        self._cut: WindowCut | None = None
        for plan, index in zip(self._present, self._layout.wanted, strict=True):
            if request.bounds is not None and plan.name == request.bounds.column:
                self._cut = WindowCut(request.bounds, plan, time_at=index)

    def batches(self) -> Iterator[Batch]:
        """First stage: the checked rows."""
        layout = self._layout
        for batch in batches(
            self._pieces, fields=layout.fields, separator=layout.separator, batch_bytes=self._request.batch_bytes
        ):
            self._rows += batch.rows
            self._nul_bytes += batch.nul_bytes
            self._accounted_bytes += batch.size_bytes
            self._ends_open |= batch.ends_open
            if batch.rows:
                yield batch

    def frames(self, raw: Iterator[Batch]) -> Iterator[pl.DataFrame]:
        """Second stage: the same rows as columns of their present types, in the order that was asked for."""
        layout = self._layout
        fields = (*layout.wanted, *(index for _, index in layout.extra))
        for batch in raw:
            text = read_text(batch, layout=layout)
            if self._cut is not None:
                # Before type inference: rows of other windows do not affect the types.
                text = text.filter(self._cut.keep(text, first_row=batch.first_row))
                if text.is_empty():
                    continue
            yield pl.DataFrame(
                [
                    column.convert(text.to_series(index), first_row=self._kept_rows + 1).alias(name)
                    for (name, column), index in zip(self._columns.items(), fields, strict=True)
                ]
            )
            self._kept_rows += text.height

    def outcome(self, file: TableFile) -> ConversionResult:
        """The result of a finished pass, once its bytes add up and three counts of its rows agree."""
        if self._accounted_bytes != self._unpacked_bytes:
            raise counts_differ(
                f"{self._unpacked_bytes:,} bytes", f"{self._accounted_bytes:,} bytes of header, rows and line ends"
            )
        found = rows_in(file.path)
        window = self._cut.outcome() if self._cut else None
        wanted = self._rows - (window.left_out if window else 0)
        if not wanted == file.rows == found:
            raise counts_differ(f"{wanted:,} rows", f"{found:,} rows in the {self._request.table_format.name} file")
        return ConversionResult(
            files=(file,),
            rows=found,
            columns=tuple(self._columns[plan.name].outcome() for plan in self._present),
            unpacked_bytes=self._unpacked_bytes,
            extra_columns=tuple(name for name, _ in self._layout.extra),
            nul_bytes=self._nul_bytes,
            window=window,
            content_hash=self._content.hexdigest(),
            is_gzip=self._is_gzip,
            ends_open=self._ends_open,
            lacking_columns=self._layout.lacking,
        )

    def _unpacked(self) -> Iterator[bytes]:
        most_bytes = self._request.max_unpacked_bytes
        for piece in unpacked(self._request.source, max_unpacked_bytes=most_bytes, on_gzip=self._note_gzip):
            self._unpacked_bytes += len(piece)
            self._content.update(piece)
            yield piece

    def _note_gzip(self) -> None:
        self._is_gzip = True


def read_text(batch: Batch, *, layout: RowLayout) -> pl.DataFrame:
    """
    The batch as columns of text, in the order of the file.

    Raises `NotTheReport` if it is not UTF-8, or if the CSV reader found other rows or content than were counted.
    """
    try:
        text = pl.read_csv(
            batch.data,
            has_header=False,
            separator=chr(layout.separator),
            schema={f"field_{index}": pl.String for index in range(layout.fields)},
            # A quoted empty field is as empty as an unquoted one, which is null anyway. To look at each value costs a
            # tenth of the reading, and the rows of a single column are not the reader's usual case.
            null_values="" if batch.quotes_empty or layout.fields == 1 else None,
            infer_schema=False,
            glob=False,
        )
    except pl.exceptions.PolarsError as error:
        if undecodable := first_undecodable(batch, separator=layout.separator):
            row, byte = undecodable
            raise NotTheReport(
                f"row {row:,} of the report's file is not written in UTF-8",
                why=f"it has a byte 0x{byte:02X} that belongs to another encoding",
            ) from None
        last = batch.first_row + batch.rows - 1
        raise NotTheReport(
            f"the rows {batch.first_row:,} to {last:,} of the report's file cannot be read",
            why=printable(str(error), most=200),
        ) from None
    content = sum(text.select(pl.all().str.len_bytes().sum().cast(pl.Int64)).row(0))
    if text.height != batch.rows:
        raise counts_differ(f"{batch.rows:,} rows", f"{text.height:,} from row {batch.first_row:,} on")
    if content != batch.content_bytes:
        raise counts_differ(f"{batch.content_bytes:,} bytes of content", f"{content:,} from row {batch.first_row:,} on")
    return text


def counts_differ(counted: str, converted: str) -> NotTheReport:
    return NotTheReport(
        f"the report's file was not converted whole: {counted} were counted and {converted} converted",
        why="the converter and the independent count disagree",
        fix="keep the file with `keep_raw` and report this as a defect of bulkpull",
    )
