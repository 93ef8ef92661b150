"""Credentials of the Azure libraries, handed to the Python API."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp
import anyio
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from azure.identity.aio import AuthorizationCodeCredential, ClientSecretCredential
from certificates import loopback_authority
from support import EventRecorder, FakeClock

import bulkpull
from bulkpull.auth.azure_identity import CredentialTokens
from bulkpull.clock import SystemClock
from bulkpull.config.settings import Settings
from bulkpull.errors import AuthError, BulkpullError, NotConnected, SettingsError
from bulkpull.insights.connect import connected
from bulkpull.redact import redact
from bulkpull.simulator import Scenario, Simulator

RESOURCE = "https://api.partnercenter.microsoft.com"


@dataclass
class Credential:
    """Signs a simulated user in as azure-identity would do it at the real directory."""

    simulator: Simulator | None = None
    clock: FakeClock | None = None
    grant: str = "refresh_token"
    lives_s: int = 3_600
    asked: int = 0
    scopes: tuple[str, ...] = ()
    failure: Exception | None = None

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.asked += 1
        self.scopes = scopes
        if self.failure is not None:
            raise self.failure
        now = self.clock.now().timestamp() if self.clock else time.time()
        return AccessToken(await self._token(), int(now) + self.lives_s)

    async def _token(self) -> str:
        if self.simulator is None:
            return f"opaque-azure-token-{self.asked}"
        scenario = self.simulator.scenario
        form = {
            "grant_type": self.grant,
            "client_id": scenario.client_id,
            "client_secret": scenario.client_secret,
            "refresh_token": scenario.refresh_token,
            "resource": RESOURCE,
        }
        url = self.simulator.token_url.format(tenant_id=scenario.tenant_id)
        async with aiohttp.ClientSession() as session, session.post(url, data=form) as reply:
            return str((await reply.json())["access_token"])


def tokens(credential: Any, clock: FakeClock | None = None, recorded: EventRecorder | None = None) -> CredentialTokens:
    return CredentialTokens(
        credential, resource=f" {RESOURCE}/ ", clock=clock or FakeClock(), events=(recorded or EventRecorder()).hub
    )


async def test_an_export_runs_with_a_credential_and_without_any_setting_about_signing_in(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=20, datasets=("Profile", "MSLearn"))) as simulator:
        credential = Credential(simulator)
        settings = Settings(api_base_url=simulator.api_base_url, poll_initial_seconds=0.05)
        manifest = await bulkpull.export(
            output=tmp_path, datasets=["Profile"], settings=settings, credential=credential
        )

    assert manifest.status == "complete"
    assert (credential.asked, credential.scopes) == (1, (f"{RESOURCE}/.default",))


@pytest.mark.behaviour(15)
async def test_a_credential_without_a_user_is_told_to_be_one(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=20, datasets=("Profile",))) as simulator:
        credential = Credential(simulator, grant="client_credentials")
        settings = Settings(api_base_url=simulator.api_base_url)

        with pytest.raises(AuthError, match="refuses tokens without a user"):
            await bulkpull.export(output=tmp_path, settings=settings, credential=credential)


async def test_one_renewal_serves_all_and_comes_before_the_end() -> None:
    clock = FakeClock()
    credential = Credential(clock=clock)
    source = tokens(credential, clock)
    values: list[str] = []

    async def waiter() -> None:
        values.append((await source.get_token()).value)

    for _ in range(2):
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(waiter)
        clock.advance(3_400)

    assert (credential.asked, len(set(values))) == (2, 2)


async def test_a_refused_token_is_asked_for_once_more() -> None:
    credential = Credential(clock=FakeClock())
    source = tokens(credential)
    refused = await source.get_token()

    first, second = await source.renew(refused), await source.renew(refused)

    assert first is second is not refused
    assert credential.asked == 2


async def test_a_token_of_the_library_is_a_secret_from_the_moment_it_arrives() -> None:
    got = await tokens(Credential(clock=FakeClock())).get_token()

    assert redact("opaque-azure-token-1") == "***"
    assert "opaque" not in repr(got)


async def test_an_end_that_cannot_be_believed_is_taken_for_near() -> None:
    clock = FakeClock()
    credential = Credential(clock=clock, lives_s=-10)
    source = tokens(credential, clock)
    for _ in range(5):
        await source.get_token()

    assert credential.asked == 1


@pytest.mark.parametrize(
    ("failure", "kind", "words"),
    [
        (ClientAuthenticationError("AADSTS7000215: Invalid secret. Trace ID: canary-id"), AuthError, "AADSTS7000215"),
        (ValueError("No credential in this chain provided a token."), AuthError, "No credential in this chain"),
        (ServiceRequestError("Cannot resolve login.contoso.example."), NotConnected, "HTTPS_PROXY"),
    ],
)
async def test_what_a_library_raises_becomes_one_sentence(
    failure: Exception, kind: type[BulkpullError], words: str
) -> None:
    with pytest.raises(kind, match=words) as refused:
        await tokens(Credential(failure=failure)).get_token()

    assert refused.value.__context__ is None
    assert "canary" not in str(refused.value)
    assert refused.value.fix


async def test_a_credential_that_would_block_the_event_loop_is_refused_in_words() -> None:
    class Blocking:
        def get_token(self, *_: str) -> AccessToken:
            return AccessToken("x", 0)

    with pytest.raises(SettingsError, match=r"azure\.identity\.aio"):
        await tokens(Blocking()).get_token()


@pytest.mark.parametrize("kind", ["user", "application"])
async def test_the_librarys_own_credentials_sign_in_over_tls(tmp_path: Path, kind: str) -> None:
    context, pem = loopback_authority()
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(pem)
    async with Simulator(Scenario(rows=20, datasets=("Profile",)), tls=context) as simulator:
        scenario = simulator.scenario
        directory: dict[str, Any] = {
            "authority": simulator.token_url.split("/{tenant_id}")[0],
            "disable_instance_discovery": True,
            "connection_verify": str(ca_file),
            "client_secret": scenario.client_secret,
        }
        credential: Any = (
            AuthorizationCodeCredential(
                scenario.tenant_id,
                scenario.client_id,
                scenario.authorization_code,
                "http://localhost:1",
                **directory,
            )
            if kind == "user"
            else ClientSecretCredential(scenario.tenant_id, scenario.client_id, **directory)
        )
        settings = Settings(api_base_url=simulator.api_base_url, ca_file=ca_file)
        async with (
            credential,
            connected(
                settings=settings, events=EventRecorder().hub, clock=SystemClock(), credential=credential
            ) as connection,
        ):
            if kind == "user":
                assert len(await connection.client.get_datasets()) == 1
            else:
                with pytest.raises(AuthError, match="refuses tokens without a user"):
                    await connection.client.get_datasets()


async def test_the_grant_azure_takes_the_machines_own_credential_and_closes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Machine(Credential):
        closed = False

        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(self, *_: object) -> None:
            Machine.closed = True

    async with Simulator(Scenario(rows=20, datasets=("Profile",))) as simulator:
        monkeypatch.setattr("azure.identity.aio.DefaultAzureCredential", lambda: Machine(simulator))
        settings = Settings(api_base_url=simulator.api_base_url, grant="azure")
        async with connected(settings=settings, events=EventRecorder().hub, clock=FakeClock()) as connection:
            assert len(await connection.client.get_datasets()) == 1

    assert Machine.closed


async def test_the_grant_azure_without_the_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity.aio", None)

    with pytest.raises(SettingsError, match=r'-m pip install "azure-identity>=1.25" "azure-keyvault-secrets>=4.9"'):
        async with connected(settings=Settings(grant="azure"), events=EventRecorder().hub, clock=FakeClock()):
            pass
