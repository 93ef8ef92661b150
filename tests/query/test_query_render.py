"""Two texts of a query are the same when the service cannot tell them apart, and never when it may."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from offers import SAMPLES

from bulkpull.query import build, normalise, parse


@pytest.mark.behaviour(60, 70)
@pytest.mark.parametrize(
    "text",
    [
        "SELECT a, b FROM x WHERE c = 'Y' AND d IN (1, 2) LIMIT 3",
        " select A,\r\n  B from X where C='Y' and D in(1,2)   limit 3\n",
        "Select a , b From x Where c  =  'Y' And d In ( 1 ,2 ) Limit 3;",
    ],
)
def test_blanks_and_case_outside_of_values_do_not_count(text: str) -> None:
    assert normalise(text) == "select a,b from x where c='Y' and d in(1,2)limit 3"


@pytest.mark.parametrize("other", ["c = 'y'", "c = 'Y '", "c = ' Y'", "c = 'Y  Z'"])
def test_values_count_to_the_letter(other: str) -> None:
    """A stored query that compares otherwise would bring other rows under the name of this one."""
    assert normalise(f"select a {other}") != normalise("select a c = 'Y'")


@pytest.mark.parametrize("text", SAMPLES)
def test_a_query_is_the_same_after_it_was_built(text: str) -> None:
    assert normalise(build(parse(text))) in (normalise(text), normalise(text.replace("6096xxx", "'6096xxx'")))


@given(st.text())
def test_any_text_has_a_form_that_stays(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@pytest.mark.behaviour(60, 70)
@given(st.lists(st.from_regex(r"[A-Za-z]{1,8}", fullmatch=True), min_size=1), st.sampled_from([" ", "\n", "  ", "\t"]))
def test_a_query_without_values_is_compared_by_its_names(columns: list[str], blank: str) -> None:
    text = f"SELECT {', '.join(columns)} FROM Profile"  # noqa: S608 - not SQL

    assert normalise(text.replace(" ", blank).upper() + blank) == normalise(text)
