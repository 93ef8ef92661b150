"""Transfers: whatever breaks, the same bytes arrive, hardly any of them twice, and never those of two files."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transfer.storage_host import GOOD, Mishap, StorageHost, serving

from bulkpull import platforms
from bulkpull.errors import BulkpullError, DiskTrouble, StorageTrouble, UnsafeAddress
from bulkpull.events import Event, Events
from bulkpull.model import DownloadedFile
from bulkpull.transfer.byte_ranges import ByteRange
from bulkpull.transfer.transfer import Transfer

SMALL = random.Random(1).randbytes(300_000)  # noqa: S311 - the same bytes each time
SLOW_S = 1 / 32  # a connection that gives 4 MiB/s

quickly = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@cache
def large() -> bytes:
    """Bytes for several streams, made when a test first needs them: every process imports this module."""
    return random.Random(2).randbytes(40 << 20)  # noqa: S311 - the same bytes each time


def once(mishaps: Iterator[Mishap], _number: int, _asked: ByteRange | None) -> Mishap:
    return next(mishaps, GOOD)


async def fetched(host: StorageHost, into: Path, *, segments: int = 4) -> DownloadedFile | BulkpullError:
    try:
        return await host.fetch(into, segments=segments)
    except BulkpullError as error:
        return error


async def kill_when(host: StorageHost, into: Path, *, done_bytes: int, segments: int = 4) -> None:
    """Fetch until so many bytes are written, then end without any farewell, as a killed process does."""
    scope = anyio.CancelScope()

    def listen(event: Event) -> None:
        if event.name == "download.progressed" and int(str(event.facts["done_bytes"])) >= done_bytes:
            scope.cancel()

    host.parts.recorded.hub = Events(host.parts.recorded.events.append, listen)
    with scope:
        await host.fetch(into, segments=segments)


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is saved at the end of a process."""

    async def nothing(_: Transfer) -> None:
        return

    monkeypatch.setattr(Transfer, "save", nothing)
    # Virtual time runs on while a real disk syncs, which would make syncs seem to take long.
    monkeypatch.setattr(platforms.current(), "sync_data", lambda _: None)
    # The same while a buffer waits for its moment by the loop's own clock: a megabyte would come meanwhile.
    monkeypatch.setattr("bulkpull.transport.buffered_body.LONGEST_HOLD_S", 0.0)


async def test_a_small_file_costs_one_request(tmp_path: Path) -> None:
    async with serving(StorageHost(SMALL, pace_s=1.0)) as host:
        await host.fetch(tmp_path / "report")

    assert host.asked == [None]
    assert (tmp_path / "report").read_bytes() == SMALL


async def test_a_large_file_on_slow_connections_comes_in_several_ranges_at_once(tmp_path: Path) -> None:
    async with serving(StorageHost(large(), pace_s=SLOW_S)) as host:
        stored = await host.fetch(tmp_path / "report")

    assert stored.size_bytes == len(large())
    assert (tmp_path / "report").read_bytes() == large()
    assert len(host.asked) > 1
    assert all(b"If-Match: " in head for head in host.server.requests[1:])
    assert host.sent_bytes <= 1.1 * len(large())


@pytest.mark.parametrize(("segments", "size"), [(1, 40 << 20), (4, 15 << 20)])
async def test_one_segment_or_a_file_that_is_not_large_means_one_stream(
    tmp_path: Path, segments: int, size: int
) -> None:
    async with serving(StorageHost(large()[:size], pace_s=SLOW_S)) as host:
        await host.fetch(tmp_path / "report", segments=segments)

    assert host.asked == [None]


@pytest.mark.fault(58, 75)
@pytest.mark.parametrize("status", ["503 ServerBusy", "500 Internal Server Error"])
async def test_a_refused_segment_leaves_the_file_to_one_stream_and_costs_no_try(tmp_path: Path, status: str) -> None:
    def refuse_segments(_: int, asked: ByteRange | None) -> Mishap:
        return Mishap(status=status) if asked and asked.start else GOOD

    async with serving(StorageHost(large(), pace_s=SLOW_S, course=refuse_segments)) as host:
        await host.fetch(tmp_path / "report")

    assert (tmp_path / "report").read_bytes() == large()
    assert host.sent_bytes <= 1.1 * len(large())
    assert 2 <= len(host.asked) <= 4
    assert host.parts.recorded.of("call.retried") == []


