"""
Plans the pull of a custom query from the service's current list (pure).

It is pulled under its own name. Errors in it are found here, before any call that creates something.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from bulkpull.catalog import load_catalog
from bulkpull.custom_query import Selection
from bulkpull.errors import QueryError, SettingsError
from bulkpull.formatting import join_some
from bulkpull.metric_selection import MetricChoice, select_metrics
from bulkpull.model import OfferedDataset, Pull, Window
from bulkpull.pipeline.plan_names import NAME_SHOWN
from bulkpull.pipeline.request import PlanInputs
from bulkpull.pipeline.steps.metric_refusals import without_refused
from bulkpull.pipeline.windows.date_windows import first_listed_month, open_since, window_instead_of, with_usable_window
from bulkpull.query import Name, Statement, build, check_query, odd_names, parse
from bulkpull.query.render import can_stand_in_query, unique_names
from bulkpull.query.validate import find_query_drift
from bulkpull.redact import printable
from bulkpull.suggestions import did_you_mean
from bulkpull.timespans import choose_timespan

_LEFT_OUT_SHOWN = 8


class NotListed(SettingsError):
    """The dataset of a custom query exists, but the service does not list it for this account."""


def select_pull(selection: Selection, inputs: PlanInputs, *, listed: Mapping[str, OfferedDataset]) -> Pull:
    """
    The pull of a custom query.

    Raises:
        NotListed: The service does not list the dataset for this account.
        QueryError: The query names something that does not exist; the error shows the position.
        SettingsError: The dataset is unknown, or the service lists one of this name.
    """
    if selection.name.casefold() in {name.casefold() for item in listed.items() for name in (item[0], item[1].name)}:
        raise SettingsError(
            f"the service lists a dataset named {selection.name}", fix="choose another name for the query"
        )
    catalog, settings, window, now = load_catalog(), inputs.settings, inputs.request.window, inputs.now
    texts, query_id = inputs.offer.system_texts, selection.system_query or ""
    statement = selection.statement() or _system_statement(query_id, texts.get(query_id), listed=listed)
    source = _source(statement.dataset, listed=listed)
    offered = listed[source]
    wider: str | None = None
    notes: tuple[str, ...] = ()
    choice: MetricChoice | None = None
    if selection.dataset is not None:
        if not statement.names:
            choice = select_metrics(offered, known=catalog.find(source), choice=settings.metrics)
            columns, odd = split_columns(offered)
            if not columns:
                raise SettingsError(
                    f"the service lists {offered.name} without selectable columns, so there is nothing to export"
                )
            notes = left_out_notes(columns=odd, metrics=choice.not_queryable)
            statement = replace(statement, names=tuple(map(Name, (*columns, *choice.selected))))
        if window is not None and settings.timespan is not None and statement.timespan is None:
            notes = (*notes, window_instead_of(settings.timespan))
        # As for a whole dataset: where a window is ignored, a short span would hide that.
        span = settings.timespan if window is None else None
        statement, wider = _with_timespan(statement, offered, timespan=span)
    if selection.system_query is not None:
        notes = _refuse_drift(statement, offered, source=source)
    text = selection.query or build(statement)
    checked = check_query(text, offered=[offered], catalog=catalog, is_whole=choice is not None)
    final = checked.statement
    keeps_history = selection.keep == "append"
    if keeps_history and window is None and now is not None:
        published = inputs.published.get(selection.name)
        began = open_since(published) if published else None
        window = Window(began or first_listed_month(offered.date_ranges, now=now), now)
    pull = Pull(
        dataset=selection.name,
        offered=offered,
        columns=checked.columns,
        query_text=checked.text,
        window=window,
        timespan=final.timespan.text if final.timespan else None,
        wider_timespan=wider,
        source=source,
        metrics=checked.metrics,
        metrics_left_out=choice.left_out if choice else (),
        metrics_choice=settings.metrics if choice else None,
        # Beside all columns, the time column among them, metrics add up over windows (behaviour 163).
        indivisible=bool(final.distinct or final.orderings or final.limit or (choice is None and checked.metrics)),
        notes=(*notes, *checked.warnings),
        keeps_history=keeps_history,
    )
    if keeps_history and pull.indivisible:
        raise SettingsError(
            f"{selection.name}: `keep` lets a snapshot grow month by month",
            why="its rows depend on all other rows of the window",
            fix="leave out metrics beside some columns, DISTINCT, ORDER and LIMIT",
        )
    named = inputs.request.only_selections or bool(inputs.request.datasets)
    return without_refused(with_usable_window(pull, named=named), inputs.refusals)


def split_columns(offered: OfferedDataset) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The listed columns that a query can name, and those with odd names."""
    listed = unique_names(offered.columns)
    columns = tuple(filter(can_stand_in_query, listed))
    return columns, tuple(name for name in listed if name not in columns)


