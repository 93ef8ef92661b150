"""Reads listings: all pages, the entries that can be read, and those that match a name or an id exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bulkpull.errors import ListUnknown, UnexpectedReply
from bulkpull.event_types import ListOdd
from bulkpull.events import Events
from bulkpull.insights import responses
from bulkpull.insights.requests import Call
from bulkpull.insights.responses import Read
from bulkpull.insights.session import ApiSession


@dataclass(frozen=True, slots=True)
class ListingReader:
    """Reads listings of one session."""

    session: ApiSession
    events: Events

    async def items(self, call: Call, *, retry: bool) -> list[Mapping[str, Any]]:
        """
        What a listing holds; nothing where the service says that nothing matches.

        Raises:
            ListUnknown: A page's list is null.
        """
        pages = await self.session.pages_if_any(call, retry=retry)
        if any(page.is_null for page in pages):
            raise ListUnknown(
                f"cannot {call.operation}: the service does not report what exists",
                why="its list is null, which is not an empty list",
                fix="run it again; nothing was treated as missing",
            )
        return [item for page in pages for item in page.items]

    def read(
        self,
        items: Sequence[Mapping[str, Any]],
        read: Callable[[Mapping[str, Any]], Read],
        *,
        what: str,
        required: Callable[[str], bool] = lambda _: False,
    ) -> list[Read]:
        """
        The entries of a listing; one that cannot be read costs itself alone, and a warning tells of it.

        Args:
            required: Whether an entry of that name is looked for: "cannot be read" must then not become "is not there".

        Raises:
            ListUnknown: One that is looked for cannot be read.
            UnexpectedReply: No entry can be read.
        """
        found, unread = responses.read_all(items, read)
        if unread:
            for item in items:
                if required(responses.name_in(item)):
                    _read_or_refuse(read, item)
            reason = f"the service lists {unread:,} of {len(items):,} {what} without an id, left out"
            self.events.emit(ListOdd(reason=reason))
        return found


def _read_or_refuse(read: Callable[[Mapping[str, Any]], object], item: Mapping[str, Any]) -> None:
    try:
        read(item)
    except UnexpectedReply as error:
        raise ListUnknown(error.what, why=error.why, fix="run it again; nothing was treated as missing") from None


def required_names(name: str | None, *, whole: bool) -> Callable[[str], bool]:
    """Whether an entry of that name must not be left out of a listing."""
    return lambda found: whole or (name is not None and matches(name, found))


def matches(wanted: str | None, found: str) -> bool:
    """Whether `found` is the wanted name or id, whatever the filter of the service let by; `None` wants any."""
    return wanted is None or wanted.strip().casefold() == found.strip().casefold()


def folded(ids: Sequence[str]) -> set[str]:
    """Ids in the form in which they are compared."""
    return {item_id.strip().casefold() for item_id in ids}
