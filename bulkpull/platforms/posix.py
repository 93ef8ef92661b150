"""What differs between operating systems, as Linux and other POSIX systems do it, and macOS, which differs little."""

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

if TYPE_CHECKING:  # a tenth of the time of `--help` is modules that it does not need
    from socket import socket

INTERRUPTED = 130
"""The exit status of a process that was asked to end, as shells show it."""
# What a file system says that has no such operation; EBADF is how some network file systems refuse to sync a folder.
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF}
_NO_FULL_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY}
_F_FULLFSYNC = 51  # <sys/fcntl.h> of macOS


class Platform:
    """
    The operations that differ between systems; other systems override them. Those on files raise `OSError`.

    Attributes:
        has_atomic_links: A link to a folder can be replaced in one step.
        renames_open_files: A file can be renamed or removed while this process has it open.
        stop_names: The signals that ask a process to end; the last of POSIX comes when a terminal closes.
    """

    program_suffix: ClassVar[str] = ""
    has_atomic_links: ClassVar[bool] = True
    renames_open_files: ClassVar[bool] = True
    stop_names: ClassVar[tuple[str, ...]] = ("SIGINT", "SIGTERM", "SIGHUP")

    def __init__(self) -> None:
        self._held_requests: list[int] = []

    def open_file(self, path: str | Path, flags: int, mode: int = 0o600) -> int:
        """Open a file for bytes; the descriptor is not inherited."""
        return os.open(path, flags | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0), mode)

    def read_at(self, descriptor: int, size_bytes: int, offset: int) -> bytes:
        """Read at most `size_bytes` at `offset`; empty at the end of the file. Safe from several threads."""
        return os.pread(descriptor, size_bytes, offset)

    def write_at(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        """Write at `offset`; returns how many bytes were written. Safe from several threads."""
        return os.pwrite(descriptor, data, offset)

    def sync_file(self, descriptor: int) -> None:
        """Make a file's content and size durable."""
        os.fsync(descriptor)

    def sync_data(self, descriptor: int) -> None:
        """Make a file's content durable; its timestamps may be lost."""
        getattr(os, "fdatasync", self.sync_file)(descriptor)

    def sync_folder(self, folder: Path) -> None:
        """Make new and changed names in a folder durable, where the file system can."""
        descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            self.sync_file(descriptor)
        except OSError as refused:
            if refused.errno not in _NO_FOLDER_SYNC:
                raise
        finally:
            os.close(descriptor)

    def replace_file(self, source: Path, target: Path) -> None:
        """Rename `source` to `target` in one step, replacing what is there."""
        source.replace(target)

    def is_process_alive(self, pid: int) -> bool:
        """Whether a process of this machine has not ended; true where this is not known."""
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except (OSError, OverflowError):
            return True
        return True

    def own_group_options(self) -> Mapping[str, Any]:
        """Arguments of `subprocess.Popen` by which Ctrl-C in the terminal does not reach a child."""
        return {"start_new_session": True}

    @contextmanager
    def guarded(self, words: Sequence[str]) -> Iterator[tuple[Sequence[str], Mapping[str, Any]]]:
        """
        How to start a command, in a group of its own, so that it ends when this process does, also by a kill.

        Within the block: the words to start, and the options of starting. They start a small program between the two,
        which sees the end of a pipe whose other end is held here. Where nothing can be promised, the words as they are.
        """
        inner, outer = os.pipe()
        try:
            command = (sys.executable, "-I", "-S", command_guard.__file__, str(inner), *words)
            yield command if sys.executable else words, {**self.own_group_options(), "pass_fds": (inner,)}
        finally:
            os.close(inner)
            os.close(outer)

    def end_with_children(self, pid: int) -> None:
        """End a child that was started with `own_group_options`, and what it started. Raises `OSError`."""
        os.killpg(pid, signal.SIGKILL)

    def join_command(self, words: Sequence[str]) -> str:
        """A command line that can be pasted into the system's usual shell."""
        return shlex.join(words)

    def set_variable(self, name: str, value: str) -> str:
        """A line of the system's usual shell that sets an environment variable."""
        return f"export {name}={shlex.quote(value)}"

    def split_command(self, command: str) -> list[str]:
        """The words of a command line. Raises `ValueError` for a quote that is not closed."""
        return shlex.split(command)

    def signal_name(self, returncode: int) -> str | None:
        """The name of the signal that ended a process; `None` where it ended by itself."""
        if returncode >= 0:
            return None
        try:
            return signal.Signals(-returncode).name
        except ValueError:
            return f"signal {-returncode}"

    @contextmanager
    def stop_requests(self) -> Iterator[AsyncIterator[object]]:
        """Receive requests to stop (`stop_signals`) in the running event loop: an item for each request."""
        import anyio  # noqa: PLC0415 - slow to load, and a converting child has no use for it

        earlier = {number: signal.getsignal(number) for number in self.stop_signals()}
        try:
            with anyio.open_signal_receiver(*earlier) as signals:
                yield signals
        finally:  # the event loop leaves the default, by which SIGTERM ends a process without its exit status
            for number, handler in earlier.items():
                signal.signal(number, handler)

    def stop_signals(self) -> list[signal.Signals]:
        """
        The signals that ask this process to end.

        One that the caller ignores is not among them (case L6): `nohup` does so with SIGHUP, and a shell with the
        SIGINT of a job in the background.
        """
        numbers = [getattr(signal, name) for name in self.stop_names if hasattr(signal, name)]
        return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]

    def hold_stop_requests(self) -> None:
        """Let a request to stop wait for `treat_termination_as_interrupt`; a second one ends the process at once."""

        def hold(number: int, _frame: object) -> None:
            if self._held_requests:
                os._exit(INTERRUPTED)
            self._held_requests.append(number)

        for number in self.stop_signals():
            signal.signal(number, hold)

    def treat_termination_as_interrupt(self) -> None:
        """Let a request to stop raise `KeyboardInterrupt`, also here if one was held."""
        for number in self.stop_signals():
            signal.signal(number, signal.default_int_handler)
        if self._held_requests:
            self._held_requests.clear()
            raise KeyboardInterrupt

    def ignore_stop_requests(self) -> None:
        """Let a process that is ending end with its own exit status."""
        for number in self.stop_signals():  # Python takes down other handlers while it ends, and the default kills
            signal.signal(number, signal.SIG_IGN)

    def user_id(self) -> int | None:
        """The user's number; `None` where users have none."""
        return os.getuid()

    def open_file_limit(self, *, wanted: int = 0) -> int | None:
        """How many files this process may have open, `None` for no limit; first raises it towards `wanted`."""
        import resource  # noqa: PLC0415 - Windows has none, and loads this module too

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY:
            return None
        if soft < wanted:
            soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return soft

    def forbid_core_dumps(self) -> None:
        """Write no core file if this process crashes."""
        import resource  # noqa: PLC0415 - as above

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))

    def return_free_memory(self) -> None:
        """Give memory that this process has freed back to the system, if its C library keeps it and can be asked."""
        import ctypes  # noqa: PLC0415 - only a converting child needs it, which has loaded it

        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc; musl and macOS have none
        if trim is not None:
            trim(ctypes.c_size_t(0))

    def pass_channel(self, channel: socket) -> tuple[str, Mapping[str, Any]]:
        """The argument by which a child finds `channel`, and the arguments of `subprocess.Popen` to pass it."""
        return str(channel.fileno()), {"pass_fds": (channel.fileno(),)}

    def share_channel(self, channel: socket, pid: int) -> bytes | None:  # noqa: ARG002 - for systems that need it
        """What a child has to be sent on its standard input before anything else; `None` for nothing."""
        return None

    def open_channel(self, name: str, read_share: Callable[[], bytes]) -> socket:  # noqa: ARG002 - inherited, not sent
        """In the child: open the channel that the parent passed."""
        from socket import socket  # noqa: PLC0415 - slow to load, and only a conversion needs it

        channel = socket(fileno=int(name))
        channel.set_inheritable(False)
        return channel


class MacOS(Platform):
    """`fsync` leaves data in the drive's cache."""

    def sync_file(self, descriptor: int) -> None:
        """Flush the drive's cache as well; network file systems do not support it and get a plain `fsync`."""
        import fcntl  # noqa: PLC0415 - Windows has none, and loads this module too

        try:
            fcntl.fcntl(descriptor, getattr(fcntl, "F_FULLFSYNC", _F_FULLFSYNC))
        except OSError as refused:
            if refused.errno not in _NO_FULL_SYNC:
                raise
            os.fsync(descriptor)

    def sync_data(self, descriptor: int) -> None:
        self.sync_file(descriptor)  # `fdatasync`, where a Python has it, leaves the data in that cache as well