def left_out_notes(*, columns: Iterable[str], metrics: Iterable[str]) -> tuple[str, ...]:
    """The notes about listed columns and metrics that are left out because of their names (behaviour 68)."""
    kinds = [*(("column", name) for name in columns), *(("metric", name) for name in metrics)]
    return tuple(
        f"the {kind} {printable(name, most=NAME_SHOWN)!r} is left out: its name cannot stand in a query"
        for kind, name in kinds
    )


def _source(name: Name, *, listed: Mapping[str, OfferedDataset]) -> str:
    """The canonical name of the dataset that is listed under `name`."""
    catalog = load_catalog()
    for canonical in listed:
        if catalog.is_same(name.text, canonical):
            return canonical
    if (known := catalog.find(name.text)) is not None:
        raise NotListed(
            f"the service does not list {known.name} for this account",
            fix="`bulkpull datasets` shows what is offered, which depends on the account's programs and role",
        )
    hint = did_you_mean(name.text, (*listed, *(dataset.name for dataset in catalog.datasets)))
    raise SettingsError(f"unknown dataset {name.text!r}", fix=hint or "`bulkpull datasets` lists the names")


def _with_timespan(
    statement: Statement, offered: OfferedDataset, *, timespan: str | None
) -> tuple[Statement, str | None]:
    """The statement with a time span where it has none, and a wider span that is offered."""
    statement = replace(statement, dataset=Name(offered.name))
    if statement.timespan is not None:
        return statement, None
    try:
        span, wider = choose_timespan(offered.date_ranges, asked=timespan, default=load_catalog().default_timespan)
    except SettingsError:
        span, wider = timespan, None  # the check points at it
    return replace(statement, timespan=Name(span) if span else None), wider


def _system_statement(query_id: str, text: str | None, *, listed: Mapping[str, OfferedDataset]) -> Statement:
    if text is None:
        raise SettingsError(
            f"the service stores no query with the id {query_id}",
            fix="see `bulkpull queries list --system` for the ids",
        )
    try:
        return parse(text, names=odd_names(listed.values()))
    except QueryError as error:
        raise error.within(f"the text of system query {query_id}") from None


def _refuse_drift(statement: Statement, offered: OfferedDataset, *, source: str) -> tuple[str, ...]:
    """Refuse a system query that names columns the service no longer lists; one error for all (behaviour 76)."""
    drift = find_query_drift(build(replace(statement, dataset=Name(offered.name))), offered=[offered])
    assert drift is not None
    if drift.missing:
        near = {name: did_you_mean(name, (*offered.columns, *offered.metrics)) for name in drift.missing}
        hints = [f"{name}: {hint}" for name, hint in near.items() if hint]
        raise SettingsError(
            f"the system query of {source} names {', '.join(drift.missing)}, which the service does not list today",
            why="; ".join(("system queries are not updated when columns change", *hints)),
            fix="give the columns by `dataset` and `select` instead",
        )
    if not drift.left_out:
        return ()
    left_out = join_some(list(drift.left_out), most=_LEFT_OUT_SHOWN)
    return (f"the system query leaves out {left_out} of {source}; select by `dataset` to have all columns",)
