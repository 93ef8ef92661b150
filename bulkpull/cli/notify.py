"""`bulkpull notify`: word of a run's end."""

from __future__ import annotations

import typer

from bulkpull.cli import options
from bulkpull.cli.errors import LogFormat, OutputOptions, told
from bulkpull.cli.options import examples

app = typer.Typer(
    name="notify",
    help="Word of a run's end, to a command and to an address.",
    no_args_is_help=True,
    epilog=examples("bulkpull notify test"),
)


@app.callback()
def notify() -> None:
    """Word of a run's end, to a command and to an address."""


@app.command(
    "test",
    short_help="Try `notify_command` and `notify_url` with a made-up run.",
    epilog=examples("bulkpull notify test", "bulkpull notify test --config bulkpull.toml --json"),
)
def try_notices(
    *,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_format: options.Format = LogFormat.CONSOLE,
    log_level: options.Level = None,
) -> None:
    """
    Send the manifest of a made-up run, `test`, to `notify_command` and `notify_url`, as the end of a run does.

    Exit status 1 when one of them did not take it, 2 when neither is set.
    """
    speech = OutputOptions(log_format, log_level)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work.notify import send_made_up_notices  # noqa: PLC0415 - `--help` needs none of it

        raise typer.Exit(send_made_up_notices(config=config, as_json=as_json, speech=speech))
