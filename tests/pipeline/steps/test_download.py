"""Download: what is sent to the storage host, and what is made of its answers, byte for byte."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import RawServer, Rig, examples, raw_server, reply, rig

from bulkpull.errors import BulkpullError, DiskTrouble, FileDamaged, FileGone, LinkExpired, StorageTrouble
from bulkpull.model import DownloadedFile, SecureLink
from bulkpull.pipeline.steps.download import download_report
from bulkpull.transfer.range_responses import Version
from bulkpull.transfer.signed_link import FRESH_LINK_PAUSES_S, LOOK_PAUSES_S, SignedLink
from bulkpull.transfer.transfer import Transfer

QUERY = "/container/Report%20Name.csv?sv=2018-03-28&sr=b&sp=r&se=2026-11-30T00%3A00%3A00Z&sig=a%2Bb%2fC%3D"
BODY = bytes(range(256)) * 40
ETAG = '"0x8DA97FA9D1B3C00"'
WHOLE = reply("200 OK", BODY, ETag=ETAG, Content_MD5=base64.b64encode(hashlib.md5(BODY).digest()).decode())  # noqa: S324

Answer = Callable[[int, asyncio.StreamWriter], Awaitable[None]]


def says(*answers: bytes) -> Answer:
    """Answers in this order; the last one for all that follow."""

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        writer.write(answers[min(number, len(answers) - 1)])
        await writer.drain()

    return answer


async def fetch(server: RawServer, parts: Rig, into: Path, *, relinked: list[str] | None = None) -> DownloadedFile:
    async def relink() -> SecureLink:
        if relinked is not None:
            relinked.append("fresh")
        return SecureLink(server.origin + QUERY)

    links = SignedLink(SecureLink(server.origin + QUERY), relink, parts.clock)
    return await download_report(into, parts.opening_transfer(links))


async def outcome(answer: Answer, into: Path) -> tuple[DownloadedFile | BulkpullError, RawServer]:
    async with raw_server(answer) as server, rig() as parts:
        try:
            return await fetch(server, parts, into), server
        except BulkpullError as error:
            return error, server


@pytest.mark.behaviour(120, 123, 128, 134)
async def test_the_link_goes_out_byte_for_byte_and_nothing_of_ours_with_it(tmp_path: Path) -> None:
    stored, server = await outcome(says(WHOLE), tmp_path / "report")

    md5 = hashlib.md5(BODY, usedforsecurity=False).hexdigest()
    assert stored == DownloadedFile(tmp_path / "report", len(BODY), ETAG, md5, ("length", "md5"))
    assert (tmp_path / "report").read_bytes() == BODY
    (head,) = server.requests
    assert head.startswith(f"GET {QUERY} HTTP/1.1\r\n".encode())
    for name in (b"authorization", b"cookie", b"x-ms-version", b"ms-requestid", b"range", b"if-match"):
        assert b"\r\n" + name + b":" not in head.lower()


@pytest.mark.behaviour(130, 131)
async def test_a_break_is_resumed_at_its_byte_under_the_etag(tmp_path: Path) -> None:
    cut = WHOLE[: -len(BODY) + 1_000]
    rest = reply(
        "206 Partial Content", BODY[1_000:], ETag=ETAG, Content_Range=f"bytes 1000-{len(BODY) - 1}/{len(BODY)}"
    )
    stored, server = await outcome(says(cut, rest), tmp_path / "report")

    assert isinstance(stored, DownloadedFile)
    assert (tmp_path / "report").read_bytes() == BODY
    assert b"\r\nRange: bytes=1000-\r\n" in server.requests[1]
    assert b"\r\nIf-Match: " + ETAG.encode() + b"\r\n" in server.requests[1]


@pytest.mark.fault(69)
async def test_a_file_that_is_shorter_than_its_transfer_tells_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transfer itself ends with the last byte; this check does not rely on it."""
    fetch_whole = Transfer.fetch

    async def fetch_less(transfer: Transfer, *, resume: bool = True) -> Version:
        version = await fetch_whole(transfer, resume=resume)
        return replace(version, size_bytes=len(BODY) + 1)

    monkeypatch.setattr(Transfer, "fetch", fetch_less)
    error, _ = await outcome(says(WHOLE), tmp_path / "report")

    assert isinstance(error, FileDamaged)
    assert f"expected {len(BODY) + 1:,} bytes, got {len(BODY):,}" in error.reason


@pytest.mark.behaviour(132)
@pytest.mark.fault(69)
async def test_a_wrong_md5_is_fetched_again_and_then_told_with_both_hashes(tmp_path: Path) -> None:
    wrong = reply("200 OK", BODY, ETag=ETAG, Content_MD5=base64.b64encode(b"0" * 16).decode())
    error, server = await outcome(says(wrong), tmp_path / "report")

    assert isinstance(error, FileDamaged)
    assert (b"0" * 16).hex() in str(error)
    assert hashlib.md5(BODY).hexdigest() in str(error)  # noqa: S324
    assert len(server.requests) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.behaviour(124, 133)
