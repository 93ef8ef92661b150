"""
Parses the service's replies. Pure.

Keys ignore case and unknown keys are ignored (behaviours 34 and 35). What is not understood is an `UnexpectedReply`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from bulkpull.clock import is_ahead
from bulkpull.errors import UnexpectedReply
from bulkpull.model import Execution, OfferedDataset, Query, QueryKind, Report, SecureLink, Window
from bulkpull.transport.json_fields import fold, is_true, json_object, long_text, moment, shown, text, whole_number

Identified = TypeVar("Identified", Query, Report, Execution)


@dataclass(frozen=True, slots=True)
class Envelope:
    """
    A successful reply.

    `next_link` is absolute, or relative to the API's root (behaviour 32). With `data_redacted` the role withholds
    revenue or personal data (23). `is_null`: the content is unknown, which differs from an empty list.
    """

    items: tuple[Mapping[str, Any], ...] = ()
    next_link: str | None = None
    data_redacted: bool = False
    is_null: bool = False


def read_envelope(body: bytes, *, operation: str) -> Envelope:
    """Read the body of a success; `UnexpectedReply` for what is no envelope: HTML, cut JSON, nothing, another shape."""
    raw = json_object(body)
    if raw is None or "value" not in raw:
        raise UnexpectedReply(f"cannot {operation}: the reply is not understood", why=shown(body))
    value = raw["value"]
    items = [] if value is None else [value] if isinstance(value, dict) else value
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise UnexpectedReply(f"cannot {operation}: the reply's `value` is not understood", why=shown(body))
    return Envelope(
        tuple(items), long_text(raw.get("nextlink")), is_true(raw.get("dataredacted")), is_null=value is None
    )


def _required(raw: Mapping[str, Any], key: str, *, of: str) -> str:
    if found := text(raw.get(key.casefold())):
        return found
    raise UnexpectedReply(f"{of} without `{key}` came back", why=shown(json.dumps(sorted(raw)).encode()))


def _texts(value: object) -> tuple[str, ...]:
    return tuple(item for item in map(text, value) if item) if isinstance(value, list) else ()


def read_dataset(item: Mapping[str, Any]) -> OfferedDataset | None:
    """A listed dataset; missing lists are empty (behaviours 51 to 53), and one without a name, unusable, is `None`."""
    raw = fold(item)
    name = text(raw.get("datasetname"))
    if name is None:
        return None
    return OfferedDataset(
        name=name,
        columns=_texts(raw.get("selectablecolumns")),
        metrics=_texts(raw.get("availablemetrics")),
        date_ranges=_texts(raw.get("availabledateranges")),
        minimum_recurrence_h=whole_number(raw.get("minimumrecurrenceinterval")) or 24,
    )


def read_query(item: Mapping[str, Any]) -> Query:
    raw = fold(item)
    return Query(
        query_id=_required(raw, "queryId", of="a query"),
        name=text(raw.get("name")) or "",
        text=long_text(raw.get("query")) or "",
        kind=text(raw.get("type")) or QueryKind.USER_DEFINED,
        created_at=moment(raw.get("createdtime")),
        description=text(raw.get("description")),
    )


def read_report(item: Mapping[str, Any]) -> Report:
    """A report; a recurrence of -1 is a one-off's way of saying none (behaviour 90)."""
    raw = fold(item)
    recurrence_h = whole_number(raw.get("recurrenceinterval"))
    start, end = moment(raw.get("querystarttime")), moment(raw.get("queryendtime"))
    form = text(raw.get("format"))
    return Report(
        report_id=_required(raw, "reportId", of="a report"),
        name=text(raw.get("reportname")) or "",
        query_id=text(raw.get("queryid")) or "",
        status=text(raw.get("reportstatus")) or "Unknown",
        created_at=moment(raw.get("createdtime")),
        start_at=moment(raw.get("starttime")),
        execute_now=is_true(raw.get("executenow")),
        recurrence_h=recurrence_h if recurrence_h and recurrence_h > 0 else None,
        recurrence_count=whole_number(raw.get("recurrencecount")),
        description=text(raw.get("description")),
        query_text=long_text(raw.get("query")),
        modified_at=moment(raw.get("modifiedtime")),
        format=form.lower() if form else None,
        window=Window(start, end) if start and end else None,
        callback_url=text(raw.get("callbackurl")),
        callback_method=text(raw.get("callbackmethod")),
    )


def read_execution(item: Mapping[str, Any], *, data_redacted: bool, now: datetime | None = None) -> Execution:
    """An execution; a blank link is none (behaviour 113), its expiry is read off it (115), no data is of the future."""
    raw = fold(item)
    made_at = moment(raw.get("reportgeneratedtime"))
    ahead = now is not None and is_ahead(made_at, now=now)
    link = long_text(raw.get("reportaccesssecurelink"))
    form = text(raw.get("format"))
    return Execution(
        execution_id=_required(raw, "executionId", of="an execution"),
        report_id=_required(raw, "reportId", of="an execution"),
        status=text(raw.get("executionstatus")) or "Unknown",
        link=SecureLink(link, link_expiry(link)) if link else None,
        generated_at=None if ahead else made_at,
        unbelieved_at=made_at if ahead else None,
        format=form.lower() if form else None,
        data_redacted=data_redacted,
    )


def link_expiry(link: str) -> datetime | None:
    """When a secure link ends, as its `se` says; `None` when it says nothing that is understood."""
    try:
        return moment(parse_qs(urlsplit(link).query).get("se", [None])[0])
    except ValueError:
        return None


def name_in(item: Mapping[str, Any]) -> str:
    """The name of a listed query or report, also of one that cannot be read; empty for none."""
    raw = fold(item)
    return text(raw.get("reportname")) or text(raw.get("name")) or ""


def single_item(envelope: Envelope, *, operation: str) -> Mapping[str, Any]:
    """The single object of a reply to a creation or a change."""
    if not envelope.items:
        raise UnexpectedReply(f"cannot {operation}: the reply holds no object")
    return envelope.items[0]


def required_names(name: str | None, *, whole: bool) -> Callable[[str], bool]:
    """Whether an entry of that name must not be left out of a listing."""
    return lambda found: whole or (name is not None and matches(name, found))


def matches(wanted: str | None, found: str) -> bool:
    """Whether `found` is the wanted name or id, whatever the filter of the service let by; `None` wants any."""
    return wanted is None or wanted.strip().casefold() == found.strip().casefold()


def folded(ids: Sequence[str]) -> set[str]:
    """Ids in the form in which they are compared."""
    return {item_id.strip().casefold() for item_id in ids}


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


def chunked(ids: Sequence[str], *, most_characters: int) -> Iterator[tuple[str, ...]]:
    """Split ids so that those of one part, joined by one character, have at most `most_characters`, or are one id."""
    part: list[str] = []
    length = 0
    for item_id in ids:
        if part and length + 1 + len(item_id) > most_characters:
            yield tuple(part)
            part, length = [], 0
        length += len(item_id) + (1 if part else 0)
        part.append(item_id)
    if part:
        yield tuple(part)
