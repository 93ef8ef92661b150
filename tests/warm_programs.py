"""
Starts of the program from a process that has imported it already: on Linux a start costs a tenth of a cold one.

`python -m bulkpull`, the conversion process, and programs of tests that begin with `WARM`, when they are started by
`subprocess`, are forked from a template process that imports the package once and runs none of it. Each is a process of
its own and a child of the process that asked for it: its exit status, signals, streams, environment and folder are as
after a cold start. What the interpreter or the dynamic linker read when a process begins cannot be given to a forked
one: a start that changes such a variable, or that has modules of its own in its folder, is a cold one. With TRIALS=all
every start is cold.
"""

from __future__ import annotations

import array
import ctypes
import os
import pickle
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from threading import Lock
from typing import Any

from blockbuster import BlockingError

LENGTH = struct.Struct("!Q")
PROGRAM, CONVERSION = "bulkpull", "bulkpull.conversion.worker"
WARM = "# This program may find all its modules imported.\n"
# What is read once, when a process begins. How memory goes back to the system changes no result, and may differ.
_READ_AT_START = ("PYTHON", "LD_", "LC_", "LANG", "GLIBC_", "OPENSSL_", "POLARS_", "TYPER_")
# Read later, or set anew in the new process.
_READ_LATER = ("PYTHONPATH", "PYTHONASYNCIODEBUG", "PYTHONWARNINGS", "PYTHONIOENCODING", "POLARS_MAX_THREADS")
_PR_SET_CHILD_SUBREAPER = 36
_TEMPLATE = Path(__file__).with_name("warm_template.py")
_PACKAGE_ROOT = str(Path(__file__).parent.parent)
_installed: list[WarmStarts] = []
_cold_start: Any = vars(subprocess.Popen)["_execute_child"]
_PARAMETERS = signature(_cold_start)
_ENDS = ("p2cread", "c2pwrite", "errwrite")
_PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")


@dataclass(frozen=True, slots=True)
class Order:
    """
    A program to start.

    Attributes:
        module: What `python -m` runs; empty for a program.
        program: What `python -c` runs.
        words: Its arguments.
        files: The numbers that the descriptors sent along get in the new process, in the order of sending.
    """

    module: str
    program: str
    words: tuple[str, ...]
    environment: dict[str, str]
    folder: str
    files: tuple[int, ...]
    own_session: bool


