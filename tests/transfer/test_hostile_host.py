"""Whatever a storage host does, for ever: the transfer ends in bounded time, with bounded requests."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support import RawServer, examples, reply
from transfer.hostile import Answer, Outcome, transfer

from bulkpull.errors import AnswerLost, BulkpullError, FileGone, LinkExpired, StorageTrouble
from bulkpull.transfer import byte_ranges as scheduler
from bulkpull.transfer import transfer as transfer_module
from bulkpull.transfer.byte_ranges import TransferProgress, share_of
from bulkpull.transfer.signed_link import FRESH_LINK_PAUSES_S
from bulkpull.transfer.transfer import PAUSE_S

BODY = bytes(range(256)) * 242  # 62 KB
_RANGE = re.compile(rb"\r\nRange: bytes=(\d+)-(\d*)")
_DAY_S = 86_400.0


def start_asked(server: RawServer, number: int) -> int:
    found = _RANGE.search(server.requests[number])
    return int(found[1]) if found else 0


def head(server: RawServer, number: int, *, end: int | None = None, known: bool = True) -> bytes:
    """The head of a good answer to what was asked for, up to byte `end`."""
    start, size = start_asked(server, number), len(BODY)
    end = size if end is None else end
    total = str(size) if known else "*"
    if _RANGE.search(server.requests[number]):
        lines = (
            f"206 Partial Content\r\nContent-Range: bytes {start}-{end - 1}/{total}\r\nContent-Length: {end - start}"
        )
    else:
        lines = f"200 OK\r\nContent-Length: {size}"
    return f'HTTP/1.1 {lines}\r\nETag: "1"\r\nConnection: close\r\n\r\n'.encode()


async def for_ever(writer: asyncio.StreamWriter, piece: bytes, *, every_s: float = 2.0) -> None:
    while not writer.is_closing():
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(every_s)


async def trickle_in_head(_: RawServer, __: int, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX: ")
    await for_ever(writer, b"x")


async def one_header_at_a_time(_: RawServer, __: int, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    await for_ever(writer, b"X: 1\r\n")


async def interim_replies(_: RawServer, __: int, writer: asyncio.StreamWriter) -> None:
    await for_ever(writer, b"HTTP/1.1 102 Processing\r\n\r\n")


async def trickle_in_body(server: RawServer, number: int, writer: asyncio.StreamWriter) -> None:
    writer.write(head(server, number))
    at = start_asked(server, number)
    while not writer.is_closing():
        writer.write(BODY[at : at + 1])
        at += 1
        await writer.drain()
        await asyncio.sleep(2)


async def trickle_in_503(_: RawServer, __: int, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 100000\r\n\r\n")
    await for_ever(writer, b"x")


async def byte_and_cut(server: RawServer, number: int, writer: asyncio.StreamWriter) -> None:
    at = start_asked(server, number)
    writer.write(head(server, number) + BODY[at : at + 1])


async def byte_a_whole_reply(server: RawServer, number: int, writer: asyncio.StreamWriter) -> None:
    at = start_asked(server, number)
    if _RANGE.search(server.requests[number]):
        writer.write(head(server, number, end=at + 1, known=False) + BODY[at : at + 1])
    else:
        writer.write(b'HTTP/1.1 200 OK\r\nETag: "1"\r\nConnection: close\r\n\r\n' + BODY[:1])


async def byte_and_403(server: RawServer, number: int, writer: asyncio.StreamWriter) -> None:
    if number % 2:
        writer.write(reply("403 Forbidden"))
    else:
        await byte_and_cut(server, number, writer)


async def refuse(_: RawServer, __: int, writer: asyncio.StreamWriter) -> None:
    writer.write(reply("403 Forbidden"))


async def another_file_each_time(_: RawServer, number: int, writer: asyncio.StreamWriter) -> None:
    writer.write(f'HTTP/1.1 200 OK\r\nETag: "{number}"\r\nContent-Length: 1000\r\n\r\n'.encode() + BODY[:500])


async def redirect_for_ever(server: RawServer, number: int, writer: asyncio.StreamWriter) -> None:
    writer.write(reply("302 Found", Location=f"{server.origin}/{number}"))


async def whole_and_cut_at_the_same_place(_: RawServer, __: int, writer: asyncio.StreamWriter) -> None:
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(BODY)}\r\n\r\n".encode() + BODY[:60_000])


HOSTS: list[tuple[Answer, type[BulkpullError]]] = [
    (trickle_in_head, AnswerLost),
    (one_header_at_a_time, AnswerLost),
    (interim_replies, AnswerLost),
    (trickle_in_body, AnswerLost),
    (trickle_in_503, StorageTrouble),
    (byte_and_cut, AnswerLost),
    (byte_a_whole_reply, AnswerLost),
    (byte_and_403, BulkpullError),
    (refuse, LinkExpired),
    (another_file_each_time, BulkpullError),
    (redirect_for_ever, BulkpullError),
    (whole_and_cut_at_the_same_place, AnswerLost),
]


@pytest.mark.case("C9", "C10")
@pytest.mark.parametrize(("answer", "kind"), HOSTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_host_that_goes_on_like_that_ends_the_transfer_by_name(
    answer: Answer, kind: type[BulkpullError], tmp_path: Path
) -> None:
    outcome = transfer(answer, tmp_path)

    assert isinstance(outcome.error, kind)
    assert outcome.elapsed_s <= 3_600
    assert outcome.requests <= 64
    assert outcome.relinks <= len(FRESH_LINK_PAUSES_S)


@pytest.mark.case("C9")
def test_a_rate_below_the_setting_renews_the_connection_and_one_above_it_goes_on(tmp_path: Path) -> None:
    def at_rate(bytes_per_s: int) -> Answer:
        async def answer(server: RawServer, number: int, writer: asyncio.StreamWriter) -> None:
            writer.write(head(server, number))
            for at in range(start_asked(server, number), len(BODY), bytes_per_s):
                writer.write(BODY[at : at + bytes_per_s])
                await writer.drain()
                await asyncio.sleep(1)

        return answer

    slow, fast = transfer(at_rate(300), tmp_path), transfer(at_rate(1_100), tmp_path)

    # What comes is kept: the file arrives all the same, by fresh connections.
    assert slow.error is None
    assert slow.requests > 3
    assert (fast.error, fast.requests) == (None, 1)


@pytest.mark.case("C11")
@pytest.mark.parametrize("valid_after_s", [2, 6, 20, 60])
def test_a_link_that_becomes_valid_later_is_waited_for(valid_after_s: int, tmp_path: Path) -> None:
    first: list[float] = []

    async def answer(server: RawServer, number: int, writer: asyncio.StreamWriter) -> None:
        now = asyncio.get_running_loop().time()
        first.append(now)
        good = head(server, number) + BODY[start_asked(server, number) :]
        writer.write(good if now >= first[0] + valid_after_s else reply("403 Forbidden"))

    outcome = transfer(answer, tmp_path)

    assert outcome.error is None
    assert outcome.requests <= 1 + len(FRESH_LINK_PAUSES_S)


@pytest.mark.case("C11")
def test_a_file_that_is_missing_for_a_moment_is_looked_for_again(tmp_path: Path) -> None:
    async def answer(server: RawServer, number: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("404 Not Found") if number < 3 else head(server, number) + BODY)

    async def never(_: RawServer, __: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("404 Not Found"))

    assert transfer(answer, tmp_path).error is None
    outcome = transfer(never, tmp_path)
    assert isinstance(outcome.error, FileGone)
    assert outcome.requests == 4


replies = st.lists(
    st.one_of(
        st.integers(0, 3_000).map(lambda size: ("cut", size)),
        st.integers(1, 3_000).map(lambda size: ("short", size)),
        st.sampled_from(["403", "404", "503", "500", "416", "412", "204", "302", "429", "200 other"]).map(
            lambda status: ("status", status)
        ),
        st.just(("silence", 0)),
        st.just(("unannounced", 100)),
    ),
    min_size=1,
    max_size=12,
)


def following(course: list[tuple[str, int | str]]) -> Answer:
    """A host that goes through the course again and again."""

    async def answer(server: RawServer, number: int, writer: asyncio.StreamWriter) -> None:
        kind, value = course[number % len(course)]
        at = start_asked(server, number)
        match kind, value:
            case "cut", int():
                writer.write(head(server, number) + BODY[at : at + value])
            case "short", int():
                end = min(at + value, len(BODY))
                writer.write(head(server, number, end=end) + BODY[at:end])
            case "unannounced", int():
                writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY[:value])
            case "silence", _:
                await asyncio.sleep(300)
            case _, "200 other":
                writer.write(
                    f'HTTP/1.1 200 OK\r\nETag: "n{number}"\r\nContent-Length: 9000\r\n\r\n'.encode() + BODY[:50]
                )
            case _, "302":
                writer.write(reply("302 Found", Location="/again"))
            case _, str():
                writer.write(reply(f"{value} Status"))

    return answer


@pytest.mark.case("C10")
@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),  # a failing course is short enough as it is
)
@given(course=replies, seed=st.integers(0, 5))
def test_calls_stay_under_one_and_one_a_pause_whatever_the_replies(
    course: list[tuple[str, int | str]], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outcome: Outcome = transfer(following(course), tmp_path_factory.mktemp("hostile"), seed=seed, longest_s=_DAY_S)

    # A redirect is part of the same call: at most six requests a call.
    per_call = 6 if ("status", "302") in course else 1
    assert outcome.requests <= per_call * (1 + round(outcome.elapsed_s / PAUSE_S, 6))
    assert outcome.relinks <= 1 + round(outcome.elapsed_s / PAUSE_S, 6)


_STREAMS = 4


@pytest.mark.case("C10")
@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),
)
@given(course=replies, good=st.integers(1, 4), seed=st.integers(0, 5))
def test_calls_of_several_streams_stay_under_one_a_pause_each_whatever_the_replies(
    course: list[tuple[str, int | str]], good: int, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Every so-many-th reply is a good one, so that helpers are called in."""
    bad = following(course)

    async def answer(server: RawServer, number: int, writer: asyncio.StreamWriter) -> None:
        if number % (good + 1):
            await bad(server, number, writer)
            return
        at = start_asked(server, number)
        writer.write(head(server, number))
        for start in range(at, len(BODY), 4_096):
            writer.write(BODY[start : start + 4_096])
            await writer.drain()
            await asyncio.sleep(0.1)

    with patch.object(transfer_module, "_LARGE_BYTES", 16 << 10), patch.object(scheduler, "_SMALLEST_PIECE", 4 << 10):
        outcome = transfer(answer, tmp_path_factory.mktemp("hostile"), seed=seed, longest_s=_DAY_S, segments=_STREAMS)

    per_call = 6 if ("status", "302") in course else 1
    assert outcome.requests <= per_call * _STREAMS * (1 + round(outcome.elapsed_s / PAUSE_S, 6))
    assert outcome.relinks <= 1 + round(outcome.elapsed_s / PAUSE_S, 6)


@pytest.mark.case("C10")
def test_only_a_share_of_the_file_is_progress_and_what_was_reached_before_is_none() -> None:
    progress = TransferProgress()
    size = 6_400

    assert [progress.advanced(done, size_bytes=size) for done in (1, 99, 100, 150, 40, 199, 200)] == [
        False, False, True, False, False, False, True,
    ]  # fmt: skip
    assert (share_of(10), share_of(64 << 20), share_of(1 << 40)) == (1, 512 << 10, 512 << 10)
