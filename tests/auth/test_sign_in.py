"""How a run signs in: settings, the token cache, certificates and vaults, put together; every grant, both versions."""

from __future__ import annotations

import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
from certificates import PASSPHRASE, loopback_authority, made
from support import EventRecorder, FakeClock, prepared_sign_in

from bulkpull.auth import TokenEntry, open_token_cache, token_fingerprint
from bulkpull.auth.grants import Grant
from bulkpull.auth.sign_in import choose_grant, describe_sign_in
from bulkpull.config.settings import Settings
from bulkpull.errors import AuthError, SettingsError
from bulkpull.insights.connect import Connection, connected
from bulkpull.simulator import Scenario, Simulator


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"BULKPULL_{name.upper()}", raising=False)


@dataclass
class Service:
    """A simulated service over TLS, and settings that point at it without saying how to sign in."""

    simulator: Simulator
    ca_file: Path

    def settings(self, *, version: int = 1, **credentials: Any) -> Settings:
        known = self.simulator.environment
        token_url = known["BULKPULL_TOKEN_URL"]
        given: dict[str, Any] = {
            "api_base_url": known["BULKPULL_API_BASE_URL"],
            "token_url": token_url if version == 1 else token_url.replace("/oauth2/", "/oauth2/v2.0/"),
            "tenant_id": known["BULKPULL_TENANT_ID"],
            "client_id": known["BULKPULL_CLIENT_ID"],
            "ca_file": self.ca_file,
        }
        return Settings(**(given | credentials))


