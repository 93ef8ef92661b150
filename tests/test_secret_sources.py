"""Secrets in files or in a vault: read without their line end, named by their place and never by their value."""

from __future__ import annotations

import itertools
import shlex
from pathlib import Path
from typing import Any

import pytest
from support import prepared_sign_in

from bulkpull.auth.external_secrets import read_from_command
from bulkpull.config.secrets import VaultReference, vault_reference
from bulkpull.config.settings import SECRETS, Settings, origins
from bulkpull.errors import AuthError, SettingsError
from bulkpull.redact import redact

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
        (b"canary" * 20_000, "bytes is too long for a secret"),
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


FORMS = ("client_secret", "client_secret_file", "client_secret_command")


def form_of(form: str, secret: str, folder: Path) -> str:
    """The value of the setting `form` by which `secret` is given."""
    if form == "client_secret":
        return secret
    file = folder / secret
    file.write_text(f"{secret}\n")
    return str(file) if form == "client_secret_file" else f"cat {file}"


def given(settings: Settings) -> tuple[str | None, str | None]:
    """The secret as the settings have it, and the command that would write it."""
    secret = settings.client_secret
    return secret.get_secret_value() if secret else None, settings.client_secret_command


@pytest.mark.case("L3")
@pytest.mark.parametrize(("higher", "lower"), list(itertools.product(FORMS, FORMS)))
@pytest.mark.parametrize("places", [("option", "environment"), ("option", "file"), ("environment", "file")])
def test_a_higher_source_beats_a_lower_one_whatever_its_form(
    higher: str, lower: str, places: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {}
    config = tmp_path / "x.toml"
    config.touch()
    values = (form_of(higher, "the-higher", tmp_path), form_of(lower, "the-lower", tmp_path))
    for place, form, value in zip(places, (higher, lower), values, strict=True):
        if place == "option":
            options[form] = value
        elif place == "environment":
            monkeypatch.setenv(f"BULKPULL_{form.upper()}", value)
        else:
            config.write_text(f"{form} = '{value}'\n")

    settings = Settings.load(config, **options)

    assert given(settings) == ((None, values[0]) if higher == "client_secret_command" else ("the-higher", None))
    reported = origins(config, options=options)
    assert reported["client_secret"] == reported[higher] == places[0]
    assert all(reported[form] == "default" for form in FORMS if form not in (higher, "client_secret"))


@pytest.mark.case("L3")
def test_a_higher_certificate_beats_a_lower_secret(secret_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKPULL_CLIENT_SECRET", "a-secret")

    settings = Settings(client_certificate_file=secret_file)

    assert settings.client_secret is None


@pytest.mark.parametrize("written", ["""'op read "op://vault/a b"'""", "['op', 'read', 'op://vault/a b']"])
def test_a_command_is_a_text_or_a_list_of_words(written: str, tmp_path: Path) -> None:
    config = tmp_path / "x.toml"
    config.write_text(f"password_command = {written}\n")

    command = Settings.load(config).password_command

    assert command is not None
    assert shlex.split(command) == ["op", "read", "op://vault/a b"]


@pytest.mark.parametrize(
    ("command", "words"), [(" ", "names no program"), ("a 'b", "cannot be split into words"), ([], "names no program")]
)
def test_a_command_that_names_no_program_is_refused(command: Any, words: str) -> None:
    with pytest.raises(SettingsError, match=rf"`password_command` is not valid: .*{words}"):
        Settings(password_command=command)


@pytest.mark.parametrize("name", ["client_secret", "password", "refresh_token"])
async def test_a_command_is_run_when_the_secret_is_needed_and_not_before(name: str, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    given: dict[str, Any] = {"tenant_id": "t.example", "client_id": "c", "client_secret": "s", "token_cache": "off"}
    given |= {} if name == "refresh_token" else {"username": "u", "password": "p"}
    given.pop(name, None)
    settings = Settings(**given, **{f"{name}_command": ["sh", "-c", f"touch {mark}; echo a-secret-of-a-command"]})
    assert settings.chosen_grant() == ("refresh_token" if name == "refresh_token" else "password")
    assert not mark.exists()

    sign_in = await prepared_sign_in(settings)

    assert getattr(sign_in.credentials, name) == "a-secret-of-a-command"
    assert redact("a-secret-of-a-command") == "***"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo canary; echo canary >&2; exit 3", "it ended with status 3"),
        ("kill -9 $$", "it ended with status -9"),
        ("true", "it wrote nothing"),
        ("printf '\\377canary'", "is not UTF-8"),
        ("yes canary | head -c 100000", "it wrote more than 65,536 bytes"),
        ("echo canary; exec sleep 60", "it was ended after 0.2 s"),
    ],
)
async def test_a_command_that_gives_no_secret_is_named_and_what_it_wrote_is_not(script: str, words: str) -> None:
    command = shlex.join(["sh", "-c", script])
    within_s = 0.2 if "sleep" in script else 30.0

    with pytest.raises(AuthError, match="`password_command`: sh gave no secret") as refused:
        await read_from_command(command, setting="password_command", within_s=within_s)

    assert words in str(refused.value)
    assert "canary" not in str(refused.value)


async def test_a_program_that_is_not_there_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match="`password_command`: /no/such cannot be run: No such file"):
        await read_from_command("/no/such x", setting="password_command")


async def test_a_command_sees_no_secret_no_setting_and_no_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKPULL_CLIENT_SECRET", "canary")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")

    environment = await read_from_command("env", setting="password_command")
    quoted = await read_from_command("echo '$HOME; echo x | y'", setting="password_command")

    assert "PATH=" in environment
    assert "canary" not in environment
    assert quoted == "$HOME; echo x | y"


@pytest.mark.fault(1)
def test_a_secret_that_is_given_twice_is_refused(secret_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKPULL_CLIENT_SECRET_FILE", str(secret_file))
    monkeypatch.setenv("BULKPULL_CLIENT_SECRET", "another-secret")

    with pytest.raises(SettingsError, match="`client_secret_file` is given besides `client_secret`") as refused:
        Settings()

    assert "another-secret" not in str(refused.value)


def test_a_secret_and_a_certificate_exclude_each_other(secret_file: Path) -> None:
    with pytest.raises(SettingsError, match="`client_certificate_file` is given besides `client_secret`"):
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
