"""
The service's query language: read, built, compared, and checked against what is offered before anything is sent. Pure.

    SELECT [DISTINCT] names FROM dataset [WHERE a AND b] [ORDER BY …] [LIMIT n] [TIMESPAN t]
"""

from __future__ import annotations

from bulkpull.query.build import build, normalise
from bulkpull.query.check import CheckedQuery, check_query, odd_names
from bulkpull.query.parse import parse, parse_conditions, parse_names, parse_orderings
from bulkpull.query.syntax import Condition, Direction, Literal, Name, Operator, Ordering, Statement

__all__ = [
    "CheckedQuery",
    "Condition",
    "Direction",
    "Literal",
    "Name",
    "Operator",
    "Ordering",
    "Statement",
    "build",
    "check_query",
    "normalise",
    "odd_names",
    "parse",
    "parse_conditions",
    "parse_names",
    "parse_orderings",
]
