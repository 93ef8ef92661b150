"""`bulkpull runs`: the local ledger of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bulkpull.cli import options
from bulkpull.cli.errors import LogFormat, OutputOptions, told
from bulkpull.cli.options import examples

Run = Annotated[str | None, typer.Argument(metavar="RUN", hidden=True)]

app = typer.Typer(
    name="runs",
    help="The local ledger of runs.",
    no_args_is_help=True,
    epilog=examples("bulkpull runs list", "bulkpull runs show", "bulkpull runs verify --help"),
)


@app.command("list", epilog=examples("bulkpull runs list", "bulkpull runs list --output data --json"))
def list_runs(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Show every run, not the newest twenty alone.")] = False,
    output: options.Output = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_level: options.Level = None,
) -> None:
    """Show the runs of an output folder, newest first; changes nothing. With --json it shows all of them."""
    speech = OutputOptions(log_level=log_level)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work.runs import show_runs  # noqa: PLC0415 - `--help` needs none of it

        show_runs(everything=everything, output=output, config=config, as_json=as_json)


@app.command(
    "show",
    short_help="Show one run: its end, its calls, its timeline.",
    epilog=examples(
        "bulkpull runs show",
        "bulkpull runs show 20261123T020000Z --json",
        "bulkpull runs show --log | grep -v debug",
        "bulkpull runs show 20261123T020000Z --bundle",
    ),
)
def show(
    run: Run = None,
    *,
    log: Annotated[bool, typer.Option("--log", help="Print the run's own log, JSON lines, instead.")] = False,
    bundle: Annotated[
        bool, typer.Option("--bundle", help="Write what helps others to help: no data, no secrets; print its path.")
    ] = False,
    to: Annotated[Path | None, typer.Option("--to", help="File or folder for the bundle; default: here.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Every step of a run over many datasets too.")] = False,
    output: options.Output = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_level: options.Level = None,
) -> None:
    """
    Show one run: how it began and ended, its calls, and the timeline of every pull.

    The newest, or the one whose id is RUN or begins so. Changes nothing, and may run beside an export.
    """
    speech = OutputOptions(log_level=log_level)
    with told(speech, as_json=as_json):
        if bundle:
            from bulkpull.cli.work.bundle import write_bundle  # noqa: PLC0415 - `--help` needs none of it

            write_bundle(run, to=to, output=output, config=config, as_json=as_json)
            return
        if log:
            from bulkpull.cli.work.run_log import show_log  # noqa: PLC0415 - `--help` needs none of it

            show_log(run, output=output, config=config, as_json=as_json)
            return
        from bulkpull.cli.work.show import show_run  # noqa: PLC0415 - `--help` needs none of it

        show_run(run, output=output, config=config, as_json=as_json, verbose=verbose)


@app.command(
    "resume",
    short_help="Carry on a run, or collect what it ordered.",
    epilog=examples(
        "bulkpull runs resume",
        "bulkpull runs resume 20261123T020000Z",
        "bulkpull runs resume --quiet --json > run.json",
    ),
)
def resume(
    run: Run = None,
    *,
    output: options.Output = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    log_format: options.Format = LogFormat.CONSOLE,
    log_level: options.Level = None,
) -> None:
    """
    Carry on a run that was cut off, or collect one that only submitted its reports.

    The newest unfinished one, or the one whose id is RUN or begins so; of a run that ended with losses, what it lost
    is tried again. Nothing is made twice. A run that was cut off a day ago or earlier is closed and begun anew.
    """
    speech = OutputOptions(log_format, log_level, quiet)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work.resume import resume_run  # noqa: PLC0415 - `--help` needs none of it

        raise typer.Exit(resume_run(run, output=output, config=config, as_json=as_json, speech=speech))


@app.command(
    "publish",
    short_help="Publish what a run held back.",
    epilog=examples("bulkpull runs publish 20261123T020000Z", "bulkpull runs publish 20261123T020000Z AzureUsage"),
)
def publish(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or the beginning of it.")],
    dataset: Annotated[str | None, typer.Argument(metavar="[DATASET]", help="Only this one.")] = None,
    *,
    output: options.Output = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    log_format: options.Format = LogFormat.CONSOLE,
    log_level: options.Level = None,
) -> None:
    """
    Publish data that `on_shrink`, `on_drift` or `fail_on_redacted` held back, from the report that was kept.

    The run is carried on: what it lost for another reason is tried again.
    """
    speech = OutputOptions(log_format, log_level, quiet)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work.resume import publish_held  # noqa: PLC0415 - `--help` needs none of it

        code = publish_held(run, dataset, output=output, config=config, as_json=as_json, speech=speech)
        raise typer.Exit(code)


@app.command(
    "forget",
    short_help="Take a dataset out of what is current.",
    epilog=examples("bulkpull runs forget AzureUsage", "bulkpull runs forget mine --output data"),
)
def forget(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="As it is published.")],
    *,
    output: options.Output = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_level: options.Level = None,
) -> None:
    """
    Take a dataset out of `current.json` and `latest/`; `status` no longer expects it, and its types begin anew.

    Its snapshots stay until retention removes them. Nothing changes on the service.
    """
    speech = OutputOptions(log_level=log_level)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work.forget import forget_dataset  # noqa: PLC0415 - `--help` needs none of it

        forget_dataset(dataset, output=output, config=config, as_json=as_json)


@app.command(
    "look",
    short_help="Ask which reports of a submitted run are ready.",
    epilog=examples("bulkpull runs look", "bulkpull runs look 20261123T020000Z --json"),
)
def look(
    run: Run = None,
    *,
    output: options.Output = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_format: options.Format = LogFormat.CONSOLE,
    log_level: options.Level = None,
) -> None:
    """
    Ask the service, in one call, which reports of a submitted run are ready; fetches and changes nothing.

    Of the newest unfinished run, or of the one whose id is RUN or begins so.
    """
    speech = OutputOptions(log_format, log_level)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work.look import look_at_run  # noqa: PLC0415 - `--help` needs none of it

        look_at_run(run, output=output, config=config, as_json=as_json, speech=speech)


@app.command(
    "verify",
    short_help="Check published files against what was written.",
    epilog=examples(
        "bulkpull runs verify",
        "bulkpull runs verify --quick --output data",
        "bulkpull runs verify 20261123T020000Z --json",
    ),
)
def verify_run(
    run: Run = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Look at names and sizes only; read no data.")] = False,
    output: options.Output = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_format: options.Format = LogFormat.CONSOLE,
    log_level: options.Level = None,
) -> None:
    """
    Check published files against what was written down: sizes, hashes, rows, pointer and links.

    Of what is current and every older snapshot; with RUN (or its beginning), of that run. Ends with status 3 when
    something is wrong. Changes nothing, and may run beside an export.
    """
    speech = OutputOptions(log_format, log_level)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work.verify import verify  # noqa: PLC0415 - `--help` needs none of it

        raise typer.Exit(verify(run, quick=quick, output=output, config=config, as_json=as_json, speech=speech))
