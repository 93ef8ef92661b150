"""
A recording of every outward effect on files: in this process by wrapped functions of `os` and `open`, in its children
by a `sitecustomize` that wraps the same ones.

What is written down, one JSON array a line, in the order of the effects:

    ["mkdir", path]  ["symlink", path, target]  ["link", from, to]  ["rename", from, to]  ["remove", path]
    ["content", path, digest]   what a reader of the file finds now; its bytes lie under that digest
    ["sync", path, digest]      these bytes were in the file when it was forced to the disk
    ["syncdir", path]           the names in a folder were forced to the disk
    ["ledger", digest]          the ledger as of its last commit; SQLite writes by itself, so it counts as one thing
    ["surroundings", name]      what is not on the disk changed before the next entry

Linux only: paths of descriptors come from /proc.
"""

from __future__ import annotations

import builtins
import hashlib
import io
import json
import os
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from threading import RLock
from typing import Any

ROOT, LOG = "TRIALS_ROOT", "TRIALS_LOG"
"""Names of environment variables: the recorded folder, and the folder of the recording."""

LEDGER, RUN_LOG = "ledger.sqlite", "/log.jsonl"
IN_CHILDREN = Path(__file__).parent / "in_children"
_MODES_OF_WRITING = set("wax+")


class Recorder:
    """
    Writes down what happens to files below `root`.

    Args:
        log: A folder for the recording; several processes may write to it.
        ledger: The ledger to watch; one process does.
        surroundings: Names what else has changed since it was last asked, `None` for nothing.
    """

    def __init__(
        self,
        root: Path,
        log: Path,
        *,
        ledger: Path | None = None,
        surroundings: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._root, self._log, self._ledger, self._surroundings = str(root), log, ledger, surroundings
        self._turn = RLock()
        self._dirty: dict[str, str | None] = {}
        self._database: sqlite3.Connection | None = None
        self._version: int | None = None
        (log / "bytes").mkdir(parents=True, exist_ok=True)
        self._lines = (log / "entries.jsonl").open("a", encoding="utf-8")
        self._plain = {name: getattr(os, name) for name in _WRAPPED}
        self._plain_open: Any = io.open

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record while the block lasts."""
        self.begin()
        try:
            yield
        finally:
            self._swap({id(wrapped): plain for plain, wrapped in self._pairs})
            self._look(at_end=True)
            if self._database is not None:
                self._database.close()
            self._lines.close()

    def begin(self) -> None:
        """Wrap the functions; in a child process for good."""
        self._pairs = [(plain, self._wrapped(plain, _WRAPPED[name])) for name, plain in self._plain.items()]
        self._pairs.append((self._plain_open, self._wrapped(self._plain_open, Recorder._opened)))
        # A child imports the program after this, and it asks there whether the system has handles of folders.
        for known in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
            known.update([wrapped for plain, wrapped in self._pairs if plain in known])
        self._swap({id(plain): wrapped for plain, wrapped in self._pairs})

    def _swap(self, other: Mapping[int, Any]) -> None:
        """Exchange functions wherever they are known by a name, also where a module of ours has kept one."""
        ours = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == "bulkpull"]
        for module in (os, io, builtins, *ours):
            for name, value in list(vars(module).items()):
                if id(value) in other:
                    setattr(module, name, other[id(value)])

    def _wrapped(self, plain: Any, record: Any) -> Any:
        @wraps(plain)
        def call(*args: Any, **options: Any) -> Any:
            with self._turn:
                return record(self, plain, *args, **options)

        return call

    # How each function is recorded: itself is called, and what it did is written down.

    def _opened(self, plain: Any, file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        if not isinstance(file, int) and _MODES_OF_WRITING & set(mode):
            opened = plain(file, mode, *args, **options)
            self._touch(self._relative(file))
            return opened
        return plain(file, mode, *args, **options)

    def _os_open(self, plain: Any, path: Any, flags: int, *args: Any, **options: Any) -> int:
        descriptor: int = plain(path, flags, *args, **options)
        if flags & (os.O_WRONLY | os.O_RDWR):
            self._touch(self._of(descriptor))
        return descriptor

    def _written(self, plain: Any, descriptor: int, *args: Any) -> Any:
        result = plain(descriptor, *args)
        self._touch(self._of(descriptor))
        return result

    def _synced(self, plain: Any, descriptor: int) -> None:
        path = self._of(descriptor)
        if path is None or self._is_ledger(path):
            plain(descriptor)
        elif stat.S_ISDIR(os.fstat(descriptor).st_mode):
            plain(descriptor)
            self._note("syncdir", path)
        else:
            # Taken before: what other threads write meanwhile may not be on the disk when the call returns.
            self._touch(path)
            digest = self._keep(self._read(path) or b"")
            plain(descriptor)
            self._note("sync", path, digest)

    def _made(self, plain: Any, path: Any, *args: Any, **options: Any) -> None:
        plain(path, *args, **options)
        self._note("mkdir", self._relative(path, options.get("dir_fd")))

    def _pointed(self, plain: Any, target: Any, path: Any, *args: Any, **options: Any) -> None:
        plain(target, path, *args, **options)
        self._note("symlink", self._relative(path, options.get("dir_fd")), os.fspath(target))

    def _linked(self, plain: Any, source: Any, path: Any, **options: Any) -> None:
        plain(source, path, **options)
        known = self._relative(source, options.get("src_dir_fd"))
        named = self._relative(path, options.get("dst_dir_fd"))
        if known is not None and named is not None:
            self._note("link", known, named)

    def _removed(self, plain: Any, path: Any, *args: Any, **options: Any) -> None:
        gone = self._relative(path, options.get("dir_fd"))
        plain(path, *args, **options)
        if gone is not None:
            self._dirty.pop(gone, None)
            if not self._is_ledger(gone):
                self._note("remove", gone)

    def _renamed(self, plain: Any, source: Any, target: Any, **options: Any) -> None:
        before = self._relative(source, options.get("src_dir_fd"))
        after = self._relative(target, options.get("dst_dir_fd"))
        if before is not None:
            self._look()
        plain(source, target, **options)
        if before is None or after is None:
            return
        self._dirty = {_moved(path, before, after): digest for path, digest in self._dirty.items()}
        self._note("rename", before, after)

    def _touch(self, path: str | None) -> None:
        """A file may have other bytes from now on."""
        if path is None or self._is_ledger(path):
            return
        self._dirty.setdefault(path, None)
        self._look()

    def _look(self, *, at_end: bool = False) -> None:
        """Write down what has changed: the ledger, then files that were opened for writing."""
        self._look_at_ledger()
        for path, known in list(self._dirty.items()):
            if known is not None and path.endswith(RUN_LOG) and not at_end:
                continue  # nothing reads it back, and every line of it would be a state of the disk
            content = self._read(path)
            if content is None:
                continue
            digest = self._keep(content)
            if digest != known:
                self._dirty[path] = digest
                self._write("content", path, digest)

    def _look_at_ledger(self) -> None:
        """By SQLite alone: to open and close the file in any other way would drop this process's locks on it."""
        if self._database is None:
            if self._ledger is None or not self._ledger.exists():
                return
            self._database = sqlite3.connect(f"{self._ledger.as_uri()}?mode=ro", uri=True, check_same_thread=False)
        version = self._database.execute("PRAGMA data_version").fetchone()[0]
        if version != self._version:
            self._version = version
            self._write("ledger", self._keep(self._database.serialize()))

    def _note(self, kind: str, path: str | None, *more: str) -> None:
        if path is not None:
            self._look()
            self._write(kind, path, *more)

    def _write(self, *entry: str) -> None:
        word = self._surroundings()
        for item in [("surroundings", word)] if word is not None else []:
            self._lines.write(json.dumps(item) + "\n")
        self._lines.write(json.dumps(entry) + "\n")
        self._lines.flush()

    def _keep(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()[:32]
        kept = self._log / "bytes" / digest
        if not os.path.exists(kept):  # noqa: PTH110 - Path would lead back to here
            descriptor = self._plain["open"](kept, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            self._plain["write"](descriptor, content)
            os.close(descriptor)
        return digest

    def _read(self, path: str) -> bytes | None:
        try:
            descriptor = self._plain["open"](os.path.join(self._root, path), os.O_RDONLY)  # noqa: PTH118 - as above
        except OSError:
            return None
        try:
            return b"".join(iter(lambda: os.read(descriptor, 1 << 20), b""))
        finally:
            os.close(descriptor)

    def _of(self, descriptor: int) -> str | None:
        """The path of an open file below the root; `None` for any other, and for one that has lost its name."""
        return self._relative(_name_of(descriptor))

    def _relative(self, path: Any, folder: int | None = None) -> str | None:
        if isinstance(path, int):
            return self._of(path)
        base = _name_of(folder) if folder is not None else os.getcwd()  # noqa: PTH109
        whole = os.path.normpath(os.path.join(base, os.fsdecode(path)))  # noqa: PTH118
        if whole.endswith(" (deleted)") or not whole.startswith(f"{self._root}/"):
            return "" if whole == self._root else None
        return whole[len(self._root) + 1 :]

    def _is_ledger(self, path: str) -> bool:
        return path.rpartition("/")[2].startswith(LEDGER)


_WRAPPED: dict[str, Any] = {
    "open": Recorder._os_open,
    "write": Recorder._written,
    "writev": Recorder._written,
    "pwrite": Recorder._written,
    "pwritev": Recorder._written,
    "ftruncate": Recorder._written,
    "fsync": Recorder._synced,
    "fdatasync": Recorder._synced,
    "mkdir": Recorder._made,
    "symlink": Recorder._pointed,
    "link": Recorder._linked,
    "unlink": Recorder._removed,
    "remove": Recorder._removed,
    "rmdir": Recorder._removed,
    "rename": Recorder._renamed,
    "replace": Recorder._renamed,
}


def _name_of(descriptor: int) -> str:
    return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - Path would lead back to here


def _moved(path: str, before: str, after: str) -> str:
    return after + path[len(before) :] if path == before or path.startswith(f"{before}/") else path
