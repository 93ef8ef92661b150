"""A downloaded report → Parquet, every row and every character of it, in a child process."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream, Process
from anyio.lowlevel import RunVar
from anyio.streams.buffered import BufferedByteReceiveStream

from bulkpull.errors import BulkpullError, ConverterDied
from bulkpull.redact import printable
from bulkpull.tabular.table import Border, ColumnPlan, ConvertedTable, Order
from bulkpull.tabular.worker import LENGTH

# 12 MB of CSV at once: each of three stages holds a batch, so that twice as much would gain a twentieth of the time for
# 100 MB of memory. What killed a child may have been its memory: the second try takes an eighth.
BATCH_BYTES = 12 * 1024 * 1024
_TRIES = (BATCH_BYTES, BATCH_BYTES // 8)
# A child that converted more has grown, and is not kept for the next file.
_SMALL_BYTES = 64 * 1024 * 1024
_LAST_WORDS = 4_096
_PACKAGE_ROOT = str(Path(__file__).parents[2])

_spares: RunVar[list[Process]] = RunVar("bulkpull_spare_converters")


async def convert_report(
    source: Path,
    *,
    into: Path,
    columns: Sequence[ColumnPlan],
    metadata: Mapping[str, str],
    max_unpacked_bytes: int,
    limiter: anyio.CapacityLimiter,
    border: Border | None = None,
) -> ConvertedTable:
    """
    Convert a report's file to Parquet; cancelled, the child is gone at once and may leave half a file in `into`.

    Args:
        source: The bytes as the service stores them: gzip or plain, CSV or TSV.
        into: An existing, empty folder. It gets `part-00000.parquet`, forced to the disk.
        columns: What was asked for, in the order that the table is to have.
        metadata: Goes into the key-value metadata of the Parquet file.
        max_unpacked_bytes: The most that the file may unpack to, bytes.
        limiter: How many files may be converted at once.
        border: Where the file's window meets others of the same dataset.

    Returns:
        The table's files, rows and columns. Rows were counted by the converter and by a count that shares no code
        with it.

    Raises:
        FileDamaged: The gzip is cut or broken, or the file ends inside quotes; fetching it again may mend it.
        NotTheReport: The file is whole, but its header, its rows or its encoding are not what was asked for.
        TooLarge: It unpacks to more than `max_unpacked_bytes`.
        ConverterDied: The child was killed or crashed, and so did a second one with smaller batches.
        DiskTrouble: `into` cannot be written.

    Source: behaviours 126 to 129, 136 to 141 and 152 to 155.
    """
    order = Order(
        source=source,
        into=into,
        columns=tuple(columns),
        metadata=dict(metadata),
        max_unpacked_bytes=max_unpacked_bytes,
        batch_bytes=BATCH_BYTES,
        border=border,
    )
    async with limiter:
        for batch_bytes in _TRIES[:-1]:
            with suppress(ConverterDied):
                return await _in_child(replace(order, batch_bytes=batch_bytes))
        return await _in_child(replace(order, batch_bytes=_TRIES[-1]))


async def warm_up(limiter: anyio.CapacityLimiter) -> None:
    """
    Keep children at hand while this runs: start as many as may convert at once, and let small files share them.

    Starting one costs a third of a second, most of it for importing polars, which is better spent while the service
    still makes its reports. Runs until it is cancelled, and ends the idle children then.
    """
    spares: list[Process] = []
    _spares.set(spares)
    try:
        while len(spares) < limiter.total_tokens - limiter.borrowed_tokens:
            spares.append(await _start())
        await anyio.sleep_forever()
    finally:
        _spares.set([])
        with anyio.CancelScope(shield=True):
            for child in spares:
                await _end(child)


async def _in_child(order: Order) -> ConvertedTable:
    async with _child() as (child, keep):
        reply, last_words = await _ask(child, order)
        if reply is None:
            raise _died(await child.wait(), last_words)
        answer: ConvertedTable | BulkpullError = pickle.loads(reply)  # noqa: S301 - from our own child
        if isinstance(answer, BulkpullError):
            raise answer
        if answer.unpacked_bytes <= _SMALL_BYTES:
            keep.append(child)
        return answer


@asynccontextmanager
async def _child() -> AsyncIterator[tuple[Process, list[Process]]]:
    """
    A child that waits for an order: a spare one if there is, else a new one.

    It is ended with the block, in any way, unless the block puts it into the list that it gets, and spares are kept.
    """
    spares = _spares.get([])
    child = spares.pop() if spares else await _start()
    keep: list[Process] = []
    try:
        yield child, keep
    finally:
        if keep and _spares.get(None) is spares:
            spares.append(child)
        else:
            with anyio.CancelScope(shield=True):
                await _end(child)


async def _start() -> Process:
    # A session of its own: Ctrl-C in the terminal reaches the parent alone, which decides. Settings in the
    # environment hold secrets that the child has no use for. -P: the folder that the user is in imports nothing.
    environment = {name: value for name, value in os.environ.items() if not name.upper().startswith("BULKPULL_")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (_PACKAGE_ROOT, environment.get("PYTHONPATH"))))
    return await anyio.open_process(
        [sys.executable, "-P", "-m", "bulkpull.tabular.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )


async def _end(child: Process) -> None:
    with suppress(ProcessLookupError):
        child.kill()
    await child.aclose()


async def _ask(child: Process, order: Order) -> tuple[bytes | None, bytes]:
    """Send the order; return the reply, `None` when the child ended without one, and the last it wrote to stderr."""
    assert child.stdin
    assert child.stdout
    assert child.stderr
    request, reply, last_words = pickle.dumps(order), None, bytearray()
    replies = BufferedByteReceiveStream(child.stdout)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_collect, child.stderr, last_words)
        # A child that died tells why by its exit status, and by what it wrote until it did.
        with suppress(anyio.BrokenResourceError, anyio.IncompleteRead):
            await child.stdin.send(LENGTH.pack(len(request)) + request)
            (length,) = LENGTH.unpack(await replies.receive_exactly(LENGTH.size))
            reply = await replies.receive_exactly(length)
            tasks.cancel_scope.cancel()
    return reply, bytes(last_words)


async def _collect(stream: ByteReceiveStream, into: bytearray) -> None:
    """Read a stream to its end; only the last of it is kept."""
    async for piece in stream:
        into += piece
        del into[:-_LAST_WORDS]


def _died(status: int, last_words: bytes) -> ConverterDied:
    if status < 0:
        why = f"it was ended by {signal.Signals(-status).name}"
        if -status == signal.SIGKILL:
            why += ", which the system sends when memory runs out"
        fix = "run the same command again with more memory or with less running beside it"
    else:
        lines = last_words.decode("utf-8", errors="replace").strip().splitlines()
        why = f"it ended with status {status}" + (f" ({printable(lines[-1], most=300)})" if lines else "")
        fix = "report this as a defect of bulkpull; `keep_raw` keeps the file that it was found with"
    return ConverterDied("the report's file was not converted: the converting process died twice", why=why, fix=fix)
