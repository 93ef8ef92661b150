"""Reports that a person orders: one-off or on a schedule, and what is changed of a schedule later."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from bulkpull.catalog import load_catalog
from bulkpull.cli.errors import OutputOptions
from bulkpull.cli.work.ask import NotOffered, ask, warn
from bulkpull.cli.work.consoles import error_console
from bulkpull.cli.work.kinds import QUERIES
from bulkpull.cli.work.reports import is_mine, print_reports, the_report
from bulkpull.cli.work.target import aimed
from bulkpull.clock import iso_utc
from bulkpull.config.settings import Settings
from bulkpull.days import window_of
from bulkpull.errors import AccessDenied, BulkpullError, ListNotTold, SettingsError
from bulkpull.insights import requests as calls
from bulkpull.insights.client import InsightsClient
from bulkpull.insights.validation import LONGEST_TEXT, earliest_start
from bulkpull.model import OfferedDataset, Pull, Query, Report, Window
from bulkpull.pipeline.naming import OWN_PREFIX, is_ours, query_name
from bulkpull.pipeline.plan import make_plan
from bulkpull.pipeline.submit import DESCRIPTION
from bulkpull.query import normalise
from bulkpull.query.drift import find_query_drift
from bulkpull.redact import printable

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """
    What `bulkpull reports create` was asked for.

    Attributes:
        query_id, dataset: One of the two; a dataset stands for this tool's own query of all its columns.
        at_once: Once, now; else on a schedule of `every_h` hours.
        start_at: When the schedule begins; `None` for as soon as the service takes it.
    """

    query_id: str | None
    dataset: str | None
    name: str | None
    description: str | None
    at_once: bool
    since: date | None
    until: date | None
    timespan: str | None
    start_at: datetime | None
    every_h: int | None
    times: int | None
    format: str
    callback_url: str | None
    callback_method: str | None

    def check(self) -> None:
        """
        Refuse what excludes each other, before anything is asked.

        Raises:
            SettingsError: With the rule.
        """
        if (self.query_id is None) == (self.dataset is None):
            raise SettingsError("a report is on one query", fix="give either --query-id ID or --dataset NAME")
        if self.at_once == (self.every_h is not None):
            raise SettingsError("a report runs once or again and again", fix="give either --now or --every HOURS")
        if self.at_once and (self.start_at is not None or self.times is not None):
            raise SettingsError("--now excludes --start and --times", fix="give --every HOURS for a schedule")
        if not self.at_once and (self.since or self.until):
            raise SettingsError("--since and --until need --now", why="the service ignores them on a schedule")
        if self.timespan and self.dataset is None:
            raise SettingsError("--timespan goes with --dataset", why="a stored query has its own")
        check_foreign_name(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """
    What `bulkpull reports update` was asked for; `None` leaves a value as it is.

    Attributes:
        description, callback_url: An empty text removes what is there.
    """

    name: str | None = None
    description: str | None = None
    start_at: datetime | None = None
    every_h: int | None = None
    times: int | None = None
    format: str | None = None
    callback_url: str | None = None
    callback_method: str | None = None

    def check(self) -> None:
        """
        Refuse a change of nothing.

        Raises:
            SettingsError: No option was given.
        """
        if all(getattr(self, each.name) is None for each in fields(self)):
            raise SettingsError("nothing to change was given", fix="see `bulkpull reports update --help`")
        check_foreign_name(self.name)


def check_foreign_name(name: str | None) -> None:
    """
    Keep names apart: what bears this tool's mark is cleaned up by it.

    Raises:
        SettingsError: The name looks like one of ours.
    """
    if name is not None and name.strip().casefold().startswith(f"{OWN_PREFIX}_"):
        raise SettingsError(
            f"a report cannot be named {printable(name, most=40)!r} here",
            why=f"names that begin with {OWN_PREFIX}_ mark reports that exports make and delete",
        )


def create_report(order: Order, *, demo: bool, config: Path | None, as_json: bool, speech: OutputOptions) -> None:
    """
    Order a report.

    Raises:
        SettingsError: Options exclude each other, or the service would refuse a part of it; nothing was ordered.
        NotOffered, NotThere: There is no such dataset for this account, or no such query for this user.
        QuotaExceeded: Of one-off reports or of active ones (behaviours 85 and 86).
    """
    order.check()
    names = (order.dataset,) if order.dataset is not None else ()
    with aimed(config, demo=demo, timespan=order.timespan) as settings:

        async def place(client: InsightsClient) -> Report:
            offered = await client.get_datasets()
            now = client.service_time()
            window = window_of(order.since, order.until, now=now)
            if order.dataset is not None:
                pull = _pull(order.dataset, offered, settings=settings, window=window)
                if window is not None and pull.window is None:
                    warn(f"{pull.dataset} has no time axis: --since and --until change nothing", speech)
                arguments = _arguments(order, title=pull.dataset, dataset=pull.offered, window=window, now=now)
                # What is to be refused is refused before a query is made for it.
                calls.create_report(query_id=pull.dataset, now=now, **arguments)
                query = await _own_query(client, pull)
            else:
                query = await _stored_query(client, order.query_id or "")
                dataset = dataset_of(query.text, offered)
                title = query.name
                arguments = _arguments(order, title=title, dataset=dataset, window=window, now=now)
            if order.at_once and order.callback_url is not None:
                warn("a report that runs once may end without a callback: look at its execution as well", speech)
            with suppress(AccessDenied, ListNotTold):
                await client.get_reports(name=arguments["name"])  # what is there before is not taken for this one
            return await client.create_report(query_id=query.query_id, **arguments)

        report = ask(place, settings=settings, speech=speech, names=names)
    print_reports([report], as_json=as_json)
    if not (as_json or demo):
        error_console().print(f"next: bulkpull executions {report.report_id}", soft_wrap=True)


def update_report(report_id: str, change: Change, *, config: Path | None, as_json: bool, speech: OutputOptions) -> None:
    """
    Change a scheduled report. What is not changed is sent as it is: what the service makes of missing values is not
    documented (behaviours 88 and 95).

    Raises:
        SettingsError: Nothing is to be changed, it is a one-off report (91), or the service would refuse a part of it.
        NotThere: There is none of that id.
    """
    change.check()

    async def alter(client: InsightsClient) -> Report:
        report = await the_report(client, report_id)
        if report.execute_now:
            raise SettingsError(
                f"the report {report.report_id} cannot be changed", why="it runs once", fix="create another"
            )
        if is_mine(report):
            warn("this report is one of `bulkpull nightly`, which may replace it", speech)
        every_h = _or(change.every_h, report.recurrence_h)
        earliest = earliest_start(client.service_time())
        start_at = change.start_at or next_start(report.start_at, every_h=every_h, earliest=earliest)
        if change.start_at is None and start_at != report.start_at:
            warn(f"its schedule begins anew at {iso_utc(start_at)}: the service wants a start four hours ahead", speech)
        offered = await client.get_datasets() if change.every_h is not None and report.query_text else []
        dataset = next(iter(_found(report.query_text or "", offered)), None)
        callback_url = _or(change.callback_url, report.callback_url)
        changed = await client.update_report(
            report.report_id,
            name=_or(change.name, report.name).strip(),
            start_at=start_at,
            description=_or(change.description, report.description),
            recurrence_h=every_h,
            recurrence_count=_or(change.times, report.recurrence_count),
            minimum_recurrence_h=dataset.minimum_recurrence_h if dataset else None,
            format=_or(change.format, report.format),
            callback_url=callback_url,
            # The method goes with its address.
            callback_method=_or(change.callback_method, report.callback_method if callback_url else None),
        )
        _check_removed(change, changed)
        return changed

    with aimed(config, demo=False) as settings:
        report = ask(alter, settings=settings, speech=speech)
    print_reports([report], as_json=as_json)


def next_start(start_at: datetime | None, *, every_h: int | None, earliest: datetime) -> datetime:
    """The first moment of a schedule's rhythm that the service takes as a start (pure)."""
    if start_at is None or every_h is None:
        return earliest
    if start_at >= earliest:
        return start_at
    step = timedelta(hours=every_h)
    return start_at + step * -((start_at - earliest) // step)


def dataset_of(query_text: str, offered: Sequence[OfferedDataset]) -> OfferedDataset:
    """
    The dataset that a stored query reads, if the service can answer the query today (pure).

    Raises:
        SettingsError: The dataset is not offered, or lacks what the query names (behaviour 76).
    """
    drift = find_query_drift(query_text, offered=offered)
    if drift is None:
        raise SettingsError(
            "the query cannot be read, so no report was ordered on it", why=printable(query_text, most=80)
        )
    if not drift.offered or drift.missing:
        lacks = f"{drift.dataset} has no {', '.join(drift.missing)} today"
        raise SettingsError(
            "the query is out of date, so no report was ordered on it",
            why=lacks if drift.offered else f"{drift.dataset} is not offered to this account",
            fix=f"order it by --dataset {drift.dataset}, whose query names the columns of today",
        )
    return _found(query_text, offered)[0]


def _arguments(
    order: Order, *, title: str, dataset: OfferedDataset, window: Window | None, now: datetime
) -> dict[str, Any]:
    return {
        "name": order.name.strip() if order.name is not None else automatic_name(title, now=now),
        "description": order.description,
        "execute_now": order.at_once,
        "window": window,
        "start_at": None if order.at_once else order.start_at or earliest_start(now),
        "recurrence_h": order.every_h,
        "recurrence_count": order.times,
        "minimum_recurrence_h": dataset.minimum_recurrence_h,
        "format": order.format,
        "callback_url": order.callback_url,
        "callback_method": order.callback_method,
    }


def automatic_name(title: str, *, now: datetime) -> str:
    """The name of a report that was given none: what it reads and when it was ordered, as long as names may be."""
    ending = f"_{now:%Y%m%dT%H%M%SZ}"
    return title.replace(";", "_").replace(" ", "_")[: LONGEST_TEXT - len(ending)] + ending


def _or(given: T | None, kept: T) -> T:
    return kept if given is None else given


def _check_removed(change: Change, report: Report) -> None:
    """No document says that an empty text removes a value, so that the reply is believed and not the request."""
    for value, kept, told in (
        (change.callback_url, report.callback_url, "callback address"),
        (change.description, report.description, "description"),
    ):
        if value is not None and not value.strip() and kept:
            raise BulkpullError(
                f"the report {report.report_id} still has its {told}",
                why="the service keeps it where an empty one is sent",
                fix=f"order the report again without a {told}, then: bulkpull reports delete {report.report_id}",
            )


def _found(query_text: str, offered: Sequence[OfferedDataset]) -> list[OfferedDataset]:
    drift = find_query_drift(query_text, offered=offered)
    return [each for each in offered if drift and each.name.casefold() == drift.dataset.casefold()]


def _pull(dataset: str, offered: Sequence[OfferedDataset], *, settings: Settings, window: Window | None) -> Pull:
    plan = make_plan(
        [dataset],
        offered=offered,
        catalog=load_catalog(),
        timespan=settings.timespan,
        window=window,
        metrics=settings.metrics,
    )
    if not plan.pulls:
        missing = plan.unavailable[0]
        raise SettingsError(missing.reason) if missing.failed else NotOffered(missing.reason)
    return plan.pulls[0]


async def _own_query(client: InsightsClient, pull: Pull) -> Query:
    """The query of this tool for all columns of today, stored already or stored now."""
    wanted = normalise(pull.query_text)
    for query in await client.get_queries():
        if is_ours(query) and normalise(query.text) == wanted:
            return query
    return await client.create_query(name=query_name(pull), text=pull.query_text, description=DESCRIPTION)


async def _stored_query(client: InsightsClient, query_id: str) -> Query:
    found = await client.get_queries(query_id=query_id, include_system=True)
    if not found:
        raise QUERIES.not_there(query_id.strip())
    return found[0]
