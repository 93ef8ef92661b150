"""Reads listings: all pages, the entries that can be read, and those that match a name or an id exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from bulkpull.errors import ListUnknown, UnexpectedReply
from bulkpull.event_types import ListOdd
from bulkpull.events import Events
from bulkpull.insights import responses
from bulkpull.insights.requests import Call
from bulkpull.insights.session import ApiSession
from bulkpull.model import Execution, Query, Report

Read = TypeVar("Read")
Identified = TypeVar("Identified", Query, Report, Execution)
_AGAIN = "run it again; nothing was treated as missing"


class IdSpellings:
    """
    The first spelling of each id, so that ids can be compared as they stand.

    The service may spell one id in several cases (behaviour 153). The first spelling is kept as it was sent, and goes
    into addresses, the ledger and the manifest.
    """

    def __init__(self) -> None:
        self._first: dict[str, str] = {}

    def add(self, ids: Iterable[str]) -> None:
        """Take note of ids that earlier replies or the ledger hold."""
        for item_id in ids:
            self._first.setdefault(item_id.strip().casefold(), item_id.strip())

    def apply(self, item: Identified) -> Identified:
        """The same object with its ids as first spelled."""
        ids: dict[str, Any] = {}
        for name in (field.name for field in fields(item) if field.name.endswith("_id")):
            item_id = getattr(item, name).strip()
            ids[name] = self._first.setdefault(item_id.casefold(), item_id)
        return replace(item, **ids)


@dataclass(frozen=True, slots=True)
class ListingReader:
    session: ApiSession
    events: Events

    async def read_all(
        self,
        call: Call,
        read: Callable[[Mapping[str, Any]], Read],
        *,
        what: str,
        required: Callable[[str], bool],
        retry: bool,
    ) -> list[Read]:
        """All that a listing holds, as `read`; nothing where nothing matches. `ListUnknown` where a list is null."""
        pages = await self.session.pages_if_any(call, retry=retry)
        if any(page.is_null for page in pages):
            raise ListUnknown(
                f"cannot {call.operation}: the service does not report what exists",
                why="its list is null, which is not an empty list",
                fix=_AGAIN,
            )
        items = [item for page in pages for item in page.items]
        return self.read(items, read, what=what, required=required)

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

        `ListUnknown` for one whose name is `required`: "cannot be read" must not become "is not there".
        `UnexpectedReply` where no entry can be read.
        """
        found: list[Read] = []
        unread: list[tuple[Mapping[str, Any], UnexpectedReply]] = []
        for item in items:
            try:
                found.append(read(item))
            except UnexpectedReply as error:
                unread.append((item, error))
        if unread and not found:
            raise unread[-1][1]
        for item, doubt in unread:
            if required(responses.name_in(item)):
                raise ListUnknown(doubt.what, why=doubt.why, fix=_AGAIN)
        if unread:
            reason = f"the service lists {len(unread):,} of {len(items):,} {what} without an id, left out"
            self.events.emit(ListOdd(reason=reason))
        return found


def required_names(name: str | None, *, whole: bool) -> Callable[[str], bool]:
    """Whether an entry of that name must not be left out of a listing."""
    return lambda found: whole or (name is not None and matches(name, found))


def matches(wanted: str | None, found: str) -> bool:
    """Whether `found` is the wanted name or id, whatever the filter of the service let by; `None` wants any."""
    return wanted is None or wanted.strip().casefold() == found.strip().casefold()


def folded(ids: Sequence[str]) -> set[str]:
    """Ids in the form in which they are compared."""
    return {item_id.strip().casefold() for item_id in ids}
