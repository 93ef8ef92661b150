"""Sharing: however streams come, go on and give up, every byte is fetched by one of them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from support import examples

from bulkpull.transfer.byte_ranges import ENDLESS, ByteRange, RangeScheduler, Segment, merged

MEGABYTE = 1 << 20
SIZE = 200 * MEGABYTE


@settings(max_examples=examples(200))
@given(st.data())
def test_every_byte_is_fetched_by_exactly_one_stream(  # noqa: C901 - one branch for each thing that streams can do
    data: st.DataObject,
) -> None:
    sharing = RangeScheduler([ByteRange(0, SIZE)])
    helpers: list[Segment] = []
    fetched: list[ByteRange] = []

    def claim_front() -> Segment | None:
        front = sharing.claim_front()
        if front is not None:
            front.response_end = data.draw(st.sampled_from([front.end, SIZE]))
        return front

    def advance(claim: Segment) -> None:
        """One step: it begins, helpers come and take pieces, it ends."""
        size = min(data.draw(st.integers(1, 40 * MEGABYTE)), claim.rest.size_bytes)
        claim.reserved_until = claim.position + size
        for _ in range(data.draw(st.integers(0, 2))):
            piece = sharing.claim_piece(streams=data.draw(st.integers(1, 8)))
            helpers.extend([piece] if piece is not None else [])
        fetched.append(ByteRange(claim.position, claim.position + size))
        claim.position += size

    front = claim_front()
    for _ in range(data.draw(st.integers(0, 60))):
        match data.draw(st.sampled_from(["front", "helper", "join", "give back"])):
            case "front" if front is not None and not front.is_done:
                advance(front)
            case "helper" if helpers:
                advance(data.draw(st.sampled_from(helpers)))
            case "join":
                piece = sharing.claim_piece(streams=data.draw(st.integers(1, 8)))
                helpers += [piece] if piece is not None else []
            case "give back" if helpers:
                sharing.release(helpers.pop())
        helpers = [helper for helper in helpers if not helper.is_done]
        if front is None or front.is_done:
            front = claim_front()
    for helper in helpers:
        sharing.release(helper)
    front = front or claim_front()
    while front is not None:
        fetched.append(front.rest)
        front.position = front.end
        front = claim_front()

    assert sum(item.size_bytes for item in fetched) == SIZE
    assert merged(fetched) == [ByteRange(0, SIZE)]


def test_one_stream_asks_for_the_whole_file_at_once() -> None:
    front = RangeScheduler([ByteRange(0, SIZE)]).claim_front()

    assert front is not None
    assert front.rest == ByteRange(0, SIZE)


def test_pieces_come_off_the_end_and_get_smaller_so_that_all_streams_end_together() -> None:
    sharing = RangeScheduler([ByteRange(0, SIZE)])
    sharing.claim_front()
    pieces = []
    while (piece := sharing.claim_piece(streams=4)) is not None:
        pieces.append(piece)

    sizes = [piece.rest.size_bytes for piece in pieces]
    assert pieces[0].end == SIZE
    assert sizes == sorted(sizes, reverse=True)
    assert (sizes[0], sizes[-1]) == (25 * MEGABYTE, MEGABYTE // 2)


def test_a_piece_that_is_given_back_is_left_to_the_reply_that_brings_it_anyway() -> None:
    sharing = RangeScheduler([ByteRange(0, SIZE)])
    front = sharing.claim_front()
    assert front is not None
    front.response_end = SIZE
    piece = sharing.claim_piece(streams=2)
    assert piece is not None

    sharing.release(piece)

    assert (front.end, sharing.gaps) == (SIZE, [])


def test_a_file_of_unknown_length_is_not_shared() -> None:
    sharing = RangeScheduler([ByteRange(0, ENDLESS)])
    sharing.claim_front()

    assert sharing.claim_piece(streams=4) is None
