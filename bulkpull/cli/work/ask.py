"""One question to the service, for the commands that look at what is there or manage it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from rich.text import Text

from bulkpull.auth.sign_in import choose_grant
from bulkpull.catalog import load_catalog
from bulkpull.cli.errors import LogLevel, OutputOptions, write_json_line
from bulkpull.cli.log_output import LogListener, libraries_logged_by, write_line
from bulkpull.cli.work.consoles import error_console
from bulkpull.clock import SystemClock
from bulkpull.config.settings import Settings
from bulkpull.errors import AuthError, NotFound
from bulkpull.events import Events
from bulkpull.insights.client import InsightsClient
from bulkpull.insights.connect import connected
from bulkpull.insights.error_mapping import WITHHELD
from bulkpull.pipeline.plan import check_names
from bulkpull.redact import printable

T = TypeVar("T")


class NotThere(NotFound):
    """What was named by its id is not on the service, or not for this user: exit status 2, as for any wrong name."""

    exit_code = 2


class NotOffered(NotThere):
    """The dataset that was asked for exists, but not for this account: exit status 3, as for an export of it."""

    exit_code = 3


def ask(
    question: Callable[[InsightsClient], Awaitable[T]],
    *,
    settings: Settings,
    speech: OutputOptions,
    names: tuple[str, ...] = (),
) -> T:
    """
    Put `question` to a client that is signed in; what goes wrong on the way is logged from warnings on.

    Where the service said that it withholds data from this user, that is told in the end (behaviour 23).

    Args:
        names: Datasets that the user named; without credentials, a misspelled one is the better message.
    """
    log = LogListener(speech, write=write_line, default=LogLevel.WARNING)

    async def put() -> T:
        try:
            await choose_grant(settings)
        except AuthError:
            check_names(names, catalog=load_catalog(), queries=[query.name for query in settings.queries])
            raise
        async with connected(settings=settings, events=Events(log), clock=SystemClock()) as connection:
            answer = await question(connection.client)
            if connection.client.redacted:
                warn(WITHHELD, speech)
            return answer

    with libraries_logged_by(log):
        return anyio.run(put)


def warn(sentence: str, speech: OutputOptions) -> None:
    """Tell what is worth knowing, on standard error, as a line or as a log object."""
    if speech.is_json:
        write_json_line("note", level="warning", told=sentence)
    else:
        error_console().print(Text.assemble(("note:  ", "yellow"), printable(sentence)), soft_wrap=True)
