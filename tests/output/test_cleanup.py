"""After the pointer has moved nothing makes a dataset a failure: clean-up is noted, and done by the next run."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from published import publish, run_id_of
from support import FakeClock

from bulkpull.events import Event, Events
from bulkpull.model import OfferedDataset, Pull
from bulkpull.output.cleanup import clean_up, is_without_links, readme
from bulkpull.output.current import Current
from bulkpull.output.manifest import PublishedFile
from bulkpull.output.store import LocalStore, OutputStore
from bulkpull.output.verify import Verifier
from bulkpull.pipeline.publication.publish import Published, Publisher

NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)
PULL = Pull("Profile", OfferedDataset("Profile", ("A",)), ("A",), "SELECT A FROM Profile")
OLD, NEW = run_id_of(NOW - timedelta(days=3)), run_id_of(NOW)


async def publish_new(output: Path, events: Events | None = None) -> Published:
    """Publish a snapshot of Profile by the run `NEW`."""
    folder = output / ".bulkpull" / "staging" / NEW / "Profile"
    folder.mkdir(parents=True)
    (folder / f"part-00000-{NEW}.parquet").write_bytes(b"two")
    file = PublishedFile(path=f"part-00000-{NEW}.parquet", rows=1, bytes=3, sha256="0" * 64)
    publisher = Publisher(
        store=LocalStore(output), run_id=NEW, retain_runs=1, clock=FakeClock(start=NOW), events=events or Events()
    )
    return await publisher.publish_snapshot(PULL, folder, [file])


def refusing(number: int) -> object:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.case("C6")
@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL])
async def test_where_there_are_no_links_the_dataset_is_complete_and_latest_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "symlink", refusing(number))

    published = await publish_new(tmp_path)

    assert published.undone == ()
    assert Current.load(LocalStore(tmp_path)).datasets["Profile"].run_id == NEW
    assert not (tmp_path / "latest").exists()
    assert (tmp_path / "README.md").read_text() == readme(has_links=False)
    assert is_without_links(LocalStore(tmp_path))


@pytest.mark.case("C6")
async def test_latest_comes_back_with_the_first_run_on_a_file_system_that_has_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as without:
        without.setattr(os, "symlink", refusing(errno.EPERM))
        await publish_new(tmp_path)

    current = Current.load(LocalStore(tmp_path))
    assert clean_up(LocalStore(tmp_path), current.datasets, current=current, retain=1, now=NOW) == []

    assert (tmp_path / "latest" / "Profile" / f"part-00000-{NEW}.parquet").is_file()
    assert (tmp_path / "README.md").read_text() == readme(has_links=True)
    assert not is_without_links(LocalStore(tmp_path))


@pytest.mark.case("C6")
@pytest.mark.parametrize(
    ("step", "broken", "number"),
    [
        ("latest", "symlink", errno.EIO),
        ("latest", "symlink", errno.ENOSPC),
        ("retention", "scandir", errno.EIO),
        ("readme", "write", errno.ENOSPC),
    ],
)
async def test_each_step_may_fail_alone_and_is_done_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, broken: str, number: int
) -> None:
    publish(tmp_path, "Profile", run_id=OLD)
    reported: list[Event] = []
    # Only what comes after the commit is struck.
    save = Current.save

    def save_and_break(current: Current, store: OutputStore) -> None:
        save(current, store)
        if broken == "write":
            monkeypatch.setattr("bulkpull.output.store.write_atomically", refusing(number))
        else:
            monkeypatch.setattr(os, broken, refusing(number))

    with monkeypatch.context() as patched:
        patched.setattr(Current, "save", save_and_break)
        published = await publish_new(tmp_path, Events(reported.append))
    monkeypatch.undo()

    steps = [step, "views"] if broken == "write" else [step]  # both write a file of the folder
    assert [undone.step for undone in published.undone] == steps
    assert [event.facts["step"] for event in reported if event.name == "cleanup.postponed"] == steps
    assert "the next run does it" in published.undone[0].note
    current = Current.load(LocalStore(tmp_path))
    assert current.datasets["Profile"].run_id == NEW
    assert (
        clean_up(LocalStore(tmp_path), current.datasets, current=current, retain=1, now=NOW + timedelta(days=2)) == []
    )
    assert (tmp_path / "latest" / "Profile").resolve().name == f"run={NEW}"
    assert (tmp_path / "README.md").read_text() == readme(has_links=True)
    assert [path.name for path in (tmp_path / "datasets" / "Profile").iterdir()] == [f"run={NEW}"]


@pytest.mark.case("C49")
@pytest.mark.case("C6")
async def test_a_pointer_that_moved_and_could_not_be_synced_has_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Current.save

    def save_then_fail(current: Current, store: OutputStore) -> None:
        save(current, store)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Current, "save", save_then_fail)

    published = await publish_new(tmp_path)

    assert [undone.step for undone in published.undone] == ["pointer"]
    assert (tmp_path / "latest" / "Profile").exists()


@pytest.mark.case("C6")
async def test_verify_misses_no_links_where_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "symlink", refusing(errno.EPERM))
    await publish_new(tmp_path)

    findings = Verifier(LocalStore(tmp_path), quick=True, ask_ledger=lambda _: {}, pause=lambda: None).verify_all()

    assert findings.troubles == []


@pytest.mark.case("C6")
async def test_a_folder_in_the_place_of_the_link_is_told_and_left_alone(tmp_path: Path) -> None:
    copied = tmp_path / "latest" / "Profile"
    copied.mkdir(parents=True)
    (copied / "old.parquet").write_bytes(b"")

    published = await publish_new(tmp_path)

    assert [undone.step for undone in published.undone] == ["latest"]
    assert "is a folder" in published.undone[0].reason
    assert (copied / "old.parquet").exists()


def test_a_readme_of_somebody_else_stays(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("Contoso's own notes")

    clean_up(LocalStore(tmp_path), [], current=Current(), retain=1, now=NOW)

    assert (tmp_path / "README.md").read_text() == "Contoso's own notes"


@pytest.mark.case("O1")
async def test_a_read_that_lists_one_snapshot_and_opens_the_next_fails_instead_of_mixing(tmp_path: Path) -> None:
    publish(tmp_path, "Profile", run_id=OLD)
    listed = list((tmp_path / "latest" / "Profile").iterdir())

    await publish_new(tmp_path)

    assert listed
    for path in listed:
        with pytest.raises(FileNotFoundError):
            path.read_bytes()
