"""`bulkpull datasets`: what the service offers."""

from __future__ import annotations

from typing import Annotated

import typer

from bulkpull.cli import completion as complete
from bulkpull.cli import options
from bulkpull.cli.errors import LogFormat, OutputOptions, told
from bulkpull.cli.options import examples

app = typer.Typer()

EPILOG = examples("bulkpull datasets --demo", "bulkpull datasets AzureUsage --demo", "bulkpull datasets --json")


@app.command(epilog=EPILOG, short_help="Show what the service offers.")
def datasets(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", hidden=True, autocompletion=complete.dataset_names)
    ] = None,
    *,
    demo: options.Demo = False,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_format: options.Format = LogFormat.CONSOLE,
    log_level: options.Level = None,
) -> None:
    """
    Show what the service offers to this account.

    With NAME, that dataset's columns and their types, metrics, date ranges, how to sum rows that are repeated, and the
    service's own query with what is out of date in it.
    """
    speech = OutputOptions(log_format, log_level)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work.datasets import show_datasets  # noqa: PLC0415 - `--help` needs none of it

        show_datasets(name, demo=demo, config=config, as_json=as_json, speech=speech)
