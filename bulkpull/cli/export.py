"""`bulkpull export`: the main job."""

from __future__ import annotations

import typer

from bulkpull.cli import options
from bulkpull.cli.errors import LogFormat, OutputOptions, told
from bulkpull.cli.options import examples

app = typer.Typer()

EPILOG = examples(
    "bulkpull export --demo",
    "bulkpull export --output data",
    "bulkpull export AzureUsage Profile --timespan widest",
    "bulkpull export --plan",
    'bulkpull export AzureUsage --select "Month, ACR_USD" --limit 100',
    'bulkpull export AzureUsage --where "ACR_USD > 20000" --as big-azure',
    "bulkpull export --submit-only && bulkpull runs resume",
    "bulkpull export --quiet --json > manifest.json",
)


@app.command(epilog=EPILOG, short_help="Export datasets to Parquet.")
def export(
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
    select: options.Select = None,
    where: options.Where = None,
    order_by: options.OrderBy = None,
    limit: options.Limit = None,
    distinct: options.Distinct = False,
    published_as: options.PublishedAs = None,
    reset_types: options.ResetTypes = False,
    yes: options.More = False,
    keep_raw: options.KeepRaw = False,
    metrics_file: options.MetricsFile = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    log_format: options.Format = LogFormat.CONSOLE,
    log_level: options.Level = None,
) -> None:
    """
    Export datasets to Parquet: the twenty of the main job and the queries of the settings file, or what is named.

    DATASET is a dataset or a query of the settings file. What is selected of one dataset is published under a name of
    its own, beside the whole. What fails harms nothing else. The same command again carries on an interrupted run.
    """
    speech = OutputOptions(log_format, log_level, quiet)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work.export import ExportOptions, run_export  # noqa: PLC0415 - `--help` needs none of it
        from bulkpull.cli.work.selecting import Selecting  # noqa: PLC0415 - the same

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
                submit_only=submit_only,
                selecting=Selecting(select, where, order_by, limit, distinct, published_as),
                reset_types=reset_types,
                yes=yes,
                keep_raw=keep_raw,
                metrics_file=metrics_file,
                as_json=as_json,
            ),
            speech,
        )
        raise typer.Exit(exit_code)
