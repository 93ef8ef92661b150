"""`bulkpull runs`: the local ledger of runs."""

from __future__ import annotations

import typer

from bulkpull.cli import options
from bulkpull.cli.options import examples
from bulkpull.cli.speech import Speech, told

app = typer.Typer(name="runs", help="The local ledger of runs.", no_args_is_help=True)


@app.command("list", epilog=examples("bulkpull runs list", "bulkpull runs list --output data --json"))
def list_runs(
    *,
    output: options.Output = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_level: options.Level = None,
) -> None:
    """Show the runs of an output folder, newest first; changes nothing."""
    speech = Speech(log_level=log_level)
    with told(speech):
        from bulkpull.cli.work.runs import show_runs  # noqa: PLC0415 - `--help` needs none of it

        show_runs(output=output, config=config, as_json=as_json)
