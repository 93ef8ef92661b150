"""Whatever one endpoint does, for ever: the run ends in bounded time, with bounded calls and a reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from journeys.hostile_service import ANSWERS, ENDPOINTS, export_against
from support import THOROUGH

# One of each kind; the others, which differ in details, with TRIALS=all.
_QUICK = (
    "silence", "one byte of the body at a time", "hang up", "503", "429 at once", "429 of an hour", "202", "new items",
    "redirects",
)  # fmt: skip
# A report that is never seen has half an hour, twice; before that a 429 may hold calls for an hour, and after it.
_LONGEST_S = 5 * 3_600.0
# Looks at executions: at most two a minute for an hour, each with up to six redirects.
_MOST_CALLS = 400


@pytest.mark.case("C9", "C10", "C16")
@pytest.mark.fault(105)
@pytest.mark.parametrize("answer", ANSWERS if THOROUGH else _QUICK)
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_run_against_a_hostile_endpoint_ends_with_a_reason(
    endpoint: str, answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_listing = endpoint == "list reports"  # which nights alone ask for at once
    outcome = export_against(endpoint, ANSWERS[answer], tmp_path, monkeypatch=monkeypatch, nightly=is_listing)

    assert outcome.requests[endpoint]
    assert outcome.elapsed_s <= _LONGEST_S
    assert outcome.requests[endpoint] <= _MOST_CALLS
    assert outcome.exit_code in (0, 3, 4)
    if endpoint.startswith("delete"):  # the data are published by then
        assert outcome.exit_code == 0
    assert bool(outcome.reasons) == (outcome.exit_code != 0)
    assert not [reason for reason in outcome.reasons if "unexpected fault" in reason]


@pytest.mark.case("C9")
@pytest.mark.fault(15, 31)
@pytest.mark.parametrize("endpoint", ["create query", "create report"])
def test_a_creation_that_is_refused_for_ever_costs_at_most_six_calls_a_dataset(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Look-ups included; one look-up serves all datasets that are in doubt at the same time."""
    outcome = export_against(endpoint, ANSWERS["503"], tmp_path, monkeypatch=monkeypatch, datasets=None)

    number = len(outcome.reasons)
    assert number >= 18  # all that the live service lists
    assert outcome.requests[endpoint] <= 2 * number
    looks = outcome.requests["list queries" if endpoint == "create query" else "list reports"]
    assert looks <= number  # many share one
    assert outcome.requests[endpoint] + looks <= 3 * number
    assert outcome.elapsed_s <= 900


@pytest.mark.case("C16")
@pytest.mark.parametrize("endpoint", ["list queries", "create query", "create report"])
def test_twenty_datasets_wait_together_for_a_service_that_asks_for_an_hour_again_and_again(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = export_against(endpoint, ANSWERS["429 of an hour"], tmp_path, monkeypatch=monkeypatch, datasets=None)

    assert outcome.exit_code == 3
    assert outcome.elapsed_s <= 3 * 3_600
    assert outcome.requests[endpoint] <= 40


@pytest.mark.case("C11")
def test_a_report_that_could_not_be_looked_at_stays_and_is_not_created_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = export_against("executions", ANSWERS["503"], tmp_path, monkeypatch=monkeypatch)

    assert outcome.requests["create report"] == 2
    assert outcome.requests["delete report"] == 0
    assert all("could not be asked" in reason for reason in outcome.reasons)
