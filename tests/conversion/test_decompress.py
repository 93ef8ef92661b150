"""The file as stored → its bytes, or a refusal."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from pathlib import Path

import pytest
from isal import igzip

from bulkpull.conversion import decompress
from bulkpull.conversion.decompress import PIECE_BYTES, unpacked
from bulkpull.errors import BulkpullError, FileDamaged, NotTheReport, TooLarge

CSV = b"MPNId,Quantity\r\n" + b"".join(b"0012345,%d\r\n" % number for number in range(200))
NO_LIMIT = 1 << 40


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    return tmp_path / "report.csv"


def inflated(stored: Path, data: bytes, *, most: int = NO_LIMIT) -> bytes:
    stored.write_bytes(data)
    return b"".join(unpacked(stored, max_unpacked_bytes=most))


@pytest.mark.behaviour(126, 127)
@pytest.mark.fault(77, 78)
@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(CSV, id="plain"),
        pytest.param(gzip.compress(CSV), id="gzip"),
        pytest.param(gzip.compress(CSV[:100]) + gzip.compress(CSV[100:]), id="two members"),
        pytest.param(gzip.compress(b"") + gzip.compress(CSV) + gzip.compress(b""), id="empty members"),
        pytest.param(gzip.compress(CSV) + bytes(1000), id="padded with zeros"),
        pytest.param(gzip.compress(CSV[:9]) + bytes(3) + gzip.compress(CSV[9:]), id="zeros between members"),
        pytest.param(gzip.compress(gzip.compress(CSV)), id="packed twice"),
    ],
)
@pytest.mark.parametrize("size_bytes", [16, 17, 19, 64, 1 << 16])
def test_what_was_packed_comes_out_whatever_was_read_at_once(
    stored: Path, monkeypatch: pytest.MonkeyPatch, packed: bytes, size_bytes: int
) -> None:
    monkeypatch.setattr(igzip, "READ_BUFFER_SIZE", size_bytes)
    monkeypatch.setattr(decompress, "PIECE_BYTES", size_bytes - 15)

    assert inflated(stored, packed) == CSV


@pytest.mark.fault(76)
def test_a_header_that_does_not_end_is_damage(stored: Path) -> None:
    packed = gzip.compress(CSV)

    with pytest.raises(FileDamaged):
        inflated(stored, packed[:3] + b"\x08" + packed[4:10] + b"n" * 1_000_000 + b"\0" + packed[10:])


@pytest.mark.fault(76)
def test_a_gzip_cut_anywhere_is_damaged(stored: Path) -> None:
    packed = gzip.compress(CSV)

    for length in range(2, len(packed)):
        with pytest.raises(FileDamaged):
            inflated(stored, packed[:length])


@pytest.mark.fault(76)
def test_a_flipped_bit_never_changes_the_data_unnoticed(stored: Path) -> None:
    """Some bits of the header and of the padding mean nothing; all others must be noticed."""
    packed, noticed = gzip.compress(CSV), 0

    for bit in range(16, len(packed) * 8):  # without the two bytes that say that it is gzip
        flipped = bytearray(packed)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            assert inflated(stored, bytes(flipped)) == CSV
        except FileDamaged:
            noticed += 1

    assert noticed > 0.8 * 8 * (len(packed) - 10)


@pytest.mark.fault(76)
@pytest.mark.parametrize("place", [-1, -4, -5, -8], ids=["length", "length", "CRC", "CRC"])
def test_a_wrong_trailer_is_damage(stored: Path, place: int) -> None:
    packed = bytearray(gzip.compress(CSV))
    packed[place] ^= 0xFF

    with pytest.raises(FileDamaged):
        inflated(stored, bytes(packed))


@pytest.mark.fault(77)
@pytest.mark.parametrize("rubbish", [b"x", b"\0\0x", CSV, b"\x1f", b"\x1f\x8b", b"\x1f\x8bxxxxxxxxxxxxxxxxxxx"])
def test_something_else_after_the_end_is_damage(stored: Path, rubbish: bytes) -> None:
    with pytest.raises(FileDamaged):
        inflated(stored, gzip.compress(CSV) + rubbish)


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("report.csv", CSV)
    return buffer.getvalue()


@pytest.mark.fault(78)
@pytest.mark.parametrize("data", [archive(), gzip.compress(archive())], ids=["zip", "zip in gzip"])
def test_a_zip_archive_is_refused_by_its_name(stored: Path, data: bytes) -> None:
    with pytest.raises(NotTheReport, match="zip archive"):
        inflated(stored, data)


@pytest.mark.fault(71)
@pytest.mark.parametrize("data", [b"", gzip.compress(b"")], ids=["0 bytes", "0 bytes unpacked"])
def test_an_empty_file_is_no_report(stored: Path, data: bytes) -> None:
    with pytest.raises(NotTheReport, match="empty"):
        inflated(stored, data)


@pytest.mark.fault(79)
def test_a_bomb_is_left_alone_soon_after_its_limit(stored: Path) -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    stored.write_bytes(bomb.compress(bytes(50_000_000)) + bomb.flush())
    seen: list[int] = []

    with pytest.raises(TooLarge, match="max_unpacked_bytes"):
        seen.extend(len(piece) for piece in unpacked(stored, max_unpacked_bytes=1_000_000))

    assert max(seen) <= PIECE_BYTES
    assert sum(seen) <= 1_000_000


@pytest.mark.fault(79)
def test_a_file_of_exactly_the_limit_passes(stored: Path) -> None:
    assert inflated(stored, gzip.compress(CSV), most=len(CSV)) == CSV
    with pytest.raises(TooLarge):
        inflated(stored, gzip.compress(CSV), most=len(CSV) - 1)


def test_each_refusal_says_what_to_do(stored: Path) -> None:
    for data in (b"", archive(), gzip.compress(CSV)[:-1]):
        with pytest.raises(BulkpullError) as caught:
            inflated(stored, data)

        assert caught.value.what.startswith("the report's file")
        assert caught.value.fix
