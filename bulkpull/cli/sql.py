"""`bulkpull sql`: a query over what is published."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bulkpull.cli import options
from bulkpull.cli.errors import OutputOptions, told
from bulkpull.cli.options import examples

app = typer.Typer()

EPILOG = examples(
    'bulkpull sql "SHOW TABLES"',
    'bulkpull sql "SELECT count(*) FROM AzureUsage" --output data',
    'bulkpull sql "SELECT * FROM Profile" --format csv > profile.csv',
    'bulkpull sql "SELECT * FROM AzureUsage" --format parquet --to azure.parquet',
)


class AnswerFormat(StrEnum):
    """How an answer is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


@app.command(epilog=EPILOG, short_help="Query published datasets by SQL.")
def sql(
    query: Annotated[str, typer.Argument(metavar="QUERY", hidden=True)],
    *,
    answer_format: Annotated[
        AnswerFormat, typer.Option("--format", help="table (the first rows), csv, json (one array) or parquet.")
    ] = AnswerFormat.TABLE,
    to: Annotated[Path | None, typer.Option("--to", help="Write the answer to this file, which is replaced.")] = None,
    output: options.Output = None,
    config: options.Config = None,
) -> None:
    """
    Answer QUERY over what is published in an output folder; every dataset is a view by its name.

    Needs the extra `sql` (DuckDB). Only reads, and may run beside an export.
    """
    with told(OutputOptions()):
        from bulkpull.cli.work.sql import answer  # noqa: PLC0415 - `--help` needs none of it

        answer(query, answer_format=answer_format.value, to=to, output=output, config=config)
