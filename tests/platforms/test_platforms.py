"""The three systems, each run here: what this machine does not have is emulated."""

from __future__ import annotations

import ast
import errno
import fcntl
import inspect
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from source_code import imports, nodes

from bulkpull import platforms
from bulkpull.cli.signals import run_interruptibly
from bulkpull.output.atomic_files import replace_symlink
from bulkpull.output.lock import _may_be_running
from bulkpull.platforms import Platform, choose_platform, windows
from bulkpull.platforms.posix import MacOS
from bulkpull.platforms.windows import Windows
from bulkpull.transfer.partial_file import PartialFile

BLOCK = 1_000
# What Windows' `os` and `signal` do not have.
NOT_ON_WINDOWS = ("pread", "pwrite", "fdatasync", "getuid", "killpg", "O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC")


@pytest.fixture
def on_windows(monkeypatch: pytest.MonkeyPatch) -> Windows:
    """A system without POSIX calls; its files are opened in binary mode by a flag."""
    for name in NOT_ON_WINDOWS:
        monkeypatch.delattr(os, name)
    monkeypatch.delattr(signal, "SIGKILL")
    here = Windows()
    monkeypatch.setattr("bulkpull.platforms.current", lambda: here)
    monkeypatch.setattr("bulkpull.output.symlink_safety._HAS_HANDLES", False)
    return here


@pytest.mark.parametrize(
    ("name", "kind"), [("linux", Platform), ("freebsd14", Platform), ("darwin", MacOS), ("win32", Windows)]
)
def test_each_system_gets_its_implementation(name: str, kind: type[Platform]) -> None:
    assert type(choose_platform(name)) is kind


def test_windows_overrides_whatever_calls_what_it_lacks() -> None:
    lacking = re.compile(rf"\b({'|'.join(NOT_ON_WINDOWS)}|SIGKILL|kill|pass_fds|resource|malloc_trim)\b(?!\", )")
    inherited = [
        function for name, function in vars(Platform).items() if callable(function) and name not in vars(Windows)
    ]

    assert Platform.open_file in inherited
    assert [function.__name__ for function in inherited if lacking.search(inspect.getsource(function))] == []


@pytest.mark.parametrize("here", [Platform(), Windows()], ids=["posix", "windows"])
def test_blocks_that_threads_write_and_read_at_the_same_time_do_not_mix(here: Platform, tmp_path: Path) -> None:
    descriptor = here.open_file(tmp_path / "file", os.O_RDWR | os.O_CREAT)

    def write(number: int) -> bool:
        block = bytes([number]) * BLOCK
        assert here.write_at(descriptor, block, number * BLOCK) == BLOCK
        return here.read_at(descriptor, BLOCK, number * BLOCK) == block

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(write, range(200)))
    os.close(descriptor)

    assert (tmp_path / "file").read_bytes() == b"".join(bytes([number]) * BLOCK for number in range(200))


def test_windows_opens_files_in_binary_mode(
    on_windows: Windows, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without the flag, Windows writes a carriage return before each line feed, also into gzip."""
    asked: list[int] = []

    def note(_: Path, flags: int, __: int) -> int:
        asked.append(flags)
        return 7

    monkeypatch.setattr(os, "O_BINARY", 1 << 30, raising=False)
    monkeypatch.setattr(os, "open", note)

    on_windows.open_file(tmp_path / "file", os.O_RDWR)

    assert asked[0] & (1 << 30)


async def test_a_partial_file_is_closed_while_it_is_renamed_on_windows(
    on_windows: Windows, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Windows refuses to rename or remove a file that is open."""
    partial = await PartialFile.opened(tmp_path / "file.part")
    await partial.write([b"abc\n"], offset=0)
    open_at_rename: list[bool] = []
    replace = Path.replace

    def rename(self: Path, target: Path) -> Path:
        open_at_rename.append(str(self) in open_files())
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", rename)
    await partial.rename(tmp_path / "file")
    await partial.write([b"def\n"], offset=4)
    await partial.fsync()

    assert (tmp_path / "file").read_bytes() == b"abc\ndef\n"
    assert open_at_rename == [False]

    partial.remove()
    assert str(tmp_path / "file") not in open_files()
    await partial.close()
    assert list(tmp_path.iterdir()) == []


def open_files() -> set[str]:
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.add(str(descriptor.readlink()))
    return found


@pytest.mark.parametrize(("refusals", "succeeds"), [(0, True), (3, True), (100, False)])
def test_windows_waits_for_a_reader_that_has_the_target_open(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refusals: int, succeeds: bool
) -> None:
    waits_s: list[float] = []
    replace, tries = Path.replace, iter(range(refusals))
    (tmp_path / "new").write_text("new")

    def refuse(self: Path, target: Path) -> Path:
        if next(tries, None) is not None:
            raise PermissionError(errno.EACCES, "Access is denied")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr("time.sleep", waits_s.append)

    if succeeds:
        Windows().replace_file(tmp_path / "new", tmp_path / "file")
        assert len(waits_s) == refusals
    else:
        with pytest.raises(PermissionError):
            Windows().replace_file(tmp_path / "new", tmp_path / "file")
        assert sum(waits_s) < 2


def test_windows_gets_no_link_because_it_cannot_be_replaced_in_one_step(on_windows: Windows, tmp_path: Path) -> None:
    assert not replace_symlink(tmp_path / "link", "target")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("handle", "last_error", "waited", "is_alive"),
    [(12, 0, 0x102, True), (12, 0, 0, False), (0, 87, 0, False), (0, 5, 0, True)],
    ids=["runs", "has ended", "no such process", "of another user"],
)
def test_windows_asks_the_kernel_whether_a_process_lives(
    monkeypatch: pytest.MonkeyPatch, handle: int, last_error: int, waited: int, is_alive: bool
) -> None:
    closed: list[int] = []
    kernel = SimpleNamespace(
        OpenProcess=lambda *_: handle,
        GetLastError=lambda: last_error,
        WaitForSingleObject=lambda *_: waited,
        CloseHandle=closed.append,
    )
    monkeypatch.setattr(windows, "_kernel32", lambda: kernel)
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("this sends Ctrl-C on Windows"))

    assert Windows().is_process_alive(4711) is is_alive
    assert closed == ([handle] if handle else [])


