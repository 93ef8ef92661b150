"""Atomic file writes: write a temporary file, sync it, rename it, and sync its folder against a power loss."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from bulkpull import platforms
from bulkpull.errors import DiskTrouble
from bulkpull.output.symlink_safety import NotBeneath, names_beneath, open_beneath, refuse_links, remove_beneath
from bulkpull.untrusted_text import writable

_ASIDE = re.compile(r"\.(?P<name>.+)\.\d+\.new")
# The errors of a file system without this operation.
_NOT_IMPLEMENTED = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
# exFAT returns EPERM, network shares ENOTSUP, and Windows EINVAL if the user lacks the privilege.
_NO_LINKS = _NOT_IMPLEMENTED | {errno.EPERM}
# Windows returns EINVAL; some network and container file systems forbid the call instead.
_NO_HARD_LINKS = _NOT_IMPLEMENTED | {errno.EPERM, errno.EXDEV, errno.EMLINK}
# A pointer or a manifest takes kilobytes; a larger file is not one of them.
_MOST_JSON_BYTES = 256 << 20
_NO_PERMISSION = {errno.EACCES, errno.EPERM}
_NO_FOLDER = {errno.ENOTDIR, errno.EEXIST}
_ELSEWHERE = "another folder with --output"
_WRONG_PLACE = {errno.EROFS, *_NO_PERMISSION, *_NO_FOLDER}

RESERVE_BYTES = 4 << 20
"""Kept free on the disk: ledger, manifest and pointer have to be written even when data no longer can (fault 7)."""


@contextmanager
def disk_errors(path: Path | str, *, elsewhere: str = _ELSEWHERE) -> Iterator[None]:
    """
    Turn the system's refusals (no room, no permission, …) into one sentence about `path`: a `DiskTrouble`.

    `elsewhere` says which other place can be named, for a file that is not in the output folder.
    """
    try:
        yield
    except OSError as trouble:
        raise to_disk_error(trouble, path, elsewhere=elsewhere) from trouble


def to_disk_error(trouble: OSError, path: Path | str, *, elsewhere: str = _ELSEWHERE) -> DiskTrouble:
    """What the system refused, with the path and the next step; exit status 2 where it can never be written there."""
    error = _describe(trouble, path, elsewhere)
    if trouble.errno in _WRONG_PLACE:
        error.exit_code = 2  # the setting `output` is wrong (contract, section 3)
    return error


def _describe(trouble: OSError, path: Path | str, elsewhere: str) -> DiskTrouble:
    if isinstance(trouble, NotBeneath):
        return DiskTrouble(
            f"{path} is not used",
            why=trouble.strerror,
            fix="replace it by a folder or file of its own (a mount can lead to another disk), then run it again",
        )
    if trouble.errno in platforms.NO_ROOM:
        return no_room(Path(path), why=f"while writing {path}")
    if trouble.errno == errno.EROFS:
        return DiskTrouble(
            f"{path} cannot be written: its disk is mounted read-only",
            fix=f"mount it for writing, or choose {elsewhere}",
        )
    if trouble.errno in _NO_PERMISSION:
        user_id = platforms.current().user_id()
        return DiskTrouble(
            f"no permission to write {path}",
            why=trouble.strerror if user_id is None else f"{trouble.strerror} for user id {user_id}",
            fix=f"give this user write permission there, or choose {elsewhere}",
        )
    if trouble.errno in _NO_FOLDER:
        return DiskTrouble(f"{path} is in the way: it is not a folder", fix=f"choose {elsewhere}")
    fix = None if elsewhere == _ELSEWHERE else f"check that its folder exists, or choose {elsewhere}"
    return DiskTrouble(f"the disk refused an operation on {path}", why=trouble.strerror or str(trouble), fix=fix)


def no_room(path: Path, *, why: str) -> DiskTrouble:
    """The error for a full disk."""
    return DiskTrouble(
        f"no space left on the disk of {platforms.mount_point(path)}",
        why=why,
        fix="free some space (or point `output` at a larger disk), then run the same command again",
    )


def sync_folder(folder: Path) -> None:
    """Make renames and new names in `folder` durable, where its file system can. Raises `OSError`."""
    platforms.current().sync_folder(folder)


def makedirs_durable(folder: Path, *, root: Path | None = None) -> None:
    """Create `folder` and its missing parents, durably; the way from `root` may hold no link (`NotBeneath`)."""
    if root is not None:
        refuse_links(folder, root=root)
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync_folder(path.parent)


@contextmanager
def _written_aside(path: Path) -> Iterator[Path]:
    """A name beside `path` for what is to replace it; removed where the block fails."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        yield aside
    except BaseException:
        with suppress(OSError):
            aside.unlink()
        raise


