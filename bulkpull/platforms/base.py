"""The interface that each operating system implements."""

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
"""The exit status of a process that was asked to end, as shells tell it."""


class Platform(ABC):
    """
    The operations that differ between systems.

    Attributes:
        has_atomic_links: Whether a link to a folder can be replaced in one step.
        renames_open_files: Whether a file can be renamed or removed while this process has it open.
    """

    program_suffix: ClassVar[str]
    has_atomic_links: ClassVar[bool]
    renames_open_files: ClassVar[bool]

    def __init__(self) -> None:
        self._held_requests: list[int] = []

    def open_file(self, path: str | Path, flags: int, mode: int = 0o600) -> int:
        """Open a file for bytes; the descriptor is not inherited. Raises `OSError`."""
        return os.open(path, flags | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0), mode)

    @abstractmethod
    def read_at(self, descriptor: int, size_bytes: int, offset: int) -> bytes:
        """Read at most `size_bytes` at `offset`; empty at the end of the file. Safe from several threads."""

    @abstractmethod
    def write_at(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        """Write at `offset`; returns how many bytes were written. Safe from several threads."""

    @abstractmethod
    def sync_file(self, descriptor: int) -> None:
        """Make a file's content and size durable. Raises `OSError`."""

    @abstractmethod
    def sync_data(self, descriptor: int) -> None:
        """Make a file's content durable; its timestamps may be lost. Raises `OSError`."""

    @abstractmethod
    def sync_folder(self, folder: Path) -> None:
        """Make new and changed names in a folder durable, where the file system can. Raises `OSError`."""

    @abstractmethod
    def replace_file(self, source: Path, target: Path) -> None:
        """Rename `source` to `target` in one step, replacing what is there. Raises `OSError`."""

    @abstractmethod
    def is_process_alive(self, pid: int) -> bool:
        """Whether a process of this machine has not ended; true where this cannot be told."""

    @abstractmethod
    def own_group_options(self) -> Mapping[str, Any]:
        """Arguments of `subprocess.Popen` by which Ctrl-C in the terminal does not reach a child."""

    def guarded(self, words: Sequence[str]) -> AbstractContextManager[tuple[Sequence[str], Mapping[str, Any]]]:
        """
        How to start a command, in a group of its own, so that it ends when this process does, also by a kill.

        Returns:
            Within the block: the words to start, and the options that starting takes. Where nothing can be promised,
            the words as they are.
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
        """
        Receive requests to stop (Ctrl-C, SIGTERM, SIGHUP) in the running event loop: an item for each request.

        A signal that the caller of this process ignores stays ignored.
        """

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
        """
        Let a request to stop raise `KeyboardInterrupt`.

        Raises:
            KeyboardInterrupt: One was held.
        """
        for number in self.stop_signals():
            signal.signal(number, signal.default_int_handler)
        if self._held_requests:
            self._held_requests.clear()
            raise KeyboardInterrupt

    def ignore_stop_requests(self) -> None:
        """Let a process that is ending end with its own exit status."""
        for number in self.stop_signals():  # Python takes down other handlers while it ends, and the default kills
            signal.signal(number, signal.SIG_IGN)

    @abstractmethod
    def user_id(self) -> int | None:
        """The user's number; `None` where users have none."""

    @abstractmethod
    def open_file_limit(self) -> int | None:
        """How many files this process may have open; `None` for no limit."""

    @abstractmethod
    def raise_open_file_limit(self, wanted: int) -> int | None:
        """Raise the limit to `wanted` as far as allowed; returns the limit that holds then, `None` for none."""

    @abstractmethod
    def forbid_core_dumps(self) -> None:
        """Write no core file if this process crashes."""

    @abstractmethod
    def return_free_memory(self) -> None:
        """Give memory that this process has freed back to the system, if its C library keeps it and can be asked."""

    @abstractmethod
    def inherit_options(self, channel: socket) -> Mapping[str, Any]:
        """Arguments of `subprocess.Popen` by which a child inherits `channel`."""

    @abstractmethod
    def name_channel(self, channel: socket) -> str:
        """What a child is given as its argument to find `channel`: see `open_channel`."""

    @abstractmethod
    def share_channel(self, channel: socket, pid: int) -> bytes | None:
        """What a child has to be sent on its standard input before anything else; `None` for nothing."""

    @abstractmethod
    def open_channel(self, name: str, read_share: Callable[[], bytes]) -> socket:
        """In the child: open the channel that the parent passed."""
