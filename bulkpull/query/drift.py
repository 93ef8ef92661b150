"""
Compares a stored query with the dataset's current columns.

Datasets change their columns and stored queries do not: even system queries select removed columns (behaviour 76) and
leave out new ones (behaviour 77).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bulkpull.errors import QueryError
from bulkpull.model import OfferedDataset
from bulkpull.query.ast import Condition, Ordering
from bulkpull.query.parser import parse
from bulkpull.query.validate import odd_names


@dataclass(frozen=True, slots=True)
class QueryDrift:
    """
    A stored query beside the dataset that it reads, which the service may not list for this account.

    Attributes:
        missing: Names in the query that are neither a column nor a metric of the dataset.
        left_out: Columns that the dataset has and the query does not select.
    """

    dataset: str
    offered: bool
    missing: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def find_query_drift(query_text: str, *, offered: Sequence[OfferedDataset]) -> QueryDrift | None:
    """Compare a query with what the service lists; `None` for a text that is no query."""
    try:
        statement = parse(query_text, names=odd_names(offered))
    except QueryError:
        return None
    dataset = next((candidate for candidate in offered if candidate.name.casefold() == statement.dataset.folded), None)
    if dataset is None:
        return QueryDrift(statement.dataset.text, offered=False)
    parts: tuple[Condition | Ordering, ...] = (*statement.conditions, *statement.orderings)
    named = {name.folded: name.text for name in (*statement.names, *(part.name for part in parts))}
    there = {name.casefold() for name in (*dataset.columns, *dataset.metrics)}
    selected = {name.folded for name in statement.names}
    return QueryDrift(
        statement.dataset.text,
        offered=True,
        missing=tuple(text for folded, text in named.items() if folded not in there),
        left_out=tuple(name for name in dataset.columns if name.casefold() not in selected),
    )
