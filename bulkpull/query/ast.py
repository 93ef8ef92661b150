"""
A query taken apart: the syntax tree.

Nodes remember where in the text they stood, so that whoever finds fault with one can point at it. The place is no part
of what they mean: two trees that say the same are equal.

Source: behaviours 59 to 66.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Operator(StrEnum):
    """How a condition compares; lists go only with the last two."""

    EQUAL = "="
    UNEQUAL = "!="
    LESS = "<"
    GREATER = ">"
    AT_MOST = "<="
    AT_LEAST = ">="
    LIKE = "LIKE"
    NOT_LIKE = "NOT LIKE"
    IN = "IN"
    NOT_IN = "NOT IN"

    @property
    def takes_list(self) -> bool:
        """Whether the values stand in brackets."""
        return self in (Operator.IN, Operator.NOT_IN)

    @property
    def takes_pattern(self) -> bool:
        """Whether the value is a pattern, in which % stands for anything."""
        return self in (Operator.LIKE, Operator.NOT_LIKE)


class Direction(StrEnum):
    ASCENDING = "ASC"
    DESCENDING = "DESC"


@dataclass(frozen=True, slots=True)
class Name:
    """The name of a column, a metric, a dataset or a time span, as it was written; `at` counts characters from 0."""

    text: str
    at: int = field(default=0, compare=False, repr=False)

    @property
    def folded(self) -> str:
        """The name as it is compared: names ignore case (behaviour 60)."""
        return self.text.casefold()


@dataclass(frozen=True, slots=True)
class Literal:
    """
    A value to compare with.

    Attributes:
        quoted: Whether it stood in quotes; every value may (behaviour 66).
        length: How many characters it took in the text, quotes included.
    """

    text: str
    quoted: bool = True
    at: int = field(default=0, compare=False, repr=False)
    length: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of WHERE; several values only where the operator takes a list."""

    name: Name
    operator: Operator
    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Ordering:
    """One column of ORDER BY; without a direction the service sorts descending (behaviour 65)."""

    name: Name
    direction: Direction | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """
    A whole query.

    Attributes:
        names: Columns and metrics, in the order of the file that comes of it.
        limit: The most rows; `None` for all.
        timespan: `None` when the query names none, which stands for six months (behaviour 61).
    """

    names: tuple[Name, ...]
    dataset: Name
    distinct: bool = False
    conditions: tuple[Condition, ...] = ()
    orderings: tuple[Ordering, ...] = ()
    limit: int | None = None
    timespan: Name | None = None
