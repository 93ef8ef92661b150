"""Linux, macOS and other systems with POSIX calls."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bulkpull.platforms import command_guard
from bulkpull.platforms.base import Platform

if TYPE_CHECKING:
    from socket import socket

# What a file system says that has no such operation; EBADF is how some network file systems refuse to sync a folder.
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF}


class Posix(Platform):
    program_suffix: ClassVar[str] = ""
    has_atomic_links: ClassVar[bool] = True
    renames_open_files: ClassVar[bool] = True

    def read_at(self, descriptor: int, size_bytes: int, offset: int) -> bytes:
        return os.pread(descriptor, size_bytes, offset)

    def write_at(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        return os.pwrite(descriptor, data, offset)

    def sync_data(self, descriptor: int) -> None:
        getattr(os, "fdatasync", self.sync_file)(descriptor)

    def sync_folder(self, folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            self.sync_file(descriptor)
        except OSError as refused:
            if refused.errno not in _NO_FOLDER_SYNC:
                raise
        finally:
            os.close(descriptor)

    def is_process_alive(self, pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except (OSError, OverflowError):
            return True
        return True

    def own_group_options(self) -> Mapping[str, Any]:
        return {"start_new_session": True}

    @contextmanager
    def guarded(self, words: Sequence[str]) -> Iterator[tuple[Sequence[str], Mapping[str, Any]]]:
        """By a small program between the two, which sees the end of a pipe whose other end is held here."""
        inner, outer = os.pipe()
        try:
            command = (sys.executable, "-I", "-S", command_guard.__file__, str(inner), *words)
            yield command if sys.executable else words, {**self.own_group_options(), "pass_fds": (inner,)}
        finally:
            os.close(inner)
            os.close(outer)

    def end_with_children(self, pid: int) -> None:
        os.killpg(pid, signal.SIGKILL)

    def join_command(self, words: Sequence[str]) -> str:
        return shlex.join(words)

    def set_variable(self, name: str, value: str) -> str:
        return f"export {name}={shlex.quote(value)}"

    def split_command(self, command: str) -> list[str]:
        return shlex.split(command)

    def signal_name(self, returncode: int) -> str | None:
        if returncode >= 0:
            return None
        try:
            return signal.Signals(-returncode).name
        except ValueError:
            return f"signal {-returncode}"

    @contextmanager
    def stop_requests(self) -> Iterator[AsyncIterator[object]]:
        import anyio  # noqa: PLC0415 - slow to load, and a converting child has no use for it

        earlier = {number: signal.getsignal(number) for number in self.stop_signals()}
        try:
            with anyio.open_signal_receiver(*earlier) as signals:
                yield signals
        finally:  # the event loop leaves the default, by which SIGTERM ends a process without its exit status
            for number, handler in earlier.items():
                signal.signal(number, handler)

    def stop_signals(self) -> list[signal.Signals]:
        wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the last when a terminal closes
        return [number for number in wanted if signal.getsignal(number) is not signal.SIG_IGN]

    def user_id(self) -> int | None:
        return os.getuid()

    def open_file_limit(self, *, wanted: int = 0) -> int | None:
        if sys.platform == "win32":  # for the type checker
            return None
        import resource  # noqa: PLC0415 - Windows has none, and this module is loaded there too

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY:
            return None
        if soft < wanted:
            soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return soft

    def forbid_core_dumps(self) -> None:
        if sys.platform != "win32":
            import resource  # noqa: PLC0415 - as above

            resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))

    def return_free_memory(self) -> None:
        import ctypes  # noqa: PLC0415 - only a converting child needs it, which has loaded it

        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc; musl and macOS have none
        if trim is not None:
            trim(ctypes.c_size_t(0))

    def pass_channel(self, channel: socket) -> tuple[str, Mapping[str, Any]]:
        return str(channel.fileno()), {"pass_fds": (channel.fileno(),)}

    def open_channel(self, name: str, read_share: Callable[[], bytes]) -> socket:  # noqa: ARG002 - inherited, not sent
        from socket import socket  # noqa: PLC0415 - slow to load, and only a conversion needs it

        channel = socket(fileno=int(name))
        channel.set_inheritable(False)
        return channel


_NOT_SUPPORTED = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY}
_F_FULLFSYNC = 51  # <sys/fcntl.h> of macOS


class MacOS(Posix):
    """As `Posix`, except that `fsync` leaves data in the drive's cache."""

    def sync_file(self, descriptor: int) -> None:
        """Flush the drive's cache as well; network file systems do not support it and get a plain `fsync`."""
        import fcntl  # noqa: PLC0415 - Windows has none, and this module is loaded there too

        try:
            fcntl.fcntl(descriptor, getattr(fcntl, "F_FULLFSYNC", _F_FULLFSYNC))
        except OSError as refused:
            if refused.errno not in _NOT_SUPPORTED:
                raise
            os.fsync(descriptor)

    def sync_data(self, descriptor: int) -> None:
        self.sync_file(descriptor)  # `fdatasync`, where a Python has it, leaves the data in that cache as well
