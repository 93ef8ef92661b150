"""SQL over an output folder: views, answers in four formats, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from typer.testing import CliRunner, Result

import bulkpull
from bulkpull.cli import app
from bulkpull.errors import BulkpullError
from bulkpull.extras import install_command
from bulkpull.output.cleanup import clean_up, readme, write_views
from bulkpull.output.current import Current, CurrentSnapshot
from bulkpull.output.store import LocalStore
from bulkpull.output.views import MARK, script_of, views_of

RUN = "20261123T020000Z-abcdef"
NOW = datetime(2026, 11, 24, tzinfo=UTC)
AWKWARD = "a[b] *?'é"


def publish(output: Path, **datasets: dict[str, list[Any]]) -> Current:
    """A folder with one snapshot a dataset, in two files."""
    current = Current()
    for name, columns in datasets.items():
        files = []
        for part in range(2):
            path = f"datasets/{name}/run={RUN}/part-{part}.parquet"
            (output / path).parent.mkdir(parents=True, exist_ok=True)
            frame = pl.DataFrame(columns)
            frame.slice(part * (frame.height // 2), frame.height // 2).write_parquet(output / path)
            files.append(path)
        current.datasets[name] = CurrentSnapshot(run_id=RUN, rows=0, files=files)
    current.save(LocalStore(output))
    return current


@pytest.fixture
def output(tmp_path: Path) -> Path:
    folder = tmp_path / AWKWARD
    folder.mkdir()
    (tmp_path / "ab").mkdir()  # what a pattern would find
    publish(folder, Profile={"MPNId": ["007", "008"], "Rows": [1, None]}, AzureUsage={"MPNId": ["1", "2"]})
    return folder


def run(output: Path, query: str, *options: str) -> Result:
    return CliRunner().invoke(app, ["sql", query, "--output", str(output), *options])


def test_every_dataset_is_a_view_with_its_own_columns(output: Path) -> None:
    with bulkpull.connect_sql(output) as connection:
        rows = connection.sql('SELECT * FROM "Profile" ORDER BY MPNId').fetchall()
        names = connection.sql("SHOW TABLES").fetchall()

    assert rows == [("007", 1), ("008", None)]
    assert names == [("AzureUsage",), ("Profile",)]


def test_the_folders_own_script_makes_the_same_views(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    current = Current.load(LocalStore(output))
    write_views(LocalStore(output), current=current)
    monkeypatch.chdir(output)

    with duckdb.connect() as connection:
        connection.execute((output / "views.sql").read_text(encoding="utf-8"))
        assert connection.sql("SELECT count(*) FROM profile").fetchall() == [(2,)]

    assert str(output) not in (output / "views.sql").read_text(encoding="utf-8")


def test_the_files_of_current_json_have_no_column_more_than_latest_where_paths_are_no_partitions(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the folder's README and the guide on reading say."""
    monkeypatch.chdir(output)
    files = Current.load(LocalStore(Path())).datasets["Profile"].files

    def columns(options: str = "") -> list[str]:
        found = duckdb.sql(f"SELECT * FROM read_parquet({files}{options})")  # noqa: S608 - paths of this test
        assert found is not None
        return found.columns

    plain, guessed = columns(", hive_partitioning = false"), columns()

    assert plain == ["MPNId", "Rows"] == pl.scan_parquet(files, hive_partitioning=False).collect_schema().names()
    assert set(guessed) - set(plain) == {"run"}
    assert "hive_partitioning = false" in readme(has_links=True)


def test_a_name_with_quotes_is_one_name() -> None:
    snapshot = CurrentSnapshot(run_id=RUN, rows=0, files=["datasets/o'x/[1]*.parquet"])

    (statement,) = views_of({'big "x"': snapshot})

    assert '"big ""x"""' in statement
    assert "'datasets/o''x/[[]1][*].parquet'" in statement


