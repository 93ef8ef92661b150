"""Compares the names and sizes of a snapshot's files with the record of their publication; `verify` reads them too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from bulkpull.output.manifest import DatasetRecord, PublishedFile
from bulkpull.output.store import INSIDE, OutputStore
from bulkpull.output.symlink_safety import NotBeneath


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
    folder = INSIDE.snapshot(record.dataset, run_id)
    file_rows = sum(file.rows for file in record.files)
    if file_rows != record.rows:
        yield folder.as_posix(), f"the manifest says {record.rows:,} rows for it, and {file_rows:,} for its files"
    for name in sorted(set(store.list_names(folder)) - {Path(file.path).name for file in record.files}):
        what = "no run has written this file, but readers that use a pattern read it as data"
        yield (folder / name).as_posix(), what


def damaged_files(record: DatasetRecord, store: OutputStore) -> frozenset[str]:
    """The paths of a snapshot's files that are missing, or have another size than when they were published."""
    return frozenset(
        file.path for file in record.files if location_problem(store, file.path, expected_bytes=file.bytes) is not None
    )


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
