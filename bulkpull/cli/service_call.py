"""The settings and the service of a command: the configured ones, or with `--demo` a simulator's; and one call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bulkpull.cli.console import print_note
from bulkpull.cli.options import CommonOptions, LogLevel
from bulkpull.clock import SystemClock
from bulkpull.errors import AuthError, NotFound
from bulkpull.events import Events

if TYPE_CHECKING:
    from bulkpull.config.settings import Settings
    from bulkpull.insights.client import InsightsClient

T = TypeVar("T")

# A person waits for the answer: a call is tried for seconds, while a run tries for a minute.
_TRIES = 4
# Reports of the demo take seconds, not minutes or hours.
_DEMO_POLL_S = 0.5
# Enough rows and time for a visible display; the whole demo takes less than twenty seconds.
_DEMO_ROWS = {"*": 8_000, "AzureUsage": 20_000, "SeatsSubscriptionsAndRevenue": 15_000, "Profile": 40}
_DEMO_LATENCY_S = (1.0, 4.0)


class NotThere(NotFound):
    """No object with this id exists on the service, or not for this user: exit status 2, as for any wrong name."""

    exit_code = 2


class NotOffered(NotThere):
    """The dataset exists, but not for this account: exit status 3, as for an export of it."""

    exit_code = 3


def load_settings(common: CommonOptions, *, output: Path | None = None) -> Settings:
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
        yield _with_default(settings.for_simulator(simulator.environment), poll_initial_seconds=_DEMO_POLL_S)


def _with_default(settings: Settings, **values: float) -> Settings:
    """The settings with other values for those that nobody has set."""
    new = {name: value for name, value in values.items() if name not in settings.model_fields_set}
    return settings.model_copy(update=new)


def call_service(
    question: Callable[[InsightsClient], Awaitable[T]],
    common: CommonOptions,
    *,
    settings: Settings | None = None,
    demo: bool = False,
    names: tuple[str, ...] = (),
) -> T:
    """
    Call `question` with a client that is signed in; problems on the way are logged from warnings on.

    A call is tried four times, unless `request_attempts` is set. Where the service said that it withholds data from
    this user, a note at the end says so (behaviour 23). Without credentials, a misspelled one of `names`, the datasets
    that the user named, is the better message.
    """
    if settings is None:
        with command_settings(common, demo=demo) as loaded:
            return call_service(question, common, settings=loaded, names=names)
    import anyio  # slow to load, as all of these

    from bulkpull.auth.sign_in import choose_grant
    from bulkpull.cli.log_output import LogListener, libraries_logged_by, write_line
    from bulkpull.insights.connect import connected
    from bulkpull.insights.error_mapping import WITHHELD
    from bulkpull.pipeline.plan_names import check_names

    log = LogListener(common, write=write_line, default=LogLevel.WARNING)
    settings = _with_default(settings, request_attempts=_TRIES)

    async def connect_and_call() -> T:
        try:
            await choose_grant(settings)
        except AuthError:
            check_names(names, queries=[query.name for query in settings.queries])
            raise
        async with connected(settings=settings, events=Events(log), clock=SystemClock()) as connection:
            answer = await question(connection.client)
            if connection.client.redacted:
                print_note(WITHHELD, common)
            return answer

    with libraries_logged_by(log):
        return anyio.run(connect_and_call)
