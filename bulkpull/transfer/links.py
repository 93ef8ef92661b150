"""The secure link as it is now, shared by all streams of a file, and its renewal (behaviours 124 and 125)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio

from bulkpull.clock import Clock
from bulkpull.errors import FileGone, LinkExpired
from bulkpull.model import SecureLink

Relink = Callable[[], Awaitable[SecureLink]]
"""Reads the execution again and gives its fresh link."""

# Refusals of fresh links in a row: after these, age is not the cause (fault 56).
_FRESH_LINKS = 2
_SECOND_LINK_AFTER_S = 1.0


@dataclass(slots=True)
class Links:
    """
    The way to the bytes.

    Args:
        link: The first link; a secret, kept in memory only.
        relink: Asked one at a time, however many streams are refused at once.
    """

    link: SecureLink
    relink: Relink
    clock: Clock
    _fresh: int = 0
    _was_gone: bool = False
    _turn: anyio.Lock = field(default_factory=anyio.Lock)

    def worked(self) -> None:
        """Bytes came: whatever is refused from now on is refused for its age."""
        self._fresh = 0

    async def renew(self, refused: SecureLink, *, error: LinkExpired) -> None:
        """
        Exchange a link that was refused, unless another stream has done so meanwhile.

        Raises:
            LinkExpired: Fresh links were refused too, twice in a row.
        """
        async with self._turn:
            if self.link is not refused:
                return
            if self._fresh >= _FRESH_LINKS:
                raise LinkExpired(
                    "the storage host refuses even fresh links",
                    why=error.why,
                    fix="check this machine's clock, and whether a proxy or firewall stands before"
                    " *.blob.core.windows.net",
                )
            # A link that is refused although it is fresh may be so for a moment only: two machines, two clocks.
            await self.clock.sleep(self._fresh * _SECOND_LINK_AFTER_S)
            self._fresh += 1
            self.link = await self.relink()

    async def look_again(self, asked: SecureLink, *, gone: FileGone) -> None:
        """
        Read the execution once more after its file was not found (behaviour 133).

        Raises:
            FileGone: It was not found before either.
        """
        async with self._turn:
            if self.link is not asked:
                return
            if self._was_gone:
                raise gone
            self._was_gone = True
            self.link = await self.relink()
