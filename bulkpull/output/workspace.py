"""The output folder at the start of a run, and the run's own working folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bulkpull.errors import DiskTrouble
from bulkpull.output.atomic_files import makedirs_durable, to_disk_error
from bulkpull.output.current import Current
from bulkpull.output.integrity import damaged_snapshots
from bulkpull.output.layout import DATASETS, RAW, RUN_ID, Layout
from bulkpull.output.manifest import DatasetRecord
from bulkpull.output.snapshots import load_published
from bulkpull.output.store import INSIDE, OutputStore
from bulkpull.output.symlink_safety import names_beneath, remove_beneath, rename_beneath


@dataclass(frozen=True, slots=True)
class OutputFolder:
    """
    The output folder.

    Attributes:
        store: What readers see of it.
        staging: This run's own part of it, where nothing is visible to readers.
        published: The record of each dataset's current snapshot.
        damaged: Datasets with damaged published files, and the problem.
        runs: Ids of other runs that left something here.
    """

    output: Path
    store: OutputStore
    staging: Path
    current: Current
    published: Mapping[str, DatasetRecord]
    damaged: Mapping[str, str]
    runs: tuple[str, ...]

    @property
    def private(self) -> Path:
        """The private folder within the output folder."""
        return Layout(self.output).private


def read_folder(output: Path, store: OutputStore, *, run_id: str = "") -> OutputFolder:
    """The state of the folder as `open_folder` finds it for the run `run_id`, with reads only."""
    layout = Layout(output)
    staging = layout.staged(run_id)
    staged = {name for name in names_beneath(staging.parent, root=layout.private) if RUN_ID.fullmatch(name)}
    return _folder_of(output, store, staging, Current.load(store), others=staged, run_id=run_id)


def open_folder(
    output: Path, store: OutputStore, *, run_id: str, alive: frozenset[str], taken_over: str | None = None
) -> OutputFolder:
    """
    Read the state of the folder, and delete files of runs that will not be resumed.

    The lock says that no other run is at work, so what others left in staging goes, but for the runs in `alive`. Only
    what is named like a run goes: the private folder may be a link to one that others use as well.

    Raises:
        DiskTrouble: `current.json` is damaged.
        OSError: The folder cannot be read or written, or a part of it is a link to elsewhere.
    """
    current = Current.load(store)
    layout = Layout(output)
    private, staging = layout.private, layout.staged(run_id)
    for name in (INSIDE.datasets, INSIDE.runs):
        store.check_folder(name)  # before anything is ordered
    if taken_over in names_beneath(staging.parent, root=private) and not staging.exists():
        rename_beneath(staging.parent / str(taken_over), staging, root=private, target_root=private)
    makedirs_durable(staging, root=private)
    staged = {name for name in names_beneath(staging.parent, root=private) if RUN_ID.fullmatch(name)}
    for left in staged - alive - {run_id}:
        remove_beneath(staging.parent / left, root=private)
    return _folder_of(output, store, staging, current, others=staged, run_id=run_id)


def _folder_of(
    output: Path, store: OutputStore, staging: Path, current: Current, *, others: set[str], run_id: str
) -> OutputFolder:
    runs = tuple((set(store.list_names(INSIDE.runs)) | others) - {run_id})
    published, damaged = load_published(store, current), damaged_snapshots(store, current)
    return OutputFolder(output, store, staging, current, published, damaged, runs)


def find_blocked(store: OutputStore, datasets: Iterable[str], *, keep_raw: bool) -> dict[str, DiskTrouble]:
    """
    The datasets whose own folders are links, or no folders, so that nothing is ordered for them (case C25).

    Returns:
        The obstacles, by dataset.
    """
    blocked: dict[str, DiskTrouble] = {}
    for dataset in datasets:
        for kind in (DATASETS, RAW) if keep_raw else (DATASETS,):
            folder = INSIDE.snapshots(dataset, kind=kind)
            try:
                store.check_folder(folder)
            except OSError as trouble:
                blocked.setdefault(dataset, to_disk_error(trouble, store.place(folder)))
    return blocked