def send(connection: socket.socket, content: bytes, files: Sequence[int] = ()) -> None:
    """Send one message, with open files if there are any."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
    connection.sendmsg([LENGTH.pack(len(content))], rights)
    connection.sendall(content)


def receive(connection: socket.socket, most_files: int = 32) -> tuple[bytes, list[int]] | None:
    """One message and the files that came with it; `None` when the other side is gone."""
    head, files, _, _ = socket.recv_fds(connection, LENGTH.size, most_files)
    content = bytearray()
    while head and len(content) < LENGTH.unpack(head)[0]:
        piece = connection.recv(LENGTH.unpack(head)[0] - len(content))
        if not piece:
            return None
        content += piece
    return (bytes(content), list(files)) if head else None


@dataclass(slots=True)
class Template:
    """A process to fork from, started when it is first needed."""

    environment: dict[str, str]
    connection: socket.socket | None = None
    process: subprocess.Popen[bytes] | None = None

    def is_for(self, environment: Mapping[str, str]) -> bool:
        """Whether what is read when a process begins is the same."""
        return _read_at_start(environment) == _read_at_start(self.environment)

    def connect(self) -> socket.socket:
        """The connection for orders."""
        if self.connection is None:
            self.connection, theirs = socket.socketpair()
            with theirs:
                words = [sys.executable, str(_TEMPLATE), str(theirs.fileno())]
                options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
                self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
                    words, env=self.environment, cwd=_PACKAGE_ROOT, pass_fds=(theirs.fileno(),), **options
                )
            receive(self.connection)  # it is ready
        return self.connection

    def close(self) -> None:
        """End the process, if there is one."""
        if self.connection and self.process:
            self.connection.close()
            self.process.wait()


class WarmStarts:
    """
    The template processes of this process, and what may be started from them.

    Args:
        environment: What the template process begins with.
        connection: Leads to the template process; without it, one is started when it is first needed.
    """

    def __init__(self, environment: Mapping[str, str], connection: socket.socket | None = None) -> None:
        self._turn = Lock()
        self.templates = [Template(dict(environment), connection)]
        self._reaper: Any = ctypes.CDLL(None, use_errno=True)
        self.started = 0
        """How many programs were started from the template."""

    def order(self, given: Mapping[str, Any]) -> Order | None:
        """The order that a call of `Popen` amounts to; `None` if it needs a cold start."""
        words = given["args"]
        if isinstance(words, str | bytes | os.PathLike) or len(words) < 3:
            return None
        words = [os.fspath(word) for word in words]
        options, rest = (words[1:2], words[2:]) if words[1] == "-P" else ([], words[1:])
        module = rest[1] if rest[0] == "-m" else ""
        program = rest[1] if rest[0] == "-c" else ""
        if words[0] != sys.executable or not (module in (PROGRAM, CONVERSION) or program.startswith(WARM)):
            return None
        plain = {"executable": None, "preexec_fn": None, "shell": False, "gid": None, "gids": None, "uid": None}
        if any(given[name] not in (value, words[0], os.fsencode(words[0])) for name, value in plain.items()):
            return None
        if given["umask"] != -1 or given.get("process_group", -1) != -1 or not given["close_fds"]:
            return None
        environment = dict(os.environ if given["env"] is None else given["env"])
        folder = Path(os.fsdecode(given["cwd"] or "")).absolute()
        if self._find(environment) is None or (not options and not _is_without_modules(folder)):
            return None
        files, own_session = (0, 1, 2, *given["pass_fds"]), bool(given["start_new_session"])
        return Order(module, program, tuple(rest[2:]), environment, str(folder), files, own_session)

    def start(self, order: Order, files: Sequence[int]) -> int | None:
        """The id of the new process, a child of this one; `None` if there is no template to start it from."""
        with self._turn:
            template = self._find(order.environment)
            if template is None:
                return None
            try:
                connection = template.connect()
            except OSError:
                return None
            # The template's own child leaves, and this process inherits the program from it.
            self._reaper.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            try:
                send(connection, pickle.dumps(order), files)
                reply = receive(connection)
            except OSError:
                reply = None
            finally:
                self._reaper.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
            self.started += reply is not None
            return int(reply[0]) if reply else None

    def close(self) -> None:
        """End the template processes."""
        for template in self.templates:
            template.close()

    def _find(self, environment: Mapping[str, str]) -> Template | None:
        return next((template for template in self.templates if template.is_for(environment)), None)


@contextmanager
def warm(environment: Mapping[str, str]) -> Iterator[None]:
    """Within the block, starts that begin with this environment are warm too, where starts are warm at all."""
    template = Template(dict(environment))
    for starts in _installed:
        starts.templates.append(template)
    yield
    for starts in _installed:
        starts.templates.remove(template)
    template.close()


def _read_at_start(environment: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {
        name: value
        for name, value in environment.items()
        if name.startswith(_READ_AT_START) and name not in _READ_LATER
    }
    folders = environment.get("PYTHONPATH", "").split(os.pathsep)
    return found | {"PYTHONPATH": {folder for folder in folders if folder not in ("", _PACKAGE_ROOT)}}


def _is_without_modules(folder: Path) -> bool:
    """Whether a program that is started there can import nothing from there but the package itself."""
    if str(folder) == _PACKAGE_ROOT:
        return True
    return folder.is_dir() and not any(
        path.suffix == ".py" or (path / "__init__.py").exists() for path in folder.iterdir()
    )


def install(environment: Mapping[str, str], connection: socket.socket | None = None) -> WarmStarts:
    """Let every `Popen` of this process that starts the program start it from a template."""
    starts = WarmStarts(environment, connection)
    _installed[:] = [starts]

    def start_child(self: subprocess.Popen[Any], *values: Any, **names: Any) -> None:
        given = _PARAMETERS.bind(self, *values, **names).arguments
        try:
            order = starts.order(given)
        except BlockingError:  # in a test that lets nothing wait in the event loop, and this looks at folders
            order = None
        if order is None:
            _cold_start(self, *values, **names)
            return
        ends = [given[name] if given[name] != -1 else number for number, name in enumerate(_ENDS)]
        pid = starts.start(order, [*ends, *order.files[3:]])
        if pid is None:
            _cold_start(self, *values, **names)
            return
        own: Any = self
        own.pid, own._child_created = pid, True
        own._close_pipe_fds(*(given[name] for name in _PIPES))

    subprocess.Popen._execute_child = start_child  # type: ignore[attr-defined]
    return starts
