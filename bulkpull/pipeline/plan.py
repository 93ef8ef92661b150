"""
Plans a run: from the requested datasets and the service's list, the pulls, and for other datasets the reason (pure).

Columns and metrics come from the service's current list, never from an earlier one (behaviour 54). The query names
every column, because there is no `SELECT *` (59), then the amounts, which are listed as metrics only (159), and never
says DISTINCT (64).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bulkpull.auth.sign_in import choose_grant
from bulkpull.catalog import load_catalog
from bulkpull.config.settings import Settings
from bulkpull.errors import AuthError, BulkpullError, NotFound, SettingsError
from bulkpull.metric_selection import select_metrics
from bulkpull.model import OfferedDataset, Pull, Window
from bulkpull.pipeline.plan_custom_query import NotListed, left_out_notes, select_pull, split_columns
from bulkpull.pipeline.plan_names import (
    NAME_SHOWN,
    by_canonical_name,
    check_names,
    not_offered_reason,
    requested_datasets,
)
from bulkpull.pipeline.request import ExportRequest, PlanInputs, ServiceOffer
from bulkpull.pipeline.steps.metric_refusals import without_refused
from bulkpull.pipeline.windows.date_windows import window_instead_of, with_usable_window
from bulkpull.query import Name, Statement, build
from bulkpull.query.render import can_stand_in_query
from bulkpull.timespans import check_timespan, choose_timespan

_ROLE = (
    "check that `api_base_url` is right, and that the user is of the right partner account and still has the role "
    '"Executive report viewer", which works after up to an hour (`bulkpull auth check`)'
)


@dataclass(frozen=True, slots=True)
class Unavailable:
    """
    A requested dataset or custom query that this run cannot pull.

    Attributes:
        named: The user named it: the run does not count as complete.
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


def make_plan(inputs: PlanInputs) -> Plan:
    """
    Decide what to pull.

    Raises:
        SettingsError: A name or a time span is known neither to the catalog nor to the service; or only custom queries
            are wanted and none of them can be pulled. A wrong custom query harms no other pull.
    """
    request, settings, catalog = inputs.request, inputs.settings, load_catalog()
    listed, notes = by_canonical_name(inputs.offer.datasets)
    if listed:
        ranges = [dataset.date_ranges for dataset in inputs.offer.datasets]
        check_timespan(settings.timespan, ranges=ranges, documented=catalog.timespans)
    datasets: list[str] = []
    if not request.only_selections:
        names, queries = request.datasets, [query.name for query in settings.queries]
        datasets = requested_datasets(names, listed=listed, queries=queries, everything=request.everything)
    planned = [_plan_dataset(dataset, listed, inputs) for dataset in datasets]
    for selection in request.selections:
        try:
            planned.append(select_pull(selection, inputs, listed=listed))
        except SettingsError as error:
            name, source, failed = selection.name, selection.reads, not isinstance(error, NotListed)
            reason = error.within(name).reason
            planned.append(Unavailable(name, reason, named=True, failed=failed, error=error, source=source))
    pulls = tuple(entry for entry in planned if isinstance(entry, Pull))
    unavailable = tuple(entry for entry in planned if isinstance(entry, Unavailable))
    wrong = [entry.error for entry in unavailable if entry.error and entry.failed]
    if request.only_selections and wrong and not pulls:
        raise wrong[0]
    return Plan(pulls, unavailable, (*inputs.offer.notes, *notes))


async def check_offline(request: ExportRequest, *, settings: Settings) -> None:
    """Refuse missing credentials (`AuthError`), or a misspelled name besides (`SettingsError`): the better message."""
    try:
        await choose_grant(settings)
    except AuthError:
        check_names(request.datasets, queries=[query.name for query in settings.queries])
        _check_selections(request, settings=settings)
        raise


def _check_selections(request: ExportRequest, *, settings: Settings) -> None:
    """Refuse custom queries that the documents know to be wrong; a name that a dataset ever had counts as there."""
    documented = tuple(
        OfferedDataset(
            name=dataset.name,
            columns=tuple(column.name for column in dataset.every_column),
            metrics=tuple(metric.name for metric in dataset.every_metric),
            date_ranges=(*dataset.date_ranges, *dataset.further_date_ranges),
        )
        for dataset in load_catalog().datasets
    )
    for selection in request.selections:
        if selection.system_query is None:  # only the service knows its text
            alone = ExportRequest(selections=(selection,), only_selections=True)
            make_plan(PlanInputs(alone, ServiceOffer(documented), settings))


