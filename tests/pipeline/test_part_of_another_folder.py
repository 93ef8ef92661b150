"""Converted files are taken up where they lie beneath this folder, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from bulkpull.pipeline.steps.converted_pull import ConvertedPull, files_exist


def part_in(folder: Path) -> ConvertedPull:
    """What `files_exist` looks at of a part: its stored file and its one Parquet file."""
    folder.mkdir(parents=True)
    (folder / "report.csv.gz").write_bytes(b"stored")
    (folder / "part.parquet").write_bytes(b"four")
    file = SimpleNamespace(path=folder / "part.parquet", bytes=4)
    stored = SimpleNamespace(path=folder / "report.csv.gz")
    return cast("ConvertedPull", SimpleNamespace(stored=stored, table=SimpleNamespace(files=(file,))))


@pytest.mark.case("C46")
def test_files_of_a_folder_that_was_copied_are_not_taken_from_the_old_one(tmp_path: Path) -> None:
    """The ledger of a copied output notes the first folder's files, and these are still there."""
    old, new = tmp_path / "old" / ".bulkpull", tmp_path / "new" / ".bulkpull"
    part = part_in(old / "staging" / "run")
    new.mkdir(parents=True)

    assert files_exist(part, old)
    assert not files_exist(part, new)


@pytest.mark.case("C46")
def test_a_file_of_another_size_or_behind_a_link_is_not_taken(tmp_path: Path) -> None:
    part = part_in(tmp_path / "staging")
    (tmp_path / "staging" / "part.parquet").write_bytes(b"five!")
    assert not files_exist(part, tmp_path)

    (tmp_path / "other").write_bytes(b"four")
    (tmp_path / "staging" / "part.parquet").unlink()
    (tmp_path / "staging" / "part.parquet").symlink_to(tmp_path / "other")
    assert not files_exist(part, tmp_path)
