"""HTTP requests and replies as values. Headers, forms and URL queries hold secrets, so no repr shows them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

ERROR_BODY_S = 15.0
"""How long the body of a refusal is read, seconds."""
SUPPORT_ID = re.compile(r"[0-9A-Za-z-]{8,64}")
"""Ids that Microsoft's support asks for; nothing else is quoted as one."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """
    The time limits of a request, seconds.

    `connect_s` includes TLS. `head_s` counts from the start until the head of the answer is complete: name look-up,
    connection, proxy and interim (1xx) answers included; it is `None` where `total_s` limits all of it. `read_s` is the
    longest silence. `total_s` is `None` for transfers, which may take hours as long as bytes come fast enough.
    """

    connect_s: float = 15
    head_s: float | None = None
    read_s: float = 60
    error_body_s: float = ERROR_BODY_S
    total_s: float | None = 180


TRANSFER_TIMEOUTS = Timeouts(head_s=90, total_s=None)
LONGEST_HOLD_S = 0.03
"""How long what has come may wait for more, seconds: on a slow line a buffer takes longer, which no kill must cost."""

_ADDRESS_NAMES = {"token": "`token_url`", "notify_url": "`notify_url`", "blob": "the download link"}


@dataclass(frozen=True, slots=True)
class Request:
    """
    A request to send; the URL goes out byte for byte.

    `endpoint` names it in counts and messages: `ScheduledReport`, `token`, `blob`, … What `creates` something new each
    time it is sent must not be repeated after a doubtful answer.
    """

    method: str
    url: str = field(repr=False)
    endpoint: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    json: Any | None = field(default=None, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    timeouts: Timeouts = field(default_factory=Timeouts)
    creates: bool = False

    @property
    def label(self) -> str:
        """The name used in errors: endpoint and host, never the path or the query."""
        endpoint = "the token endpoint" if self.endpoint == "token" else self.endpoint
        return f"{endpoint} ({urlsplit(self.url).netloc.rpartition('@')[2]})"

    @property
    def address_name(self) -> str:
        """The setting that holds the address; of a download, whose address the service gave, what it is."""
        return _ADDRESS_NAMES.get(self.endpoint, "`api_base_url`")


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete reply; header names ignore case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    reason: str = ""


def request_id_in(headers: Mapping[str, str]) -> str:
    """The id that Microsoft's support asks for, as a piece of an error's reason; nothing where there is none."""
    found = next((value for name, value in headers.items() if name.lower() == "x-ms-request-id"), "").strip()
    return f", x-ms-request-id {found}" if SUPPORT_ID.fullmatch(found) else ""


@dataclass(slots=True)
class RequestCounts:
    """Counts of sent requests, `retried` and `throttled` (429) ones among them: `requests` of the manifest."""

    by_endpoint: Counter[str] = field(default_factory=Counter)
    throttled: int = 0
    retried: int = 0

    @property
    def total(self) -> int:
        return self.by_endpoint.total()

    def as_dict(self) -> dict[str, Any]:
        return {
            "total": self.total,
            "by_endpoint": dict(self.by_endpoint),
            "throttled": self.throttled,
            "retried": self.retried,
        }


UNKNOWN_TRIES = 3
"""How often an answer of the token endpoint that no table knows is asked for in all."""


class AnswerKind(StrEnum):
    """What kind of error a reply is; one that is `UNKNOWN` is asked for a few times, then quoted as it came."""

    FINAL = "final"  # asking again cannot help; a person has to do something
    PASSING = "passing"  # it passes by itself: it is asked again after a pause
    UNKNOWN = "unknown"  # no table knows it
