"""Conversion in a child process: what it answers, what happens when it dies, and that it never outlives its parent."""

from __future__ import annotations

import errno
import gzip
import os
import pickle
import signal
import socket
import subprocess
import sys
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import anyio
import anyio.abc
import pytest

import bulkpull
from bulkpull import platforms
from bulkpull.catalog import ColumnType
from bulkpull.conversion.messages import ColumnPlan, ConversionRequest, ConversionResult, Misfit
from bulkpull.conversion.worker import (
    HEAD,
    LENGTH,
    LONGEST_PAYLOAD_BYTES,
    MARK,
    FrameType,
    NotAFrame,
    frame,
    read_head,
)
from bulkpull.errors import ConverterDied, DiskTrouble, FileDamaged, NotTheReport, TooLarge
from bulkpull.pipeline.steps import convert as converting
from bulkpull.pipeline.steps import converter_process
from bulkpull.pipeline.steps.convert import BATCH_BYTES, convert_report, warm_up
from bulkpull.pipeline.steps.converter_process import Converter

pytestmark = pytest.mark.child_processes
CSV = b"MPNId,Quantity\r\n0012,7\r\n0013,007\r\n"
COLUMNS = (ColumnPlan("MPNId", ColumnType.STRING, identifier=True), ColumnPlan("Quantity", ColumnType.INT))


class Children:
    """Every child that was started, and every request sent, by way of the module's own functions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.started: list[Converter] = []
        self.batch_bytes: list[int] = []
        start, ask = converting._start, Converter.ask

        async def noted_start(limiter: anyio.CapacityLimiter, *, threads: int | None = None) -> Converter:
            self.started.append(await start(limiter, threads=threads))
            return self.started[-1]

        async def noted_ask(child: Converter, request: bytes) -> bytes | None:
            self.batch_bytes.append(pickle.loads(request).batch_bytes)  # noqa: S301 - from our own process
            return await ask(child, request)

        monkeypatch.setattr(converting, "_start", noted_start)
        monkeypatch.setattr(Converter, "ask", noted_ask)

    @property
    def alive(self) -> int:
        return sum(child.process.returncode is None for child in self.started)

    async def have_started(self) -> None:
        """Return once there is a child."""
        while not self.started:
            await anyio.lowlevel.checkpoint()


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Children:
    return Children(monkeypatch)


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "parquet"
    folder.mkdir()
    return folder


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "report.csv"
    path.write_bytes(gzip.compress(CSV))
    return path


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A file that gives its bytes only when the test says so: who opens it is in the middle of a conversion."""
    path = tmp_path / "slow.csv"
    os.mkfifo(path)
    return path


async def convert(
    source: Path, into: Path, *, limit: int = 1 << 40, limiter: anyio.CapacityLimiter | None = None
) -> ConversionResult:
    request = ConversionRequest(source, into, COLUMNS, {"bulkpull.dataset": "AzureUsage"}, limit, BATCH_BYTES)
    return await convert_report(request, limiter=limiter or anyio.CapacityLimiter(1))


async def convert_at_once(source: Path, into: Path, *, number: int, limiter: anyio.CapacityLimiter) -> None:
    """Convert the same file so many times, each into a folder of its own below `into`."""
    async with anyio.create_task_group() as conversions:
        for place in range(number):
            folder = into / str(place)
            folder.mkdir()
            conversions.start_soon(partial(convert, source, folder, limiter=limiter))


async def open_by_child(slow: Path) -> int:
    """Wait until a child reads `slow`; the end to write into."""
    return await anyio.to_thread.run_sync(lambda: os.open(slow, os.O_WRONLY))


async def test_a_report_becomes_parquet_and_its_account_comes_back(stored: Path, into: Path) -> None:
    table = await convert(stored, into)

    assert table.rows == 2
    assert [column.type for column in table.columns] == ["String", "String"]
    assert table.columns[1].misfit == Misfit(row=2, value="007")
    assert table.files[0].path == into / "part-00000.parquet"
    assert table.files[0].bytes == (into / "part-00000.parquet").stat().st_size
    assert table.unpacked_bytes == len(CSV)


@pytest.mark.fault(76, 79, 81)
@pytest.mark.parametrize(
    ("data", "limit", "error"),
    [
        (gzip.compress(CSV)[:-1], 1 << 40, FileDamaged),
        (CSV + b"0014\r\n", 1 << 40, NotTheReport),
        (CSV, 10, TooLarge),
    ],
    ids=["cut", "short row", "too large"],
)
async def test_refusals_come_back_as_they_were_raised(
    stored: Path, into: Path, data: bytes, limit: int, error: type[Exception]
) -> None:
    stored.write_bytes(data)

    with pytest.raises(error) as caught:
        await convert(stored, into, limit=limit)

    assert "the report's file" in str(caught.value)
    assert not list(into.iterdir())


