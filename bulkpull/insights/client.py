"""One async method per call of the Insights API. Creating is not idempotent: see `idempotent_create`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from bulkpull.errors import AccessDenied, ListUnknown, NotConnected, ReportingError, Throttled, TransferError
from bulkpull.event_types import Level, ListOdd, QueryAdopted, QueryDoubled, ReportAdopted, ReportDeleted, ReportDoubled
from bulkpull.formatting import plural
from bulkpull.insights import requests, responses
from bulkpull.insights.definitions import QueryDefinition, ReportChange, ReportDefinition
from bulkpull.insights.error_mapping import GatewayTimeout
from bulkpull.insights.idempotent_create import Created, Creation, Made, SharedLookup, create_once
from bulkpull.insights.requests import Call
from bulkpull.insights.responses import Envelope, IdSpellings, folded, matches, required_names
from bulkpull.insights.session import ApiSession
from bulkpull.model import Execution, OfferedDataset, Query, Report
from bulkpull.transport.http import AnswerOverdue
from bulkpull.transport.pacer import RateLimiter, Urgency

# Executions that nobody asked for come along (behaviour 107).
_SPARE_PAGES = 5


class InsightsClient:
    """
    The Insights API, typed.

    Every method raises, besides what it names: `AuthError` (credentials or role), `AccessDenied` (403), `Throttled`,
    `ServiceTrouble`, `UnexpectedReply`, `NotConnected` and `AnswerLost` after all tries, `TlsRefused`, `UnsafeAddress`.
    """

    def __init__(self, session: ApiSession) -> None:
        self._session, self._clock, self._events = session, session.clock, session.events
        self._lost_queries = SharedLookup(partial(_list_whole, self.get_queries), clock=session.clock)
        self._lost_reports = SharedLookup(partial(_list_whole, self.get_reports), clock=session.clock)
        self._spellings = IdSpellings()
        self.list_notes: tuple[str, ...] = ()
        """What the last list of datasets held that cannot be used, each one sentence."""
        self._listed_ids: set[str] = set()

    @property
    def correlation_id(self) -> str:
        """Sent with every call of this run, for support tickets (behaviour 44)."""
        return self._session.correlation_id

    @property
    def redacted(self) -> bool:
        """Whether any reply of this run said that data is withheld from this role (behaviour 23)."""
        return self._session.redacted

    @property
    def clock_skew_s(self) -> float | None:
        """Seconds by which the service's clock is ahead of ours, as its last Date header says."""
        return self._session.clock_skew_s

    def add_known_ids(self, ids: Iterable[str]) -> None:
        """Keep these spellings of ids of earlier runs: a reply that spells one in another case is read as the same."""
        self._spellings.add(ids)

    def ask_for_mfa(self) -> None:
        """Let every call from now on ask whether its token carries the claim of MFA; see `has_mfa` (behaviour 13)."""
        self._session.asks_for_mfa = True

    @property
    def has_mfa(self) -> bool | None:
        """Whether the token carries the claim of MFA, as the service said last; `None` where it did not say."""
        return self._session.has_mfa

    @property
    def pacer(self) -> RateLimiter:
        """What is known of the service's allowance, and who may call next."""
        return self._session.pacer

    def service_time(self) -> datetime:
        """The service's time if one of its replies carried it; else this machine's."""
        return self._clock.now() + timedelta(seconds=self.clock_skew_s or 0.0)

    async def get_datasets(self, name: str | None = None) -> list[OfferedDataset]:
        """
        What the service offers to this account today; with `name`, that dataset or nothing.

        An entry without a name is left out, and `list_notes` and a warning tell of it. Raises `NotFound` where nothing
        at all is offered. Source: Get All Datasets API; behaviours 27 and 48 to 54.
        """
        call = requests.list_datasets(name)
        pages = await (self._session.pages(call) if name is None else self._session.pages_if_any(call))
        read = [responses.read_dataset(item) for page in pages for item in page.items]
        datasets = [dataset for dataset in read if dataset is not None]
        nameless = len(read) - len(datasets)
        note = f"the service lists {plural(nameless, 'dataset')} without a name, left out"
        self.list_notes = (note,) if nameless else ()
        if nameless:
            self._events.emit(ListOdd(reason=note))
        return [dataset for dataset in datasets if matches(name, dataset.name)]

    async def get_queries(
        self,
        *,
        name: str | None = None,
        query_id: str | None = None,
        include_system: bool = False,
        only_system: bool = False,
        whole: bool = False,
        retry: bool = True,
    ) -> list[Query]:
        """
        Stored queries that match exactly, whatever the filter lets by: the user's own, on demand also the system's.

        A list that is null is unknown, not empty (`ListUnknown`). Who concludes something from what is not listed asks
        for the `whole`, which fails where an entry cannot be read. Filters are not always honoured (74 and 107).
        """
        call = requests.list_queries(
            name=name, query_id=query_id, include_system=include_system, only_system=only_system
        )
        required = required_names(name, whole=whole)
        queries = await self._session.read_list(call, self._read_query, what="queries", required=required, retry=retry)
        self._listed_ids.update(query.query_id for query in queries)
        return [
            query
            for query in queries
            if matches(name, query.name)
            and matches(query_id, query.query_id)
            and (include_system or only_system if query.is_system else not only_system)
        ]

    async def create_query(self, *, name: str, text: str, description: str | None = None) -> Query:
        """
        Store a query; after a doubtful answer the one that it brought is taken (event `query.adopted`).

        What else is there is never taken for it, nor deleted: see `idempotent_create`. Raises `SettingsError` where
        the service would refuse the name (71; nothing was sent), `RequestRejected` where the query is wrong (73), and
        `QuotaExceeded` where too many queries are stored (72).
        """
        definition = QueryDefinition(name=name, text=text, description=description)
        made = await self._create_once(
            requests.create_query(definition),
            name=name,
            read=self._read_query,
            lookup=self._lost_queries,
            id_of=lambda query: query.query_id,
            describes=definition.describes,
        )
        if made.duplicates is not None:
            self._events.emit(QueryAdopted(query_id=made.one.query_id))
        for duplicate in made.duplicates or ():
            # Another machine may have stored the same query at the same time, and use it.
            self._events.emit(QueryDoubled(query_id=duplicate.query_id))
        return made.one

    async def delete_query(self, query_id: str, *, optional: bool = False, tidying: bool = False) -> None:
        """
        Delete a user's own query; `NotFound` where there is none, except after a doubtful answer (behaviour 75).

        What is `optional` a later run can do as well: it is not tried again after a 429. For `tidying` nobody waits: it
        goes only while nobody else needs the allowance; optional as well.
        """
        await self._session.delete(_clean_up(requests.delete("query", query_id), optional=optional, tidying=tidying))

    async def test_query(
        self,
        *,
        query_id: str | None = None,
        text: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> list[dict[str, Any]] | None:
        """
        The first rows of a query, at most 100, as column → value; exactly one of `query_id` and `text`.

        `None` when the service needed too long, which says nothing against the query (behaviours 69, 78 and 79).
        `SettingsError` where the window `[start, end)` is empty, or the text is too long for an address.
        """
        call = requests.preview_query(query_id=query_id, text=text, start=start, end=end)

        async def ask() -> Envelope | None:
            try:
                return await self._session.send(call)
            except (AnswerOverdue, GatewayTimeout):
                return None

        envelope = await self._session.run_with_retry(ask, of=call)
        return None if envelope is None else [dict(item) for item in envelope.items]

    async def create_report(
        self, definition: ReportDefinition | None = None, *, name_is_unique: bool = False, **fields: Any
    ) -> Report:
        """
        Create a report; after a doubtful answer the one that it brought is taken (event `report.adopted`).

        What else is there is never taken for it: see `idempotent_create`. `definition`, or its attributes by keyword,
        is what is created. With `name_is_unique` no other request uses this name, whoever sends it, so that a second
        report of that name is a spare, to be deleted. Raises `SettingsError` where the service would refuse or ignore a
        part of it (nothing was sent), `RequestRejected` where it refuses it, for example an unknown query, and
        `QuotaExceeded` of one-off (85) or of active reports (86).
        """
        wanted = definition or ReportDefinition(**fields)
        made = await self._create_once(
            requests.create_report(wanted, now=self.service_time()),
            name=wanted.name,
            read=self._read_report,
            lookup=self._lost_reports,
            id_of=lambda report: report.report_id,
            describes=wanted.describes,
            name_is_unique=name_is_unique,
        )
        if made.duplicates is not None:
            self._events.emit(ReportAdopted(report_id=made.one.report_id))
        for duplicate in made.duplicates or ():
            if not name_is_unique:
                self._events.emit(ReportDoubled(report_id=duplicate.report_id))
                continue
            with suppress(ReportingError, TransferError):  # its failure must not fail the dataset
                await self.delete_report(duplicate.report_id, optional=True)
                self._events.emit(ReportDeleted(report_id=duplicate.report_id, level=Level.WARNING))
        return made.one

    async def get_reports(
        self,
        *,
        report_id: str | None = None,
        name: str | None = None,
        query_id: str | None = None,
        tidying: bool = False,
        whole: bool = False,
        retry: bool = True,
    ) -> list[Report]:
        """
        The user's reports that match exactly, whatever the filter lets by.

        A list that is null is unknown, not empty (`ListUnknown`). `tidying` is as for `delete_query`, `whole` and
        `retry` are as for `get_queries`. Behaviours 28 and 92.
        """
        call = requests.list_reports(report_id=report_id, name=name, query_id=query_id)
        required = required_names(name, whole=whole)
        reports = await self._read_reports(_clean_up(call, tidying=tidying), required=required, retry=retry)
        return [
            report
            for report in reports
            if matches(report_id, report.report_id)
            and matches(name, report.name)
            and matches(query_id, report.query_id)
        ]

    async def list_reports(self, *, is_ours: Callable[[str], bool] = lambda _: False) -> list[Report] | None:
        """
        All reports of this user; `None` where the service does not tell them.

        A role may be refused the list, and the list may be null: unknown is not none. Neither is a report without an
        id whose name is one of ours (`is_ours`).
        """
        call = requests.list_reports(report_id=None, name=None, query_id=None)
        try:
            return await self._read_reports(call, required=is_ours)
        except (AccessDenied, ListUnknown):
            return None

    async def update_report(self, report_id: str, change: ReportChange | None = None, **fields: Any) -> Report:
        """
        Change a scheduled report; its query cannot be changed. `change`, or its attributes by keyword, is what changes.

        Raises `SettingsError` where the service would refuse a part of it (nothing was sent), and `NotFound` or
        `RequestRejected` where there is no such report, or it is a one-off one (behaviours 91 and 95).
        """
        call = requests.update_report(report_id, change or ReportChange(**fields), now=self.service_time())
        envelope = await self._session.send_with_retry(call)
        return self._read_report(responses.single_item(envelope, operation=call.operation))

    async def pause_report(self, report_id: str) -> Report | None:
        """Stop a report's schedule; the report as it is now, `None` where the reply is empty (behaviour 96)."""
        return await self._switch(requests.switch_report(report_id, "pause"))

    async def resume_report(self, report_id: str) -> Report | None:
        """Let a paused report run again; as `pause_report`."""
        return await self._switch(requests.switch_report(report_id, "resume"))

    async def delete_report(self, report_id: str, *, optional: bool = False, tidying: bool = False) -> None:
        """
        Delete a report, its execution records and its stored files (behaviour 97): fetch the file first.

        `optional`, `tidying` and what is raised are as for `delete_query`.
        """
        await self._session.delete(_clean_up(requests.delete("report", report_id), optional=optional, tidying=tidying))

    async def get_executions(
        self,
        report_ids: Sequence[str],
        *,
        statuses: Sequence[str] | None,
        latest: bool = True,
        execution_ids: Sequence[str] | None = None,
        retry: bool = True,
    ) -> list[Execution]:
        """
        The executions of several reports, in as few calls as addresses allow.

        A report that is missing has none yet (behaviours 102, 105, 108). `statuses` are asked for as one filter, whose
        default is Completed alone, and others may come back all the same (103). Without `latest` come those of the last
        90 days (111). A poller that asks again anyway sets no `retry`, and lets others go first where calls are scarce.
        `RequestRejected` comes also when the service does not take the form joined by `;` (107).
        """
        self._spellings.add((*report_ids, *(execution_ids or ())))
        calls = requests.list_executions(
            report_ids,
            statuses=statuses,
            latest=latest,
            execution_ids=execution_ids,
            api_base_url=self._session.api_base_url,
        )
        urgency = Urgency.USUAL if retry else Urgency.LOOK
        # The latest executions are one a report: where each stands on a page of its own, there are as many pages.
        most_pages = len(report_ids) + _SPARE_PAGES if latest else None
        found: list[Execution] = []
        for call in calls:
            ranked = replace(call, urgency=urgency)
            for page in await self._session.pages_if_any(ranked, retry=retry, most_pages=most_pages):
                read = partial(responses.read_execution, data_redacted=page.data_redacted, now=self.service_time())
                found += map(self._spellings.apply, self._session.read_items(page.items, read, what="executions"))
        reports, executions = folded(report_ids), folded(execution_ids or ())
        return [
            execution
            for execution in found
            if execution.report_id.casefold() in reports
            and (not executions or execution.execution_id.casefold() in executions)
        ]

    async def _read_reports(self, call: Call, *, required: Callable[[str], bool], retry: bool = True) -> list[Report]:
        reports = await self._session.read_list(call, self._read_report, what="reports", required=required, retry=retry)
        self._listed_ids.update(report.report_id for report in reports)
        return reports

    async def _switch(self, call: Call) -> Report | None:
        envelope = await self._session.send_with_retry(call)
        return self._read_report(envelope.items[0]) if envelope.items else None

    def _read_query(self, item: Mapping[str, Any]) -> Query:
        return self._spellings.apply(responses.read_query(item))

    def _read_report(self, item: Mapping[str, Any]) -> Report:
        return self._spellings.apply(responses.read_report(item))

    async def _create_once(
        self,
        call: Call,
        *,
        name: str,
        read: Callable[[Mapping[str, Any]], Made],
        lookup: SharedLookup[Made],
        id_of: Callable[[Made], str],
        describes: Callable[[Made], bool],
        name_is_unique: bool = False,
    ) -> Created[Made]:
        creation = Creation.at(
            self._clock.now(), skew_s=self.clock_skew_s, known_ids=self._listed_ids, name_is_unique=name_is_unique
        )

        async def make() -> Made:
            return read(responses.single_item(await self._session.send_with_retry(call), operation=call.operation))

        async def find() -> list[Made]:
            return [
                candidate
                for candidate in await lookup.find(name)
                if creation.may_have_brought(id_of(candidate), candidate.created_at) and describes(candidate)
            ]

        retrier = self._session.retrier
        created = await create_once(make, find=find, endpoint=call.endpoint, retrier=retrier, clock=self._clock)
        self._listed_ids.add(id_of(created.one))
        return created


def _clean_up(call: Call, *, optional: bool = False, tidying: bool) -> Call:
    return replace(call, optional=optional or tidying, urgency=Urgency.TIDYING if tidying else call.urgency)


async def _list_whole(list_named: Callable[..., Awaitable[list[Made]]], name: str | None) -> list[Made]:
    # Where the network is gone, or the service sends calls away (429), it is listed after a wait: nothing was answered.
    try:
        return await list_named(name=name, whole=True, retry=False)
    except (NotConnected, Throttled):
        return await list_named(name=name, whole=True)
