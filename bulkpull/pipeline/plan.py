"""
Plans a run: from the requested datasets and the service's list, the pulls, and for other datasets the reason (pure).

Columns and metrics come from the service's current list, never from an earlier one (behaviour 54). The query names
every column, because there is no `SELECT *` (59), then the amounts, which are listed as metrics only (159), and never
says DISTINCT (64).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

from bulkpull.catalog import Catalog, CatalogDataset
from bulkpull.custom_query import Selection
from bulkpull.errors import BulkpullError, SettingsError
from bulkpull.metrics import MetricsChoice, select_metrics
from bulkpull.model import OfferedDataset, Pull, Window
from bulkpull.pipeline.metric_refusals import MetricRefusals, without_refused
from bulkpull.pipeline.plan_custom_query import NotListed, odd_column_note, odd_metric_note, select_pull
from bulkpull.pipeline.time_column import window_instead_of, with_usable_window
from bulkpull.pipeline.timespan import check_timespan, choose_timespan
from bulkpull.query.names import can_stand_in_query, unique_names
from bulkpull.redact import printable
from bulkpull.suggestions import nearest, nearest_names

# A dataset's name is used as a folder name, so other names are refused.
_SAFE_DATASET = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,119}")
_NAME_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Unavailable:
    """
    A requested dataset or custom query that this run cannot pull.

    Attributes:
        named: Whether the user named it, in which case the run does not count as complete.
        failed: It is offered, but not in the way that the settings ask for.
        error: The error of a custom query, or of a list without a published dataset.
        source: The dataset that a custom query reads.
    """

    dataset: str
    reason: str
    named: bool
    failed: bool = False
    error: BulkpullError | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """
    The pulls of a run, datasets in catalog order and then custom queries, and what is unavailable.

    Attributes:
        notes: Oddities of the service's list, one sentence each.
    """

    pulls: tuple[Pull, ...]
    unavailable: tuple[Unavailable, ...] = ()
    notes: tuple[str, ...] = ()


def make_plan(
    names: Sequence[str],
    *,
    offered: Sequence[OfferedDataset],
    catalog: Catalog,
    queries: Sequence[str] = (),
    timespan: str | None = None,
    window: Window | None = None,
    everything: bool = False,
    selections: Sequence[Selection] = (),
    only_selections: bool = False,
    system_texts: Mapping[str, str] | None = None,
    metrics: MetricsChoice = "amounts",
    refusals: MetricRefusals = MetricRefusals(),  # noqa: B008 - frozen
    history_starts: Mapping[str, datetime] = MappingProxyType({}),
    now: datetime | None = None,
) -> Plan:
    """
    Decide what to pull.

    Args:
        names: Datasets by name or alias, in any case; empty for the twenty of the catalog.
        offered: What the service lists.
        queries: The named queries of the settings, one of which a misspelled name may mean.
        timespan: A TIMESPAN name, `widest`, or `None` for the widest up to the catalog's default.
        window: Days to ask for beyond what a TIMESPAN can say.
        everything: All that the service lists, beyond the twenty.
        selections: Custom queries, published under their own names.
        only_selections: Nothing but them.
        system_texts: The text of each system query that a selection names, by its id.
        metrics: Which metrics a full export selects.
        refusals: Recent refusals of metrics: their datasets are requested without these metrics.
        history_starts: Where the published histories begin, by the names of their selections.
        now: End of the window of a history that is requested without a window.

    Raises:
        SettingsError: A name or a time span is known neither to the catalog nor to the service; or only selections are
            wanted and none of them can be pulled. A selection that is wrong harms no other pull.
    """
    listed, notes = _by_canonical_name(offered, catalog=catalog)
    if listed:
        check_timespan(timespan, ranges=[dataset.date_ranges for dataset in offered], documented=catalog.timespans)
    wanted = (
        []
        if only_selections
        else _wanted(names, listed=listed, catalog=catalog, queries=queries, everything=everything)
    )
    pulls: list[Pull] = []
    unavailable: list[Unavailable] = []
    asked = _PlanOptions(catalog=catalog, timespan=timespan, window=window, metrics=metrics, refusals=refusals)
    for dataset in wanted:
        planned = _plan_dataset(dataset, listed, asked=asked, named=bool(names))
        if isinstance(planned, Pull):
            pulls.append(planned)
        else:
            unavailable.append(planned)
    for selection in selections:
        try:
            pull = select_pull(
                selection,
                named=only_selections or bool(names),
                listed=listed,
                catalog=catalog,
                timespan=timespan,
                window=window,
                system_text=(system_texts or {}).get(selection.system_query or ""),
                metrics=metrics,
                refusals=refusals,
                history_start=history_starts.get(selection.name),
                now=now,
            )
        except SettingsError as error:
            reason, failed = error.within(selection.name).reason, not isinstance(error, NotListed)
            unavailable.append(
                Unavailable(selection.name, reason, named=True, failed=failed, error=error, source=selection.reads)
            )
        else:
            pulls.append(pull)
    wrong = [entry.error for entry in unavailable if entry.error and entry.failed]
    if only_selections and wrong and not pulls:
        raise wrong[0]
    return Plan(tuple(pulls), tuple(unavailable), notes)


def check_names(names: Iterable[str], *, catalog: Catalog, queries: Sequence[str] = ()) -> None:
    """
    Refuse names that the catalog does not know, where the service cannot be asked about them.

    Args:
        queries: The named queries of the settings, which are known as well.

    Raises:
        SettingsError: With the nearest known name.
    """
    ours = {query.casefold() for query in queries}
    for name in names:
        if catalog.find(name) is None and name.strip().casefold() not in ours:
            raise _unknown(name, known=[*(dataset.name for dataset in catalog.datasets), *queries])


def check_selections(selections: Iterable[Selection], *, catalog: Catalog, timespan: str | None) -> None:
    """
    Refuse selections that the documents know to be wrong, where the service cannot be asked about them.

    Every name that a dataset has or had in any edition counts as there. System queries are left alone.

    Raises:
        SettingsError: As `make_plan` raises for one of them.
    """
    documented = [
        OfferedDataset(
            name=dataset.name,
            columns=dataset.every_column_name,
            metrics=tuple(metric.name for metric in (*dataset.metrics, *dataset.further_metrics)),
            date_ranges=(*dataset.date_ranges, *dataset.further_date_ranges),
        )
        for dataset in catalog.datasets
    ]
    own = [selection for selection in selections if selection.system_query is None]
    for selection in own:
        make_plan(
            (), offered=documented, catalog=catalog, timespan=timespan, selections=[selection], only_selections=True
        )


def query_text(dataset: str, columns: Sequence[str], *, timespan: str | None) -> str:
    """The query that selects `columns`, in their order."""
    text = f"SELECT {', '.join(columns)} FROM {dataset}"  # noqa: S608 - no database: names are checked in `_pull`
    return f"{text} TIMESPAN {timespan}" if timespan else text


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlanOptions:
    """Options for all whole datasets; the attributes are those of `make_plan`."""

    catalog: Catalog
    timespan: str | None
    window: Window | None
    metrics: MetricsChoice
    refusals: MetricRefusals


def _plan_dataset(
    dataset: str, listed: Mapping[str, OfferedDataset], *, asked: _PlanOptions, named: bool
) -> Pull | Unavailable:
    offered = listed.get(dataset)
    if offered is None:
        return Unavailable(dataset, _not_offered(dataset, listed=listed), named=named)
    if not offered.columns:
        reason = f"{dataset}: the service lists it without selectable columns, so there is nothing to export"
        return Unavailable(dataset, reason, named=named)
    try:
        pull = with_usable_window(_pull(dataset, offered, asked=asked), catalog=asked.catalog, named=named)
        if asked.window is None or asked.timespan is None:
            return pull
        if pull.window is not None:
            return replace(pull, notes=(*pull.notes, window_instead_of(asked.timespan)))
        return replace(_pull(dataset, offered, asked=replace(asked, window=None)), notes=pull.notes)
    except BulkpullError as error:
        return Unavailable(dataset, error.reason, named=named, failed=True)


def _pull(dataset: str, offered: OfferedDataset, *, asked: _PlanOptions) -> Pull:
    listed = unique_names(offered.columns)
    columns = tuple(filter(can_stand_in_query, listed))
    if not columns or not can_stand_in_query(offered.name):
        odd = listed[0] if can_stand_in_query(offered.name) else offered.name
        raise SettingsError(
            f"{dataset}: the service lists the name {odd[:_NAME_SHOWN]!r}, which a query cannot carry",
            fix="export the other datasets by name and report this to the service's support",
        )
    try:
        # A window takes the place of the span; where it is ignored, a short span would hide that.
        span_asked = asked.timespan if asked.window is None else None
        span, wider = choose_timespan(offered.date_ranges, asked=span_asked, default=asked.catalog.default_timespan)
    except SettingsError as error:
        raise SettingsError(f"{dataset}: {error.what}", fix=error.fix) from None
    choice = select_metrics(offered, known=asked.catalog.find(dataset), choice=asked.metrics)
    odd_names = tuple(name for name in listed if name not in columns)
    pull = Pull(
        dataset=dataset,
        offered=offered,
        columns=(*columns, *choice.selected),
        query_text=query_text(offered.name, (*columns, *choice.selected), timespan=span),
        window=asked.window,
        timespan=span,
        wider_timespan=wider,
        metrics=choice.selected,
        metrics_left_out=choice.left_out,
        metrics_choice=asked.metrics,
        columns_left_out=odd_names,
        notes=(*map(odd_column_note, odd_names), *map(odd_metric_note, choice.not_queryable)),
    )
    return without_refused(pull, asked.refusals)


def _by_canonical_name(
    offered: Sequence[OfferedDataset], *, catalog: Catalog
) -> tuple[dict[str, OfferedDataset], tuple[str, ...]]:
    """The listed datasets by canonical name, and notes about entries that cannot be used."""
    listed: dict[str, OfferedDataset] = {}
    notes: list[str] = []
    for dataset in offered:
        known: CatalogDataset | None = catalog.find(dataset.name)
        name = known.name if known else dataset.name
        if not _SAFE_DATASET.fullmatch(name):
            notes.append(
                f"the service lists a dataset named {printable(name, most=_NAME_SHOWN)!r}, which is left out: "
                "a dataset's name has to begin with a letter and go on with letters, digits, - and _"
            )
            continue
        # Listed under its own name and an alias of another edition: its own name wins.
        if name not in listed or dataset.name == name:
            listed[name] = dataset
    return listed, tuple(notes)


def _wanted(
    names: Sequence[str],
    *,
    listed: dict[str, OfferedDataset],
    catalog: Catalog,
    queries: Sequence[str],
    everything: bool,
) -> list[str]:
    if not names:
        standard = [dataset.name for dataset in catalog.standard]
        return standard + [name for name in listed if everything and name not in standard]
    folded = {name.casefold(): name for name in listed}
    wanted: list[str] = []
    for name in names:
        known = catalog.find(name)
        canonical = known.name if known else folded.get(name.strip().casefold())
        if canonical is None:
            raise _unknown(name, known=[*(dataset.name for dataset in catalog.datasets), *listed, *queries])
        if canonical not in wanted:
            wanted.append(canonical)
    return wanted


def _unknown(name: str, *, known: Sequence[str]) -> SettingsError:
    near = nearest(name, known)
    hint = f"did you mean {near}? " if near else ""
    return SettingsError(
        f"unknown dataset {name.strip()!r}",
        why="no known dataset has that name or alias",
        fix=f"{hint}`bulkpull datasets` shows the names",
    )


def _not_offered(dataset: str, *, listed: Mapping[str, OfferedDataset]) -> str:
    near = nearest_names(dataset, listed, n=2, cutoff=0.5)
    hint = f"; nearest on offer: {', '.join(near)}" if near else ""
    return (
        f"{dataset}: not offered to this account by the service{hint}; "
        "`bulkpull datasets` shows what is offered, which depends on the account's programs and role"
    )
