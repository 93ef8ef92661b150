"""
Parses a query's text into its tree.

    query     = SELECT [DISTINCT] name {, name} FROM name [WHERE condition {AND condition}]
                [ORDER BY ordering {, ordering}] [LIMIT number] [TIMESPAN name] [;]
    condition = name (= | != | <> | < | > | <= | >= | [NOT] LIKE) value | name [NOT] IN (value {, value})
    ordering  = name [ASC | DESC]
    value     = number | word | 'text' | "text"

Written by hand with one method per grammar rule, so that each place can give a specific error message.

Source: behaviours 59 to 66. Beyond the documents, the parser accepts `<>`, words without quotes, double-quoted text and
a final semicolon; `build` writes each in its documented form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from bulkpull.errors import QueryError
from bulkpull.query.ast import Condition, Direction, Literal, Name, Operator, Ordering, Statement
from bulkpull.suggestions import did_you_mean, nearest, suggest

# In the order in which the service wants the clauses.
_CLAUSES = ("SELECT", "FROM", "WHERE", "ORDER BY", "LIMIT", "TIMESPAN")
KEYWORDS = frozenset(
    "SELECT DISTINCT FROM WHERE AND ORDER BY LIMIT TIMESPAN ASC DESC LIKE NOT IN".split()  # noqa: SIM905 - reads as a list of words
)
_BEGINNINGS = frozenset(clause.split()[0] for clause in _CLAUSES)
_ONE_DATASET = "a query reads one dataset: export both and join the files"
# What people know from SQL, and what to write instead.
_FOREIGN = {
    "OR": "conditions are joined by AND only; for several values of one column write: Name IN ('a', 'b')",
    "AS": "there is no alias: a column keeps its name",
    "JOIN": _ONE_DATASET,
    "INNER": _ONE_DATASET,
    "LEFT": _ONE_DATASET,
    "UNION": "a query reads one dataset: make two queries",
    "GROUP": "leave it out: a metric is computed for every combination of the columns selected beside it",
    "HAVING": "write the condition into WHERE, where metrics may stand as well",
    "BETWEEN": "write two conditions: Name >= 1 AND Name <= 9",
    "IS": "there is no IS NULL; compare with a value",
    "NULL": "there is no NULL to compare with",
    "CONTAINS": "write: Name LIKE '%text%'",
    "OFFSET": "there is no OFFSET; select all rows and read a part of the file",
    "TOP": "write LIMIT and the number near the end of the query",
    "EXISTS": "there is no sub-query",
}
_SIGNS = {operator.value: operator for operator in Operator if not operator.value.isupper()} | {"<>": Operator.UNEQUAL}
_SLIPS = {"==": "=", "=>": ">=", "=<": "<=", "!": "!=", "><": "!=", "~": "LIKE", "^=": "!="}
_WORD = re.compile(r"[^\s,;'\"()=<>!‘’“”]+")
_SIGN = re.compile(r"[=<>!~^]+")
_QUOTED = {mark: re.compile(f"{mark}((?:[^{mark}]|{mark}{mark})*+){mark}") for mark in ("'", '"')}
_LIMIT = re.compile(r"[0-9]{1,18}")
# Editors put it in front of a file's text, where nobody sees it.
_BYTE_ORDER_MARK = "\ufeff"
_TYPOGRAPHIC = "‘’“”"
_Part = TypeVar("_Part")


def parse(text: str, *, names: Iterable[str] = ()) -> Statement:
    """
    Read a whole query; raises `QueryError`, which points at the place.

    Names that hold blanks or punctuation can be read only if they stand in `names` (behaviour 56).
    """
    return _Parser(text, names).statement()


def parse_names(text: str, *, names: Iterable[str] = ()) -> tuple[Name, ...]:
    """Read what stands between SELECT and FROM; raises as `parse`."""
    return _Parser(text, names, is_part=True).part(lambda parser: parser.names(then="the end"), "a comma")


def parse_conditions(text: str, *, names: Iterable[str] = ()) -> tuple[Condition, ...]:
    """Read what follows WHERE; raises as `parse`."""
    return _Parser(text, names, is_part=True).part(_Parser.conditions, "AND")


def parse_orderings(text: str, *, names: Iterable[str] = ()) -> tuple[Ordering, ...]:
    """Read what follows ORDER BY; raises as `parse`."""
    return _Parser(text, names, is_part=True).part(_Parser.orderings, "a comma")


class _Parser:
    """A place in a text that moves to the right; `is_part`: the text is one clause, which no other may follow."""

    def __init__(self, text: str, names: Iterable[str], *, is_part: bool = False) -> None:
        self._text, self._is_part, self._at = text, is_part, 0
        self._last_value: Literal | None = None
        odd = {name for name in names if not _WORD.fullmatch(name) and name.strip() == name and name}
        self._odd = sorted(odd, key=lambda name: (-len(name), name))

    def statement(self) -> Statement:
        self._expect("SELECT")
        distinct = self._takes("DISTINCT")
        selected = self.names(then="FROM")
        self._expect("FROM")
        dataset = self._name("the name of a dataset")
        conditions: tuple[Condition, ...] = ()
        orderings: tuple[Ordering, ...] = ()
        limit, timespan = None, None
        left = ["WHERE", "ORDER BY", "LIMIT", "TIMESPAN", "the end"]
        if self._takes("WHERE"):
            conditions = self.conditions()
            left = ["AND", *left[1:]]
        if self._takes("ORDER"):
            self._expect("BY")
            orderings = self.orderings()
            left = ["a comma", *left[-3:]]
        if self._takes("LIMIT"):
            limit = self._limit()
            left = left[-2:]
        if self._takes("TIMESPAN"):
            timespan = self._name("the name of a time span")
            left = left[-1:]
        self._end(*left)
        return Statement(selected, dataset, distinct, conditions, orderings, limit, timespan)

    def part(self, read: Callable[[_Parser], _Part], continued_by: str) -> _Part:
        found = read(self)
        self._end(continued_by, "the end")
        return found

    def names(self, *, then: str) -> tuple[Name, ...]:
        found = self._several(self._column)
        if self._word() and self._keyword() not in KEYWORDS:
            raise self._unexpected("a comma", then, fix="part two columns by a comma")
        return found

    def conditions(self) -> tuple[Condition, ...]:
        return self._several(self._condition, joined_by="AND")

    def orderings(self) -> tuple[Ordering, ...]:
        return self._several(self._ordering)

    def _several(self, read: Callable[[], _Part], *, joined_by: str = ",") -> tuple[_Part, ...]:
        found = [read()]
        while self._takes(joined_by):
            found.append(read())
        return tuple(found)

    def _column(self) -> Name:
        return self._name("the name of a column")

    def _name(self, what: str) -> Name:
        self._skip()
        for odd in self._odd:
            end = self._at + len(odd)
            found = self._text[self._at : end]
            if found.casefold() == odd.casefold() and not _WORD.match(self._text[end : end + 1]):
                name = Name(found, self._at)
                self._at = end
                return name
        word = self._word()
        if word.startswith("*"):
            raise self._error("there is no `SELECT *`", fix="name the columns; `bulkpull datasets NAME` lists them")
        if not word or self._keyword() in KEYWORDS:
            raise self._unexpected(what)
        name = Name(word, self._at)
        self._at += len(word)
        if self._takes("("):
            raise self._error(
                f"{word} is followed by a bracket, and there are no functions",
                at=name.at,
                length=len(word),
                fix="select a metric instead: it is computed for every combination of the columns beside it",
            )
        return name

    def _condition(self) -> Condition:
        name = self._column()
        operator = self._operator()
        return Condition(name, operator, self._list() if operator.takes_list else (self._value(),))

    def _operator(self) -> Operator:
        sign = self._next(_SIGN)
        operators = ", ".join(Operator)
        if sign in _SIGNS:
            self._at += len(sign)
            return _SIGNS[sign]
        if sign:
            hint = suggest(_SLIPS[sign]) if sign in _SLIPS else did_you_mean(sign, _SIGNS)
            raise self._error(
                f"there is no operator {sign}", length=len(sign), fix=hint or f"choose one of {operators}"
            )
        negated = self._takes("NOT")
        for word in ("LIKE", "IN"):
            if self._takes(word):
                return Operator(f"NOT {word}" if negated else word)
        raise self._unexpected(
            *(("LIKE", "IN") if negated else ("an operator",)),
            fix=did_you_mean(self._word(), filter(str.isupper, Operator)) or f"the operators are {operators}",
        )

    def _list(self) -> tuple[Literal, ...]:
        if not self._takes("("):
            raise self._unexpected("a list in brackets", fix="write: Name IN ('a', 'b')")
        values = self._several(self._value)
        if not self._takes(")"):
            raise self._unexpected("a comma", "a closing bracket", fix=self._quote_advice())
        return values

    def _value(self) -> Literal:
        self._skip()
        mark = self._text[self._at : self._at + 1]
        if mark == "(":
            raise self._error("a list of values goes only with IN and NOT IN", fix="write: Name IN ('a', 'b')")
        if mark in _QUOTED:
            value = self._quoted(mark)
        else:
            word = self._word()
            if not word or self._keyword() in KEYWORDS or self._keyword() == "NULL":
                raise self._unexpected("a value")
            value = Literal(word, quoted=False, at=self._at, length=len(word))
        self._at += value.length
        self._last_value = value
        return value

    def _quoted(self, mark: str) -> Literal:
        found = _QUOTED[mark].match(self._text, self._at)
        if found is None:
            raise self._error(
                "a quoted value has no end",
                why=f"it begins here, and no {mark} follows",
                fix="close it; a quote within a value is written twice: 'O''Brien'",
            )
        return Literal(found[1].replace(mark * 2, mark), at=self._at, length=len(found[0]))

    def _ordering(self) -> Ordering:
        name = self._column()
        for direction in Direction:
            if self._takes(direction):
                return Ordering(name, direction)
        word = self._word()
        near = nearest(word, ("ASC", "DESC", "ASCENDING", "DESCENDING"), cutoff=0.7)
        if near and self._keyword() not in KEYWORDS:
            fix = suggest("ASC" if near.startswith("ASC") else "DESC")
            raise self._error(f"there is no direction {word}", length=len(word), fix=fix)
        return Ordering(name)

    def _limit(self) -> int:
        word = self._word()
        if not _LIMIT.fullmatch(word) or int(word) == 0:
            raise self._error(
                "LIMIT needs a positive whole number", length=max(1, len(word)), fix="write it in digits: LIMIT 100"
            )
        self._at += len(word)
        return int(word)

    def _end(self, *expected: str) -> None:
        self._takes(";")
        self._skip()
        if self._at < len(self._text):
            raise self._unexpected(*expected, fix=self._quote_advice() if expected[0] == "AND" else None)

    def _quote_advice(self) -> str | None:
        """The advice to quote a value of several words, where the last one looks like it."""
        value, word = self._last_value, self._word()
        if value is None or value.quoted or not word or self._keyword() in KEYWORDS:
            return None
        return f"put text that has blanks between quotes: '{value.text} {word}'"

    def _skip(self) -> None:
        while self._text[self._at : self._at + 1].isspace() or self._text.startswith(_BYTE_ORDER_MARK, self._at):
            self._at += 1

    def _next(self, pattern: re.Pattern[str]) -> str:
        """What comes next, where it is of that form; the place stays."""
        self._skip()
        found = pattern.match(self._text, self._at)
        return found[0] if found else ""

    def _word(self) -> str:
        return self._next(_WORD)

    def _keyword(self) -> str:
        """The next word as a keyword is compared."""
        word = self._word()
        return word.upper() if word.isascii() else word

    def _takes(self, wanted: str) -> bool:
        """Whether that keyword or mark comes next; goes past it."""
        self._skip()
        comes = self._keyword() == wanted if wanted.isalpha() else self._text.startswith(wanted, self._at)
        if comes:
            self._at += len(wanted)
        return comes

    def _expect(self, keyword: str) -> None:
        if not self._takes(keyword):
            raise self._unexpected(keyword)

    def _unexpected(self, *expected: str, fix: str | None = None) -> QueryError:
        """The error that something else comes next than has to."""
        wanted = " or ".join(filter(None, (", ".join(expected[:-1]), expected[-1])))
        word, keyword = self._word(), self._keyword()
        mark = self._text[self._at : self._at + 1]
        if not mark:
            return self._error(f"the query ends where {wanted} has to come", fix=fix)
        if mark in _TYPOGRAPHIC:
            return self._error("there is a typographic quote", fix="put values between straight quotes: 'text'")
        shown = word or self._next(_SIGN) or mark
        hint = _FOREIGN.get(keyword) or (None if keyword in KEYWORDS else _meant(shown, expected))
        if hint is None and keyword in _BEGINNINGS:
            hint = f"the clauses come in this order: {', '.join(_CLAUSES)}"
            if self._is_part:
                hint = "give each clause by its own option or key, without its keyword"
        if hint is None and mark == "(":
            hint = "leave the brackets out: conditions are joined by AND, and there is no sub-query"
        return self._error(f"expected {wanted}, found {shown}", length=len(shown), fix=hint or fix)

    def _error(
        self, what: str, *, at: int | None = None, length: int = 1, why: str | None = None, fix: str | None = None
    ) -> QueryError:
        return QueryError(what, text=self._text, at=self._at if at is None else at, length=length, why=why, fix=fix)


def _meant(shown: str, expected: Iterable[str]) -> str | None:
    """The keyword that was probably meant, as a question: `ORDER BY` by its first word."""
    keywords = {phrase.split()[0]: phrase for phrase in expected if phrase.isupper()}
    near = nearest(shown, keywords)
    return suggest(keywords[near]) if near else None
