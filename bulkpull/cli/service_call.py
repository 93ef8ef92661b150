"""One call of the service, for commands that show or manage objects on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from bulkpull.catalog import load_catalog
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


class NotThere(NotFound):
    """No object with this id exists on the service, or not for this user: exit status 2, as for any wrong name."""

    exit_code = 2


class NotOffered(NotThere):
    """The dataset exists, but not for this account: exit status 3, as for an export of it."""

    exit_code = 3


def call_service(
    question: Callable[[InsightsClient], Awaitable[T]],
    *,
    settings: Settings,
    common: CommonOptions,
    names: tuple[str, ...] = (),
) -> T:
    """
    Call `question` with a client that is signed in; problems on the way are logged from warnings on.

    A call is tried four times, unless `request_attempts` is set. Where the service said that it withholds data from
    this user, a note at the end says so (behaviour 23).

    Args:
        names: Datasets that the user named; without credentials, a misspelled one is the better message.
    """
    import anyio  # slow to load, as all of these

    from bulkpull.auth.sign_in import choose_grant
    from bulkpull.cli.log_output import LogListener, libraries_logged_by, write_line
    from bulkpull.insights.connect import connected
    from bulkpull.insights.error_mapping import WITHHELD
    from bulkpull.pipeline.plan_names import check_names

    log = LogListener(common, write=write_line, default=LogLevel.WARNING)
    if "request_attempts" not in settings.model_fields_set:
        settings = settings.model_copy(update={"request_attempts": _TRIES})

    async def connect_and_call() -> T:
        try:
            await choose_grant(settings)
        except AuthError:
            check_names(names, catalog=load_catalog(), queries=[query.name for query in settings.queries])
            raise
        async with connected(settings=settings, events=Events(log), clock=SystemClock()) as connection:
            answer = await question(connection.client)
            if connection.client.redacted:
                print_note(WITHHELD, common)
            return answer

    with libraries_logged_by(log):
        return anyio.run(connect_and_call)
