"""The downloader as the tests against Azurite drive it: real sockets, virtual waits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from support import FakeClock, Told

from bulkpull.journey.download import StoredFile, download_report
from bulkpull.model import SecureLink
from bulkpull.transport.http import Http
from bulkpull.transport.retry import Retrier, RetryBudget, RetryPolicy


class Downloader:
    """
    One download after the other, each with a client of its own.

    Attributes:
        told: Every event.
        relinked: How many fresh links were asked for.
    """

    def __init__(self) -> None:
        self.told = Told()
        self.relinked = 0

    async def fetch(self, link: str, *, into: Path, fresh: Sequence[str] = ()) -> StoredFile:
        """
        Fetch the file behind `link`.

        Args:
            fresh: The links that asking again brings; the last one for all that follow, `link` itself without any.
        """

        async def relink() -> SecureLink:
            links = fresh or [link]
            self.relinked += 1
            return SecureLink(links[min(self.relinked, len(links)) - 1])

        http: Http
        # What happens in the other process is none of the loop's business: no time passes while an answer is due.
        clock = FakeClock(busy=lambda: http.in_flight > 0)
        async with Http(ca_file=None, events=self.told.hub, clock=clock, user_agent="test") as http:
            retrier = Retrier(
                policy=RetryPolicy(),
                budget=RetryBudget(clock=clock),
                clock=clock,
                events=self.told.hub,
                random=lambda: 0.5,
                tally=http.tally,
            )
            return await download_report(
                SecureLink(link),
                relink=relink,
                into=into,
                http=http,
                retrier=retrier,
                clock=clock,
                events=self.told.hub,
            )