@pytest.mark.fault(8)
async def test_a_folder_that_cannot_be_written_is_trouble_with_the_disk(stored: Path, tmp_path: Path) -> None:
    with pytest.raises(DiskTrouble):
        await convert(stored, tmp_path / "nowhere")


@pytest.mark.fault(92)
async def test_a_child_that_is_killed_is_replaced_once_with_smaller_batches(
    slow: Path, into: Path, children: Children
) -> None:
    tables: list[ConversionResult] = []

    async def converted() -> None:
        tables.append(await convert(slow, into))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(converted)
        first = await open_by_child(slow)
        (into / "part-00000.parquet").write_bytes(b"half a file")
        children.started[0].process.kill()
        await children.started[0].process.wait()
        os.close(first)
        with os.fdopen(await open_by_child(slow), "wb") as second:
            second.write(CSV)

    assert tables[0].rows == 2
    assert children.batch_bytes[0] == BATCH_BYTES > children.batch_bytes[1]
    assert [path.name for path in into.iterdir()] == ["part-00000.parquet"]


@pytest.mark.fault(92)
async def test_a_child_that_is_killed_twice_is_told_with_its_signal(slow: Path, into: Path, children: Children) -> None:
    async with anyio.create_task_group() as tasks:

        async def killed_twice() -> None:
            for number in range(2):
                end = await open_by_child(slow)
                children.started[number].process.kill()
                await children.started[number].process.wait()
                os.close(end)

        tasks.start_soon(killed_twice)
        with pytest.raises(ConverterDied, match="SIGKILL, which the system sends when memory runs out") as caught:
            await convert(slow, into)

    assert "run the same command again with more memory" in str(caught.value)

    assert len(children.started) == 2
    assert children.alive == 0


@pytest.mark.fault(92)
async def test_a_child_that_crashes_is_told_with_its_last_words(
    stored: Path, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unforeseen fault in the child is a crash, whatever its kind; its traceback's last line is what is reported."""
    stored.unlink()
    stored.mkdir()  # opening a folder is an error that nobody foresaw

    with pytest.raises(ConverterDied, match=r"ended with status 1 \(IsADirectoryError") as caught:
        await convert(stored, into)

    assert "a defect of bulkpull" in str(caught.value)
    assert "memory" not in str(caught.value)


@pytest.mark.fault(93)
async def test_cancelling_kills_the_child_in_the_middle_of_a_conversion(
    slow: Path, into: Path, children: Children
) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(convert, slow, into)
        end = await open_by_child(slow)
        tasks.cancel_scope.cancel()

    assert children.alive == 0
    assert children.started[0].process.returncode == -9
    with pytest.raises(BrokenPipeError), os.fdopen(end, "wb") as pipe:
        pipe.write(CSV)  # nobody reads any more


@pytest.mark.fault(93)
def test_a_child_ends_when_its_parent_is_gone(slow: Path, into: Path) -> None:
    """A parent that is killed cannot clean up, so the end of the child's input has to do."""
    request = ConversionRequest(slow, into, COLUMNS, {}, 1 << 40, BATCH_BYTES)
    message = pickle.dumps(request)
    ours, replies = socket.socketpair()
    command = [sys.executable, "-m", "bulkpull.conversion.worker", str(replies.fileno())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(replies.fileno(),)) as child:  # noqa: S603 - our own module
        assert child.stdin
        child.stdin.write(LENGTH.pack(len(message)) + message)
        child.stdin.flush()
        end = os.open(slow, os.O_WRONLY)

        child.stdin.close()

        assert child.wait() == 0
    os.close(end)
    ours.close()
    replies.close()


PARENT = """
import anyio, sys
from pathlib import Path
from bulkpull.catalog import ColumnType
from bulkpull.pipeline.steps.convert import convert_report
from bulkpull.conversion.messages import ColumnPlan, ConversionRequest
async def main():
    columns = (ColumnPlan("MPNId", ColumnType.STRING), ColumnPlan("Quantity", ColumnType.INT))
    request = ConversionRequest(Path(sys.argv[1]), Path(sys.argv[2]), columns, {}, 1 << 40, 1 << 22)
    await convert_report(request, limiter=anyio.CapacityLimiter(1))
anyio.run(main)
"""


@pytest.mark.fault(93)
def test_a_busy_child_ends_in_the_middle_of_its_file_when_its_parent_is_killed(slow: Path, into: Path) -> None:
    rows = b"0012,7\r\n" * 100_000
    command = [sys.executable, "-c", PARENT, str(slow), str(into)]
    with subprocess.Popen(command) as parent, slow.open("wb", buffering=0) as pipe:  # noqa: S603 - our own module
        pipe.write(CSV[: CSV.index(b"\n") + 1])
        while not list(into.iterdir()):  # once it writes, it is at work in all its stages
            pipe.write(rows)

        parent.kill()

        # The file has no end, so only the child's own end can stop it from reading on.
        with pytest.raises(BrokenPipeError):
            pipe.writelines(repeat(rows))

    assert parent.returncode == -signal.SIGKILL


@pytest.mark.fault(93)
async def test_a_child_is_out_of_reach_of_the_terminals_ctrl_c(stored: Path, into: Path, children: Children) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(warm_up, anyio.CapacityLimiter(1), most=9))
        await anyio.wait_all_tasks_blocked()
        await children.have_started()

        assert os.getsid(children.started[0].process.pid) != os.getsid(0)

        tasks.cancel_scope.cancel()


