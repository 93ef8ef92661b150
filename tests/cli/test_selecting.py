"""`bulkpull export` of a part of a dataset, and of queries that the settings file names."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Command, Serve, small

AZURE = small(datasets=("AzureUsage", "Profile"))
QUERIES = """
[[queries]]
name = "days"
dataset = "AzureUsage"
select = "Month, SubscriptionId"
where = "UsageQuantity > 5"

[[queries]]
name = "cities"
query = "SELECT DISTINCT City FROM Profile ORDER BY City"
"""


def test_a_part_of_a_dataset_is_published_under_its_own_name(command: Command, serve: Serve) -> None:
    serve(AZURE)
    outcome = command(
        "export", "azureusage", "--select", "Month, ACR_USD", "--where", "ACR_USD > 20000",
        "--order-by", "Month asc", "--limit", "3", "--output", "data", "--json",
    )  # fmt: skip
    (record,) = outcome.json()["datasets"]

    assert outcome.code == 0
    assert record["dataset"].startswith("AzureUsage-selection-")
    assert record["source"] == "AzureUsage"
    assert record["query"] == (
        "SELECT Month, ACR_USD FROM AzureUsage WHERE ACR_USD > 20000 ORDER BY Month ASC LIMIT 3 TIMESPAN LAST_6_MONTHS"
    )
    assert [path.name for path in Path("data/latest").iterdir()] == [record["dataset"]]


def test_a_name_of_ones_own_is_taken(command: Command, serve: Serve) -> None:
    serve(AZURE)
    outcome = command("export", "Profile", "--distinct", "--as", "profiles", "--output", "data")

    assert outcome.code == 0
    assert Path("data/latest/profiles").exists()
    assert "DISTINCT drops rows that are alike" in outcome.err


def test_a_slip_is_pointed_at_and_leaves_no_trace(command: Command, serve: Serve) -> None:
    simulator = serve(AZURE)
    outcome = command("export", "AzureUsage", "--select", "Month, ACR_UDS", "--output", "data")

    assert outcome.code == 2
    assert outcome.err.splitlines()[-4:] == [
        "error: AzureUsage has no column ACR_UDS",
        "       SELECT Month, ACR_UDS FROM AzureUsage TIMESPAN LAST_6_MONTHS",
        "                     ^^^^^^^",
        "fix:   did you mean ACR_USD?",
    ]
    assert simulator.service.query_store.created.total() == 0
    assert not Path("data").exists()


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--select", "Month, ACR_UDS", "did you mean ACR_USD?"),
        ("--where", "UsageQuantity > 'many'", "the column holds numbers"),
        ("--timespan", "LAST_7_DAYS", "AzureUsage has no time span LAST_7_DAYS"),
    ],
)
def test_without_credentials_a_slip_that_the_documents_tell_is_the_better_message(
    command: Command, option: str, value: str, expected: str
) -> None:
    outcome = command("export", "AzureUsage", "--as", "mine", option, value)
    unaffected = command("export", "AzureUsage", "--select", "Month, ACR_USD")

    assert (outcome.code, unaffected.code) == (2, 4)
    assert expected in outcome.err


def test_a_broken_condition_is_refused_without_any_call(command: Command, serve: Serve) -> None:
    simulator = serve(AZURE)
    outcome = command("export", "AzureUsage", "--where", "Month = '2026-11-01' OR Month = '2026-10-01'")

    assert outcome.code == 2
    assert outcome.err.splitlines()[1:3] == [
        "       Month = '2026-11-01' OR Month = '2026-10-01'",
        "                            ^^",
    ]
    assert simulator.calls == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--select", "Month"), "--select applies to one dataset, and none is named"),
        (("AzureUsage", "Profile", "--limit", "3"), "--limit applies to one dataset, and 2 are named"),
        (("AzureUsage", "--all", "--distinct"), "--distinct applies to one dataset, and all are requested"),
        (("AzureUsage", "days", "--all"), "all datasets are requested, and AzureUsage, days by name"),
        (("AzureUsage", "--limit", "3", "--as", "Profil"), "that is the dataset Profile"),
        (("AzureUsage", "--as", "a/b"), "--as is not valid"),
        (("days", "--limit", "3"), "--limit applies to a dataset, and days is a query of the settings"),
        (("AzureUsage", "--limit", "3", "--as", "DAYS"), "--as DAYS is the name of a query of the settings"),
    ],
)
def test_options_that_shape_nothing_are_wrong_usage(
    command: Command, arguments: tuple[str, ...], expected: str
) -> None:
    Path("bulkpull.toml").write_text(QUERIES, encoding="utf-8")
    outcome = command("export", *arguments)

    assert outcome.code == 2
    assert expected in outcome.err


def test_queries_of_the_settings_file_come_with_the_usual_export_and_alone(command: Command, serve: Serve) -> None:
    serve(AZURE)
    Path("bulkpull.toml").write_text(QUERIES, encoding="utf-8")
    usual = command("export", "--output", "data", "--json").json()
    alone = command("export", "Cities", "--output", "data", "--json").json()

    complete = [record["dataset"] for record in usual["datasets"] if record["status"] == "complete"]
    assert complete == ["AzureUsage", "Profile", "days", "cities"]
    assert [record["dataset"] for record in alone["datasets"]] == ["cities"]


def test_the_plan_shows_each_query_and_what_may_surprise(command: Command, serve: Serve) -> None:
    serve(AZURE)
    Path("bulkpull.toml").write_text(QUERIES, encoding="utf-8")
    outcome = command("export", "Profile", "days", "cities", "--plan")
    rows = {
        row["dataset"]: row for row in command("export", "Profile", "days", "cities", "--plan", "--json").json()["plan"]
    }

    assert "cities: SELECT DISTINCT City FROM Profile ORDER BY City\n" in outcome.out
    assert "note:  cities: ORDER BY City sorts descending" in outcome.err
    assert (rows["Profile"]["source"], rows["days"]["source"]) == (None, "AzureUsage")
    assert rows["days"]["query"].endswith("WHERE UsageQuantity > 5 TIMESPAN LAST_6_MONTHS")
    assert len(rows["cities"]["notes"]) == 2


def test_a_misspelled_query_is_refused_with_the_nearest(command: Command) -> None:
    Path("bulkpull.toml").write_text(QUERIES, encoding="utf-8")
    outcome = command("export", "citties")

    assert outcome.code == 2
    assert "did you mean cities?" in outcome.err


def test_a_query_of_the_file_that_cannot_be_read_is_told_with_its_place(command: Command) -> None:
    Path("bulkpull.toml").write_text(QUERIES.replace("DISTINCT City FROM", "DISTINCT City FORM"), encoding="utf-8")
    outcome = command("export")

    assert outcome.code == 2
    assert "settings file bulkpull.toml: [[queries]] entry 2 (cities): `query`: " in outcome.err
    assert "did you mean FROM?" in outcome.err
