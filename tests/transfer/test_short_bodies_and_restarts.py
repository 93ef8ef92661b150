"""Short bodies, restarts, journals, the reserve on the disk: what one change to the code would undo (case C44)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from support import raw_server, reply, rig
from transfer.storage_host import PATH, Mishap, StorageHost, serving

from bulkpull.errors import AnswerLost, DiskTrouble, FileDamaged
from bulkpull.model import SecureLink
from bulkpull.output import disk_space
from bulkpull.pipeline.steps.download import download_report
from bulkpull.transfer.byte_ranges import ByteRange
from bulkpull.transfer.partial_file import PartialFile
from bulkpull.transfer.range_responses import Version
from bulkpull.transfer.signed_link import SignedLink

BODY = bytes(range(256)) * 40
ETAG = '"0x8DA97FA9D1B3C00"'
URL = "https://storage.contoso.example/container/report.csv?sig=a"


@pytest.mark.case("C44")
@pytest.mark.behaviour(130)
@pytest.mark.fault(54)
async def test_a_body_shorter_than_its_range_is_a_break_and_counts_as_a_try(tmp_path: Path) -> None:
    """The reply ends by its own end mark: only its `Content-Range` promises more."""
    head = (
        f"HTTP/1.1 206 Partial Content\r\nETag: {ETAG}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
        f"Content-Range: bytes 1000-{len(BODY) - 1}/{len(BODY)}\r\n\r\n"
    ).encode()

    async def answer(number: int, writer: Any) -> None:
        if number == 0:
            whole = reply("200 OK", BODY, ETag=ETAG)
            writer.write(whole[: len(whole) - len(BODY) + 1_000])
        else:  # whole in the end, so that a transfer which does not count the tries ends as well
            piece = BODY[1_000:] if number >= 40 else b""
            writer.write(head + (b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b"") + b"0\r\n\r\n")

    async with raw_server(answer) as server, rig() as parts:

        async def relink() -> SecureLink:
            return SecureLink(server.origin + PATH)

        links = SignedLink(SecureLink(server.origin + PATH), relink, parts.clock)
        with pytest.raises(AnswerLost):
            await download_report(tmp_path / "report", parts.opening_transfer(links))

    assert len(server.requests) <= 1 + parts.retrier.policy.attempts
    # What has arrived stays for the next run: the fault may pass.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.journal", "report.part"]


@pytest.mark.case("C44")
@pytest.mark.fault(7)
@pytest.mark.parametrize("missing_bytes", [0, 1])
async def test_a_reserve_stays_free_beyond_what_a_file_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing_bytes: int
) -> None:
    """The ledger, the manifest and the pointer have to be written when data no longer can."""

    class Usage:
        free = 1_000_000 + (4 << 20) - missing_bytes

    monkeypatch.setattr("bulkpull.output.disk_space.shutil.disk_usage", lambda _: Usage)
    if missing_bytes:
        with pytest.raises(DiskTrouble, match="reserve of 4,194,304"):
            await disk_space.check_room(tmp_path, needed_bytes=1_000_000)
    else:
        await disk_space.check_room(tmp_path, needed_bytes=1_000_000)


@pytest.mark.case("C44")
@pytest.mark.behaviour(131)
@pytest.mark.fault(55, 66)
async def test_the_journal_of_a_version_is_gone_before_its_bytes_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the new version cannot be pinned and gets none: a later process would join the two."""
    partial = await PartialFile.opened(tmp_path / "report.part")
    await partial.begin(Version(size_bytes=len(BODY), etag=ETAG), execution_id="execution-1", url=URL)
    await partial.write([BODY], offset=0)
    await partial.write_journal()
    journal = tmp_path / "report.journal"
    assert journal.exists()
    there: list[bool] = []
    truncate = os.ftruncate

    def look(descriptor: int, length: int) -> None:
        there.append(journal.exists())
        truncate(descriptor, length)

    monkeypatch.setattr(os, "ftruncate", look)
    await partial.begin(Version(size_bytes=len(BODY)), execution_id="execution-1", url=URL)
    await partial.close()

    assert there == [False]
    assert not journal.exists()


@pytest.mark.case("C44")
@pytest.mark.behaviour(131)
@pytest.mark.fault(55)
async def test_a_file_that_changes_with_every_request_is_given_up(tmp_path: Path) -> None:
    def change(number: int, _: ByteRange | None) -> Mishap:
        if number < 60:  # so that a transfer which does not count ends as well
            host.body, host.etag = bytes([number]) * 300_000, f'"version-{number}"'
            return Mishap(cut_after=1_000)
        return Mishap()

    async with serving(StorageHost(BODY, course=change)) as host:
        with pytest.raises(FileDamaged, match="keeps changing"):
            await host.fetch(tmp_path / "report")

    assert len(host.asked) < 20
    assert list(tmp_path.iterdir()) == []
