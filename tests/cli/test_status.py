"""`status`: how old the published data is, and the exit status that sees a cron that never ran."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from command_line import SMALL, Command, Serve
from published import NOW, files_under, lost, publish, run_id_of, write_ledger, write_manifest

from bulkpull.catalog import load_catalog
from bulkpull.cli.options import read_span
from bulkpull.clock import iso_utc
from bulkpull.output.freshness import find_freshness
from bulkpull.output.ledger import Ledger
from bulkpull.output.ledger_facts import PublicationFacts, ReportFacts
from bulkpull.output.store import LocalStore
from bulkpull.read_output import status as read_status
from bulkpull.simulator import Fault

HOUR = timedelta(hours=1)
OUT = Path("data")


def ran(ago: timedelta, *datasets: str) -> str:
    """A run that published those datasets so long ago; returns its id."""
    run_id = run_id_of(NOW - ago)
    records = [publish(OUT, name, run_id=run_id, generated_at=NOW - ago - HOUR) for name in datasets]
    write_manifest(OUT, *records, run_id=run_id)
    return run_id


def by_name(reported: Any) -> dict[str, Any]:
    return {record["dataset"]: record for record in reported["datasets"]}


def test_an_export_of_just_now_is_current(command: Command, serve: Serve) -> None:
    serve(SMALL)
    command("export", "Profile", "--output", "data", "--quiet")

    outcome = command("status", "--output", "data", "--max-age", "36h", "--json")

    reported = outcome.json()
    assert (outcome.code, reported["ok"], outcome.err) == (0, True, "")
    assert by_name(reported)["Profile"]["state"] == "current"
    assert by_name(reported)["Profile"]["generated_at"] is not None
    assert by_name(reported)["Profile"]["rows"] == 40


def test_a_dataset_that_nobody_looked_for_in_time_gives_3_and_is_named(command: Command) -> None:
    ran(40 * HOUR, "Profile")
    ran(10 * HOUR, "AzureUsage")

    outcome = command("status", "--output", "data", "--max-age", "36h")

    assert outcome.code == 3
    assert re.search(r"1 dataset is late: Profile \(last checked (39|40|41) h ago\)", outcome.err)
    assert "AzureUsage" not in outcome.err
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert command("status", "--output", "data", "--max-age", "2d").code == 0
    assert command("status", "--output", "data").code == 0


def test_the_ages_of_twenty_late_datasets_and_the_message_fit_a_small_terminal(command: Command) -> None:
    twenty = [dataset.name for dataset in load_catalog().standard]
    ran(40 * HOUR, *twenty)

    outcome = command("status", "--output", "data", "--max-age", "36h")

    assert outcome.code == 3
    assert "20 datasets are late: CustomersAndTenants and 19 more" in outcome.err
    rows = [*outcome.out.splitlines(), *outcome.err.splitlines()]
    assert sum(max(1, math.ceil(len(row) / 80)) for row in rows) <= 24


def test_a_night_that_found_nothing_newer_has_looked(command: Command) -> None:
    run_id = ran(timedelta(days=20), "Profile")
    published = publish(OUT, "MSLearn", run_id=run_id)
    unchanged = published.model_copy(update={"dataset": "Profile", "status": "skipped"})
    write_manifest(OUT, unchanged, run_id=run_id_of(NOW - 5 * HOUR))

    outcome = command("status", "Profile", "--output", "data", "--max-age", "36h", "--json")

    profile = by_name(outcome.json())["Profile"]
    assert outcome.code == 0
    assert profile["data_age_seconds"] >= 20 * 86_400
    assert profile["check_age_seconds"] < 6 * 3_600


def test_a_night_that_failed_has_not_looked_and_says_why(command: Command) -> None:
    ran(40 * HOUR, "Profile")
    write_manifest(OUT, lost("Profile", reason="Profile: the service is down"), run_id=run_id_of(NOW - 2 * HOUR))

    outcome = command("status", "--output", "data", "--max-age", "36h")

    assert outcome.code == 3
    assert "the service is down" in outcome.err


def test_a_run_that_failed_while_the_data_are_young_is_named_in_one_line(command: Command) -> None:
    ran(10 * HOUR, "Profile", "MSLearn")
    down = [lost(name, reason=f"{name}: the service is down") for name in ("Profile", "MSLearn")]
    write_manifest(OUT, *down, run_id=run_id_of(NOW - 2 * HOUR))

    for age in ((), ("--max-age", "36h")):
        outcome = command("status", "--output", "data", *age)

        assert outcome.code == 0
        assert outcome.err == "note:  the newest run did not export MSLearn, Profile: the service is down\n"
    assert command("status", "--output", "data", "--json").err == ""


def test_several_reasons_of_one_run_are_one_line_that_says_where_the_others_are(command: Command) -> None:
    ran(10 * HOUR, "Profile", "MSLearn")
    reasons = [lost("Profile", reason="Profile: the service is down"), lost("MSLearn", reason="MSLearn: it is gone")]
    write_manifest(OUT, *reasons, run_id=run_id_of(NOW - 2 * HOUR))

    outcome = command("status", "--output", "data")

    assert outcome.err.count("\n") == 1
    assert outcome.err.rstrip().endswith("1 other reason: `bulkpull runs show`")


def test_rows_come_in_the_order_of_the_catalog_then_queries_by_name_whatever_a_run_lost(command: Command) -> None:
    names = [dataset.name for dataset in load_catalog().datasets][:3]
    ran(10 * HOUR, "zebra", *reversed(names), "alpha")
    before = [row["dataset"] for row in command("status", "--output", "data", "--json").json()["datasets"]]
    write_manifest(OUT, lost("alpha"), lost(names[2]), run_id=run_id_of(NOW - 2 * HOUR))
    after = [row["dataset"] for row in command("status", "--output", "data", "--json").json()["datasets"]]

    assert before == after == [*names, "alpha", "zebra"]


def test_a_run_that_only_submitted_its_reports_has_not_looked(command: Command) -> None:
    run_id = ran(40 * HOUR, "Profile")
    waiting = lost("Profile", "skipped", reason="Profile: submitted")
    write_manifest(OUT, waiting, run_id=run_id_of(NOW - HOUR)).model_copy(update={"submitted": True}).save(
        LocalStore(OUT)
    )

    (found,) = find_freshness(LocalStore(OUT))

    assert (found.run_id, found.checked_at) == (run_id, NOW - 40 * HOUR + timedelta(minutes=5))


def test_what_the_newest_run_was_asked_for_and_never_published_counts(command: Command) -> None:
    run_id = run_id_of(NOW - HOUR)
    there = publish(OUT, "Profile", run_id=run_id)
    write_manifest(OUT, there, lost("AzureUsage"), lost("EMSUsage", "unavailable"), run_id=run_id)

    outcome = command("status", "--output", "data", "--max-age", "36h")

    assert outcome.code == 3
    assert "AzureUsage (never published)" in outcome.err
    assert "EMSUsage" not in outcome.err  # not offered to this account, and nobody named it
    named = command("status", "emsusage", "--output", "data", "--max-age", "36h")
    assert (named.code, "EMSUsage (never published)" in named.err) == (3, True)
    assert command("status", "Profile", "--output", "data", "--max-age", "36h").code == 0


@pytest.mark.parametrize("job", ["export", "nightly"])
def test_a_run_that_cannot_read_the_list_does_not_forget_what_is_not_offered(
    command: Command, serve: Serve, job: str
) -> None:
    simulator = serve(SMALL)
    command("export", "--output", "data", "--quiet")
    before = command("status", "--output", "data", "--max-age", "36h", "--json").json()
    simulator.arm(Fault("http_status", endpoint="ScheduledDataset", times=None, args={"status": 400}))

    assert command(job, "--output", "data", "--quiet").code == 3

    outcome = command("status", "--output", "data", "--max-age", "36h", "--json")
    after = outcome.json()
    assert (outcome.code, outcome.err) == (0, "")
    states = {name: record["state"] for name, record in by_name(after).items()}
    assert states == {name: record["state"] for name, record in by_name(before).items()}
    assert (states["Profile"], states["EMSUsage"]) == ("current", "unavailable")
    reason = by_name(before)["EMSUsage"]["reason"]
    assert by_name(after)["EMSUsage"]["reason"] == reason is not None
    assert {found.dataset: found.unavailable for found in read_status(OUT)}["EMSUsage"]
    named = command("status", "EMSUsage", "--output", "data", "--max-age", "36h")
    assert (named.code, "the newest run said" in named.err) == (3, False)


def test_after_runs_without_a_list_each_dataset_is_as_the_newest_run_with_one_found_it(command: Command) -> None:
    nights = [run_id_of(NOW - number * HOUR) for number in range(1, 6)]
    names = ("Profile", "EMSUsage", "MSLearn", "AzureUsage", "OfficeUsage")
    offered = lost("MSLearn").model_copy(update={"query": "SELECT MPNId FROM MSLearn"})
    # The oldest run found two datasets that are not offered; the next one was asked for three and found one of them.
    write_manifest(OUT, *(lost(name, "unavailable") for name in ("EMSUsage", "MSLearn")), run_id=nights[4])
    there = publish(OUT, "Profile", run_id=nights[3])
    write_manifest(OUT, there, offered, lost("AzureUsage"), run_id=nights[3])
    for night in nights[:3]:
        write_manifest(OUT, *map(lost, names), run_id=night)

    states = {found.dataset: found.state(now=NOW, max_age=36 * HOUR) for found in find_freshness(LocalStore(OUT))}

    assert states == {
        "Profile": "current",
        "EMSUsage": "unavailable",
        "MSLearn": "missing",  # offered since
        "AzureUsage": "missing",  # failed in a run that had the list
        "OfficeUsage": "missing",  # no run tells
    }
    assert command("status", "--output", "data", "--max-age", "36h").code == 3


def test_a_failed_run_does_not_hide_that_a_dataset_beyond_its_names_was_never_published(command: Command) -> None:
    nights = [run_id_of(NOW - number * HOUR) for number in (1, 2)]
    extra = lost("Extra").model_copy(update={"query": "SELECT MPNId FROM Extra"})
    write_manifest(OUT, publish(OUT, "Profile", run_id=nights[1]), extra, run_id=nights[1])
    write_manifest(OUT, lost("Profile"), run_id=nights[0])

    outcome = command("status", "--output", "data", "--max-age", "36h")

    assert (outcome.code, "Extra (never published)" in outcome.err) == (3, True)


def test_a_run_that_published_and_was_killed_has_looked_when_it_began(command: Command) -> None:
    publish(OUT, "Profile", run_id=run_id_of(NOW - 3 * HOUR))

    outcome = command("status", "--output", "data", "--max-age", "4h", "--json")

    assert outcome.code == 0
    assert by_name(outcome.json())["Profile"]["check_age_seconds"] >= 3 * 3_600


def test_a_custom_export_is_late_only_if_the_settings_or_the_user_name_it(command: Command) -> None:
    ran(2 * HOUR, "Profile")
    publish(OUT, "once", run_id=run_id_of(NOW - 90 * HOUR), source="AzureUsage")

    unnamed = command("status", "--output", "data", "--max-age", "36h", "--json")
    named = command("status", "once", "--output", "data", "--max-age", "36h")
    Path("bulkpull.toml").write_text('[[queries]]\nname = "once"\ndataset = "AzureUsage"\n', encoding="utf-8")
    expected = command("status", "--output", "data", "--max-age", "36h")

    assert (unnamed.code, named.code, expected.code) == (0, 3, 3)
    assert by_name(unnamed.json())["once"]["source"] == "AzureUsage"


def test_a_query_of_the_settings_that_was_never_published_is_known_by_name(command: Command) -> None:
    ran(2 * HOUR, "Profile")
    Path("bulkpull.toml").write_text('[[queries]]\nname = "big"\ndataset = "AzureUsage"\n', encoding="utf-8")

    outcome = command("status", "BIG", "--output", "data", "--max-age", "36h")

    assert outcome.code == 3
    assert "big (never published)" in outcome.err


def test_a_folder_that_does_not_exist_is_wrong_usage_and_late_for_a_check_by_age(command: Command) -> None:
    outcome = command("status", "--output", "data", "--max-age", "36h")

    assert (outcome.code, outcome.out) == (3, "")
    assert outcome.err.startswith(f"error: there is no folder {OUT.absolute()}\n")
    outcome = command("status", "--output", "data")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(
        f"error: there is no folder {OUT.absolute()}\nfix:   check the name given by --output"
    )
    assert command("status", "--output", "data", "--json").json()["exit"] == 2
    assert not OUT.exists()


def test_an_output_whose_runs_published_nothing_is_no_error_without_an_age(command: Command) -> None:
    (OUT / "runs").mkdir(parents=True)
    (OUT / ".bulkpull").mkdir()

    outcome = command("status", "--output", "data")

    assert (outcome.code, outcome.err) == (0, f"nothing is published in {OUT.absolute()} yet\n")
    assert command("status", "--output", "data", "--json").json()["datasets"] == []
    assert command("status", "--output", "data", "--max-age", "36h").code == 3


def test_looking_changes_nothing_and_a_damaged_manifest_is_passed_over(command: Command) -> None:
    ran(10 * HOUR, "Profile")
    newest = OUT / "runs" / run_id_of(NOW)
    newest.mkdir()
    (newest / "manifest.json").write_text('{"run_id": ')
    before = files_under(OUT)

    assert command("status", "--output", "data", "--max-age", "36h").code == 0
    assert files_under(OUT) == before


def test_a_name_that_nobody_knows_is_wrong_usage(command: Command) -> None:
    outcome = command("status", "AzurUsage")

    assert outcome.code == 2
    assert "AzureUsage" in outcome.err


def test_data_whose_file_is_gone_still_has_the_age_of_its_run() -> None:
    run_id = ran(10 * HOUR, "Profile")
    (OUT / f"datasets/Profile/run={run_id}/part-00000.parquet").unlink()

    (found,) = find_freshness(LocalStore(OUT))

    assert (found.generated_at, found.published_at) == (None, NOW - 10 * HOUR)


@pytest.mark.parametrize(
    ("text", "hours"), [("36h", 36.0), ("2d", 48.0), ("90m", 1.5), ("1d12h", 36.0), ("1.5H", 1.5), (" 1w ", 168.0)]
)
def test_a_length_of_time_is_read_as_people_write_it(text: str, hours: float) -> None:
    assert read_span(text) == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["", "36", "h", "36 hours", "0h", "-2d", "2d!", "9999999999w"])
def test_what_is_no_length_of_time_is_wrong_usage(command: Command, text: str) -> None:
    outcome = command("status", "--max-age", text)

    assert (outcome.code, outcome.out) == (2, "")
    assert "--max-age" in outcome.err


async def _interrupt(ledger: Ledger, *, ago: timedelta, status: str | None) -> None:
    """A run over three datasets, of which one was published before it ended so long ago."""
    run_id, ended_at = run_id_of(NOW - ago), NOW - ago + timedelta(minutes=5)
    await ledger.begin_run(run_id, request={"datasets": []}, at=NOW - ago)
    for dataset in ("Profile", "MSLearn", "AzureUsage"):
        await ledger.note(run_id, dataset=dataset, facts=ReportFacts("r", "q"), at=ended_at)
    record = publish(OUT, "Profile", run_id=run_id)
    await ledger.note(run_id, dataset="Profile", facts=PublicationFacts(record), at=ended_at)
    if status is not None:
        await ledger.end_run(run_id, status=status, summary={"complete": 1, "unfinished": 2}, at=ended_at)


@pytest.mark.parametrize(
    ("status", "how"),
    [
        ("interrupted", "was interrupted"),
        (None, "was killed"),
        ("submitted", "has submitted its reports and not collected them"),
    ],
)
def test_an_unfinished_run_is_named_with_the_command_that_continues_it(
    command: Command, status: str | None, how: str
) -> None:
    write_ledger(OUT, partial(_interrupt, ago=HOUR, status=status))
    run_id = run_id_of(NOW - HOUR)

    outcome = command("status", "--output", "data")

    ended_at = iso_utc(NOW - HOUR + timedelta(minutes=5))
    assert f"the export run {run_id} {how} at {ended_at}, 2 datasets unfinished: `" in outcome.err
    assert f"runs resume {run_id} --output data` continues it" in outcome.err
    reported = command("status", "--output", "data", "--json").json()["unfinished_run"]
    assert (reported["run_id"], reported["datasets_unfinished"]) == (run_id, 2)
    assert "runs resume" in reported["resume"]


def test_a_run_that_ended_before_its_first_dataset_says_so(command: Command) -> None:
    async def begin(ledger: Ledger) -> None:
        await ledger.begin_run(run_id_of(NOW - HOUR), request={"datasets": []}, at=NOW - HOUR)

    publish(OUT, "Profile", run_id=run_id_of(NOW - 2 * HOUR))
    write_ledger(OUT, begin)

    assert (
        f"was killed at {iso_utc(NOW - HOUR)}, before it began a dataset: `"
        in command("status", "--output", "data").err
    )


def test_a_run_that_was_killed_after_its_last_dataset_says_what_it_published(command: Command) -> None:
    run_id = run_id_of(NOW - HOUR)

    async def publish_all(ledger: Ledger) -> None:
        await ledger.begin_run(run_id, request={"datasets": []}, at=NOW - HOUR)
        record = publish(OUT, "Profile", run_id=run_id)
        await ledger.note(run_id, dataset="Profile", facts=PublicationFacts(record), at=NOW - HOUR)

    write_ledger(OUT, publish_all)

    reported = command("status", "--output", "data").err

    assert f"was killed at {iso_utc(NOW - HOUR)}, after it had published 1 dataset: `" in reported


def test_a_run_that_was_interrupted_days_ago_is_named_without_a_command_that_would_not_work(command: Command) -> None:
    write_ledger(OUT, partial(_interrupt, ago=timedelta(days=3), status="interrupted"))

    outcome = command("status", "--output", "data")

    assert "was interrupted" in outcome.err
    assert "the next export replaces it" in outcome.err
    assert "runs resume" not in outcome.err


def test_an_old_interrupted_run_is_not_named_once_a_newer_one_was_complete(command: Command) -> None:
    write_ledger(OUT, partial(_interrupt, ago=timedelta(days=3), status="interrupted"))
    write_ledger(OUT, partial(_interrupt, ago=HOUR, status="complete"))

    assert command("status", "--output", "data").err == ""
    assert command("status", "--output", "data", "--json").json()["unfinished_run"] is None


def test_a_run_that_is_under_way_is_not_called_killed(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    write_ledger(OUT, partial(_interrupt, ago=HOUR, status=None))
    monkeypatch.setattr("bulkpull.output.run_history.is_being_written", lambda _: True)

    assert command("status", "--output", "data").err == ""
