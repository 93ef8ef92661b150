"""The partial file: nothing is vouched for before it is written, and nothing is believed that has changed since."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import examples

from bulkpull import platforms
from bulkpull.transfer import partial_file
from bulkpull.transfer.byte_ranges import ByteRange
from bulkpull.transfer.journal import append_ranges
from bulkpull.transfer.partial_file import PartialFile
from bulkpull.transfer.range_responses import Version

URL = "https://storage.contoso.example/container/report.csv?sig=a"
BODY = bytes(range(256)) * 16
VERSION = Version(size_bytes=len(BODY), etag='"a"', md5=hashlib.md5(BODY, usedforsecurity=False).digest())


async def begun(folder: Path, version: Version = VERSION) -> PartialFile:
    partial = await PartialFile.opened(folder / "report.part")
    await partial.begin(version, execution_id="execution-1", url=URL)
    return partial


async def taken_up(folder: Path, *, execution_id: str = "execution-1", url: str = URL) -> tuple[PartialFile, bool]:
    partial = await PartialFile.opened(folder / "report.part")
    return partial, await partial.resume(execution_id=execution_id, url=url) is not None


@pytest.mark.fault(95)
async def test_bytes_are_in_the_file_before_the_journal_speaks_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there: list[bytes] = []

    def noted(*arguments: Any) -> None:
        there.append((tmp_path / "report.part").read_bytes())
        append_ranges(*arguments)

    monkeypatch.setattr(partial_file, "append_ranges", noted)
    partial = await begun(tmp_path)
    await partial.write([BODY[:100]], offset=0)
    await partial.write_journal()
    await partial.write_journal()  # nothing new
    await partial.close()

    assert there == [BODY[:100]]


@pytest.mark.case("C56")
async def test_what_a_crash_left_beyond_the_end_of_the_file_is_cut_off(tmp_path: Path) -> None:
    partial = await begun(tmp_path)
    await partial.write([BODY], offset=0)
    await partial.write_journal()
    await partial.close()
    with (tmp_path / "report.part").open("ab") as file:
        file.write(b"\0" * 300)

    partial, is_resumed = await taken_up(tmp_path)
    await partial.close()

    assert is_resumed
    assert (tmp_path / "report.part").read_bytes() == BODY


@pytest.mark.fault(95)
async def test_bytes_that_a_power_cut_took_are_not_believed_whatever_the_journal_says(tmp_path: Path) -> None:
    partial = await begun(tmp_path)
    await partial.write([BODY[:1_000]], offset=0)
    await partial.write_journal()
    await partial.close()
    (tmp_path / "report.part").write_bytes(bytes(1_000))  # as a file system shows blocks that it had only allocated

    again, taken = await taken_up(tmp_path)
    await again.close()

    assert taken
    assert again.complete_ranges == []


@pytest.mark.fault(96)
async def test_a_sync_that_fails_is_told_and_leaves_the_bytes_undurable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def refuse(descriptor: int) -> None:
        asked.append(descriptor)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(platforms.current(), "sync_data", refuse)
    partial = await begun(tmp_path)
    await partial.fsync()  # nothing to make durable
    await partial.write([BODY[:100]], offset=0)
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output"):
            await partial.fsync()
    await partial.close()

    assert len(asked) == 2


@pytest.mark.fault(74)
@pytest.mark.parametrize("change", ["edited", "truncated", "longer", "other execution", "other blob"])
async def test_what_the_journal_cannot_vouch_for_is_fetched_again(tmp_path: Path, change: str) -> None:
    partial = await begun(tmp_path)
    await partial.write([BODY[:1_000]], offset=0)
    await partial.write([BODY[2_000:3_000]], offset=2_000)
    await partial.write_journal()
    await partial.close()
    path = tmp_path / "report.part"
    content = bytearray(path.read_bytes())
    if change == "edited":
        content[10] ^= 1
    path.write_bytes({"truncated": content[:2_500], "longer": content + b"more"}.get(change, content))

    again, taken = await taken_up(
        tmp_path,
        execution_id="execution-2" if change == "other execution" else "execution-1",
        url=URL.replace("report", "other") if change == "other blob" else URL,
    )
    await again.close()

    expected = {
        "edited": [ByteRange(2_000, 3_000)],
        "truncated": [ByteRange(0, 1_000)],
        "longer": [ByteRange(0, 1_000), ByteRange(2_000, 3_000)],
    }
    assert again.complete_ranges == expected.get(change, [])
    assert taken == (change in expected)


@pytest.mark.fault(66)
async def test_a_file_that_cannot_be_pinned_gets_no_journal(tmp_path: Path) -> None:
    partial = await begun(tmp_path, Version(size_bytes=len(BODY)))
    await partial.write([BODY], offset=0)
    await partial.write_journal()
    await partial.close()

    assert not (tmp_path / "report.journal").exists()


@pytest.mark.behaviour(132)
@settings(max_examples=examples(50), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(range(0, len(BODY), 512)), st.integers(1, 512))
async def test_bytes_in_any_order_give_the_file_its_md5_and_a_journal_that_holds(
    tmp_path: Path, order: list[int], size: int
) -> None:
    partial = await begun(tmp_path)
    for offset in order:
        block = BODY[offset : offset + 512]
        await partial.write([block[at : at + size] for at in range(0, len(block), size)], offset=offset)
    await partial.write_journal()
    digest = await partial.md5(size_bytes=len(BODY))
    await partial.close()
    again, taken = await taken_up(tmp_path)
    digest_again = await again.md5(size_bytes=len(BODY))
    await again.close()

    assert (tmp_path / "report.part").read_bytes() == BODY
    assert digest == digest_again == VERSION.md5
    assert taken
    assert (again.complete_ranges, again.done_bytes) == ([ByteRange(0, len(BODY))], len(BODY))


async def test_a_short_write_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, offset: whole(descriptor, data[:50], offset))
    partial = await begun(tmp_path)
    await partial.write([BODY[:30], BODY[30:200]], offset=0)
    await partial.close()

    assert (tmp_path / "report.part").read_bytes() == BODY[:200]
