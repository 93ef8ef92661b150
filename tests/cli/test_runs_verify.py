"""`runs verify`: what is published, held against what was written down of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import polars as pl
import pytest
from command_line import SMALL, Command, Serve
from published import NOW, files_under, publish, run_id_of, write_manifest

from bulkpull.output.atomic_files import json_text, replace_symlink, write_atomically
from bulkpull.output.current import Current
from bulkpull.output.ledger import opened_ledger
from bulkpull.output.ledger_facts import PublicationFacts
from bulkpull.output.manifest import DatasetRecord
from bulkpull.output.store import LocalStore
from bulkpull.output.verify import Verifier
from bulkpull.output.workspace import load_published

OUT = Path("data")
OLD, NEW = run_id_of(NOW - timedelta(days=3)), run_id_of(NOW - timedelta(days=1))


def two_nights() -> None:
    """Two runs that published two datasets each."""
    for run_id in (OLD, NEW):
        write_manifest(OUT, *(publish(OUT, name, run_id=run_id) for name in ("Profile", "MSLearn")), run_id=run_id)


def part(dataset: str, run_id: str) -> Path:
    return OUT / f"datasets/{dataset}/run={run_id}/part-00000.parquet"


def remove(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[10] ^= 1
    path.write_bytes(content)


def test_what_an_export_published_is_well_and_looking_changes_nothing(command: Command, serve: Serve) -> None:
    serve(SMALL)
    run_id = command("export", "--output", "data", "--json").json()["run_id"]
    before = files_under(OUT)

    outcome = command("runs", "verify", "--output", "data", "--json")

    reported = outcome.json()
    assert (outcome.code, reported["ok"], reported["snapshots"], reported["troubles"], outcome.err) == (
        0,
        True,
        3,
        [],
        "",
    )
    assert command("runs", "verify", run_id[:15], "--output", "data", "--quick").err.startswith("all checks passed")
    assert files_under(OUT) == before


@pytest.mark.fault(10)
@pytest.mark.parametrize(
    ("harm", "words"),
    [(remove, "is missing"), (cut, "bytes instead of"), (flip, "content has changed")],
)
@pytest.mark.parametrize(
    ("run_id", "step"),
    [(NEW, "bulkpull export Profile --output data"), (OLD, "restore it")],
    ids=["current", "older"],  # the run's id tells the time, which differs between the processes of a test run
)
def test_a_harmed_file_is_one_line_with_its_path_and_the_next_step(
    command: Command, harm: Callable[[Path], None], words: str, run_id: str, step: str
) -> None:
    two_nights()
    harm(part("Profile", run_id))

    outcome = command("runs", "verify", "--output", "data")

    assert outcome.code == 3
    (line,) = outcome.out.splitlines()
    assert line.startswith(part("Profile", run_id).relative_to(OUT).as_posix())
    assert words in line
    assert step in line
    assert command("runs", "verify", "--quick", "--output", "data").code == (0 if harm is flip else 3)
    assert command("runs", "verify", run_id, "--output", "data").code == 3
    assert command("runs", "verify", OLD if run_id == NEW else NEW, "--output", "data").code == 0


def troubles(command: Command, *more: str) -> list[Any]:
    outcome = command("runs", "verify", "--output", "data", "--json", *more)
    reported = outcome.json()
    assert outcome.code == (3 if reported["troubles"] else 0)
    assert reported["ok"] is not bool(reported["troubles"])
    return list(reported["troubles"])


def test_a_file_of_another_run_in_the_place_of_ours_is_found_by_its_metadata(command: Command) -> None:
    two_nights()
    shutil.copy(part("Profile", OLD), part("Profile", NEW))
    current = Current.load(LocalStore(OUT))
    (OUT / "runs" / NEW / "manifest.json").unlink()  # nothing but the file itself can tell
    current.save(LocalStore(OUT))

    reported = troubles(command)

    assert any("belongs to Profile, run" in entry["what"] for entry in reported)


def test_a_pointer_to_a_run_that_nobody_knows_is_told(command: Command) -> None:
    publish(OUT, "Profile", run_id=NEW)

    (trouble,) = troubles(command, "--quick")

    assert trouble["path"] == "current.json"
    assert NEW in trouble["what"]


def test_a_pointer_whose_rows_or_files_do_not_add_up_is_told(command: Command) -> None:
    two_nights()
    current = Current.load(LocalStore(OUT))
    current.datasets["Profile"].rows = 7
    current.datasets["MSLearn"].files.append("../elsewhere.parquet")
    current.save(LocalStore(OUT))

    reported = troubles(command)

    assert {(entry["path"], entry["dataset"]) for entry in reported} == {
        ("current.json", "Profile"),
        ("current.json", "MSLearn"),
    }


def test_a_link_that_leads_elsewhere_or_is_missing_is_told_with_the_command_that_sets_it(command: Command) -> None:
    two_nights()
    replace_symlink(OUT / "latest" / "Profile", f"../datasets/Profile/run={OLD}")
    (OUT / "latest" / "MSLearn").unlink()

    reported = troubles(command)

    assert {entry["path"] for entry in reported} == {"latest/Profile", "latest/MSLearn"}
    assert (
        f"ln -sfn ../datasets/Profile/run={NEW} data/latest/Profile"
        in {entry["dataset"]: entry for entry in reported}["Profile"]["fix"]
    )


def test_a_file_that_no_run_has_written_is_told(command: Command) -> None:
    two_nights()
    part("Profile", NEW).with_name("copy.parquet").write_bytes(b"")

    (trouble,) = troubles(command, "--quick")

    assert trouble["path"] == f"datasets/Profile/run={NEW}/copy.parquet"


@pytest.mark.parametrize("name", ["current.json", f"runs/{NEW}/manifest.json"], ids=["pointer", "manifest"])
def test_a_damaged_account_is_told_and_nothing_else_goes_wrong(command: Command, name: str) -> None:
    two_nights()
    (OUT / name).write_text('{"version": 1, "data')

    reported = troubles(command)

    assert name in {entry["path"] for entry in reported}


def test_where_nothing_is_published_there_is_nothing_that_could_be_well(command: Command) -> None:
    (trouble,) = troubles(command)

    assert trouble["what"] == f"there is no folder {OUT.absolute()}"
    assert not OUT.exists()
    assert command("runs", "verify", "2026", "--output", "data").code == 2


def test_a_run_is_named_by_its_beginning_and_an_unknown_one_is_told_what_there_is(command: Command) -> None:
    two_nights()

    assert command("runs", "verify", NEW[:15], "--output", "data", "--json").json()["run_id"] == NEW
    for asked in ("1999", OLD[:2]):
        outcome = command("runs", "verify", asked, "--output", "data")
        assert (outcome.code, outcome.out) == (2, "")
        assert OLD in outcome.err


def test_a_snapshot_that_retention_removed_is_not_damaged(command: Command) -> None:
    two_nights()
    shutil.rmtree(part("Profile", OLD).parent)

    outcome = command("runs", "verify", OLD, "--output", "data")

    assert outcome.code == 0
    assert "retention has removed Profile" in outcome.err
    assert command("runs", "verify", "--output", "data").code == 0


def test_a_skipped_dataset_is_verified_by_the_snapshot_that_stayed_current(command: Command) -> None:
    published = publish(OUT, "Profile", run_id=OLD)
    write_manifest(OUT, published, run_id=OLD)
    write_manifest(OUT, published.model_copy(update={"status": "skipped"}), run_id=NEW)
    remove(part("Profile", OLD))

    reported = troubles(command, NEW)

    assert [entry["path"] for entry in reported] == [f"datasets/Profile/run={OLD}/part-00000.parquet"]


def test_what_a_killed_run_published_is_known_from_the_ledger(command: Command) -> None:
    record = publish(OUT, "Profile", run_id=NEW)
    anyio.run(_note, NEW, record.model_dump(mode="json"))

    assert troubles(command) == []
    cut(part("Profile", NEW))
    (trouble,) = troubles(command)
    assert "bytes instead of" in trouble["what"]


async def _note(run_id: str, record: dict[str, Any]) -> None:
    private = OUT / ".bulkpull"
    private.mkdir()
    async with opened_ledger(private) as ledger:
        at = datetime(2026, 11, 23, 2, tzinfo=UTC)
        await ledger.begin_run(run_id, request={}, at=at)
        facts = PublicationFacts(DatasetRecord.model_validate(record))
        await ledger.note(run_id, dataset="Profile", facts=facts, at=at)


def test_what_a_run_publishes_meanwhile_is_looked_at_instead_and_is_no_trouble(tmp_path: Path) -> None:
    record = publish(tmp_path, "Profile", run_id=OLD)
    write_manifest(tmp_path, record, run_id=OLD)

    def a_run_publishes() -> None:
        write_manifest(tmp_path, publish(tmp_path, "Profile", run_id=NEW), run_id=NEW)

    # Retention takes the old snapshot away between two looks, as a run may that publishes a newer one.
    shutil.rmtree(tmp_path / f"datasets/Profile/run={OLD}")
    verifier = Verifier(LocalStore(tmp_path), quick=False, ask_ledger=lambda _: None, pause=a_run_publishes)

    assert verifier.verify_all().troubles == []


def damaged_snapshots() -> dict[str, str]:
    """What a run finds damaged when it begins."""
    _, damaged = load_published(LocalStore(OUT), Current.load(LocalStore(OUT)))
    return damaged


@pytest.mark.fault(10)
@pytest.mark.parametrize("harm", [remove, cut])
def test_a_run_can_tell_by_names_and_sizes_which_current_snapshots_are_damaged(
    harm: Callable[[Path], None], command: Command
) -> None:
    two_nights()
    harm(part("Profile", NEW))
    harm(part("MSLearn", OLD))  # not current: none of the next run's business

    damaged = damaged_snapshots()

    assert list(damaged) == ["Profile"]
    assert damaged["Profile"].startswith(f"datasets/Profile/run={NEW}/part-00000.parquet: ")


@pytest.mark.fault(10)
def test_without_a_manifest_a_missing_file_is_still_noticed(command: Command) -> None:
    publish(OUT, "Profile", run_id=NEW)
    assert damaged_snapshots() == {}

    remove(part("Profile", NEW))

    assert "is missing" in damaged_snapshots()["Profile"]


def test_rows_of_a_manifest_that_do_not_add_up_are_told(command: Command) -> None:
    record = publish(OUT, "Profile", run_id=NEW, frame=pl.DataFrame({"MPNId": ["1"]}))
    manifest = write_manifest(OUT, record, run_id=NEW).as_dict()
    manifest["datasets"][0]["files"][0]["rows"] = 9
    write_atomically(OUT / "runs" / NEW / "manifest.json", json_text(manifest))

    reported = " ".join(problem["what"] for problem in troubles(command))

    assert "1 rows, and the manifest says 9" in reported
    assert "1 rows for it, and 9 for its files" in reported


@pytest.mark.parametrize("state", ["is gone", "names no dataset"])
def test_snapshots_that_no_pointer_names_are_told_and_how_to_get_them_back(command: Command, state: str) -> None:
    two_nights()
    (OUT / "current.json").unlink()
    if state == "names no dataset":
        Current().save(LocalStore(OUT))

    outcome = command("runs", "verify", "--output", "data")

    assert outcome.code == 3
    (line,) = [line for line in outcome.out.splitlines() if line.startswith("current.json: ")]
    assert line == (
        f"current.json: it {state}, and datasets/ holds 4 snapshots of MSLearn, Profile; restore it from a backup, or "
        "run `bulkpull export MSLearn Profile --output data`: it publishes them again"
    )
