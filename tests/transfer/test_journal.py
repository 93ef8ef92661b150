"""The journal: any beginning of it is one, what is damaged ends it, and no link is in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bulkpull.transfer.byte_ranges import ByteRange
from bulkpull.transfer.journal import JournaledRange, append_ranges, begin_journal, load_journal
from bulkpull.transfer.range_responses import Version

LINK = "https://storage.contoso.example/container/report.csv?sv=2018-03-28&sig=a%2Bb%3D"
VERSION = Version(
    size_bytes=900, etag='"0x8"', md5=bytes(16), modified="Mon, 23 Nov 2026 00:00:00 GMT", encoding="gzip"
)
EXTENTS = [
    JournaledRange(ByteRange(0, 100), 11),
    JournaledRange(ByteRange(500, 600), 22),
    JournaledRange(ByteRange(0, 200), 33),
]


def loaded(path: Path, url: str = LINK) -> tuple[Version, list[JournaledRange]] | None:
    return load_journal(path, "execution-1", url)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "report.journal"
    begin_journal(path, VERSION, execution_id="execution-1", url=LINK)
    for item in EXTENTS:
        append_ranges(path, [item])
    return path


def test_what_was_vouched_for_is_read_back_and_a_longer_extent_replaces_a_shorter(journal: Path) -> None:
    assert loaded(journal) == (VERSION, [EXTENTS[2], EXTENTS[1]])


@pytest.mark.fault(74, 95)
def test_any_beginning_of_a_journal_is_a_journal_that_vouches_for_less(journal: Path) -> None:
    content = journal.read_bytes()
    seen = []
    for length in range(len(content)):
        journal.write_bytes(content[:length])
        found = loaded(journal)
        if found is not None:
            assert found[0] == VERSION
            assert all(extent in EXTENTS for extent in found[1])
        seen.append(len(found[1]) if found else -1)

    assert sorted(set(seen)) == [-1, 0, 1, 2]
    assert seen == sorted(seen)


@pytest.mark.fault(74)
def test_a_damaged_byte_never_makes_a_journal_say_something_else(journal: Path) -> None:
    content = bytearray(journal.read_bytes())
    for at in range(len(content)):
        content[at] ^= 1
        journal.write_bytes(content)
        found = loaded(journal)
        content[at] ^= 1

        assert found is None or (found[0] == VERSION and all(extent in EXTENTS for extent in found[1]))


def test_a_journal_of_another_format_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bulkpull.transfer.journal.FORMAT", 2)
    begin_journal(tmp_path / "j", VERSION, execution_id="execution-1", url=LINK)
    monkeypatch.undo()

    assert loaded(tmp_path / "j") is None


@pytest.mark.parametrize("content", [b"", b"\n", b"rubbish\n", b"\0" * 4096])
def test_what_is_no_journal_vouches_for_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "j").write_bytes(content)

    assert loaded(tmp_path / "j") is None
    assert loaded(tmp_path / "missing") is None


@pytest.mark.behaviour(135)
def test_nothing_of_the_link_is_written_and_a_fresh_link_to_the_same_blob_is_recognised(journal: Path) -> None:
    for word in (b"sig", b"contoso", b"report.csv", b"https"):
        assert word not in journal.read_bytes()
    assert loaded(journal, LINK.replace("a%2Bb", "other")) == loaded(journal)
    assert loaded(journal, LINK.replace("report.csv", "other.csv")) is None
    assert load_journal(journal, "execution-2", LINK) is None
