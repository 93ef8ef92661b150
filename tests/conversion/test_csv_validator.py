"""The check that shares no code with the converter, held against Python's own reading of CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import pytest
from csv_reports import csv_bytes, pieces_of
from hypothesis import given, settings
from hypothesis import strategies as st
from support import examples

from bulkpull.conversion import csv_validator
from bulkpull.conversion.csv_validator import Batch, batches, first_undecodable
from bulkpull.conversion.header import split_header
from bulkpull.errors import BulkpullError, FileDamaged, NotTheReport

COMMA = ord(",")
NASTY = (
    'plain,1\r\n"quoted",2\n"comma, inside",3\r\n"line\r\nbreak",4\n"bare\nfeed",5\n"bare\rreturn",6\n'
    '"doubled "" quote",7\n"""",8\n"",9\n,\n"ends with return\r",10\n"\r\n","\n"\n"é漢😀","\u2028"\r\n",\n"",",","\n'
).encode()


def checked(data: bytes, *, fields: int = 2, batch_bytes: int = 1 << 20, piece: int = 1 << 16) -> list[Batch]:
    return list(batches(pieces_of(data, piece), fields=fields, separator=COMMA, batch_bytes=batch_bytes))


def rows_by_python(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))


@pytest.mark.fault(85)
def test_values_survive_every_size_of_batch_and_every_cut_of_the_file() -> None:
    rows = rows_by_python(NASTY)
    content = sum(len(value.encode()) for row in rows for value in row)

    for size in range(1, len(NASTY) + 2):
        for found in (checked(NASTY, batch_bytes=size), checked(NASTY, batch_bytes=size, piece=size)):
            assert b"".join(batch.data for batch in found) == NASTY
            assert sum(batch.rows for batch in found) == len(rows)
            assert sum(batch.content_bytes for batch in found) == content
            assert [row for batch in found for row in rows_by_python(batch.data)] == rows


@pytest.mark.fault(85)
def test_batches_know_the_number_of_their_first_row() -> None:
    found = checked(NASTY, batch_bytes=20, piece=5)

    assert len(found) > 5
    assert [batch.first_row for batch in found] == [1 + sum(b.rows for b in found[:i]) for i in range(len(found))]


@pytest.mark.fault(85)
@pytest.mark.parametrize(("row", "fields"), [("1", 1), ("1,2", 2), ("1,2,3,4", 4)])
def test_a_row_of_another_length_is_refused_by_the_number_of_its_fields(row: str, fields: int) -> None:
    with pytest.raises(NotTheReport, match=f"row 2 of the report's file has {fields} fields instead of 3"):
        checked(f"a,b,c\n{row}\n".encode(), fields=3)


@settings(deadline=None, max_examples=examples(500))
@given(st.lists(st.sampled_from(["a", ",", '"', "\n", "\r\n", "é"])).map("".join), st.integers(1, 9))
def test_what_is_accepted_is_what_python_reads(text: str, batch_bytes: int) -> None:
    """Any text at all: either it is refused, or both readers see the same rows of two fields."""
    data = text.encode()
    try:
        found = checked(data, batch_bytes=batch_bytes)
    except BulkpullError:
        return
    rows = [row for row in rows_by_python(data) if row]

    assert all(len(row) == 2 for row in rows)
    assert sum(batch.rows for batch in found) == len(rows)
    assert sum(batch.content_bytes for batch in found) == sum(len(value.encode()) for row in rows for value in row)


CELLS = st.text(st.sampled_from(list('a,"\r\n\té漢\0 ')), max_size=6)


@settings(deadline=None, max_examples=examples(300))
@given(
    st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=8), st.integers(1, 60), st.sampled_from(["\n", "\r\n"])
)
def test_what_a_careful_writer_wrote_is_accepted(rows: list[list[str]], batch_bytes: int, line_end: str) -> None:
    data = csv_bytes(["a", "b", "c"], rows, line_end=line_end)
    header, rest = split_header(pieces_of(data, 3))

    found = list(batches(rest, fields=3, separator=COMMA, batch_bytes=batch_bytes))

    assert header.line == b"a,b,c"
    assert header.size_bytes + sum(batch.size_bytes for batch in found) == len(data)
    assert sum(batch.rows for batch in found) == len(rows)
    assert sum(batch.content_bytes for batch in found) == sum(len(cell.encode()) for row in rows for cell in row)


@pytest.mark.fault(81)
@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("only one", "has 1 fields instead of 2"),
        ("1,2,3", "has 3 fields instead of 2"),
        ('"1\n2",3,4', "has 3 fields instead of 2"),
        ('"1,2"', "has 1 fields instead of 2"),
    ],
)
@pytest.mark.parametrize("batch_bytes", [1, 1 << 20])
def test_a_row_with_another_number_of_fields_is_told_by_its_number(row: str, expected: str, batch_bytes: int) -> None:
    data = ("a,b\n" * 7 + row + "\n" + "c,d\n" * 7).encode()

    with pytest.raises(NotTheReport, match=rf"row 8 of the report's file {expected}"):
        checked(data, batch_bytes=batch_bytes)


@pytest.mark.fault(82)
@pytest.mark.parametrize("blank", ["\n", "\r\n", "\n\n\n", "\r\n\r\n"])
@pytest.mark.parametrize("batch_bytes", [1, 2, 3, 4, 5, 1 << 20])
def test_blank_lines_are_tolerated_at_the_end_only(blank: str, batch_bytes: int) -> None:
    whole, inside = f"a,b\nc,d\n{blank}".encode(), f"a,b\nc,d\n{blank}e,f\n".encode()

    assert b"".join(batch.data for batch in checked(whole, batch_bytes=batch_bytes)) == b"a,b\nc,d\n"
    with pytest.raises(NotTheReport, match=r"row 3 of the report's file is a blank line"):
        checked(inside, batch_bytes=batch_bytes)


