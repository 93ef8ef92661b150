"""
Compares the content of a published file with the record of its publication.

It imports polars; `integrity`, which every export loads, must not.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from bulkpull.conversion.file_formats import format_of
from bulkpull.conversion.read_table import read_footer
from bulkpull.output.manifest import PublishedFile
from bulkpull.output.store import OutputStore
from bulkpull.redact import printable


def content_problem(file: PublishedFile, store: OutputStore, *, dataset: str, run_id: str) -> str | None:
    """The problem with the file's content (hash, rows, dataset or run), in words; `None` if there is none."""
    try:
        with store.open(Path(file.path)) as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as refused:
        return f"it cannot be read: {refused.strerror or refused}"
    if digest != file.sha256:
        return "its content has changed: the SHA-256 differs from the published one"
    rows, what = inspect_file(store, Path(file.path), dataset=dataset, run_id=run_id)
    if what is None and rows != file.rows:
        return f"it has {rows:,} rows, and the manifest says {file.rows:,}"
    return what


def inspect_file(store: OutputStore, path: Path, *, dataset: str, run_id: str) -> tuple[int, str | None]:
    """The rows of a published file, and the problem if it is not of that dataset and run."""
    try:
        footer = read_footer(path, source=store.source(path))
    except (OSError, ValueError) as refused:
        return 0, f"it is not a {format_of(path).name} file: {printable(str(refused), most=200)}"
    found = footer.lineage.get("dataset"), footer.lineage.get("run_id")
    if found != (dataset, run_id):
        return footer.rows, f"by its metadata it belongs to {found[0] or 'no dataset'}, run {found[1] or 'unknown'}"
    return footer.rows, None
