"""A query over an output folder, and its answer written as a table or as a file."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.table import Table

from bulkpull import formatting as figures
from bulkpull.cli.work.consoles import error_console, print_table
from bulkpull.config.settings import Settings
from bulkpull.errors import DiskTrouble, SettingsError
from bulkpull.sql import SqlResult, connect_sql, first_rows, write_answer

_MOST_ROWS = 1_000


def answer(query: str, *, answer_format: str, to: Path | None, output: Path | None, config: Path | None) -> None:
    """
    Answer a query; rows go to standard output, or to the file `to`.

    Raises:
        SettingsError: A setting or the query is wrong, nothing is published, or the extra is not installed.
        DiskTrouble: A file cannot be read or written.
    """
    if answer_format == "table" and to is not None:
        raise SettingsError(
            "a table is for the terminal", fix="choose a format for --to: --format csv, json or parquet"
        )
    if answer_format == "parquet" and to is None and sys.stdout.isatty():
        raise SettingsError("Parquet is no text for a terminal", fix="name a file by --to, or redirect the output")
    with connect_sql(Settings.load(config, output=output).output) as connection:
        if answer_format == "table":
            _print(first_rows(connection, query, most=_MOST_ROWS))
            return
        if to is not None:
            write_answer(connection, query, path=to, file_format=answer_format)
            return
        with tempfile.TemporaryDirectory(prefix="bulkpull-") as folder:
            path = Path(folder) / "answer"
            write_answer(connection, query, path=path, file_format=answer_format)
            _copy_to_standard_output(path)


def _print(found: SqlResult) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in found.columns:
        table.add_column(name, overflow="fold")
    for row in found.rows:
        table.add_row(*map(_told, row))
    print_table(table)
    number = figures.count(len(found.rows), "row")
    more = "the first ones; --format csv writes all" if found.has_more else "all"
    error_console().print(f"{number}: {more}", soft_wrap=True)


def _told(value: Any) -> str:
    return "" if value is None else str(value)


def _copy_to_standard_output(path: Path) -> None:
    """The bytes as they are, whatever the locale; a reader who goes away ends nothing."""
    try:
        with path.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except OSError as trouble:
        raise DiskTrouble("standard output cannot be written", why=trouble.strerror) from None
