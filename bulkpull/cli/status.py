"""`bulkpull status`: how old each dataset is; the check that sees a cron that never ran."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from bulkpull.cli import options
from bulkpull.cli.durations import read_span
from bulkpull.cli.errors import LogFormat, OutputOptions, told
from bulkpull.cli.options import examples

app = typer.Typer()

EPILOG = examples(
    "bulkpull status",
    "bulkpull status --max-age 36h",
    "bulkpull status AzureUsage Profile --max-age 2d --output data",
    "bulkpull status --json",
)


@app.command(epilog=EPILOG, short_help="Show how old the published data is.")
def status(
    datasets: options.Names = None,
    *,
    max_age: Annotated[
        timedelta | None,
        typer.Option(
            "--max-age",
            metavar="TIME",
            parser=read_span,
            help="End with status 3 when a dataset was not looked for this long: 36h, 2d, 90m.",
        ),
    ] = None,
    output: options.Output = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_format: options.Format = LogFormat.CONSOLE,
    log_level: options.Level = None,
) -> None:
    """
    Show how old the data of each dataset is, and when it was last looked for; of all, or those named as DATASET.

    A night that finds nothing newer has looked. Reads the output folder only; needs no credentials.
    """
    speech = OutputOptions(log_format, log_level)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work.status import show_status  # noqa: PLC0415 - `--help` needs none of it

        exit_code = show_status(
            tuple(datasets or ()), max_age=max_age, output=output, config=config, as_json=as_json, speech=speech
        )
        raise typer.Exit(exit_code)
