"""
Checks whether a snapshot is still as it was published.

A snapshot is never changed after publication, but people, disks and other programs may damage it. Each run checks names
and sizes of current files and republishes damaged datasets (fault 10); `verify` checks every byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from bulkpull.output.manifest import Current, CurrentSnapshot, DatasetRecord, PublishedFile
from bulkpull.output.no_follow import NotBeneath, names_beneath, status_beneath
from bulkpull.output.run_history import load_manifest


def damaged_snapshots(output: Path, current: Current) -> dict[str, str]:
    """
    The current snapshots with a file that is missing or has a wrong size.

    Cheap: it reads manifests but no data.

    Returns:
        By dataset, a message about the first such file.
    """
    damaged: dict[str, str] = {}
    for dataset, snapshot in current.datasets.items():
        for path, what in _quick_problems(dataset, snapshot, output):
            damaged.setdefault(dataset, f"{path}: {what}")
    return damaged


def integrity_problems(
    record: DatasetRecord, output: Path, *, run_id: str, check_file: Callable[[PublishedFile], str | None] | None = None
) -> Iterator[tuple[str, str]]:
    """
    The differences between a snapshot and the record of its publication: path (relative to `output`) and problem.

    Args:
        check_file: Returns the problem inside a file whose size is right; without it only names and sizes are checked.
    """
    for file in record.files:
        what = _size_problem(file, output)
        if what is None and check_file is not None:
            what = check_file(file)
        if what is not None:
            yield file.path, what
    folder = f"datasets/{record.dataset}/run={run_id}"
    file_rows = sum(file.rows for file in record.files)
    if file_rows != record.rows:
        yield folder, f"the manifest tells {record.rows:,} rows for it, and {file_rows:,} for its files"
    for unexpected in sorted(
        set(names_beneath(output / folder, root=output)) - {Path(file.path).name for file in record.files}
    ):
        yield f"{folder}/{unexpected}", "no run has written this file, but readers that use a pattern read it as data"


def size_of(output: Path, path: str) -> int | None:
    """The size of a regular file beneath `output`, bytes; `None` when there is none."""
    try:
        return status_beneath(output, path).st_size
    except OSError:
        return None


def location_problem(output: Path, path: str) -> str | None:
    """Why there is no regular file at `path` beneath `output`, in words; `None` when there is one."""
    try:
        status_beneath(output, path)
    except NotBeneath as refused:
        return refused.strerror
    except (FileNotFoundError, NotADirectoryError):
        return "the file is missing"
    except OSError as refused:
        return f"it cannot be checked: {refused.strerror}"
    return None


def _quick_problems(dataset: str, snapshot: CurrentSnapshot, output: Path) -> Iterator[tuple[str, str]]:
    manifest = load_manifest(output, snapshot.run_id)
    for record in manifest.datasets if manifest else ():
        if record.dataset == dataset and record.status == "complete":
            yield from integrity_problems(record, output, run_id=snapshot.run_id)
            return
    for path in snapshot.files:  # the run that published it was killed before it could describe it
        if (what := location_problem(output, path)) is not None:
            yield path, what


def _size_problem(file: PublishedFile, output: Path) -> str | None:
    if (what := location_problem(output, file.path)) is not None:
        return what
    size = size_of(output, file.path) or 0
    return None if size == file.bytes else f"it has {size:,} bytes instead of {file.bytes:,}"
