"""Windows. What only Windows has is looked up when it is called, so that other systems can load and test this."""

from __future__ import annotations

import math
import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

from bulkpull.platforms.posix import Platform

_SYNCHRONIZE = 0x0010_0000
_WAIT_TIMEOUT = 0x102
_ERROR_ACCESS_DENIED = 5
_CREATE_NEW_PROCESS_GROUP = 0x200
# A virus scanner or a reader that has the target open for a moment refuses the rename for as long.
REPLACE_WAITS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
_TASKKILL_S = 10.0
# From here on, exit statuses are NTSTATUS codes of a crash.
_FIRST_NTSTATUS = 0xC000_0000


class Windows(Platform):
    program_suffix: ClassVar[str] = ".exe"
    has_atomic_links: ClassVar[bool] = False
    renames_open_files: ClassVar[bool] = False
    # By the second, another process can ask this one to end.
    stop_names: ClassVar[tuple[str, ...]] = ("SIGINT", "SIGBREAK")

    def __init__(self) -> None:
        super().__init__()
        # A descriptor has one position, which reading and writing at an offset have to share.
        self._position = Lock()

    def read_at(self, descriptor: int, size_bytes: int, offset: int) -> bytes:
        with self._position:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.read(descriptor, size_bytes)

    def write_at(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        with self._position:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.write(descriptor, data)

    def sync_folder(self, folder: Path) -> None:
        """Nothing: a folder cannot be opened, and NTFS writes renames to its journal in order."""

    def replace_file(self, source: Path, target: Path) -> None:
        """Try again for two seconds at most while another program has the target open."""
        for wait_s in REPLACE_WAITS_S:
            try:
                source.replace(target)
            except PermissionError:
                time.sleep(wait_s)
            else:
                return
        source.replace(target)

    def is_process_alive(self, pid: int) -> bool:
        """`os.kill(pid, 0)` would send Ctrl-C to the process here."""
        kernel = _kernel32()
        handle = kernel.OpenProcess(_SYNCHRONIZE, 0, pid)
        if not handle:
            return bool(kernel.GetLastError() == _ERROR_ACCESS_DENIED)
        try:
            return bool(kernel.WaitForSingleObject(handle, 0) == _WAIT_TIMEOUT)
        finally:
            kernel.CloseHandle(handle)

    def own_group_options(self) -> Mapping[str, Any]:
        return {"creationflags": _CREATE_NEW_PROCESS_GROUP}

    @contextmanager
    def guarded(self, words: Sequence[str]) -> Iterator[tuple[Sequence[str], Mapping[str, Any]]]:
        """Nothing can be promised."""
        yield words, self.own_group_options()

    def end_with_children(self, pid: int) -> None:
        """By `taskkill`, which is part of Windows: a group of processes cannot be ended at once."""
        subprocess.run(  # noqa: S603 - a number is its only argument from outside
            ["taskkill", "/T", "/F", "/PID", str(pid)],  # noqa: S607 - found where Windows keeps it
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_TASKKILL_S,
        )

    def join_command(self, words: Sequence[str]) -> str:
        return subprocess.list2cmdline(words)

    def set_variable(self, name: str, value: str) -> str:
        """For PowerShell."""
        quoted = value.replace("'", "''")
        return f"$env:{name} = '{quoted}'"

    def split_command(self, command: str) -> list[str]:
        """A backslash separates folders and escapes nothing."""
        reader = shlex.shlex(command, posix=True, punctuation_chars=False)
        reader.whitespace_split, reader.escape, reader.quotes, reader.commenters = True, "", '"', ""
        return list(reader)

    def signal_name(self, returncode: int) -> str | None:
        """Windows has no signals; a crash has a status code."""
        return f"status 0x{returncode:08X}" if returncode >= _FIRST_NTSTATUS else None

    @contextmanager
    def stop_requests(self) -> Iterator[AsyncIterator[object]]:
        """By handlers of Python's own: event loops on Windows have none (`NotImplementedError`)."""
        import asyncio  # noqa: PLC0415 - slow to load, and a converting child has no use for it

        import anyio  # noqa: PLC0415 - as above

        loop = asyncio.get_running_loop()
        send, receive = anyio.create_memory_object_stream[object](math.inf)

        def handle(number: int, _frame: object) -> None:
            loop.call_soon_threadsafe(send.send_nowait, number)

        earlier = {number: signal.signal(number, handle) for number in self.stop_signals()}
        try:
            with send, receive:
                yield receive
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)

    def user_id(self) -> int | None:
        return None

    def open_file_limit(self, *, wanted: int = 0) -> int | None:  # noqa: ARG002 - there is no limit
        return None

    def forbid_core_dumps(self) -> None:
        """Nothing: Windows writes no core files by default."""

    def return_free_memory(self) -> None:
        """Nothing: the heap of Windows does so by itself."""

    def pass_channel(self, channel: socket.socket) -> tuple[str, Mapping[str, Any]]:  # noqa: ARG002 - sent, not inherited
        return "shared", {}

    def share_channel(self, channel: socket.socket, pid: int) -> bytes | None:
        shared: bytes = getattr(channel, "share")(pid)  # noqa: B009 - only Windows has it
        return shared

    def open_channel(self, name: str, read_share: Callable[[], bytes]) -> socket.socket:  # noqa: ARG002 - as above
        channel: socket.socket = getattr(socket, "fromshare")(read_share())  # noqa: B009 - only Windows has it
        return channel


def _kernel32() -> Any:
    import ctypes  # noqa: PLC0415 - needed here only

    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 - only Windows has it
    kernel.OpenProcess.restype = ctypes.c_void_p
    kernel.WaitForSingleObject.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
    kernel.CloseHandle.argtypes = (ctypes.c_void_p,)
    return kernel
