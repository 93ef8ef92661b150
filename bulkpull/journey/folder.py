"""The output folder as a run finds it when it begins, and the room that it makes for its own work."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bulkpull.journey.intact import damaged_snapshots
from bulkpull.journey.published import load_published
from bulkpull.records.files import make_folders, remove_tree
from bulkpull.records.history import PRIVATE
from bulkpull.records.manifest import Current, DatasetRecord


@dataclass(frozen=True, slots=True)
class OutputFolder:
    """
    The output folder.

    Attributes:
        staging: This run's own part of it, where nothing is visible to readers.
        published: The record of each dataset's current snapshot.
        damaged: Datasets whose published files are not as they were written, with what is wrong.
        runs: Ids of other runs that left something here.
    """

    output: Path
    staging: Path
    current: Current
    published: Mapping[str, DatasetRecord]
    damaged: Mapping[str, str]
    runs: tuple[str, ...]


def open_folder(output: Path, *, run_id: str, alive: frozenset[str]) -> OutputFolder:
    """
    Look at what is there, and clear away what nobody will carry on.

    The lock says that no other run is at work, so what others left in staging goes, but for the runs in `alive`.

    Raises:
        DiskTrouble: `current.json` is damaged.
        OSError: The folder cannot be read or written.
    """
    current = Current.load(output)
    runs = tuple((_names_in(output / "runs") | _names_in(output / PRIVATE / "staging")) - {run_id})
    staging = output / PRIVATE / "staging" / run_id
    for name in _names_in(staging.parent) - alive - {run_id}:
        remove_tree(staging.parent / name)
    make_folders(staging)
    return OutputFolder(
        output, staging, current, load_published(output, current), damaged_snapshots(output, current), runs
    )


def _names_in(folder: Path) -> set[str]:
    with suppress(FileNotFoundError, NotADirectoryError):
        return {path.name for path in folder.iterdir()}
    return set()