def write_atomically(path: Path, text: str, *, private: bool = False) -> None:
    """Replace `path` by `text` (UTF-8), whole; only this user can ever read a `private` file."""
    with _written_aside(path) as aside:
        if private:
            aside.unlink(missing_ok=True)  # an existing file would keep its mode
        with open(aside, "w", encoding="utf-8", opener=_private if private else None) as file:
            file.write(text)
            file.flush()
            platforms.current().sync_file(file.fileno())
        platforms.current().replace_file(aside, path)
    sync_folder(path.parent)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_EXCL, 0o600)


def json_text(value: Any) -> str:
    """`value` as the indented JSON of our files (pure)."""
    return json_values(value, indent=2) + "\n"


def json_values(value: Any, *, indent: int | None = None) -> str:
    """`value` as JSON; texts that UTF-8 cannot carry are spelled out (pure)."""
    try:
        # Ten times as fast as `json`, whose indenting encoder is written in Python.
        return to_json(value, indent=indent).decode()
    except PydanticSerializationError:
        return to_json(writable(value), indent=indent).decode()


def read_whole(path: Path, root: Path) -> bytes | None:
    """The content of `path`, if there is such a file. Raises `ValueError` for one larger than any of ours."""
    with suppress(FileNotFoundError), open_beneath(path, root=root) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        if size_bytes > _MOST_JSON_BYTES:
            raise ValueError(f"it is larger than {_MOST_JSON_BYTES:,} bytes")
        return file.read(size_bytes)  # so much memory is taken before the first byte is read
    return None


def link_or_copy(source: Path, target: Path) -> None:
    """Give a durable file a second name, or a durable copy; the folder of `target` is not synced. Raises `OSError`."""
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError as trouble:
        if trouble.errno not in _NO_HARD_LINKS:
            raise
        shutil.copyfile(source, target)
        with target.open("r+b") as file:
            platforms.current().sync_file(file.fileno())


def replace_symlink(link: Path, target: str) -> bool:
    """Make `link` lead to `target`, atomically; false where there are no links, or none that can be replaced so."""
    if not platforms.current().has_atomic_links:
        return False
    with _written_aside(link) as aside:
        aside.unlink(missing_ok=True)
        try:
            aside.symlink_to(target, target_is_directory=True)
        except OSError as trouble:
            if trouble.errno in _NO_LINKS:
                return False
            raise
        aside.replace(link)
    sync_folder(link.parent)
    return True


def has_links(folder: Path) -> bool:
    """Whether the file system of `folder` has symbolic links, found out by making one. Raises `OSError`."""
    trial = folder / f".links.{os.getpid()}.new"
    if not replace_symlink(trial, "."):
        return False
    trial.unlink()
    return True


def remove_stale_temp_files(folder: Path, *, root: Path, names: Collection[str] | None = None) -> None:
    """Remove what a killed process had written aside in `folder` and not yet renamed; of `names` only, where given."""
    with suppress(OSError):
        for name in names_beneath(folder, root=root):
            aside = _ASIDE.fullmatch(name)
            if aside and (names is None or aside["name"] in names):
                remove_beneath(folder / name, root=root)
