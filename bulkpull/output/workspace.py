"""The output folder at the start of a run, and the run's own working folders."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bulkpull.errors import DiskTrouble
from bulkpull.output.atomic_files import makedirs_durable, to_disk_error
from bulkpull.output.integrity import damaged_snapshots
from bulkpull.output.layout import DATASETS, RAW, RUN_ID, Layout
from bulkpull.output.manifest import Current, DatasetRecord
from bulkpull.output.no_follow import names_beneath, refuse_links, remove_beneath, rename_beneath
from bulkpull.output.snapshots import load_published


@dataclass(frozen=True, slots=True)
class OutputFolder:
    """
    The output folder.

    Attributes:
        staging: This run's own part of it, where nothing is visible to readers.
        published: The record of each dataset's current snapshot.
        damaged: Datasets with damaged published files, and the problem.
        runs: Ids of other runs that left something here.
    """

    output: Path
    staging: Path
    current: Current
    published: Mapping[str, DatasetRecord]
    damaged: Mapping[str, str]
    runs: tuple[str, ...]


def read_folder(output: Path, *, run_id: str = "") -> OutputFolder:
    """
    The state of the folder as `open_folder` finds it for the run `run_id`, with reads only.

    Raises:
        DiskTrouble: `current.json` is damaged.
        OSError: The folder cannot be read.
    """
    layout = Layout(output)
    staging = layout.staged(run_id)
    staged = {name for name in names_beneath(staging.parent, root=layout.private) if RUN_ID.fullmatch(name)}
    runs = tuple((set(names_beneath(layout.runs, root=output)) | staged) - {run_id})
    return _folder_of(output, staging, Current.load(output), runs)


def open_folder(output: Path, *, run_id: str, alive: frozenset[str], taken_over: str | None = None) -> OutputFolder:
    """
    Read the state of the folder, and delete files of runs that will not be resumed.

    The lock says that no other run is at work, so what others left in staging goes, but for the runs in `alive`. Only
    what is named like a run goes: the private folder may be a link to one that others use as well.

    Args:
        taken_over: The run whose downloads this one continues.

    Raises:
        DiskTrouble: `current.json` is damaged.
        OSError: The folder cannot be read or written, or a part of it is a link to elsewhere.
    """
    current = Current.load(output)
    layout = Layout(output)
    private, staging = layout.private, layout.staged(run_id)
    for folder in (layout.datasets, layout.runs):
        refuse_links(folder, root=output)  # before anything is ordered
    if taken_over in names_beneath(staging.parent, root=private) and not staging.exists():
        rename_beneath(staging.parent / str(taken_over), staging, root=private, target_root=private)
    makedirs_durable(staging, root=private)
    staged = {name for name in names_beneath(staging.parent, root=private) if RUN_ID.fullmatch(name)}
    runs = tuple((set(names_beneath(layout.runs, root=output)) | staged) - {run_id})
    for name in staged - alive - {run_id}:
        remove_beneath(staging.parent / name, root=private)
    return _folder_of(output, staging, current, runs)


def _folder_of(output: Path, staging: Path, current: Current, runs: tuple[str, ...]) -> OutputFolder:
    published, damaged = load_published(output, current), damaged_snapshots(output, current)
    return OutputFolder(output, staging, current, published, damaged, runs)


def find_blocked(output: Path, datasets: Iterable[str], *, keep_raw: bool) -> dict[str, DiskTrouble]:
    """
    The datasets whose own folders are links, or no folders, so that nothing is ordered for them (case C25).

    Returns:
        The obstacles, by dataset.
    """
    blocked: dict[str, DiskTrouble] = {}
    for dataset in datasets:
        for kind in (DATASETS, RAW) if keep_raw else (DATASETS,):
            folder = Layout(output).snapshots(dataset, kind=kind)
            try:
                refuse_links(folder, root=output)
                if folder.exists() and not folder.is_dir():
                    raise NotADirectoryError(errno.ENOTDIR, f"{folder} is not a folder")
            except OSError as trouble:
                blocked.setdefault(dataset, to_disk_error(trouble, folder))
    return blocked
