"""A file written anew with wider types and further columns: the same rows, values and metadata."""

from __future__ import annotations

import polars as pl

from bulkpull.conversion.formats import format_of
from bulkpull.conversion.messages import FORMAT_KEY, TableFile, WideningRequest
from bulkpull.conversion.read_table import formats_of, rows_in
from bulkpull.conversion.type_inference import NARROW_BY_NAME
from bulkpull.conversion.write_table import conversion_disk_error, write_lazy

_ROW_GROUP_ROWS = 65_536


def widen_file(request: WideningRequest) -> TableFile:
    """
    Write the file of `request` with the columns and types of `request`, in this process.

    Raises:
        DiskTrouble: The file cannot be written.
    """
    files = format_of(request.source).files
    there = files.metadata(request.source)
    metadata = {name: text for name, text in there.items() if not name.startswith(FORMAT_KEY)}
    source = files.scan([request.source])
    present = {name.casefold(): name for name in source.collect_schema()}
    new_names = {present.get(name.casefold()): name for name in request.types}
    frame = source.select(
        _column(present.get(name.casefold()), NARROW_BY_NAME.get(kind, pl.String())).alias(name)
        for name, kind in request.types.items()
    )
    formats = {new_names[name]: form for name, form in formats_of(there).items() if name in new_names}
    path = request.into / request.source.name
    try:
        written = write_lazy(frame, path=path, row_group_rows=_ROW_GROUP_ROWS, metadata=metadata, formats=formats)
    except Exception as error:
        path.unlink(missing_ok=True)
        if disk_error := conversion_disk_error(error, folder=request.into):
            raise disk_error from error
        raise
    assert written.rows == rows_in(request.source), "a cast changes no number of rows"
    return written


def _column(name: str | None, kind: pl.DataType) -> pl.Expr:
    return pl.lit(None, dtype=kind) if name is None else pl.col(name).cast(kind)
