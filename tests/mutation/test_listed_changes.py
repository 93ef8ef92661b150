"""The listed changes can be made: each text stands in the package exactly once. Making them is a command of its own."""

from __future__ import annotations

import pytest
from listed_changes import ALL, NAMED, Change
from try_changes import ROOT, place_of


@pytest.mark.case("C44")
@pytest.mark.parametrize("change", ALL, ids=lambda change: change.story)
def test_a_listed_change_fits_one_place_and_names_tests_that_are_there(change: Change) -> None:
    text = place_of(change, ROOT / "bulkpull").read_text("utf-8")

    compile(text.replace(change.old, change.new), "changed", "exec")
    for test in change.tests:
        path, _, name = test.partition("::")
        assert name in (ROOT / path).read_text("utf-8")


@pytest.mark.case("C44")
def test_the_twelve_named_changes_may_not_go_unnoticed() -> None:
    assert len(NAMED) == 12
    assert not [change.story for change in NAMED if change.unnoticed]
