"""Reads a query's text from left to right: words, names, values, and errors with their position."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bulkpull.errors import QueryError
from bulkpull.query.ast import Literal, Name
from bulkpull.suggestions import nearest, suggest

# In the order in which the service wants the clauses.
CLAUSES = ("SELECT", "FROM", "WHERE", "ORDER BY", "LIMIT", "TIMESPAN")
KEYWORDS = frozenset(
    "SELECT DISTINCT FROM WHERE AND ORDER BY LIMIT TIMESPAN ASC DESC LIKE NOT IN".split()  # noqa: SIM905 - reads as a list of words
)
_BEGINNINGS = frozenset(clause.split()[0] for clause in CLAUSES)
_OF_ITS_OWN = "give each clause by its own option or key, without its keyword"
# What people know from SQL, and what to write instead.
_FOREIGN = {
    "OR": "conditions are joined by AND only; for several values of one column write: Name IN ('a', 'b')",
    "AS": "there is no alias: a column keeps its name",
    "JOIN": "a query reads one dataset: export both and join the files",
    "INNER": "a query reads one dataset: export both and join the files",
    "LEFT": "a query reads one dataset: export both and join the files",
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
_WORD = re.compile(r"[^\s,;'\"()=<>!‘’“”]+")
_SIGN = re.compile(r"[=<>!~^]+")
# Editors put it in front of a file's text, where nobody sees it.
_BYTE_ORDER_MARK = "\ufeff"
_TYPOGRAPHIC = "‘’“”"


class Reader:
    """
    A place in a text that moves to the right.

    Args:
        names: Names that hold blanks or punctuation, which only somebody who knows them can read (behaviour 56).
        is_part: Whether the text is a part of a query that was given by itself, so that no other clause may follow.
    """

    def __init__(self, text: str, *, names: Iterable[str] = (), is_part: bool = False) -> None:
        self.text = text
        self.is_part = is_part
        self.at = 0
        odd = {name for name in names if not _WORD.fullmatch(name) and name.strip() == name and name}
        self._odd = sorted(odd, key=lambda name: (-len(name), name))

    def skip(self) -> None:
        """Go past blanks and line breaks."""
        while self.at < len(self.text) and (self.text[self.at].isspace() or self.text[self.at] == _BYTE_ORDER_MARK):
            self.at += 1

    def word(self) -> str:
        """The word that comes next, which stays where it is; empty when none does."""
        self.skip()
        found = _WORD.match(self.text, self.at)
        return found[0] if found else ""

    def sign(self) -> str:
        """The run of comparison signs that comes next, which stays where it is; empty when none does."""
        self.skip()
        found = _SIGN.match(self.text, self.at)
        return found[0] if found else ""

    def keyword(self) -> str:
        """The word that comes next as a keyword is compared: in capitals."""
        word = self.word()
        return word.upper() if word.isascii() else word

    def takes(self, keyword: str) -> bool:
        """Whether that keyword comes next; goes past it."""
        if self.keyword() != keyword:
            return False
        self.at += len(keyword)
        return True

    def takes_mark(self, mark: str) -> bool:
        """Whether that character comes next; goes past it."""
        self.skip()
        if not self.text.startswith(mark, self.at):
            return False
        self.at += len(mark)
        return True

    def expect(self, keyword: str) -> None:
        """Go past a keyword that has to come next."""
        if not self.takes(keyword):
            raise self.unexpected(keyword)

    def name(self, what: str) -> Name:
        """Go past a name."""
        self.skip()
        for odd in self._odd:
            end = self.at + len(odd)
            if self.text[self.at : end].casefold() == odd.casefold() and not _WORD.match(self.text[end : end + 1]):
                name = Name(self.text[self.at : end], self.at)
                self.at = end
                return name
        word = self.word()
        if word.startswith("*"):
            raise self.error(
                "there is no `SELECT *`", length=1, fix="name the columns; `bulkpull datasets NAME` lists them"
            )
        if not word or self.keyword() in KEYWORDS:
            raise self.unexpected(what)
        name = Name(word, self.at)
        self.at += len(word)
        if self.takes_mark("("):
            raise self.error(
                f"{word} is followed by a bracket, and there are no functions",
                at=name.at,
                length=len(word),
                fix="select a metric instead: it is computed for every combination of the columns beside it",
            )
        return name

    def literal(self) -> Literal:
        """Go past a value, quoted or not."""
        self.skip()
        mark = self.text[self.at : self.at + 1]
        if mark in ("'", '"') and mark:
            return self._quoted(mark)
        if mark == "(":
            raise self.error("a list of values goes only with IN and NOT IN", fix="write: Name IN ('a', 'b')")
        word = self.word()
        if not word or self.keyword() in KEYWORDS or self.keyword() == "NULL":
            raise self.unexpected("a value")
        literal = Literal(word, quoted=False, at=self.at, length=len(word))
        self.at += len(word)
        return literal

    def _quoted(self, mark: str) -> Literal:
        start = self.at
        parts: list[str] = []
        self.at += 1
        while True:
            end = self.text.find(mark, self.at)
            if end < 0:
                raise self.error(
                    "a quoted value has no end",
                    at=start,
                    why=f"it begins here, and no {mark} follows",
                    fix="close it; a quote within a value is written twice: 'O''Brien'",
                )
            parts.append(self.text[self.at : end])
            self.at = end + 1
            if not self.text.startswith(mark, self.at):
                return Literal(mark.join(parts), quoted=True, at=start, length=self.at - start)
            self.at += 1

    def unexpected(self, *expected: str, fix: str | None = None) -> QueryError:
        """The error that something else comes next than has to."""
        wanted = " or ".join(filter(None, (", ".join(expected[:-1]), expected[-1])))
        word, keyword = self.word(), self.keyword()
        self.skip()
        mark = self.text[self.at : self.at + 1]
        if not mark:
            return self.error(f"the query ends where {wanted} has to come", fix=fix)
        if mark in _TYPOGRAPHIC:
            return self.error("there is a typographic quote", fix="put values between straight quotes: 'text'")
        shown = word or self.sign() or mark
        what = f"expected {wanted}, found {shown}"
        hint = _FOREIGN.get(keyword) or (None if keyword in KEYWORDS else _meant(shown, expected))
        if hint is None and keyword in _BEGINNINGS:
            hint = _OF_ITS_OWN if self.is_part else f"the clauses come in this order: {', '.join(CLAUSES)}"
        if hint is None and mark == "(":
            hint = "leave the brackets out: conditions are joined by AND, and there is no sub-query"
        return self.error(what, length=len(shown), fix=hint or fix)

    def error(
        self, what: str, *, at: int | None = None, length: int = 1, why: str | None = None, fix: str | None = None
    ) -> QueryError:
        """An error that points at a place, here when no other is given."""
        return QueryError(what, text=self.text, at=self.at if at is None else at, length=length, why=why, fix=fix)


def _meant(shown: str, expected: Iterable[str]) -> str | None:
    """The keyword that was probably meant, as a question: `ORDER BY` by its first word."""
    keywords = {phrase.split()[0]: phrase for phrase in expected if phrase.isupper()}
    near = nearest(shown, keywords)
    return suggest(keywords[near]) if near else None