def _plan_dataset(dataset: str, listed: Mapping[str, OfferedDataset], inputs: PlanInputs) -> Pull | Unavailable:
    offered, named = listed.get(dataset), bool(inputs.request.datasets)
    window, timespan = inputs.request.window, inputs.settings.timespan
    if offered is None:
        return Unavailable(dataset, not_offered_reason(dataset, listed=listed), named=named)
    if not offered.columns:
        reason = f"{dataset}: the service lists it without selectable columns, so there is nothing to export"
        return Unavailable(dataset, reason, named=named)
    try:
        pull = _pull(dataset, offered, inputs, window=window)
        pull = with_usable_window(pull, named=named)
        if window is None or timespan is None:
            return pull
        if pull.window is not None:
            return replace(pull, notes=(*pull.notes, window_instead_of(timespan)))
        return replace(_pull(dataset, offered, inputs, window=None), notes=pull.notes)
    except BulkpullError as error:
        return Unavailable(dataset, error.reason, named=named, failed=True)


def _pull(dataset: str, offered: OfferedDataset, inputs: PlanInputs, *, window: Window | None) -> Pull:
    settings, catalog = inputs.settings, load_catalog()
    columns, odd_names = split_columns(offered)
    if not columns or not can_stand_in_query(offered.name):
        odd = odd_names[0] if can_stand_in_query(offered.name) else offered.name
        raise SettingsError(
            f"{dataset}: the service lists the name {odd[:NAME_SHOWN]!r}, which a query cannot carry",
            fix="export the other datasets by name and report this to the service's support",
        )
    try:
        # A window takes the place of the span; where it is ignored, a short span would hide that.
        asked = settings.timespan if window is None else None
        span, wider = choose_timespan(offered.date_ranges, asked=asked, default=catalog.default_timespan)
    except SettingsError as error:
        raise SettingsError(f"{dataset}: {error.what}", fix=error.fix) from None
    choice = select_metrics(offered, known=catalog.find(dataset), choice=settings.metrics)
    selected = (*columns, *choice.selected)
    statement = Statement(tuple(map(Name, selected)), Name(offered.name), timespan=Name(span) if span else None)
    pull = Pull(
        dataset=dataset,
        offered=offered,
        columns=selected,
        query_text=build(statement),
        window=window,
        timespan=span,
        wider_timespan=wider,
        metrics=choice.selected,
        metrics_left_out=choice.left_out,
        metrics_choice=settings.metrics,
        columns_left_out=odd_names,
        notes=left_out_notes(columns=odd_names, metrics=choice.not_queryable),
    )
    return without_refused(pull, inputs.refusals)


def plan_request(inputs: PlanInputs) -> Plan:
    """
    As `make_plan`, with datasets as failed that the service should list.

    The list depends on role and account (behaviour 27). Without any usual dataset, or without one that was published
    here before, a role was removed, or it is the wrong account or an error: the run must not count as complete.
    """
    plan, offer = make_plan(inputs), inputs.offer
    published = {
        name
        for name, record in inputs.published.items()
        # Without its manifest the query of a snapshot is unknown, and may be a custom one.
        if record.source in (None, name) and (record.query is not None or load_catalog().find(name) is not None)
    }
    gone = published - {load_catalog().canonical(dataset.name) for dataset in offer.datasets if dataset.columns}
    planned = {pull.dataset for pull in plan.pulls} | {entry.dataset for entry in plan.unavailable}
    # What was listed once belongs to everything.
    forgotten = sorted(gone - planned) if inputs.request.everything else []

    def error_of(entry: Unavailable) -> BulkpullError | None:
        if published and gone == published:
            return AuthError(
                f"{entry.dataset}: the service lists none of the datasets that this folder has published "
                f"({len(published)})",
                why="the role may have been removed, or this is another account",
                fix=_ROLE,
            )
        if entry.dataset in gone:
            return NotFound(
                f"{entry.dataset}: the service does not list it any more, though this folder has published it",
                fix=f"{_ROLE}; `bulkpull datasets` shows what is listed, and the published snapshot stays as it is",
            )
        is_nothing_there = not any(pull.source is None for pull in plan.pulls)
        if is_nothing_there and (not offer.datasets or not entry.named):
            what = "offers no dataset at all" if not offer.datasets else "offers none of the requested datasets"
            if not offer.is_list_found:
                what = "has no list of datasets at this address (404)"
            return NotFound(f"{entry.dataset}: the service {what}", fix=_ROLE)
        return None

    unavailable: list[Unavailable] = []
    for entry in (*plan.unavailable, *(Unavailable(dataset, "", named=False) for dataset in forgotten)):
        error = None if entry.source is not None or entry.failed else error_of(entry)
        unavailable.append(replace(entry, reason=error.reason, failed=True, error=error) if error else entry)
    return replace(plan, unavailable=tuple(unavailable))
