"""
Parses and checks queries in the service's query language.

    SELECT [DISTINCT] names FROM dataset [WHERE a AND b] [ORDER BY …] [LIMIT n] [TIMESPAN t]

There is no `SELECT *`, no OR, no join, no sub-query and no alias; keywords and names ignore case (behaviours 59 to 66).
Names are matched against the dataset's list, longest first, because live names contain blanks, commas and colons.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from bulkpull.simulator.api_replies import INVALID_QUERY, UNKNOWN_COLUMN, bad_request
from bulkpull.simulator.listed_datasets import Column, Table

_HEAD = re.compile(
    r"\s*SELECT\s+(?P<distinct>DISTINCT\s+)?(?P<names>.+?)\s+FROM\s+(?P<table>\w+)(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_TAIL = re.compile(
    r"""(?ixs) \s*
    (?: \b WHERE \s+ (?P<where> (?: '[^']*' | "[^"]*" | [^'"] )+? ) )?
    (?: \s* \b ORDER \s+ BY \s+ (?P<order> .+?) )?
    (?: \s* \b LIMIT \s+ (?P<limit> \S+) )?
    (?: \s* \b TIMESPAN \s+ (?P<timespan> \S+) )?
    \s* """
)
_LITERAL = r"""(?:'(?:[^']|'')*'|"[^"]*"|[\w.:+-]+)"""
_CONDITION = re.compile(
    rf"""(?ix) \s* (?:
        (?P<op> =|!=|<>|<=|>=|<|>|(?:NOT\s+)?LIKE\b ) \s* (?P<value> {_LITERAL})
        | (?P<list_op> (?:NOT\s+)?IN\b ) \s* \( (?P<values> \s* {_LITERAL} \s* (?: , \s* {_LITERAL} \s* )* ) \)
    )"""
)
_AND = re.compile(r"\s+AND\s+", re.IGNORECASE)
_LIMIT = re.compile(r"(?!0+$)[0-9]{1,18}")
_DIRECTION = re.compile(r"\s+(ASC|DESC)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ParsedCondition:
    """One comparison of WHERE; `operator` is upper case with single blanks, lists come only with IN and NOT IN."""

    column: Column
    operator: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ParsedOrdering:
    """One column of ORDER BY; descending when no direction is given (behaviour 65)."""

    column: Column
    descending: bool


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """
    A query that the service accepts.

    Attributes:
        columns: What is selected, in that order, columns and metrics.
        timespan: Upper case; `None` when the query names none (six months then, behaviour 61).
    """

    table: Table
    columns: tuple[Column, ...]
    conditions: tuple[ParsedCondition, ...]
    orderings: tuple[ParsedOrdering, ...]
    distinct: bool
    limit: int | None
    timespan: str | None


def parse_query(text: str, tables: Iterable[Table]) -> ParsedQuery:
    """Read a query; a `Refusal` carries the service's answer to one that it does not accept (behaviour 73)."""
    head = _HEAD.fullmatch(text)
    if head is None:
        raise bad_request(INVALID_QUERY)
    wanted = head["table"].casefold()
    table = next((candidate for candidate in tables if candidate.listed_name.casefold() == wanted), None)
    if table is None:
        raise bad_request("Invalid table name")
    tail = _TAIL.fullmatch(head["rest"])
    if tail is None:
        raise bad_request(INVALID_QUERY)
    columns = _names(head["names"], table)
    conditions = _conditions(tail["where"], table) if tail["where"] is not None else ()
    orderings = _orderings(tail["order"], table) if tail["order"] is not None else ()
    limit, timespan = tail["limit"], tail["timespan"] and tail["timespan"].upper()
    is_good_span = timespan is None or timespan in table.date_ranges
    if not is_good_span or (limit is not None and not _LIMIT.fullmatch(limit)):
        raise bad_request(INVALID_QUERY)
    return ParsedQuery(
        table=table,
        columns=columns,
        conditions=conditions,
        orderings=orderings,
        distinct=head["distinct"] is not None,
        limit=int(limit) if limit is not None else None,
        timespan=timespan,
    )


def _leading_name(text: str, table: Table) -> tuple[Column, str]:
    """The column or metric that `text` begins with, the longest that fits, and what follows it."""
    lowered = text.casefold()
    for name, item in _longest_first(table.columns, table.metrics):
        if lowered.startswith(name):
            rest = text[len(item.name) :]
            if not rest or not re.match(r"\w", rest):
                return item, rest
    raise bad_request(UNKNOWN_COLUMN)


@lru_cache(maxsize=256)
def _longest_first(columns: tuple[Column, ...], metrics: tuple[Column, ...]) -> tuple[tuple[str, Column], ...]:
    items = sorted((*columns, *metrics), key=lambda column: len(column.name), reverse=True)
    return tuple((item.name.casefold(), item) for item in items)


def _listed(
    text: str, table: Table, *, refusal: str, suffix: re.Pattern[str] = re.compile("")
) -> Iterator[tuple[Column, re.Match[str] | None]]:
    """The names of a list with commas, each with the `suffix` that follows it."""
    rest = "," + text
    while rest:
        if not rest.startswith(","):
            raise bad_request(refusal)
        column, rest = _leading_name(rest[1:].strip(), table)
        found = suffix.match(rest)
        yield column, found
        rest = rest[found.end() if found else 0 :].lstrip()


@lru_cache(maxsize=256)
def _names(text: str, table: Table) -> tuple[Column, ...]:
    found: list[Column] = []
    # A blank after a known name starts an alias or a longer, unknown name.
    for column, _ in _listed(text, table, refusal=UNKNOWN_COLUMN):
        if column in found:
            raise bad_request(INVALID_QUERY)
        found.append(column)
    return tuple(found)


def _conditions(text: str, table: Table) -> tuple[ParsedCondition, ...]:
    found = []
    rest = text.strip()
    while True:
        column, rest = _leading_name(rest, table)
        condition = _CONDITION.match(rest)
        if condition is None:
            raise bad_request(INVALID_QUERY)
        operator = " ".join((condition["op"] or condition["list_op"]).upper().split())
        values = map(_without_quotes, re.findall(_LITERAL, condition["value"] or condition["values"]))
        found.append(ParsedCondition(column, "!=" if operator == "<>" else operator, tuple(values)))
        rest = rest[condition.end() :]
        if not rest.strip():
            return tuple(found)
        joint = _AND.match(rest)
        if joint is None:
            raise bad_request(INVALID_QUERY)
        rest = rest[joint.end() :]


def _without_quotes(literal: str) -> str:
    if literal[0] not in "'\"":
        return literal
    return literal[1:-1].replace("''", "'") if literal[0] == "'" else literal[1:-1]


def _orderings(text: str, table: Table) -> tuple[ParsedOrdering, ...]:
    listed = _listed(text, table, refusal=INVALID_QUERY, suffix=_DIRECTION)
    return tuple(ParsedOrdering(column, descending=not match or match[1].upper() == "DESC") for column, match in listed)