@pytest.mark.fault(75)
async def test_ranges_that_are_refused_for_good_leave_the_file_to_one_request(tmp_path: Path) -> None:
    def course(number: int, asked: ByteRange | None) -> Mishap:
        return Mishap(cut_after=100_000) if number == 0 else Mishap(status="500 No") if asked else GOOD

    async with serving(StorageHost(SMALL, course=course)) as host:
        await host.fetch(tmp_path / "report")

    assert (tmp_path / "report").read_bytes() == SMALL
    assert host.asked[-1] is None


@pytest.mark.fault(63)
async def test_a_host_without_ranges_gets_one_request_after_a_trial(tmp_path: Path) -> None:
    async with serving(StorageHost(large(), pace_s=SLOW_S, ranges=False)) as host:
        await host.fetch(tmp_path / "report")

    assert (tmp_path / "report").read_bytes() == large()
    assert host.asked[0] is None
    assert 2 <= len(host.asked) <= 4  # the one that serves, and each further stream once
    assert host.sent_bytes <= 1.1 * len(large())


@pytest.mark.behaviour(131)
@pytest.mark.fault(55)
async def test_a_file_that_is_replaced_during_its_segments_is_started_over(tmp_path: Path) -> None:
    other = large()[::-1]

    def replace_it(number: int, _: ByteRange | None) -> Mishap:
        if number == 2:
            host.body, host.etag = other, '"0xOther"'
        return GOOD

    async with serving(StorageHost(large(), pace_s=SLOW_S, course=replace_it)) as host:
        stored = await host.fetch(tmp_path / "report")

    assert stored.etag == '"0xOther"'
    assert (tmp_path / "report").read_bytes() == other


@pytest.mark.fault(54, 59)
async def test_connections_cut_after_every_megabyte_and_links_of_a_second_cost_no_byte_twice(tmp_path: Path) -> None:
    born: dict[bytes, float] = {}

    def course(number: int, _: ByteRange | None) -> Mishap:
        link = host.server.requests[number].split(b" HTTP")[0].split(b"sig=")[1]
        now_s = host.parts.clock.monotonic()
        is_old = now_s - born.setdefault(link, now_s) > 1.0
        return Mishap(status="403 Forbidden") if is_old else Mishap(cut_after=1 << 20)

    async with serving(StorageHost(large(), pace_s=SLOW_S, course=course)) as host:
        await host.fetch(tmp_path / "report")

    assert (tmp_path / "report").read_bytes() == large()
    assert host.sent_bytes <= 1.1 * len(large())
    assert host.relinked > 1


