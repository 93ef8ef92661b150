"""`bulkpull nightly`, `--submit-only` and `runs resume`: what a scheduler sees of them."""

from __future__ import annotations

from command_line import SMALL, Command, Serve, small

from bulkpull.clock import iso_utc
from bulkpull.simulator import Fault


def test_the_first_night_brings_data_and_the_second_finds_nothing_new_in_three_calls(
    command: Command, serve: Serve
) -> None:
    serve(SMALL)
    first = command("nightly", "--output", "data", "--json")
    second = command("nightly", "--output", "data", "--json")

    assert (first.code, second.code) == (0, 0)
    brought = {item["dataset"]: item for item in first.json()["datasets"] if item["status"] == "complete"}
    skipped = {item["dataset"]: item for item in second.json()["datasets"] if item["status"] == "skipped"}
    assert len(brought) == len(skipped) == 3
    for name, record in skipped.items():
        assert (record["rows"], record["files"]) == (brought[name]["rows"], brought[name]["files"])
        assert record["reason"].startswith("no execution newer than 20")
    calls = second.json()["requests"]["by_endpoint"]
    assert calls == {"token": 1, "ScheduledDataset": 1, "ScheduledReport": 1, "execution": 1}


def test_the_plan_of_a_night_creates_nothing_and_tells_what_becomes_of_each_standing_report(
    command: Command, serve: Serve
) -> None:
    simulator = serve(SMALL)
    before = command("nightly", "Profile", "--plan", "--json")
    assert simulator.service.reports == {}
    command("nightly", "Profile", "--quiet")
    after = command("nightly", "Profile", "--plan")

    (row,) = before.json()["plan"]
    assert (row["action"], row["standing_report"]) == ("pull", "make")
    assert "skip" in after.out
    assert "keep" in after.out
    assert "no execution newer than" in " ".join(after.out.split())


def test_plan_and_summary_of_a_first_night_say_what_is_created_and_when_it_is_executed_first(
    command: Command, serve: Serve
) -> None:
    simulator = serve(SMALL)
    assert command("export", "Profile", "--quiet").code == 0
    plan = command("nightly", "Profile", "OfficeUsage", "--plan")
    rows = {
        row["dataset"]: row for row in command("nightly", "Profile", "OfficeUsage", "--plan", "--json").json()["plan"]
    }
    night = command("nightly", "Profile", "OfficeUsage")
    later = command("nightly", "Profile", "OfficeUsage", "--plan")
    manifest = command("nightly", "Profile", "OfficeUsage", "--json").json()

    # Profile was published by the export: it gets a scheduled report, and no one-off report.
    notes = " ".join(plan.err.split())
    assert "note: 1 one-off report would be created;" in notes
    assert "note: 2 scheduled reports would be created; their first execution is due at 20" in notes
    assert (rows["Profile"]["action"], rows["OfficeUsage"]["action"]) == ("skip", "pull")
    starts = [iso_utc(report.start_at) for report in simulator.service.reports.values() if report.is_standing]
    summary = " ".join(night.err.split())
    assert "Profile, OfficeUsage: the first executions of their new scheduled reports are due" in summary
    assert all(start in summary for start in (min(starts), max(starts)))
    assert "note: no one-off report would be created" in " ".join(later.err.split())
    assert "2 scheduled reports would be kept; their next execution is due " in " ".join(later.err.split())
    assert min(starts) in later.err
    assert sorted(record["next_due_at"] for record in manifest["datasets"]) == sorted(starts)


def test_a_night_over_days_that_are_named_asks_for_one_off_reports(command: Command, serve: Serve) -> None:
    simulator = serve(SMALL)
    outcome = command("nightly", "OfficeUsage", "--since", "2026-09-01", "--until", "2026-11-01", "--json")

    assert outcome.code == 0
    assert outcome.json()["datasets"][0]["window"] == {"start": "2026-09-01T00:00:00Z", "end": "2026-11-01T00:00:00Z"}
    assert simulator.service.reports == {}


