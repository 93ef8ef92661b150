"""
Checks whether a snapshot is still as it was published.

A snapshot is never changed after publication, but people, disks and other programs may damage it. Each run checks names
and sizes of current files and republishes damaged datasets (fault 10); `verify` checks every byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from bulkpull.output.current import Current, CurrentSnapshot
from bulkpull.output.manifest import DatasetRecord, Manifest, PublishedFile
from bulkpull.output.run_history import load_manifest
from bulkpull.output.store import OutputStore
from bulkpull.output.symlink_safety import NotBeneath


def damaged_snapshots(store: OutputStore, current: Current) -> dict[str, str]:
    """
    The current snapshots with a file that is missing or has a wrong size.

    Cheap: it reads manifests but no data.

    Returns:
        By dataset, a message about the first such file.
    """
    damaged: dict[str, str] = {}
    manifests = {run_id: load_manifest(store, run_id) for run_id in current.run_ids}
    for dataset, snapshot in current.datasets.items():
        for path, what in _quick_problems(dataset, snapshot, store, manifest=manifests[snapshot.run_id]):
            damaged.setdefault(dataset, f"{path}: {what}")
    return damaged


def integrity_problems(
    record: DatasetRecord,
    store: OutputStore,
    *,
    run_id: str,
    check_file: Callable[[PublishedFile], str | None] | None = None,
) -> Iterator[tuple[str, str]]:
    """
    The differences between a snapshot and the record of its publication: path (relative to the output) and problem.

    Args:
        check_file: Returns the problem inside a file whose size is right; without it only names and sizes are checked.
    """
    for file in record.files:
        what = _size_problem(file, store)
        if what is None and check_file is not None:
            what = check_file(file)
        if what is not None:
            yield file.path, what
    folder = f"datasets/{record.dataset}/run={run_id}"
    file_rows = sum(file.rows for file in record.files)
    if file_rows != record.rows:
        yield folder, f"the manifest says {record.rows:,} rows for it, and {file_rows:,} for its files"
    for unexpected in sorted(set(store.list_names(Path(folder))) - {Path(file.path).name for file in record.files}):
        yield f"{folder}/{unexpected}", "no run has written this file, but readers that use a pattern read it as data"


def size_of(store: OutputStore, path: str) -> int | None:
    """The size of a regular file of the output, bytes; `None` when there is none."""
    try:
        return store.size_bytes(Path(path))
    except OSError:
        return None


def location_problem(store: OutputStore, path: str) -> str | None:
    """Why there is no regular file at `path` in the output, in words; `None` when there is one."""
    try:
        store.size_bytes(Path(path))
    except NotBeneath as refused:
        return refused.strerror
    except (FileNotFoundError, NotADirectoryError):
        return "the file is missing"
    except OSError as refused:
        return f"it cannot be checked: {refused.strerror}"
    return None


def _quick_problems(
    dataset: str, snapshot: CurrentSnapshot, store: OutputStore, *, manifest: Manifest | None
) -> Iterator[tuple[str, str]]:
    if manifest and (record := manifest.published.get(dataset)):
        yield from integrity_problems(record, store, run_id=snapshot.run_id)
        return
    for path in snapshot.files:  # the run that published it was killed before it could describe it
        if (what := location_problem(store, path)) is not None:
            yield path, what


def _size_problem(file: PublishedFile, store: OutputStore) -> str | None:
    if (what := location_problem(store, file.path)) is not None:
        return what
    size = size_of(store, file.path) or 0
    return None if size == file.bytes else f"it has {size:,} bytes instead of {file.bytes:,}"