def test_posix_asks_for_a_process_by_signal_0() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert Platform().is_process_alive(child.pid)
    assert not Platform().is_process_alive(child.pid)


def test_the_writer_of_a_lock_is_looked_up_through_the_platform(on_windows: Windows) -> None:
    writer = {"host": socket.gethostname(), "pid": 4711}
    for is_alive in (True, False):
        on_windows.is_process_alive = lambda _, answer=is_alive: answer  # type: ignore[method-assign, misc]
        assert _may_be_running(writer) is is_alive


def test_windows_receives_ctrl_c_although_its_event_loops_have_no_signal_handlers(
    on_windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr("asyncio.unix_events._UnixSelectorEventLoop.add_signal_handler", refuse)
    before = signal.getsignal(signal.SIGINT)
    asked: list[bool] = []

    async def work() -> None:
        signal.raise_signal(signal.SIGINT)
        await anyio.sleep_forever()

    assert run_interruptibly(work, when_asked=lambda: asked.append(True))
    assert asked == [True]
    assert signal.getsignal(signal.SIGINT) is before


def test_work_that_ends_by_itself_was_not_interrupted_on_windows(on_windows: Windows) -> None:
    async def work() -> None:
        await anyio.lowlevel.checkpoint()

    assert not run_interruptibly(work, when_asked=lambda: pytest.fail("nobody asked"))


def test_windows_listens_for_ctrl_break_where_it_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[int, Any]] = []
    monkeypatch.setattr(signal, "SIGBREAK", 21, raising=False)
    monkeypatch.setattr(signal, "signal", lambda number, handler: heard.append((number, handler)))

    Windows().treat_termination_as_interrupt()

    assert heard == [(signal.SIGINT, signal.default_int_handler), (21, signal.default_int_handler)]


@pytest.mark.parametrize(
    ("here", "returncode", "name"),
    [
        (Platform(), -9, "SIGKILL"),
        (Platform(), -11, "SIGSEGV"),
        (Platform(), -250, "signal 250"),
        (Platform(), 1, None),
        (Windows(), 1, None),
        (Windows(), 0xC000_0005, "status 0xC0000005"),
    ],
)
def test_what_ended_a_process_has_a_name(here: Platform, returncode: int, name: str | None) -> None:
    assert here.signal_name(returncode) == name


def test_windows_ends_a_command_and_what_it_started_by_taskkill(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda words, **_: asked.append(words))

    Windows().end_with_children(4711)

    assert asked == [["taskkill", "/T", "/F", "/PID", "4711"]]


