"""`bulkpull sql`: a query over what is published; the answer as a table or as a file."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bulkpull.cli import options
from bulkpull.cli.command_decorator import command, new_app
from bulkpull.cli.console import new_table, print_message, print_table
from bulkpull.cli.options import CommonOptions, option
from bulkpull.cli.service_call import load_settings
from bulkpull.cli.stdio import discard_output, unwritable_output
from bulkpull.errors import SettingsError
from bulkpull.formatting import plural

if TYPE_CHECKING:
    from bulkpull.sql import SqlResult

app = new_app()

_MOST_ROWS = 40  # about a screen


@command(app, common=("config",))
def sql(
    query: Annotated[str, typer.Argument(metavar="QUERY", hidden=True)],
    *,
    answer_format: Annotated[
        Literal["table", "csv", "json", "parquet"],
        option("--format", "table (the first rows), csv, json (one array) or parquet."),
    ] = "table",
    to: Annotated[Path | None, option("--to", "Write the result to this file; it is replaced.")] = None,
    output: options.Output = None,
    common: CommonOptions,
) -> None:
    """
    Run the SQL query QUERY on the data published in an output folder; every dataset is a view.

    Needs the extra `sql` (DuckDB). Only reads; may run during an export.

    Examples:
        bulkpull sql "SHOW TABLES"
        bulkpull sql "SELECT count(*) FROM AzureUsage" --output data
        bulkpull sql "SELECT * FROM Profile" --format csv > profile.csv
        bulkpull sql "SELECT * FROM AzureUsage" --format parquet --to azure.parquet
    """
    if answer_format == "table" and to is not None:
        raise SettingsError(
            "a table is for the terminal", fix="choose a format for --to: --format csv, json or parquet"
        )
    if answer_format == "parquet" and to is None and sys.stdout.isatty():
        raise SettingsError("Parquet cannot be shown on a terminal", fix="name a file by --to, or redirect the output")
    from bulkpull.sql import connect_sql, first_rows, write_answer  # slow to load

    with connect_sql(load_settings(common, output=output).output) as connection:
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
    rows = (["" if value is None else str(value) for value in row] for row in found.rows)
    print_table(new_table(found.columns, rows, fold=found.columns))
    more = "the first rows; --format csv writes all" if found.has_more else "all"
    print_message(f"{plural(len(found.rows), 'row')}: {more}")


def _copy_to_standard_output(path: Path) -> None:
    """Copy the bytes unchanged, in any locale; a closed pipe is no error."""
    try:
        with path.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        discard_output(sys.stdout)
    except OSError as trouble:
        discard_output(sys.stdout)
        raise unwritable_output(trouble) from None
