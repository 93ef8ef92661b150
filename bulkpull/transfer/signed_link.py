"""The current signed link of a file, shared by all its streams, and its renewal (behaviours 124 and 125)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio

from bulkpull.clock import Clock
from bulkpull.errors import FileGone, LinkExpired
from bulkpull.model import SecureLink

Relink = Callable[[], Awaitable[SecureLink]]
"""Reads the execution again and gives its fresh link."""

# Before each fresh link; about a minute in all. The clocks of signer and storage host may differ, so that a link
# becomes valid only later (case C11). After the last one, age is not the cause (fault 56).
FRESH_LINK_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
RENEWAL_PAUSE_S = 0.25
"""The shortest time between two fresh links where each of them has brought a share of the file (case C55)."""
# Before each further look at an execution whose file, or whose link, is not there: replicas differ for a while.
LOOK_PAUSES_S = (1.0, 5.0, 20.0)


@dataclass(slots=True)
class SignedLink:
    """The current link to a file; `relink` is called once at a time, however many streams are refused at once."""

    link: SecureLink
    relink: Relink
    clock: Clock
    _fresh: int = 0
    _looks: int = 0
    _proven: SecureLink | None = None
    _renewed_s: float = 0.0
    _turn: anyio.Lock = field(default_factory=anyio.Lock)

    def confirm(self, link: SecureLink) -> None:
        """Reset the limits after a share of the file has arrived by `link`; a later refusal is an expiry."""
        self._fresh = self._looks = 0
        self._proven = link

    async def refresh(self, refused: SecureLink, *, error: LinkExpired | FileGone) -> None:
        """
        Replace a link that was refused, or that led to no file (behaviour 133), unless another stream has done so.

        Raises `LinkExpired` once fresh links were refused for about a minute; `FileGone` once the file was not found
        for half a minute, or if the execution has no link.
        """
        async with self._turn:
            if self.link is not refused:
                return
            if isinstance(error, FileGone):
                if self._looks >= len(LOOK_PAUSES_S):
                    raise error
                await self.clock.sleep(LOOK_PAUSES_S[self._looks])
                self._looks += 1
            else:
                await self._wait_for_fresh_link(refused, error=error)
            for pause_s in LOOK_PAUSES_S:
                try:
                    self.link = await self.relink()
                except FileGone:
                    await self.clock.sleep(pause_s)
                else:
                    return
            self.link = await self.relink()

    async def _wait_for_fresh_link(self, refused: SecureLink, *, error: LinkExpired) -> None:
        if self._fresh >= len(FRESH_LINK_PAUSES_S):
            raise LinkExpired(
                "the storage host refuses even fresh links",
                why=error.why,
                fix="check this machine's clock, and whether a proxy or firewall blocks *.blob.core.windows.net",
            )
        pause_s = FRESH_LINK_PAUSES_S[self._fresh]
        if refused is self._proven:
            pause_s = max(0.0, self._renewed_s + RENEWAL_PAUSE_S - self.clock.monotonic())
        await self.clock.sleep(pause_s)
        self._renewed_s = self.clock.monotonic()
        self._fresh += 1
