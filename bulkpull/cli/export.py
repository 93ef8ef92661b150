"""`bulkpull export`, the main job, and `bulkpull nightly`, the same for cron."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from bulkpull.cli import options as shared
from bulkpull.cli.command_decorator import QUIET_RUN, command, new_app
from bulkpull.cli.options import OUTPUT, ROWS, CommonOptions, option
from bulkpull.cli.service_call import command_settings
from bulkpull.clock import iso_utc
from bulkpull.errors import SettingsError
from bulkpull.window_bounds import window_of

if TYPE_CHECKING:
    from bulkpull.config.settings import Settings
    from bulkpull.model import Window
    from bulkpull.pipeline.request import ExportRequest

app = new_app()

_NO_LIMIT = 1_000_000
# More objects than a nightly run without new data makes: collecting garbage would take a twentieth of its time.
_OBJECTS_OF_A_NIGHT = 150_000
_QUERY_OPTIONS = {
    "select": "--select",
    "where": "--where",
    "order_by": "--order-by",
    "limit": "--limit",
    "distinct": "--distinct",
    "published_as": "--as",
}
"""The options that make a custom query of one dataset."""
_YES = "Create more reports for a dataset than `reports_per_dataset` allows."


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """The options of `bulkpull export`; `bulkpull nightly` has the same without `_ONLY_EXPORT`."""

    datasets: shared.Names = None
    demo: shared.Demo = False
    plan: Annotated[bool, option("--plan", "Show what would be done, with reads only.")] = False
    submit_only: Annotated[
        bool, option("--submit-only", "Create the reports and exit; `bulkpull runs resume` collects them.")
    ] = False
    output: shared.Output = None
    timespan: shared.Timespan = None
    since: shared.Since = None
    until: shared.Until = None
    metrics: shared.Metrics = None
    everything: Annotated[bool, option("--all", "All datasets that the service lists, beyond the twenty.")] = False
    select: Annotated[
        str | None, option("--select", "Columns and metrics, separated by commas.", ROWS, metavar="COLUMNS")
    ] = None
    where: Annotated[
        str | None, option("--where", 'Conditions on its rows: "ACR_USD > 20000".', ROWS, metavar="CONDITIONS")
    ] = None
    order_by: Annotated[
        str | None, option("--order-by", 'Order of its rows: "Month DESC".', ROWS, metavar="COLUMNS")
    ] = None
    limit: Annotated[int | None, option("--limit", "Maximum number of rows.", ROWS, min=1)] = None
    distinct: Annotated[bool, option("--distinct", "Drop duplicate rows.", ROWS)] = False
    published_as: Annotated[
        str | None, option("--as", "Name to publish it under; default: DATASET-selection-…", ROWS, metavar="NAME")
    ] = None
    reset_types: Annotated[bool, option("--reset-types", "Infer the column types of the named datasets again.")] = False
    yes: Annotated[bool, option("--yes", _YES)] = False
    keep_raw: Annotated[bool, option("--keep-raw", "Keep the downloaded bytes beside the Parquet.")] = False
    metrics_file: Annotated[
        Path | None, option("--metrics-file", "Write Prometheus metrics of the run to this file.", OUTPUT)
    ] = None


_ONLY_EXPORT = (*_QUERY_OPTIONS, "reset_types")


@command(app, common=QUIET_RUN)
def export(options: ExportOptions, *, common: CommonOptions) -> int:
    """
    Export datasets to Parquet: the twenty of the main job and the queries of the settings file, or what is named.

    DATASET is a dataset or a query of the settings file. What is selected of one dataset is published under a name of
    its own, beside the whole. What fails harms nothing else. The same command again carries on an interrupted run.

    Examples:
        bulkpull export --demo
        bulkpull export --output data
        bulkpull export AzureUsage Profile --timespan widest
        bulkpull export --plan
        bulkpull export AzureUsage --select "Month, ACR_USD" --limit 100
        bulkpull export AzureUsage --where "ACR_USD > 20000" --as big-azure
        bulkpull export --submit-only && bulkpull runs resume
        bulkpull export --quiet --json > manifest.json
    """
    return _export(options, nightly=False, common=common)


@command(app, common=QUIET_RUN, without=_ONLY_EXPORT)
def nightly(options: ExportOptions, *, common: CommonOptions) -> int:
    """
    Export what is new since the last run, with scheduled reports on the service.

    The first run creates one scheduled report per dataset, and a one-off report where nothing is published yet. Later
    runs create nothing: they publish executions that are newer than the published data, and skip the other datasets.
    With --since, one-off reports for those days are created instead.

    Examples:
        bulkpull nightly --output /var/lib/bulkpull
        bulkpull nightly --config config/nightly.toml
        bulkpull nightly --log-format json --json > last-run.json
        bulkpull nightly --plan
        bulkpull nightly AzureUsage Profile
    """
    gc.set_threshold(_OBJECTS_OF_A_NIGHT)
    return _export(options, nightly=True, common=common)


def _export(options: ExportOptions, *, nightly: bool, common: CommonOptions) -> int:
    from bulkpull.account import DEMO
    from bulkpull.cli.invocation import Invocation, option_words
    from bulkpull.cli.run_display import run_with_display  # slow to load, as all of these
    from bulkpull.output.owner import check_owner
    from bulkpull.output.store import open_store
    from bulkpull.pipeline.run import Run

    if options.reset_types and not options.datasets:
        raise SettingsError(
            "--reset-types was given, and no dataset is named",
            fix="name those whose columns became text: bulkpull export AzureUsage --reset-types",
        )
    since, until = shared.day_of(options.since), shared.day_of(options.until)
    window = window_of(since, until, now=datetime.now(UTC))
    with command_settings(
        common,
        demo=options.demo,
        output=options.output,
        timespan=options.timespan,
        metrics=options.metrics,
        reports_per_dataset=_NO_LIMIT if options.yes else None,
        keep_raw=options.keep_raw or None,
        metrics_file=options.metrics_file,
    ) as settings:
        request = _request(options, settings=settings, window=window, nightly=nightly)
        account = DEMO if options.demo else settings.account
        if options.plan:
            from bulkpull.cli.plan_table import show_plan

            check_owner(open_store(settings.output.absolute()), account)
            return show_plan(request, settings=settings, common=common)
        days = {"since": str(since or ""), "until": str(until or "")}
        invocation = Invocation(
            output=settings.output,
            config=common.config,
            demo=options.demo,
            command="nightly" if nightly else "export",
            options=option_words(**days, timespan=options.timespan, metrics=options.metrics),
        )
        return run_with_display(
            lambda events: Run(request, settings, events, account=account),
            invocation=invocation,
            common=common,
        )


def _request(options: ExportOptions, *, settings: Settings, window: Window | None, nightly: bool) -> ExportRequest:
    """The request that the options make, of one dataset where they shape it."""
    from bulkpull.custom_query import Selection, derived_name  # slow to load, as the next
    from bulkpull.pipeline.request import create_request

    names, open_ended = tuple(options.datasets or ()), options.until is None
    create = partial(
        create_request,
        settings=settings,
        window=window,
        open_ended=open_ended,
        everything=options.everything,
        nightly=nightly,
        submit_only=options.submit_only,
        reset_types=options.reset_types,
    )
    given = {part: value for part in _QUERY_OPTIONS if (value := getattr(options, part))}
    if not given:
        return create(names)
    option = _QUERY_OPTIONS[next(iter(given))]
    if len(names) != 1 or options.everything:
        number = f"{len(names)} are named" if names else "none is named"
        raise SettingsError(
            f"{option} applies to one dataset, and {'all are requested' if options.everything else number}",
            fix=f"name one: bulkpull export AzureUsage {option} …",
        )
    (dataset,) = names
    known = {query.name.casefold(): query.name for query in settings.queries}
    if own_query := known.get(dataset.strip().casefold()):
        raise SettingsError(
            f"{option} applies to a dataset, and {own_query} is a query of the settings",
            fix="change the query there, or name the dataset that it reads",
        )
    if "published_as" in given and window is not None and open_ended:
        given["keep"] = "append"
    # Two spans of one selection are two custom queries.
    span = {"timespan": settings.timespan} if settings.timespan else {}
    if window is not None:
        span = {"since": iso_utc(window.start)} | ({} if open_ended else {"until": iso_utc(window.end)})
    name = given.pop("published_as", None) or derived_name(dataset, **given, **span)
    try:
        selection = Selection(name=name, dataset=dataset, **given)
    except SettingsError as refused:
        error = refused.within("options")
        if error.fix == SettingsError.remedy:  # the doctor shows settings, not options
            error.fix = "see `bulkpull export --help`"
        for part, word in (_QUERY_OPTIONS | {"name": "--as"}).items():
            error.what = error.what.replace(f"`{part}`", word)
        error.args = (error.reason,)
        raise error from None
    if name.casefold() in known:
        raise SettingsError(f"--as {name} is the name of a query of the settings", fix="choose another name")
    return create((), selections=(selection,))