def test_publishing_writes_the_script_and_a_stranger_keeps_theirs(output: Path) -> None:
    current = Current.load(LocalStore(output))
    script = output / "views.sql"
    clean_up(LocalStore(output), [], current=current, retain=1, now=NOW)
    assert script.read_text(encoding="utf-8") == script_of(current.datasets)
    assert script.read_text(encoding="utf-8").startswith(MARK)

    script.write_text("SELECT 1; -- my own", encoding="utf-8")
    clean_up(LocalStore(output), [], current=current, retain=1, now=NOW)
    assert script.read_text(encoding="utf-8") == "SELECT 1; -- my own"


def test_a_script_that_cannot_be_written_fails_no_run(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bulkpull.output.cleanup.write_views", refuse)

    undone = clean_up(LocalStore(output), [], current=Current.load(LocalStore(output)), retain=1, now=NOW)

    assert [item.step for item in undone] == ["views"]


@pytest.mark.parametrize(
    "query",
    ["SELECT * FROM Profile ORDER BY MPNId -- all\n; -- é\n", "WITH a AS (FROM Profile) SELECT * FROM a ORDER BY 1"],
)
def test_an_answer_keeps_zeros_and_nulls_in_every_format(query: str, output: Path, tmp_path: Path) -> None:
    assert "007" in run(output, query).stdout
    assert run(output, query, "--format", "csv").stdout == "MPNId,Rows\n007,1\n008,\n"
    assert json.loads(run(output, query, "--format", "json").stdout) == [
        {"MPNId": "007", "Rows": 1},
        {"MPNId": "008", "Rows": None},
    ]
    target = tmp_path / "it's.parquet"
    assert run(output, query, "--format", "parquet", "--to", str(target)).exit_code == 0
    assert pl.read_parquet(target).rows() == [("007", 1), ("008", None)]


def test_show_tables_can_be_written_too_and_names_nothing_else(output: Path) -> None:
    assert run(output, "SHOW TABLES", "--format", "csv").stdout == "name\nAzureUsage\nProfile\n"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELEC 1", "syntax error at or near"),
        (
            "SELECT * FROM Nowhere",
            "does not exist! fix: correct the query; published in this folder: AzureUsage, Profile",
        ),
        ("SELECT 1; SELECT 2", "one query is taken, and 2 were given"),
        ("", "one query is taken, and 0 were given"),
        ("COPY Profile TO 'x.csv'", "this statement is not a query: COPY"),
        ("DROP VIEW Profile", "this statement is not a query: DROP"),
        ("ATTACH ':memory:' AS x", "this statement is not a query: ATTACH"),
    ],
)
@pytest.mark.parametrize("form", ["table", "csv"])
def test_what_does_not_read_is_refused_in_a_sentence(query: str, words: str, form: str, output: Path) -> None:
    done = run(output, query, "--format", form)

    assert done.exit_code == 2
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not Path("x.csv").exists()


def test_a_folder_without_data_and_a_damaged_snapshot_are_told(output: Path, tmp_path: Path) -> None:
    assert f"there is no folder {tmp_path / 'none'}" in run(tmp_path / "none", "SELECT 1").stderr
    (tmp_path / "empty").mkdir()
    assert (
        f"nothing is published in {tmp_path / 'empty'} yet: no run has written to it"
        in run(tmp_path / "empty", "SELECT 1").stderr
    )
    next((output / "datasets" / "Profile").rglob("*.parquet")).unlink()

    with pytest.raises(BulkpullError, match=r"the snapshot of Profile .* is no longer complete"):
        bulkpull.connect_sql(output)


def test_without_duckdb_the_command_and_the_function_say_how_to_install_it_here(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "duckdb", None)

    done = run(output, "SELECT 1")

    assert done.exit_code == 2
    assert '-m pip install "duckdb>=1.4"' in " ".join(done.stderr.split())
    with pytest.raises(BulkpullError) as raised:
        bulkpull.connect_sql(output)
    assert install_command("sql") in " ".join(str(raised.value).split())
