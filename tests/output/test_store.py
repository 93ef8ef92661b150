"""What every store of an output has to do, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from memory_store import MemoryStore
from moved_store import MovedStore
from support import peak_memory

from bulkpull.errors import OutputLocked
from bulkpull.output import atomic_files
from bulkpull.output.layout import Layout, latest_target
from bulkpull.output.store import INSIDE, LocalStore, OutputStore
from bulkpull.output.symlink_safety import NotBeneath

RUN, OTHER_RUN = "20261123T020000Z-aaaaaa", "20261124T020000Z-bbbbbb"
SNAPSHOT = INSIDE.snapshot("Profile", RUN)


def moved_store(tmp_path: Path) -> OutputStore:
    """A store whose folder is another one than the output."""
    (tmp_path / "elsewhere").mkdir()
    return MovedStore(tmp_path)


STORES: dict[str, Callable[[Path], OutputStore]] = {
    "local folder": LocalStore,
    "memory": lambda _: MemoryStore(),
    "another folder": moved_store,
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> OutputStore:
    return STORES[request.param](tmp_path)


def staged_folder(tmp_path: Path, *names: str) -> Path:
    """A folder of the staging area with these files."""
    folder = Layout(tmp_path).staged(RUN) / "Profile"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text(name)
    return folder


def test_a_file_is_read_as_it_was_put_and_a_missing_one_is_none(store: OutputStore) -> None:
    name = INSIDE.manifest(RUN)
    assert store.read(name) is None

    store.put(name, "first")
    store.put(name, "zweite Fassung, größer")

    assert store.read(name) == "zweite Fassung, größer".encode()


def test_the_pointer_is_replaced_whole(store: OutputStore) -> None:
    store.swap_pointer(INSIDE.current, "a long first text")
    store.swap_pointer(INSIDE.current, "short")

    assert store.read(INSIDE.current) == b"short"


def test_names_are_listed_sorted_and_one_level_deep(store: OutputStore) -> None:
    for run_id in (OTHER_RUN, RUN):
        store.put(INSIDE.manifest(run_id), "{}")
        store.put(INSIDE.log(run_id), "")

    assert store.list_names(INSIDE.runs) == [RUN, OTHER_RUN]
    assert store.list_names(INSIDE.run(RUN)) == ["log.jsonl", "manifest.json"]
    assert store.list_names(INSIDE.snapshots("Nothing")) == []


def test_a_staged_folder_is_put_whole_and_replaces_what_was_there(store: OutputStore, tmp_path: Path) -> None:
    store.put(SNAPSHOT / "left-by-a-crash.parquet", "half")
    folder = staged_folder(tmp_path, "part-00000.parquet", "part-00001.parquet")

    store.put_folder(folder, SNAPSHOT)

    assert store.list_names(SNAPSHOT) == ["part-00000.parquet", "part-00001.parquet"]
    assert store.read(SNAPSHOT / "part-00001.parquet") == b"part-00001.parquet"
    assert not folder.exists()


def test_deleting_takes_a_folder_with_all_that_is_in_it_and_nothing_else(store: OutputStore) -> None:
    for run_id in (RUN, OTHER_RUN):
        store.put(INSIDE.snapshot("Profile", run_id) / "part-00000.parquet", "rows")

    assert store.delete(SNAPSHOT)
    assert store.delete(SNAPSHOT), "a second time there is nothing left to remove"
    store.delete_leftovers()

    assert store.read(SNAPSHOT / "part-00000.parquet") is None
    assert store.list_names(INSIDE.snapshots("Profile")) == [f"run={OTHER_RUN}"]


@pytest.mark.parametrize("name", ["../elsewhere", "runs/../../elsewhere", "/etc/passwd"])
def test_a_name_that_leads_out_of_the_output_is_refused(store: OutputStore, name: str) -> None:
    for act in (store.read, store.list_names, store.delete, lambda path: store.put(path, "text")):
        with pytest.raises(NotBeneath):
            act(Path(name))


def test_a_file_is_opened_and_measured_and_its_version_changes_with_it(store: OutputStore) -> None:
    name = INSIDE.manifest(RUN)
    assert (store.version(name), store.exists(name)) == (None, False)
    with pytest.raises(FileNotFoundError):
        store.size_bytes(name)

    store.put(name, "first")
    version = store.version(name)
    store.put(name, "second one")

    with store.open(name) as file:
        assert file.read() == b"second one"
    assert (store.size_bytes(name), store.exists(name)) == (10, True)
    assert store.version(name) not in (None, version)


def test_a_local_file_is_put_and_stays(store: OutputStore, tmp_path: Path) -> None:
    file = tmp_path / "download"
    file.write_bytes(b"raw")

    store.put_file(file, SNAPSHOT / "Profile.csv")

    assert store.read(SNAPSHOT / "Profile.csv") == b"raw"
    assert file.read_bytes() == b"raw"


def test_a_link_leads_where_it_was_put_or_there_are_no_links(store: OutputStore) -> None:
    link, target = INSIDE.latest_link("Profile"), latest_target("Profile", RUN)
    store.put(SNAPSHOT / "part-00000.parquet", "rows")
    assert store.link_target(link) is None

    if store.put_link(link, target):
        assert store.link_target(link) == target
        assert store.is_same_folder(link, SNAPSHOT)
        assert store.delete(link)

    assert not store.exists(link)
    assert store.exists(SNAPSHOT)


def test_a_file_in_the_way_of_a_folder_is_told_and_a_missing_folder_is_not(store: OutputStore) -> None:
    store.check_folder(INSIDE.datasets)
    store.put(INSIDE.snapshots("Profile"), "a file")

    with pytest.raises(OSError, match="is not a folder"):
        store.check_folder(INSIDE.snapshots("Profile"))


def test_the_place_of_a_file_names_it(store: OutputStore) -> None:
    assert store.place(INSIDE.current) != str(store)
    assert store.place(INSIDE.current).endswith("current.json")


async def test_one_writer_at_a_time(store: OutputStore) -> None:
    async with store.lock(since=datetime(2026, 11, 23, 2, tzinfo=UTC)) as check_lock:
        check_lock()
        with pytest.raises(OutputLocked):
            async with store.lock(since=datetime(2026, 11, 23, 2, 0, 1, tzinfo=UTC)):
                raise AssertionError("the second writer was let in")
    async with store.lock(since=datetime(2026, 11, 23, 2, 0, 2, tzinfo=UTC)):
        pass


def test_reading_a_file_takes_the_memory_of_its_size(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put(INSIDE.current, "x" * 1_000)

    with peak_memory() as peak:
        assert store.read(INSIDE.current) == b"x" * 1_000

    assert peak.size_bytes < 1_000_000


def test_a_file_larger_than_any_of_ours_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic_files, "_MOST_JSON_BYTES", 10)
    store = LocalStore(tmp_path)
    store.put(INSIDE.current, "x" * 11)

    with pytest.raises(ValueError, match="larger than 10 bytes"):
        store.read(INSIDE.current)
