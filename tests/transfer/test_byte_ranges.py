"""Stretches: what is missing is exactly what is not there."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bulkpull.transfer.byte_ranges import ByteRange, merged, missing

SIZE = 60
stretches = st.lists(
    st.tuples(st.integers(0, SIZE + 10), st.integers(0, SIZE + 10)).map(lambda pair: ByteRange(min(pair), max(pair)))
)


def numbers(of: list[ByteRange]) -> set[int]:
    return {number for item in of for number in range(item.start, item.end)}


@given(stretches)
def test_what_is_missing_and_what_is_there_make_the_file_and_do_not_overlap(present: list[ByteRange]) -> None:
    gaps = missing(present, size_bytes=SIZE)

    assert numbers(gaps) == set(range(SIZE)) - numbers(present)
    assert sum(gap.size_bytes for gap in gaps) == len(numbers(gaps))
    assert gaps == sorted(gaps)


@given(stretches)
def test_merging_keeps_the_bytes_and_leaves_nothing_to_merge(present: list[ByteRange]) -> None:
    whole = merged(present)

    assert numbers(whole) == numbers(present)
    assert all(one.end < other.start for one, other in pairwise(whole))
