"""A stored query beside the dataset of today: what it names and what is there."""

from __future__ import annotations

import pytest

from bulkpull.model import OfferedDataset
from bulkpull.query.validate import QueryDrift, find_query_drift

OFFERED = (OfferedDataset("Profile", ("MPNId", "City", "Has Azure"), metrics=("PartnerCount",)),)


@pytest.mark.behaviour(76, 77)
@pytest.mark.parametrize(
    ("text", "missing", "left_out"),
    [
        ("SELECT MPNId, City, Has Azure FROM Profile", (), ()),
        ("select mpnid, CITY from PROFILE", (), ("Has Azure",)),
        ("SELECT PartnerCount FROM Profile", (), ("MPNId", "City", "Has Azure")),
        ("SELECT MPNId, Town, Town FROM Profile", ("Town",), ("City", "Has Azure")),
        ("SELECT MPNId FROM Profile WHERE Town = 'x' ORDER BY Land", ("Town", "Land"), ("City", "Has Azure")),
    ],
)
def test_a_query_lacks_what_it_names_and_the_dataset_has_not(
    text: str, missing: tuple[str, ...], left_out: tuple[str, ...]
) -> None:
    drift = find_query_drift(text, offered=OFFERED)

    assert drift is not None
    assert (drift.offered, drift.missing, drift.left_out) == (True, missing, left_out)


def test_a_dataset_that_is_not_offered_is_told_and_no_query_is_guessed_at() -> None:
    assert find_query_drift("SELECT a FROM Other", offered=OFFERED) == QueryDrift("Other", offered=False)
    assert find_query_drift("a page of text", offered=OFFERED) is None
