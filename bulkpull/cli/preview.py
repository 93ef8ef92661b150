"""`bulkpull preview`: the first rows of a dataset, without a report."""

from __future__ import annotations

from typing import Annotated

import typer

from bulkpull.cli import complete, options
from bulkpull.cli.options import examples
from bulkpull.cli.speech import LogFormat, Speech, told

app = typer.Typer()

EPILOG = examples("bulkpull preview Profile --demo", "bulkpull preview AzureUsage --timespan LAST_MONTH --json")


@app.command(epilog=EPILOG, short_help="Show the first rows of a dataset.")
def preview(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", hidden=True, autocompletion=complete.dataset_names)],
    *,
    demo: options.Demo = False,
    config: options.Config = None,
    timespan: options.Timespan = None,
    as_json: options.AsJson = False,
    log_format: options.Format = LogFormat.CONSOLE,
    log_level: options.Level = None,
) -> None:
    """Show up to 100 rows of DATASET as a table; creates nothing on the service."""
    speech = Speech(log_format, log_level)
    with told(speech):
        from bulkpull.cli.work.preview import show_preview  # noqa: PLC0415 - `--help` needs none of it

        show_preview(dataset, demo=demo, config=config, timespan=timespan, as_json=as_json, speech=speech)
