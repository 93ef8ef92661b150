"""`bulkpull preview`: the first rows of a dataset, without a report."""

from __future__ import annotations

from typing import Annotated

import typer

from bulkpull.cli import completion as complete
from bulkpull.cli import options
from bulkpull.cli.errors import LogFormat, OutputOptions, told
from bulkpull.cli.options import examples

app = typer.Typer()

EPILOG = examples(
    "bulkpull preview Profile --demo",
    "bulkpull preview AzureUsage --timespan LAST_MONTH --json",
    "bulkpull preview OfficeUsage --since 2026-01-01 --until 2026-02-01",
    'bulkpull preview --demo --query "SELECT City, Country FROM Profile"',
    "bulkpull preview --query-id d1a4d75e-5ca8-4847-845f-ee0a9be6f07b --demo",
)


@app.command(epilog=EPILOG, short_help="Show the first rows of a dataset or a query.")
def preview(
    dataset: Annotated[
        str | None, typer.Argument(metavar="[DATASET]", hidden=True, autocompletion=complete.dataset_names)
    ] = None,
    *,
    query_id: Annotated[str | None, typer.Option("--query-id", help="A stored query instead of a dataset.")] = None,
    query: Annotated[str | None, typer.Option("--query", help="A query's text instead of a dataset.")] = None,
    timespan: options.Timespan = None,
    since: options.Since = None,
    until: options.Until = None,
    demo: options.Demo = False,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_format: options.Format = LogFormat.CONSOLE,
    log_level: options.Level = None,
) -> None:
    """Show up to 100 rows of DATASET, or of a query, as a table; creates nothing on the service."""
    speech = OutputOptions(log_format, log_level)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work.preview import Subject, show_preview  # noqa: PLC0415 - `--help` needs none of it

        subject = Subject(
            dataset=dataset,
            query_id=query_id,
            text=query,
            timespan=timespan,
            since=options.day_of(since),
            until=options.day_of(until),
        )
        show_preview(subject, demo=demo, config=config, as_json=as_json, speech=speech)