async def test_secrets_of_the_environment_do_not_reach_the_child(
    stored: Path, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, str]] = []
    honest = anyio.open_process

    async def noted(command: list[str], **options: object) -> object:
        seen.append(options["env"])  # type: ignore[arg-type]  # as the module passes it
        return await honest(command, **options)  # type: ignore[arg-type]  # the same

    monkeypatch.setenv("BULKPULL_CLIENT_SECRET", "a canary")
    monkeypatch.setattr(anyio, "open_process", noted)

    await convert(stored, into)

    assert "a canary" not in seen[0].values()


@pytest.mark.parametrize(
    ("cores", "at_once", "threads", "given"),
    [(64, 1, None, "4"), (4, 2, None, "2"), (2, 8, None, "1"), (64, 1, 1, "1")],
)
async def test_a_child_gets_settings_that_save_work_and_memory_and_the_users_own_settings_win(
    cores: int, at_once: int, threads: int | None, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, str]] = []

    async def noted(_: list[str], **options: object) -> object:
        seen.append(options["env"])  # type: ignore[arg-type]  # as the module passes it
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(anyio, "open_process", noted)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    for environment in ({}, {"MALLOC_TRIM_THRESHOLD_": "1"}):
        with pytest.raises(ConverterDied):
            await converter_process.start(environment, threads=threads, at_once=at_once)

    assert ("_RJEM_MALLOC_CONF" in seen[0]) is (threads is None)
    assert seen[0]["MALLOC_ARENA_MAX"] == "1"
    assert seen[1]["MALLOC_TRIM_THRESHOLD_"] == "1"
    assert seen[0]["POLARS_MAX_THREADS"] == given


@pytest.mark.parametrize("step", ["pass_channel", "share_channel"])
async def test_a_child_whose_channel_cannot_be_passed_leaves_no_process_and_no_open_socket(
    monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    pair, open_process = socket.socketpair(), anyio.open_process
    processes: list[anyio.abc.Process] = []

    async def noted(*arguments: Any, **options: Any) -> anyio.abc.Process:
        processes.append(await open_process(*arguments, **options))
        return processes[-1]

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOBUFS, "No buffer space available")

    monkeypatch.setattr(anyio, "open_process", noted)
    monkeypatch.setattr(socket, "socketpair", lambda: pair)
    monkeypatch.setattr(type(platforms.current()), step, refuse)
    with pytest.raises(OSError, match="No buffer space"):
        await converter_process.start({})

    assert [end.fileno() for end in pair] == [-1, -1]
    assert [process.returncode is not None for process in processes] == [True] * (step == "share_channel")


async def test_small_files_share_a_warm_child_and_none_is_left(
    stored: Path, tmp_path: Path, children: Children
) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(warm_up, anyio.CapacityLimiter(1), most=9))
        await children.have_started()
        for number in range(3):
            folder = tmp_path / str(number)
            folder.mkdir()
            assert (await convert(stored, folder)).rows == 2
        assert len(children.started) == 1
        tasks.cancel_scope.cancel()

    assert children.alive == 0


