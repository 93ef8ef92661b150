"""One question to the service, for the commands that only read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from bulkpull.catalog import load_catalog
from bulkpull.cli.logs import LogListener, libraries_logged_by, write_line
from bulkpull.cli.speech import LogLevel, Speech
from bulkpull.clock import SystemClock
from bulkpull.errors import AuthError, NotFound
from bulkpull.events import Events
from bulkpull.journey.plan import check_names
from bulkpull.reporting.client import ReportingClient
from bulkpull.reporting.connect import connected
from bulkpull.settings import Settings

T = TypeVar("T")


class NotOffered(NotFound):
    """The dataset that was asked for exists, but not for this account (exit status as for an export of it)."""

    exit_code = 3


def ask(
    question: Callable[[ReportingClient], Awaitable[T]], *, settings: Settings, speech: Speech, names: tuple[str, ...]
) -> T:
    """
    Put `question` to a client that is signed in; what goes wrong on the way is logged from warnings on.

    Args:
        names: Datasets that the user named; without credentials, a misspelled one is the better message.
    """
    try:
        settings.chosen_grant()
    except AuthError:
        check_names(names, catalog=load_catalog())
        raise
    log = LogListener(speech, write=write_line, default=LogLevel.WARNING)

    async def put() -> T:
        async with connected(settings=settings, events=Events(log), clock=SystemClock()) as connection:
            return await question(connection.client)

    with libraries_logged_by(log):
        return anyio.run(put)
