"""Marks as bits, held against a look at one byte after the other."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import examples

from bulkpull.conversion import csv_index
from bulkpull.conversion.csv_index import Bits, CsvIndex, count, index_csv, just_before, positions, shift_right

# Long plain stretches, so that marks and quotes reach over the borders of words.
TEXT = st.lists(
    st.one_of(
        st.sampled_from([b",", b'"', b"\n", b"\r", b"\r\n", b'"",', b'","']), st.integers(0, 70).map(b"x".__mul__)
    ),
    max_size=60,
).map(b"".join)


@dataclass
class Seen:
    """Positions by kind."""

    separators: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    returns: list[int] = field(default_factory=list)
    opening: list[int] = field(default_factory=list)
    closing: list[int] = field(default_factory=list)
    fields: list[int] = field(default_factory=list)


def seen(block: bytes) -> Seen:
    found, inside, fields = Seen(), False, 1
    for at, byte in enumerate(block):
        if byte == ord('"'):
            (found.closing if inside else found.opening).append(at)
            inside = not inside
        elif byte == ord("\r") and not inside:
            found.returns.append(at)
        elif byte == ord(",") and not inside:
            found.separators.append(at)
            fields += 1
        elif byte == ord("\n") and not inside:
            found.ends.append(at)
            found.fields.append(fields)
            fields = 1
    return found


def shown(found: CsvIndex) -> Seen:
    assert positions(found.line_ends).tolist() == found.ends.tolist()
    return Seen(
        separators=positions(found.separators).tolist(),
        ends=found.ends.tolist(),
        returns=positions(found.returns).tolist(),
        opening=positions(found.opening).tolist(),
        closing=positions(found.closing).tolist(),
        fields=found.fields.tolist(),
    )


@settings(deadline=None, max_examples=examples(400))
@given(TEXT)
def test_marks_are_where_a_look_at_each_byte_finds_them(block: bytes) -> None:
    found = index_csv(block, separator=ord(","))

    assert shown(found) == seen(block)
    assert found.open_quote == (block.count(b'"') % 2 == 1)
    assert found.end_of_last_row == max(seen(block).ends, default=-1) + 1


@settings(deadline=None, max_examples=examples(200))
@given(TEXT)
def test_marks_up_to_the_end_of_a_row_are_the_marks_of_the_bytes_up_to_there(block: bytes) -> None:
    whole = index_csv(block, separator=ord(","))

    for end in (0, *(at + 1 for at in seen(block).ends)):
        assert shown(whole.up_to(end)) == seen(block[:end])


@pytest.mark.parametrize("chunk", [64, 128])
def test_marks_do_not_depend_on_how_much_is_looked_at_at_once(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    block = b'a,"b\n",c\r\n' * 40
    whole = shown(index_csv(block, separator=ord(",")))
    monkeypatch.setattr(csv_index, "_CHUNK", chunk)

    assert shown(index_csv(block, separator=ord(","))) == whole


def bits_at(places: set[int]) -> Bits:
    flags = np.zeros(256, np.uint8)
    flags[list(places)] = 1
    return np.packbits(flags, bitorder="little").view("<u8").astype(np.uint64)


@settings(deadline=None)
@given(st.sets(st.integers(0, 255)))
def test_neighbours_are_found_over_the_borders_of_words(places: set[int]) -> None:
    bits = bits_at(places)

    assert count(bits) == len(places)
    assert set(positions(shift_right(bits)).tolist()) == {at + 1 for at in places} - {256}
    assert set(positions(just_before(bits)).tolist()) == {at - 1 for at in places} - {-1}
