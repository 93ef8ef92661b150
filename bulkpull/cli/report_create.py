"""Reports that a person creates, one-off or on a schedule, and changes of a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from bulkpull.cli.batch import find_query
from bulkpull.cli.console import print_note
from bulkpull.cli.options import CommonOptions, day_of
from bulkpull.cli.reports import ReportSpec, ReportUpdate, find_report, is_our_report
from bulkpull.cli.service_call import NotOffered, call_service, command_settings
from bulkpull.clock import iso_utc
from bulkpull.config.settings import Settings
from bulkpull.errors import AccessDenied, BulkpullError, ListUnknown, SettingsError
from bulkpull.insights.client import InsightsClient
from bulkpull.insights.definitions import LONGEST_TEXT, ReportChange, ReportDefinition, earliest_start
from bulkpull.model import OfferedDataset, Pull, Query, Report, Window
from bulkpull.pipeline.plan import make_plan
from bulkpull.pipeline.request import ExportRequest, PlanInputs, ServiceOffer
from bulkpull.pipeline.steps.naming import DESCRIPTION, is_ours, query_name
from bulkpull.query import normalise
from bulkpull.query.validate import find_query_drift
from bulkpull.redact import printable
from bulkpull.window_bounds import window_of

T = TypeVar("T")


def create_report(spec: ReportSpec, *, demo: bool, common: CommonOptions) -> Report:
    """Create a report; what the service would refuse is refused before anything is created."""
    spec.check()
    names = (spec.dataset,) if spec.dataset is not None else ()
    with command_settings(common, demo=demo, timespan=spec.timespan) as settings:

        async def create(client: InsightsClient) -> Report:
            offered = await client.get_datasets()
            now = client.service_time()
            window = window_of(day_of(spec.since), day_of(spec.until), now=now)
            if spec.dataset is not None:
                pull = _pull(spec.dataset, offered, settings=settings, window=window)
                if window is not None and pull.window is None:
                    print_note(f"{pull.dataset} has no time axis: --since and --until change nothing", common)
                definition = _define(spec, title=pull.dataset, dataset=pull.offered, window=window, now=now)
                definition.check(now=now)  # before a query is created
                query = await _own_query(client, pull)
            else:
                query = await find_query(client, spec.query_id or "")
                dataset = dataset_of(query.text, offered)
                definition = _define(spec, title=query.name, dataset=dataset, window=window, now=now)
            if spec.at_once and spec.callback_url is not None:
                print_note("a report that runs once may end without a callback: check its execution as well", common)
            with suppress(AccessDenied, ListUnknown):
                await client.get_reports(name=definition.name)  # existing ones are not the new report
            return await client.create_report(replace(definition, query_id=query.query_id))

        return call_service(create, common, settings=settings, names=names)


def update_report(report_id: str, change: ReportUpdate, *, common: CommonOptions) -> Report:
    """
    Change a scheduled report; a one-off report cannot be changed (behaviour 91).

    What is not changed is sent as it is: what the service makes of missing values is not documented (88 and 95).
    """
    change.check()

    async def update(client: InsightsClient) -> Report:
        report = await find_report(client, report_id)
        if report.execute_now:
            raise SettingsError(
                f"the report {report.report_id} cannot be changed", why="it runs once", fix="create another"
            )
        if is_our_report(report):
            print_note("this report is one of `bulkpull nightly`, which may replace it", common)
        every_h = _given_or(change.every, report.recurrence_h)
        earliest = earliest_start(client.service_time())
        start_at = in_utc(change.start) or next_start(report.start_at, every_h=every_h, earliest=earliest)
        if change.start is None and start_at != report.start_at:
            again = f"its schedule starts again at {iso_utc(start_at)}"
            print_note(f"{again}: the service requires a start four hours ahead", common)
        offered = await client.get_datasets() if change.every is not None and report.query_text else []
        dataset = next(iter(_datasets_of_query(report.query_text or "", offered)), None)
        callback_url = _given_or(change.callback_url, report.callback_url)
        wanted = ReportChange(
            name=_given_or(change.name, report.name).strip(),
            start_at=start_at,
            description=_given_or(change.description, report.description),
            recurrence_h=every_h,
            recurrence_count=_given_or(change.times, report.recurrence_count),
            minimum_recurrence_h=dataset.minimum_recurrence_h if dataset else None,
            format=change.file_format or report.format,
            callback_url=callback_url,
            # The method goes with its address.
            callback_method=change.callback_method or (report.callback_method if callback_url else None),
        )
        changed = await client.update_report(report.report_id, wanted)
        _check_removed(change, changed)
        return changed

    return call_service(update, common)


def next_start(start_at: datetime | None, *, every_h: int | None, earliest: datetime) -> datetime:
    """The first moment of a schedule's rhythm that the service takes as a start (pure)."""
    if start_at is None or every_h is None:
        return earliest
    if start_at >= earliest:
        return start_at
    step = timedelta(hours=every_h)
    return start_at + step * -((start_at - earliest) // step)


def in_utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def dataset_of(query_text: str, offered: Sequence[OfferedDataset]) -> OfferedDataset:
    """The dataset that a stored query reads; raises if the service cannot answer the query today (behaviour 76)."""
    drift = find_query_drift(query_text, offered=offered)
    if drift is None:
        raise SettingsError(
            "the query cannot be parsed, so no report was created for it", why=printable(query_text, most=80)
        )
    if not drift.offered or drift.missing:
        lacks = f"{drift.dataset} has no {', '.join(drift.missing)} today"
        raise SettingsError(
            "the query is out of date, so no report was created for it",
            why=lacks if drift.offered else f"{drift.dataset} is not offered to this account",
            fix=f"create it with --dataset {drift.dataset}, whose query names the current columns",
        )
    return _datasets_of_query(query_text, offered)[0]


def _define(
    spec: ReportSpec, *, title: str, dataset: OfferedDataset, window: Window | None, now: datetime
) -> ReportDefinition:
    """The report that `spec` describes, with the dataset's name in place of the query's id until there is a query."""
    return ReportDefinition(
        name=spec.name.strip() if spec.name is not None else automatic_name(title, now=now),
        query_id=dataset.name,
        description=spec.description,
        execute_now=spec.at_once,
        window=window,
        start_at=None if spec.at_once else in_utc(spec.start) or earliest_start(now),
        recurrence_h=spec.every,
        recurrence_count=spec.times,
        minimum_recurrence_h=dataset.minimum_recurrence_h,
        format=spec.file_format,
        callback_url=spec.callback_url,
        callback_method=spec.callback_method,
    )


def automatic_name(title: str, *, now: datetime) -> str:
    """The name of a report that was given none: what it reads and when it was created, as long as names may be."""
    ending = f"_{now:%Y%m%dT%H%M%SZ}"
    return title.replace(";", "_").replace(" ", "_")[: LONGEST_TEXT - len(ending)] + ending


def _given_or(given: T | None, kept: T) -> T:
    return kept if given is None else given


def _check_removed(change: ReportUpdate, report: Report) -> None:
    """No document says that an empty text removes a value, so that the reply is believed and not the request."""
    for value, kept, name in (
        (change.callback_url, report.callback_url, "callback address"),
        (change.description, report.description, "description"),
    ):
        if value is not None and not value.strip() and kept:
            raise BulkpullError(
                f"the report {report.report_id} still has its {name}",
                why="the service keeps it when an empty one is sent",
                fix=f"create the report again without a {name}, then: bulkpull reports delete {report.report_id}",
            )


def _datasets_of_query(query_text: str, offered: Sequence[OfferedDataset]) -> list[OfferedDataset]:
    drift = find_query_drift(query_text, offered=offered)
    return [dataset for dataset in offered if drift and dataset.name.casefold() == drift.dataset.casefold()]


def _pull(dataset: str, offered: Sequence[OfferedDataset], *, settings: Settings, window: Window | None) -> Pull:
    request = ExportRequest((dataset,), window=window)
    plan = make_plan(PlanInputs(request, ServiceOffer(tuple(offered)), settings))
    if not plan.pulls:
        missing = plan.unavailable[0]
        raise SettingsError(missing.reason) if missing.failed else NotOffered(missing.reason)
    return plan.pulls[0]


async def _own_query(client: InsightsClient, pull: Pull) -> Query:
    """This tool's query of all columns that there are today, stored already or stored now."""
    wanted = normalise(pull.query_text)
    for query in await client.get_queries():
        if is_ours(query) and normalise(query.text) == wanted:
            return query
    return await client.create_query(name=query_name(pull), text=pull.query_text, description=DESCRIPTION)
