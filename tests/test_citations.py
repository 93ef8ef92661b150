"""Every number that code, tests or guides cite stands on its page: behaviours of the service, faults, cases."""

from __future__ import annotations

import re

import pytest
from source_code import ROOT, marks, sources, text_of

DOCS = ROOT / "docs"


def _page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


BEHAVIOURS = {int(number) for number in re.findall(r"^(\d+)\. ", _page("service-behaviours.md"), re.MULTILINE)}
FAULTS = {int(number) for number in re.findall(r"^\| (\d+) \|", _page("fault-matrix.md"), re.MULTILINE)}
CASES = set(re.findall(r"(?<![\w(])\**([CNWLMO]\d+)(?=\.?\**(?: · |\*\*))", _page("cases.md")))
KNOWN: dict[str, set[int]] = {"behaviour": BEHAVIOURS, "fault": FAULTS}
_CITED = re.compile(r"\b(behaviour|fault)s?\s+(\d+(?:(?:, (?:and )?| and | or )\d+)*)")


def test_the_pages_number_without_a_gap() -> None:
    assert set(range(1, 202)) == BEHAVIOURS
    assert set(range(1, 111)) == FAULTS
    for letter, count in (("C", 54), ("N", 23), ("W", 17), ("L", 12), ("M", 9), ("O", 5)):
        assert {f"{letter}{number}" for number in range(1, count + 1)} <= CASES


@pytest.mark.parametrize("kind", sorted(KNOWN))
def test_every_number_in_prose_stands_on_its_page(kind: str) -> None:
    unknown = [
        (str(file.relative_to(ROOT)), number)
        for file in sources("bulkpull", "tests", "docs", "benchmarks")
        for found in _CITED.finditer(text_of(file))
        if found[1] == kind
        for number in map(int, re.findall(r"\d+", found[2]))
        if number not in KNOWN[kind]
    ]

    assert unknown == []


@pytest.mark.parametrize("kind", sorted(KNOWN))
def test_every_mark_of_a_number_stands_on_its_page(kind: str) -> None:
    cited = [(file.name, value) for file, value in marks(kind) if isinstance(value, int)]

    assert [item for item in cited if item[1] not in KNOWN[kind]] == []


def test_every_mark_of_a_case_stands_on_its_page() -> None:
    assert [(file.name, value) for file, value in marks("case") if value not in CASES] == []
