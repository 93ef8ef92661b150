"""
An event loop whose time passes only when nothing else happens, so that every timer of the program and of its libraries
runs in virtual time: hours of a trickle take moments, and nothing depends on how busy the machine is.

Servers and clients of such a test live on the same loop. Time jumps to the next timer when no socket has news, no
callback waits and no worker thread is at work.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from support import START, _threads_work

T = TypeVar("T")
# News that is under way between two sockets of one process arrives within a few looks.
_LOOKS = 8


class VirtualClock:
    """Our clock by the time of the running loop; also keeps every wait that was asked for."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._began_s: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.sleeps_s: list[float] = []

    def now(self) -> datetime:
        if self._began_s is None:
            self._began_s = self.monotonic()
        return (self._start + timedelta(seconds=self.monotonic() - self._began_s)).astimezone(UTC)

    def monotonic(self) -> float:
        with suppress(RuntimeError):  # a worker thread has no loop of its own
            self._loop = asyncio.get_running_loop()
        assert self._loop is not None
        return self._loop.time()

    async def sleep(self, wait_s: float) -> None:
        self.sleeps_s.append(wait_s)
        await asyncio.sleep(max(0.0, wait_s))


@contextmanager
def real_time() -> Iterator[None]:
    """No time passes by itself within the block: for work that the loop cannot see, such as a child process."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.held += 1
    try:
        yield
    finally:
        loop.held -= 1


class _PatientSelector(selectors.DefaultSelector):
    """Never blocks for a timer: says how much time is to pass instead."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        for _ in range(_LOOKS):
            if news := super().select(0):
                return news
        if self.loop.held or _threads_work(self.loop) or timeout is None:
            return super().select(0.001 if timeout is not None else 0.05)
        self.loop.offset_s += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        self.offset_s = 0.0
        self.held = 0
        self._real_began_s = time.monotonic()
        selector = _PatientSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        # Real time does not count: a busy machine changes nothing.
        return self._real_began_s + self.offset_s


def run_virtually(work: Callable[[], Awaitable[T]], *, longest_s: float = 86_400.0) -> tuple[T, float]:
    """
    Do `work` on such a loop.

    Args:
        longest_s: Virtual seconds after which it has failed.

    Returns:
        Its result, and how many virtual seconds it took.
    """

    async def limited() -> tuple[T, float]:
        loop: Any = asyncio.get_running_loop()
        began_s = loop.time()
        result = await asyncio.wait_for(_as_coroutine(work), longest_s)
        return result, loop.time() - began_s

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(limited())


async def _as_coroutine(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