async def test_small_files_that_come_at_once_take_turns_in_one_child(
    stored: Path, tmp_path: Path, children: Children
) -> None:
    limiter = anyio.CapacityLimiter(2)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(warm_up, limiter, most=1))
        await children.have_started()
        await convert_at_once(stored, tmp_path, number=4, limiter=limiter)
        tasks.cancel_scope.cancel()

    assert (len(children.started), len(children.batch_bytes)) == (1, 4)


@pytest.mark.parametrize("changed", [("_QUICK_BYTES", 1), ("_QUEUE_BYTES", 1), ("TURN_S", 0.0)])
async def test_a_large_file_waits_for_no_other_nor_does_one_behind_many_or_a_slow_one(
    slow: Path, stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: tuple[str, float]
) -> None:
    monkeypatch.setattr(converting, *changed)
    limiter, folders = anyio.CapacityLimiter(2), [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(convert, slow, folders[0], limiter=limiter))
        end = await open_by_child(slow)

        assert (await convert(stored, folders[1], limiter=limiter)).rows == 2

        tasks.cancel_scope.cancel()
    os.close(end)


async def test_no_more_children_are_started_ahead_than_files_are_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Converter] = []

    async def start(_: anyio.CapacityLimiter) -> Converter:
        started.append(create_autospec(Converter, instance=True))
        return started[-1]

    monkeypatch.setattr(converting, "_start", start)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(warm_up, anyio.CapacityLimiter(2), most=1))
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()

    assert len(started) == 1
    started[0].end.assert_awaited_once()  # type: ignore[attr-defined]  # a double


async def test_a_child_that_grew_is_not_used_again(
    stored: Path, tmp_path: Path, children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converting, "_SMALL_BYTES", 1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(warm_up, anyio.CapacityLimiter(1), most=9))
        await children.have_started()
        for number in range(2):
            folder = tmp_path / str(number)
            folder.mkdir()
            await convert(stored, folder)
        tasks.cancel_scope.cancel()

    assert len(children.started) == 2
    assert children.alive == 0


async def test_a_child_that_grew_converts_the_files_that_wait_for_it_and_no_later_one(
    stored: Path, tmp_path: Path, children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converting, "_SMALL_BYTES", 1)
    monkeypatch.setattr(converting, "_QUICK_BYTES", 1)  # no turns: each waits for the limiter
    limiter, alive = anyio.CapacityLimiter(1), list[int]()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(warm_up, limiter, most=1))
        await children.have_started()
        await convert_at_once(stored, tmp_path, number=3, limiter=limiter)
        alive.append(children.alive)
        tasks.cancel_scope.cancel()

    assert (len(children.started), len(children.batch_bytes)) == (1, 3)
    assert alive == [0]


async def test_no_child_stays_when_two_runs_of_one_process_end_one_after_the_other(
    stored: Path, into: Path, children: Children
) -> None:
    async with anyio.create_task_group() as later:
        later.start_soon(partial(warm_up, anyio.CapacityLimiter(1), most=1))
        async with anyio.create_task_group() as earlier:
            earlier.start_soon(partial(warm_up, anyio.CapacityLimiter(1), most=1))
            while len(children.started) < 2:
                await anyio.lowlevel.checkpoint()
            earlier.cancel_scope.cancel()
        await convert(stored, into)
        later.cancel_scope.cancel()

    assert children.alive == 0


async def test_a_spare_child_that_died_while_idle_does_no_harm(stored: Path, into: Path, children: Children) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(warm_up, anyio.CapacityLimiter(1), most=9))
        await children.have_started()
        children.started[0].process.kill()
        await children.started[0].process.wait()

        assert (await convert(stored, into)).rows == 2

        tasks.cancel_scope.cancel()


def test_a_child_looks_for_the_package_where_this_process_has_it_and_not_within_the_package() -> None:
    assert Path(converter_process._PACKAGE_ROOT) == Path(bulkpull.__file__).parents[1]


