"""
Which service and which output folder a command uses: those of the settings, or with `--demo` a simulator's.

Apart from `service`, so that a command without a call to the service does not load the client.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bulkpull.cli.options import CommonOptions

if TYPE_CHECKING:
    from bulkpull.config.settings import Settings

# Reports of the demo take seconds, not minutes or hours.
_DEMO_POLL_S = 0.5
# Enough rows and time for a visible display; the whole demo takes less than twenty seconds.
_DEMO_ROWS = {"*": 8_000, "AzureUsage": 20_000, "SeatsSubscriptionsAndRevenue": 15_000, "Profile": 40}
_DEMO_LATENCY_S = (1.0, 4.0)


def load_settings(common: CommonOptions, *, output: Path | None = None) -> Settings:
    """The settings of a command that has no demo."""
    from bulkpull.config.settings import Settings  # slow to load

    return Settings.load_for_command(common.config, output=output)


@contextmanager
def command_settings(common: CommonOptions, *, demo: bool, **given: Any) -> Iterator[Settings]:
    """The settings of a command; with `demo` a simulator is served while the block lasts."""
    from bulkpull.config.settings import Settings  # slow to load

    settings = Settings.load_for_command(common.config, demo=demo, **given)
    if not demo:
        yield settings
        return
    from anyio.from_thread import start_blocking_portal  # only the demo needs it

    from bulkpull.simulator import Scenario, Simulator  # the same

    scenario = Scenario(rows=_DEMO_ROWS, latency_s=_DEMO_LATENCY_S)
    # Its own thread and event loop, so that the service answers while the run is busy.
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(Simulator(scenario)) as simulator:
        settings = settings.for_simulator(simulator.environment)
        if "poll_initial_seconds" not in settings.model_fields_set:
            settings = settings.model_copy(update={"poll_initial_seconds": _DEMO_POLL_S})
        yield settings