@pytest.mark.fault(74)
@pytest.mark.usefixtures("killed")
@pytest.mark.parametrize("segments", [1, 4])
async def test_a_file_whose_process_is_killed_again_and_again_crosses_the_wire_once(
    tmp_path: Path, segments: int
) -> None:
    into = tmp_path / "report"
    # Slow enough that what four streams bring between two journal entries is small beside the file.
    async with serving(StorageHost(large(), pace_s=4 * SLOW_S)) as host:
        moments = [part * len(large()) // 5 for part in range(1, 5)]
        for moment in moments:
            await kill_when(host, into, done_bytes=moment, segments=segments)
            assert not into.exists()
        await host.fetch(into, segments=segments)
        taken_up = [fact["offset_bytes"] for fact in host.parts.recorded.of("download.resumed")]

    assert into.read_bytes() == large()
    lost = sum(moment - int(str(offset)) for moment, offset in zip(moments, taken_up, strict=True))
    assert lost <= 0.1 * len(large())


@pytest.mark.usefixtures("killed")
@quickly
@given(st.data())
async def test_the_journal_of_any_moment_is_honoured(tmp_path: Path, data: st.DataObject) -> None:
    """A power cut leaves a beginning of the journal, and of the data what was durable by then; the rest is anything."""
    into = tmp_path / "report"
    part, journal = into.with_name("report.part"), into.with_name("report.journal")
    into.unlink(missing_ok=True)
    body = large()[: 4 << 20]
    async with serving(StorageHost(body, pace_s=0.1)) as host:
        await kill_when(host, into, done_bytes=data.draw(st.integers(1, len(body) - 1)))
        lines = journal.read_bytes().splitlines(keepends=True)
        written = b"".join(lines)[: data.draw(st.integers(len(lines[0]), sum(map(len, lines))))]
        journal.write_bytes(written)
        damage = data.draw(st.integers(0, len(body)))
        with part.open("r+b") as file:
            file.seek(damage)
            file.write(b"\0" * data.draw(st.integers(0, 1_000)))
        host.asked.clear()
        await host.fetch(into)

    assert into.read_bytes() == body


@pytest.mark.usefixtures("killed")
@quickly
@given(st.lists(st.sampled_from(["cut", "busy", "expired", "whole", "kill", "good"]), max_size=8), st.data())
async def test_any_sequence_of_cuts_expiries_and_kills_yields_the_same_bytes(
    tmp_path: Path, mishaps: list[str], data: st.DataObject
) -> None:
    into = tmp_path / "report"
    for left in tmp_path.iterdir():
        left.unlink()
    course = {
        "cut": lambda: Mishap(cut_after=data.draw(st.integers(0, len(SMALL)))),
        "busy": lambda: Mishap(status="503 Busy"),
        "expired": lambda: Mishap(status="403 Forbidden"),
        "whole": lambda: Mishap(whole=True, cut_after=data.draw(st.integers(0, len(SMALL)))),
    }
    coming = iter(mishaps)

    def next_mishap(_number: int, _asked: ByteRange | None) -> Mishap:
        name = next(coming, "good")
        return course[name]() if name in course else GOOD

    async with serving(StorageHost(SMALL, pace_s=0.1, course=next_mishap)) as host:
        for _ in range(mishaps.count("kill")):
            try:
                await kill_when(host, into, done_bytes=data.draw(st.integers(1, len(SMALL))))
            except BulkpullError:
                assert not into.exists()  # lost: nothing is there to be taken for whole
            if into.exists():
                assert into.read_bytes() == SMALL
        outcome = await fetched(host, into)
        if isinstance(outcome, BulkpullError):
            assert list(tmp_path.iterdir()) == []
            outcome = await fetched(host, into)  # the mishaps are used up
            if isinstance(outcome, BulkpullError):
                outcome = await fetched(host, into)

    assert isinstance(outcome, DownloadedFile)
    assert into.read_bytes() == SMALL


@pytest.mark.usefixtures("killed")
async def test_a_finished_file_is_not_fetched_again_beyond_what_was_not_durable(tmp_path: Path) -> None:
    into = tmp_path / "report"
    async with serving(StorageHost(large(), pace_s=SLOW_S)) as host:
        await host.fetch(into, segments=1)
        sent_bytes = host.sent_bytes
        stored = await host.fetch(into, segments=1)

        assert stored.size_bytes == len(large())
        assert into.read_bytes() == large()
        assert host.sent_bytes - sent_bytes <= 0.1 * len(large())


@pytest.mark.usefixtures("killed")
async def test_a_finished_file_is_durable_as_soon_as_the_background_is_done(tmp_path: Path) -> None:
    into = tmp_path / "report"
    async with serving(StorageHost(SMALL)) as host:
        async with anyio.create_task_group() as background:
            await host.fetch(into, background=background)
        await host.fetch(into)

    assert host.asked == [None]
    assert into.read_bytes() == SMALL


async def test_the_file_of_another_execution_is_not_taken_up(tmp_path: Path) -> None:
    async with serving(StorageHost(SMALL, pace_s=1.0)) as host:
        await host.fetch(tmp_path / "report")
        await host.fetch(tmp_path / "report", execution_id="execution-2")

    assert host.asked == [None, None]


@pytest.mark.fault(66)
async def test_without_an_etag_nothing_outlives_the_process(tmp_path: Path) -> None:
    into = tmp_path / "report"
    async with serving(StorageHost(SMALL, pace_s=1.0, etag=None)) as host:
        await kill_when(host, into, done_bytes=100_000)
        await host.fetch(into)

    assert host.asked == [None, None]
    assert into.read_bytes() == SMALL


@pytest.mark.fault(60, 76)
@pytest.mark.parametrize("packed", [True, False], ids=["gzip", "plain"])
@pytest.mark.parametrize("known", [True, False], ids=["length known", "length unknown"])
async def test_a_file_cut_at_every_64th_byte_is_never_taken_for_whole(
    tmp_path: Path, packed: bool, known: bool
) -> None:
    text = "MPNId,Name\r\n" + "".join(f"{number:07},Contoso {number}\r\n" for number in range(200))
    body = gzip.compress(text.encode(), mtime=0) if packed else text.encode()
    edges = [at + side for at, char in enumerate(text) if char == "\n" for side in (0, 1, 2)][:60]
    cuts = sorted({*range(0, len(body), 64), *(edge for edge in edges if edge < len(body))})
    into = tmp_path / "report"

    async with serving(StorageHost(body, md5=False)) as host:
        for cut in cuts:
            coming = iter([Mishap(cut_after=cut, closing=not known)])
            host.course = partial(once, coming)
            await host.fetch(into)
            assert into.read_bytes() == body
            into.unlink()


@pytest.mark.case("C40")
@pytest.mark.fault(60)
async def test_an_end_that_nobody_announced_is_believed_once_a_second_reading_ends_there_too(tmp_path: Path) -> None:
    """Without length, MD5 and ranges nothing else can tell a cut from an end."""

    def cut_first(number: int, _: ByteRange | None) -> Mishap:
        return Mishap(closing=True, cut_after=1_000 if number == 0 else None)

    async with serving(StorageHost(SMALL, md5=False, ranges=False, course=cut_first)) as host:
        version = await host.fetch(tmp_path / "report")

    assert version.vouched_by == ("readings",)
    assert (tmp_path / "report").read_bytes() == SMALL


@pytest.mark.fault(58)
@pytest.mark.parametrize(("every", "cut_after"), [(6, 2_000), (3, 200)], ids=["a share each", "a share in two"])
async def test_progress_begins_a_new_count_of_tries_and_only_tries_without_progress_end_the_transfer(
    every: int, cut_after: int, tmp_path: Path
) -> None:
    def course(number: int, _: ByteRange | None) -> Mishap:
        return Mishap(cut_after=cut_after) if number % every == 0 else Mishap(status="503 Busy")

    async with serving(StorageHost(SMALL[:20_000], course=course)) as host:
        await host.fetch(tmp_path / "report")
    assert len(host.asked) > 50

    async with serving(StorageHost(SMALL, course=lambda *_: Mishap(status="503 Busy"))) as host:
        error = await fetched(host, tmp_path / "other")
    assert isinstance(error, StorageTrouble)
    assert len(host.asked) == 6


@pytest.mark.fault(6, 7)
@pytest.mark.parametrize("moment", ["before", "during"])
async def test_a_disk_without_room_is_told_before_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    class Usage:
        free = 0

    looks = iter([1 << 40] if moment == "during" else [])

    def look(_: Path) -> Usage:
        usage = Usage()
        usage.free = next(looks, 1_000)
        return usage

    monkeypatch.setattr("bulkpull.output.disk_space.shutil.disk_usage", look)
    async with serving(StorageHost(large(), pace_s=SLOW_S)) as host:
        error = await fetched(host, tmp_path / "report")

    assert isinstance(error, DiskTrouble)
    assert "1,000 are free" in str(error)
    assert list(tmp_path.iterdir()) == []


async def test_an_interruption_saves_what_has_arrived(tmp_path: Path) -> None:
    into = tmp_path / "report"
    async with serving(StorageHost(SMALL, pace_s=1.0)) as host:
        await kill_when(host, into, done_bytes=50_000)
        host.asked.clear()
        host.sent_bytes = 0
        await host.fetch(into)

    assert host.asked
    assert all(asked is not None for asked in host.asked)
    assert host.sent_bytes <= len(SMALL) - 50_000


@pytest.mark.behaviour(132)
@pytest.mark.fault(69)
async def test_bytes_that_changed_on_the_way_of_a_segment_are_found_by_the_md5(tmp_path: Path) -> None:
    def spoil(number: int, _: ByteRange | None) -> Mishap:
        return Mishap(spoils=number == 1)

    async with serving(StorageHost(large(), pace_s=SLOW_S, course=spoil)) as host:
        await host.fetch(tmp_path / "report")

    assert (tmp_path / "report").read_bytes() == large()
    assert host.asked.count(None) == 2
    assert "MD5" in str(host.parts.recorded.of("download.resumed")[-1]["reason"])


@pytest.mark.fault(68)
@pytest.mark.parametrize("url", ["http://storage.contoso.example/a", "ftp://storage.contoso.example/a", "file:///a"])
async def test_a_link_that_leads_elsewhere_than_https_is_not_followed(tmp_path: Path, url: str) -> None:
    async with serving(StorageHost(SMALL)) as host:
        with pytest.raises(UnsafeAddress):
            await host.fetch(tmp_path / "report", link=url)

    assert list(tmp_path.iterdir()) == []
