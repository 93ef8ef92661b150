"""
Which data a snapshot was requested to hold: everything that determines its rows and columns (pure).

Two snapshots can be compared, or replace each other, only if the same data were requested. The manifest and the ledger
call this the `question` of a snapshot.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

from bulkpull.clock import iso_utc
from bulkpull.errors import QueryError
from bulkpull.model import DEFAULT_FORMAT, Pull, Window
from bulkpull.query import Condition, Statement, odd_names, parse
from bulkpull.window_bounds import window_texts

EVERY = "*"
"""Stands for every column that the service lists at the time: such columns change by themselves."""
OPEN = "now"
"""The end of a window that grows from run to run."""


@dataclass(frozen=True, slots=True)
class RequestedData:
    """
    The requested rows and columns.

    Attributes:
        name: Under which they are published.
        source: The dataset that is read, by its canonical name.
        columns: What is selected, metrics too, lower case and in its order; `("*",)` for every column.
        metrics: Those of them that are metrics; `("*amounts",)` and the like where the setting `metrics` chooses them.
        filter, order: The conditions, each as name, operator and values, sorted; the orderings.
        span: The TIMESPAN; `None` for the service's own six months, and where a window is given.
        window: Start and end as the contract writes times.
    """

    name: str
    source: str
    columns: tuple[str, ...]
    metrics: tuple[str, ...] = ()
    filter: tuple[tuple[str, ...], ...] = ()
    order: tuple[tuple[str, ...], ...] = ()
    limit: int | None = None
    distinct: bool = False
    format: str = DEFAULT_FORMAT
    span: str | None = None
    window: tuple[str, str] | None = None

    @property
    def sha256(self) -> str:
        return _sha256(self)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@lru_cache(maxsize=1_024)
def _sha256(requested: RequestedData) -> str:
    return hashlib.sha256(json.dumps(requested.as_dict(), sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=1_024)
def requested_data(pull: Pull) -> RequestedData:
    statement = _statement(pull.query_text, odd_names((pull.offered,)))
    if statement is None:  # of a name that no parser takes: the text itself is compared
        return RequestedData(pull.dataset, pull.reads, (pull.query_text,), window=window_texts(pull.window))
    return _requested_by(statement, pull)


def data_requested_by(query_text: str, pull: Pull, *, window: Window | None = None) -> RequestedData | None:
    """
    The data that another query text requests, to compare with those of `pull`; `None` where it cannot be read.

    The columns and metrics that a pull leaves to the service's list, or to the setting `metrics`, are not compared.
    """
    statement = _statement(query_text, odd_names((pull.offered,)))
    if statement is None:
        return None
    requested = _requested_by(statement, pull, window=window)
    is_same_dataset = statement.dataset.folded in {pull.offered.name.casefold(), pull.reads.casefold()}
    return requested if is_same_dataset else replace(requested, source=statement.dataset.folded)


def requested_dataset(
    dataset: str, query_text: str, *, metrics: str, span: str | None, window: tuple[str, str] | None
) -> RequestedData | None:
    """A whole dataset that an earlier version published; `None` where its query cannot be read."""
    statement = _statement(query_text, frozenset())
    if statement is None:
        return None
    asked = statement.timespan.folded.upper() if statement.timespan else span
    return RequestedData(dataset, dataset, (EVERY,), (EVERY + metrics,), span=None if window else asked, window=window)


def _requested_by(statement: Statement, pull: Pull, *, window: Window | None = None) -> RequestedData:
    asked = window or pull.window
    metrics = {name.casefold() for name in pull.metrics}
    columns = tuple(name.folded for name in statement.names)
    selected = tuple(name for name in columns if name in metrics)
    if pull.metrics_choice is not None:
        columns, selected = (EVERY,), (EVERY + pull.metrics_choice,)
    span = statement.timespan.text.upper() if statement.timespan else None
    return RequestedData(
        name=pull.dataset,
        source=pull.reads,
        columns=columns,
        metrics=selected,
        filter=tuple(sorted(map(_condition, statement.conditions))),
        order=tuple((item.name.folded, str(item.direction or "DESC")) for item in statement.orderings),
        limit=statement.limit,
        distinct=statement.distinct,
        span=None if asked else span,
        window=(iso_utc(asked.start), OPEN) if asked and pull.keeps_history else window_texts(asked),
    )


@lru_cache(maxsize=256)  # a run reads each dataset's query several times: planned, stored, published
def _statement(query_text: str, names: frozenset[str]) -> Statement | None:
    try:
        return parse(query_text, names=names)
    except QueryError:
        return None


def _condition(condition: Condition) -> tuple[str, ...]:
    return (condition.name.folded, str(condition.operator), *(value.text for value in condition.values))
