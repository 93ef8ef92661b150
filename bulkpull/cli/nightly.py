"""`bulkpull nightly`: export for cron."""

from __future__ import annotations

import typer

from bulkpull.cli import options
from bulkpull.cli.errors import LogFormat, OutputOptions, told
from bulkpull.cli.options import examples

app = typer.Typer()

EPILOG = examples(
    "bulkpull nightly --output /var/lib/bulkpull",
    "bulkpull nightly --config config/nightly.toml",
    "bulkpull nightly --log-format json --json > last-run.json",
    "bulkpull nightly --plan",
    "bulkpull nightly AzureUsage Profile",
)


@app.command(epilog=EPILOG, short_help="Fetch what is new, for cron.")
def nightly(
    datasets: options.Names = None,
    *,
    demo: options.Demo = False,
    plan: options.Plan = False,
    submit_only: options.SubmitOnly = False,
    output: options.Output = None,
    config: options.Config = None,
    timespan: options.Timespan = None,
    since: options.Since = None,
    until: options.Until = None,
    metrics: options.Metrics = None,
    everything: options.Everything = False,
    yes: options.More = False,
    keep_raw: options.KeepRaw = False,
    metrics_file: options.MetricsFile = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    log_format: options.Format = LogFormat.CONSOLE,
    log_level: options.Level = None,
) -> None:
    """
    Export what is new since the last night, over standing reports on the service.

    The first night makes one standing report a dataset, and asks for the data at once. Every later night creates
    nothing: it publishes executions that are newer than what is published, and skips the rest. With --since, one-off
    reports for those days are asked for instead.
    """
    speech = OutputOptions(log_format, log_level, quiet)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work.export import ExportOptions, run_export  # noqa: PLC0415 - `--help` needs none of it

        exit_code = run_export(
            ExportOptions(
                datasets=tuple(datasets or ()),
                demo=demo,
                plan=plan,
                output=output,
                config=config,
                timespan=timespan,
                since=options.day_of(since),
                until=options.day_of(until),
                metrics=metrics.value if metrics else None,
                everything=everything,
                nightly=True,
                submit_only=submit_only,
                yes=yes,
                keep_raw=keep_raw,
                metrics_file=metrics_file,
                as_json=as_json,
            ),
            speech,
        )
        raise typer.Exit(exit_code)
