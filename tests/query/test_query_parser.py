"""A query is taken apart as the documents say, and a slip is pointed at where it stands."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from offers import OFFERED, SAMPLES, SYSTEM_QUERIES

from bulkpull.errors import QueryError, SettingsError
from bulkpull.query import (
    Condition,
    Direction,
    Literal,
    Name,
    Operator,
    Ordering,
    Statement,
    build,
    odd_names,
    parse,
    parse_conditions,
    parse_names,
    parse_orderings,
)
from bulkpull.query.parser import KEYWORDS

WORDS = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,12}", fullmatch=True).filter(
    lambda word: word.upper() not in {*sorted(KEYWORDS), "NULL"}
)
NAMES = WORDS.map(Name)
LITERALS = st.one_of(
    st.builds(Literal, st.text()),
    st.builds(Literal, st.from_regex(r"-?[0-9]+(\.[0-9]+)?", fullmatch=True).filter(str.isascii), st.just(False)),
)
CONDITIONS = st.one_of(
    st.builds(
        Condition, NAMES, st.sampled_from([item for item in Operator if not item.takes_list]), st.tuples(LITERALS)
    ),
    st.builds(
        Condition,
        NAMES,
        st.sampled_from([Operator.IN, Operator.NOT_IN]),
        st.lists(LITERALS, min_size=1, max_size=4).map(tuple),
    ),
)
STATEMENTS = st.builds(
    Statement,
    names=st.lists(NAMES, min_size=1, max_size=5).map(tuple),
    dataset=NAMES,
    distinct=st.booleans(),
    conditions=st.lists(CONDITIONS, max_size=3).map(tuple),
    orderings=st.lists(st.builds(Ordering, NAMES, st.sampled_from([*Direction, None])), max_size=3).map(tuple),
    limit=st.one_of(st.none(), st.integers(min_value=1, max_value=10**17)),
    timespan=st.one_of(st.none(), NAMES),
)


def refused(text: str) -> QueryError:
    with pytest.raises(QueryError) as caught:
        parse(text)
    return caught.value


@pytest.mark.behaviour(59, 60, 65, 66)
def test_every_clause_has_its_place_in_the_tree() -> None:
    statement = parse(
        "select distinct CustomerName,\n Month from OfficeUsage where CustomerMarket in ('Sweden', \"Japan\")"
        " and MonthlyActiveUsers >= 10 and SKU not like 'E%'"
        " order by Month desc, CustomerName limit 7 timespan last_month"
    )

    assert statement == Statement(
        names=(Name("CustomerName"), Name("Month")),
        dataset=Name("OfficeUsage"),
        distinct=True,
        conditions=(
            Condition(Name("CustomerMarket"), Operator.IN, (Literal("Sweden"), Literal("Japan"))),
            Condition(Name("MonthlyActiveUsers"), Operator.AT_LEAST, (Literal("10", quoted=False),)),
            Condition(Name("SKU"), Operator.NOT_LIKE, (Literal("E%"),)),
        ),
        orderings=(Ordering(Name("Month"), Direction.DESCENDING), Ordering(Name("CustomerName"))),
        limit=7,
        timespan=Name("last_month"),
    )


@pytest.mark.behaviour(59, 66)
@pytest.mark.parametrize("text", SAMPLES)
def test_every_sample_query_of_the_documents_is_understood(text: str) -> None:
    assert parse(build(parse(text))) == parse(build(parse(build(parse(text)))))
    assert build(parse(text)).startswith("SELECT ")


@pytest.mark.behaviour(69, 76)
@pytest.mark.parametrize("dataset", SYSTEM_QUERIES)
def test_every_system_query_of_the_documents_is_understood(dataset: str) -> None:
    statement = parse(SYSTEM_QUERIES[dataset])

    assert build(statement) == " ".join(SYSTEM_QUERIES[dataset].replace(",", ", ").split())


@given(STATEMENTS)
def test_what_is_built_reads_as_what_it_was_built_from(statement: Statement) -> None:
    text = build(statement)

    assert parse(text) == statement
    assert build(parse(text)) == text


@pytest.mark.parametrize("read", [parse, parse_names, parse_conditions, parse_orderings])
@given(text=st.text())
def test_no_text_is_answered_with_another_error(read: Callable[[str], object], text: str) -> None:
    """Whatever stands in a settings file or an option, a person reads one sentence about it."""
    with suppress(QueryError):
        read(text)


PIECES = st.sampled_from(
    [
        *sorted(KEYWORDS),
        *("OR", "NULL", "(", ")", ",", ";", "=", "<>", "=>", "'a'", "'open", '"b"', "*", "a", "10", "‘x’", "COUNT("),
    ]
)


@given(st.lists(PIECES, max_size=14).map(" ".join))
def test_a_mixture_of_words_is_understood_or_pointed_at(text: str) -> None:
    try:
        statement = parse(text)
    except QueryError as caught:
        error = caught
    else:
        assert build(parse(build(statement))) == build(statement)
        return
    assert 0 <= error.at <= len(text)
    assert error.excerpt is None or error.excerpt.endswith("^")


@pytest.mark.behaviour(54, 56)
def test_names_with_blanks_and_commas_are_read_where_they_are_known() -> None:
    known = ["D365_AX Customer, No BC/Finance", "MW_Compete (Zoom) with M365", "D365_AX Customer"]

    names = parse(f"SELECT {known[0].lower()},{known[1]} , Segment FROM x", names=known).names  # noqa: S608 - not SQL

    assert [name.text for name in names] == [known[0].lower(), known[1], "Segment"]


def test_known_names_change_nothing_for_plain_queries() -> None:
    for text in SAMPLES:
        assert parse(text, names=odd_names(OFFERED)) == parse(text)


@pytest.mark.behaviour(66)
@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("'%Contoso%'", "%Contoso%"),
        ("'MICROSOFT 365 BUSINESS STANDARD'", "MICROSOFT 365 BUSINESS STANDARD"),
        ("'O''Brien'", "O'Brien"),
        ('"O\'Brien"', "O'Brien"),
        ("''", ""),
        ("1051xxx", "1051xxx"),
        ("-2.5", "-2.5"),
        ("2026-01-31", "2026-01-31"),
    ],
)
def test_values_are_read_with_and_without_quotes(value: str, text: str) -> None:
    (condition,) = parse_conditions(f"a = {value}")

    assert condition.values[0].text == text


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("SELCT a FROM b", "SELCT", "did you mean SELECT?"),
        ("SELECT a FORM b", "FORM", "did you mean FROM?"),
        ("SELECT a FROM b TIMESPN LIFETIME", "TIMESPN", "did you mean TIMESPAN?"),
        ("SELECT a FROM b ODER BY c", "ODER", "did you mean ORDER BY?"),
        ("SELECT a FROM b WHERE c LIEK 'x'", "LIEK", "did you mean LIKE?"),
        ("SELECT a FROM b WHERE c => 5", "=>", "did you mean >=?"),
        ("SELECT a FROM b WHERE c == 5", "==", "did you mean =?"),
        ("SELECT a FROM b ORDER BY c DSC", "DSC", "did you mean DESC?"),
        ("SELECT * FROM b", "*", "name the columns"),
        ("SELECT COUNT(a) FROM b", "COUNT", "select a metric"),
        ("SELECT a AS c FROM b", "AS", "no alias"),
        ("SELECT a c FROM b", "c", "part two columns by a comma"),
        ("SELECT a, FROM b", "FROM", "the clauses come in this order"),
        ("SELECT a FROM b JOIN c", "JOIN", "one dataset"),
        ("SELECT a FROM b GROUP BY a", "GROUP", "metric"),
        ("SELECT a FROM b WHERE c = 1 OR c = 2", "OR", "IN ('a', 'b')"),
        ("SELECT a FROM b WHERE (c = 1)", "(", "leave the brackets out"),
        ("SELECT a FROM b WHERE c BETWEEN 1 AND 2", "BETWEEN", ">="),
        ("SELECT a FROM b WHERE c IS NULL", "IS", "no IS NULL"),
        ("SELECT a FROM b WHERE c IN 'x'", "'x'", "IN ('a', 'b')"),
        ("SELECT a FROM b WHERE c = ('x')", "('x')", "only with IN"),
        ("SELECT a FROM b WHERE c = United States", "States", "'United States'"),
        ("SELECT a FROM b WHERE c IN (New York)", "York", "'New York'"),
        ("SELECT a FROM b WHERE c = 'United", "'United", "close it"),
        ("SELECT a FROM b WHERE c = ‘x’", "‘x’", "straight quotes"),
        ("SELECT a FROM b WHERE LIMIT 5", "LIMIT", "the clauses come in this order"),
        ("SELECT a FROM b LIMIT 5 WHERE c = 1", "WHERE", "the clauses come in this order"),
        ("SELECT a FROM b LIMIT 0", "0", "positive whole number"),
        ("SELECT a FROM b LIMIT ten", "ten", "positive whole number"),
        ("SELECT a FROM b LIMIT -1", "-1", "positive whole number"),
    ],
)
def test_a_slip_is_pointed_at_and_the_right_word_is_told(text: str, place: str, expected: str) -> None:
    error = refused(text)

    assert text[error.at :].startswith(place)
    assert expected in error.reason
    assert error.excerpt is not None
    line, marks = error.excerpt.split("\n")
    assert line[marks.index("^") :].startswith(place[0])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELECT",
        "SELECT a",
        "SELECT a FROM",
        "SELECT a FROM b WHERE",
        "SELECT a FROM b WHERE c",
        "SELECT a FROM b WHERE c IN (1",
        "SELECT a FROM b WHERE c NOT",
        "SELECT a FROM b ORDER",
        "SELECT a FROM b LIMIT",
        "SELECT a FROM b TIMESPAN",
    ],
)
def test_a_query_that_stops_short_is_pointed_at_its_end(text: str) -> None:
    error = refused(text)

    assert error.at == len(text)
    assert isinstance(error, SettingsError)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (parse_names, "a, b FROM c"),
        (parse_conditions, "a = 1 LIMIT 3"),
        (parse_orderings, "a DESC TIMESPAN LIFETIME"),
    ],
)
def test_a_part_of_a_query_holds_no_other_clause(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(QueryError, match="own option or key"):
        read(text)


def test_a_long_query_is_shown_around_the_place_only() -> None:
    text = "SELECT " + ", ".join(f"Column{number}" for number in range(400)) + " FORM x"

    excerpt = refused(text).excerpt

    assert excerpt is not None
    line, marks = excerpt.split("\n")
    assert len(line) < 100
    assert line[marks.index("^") :].startswith("FORM")


def test_only_the_line_with_the_place_is_shown() -> None:
    excerpt = refused("SELECT a,\n\tb\nFORM\tc").excerpt

    assert excerpt == "FORM c\n^^^^"


def test_a_secret_in_a_query_is_not_shown() -> None:
    assert refused("SELECT a FROM b WHERE c = 'x?sig=abcdefghijk' OR d = 1").excerpt is None


def test_marks_stand_under_the_place_after_wide_letters() -> None:
    excerpt = refused("SELECT コン FORM x").excerpt

    assert excerpt is not None
    assert excerpt.split("\n")[1] == " " * 12 + "^^^^"
