"""Sign-in by device code through MSAL, over TLS, against the simulator's directory."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from certificates import loopback_authority
from support import EventRecorder, FakeClock

from bulkpull.auth import device_code
from bulkpull.auth.device_code import DeviceCode, SignedIn, sign_in_by_device_code
from bulkpull.config.settings import Settings
from bulkpull.errors import AuthError, BulkpullError, SettingsError, TlsRefused
from bulkpull.redact import redact
from bulkpull.simulator import Fault, Scenario, Simulator
from bulkpull.transport.http import Http
from bulkpull.transport.http_messages import Reply


@dataclass
class Rig:
    """A directory, settings that point at it, and what the person was shown."""

    simulator: Simulator
    settings: Settings
    clock: FakeClock = field(default_factory=FakeClock)
    shown: list[DeviceCode] = field(default_factory=list)

    async def sign_in(self, **changes: Any) -> SignedIn:
        settings = self.settings.model_copy(update=changes)
        http = Http(ca_file=settings.ca_file, events=EventRecorder().hub, clock=self.clock, user_agent="test")
        async with http:
            return await sign_in_by_device_code(settings, http=http, clock=self.clock, show=self.shown.append)

    def asked(self, endpoint: str) -> int:
        return sum(call.endpoint == endpoint for call in self.simulator.calls)


@asynccontextmanager
async def directory(
    tmp_path: Path, *faults: Fault, tls: bool = True, version: int = 1, **parameters: Any
) -> AsyncIterator[Rig]:
    context, pem = loopback_authority()
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(pem)
    given: dict[str, Any] = {"rows": 10, "faults": faults} | parameters
    async with Simulator(Scenario(**given), tls=context if tls else None) as simulator:
        token_url = simulator.token_url
        settings = Settings(
            api_base_url=simulator.api_base_url,
            token_url=token_url if version == 1 else token_url.replace("/oauth2/", "/oauth2/v2.0/"),
            tenant_id=simulator.scenario.tenant_id,
            client_id=simulator.scenario.client_id,
            ca_file=ca_file if tls else None,
        )
        yield Rig(simulator, settings)


@pytest.mark.behaviour(11)
@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("version", [1, 2])
async def test_a_person_who_enters_the_code_gives_the_program_a_refresh_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int, *, tls: bool
) -> None:
    answers: list[Any] = []
    send = device_code._Carrier._send

    def remember(carrier: Any, *request: Any, **options: Any) -> Any:
        answers.append(send(carrier, *request, **options))
        return answers[-1]

    monkeypatch.setattr(device_code._Carrier, "_send", remember)
    async with directory(tmp_path, tls=tls, version=version, device_polls=3) as rig:
        signed_in = await rig.sign_in()

        assert signed_in.account == rig.simulator.scenario.username
        assert rig.asked("token") == 4
    (shown,) = rig.shown
    assert shown.address.endswith("/devicelogin")
    assert shown.lives_s == 900
    assert rig.clock.sleeps_s == [1, 1, 1, 1]
    assert redact(signed_in.refresh_token) == "***"
    assert signed_in.refresh_token not in repr(signed_in)
    assert signed_in.refresh_token in answers[-1].text
    assert signed_in.refresh_token not in repr(answers)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"device_answer": "declined"}, "declined"),
        ({"device_answer": "expired"}, "the code was not entered in time"),
        ({"public_client": False}, "allow public client flows"),
        ({"client_id": "11111111-1111-4111-8111-111111111111"}, "`client_id` and `tenant_id`"),
    ],
)
async def test_what_ends_a_sign_in_is_one_sentence_with_the_next_step(
    tmp_path: Path, parameters: dict[str, Any], words: str
) -> None:
    async with directory(tmp_path, **parameters) as rig:
        strange = {"client_id": Scenario().client_id} if "client_id" in parameters else {}
        with pytest.raises(AuthError, match=words) as refused:
            await rig.sign_in(**strange)

    assert refused.value.fix


@pytest.mark.behaviour(17)
async def test_an_unknown_refusal_of_another_host_names_no_page_of_microsoft(tmp_path: Path) -> None:
    async with directory(tmp_path, Fault("token_error", times=None, args={"code": 999999})) as rig:
        with pytest.raises(AuthError, match="AADSTS999999") as refused:
            await rig.sign_in()

    assert "microsoftonline" not in refused.value.reason


async def test_a_code_that_nobody_enters_is_not_waited_for_beyond_its_end(tmp_path: Path) -> None:
    async with directory(tmp_path, device_polls=10_000, device_interval_s=60) as rig:
        with pytest.raises(AuthError, match="the code was not entered in time"):
            await rig.sign_in()

    assert rig.clock.elapsed_s == 900


async def test_an_answer_that_is_lost_while_the_person_signs_in_costs_nothing(tmp_path: Path) -> None:
    lost = Fault("reset_before_acting", endpoint="token")
    down = Fault("http_status", endpoint="token", args={"status": 503}, skip=1)
    async with directory(tmp_path, lost, down, device_polls=1) as rig:
        assert (await rig.sign_in()).account


async def test_the_directory_is_not_spoken_to_when_its_certificate_cannot_be_trusted(tmp_path: Path) -> None:
    async with directory(tmp_path) as rig:
        with pytest.raises(TlsRefused, match="`ca_file`"):
            await rig.sign_in(ca_file=None)

        assert rig.simulator.calls == []


async def test_without_msal_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msal", None)
    async with directory(tmp_path) as rig:
        with pytest.raises(SettingsError, match=r'-m pip install "msal" "msal-extensions"`'):
            await rig.sign_in()


async def test_an_unknown_tenant_is_named_before_a_code_is_shown(tmp_path: Path) -> None:
    async with directory(tmp_path) as rig:
        with pytest.raises(AuthError, match="`tenant_id`"):
            await rig.sign_in(tenant_id="another")

    assert rig.shown == []


@pytest.mark.parametrize(
    "path", ["/adfs/token", "/oauth2/token", "//oauth2/v2.0/token"], ids=["another kind", "no tenant", "empty tenant"]
)
async def test_a_token_url_of_another_kind_is_not_guessed_from(tmp_path: Path, path: str) -> None:
    async with directory(tmp_path) as rig:
        with pytest.raises(SettingsError, match="`token_url`"):
            await rig.sign_in(token_url=f"https://127.0.0.1{path}")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"token_endpoint": "https://127.0.0.1/token"}'])
async def test_a_server_that_describes_no_directory_is_not_signed_in_at(
    tmp_path: Path, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def other_server(_: Http, __: object) -> Reply:
        return Reply(200, {}, body)

    async with directory(tmp_path) as rig:
        monkeypatch.setattr(Http, "send", other_server)
        with pytest.raises(BulkpullError, match="token"):
            await rig.sign_in()

    assert rig.shown == []
