"""Where several readers look at the same bytes they agree on every cell, or the file is refused with a reason."""

from __future__ import annotations

import csv
import gzip
import io
import random
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from csv_reports import converted, csv_bytes, pieces_of, texts
from hypothesis import example, given, settings
from hypothesis import strategies as st
from isal import igzip
from support import examples, peak_memory

from bulkpull.conversion import convert_file, decompress
from bulkpull.conversion.header import MAX_COLUMNS, MAX_HEADER_BYTES, Header, read_header, split_header
from bulkpull.errors import BulkpullError, FileDamaged, NotTheReport

Cells = list[tuple[str | None, ...]]


def separator_of(data: bytes, *, asked: list[str]) -> str:
    """Under which more of the names stand in the header; a comma where both are as good."""

    def named(separator: str) -> int:
        header = next(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=separator), [])
        return sum(name in {field.strip().upper() for field in header} for name in asked)

    return max(",\t", key=named)


def read_by_python(data: bytes, *, asked: list[str], separator: str) -> Cells | None:
    """The data rows as Python's `csv` reads them, the columns asked for first; `None` when they are no table."""
    try:
        text = data.decode("utf-8-sig")
        header, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    except (UnicodeDecodeError, csv.Error):
        return None
    if len(header) > 1:
        while rows and not rows[-1]:
            rows.pop()
    else:
        rows = [row or [""] for row in rows]
    names = ["".join(filter(str.isalnum, name)).casefold() for name in header]
    first = [names.index(name.casefold()) for name in asked]
    order = first + [place for place in range(len(header)) if place not in first]
    return [tuple(row[place] or None for place in order) for row in rows if len(row) == len(order)] + [
        tuple(row) for row in rows if len(row) != len(order)
    ]


PIECES = st.sampled_from(
    [
        "a",
        "0012",
        ",",
        "\t",
        '"',
        '""',
        "\n",
        "\r",
        "\r\n",
        "\r\r\n",
        "\n\r",
        "é",
        "\ufeff",
        " ",
        "\0",
        '","',
        '",\r\n"',
    ]
)


@pytest.mark.case("C1", "C2")
@pytest.mark.fault(82, 83, 84, 85)
@settings(deadline=None, max_examples=examples(1500))
@example(text="\t", header="A", end="\n", cut=0, sizes=(1, 1))  # a tab is text where the header has commas
@example(text="a", header="", end="", cut=0, sizes=(1, 1))  # a header alone, in other letters than it was asked for
@given(
    text=st.lists(PIECES, max_size=14).map("".join),
    header=st.sampled_from(["A,B", "A,B", "A", "B,A", '"A","B"', "\ufeffA,B", "A\tB", "A,B,", ""]),
    end=st.sampled_from(["\n", "\r\n", "\n", "\r", "\r\r\n", ""]),
    cut=st.integers(0, 40),
    sizes=st.tuples(st.integers(1, 12), st.integers(1, 9)),
)
def test_any_text_is_read_as_python_reads_it_or_refused(
    text: str, header: str, end: str, cut: int, sizes: tuple[int, int]
) -> None:
    file = (header + end + text).encode()
    file = file[: len(file) - cut] if cut < 10 else file
    names = ["A", "B"] if "B" in header else ["A"]
    try:
        found = converted(file, texts(*names), batch_bytes=sizes[0], piece_bytes=sizes[1], packed=False)
    except BulkpullError:
        return
    expected = read_by_python(file, asked=names, separator=separator_of(file, asked=names))

    assert expected is not None
    assert found.frame.rows() == expected
    assert found.table.unpacked_bytes == len(file)
    assert found.table.nul_bytes == sum(cell.count("\0") for row in expected for cell in row if cell)


