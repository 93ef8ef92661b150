"""
The parent's side of a conversion process: starts it, sends requests, reads replies, ends it.

The process replies on a separate descriptor. Whatever happens to it (killed, stopped, blocked by a failed disk, or
something else writes to the descriptor), the parent's wait ends: after twice `SILENCE_S` without a heartbeat, or after
`STILL_S` without processor time (case C12).
"""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio.abc import Process

from bulkpull import platforms
from bulkpull.conversion.worker import HEAD, LENGTH, FrameType, NotAFrame, processor_seconds, read_head
from bulkpull.errors import ConverterDied
from bulkpull.redact import printable

SILENCE_S = 60.0
"""A child that sends nothing for twice as long has died, or is stopped."""
STILL_S = 900.0
"""After so many seconds without progress a living child counts as hung."""
# Heartbeats alone use less.
_WORKING_S = 0.05
_READ_BYTES = 64 << 10
# Batch after batch takes the same memory: giving it back to the system between them costs a tenth of the processor
# time. What polars has not used for three seconds goes back at once, not only when the system is short of memory:
# otherwise a child that converts one file after another keeps 100 MB more. The names are those of glibc, and of
# jemalloc as polars builds it; elsewhere they say nothing.
_KEPT_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),  # more is not allowed
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    "_RJEM_MALLOC_CONF": "background_thread:false,dirty_decay_ms:3000,muzzy_decay_ms:0,narenas:1",
}
# One thread decompresses and checks, and the others wait for it: more of them gain nothing, and each costs 15 MB. So do
# more threads than cores over all children.
_MOST_THREADS = 4
_LESS_MEMORY = {
    # numpy's linear algebra, which is not used here, would start a thread for every core.
    "OPENBLAS_NUM_THREADS": "1",
    # glibc gives each thread a heap of its own, and each keeps what batches took: 30 MB more after some files.
    "MALLOC_ARENA_MAX": "1",
}
_LAST_WORDS = 4_096
_PACKAGE_ROOT = str(Path(__file__).parents[3])
_NO_PROCESS = (errno.EAGAIN, errno.ENOMEM)
_LIMIT_WORDS = ("Resource temporarily unavailable", "can't start new thread", "failed to spawn thread", "WouldBlock")
_LIMIT_FIX = "raise the limit on processes and threads (`ulimit -u`, `pids.max` of the container) and run it again"


