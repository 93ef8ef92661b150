"""`queries`, `reports` and `executions`: what they show, what they delete, and what they never do."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from command_line import QUICK, SMALL, Command, Outcome, Serve, small, start_program

from bulkpull.config.settings import Settings
from bulkpull.errors import NotConnected
from bulkpull.simulator import ColumnDrift, Fault, Simulator

TEXT = "SELECT CustomerName, Month FROM OfficeUsage"
NOBODY = "00000000-0000-4000-8000-00000000dead"
SYSTEM_PROFILE = "e65f3a4f-fb99-4319-97ff-59e57566a871"


def stored(command: Command, name: str = "Customers by month", text: str = TEXT) -> str:
    outcome = command("queries", "create", name, text, "--json")
    assert outcome.code == 0, outcome.err
    return str(outcome.json()["queries"][0]["query_id"])


def ordered(simulator: Simulator, query_id: str, name: str = "Mine", **more: Any) -> str:
    """A report on the service, by way of its own desk: a one-off one unless `more` says otherwise."""
    from bulkpull.simulator.request_validation import Fields  # noqa: PLC0415 - the one helper that needs it

    body = {"ReportName": name, "QueryId": query_id, "ExecuteNow": True} | more
    return simulator.service.report_store.create(Fields(body), correlation_id="").report_id


def scheduled() -> dict[str, Any]:
    start_at = datetime.now(UTC) + timedelta(hours=10)
    return {"ExecuteNow": False, "StartTime": f"{start_at:%Y-%m-%dT%H:%M:%SZ}", "RecurrenceInterval": 24}


def narrow(outcome: Outcome) -> bool:
    return max(map(len, outcome.out.splitlines())) <= 80


@pytest.mark.parametrize(("given", "tries"), [({}, 4), ({"BULKPULL_REQUEST_ATTEMPTS": "9"}, 9)])
def test_a_person_waits_for_four_tries_of_a_call_unless_the_setting_says_otherwise(
    command: Command, serve: Serve, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], tries: int
) -> None:
    serve(SMALL)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    used: list[int] = []

    def refuse(*, settings: Settings, **others: object) -> None:
        del others
        used.append(settings.request_attempts)
        raise NotConnected("x (contoso.example): no connection")

    monkeypatch.setattr("bulkpull.insights.connect.connected", refuse)
    outcome = command("datasets")

    assert (outcome.code, used) == (1, [tries])
    assert "resume" not in outcome.err


# Queries


@pytest.mark.behaviour(74)
def test_the_users_own_queries_are_listed_and_the_services_on_demand(command: Command, serve: Serve) -> None:
    serve(SMALL)
    query_id = stored(command)

    own, every = command("queries", "list", "--json").json(), command("queries", "list", "--all", "--json").json()

    assert [query["query_id"] for query in own["queries"]] == [query_id]
    assert own["queries"][0] | {"created_at": None} == {
        "query_id": query_id,
        "name": "Customers by month",
        "description": None,
        "query": TEXT,
        "system": False,
        "created_at": None,
        "dataset": "OfficeUsage",
        "dataset_offered": True,
        "missing_columns": [],
        "left_out_columns": own["queries"][0]["left_out_columns"],
    }
    assert {query["system"] for query in every["queries"]} == {True, False}
    assert command("queries", "list", "--name", "customers BY month", "--json").json() == own


def test_a_table_of_queries_fits_80_columns(command: Command, serve: Serve) -> None:
    serve(SMALL)
    assert command("queries", "list").err == "no such queries are stored\n"
    stored(command, "A name that is so long that no table of eighty columns has room for it in one line")

    outcome = command("queries", "list")

    assert narrow(outcome)
    assert outcome.out.splitlines()[0].split() == ["query", "name", "drifted"]


@pytest.mark.behaviour(76, 77)
def test_a_system_query_that_selects_what_is_gone_is_told(command: Command, serve: Serve) -> None:
    serve(small(edition="documents", drift={"Profile": ColumnDrift(renamed={"City": "Town"}, added=("Region",))}))

    listed = command("queries", "list", "--system")
    shown = command("queries", "show", SYSTEM_PROFILE.upper(), "--json").json()["queries"]

    assert re.search(rf"{SYSTEM_PROFILE} +Profile +lacks City", listed.out)
    assert re.search(r"OfficeUsage +no", listed.out)
    assert (shown[0]["missing_columns"], "Region" in shown[0]["left_out_columns"]) == (["City"], True)
    assert "lacks City" in command("queries", "show", SYSTEM_PROFILE).out


def test_queries_of_this_tool_are_told_apart(command: Command, serve: Serve) -> None:
    serve(SMALL)
    stored(command)
    assert command("export", "Profile", "--output", "data", "--quiet").code == 0

    mine = command("queries", "list", "--mine", "--json").json()["queries"]

    assert [item["dataset"] for item in mine] == ["Profile"]
    outcome = command("queries", "list", "--mine", "--all")
    assert (outcome.code, outcome.out) == (2, "")


def test_an_id_that_nothing_has_gives_2_and_a_sentence(command: Command, serve: Serve) -> None:
    serve(SMALL)
    for words in (
        ("queries", "show"),
        ("reports", "show"),
        ("reports", "pause"),
        ("reports", "resume"),
        ("executions",),
        ("queries", "delete", "--yes"),
        ("reports", "delete", "--yes"),
    ):
        outcome = command(*words, NOBODY)
        assert (outcome.code, outcome.out) == (2, ""), words
        assert re.search(rf"there is no (query|report) {NOBODY} for this user", outcome.err), words


@pytest.mark.behaviour(71, 73)
def test_a_query_that_cannot_be_stored_is_refused_with_the_rule(command: Command, serve: Serve) -> None:
    simulator = serve(SMALL)
    outcome = command("queries", "create", "a_b", TEXT)
    assert outcome.code == 2
    assert "letters, digits and blanks are allowed" in outcome.err

    for wrong in ("SELECT CustomerNam FROM OfficeUsage", "SELECT CustomerName OfficeUsage"):
        refused = command("queries", "create", "Wrong", wrong)
        assert (refused.code, refused.out) == (2, "")
    assert not [call for call in simulator.calls if call.endpoint == "ScheduledQueries"]


@pytest.mark.behaviour(75, 98)
def test_only_named_queries_are_deleted_and_none_that_is_in_use(command: Command, serve: Serve) -> None:
    simulator = serve(SMALL)
    first, second, third = (stored(command, f"Query {number}") for number in range(3))
    report_id = ordered(simulator, second)

    assert command("queries", "delete", "--yes", SYSTEM_PROFILE).code == 2
    in_use = command("queries", "delete", "--yes", first, second)
    assert in_use.code == 2
    assert f"bulkpull reports delete {report_id}" in in_use.err
    assert {first, second, third} <= set(simulator.service.queries)

    outcome = command("queries", "delete", "--yes", first, first.upper(), NOBODY, "--json")
    assert outcome.code == 2
    assert [query["query_id"] for query in outcome.json()["queries"]] == [first]
    assert outcome.json()["not_there"] == [NOBODY]
    assert command("queries", "delete", "--yes", "--force", second).code == 0
    assert third in simulator.service.queries
    assert not {first, second} & set(simulator.service.queries)


# Reports


def test_reports_are_listed_shown_paused_and_resumed(command: Command, serve: Serve) -> None:
    simulator = serve(SMALL)
    assert command("reports", "list").err == "there are no such reports\n"
    query_id = stored(command)
    once = ordered(simulator, query_id)
    often = ordered(simulator, query_id, "Weekly", **scheduled(), RecurrenceCount=7, Format="tsv")

    listed = command("reports", "list")
    assert narrow(listed)
    assert re.search(rf"{once} +Inactive +once +Mine", listed.out)
    assert re.search(rf"{often} +Active +24 h ×7 +Weekly", listed.out)
    assert TEXT in command("reports", "show", often).out

    paused = command("reports", "pause", often, "--json").json()["reports"]
    assert [(item["report_id"], item["status"]) for item in paused] == [(often, "Paused")]
    assert "Active" in command("reports", "resume", often).out
    by_name = command("reports", "list", "--name", "weekly", "--json").json()["reports"]
    by_query = command("reports", "list", "--query-id", query_id, "--json").json()["reports"]
    assert [item["report_id"] for item in by_name] == [often]
    assert [item["report_id"] for item in by_query] == [once, often]


def test_a_report_as_json_holds_all_that_the_service_tells(command: Command, serve: Serve) -> None:
    simulator = serve(SMALL)
    query_id = stored(command)
    address = "https://hooks.contoso.example/done"
    report_id = ordered(simulator, query_id, **scheduled(), CallbackUrl=address, CallbackMethod="GET", Description="d")

    (report,) = command("reports", "show", report_id, "--json").json()["reports"]

    times = ("created_at", "start_at")
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", report.pop(name)) for name in times)
    assert report == {
        "report_id": report_id,
        "name": "Mine",
        "description": "d",
        "status": "Active",
        "query_id": query_id,
        "query": TEXT,
        "one_off": False,
        "modified_at": None,
        "recurrence_hours": 24,
        "recurrence_count": None,
        "format": "csv",
        "window": None,
        "callback_url": address,
        "callback_method": "GET",
    }


def test_only_named_reports_are_deleted(command: Command, serve: Serve) -> None:
    simulator = serve(SMALL)
    query_id = stored(command)
    first, second, third = (ordered(simulator, query_id, f"Report {number}") for number in range(3))

    assert command("reports", "delete", "--yes", first).out == f"deleted {first} Report 0\n"
    outcome = command("reports", "delete", "--yes", second, first, "--json")

    assert outcome.code == 2
    assert [report["report_id"] for report in outcome.json()["reports"]] == [second]
    assert outcome.json()["not_there"] == [first]
    assert list(simulator.service.reports) == [third]


def test_what_was_deleted_before_a_failure_is_told(command: Command, serve: Serve) -> None:
    simulator = serve(SMALL)
    query_id = stored(command)
    first, second = (ordered(simulator, query_id, f"Report {number}") for number in range(2))
    simulator.arm(Fault("http_status", endpoint="DELETE ScheduledReport", times=None, skip=1, args={"status": 403}))

    outcome = command("reports", "delete", "--yes", first, second, "--json")

    assert outcome.code == 1
    assert [report["report_id"] for report in outcome.json()["reports"]] == [first]
    assert "not allowed to delete the report" in outcome.err


@pytest.mark.case("M5")
def test_what_one_report_refuses_ends_no_other(command: Command, serve: Serve) -> None:
    simulator = serve(SMALL)
    query_id = stored(command)
    first, second, third = (ordered(simulator, query_id, f"Report {number}") for number in range(3))
    simulator.arm(
        Fault("http_status", endpoint="DELETE ScheduledReport", times=1, skip=1, args={"status": 403, "body": "html"})
    )

    outcome = command("reports", "delete", "--yes", first, second, third, NOBODY, "--json")

    reported = outcome.json()
    assert outcome.code == 1
    assert [report["report_id"] for report in reported["reports"]] == [first, third]
    assert ([item["id"] for item in reported["failed"]], reported["not_there"]) == ([second], [NOBODY])
    assert reported["deleted"] is True
    assert "1 of 4 reports were not deleted" in outcome.err
    assert second in outcome.err
    assert list(simulator.service.reports) == [second]


@pytest.mark.case("M5")
def test_nothing_deleted_is_not_told_as_deleted(command: Command, serve: Serve) -> None:
    serve(SMALL)

    outcome = command("reports", "delete", "--yes", NOBODY, "--json")

    assert (outcome.code, outcome.json()["deleted"], outcome.json()["reports"]) == (2, False, [])


@pytest.mark.case("M9")
def test_several_reports_are_paused_and_resumed_at_once(command: Command, serve: Serve) -> None:
    simulator = serve(SMALL)
    query_id = stored(command)
    ids = [ordered(simulator, query_id, f"Weekly {number}", **scheduled()) for number in range(2)]

    paused = command("reports", "pause", *ids, NOBODY, "--json")
    resumed = command("reports", "resume", *ids, "--json")

    assert (paused.code, paused.json()["not_there"]) == (2, [NOBODY])
    assert [report["status"] for report in paused.json()["reports"]] == ["Paused", "Paused"]
    assert (resumed.code, [report["status"] for report in resumed.json()["reports"]]) == (0, ["Active", "Active"])


@pytest.mark.case("M9")
@pytest.mark.parametrize("words", [("reports", "list"), ("reports", "show"), ("reports", "update")], ids=" ".join)
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_the_signature_of_a_callback_is_shown_nowhere(
    command: Command, serve: Serve, words: tuple[str, ...], form: tuple[str, ...]
) -> None:
    simulator = serve(SMALL)
    address = "https://hooks.contoso.example/done?sig=aVerySecretSignature"
    report_id = ordered(simulator, stored(command), **scheduled(), CallbackUrl=address)
    more = {"list": (), "show": (report_id,), "update": (report_id, "--name", "Other")}[words[1]]

    outcome = command(*words, *more, *form)

    assert outcome.code == 0, outcome.err
    assert "aVerySecretSignature" not in outcome.out + outcome.err
    assert simulator.service.reports[report_id].callback_url == address


@pytest.mark.case("M9")
def test_the_window_of_a_report_is_shown(command: Command, serve: Serve) -> None:
    serve(SMALL)
    days = ("--since", "2026-01-01", "--until", "2026-02-01")

    made = command("reports", "create", "--dataset", "OfficeUsage", "--now", *days, "--json").json()["reports"][0]

    assert made["window"] == {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"}
    assert "2026-01-01T00:00:00Z to 2026-02-01T00:00:00Z" in command("reports", "show", made["report_id"]).out


@pytest.mark.case("M9")
def test_a_name_is_found_whatever_blanks_are_around_it(command: Command, serve: Serve) -> None:
    simulator = serve(SMALL)
    query_id = stored(command, "  Customers ")
    simulator.service.queries[query_id].name = "  Customers "
    report_id = ordered(simulator, query_id, "Weekly")
    simulator.service.reports[report_id].name = " Weekly "

    queries = command("queries", "list", "--name", "Customers", "--json").json()["queries"]
    reports = command("reports", "list", "--name", " weekly", "--json").json()["reports"]

    assert [query["query_id"] for query in queries] == [query_id]
    assert [report["report_id"] for report in reports] == [report_id]


@pytest.mark.case("M9")
def test_no_id_is_cut_however_narrow_the_terminal(
    command: Command, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator = serve(SMALL)
    query_id = stored(command)
    report_id = ordered(simulator, query_id)
    monkeypatch.setenv("COLUMNS", "40")

    assert query_id in command("queries", "list").out
    assert report_id in command("reports", "list").out
    execution = command("executions", report_id, "--json").json()["executions"][0]["execution_id"]
    assert execution in command("executions", report_id).out


@pytest.mark.case("M7")
@pytest.mark.parametrize("name", ["bulkpull x", " Bulkpull AzureUsage 3f1c09aa5b7d", "bulkpull"])
def test_a_query_cannot_bear_the_mark_of_this_tool(command: Command, serve: Serve, name: str) -> None:
    simulator = serve(SMALL)

    outcome = command("queries", "create", name, TEXT)

    assert (outcome.code, outcome.out) == (2, "")
    assert "are reserved" in outcome.err
    assert not simulator.calls


@pytest.mark.case("M6")
@pytest.mark.parametrize(
    "text", [f"{TEXT};", f"\ufeff{TEXT}", f"{TEXT} ;  ", "select customername,month from officeusage"]
)
def test_what_was_checked_is_what_is_stored(command: Command, serve: Serve, text: str) -> None:
    simulator = serve(SMALL)

    query_id = stored(command, text=text)

    assert simulator.service.queries[query_id].text == TEXT


@pytest.mark.case("M2")
def test_where_the_reports_are_not_told_no_query_is_deleted(
    command: Command, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator = serve(SMALL)
    query_id = stored(command)
    ordered(simulator, query_id, "Weekly", **scheduled())
    from bulkpull.insights import responses  # noqa: PLC0415 - the reply is changed on its way

    read = responses.read_envelope

    def null(body: bytes, *, operation: str) -> responses.Envelope:
        return read(
            b'{"value": null, "statusCode": 200}' if operation == "list the reports" else body, operation=operation
        )

    monkeypatch.setattr("bulkpull.insights.session.read_envelope", null)

    outcome = command("queries", "delete", "--yes", query_id)

    assert (outcome.code, outcome.out) == (1, "")
    assert "does not report what exists" in outcome.err
    assert query_id in simulator.service.queries


@pytest.mark.parametrize("kind", ["queries", "reports"])
def test_without_a_terminal_nothing_is_deleted_and_nobody_is_asked(command: Command, serve: Serve, kind: str) -> None:
    simulator = serve(SMALL)
    query_id = stored(command)
    its_id = query_id if kind == "queries" else ordered(simulator, query_id)

    outcome = command(kind, "delete", its_id)

    assert (outcome.code, outcome.out) == (2, "")
    assert "there is no terminal for the question" in outcome.err
    assert "--yes" in outcome.err
    assert query_id in simulator.service.queries
    assert not [call for call in simulator.calls if call.method == "DELETE"]


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """A terminal: the end at which a person sits, and the end for the program."""
    ends = os.openpty()
    yield ends
    for end in ends:
        os.close(end)


@pytest.mark.parametrize(("answer", "code"), [("n", 130), ("y", 0)])
def test_at_a_terminal_the_user_is_asked_and_obeyed(
    command: Command, serve: Serve, terminal: tuple[int, int], answer: str, code: int
) -> None:
    simulator = serve(SMALL)
    report_id = ordered(simulator, stored(command))
    person, program = terminal
    os.write(person, f"{answer}\n".encode())

    process = start_program(
        "reports", "delete", report_id, environment=simulator.environment | QUICK, folder=Path.cwd(),
        stdin=program, stderr=program,
    )  # fmt: skip
    out, _ = process.communicate()

    reported = os.read(person, 10_000).decode()
    assert process.returncode == code
    assert f"Delete the report 'Mine' ({report_id})? [y/N]" in reported
    if answer == "y":
        assert out == f"deleted {report_id} Mine\n"
        assert not simulator.service.reports
    else:
        assert "nothing was deleted" in reported
        assert report_id in simulator.service.reports


# Executions


@pytest.mark.behaviour(102, 105, 111, 115)
def test_executions_tell_that_there_is_a_link_and_never_the_link(command: Command, serve: Serve) -> None:
    simulator = serve(SMALL)
    report_id = ordered(simulator, stored(command))

    table = command("executions", report_id)
    reported = command("executions", report_id, "--json")

    (execution,) = reported.json()["executions"]
    assert (execution["status"], execution["link_available"]) == ("Completed", True)
    moment = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    assert re.fullmatch(moment, execution["link_expires_at"])
    assert re.search(rf"{moment}; link available, expires {moment}", " ".join(table.out.split()))
    assert narrow(table)
    for written in (table.out, table.err, reported.out, reported.err):
        assert "sig=" not in written
        assert "http" not in written
    for more in (("--all",), ("--status", "completed"), ("--execution-id", execution["execution_id"])):
        assert command("executions", report_id, *more, "--json").json()["executions"][0]["status"] == "Completed"
    nothing = command("executions", report_id, "--execution-id", NOBODY)
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "no execution matches\n")
    assert command("executions", report_id, "--status", "paused", "--json").json()["executions"] == []


@pytest.mark.behaviour(178)
def test_executions_are_shown_newest_first_in_whatever_order_the_service_tells_them(
    command: Command, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    report_id = ordered(serve(SMALL), stored(command))
    from bulkpull.insights.client import InsightsClient  # noqa: PLC0415 - its answer is put in another order
    from bulkpull.model import Execution  # noqa: PLC0415

    days = {"of the 2nd": 2, "of the 4th": 4, "of the 3rd": 3}
    disordered = [
        Execution(name, report_id, "Completed", generated_at=datetime(2026, 11, day, tzinfo=UTC))
        for name, day in days.items()
    ]

    async def get_executions(*_: object, **__: object) -> list[Execution]:
        return [*disordered, Execution("now made", report_id, "Running")]

    monkeypatch.setattr(InsightsClient, "get_executions", get_executions)

    shown = [
        execution["execution_id"]
        for execution in command("executions", report_id, "--all", "--json").json()["executions"]
    ]
    assert shown == ["now made", "of the 4th", "of the 3rd", "of the 2nd"]


@pytest.mark.behaviour(105, 118)
def test_a_report_that_has_not_run_yet_is_no_failure(command: Command, serve: Serve) -> None:
    simulator = serve(SMALL)
    report_id = ordered(simulator, stored(command), **scheduled())

    outcome = command("executions", report_id)

    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err.startswith("no execution yet: the report starts at ")


@pytest.mark.behaviour(107)
def test_a_service_that_takes_one_status_at_a_time_is_asked_for_each(command: Command, serve: Serve) -> None:
    simulator = serve(small(joined_status=False))
    report_id = ordered(simulator, stored(command))

    assert [execution["status"] for execution in command("executions", report_id, "--json").json()["executions"]] == [
        "Completed"
    ]


@pytest.mark.behaviour(107)
@pytest.mark.case("M9")
def test_where_neither_joined_statuses_nor_filters_are_honoured_an_execution_is_told_once(
    command: Command, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator = serve(small(joined_status=False))
    report_id = ordered(simulator, stored(command))
    from bulkpull.simulator.request_validation import Fields  # noqa: PLC0415 - the filter is lost on its way

    text = Fields.text
    monkeypatch.setattr(
        Fields, "text", lambda self, name: "Completed" if name == "executionStatus" else text(self, name)
    )

    assert len(command("executions", report_id, "--json").json()["executions"]) == 1


@pytest.mark.behaviour(23)
@pytest.mark.parametrize("form", ["console", "json"])
def test_withheld_data_is_told_with_what_to_do_about_it(command: Command, serve: Serve, form: str) -> None:
    serve(small(role="viewer"))
    for words in (("datasets",), ("preview", "Profile"), ("queries", "list", "--system"), ("reports", "list")):
        outcome = command(*words, "--log-format", form)
        assert outcome.code == 0
        assert "give the user the role Executive report viewer" in outcome.err
