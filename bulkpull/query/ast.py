"""
A query taken apart: the syntax tree. Source: behaviours 59 to 66.

Nodes remember where in the text they stood, so that an error can point at them; the place does not count for equality.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Operator(StrEnum):
    """How a condition compares."""

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
        return self in (Operator.IN, Operator.NOT_IN)

    @property
    def takes_pattern(self) -> bool:
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
        """As it is compared: names ignore case (behaviour 60)."""
        return self.text.casefold()


@dataclass(frozen=True, slots=True)
class Literal:
    """A value to compare with; every one may stand in quotes (behaviour 66), which `length` includes."""

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
    """A whole query: `names` are columns and metrics; no time span stands for six months (behaviour 61)."""

    names: tuple[Name, ...]
    dataset: Name
    distinct: bool = False
    conditions: tuple[Condition, ...] = ()
    orderings: tuple[Ordering, ...] = ()
    limit: int | None = None
    timespan: Name | None = None
