"""Renders a query tree as text, normalises query texts for comparison, and says which names a text can carry."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bulkpull.query.ast import Condition, Literal, Ordering, Statement

# The documented form of a number. Anything else is quoted, which is always allowed (behaviour 66).
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_QUOTED = re.compile(r"""('(?:[^']|'')*'|"[^"]*")""")
# Blanks, commas, quotes, brackets and comparison signs end a name in the query language.
_WHOLE_NAME = re.compile(r"[^\s,;'\"()\[\]{}<>=!]+")
_ROUND_MARKS = re.compile(r" ?([,()<>=!]+) ?")  # of text whose blanks are single ones


def build(statement: Statement) -> str:
    """The query in one line, keywords in capitals; to read it again gives the same tree."""
    words = ["SELECT"]
    if statement.distinct:
        words.append("DISTINCT")
    words += [", ".join(name.text for name in statement.names), "FROM", statement.dataset.text]
    if statement.conditions:
        words += ["WHERE", render_conditions(statement.conditions)]
    if statement.orderings:
        words += ["ORDER BY", render_orderings(statement.orderings)]
    if statement.limit is not None:
        words += ["LIMIT", str(statement.limit)]
    if statement.timespan is not None:
        words += ["TIMESPAN", statement.timespan.text]
    return " ".join(words)


def render_conditions(conditions: Iterable[Condition]) -> str:
    """The conditions as they stand after `WHERE`."""
    return " AND ".join(map(_condition, conditions))


def render_orderings(orderings: Iterable[Ordering]) -> str:
    """The orderings as they stand after `ORDER BY`."""
    return ", ".join(" ".join(filter(None, (ordering.name.text, ordering.direction))) for ordering in orderings)


def normalise(text: str) -> str:
    """
    Any text as it is compared: equal for queries that ask for the same in the same order.

    Blanks, line breaks and the case of keywords and names do not count (behaviours 60 and 70). Quoted values are kept
    as they are: the documents say that their case is ignored too, but if it were not, a stored query taken for equal
    would give other rows, and one more stored query costs nothing.
    """
    parts = _QUOTED.split(text)  # every second one is quoted
    parts[::2] = [_ROUND_MARKS.sub(r"\1", re.sub(r"\s+", " ", part)).casefold() for part in parts[::2]]
    return "".join(parts).strip(" ;")


def _condition(condition: Condition) -> str:
    values = ", ".join(map(_literal, condition.values))
    rendered = f"({values})" if condition.operator.takes_list else values
    return f"{condition.name.text} {condition.operator} {rendered}"


def _literal(literal: Literal) -> str:
    if not literal.quoted and _NUMBER.fullmatch(literal.text):
        return literal.text
    return "'" + literal.text.replace("'", "''") + "'"


def can_stand_in_query(name: str) -> bool:
    """Whether a listed name can be written into a query: one word of printable characters (behaviours 56 and 68)."""
    return _WHOLE_NAME.fullmatch(name) is not None and name.isprintable()


def unique_names(names: Iterable[str]) -> tuple[str, ...]:
    """Each name once, in the order and spelling of its first occurrence: queries ignore case (behaviour 60)."""
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(name.casefold(), name)
    return tuple(first.values())
