"""`reports create`, `update` and `delete --orphans`: rules come first, and nothing is done that was not asked for."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from command_line import SMALL, Command, Outcome, Serve, small

from bulkpull.cli.report_cleanup import find_orphans
from bulkpull.cli.report_create import automatic_name, next_start
from bulkpull.model import Report
from bulkpull.output.ledger import RunEntry
from bulkpull.simulator import ColumnDrift, Simulator

NOBODY = "00000000-0000-4000-8000-00000000dead"
# The service's own queries are up to date there.
DOCUMENTED = small(edition="documents")
ADDRESS = "https://hooks.contoso.example/done"
NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
DAY = timedelta(days=1)
SYSTEM_PROFILE = "e65f3a4f-fb99-4319-97ff-59e57566a871"


def made(outcome: Outcome) -> dict[str, Any]:
    assert outcome.code == 0, outcome.err
    (report,) = outcome.json()["reports"]
    assert isinstance(report, dict)
    return report


def posts(simulator: Simulator, method: str = "POST") -> int:
    return sum(call.method == method and call.endpoint != "token" for call in simulator.calls)


def at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%MZ}"


# Creating


@pytest.mark.behaviour(82, 83, 84, 94)
def test_a_report_that_runs_once_takes_days_and_a_format(command: Command, serve: Serve) -> None:
    simulator = serve(SMALL)

    days = ("--since", "2026-01-01", "--until", "2026-02-01")
    report = made(command("reports", "create", "--dataset", "officeusage", "--now", *days, "--format", "tsv", "--json"))

    assert (report["one_off"], report["format"]) == (True, "tsv")
    assert re.fullmatch(r"OfficeUsage_\d{8}T\d{6}Z", report["name"])
    window = simulator.service.reports[report["report_id"]].window
    assert window == (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))


@pytest.mark.behaviour(70, 72, 80)
def test_this_tools_own_query_is_made_once_and_used_again(command: Command, serve: Serve) -> None:
    simulator = serve(SMALL)

    first = made(command("reports", "create", "--dataset", "Profile", "--now", "--json"))
    second = made(command("reports", "create", "--dataset", "Profile", "--now", "--json", "--name", "Another"))

    assert first["query_id"] == second["query_id"]
    assert second["name"] == "Another"
    assert simulator.service.created_queries == {"Profile": 1}
    assert command("export", "Profile", "--output", "data", "--quiet").code == 0
    assert simulator.service.created_queries == {"Profile": 1}


@pytest.mark.behaviour(50, 81, 87, 88, 100)
def test_a_scheduled_report_starts_as_soon_as_the_service_takes_it(command: Command, serve: Serve) -> None:
    serve(DOCUMENTED)
    before = datetime.now(UTC)

    report = made(
        command(
            "reports", "create", "--query-id", SYSTEM_PROFILE, "--every", "24", "--times", "3", "--description", "d",
            "--callback-url", ADDRESS, "--callback-method", "get", "--json",
        )
    )  # fmt: skip

    ahead = datetime.fromisoformat(report["start_at"]) - before
    assert timedelta(hours=4) < ahead < timedelta(hours=4, minutes=10)
    assert (report["recurrence_hours"], report["recurrence_count"], report["status"]) == (24, 3, "Active")
    assert (report["callback_url"], report["callback_method"], report["description"]) == (ADDRESS, "GET", "d")


@pytest.mark.behaviour(50, 76, 81, 82, 83, 87, 88, 93, 100)
@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ((), "either --query-id ID or --dataset NAME"),
        (("--dataset", "Profile", "--query-id", SYSTEM_PROFILE), "either --query-id ID or --dataset NAME"),
        (("--dataset", "Profile"), "either --now or --every HOURS"),
        (("--dataset", "Profile", "--now", "--every", "24"), "either --now or --every HOURS"),
        (("--dataset", "Profile", "--now", "--times", "2"), "--now excludes --start and --times"),
        (("--dataset", "Profile", "--every", "24", "--since", "2026-01-01"), "ignores them on a schedule"),
        (("--dataset", "OfficeUsage", "--now", "--until", "2026-01-01"), "give the start of the window"),
        (("--query-id", SYSTEM_PROFILE, "--now", "--timespan", "LIFETIME"), "goes with --dataset"),
        (("--dataset", "Profile", "--every", "3"), "4 to 2160 h are allowed"),
        (("--dataset", "Profile", "--every", "12"), "the shortest interval of its dataset is 24 h"),
        (("--query-id", SYSTEM_PROFILE, "--every", "12"), "the shortest interval of its dataset is 24 h"),
        (("--dataset", "Profile", "--every", "24", "--times", "0"), "1 and more are allowed"),
        (("--dataset", "Profile", "--every", "24", "--start", "2026-01-01T06:00"), "the earliest is"),
        (("--dataset", "Profile", "--now", "--name", "a;b"), "no semicolon"),
        (("--dataset", "Profile", "--now", "--name", "bulkpull_x"), "mark reports that exports make"),
        (("--dataset", "Profile", "--now", "--name", "Bulkpull_x"), "mark reports that exports make"),
        (("--dataset", "Profile", "--now", "--callback-url", "https://10.1.2.3/"), "public host"),
        (("--dataset", "Profile", "--now", "--callback-url", "https://127.1/"), "public host"),
        (("--dataset", "Profile", "--now", "--callback-url", "https://0x7f.1/"), "public host"),
        (("--dataset", "Profile", "--now", "--callback-url", "https://[::1]/"), "public host"),
        (("--dataset", "Profile", "--now", "--callback-url", "https://x.localdomain/"), "public host"),
        (("--dataset", "Profile", "--now", "--callback-method", "GET"), "without an address"),
        (("--dataset", "Profle", "--now"), "did you mean Profile"),
        (("--dataset", "OfficeUsage", "--now", "--timespan", "TODAY"), "choose one of"),
    ],
)
def test_a_report_that_cannot_be_is_refused_with_its_rule(
    command: Command, serve: Serve, options: tuple[str, ...], rule: str
) -> None:
    simulator = serve(DOCUMENTED)

    outcome = command("reports", "create", *options)

    assert (outcome.code, outcome.out) in ((2, ""), (3, ""))
    assert rule in " ".join(outcome.err.split())
    assert posts(simulator) == 0


@pytest.mark.case("M9")
def test_a_start_may_have_an_offset(command: Command, serve: Serve) -> None:
    serve(SMALL)
    start = (datetime.now(UTC) + timedelta(hours=30)).replace(second=0, microsecond=0)
    there = start.astimezone(timezone(timedelta(hours=5, minutes=30)))

    for written in (f"{there:%Y-%m-%dT%H:%M:%S%z}", there.isoformat(timespec="minutes"), f"{start:%Y-%m-%dT%H:%M}"):
        more = ("--every", "24", "--start", written, "--name", written.replace(":", ""))
        report = made(command("reports", "create", "--dataset", "Profile", *more, "--json"))
        assert report["start_at"] == f"{start:%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.case("M9")
@pytest.mark.parametrize("title", ["Profile", "x" * 300, "A name; with a semicolon"])
def test_an_automatic_name_is_one_that_the_service_takes(title: str) -> None:
    name = automatic_name(title, now=NOW)

    assert len(name) <= 256
    assert not set("; ") & set(name)
    assert name.endswith("_20261123T020000Z")


@pytest.mark.case("M1")
def test_what_bears_the_name_already_is_known_before_a_report_or_a_query_is_created(
    command: Command, serve: Serve
) -> None:
    simulator = serve(DOCUMENTED)

    made(command("reports", "create", "--query-id", SYSTEM_PROFILE, "--now", "--name", "Weekly", "--json"))
    assert command("queries", "create", "A query", "SELECT Month FROM OfficeUsage").code == 0

    for endpoint in ("ScheduledReport", "ScheduledQueries"):
        methods = [call.method for call in simulator.calls if call.endpoint == endpoint]
        assert methods.index("GET") < methods.index("POST")


def test_no_report_is_created_on_what_is_not_there_or_out_of_date(command: Command, serve: Serve) -> None:
    simulator = serve(small(edition="documents", drift={"Profile": ColumnDrift(renamed={"City": "Town"})}))

    unknown = command("reports", "create", "--query-id", NOBODY, "--now")
    not_offered = command("reports", "create", "--dataset", "EMSUsage", "--now")
    outdated = command("reports", "create", "--query-id", SYSTEM_PROFILE, "--now")

    assert (unknown.code, not_offered.code, outdated.code) == (2, 3, 2)
    assert "Profile has no City today" in outdated.err
    assert posts(simulator) == 0


@pytest.mark.case("W16")
def test_days_that_change_nothing_are_refused_and_nothing_is_created(command: Command, serve: Serve) -> None:
    simulator = serve(SMALL)

    outcome = command("reports", "create", "--dataset", "Profile", "--now", "--since", "2026-01-01")

    assert outcome.code == 2
    assert "no time axis" in outcome.err
    assert not simulator.service.reports


@pytest.mark.behaviour(101)
def test_a_callback_that_may_not_come_is_told(command: Command, serve: Serve) -> None:
    serve(SMALL)

    outcome = command("reports", "create", "--dataset", "Profile", "--now", "--callback-url", ADDRESS)

    assert outcome.code == 0
    assert "may end without a callback" in outcome.err


@pytest.mark.behaviour(85)
def test_a_used_up_quota_is_told_with_what_to_do(command: Command, serve: Serve) -> None:
    serve(small(one_off_quota=1))
    made(command("reports", "create", "--dataset", "Profile", "--now", "--json"))

    outcome = command("reports", "create", "--dataset", "Profile", "--now", "--name", "Second")

    assert (outcome.code, outcome.out) == (1, "")
    assert "a quota is used up" in outcome.err


def test_the_demo_creates_a_report_too(command: Command) -> None:
    assert made(command("reports", "create", "--dataset", "Profile", "--now", "--demo", "--json"))["one_off"]


# Changing


@pytest.mark.behaviour(88, 95)
def test_what_is_not_changed_stays_as_it_is(command: Command, serve: Serve) -> None:
    serve(SMALL)
    start = at(datetime.now(UTC) + timedelta(hours=30))
    before = made(
        command(
            "reports", "create", "--dataset", "Profile", "--every", "24", "--times", "9", "--start", start, "--format",
            "tsv", "--callback-url", ADDRESS, "--description", "d", "--name", "Weekly", "--json",
        )
    )  # fmt: skip

    after = made(command("reports", "update", before["report_id"], "--every", "168", "--json"))

    assert after.pop("modified_at")
    assert after == {name: value for name, value in before.items() if name != "modified_at"} | {"recurrence_hours": 168}
    renamed = made(command("reports", "update", before["report_id"], "--name", "Monthly", "--times", "2", "--json"))
    assert (renamed["name"], renamed["recurrence_count"], renamed["start_at"]) == ("Monthly", 2, before["start_at"])


@pytest.mark.behaviour(81, 91, 95)
def test_a_change_that_cannot_be_is_refused_with_its_rule(command: Command, serve: Serve) -> None:
    simulator = serve(SMALL)
    once = made(command("reports", "create", "--dataset", "Profile", "--now", "--json"))["report_id"]
    often = made(command("reports", "create", "--dataset", "Profile", "--every", "24", "--json"))["report_id"]

    for report_id, options, rule in (
        (once, ("--name", "Other"), "it runs once"),
        (often, (), "nothing to change was given"),
        (often, ("--every", "12"), "the shortest interval of its dataset is 24 h"),
        (often, ("--start", "2026-01-01T06:00"), "the earliest is"),
        (often, ("--name", "bulkpull_x"), "mark reports that exports make"),
    ):
        outcome = command("reports", "update", report_id, *options)
        assert (outcome.code, outcome.out) == (2, ""), options
        assert rule in " ".join(outcome.err.split())
    assert command("reports", "update", NOBODY, "--name", "Other").code == 2
    assert posts(simulator, "PUT") == 0


@pytest.mark.behaviour(81, 95)
@pytest.mark.parametrize(
    ("start_at", "every_h", "expected"),
    [
        (NOW + DAY, 24, NOW + DAY),
        (NOW, 24, NOW),
        (NOW - timedelta(minutes=1), 24, NOW + DAY - timedelta(minutes=1)),
        (NOW - 10 * DAY, 48, NOW),
        (NOW - 10 * DAY - timedelta(hours=1), 48, NOW + timedelta(hours=47)),
        (None, 24, NOW),
        (NOW - DAY, None, NOW),
    ],
)
def test_a_schedule_keeps_its_rhythm_when_it_begins_anew(
    start_at: datetime | None, every_h: int | None, expected: datetime
) -> None:
    assert next_start(start_at, every_h=every_h, earliest=NOW) == expected


# Orphans

ALIVE, DEAD, ELSEWHERE = "20261122T030000Z-aaaaaa", "20261118T020000Z-bbbbbb", "20261119T020000Z-cccccc"
LONG = "20261118T030000Z-dddddd"  # the run began then, and goes on


def one_off(name: str, *, age: timedelta = 5 * DAY, **more: Any) -> Report:
    given: dict[str, Any] = {"status": "Inactive", "execute_now": True, "created_at": NOW - age} | more
    return Report(report_id=name, name=name, query_id="q-1", **given)


def ours(run_id: str, **more: Any) -> Report:
    return one_off(f"bulkpull_Profile_0123456789ab_{run_id}_1", **more)


@pytest.mark.behaviour(80, 92)
@pytest.mark.parametrize(
    ("report", "is_orphan"),
    [
        (ours(DEAD), True),
        (ours(ELSEWHERE), True),
        (ours(DEAD, age=2 * DAY), False),
        (ours(DEAD, created_at=None), False),
        (ours(DEAD, execute_now=False), False),
        (ours(ALIVE), False),
        (ours(LONG), False),
        (one_off("Profile of Contoso"), False),
        (one_off("my_bulkpull_report"), False),
        (one_off("bulkpull report of somebody"), False),
        (one_off("bulkpull_Profile_0123456789ab_standing", execute_now=False), False),
    ],
)
def test_orphans_are_old_one_off_reports_of_ours_that_no_run_waits_for(report: Report, is_orphan: bool) -> None:
    runs = [
        RunEntry(ALIVE, datetime(2026, 11, 22, 3, tzinfo=UTC), {}, status=None),
        RunEntry(DEAD, datetime(2026, 11, 18, 2, tzinfo=UTC), {}, status=None),
        RunEntry(
            LONG,
            datetime(2026, 11, 18, 3, tzinfo=UTC),
            {},
            status=None,
            active_at=datetime(2026, 11, 22, 20, tzinfo=UTC),
        ),
    ]

    assert find_orphans([report], runs=runs, older_than=2 * DAY, now=NOW) == ([report] if is_orphan else [])


def test_orphans_are_only_shown_until_their_deletion_is_asked_for(command: Command, serve: Serve) -> None:
    simulator = serve(SMALL)
    theirs = made(command("reports", "create", "--dataset", "Profile", "--now", "--json"))["report_id"]
    orphan = made(command("reports", "create", "--dataset", "Profile", "--now", "--name", "x", "--json"))["report_id"]
    stored = simulator.service.reports[orphan]
    stored.name = f"bulkpull_Profile_0123456789ab_{DEAD}_1"
    stored.created_at = simulator.service.reports[theirs].created_at = datetime.now(UTC) - 3 * DAY

    assert [report["report_id"] for report in command("reports", "list", "--mine", "--json").json()["reports"]] == [
        orphan
    ]
    shown = command("reports", "delete", "--orphans")
    assert (shown.code, shown.err) == (0, "1 report would be deleted: add --yes\n")
    assert orphan in shown.out
    assert command("reports", "delete", "--orphans", "--json").json()["deleted"] is False
    assert command("reports", "delete", "--orphans", "--older-than", "4d", "--yes").err == "no orphans\n"
    assert set(simulator.service.reports) == {theirs, orphan}

    outcome = command("reports", "delete", "--orphans", "--older-than", "2d", "--yes", "--json")
    assert outcome.code == 0
    assert (outcome.json()["deleted"], [report["report_id"] for report in outcome.json()["reports"]]) == (
        True,
        [orphan],
    )
    assert set(simulator.service.reports) == {theirs}


@pytest.mark.parametrize("options", [(), ("--orphans", NOBODY), ("--older-than", "2d", NOBODY), ("--older-than", "x")])
def test_what_to_delete_has_to_be_said_plainly(command: Command, options: tuple[str, ...]) -> None:
    outcome = command("reports", "delete", *options, "--yes")

    assert (outcome.code, outcome.out) == (2, "")


# All of it


def test_every_operation_of_the_service_can_be_used_from_the_command_line(command: Command, serve: Serve) -> None:
    simulator = serve(SMALL)

    query = command("queries", "create", "A query", "SELECT Month FROM OfficeUsage", "--json").json()["queries"][0]
    query_id = query["query_id"]
    report_id = made(command("reports", "create", "--query-id", query_id, "--every", "24", "--json"))["report_id"]
    for words in (
        ("datasets",),
        ("preview", "--query-id", query_id),
        ("queries", "list"),
        ("reports", "list"),
        ("reports", "update", report_id, "--name", "Other"),
        ("reports", "pause", report_id),
        ("reports", "resume", report_id),
        ("executions", report_id),
        ("reports", "delete", "--yes", report_id),
        ("queries", "delete", "--yes", query_id),
    ):
        assert command(*words).code == 0, words

    called = {(call.method, call.path.removeprefix("/insights/v1/mpn/")) for call in simulator.calls}
    assert called >= {
        ("GET", "ScheduledDataset"),
        ("POST", "ScheduledQueries"),
        ("GET", "ScheduledQueries"),
        ("DELETE", f"ScheduledQueries/{query_id}"),
        ("GET", "ScheduledQueries/testQueryResult"),
        ("POST", "ScheduledReport"),
        ("GET", "ScheduledReport"),
        ("PUT", f"ScheduledReport/{report_id}"),
        ("PUT", f"ScheduledReport/pause/{report_id}"),
        ("PUT", f"ScheduledReport/resume/{report_id}"),
        ("DELETE", f"ScheduledReport/{report_id}"),
        ("GET", f"ScheduledReport/execution/{report_id}"),
    }
