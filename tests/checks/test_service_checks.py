"""The doctor's look at the service: each step by itself, so that the first that fails is the one that is reported."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bulkpull.checks.result import CheckResult, CheckStatus
from bulkpull.checks.service_access import check_service
from bulkpull.clock import SystemClock
from bulkpull.config.settings import Settings
from bulkpull.simulator import Fault, Scenario, Simulator


class WrongClock(SystemClock):
    """A machine whose wall clock is off."""

    def __init__(self, off_s: float) -> None:
        self._off = timedelta(seconds=off_s)

    def now(self) -> datetime:
        return super().now() + self._off


async def look(
    *faults: Fault, off_s: float = 0.0, blank: tuple[str, ...] = (), **service: Any
) -> dict[str, CheckResult]:
    """What is found at a service with these faults; `blank` names settings that are taken away."""
    given: dict[str, Any] = {"datasets": ("Profile", "OfficeUsage"), "rows": 1} | service
    async with Simulator(Scenario(faults=faults, **given)) as simulator:
        settings = Settings().for_simulator(simulator.environment).model_copy(update=dict.fromkeys(blank))
        found = await check_service(settings, clock=WrongClock(off_s))
        assert {call.method for call in simulator.calls if call.endpoint != "token"} <= {"GET"}
    return {finding.check: finding for finding in found}


def verdicts(found: dict[str, CheckResult]) -> dict[str, CheckStatus]:
    return {name: finding.verdict for name, finding in found.items()}


async def test_a_good_account_passes_every_step_with_reads_only() -> None:
    found = await look()

    assert set(verdicts(found).values()) == {CheckStatus.OK}
    assert list(found) == ["service", "sign-in host", "clock", "sign-in", "mfa", "role", "datasets", "allowance"]
    assert found["datasets"].facts["offered"] == ["OfficeUsage", "Profile"]
    assert "2 of the 20" in found["datasets"].message
    assert "AzureUsage" in found["datasets"].message


async def test_without_credentials_what_can_be_checked_is() -> None:
    found = await look(blank=("tenant_id", "client_secret", "username"))

    assert found["service"].verdict is found["clock"].verdict is CheckStatus.OK
    assert (found["sign-in"].verdict, found["sign-in"].exit_code) == (CheckStatus.TROUBLE, 4)
    assert "BULKPULL_CLIENT_SECRET" in (found["sign-in"].fix or "")
    assert found["role"].verdict is found["datasets"].verdict is CheckStatus.UNCHECKED


@pytest.mark.fault(13)
async def test_refused_credentials_are_trouble_of_the_sign_in() -> None:
    found = await look(Fault("token_error", times=None, args={"code": 7000215}))

    assert (found["sign-in"].verdict, found["sign-in"].exit_code) == (CheckStatus.TROUBLE, 4)
    assert "client_secret" in (found["sign-in"].fix or "")


@pytest.mark.behaviour(26)
async def test_a_user_without_a_role_is_signed_in_and_refused() -> None:
    found = await look(role="none")

    assert found["sign-in"].verdict is CheckStatus.OK
    assert (found["role"].verdict, found["role"].exit_code) == (CheckStatus.TROUBLE, 4)
    assert found["datasets"].verdict is CheckStatus.UNCHECKED


@pytest.mark.behaviour(10, 13, 191)
async def test_a_token_without_the_claim_of_mfa_is_told_before_the_service_refuses_it() -> None:
    found = await look(mfa="api")

    assert found["sign-in"].verdict is CheckStatus.OK
    assert (found["mfa"].verdict, found["mfa"].exit_code) == (CheckStatus.TROUBLE, 4)
    assert "`bulkpull auth login`" in (found["mfa"].fix or "")


@pytest.mark.behaviour(13)
async def test_a_service_that_does_not_tell_of_mfa_is_no_trouble() -> None:
    found = await look(mfa_header=False)

    assert (found["mfa"].verdict, found["mfa"].facts["compliant"]) == (CheckStatus.OK, None)


@pytest.mark.behaviour(23, 193)
async def test_a_viewer_from_whom_data_is_withheld_lacks_the_role() -> None:
    found = await look(role="viewer")

    assert (found["role"].verdict, found["role"].exit_code) == (CheckStatus.TROUBLE, 4)
    assert "Executive report viewer" in (found["role"].fix or "")
    assert 'take "Report viewer" away' in (found["role"].fix or "")
    assert found["role"].facts == {"data_redacted": True}
    assert found["datasets"].verdict is CheckStatus.OK


@pytest.mark.parametrize(
    ("off_s", "verdict"), [(40, CheckStatus.OK), (-40, CheckStatus.OK), (900, CheckStatus.TROUBLE)]
)
async def test_a_clock_is_held_against_the_services(off_s: float, verdict: CheckStatus) -> None:
    clock = (await look(off_s=off_s))["clock"]

    assert clock.verdict is verdict
    assert clock.facts["skew_s"] == pytest.approx(off_s, abs=5)
    assert bool(clock.fix) == (verdict is CheckStatus.TROUBLE)


async def test_an_account_without_datasets_is_told_so() -> None:
    found = await look(datasets=())

    assert found["role"].verdict is CheckStatus.UNCHECKED, "a wrong address is answered in the same way"
    assert found["datasets"].verdict is CheckStatus.TROUBLE
    assert "Executive report viewer" in (found["datasets"].fix or "")


async def test_a_wrong_path_in_the_address_ticks_nothing_that_was_not_seen() -> None:
    async with Simulator(Scenario(rows=1)) as simulator:
        settings = Settings().for_simulator(simulator.environment)
        settings = settings.model_copy(update={"api_base_url": f"{settings.api_base_url}/insights/v7"})
        found = {item.check: item for item in await check_service(settings, clock=SystemClock())}

    assert found["service"].verdict is found["sign-in"].verdict is CheckStatus.OK
    assert {found[name].verdict for name in ("mfa", "role", "allowance")} == {CheckStatus.UNCHECKED}
    assert found["datasets"].verdict is CheckStatus.TROUBLE
    assert "`api_base_url`" in (found["datasets"].fix or "")


async def test_a_service_out_of_order_is_trouble_wherever_it_shows() -> None:
    found = await look(Fault("http_status", endpoint="GET ScheduledDataset", times=None, args={"status": 503}))

    assert "503" in found["service"].message
    assert found["sign-in host"].verdict is found["sign-in"].verdict is CheckStatus.OK
    assert (found["datasets"].verdict, found["datasets"].exit_code) == (CheckStatus.TROUBLE, 1)


async def test_a_service_that_cannot_be_reached_is_named_with_a_next_step() -> None:
    settings = Settings(api_base_url="http://127.0.0.1:9/x", token_url="http://127.0.0.1:9/{tenant_id}/t")
    found = {finding.check: finding for finding in await check_service(settings, clock=SystemClock())}

    assert found["service"].verdict is found["sign-in host"].verdict is CheckStatus.TROUBLE
    assert "127.0.0.1:9" in found["service"].message
    assert "HTTPS_PROXY" in (found["service"].fix or "")
    assert found["clock"].verdict is CheckStatus.UNCHECKED


async def test_certificates_that_cannot_be_used_leave_the_service_unchecked(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate", encoding="utf-8")
    found = {
        item.check: item for item in await check_service(Settings(ca_file=tmp_path / "ca.pem"), clock=SystemClock())
    }

    assert (found["service"].verdict, found["service"].exit_code) == (CheckStatus.TROUBLE, 2)
    assert {found[name].verdict for name in ("clock", "sign-in", "role")} == {CheckStatus.UNCHECKED}