def test_reports_are_submitted_by_one_command_and_collected_by_another(command: Command, serve: Serve) -> None:
    simulator = serve(SMALL)
    submitted = command("export", "Profile", "MSLearn", "--submit-only", "--json")
    assert submitted.code == 0
    assert submitted.json()["submitted"] is True
    assert len(simulator.service.reports) == 2

    collected = command("runs", "resume", submitted.json()["run_id"][:16], "--json")

    assert collected.code == 0
    assert collected.json()["run_id"] == submitted.json()["run_id"]
    assert [record["status"] for record in collected.json()["datasets"]] == ["complete", "complete"]
    assert simulator.service.reports == {}
    assert sum(simulator.service.created_reports.values()) == 2


def test_a_run_that_has_nothing_left_is_told_as_it_ended(command: Command, serve: Serve) -> None:
    serve(SMALL)
    made = command("export", "Profile", "--json")
    again = command("runs", "resume", "--json")

    assert (again.code, again.json()) == (0, made.json())


def test_what_a_run_lost_is_tried_again(command: Command, serve: Serve) -> None:
    simulator = serve(small(faults=(Fault("short_row", dataset="OfficeUsage", times=None),)))
    assert command("export", "Profile", "OfficeUsage").code == 3
    simulator.disarm_all()
    outcome = command("runs", "resume", "--json")

    assert outcome.code == 0
    assert [record["status"] for record in outcome.json()["datasets"]] == ["complete", "complete"]


def test_a_run_that_does_not_exist_is_told_what_there_is(command: Command, serve: Serve) -> None:
    serve(SMALL)
    assert "there is no folder" in command("runs", "resume").err
    command("export", "Profile", "--quiet")
    outcome = command("runs", "resume", "1999")

    assert outcome.code == 2
    assert "1999" in outcome.err


def test_a_run_against_another_service_is_not_resumed(command: Command, serve: Serve) -> None:
    serve(small(faults=(Fault("short_row", dataset="Profile", times=None),)))
    assert command("export", "Profile").code == 3
    serve(SMALL)
    outcome = command("runs", "resume")

    assert outcome.code == 2
    assert "was made against" in outcome.err


def test_a_first_night_after_an_export_asks_for_no_data_that_cannot_have_changed(
    command: Command, serve: Serve
) -> None:
    """The service refreshes Profile once a day: asking more often yields the same rows, and costs."""
    simulator = serve(SMALL)
    command("export", "Profile", "--quiet")
    outcome = command("nightly", "Profile", "--json")

    (record,) = outcome.json()["datasets"]
    assert (record["status"], record["reason"][:23]) == ("skipped", "no execution newer than")
    assert [report.status for report in simulator.service.reports.values()] == ["Active"]


def test_a_submitted_run_says_so_for_each_dataset_and_which_command_began_it(command: Command, serve: Serve) -> None:
    serve(SMALL)
    submitted = command("export", "Profile", "MSLearn", "--submit-only")
    shown = command("runs", "show", "--verbose")
    values = command("runs", "show", "--json").json()
    command("runs", "resume", "--quiet")
    command("nightly", "Profile", "--quiet")
    listed = command("runs", "list")
    night = command("runs", "show")

    assert {dataset["status"] for dataset in values["datasets"]} == {"submitted"}
    assert values["command"] == "export"
    assert "Profile  submitted" in shown.out
    assert "skipped" not in shown.out
    assert [line.split()[:2] for line in submitted.err.splitlines() if line.startswith(("Profile", "MSLearn"))] == [
        ["Profile", "submitted"],
        ["MSLearn", "submitted"],
    ]
    assert "request   datasets MSLearn, Profile" in shown.out  # as they are spelled elsewhere
    assert "question_sha256" not in shown.out
    assert " mark " not in shown.out
    assert [line.split()[1] for line in listed.out.splitlines()] == ["command", "nightly", "export"]
    assert "command   nightly" in night.out


def test_the_plan_after_a_submission_has_one_reason_for_all_datasets(command: Command, serve: Serve) -> None:
    serve(SMALL)
    assert command("export", "Profile", "OfficeUsage", "--submit-only", "--quiet").code == 0
    plan = command("export", "Profile", "OfficeUsage", "--plan")

    (reason,) = [line for line in plan.out.splitlines() if line.startswith("reason:")]
    assert "Profile, OfficeUsage: an export was asked for; report " in reason
    assert "and 1 more of an earlier run answer the same question" in reason
