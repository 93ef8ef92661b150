"""`bulkpull init`: a settings file that loads, asked for on a terminal only, never over another."""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from command_line import Command, start_program

from bulkpull.allowed_values import allowed_words
from bulkpull.config.settings import Settings
from bulkpull.config.template import PURPOSES, USES, secrets, settings_text

CONFIG = Path(__file__).parent.parent.parent / "config"
READY = {"full": "full-export.toml", "nightly": "nightly.toml", "benchmark": "benchmark.toml"}
FILE = Path("bulkpull.toml")


def written(file: Path = FILE) -> dict[str, Any]:
    return tomllib.loads(file.read_text(encoding="utf-8"))


def test_what_is_set_is_shown_with_its_purpose_and_the_default_that_it_replaces(command: Command) -> None:
    shown = command("init", "--use", "full", "--tenant-id", "contoso.example").err.partition("written:")[0]

    for name, value in ({**USES["full"], "tenant_id": "contoso.example"}).items():
        assert f"  {name} = {json.dumps(value)}" in shown
    assert f"settings for: full ({PURPOSES['full']})" in shown
    assert "keep_raw = true  # default: false\n" in shown
    assert 'timespan = "widest"  # default: the widest up to LAST_6_MONTHS\n' in shown
    assert 'tenant_id = "contoso.example"\n' in shown
    assert 'output = "bulkpull-data"\n' in shown


def test_every_use_says_what_it_is_for() -> None:
    assert PURPOSES.keys() == USES.keys()


