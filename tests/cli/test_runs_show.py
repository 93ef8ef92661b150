"""`runs show`: one run as it went, out of the ledger and the manifest."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from command_line import Command, Serve, small
from published import NOW, files_under, lost, publish, run_id_of, write_ledger, write_manifest

from bulkpull.catalog import load_catalog
from bulkpull.cli.run_details import LedgerFacts, describe
from bulkpull.clock import iso_utc
from bulkpull.output.ledger import Ledger, RunEnding
from bulkpull.output.ledger_facts import PublicationFacts, ReportFacts
from bulkpull.simulator import Fault

OUT = Path("data")
RUN = run_id_of(NOW - timedelta(hours=1))
BEGUN = NOW - timedelta(hours=1)


def after(seconds: float) -> datetime:
    return BEGUN + timedelta(seconds=seconds)


def at(seconds: float) -> str:
    return iso_utc(after(seconds))


async def cut_off(ledger: Ledger) -> None:
    """A run that made a report and was stopped."""
    await ledger.begin_run(RUN, request={"datasets": ["profile"], "timespan": None}, at=after(0))
    await ledger.note(RUN, dataset="Profile", facts=ReportFacts("r-1", "q-1"), at=after(2))
    await ledger.end_run(RUN, status="interrupted", summary={"failed": 1}, at=after(10))


async def carried_on(ledger: Ledger) -> None:
    """The same run, taken up again and finished."""
    await cut_off(ledger)
    record = publish(OUT, "Profile", run_id=RUN)
    write_manifest(OUT, record, run_id=RUN, took=timedelta(seconds=90))
    await ledger.resume_run(RUN, at=after(60))
    await ledger.note(RUN, dataset="Profile", facts=PublicationFacts(record), at=after(80))
    await ledger.end_run(RUN, status="complete", summary={"complete": 1}, at=after(90))


def test_what_an_interruption_left_is_unfinished_and_not_failed(tmp_path: Path) -> None:
    """The summary of the run says the same."""
    manifest = write_manifest(tmp_path, lost("Profile", reason="the run was interrupted"), run_id=RUN)

    details = describe(RUN, LedgerFacts(endings=[RunEnding(after(10), "interrupted", {})]), manifest)

    assert [pull["status"] for pull in details["datasets"]] == ["unfinished"]


def shown(command: Command, *more: str) -> Any:
    outcome = command("runs", "show", *more, "--output", "data", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    return outcome.json()


def test_an_export_is_shown_with_every_pull_its_ids_steps_and_reason(command: Command, serve: Serve) -> None:
    serve(small(faults=(Fault("execution_fails", dataset="OfficeUsage", times=None),)))
    manifest = command("export", "--output", "data", "--json").json()
    before = files_under(OUT)

    reported = shown(command)

    pulls = {item["dataset"]: item for item in reported["datasets"]}
    assert (reported["run_id"], reported["status"]) == (manifest["run_id"], "partial")
    assert reported["requests"] == manifest["requests"]
    for record in manifest["datasets"]:
        pull = pulls[record["dataset"]]
        assert (pull["status"], pull["reason"]) == (record["status"], record["reason"])
        assert [pull[name] for name in ("query_id", "report_id", "execution_id")] == [
            record[name] for name in ("query_id", "report_id", "execution_id")
        ]
    assert pulls["Profile"]["steps"][-1]["step"] == "published"
    assert all(step["after_seconds"] >= 0 for pull in pulls.values() for step in pull["steps"])
    assert files_under(OUT) == before


def test_people_see_the_same_line_by_line(command: Command) -> None:
    write_ledger(OUT, carried_on)

    outcome = command("runs", "show", "--output", "data")

    assert (outcome.code, outcome.err) == (0, "")
    reported = outcome.out
    for words in (
        RUN,
        "complete",
        "took 1:30",
        f"resumed   {at(60)}",
        "interrupted",
        "datasets Profile",
        "calls     3",
    ):
        assert words in reported
    lines = reported[reported.index("\nProfile") + 1 :].splitlines()
    assert lines[0] == "Profile  complete, 2 rows, " + lines[0].rpartition(", ")[2]
    assert "  query     q-1" in lines
    assert any("+1:18" in line and "published" in line for line in lines)


def test_a_run_that_was_taken_up_again_tells_how_it_ended_each_time(command: Command) -> None:
    write_ledger(OUT, carried_on)

    reported = shown(command)

    assert [ending["status"] for ending in reported["endings"]] == ["interrupted", "complete"]
    assert reported["resumed_at"] == [at(60)]
    assert [(step["step"], step["after_seconds"]) for step in reported["datasets"][0]["steps"]] == [
        ("report", 2.0),
        ("published", 78.0),
    ]


@pytest.mark.parametrize(
    ("was_killed", "words"),
    [(False, "0 throttled, 0 retried, in all 2 parts"), (True, "0 throttled, 0 retried, in 2 of its 3 parts")],
)
def test_the_calls_of_a_resumed_run_say_how_many_of_its_parts_they_are_of(
    command: Command, was_killed: bool, words: str
) -> None:
    write_ledger(OUT, carried_on)
    if was_killed:
        write_ledger(OUT, _resume)

    assert words in command("runs", "show", "--output", "data").out
    assert words in command("runs", "show", "--output", "data", "--verbose").out


async def _resume(ledger: Ledger) -> None:
    await ledger.resume_run(RUN, at=after(60))


def test_a_run_that_is_under_way_or_was_killed_is_shown_from_the_ledger_alone(command: Command) -> None:
    write_ledger(OUT, cut_off)
    assert shown(command)["status"] == "interrupted"

    write_ledger(OUT, _resume)

    reported = shown(command)
    assert (reported["status"], reported["datasets"][0]["status"], reported["requests"]) == (
        "unfinished",
        "unfinished",
        None,
    )
    assert reported["datasets"][0]["report_id"] == "r-1"


def test_without_the_ledger_the_manifest_is_shown(command: Command) -> None:
    write_manifest(OUT, lost("Profile", reason="Profile: refused\x1b[2J"), run_id=RUN)
    (OUT / ".bulkpull").mkdir()
    (OUT / ".bulkpull" / "ledger.sqlite").write_bytes(b"rubbish" * 100)

    assert shown(command)["status"] == "failed"
    outcome = command("runs", "show", "--output", "data")
    assert r"  reason    Profile: refused\x1b[2J" in outcome.out  # spelled out: nothing steers the terminal


@pytest.mark.parametrize("asked", [(), (RUN,), (RUN[:-2],)])
def test_a_run_is_the_newest_or_named_or_named_by_its_beginning(command: Command, asked: tuple[str, ...]) -> None:
    write_manifest(OUT, run_id=run_id_of(NOW - timedelta(days=2)))
    write_manifest(OUT, run_id=RUN)

    assert shown(command, *asked)["run_id"] == RUN


@pytest.mark.parametrize("asked", ["1999", "2"])
def test_an_unknown_run_and_an_unclear_one_name_what_there_is(command: Command, asked: str) -> None:
    older = run_id_of(NOW - timedelta(days=2))
    write_manifest(OUT, run_id=older)
    write_manifest(OUT, run_id=RUN)

    outcome = command("runs", "show", asked, "--output", "data")

    assert (outcome.code, outcome.out) == (2, "")
    assert RUN in outcome.err
    assert older in outcome.err


def test_a_folder_without_runs_says_so(command: Command) -> None:
    outcome = command("runs", "show", "--output", "data")

    assert (outcome.code, outcome.out) == (2, "")
    assert f"there is no folder {Path('data').absolute()}" in outcome.err
    assert not OUT.exists()


def test_a_run_over_twenty_datasets_fits_on_a_screen_and_shows_its_steps_on_request(command: Command) -> None:
    records = [publish(OUT, dataset.name, run_id=RUN) for dataset in load_catalog().standard]
    write_manifest(OUT, *records, run_id=RUN, took=timedelta(seconds=90))

    short, long = (command("runs", "show", *more, "--output", "data").out.splitlines() for more in ((), ("--verbose",)))

    assert len(records) == 20
    assert len(short) <= 24
    assert max(map(len, short)) <= 80
    assert all(any(line.startswith(f"{record.dataset} ") for line in short) for record in records)
    assert len(long) > len(short)