@pytest.mark.fault(82)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_where_rows_have_one_field_a_blank_line_is_a_row(line_end: str) -> None:
    data = f"a{line_end}{line_end}b{line_end}{line_end}".encode()

    assert sum(batch.rows for batch in checked(data, fields=1)) == 4


@pytest.mark.fault(83)
@pytest.mark.parametrize("last", ["c,d", 'c,"d"', "c,", ",", "c,d\r"])
def test_a_last_line_without_its_end_is_a_row_if_its_fields_are_all_there(last: str) -> None:
    assert sum(batch.rows for batch in checked(f"a,b\n{last}".encode())) == 2
    with pytest.raises(NotTheReport, match=r"row 2 .* has 1 fields"):
        checked(b"a,b\nc")


@pytest.mark.fault(84)
@pytest.mark.parametrize("data", [b'a,"b', b'a,"b\n', b'a,b\n"c,d\ne,f\n', b'"', b'a,b\nc,"d""'])
@pytest.mark.parametrize("batch_bytes", [1, 4, 1 << 20])
def test_an_end_inside_quotes_is_damage(data: bytes, batch_bytes: int) -> None:
    with pytest.raises(FileDamaged, match="ends inside a quoted field"):
        checked(data, batch_bytes=batch_bytes)


@pytest.mark.behaviour(136)
@pytest.mark.parametrize("row", ['5" disk,3" disk', 'a"b",c', '"a"b,c', '"a" ,c', ' "a",c', '""a"",c'])
def test_quotes_that_two_readers_would_read_differently_are_refused(row: str) -> None:
    data = f"a,b\nc,d\n{row}\ne,f\n".encode()

    with pytest.raises(NotTheReport, match=r"row 3 .* quote in the middle of a field"):
        checked(data)


@pytest.mark.fault(91)
def test_a_quote_that_is_never_closed_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_validator, "MAX_ROW_BYTES", 1000)
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        yield b'a,b\nc,"'
        while True:
            taken += 100
            yield b"x" * 100

    with pytest.raises(NotTheReport, match=r"row 2 .* a quote may never be closed"):
        list(batches(endless(), fields=2, separator=COMMA, batch_bytes=64))

    assert taken < 4 * 1000


def test_no_more_of_the_file_is_taken_than_the_batch_needs() -> None:
    """This, and nothing else, bounds the memory: a batch asks for its bytes only when it is asked for."""
    taken = 0

    def pieces() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(1000):
            taken += 8
            yield b"abc,def\n"

    reading = batches(pieces(), fields=2, separator=COMMA, batch_bytes=100)
    for number in range(1, 10):
        assert len(next(reading).data) < 100 + 8
        assert taken <= number * (100 + 8)


@pytest.mark.fault(86)
def test_a_byte_of_another_encoding_is_told_by_its_row() -> None:
    good, bad = checked(b"\xc3\xa9,b\n" * 3), checked(b"a,b\n" * 2 + 'c,"\n\xe4"\n'.encode("latin-1"))

    assert first_undecodable(good[0], separator=COMMA) is None
    assert first_undecodable(bad[0], separator=COMMA) == (3, 0xE4)


@pytest.mark.fault(86)
def test_nul_characters_are_counted() -> None:
    assert checked(b"a\0,\0\nb,c\n")[0].nul_bytes == 2


@pytest.mark.behaviour(139)
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'a,""\n', True),
        (b'"",b\n', True),
        (b"x" * 62 + b',""\n', True),  # across a word of the bitmaps
        (b'a,"b"\n', False),
        (b'"a ""b""",c\n', False),
        (b"a,\n", False),
    ],
)
def test_a_batch_with_a_field_that_is_empty_within_quotes_says_so(data: bytes, expected: bool) -> None:
    assert checked(data)[0].quotes_empty is expected


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("data", "header", "rest"),
    [
        (b"a,b\r\nc,d\r\n", b"a,b", b"c,d\r\n"),
        (b"a,b\n", b"a,b", b""),
        (b"a,b", b"a,b", b""),
        (b'"a\nb",c\nd,e\n', b'"a\nb",c', b"d,e\n"),
        (b"\nx", b"", b"x"),
    ],
)
def test_the_header_ends_with_the_first_line_end_outside_quotes(
    data: bytes, header: bytes, rest: bytes, size: int
) -> None:
    found, left = split_header(pieces_of(data, size))

    assert (found.line, b"".join(left)) == (header, rest)
    assert found.size_bytes == len(data) - len(rest)


@pytest.mark.fault(84)
def test_a_header_that_ends_inside_quotes_is_damage() -> None:
    with pytest.raises(FileDamaged):
        split_header(pieces_of(b'a,"b', 2))


@pytest.mark.parametrize("data", [b'a,b"c\n1,2\n', b'a\tb"\n1\t2\n', b'a,"b"c"\n1,2\n'])
def test_a_quote_in_the_middle_of_a_name_is_not_called_an_open_end(data: bytes) -> None:
    with pytest.raises(NotTheReport, match="the header line of the report's file has a quote in the middle of a field"):
        split_header(pieces_of(data, 3))
