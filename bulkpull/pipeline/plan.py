"""
Plans a run: from the requested datasets and the service's list, the pulls, and for other datasets the reason (pure).

Columns and metrics come from the service's current list, never from an earlier one (behaviour 54). The query names
every column, because there is no `SELECT *` (59), then the amounts, which are listed as metrics only (159), and never
says DISTINCT (64).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bulkpull.catalog import Catalog
from bulkpull.custom_query import Selection
from bulkpull.errors import BulkpullError, SettingsError
from bulkpull.metric_selection import select_metrics
from bulkpull.model import OfferedDataset, Pull
from bulkpull.pipeline.plan_custom_query import NotListed, left_out_notes, select_pull, split_columns
from bulkpull.pipeline.plan_names import (
    NAME_SHOWN,
    PlanOptions,
    by_canonical_name,
    not_offered_reason,
    requested_datasets,
)
from bulkpull.pipeline.steps.metric_refusals import without_refused
from bulkpull.pipeline.windows.date_windows import window_instead_of, with_usable_window
from bulkpull.query.render import can_stand_in_query
from bulkpull.timespans import check_timespan, choose_timespan


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
    """The pulls of a run, datasets in catalog order and then custom queries; `notes` are oddities of the list."""

    pulls: tuple[Pull, ...]
    unavailable: tuple[Unavailable, ...] = ()
    notes: tuple[str, ...] = ()


def make_plan(names: Sequence[str], *, offered: Sequence[OfferedDataset], options: PlanOptions) -> Plan:
    """
    Decide what to pull.

    Args:
        names: Datasets by name or alias, in any case; empty for the twenty of the catalog.

    Raises:
        SettingsError: A name or a time span is known neither to the catalog nor to the service; or only selections are
            wanted and none of them can be pulled. A selection that is wrong harms no other pull.
    """
    listed, notes = by_canonical_name(offered, catalog=options.catalog)
    if listed:
        ranges = [dataset.date_ranges for dataset in offered]
        check_timespan(options.timespan, ranges=ranges, documented=options.catalog.timespans)
    datasets = [] if options.only_selections else requested_datasets(names, listed=listed, options=options)
    planned = [_plan_dataset(dataset, listed, options=options, named=bool(names)) for dataset in datasets]
    for selection in options.selections:
        try:
            named = options.only_selections or bool(names)
            planned.append(select_pull(selection, listed=listed, options=options, named=named))
        except SettingsError as error:
            reason, failed = error.within(selection.name).reason, not isinstance(error, NotListed)
            planned.append(
                Unavailable(selection.name, reason, named=True, failed=failed, error=error, source=selection.reads)
            )
    pulls = tuple(entry for entry in planned if isinstance(entry, Pull))
    unavailable = tuple(entry for entry in planned if isinstance(entry, Unavailable))
    wrong = [entry.error for entry in unavailable if entry.error and entry.failed]
    if options.only_selections and wrong and not pulls:
        raise wrong[0]
    return Plan(pulls, unavailable, notes)


def check_selections(selections: Iterable[Selection], *, catalog: Catalog, timespan: str | None) -> None:
    """
    Refuse selections that the documents know to be wrong, as `make_plan` does, where the service cannot be asked.

    Every name that a dataset has or had in any edition counts as there. System queries are left alone.
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
    for selection in selections:
        if selection.system_query is None:
            options = PlanOptions(catalog=catalog, timespan=timespan, selections=[selection], only_selections=True)
            make_plan((), offered=documented, options=options)


def query_text(dataset: str, columns: Sequence[str], *, timespan: str | None) -> str:
    """The query that selects `columns`, in their order."""
    text = f"SELECT {', '.join(columns)} FROM {dataset}"  # noqa: S608 - no database: names are checked in `_pull`
    return f"{text} TIMESPAN {timespan}" if timespan else text


def _plan_dataset(
    dataset: str, listed: Mapping[str, OfferedDataset], *, options: PlanOptions, named: bool
) -> Pull | Unavailable:
    offered = listed.get(dataset)
    if offered is None:
        return Unavailable(dataset, not_offered_reason(dataset, listed=listed), named=named)
    if not offered.columns:
        reason = f"{dataset}: the service lists it without selectable columns, so there is nothing to export"
        return Unavailable(dataset, reason, named=named)
    try:
        pull = with_usable_window(_pull(dataset, offered, options=options), catalog=options.catalog, named=named)
        if options.window is None or options.timespan is None:
            return pull
        if pull.window is not None:
            return replace(pull, notes=(*pull.notes, window_instead_of(options.timespan)))
        return replace(_pull(dataset, offered, options=replace(options, window=None)), notes=pull.notes)
    except BulkpullError as error:
        return Unavailable(dataset, error.reason, named=named, failed=True)


def _pull(dataset: str, offered: OfferedDataset, *, options: PlanOptions) -> Pull:
    columns, odd_names = split_columns(offered)
    if not columns or not can_stand_in_query(offered.name):
        odd = odd_names[0] if can_stand_in_query(offered.name) else offered.name
        raise SettingsError(
            f"{dataset}: the service lists the name {odd[:NAME_SHOWN]!r}, which a query cannot carry",
            fix="export the other datasets by name and report this to the service's support",
        )
    try:
        # A window takes the place of the span; where it is ignored, a short span would hide that.
        span_requested = options.timespan if options.window is None else None
        span, wider = choose_timespan(
            offered.date_ranges, asked=span_requested, default=options.catalog.default_timespan
        )
    except SettingsError as error:
        raise SettingsError(f"{dataset}: {error.what}", fix=error.fix) from None
    choice = select_metrics(offered, known=options.catalog.find(dataset), choice=options.metrics)
    selected = (*columns, *choice.selected)
    pull = Pull(
        dataset=dataset,
        offered=offered,
        columns=selected,
        query_text=query_text(offered.name, selected, timespan=span),
        window=options.window,
        timespan=span,
        wider_timespan=wider,
        metrics=choice.selected,
        metrics_left_out=choice.left_out,
        metrics_choice=options.metrics,
        columns_left_out=odd_names,
        notes=left_out_notes(columns=odd_names, metrics=choice.not_queryable),
    )
    return without_refused(pull, options.refusals)
