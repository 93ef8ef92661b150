"""Whom a command speaks to: the service that the settings name, or with `--demo` a simulator of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anyio.from_thread import start_blocking_portal

from bulkpull.config.settings import Settings

# Reports of the demo take seconds, not minutes or hours.
_DEMO_POLL_S = 0.5
# Enough rows to see something, and times that let the display show life; the whole demo stays under twenty seconds.
_DEMO_ROWS = {"*": 8_000, "AzureUsage": 20_000, "SeatsSubscriptionsAndRevenue": 15_000, "Profile": 40}
_DEMO_LATENCY_S = (1.0, 4.0)


@contextmanager
def aimed(config: Path | None, *, demo: bool, latency: bool = True, **options: Any) -> Iterator[Settings]:
    """
    The settings of a command; with `demo` a simulator is served while the block lasts.

    Args:
        latency: Whether the simulator's reports take their time.
        options: Settings given as options; `None` for those that were not.

    Raises:
        SettingsError: A setting is wrong.
    """
    settings = Settings.load(config, demo=demo, **options)
    if not demo:
        yield settings
        return
    from bulkpull.simulator import Scenario, Simulator  # noqa: PLC0415 - a server, which only the demo needs

    scenario = Scenario(rows=_DEMO_ROWS, latency_s=_DEMO_LATENCY_S if latency else (0.0, 0.0))
    # A thread and an event loop of its own: the run must find a service that answers whatever the run is busy with.
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(Simulator(scenario)) as simulator:
        settings = settings.for_simulator(simulator.environment)
        if "poll_initial_seconds" not in settings.model_fields_set:
            settings = settings.model_copy(update={"poll_initial_seconds": _DEMO_POLL_S})
        yield settings
