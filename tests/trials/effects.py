"""
`python effects.py export …`: the real command with every outward effect counted, and one of them going wrong.

The counting is wrapped around the libraries' functions, so the program knows nothing of it. Read from the environment:

    EFFECTS_ROOT    files below this folder count
    EFFECTS_LOG     every effect is written here, a line each, before it happens
    EFFECTS_STRIKE  `42:fail` the 42nd is refused; `42:full` so is every later one that needs room; `42:kill` the
                    process dies by SIGKILL in its place

Waits of the program take a twentieth of their time.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from threading import Lock
from typing import Any

import aiohttp
import anyio

HURRY = 20.0
_WRITING = set("wax+")
# A thread of its own writes it, line by line, and nothing reads it back.
_RUN_LOG = "/log.jsonl"

# What the system says when it refuses; "full" refuses whatever needs room.
_NO_ROOM = (OSError, errno.ENOSPC, "No space left on device")
_BROKEN = (OSError, errno.EIO, "Input/output error")
_HUNG_UP = (ConnectionResetError, errno.ECONNRESET, "Connection reset by peer")


class _Broken(sqlite3.OperationalError):
    """What SQLite raises when the disk fails under it."""

    sqlite_errorcode = sqlite3.SQLITE_IOERR


_REFUSALS: dict[str, tuple[Any, ...]] = {
    "open": _NO_ROOM,
    "write": _NO_ROOM,
    "mkdir": _NO_ROOM,
    "link": _NO_ROOM,
    "sync": _BROKEN,
    "rename": _BROKEN,
    "remove": _BROKEN,
    "commit": (_Broken, "disk I/O error"),
    "send": _HUNG_UP,
    "answer": _HUNG_UP,
    "start": (OSError, errno.EAGAIN, "Resource temporarily unavailable"),
}
_NEED_ROOM = {"open", "write", "mkdir", "link"}


class Effects:
    """Counts, and strikes."""

    def __init__(self, *, root: str, log: Path, strike: str | None) -> None:
        number, _, self._how = (strike or "0:none").partition(":")
        self._root, self._at = root, int(number)
        self._count, self._turn = 0, Lock()
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._write = os.write

    def strike(self, kind: str, what: object = "") -> None:
        """One effect is about to happen: count it, and when its turn has come, raise what the system would say."""
        with self._turn:
            self._count += 1
            number = self._count
            self._write(self._log, f"{number} {kind} {what}\n".encode())
        if number == self._at and self._how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        is_full = number > self._at > 0 and self._how == "full" and kind in _NEED_ROOM
        if (number == self._at and self._how in ("fail", "full")) or is_full:
            refusal, *facts = _REFUSALS[kind]
            raise refusal(*facts)

    def counts(self, path: Any, folder: int | None = None) -> bool:
        """Whether a path, or what is open under a descriptor, lies below the root."""
        if isinstance(path, int):
            reported = os.readlink(f"/proc/self/fd/{path}")  # noqa: PTH115 - the plain one
        elif folder is not None:
            reported = os.readlink(f"/proc/self/fd/{folder}")  # noqa: PTH115 - the plain one
        else:
            reported = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - the plain one
        return f"{reported}/".startswith(f"{self._root}/") and not reported.endswith(_RUN_LOG)

    def around(self, plain: Any, kind: str, *, position: int = 0) -> Any:
        """A function of `os` that counts."""

        @wraps(plain)
        def call(*args: Any, **options: Any) -> Any:
            folder = options.get("dir_fd", options.get("src_dir_fd"))  # of a rename: where its source lies
            if self.counts(args[position], folder):
                self.strike(kind, args[position])
            return plain(*args, **options)

        return call

    def opening(self, plain: Any) -> Any:
        """`open`, whose files count what is written to them."""

        def call(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
            counted = not isinstance(file, int) and bool(_WRITING & set(mode)) and self.counts(file)
            if counted:
                self.strike("open", file)
            opened = plain(file, mode, *args, **options)
            if counted:
                opened.write = self._writing(opened.write, file)
            return opened

        return call

    def _writing(self, plain: Any, file: Any) -> Any:
        def call(data: Any) -> Any:
            self.strike("write", file)
            return plain(data)

        return call

    def os_opening(self, plain: Any) -> Any:
        """`os.open`, where it may make a file."""

        @wraps(plain)
        def call(path: Any, flags: int, *args: Any, **options: Any) -> Any:
            if flags & os.O_CREAT and self.counts(path, options.get("dir_fd")):
                self.strike("open", path)
            return plain(path, flags, *args, **options)

        return call

    def sending(self, plain: Any) -> Any:
        """The one way in which aiohttp sends: the request may not go out, or its answer may be lost."""

        async def call(session: Any, method: str, url: Any, **options: Any) -> Any:
            self.strike("send", f"{method} {url.path}")
            response = await plain(session, method, url, **options)
            try:
                self.strike("answer", f"{method} {url.path}")
            except BaseException:
                response.close()
                raise
            return response

        return call

    def starting(self, plain: Any) -> Any:
        """The start of a child."""

        async def call(*args: Any, **options: Any) -> Any:
            self.strike("start")
            return await plain(*args, **options)

        return call

    def connecting(self, plain: Any) -> Any:
        """SQLite, whose commits count."""
        effects = self

        class Connection(sqlite3.Connection):
            def __exit__(self, *raised: object) -> Any:
                if raised[0] is None and self.in_transaction:
                    try:
                        effects.strike("commit")
                    except sqlite3.Error:
                        self.rollback()
                        raise
                return super().__exit__(*raised)  # type: ignore[arg-type]

            def executescript(self, script: str) -> sqlite3.Cursor:
                effects.strike("commit")
                return super().executescript(script)

        def call(*args: Any, **options: Any) -> Any:
            return plain(*args, **({"factory": Connection} | options))

        return call


def install(effects: Effects) -> Callable[[], None]:
    """Wrap everything that reaches the outside, wherever a module of ours has kept it; returns what undoes it."""
    pairs: list[tuple[Any, Any]] = [
        *((getattr(os, name), effects.around(getattr(os, name), "sync")) for name in ("fsync", "fdatasync")),
        *(
            (getattr(os, name), effects.around(getattr(os, name), "write"))
            for name in ("pwrite", "pwritev", "ftruncate")
        ),
        *((getattr(os, name), effects.around(getattr(os, name), "remove")) for name in ("unlink", "remove", "rmdir")),
        *((getattr(os, name), effects.around(getattr(os, name), "rename")) for name in ("rename", "replace")),
        (os.mkdir, effects.around(os.mkdir, "mkdir")),
        (os.symlink, effects.around(os.symlink, "link", position=1)),
        (os.link, effects.around(os.link, "link", position=1)),
        (os.open, effects.os_opening(os.open)),
        (io.open, effects.opening(io.open)),
        (sqlite3.connect, effects.connecting(sqlite3.connect)),
        (anyio.open_process, effects.starting(anyio.open_process)),
    ]
    other = {id(plain): wrapped for plain, wrapped in pairs}
    ours = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == "bulkpull"]
    replaced: list[tuple[Any, str, Any]] = [(aiohttp.ClientSession, "_request", aiohttp.ClientSession._request)]
    for module in (os, io, builtins, sqlite3, anyio, *ours):
        for name, value in list(vars(module).items()):
            if id(value) in other:
                replaced.append((module, name, value))
                setattr(module, name, other[id(value)])
    aiohttp.ClientSession._request = effects.sending(aiohttp.ClientSession._request)  # type: ignore[method-assign]

    def undo() -> None:
        for owner, name, value in replaced:
            setattr(owner, name, value)

    return undo


def hurry() -> None:
    """Let the program's waits take a fraction of their time; what it waits for is on this machine."""
    from bulkpull.clock import SystemClock  # noqa: PLC0415 - imported before what is wrapped

    plain = SystemClock.sleep

    async def sleep(clock: SystemClock, wait_s: float) -> None:
        await plain(clock, wait_s / HURRY)

    SystemClock.sleep = sleep  # type: ignore[assignment, method-assign]


def main() -> None:
    """Run the command."""
    import bulkpull.cli  # noqa: PLC0415 - before what is wrapped
    import bulkpull.cli.run_display  # noqa: PLC0415 - with all that it keeps

    hurry()
    environment = os.environ
    install(
        Effects(
            root=environment["EFFECTS_ROOT"],
            log=Path(environment["EFFECTS_LOG"]),
            strike=environment.get("EFFECTS_STRIKE"),
        )
    )
    bulkpull.cli.main()


if __name__ == "__main__":
    main()
