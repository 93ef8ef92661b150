"""The downloader as the tests against Azurite drive it: real sockets, virtual waits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from support import EventRecorder, FakeClock

from bulkpull.model import DownloadedFile, SecureLink
from bulkpull.pipeline.steps.download import download_report
from bulkpull.transfer.signed_link import SignedLink
from bulkpull.transfer.transfer import Transfer
from bulkpull.transport.http import Http
from bulkpull.transport.retry import Retrier, RetryPolicy

EXECUTION_ID = "00000000-0000-4000-8000-000000000e0e"
_MOMENT_S = 0.05


class SlowLine(FakeClock):
    """A clock that moves a little whenever somebody looks at it, so that a transfer takes its time."""

    def monotonic(self) -> float:
        self.advance(_MOMENT_S)
        return super().monotonic()


class Downloader:
    """
    One download after the other, each with a client of its own.

    Args:
        segments: Streams at once, at most. More than one is of use only where transfers take time, so then they do.

    Attributes:
        recorded: Every event.
        relinked: How many fresh links were asked for.
    """

    def __init__(self, *, segments: int = 1) -> None:
        self.segments = segments
        self.recorded = EventRecorder()
        self.relinked = 0

    async def fetch(self, link: str, *, into: Path, fresh: Sequence[str] = ()) -> DownloadedFile:
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
        clock = (SlowLine if self.segments > 1 else FakeClock)(busy=lambda: http.in_flight > 0)
        async with Http(ca_file=None, events=self.recorded.hub, clock=clock, user_agent="test") as http:
            retrier = Retrier(
                policy=RetryPolicy(),
                clock=clock,
                events=self.recorded.hub,
                random=lambda: 0.5,
                counts=http.counts,
            )
            open_transfer = partial(
                Transfer,
                SignedLink(SecureLink(link), relink, clock),
                http=http,
                retrier=retrier,
                clock=clock,
                events=self.recorded.hub,
                execution_id=EXECUTION_ID,
                segments=self.segments,
            )
            return await download_report(into, open_transfer)
