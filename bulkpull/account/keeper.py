"""
Keeper: listens to a run from its beginning to its end, and leaves what is told of it beside its manifest.

Whatever goes wrong here is a warning: it harms no data and changes no exit status.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread

from bulkpull.account.attribution import Attribution
from bulkpull.account.log import RunLog, log_of
from bulkpull.clock import Clock
from bulkpull.events import Event, Events
from bulkpull.records.files import disk_trouble


class Keeper:
    """Keeps the account of one run; made by `kept_account`."""

    def __init__(self, output: Path, *, events: Events, clock: Clock) -> None:
        self._output = output
        self._events = events
        self._clock = clock
        self._run_id = ""
        self._attribution = Attribution()
        self._log = RunLog(output)

    def __call__(self, event: Event) -> None:
        """Listen to one event; what is told before the run has a name belongs to no run."""
        if event.name == "run.started":
            self._run_id = str(event.facts["run_id"])
        if self._run_id:
            self._log.tell(self._attribution.of(event), run_id=self._run_id, at=self._clock.now())

    async def open(self) -> None:
        """Be ready to write."""
        await anyio.to_thread.run_sync(self._log.start)

    async def close(self) -> None:
        """End the log."""
        with anyio.CancelScope(shield=True):
            trouble = await anyio.to_thread.run_sync(self._log.close)
        if trouble is not None:
            log = log_of(self._output, self._run_id)
            self._events.warn("account.lacking", part=log.name, reason=disk_trouble(trouble, log).reason)


@asynccontextmanager
async def kept_account(output: Path, *, events: Events, clock: Clock) -> AsyncIterator[Keeper]:
    """
    Keep the account of the run that begins within the block: every event goes into its log.

    Args:
        output: The output folder; absolute.
    """
    keeper = Keeper(output, events=events, clock=clock)
    await keeper.open()
    try:
        with events.joined(keeper):
            yield keeper
    finally:
        await keeper.close()
