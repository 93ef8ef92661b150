"""
Selected: a selection × what the service lists now → a pull (pure).

It is pulled under its own name. What is wrong with it is found here, before any call that creates something.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bulkpull import figures
from bulkpull.catalog import Catalog
from bulkpull.errors import QueryError, SettingsError
from bulkpull.journey.timespan import choose_timespan
from bulkpull.model import OfferedDataset, Pull, Window
from bulkpull.query import Name, Statement, build, check_query, odd_names, parse
from bulkpull.query.drift import find_drift
from bulkpull.query.near import did_you_mean
from bulkpull.selection import Selection

_LEFT_OUT_SHOWN = 8


class NotListed(SettingsError):
    """The dataset that a selection reads exists, but not for this account."""


def select_pull(
    selection: Selection,
    *,
    listed: Mapping[str, OfferedDataset],
    catalog: Catalog,
    timespan: str | None,
    window: Window | None,
    system_text: str | None = None,
) -> Pull:
    """
    The pull of a selection.

    Args:
        listed: What the service lists, by canonical name.
        timespan: For a selection of a dataset that names no time span itself: a TIMESPAN name, `widest`, or `None`.
        window: Days to ask for beyond what a TIMESPAN can say.
        system_text: The text of the system query that it names; `None` when the service stores none under that id.

    Raises:
        NotListed: The service does not list the dataset for this account.
        QueryError: The query asks for what is not there; the error points at the place.
        SettingsError: The dataset is unknown, or the service lists one of this name.
    """
    if selection.name.casefold() in {name.casefold() for each in listed.items() for name in (each[0], each[1].name)}:
        raise SettingsError(
            f"the service lists a dataset named {selection.name}", fix="choose another name for the query"
        )
    if selection.system_query is not None:
        statement = _system_statement(selection.system_query, system_text, listed=listed)
    else:
        described = selection.statement()
        assert described is not None
        statement = described
    source = _source(statement.dataset, listed=listed, catalog=catalog)
    offered = listed[source]
    wider = None
    if selection.dataset is not None:
        statement, wider = _completed(statement, offered, catalog=catalog, timespan=timespan)
    notes: list[str] = []
    if selection.system_query is not None:
        notes = _refuse_drift(statement, offered, source=source)
    text = build(statement) if selection.query is None else selection.query
    checked = check_query(text, offered=[offered], catalog=catalog)
    said = checked.statement
    return Pull(
        dataset=selection.name,
        offered=offered,
        columns=checked.columns,
        query_text=checked.text,
        window=window if offered.date_ranges else None,
        timespan=said.timespan.text if said.timespan else None,
        wider_timespan=wider,
        source=source,
        metrics=checked.metrics,
        indivisible=bool(checked.metrics or said.distinct or said.orderings or said.limit),
        notes=(*notes, *checked.warnings),
    )


def _source(name: Name, *, listed: Mapping[str, OfferedDataset], catalog: Catalog) -> str:
    """The canonical name of the dataset that is listed under `name`."""
    known = catalog.find(name.text)
    for canonical, offered in listed.items():
        if name.folded in (canonical.casefold(), offered.name.casefold()) or (known and known.name == canonical):
            return canonical
    if known is not None:
        raise NotListed(
            f"the service does not list {known.name} for this account",
            fix="`bulkpull datasets` shows what it does list, which depends on the account's programs and role",
        )
    hint = did_you_mean(name.text, (*listed, *(dataset.name for dataset in catalog.datasets)))
    raise SettingsError(f"there is no dataset named {name.text!r}", fix=hint or "see `bulkpull datasets` for the names")


def _completed(
    statement: Statement, offered: OfferedDataset, *, catalog: Catalog, timespan: str | None
) -> tuple[Statement, str | None]:
    """The statement with all columns where it names none, and with a time span; and a wider span that is offered."""
    unique: dict[str, str] = {}
    for column in offered.columns:
        unique.setdefault(column.casefold(), column)
    statement = replace(
        statement,
        names=statement.names or tuple(map(Name, unique.values())),
        dataset=Name(offered.name),
    )
    if not statement.names:
        raise SettingsError(
            f"the service lists {offered.name} without selectable columns, so there is nothing to ask for"
        )
    if statement.timespan is not None:
        return statement, None
    try:
        span, wider = choose_timespan(offered.date_ranges, asked=timespan, default=catalog.default_timespan)
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


def _refuse_drift(statement: Statement, offered: OfferedDataset, *, source: str) -> list[str]:
    """
    Tell all names at once by which a system query fell behind (behaviour 76).

    Returns:
        What it leaves out, as a note (77).
    """
    drift = find_drift(build(replace(statement, dataset=Name(offered.name))), offered=[offered])
    assert drift is not None
    if drift.missing:
        near = {name: did_you_mean(name, (*offered.columns, *offered.metrics)) for name in drift.missing}
        hints = [f"{name}: {hint}" for name, hint in near.items() if hint]
        raise SettingsError(
            f"the system query of {source} names {', '.join(drift.missing)}, which the service does not list today",
            why="; ".join(("system queries fall behind the columns", *hints)),
            fix="give the columns by `dataset` and `select` instead",
        )
    if not drift.left_out:
        return []
    left_out = figures.some(list(drift.left_out), most=_LEFT_OUT_SHOWN)
    return [f"the system query leaves out {left_out} of {source}; select by `dataset` to have all columns"]
