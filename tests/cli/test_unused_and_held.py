"""`reports delete --unused`, `runs publish` and `runs forget`: what nights leave, and what was held back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import SMALL, Command, Serve

from bulkpull.simulator import ColumnDrift, Fault


@pytest.mark.case("N9")
def test_unused_scheduled_reports_are_shown_and_deleted_on_demand(command: Command, serve: Serve) -> None:
    simulator = serve(SMALL)
    command("nightly", "Profile", "OfficeUsage", "--quiet")
    command("nightly", "OfficeUsage", "--quiet")
    (idle,) = simulator.service.standing_reports("Profile")

    shown = command("reports", "delete", "--unused")
    assert idle.report_id in shown.out
    assert "add --yes" in shown.err
    assert idle.report_id in simulator.service.reports

    assert command("reports", "delete", "--unused", "--yes").code == 0
    assert simulator.service.standing_reports("Profile") == []
    assert len(simulator.service.standing_reports("OfficeUsage")) == 1


@pytest.mark.case("N17")
def test_after_a_night_that_could_not_list_its_reports_none_of_them_counts_as_unused(
    command: Command, serve: Serve
) -> None:
    """All scheduled reports were deleted, because that night had noted none of them."""
    simulator = serve(SMALL)
    command("nightly", "Profile", "OfficeUsage", "--quiet")
    refused = Fault("http_status", endpoint="GET ScheduledReport", times=None, args={"status": 403})
    simulator.arm(refused)
    assert command("nightly", "Profile", "OfficeUsage", "--quiet").code == 0
    simulator.disarm_all()

    assert command("reports", "delete", "--unused", "--yes").code == 0
    assert [len(simulator.service.standing_reports(name)) for name in ("Profile", "OfficeUsage")] == [1, 1]


@pytest.mark.case("N13")
def test_what_was_held_back_is_published_from_what_was_kept(
    command: Command, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator = serve(SMALL)
    command("export", "OfficeUsage", "--quiet")
    simulator.service.drift("OfficeUsage", ColumnDrift(added=("NewColumn",)))
    monkeypatch.setenv("BULKPULL_ON_DRIFT", "fail")
    held = command("export", "OfficeUsage", "--json")
    assert held.code == 3
    created = sum(simulator.service.created_reports.values())
    assert len(simulator.service.reports) == 1

    published = command("runs", "publish", held.json()["run_id"], "OfficeUsage", "--json")

    assert published.code == 0
    (record,) = published.json()["datasets"]
    assert record["status"] == "complete"
    assert "NewColumn" in {column["name"] for column in record["columns"]}
    assert sum(simulator.service.created_reports.values()) == created


@pytest.mark.case("N13")
def test_a_night_after_data_were_held_back_names_them_until_they_are_published(
    command: Command, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator = serve(SMALL)
    command("nightly", "OfficeUsage", "--quiet")
    simulator.arm(Fault("redacted", times=None))
    monkeypatch.setenv("BULKPULL_FAIL_ON_REDACTED", "true")
    held = command("export", "OfficeUsage", "--json").json()
    assert [record["held_back"] for record in held["datasets"]] == [True]

    (record,) = command("nightly", "OfficeUsage", "--json").json()["datasets"]

    assert record["status"] == "skipped"
    wanted = f"`bulkpull runs publish {held['run_id']} OfficeUsage` publishes them"
    assert [note for note in record["notes"] if wanted in note]
    assert command("runs", "publish", held["run_id"], "--quiet").code == 0
    (record,) = command("nightly", "OfficeUsage", "--json").json()["datasets"]
    assert not [note for note in record["notes"] if "held them back" in note]


@pytest.mark.case("N13")
def test_a_run_that_holds_nothing_back_has_nothing_to_publish(command: Command, serve: Serve) -> None:
    """It printed the manifest of the run, and ended with 0."""
    serve(SMALL)
    run_id = command("export", "OfficeUsage", "--json").json()["run_id"]

    for dataset in ((), ("officeusage",)):
        refused = command("runs", "publish", run_id, *dataset, "--json")
        assert refused.code == 2
        assert refused.json()["error"]["what"].startswith(f"run {run_id} holds back no data")


@pytest.mark.case("N9")
def test_a_forgotten_dataset_is_not_expected_any_more(command: Command, serve: Serve) -> None:
    serve(SMALL)
    command("export", "Profile", "OfficeUsage", "--output", "data", "--quiet")

    assert command("runs", "forget", "profile", "--output", "data").code == 0
    assert list(json.loads(Path("data/current.json").read_text())["datasets"]) == ["OfficeUsage"]
    assert not Path("data/latest/Profile").is_symlink()
    assert command("runs", "forget", "Profile", "--output", "data").code == 2
    status = command("status", "--max-age", "36h", "--output", "data", "--json")
    assert status.code == 0
    assert [dataset["dataset"] for dataset in status.json()["datasets"]] == ["OfficeUsage"]

    command("export", "Profile", "--output", "data", "--quiet")

    assert "forgotten" not in json.loads(Path("data/current.json").read_text())
    status = command("status", "--max-age", "36h", "--output", "data", "--json")
    assert sorted(dataset["dataset"] for dataset in status.json()["datasets"]) == ["OfficeUsage", "Profile"]


@pytest.mark.case("N1")
@pytest.mark.parametrize("option", ["--unused", "--orphans"])
def test_the_folder_of_another_account_does_not_say_which_reports_may_be_deleted(
    command: Command, serve: Serve, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    simulator = serve(replace(SMALL, further_tenants=("fabrikam.example",)))
    command("nightly", "Profile", "--quiet")
    monkeypatch.setenv("BULKPULL_TENANT_ID", "fabrikam.example")
    refused = command("reports", "delete", option, "--yes")

    assert refused.code == 2
    assert "another account" in refused.err
    assert len(simulator.service.standing_reports("Profile")) == 1


@pytest.mark.behaviour(23)
@pytest.mark.parametrize("days", [(), ("--since", "2026-01-01", "--until", "2026-03-01")])
def test_after_the_role_was_given_an_export_orders_a_new_report_instead_of_the_redacted_one(
    command: Command, serve: Serve, monkeypatch: pytest.MonkeyPatch, days: tuple[str, ...]
) -> None:
    simulator = serve(SMALL)
    monkeypatch.setenv("BULKPULL_FAIL_ON_REDACTED", "true")
    simulator.arm(Fault("redacted", times=None))
    (held,) = command("export", "OfficeUsage", *days, "--json").json()["datasets"]
    assert held["held_back"]
    assert "then export again, which creates a new report" in held["reason"]
    assert not [note for note in held["notes"] if "the same command uses" in note]
    simulator.disarm_all()

    exported = command("export", "OfficeUsage", *days, "--json")

    (record,) = exported.json()["datasets"]
    assert (exported.code, record["status"], record["data_redacted"]) == (0, "complete", False)
    assert record["report_id"] != held["report_id"]


@pytest.mark.behaviour(72)
def test_a_query_that_another_machine_has_deleted_meanwhile_makes_room_as_well(command: Command, serve: Serve) -> None:
    simulator = serve(replace(SMALL, query_quota=2))
    command("export", "OfficeUsage", "Profile", "--quiet")
    simulator.arm(Fault("http_status", endpoint="DELETE ScheduledQueries", args={"status": 404}))

    exported = command("export", "Profile", "--select", "City", "--as", "cities", "--json")

    assert [(record["status"], record["reason"]) for record in exported.json()["datasets"]] == [("complete", None)]
