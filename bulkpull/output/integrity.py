"""
Checks whether a snapshot is still as it was published.

A snapshot is never changed after publication, but people, disks and other programs may damage it. Each run checks names
and sizes of current files and republishes damaged datasets (fault 10); `verify` checks every byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from bulkpull.output.current import Current
from bulkpull.output.manifest import DatasetRecord, PublishedFile
from bulkpull.output.run_history import load_manifest
from bulkpull.output.store import OutputStore
from bulkpull.output.symlink_safety import NotBeneath


def damaged_snapshots(store: OutputStore, current: Current) -> dict[str, str]:
    """
    The first file of each current snapshot that is missing or has a wrong size, in words, by dataset.

    Cheap: it reads manifests but no data.
    """
    damaged: dict[str, str] = {}
    manifests = {run_id: load_manifest(store, run_id) for run_id in current.run_ids}
    for dataset, snapshot in current.datasets.items():
        manifest = manifests[snapshot.run_id]
        if manifest and (record := manifest.published.get(dataset)):
            problems: Iterable[tuple[str, str]] = integrity_problems(record, store, run_id=snapshot.run_id)
        else:  # the run that published it was killed before it could describe it
            problems = ((path, what) for path in snapshot.files if (what := location_problem(store, path)) is not None)
        for path, what in islice(problems, 1):
            damaged[dataset] = f"{path}: {what}"
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

    `check_file` returns the problem inside a file whose size is right; without it only names and sizes are checked.
    """
    for file in record.files:
        what = location_problem(store, file.path, expected_bytes=file.bytes)
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


def location_problem(store: OutputStore, path: str, *, expected_bytes: int | None = None) -> str | None:
    """Why there is no regular file (of that size) at `path` in the output, in words; `None` when there is one."""
    try:
        size_bytes = store.size_bytes(Path(path))
    except NotBeneath as refused:
        return refused.strerror
    except (FileNotFoundError, NotADirectoryError):
        return "the file is missing"
    except OSError as refused:
        return f"it cannot be checked: {refused.strerror}"
    if expected_bytes is not None and size_bytes != expected_bytes:
        return f"it has {size_bytes:,} bytes instead of {expected_bytes:,}"
    return None
