"""Whatever one endpoint does, for ever: the run ends in bounded time, with bounded calls and a reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from journeys.hostile_service import ANSWERS, ENDPOINTS, export_against


@pytest.mark.case("C9", "C10", "C16")
@pytest.mark.fault(105)
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_run_against_a_hostile_endpoint_ends_with_a_reason(
    endpoint: str, answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = export_against(endpoint, ANSWERS[answer], tmp_path, monkeypatch=monkeypatch)
    print(outcome.elapsed_s, dict(outcome.requests), outcome.exit_code, outcome.reasons[:1], outcome.error)
