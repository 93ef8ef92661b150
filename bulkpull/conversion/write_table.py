"""Writes batches to one durable file of a table format, in bounded memory."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import polars as pl

from bulkpull import platforms
from bulkpull.conversion.messages import FORMAT_KEY, TableFile, WideningRequest
from bulkpull.conversion.output_formats import format_of
from bulkpull.conversion.read_table import formats_of, rows_in
from bulkpull.conversion.type_inference import NARROW_BY_NAME
from bulkpull.errors import DiskTrouble

_READ_BYTES = 1 << 20
_WIDENED_ROW_GROUP_ROWS = 65_536
_LOOK_UP_S = 0.1
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
_DISK = {
    errno.EACCES: "permission is denied",
    errno.EPERM: "permission is denied",
    errno.EROFS: "the file system is read-only",
    errno.ENOENT: "the folder does not exist",
    errno.ENOTDIR: "it is not a folder",
    errno.EIO: "the device reports an error",
    errno.EFBIG: "the file system does not take files of that size",
}


def write_table(
    table: pl.LazyFrame,
    *,
    path: Path,
    row_group_rows: int,
    metadata: Mapping[str, str],
    formats: Mapping[str, str],
) -> TableFile:
    """
    Write a table in the order of its rows, and force the file to the disk; its row count is what a reader finds.

    Args:
        path: Its suffix names the format.
        row_group_rows: Rows of one row group, the unit that a reader skips or loads.
        formats: How the dates of columns were written; it becomes metadata of the file and of these columns.
    """
    path.touch()
    with _digest_of(path) as digest:
        format_of(path).files.write(
            table,
            path,
            row_group_rows=row_group_rows,
            metadata={**metadata, **{f"{FORMAT_KEY}{name}": form for name, form in formats.items()}},
            column_metadata={name: {FORMAT_KEY.rstrip("."): form} for name, form in formats.items()},
        )
    with path.open("r+b") as file:  # for writing, or Windows would not force it to the disk
        platforms.current().sync_file(file.fileno())
        size = file.seek(0, os.SEEK_END)
    return TableFile(path=path, rows=rows_in(path), bytes=size, sha256=digest().hex())


def widen_file(request: WideningRequest) -> TableFile:
    """Write the file of `request` with the columns and types of `request`, in this process."""
    files = format_of(request.source).files
    there = files.metadata(request.source)
    metadata = {name: text for name, text in there.items() if not name.startswith(FORMAT_KEY)}
    source = files.scan([request.source])
    present = {name.casefold(): name for name in source.collect_schema()}
    new_names: dict[str, str] = {}
    columns: list[pl.Expr] = []
    for name, type_name in request.types.items():
        dtype = NARROW_BY_NAME.get(type_name, pl.String())
        old_name = present.get(name.casefold())
        if old_name is None:
            columns.append(pl.lit(None, dtype=dtype).alias(name))
        else:
            new_names[old_name] = name
            columns.append(pl.col(old_name).cast(dtype).alias(name))
    formats = {new_names[name]: form for name, form in formats_of(there).items() if name in new_names}
    path = request.into / request.source.name
    with removed_on_error(path):
        written = write_table(
            source.select(columns),
            path=path,
            row_group_rows=_WIDENED_ROW_GROUP_ROWS,
            metadata=metadata,
            formats=formats,
        )
    assert written.rows == rows_in(request.source), "a cast changes no number of rows"
    return written


@contextmanager
def removed_on_error(path: Path) -> Iterator[None]:
    """Remove the file at `path` if the block fails; an error about the disk becomes `DiskTrouble`."""
    try:
        yield
    except Exception as error:
        path.unlink(missing_ok=True)
        if disk_error := conversion_disk_error(error, folder=path.parent):
            raise disk_error from error
        raise


@contextmanager
def _digest_of(path: Path) -> Iterator[Callable[[], bytes]]:
    """SHA-256 of a file that is only ever written at its end, made while it grows; it can be asked for afterwards."""
    is_whole = Event()

    def follow() -> bytes:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while True:
                is_last = is_whole.wait(_LOOK_UP_S)
                # Not to the end that a read finds: a device has none.
                while waiting_bytes := os.fstat(file.fileno()).st_size - file.tell():
                    digest.update(file.read(min(waiting_bytes, _READ_BYTES)))
                if is_last:
                    return digest.digest()

    with ThreadPoolExecutor(max_workers=1) as thread:
        following = thread.submit(follow)
        try:
            yield following.result
        finally:
            is_whole.set()


def conversion_disk_error(error: BaseException, *, folder: Path) -> DiskTrouble | None:
    """
    What an error says about the disk under `folder`; `None` when it is about something else.

    polars tells a full disk as a `ComputeError` whose text ends in "(os error 28)".
    """
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (found := _OS_ERROR.search(str(error))):
        number = int(found[1])
    if number in platforms.NO_ROOM:
        return DiskTrouble(
            f"no space left on the disk of {platforms.mount_point(folder)}",
            why=f"while converting in {folder}",
            fix="free some space (or point `output` at a larger disk), then run the same command again",
        )
    if number not in _DISK:
        return None
    return DiskTrouble(
        f"the report's file cannot be converted in {folder}",
        why=_DISK[number],
        fix="correct the permissions or check the disk, then run the same command again",
    )