@dataclass(slots=True)
class Converter:
    """A child process and its channel; one that `has_grown` converted a large file and keeps some of the memory."""

    process: Process
    channel: socket.socket
    has_grown: bool = False
    _arrived: bytearray = field(default_factory=bytearray)
    _last_words: bytearray = field(default_factory=bytearray)

    async def ask(self, request: bytes) -> bytes | None:
        """
        Send a request; return the reply, `None` when the child ended without one.

        Raises:
            ConverterDied: It runs and sends no reply, or an invalid one; it cannot be used any more.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._collect_errors)
            await self.send(request)
            outcome: bytes | ConverterDied | None
            try:
                outcome = await self._reply()
            except ConverterDied as error:
                outcome = error  # raised outside of the task group, by itself
            if outcome is not None:
                tasks.cancel_scope.cancel()
        if isinstance(outcome, ConverterDied):
            raise outcome
        return outcome

    async def send(self, message: bytes) -> None:
        """Send a message; if the child has died, its exit status and output tell the cause later."""
        assert self.process.stdin
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self.process.stdin.send(LENGTH.pack(len(message)) + message)

    async def _collect_errors(self) -> None:
        assert self.process.stderr
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async for piece in self.process.stderr:
                self._last_words += piece
                del self._last_words[:-_LAST_WORDS]

    async def _reply(self) -> bytes | None:
        processor_s, since_s = 0.0, anyio.current_time()
        while (head := await self._exactly(HEAD.size)) is not None:
            try:
                kind, size_bytes = read_head(head)
                payload = await self._exactly(size_bytes)
                if payload is None or kind is FrameType.REPLY:
                    return payload
                used_s = processor_seconds(payload)
            except NotAFrame:
                raise died("its reply is not valid", fix="look for software that hooks into Python") from None
            now_s = anyio.current_time()
            if used_s - processor_s >= _WORKING_S:
                processor_s, since_s = used_s, now_s
            elif now_s - since_s >= STILL_S:
                why = f"it stood still for {now_s - since_s:,.0f} s"
                raise died(why, fix="check the disk or the network drive under the output folder")
        return None

    async def _exactly(self, size_bytes: int) -> bytes | None:
        """The next `size_bytes` bytes of the channel; `None` at its end."""
        while len(self._arrived) < size_bytes:
            # Twice: after this process itself was stopped for a while, the first wait ends before the news is read.
            for _ in range(2):
                with anyio.move_on_after(SILENCE_S):
                    await anyio.wait_readable(self.channel)
                    break
            else:
                why = f"it sent no heartbeat for {2 * SILENCE_S:,.0f} s"
                raise died(why, fix="check whether the process was stopped, or the machine is swapping")
            try:
                piece = self.channel.recv(_READ_BYTES)
            except ConnectionError:
                return None  # Windows reports a dead child this way
            if not piece:
                return None
            self._arrived += piece
        taken = bytes(self._arrived[:size_bytes])
        del self._arrived[:size_bytes]
        return taken

    async def end(self) -> None:
        with self.channel, suppress(ProcessLookupError):
            self.process.kill()
        await self.process.aclose()

    async def why_died(self) -> ConverterDied:
        return _died_error(await self.process.wait(), self._last_words.decode("utf-8", errors="replace"))


async def start(environment: Mapping[str, str], *, threads: int | None = None, at_once: int = 1) -> Converter:
    """
    Start a child, with so many threads of polars (`None`: its share of the cores for `at_once` children, four at most).

    Raises:
        ConverterDied: The system allows no further process.
    """
    # The second try of a conversion has one thread and little memory: there, memory goes back to the system.
    given = dict(_LESS_MEMORY)
    if threads is None:
        share_of_cores = max(1, min(_MOST_THREADS, (os.cpu_count() or 1) // at_once))
        given |= _KEPT_MEMORY | {"POLARS_MAX_THREADS": str(share_of_cores)}
    given |= environment
    given["PYTHONPATH"] = os.pathsep.join(filter(None, (_PACKAGE_ROOT, given.get("PYTHONPATH"))))
    if threads is not None:
        given["POLARS_MAX_THREADS"] = str(threads)
    here = platforms.current()
    ours, theirs = socket.socketpair()
    child: Converter | None = None
    try:
        ours.setblocking(False)
        channel_name, channel_options = here.pass_channel(theirs)
        # A session of its own: Ctrl-C in the terminal reaches the parent alone, which decides. -P: the folder that the
        # user is in imports nothing.
        process = await anyio.open_process(
            [sys.executable, "-P", "-m", "bulkpull.conversion.worker", channel_name],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=given,
            **here.own_group_options(),
            **channel_options,
        )
        child = Converter(process, ours)
        share = here.share_channel(theirs, process.pid)
        if share is not None:
            await child.send(share)
    except BaseException as error:
        ours.close()
        if child is not None:
            with anyio.CancelScope(shield=True):
                await child.end()
        if isinstance(error, OSError) and error.errno in _NO_PROCESS:
            why = f"the system cannot start another process ({error.strerror})"
            raise died(why, fix=_LIMIT_FIX) from None
        raise
    finally:
        theirs.close()
    return child


def died(why: str, *, fix: str) -> ConverterDied:
    return ConverterDied("the report's file was not converted: the conversion process died", why=why, fix=fix)


def _died_error(status: int, words: str) -> ConverterDied:
    name = platforms.current().signal_name(status)
    if name is not None:
        why = f"it was ended by {name}"
        if name == "SIGKILL":
            why += ", which the system sends when memory runs out"
        return died(why, fix="run the same command again with more memory or with fewer other programs running")
    if any(word in words for word in _LIMIT_WORDS):
        return died("a limit on processes or threads was reached", fix=_LIMIT_FIX)
    why, lines = f"it ended with status {status}", words.strip().splitlines()
    why += f" ({printable(lines[-1], most=300)})" if lines else ""
    return died(why, fix="report this as a defect of bulkpull; `keep_raw` keeps the file that it was found with")
