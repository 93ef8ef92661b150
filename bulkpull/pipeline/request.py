"""The request of a run, what the service offers for it, and all else that its plan follows from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from bulkpull.catalog import load_catalog
from bulkpull.clock import iso_utc
from bulkpull.config.settings import Settings
from bulkpull.custom_query import Selection
from bulkpull.errors import NotFound, SettingsError
from bulkpull.formatting import join_some
from bulkpull.insights.client import InsightsClient
from bulkpull.model import OfferedDataset, Window
from bulkpull.output.manifest import DatasetRecord
from bulkpull.pipeline.steps.metric_refusals import MetricRefusal

# Kept in the ledger under these names.
_FLAGS = ("everything", "only_selections", "nightly", "reset_types")
_SETTINGS = ("timespan", "metrics", "api_base_url", "keep_raw", "keep_reports")


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """
    The request of a run.

    Attributes:
        datasets: Names or aliases; empty for the twenty of the catalog.
        window: Days beyond what a TIMESPAN can say; `None` for the query's own span.
        open_ended: The window ends now because no end was given; the same request a minute later is the same.
        everything: All that the service lists, beyond the twenty.
        selections: Custom queries, published under their own names.
        only_selections: No other dataset is requested, even if `datasets` is empty.
        nightly: With scheduled reports: new data are fetched, other datasets are skipped.
        submit_only: Create the reports and end; a later run collects them.
        reset_types: Infer the column types again from today's values, for columns that became text.
    """

    datasets: tuple[str, ...] = ()
    window: Window | None = None
    open_ended: bool = False
    everything: bool = False
    selections: tuple[Selection, ...] = ()
    only_selections: bool = False
    nightly: bool = False
    submit_only: bool = False
    reset_types: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The requested names: datasets (those of the catalog if none is named) and custom queries."""
        datasets = self.datasets
        if not datasets and not self.only_selections:
            datasets = tuple(dataset.name for dataset in load_catalog().standard)
        return (*datasets, *(selection.name for selection in self.selections))

    @classmethod
    def of_run(cls, request: Mapping[str, Any]) -> ExportRequest:
        """The request of a run in the ledger. An open end stays where it was: reports were created for that window."""
        window = None
        if request.get("since"):
            window = Window(datetime.fromisoformat(request["since"]), datetime.fromisoformat(request["window_end"]))
        return cls(
            tuple(request.get("datasets", ())),
            window=window,
            open_ended=window is not None and not request.get("until"),
            selections=tuple(Selection(**key) for key in request.get("selections", ())),
            **{flag: bool(request.get(flag)) for flag in _FLAGS},
        )

    def continued_from(self, earlier: Mapping[str, Any]) -> ExportRequest:
        """The request with the window of the run that it resumes: that run created reports for it."""
        return replace(self, window=self.window and ExportRequest.of_run(earlier).window)

    def as_key(self, settings: Settings) -> dict[str, Any]:
        """The values that must be equal for a later run to resume this one."""
        by_name = sorted(self.selections, key=lambda selection: selection.name)
        key = {
            "datasets": sorted(name.strip().casefold() for name in self.datasets),
            "since": iso_utc(self.window.start) if self.window else None,
            "until": iso_utc(self.window.end) if self.window and not self.open_ended else None,
            "selections": [selection.as_key() for selection in by_name],
        }
        flags = {flag: getattr(self, flag) for flag in _FLAGS}
        return key | flags | {name: getattr(settings, name) for name in _SETTINGS}


def is_same_request(request: Mapping[str, Any], key: Mapping[str, Any]) -> bool:
    """Whether a run in the ledger had the request `key`; what an older version did not note was not asked for."""
    names = (request.keys() | key.keys()) - {"window_end", "account", "keep_reports"}
    return all((request.get(name) or None) == (key.get(name) or None) for name in names)


def create_request(
    names: Sequence[str], *, settings: Settings, selections: Sequence[Selection] = (), **rest: Any
) -> ExportRequest:
    """The request for names of datasets and of named queries; without any, for the twenty and all named queries."""
    if not names and not selections:
        return ExportRequest(selections=settings.queries, **rest)
    if rest.get("everything"):
        given = join_some([*names, *(selection.name for selection in selections)])
        raise SettingsError(
            f"all datasets are requested, and {given} by name", fix="give names, or --all (`everything` in Python)"
        )
    queries = {query.name.casefold(): query for query in settings.queries}
    chosen = {selection.name: selection for selection in selections}
    datasets: list[str] = []
    for name in names:
        query = queries.get(name.strip().casefold())
        if query is None:
            datasets.append(name)
        else:
            chosen.setdefault(query.name, query)
    return ExportRequest(tuple(datasets), selections=tuple(chosen.values()), only_selections=not datasets, **rest)


@dataclass(frozen=True, slots=True)
class ServiceOffer:
    """
    What the service offers today, as far as a request needs it; `notes` are oddities of its list, one sentence each.

    Attributes:
        system_texts: The text of each system query that a custom query names, by its id; unknown ones are left out.
        is_list_found: Not after a 404, which means an account without datasets, or a wrong address.
    """

    datasets: tuple[OfferedDataset, ...]
    system_texts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    is_list_found: bool = True


async def load_offer(request: ExportRequest, client: InsightsClient) -> ServiceOffer:
    """Ask the service what it offers."""
    datasets: list[OfferedDataset] = []
    is_list_found = True
    try:
        datasets = await client.get_datasets()
    except NotFound:
        is_list_found = False
    texts: dict[str, str] = {}
    for query_id in {selection.system_query: None for selection in request.selections if selection.system_query}:
        for query in await client.get_queries(query_id=query_id, include_system=True):
            texts[query_id] = query.text
    return ServiceOffer(tuple(datasets), texts, client.list_notes, is_list_found)


@dataclass(frozen=True, slots=True)
class PlanInputs:
    """
    Everything that a plan follows from.

    Attributes:
        now: End of the window of a history that is requested without a window; `None` leaves it open.
        refusals: Recent refusals of metrics: their datasets are requested without these metrics.
        published: The current snapshots of the folder, by dataset.
    """

    request: ExportRequest
    offer: ServiceOffer
    settings: Settings
    now: datetime | None = None
    refusals: tuple[MetricRefusal, ...] = ()
    published: Mapping[str, DatasetRecord] = field(default_factory=dict)
