"""
The one door to an output: a folder on this machine today, and what a folder elsewhere would have to do.

Names are paths relative to the output, as `Layout` makes them. Whoever implements the protocol passes the tests of
`tests/output/test_store.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bulkpull.output.atomic_files import makedirs_durable, read_whole, sync_folder, write_atomically
from bulkpull.output.layout import RUN_ID, Layout, snapshot_name
from bulkpull.output.lock import locked
from bulkpull.output.no_follow import inner_parts, names_beneath, remove_beneath, rename_beneath

# What `delete` names a folder on its way out: of a snapshot, or of a run.
_ASIDE = re.compile(rf".+-({snapshot_name('')})?{RUN_ID.pattern}")
INSIDE = Layout(Path())
"""The layout of any output, as names for its store."""


class OutputStore(Protocol):
    """
    An output, as the program writes and readers find it.

    Whatever is put is there whole or not at all, and stays there after a power cut once the call has returned. Every
    method raises `NotBeneath` for a name that leads out of the output, and `OSError` where the store refuses.
    """

    def read(self, name: Path) -> bytes | None:
        """The content of a file of ours (at most some megabytes); `None` when there is none."""

    def put(self, name: Path, text: str) -> None:
        """Create or replace a file (UTF-8)."""

    def put_folder(self, folder: Path, name: Path) -> None:
        """Create or replace a folder by a local one of the staging area, which is gone afterwards."""

    def swap_pointer(self, name: Path, text: str) -> None:
        """Create or replace the file that readers begin with, after everything that was put before it is durable."""

    def list_names(self, name: Path) -> list[str]:
        """The names within a folder, sorted; none where there is no such folder."""

    def delete(self, name: Path) -> bool:
        """Remove a file or a folder, whole: no reader finds a part of it. Returns whether it is gone."""

    def delete_leftovers(self) -> None:
        """Remove what an earlier `delete` took out of readers' sight and could not remove."""

    def lock(self, *, since: str) -> AbstractAsyncContextManager[Callable[[], None]]:
        """
        Be the one writer for the block.

        Args:
            since: The moment to name to a second run, ISO 8601 UTC.

        Yields:
            A check that raises `DiskTrouble` when the lock is no longer held.

        Raises:
            OutputLocked: Another run holds it.
        """


@dataclass(frozen=True, slots=True)
class LocalStore:
    """
    A folder on this machine. No link within it is followed; the private folder itself may be one.

    Args:
        root: The output folder.
    """

    root: Path

    def read(self, name: Path) -> bytes | None:
        """As the protocol says. Raises `ValueError` for a file larger than any of ours."""
        return read_whole(self._path(name), root=self.root)

    def put(self, name: Path, text: str) -> None:
        """As the protocol says."""
        path = self._path(name)
        makedirs_durable(path.parent, root=self.root)
        write_atomically(path, text)

    def put_folder(self, folder: Path, name: Path) -> None:
        """As the protocol says; `folder` is on the same file system, within the private folder."""
        target = self._path(name)
        makedirs_durable(target.parent, root=self.root)
        sync_folder(folder)
        remove_beneath(target, root=self.root)
        rename_beneath(folder, target, root=Layout(self.root).private, target_root=self.root)
        sync_folder(target.parent)

    def swap_pointer(self, name: Path, text: str) -> None:
        """As the protocol says: every `put` has waited for the disk, so that nothing is left to be waited for."""
        write_atomically(self._path(name), text)

    def list_names(self, name: Path) -> list[str]:
        """As the protocol says."""
        return names_beneath(self._path(name), root=self.root)

    def delete(self, name: Path) -> bool:
        """As in the protocol; a folder that was renamed and could not be removed is left to `delete_leftovers`."""
        path, layout = self._path(name), Layout(self.root)
        private = layout.private.resolve()  # a link of its own is used; below it, none is
        aside = private / layout.retired.name / f"{path.parent.name}-{path.name}"
        with suppress(OSError):
            makedirs_durable(aside.parent, root=private)
            remove_beneath(aside, root=private)
            rename_beneath(path, aside, root=self.root, target_root=private)
            sync_folder(path.parent)  # before its content is deleted, or a power cut could restore it empty
            remove_beneath(aside, root=private)
            return True
        return not path.exists()

    def delete_leftovers(self) -> None:
        """As the protocol says; only what `delete` has named, since others may use the private folder as well."""
        layout = Layout(self.root)
        for name in names_beneath(layout.retired, root=layout.private):
            if _ASIDE.fullmatch(name):
                remove_beneath(layout.retired / name, root=layout.private)
        with suppress(OSError):
            layout.retired.rmdir()

    def lock(self, *, since: str) -> AbstractAsyncContextManager[Callable[[], None]]:
        """As the protocol says."""
        return locked(Layout(self.root).private, since=since)

    def _path(self, name: Path) -> Path:
        return self.root.joinpath(*inner_parts(name.as_posix()))
