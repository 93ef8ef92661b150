"""
The only access to an output: a folder on this machine today, and the protocol for an output elsewhere.

Names are paths relative to the output, as `Layout` makes them. Every store passes `tests/output/test_store.py`.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime
from io import BufferedIOBase
from pathlib import Path
from typing import Protocol

from bulkpull.conversion.output_formats import Source
from bulkpull.output.atomic_files import (
    link_or_copy,
    makedirs_durable,
    read_whole,
    replace_symlink,
    sync_folder,
    write_atomically,
)
from bulkpull.output.layout import RUN_ID, Layout, snapshot_name
from bulkpull.output.lock import locked
from bulkpull.output.symlink_safety import (
    NotBeneath,
    inner_parts,
    names_beneath,
    open_beneath,
    refuse_links,
    remove_beneath,
    rename_beneath,
    status_beneath,
)

# The name that `delete` gives a folder before it removes it: of a snapshot, or of a run.
_ASIDE = re.compile(rf".+-({snapshot_name('')})?{RUN_ID.pattern}")
INSIDE = Layout(Path())
"""The layout of any output, as names for its store."""


class OutputStore(Protocol):
    """
    An output, as the program writes and readers find it; `str` says where it is.

    Whatever is put is there whole or not at all, and stays there after a power cut once the call has returned. Methods
    raise `NotBeneath` for a name that leads out of the output, and `OSError` where the store refuses.
    """

    def __hash__(self) -> int:
        """Of two stores for one place the same."""

    def place(self, name: Path) -> str:
        """The place of that file, for messages and commands."""

    def read(self, name: Path) -> bytes | None:
        """The content of a file of ours (at most some megabytes); `None` when there is none."""

    def open(self, name: Path) -> AbstractContextManager[BufferedIOBase]:
        """A file of any size, to be read from its beginning; `FileNotFoundError` when there is none."""

    def source(self, name: Path) -> Source:
        """A file as the readers of tables take it; it is opened when it is read."""

    def size_bytes(self, name: Path) -> int:
        """The size of a file; `FileNotFoundError` when there is none."""

    def version(self, name: Path) -> str | None:
        """A text that changes with every change of the file; `None` if there is no file."""

    def exists(self, name: Path) -> bool:
        """Whether there is a file, a folder or a link of that name."""

    def list_names(self, name: Path) -> list[str]:
        """The names within a folder, sorted; none where there is no such folder."""

    def check_folder(self, name: Path) -> None:
        """Raise `OSError` where something is in the way of a folder of that name; it need not exist yet."""

    def put(self, name: Path, text: str) -> None:
        """Create or replace a file (UTF-8)."""

    def put_file(self, file: Path, name: Path) -> None:
        """Create or replace a file by a durable local one, which stays."""

    def put_folder(self, folder: Path, name: Path) -> None:
        """Create or replace a folder by a local one of the staging area, which is gone afterwards."""

    def put_link(self, name: Path, target: str) -> bool:
        """Make a name lead to a folder, relative to its own; false, and nothing is done, where there are no links."""

    def link_target(self, name: Path) -> str | None:
        """Where a link leads, as it was put; `None` when there is no such link."""

    def is_same_folder(self, one: Path, other: Path) -> bool:
        """Whether two names lead to the same folder, by links or not."""

    def swap_pointer(self, name: Path, text: str) -> None:
        """Create or replace the file that readers begin with, after everything that was put before it is durable."""

    def sync(self) -> None:
        """Make durable what an earlier call could not, as far as the store can tell."""

    def delete(self, name: Path) -> bool:
        """Remove a file, a link or a folder, whole: no reader finds a part of it. Returns whether it is gone."""

    def delete_leftovers(self) -> None:
        """Remove folders that an earlier `delete` hid from readers and could not remove."""

    def lock(self, *, since: datetime) -> AbstractAsyncContextManager[Callable[[], None]]:
        """Be the one writer for the block (else `OutputLocked`); it gets a check that the lock is held, as `locked`."""


@dataclass(frozen=True, slots=True)
class LocalStore:
    """A folder on this machine. No link within it is followed; the private folder itself may be one."""

    root: Path

    def __str__(self) -> str:
        return str(self.root)

    def place(self, name: Path) -> str:
        return str(self.root / name)

    def read(self, name: Path) -> bytes | None:
        return read_whole(*self._beneath(name))

    def open(self, name: Path) -> AbstractContextManager[BufferedIOBase]:
        return open_beneath(*self._beneath(name))

    def source(self, name: Path) -> Source:
        return self._path(name)

    def size_bytes(self, name: Path) -> int:
        return status_beneath(*self._beneath(name)).st_size

    def version(self, name: Path) -> str | None:
        with suppress(OSError):
            status = status_beneath(*self._beneath(name))
            return f"{status.st_mtime_ns}-{status.st_size}"
        return None

    def exists(self, name: Path) -> bool:
        return os.path.lexists(self._path(name))

    def list_names(self, name: Path) -> list[str]:
        return names_beneath(*self._beneath(name))

    def check_folder(self, name: Path) -> None:
        path, root = self._beneath(name)
        refuse_links(path, root)
        if path.exists() and not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{path} is not a folder")

    def put(self, name: Path, text: str) -> None:
        write_atomically(self._with_folder(name), text)

    def put_file(self, file: Path, name: Path) -> None:
        path = self._with_folder(name)
        link_or_copy(file, path)
        sync_folder(path.parent)

    def put_folder(self, folder: Path, name: Path) -> None:
        target = self._with_folder(name)
        sync_folder(folder)
        remove_beneath(target, root=self.root)
        rename_beneath(folder, target, root=Layout(self.root).private, target_root=self.root)
        sync_folder(target.parent)

    def put_link(self, name: Path, target: str) -> bool:
        link = self._with_folder(name)
        if link.is_dir() and not link.is_symlink():
            raise NotBeneath(
                f"{link} is a folder, not the link that it should be: what it holds is not kept up to date"
            )
        if replace_symlink(link, target):
            return True
        with suppress(OSError):
            link.parent.rmdir()  # without an empty folder
        return False

    def link_target(self, name: Path) -> str | None:
        with suppress(OSError):
            return os.readlink(self._path(name))  # noqa: PTH115 - a path would lose the leading dots' spelling
        return None

    def is_same_folder(self, one: Path, other: Path) -> bool:
        with suppress(OSError):
            return self._path(one).samefile(self._path(other))
        return False

    def swap_pointer(self, name: Path, text: str) -> None:
        write_atomically(self._path(name), text)  # every `put` has synced its file already

    def sync(self) -> None:
        sync_folder(self.root)  # the names in the folder itself, the pointer among them

    def delete(self, name: Path) -> bool:
        (path, root), layout = self._beneath(name), Layout(self.root)
        if path.is_symlink() or not path.is_dir():
            is_gone = remove_beneath(path, root=root)
            with suppress(OSError):
                sync_folder(path.parent)
            return is_gone
        private = layout.private.resolve()  # a link of its own is used; below it, none is
        aside = private / layout.retired.name / f"{path.parent.name}-{path.name}"
        with suppress(OSError):
            makedirs_durable(aside.parent, root=private)
            remove_beneath(aside, root=private)
            rename_beneath(path, aside, root=root, target_root=private)
            sync_folder(path.parent)  # before its content is deleted, or a power cut could restore it empty
            remove_beneath(aside, root=private)
            return True
        return not path.exists()

    def delete_leftovers(self) -> None:
        layout = Layout(self.root)
        for name in names_beneath(layout.retired, root=layout.private):
            if _ASIDE.fullmatch(name):  # others may use the private folder as well
                remove_beneath(layout.retired / name, root=layout.private)
        with suppress(OSError):
            layout.retired.rmdir()

    def lock(self, *, since: datetime) -> AbstractAsyncContextManager[Callable[[], None]]:
        return locked(Layout(self.root).private, since=since)

    def _path(self, name: Path) -> Path:
        return self.root.joinpath(*inner_parts(name.as_posix()))

    def _beneath(self, name: Path) -> tuple[Path, Path]:
        """The path, and the folder from which on no link is followed."""
        path, private = self._path(name), Layout(self.root).private
        return path, private if path.is_relative_to(private) else self.root

    def _with_folder(self, name: Path) -> Path:
        """The path, in a folder that is made if need be."""
        path, root = self._beneath(name)
        makedirs_durable(path.parent, root=root)
        return path


def open_store(output: Path) -> OutputStore:
    """The store of the output that the settings name: where a place that is no local folder would be chosen."""
    return LocalStore(output)
