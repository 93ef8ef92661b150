"""The link that all streams of a file share: a fresh one replaces it once, however many were refused."""

from __future__ import annotations

import anyio
import pytest
from support import FakeClock

from bulkpull.errors import FileGone, LinkExpired
from bulkpull.model import SecureLink
from bulkpull.transfer.signed_link import FRESH_LINK_PAUSES_S, LOOK_PAUSES_S, SignedLink

REFUSED = SecureLink("https://storage.example/report?sig=first")


def link_of(fresh: list[SecureLink]) -> SignedLink:
    async def relink() -> SecureLink:
        fresh.append(SecureLink(f"https://storage.example/report?sig={len(fresh)}"))
        return fresh[-1]

    return SignedLink(REFUSED, relink, FakeClock())


@pytest.mark.behaviour(124, 125)
async def test_streams_that_are_refused_at_once_share_one_fresh_link() -> None:
    fresh: list[SecureLink] = []
    link = link_of(fresh)
    async with anyio.create_task_group() as streams:
        for _ in range(4):
            streams.start_soon(lambda: link.refresh(REFUSED, error=LinkExpired("refused")))

    assert [link.link] == fresh


@pytest.mark.behaviour(125)
async def test_a_fresh_link_that_is_refused_as_well_is_replaced_until_about_a_minute_is_over() -> None:
    fresh: list[SecureLink] = []
    link = link_of(fresh)
    for _ in FRESH_LINK_PAUSES_S:
        await link.refresh(link.link, error=LinkExpired("refused"))
    with pytest.raises(LinkExpired, match="even fresh links"):
        await link.refresh(link.link, error=LinkExpired("refused"))

    assert len(fresh) == len(FRESH_LINK_PAUSES_S)


@pytest.mark.behaviour(133)
@pytest.mark.parametrize("absences", [0, 2, len(LOOK_PAUSES_S), len(LOOK_PAUSES_S) + 1])
async def test_an_execution_without_a_link_is_looked_at_again_for_a_while(absences: int) -> None:
    looks = 0
    found = SecureLink("https://storage.example/report?sig=found")

    async def relink() -> SecureLink:
        nonlocal looks
        looks += 1
        if looks <= absences:
            raise FileGone("the execution has no link")
        return found

    link = SignedLink(REFUSED, relink, FakeClock())
    if absences > len(LOOK_PAUSES_S):
        with pytest.raises(FileGone):
            await link.refresh(REFUSED, error=FileGone("not found"))
    else:
        async with anyio.create_task_group() as streams:
            for _ in range(2):
                streams.start_soon(lambda: link.refresh(REFUSED, error=FileGone("not found")))
        assert link.link is found

    assert looks == min(absences, len(LOOK_PAUSES_S)) + 1
