"""`bulkpull doctor`: is everything there that an export needs?"""

from __future__ import annotations

import typer

from bulkpull.cli import options
from bulkpull.cli.errors import OutputOptions, told
from bulkpull.cli.options import examples

app = typer.Typer()

EPILOG = examples(
    "bulkpull doctor",
    "bulkpull doctor --demo",
    "bulkpull doctor --output data --config bulkpull.toml",
    "bulkpull doctor --json",
)


@app.command(epilog=EPILOG, short_help="Check settings, service, folder; say what to do.")
def doctor(
    *,
    demo: options.Demo = False,
    output: options.Output = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_level: options.Level = None,
) -> None:
    """
    Check what an export needs, from the settings to free disk, and say what to do about each trouble.

    Creates nothing on the service. Exit status: 0, or that of the worst trouble: 2 settings, 4 credentials or role, 1.
    """
    speech = OutputOptions(log_level=log_level)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work.doctor import run_doctor  # noqa: PLC0415 - `--help` needs none of it

        raise typer.Exit(run_doctor(demo=demo, output=output, config=config, as_json=as_json))
