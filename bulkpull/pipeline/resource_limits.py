"""
The limits of a run: the machine's, the concurrency that fits into them (fault 12), and its longest time.

A container of 512 MB or a low `ulimit -n` lowers the concurrency instead of failing the run. `/dev/shm` is not used:
the conversion process communicates through pipes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path, PurePosixPath

import anyio
import anyio.to_thread

from bulkpull import platforms
from bulkpull.clock import Clock
from bulkpull.config.settings import Settings
from bulkpull.conversion import CONVERSIONS_AT_ONCE
from bulkpull.event_types import ConcurrencyLowered
from bulkpull.events import Events
from bulkpull.formatting import format_size

# Files and sockets: the ledger, the lock, logs, the event loop, what libraries hold.
_FILES_OF_RUN = 48
# A child's pipes, and the pidfd that watches over it.
_FILES_OF_CONVERSION = 4
# A download's file and journal, and one to check it by.
_FILES_OF_DOWNLOAD = 3

_MB = 1_000_000
# Measured: the run itself, the child that converts a large file (large ones take turns), one that converts a small one.
_MEMORY_OF_RUN = 130 * _MB
_MEMORY_OF_LARGE_CONVERSION = 330 * _MB
_MEMORY_OF_CONVERSION = 190 * _MB
# What one stream of a download gathers before it is written, and what the socket and TLS hold.
_MEMORY_OF_STREAM = 4 * _MB
# A control group without a limit reports a number of about 2^63.
_NO_LIMIT = 1 << 60


@dataclass(frozen=True, slots=True)
class Limits:
    """What this process may use, open sockets as files; `None` where there is no limit or it is unknown."""

    open_files: int | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Concurrency:
    """The number of parallel downloads, streams per download, and conversions."""

    downloads: int
    segments: int
    conversions: int

    @property
    def files(self) -> int:
        """The most files and sockets that are open at once, without the calls to the service."""
        downloads = self.downloads * (self.segments + _FILES_OF_DOWNLOAD)
        return _FILES_OF_RUN + downloads + self.conversions * _FILES_OF_CONVERSION

    @property
    def memory_bytes(self) -> int:
        """The most memory that is used, with the child processes."""
        conversions = _MEMORY_OF_LARGE_CONVERSION + (self.conversions - 1) * _MEMORY_OF_CONVERSION
        return _MEMORY_OF_RUN + conversions + self.downloads * self.segments * _MEMORY_OF_STREAM


def fit(requested: Concurrency, limits: Limits, *, calls: int) -> Concurrency:
    """
    The largest concurrency within the limits, at least one of each (pure).

    Streams within a file go first, because they only make it faster; then downloads; a second conversion last.
    """
    counts = (requested.conversions, requested.downloads, requested.segments)
    for conversions, downloads, segments in product(*(range(count, 0, -1) for count in counts)):
        fitting = Concurrency(downloads, segments, conversions)
        if not _excess(fitting, limits, calls=calls):
            return fitting
    return Concurrency(1, 1, 1)


async def fit_to_machine(settings: Settings, *, events: Events) -> tuple[Settings, int]:
    """The settings within the limits of this machine, and the parallel conversions; warns about lowered settings."""
    limits, calls = await anyio.to_thread.run_sync(read_limits), settings.request_burst
    requested = Concurrency(settings.parallel_downloads, settings.download_segments, CONVERSIONS_AT_ONCE)
    fitting = fit(requested, limits, calls=calls)
    if fitting != requested:
        events.emit(
            ConcurrencyLowered(
                parallel_downloads=fitting.downloads,
                download_segments=fitting.segments,
                conversions=fitting.conversions,
                reason=_excess(requested, limits, calls=calls),
            )
        )
    lowered = {"parallel_downloads": fitting.downloads, "download_segments": fitting.segments}
    return settings.model_copy(update=lowered), fitting.conversions


def _excess(concurrency: Concurrency, limits: Limits, *, calls: int) -> str:
    """Which limits it exceeds, in words; empty where it fits."""
    reasons: list[str] = []
    files, memory_bytes = concurrency.files + calls, concurrency.memory_bytes
    if limits.open_files is not None and files > limits.open_files:
        reasons.append(f"{limits.open_files} files may be open, {files} would be: raise `ulimit -n`")
    if limits.memory_bytes is not None and memory_bytes > limits.memory_bytes:
        there, needed = format_size(limits.memory_bytes), format_size(memory_bytes)
        reasons.append(f"there is {there} of memory, and {needed} would be needed")
    return "; ".join(reasons)


def read_limits(root: Path = Path("/")) -> Limits:
    """Ask the system."""
    sizes = [size for size in _memory_limits(root) if 0 < size < _NO_LIMIT]
    return Limits(open_files=platforms.current().open_file_limit(), memory_bytes=min(sizes, default=None))


def _memory_limits(root: Path) -> Iterator[int]:
    """The memory of the machine, and the limits of our control group and of those above it; both versions of them."""
    with suppress(OSError, ValueError):
        lines = (root / "proc/meminfo").read_text("ascii").splitlines()
        yield from [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal:")]
    with suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text("utf-8").splitlines():
            _, controllers, group = line.split(":", 2)
            if not controllers:
                base, name = root / "sys/fs/cgroup", "memory.max"
            elif "memory" in controllers.split(","):
                base, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
            else:
                continue
            path = PurePosixPath(group.lstrip("/"))
            for folder in (path, *path.parents):
                with suppress(OSError, ValueError):  # `max` is not a number, and a container hides the outer groups
                    yield int((base / folder / name).read_text("ascii"))


async def is_overdue(work: Callable[[], Awaitable[None]], *, limit_s: float | None, clock: Clock) -> bool:
    """Do `work`, and cancel it when the limit is over, seconds from now on; whether it was (case C16)."""
    if limit_s is None:
        await work()
        return False
    is_over, failure = False, None
    async with anyio.create_task_group() as group:

        async def stop_in_time() -> None:
            nonlocal is_over
            await clock.sleep(limit_s)
            is_over = True
            group.cancel_scope.cancel()

        group.start_soon(stop_in_time)
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - raised below: a task group would wrap it
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return is_over
