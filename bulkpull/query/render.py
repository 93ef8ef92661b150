"""Renders a query tree as text, normalises query texts for comparison, and says which names a text can carry."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bulkpull.query.ast import Condition, Literal, Ordering, Statement

# The documented form of a number. Anything else is quoted, which is always allowed (behaviour 66).
NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_QUOTED = re.compile(r"""'(?:[^']|'')*'|"[^"]*\"""")
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
    return ", ".join(map(_ordering, orderings))


def normalise(text: str) -> str:
    """
    A query's text as it is compared: equal for texts that ask for the same in the same order.

    Blanks, line breaks and the case of keywords and names do not count (behaviours 60 and 70). Quoted values are kept
    as they are, blanks and case included: the documents say that their case is ignored too, but a stored query that
    turned out to compare otherwise would give other rows, and one more stored query costs nothing. Any text will do,
    also one that is no query.
    """
    parts: list[str] = []
    end = 0
    for quoted in _QUOTED.finditer(text):
        parts += (_plain(text[end : quoted.start()]), quoted[0])
        end = quoted.end()
    parts.append(_plain(text[end:]))
    return "".join(parts).strip(" ;")


def _plain(text: str) -> str:
    return _ROUND_MARKS.sub(r"\1", re.sub(r"\s+", " ", text)).casefold()


def _condition(condition: Condition) -> str:
    values = ", ".join(map(_literal, condition.values))
    rendered = f"({values})" if condition.operator.takes_list else values
    return f"{condition.name.text} {condition.operator} {rendered}"


def _ordering(ordering: Ordering) -> str:
    return f"{ordering.name.text} {ordering.direction}" if ordering.direction else ordering.name.text


def _literal(literal: Literal) -> str:
    if not literal.quoted and NUMBER.fullmatch(literal.text):
        return literal.text
    return "'" + literal.text.replace("'", "''") + "'"


# Blanks, commas, quotes, brackets and comparison signs end a name in the query language.
_WHOLE_NAME = re.compile(r"[^\s,;'\"()\[\]{}<>=!]+")


def can_stand_in_query(name: str) -> bool:
    """Whether a listed name can be written into a query: one word of printable characters (behaviours 56 and 68)."""
    return _WHOLE_NAME.fullmatch(name) is not None and name.isprintable()


def unique_names(names: Iterable[str]) -> tuple[str, ...]:
    """Each name once, in the order and spelling of its first occurrence: queries ignore case (behaviour 60)."""
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(name.casefold(), name)
    return tuple(first.values())
