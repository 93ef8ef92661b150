"""
The service's query language: read, built, compared, and checked against what is offered before anything is sent. Pure.

    SELECT [DISTINCT] names FROM dataset [WHERE a AND b] [ORDER BY …] [LIMIT n] [TIMESPAN t]
"""

from __future__ import annotations

from bulkpull.query.ast import Condition, Direction, Literal, Name, Operator, Ordering, Statement
from bulkpull.query.parser import parse, parse_conditions, parse_names, parse_orderings
from bulkpull.query.render import build, normalise
from bulkpull.query.validate import CheckedQuery, check_query, odd_names

__all__ = ["Condition", "Direction", "Literal", "Name", "Operator", "Ordering", "Statement"]
__all__ += ["parse", "parse_conditions", "parse_names", "parse_orderings"]
__all__ += ["CheckedQuery", "build", "check_query", "normalise", "odd_names"]
