"""What is asked of a run, and the plan that comes of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bulkpull.catalog import load_catalog
from bulkpull.clock import Clock, SystemClock, iso_utc
from bulkpull.errors import AuthError
from bulkpull.events import Events
from bulkpull.journey.plan import Plan, check_names, make_plan
from bulkpull.model import Window
from bulkpull.reporting.azure import AzureCredential
from bulkpull.reporting.client import ReportingClient
from bulkpull.reporting.connect import Connection, connected
from bulkpull.reporting.signin import choose_grant
from bulkpull.selection import Selection
from bulkpull.settings import Settings


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """
    What is asked of a run.

    Attributes:
        datasets: Names or aliases; empty for the twenty of the catalog.
        selections: What is pulled under names of its own, besides.
        only_selections: Nothing but them, also when `datasets` is empty.
        window: Days beyond what a TIMESPAN can say; `None` for the query's own span.
        open_ended: The window ends now because no end was given; the same request a minute later is the same.
        everything: All that the service lists, beyond the twenty.
    """

    datasets: tuple[str, ...] = ()
    window: Window | None = None
    open_ended: bool = False
    everything: bool = False
    selections: tuple[Selection, ...] = ()
    only_selections: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """What is asked for, by name: datasets, those of the catalog where none is named, and selections."""
        datasets = self.datasets
        if not datasets and not self.only_selections:
            datasets = tuple(dataset.name for dataset in load_catalog().standard)
        return (*datasets, *(selection.name for selection in self.selections))

    def as_key(self, settings: Settings) -> dict[str, Any]:
        """What has to be equal for a later run to carry this one on."""
        return {
            "datasets": sorted(name.strip().casefold() for name in self.datasets),
            "since": iso_utc(self.window.start) if self.window else None,
            "until": iso_utc(self.window.end) if self.window and not self.open_ended else None,
            "everything": self.everything,
            "selections": [each.as_key() for each in sorted(self.selections, key=lambda each: each.name)],
            "only_selections": self.only_selections,
            "timespan": settings.timespan,
            "api_base_url": settings.api_base_url,
        }


async def plan_export(
    request: ExportRequest,
    *,
    settings: Settings,
    events: Events,
    clock: Clock | None = None,
    credential: AzureCredential | None = None,
) -> Plan:
    """
    Say what an export would do, with reads only.

    Raises:
        SettingsError: A dataset's name is known neither to the catalog nor to the service.
        AuthError, ReportingError, TransferError: The service could not be asked.
    """
    if credential is None:
        await check_before_asking(request, settings=settings)
    async with connected(
        settings=settings, events=events, clock=clock or SystemClock(), credential=credential
    ) as connection:
        return await plan_on(request, connection, settings=settings)


async def plan_on(request: ExportRequest, connection: Connection, *, settings: Settings) -> Plan:
    """The plan for a request, from what the service lists now; raises as `plan_export`."""
    client = connection.client
    return make_plan(
        request.datasets,
        offered=await client.get_datasets(),
        catalog=load_catalog(),
        queries=[query.name for query in settings.queries],
        timespan=settings.timespan,
        window=request.window,
        everything=request.everything,
        selections=request.selections,
        only_selections=request.only_selections,
        system_texts=await _system_texts(request.selections, client),
    )


async def _system_texts(selections: Iterable[Selection], client: ReportingClient) -> dict[str, str]:
    """The text of each system query that a selection names; what is not stored is left out."""
    texts: dict[str, str] = {}
    for query_id in dict.fromkeys(each.system_query for each in selections if each.system_query):
        for query in await client.get_queries(query_id=query_id, include_system=True):
            texts[query_id] = query.text
    return texts


def asked_for(
    names: Sequence[str], *, settings: Settings, selections: Sequence[Selection] = (), **rest: Any
) -> ExportRequest:
    """
    The request that names datasets and named queries alike.

    Without any name, and without `selections`, everything usual is asked for: the twenty and the named queries of the
    settings.

    Args:
        selections: What is asked for besides, under names of its own.
        rest: The other attributes of the request.
    """
    queries = {query.name.casefold(): query for query in settings.queries}
    if not names and not selections:
        return ExportRequest(selections=settings.queries, **rest)
    chosen = {each.name: each for each in selections}
    datasets: list[str] = []
    for name in names:
        query = queries.get(name.strip().casefold())
        if query is None:
            datasets.append(name)
        else:
            chosen.setdefault(query.name, query)
    return ExportRequest(tuple(datasets), selections=tuple(chosen.values()), only_selections=not datasets, **rest)


async def check_before_asking(request: ExportRequest, *, settings: Settings) -> None:
    """
    Refuse what can be refused without the service.

    Raises:
        SettingsError: Credentials are missing, so the service cannot be asked, and a name is misspelled besides: that
            is still the better message.
        AuthError: Credentials are missing.
    """
    try:
        await choose_grant(settings)
    except AuthError:
        check_names(request.datasets, catalog=load_catalog(), queries=[query.name for query in settings.queries])
        raise
