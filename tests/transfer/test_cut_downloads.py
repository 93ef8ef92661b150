"""Connections that are cut, and links that end, after a share of the file has come: they cost hardly any time."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest
from support import RawServer, reply
from transfer.hostile import Answer, transfer
from transfer.test_hostile_host import BODY, head, start_asked

from bulkpull.transfer.byte_ranges import share_of
from bulkpull.transfer.transfer import PAUSE_S

SHARE_BYTES = share_of(len(BODY))
_LATE_S = 0.05
"""What closing and opening connections may add, of virtual time: timers of the HTTP client."""

_ROUNDING_S = 1e-6


def cut_after(size_bytes: int, *, duration_s: float = 0.0, link_s: float | None = None) -> Answer:
    """
    A host that cuts each body.

    Args:
        duration_s: How long the bytes before the cut take.
        link_s: How long a link is accepted after its first use; `None` for ever.
    """
    first_use_s: dict[bytes, float] = {}

    async def answer(server: RawServer, number: int, writer: asyncio.StreamWriter) -> None:
        now_s = asyncio.get_running_loop().time()
        link = server.requests[number].split(b" HTTP")[0]
        if link_s is not None and now_s - first_use_s.setdefault(link, now_s) >= link_s:
            writer.write(reply("403 Forbidden"))
            return
        at = start_asked(server, number)
        writer.write(head(server, number))
        await asyncio.sleep(duration_s)
        writer.write(BODY[at : at + size_bytes])

    return answer


def refused_at(number: int, refusal: bytes, *, otherwise: Answer) -> Answer:
    async def answer(server: RawServer, at: int, writer: asyncio.StreamWriter) -> None:
        if at == number:
            writer.write(refusal)
        else:
            await otherwise(server, at, writer)

    return answer


def gaps(moments_s: list[float]) -> list[float]:
    return [later - sooner for sooner, later in pairwise(moments_s)]


@pytest.mark.case("C55", "C10")
@pytest.mark.parametrize("duration_s", [0.0, PAUSE_S / 2, 1.0])
def test_after_a_share_the_next_request_waits_for_nothing_but_the_least_time_between_two(
    duration_s: float, tmp_path: Path
) -> None:
    outcome = transfer(cut_after(SHARE_BYTES, duration_s=duration_s), tmp_path)

    assert outcome.error is None
    assert outcome.requests == -(-len(BODY) // SHARE_BYTES)
    assert min(gaps(outcome.asked_at_s)) >= PAUSE_S - _ROUNDING_S
    assert max(gaps(outcome.asked_at_s)) <= max(PAUSE_S, duration_s) + _LATE_S


@pytest.mark.case("C55", "C10")
def test_less_than_a_share_waits_a_growing_backoff(tmp_path: Path) -> None:
    """The first tries bring half a share in all, so that none of them counts as progress."""
    outcome = transfer(cut_after(SHARE_BYTES // 12), tmp_path)

    assert outcome.error is not None
    assert outcome.requests == 6
    assert [gap_s >= 0.1 * 3**attempt for attempt, gap_s in enumerate(gaps(outcome.asked_at_s))] == [True] * 5


@pytest.mark.case("C55")
@pytest.mark.behaviour(124, 125)
def test_a_link_that_worked_is_renewed_at_once_when_it_is_refused(tmp_path: Path) -> None:
    outcome = transfer(cut_after(2 * SHARE_BYTES, duration_s=0.3, link_s=1.0), tmp_path)

    sending_s = 0.3 * -(-len(BODY) // (2 * SHARE_BYTES))
    assert outcome.error is None
    assert outcome.relinks >= sending_s // 2
    assert outcome.elapsed_s <= sending_s + outcome.relinks * (PAUSE_S + _LATE_S) + 1


@pytest.mark.case("C55", "C11")
def test_a_fresh_link_that_brings_nothing_still_gets_growing_pauses(tmp_path: Path) -> None:
    """The first link works once; each later one is refused."""
    works = cut_after(2 * SHARE_BYTES)

    async def answer(server: RawServer, number: int, writer: asyncio.StreamWriter) -> None:
        if number == 0:
            await works(server, number, writer)
        else:
            writer.write(reply("403 Forbidden"))

    outcome = transfer(answer, tmp_path)

    assert outcome.error is not None
    assert outcome.requests <= 9
    assert sum(gaps(outcome.asked_at_s)) >= 60


@pytest.mark.case("C55")
@pytest.mark.behaviour(37)
@pytest.mark.parametrize("status", ["503 Busy", "429 Too Many Requests"])
def test_a_busy_host_is_left_alone_as_long_as_it_asks_also_after_progress(status: str, tmp_path: Path) -> None:
    refusal = reply(status, Retry_After="30")

    outcome = transfer(refused_at(3, refusal, otherwise=cut_after(2 * SHARE_BYTES)), tmp_path)

    assert outcome.error is None
    assert gaps(outcome.asked_at_s)[3] >= 30


@pytest.mark.case("C55")
def test_a_busy_host_that_asks_for_no_pause_gets_the_backoff_also_after_progress(tmp_path: Path) -> None:
    busy = reply("503 Busy")
    hosts = [refused_at(3, busy, otherwise=cut_after(2 * SHARE_BYTES)), cut_after(2 * SHARE_BYTES)]

    pauses_s = [gaps(transfer(host, tmp_path, seed=3).asked_at_s)[3] for host in hosts]

    assert pauses_s[0] > pauses_s[1]
