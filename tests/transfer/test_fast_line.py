"""A whole transfer over TLS on a fast line, where threads read and write: the same file as on any other."""

from __future__ import annotations

import asyncio
import random
from contextlib import AbstractAsyncContextManager
from functools import cache
from pathlib import Path

import anyio
import numpy as np
import pytest
from transfer.storage_host import GOOD, Mishap, StorageHost, serving
from transport.kept_host import CERTIFICATE

from bulkpull.transfer.byte_ranges import ByteRange
from bulkpull.transport import buffered_body
from bulkpull.transport.threaded_tls_reader import ThreadedTlsReader


@cache
def body() -> bytes:
    """The file, made when a test first needs it: every process imports this module."""
    return np.random.default_rng(2).bytes(64 << 20)


def over_tls(*cuts: int) -> AbstractAsyncContextManager[StorageHost]:
    """A host whose answers end after so many bytes in turn, and no MD5, which would leave the reading to the loop."""

    def course(number: int, _: ByteRange | None) -> Mishap:
        return Mishap(cut_after=cuts[number]) if number < len(cuts) else GOOD

    return serving(StorageHost(body(), md5=False, course=course), certificate=CERTIFICATE)


@pytest.fixture(autouse=True)
def taps(monkeypatch: pytest.MonkeyPatch) -> list[ThreadedTlsReader]:
    """The connections that threads have read, however busy the machine is."""
    monkeypatch.setattr(buffered_body, "_FAST_BYTES_PER_S", 0.0)
    opened: list[ThreadedTlsReader] = []
    plain = ThreadedTlsReader.into.__func__  # type: ignore[attr-defined]

    async def into(
        cls: type[ThreadedTlsReader], transport: asyncio.Transport, *, missing_bytes: int
    ) -> ThreadedTlsReader | None:
        tap: ThreadedTlsReader | None = await plain(cls, transport, missing_bytes=missing_bytes)
        opened.extend([tap] if tap else [])
        return tap

    monkeypatch.setattr(ThreadedTlsReader, "into", classmethod(into))
    return opened


async def test_a_file_is_fetched_by_a_thread(tmp_path: Path, taps: list[ThreadedTlsReader]) -> None:
    async with over_tls() as host:
        stored = await host.fetch(tmp_path / "report", segments=1)

    assert stored.path.read_bytes() == body()
    assert (len(taps), len(host.asked), host.sent_bytes) == (1, 1, len(body()))


@pytest.mark.fault(59)
@pytest.mark.parametrize("seed", range(3))
async def test_cuts_at_any_byte_cost_none_twice(tmp_path: Path, taps: list[ThreadedTlsReader], seed: int) -> None:
    die = random.Random(seed)  # noqa: S311 - where to cut
    async with over_tls(*(die.randrange(1, 24 << 20) for _ in range(4))) as host:
        stored = await host.fetch(tmp_path / "report", segments=1)

    assert stored.path.read_bytes() == body()
    assert taps
    assert host.sent_bytes == len(body())


async def test_a_stop_at_any_moment_leaves_what_the_next_process_goes_on_with(
    tmp_path: Path, taps: list[ThreadedTlsReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    into, stops, poured_bytes = tmp_path / "report", 3, 0
    plain = ThreadedTlsReader.pour
    monkeypatch.setattr(
        "bulkpull.transfer.stream_to_file._STEP_BYTES", 4 << 20
    )  # so that no step brings all of the file

    async with over_tls() as host:
        for stop in range(stops):
            scope = anyio.CancelScope()

            def pour(
                tap: ThreadedTlsReader, *arguments: object, scope: anyio.CancelScope = scope, **options: object
            ) -> None:
                nonlocal poured_bytes
                before_bytes = tap.missing_bytes
                plain(tap, *arguments, **options)  # type: ignore[arg-type]
                poured_bytes += before_bytes - tap.missing_bytes
                anyio.from_thread.run_sync(scope.cancel)

            monkeypatch.setattr(ThreadedTlsReader, "pour", pour)
            with scope:
                await host.fetch(into, segments=1)
            assert scope.cancelled_caught, f"stop {stop}"
        monkeypatch.setattr(ThreadedTlsReader, "pour", plain)
        before = len(host.asked)
        await host.fetch(into, segments=1)
        asked = host.asked[before:]

    assert into.read_bytes() == body()
    assert taps
    assert None not in asked
    assert sum(stretch.size_bytes for stretch in asked if stretch) <= len(body()) - poured_bytes < len(body())