@pytest.mark.fault(56, 57, 58)
@pytest.mark.parametrize(
    ("status", "code", "kind", "tries", "links"),
    [
        ("403 Forbidden", "AuthenticationFailed", LinkExpired, 1 + len(FRESH_LINK_PAUSES_S), len(FRESH_LINK_PAUSES_S)),
        ("404 Not Found", "BlobNotFound", FileGone, 1 + len(LOOK_PAUSES_S), len(LOOK_PAUSES_S)),
        ("410 Gone", "Gone", FileGone, 1 + len(LOOK_PAUSES_S), len(LOOK_PAUSES_S)),
        ("503 Service Unavailable", "ServerBusy", StorageTrouble, 6, 0),
        ("500 Internal Server Error", "OperationTimedOut", StorageTrouble, 6, 0),
        (
            "400 Bad Request",
            "InvalidQueryParameterValue",
            LinkExpired,
            1 + len(FRESH_LINK_PAUSES_S),
            len(FRESH_LINK_PAUSES_S),
        ),
    ],
)
async def test_each_refusal_of_the_storage_host_asks_for_something_else(
    tmp_path: Path, *, status: str, code: str, kind: type[BulkpullError], tries: int, links: int
) -> None:
    page = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    relinked: list[str] = []
    async with raw_server(says(reply(status, page))) as server, rig() as parts:
        with pytest.raises(kind, match=code):
            await fetch(server, parts, tmp_path / "report", relinked=relinked)

    assert (len(server.requests), len(relinked)) == (tries, links)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault(62)
async def test_a_trickle_counts_as_a_stall_and_is_resumed(tmp_path: Path) -> None:
    rest = reply("206 Partial Content", BODY[2:], ETag=ETAG, Content_Range=f"bytes 2-{len(BODY) - 1}/{len(BODY)}")
    async with rig() as parts:

        async def answer(number: int, writer: asyncio.StreamWriter) -> None:
            if number:
                writer.write(rest)
                return
            writer.write(WHOLE[: -len(BODY)])
            while not parts.recorded.of("call.sent"):
                await asyncio.sleep(0)  # until the client waits for the body
            parts.clock.advance(61)
            writer.write(BODY[:2])
            await writer.wait_closed()  # the client hangs up, not the server

        async with raw_server(answer) as server:
            await fetch(server, parts, tmp_path / "report")

    assert (tmp_path / "report").read_bytes() == BODY
    assert "stalled" in str(parts.recorded.of("download.resumed")[0]["reason"])


@pytest.mark.fault(7)
async def test_a_full_disk_ends_in_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bulkpull.transfer.partial_file.os.pwrite", refuse)
    error, server = await outcome(says(WHOLE), tmp_path / "report")

    assert isinstance(error, DiskTrouble)
    assert "no space left" in str(error)
    assert len(server.requests) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault(59, 60, 63, 64)
@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    # One less than the tries that are allowed: as many mishaps in a row without a byte are the end, and rightly so.
    st.lists(st.sampled_from(["cut", "reset", "whole instead", "other start", "busy", "expired"]), max_size=5),
    st.data(),
)
async def test_any_sequence_of_mishaps_ends_in_the_same_bytes(
    tmp_path: Path, mishaps: list[str], data: st.DataObject
) -> None:
    cuts = [data.draw(st.integers(0, len(BODY) - 1)) for _ in mishaps]

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        request = server.requests[number].decode()
        start = int(request.split("Range: bytes=")[1].split("-")[0]) if "Range: bytes=" in request else 0
        part = reply(
            "206 Partial Content", BODY[start:], ETag=ETAG, Content_Range=f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
        )
        good = part if start else WHOLE
        mishap = mishaps[number] if number < len(mishaps) else "none"
        match mishap:
            case "cut" | "reset":
                writer.write(good[: max(1, len(good) - len(BODY) + cuts[number])])
                await writer.drain()
                if mishap == "reset":
                    writer.transport.abort()
                return
            case "whole instead":
                good = WHOLE
            case "other start":
                good = reply("206 Partial Content", BODY[1:], ETag=ETAG, Content_Range=f"bytes 1-9/{len(BODY)}")
            case "busy":
                good = reply("503 Busy")
            case "expired":
                good = reply("403 Forbidden")
        writer.write(good)
        await writer.drain()

    into = tmp_path / "report"
    into.unlink(missing_ok=True)
    async with raw_server(answer) as server, rig() as parts:
        try:
            await fetch(server, parts, into)
        except (FileDamaged, LinkExpired):
            assert mishaps.count("expired") > 2 or mishaps.count("other start") > 3
            assert not into.exists()
        else:
            assert into.read_bytes() == BODY
            assert not into.with_name("report.part").exists()


@pytest.mark.fault(71)
async def test_a_file_without_a_byte_is_no_file(tmp_path: Path) -> None:
    error, _ = await outcome(says(reply("200 OK", b"", ETag=ETAG)), tmp_path / "report")

    assert isinstance(error, FileDamaged)
    assert "0 bytes" in str(error)
    assert list(tmp_path.iterdir()) == []