@pytest.fixture
def authority(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """To serve loopback with, and the authority's certificate as a file."""
    context, pem = loopback_authority()
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(pem)
    return context, ca_file


@asynccontextmanager
async def serving(authority: tuple[ssl.SSLContext, Path], **parameters: Any) -> AsyncIterator[Service]:
    given: dict[str, Any] = {"rows": 10, "datasets": ("Profile", "MSLearn")} | parameters
    async with Simulator(Scenario(**given), tls=authority[0]) as simulator:
        yield Service(simulator, authority[1])


@asynccontextmanager
async def connection(settings: Settings, *, clock: FakeClock | None = None) -> AsyncIterator[Connection]:
    async with connected(settings=settings, events=EventRecorder().hub, clock=clock or FakeClock()) as made_up:
        yield made_up


def kept(settings: Settings, refresh_token: str, **more: Any) -> TokenEntry:
    cache = open_token_cache(settings)
    assert cache is not None
    entry = TokenEntry(
        tenant_id=cache.identity.tenant_id,
        client_id=cache.identity.client_id,
        token_url=cache.identity.token_url,
        kept_at="2026-11-23T02:00:00Z",
        refresh_token=refresh_token,
        **more,
    )
    cache.save(entry)
    return entry


@pytest.mark.behaviour(1, 4, 14, 15)
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("grant", list(Grant))
@pytest.mark.parametrize("proof", ["secret", "certificate", "sealed certificate"])
async def test_every_grant_signs_in_on_both_versions_by_secret_and_by_certificate(
    authority: tuple[ssl.SSLContext, Path], tmp_path: Path, version: int, grant: Grant, proof: str
) -> None:
    pem = made()
    file = tmp_path / "app.pem"
    file.write_bytes((pem.sealed_key if proof.startswith("sealed") else pem.key) + pem.certificate)
    async with serving(authority, client_certificate=pem.certificate, app_only="allowed") as service:
        scenario = service.simulator.scenario
        given: dict[str, Any] = {"grant": grant.value}
        if proof == "secret":
            given["client_secret"] = scenario.client_secret
        else:
            given["client_certificate_file"] = file
            given["client_certificate_password"] = PASSPHRASE if proof.startswith("sealed") else None
        if grant is Grant.PASSWORD:
            given |= {"username": scenario.username, "password": scenario.password}
        if grant is Grant.REFRESH_TOKEN:
            given["refresh_token"] = scenario.refresh_token
        clock = FakeClock(start=service.simulator._clock.now())
        async with connection(service.settings(version=version, **given), clock=clock) as made_up:
            assert len(await made_up.client.get_datasets()) == 2


async def test_another_applications_certificate_is_refused_in_one_sentence(
    authority: tuple[ssl.SSLContext, Path], tmp_path: Path
) -> None:
    file = tmp_path / "app.pem"
    file.write_bytes(made(1).key + made(1).certificate)
    async with serving(authority, client_certificate=made().certificate) as service:
        settings = service.settings(grant="client_credentials", client_certificate_file=file)
        async with connection(settings, clock=FakeClock(start=service.simulator._clock.now())) as made_up:
            with pytest.raises(AuthError, match=r"certificate is not registered.*AADSTS700027"):
                await made_up.client.get_datasets()


async def test_a_clock_that_is_hours_off_is_named_when_an_assertion_is_refused(
    authority: tuple[ssl.SSLContext, Path], tmp_path: Path
) -> None:
    file = tmp_path / "app.pem"
    file.write_bytes(made().key + made().certificate)
    async with serving(authority, client_certificate=made().certificate) as service:
        settings = service.settings(grant="client_credentials", client_certificate_file=file)
        clock = FakeClock(start=service.simulator._clock.now())
        clock.step_wall_clock(-7_200)
        async with connection(settings, clock=clock) as made_up:
            with pytest.raises(AuthError, match="clock"):
                await made_up.client.get_datasets()


@pytest.mark.behaviour(8)
@pytest.mark.fault(19)
async def test_the_next_run_goes_on_with_the_token_that_this_one_was_given(
    authority: tuple[ssl.SSLContext, Path],
) -> None:
    async with serving(authority, single_use_refresh_tokens=True) as service:
        scenario = service.simulator.scenario
        settings = service.settings(client_secret=scenario.client_secret, refresh_token=scenario.refresh_token)
        for _ in range(3):
            async with connection(settings) as made_up:
                assert await made_up.client.get_datasets()
        uncached = settings.model_copy(update={"token_cache": "off"})
        async with connection(uncached) as made_up:
            with pytest.raises(AuthError, match="refresh token has ended"):
                await made_up.client.get_datasets()


async def test_a_refresh_token_that_is_no_longer_set_is_taken_from_the_cache(
    authority: tuple[ssl.SSLContext, Path],
) -> None:
    async with serving(authority) as service:
        scenario = service.simulator.scenario
        settings = service.settings(client_secret=scenario.client_secret)
        kept(settings, scenario.refresh_token, descends_from=token_fingerprint("an-older-token"))

        assert await choose_grant(settings) == "refresh_token"
        async with connection(settings) as made_up:
            assert await made_up.client.get_datasets()


async def test_a_person_who_signed_in_needs_neither_secret_nor_token_in_the_settings(
    authority: tuple[ssl.SSLContext, Path],
) -> None:
    """A public client must not send a secret, also where the settings hold one."""
    async with serving(authority) as service:
        settings = service.settings()
        kept(settings, service.simulator.scenario.refresh_token, public=True)

        assert await choose_grant(settings) == "refresh_token"
        secretive = settings.model_copy(update={"client_secret": None})
        sign_in = await prepared_sign_in(secretive)
        assert (sign_in.grant, sign_in.credentials.client_secret) == (Grant.REFRESH_TOKEN, None)
        with_password = service.settings(client_secret="x-secret", username="u", password="pass-word")
        kept(with_password, service.simulator.scenario.refresh_token, public=True)
        sign_in = await prepared_sign_in(with_password)
        assert (sign_in.grant, sign_in.credentials.client_secret) == (Grant.REFRESH_TOKEN, None)


@pytest.mark.parametrize(
    ("given", "description"),
    [
        ({"client_secret": "s", "username": "u", "password": "p"}, "the password of u"),
        ({"client_secret": "s"}, "the application itself, without a user"),
        ({"client_secret": "s", "refresh_token": "r"}, "`refresh_token` of the settings"),
        ({"grant": "azure"}, "the identity of this machine in Azure (`grant` is azure)"),
    ],
)
async def test_a_sign_in_is_described_by_what_it_uses(tmp_path: Path, given: dict[str, str], description: str) -> None:
    settings = Settings(tenant_id="t", client_id="c", token_cache=str(tmp_path), **given)

    assert await describe_sign_in(settings) == description


async def test_a_secret_that_the_stored_sign_in_does_not_need_is_said_to_be_unchecked(tmp_path: Path) -> None:
    settings = Settings(tenant_id="t", client_id="c", client_secret="wrong", token_cache=str(tmp_path / "tokens"))
    kept(settings, "x-token", public=True)

    described = await describe_sign_in(settings)

    assert "that `bulkpull auth login` stored" in described
    assert described.endswith("; `client_secret` is not sent, and so not checked")


async def test_a_sign_in_without_the_username_that_is_set_now_is_named(tmp_path: Path) -> None:
    settings = Settings(tenant_id="t", client_id="c", token_cache=str(tmp_path / "tokens"))
    with pytest.raises(AuthError, match=r"for tenant t, client c: .*holds no sign-in for them"):
        await choose_grant(settings)
    kept(settings, "x-token", public=True)
    other = settings.model_copy(update={"username": "other@contoso.example", "grant": "refresh_token"})

    with pytest.raises(AuthError) as refused:
        await choose_grant(other)

    assert refused.value.what == "credentials are missing for tenant t, client c, user other@contoso.example"
    assert "the token cache has only a sign-in of" in (refused.value.why or "")
    assert (refused.value.why or "").endswith("made without `username`")
    assert (refused.value.fix or "").startswith("unset `username` to use that sign-in; or run `bulkpull auth login`")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"refresh_token": "r"}, "the refresh_token grant needs `client_secret`"),
        ({"username": "user@contoso.example", "password": "p"}, "the password grant needs `client_secret`"),
        ({"username": "user@contoso.example", "client_secret": "s"}, "the password grant needs `password`"),
        ({"username": "user@contoso.example", "grant": "refresh_token"}, "`refresh_token` is not set, and the token"),
    ],
)
async def test_what_a_sign_in_lacks_is_told_of_the_grant_that_the_settings_choose(
    tmp_path: Path, given: dict[str, str], why: str
) -> None:
    settings = Settings(tenant_id="t", client_id="c", token_cache=str(tmp_path / "tokens"), **given)

    with pytest.raises(AuthError) as refused:
        await choose_grant(settings)

    assert (refused.value.why or "").startswith(why)
    assert (refused.value.why or "").endswith("the token cache holds no sign-in for them")


