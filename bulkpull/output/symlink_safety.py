"""
Accesses files below a folder without following links and without leaving the folder.

The root itself may be a link, because its user chose it. Nothing below it may be a link: a planted link could redirect
deletion, reading or writing to another folder. Where the system has directory handles (`dir_fd`), each step is opened
relative to the step before, so that a link planted in the meantime is detected too. Elsewhere (Windows) each step is
checked before the path is used.
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
_KINDS = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


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
def open_beneath(root: Path, relative: str) -> Iterator[BufferedReader]:
    """
    Open a regular file beneath `root` to be read; links are not followed, pipes and devices are not waited for.

    Raises:
        NotBeneath: The path leads out, through a link, or to no regular file.
        OSError: There is no such file, or it cannot be read.
    """
    parts = inner_parts(relative)
    if not _HAS_HANDLES:
        path = root.joinpath(*parts)
        refuse_links(path, root=root)
        _refuse_unless_regular(path.lstat().st_mode, relative)
        with path.open("rb") as file:
            yield file
        return
    with _handle(root, parts[:-1]) as folder:
        flags = os.O_RDONLY | os.O_NOFOLLOW | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
        found = os.stat(parts[-1], dir_fd=folder, follow_symlinks=False)
        _refuse_unless_regular(found.st_mode, relative)  # before it is opened: a device may act on that alone
        descriptor = os.open(parts[-1], flags, dir_fd=folder)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor has no path
            _refuse_unless_regular(os.fstat(descriptor).st_mode, relative)
            yield file


def status_beneath(root: Path, relative: str) -> os.stat_result:
    """The status of a regular file beneath `root`."""
    parts = inner_parts(relative)
    if _HAS_HANDLES:
        with _handle(root, parts[:-1]) as folder:
            found = os.stat(parts[-1], dir_fd=folder, follow_symlinks=False)
    else:
        path = root.joinpath(*parts)
        refuse_links(path, root=root)
        found = path.lstat()
    _refuse_unless_regular(found.st_mode, relative)
    return found


def size_beneath(path: Path, *, root: Path) -> int | None:
    """The size of a regular file beneath `root`, bytes; `None` where there is none, or it lies elsewhere."""
    try:
        return status_beneath(root, path.relative_to(root).as_posix()).st_size
    except (OSError, ValueError):
        return None


def refuse_links(folder: Path, *, root: Path) -> None:
    """
    Make sure that the way from `root` to `folder` holds no link; what does not exist yet is fine.

    Raises:
        NotBeneath: A part of it is a link, or no folder; the message names it.
    """
    path = root
    for part in _steps(folder, root):
        path /= part
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return
        if _is_link(path, mode):
            raise NotBeneath(f"{path} is a link, and bulkpull follows no links out of its folders")


def names_beneath(folder: Path, *, root: Path) -> list[str]:
    """The names within a folder beneath `root`, sorted; none where it does not exist or is reached by a link."""
    try:
        if _HAS_HANDLES:
            with _handle_of(folder, root) as handle, os.scandir(handle) as entries:
                return sorted(entry.name for entry in entries)
        refuse_links(folder, root=root)
        return sorted(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError, NotBeneath):
        return []


def rename_beneath(source: Path, target: Path, *, root: Path, target_root: Path | None = None) -> None:
    """
    Rename a file or folder; both ends are reached without following a link.

    Args:
        root: The folder above `source`, and above `target` where there is no `target_root`.
    """
    target_root = target_root or root
    if not _HAS_HANDLES:
        refuse_links(source, root=root)
        refuse_links(target, root=target_root)
        source.rename(target)
        return
    with _handle_of(source.parent, root) as from_folder, _handle_of(target.parent, target_root) as to_folder:
        os.rename(source.name, target.name, src_dir_fd=from_folder, dst_dir_fd=to_folder)


def remove_beneath(path: Path, *, root: Path) -> bool:
    """
    Remove a file, a link itself, or a folder with all that is in it; what a link leads to is never touched.

    Returns:
        Whether it is gone. What cannot be removed, or is reached by a link only, stays.
    """
    with suppress(OSError):
        if _HAS_HANDLES:
            with _handle_of(path.parent, root) as folder:
                _remove_entry(path.name, folder)
        else:
            refuse_links(path.parent, root=root)
            _remove_path(path)
        return True
    return not os.path.lexists(root) or not os.path.lexists(path)


def _remove_entry(name: str, folder: int) -> None:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):
        shutil.rmtree(name, ignore_errors=True, dir_fd=folder)  # itself without following links, by handles
        with suppress(FileNotFoundError):
            os.rmdir(name, dir_fd=folder)
    else:
        os.unlink(name, dir_fd=folder)


def _remove_path(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode) and not _is_link(path, mode):
        shutil.rmtree(path)
    elif stat.S_ISDIR(mode):
        path.rmdir()  # a junction: only itself
    else:
        path.unlink()


@contextmanager
def _handle_of(folder: Path, root: Path) -> Iterator[int]:
    with _handle(root, _steps(folder, root)) as handle:
        yield handle


def _steps(folder: Path, root: Path) -> tuple[str, ...]:
    """The parts from `root` to `folder`; a name from an untrusted source must not lead upwards."""
    parts = folder.relative_to(root).parts if folder.is_relative_to(root) else ("..",)
    if ".." in parts:
        raise NotBeneath(f"{folder} leads out of {root}")
    return parts


@contextmanager
def _handle(root: Path, parts: tuple[str, ...]) -> Iterator[int]:
    """A handle of the folder that `parts` lead to from `root`, one step at a time."""
    flags = os.O_RDONLY | os.O_DIRECTORY | getattr(os, "O_CLOEXEC", 0)
    handle = os.open(root, flags)
    try:
        for part in parts:
            try:
                following = os.open(part, flags | os.O_NOFOLLOW, dir_fd=handle)
            except OSError as refused:
                if _is_link_in(part, handle):
                    raise NotBeneath(f"{'/'.join(parts)}: {part} is a link, and none is followed here") from refused
                raise
            os.close(handle)
            handle = following
        yield handle
    finally:
        os.close(handle)


def _is_link_in(name: str, folder: int) -> bool:
    with suppress(OSError):
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    return False


def _is_link(path: Path, mode: int) -> bool:
    is_junction = getattr(path, "is_junction", None)  # Windows, from Python 3.12 on
    return stat.S_ISLNK(mode) or bool(is_junction and is_junction())


def _refuse_unless_regular(mode: int, relative: str) -> None:
    if stat.S_ISREG(mode):
        return
    kind = next((words for is_kind, words in _KINDS if is_kind(mode)), "something else")
    raise NotBeneath(f"{relative} is {kind}, not a regular file")
