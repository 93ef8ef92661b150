"""
Accesses files below a folder without following links and without leaving the folder.

The root itself may be a link, because its user chose it; a link planted below it could redirect deletion, reading or
writing. Where the system has directory handles (`dir_fd`), each step is opened relative to the step before, so that a
link planted in the meantime is detected too. Elsewhere (Windows) each step is checked before the path is used.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path, PurePosixPath, PureWindowsPath

_HAS_HANDLES = (
    hasattr(os, "O_NOFOLLOW")
    and hasattr(os, "O_DIRECTORY")
    and {os.open, os.unlink, os.rmdir, os.stat, os.rename} <= os.supports_dir_fd
    and os.scandir in os.supports_fd
)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
# A pipe is not waited for, and bytes are read as they are on Windows too.
_READ = os.O_RDONLY | _NO_FOLLOW | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
# By the letter that `ls -l` shows.
_KINDS = {"l": "a link", "d": "a folder", "p": "a pipe", "c": "a device", "b": "a device", "s": "a socket"}


class NotBeneath(OSError):
    """A path leads out of its folder, through a link, or to something that is no regular file or folder."""

    def __init__(self, what: str) -> None:
        super().__init__(errno.ELOOP, what)


def inner_parts(relative: str) -> tuple[str, ...]:
    """
    The parts of a relative path from an untrusted source (pure).

    Raises:
        NotBeneath: It is empty, absolute, or climbs by `..`; under Windows' rules as well as under those of POSIX.
    """
    windows = PureWindowsPath(relative)
    if not relative or "\0" in relative or windows.drive or windows.root or PurePosixPath(relative).is_absolute():
        raise NotBeneath(f"{relative!r} is no path within the folder")
    parts = PurePosixPath(relative).parts
    if not parts or ".." in parts or ".." in windows.parts:
        raise NotBeneath(f"{relative!r} leads out of the folder")
    return parts


@contextmanager
def open_beneath(path: Path, root: Path) -> Iterator[BufferedReader]:
    """Open a regular file to be read; `NotBeneath` where the path leads out, through a link, or to another thing."""
    with _reached(path.parent, root) as (base, handle):
        entry = base / path.name
        # Before it is opened: a device may act on that alone.
        _refuse_unless_regular(os.stat(entry, dir_fd=handle, follow_symlinks=False), path, root)
        descriptor = os.open(entry, _READ, dir_fd=handle)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor has no path
            _refuse_unless_regular(os.fstat(descriptor), path, root)
            yield file


def status_beneath(path: Path, root: Path) -> os.stat_result:
    """The status of a regular file. Raises as `open_beneath` does."""
    with _reached(path.parent, root) as (base, handle):
        found = os.stat(base / path.name, dir_fd=handle, follow_symlinks=False)
    _refuse_unless_regular(found, path, root)
    return found


def size_beneath(path: Path, *, root: Path) -> int | None:
    """The size of a regular file beneath `root`, bytes; `None` where there is none, or it lies elsewhere."""
    with suppress(OSError, ValueError):  # no system has a path with a NUL, which a damaged ledger may name
        return status_beneath(path, root=root).st_size
    return None


def refuse_links(folder: Path, root: Path) -> None:
    """Make sure that the way from `root` to `folder` holds no link (`NotBeneath`); what does not exist yet is fine."""
    path = root
    for part in _steps(folder, root):
        path /= part
        try:
            is_link = stat.S_ISLNK(path.lstat().st_mode)
        except FileNotFoundError:
            return
        is_junction = getattr(path, "is_junction", None)  # Windows, from Python 3.12 on
        if is_link or (is_junction and is_junction()):
            raise NotBeneath(f"{path} is a link, and bulkpull follows no links out of its folders")


def names_beneath(folder: Path, root: Path) -> list[str]:
    """The names within a folder beneath `root`, sorted; none where it does not exist or is reached by a link."""
    try:
        with _reached(folder, root) as (base, handle), os.scandir(base if handle is None else handle) as entries:
            return sorted(entry.name for entry in entries)
    except (FileNotFoundError, NotADirectoryError, NotBeneath):
        return []


def rename_beneath(source: Path, target: Path, *, root: Path, target_root: Path | None = None) -> None:
    """Rename a file or folder from beneath `root` to beneath `target_root`, or `root`, without following a link."""
    with (
        _reached(source.parent, root) as (old_base, old_handle),
        _reached(target.parent, target_root or root) as (new_base, new_handle),
    ):
        os.rename(old_base / source.name, new_base / target.name, src_dir_fd=old_handle, dst_dir_fd=new_handle)


def remove_beneath(path: Path, *, root: Path) -> bool:
    """Remove a file, a link itself, or a folder with all that is in it; returns whether it is gone."""
    with suppress(OSError):
        with suppress(FileNotFoundError), _reached(path.parent, root) as (base, handle):
            entry = base / path.name
            if stat.S_ISDIR(os.stat(entry, dir_fd=handle, follow_symlinks=False).st_mode):
                shutil.rmtree(entry, ignore_errors=True, dir_fd=handle)  # by handles, and without following links
                os.rmdir(entry, dir_fd=handle)  # of a junction (Windows) only itself
            else:
                os.unlink(entry, dir_fd=handle)
        return True
    return not os.path.lexists(root) or not os.path.lexists(path)


def _steps(folder: Path, root: Path) -> tuple[str, ...]:
    """The parts from `root` to `folder`; a name from an untrusted source must not lead upwards."""
    parts = folder.relative_to(root).parts if folder.is_relative_to(root) else ("..",)
    if ".." in parts:
        raise NotBeneath(f"{folder} leads out of {root}")
    return parts


@contextmanager
def _reached(folder: Path, root: Path) -> Iterator[tuple[Path, int | None]]:
    """Reach a folder one step at a time: what its names are relative to, and its handle where the system has them."""
    parts = _steps(folder, root)
    if not _HAS_HANDLES:
        refuse_links(folder, root=root)
        yield folder, None
        return
    flags = os.O_RDONLY | os.O_DIRECTORY
    handle = os.open(root, flags)
    try:
        for part in parts:
            try:
                following = os.open(part, flags | _NO_FOLLOW, dir_fd=handle)
            except OSError as refused:
                if stat.S_ISLNK(os.stat(part, dir_fd=handle, follow_symlinks=False).st_mode):
                    raise NotBeneath(f"{'/'.join(parts)}: {part} is a link, and none is followed here") from refused
                raise
            os.close(handle)
            handle = following
        yield Path(), handle
    finally:
        os.close(handle)


def _refuse_unless_regular(found: os.stat_result, path: Path, root: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.filemode(found.st_mode)[0], "something else")
        raise NotBeneath(f"{path.relative_to(root).as_posix()} is {kind}, not a regular file")
