"""`runs show --bundle`: everything that helps to help, and nothing that is somebody's data or secret."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from command_line import Command, Serve, small

from bulkpull.observability.support_bundle import clock_skew, shape_of, without_data
from bulkpull.simulator import Fault

CANARIES = {"client_secret": "canary-secret-7c20", "password": "canary-password-7c20"}
HOOK = "https://hooks.contoso.example/canary-hook-7c20?sig=canary-sig-7c20"


def opened(path: str) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


@pytest.fixture
def run_id(command: Command, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run with secrets around it, a broken transfer, and a failure."""
    faults = (
        Fault("link_expires_mid_file", dataset="Profile", args={"after": 100}),
        Fault("execution_fails", dataset="MSLearn", times=None),
    )
    serve(small(**CANARIES, faults=faults))
    for name, canary in CANARIES.items():
        monkeypatch.setenv(f"BULKPULL_{name.upper()}", canary)
    reported: str = command("export", "--output", "data", "--json").json()["run_id"]
    return reported


def test_it_holds_log_manifest_ledger_settings_and_machine(command: Command, run_id: str) -> None:
    outcome = command("runs", "show", run_id[:15], "--bundle", "--output", "data")
    files = opened(outcome.out.strip())

    assert (outcome.code, outcome.out) == (0, f"bulkpull-{run_id}.zip\n")
    assert set(files) == {
        "README.txt", "log.jsonl", "manifest.json", "ledger.json", "settings.json", "machine.json"
    }  # fmt: skip
    assert json.loads(files["manifest.json"])["run_id"] == run_id
    assert "report" in {step["step"] for step in json.loads(files["ledger.json"])["steps"]}
    assert {"pull.finished", "call.sent"} <= {json.loads(line)["event"] for line in files["log.jsonl"].splitlines()}
    settings = {item["name"]: item for item in json.loads(files["settings.json"])}
    assert settings["username"]["value"] == "user@contoso.example"
    assert "the name of the user that signs in (`username`)" in files["README.txt"]
    assert settings["output"] == {"name": "output", "value": "data", "origin": "option"}
    assert settings["client_secret"] == {"name": "client_secret", "value": "set", "origin": "environment"}
    machine = json.loads(files["machine.json"])
    assert {"polars", "aiohttp"} <= set(machine["libraries"])
    assert machine["disk"]["free_bytes"] > 0
    assert abs(machine["clock_skew_s"]["ScheduledReport"]) <= 2


def test_no_secret_no_link_and_no_data_is_in_it(command: Command, run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKPULL_NOTIFY_URL", HOOK)
    monkeypatch.setenv("BULKPULL_NOTIFY_COMMAND", "tell-the-team --key canary-key-7c20")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:canary-proxy-7c20@proxy.contoso.example")
    log = Path("data/runs") / run_id / "log.jsonl"
    with log.open("a", encoding="utf-8") as file:  # as a careless version might have left it
        file.write(json.dumps({"event": "x", "reason": f"asked {HOOK}", "password": "canary-plain-7c20"}) + "\n")
        file.write(json.dumps({"event": "column.kept_as_text", "column": "Id", "value": "Contoso 4711"}) + "\n")
        file.write('{"event": "cut short by a kill: canary-cut-7c20')
    files = opened(command("runs", "show", "--bundle", "--output", "data").out.strip())
    written = "".join(files.values())

    assert "canary" not in written
    assert "sig=" not in written.replace("sig=***", "")
    assert "Contoso 4711" not in written
    assert '"value": "xxxxxxx 9999"' in files["log.jsonl"]
    settings = {item["name"]: item["value"] for item in json.loads(files["settings.json"])}
    assert (settings["notify_url"], settings["notify_command"]) == ("set", "tell-the-team …")


def test_it_goes_where_it_is_asked_to_go_readable_by_its_owner_alone(command: Command, run_id: str) -> None:
    Path("tickets").mkdir()
    into = command("runs", "show", "--bundle", "--to", "tickets", "--output", "data", "--json").json()
    named = command("runs", "show", "--bundle", "--to", "help.zip", "--output", "data")

    assert into["bundle"] == f"tickets/bulkpull-{run_id}.zip"
    assert Path(into["bundle"]).stat().st_size == into["bytes"]
    assert named.out == "help.zip\n"
    assert Path("help.zip").stat().st_mode & 0o777 == 0o600


def test_a_folder_that_is_not_there_is_told_in_one_sentence(command: Command, run_id: str) -> None:
    outcome = command("runs", "show", "--bundle", "--to", "nowhere/help.zip", "--output", "data")
    assert "choose another place with --to" in outcome.err

    assert outcome.code == 1
    assert "nowhere/help.zip" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    ("expected", "left"),
    [
        ({"misfit": {"row": 7, "value": "A-12"}}, {"misfit": {"row": 7, "value": "x-99"}}),
        (
            {"query": "SELECT A FROM B WHERE C = 'Contoso''s' AND D = 'x'"},
            {"query": "SELECT A FROM B WHERE C = '…' AND D = '…'"},
        ),
        ([{"where": "Name = 'Contoso'"}], [{"where": "Name = '…'"}]),
        ({"rows": 7, "status": None, "ok": True}, {"rows": 7, "status": None, "ok": True}),
    ],
)
def test_data_is_left_out_wherever_it_stands(expected: Any, left: Any) -> None:
    assert without_data(expected) == left


def test_a_shape_tells_why_a_value_did_not_fit() -> None:
    assert shape_of("−1,234.50 €") == "−9,999.99 €"


def test_the_clocks_difference_is_the_median_of_what_each_endpoint_told() -> None:
    lines = [json.dumps({"event": "call.sent", "endpoint": "token", "skew_s": skew}) for skew in (-3600, -3599, 5)]

    assert clock_skew([*lines, '{"event": "run.finished"}']) == {"token": -3599}