def test_macos_flushes_the_drive_and_takes_fsync_where_that_is_not_supported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def answer_with(number: int) -> Callable[..., int]:
        def flush(descriptor: int, operation: int) -> int:
            assert operation == 51
            asked.append("flush")
            if number:
                raise OSError(number, os.strerror(number))
            return 0

        return flush

    monkeypatch.setattr(os, "fsync", lambda _: asked.append("fsync"))
    monkeypatch.setattr(os, "fdatasync", lambda _: asked.append("fdatasync"), raising=False)
    for number, calls in ((0, ["flush"]), (errno.ENOTSUP, ["flush", "fsync"])):
        for sync in (MacOS().sync_file, MacOS().sync_data):
            asked.clear()
            monkeypatch.setattr(fcntl, "fcntl", answer_with(number))
            sync(7)
            assert asked == calls
    monkeypatch.setattr(fcntl, "fcntl", answer_with(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        MacOS().sync_file(7)
    monkeypatch.setattr(fcntl, "fcntl", answer_with(0))
    asked.clear()
    MacOS().sync_folder(tmp_path)
    assert asked == ["flush"]


def test_windows_hands_a_child_its_channel_by_sharing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """There a descriptor cannot be inherited: its share travels on standard input."""
    ours, theirs = socket.socketpair()
    parent, child = Windows(), Windows()
    by_share = {b"share for 4711": theirs}
    monkeypatch.setattr(socket, "fromshare", by_share.get, raising=False)
    shared = SimpleNamespace(share=lambda pid: b"share for %d" % pid)

    name, options = parent.pass_channel(theirs)
    assert dict(options) == {}
    share = parent.share_channel(shared, 4711)  # type: ignore[arg-type]
    assert share is not None
    assert child.open_channel(name, lambda: share) is theirs
    ours.close()
    theirs.close()


@pytest.mark.parametrize(
    "words", [[r"C:\Program Files\tell.exe", "--to", "the team"], ["tell.exe", r"\\server\share\it's here"]]
)
def test_windows_keeps_backslashes_and_apostrophes_of_a_command(words: list[str]) -> None:
    here = Windows()

    assert here.split_command(here.join_command(words)) == words


def test_a_variable_is_set_in_the_words_of_the_shell() -> None:
    assert Platform().set_variable("A", "it's") == "export A='it'\"'\"'s'"
    assert Windows().set_variable("A", "it's") == "$env:A = 'it''s'"


def test_calls_that_a_system_lacks_are_made_in_the_platform_modules_only() -> None:
    package = Path(platforms.__file__).parent.parent
    # It asks for each capability of its own, and has a second way without them.
    allowed = {package / "output" / "symlink_safety.py"}
    not_portable = {f"os.{name}" for name in NOT_ON_WINDOWS} | {
        "os.kill", "os.name", "os.symlink", "os.fchmod", "os.set_blocking", "sys.platform", "signal.SIGKILL",
        "signal.SIGTERM", "os.fsync", "os.sync",
    }  # fmt: skip
    # The name of the system's own password store, for people.
    reported = {
        (package / "auth" / "token_stores.py", "sys.platform"),
        (package / "cli" / "run_bundle.py", "sys.platform"),
    }

    for file in package.rglob("*.py"):
        if (package / "platforms") in file.parents or file in allowed:
            continue
        used = {
            ast.unparse(node)
            for node in nodes(file, holding=r"\b(os|sys|signal)\s*\.")
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        }
        assert {name for name in used & not_portable if (file, name) not in reported} == set(), file
        assert not imports(file) & {"fcntl", "resource", "pwd", "grp", "termios", "msvcrt", "winreg"}, file


def test_users_and_limits_are_unknown_on_windows() -> None:
    here = Windows()

    here.forbid_core_dumps()
    assert (here.user_id(), here.open_file_limit(), here.open_file_limit(wanted=512)) == (None, None, None)


@pytest.mark.parametrize("library", ["glibc", "another"])
def test_free_memory_goes_back_to_the_system_where_the_c_library_can_be_asked(
    monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    kept_bytes = []
    functions = {"malloc_trim": lambda pad: kept_bytes.append(pad.value)} if library == "glibc" else {}
    monkeypatch.setattr("ctypes.CDLL", lambda _: SimpleNamespace(**functions))

    Platform().return_free_memory()
    Windows().return_free_memory()

    assert kept_bytes == ([0] if library == "glibc" else [])


EMULATED = """
import os, signal, sys
import asyncio, ctypes, multiprocessing, shutil, socket, subprocess, tempfile
import anyio, aiohttp, filelock, polars, pydantic_settings, rich, structlog, typer
from asyncio import unix_events
from bulkpull import platforms
from bulkpull.platforms import Platform
from bulkpull.platforms.windows import Windows

def refuse(*_, **__):
    raise NotImplementedError

class Emulated(Windows):
    '''A child of this machine inherits its channel: the rest is as on Windows.'''
    pass_channel = Platform.pass_channel
    share_channel = Platform.share_channel
    open_channel = Platform.open_channel
    own_group_options = Platform.own_group_options

here = Emulated()
platforms.current = lambda: here
for name in NAMES:
    delattr(os, name)
unix_events._UnixSelectorEventLoop.add_signal_handler = refuse
from bulkpull.cli import main
sys.argv = ["bulkpull", *sys.argv[1:]]
main()
"""


@pytest.mark.timeout(300)
def test_a_whole_run_needs_nothing_that_windows_lacks(tmp_path: Path) -> None:
    program = EMULATED.replace("NAMES", repr(NOT_ON_WINDOWS))
    words = ["export", "Profile", "AzureUsage", "--demo", "--output", str(tmp_path / "out"), "--keep-raw"]
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "latest").exists()
    assert "read `current.json`" in done.stdout + done.stderr
    again = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program, "runs", "verify", "--output", str(tmp_path / "out")],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert again.returncode == 0, again.stdout + again.stderr
