"""Secrets in files or in a vault: read without their line end, told by their place and never by their value."""

from __future__ import annotations

from pathlib import Path

import pytest

from bulkpull.errors import SettingsError
from bulkpull.redact import redact
from bulkpull.secret_sources import VaultReference, vault_reference
from bulkpull.settings import SECRETS, Settings

VERSION = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"BULKPULL_{name.upper()}", raising=False)


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text("a-secret-from-a-file\n")
    return file


@pytest.mark.parametrize("name", SECRETS)
def test_every_secret_may_lie_in_a_file(name: str, secret_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"BULKPULL_{name.upper()}_FILE", str(secret_file))

    settings = Settings()

    assert getattr(settings, name).get_secret_value() == "a-secret-from-a-file"
    assert redact("a-secret-from-a-file") == "***"


def test_the_settings_file_may_name_it_as_well(secret_file: Path, tmp_path: Path) -> None:
    config = tmp_path / "x.toml"
    config.write_text(f"client_secret_file = '{secret_file}'\n")

    secret = Settings.load(config).client_secret
    assert secret is not None
    assert secret.get_secret_value() == "a-secret-from-a-file"


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"a-secret\r\n", "a-secret"),
        (b"\xef\xbb\xbfa-secret\n\n", "a-secret"),
        ("gehäim-nis".encode(), "gehäim-nis"),
        (b"two\nlines", "two\nlines"),
    ],
)
def test_line_ends_at_the_end_are_no_part_of_the_secret(content: bytes, secret: str, secret_file: Path) -> None:
    secret_file.write_bytes(content)

    read = Settings(client_secret_file=secret_file).client_secret
    assert read is not None
    assert read.get_secret_value() == secret


@pytest.mark.fault(1)
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"\n", "the file is empty"),
        (b"\xff\xfe\x00canary", "not UTF-8"),
        (b"canary" * 20_000, "bytes are no secret"),
    ],
)
def test_a_file_that_holds_no_secret_is_named_with_its_setting(
    content: bytes | None, words: str, secret_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret_file.unlink()
    if content is not None:
        secret_file.write_bytes(content)
    monkeypatch.setenv("BULKPULL_PASSWORD_FILE", str(secret_file))

    with pytest.raises(SettingsError, match=words) as refused:
        Settings()

    assert f"environment variable BULKPULL_PASSWORD_FILE: `password_file` names {secret_file}" in str(refused.value)
    assert "canary" not in str(refused.value)


@pytest.mark.fault(1)
def test_a_secret_that_is_given_twice_is_refused(secret_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKPULL_CLIENT_SECRET_FILE", str(secret_file))
    monkeypatch.setenv("BULKPULL_CLIENT_SECRET", "another-secret")

    with pytest.raises(SettingsError, match="`client_secret_file` is given besides `client_secret`") as refused:
        Settings()

    assert "another-secret" not in str(refused.value)


def test_a_secret_and_a_certificate_exclude_each_other(secret_file: Path) -> None:
    with pytest.raises(SettingsError, match="`client_secret` and `client_certificate_file` are both given"):
        Settings(client_secret="a-secret", client_certificate_file=secret_file)


def test_a_demo_reads_no_secret_from_a_file(secret_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKPULL_CLIENT_SECRET_FILE", str(secret_file.with_name("nowhere")))

    assert Settings.load(None, demo=True).for_simulator({}).client_secret is None


def test_a_demo_keeps_no_token() -> None:
    assert Settings.load(None, demo=True, token_cache="/tmp/x").for_simulator({}).token_cache_folder is None  # noqa: S108 - never made


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a-secret", None),
        (
            "@keyvault:https://contoso.vault.azure.net/secrets/Bulkpull-Secret",
            VaultReference("https://contoso.vault.azure.net", "Bulkpull-Secret"),
        ),
        (
            f"@keyvault: https://Contoso-2.vault.azure.cn/secrets/x/{VERSION}",
            VaultReference("https://contoso-2.vault.azure.cn", "x", VERSION),
        ),
    ],
)
def test_a_reference_names_a_secret_of_a_vault(value: str, expected: VaultReference | None) -> None:
    assert vault_reference(value) == expected


@pytest.mark.parametrize(
    "address",
    [
        "https://contoso.example/secrets/x",
        "https://contoso.vault.azure.net.contoso.example/secrets/x",
        "https://vault.azure.net/secrets/x",
        "http://contoso.vault.azure.net/secrets/x",
        "https://contoso.vault.azure.net/keys/x",
        "https://contoso.vault.azure.net/secrets/x/newest",
        "https://user@contoso.vault.azure.net/secrets/x",
        "https://contoso.vault.azure.net/secrets/x?y",
    ],
)
def test_a_reference_leads_to_a_vault_of_azure_and_nowhere_else(address: str) -> None:
    with pytest.raises(SettingsError, match=r"`client_secret` is not valid.*@keyvault:https://NAME"):
        Settings(client_secret=f"@keyvault:{address}")


def test_a_reference_is_no_secret_and_may_be_told() -> None:
    reference = "@keyvault:https://contoso.vault.azure.net/secrets/told"
    Settings(client_secret=reference)

    assert redact(reference) == reference
