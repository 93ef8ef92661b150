"""`datasets`, `preview` and `runs list`: what they show, and that they change nothing."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from command_line import OFFERED, SMALL, Command, Serve, small

import bulkpull
from bulkpull.catalog import load_catalog
from bulkpull.cli.preview import columns_that_fit
from bulkpull.output.ledger import opened_ledger
from bulkpull.simulator import Fault

TWENTY = [dataset.name for dataset in load_catalog().standard]


def test_the_offer_is_a_table_of_what_the_service_lists(command: Command, serve: Serve) -> None:
    serve(SMALL)
    outcome = command("datasets")
    assert outcome.code == 0
    listed = {line.split()[0] for line in outcome.out.splitlines() if not line.startswith(" ")}
    assert listed == {"dataset", *OFFERED}
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert "not offered to this account" in outcome.err


@pytest.mark.behaviour(27)
def test_the_offer_as_json_tells_what_of_the_twenty_is_missing(command: Command, serve: Serve) -> None:
    serve(SMALL)
    offer = command("datasets", "--json").json()
    offered = [record["dataset"] for record in offer["datasets"]]
    assert sorted(offered + offer["not_offered"]) == sorted(TWENTY)
    office = next(record for record in offer["datasets"] if record["dataset"] == "OfficeUsage")
    assert "LAST_6_MONTHS" in office["date_ranges"]
    assert {column["declared"] for column in office["columns"]} - {None}
    assert office["of_the_twenty"] is True


def test_one_dataset_is_found_in_any_case_and_shown_with_its_columns(command: Command, serve: Serve) -> None:
    serve(SMALL)
    outcome = command("datasets", "officeusage")
    assert outcome.code == 0
    assert "OfficeUsage" in outcome.out
    assert "date ranges" in outcome.out
    assert "identifier" in outcome.out


@pytest.mark.behaviour(76, 77)
def test_a_dataset_is_shown_with_the_services_own_query_and_what_is_out_of_date_in_it(
    command: Command, serve: Serve
) -> None:
    serve(small(edition="documents", datasets=("DynamicsUsage", "OfficeUsage", "ResellerPerformance")))

    drifted = command("datasets", "DynamicsUsage")
    (office,) = command("datasets", "OfficeUsage", "--json").json()["datasets"]
    (reseller,) = command("datasets", "ResellerPerformance", "--json").json()["datasets"]

    assert "out of date: selects PartnerLocationID" in " ".join(drifted.out.split())
    assert "SELECT SubscriptionId,SubscriptionStartDate," in drifted.out
    assert (office["system_query"]["missing_columns"], office["system_query"]["system"]) == ([], True)
    assert reseller["system_query"]["query"].startswith("SELECT ")


def test_a_role_that_may_not_see_queries_still_sees_datasets(command: Command, serve: Serve) -> None:
    serve(small(faults=(Fault("http_status", endpoint="ScheduledQueries", times=None, args={"status": 403}),)))

    (profile,) = command("datasets", "Profile", "--json").json()["datasets"]

    assert profile["system_query"] is None


@pytest.mark.behaviour(147)
@pytest.mark.parametrize(
    ("dataset", "flag"),
    [("OfficeUsage", "IsDuplicateRowForPGA"), ("AzureUsage", "IsACRDuplicateAtPGALevel"), ("Profile", None)],
)
def test_how_to_sum_rows_that_are_repeated_is_told(
    command: Command, serve: Serve, dataset: str, flag: str | None
) -> None:
    serve(small(datasets=(dataset,)))

    reported = " ".join(command("datasets", dataset).out.split())

    assert command("datasets", dataset, "--json").json()["datasets"][0]["duplicate_flag"] == flag
    assert ("duplicates" in reported) is (flag is not None)
    assert flag is None or f"sum only rows whose {flag} is 0" in reported


def test_a_dataset_that_nobody_knows_gives_2_and_one_that_is_not_offered_says_so(
    command: Command, serve: Serve
) -> None:
    serve(SMALL)
    assert command("datasets", "OficeUsage").code == 2
    for name in ("datasets", "preview"):
        outcome = command(name, "EMSUsage")
        assert (outcome.code, outcome.out) == (3, "")
        assert "not offered to this account" in outcome.err


@pytest.mark.parametrize("name", ["datasets", "preview"])
def test_without_credentials_a_misspelled_name_is_the_better_message(command: Command, name: str) -> None:
    assert command(name, "AzurUsage").code == 2
    assert command(name, "AzureUsage").code == 4


@pytest.mark.behaviour(78)
def test_a_preview_shows_up_to_100_rows_and_creates_nothing(command: Command, serve: Serve) -> None:
    simulator = serve(small(rows=600))
    preview = command("preview", "OfficeUsage", "--json").json()
    assert preview["dataset"] == "OfficeUsage"
    assert len(preview["rows"]) == 100
    assert next(iter(preview["rows"][0])) in preview["query"]
    assert {call.method for call in simulator.calls if call.endpoint != "token"} == {"GET"}


@pytest.mark.behaviour(78)
def test_a_query_is_previewed_by_its_text_or_its_id_and_over_days(command: Command, serve: Serve) -> None:
    simulator = serve(small(rows=600))
    text = "SELECT Month FROM OfficeUsage"
    stored = command("queries", "create", "Months", text, "--json").json()["queries"][0]["query_id"]

    by_text = command("preview", "--query", text, "--json").json()
    by_id = command("preview", "--query-id", stored, "--json").json()
    days = command("preview", "OfficeUsage", "--since", "2026-01-01", "--until", "2026-02-01", "--json")

    assert (by_text["rows"], by_text["dataset"], by_text["query_id"]) == (by_id["rows"], "OfficeUsage", None)
    assert (by_id["query_id"], by_id["query"], by_id["dataset"]) == (stored, text, "OfficeUsage")
    assert len(by_text["rows"]) == 100
    assert days.code == 0
    params = [call.params for call in simulator.calls if call.endpoint == "testQueryResult"][-1]
    assert (params["startTime"], params["endTime"]) == ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z")


@pytest.mark.behaviour(59, 60, 62)
def test_a_query_of_the_settings_is_previewed_by_its_name(command: Command, serve: Serve) -> None:
    serve(SMALL)
    Path("bulkpull.toml").write_text(
        '[[queries]]\nname = "some"\nquery = "SELECT City FROM Profile ORDER BY City LIMIT 3"\n', encoding="utf-8"
    )
    outcome = command("preview", "SOME", "--json")

    assert outcome.json()["dataset"] == "some"
    assert [list(row) for row in outcome.json()["rows"]] == [["City"]] * 3
    assert "sorts descending" in outcome.err


@pytest.mark.parametrize(
    ("words", "rule", "code"),
    [
        (("--query", "SELECT Mont FROM OfficeUsage"), "did you mean Month?", 2),
        (("--query", "SELECT Month FROM OficeUsage"), "did you mean OfficeUsage?", 2),
        (("--query", "SELECT Month FROM OfficeUsage TIMESPAN TODAY"), "TODAY", 2),
        (("--query-id", "nothing"), "there is no query nothing", 2),
        ((), "nothing to preview is named", 2),
        (("OfficeUsage", "--since", "yesterday"), "'yesterday' is not a date such as 2026-01-31", 2),
        (("OfficeUsage", "--query", "SELECT Month FROM OfficeUsage"), "only one of them can be previewed", 2),
        (("--timespan", "LIFETIME", "--query", "SELECT Month FROM OfficeUsage"), "goes with a DATASET", 2),
        (("OfficeUsage", "--timespan", "LIFETIME", "--since", "2026-01-01"), "goes with a DATASET", 2),
        (("OfficeUsage", "--since", "2026-02-01", "--until", "2026-01-01"), "before it begins", 2),
    ],
)
def test_a_preview_of_nothing_that_is_there_is_refused_before_it_is_sent(
    command: Command, serve: Serve, words: tuple[str, ...], rule: str, code: int
) -> None:
    simulator = serve(SMALL)

    outcome = command("preview", *words)

    assert (outcome.code, outcome.out) == (code, "")
    assert rule in outcome.err
    assert not [call for call in simulator.calls if call.endpoint == "testQueryResult"]


@pytest.mark.behaviour(69)
def test_a_query_too_long_for_an_address_is_previewed_by_one_that_is_stored(command: Command, serve: Serve) -> None:
    simulator = serve(small(edition="documents", datasets=("CLASAzurePropensity",), longest_address=2_000))

    outcome = command("preview", "CLASAzurePropensity", "--json")

    assert outcome.code == 0
    assert outcome.json()["query_id"] in simulator.service.queries
    assert "the service's own query" in outcome.err
    for query in list(simulator.service.queries):
        del simulator.service.queries[query]
    refused = command("preview", "CLASAzurePropensity")
    assert (refused.code, refused.out) == (2, "")
    assert "--query-id" in refused.err


@pytest.mark.behaviour(23)
def test_a_preview_tells_that_data_is_withheld(command: Command, serve: Serve) -> None:
    serve(small(role="viewer"))

    outcome = command("preview", "Profile", "--json")

    assert outcome.json()["data_redacted"] is True
    assert "Executive report viewer" in outcome.err


def test_a_preview_fits_the_terminal_and_says_what_did_not(command: Command, serve: Serve) -> None:
    serve(SMALL)
    outcome = command("preview", "OfficeUsage")
    assert outcome.code == 0
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert "did not fit" in outcome.err


def test_a_column_that_is_alone_too_wide_is_shown_all_the_same() -> None:
    assert columns_that_fit(["a", "b"], [{"a": "x" * 50, "b": "y"}], width=10) == ["a"]
    assert columns_that_fit(["a", "b"], [{"a": "x", "b": "y"}], width=10) == ["a", "b"]


@pytest.mark.behaviour(79)
def test_a_preview_that_takes_too_long_is_no_failure(command: Command, serve: Serve) -> None:
    too_slow = Fault("http_status", endpoint="testQueryResult", times=None, args={"status": 504})
    serve(small(faults=(too_slow,)))
    outcome = command("preview", "Profile")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err.startswith("no preview")
    assert command("preview", "Profile", "--json").json()["rows"] is None


@pytest.mark.parametrize("arguments", [("runs", "list"), ("runs", "show"), ("status",)], ids=" ".join)
def test_a_folder_that_does_not_exist_is_wrong_usage_and_looking_makes_none(
    command: Command, arguments: tuple[str, ...]
) -> None:
    outcome = command(*arguments, "--output", "data")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error: there is no folder {Path('data').absolute()}\nfix:   check the name")
    assert command(*arguments, "--output", "data", "--json").json()["exit"] == 2
    assert not Path("data").exists()


def test_an_output_whose_ledger_knows_no_run_has_an_empty_list(command: Command) -> None:
    (Path("data") / ".bulkpull").mkdir(parents=True)
    outcome = command("runs", "list", "--output", "data")
    assert (outcome.code, outcome.err) == (0, f"there are no runs in {Path('data').absolute()}\n")
    assert command("runs", "list", "--output", "data", "--json").json()["runs"] == []


@pytest.mark.case("O5")
def test_the_list_of_runs_is_bounded_and_says_how_to_see_all(command: Command, tmp_path: Path) -> None:
    (tmp_path / ".bulkpull").mkdir()

    async def fill() -> None:
        async with opened_ledger(tmp_path / ".bulkpull") as ledger:
            for number in range(25):
                run_id = f"20261123T0200{number:02}Z-abcdef"
                await ledger.begin_run(run_id, request={}, at=datetime(2026, 11, 23, 2, 0, number, tzinfo=UTC))

    anyio.run(fill)

    shown = command("runs", "list", "--output", str(tmp_path))
    assert len(shown.out.splitlines()) == 1 + 20
    assert "20261123T020024Z" in shown.out.splitlines()[1]
    assert "the newest 20 of 25 runs; --all shows every one" in shown.err
    assert len(command("runs", "list", "--output", str(tmp_path), "--all").out.splitlines()) == 1 + 25
    assert len(command("runs", "list", "--output", str(tmp_path), "--json").json()["runs"]) == 25


def test_runs_are_listed_newest_first_with_their_outcome(command: Command, serve: Serve) -> None:
    serve(small(faults=(Fault("execution_fails", dataset="OfficeUsage", times=None),)))
    first = command("export", "Profile", "--output", "data", "--json").json()["run_id"]
    second = command("export", "OfficeUsage", "--output", "data", "--json").json()["run_id"]
    runs = command("runs", "list", "--output", "data", "--json").json()["runs"]
    assert [(run["run_id"], run["status"]) for run in runs] == [(second, "failed"), (first, "complete")]
    table = command("runs", "list", "--output", "data")
    assert table.out.index(second) < table.out.index(first)
    assert max(map(len, table.out.splitlines())) <= 80


READERS = (
    "status",
    "status --max-age 36h",
    "runs list",
    "runs show",
    "runs show 2026",
    "runs show --log",
    "runs show --bundle",
    "runs resume",
    "runs publish 2026",
    "runs look",
    "runs verify",
    "runs verify 2026",
    "runs forget Profile",
    'sql "SHOW TABLES"',
    "reports delete --unused",
)


@pytest.mark.parametrize("words", READERS)
@pytest.mark.parametrize("kind", ["absent", "empty", "foreign"])
def test_every_command_describes_a_folder_without_an_export_in_the_same_words(
    command: Command, serve: Serve, words: str, kind: str
) -> None:
    serve(SMALL)
    folder = Path("data").absolute()
    if kind != "absent":
        folder.mkdir()
    if kind == "foreign":
        (folder / "notes.txt").touch()
    outcome = command(*shlex.split(words), "--output", "data")

    sentence = {
        "absent": f"there is no folder {folder}",
        "empty": f"nothing is published in {folder} yet: no run has written to it",
        "foreign": f"nothing is published in {folder} yet: no run has written to it",
    }[kind]
    assert sentence in outcome.out + outcome.err
    if outcome.code == 2:
        assert "fix:   check the name given by --output" in outcome.err
    for read in (lambda: bulkpull.scan("data", "Profile"), lambda: bulkpull.sync.status("data")):
        with pytest.raises(bulkpull.SettingsError, match=sentence):
            read()