@pytest.mark.case("C1")
@pytest.mark.parametrize(
    "file",
    [
        b"MpnId,Amount\r0001,1\r0002,2\r",
        b"MpnId,Amount\r0001,1\n0002,2\n",
        b"MpnId,Amount\r\n0001,1\r0002,2\r\n",
        b"MpnId,Amount\r" + b"0001,1\r" * 1_000_000,
    ],
    ids=["CR", "CR, then LF", "CRLF, then CR", "more CR than a header has bytes"],
)
@pytest.mark.parametrize("batch_bytes", [1, 1 << 20])
def test_a_file_whose_lines_end_with_a_carriage_return_is_refused_for_its_line_ends(
    file: bytes, batch_bytes: int
) -> None:
    with pytest.raises(NotTheReport, match=r"carriage return .* line ends are neither LF nor CRLF"):
        converted(file, texts("MpnId", "Amount"), batch_bytes=batch_bytes, packed=False)


@pytest.mark.case("C1")
def test_a_file_that_is_cut_inside_its_last_line_end_has_all_its_rows() -> None:
    assert converted(b"MpnId,Amount\n0001,1\r", texts("MpnId", "Amount")).rows_as_text() == [("0001", "1")]


@pytest.mark.case("C1")
@pytest.mark.parametrize("file", [b'5" disk,b\n1,2\n3"x,4\n', b'"a\nb,c"\n1\n', b'a,"b"x\n1,2\n'])
def test_a_header_that_two_readers_would_end_elsewhere_is_refused(file: bytes) -> None:
    with pytest.raises((NotTheReport, FileDamaged)):
        converted(file, texts("b"), packed=False)


@pytest.mark.case("C1")
def test_line_feeds_and_crlf_may_be_mixed() -> None:
    found = converted(b"a,b\n1,2\r\n3,4\n5,6\r\n", texts("a", "b"))

    assert found.rows_as_text() == [("1", "2"), ("3", "4"), ("5", "6")]


@pytest.mark.case("C2")
@pytest.mark.parametrize(
    "file", [b"a,b\r\r\n1,2\r\r\n3,4\r\r\n", b"a,b\n1,2\r\r\n3,4\n", b"a,b\n1,2\n\r\r\n", b"a,b\n1,2\n\n\r\r\n\n"]
)
@pytest.mark.parametrize("batch_bytes", [1, 5, 1 << 20])
def test_two_carriage_returns_before_a_line_feed_are_refused(file: bytes, batch_bytes: int) -> None:
    with pytest.raises(NotTheReport, match="carriage return"):
        converted(file, texts("a", "b"), batch_bytes=batch_bytes)


@pytest.mark.case("C3")
@pytest.mark.parametrize(
    ("header", "asked", "first", "second"),
    [
        (b"Amount ($),Amount (%)", "Amount", "Amount ($)", "Amount (%)"),
        (b"MPN_ID,MPN ID", "MpnId", "MPN_ID", "MPN ID"),
        (b"Other,AMOUNT.,aMount!", "Amount", "AMOUNT.", "aMount!"),
    ],
)
def test_a_column_that_may_be_either_of_two_is_refused_with_both(
    header: bytes, asked: str, first: str, second: str
) -> None:
    with pytest.raises(NotTheReport, match="not clear which of them was requested") as refused:
        read_header(header, columns=texts(asked))

    assert repr(asked) in str(refused.value)
    assert repr(first) in str(refused.value)
    assert repr(second) in str(refused.value)


@pytest.mark.case("C3")
def test_a_column_whose_exact_name_is_there_is_not_ambiguous() -> None:
    assert read_header(b"Amount ($),Amount,AMOUNT (%)", columns=texts("Amount")).wanted == (1,)


