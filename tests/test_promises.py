"""
Every known behaviour of the service, and every row of the fault matrix, is held by a test that carries its number.

What does not concern the export is listed here with its reason, so that a gap is a decision and not an oversight.
"""

from __future__ import annotations

import pytest
from source_code import marks

from bulkpull.simulator.fault_matrix import FAULT_TABLE

BEHAVIOURS = range(1, 202)
NOT_OURS = {
    19: "roles take effect within the hour: advice, in the README",
    20: "a sandbox tenant shows no data: advice, in the README",
    24: "rows of other locations are missing without any sign: nothing can be seen",
    25: "who can be given which role is decided in Partner Center",
    28: "what another user made is not visible: nothing can be seen",
    47: "a page for people that shows the live schema",
    117: "how long reports take is the service's affair; the schedule of polls is a table of its own",
    141: "no limit on size is published: what bounds memory and disk is tested for each step",
    143: "which tenants the data cover: nothing is done to rows",
    144: "how the data are attributed: nothing is done to rows",
    148: "what a column means: nothing is done to rows",
    149: "what a column means: nothing is done to rows",
    150: "what a column means: nothing is done to rows",
    151: "what a column means: nothing is done to rows",
    157: "about samples of others",
    158: "about samples of others",
    175: "how long the portal keeps a report: files are fetched at once, and lost ones are created again (125)",
    176: "caps of the portal, which the API does not have",
    177: "recurrence counts of others; scheduled reports of this tool are endless (88)",
    195: "the absence of a successor",
    197: "the sibling's version 1.1, which this tool does not speak",
    198: "the sibling's version 1.1, which this tool does not speak",
    199: "the sibling's version 1.1, which this tool does not speak",
    200: "the sibling's version 1.1, which this tool does not speak",
    201: "another programme, which this tool does not speak",
}

FAULTS = range(1, 111)
NOT_YET: dict[int, str] = {}


CASES = {letter: range(1, count + 1) for letter, count in {"C": 54, "N": 17, "W": 17, "L": 12, "M": 9, "O": 5}.items()}
CASES_NOT_YET: dict[str, str] = {}


def cases() -> set[str]:
    """The cases that tests carry in their marks."""
    return {value for _, value in marks("case") if isinstance(value, str)}


def numbers(mark: str) -> set[int]:
    """The numbers that tests carry in marks of that name."""
    return {value for _, value in marks(mark) if isinstance(value, int)}


def test_every_behaviour_is_held_by_a_test_or_is_not_ours() -> None:
    held = numbers("behaviour")

    assert sorted(set(BEHAVIOURS) - held - set(NOT_OURS)) == []
    assert sorted(held & set(NOT_OURS)) == []


def test_every_fault_is_held_by_a_test_or_is_yet_to_come() -> None:
    held = numbers("fault") | {row.number for row in FAULT_TABLE}

    assert sorted(set(FAULTS) - held - set(NOT_YET)) == []
    assert sorted(held & set(NOT_YET)) == []


def test_every_case_is_held_by_a_test_or_named_as_not_held_yet() -> None:
    """The cases of single runs and their siblings without excuse; the others are held, or stand above with why not."""
    held = cases()
    wanted = {f"{letter}{number}" for letter, range_of in CASES.items() for number in range_of}

    assert sorted(wanted - held - set(CASES_NOT_YET)) == []
    assert sorted(held & set(CASES_NOT_YET)) == []
    assert all(CASES_NOT_YET.values())
    assert not [case for case in CASES_NOT_YET if case.startswith("C")]


@pytest.mark.parametrize("name", ["id", "title"])
def test_no_two_rows_of_the_matrix_are_alike(name: str) -> None:
    reported = [getattr(row, name) for row in FAULT_TABLE]

    assert len(set(reported)) == len(reported)
