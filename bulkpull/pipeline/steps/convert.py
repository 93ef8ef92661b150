"""Converts a downloaded report to typed files in a child process, with every row and character."""

from __future__ import annotations

import os
import pickle
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from bulkpull.child_process import without_secrets
from bulkpull.conversion.messages import (
    ConversionRequest,
    ConversionResult,
    TableFile,
    WideningRequest,
)
from bulkpull.errors import BulkpullError, ConverterDied
from bulkpull.pipeline.steps import converter_process
from bulkpull.pipeline.steps.converter_process import Converter

# 4 MB of CSV at once: some batches wait between the stages. Twice as much costs memory and leaves a core idle longer.
BATCH_BYTES = 4 * 1024 * 1024
# A child that converted more has grown: it is kept only for a file that waits for it already, which saves the start of
# another one, half a second of processor time.
_SMALL_BYTES = 64 * 1024 * 1024

# Stored files up to this size take turns in one child, unless so many bytes wait that starting another child, half a
# second of processor time, is quicker.
_QUICK_BYTES, _QUEUE_BYTES = 2 * 1024 * 1024, 8 * 1024 * 1024
TURN_S = 5.0
"""How long a small file waits for the others; then it gets a child of its own."""

T = TypeVar("T", ConversionResult, TableFile)
_spares: RunVar[list[Converter] | None] = RunVar("bulkpull_spare_converters")
_queue: RunVar[_Queue] = RunVar("bulkpull_small_conversions")


@dataclass(slots=True)
class _Queue:
    """Small files that wait for their turn, and the one that is converted."""

    turn: anyio.Lock
    size_bytes: int = 0


async def convert_report(request: ConversionRequest, *, limiter: anyio.CapacityLimiter) -> ConversionResult:
    """
    Convert a report's file as the service stores it; cancellation ends the child at once, and may leave a partial file.

    The folder `into` exists and is empty; it gets `part-00000` with the suffix of the format, forced to the disk.

    Raises:
        FileDamaged: The gzip is cut or broken, or the file ends inside quotes; fetching it again may mend it.
        NotTheReport: The file is whole, but its header, its rows or its encoding do not match the request.
        TooLarge: It unpacks to more than `max_unpacked_bytes`.
        ConverterDied: The child was killed, crashed or stood still, and so did a second one with smaller batches.
        DiskTrouble: `into` cannot be written.

    Source: behaviours 126 to 129, 136 to 141 and 152 to 155.
    """
    async with _turn_of(request.source), limiter:
        with suppress(ConverterDied):
            return await _in_child(request, ConversionResult, limiter=limiter)
        # What killed the child may have been its memory, or a limit on threads.
        smaller = replace(request, batch_bytes=request.batch_bytes // 4)
        return await _in_child(smaller, ConversionResult, limiter=limiter, threads=1)


async def widen_file(
    source: Path, *, into: Path, types: Mapping[str, str], limiter: anyio.CapacityLimiter
) -> TableFile:
    """Write a published file again with other columns and wider types. Raises ConverterDied and DiskTrouble."""
    async with limiter:
        return await _in_child(WideningRequest(source, into, dict(types)), TableFile, limiter=limiter)


async def warm_up(limiter: anyio.CapacityLimiter, *, most: int) -> None:
    """
    Keep idle child processes ready, until this is cancelled; small files share them.

    Starting one costs half a second of processor time, which is better spent while the service still makes its reports.
    Where the system allows no further process, there are fewer: a conversion that needs one reports the failure.
    """
    spares: list[Converter] = []
    _spares.set(spares)
    try:
        with suppress(ConverterDied):
            while len(spares) < min(most, limiter.total_tokens - limiter.borrowed_tokens):
                spares.append(await _start(limiter))
        await anyio.sleep_forever()
    finally:
        if _spares.get(None) is spares:  # not those of another run in this process
            _spares.set(None)
        with anyio.CancelScope(shield=True):
            for child in spares:
                await child.end()


@asynccontextmanager
async def _turn_of(source: Path) -> AsyncIterator[None]:
    """Wait until the small files before this one are converted; a large file waits for none."""
    queue = _queue.get(None)
    if queue is None:
        _queue.set(queue := _Queue(anyio.Lock()))
    size_bytes = 0
    with suppress(OSError):  # the child reports it
        size_bytes = (await anyio.to_thread.run_sync(source.stat)).st_size
    if size_bytes > _QUICK_BYTES or queue.size_bytes + size_bytes > _QUEUE_BYTES:
        yield
        return
    has_turn = False
    queue.size_bytes += size_bytes
    try:
        with anyio.move_on_after(TURN_S):  # whatever the child is doing
            await queue.turn.acquire()
            has_turn = True
        yield
    finally:
        queue.size_bytes -= size_bytes
        if has_turn:
            queue.turn.release()


async def _in_child(
    request: ConversionRequest | WideningRequest,
    answer_type: type[T],
    *,
    limiter: anyio.CapacityLimiter,
    threads: int | None = None,
) -> T:
    """Have `request` done by a spare child if there is one, else by a new one; with `threads` always by a new one."""
    while True:
        spares = _spares.get(None)
        if threads is not None:
            spares = None
        is_spare, may_stay = bool(spares), False
        child = spares.pop() if spares else await _start(limiter, threads=threads)
        try:
            reply = await child.ask(pickle.dumps(request))
            if reply is not None:
                answer = pickle.loads(reply)  # noqa: S301 - from our own child
                if isinstance(answer, BulkpullError):
                    raise answer
                assert isinstance(answer, answer_type)
                if isinstance(answer, ConversionResult):
                    child.has_grown |= answer.unpacked_bytes > _SMALL_BYTES
                    may_stay = not child.has_grown or limiter.statistics().tasks_waiting > 0
                return answer
            if not is_spare:
                raise await child.why_died()
            # A spare one may have died while it was idle, which says nothing about this file.
        finally:
            if may_stay and spares is not None and _spares.get(None) is spares:
                spares.append(child)
            else:
                with anyio.CancelScope(shield=True):
                    await child.end()


async def _start(limiter: anyio.CapacityLimiter, *, threads: int | None = None) -> Converter:
    # Secrets in the environment are of no use to the child.
    return await converter_process.start(
        without_secrets(os.environ), threads=threads, at_once=max(1, int(limiter.total_tokens))
    )