@pytest.mark.case("C4")
@pytest.mark.parametrize(
    ("header", "extra"),
    [
        (b"a,column_3,", ("column_3", "column_3_")),
        (b"a, , ", ("column_2", "column_3")),
        (b"a,,COLUMN_2", ("column_2_", "COLUMN_2")),
        (b"a,,column_2,column_2_", ("column_2__", "column_2", "column_2_")),
    ],
)
def test_columns_without_a_name_get_names_of_their_own(header: bytes, extra: tuple[str, ...]) -> None:
    row = b",".join(b"%d" % number for number in range(header.count(b",") + 1))

    found = converted(header + b"\n" + row + b"\n", texts("a"))

    assert found.table.extra_columns == extra
    assert found.frame.rows() == [tuple(str(number) for number in range(len(extra) + 1))]


def member(content: bytes, chance: random.Random) -> bytes:
    """A gzip member with any of the optional parts of its header, written in blocks of any kind."""
    flags = chance.choice([0, 0, 2, 4, 8, 16, 2 | 8, 2 | 4 | 8 | 16, 0xE0])
    head = b"\x1f\x8b\x08" + bytes([flags]) + bytes(6)
    if flags & 4:
        extra = chance.randbytes(chance.choice([0, 1, 5, 300, 65_535]))
        head += len(extra).to_bytes(2, "little") + extra
    if flags & 8:
        head += b"report" * chance.randrange(3) + b"\0"
    if flags & 16:
        head += b"c" * chance.randrange(400) + b"\0"
    if flags & 2:
        head += (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little")
    packer = zlib.compressobj(chance.choice([0, 1, 6, 9]), zlib.DEFLATED, -15, chance.choice([1, 9]))
    middle = chance.randrange(len(content) + 1)
    body = packer.compress(content[:middle]) + packer.flush(chance.choice([zlib.Z_NO_FLUSH, zlib.Z_FULL_FLUSH]))
    body += packer.compress(content[middle:]) + packer.flush()
    return head + body + zlib.crc32(content).to_bytes(4, "little") + len(content).to_bytes(4, "little")


def contents(chance: random.Random) -> bytes:
    size = chance.choice([0, 1, 7, 100, 5_000, 262_143, 262_144, 262_145, 300_000])
    return chance.choice([chance.randbytes(size), b"\t" * size, (b"0012345,Contoso\r\n" * (size // 17 + 1))[:size]])


@pytest.mark.case("C5")
@pytest.mark.behaviour(127, 190)
@pytest.mark.fault(76, 77)
@settings(deadline=None, max_examples=examples(150))
@given(seed=st.integers(0, 2**32), harm=st.sampled_from(["none", "none", "cut", "flip", "tail"]), data=st.data())
def test_gzip_is_read_as_python_reads_it_whatever_the_pieces(
    tmp_path_factory: pytest.TempPathFactory, seed: int, harm: str, data: st.DataObject
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a sample
    # A first byte that begins no other kind of file, which `unpacked` would refuse by its name.
    packed = member(b",", chance) + b"".join(
        member(contents(chance), chance) + bytes(chance.choice([0, 0, 1, 20])) for _ in range(chance.randrange(4))
    )
    if harm == "cut":
        packed = packed[: chance.randrange(3, len(packed))]
    elif harm == "flip":
        place = chance.randrange(3, len(packed))
        packed = packed[:place] + bytes([packed[place] ^ 1 << chance.randrange(8)]) + packed[place + 1 :]
    elif harm == "tail":
        packed += chance.randbytes(chance.randrange(1, 30))
    try:
        expected: bytes | None = gzip.GzipFile(fileobj=io.BytesIO(packed)).read()
    except (EOFError, OSError, zlib.error):
        expected = None
    sizes = [64, 4_096, 65_536, 1 << 20] if len(packed) > 20_000 else [1, 2, 3, 7, 64, 65_536]
    path: Path = tmp_path_factory.mktemp("gzip") / "report"
    path.write_bytes(packed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(igzip, "READ_BUFFER_SIZE", data.draw(st.sampled_from([70_000, 70_001, 131_072, 524_288])))
        patch.setattr(decompress, "PIECE_BYTES", data.draw(st.sampled_from(sizes)))
        try:
            found: bytes | None = b"".join(decompress.unpacked(path, max_unpacked_bytes=1 << 40))
        except FileDamaged:
            found = None

    # A flipped bit of a header with a checksum of its own is noticed here, and skipped by Python.
    assert found == expected or (found is None and harm == "flip")


@pytest.mark.case("C41")
def test_a_header_line_without_an_end_is_refused_after_a_bounded_look() -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while taken < 100 * 1024 * 1024:
            taken += 256 * 1024
            yield b"x" * (256 * 1024)

    with pytest.raises(NotTheReport, match=f"does not end within {MAX_HEADER_BYTES:,} bytes"):
        split_header(endless())

    assert taken <= MAX_HEADER_BYTES + 2 * 256 * 1024


@pytest.mark.case("C41")
def test_a_hundred_thousand_columns_are_refused_with_their_number() -> None:
    header = ",".join(f"Column{number}" for number in range(100_000)).encode()

    with pytest.raises(NotTheReport, match=f"100,000 columns: that is more than the {MAX_COLUMNS:,}"):
        converted(header + b"\n", texts("Column1", "Column99999"))


@pytest.mark.case("C41")
def test_as_many_columns_as_are_allowed_are_matched() -> None:
    names = [f"Column{number}" for number in range(MAX_COLUMNS)]

    with peak_memory() as peak:
        found = read_header(",".join(names).encode(), columns=texts(*reversed(names)))

    assert found.wanted == tuple(reversed(range(MAX_COLUMNS)))
    assert peak.size_bytes < 200 * 1024 * 1024


@pytest.mark.case("C40")
@pytest.mark.parametrize(
    ("file", "ends_open"),
    [
        (b"A,B\n1,2\n", False),
        (b"A,B\n1,2\r\n\r\n", False),
        (b"A,B\n1,2\r", False),
        (b"A,B\n1,2", True),
        (b'A,B\n1,"2"', True),
        (b"A,B\n1,", True),
        (b"A,B", True),
        (b"A,B\r", False),
    ],
)
@pytest.mark.parametrize("batch_bytes", [1, 1 << 20])
def test_a_file_that_ends_without_a_line_end_is_told(file: bytes, ends_open: bool, batch_bytes: int) -> None:
    found = converted(file, texts("A", "B"), batch_bytes=batch_bytes)

    assert found.table.ends_open == ends_open


@pytest.mark.case("C40")
def test_a_file_that_was_packed_is_told() -> None:
    file = csv_bytes(["A"], [["1"]])

    assert converted(file, texts("A")).table.is_gzip
    assert not converted(file, texts("A"), packed=False).table.is_gzip


def test_bytes_that_nobody_accounts_for_are_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum is a check of its own: it notices a header that swallows a row."""

    def greedy(pieces: Iterator[bytes]) -> tuple[Header, Iterator[bytes]]:
        header, rest = split_header(pieces)
        data = b"".join(rest)
        return header, pieces_of(data[data.index(b"\n") + 1 :], 100)

    monkeypatch.setattr(convert_file, "split_header", greedy)

    with pytest.raises(NotTheReport, match="12 bytes were counted and 8 bytes of header, rows and line ends"):
        converted(b"A,B\n1,2\n3,4\n", texts("A", "B"))


@pytest.mark.case("C45")
@pytest.mark.parametrize(
    "file", [b'"Date\n2026-01-01,1\n2026-01-02,2\n",A\n2026-01-03,3\n', b'A,"Date\n1,2026-01-01\n"\n2,2026-01-02\n']
)
def test_a_stray_quote_that_takes_rows_into_the_header_is_a_refusal(file: bytes) -> None:
    """`Date` asked for, and a column whose name begins so and goes on over rows: those rows would be gone."""
    with pytest.raises(NotTheReport, match="quote in the middle"):
        converted(file, texts("Date", "A"))
