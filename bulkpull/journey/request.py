"""What is asked of a run, and the plan that comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bulkpull.catalog import load_catalog
from bulkpull.clock import Clock, SystemClock, iso_utc
from bulkpull.errors import AuthError
from bulkpull.events import Events
from bulkpull.journey.plan import Plan, check_names, make_plan
from bulkpull.model import Window
from bulkpull.reporting.connect import Connection, connected
from bulkpull.reporting.signin import choose_grant
from bulkpull.settings import Settings


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """
    What is asked of a run.

    Attributes:
        datasets: Names or aliases; empty for the twenty of the catalog.
        window: Days beyond what a TIMESPAN can say; `None` for the query's own span.
        open_ended: The window ends now because no end was given; the same request a minute later is the same.
        everything: All that the service lists, beyond the twenty.
    """

    datasets: tuple[str, ...] = ()
    window: Window | None = None
    open_ended: bool = False
    everything: bool = False

    def as_key(self, settings: Settings) -> dict[str, Any]:
        """What has to be equal for a later run to carry this one on."""
        return {
            "datasets": sorted(name.strip().casefold() for name in self.datasets),
            "since": iso_utc(self.window.start) if self.window else None,
            "until": iso_utc(self.window.end) if self.window and not self.open_ended else None,
            "everything": self.everything,
            "timespan": settings.timespan,
            "api_base_url": settings.api_base_url,
        }


async def plan_export(
    request: ExportRequest, *, settings: Settings, events: Events, clock: Clock | None = None
) -> Plan:
    """
    Say what an export would do, with reads only.

    Raises:
        SettingsError: A dataset's name is known neither to the catalog nor to the service.
        AuthError, ReportingError, TransferError: The service could not be asked.
    """
    await check_before_asking(request, settings=settings)
    async with connected(settings=settings, events=events, clock=clock or SystemClock()) as connection:
        return await plan_on(request, connection, settings=settings)


async def plan_on(request: ExportRequest, connection: Connection, *, settings: Settings) -> Plan:
    """The plan for a request, from what the service lists now; raises as `plan_export`."""
    return make_plan(
        request.datasets,
        offered=await connection.client.get_datasets(),
        catalog=load_catalog(),
        timespan=settings.timespan,
        window=request.window,
        everything=request.everything,
    )


async def check_before_asking(request: ExportRequest, *, settings: Settings) -> None:
    """
    Refuse what can be refused without the service.

    Raises:
        SettingsError: Credentials are missing, so the service cannot be asked, and a name is misspelled besides: that
            is still the better message.
        AuthError: Credentials are missing.
    """
    try:
        await choose_grant(settings)
    except AuthError:
        check_names(request.datasets, catalog=load_catalog())
        raise
