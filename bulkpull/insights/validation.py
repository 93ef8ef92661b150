"""
Validates values before anything is sent. Pure.

Each failure is a `SettingsError` that states the rule: the service's own messages are short (behaviours 41 to 43), and
it accepts some invalid values but returns other data (behaviours 82 and 83).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import urlsplit

from bulkpull.clock import iso_utc
from bulkpull.errors import SettingsError, UnsafeAddress
from bulkpull.model import CALLBACK_METHODS, FILE_FORMATS
from bulkpull.redact import printable
from bulkpull.url_safety import Reach, check_address, reach_of

RECURRENCE_H = range(4, 2_161)
LONGEST_TEXT = 256
START_LEAD = timedelta(hours=4)
# For a clock that is wrong, and for the way there (behaviour 81).
START_MARGIN = timedelta(minutes=5)
# Names that no public name server knows.
_PRIVATE_DOMAINS = ("local", "localdomain", "localhost", "internal", "intranet", "lan", "home", "corp", "arpa")


def earliest_start(now: datetime) -> datetime:
    """The first moment at which a schedule made now may begin, whole minutes."""
    earliest = now + START_LEAD + START_MARGIN
    return earliest.replace(second=0, microsecond=0) + timedelta(minutes=1)


def check_query_text(*, name: str, text: str) -> None:
    """A query to be stored; `SettingsError` names the rule (behaviours 71 and 73)."""
    if not name.strip() or not all(character.isalnum() or character == " " for character in name):
        raise SettingsError(
            f"a query cannot be named {printable(name, most=40)!r}", why="letters, digits and blanks are allowed"
        )
    if not text.strip():
        raise SettingsError(f"the query {name!r} has no text")


def check_texts(*, name: str, description: str | None) -> None:
    """A report's name and description. Source: behaviour 93."""
    if not name.strip() or len(name) > LONGEST_TEXT or ";" in name:
        raise SettingsError(
            f"a report cannot be named {printable(name, most=40)!r}",
            why=f"a name has 1 to {LONGEST_TEXT} characters and no semicolon",
        )
    if description is not None and len(description) > LONGEST_TEXT:
        raise SettingsError(
            f"the description of the report {name!r} is too long",
            why=f"it has {len(description)} characters, {LONGEST_TEXT} are allowed",
        )


def check_recurrence(*, hours: int | None, count: int | None, minimum_h: int | None) -> None:
    """How often a report runs. Source: behaviours 50, 87 and 88."""
    if hours is not None and hours not in RECURRENCE_H:
        raise SettingsError(
            f"a report cannot recur every {hours} h",
            why=f"{RECURRENCE_H[0]} to {RECURRENCE_H[-1]} h are allowed",
            fix="choose a number of hours within these limits",
        )
    if hours is not None and minimum_h is not None and hours < minimum_h:
        raise SettingsError(
            f"a report cannot recur every {hours} h",
            why=f"the shortest interval of its dataset is {minimum_h} h",
            fix=f"choose {minimum_h} h or more",
        )
    if count is not None and count < 1:
        raise SettingsError(f"a report cannot recur {count} times", why="1 and more are allowed")


def check_start(start_at: datetime | None, *, now: datetime) -> None:
    """When a schedule begins. Source: behaviours 81 and 95."""
    if start_at is None or start_at >= now + START_LEAD + START_MARGIN:
        return
    raise SettingsError(
        f"a report cannot start at {iso_utc(start_at)}",
        why="the service takes four hours ahead and more, and five minutes are kept for clocks that differ",
        fix=f"the earliest is {iso_utc(earliest_start(now))}",
    )


def check_format(word: str | None) -> None:
    """The file's format, in any case. Source: behaviour 94."""
    if word is not None and word.casefold() not in FILE_FORMATS:
        raise SettingsError(f"there is no report format {word!r}", why=f"{' and '.join(FILE_FORMATS)} are allowed")


def check_span(start: datetime | None, end: datetime | None) -> None:
    """A window of a report or of a preview. Source: behaviours 78 and 84."""
    if start is not None and end is not None and end <= start:
        raise SettingsError(f"the window ends ({iso_utc(end)}) before it begins ({iso_utc(start)})")


def check_callback(url: str | None, method: str | None) -> None:
    """Where and how the service tells that a report is done: a public https address, by GET or POST (behaviour 100)."""
    if method is not None and method.upper() not in CALLBACK_METHODS:
        raise SettingsError(f"there is no callback method {method!r}", why="GET and POST are allowed")
    if url is None:
        if method is not None:
            raise SettingsError("a callback method was given without an address", fix="name the address as well")
        return
    try:
        check_address(url, what="the callback address")
    except UnsafeAddress as refused:
        raise SettingsError(refused.what, why=refused.why, fix=refused.fix) from None
    parts = urlsplit(url)
    if parts.scheme != "https" or not _is_public(parts.hostname or ""):
        raise SettingsError(
            "the callback address is not used", why="the service calls it, so it has to be https on a public host"
        )


def _is_public(host: str) -> bool:
    """Whether the service could reach that host; `127.1` and `0x7f.1` are addresses, as resolvers read them."""
    if reach_of(host) is not Reach.PUBLIC:
        return False
    above, _, last = host.casefold().rstrip(".").rpartition(".")
    return ":" in host or (bool(above) and last not in _PRIVATE_DOMAINS)
