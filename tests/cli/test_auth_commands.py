"""`bulkpull auth`: what works is shown line by line, what is missing with its next step, and no secret ever."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import Command, Outcome, Serve, small

from bulkpull.simulator import Fault, Simulator

PASSWORD = ("BULKPULL_USERNAME", "BULKPULL_PASSWORD")


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for name in names:
        monkeypatch.delenv(name)


@pytest.fixture
def person(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """A service whose application holds no secret, and settings that say where it is and nothing more."""
    simulator = serve(small(single_use_refresh_tokens=True, device_polls=0))
    without(monkeypatch, *PASSWORD, "BULKPULL_CLIENT_SECRET")
    return simulator


def checks(outcome: Outcome) -> dict[str, dict[str, Any]]:
    return {check["check"]: check for check in outcome.json()["checks"]}


def test_good_credentials_are_told_step_by_step(serve: Serve, command: Command) -> None:
    serve(small())
    outcome = command("auth", "check")

    assert outcome.code == 0
    names = [line.split()[2] for line in outcome.out.splitlines() if line.startswith("✓")]
    first = ["credentials", "files", "token", "proxy", "service", "sign-in"]
    assert names == [*first, "clock", "sign-in", "mfa", "role", "datasets", "allowance"]
    assert "signs in by the password of user@contoso.example" in outcome.out
    assert "client_secret: BULKPULL_CLIENT_SECRET" in " ".join(outcome.out.split())
    assert "3 of the 20 are offered" in outcome.out
    assert outcome.out.endswith("all checks passed\n")


def test_where_each_credential_came_from_is_told_and_its_value_is_not(
    serve: Serve, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator = serve(small())
    (tmp_path / "secret").write_text(simulator.scenario.client_secret)
    (tmp_path / "bulkpull.toml").write_text(f"client_id = '{simulator.scenario.client_id}'\n")
    monkeypatch.setenv("BULKPULL_CLIENT_SECRET_FILE", str(tmp_path / "secret"))
    without(monkeypatch, "BULKPULL_CLIENT_SECRET", "BULKPULL_CLIENT_ID")

    outcome = command("auth", "check", "--json")

    reported = checks(outcome)["credentials"]["facts"]
    assert reported["credentials"]["client_secret"] == f"the file {tmp_path / 'secret'}"
    assert reported["credentials"]["client_id"] == "the settings file bulkpull.toml"
    assert reported["credentials"]["password"] == "BULKPULL_PASSWORD"
    for secret in (simulator.scenario.client_secret, simulator.scenario.password):
        assert secret not in outcome.out + outcome.err


@pytest.mark.parametrize(
    ("scenario", "check", "words"),
    [
        ({"role": "none"}, "role", "Executive report viewer"),
        ({"role": "viewer"}, "role", "Executive report viewer"),
        ({"mfa": "api"}, "mfa", "bulkpull auth login"),
        ({"mfa": "token"}, "sign-in", "bulkpull auth login"),
        ({"faults": (Fault("token_error", times=None, args={"code": 7000222}),)}, "sign-in", "client_secret"),
    ],
)
def test_what_is_refused_ends_with_4_and_its_next_step(
    serve: Serve, command: Command, scenario: dict[str, Any], check: str, words: str
) -> None:
    serve(small(**scenario))
    outcome = command("auth", "check", "--json")

    assert outcome.code == outcome.json()["exit_code"] == 4
    assert checks(outcome)[check]["verdict"] == "trouble"
    assert words in checks(outcome)[check]["fix"]


def test_without_credentials_the_missing_ones_are_named(person: Simulator, command: Command) -> None:
    Path("n.toml").write_text("grant = 'refresh_token'\n")
    outcome, with_file = command("auth", "check"), command("datasets", "--config", "n.toml")

    assert outcome.code == with_file.code == 4
    shown = " ".join(outcome.out.split())
    assert (
        f"credentials are missing for tenant {person.scenario.tenant_id}, client {person.scenario.client_id}:" in shown
    )
    assert "BULKPULL_REFRESH_TOKEN" in shown
    assert (
        "run `bulkpull auth login`, or set BULKPULL_REFRESH_TOKEN, "
        "or BULKPULL_USERNAME and BULKPULL_PASSWORD; each with BULKPULL_CLIENT_SECRET"
    ) in shown
    assert "run `bulkpull auth login --config n.toml`" in " ".join(with_file.err.split())
    assert "`refresh_token` is not set, and the token cache holds no sign-in for them" in " ".join(
        with_file.err.split()
    )
    assert shown.count("fix:") == 1
    assert not [call for call in person.calls if call.endpoint == "token" and call.method == "POST"]


def test_wrong_settings_end_with_2(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKPULL_GRANT", "magic")
    outcome = command("auth", "check")

    assert outcome.code == 2
    assert "grant" in outcome.out


def test_the_proxy_in_use_is_shown_without_its_credentials(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's host name resolves nowhere; the proxy is on loopback and refuses."""
    for name, value in {
        "HTTPS_PROXY": "http://user:canary-pass@127.0.0.1:9",
        "NO_PROXY": "api.contoso.invalid",
        "BULKPULL_API_BASE_URL": "https://api.contoso.invalid/mpn",
        "BULKPULL_TOKEN_URL": "https://login.contoso.invalid/t/oauth2/token",
        "BULKPULL_REQUEST_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)

    outcome = command("auth", "check", "--json")

    assert checks(outcome)["proxy"]["facts"]["hosts"] == {
        "api.contoso.invalid": None,
        "login.contoso.invalid": "http://127.0.0.1:9",
    }
    assert "canary" not in outcome.out + outcome.err


def test_a_person_signs_in_once_and_every_command_is_signed_in_until_the_sign_out(
    person: Simulator, command: Command
) -> None:
    login = command("auth", "login")
    check = command("auth", "check", "--json")
    datasets = command("datasets", "--json")
    logout = command("auth", "logout")
    after = command("datasets")

    assert login.code == 0, login.err
    assert f"signed in as {person.scenario.username}" in login.out
    assert "unencrypted in" in login.out
    assert login.out.endswith("next: `bulkpull doctor`\n")
    assert "/devicelogin" in login.err
    assert check.code == 0, check.out
    assert checks(check)["token cache"]["facts"]["account"] == person.scenario.username
    assert len(datasets.json()["datasets"]) == 3
    assert "deleted: the refresh token stored unencrypted in" in logout.out
    assert after.code == 4
    assert "`bulkpull auth login`" in after.err


def test_no_token_and_no_code_of_the_program_is_shown(person: Simulator, command: Command) -> None:
    outcome = command("auth", "login", "--log-level", "debug")

    shown = outcome.out + outcome.err
    refresh_tokens = list(person._api._tokens._refresh_tokens)
    assert outcome.code == 0
    assert len(refresh_tokens) == 2
    assert not [token for token in refresh_tokens if token in shown]
    assert "device_code" not in shown


def test_a_sign_in_is_one_json_object_for_programs(person: Simulator, command: Command) -> None:
    kept = command("auth", "login", "--json").json()
    removed = command("auth", "logout", "--json").json()
    again = command("auth", "logout", "--json").json()

    assert (kept["account"], kept["kept"]["encrypted"]) == (person.scenario.username, False)
    assert len(removed["removed"]) == 1
    assert again["removed"] == []


def test_a_sign_in_beats_the_token_that_was_set_before_it_and_not_the_one_that_is_set_after(
    person: Simulator, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BULKPULL_REFRESH_TOKEN", "an-old-refresh-token")
    command("auth", "login")
    signed_in = command("datasets")
    monkeypatch.setenv("BULKPULL_REFRESH_TOKEN", "another-refresh-token")
    monkeypatch.setenv("BULKPULL_CLIENT_SECRET", person.scenario.client_secret)
    set_after = command("datasets")
    logout = command("auth", "logout")

    assert signed_in.code == 0, signed_in.err
    assert (set_after.code, "refresh token has ended" in set_after.err) == (4, True)
    assert "`refresh_token` is still set" in logout.out


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"BULKPULL_TENANT_ID": None}, 4, "set `tenant_id` in the settings file, or BULKPULL_TENANT_ID"),
        ({"BULKPULL_TOKEN_CACHE": "off"}, 2, "`token_cache` is off"),
        ({"BULKPULL_TOKEN_CACHE": "bulkpull-data/tokens"}, 2, "lies in the output folder"),
    ],
)
def test_a_sign_in_that_could_not_be_kept_is_refused_before_anybody_signs_in(
    person: Simulator,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    *,
    changes: dict[str, str | None],
    code: int,
    words: str,
) -> None:
    for name, value in changes.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)

    outcome = command("auth", "login")

    assert outcome.code == code
    assert words in outcome.err
    assert person.calls == []


