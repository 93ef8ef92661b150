"""
Reads a batch of rows into text columns, and compares the result with the independent counts.

The only module that uses the CSV reader of polars; what it checks was counted by `csv_validator`, without that reader.
"""

from __future__ import annotations

import polars as pl

from bulkpull.conversion.csv_validator import Batch, first_undecodable
from bulkpull.conversion.header import RowLayout
from bulkpull.errors import NotTheReport
from bulkpull.redact import printable


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
