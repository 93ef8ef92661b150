"""Room for a run is estimated by what its datasets took last time."""

from __future__ import annotations

import shutil
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from published import NOW, lost, run_id_of, write_manifest

from bulkpull.config.settings import Settings
from bulkpull.output.atomic_files import RESERVE_BYTES
from bulkpull.output.disk_space import (
    ASSUMED_BYTES,
    ExpectedSize,
    choose_fitting,
    expected_sizes,
    find_too_large,
    needed_bytes,
)
from bulkpull.output.manifest import DatasetRecord, PublishedFile


class Usage(NamedTuple):
    """As `shutil.disk_usage` answers."""

    total: int
    used: int
    free: int


def exported(dataset: str, *, downloaded: int, stored: int) -> DatasetRecord:
    file = PublishedFile(path=f"{dataset}.parquet", rows=1, bytes=stored, sha256="0" * 64)
    return DatasetRecord(dataset=dataset, status="complete", downloaded_bytes=downloaded, files=[file])


def known(dataset: str, *, downloaded: int, stored: int) -> ExpectedSize:
    return ExpectedSize(dataset, downloaded, stored, is_known=True)


def test_all_parquet_counts_and_as_many_downloads_as_lie_there_at_once() -> None:
    sizes = [known("A", downloaded=100, stored=1), known("B", downloaded=300, stored=2)]
    sizes.append(known("C", downloaded=200, stored=4))

    assert needed_bytes(sizes, keep_raw=False, at_once=2) == 7 + 500
    assert needed_bytes(sizes, keep_raw=True, at_once=2) == 7 + 600
    assert needed_bytes([], keep_raw=True, at_once=2) == 0


def test_the_newest_publication_of_each_dataset_tells_its_size(tmp_path: Path) -> None:
    old, new = run_id_of(NOW - timedelta(days=2)), run_id_of(NOW - timedelta(days=1))
    write_manifest(tmp_path, exported("A", downloaded=1, stored=1), exported("B", downloaded=5, stored=5), run_id=old)
    write_manifest(tmp_path, exported("A", downloaded=9, stored=9), lost("B"), run_id=new)

    assert expected_sizes(tmp_path, ["A", "B", "C"]) == [
        known("A", downloaded=9, stored=9),
        known("B", downloaded=5, stored=5),
        ExpectedSize("C", ASSUMED_BYTES, ASSUMED_BYTES, is_known=False),
    ]


@pytest.mark.fault(6)
async def test_a_run_without_room_is_refused_with_what_is_needed_and_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_manifest(tmp_path, exported("A", downloaded=3_000_000, stored=2_000_000), run_id=run_id_of(NOW))
    free = 4_000_000 + RESERVE_BYTES
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(19_000_000, 19_000_000 - free, free))

    refused = await find_too_large(tmp_path, ["A"], settings=Settings())

    assert "needs 5.0 MB (by the last export); 4.0 MB are free beside a reserve of 4.2 MB" in refused["A"].reason


@pytest.mark.fault(6)
@pytest.mark.parametrize(("free", "refused"), [(2_000_000, set()), (1_999_999, {"A"})])
async def test_what_was_never_exported_needs_some_room_too(
    free: int, refused: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free, 0, free + RESERVE_BYTES))

    found = await find_too_large(tmp_path, ["A"], settings=Settings())

    assert set(found) == refused
    assert all("2.0 MB for each that was never exported" in error.reason for error in found.values())


@pytest.mark.fault(6)
async def test_a_disk_without_room_for_any_dataset_is_one_reason_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_manifest(tmp_path, exported("A", downloaded=3_000_000, stored=2_000_000), run_id=run_id_of(NOW))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 0))

    refused = await find_too_large(tmp_path, ["A", "B", "C"], settings=Settings())

    assert set(refused) == {"A", "B", "C"}
    assert {error.reason for error in refused.values()} == {refused["A"].reason}
    assert "these 3 datasets need 9.0 MB (by the last export, and 2.0 MB for each" in refused["A"].reason


@pytest.mark.case("O5")
@pytest.mark.parametrize(("short_bytes", "refused"), [(0, set()), (1, {"A"})])
async def test_the_reserve_that_downloads_leave_is_counted_beforehand(
    short_bytes: int, refused: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_manifest(tmp_path, exported("A", downloaded=3_000_000, stored=2_000_000), run_id=run_id_of(NOW))
    free = 5_000_000 + RESERVE_BYTES - short_bytes
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free, 0, free))

    assert set(await find_too_large(tmp_path, ["A"], settings=Settings())) == refused


@pytest.mark.case("O2")
def test_only_what_does_not_fit_is_left_out_and_the_largest_first() -> None:
    sizes = [known("Small", downloaded=1, stored=1), known("Large", downloaded=900, stored=100)]
    sizes.append(known("Middle", downloaded=10, stored=10))

    def chosen(free: int) -> list[str]:
        fitting = choose_fitting(sizes, free_bytes=free, needs=partial(needed_bytes, keep_raw=False, at_once=2))
        return [size.dataset for size in fitting]

    assert chosen(2_000) == ["Small", "Middle", "Large"]
    assert chosen(500) == ["Small", "Middle"]
    assert chosen(5) == ["Small"]
    assert chosen(0) == []
