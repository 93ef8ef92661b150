"""Reads values of untrusted JSON replies; keys ignore case (behaviours 34, 35), what is not understood is `None`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bulkpull.redact import printable
from bulkpull.untrusted_text import LONGEST_NAME, visible

_SHOWN_CHARACTERS = 200
# Enough for any secret in front of the cut, and a page of HTML.
_EXAMINED_BYTES = 262_144
# Times such as 0001-01-01 stand for "none"; the service itself is younger.
_EARLIEST_YEAR = 2000


def fold(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The same object with keys that ignore case."""
    return {key.casefold(): value for key, value in raw.items()}


def json_object(body: bytes) -> dict[str, Any] | None:
    """The folded JSON object in `body`; `None` when it holds none."""
    try:
        # Raw control characters within strings, or a NUL after the end, leave no doubt about what is meant.
        raw = json.loads(body.removeprefix(b"\xef\xbb\xbf").rstrip(b"\0 \t\r\n"), strict=False)
    except (ValueError, RecursionError):
        return None
    return fold(raw) if isinstance(raw, dict) else None


def shown(body: bytes) -> str:
    """The beginning of a body that is not understood, without secrets."""
    return printable(body[:_EXAMINED_BYTES].decode("utf-8", "replace"), most=_SHOWN_CHARACTERS)


def text(value: object) -> str | None:
    """A name, id or number of the service, trimmed, cut, its control characters spelled out; else `None`."""
    if isinstance(value, str):
        return visible(value.strip()[:LONGEST_NAME]) or None
    return _number_text(value)


def long_text(value: object) -> str | None:
    """As `text`, of any length and with its line breaks: the text of a query, a link."""
    if isinstance(value, str):
        return visible(value.strip(), lines=True) or None
    return _number_text(value)


def whole_number(value: object) -> int | None:
    """An integer, also as digits; `None` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        return int(value)
    except ValueError:
        return None


def is_true(value: object) -> bool:
    """A truth value, also as text."""
    return value is True or (isinstance(value, str) and value.strip().casefold() == "true")


def moment(value: object) -> datetime | None:
    """A time of the service, aware UTC; `None` for null, rubbish and times before 2000 (behaviours 51 and 155)."""
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value.strip())
        read = (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return read if read.year >= _EARLIEST_YEAR else None


def _number_text(value: object) -> str | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    try:
        return str(value)
    except ValueError:  # Python writes no number of more than some thousand digits
        return None
