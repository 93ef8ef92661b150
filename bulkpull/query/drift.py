"""
Whether a stored query still fits the dataset of today.

Datasets change their columns, and stored queries do not: even the service's own select columns that are gone (76), and
leave out newer ones (77).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bulkpull.errors import QueryError
from bulkpull.model import OfferedDataset
from bulkpull.query.parser import parse
from bulkpull.query.validate import odd_names


@dataclass(frozen=True, slots=True)
class QueryDrift:
    """
    A stored query beside the dataset that it reads.

    Attributes:
        dataset: As the query spells it.
        offered: Whether the service lists the dataset for this account.
        missing: What the query names and the dataset has not: neither as a column nor as a metric.
        left_out: Columns that the dataset has and the query does not select.
    """

    dataset: str
    offered: bool
    missing: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def find_query_drift(query_text: str, *, offered: Sequence[OfferedDataset]) -> QueryDrift | None:
    """
    Hold a query against what the service lists; names are compared without case (behaviour 60).

    Returns:
        `None` for a text that is no query.
    """
    try:
        statement = parse(query_text, names=odd_names(offered))
    except QueryError:
        return None
    dataset = next((candidate for candidate in offered if candidate.name.casefold() == statement.dataset.folded), None)
    if dataset is None:
        return QueryDrift(statement.dataset.text, offered=False)
    named = {
        name.folded: name.text
        for name in (
            *statement.names,
            *(condition.name for condition in statement.conditions),
            *(ordering.name for ordering in statement.orderings),
        )
    }
    there = {name.casefold() for name in (*dataset.columns, *dataset.metrics)}
    selected = {name.folded for name in statement.names}
    return QueryDrift(
        statement.dataset.text,
        offered=True,
        missing=tuple(text for folded, text in named.items() if folded not in there),
        left_out=tuple(name for name in dataset.columns if name.casefold() not in selected),
    )
