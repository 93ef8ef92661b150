"""`bulkpull doctor`: one line a check, the settings with where they came from, and no secret."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from command_line import SMALL, Command, Serve, finish, start_program

SECRETS = {
    "BULKPULL_CLIENT_SECRET": "canary-client-secret",
    "BULKPULL_PASSWORD": "canary-password",
    "BULKPULL_REFRESH_TOKEN": "canary-refresh-token",
}


def test_a_good_account_is_told_line_by_line_in_80_columns(command: Command, serve: Serve) -> None:
    serve(SMALL)
    outcome = command("doctor", "--output", "data")

    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    checks = [line.split()[2] for line in lines if line.startswith("✓ ok ")]
    assert checks[:5] == ["versions", "settings", "credentials", "files", "token"]
    assert checks[5:11] == ["output", "links", "disk", "lock", "ledger", "quota"]
    assert checks[11:] == ["proxy", "service", "sign-in", "clock", "sign-in", "mfa", "role", "datasets", "allowance"]
    assert "signs in by the password of user@contoso.example" in " ".join(outcome.out.split())
    assert lines[-1] == "all checks passed"
    assert max(map(len, lines)) <= 80
    assert not Path("data").exists()


def test_each_trouble_has_words_and_a_next_step(
    command: Command, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(SMALL)
    for name in ("CLIENT_SECRET", "PASSWORD", "USERNAME"):
        monkeypatch.delenv(f"BULKPULL_{name}")
    outcome = command("doctor")

    assert outcome.code == 4
    assert "✗ problem   credentials " in outcome.out
    assert "– unchecked sign-in      credentials are missing" in outcome.out
    assert "fix:" in outcome.out
    assert outcome.out.splitlines()[-1] == "1 problem"


def test_settings_are_shown_with_where_they_came_from(
    command: Command, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(SMALL)
    Path("bulkpull.toml").write_text('retain_runs = 3\ntimespan = "widest"\n', encoding="utf-8")
    monkeypatch.setenv("BULKPULL_TIMESPAN", "LAST_MONTH")
    reported = command("doctor", "--output", "data").out
    listed = {
        setting["name"]: setting for setting in command("doctor", "--output", "data", "--json").json()["settings"]
    }

    assert "retain_runs = 3 (file)" in reported
    assert listed["retain_runs"] == {"name": "retain_runs", "value": 3, "origin": "file"}
    assert (listed["timespan"]["value"], listed["timespan"]["origin"]) == ("LAST_MONTH", "environment")
    assert (listed["output"]["value"], listed["output"]["origin"]) == ("data", "option")
    assert listed["on_drift"]["origin"] == "default"
    assert "on_drift" not in reported
    assert "overridden" not in listed["output"]
    assert listed["timespan"]["overridden"] == "widest"
    words = " ".join(reported.split())
    assert "the environment goes before the file for timespan" in words
    assert (
        "timespan = LAST_MONTH (environment variable BULKPULL_TIMESPAN, which goes before widest in the file)" in words
    )


def test_a_variable_that_says_the_same_as_the_file_overrides_nothing(
    command: Command, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(SMALL)
    Path("bulkpull.toml").write_text("retain_runs = 3\nkeep_raw = true\n", encoding="utf-8")
    monkeypatch.setenv("BULKPULL_RETAIN_RUNS", "3")
    monkeypatch.setenv("BULKPULL_KEEP_RAW", "true")

    assert "before the file" not in " ".join(command("doctor").out.split())


def test_a_secret_of_the_environment_that_differs_from_the_files_is_named_and_neither_is_shown(
    command: Command, serve: Serve
) -> None:
    simulator = serve(SMALL)
    path = Path("bulkpull.toml")
    path.write_text('client_secret = "canary-of-the-file"\n', encoding="utf-8")
    path.chmod(0o600)

    outcome = command("doctor")

    words = " ".join(outcome.out.split())
    assert "client_secret = set (environment variable BULKPULL_CLIENT_SECRET, which goes before another secret" in words
    assert "canary" not in outcome.out + outcome.err
    assert simulator.scenario.client_secret not in outcome.out + outcome.err


def test_no_secret_is_shown_only_that_it_is_set(
    command: Command, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(SMALL)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    for arguments in ((), ("--json",), ("--log-level", "debug")):
        outcome = command("doctor", *arguments)
        assert "canary" not in outcome.out + outcome.err
    assert "client_secret = set (environment)" in command("doctor").out


def test_settings_that_are_wrong_are_the_first_thing_to_see_to(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BULKPULL_RETAIN_RUNS", "many")
    outcome = command("doctor")
    report = command("doctor", "--json").json()

    assert outcome.code == report["exit_code"] == 2
    assert "retain_runs" in outcome.out
    assert {check["check"]: check["verdict"] for check in report["checks"]} == {
        "versions": "ok",
        "settings": "trouble",
        "output": "unchecked",
        "service": "unchecked",
    }


def test_a_demo_needs_nothing_and_its_json_is_one_object(command: Command) -> None:
    outcome = command("doctor", "--demo", "--json")

    assert outcome.code == 0
    report = outcome.json()
    assert report["healthy"] is True
    origins = {setting["name"]: setting["origin"] for setting in report["settings"]}
    assert origins["api_base_url"] == origins["client_secret"] == "demo"
    assert origins["retain_runs"] == "default"


def test_where_signs_cannot_be_written_letters_stand_for_them(tmp_path: Path) -> None:
    outcome = finish(start_program("doctor", "--demo", environment={"PYTHONIOENCODING": "ascii"}, folder=tmp_path))

    assert outcome.code == 0
    assert outcome.out.startswith("+ ok ")
    assert outcome.out.isascii()


@pytest.mark.case("C32")
@pytest.mark.skipif(os.name == "nt", reason="rights of POSIX")
@pytest.mark.parametrize("where", ["file", "settings file"])
def test_secrets_that_everybody_may_read_are_told(
    command: Command, serve: Serve, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    simulator = serve(SMALL)
    monkeypatch.delenv("BULKPULL_CLIENT_SECRET")
    if where == "file":
        path = Path("secret")
        path.write_text(simulator.scenario.client_secret)
        monkeypatch.setenv("BULKPULL_CLIENT_SECRET_FILE", str(path))
    else:
        path = Path("bulkpull.toml")
        path.write_text(f'client_secret = "{simulator.scenario.client_secret}"\n')
    for arguments in (("doctor", "--output", "data"), ("auth", "check")):
        path.chmod(0o644)
        outcome = command(*arguments)
        assert outcome.code == 1
        assert f"may read the secret in {path}" in " ".join(outcome.out.split())
        assert f"chmod o-r {path}" in " ".join(outcome.out.split())
        path.chmod(0o600)
        assert command(*arguments).code == 0


@pytest.mark.case("M4")
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc here")
def test_a_folder_that_calls_itself_writable_and_is_not_is_told(command: Command, serve: Serve) -> None:
    serve(SMALL)

    outcome = command("doctor", "--output", "/proc/bulkpull-data", "--json")

    verdicts = {check["check"]: check["verdict"] for check in outcome.json()["checks"]}
    assert outcome.code == 1
    assert verdicts["output"] == "trouble"