def test_a_cache_that_cannot_be_written_is_told_in_one_sentence(
    person: Simulator, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in-the-way").write_text("")
    monkeypatch.setenv("BULKPULL_TOKEN_CACHE", str(tmp_path / "in-the-way"))

    outcome = command("auth", "login")

    assert outcome.code == 1
    assert "the refresh token cannot be stored" in outcome.err
    assert "`token_cache`" in outcome.err


def test_without_msal_the_command_says_what_to_install(
    person: Simulator, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "msal", None)
    outcome = command("auth", "login")

    assert outcome.code == 2
    assert re.search(r'install it: `.*pip install "msal" "msal-extensions"`', " ".join(outcome.err.split()))


def test_the_demos_credentials_can_be_tried_and_leave_nothing_behind(command: Command, tmp_path: Path) -> None:
    check = command("auth", "check", "--demo", "--json")
    login = command("auth", "login", "--demo")

    assert check.code == login.code == 0
    assert checks(check)["token cache"]["facts"]["folder"] is None
    assert "the demo does not store it" in login.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("answer", [None, {"code": 7000218}, {"code": 700082}, {"code": 99_999}])
def test_a_stored_sign_in_that_is_refused_leads_to_another_sign_in_with_the_same_file(
    serve: Serve, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: dict[str, int] | None
) -> None:
    """A restarted simulator (`None`), and a directory that has forgotten or revoked it: no secret would help."""
    simulator = serve(small(device_polls=0))
    without(monkeypatch, *PASSWORD)
    (tmp_path / "n.toml").write_text("grant = 'refresh_token'\n")
    folder = Path(command("auth", "login", "--config", "n.toml", "--json").json()["kept"]["folder"])
    if answer is not None:
        simulator.arm(Fault("token_error", times=None, args=answer))
    else:
        (entry,) = folder.glob("*.json")
        entry.write_text(json.dumps(json.loads(entry.read_text()) | {"refresh_token": "of-an-earlier-simulator"}))

    outcomes = [command("datasets", "--config", "n.toml"), command("auth", "check", "--config", "n.toml")]
    export = command("export", "Profile", "--config", "n.toml", "--quiet")

    for shown in (outcomes[0].err, outcomes[1].out, export.err):
        words = " ".join(shown.split())
        assert "the stored sign-in is not accepted any more" in words
        assert "sign in again: `bulkpull auth login --config n.toml`" in words
        assert "login.microsoftonline.com/error" not in words
        assert "`client_secret`" not in words.partition("the stored sign-in is not accepted any more")[2]
    assert {outcome.code for outcome in (*outcomes, export)} == {4}
