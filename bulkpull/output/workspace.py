"""The output folder at the start of a run, and the run's own working folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bulkpull.errors import DiskTrouble
from bulkpull.output.atomic_files import makedirs_durable, to_disk_error
from bulkpull.output.current import Current
from bulkpull.output.layout import DATASETS, RAW, RUN_ID, Layout
from bulkpull.output.manifest import DatasetRecord
from bulkpull.output.snapshots import load_published
from bulkpull.output.store import INSIDE, OutputStore
from bulkpull.output.symlink_safety import names_beneath, remove_beneath, rename_beneath


@dataclass(frozen=True, slots=True)
class OutputFolder:
    """
    The output folder: `store` is what readers see of it, `staging` this run's own part, where they see nothing.

    `published` are the records of the current snapshots, and `damaged` their problems, by dataset; `runs` are the ids
    of other runs that left something here.
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
    return _folder_of(output, store, Current.load(store), left=_staged(output), run_id=run_id)


def open_folder(
    output: Path, store: OutputStore, *, run_id: str, alive: frozenset[str], taken_over: str | None = None
) -> OutputFolder:
    """
    Read the state of the folder, and delete files of runs that will not be resumed.

    The lock says that no other run is at work, so what others left in staging goes, but for the runs in `alive`. Only
    what is named like a run goes: the private folder may be a link to one that others use as well. Raises `DiskTrouble`
    where `current.json` is damaged, and `OSError`.
    """
    current = Current.load(store)
    layout = Layout(output)
    private, staging = layout.private, layout.staged(run_id)
    for name in (INSIDE.datasets, INSIDE.runs):
        store.check_folder(name)  # before anything is ordered
    if taken_over in names_beneath(staging.parent, root=private) and not staging.exists():
        rename_beneath(layout.staged(str(taken_over)), staging, root=private)
    makedirs_durable(staging, root=private)
    left = _staged(output)
    for other in left - alive - {run_id}:
        remove_beneath(layout.staged(other), root=private)
    return _folder_of(output, store, current, left=left, run_id=run_id)


def _staged(output: Path) -> set[str]:
    layout = Layout(output)
    return {name for name in names_beneath(layout.staged(""), root=layout.private) if RUN_ID.fullmatch(name)}


def _folder_of(output: Path, store: OutputStore, current: Current, *, left: set[str], run_id: str) -> OutputFolder:
    runs = tuple((set(store.list_names(INSIDE.runs)) | left) - {run_id})
    published, damaged = load_published(store, current)
    return OutputFolder(output, store, Layout(output).staged(run_id), current, published, damaged, runs)


def find_blocked(store: OutputStore, datasets: Iterable[str], *, keep_raw: bool) -> dict[str, DiskTrouble]:
    """The datasets whose own folders are links, or no folders, so that nothing is ordered for them (case C25)."""
    blocked: dict[str, DiskTrouble] = {}
    for dataset in datasets:
        for kind in (DATASETS, RAW) if keep_raw else (DATASETS,):
            folder = INSIDE.snapshots(dataset, kind=kind)
            try:
                store.check_folder(folder)
            except OSError as trouble:
                blocked.setdefault(dataset, to_disk_error(trouble, store.place(folder)))
    return blocked
