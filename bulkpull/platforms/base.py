"""The interface that each operating system implements, with what most of them have in common."""

from __future__ import annotations

import os
import signal
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:  # a tenth of the time of `--help` is modules that it does not need
    from socket import socket

INTERRUPTED = 130
"""The exit status of a process that was asked to end, as shells show it."""


class Platform(ABC):
    """
    The operations that differ between systems. Those on files raise `OSError`.

    Attributes:
        has_atomic_links: A link to a folder can be replaced in one step.
        renames_open_files: A file can be renamed or removed while this process has it open.
    """

    program_suffix: ClassVar[str]
    has_atomic_links: ClassVar[bool]
    renames_open_files: ClassVar[bool]

    def __init__(self) -> None:
        self._held_requests: list[int] = []

    def open_file(self, path: str | Path, flags: int, mode: int = 0o600) -> int:
        """Open a file for bytes; the descriptor is not inherited."""
        return os.open(path, flags | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0), mode)

    @abstractmethod
    def read_at(self, descriptor: int, size_bytes: int, offset: int) -> bytes:
        """Read at most `size_bytes` at `offset`; empty at the end of the file. Safe from several threads."""

    @abstractmethod
    def write_at(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        """Write at `offset`; returns how many bytes were written. Safe from several threads."""

    def sync_file(self, descriptor: int) -> None:
        """Make a file's content and size durable."""
        os.fsync(descriptor)

    def sync_data(self, descriptor: int) -> None:
        """Make a file's content durable; its timestamps may be lost."""
        self.sync_file(descriptor)

    @abstractmethod
    def sync_folder(self, folder: Path) -> None:
        """Make new and changed names in a folder durable, where the file system can."""

    def replace_file(self, source: Path, target: Path) -> None:
        """Rename `source` to `target` in one step, replacing what is there."""
        source.replace(target)

    @abstractmethod
    def is_process_alive(self, pid: int) -> bool:
        """Whether a process of this machine has not ended; true where this is not known."""

    @abstractmethod
    def own_group_options(self) -> Mapping[str, Any]:
        """Arguments of `subprocess.Popen` by which Ctrl-C in the terminal does not reach a child."""

    def guarded(self, words: Sequence[str]) -> AbstractContextManager[tuple[Sequence[str], Mapping[str, Any]]]:
        """
        How to start a command, in a group of its own, so that it ends when this process does, also by a kill.

        Within the block: the words to start, and the options of starting. Where nothing can be promised, the words as
        they are.
        """
        return nullcontext((words, self.own_group_options()))

    @abstractmethod
    def end_with_children(self, pid: int) -> None:
        """End a child that was started with `own_group_options`, and what it started. Raises `OSError`."""

    @abstractmethod
    def join_command(self, words: Sequence[str]) -> str:
        """A command line that can be pasted into the system's usual shell."""

    @abstractmethod
    def set_variable(self, name: str, value: str) -> str:
        """A line of the system's usual shell that sets an environment variable."""

    @abstractmethod
    def split_command(self, command: str) -> list[str]:
        """The words of a command line. Raises `ValueError` for a quote that is not closed."""

    @abstractmethod
    def signal_name(self, returncode: int) -> str | None:
        """The name of the signal that ended a process; `None` where it ended by itself."""

    @abstractmethod
    def stop_requests(self) -> AbstractContextManager[AsyncIterator[object]]:
        """Receive requests to stop (`stop_signals`) in the running event loop: an item for each request."""

    @abstractmethod
    def stop_signals(self) -> Sequence[int]:
        """
        The signals that ask this process to end.

        One that the caller ignores is not among them (case L6): `nohup` does so with SIGHUP, and a shell with the
        SIGINT of a job in the background.
        """

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
        return None

    def open_file_limit(self, *, wanted: int = 0) -> int | None:  # noqa: ARG002 - not every system has a limit
        """How many files this process may have open, `None` for no limit; first raises it towards `wanted`."""
        return None

    @abstractmethod
    def forbid_core_dumps(self) -> None:
        """Write no core file if this process crashes."""

    @abstractmethod
    def return_free_memory(self) -> None:
        """Give memory that this process has freed back to the system, if its C library keeps it and can be asked."""

    @abstractmethod
    def pass_channel(self, channel: socket) -> tuple[str, Mapping[str, Any]]:
        """The argument by which a child finds `channel`, and the arguments of `subprocess.Popen` to pass it."""

    def share_channel(self, channel: socket, pid: int) -> bytes | None:  # noqa: ARG002 - for systems that need it
        """What a child has to be sent on its standard input before anything else; `None` for nothing."""
        return None

    @abstractmethod
    def open_channel(self, name: str, read_share: Callable[[], bytes]) -> socket:
        """In the child: open the channel that the parent passed."""
