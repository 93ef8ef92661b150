"""Publish: whole or not there, and what readers hold is not taken from them."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from bulkpull.clock import SystemClock
from bulkpull.config.settings import Settings
from bulkpull.errors import DiskTrouble, HeldBack
from bulkpull.events import Events
from bulkpull.model import OfferedDataset, Pull
from bulkpull.output import atomic_files
from bulkpull.output.current import Current
from bulkpull.output.manifest import DatasetRecord, Drift, PublishedColumn, PublishedFile
from bulkpull.output.store import LocalStore, OutputStore
from bulkpull.pipeline.publication.publish import Publisher
from bulkpull.pipeline.publication.publish_checks import check_publishable, find_schema_drift

PULL = Pull("Profile", OfferedDataset("Profile", ("A",)), ("A",), "SELECT A FROM Profile")
RUN_1, RUN_2 = "20260101T010000Z-aaaaaa", "20260102T010000Z-bbbbbb"


def publisher(output: Path, run_id: str = RUN_1) -> Publisher:
    return Publisher(store=LocalStore(output), run_id=run_id, retain_runs=7, clock=SystemClock(), events=Events())


def stage(output: Path, content: bytes, *, rows: int = 1) -> tuple[Pull, Path, list[PublishedFile]]:
    folder = output / ".bulkpull" / "staging" / "run" / "Profile"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "part-00000.parquet").write_bytes(content)
    file = PublishedFile(path="part-00000.parquet", rows=rows, bytes=len(content), sha256="0" * 64)
    return PULL, folder, [file]


async def test_a_published_snapshot_is_named_by_the_pointer_and_by_the_link(tmp_path: Path) -> None:
    published = (await publisher(tmp_path).publish_snapshot(*stage(tmp_path, b"one"))).files

    assert [file.path for file in published] == [f"datasets/Profile/run={RUN_1}/part-00000.parquet"]
    current = json.loads((tmp_path / "current.json").read_text())
    assert current["version"] == 1
    reported = current["datasets"]["Profile"]
    assert reported["published_at"] == current["updated_at"]
    assert (reported["run_id"], reported["rows"], reported["files"]) == (RUN_1, 1, [published[0].path])
    question = json.dumps(reported["question"], sort_keys=True).encode()
    assert reported["question_sha256"] == hashlib.sha256(question).hexdigest()
    assert (tmp_path / "latest" / "Profile" / "part-00000.parquet").read_bytes() == b"one"
    assert "latest/" in (tmp_path / "README.md").read_text()


async def test_a_newer_snapshot_replaces_the_pointer_and_leaves_the_older_files_alone(tmp_path: Path) -> None:
    await publisher(tmp_path, RUN_1).publish_snapshot(*stage(tmp_path, b"one"))
    await publisher(tmp_path, RUN_2).publish_snapshot(*stage(tmp_path, b"two"))

    assert (tmp_path / "latest" / "Profile" / "part-00000.parquet").read_bytes() == b"two"
    assert (tmp_path / f"datasets/Profile/run={RUN_1}/part-00000.parquet").read_bytes() == b"one"
    assert Current.load(LocalStore(tmp_path)).datasets["Profile"].run_id == RUN_2


@pytest.mark.case("C44")
@pytest.mark.fault(95)
async def test_a_reader_of_latest_finds_a_snapshot_at_every_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publisher(tmp_path, RUN_1).publish_snapshot(*stage(tmp_path, b"one"))
    latest, found = tmp_path / "latest" / "Profile" / "part-00000.parquet", list[bytes]()

    def looking(change: Any) -> Any:
        def changed(*arguments: Any, **options: Any) -> Any:
            result = change(*arguments, **options)
            # Publishing would survive an error here: what follows the pointer may fail.
            found.append(latest.read_bytes() if latest.exists() else b"nothing")
            return result

        return changed

    for name in ("link", "mkdir", "remove", "rename", "replace", "rmdir", "symlink", "unlink"):
        monkeypatch.setattr(os, name, looking(getattr(os, name)))
    await publisher(tmp_path, RUN_2).publish_snapshot(*stage(tmp_path, b"two"))

    assert set(found) == {b"one", b"two"}


async def test_publishing_again_after_a_cut_off_ends_the_same_way(tmp_path: Path) -> None:
    (tmp_path / f"datasets/Profile/run={RUN_1}").mkdir(parents=True)
    (tmp_path / f"datasets/Profile/run={RUN_1}/leftover").write_bytes(b"")

    await publisher(tmp_path).publish_snapshot(*stage(tmp_path, b"one"))

    assert [file.name for file in (tmp_path / f"datasets/Profile/run={RUN_1}").iterdir()] == ["part-00000.parquet"]


@pytest.mark.fault(95)
async def test_the_pointer_moves_only_after_the_files_and_the_rename_are_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync = atomic_files.sync_folder

    def note_sync(folder: Path) -> None:
        done.append(f"sync {folder.name}")
        sync(folder)

    monkeypatch.setattr("bulkpull.output.store.sync_folder", note_sync)
    save = Current.save

    def note_pointer(self: Current, store: OutputStore) -> None:
        done.append("pointer")
        save(self, store)

    monkeypatch.setattr(Current, "save", note_pointer)

    await publisher(tmp_path).publish_snapshot(*stage(tmp_path, b"one"))

    pointed = done.index("pointer")
    assert "sync Profile" in done[:pointed]  # staged folder, then the parent of the renamed one
    assert done[:pointed].count("sync Profile") >= 2


@pytest.mark.fault(95, 98)
@pytest.mark.parametrize("broken", [(os, "rename"), (Path, "replace")], ids=["snapshot", "pointer"])
async def test_readers_keep_the_old_snapshot_when_publishing_breaks_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: tuple[object, str]
) -> None:
    await publisher(tmp_path, RUN_1).publish_snapshot(*stage(tmp_path, b"one"))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    staged = stage(tmp_path, b"two")
    with monkeypatch.context() as patched:
        patched.setattr(*broken, refuse)
        with pytest.raises(DiskTrouble, match="no space left"):
            await publisher(tmp_path, RUN_2).publish_snapshot(*staged)

    assert Current.load(LocalStore(tmp_path)).datasets["Profile"].run_id == RUN_1
    assert (tmp_path / "latest" / "Profile" / "part-00000.parquet").read_bytes() == b"one"


@pytest.mark.fault(96)
async def test_a_sync_that_fails_drops_the_new_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await publisher(tmp_path, RUN_1).publish_snapshot(*stage(tmp_path, b"one"))

    def refuse(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    staged = stage(tmp_path, b"two")
    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(DiskTrouble, match="refused"):
        await publisher(tmp_path, RUN_2).publish_snapshot(*staged)

    assert Current.load(LocalStore(tmp_path)).datasets["Profile"].run_id == RUN_1


async def test_a_damaged_pointer_is_never_replaced_on_a_guess(tmp_path: Path) -> None:
    (tmp_path / "current.json").write_text('{"version": 2}')

    with pytest.raises(DiskTrouble, match=r"current\.json cannot be read"):
        await publisher(tmp_path).publish_snapshot(*stage(tmp_path, b"one"))


def record(**types: str) -> DatasetRecord:
    return DatasetRecord(dataset="Profile", status="complete", columns=columns(**types))


def columns(**types: str) -> list[PublishedColumn]:
    return [PublishedColumn(name=name, type=kind) for name, kind in types.items()]


@pytest.mark.behaviour(54)
def test_drift_names_what_appeared_vanished_and_changed_type() -> None:
    drift = find_schema_drift(record(A="String", B="Int64"), columns(B="String", C="Date"))

    assert (drift.appeared, drift.vanished, drift.retyped) == (["C"], ["A"], ["B: Int64 → String"])
    assert not find_schema_drift(None, columns(A="String"))
    assert not find_schema_drift(record(A="String"), columns(A="String"))


@pytest.mark.fault(89)
@pytest.mark.parametrize("expected", ["misfit", "outgrown"])
def test_drift_tells_the_first_value_that_the_published_type_could_not_hold(expected: str) -> None:
    column = PublishedColumn.model_validate({"name": "B", "type": "String", expected: {"row": 1204, "value": "n/a"}})

    assert find_schema_drift(record(B="Date"), [column]).retyped == ["B: Date → String (row 1,204: 'n/a')"]


DEFAULTS = {
    "run_id": RUN_1, "rows": 5, "current_rows": 5, "drift": Drift(), "data_redacted": False, "settings": Settings(),
}  # fmt: skip


@pytest.mark.behaviour(23)
@pytest.mark.fault(52, 97)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": 0}, "no rows"),
        ({"rows": 0, "data_redacted": True}, "no rows.*the role of this user does not see all data"),
        ({"drift": Drift(appeared=["X"]), "settings": Settings(on_drift="fail")}, "appeared: X"),
        ({"data_redacted": True, "settings": Settings(fail_on_redacted=True)}, "Executive report viewer"),
    ],
)
def test_what_would_hurt_readers_is_held_back(change: dict[str, object], words: str) -> None:
    with pytest.raises(HeldBack, match=words) as held:
        check_publishable("Profile", **(DEFAULTS | change))  # type: ignore[arg-type]
    assert f"bulkpull runs publish {RUN_1} Profile" in held.value.reason


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"rows": 0, "settings": Settings(on_shrink="publish")},
        {"rows": 0, "current_rows": 0},
        {"rows": 0, "current_rows": None},
        {"drift": Drift(appeared=["X"])},
        {"data_redacted": True},
    ],
)
def test_what_does_no_harm_is_published(change: dict[str, object]) -> None:
    check_publishable("Profile", **(DEFAULTS | change))  # type: ignore[arg-type]
