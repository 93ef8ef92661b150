"""Two readers of the language, written apart, understand the same: what the check lets by, the simulator accepts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from offers import CATALOG, LISTED, OFFERED, TABLES
from support import examples

from bulkpull.errors import QueryError
from bulkpull.query import Condition, Direction, Literal, Name, Operator, Ordering, Statement, build, check_query
from bulkpull.simulator.api_replies import Refusal
from bulkpull.simulator.query_parser import ParsedQuery, parse_query

SAID = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)


@st.composite
def statements(draw: Any) -> Statement:
    """A query of names that are offered, in any case, with any values."""
    dataset = draw(st.sampled_from(OFFERED))
    spelled = st.sampled_from([*dataset.columns, *dataset.metrics]).flatmap(
        lambda name: st.sampled_from([name, name.upper(), name.lower()])
    )
    names = st.builds(Name, spelled)
    values = st.one_of(
        st.builds(Literal, SAID), st.integers(-99, 99).map(lambda number: Literal(str(number), quoted=False))
    )
    operators = st.sampled_from(Operator)
    conditions = operators.flatmap(
        lambda operator: st.builds(
            Condition,
            names,
            st.just(operator),
            st.lists(values, min_size=1, max_size=3 if operator.takes_list else 1).map(tuple),
        )
    )
    return Statement(
        names=tuple(draw(st.lists(names, min_size=1, max_size=4, unique_by=lambda name: name.folded))),
        dataset=Name(dataset.name),
        distinct=draw(st.booleans()),
        conditions=tuple(draw(st.lists(conditions, max_size=2))),
        orderings=tuple(draw(st.lists(st.builds(Ordering, names, st.sampled_from([*Direction, None])), max_size=2))),
        limit=draw(st.one_of(st.none(), st.integers(1, 1000))),
        timespan=draw(st.one_of(st.none(), st.sampled_from(dataset.date_ranges).map(Name)))
        if dataset.date_ranges
        else None,
    )


def in_simulator(text: str) -> ParsedQuery:
    return parse_query(text, TABLES)


@settings(max_examples=examples(200))
@given(statements())
def test_what_passes_the_check_is_understood_alike(statement: Statement) -> None:
    try:
        checked = check_query(build(statement), offered=OFFERED, catalog=CATALOG)
    except QueryError as refused:
        assert "no row" in refused.what  # noqa: PT017 - the values are any, the names are right
        return
    parsed = in_simulator(checked.text)

    assert tuple(column.name for column in parsed.columns) == checked.columns
    assert [(condition.column.name, condition.operator, condition.values) for condition in parsed.conditions] == [
        (condition.name.text, condition.operator.value, tuple(value.text for value in condition.values))
        for condition in checked.statement.conditions
    ]
    assert [(ordering.column.name, ordering.descending) for ordering in parsed.orderings] == [
        (ordering.name.text, ordering.direction is not Direction.ASCENDING) for ordering in checked.statement.orderings
    ]
    assert (parsed.distinct, parsed.limit) == (statement.distinct, statement.limit)
    assert parsed.timespan == (checked.statement.timespan.text if checked.statement.timespan else None)


@pytest.mark.parametrize("text", LISTED)
def test_the_documents_samples_are_accepted_as_they_are_sent(text: str) -> None:
    checked = check_query(text, offered=OFFERED, catalog=CATALOG)

    assert [column.name for column in in_simulator(checked.text).columns] == list(checked.columns)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM Profile",
        "SELECT Nope FROM Profile",
        "SELECT City FROM Nowhere",
        "SELECT City, City FROM Profile",
        "SELECT City AS Town FROM Profile",
        "SELECT City FROM Profile WHERE City = 'a' OR City = 'b'",
        "SELECT City FROM Profile WHERE City IN 'a'",
        "SELECT City FROM Profile LIMIT 0",
        "SELECT City FROM Profile TIMESPAN LIFETIME",
        "SELECT City FROM Profile LIMIT 5 ORDER BY City",
    ],
)
def test_what_one_refuses_the_other_refuses(text: str) -> None:
    with pytest.raises(Refusal):
        in_simulator(text)
    with pytest.raises(QueryError):
        check_query(text, offered=OFFERED, catalog=CATALOG)