def test_what_the_environment_overrides_is_named(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKPULL_API_BASE_URL", "http://127.0.0.1:8080/insights/v1/mpn")
    monkeypatch.setenv("BULKPULL_TENANT_ID", "fabrikam.example")

    outcome = command("init", "--tenant-id", "contoso.example")

    assert "note:    the environment goes before this file: BULKPULL_TENANT_ID, BULKPULL_API_BASE_URL\n" in outcome.err
    assert "fabrikam.example" not in outcome.err
    monkeypatch.delenv("BULKPULL_API_BASE_URL")
    assert "note:" not in command("init", "--tenant-id", "fabrikam.example", "--force").err


@pytest.mark.parametrize("use", USES)
def test_without_a_terminal_nothing_is_asked_and_the_file_loads(command: Command, use: str) -> None:
    outcome = command(
        "init", "--use", use, "--tenant-id", "contoso.example", "--client-id", " app ", "--output", "data"
    )

    assert (outcome.code, outcome.out) == (0, "")
    settings = Settings.load()
    assert (settings.tenant_id, settings.client_id, str(settings.output)) == ("contoso.example", "app", "data")
    assert "next:" in outcome.err


def test_without_any_option_every_setting_keeps_its_default_and_no_secret_is_asked_for(command: Command) -> None:
    outcome = command("init")

    assert outcome.code == 0
    assert written() == {"output": "bulkpull-data"}
    assert Settings.load() == Settings()
    assert "set:     `tenant_id` and `client_id` in bulkpull.toml" in outcome.err
    assert re.search(r"^next: .*bulkpull auth login\n", outcome.err, re.MULTILINE)
    assert re.search(r"^then: .*bulkpull doctor\n\Z", outcome.err, re.MULTILINE)
    assert "SECRET" not in outcome.err
    assert "REFRESH_TOKEN" not in outcome.err


def test_where_the_environment_has_a_secret_no_sign_in_is_asked_for(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BULKPULL_CLIENT_SECRET_FILE", "canary-file")

    outcome = command("init")

    assert "sign in: by BULKPULL_CLIENT_SECRET_FILE of the environment" in outcome.err
    assert "auth login" not in outcome.err
    assert "canary" not in outcome.err


@pytest.mark.parametrize(
    ("use", "grant", "words"),
    [
        ("nightly", None, "auth login --config n.toml"),
        ("nightly", "password", "by BULKPULL_PASSWORD of the environment"),
        ("standard", "refresh_token", "auth login --config n.toml"),
        ("standard", "client_credentials", "by BULKPULL_CLIENT_SECRET of the environment"),
        ("standard", "azure", "as the identity of this machine in Azure"),
        ("standard", None, "by BULKPULL_CLIENT_SECRET, BULKPULL_PASSWORD of the environment"),
    ],
)
def test_the_way_to_sign_in_follows_from_the_grant(
    command: Command, monkeypatch: pytest.MonkeyPatch, use: str, grant: str | None, words: str
) -> None:
    for name in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET", "PASSWORD"):
        monkeypatch.setenv(f"BULKPULL_{name}", "canary")
    if grant:
        monkeypatch.setenv("BULKPULL_GRANT", grant)

    outcome = command("init", "--use", use, "--file", "n.toml")

    (line,) = (line for line in outcome.err.splitlines() if line.startswith("sign in:") or "auth login" in line)
    assert words in line
    assert "set:" not in outcome.err
    assert "canary" not in outcome.err


@pytest.mark.parametrize(
    "tenant", ["not a tenant", "contoso", "contoso..example", "00000000-0000", "-a.example", "a_b.example"]
)
def test_what_is_no_tenant_id_is_refused_in_one_sentence(command: Command, tenant: str) -> None:
    outcome = command("init", f"--tenant-id={tenant}")

    assert (outcome.code, outcome.out) == (2, "")
    assert f"`tenant_id` '{tenant}' is no tenant id" in outcome.err
    assert "neither a GUID nor a domain name" in outcome.err
    assert not FILE.exists()


@pytest.mark.parametrize("tenant", ["00000000-0000-0000-0000-00000000000A", "contoso.onmicrosoft.com", "a-b.example"])
def test_a_guid_and_a_domain_name_are_tenant_ids(command: Command, tenant: str) -> None:
    assert command("init", "--tenant-id", tenant).code == 0
    assert written()["tenant_id"] == tenant


@pytest.mark.parametrize("use", READY)
def test_the_uses_are_those_of_the_ready_files(use: str) -> None:
    assert tomllib.loads((CONFIG / READY[use]).read_text(encoding="utf-8")) == USES[use]


def test_the_file_shows_every_word_that_a_setting_takes() -> None:
    lines = settings_text({}, use="standard").splitlines()

    assert "# columns differ from the published snapshot; one of `allow`, `warn`, `fail`" in lines
    for name, field in Settings.model_fields.items():
        place = next((place for place, line in enumerate(lines) if line.startswith(f"# {name} = ")), None)
        if place is not None:
            assert all(f"`{word}`" in " ".join(lines[max(0, place - 2) : place]) for word in allowed_words(field)), name


def test_a_slip_in_the_environment_does_not_keep_the_file_from_being_written(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BULKPULL_RETAIN_RUNS", "many")
    monkeypatch.setenv("BULKPULL_OUTPTU", "data")

    assert command("init", "--use", "full").code == 0
    assert written() == USES["full"]


def test_a_file_is_overwritten_only_when_forced(command: Command) -> None:
    FILE.write_text("retain_runs = 3\n", encoding="utf-8")
    refused = command("init")

    assert refused.code == 2
    assert "bulkpull.toml exists" in refused.err
    assert "--force" in refused.err
    assert written() == {"retain_runs": 3}
    assert command("init", "--use", "benchmark", "--force").code == 0
    assert written()["retain_runs"] == 1


def test_a_file_that_cannot_be_written_is_one_sentence(command: Command) -> None:
    outcome = command("init", "--file", "missing/bulkpull.toml")

    assert outcome.code == 1
    assert "missing/bulkpull.toml" in outcome.err
    assert "choose another file with --file" in outcome.err
    assert "--output" not in outcome.err
    assert "Traceback" not in outcome.err


def test_every_setting_but_the_secrets_is_shown_with_its_meaning() -> None:
    text = settings_text({}, use="full")

    for name, field in Settings.model_fields.items():
        assert bool(re.search(rf"^# {name} = ", text, flags=re.MULTILINE)) == (name not in secrets())
        if name not in secrets():
            assert (field.description or "")[:40] in text
    assert secrets() >= ["client_secret"]
    for name in secrets():
        assert f"BULKPULL_{name.upper()}" in text


def test_each_line_that_stands_as_a_comment_can_be_switched_on() -> None:
    text = settings_text({}, use="full")
    on = tomllib.loads("\n".join(line.removeprefix("# ") for line in text.splitlines() if " = " in line))

    assert set(on) == set(Settings.model_fields) - set(secrets())


@pytest.mark.parametrize("value", ['C:\\data "x"', "a\x7fb", "später", "a\nb"])
def test_any_text_survives_the_file(value: str) -> None:
    assert tomllib.loads(settings_text({"output": value}, use="full"))["output"] == value


def test_on_a_terminal_what_is_not_given_is_asked_and_no_secret_ever(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    process = start_program(
        "init", "--client-id", "app", environment={}, folder=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    os.write(ours, b"often\nnightly\ncontoso.example\n\n")
    reported = b""
    try:
        while chunk := os.read(ours, 4096):
            reported += chunk
    except OSError:  # how a terminal says on Linux that the other side is gone
        pass
    os.close(ours)

    assert process.wait() == 0
    assert written(tmp_path / FILE) == {**USES["nightly"], "tenant_id": "contoso.example", "client_id": "app"}
    questions = [line for line in reported.decode().splitlines() if ": " in line and "next" not in line]
    assert any("What for (standard, full, nightly, benchmark)" in line for line in questions)
    assert "one of: standard, full, nightly, benchmark" in reported.decode()
    assert not any("secret" in line.casefold() for line in questions if "no secret" not in line)
