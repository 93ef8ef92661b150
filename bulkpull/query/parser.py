"""
Parses a query's text into its tree.

    query     = SELECT [DISTINCT] name {, name} FROM name [WHERE condition {AND condition}]
                [ORDER BY ordering {, ordering}] [LIMIT number] [TIMESPAN name] [;]
    condition = name (= | != | <> | < | > | <= | >= | [NOT] LIKE) value | name [NOT] IN (value {, value})
    ordering  = name [ASC | DESC]
    value     = number | word | 'text' | "text"

Written by hand with one function per grammar rule, so that each place can give a specific error message.

Source: behaviours 59 to 66. Beyond the documents, the parser accepts `<>`, words without quotes, double-quoted text and
a final semicolon; `build` writes each in its documented form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bulkpull.query.ast import Condition, Direction, Literal, Name, Operator, Ordering, Statement
from bulkpull.query.lexer import KEYWORDS, Reader
from bulkpull.suggestions import did_you_mean, nearest, suggest

_SIGNS = {operator.value: operator for operator in Operator if not operator.value.isupper()} | {"<>": Operator.UNEQUAL}
_SLIPS = {"==": "=", "=>": ">=", "=<": "<=", "!": "!=", "><": "!=", "~": "LIKE", "^=": "!="}
_WORDS = ("LIKE", "NOT LIKE", "IN", "NOT IN")
_OPERATORS = (*(operator.value for operator in Operator),)
_LIMIT = re.compile(r"[0-9]{1,18}")


def parse(text: str, *, names: Iterable[str] = ()) -> Statement:
    """
    Read a whole query.

    Args:
        names: Known names; those that hold blanks or punctuation can be read only if they stand here (behaviour 56).

    Raises:
        QueryError: It is none; the error points at the place.
    """
    reader = Reader(text, names=names)
    reader.expect("SELECT")
    distinct = reader.takes("DISTINCT")
    selected = _names(reader, then="FROM")
    reader.expect("FROM")
    dataset = reader.name("the name of a dataset")
    conditions: tuple[Condition, ...] = ()
    orderings: tuple[Ordering, ...] = ()
    limit, timespan = None, None
    left = ["WHERE", "ORDER BY", "LIMIT", "TIMESPAN", "the end"]
    if reader.takes("WHERE"):
        conditions = _conditions(reader)
        left = ["AND", *left[1:]]
    if reader.takes("ORDER"):
        reader.expect("BY")
        orderings = _orderings(reader)
        left = ["a comma", *left[-3:]]
    if reader.takes("LIMIT"):
        limit = _limit(reader)
        left = left[-2:]
    if reader.takes("TIMESPAN"):
        timespan = reader.name("the name of a time span")
        left = left[-1:]
    _end(reader, *left, after=conditions[-1].values[-1] if conditions and left[0] == "AND" else None)
    return Statement(
        names=selected,
        dataset=dataset,
        distinct=distinct,
        conditions=conditions,
        orderings=orderings,
        limit=limit,
        timespan=timespan,
    )


def parse_names(text: str, *, names: Iterable[str] = ()) -> tuple[Name, ...]:
    """Read what stands between SELECT and FROM; raises as `parse`."""
    reader = Reader(text, names=names, is_part=True)
    found = _names(reader, then="the end")
    _end(reader, "a comma", "the end")
    return found


def parse_conditions(text: str, *, names: Iterable[str] = ()) -> tuple[Condition, ...]:
    """Read what follows WHERE; raises as `parse`."""
    reader = Reader(text, names=names, is_part=True)
    found = _conditions(reader)
    _end(reader, "AND", "the end", after=found[-1].values[-1])
    return found


def parse_orderings(text: str, *, names: Iterable[str] = ()) -> tuple[Ordering, ...]:
    """Read what follows ORDER BY; raises as `parse`."""
    reader = Reader(text, names=names, is_part=True)
    found = _orderings(reader)
    _end(reader, "a comma", "the end")
    return found


def _names(reader: Reader, *, then: str) -> tuple[Name, ...]:
    found = [reader.name("the name of a column")]
    while reader.takes_mark(","):
        found.append(reader.name("the name of a column"))
    if reader.word() and reader.keyword() not in KEYWORDS:
        raise reader.unexpected("a comma", then, fix="part two columns by a comma")
    return tuple(found)


def _conditions(reader: Reader) -> tuple[Condition, ...]:
    found = [_condition(reader)]
    while reader.takes("AND"):
        found.append(_condition(reader))
    return tuple(found)


def _condition(reader: Reader) -> Condition:
    name = reader.name("the name of a column")
    operator = _operator(reader)
    values = _list(reader) if operator.takes_list else (reader.literal(),)
    return Condition(name, operator, values)


def _operator(reader: Reader) -> Operator:
    sign = reader.sign()
    if sign:
        operator = _SIGNS.get(sign)
        if operator is None:
            hint = suggest(_SLIPS[sign]) if sign in _SLIPS else did_you_mean(sign, _SIGNS)
            raise reader.error(
                f"there is no operator {sign}",
                length=len(sign),
                fix=hint or f"choose one of {', '.join(_OPERATORS)}",
            )
        reader.at += len(sign)
        return operator
    negated = reader.takes("NOT")
    for word in ("LIKE", "IN"):
        if reader.takes(word):
            return Operator(f"NOT {word}" if negated else word)
    raise reader.unexpected(
        *(("LIKE", "IN") if negated else ("an operator",)),
        fix=did_you_mean(reader.word(), _WORDS) or f"the operators are {', '.join(_OPERATORS)}",
    )


def _list(reader: Reader) -> tuple[Literal, ...]:
    if not reader.takes_mark("("):
        raise reader.unexpected("a list in brackets", fix="write: Name IN ('a', 'b')")
    values = [reader.literal()]
    while reader.takes_mark(","):
        values.append(reader.literal())
    if not reader.takes_mark(")"):
        raise reader.unexpected("a comma", "a closing bracket", fix=_quote(reader, values[-1]))
    return tuple(values)


def _orderings(reader: Reader) -> tuple[Ordering, ...]:
    found = [_ordering(reader)]
    while reader.takes_mark(","):
        found.append(_ordering(reader))
    return tuple(found)


def _ordering(reader: Reader) -> Ordering:
    name = reader.name("the name of a column")
    for direction in Direction:
        if reader.takes(direction):
            return Ordering(name, direction)
    word = reader.word()
    near = nearest(word, ("ASC", "DESC", "ASCENDING", "DESCENDING"), cutoff=0.7)
    if near and reader.keyword() not in KEYWORDS:
        raise reader.error(
            f"there is no direction {word}",
            length=len(word),
            fix=suggest("ASC" if near.startswith("ASC") else "DESC"),
        )
    return Ordering(name)


def _limit(reader: Reader) -> int:
    word = reader.word()
    if not _LIMIT.fullmatch(word) or int(word) == 0:
        reader.skip()
        raise reader.error(
            "LIMIT needs a positive whole number", length=max(1, len(word)), fix="write it in digits: LIMIT 100"
        )
    reader.at += len(word)
    return int(word)


def _end(reader: Reader, *expected: str, after: Literal | None = None) -> None:
    """Make sure that nothing more comes; `after` is the value that stands last, in case it should have been longer."""
    reader.takes_mark(";")
    reader.skip()
    if reader.at < len(reader.text):
        raise reader.unexpected(*expected, fix=_quote(reader, after))


def _quote(reader: Reader, value: Literal | None) -> str | None:
    """The advice to quote a value of several words, where it looks like one."""
    word = reader.word()
    if value is None or value.quoted or not word or reader.keyword() in KEYWORDS:
        return None
    return f"put text that has blanks between quotes: '{value.text} {word}'"
