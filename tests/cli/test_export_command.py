"""`bulkpull export` against the simulated service: exit statuses, standard output, and what never appears anywhere."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from anyio.from_thread import start_blocking_portal
from command_line import SMALL, Command, Outcome, Serve, small

from bulkpull.cli.signals import run_interruptibly
from bulkpull.output.lock import locked
from bulkpull.simulator import Fault

CANARIES = {"client_secret": "canary-secret-51e0", "password": "canary-password-51e0"}


class Usage(NamedTuple):
    """As `shutil.disk_usage` answers."""

    total: int
    used: int
    free: int


def _fails_always(dataset: str) -> Fault:
    return Fault("execution_fails", dataset=dataset, times=None)


def _statuses(outcome: Outcome) -> dict[str, str]:
    return {record["dataset"]: record["status"] for record in outcome.json()["datasets"]}


def test_with_json_standard_output_is_the_manifest_and_nothing_else(command: Command, serve: Serve) -> None:
    serve(SMALL)
    outcome = command("export", "Profile", "MSLearn", "--output", "data", "--json")
    assert outcome.code == 0
    manifest = outcome.json()
    (written,) = Path("data/runs").glob("*/manifest.json")
    assert manifest == json.loads(written.read_text(encoding="utf-8"))
    assert _statuses(outcome) == {"Profile": "complete", "MSLearn": "complete"}


def test_without_json_standard_output_stays_empty(command: Command, serve: Serve) -> None:
    serve(SMALL)
    outcome = command("export", "Profile", "--output", "data")
    assert (outcome.code, outcome.out) == (0, "")
    assert "data/latest/<Dataset>/*.parquet" in outcome.err


def test_datasets_that_the_account_is_not_offered_are_no_failure_unless_named(command: Command, serve: Serve) -> None:
    serve(SMALL)
    outcome = command("export", "--json")
    assert outcome.code == 0
    assert sorted(_statuses(outcome).values()) == ["complete"] * 3 + ["unavailable"] * 17
    named = command("export", "Profile", "EMSUsage", "--json")
    assert named.code == 3
    assert _statuses(named) == {"Profile": "complete", "EMSUsage": "unavailable"}
    assert "EMSUsage" in named.err


def test_the_command_for_another_try_repeats_the_metrics_also_after_a_resumption(
    command: Command, serve: Serve
) -> None:
    serve(small(faults=(_fails_always("OfficeUsage"),)))
    options = ("--metrics", "none", "--timespan", "LAST_MONTH")

    first = command("export", "Profile", "OfficeUsage", *options)
    resumed = command("runs", "resume")

    for outcome in (first, resumed):
        (again,) = (line for line in outcome.err.splitlines() if line.startswith("again"))
        assert "OfficeUsage" in again
        assert "--metrics none" in again
        assert "--timespan LAST_MONTH" in again


@pytest.mark.fault(6)
def test_a_full_disk_is_one_message_for_all_datasets_and_nothing_is_created(
    command: Command, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator = serve(SMALL)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1_000_000, 1_000_000, 0))

    outcome = command("export")

    assert outcome.code == 3
    assert outcome.err.count("not enough room") == 1
    assert "error: 3 of 20 datasets not exported" in outcome.err
    assert {call.method for call in simulator.calls if call.endpoint != "token"} == {"GET"}


@pytest.mark.fault(45)
def test_a_failed_dataset_gives_3_with_the_manifest_and_harms_no_other(command: Command, serve: Serve) -> None:
    serve(small(faults=(_fails_always("OfficeUsage"),)))
    outcome = command("export", "Profile", "OfficeUsage", "--json")
    assert outcome.code == 3
    assert outcome.json()["status"] == "partial"
    assert _statuses(outcome) == {"Profile": "complete", "OfficeUsage": "failed"}
    assert "error: 1 of 2 datasets not exported" in outcome.err
    assert "Traceback" not in outcome.err


def test_quiet_says_nothing_when_all_went_well(command: Command, serve: Serve) -> None:
    serve(SMALL)
    outcome = command("export", "Profile", "--quiet")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")


def test_quiet_still_says_what_failed_and_why(command: Command, serve: Serve) -> None:
    serve(small(faults=(_fails_always("OfficeUsage"),)))
    outcome = command("export", "OfficeUsage", "--quiet")
    assert outcome.code == 3
    assert "error: 1 of 1 dataset not exported" in outcome.err
    assert "pull.stepped" not in outcome.err
    assert "manifest" not in outcome.err


@pytest.mark.parametrize("faults", [(), (_fails_always("OfficeUsage"),)], ids=["well", "failing"])
def test_with_json_logs_every_line_is_an_object(command: Command, serve: Serve, faults: tuple[Fault, ...]) -> None:
    serve(small(faults=faults))
    outcome = command("export", "OfficeUsage", "--log-format", "json")
    lines = [json.loads(line) for line in outcome.err.splitlines()]
    assert {"run.started", "pull.finished", "run.finished"} <= {line["event"] for line in lines}
    (run_id,) = {line["run_id"] for line in lines if line["event"] != "command.failed"}
    assert Path(f"bulkpull-data/runs/{run_id}").is_dir()
    lost = [line for line in lines if line["event"] == "datasets.lost"]
    assert [line["datasets"] for line in lost] == ([["OfficeUsage"]] if faults else [])


def test_missing_credentials_give_4_name_the_variables_and_point_to_the_demo(command: Command) -> None:
    outcome = command("export", "--json")
    assert (outcome.code, outcome.json()["exit"]) == (4, 4)
    assert "BULKPULL_TENANT_ID" in outcome.err
    assert "--demo" in outcome.err
    assert not Path("bulkpull-data").exists()


@pytest.mark.fault(13)
def test_refused_credentials_give_4_with_the_manifest(
    command: Command, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(SMALL)
    monkeypatch.setenv("BULKPULL_CLIENT_SECRET", CANARIES["client_secret"])
    outcome = command("export", "Profile", "--json")
    assert outcome.code == 4
    assert outcome.json()["status"] == "failed"
    assert CANARIES["client_secret"] not in outcome.out + outcome.err


@pytest.mark.behaviour(22, 26)
def test_a_user_without_the_role_gets_4_and_is_told_once(command: Command, serve: Serve) -> None:
    serve(small(role="none"))
    outcome = command("export")
    assert outcome.code == 4
    assert outcome.err.count("error:") == 1


@pytest.mark.fault(2)
def test_a_folder_that_another_run_writes_to_gives_5_and_names_it(command: Command, serve: Serve) -> None:
    serve(SMALL)
    held = locked(Path("data/.bulkpull"), since=datetime(2026, 11, 23, 2, 4, 5, tzinfo=UTC))
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(held):
        outcome = command("export", "Profile", "--output", "data", "--json")
    assert (outcome.code, outcome.json()["exit"]) == (5, 5)
    assert "another run is writing to" in outcome.err
    assert len(outcome.err.splitlines()) == 3


def test_an_unknown_dataset_gives_2_and_the_nearest_name(command: Command) -> None:
    outcome = command("export", "AzurUsage", "--json")
    assert (outcome.code, outcome.json()["exit"]) == (2, 2)
    assert "AzureUsage" in outcome.err


@pytest.mark.fault(1)
def test_a_wrong_setting_gives_2_and_names_key_and_file(command: Command) -> None:
    Path("own.toml").write_text("outptu = 'x'\n", encoding="utf-8")
    outcome = command("export", "--config", "own.toml")
    assert outcome.code == 2
    assert "own.toml" in outcome.err
    assert "`output`" in outcome.err


@pytest.mark.parametrize("arguments", [("--until", "2026-01-01"), ("--since", "2026-02-01", "--until", "2026-01-01")])
def test_a_window_that_makes_no_sense_gives_2(command: Command, arguments: tuple[str, ...]) -> None:
    outcome = command("export", *arguments)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err


def test_an_unexpected_fault_gives_1_in_one_message(
    command: Command, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(SMALL)

    def break_down(*_: object, **__: object) -> None:
        raise ValueError("the floor gave way")

    monkeypatch.setattr("bulkpull.output.store.locked", break_down)
    outcome = command("export", "Profile", "--json")
    assert (outcome.code, outcome.json()["exit"]) == (1, 1)
    assert "unexpected fault (ValueError)" in outcome.err
    assert "the floor gave way" in outcome.err
    assert "Traceback" not in outcome.err
    assert "Traceback" in command("export", "Profile", "--log-level", "debug").err


def test_no_secret_and_no_signed_link_reaches_a_stream_or_a_file(command: Command, serve: Serve) -> None:
    simulator = serve(small(**CANARIES, faults=(Fault("link_expires_mid_file", args={"after": 100}),)))
    signatures: list[str] = []
    for format_ in ("json", "console"):
        outcome = command("export", "--keep-raw", "--log-level", "debug", "--log-format", format_, "--json")
        assert outcome.code == 0, outcome.out
        files = [path.read_bytes() for path in Path("bulkpull-data").rglob("*") if path.is_file()]
        written = (outcome.out + outcome.err).encode() + b"".join(files)
        for canary in CANARIES.values():
            assert canary.encode() not in written
        assert b"sig=" not in written.replace(b"sig=***", b"")
        assert "eyJ" not in outcome.out + outcome.err
        # Three letters stand by chance in compressed bytes; the beginning of a token does not.
        assert re.search(rb"eyJ[A-Za-z0-9_-]{8}", written) is None
        signatures += [call.path for call in simulator.calls if call.endpoint == "blob"]
    assert signatures  # links were used, so there was something to leak


def test_a_plan_is_one_json_object_and_creates_nothing(command: Command, serve: Serve) -> None:
    simulator = serve(SMALL)
    outcome = command("export", "--plan", "Profile", "OfficeUsage", "--timespan", "LAST_MONTH", "--json")
    assert outcome.code == 0
    plan = outcome.json()
    assert plan["version"] == 1
    assert [(item["dataset"], item["action"], item["timespan"]) for item in plan["plan"]] == [
        ("Profile", "pull", None),
        ("OfficeUsage", "pull", "LAST_MONTH"),
    ]
    assert plan["plan"][1]["query"].endswith("TIMESPAN LAST_MONTH")
    assert {call.method for call in simulator.calls if call.endpoint != "token"} == {"GET"}
    assert not Path("bulkpull-data").exists()


@pytest.mark.case("W12")
def test_a_plan_of_windows_tells_reports_time_and_room(command: Command, serve: Serve) -> None:
    simulator = serve(SMALL)
    asked = ("export", "--plan", "OfficeUsage", "--since", "2026-01-01", "--until", "2026-10-01")
    values = command(*asked, "--json").json()
    shown = command(*asked)

    assert [row["reports"] for row in values["plan"]] == [9]
    assert (values["estimate"]["reports"], values["estimate"]["quota_hours"]) == (9, 1)
    assert values["estimate"]["needed_bytes"] > 0
    assert values["estimate"]["free_bytes"] > 0
    assert "9 one-off reports would be created" in shown.err
    assert not simulator.service.reports


@pytest.mark.behaviour(27)
def test_a_plan_gives_3_when_a_named_dataset_is_not_to_be_had(command: Command, serve: Serve) -> None:
    serve(SMALL)
    outcome = command("export", "--plan", "EMSUsage")
    assert outcome.code == 3
    assert "unavailable" in outcome.out
    assert command("export", "--plan").code == 0


def test_a_demo_takes_no_address_and_no_credential_from_the_environment(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BULKPULL_API_BASE_URL", "https://api.contoso.example")
    monkeypatch.setenv("BULKPULL_CLIENT_SECRET", CANARIES["client_secret"])
    monkeypatch.setenv("BULKPULL_GRANT", "refresh_token")
    outcome = command("export", "--demo", "Profile", "--output", "demo", "--json")
    assert outcome.code == 0
    assert outcome.json()["api_base_url"].startswith("http://127.0.0.1:")
    assert list(Path("demo/latest/Profile").glob("*.parquet"))


def test_a_signal_after_the_end_of_a_run_does_not_call_it_interrupted(
    command: Command, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(SMALL)

    def interrupted_late(*arguments: Any, **options: Any) -> bool:
        run_interruptibly(*arguments, **options)
        return True

    monkeypatch.setattr("bulkpull.cli.run_display.run_interruptibly", interrupted_late)
    outcome = command("export", "Profile", "--output", "data")

    assert outcome.code == 0
    assert "interrupted" not in outcome.err
