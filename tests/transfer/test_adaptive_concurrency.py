"""Width: more streams while it helps, fewer when the host is busy."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from bulkpull.transfer.adaptive_concurrency import StreamCount

MEGABYTE = 1_000_000


def streams_over_time(
    width: StreamCount, *, rate: Callable[[int], float], seconds: float, at: float = 0.0
) -> list[int]:
    """How many streams there are, tick by tick, on a line that gives so many bytes a second to so many streams."""
    reported = []
    for tick in range(int(seconds / 0.05)):
        width.record_bytes(int(rate(width.streams) * 0.05), at=at + tick * 0.05)
        reported.append(width.streams)
    return reported


@pytest.mark.parametrize("ceiling", [4, 16])
def test_a_host_that_limits_each_connection_gets_all_streams_at_once_after_the_first_look_at_its_rate(
    ceiling: int,
) -> None:
    reported = streams_over_time(StreamCount(ceiling), rate=lambda streams: streams * 2 * MEGABYTE, seconds=2)

    assert reported[0] == 1
    assert set(reported) == {1, ceiling}
    assert reported.index(ceiling) <= 3  # ticks of 50 ms
    assert reported[-1] == ceiling


def test_a_fast_line_is_tried_with_two_streams_first() -> None:
    reported = streams_over_time(StreamCount(8), rate=lambda streams: min(streams, 2) * 100 * MEGABYTE, seconds=10)

    assert 2 in reported[:4]
    assert max(reported) == 4  # one more trial, taken back
    assert reported[-1] == 2


@pytest.mark.parametrize(("rate", "tried"), [(100 * MEGABYTE, 2), (10 * MEGABYTE, 8)])
def test_a_full_line_is_left_to_one_stream(rate: int, tried: int) -> None:
    reported = streams_over_time(StreamCount(8), rate=lambda _: rate, seconds=14)

    assert set(reported) == {1, tried}  # one trial, taken back
    assert reported[-1] == 1


def test_the_width_stops_growing_where_the_line_is_full() -> None:
    reported = streams_over_time(StreamCount(16), rate=lambda streams: min(streams, 4) * 60 * MEGABYTE, seconds=10)

    assert max(reported) == 8
    assert reported[-1] == 4


def test_a_trial_in_vain_is_repeated_later_and_ever_less_often() -> None:
    reported = streams_over_time(StreamCount(2), rate=lambda _: MEGABYTE, seconds=120)
    trials = [tick for tick, (one, other) in enumerate(pairwise(reported)) if (one, other) == (1, 2)]
    waits = [later - sooner for sooner, later in pairwise(trials)]

    assert len(trials) == 4
    assert waits == sorted(waits)


@pytest.mark.fault(58)
def test_a_busy_host_gets_half_as_many_at_once_and_one_for_good_after_the_third_time() -> None:
    width = StreamCount(8)
    streams_over_time(width, rate=lambda streams: streams * MEGABYTE, seconds=5)
    assert width.streams == 8

    width.back_off(at=5.0)
    assert width.streams == 4
    assert set(streams_over_time(width, rate=lambda streams: streams * MEGABYTE, seconds=29, at=5.0)) == {4}
    assert streams_over_time(width, rate=lambda streams: streams * MEGABYTE, seconds=5, at=36.0)[-1] == 8

    width.back_off(at=50.0)
    width.back_off(at=51.0)
    assert set(streams_over_time(width, rate=lambda streams: streams * MEGABYTE, seconds=500, at=51.0)) == {1}


@pytest.mark.fault(58)
def test_streams_that_are_refused_together_count_as_one_refusal() -> None:
    width = StreamCount(4)
    streams_over_time(width, rate=lambda streams: streams * MEGABYTE, seconds=5)

    for _ in range(3):
        width.back_off(at=5.0)
    assert width.streams == 1
    assert streams_over_time(width, rate=lambda streams: streams * MEGABYTE, seconds=5, at=36.0)[-1] == 4


def test_the_pause_that_a_busy_host_asks_for_is_kept() -> None:
    width = StreamCount(2)
    width.back_off(at=0.0, retry_after_s=90.0)

    assert set(streams_over_time(width, rate=lambda streams: streams * MEGABYTE, seconds=89)) == {1}