async def test_without_the_username_that_a_sign_in_was_made_with_that_username_is_the_step(tmp_path: Path) -> None:
    settings = Settings(tenant_id="t", client_id="c", token_cache=str(tmp_path / "tokens"))
    named = settings.model_copy(update={"username": "user@contoso.example"})
    kept(named, "x-token", public=True, account="user@contoso.example")

    with pytest.raises(AuthError) as refused:
        await choose_grant(settings)

    assert (refused.value.fix or "").startswith("set `username` to user@contoso.example; or run `bulkpull auth login`")


async def test_a_cache_that_cannot_be_read_is_named_where_it_is_all_there_is(tmp_path: Path) -> None:
    settings = Settings(tenant_id="t", client_id="c", token_cache=str(tmp_path / "tokens"))
    kept(settings, "x-token", public=True)
    (file,) = (tmp_path / "tokens").iterdir()
    file.write_text("{")

    with pytest.raises(AuthError, match=r"token cache .* cannot be read: it is damaged"):
        await choose_grant(settings)


async def test_a_password_run_keeps_nothing(authority: tuple[ssl.SSLContext, Path]) -> None:
    async with serving(authority) as service:
        scenario = service.simulator.scenario
        settings = service.settings(
            client_secret=scenario.client_secret, username=scenario.username, password=scenario.password
        )
        async with connection(settings) as made_up:
            await made_up.client.get_datasets()

        assert settings.token_cache_folder is not None
        assert not settings.token_cache_folder.exists()


async def test_a_reference_to_a_vault_without_the_libraries_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity.aio", None)
    settings = Settings(
        tenant_id="t", client_id="c", client_secret="@keyvault:https://contoso.vault.azure.net/secrets/name"
    )

    with pytest.raises(SettingsError, match=r'secret name of https://contoso.*-m pip install "azure-identity>='):
        await prepared_sign_in(settings)


class Vault:
    """Stands in for the library's client of a vault, which lies in the cloud."""

    asked: list[tuple[str, str, str | None]] = []  # noqa: RUF012 - emptied by each test

    def __init__(self, vault_url: str, credential: Any) -> None:
        self._vault_url = vault_url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def get_secret(self, name: str, version: str | None) -> Any:
        self.asked.append((self._vault_url, name, version))
        if name == "missing":
            raise RuntimeError("(SecretNotFound) A secret with this name was not found. Request id: canary")
        return type("Secret", (), {"value": "the-secret-of-the-vault"})


async def test_a_secret_is_fetched_from_the_vault_only_where_the_grant_needs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("azure.keyvault.secrets.aio.SecretClient", Vault)
    Vault.asked.clear()
    root = "@keyvault:https://contoso.vault.azure.net/secrets"
    settings = Settings(
        tenant_id="t",
        client_id="c",
        client_secret=f"{root}/app-secret",
        username="u",
        password=f"{root}/not-needed",
        refresh_token="a-plain-token",
        grant="refresh_token",
        token_cache="off",
    )

    sign_in = await prepared_sign_in(settings)

    assert sign_in.credentials.client_secret == "the-secret-of-the-vault"
    assert Vault.asked == [("https://contoso.vault.azure.net", "app-secret", None)]
    missing = settings.model_copy(update={"client_secret": Settings(client_secret=f"{root}/missing").client_secret})
    with pytest.raises(AuthError, match=r"was not found.*Key Vault Secrets User") as refused:
        await prepared_sign_in(missing)
    assert "canary" not in str(refused.value)
