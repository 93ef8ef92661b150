"""A custom export is described in a file, in options or in Python, and what is wrong is told with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bulkpull
from bulkpull.catalog import load_catalog
from bulkpull.config.settings import Settings
from bulkpull.custom_query import Selection, derived_name
from bulkpull.errors import QueryError, SettingsError
from bulkpull.query import Direction, Literal, Name, Operator

WHOLE = """
[[queries]]
name = "big-azure"
dataset = "AzureUsage"
select = ["SubscriptionId", "Month", "ACR_USD"]
where = "ACR_USD > 20000"
order_by = "Month ASC"
limit = 100
timespan = "last_month"
distinct = true

[[queries]]
name = "profiles"
query = "SELECT MpnId FROM Profile"

[[queries]]
name = "system"
system_query = "d1a4d75e-5ca8-4847-845f-ee0a9be6f07b"
"""


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BULKPULL_QUERIES", raising=False)


def load(text: str) -> tuple[Selection, ...]:
    Path("my.toml").write_text(text, encoding="utf-8")
    return Settings.load(Path("my.toml")).queries


def refused(text: str) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load(text)
    return caught.value


def test_the_settings_file_names_queries_in_three_ways() -> None:
    of_dataset, of_text, of_system = load(WHOLE)

    statement = of_dataset.statement()
    assert statement is not None
    assert statement.names == (Name("SubscriptionId"), Name("Month"), Name("ACR_USD"))
    assert statement.conditions[0].operator is Operator.GREATER
    assert statement.conditions[0].values == (Literal("20000", quoted=False),)
    assert statement.orderings[0].direction is Direction.ASCENDING
    assert (statement.limit, statement.distinct, statement.timespan) == (100, True, Name("LAST_MONTH"))
    assert of_text.query == "SELECT MpnId FROM Profile"
    assert of_system.statement() is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name = 'x'", "give one of `dataset`, `query` and `system_query`; it has none of them"),
        ("name = 'x'\ndataset = 'a'\nquery = 'b'", "it has dataset and query"),
        ("name = 'x'\nquery = 'SELECT a FROM b'\nlimit = 3", "`limit` goes only with `dataset`"),
        ("name = 'x'\nquery = 'SELECT a FROM b'\nkeep = 'append'", "`keep` goes only with `dataset`"),
        ("name = 'x'\ndataset = 'a'\nlimit = 0", "`limit` is not valid"),
        ("name = 'x'\ndataset = 'a'\nlimit = '3'", "`limit` is not valid"),
        ("name = 'x'\ndataset = 'a'\nselct = 'b'", "unknown key `selct`; did you mean `select`?"),
        (
            "nam = 'x'\ndataset = 'a'",
            "it is published; unknown key `nam` (did you mean `name`?); allowed are:",
        ),
        ("name = 'x'\ndataset = 'a'\ntimespan = 'last month'", "`timespan` is not valid: write it as the service does"),
        ("name = 'x'\ndataset = 'a'\ntimespan = 'Widest'", "`timespan` is not valid: name one span, such as"),
        (
            "name = 'x'\ndataset = 'a'\nselct = 'b'\nwher = 'c'\nlimit = 0",
            "3 things are wrong: `limit` is not valid",
        ),
        ("name = 'x'\ndataset = ''", "`dataset` is not valid: is empty"),
        ("dataset = 'a'", "`name` is missing"),
        ("name = '../x'\ndataset = 'a'", "`name` is not valid: begin with a letter"),
        ("name = 'azureusage'\ndataset = 'a'", "the dataset AzureUsage, whose snapshots it would replace"),
        ("name = 'Profil'\ndataset = 'a'", "the dataset Profile, whose snapshots it would replace"),
    ],
)
def test_what_is_wrong_is_told_with_file_entry_and_key(text: str, expected: str) -> None:
    error = refused(f"[[queries]]\nname = 'first'\ndataset = 'AzureUsage'\n[[queries]]\n{text}\n")

    assert error.reason.startswith("settings file my.toml: [[queries]] entry 2")
    assert expected in error.reason
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("key", "part", "place"),
    [
        ("select", "Month, FROM", "FROM"),
        ("where", "Month = 1 OR Month = 2", "OR"),
        ("order_by", "Month DSC", "DSC"),
    ],
)
def test_a_part_that_cannot_be_read_is_pointed_at_before_any_call(key: str, part: str, place: str) -> None:
    error = refused(f"[[queries]]\nname = 'x'\ndataset = 'AzureUsage'\n{key} = '{part}'\n")

    assert isinstance(error, QueryError)
    assert error.reason.startswith(f"settings file my.toml: [[queries]] entry 1 (x): `{key}`: ")
    assert error.text[error.at :].startswith(place)


@pytest.mark.parametrize("text", ["queries = 3", "queries = ['SELECT a FROM b']", "queries = '[]'", "queries = '['"])
def test_what_is_no_table_is_refused(text: str) -> None:
    assert "write each query as [[queries]]" in refused(text).reason


def test_two_queries_of_one_name_are_refused() -> None:
    entry = "[[queries]]\nname = '{}'\ndataset = 'AzureUsage'\n"

    assert "entry 2 (Big): `name` is taken" in refused(entry.format("big") + entry.format("Big")).reason


def test_the_environment_names_queries_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKPULL_QUERIES", json.dumps([{"name": "x", "dataset": "AzureUsage"}]))
    assert Settings().queries == (Selection(name="x", dataset="AzureUsage"),)

    for text in ("[{]", "[" * 20_000):
        monkeypatch.setenv("BULKPULL_QUERIES", text)
        with pytest.raises(SettingsError, match="environment variable BULKPULL_QUERIES: `queries` is not valid JSON"):
            Settings()


def test_settings_pointed_at_a_simulator_keep_their_queries() -> None:
    queries = load(WHOLE)

    assert Settings(queries=queries).for_simulator({}).queries == queries


def test_a_selection_from_python_is_checked_as_one_from_a_file() -> None:
    assert bulkpull.Selection(name="x", dataset="AzureUsage", select=("Month", "SubscriptionId")).select == (
        "Month, SubscriptionId"
    )
    with pytest.raises(QueryError, match="`where`"):
        bulkpull.Selection(name="x", dataset="AzureUsage", where="Month")


@pytest.mark.parametrize("entry", load_catalog().datasets, ids=lambda dataset: dataset.name)
def test_no_selection_bears_a_datasets_name(entry: object) -> None:
    for name in (entry.name, *entry.aliases):  # type: ignore[attr-defined]
        with pytest.raises(SettingsError):
            Selection(name=name, dataset="AzureUsage")


@given(st.sampled_from(["Month", "Month, SubscriptionId"]), st.sampled_from([None, "Month = '2026-11-01'"]))
def test_the_key_of_a_selection_gives_it_back(select: str, where: str | None) -> None:
    selection = Selection(name="x", dataset="AzureUsage", select=select, where=where)

    assert Selection(**json.loads(json.dumps(selection.as_key()))) == selection


def test_a_derived_name_tells_the_dataset_and_is_another_for_another_selection() -> None:
    names = {
        derived_name("azureusage", select="Month"),
        derived_name("AzureUsage", select="Month, SubscriptionId"),
        derived_name("AzureUsage", select="Month", where="Month = 'A'"),
        derived_name("AzureUsage", select="Month", where="Month = 'a'"),
        derived_name("AzureUsage", select="Month", limit=3),
    }

    assert len(names) == 5
    assert all(name.startswith("AzureUsage-selection-") for name in names)
    assert derived_name("AzureUsage", select=" month") == derived_name("AZUREUSAGE", select="Month")
    for name in names:
        assert Selection(name=name, dataset="AzureUsage").name == name