@pytest.mark.case("C12")
async def test_words_on_standard_output_when_python_starts_are_nobodys_answer(
    stored: Path, into: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('eight le' * 4, flush=True)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    assert (await convert(stored, into)).rows == 2


@pytest.mark.case("C12")
@pytest.mark.parametrize("rubbish", ["b'eight letters, and some more'", "b'x' * 100_000"])
async def test_rubbish_on_the_channel_itself_ends_the_wait(  # noqa: PLR0917 - fixtures
    stored: Path, into: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rubbish: str, children: Children
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        f"import os, sys\nif sys.orig_argv[-1].isdigit(): os.write(int(sys.orig_argv[-1]), {rubbish})\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with pytest.raises(ConverterDied, match="its reply is not valid"):
        await convert(stored, into)

    assert (len(children.started), children.alive) == (2, 0)


@pytest.mark.case("C12")
async def test_a_child_that_is_stopped_is_given_up(
    slow: Path, into: Path, children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converter_process, "SILENCE_S", 0.05)
    start = converting._start

    async def start_stopped(limiter: anyio.CapacityLimiter, *, threads: int | None = None) -> Converter:
        child = await start(limiter, threads=threads)
        os.kill(child.process.pid, signal.SIGSTOP)
        return child

    monkeypatch.setattr(converting, "_start", start_stopped)

    with pytest.raises(ConverterDied, match="no heartbeat"):
        await convert(slow, into)

    assert (len(children.started), children.alive) == (2, 0)


@pytest.mark.case("C12")
async def test_a_child_that_lives_and_does_nothing_is_given_up(
    slow: Path, into: Path, children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for a file that nobody writes; its heartbeats alone are no work."""
    monkeypatch.setattr(converter_process, "STILL_S", 0.0)
    monkeypatch.setattr(converter_process, "_WORKING_S", 1e9)

    with pytest.raises(ConverterDied, match="it stood still"):
        await convert(slow, into)

    assert children.alive == 0


@pytest.mark.case("C12")
@pytest.mark.parametrize("died_while_idle", [1, 2])
async def test_spares_that_died_before_they_were_used_cost_no_try(
    stored: Path, into: Path, children: Children, died_while_idle: int
) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(warm_up, anyio.CapacityLimiter(2), most=9))
        while len(children.started) < 2:
            await anyio.lowlevel.checkpoint()
        for child in children.started[-died_while_idle:]:
            child.process.kill()
            await child.process.wait()

        assert (await convert(stored, into)).rows == 2

        tasks.cancel_scope.cancel()
    assert set(children.batch_bytes) == {BATCH_BYTES}


@pytest.mark.case("L5")
async def test_a_limit_on_processes_is_named(stored: Path, into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object, **__: object) -> object:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(anyio, "open_process", refused)

    with pytest.raises(ConverterDied, match=r"cannot start another process.*ulimit -u"):
        await convert(stored, into)


@pytest.mark.case("L5")
@pytest.mark.parametrize("words", ["RuntimeError: can't start new thread", "thread panicked: failed to spawn thread"])
def test_a_limit_on_threads_is_told_from_a_defect(words: str) -> None:
    error = converter_process._died_error(1, f"Traceback\n{words}\n")

    assert "a limit on processes or threads" in error.reason
    assert "defect" not in error.reason


@pytest.mark.case("C12")
def test_only_what_bears_the_mark_a_known_kind_and_a_possible_length_is_a_frame() -> None:
    good = frame(FrameType.REPLY, b"abc")
    assert read_head(good[: HEAD.size]) == (FrameType.REPLY, 3)

    for head in (
        HEAD.pack(b"eight le", FrameType.REPLY, 3),
        HEAD.pack(MARK, 9, 3),
        HEAD.pack(MARK, FrameType.REPLY, LONGEST_PAYLOAD_BYTES + 1),
    ):
        with pytest.raises(NotAFrame):
            read_head(head)


def test_the_parent_pays_nothing_for_what_the_child_needs() -> None:
    script = (
        "import sys, bulkpull.pipeline.steps.convert; sys.exit(bool({'polars', 'numpy', 'isal'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0  # noqa: S603 - our own module


def test_a_users_script_without_a_main_guard_is_not_run_twice(stored: Path, into: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import anyio, sys\n"
        "from pathlib import Path\n"
        "from bulkpull.catalog import ColumnType\n"
        "from bulkpull.pipeline.steps.convert import convert_report\n"
        "from bulkpull.conversion.messages import ColumnPlan, ConversionRequest\n"
        "async def main():\n"
        "    columns = (ColumnPlan('MPNId', ColumnType.STRING), ColumnPlan('Quantity', ColumnType.INT))\n"
        "    request = ConversionRequest(Path(sys.argv[1]), Path(sys.argv[2]), columns, {}, 10**9, 1 << 22)\n"
        "    table = await convert_report(request, limiter=anyio.CapacityLimiter(1))\n"
        "    print(table.rows)\n"
        "anyio.run(main)\n"
    )

    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, str(script), str(stored), str(into)], check=True, capture_output=True, text=True
    )

    assert done.stdout == "2\n"
