"""Secure links: a file's address and its signature (behaviours 120 to 125, and 183)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from datetime import datetime
from email.utils import format_datetime
from urllib.parse import quote, unquote
from uuid import uuid4

from bulkpull.simulator.entities import wire_time
from bulkpull.simulator.error_replies import StorageRefusal
from bulkpull.simulator.request_validation import parse_time

_CONTAINER = "programmatic-export-pi"
_PATH = re.compile(rf"/{_CONTAINER}/.+_(?P<file>[0-9a-f-]{{36}})\.csv")
_QUERY = re.compile(r"sv=2018-03-28&sr=b&sig=(?P<sig>[^&]+)&se=(?P<se>[^&]+)&sp=r")


class LinkSigner:
    """Signs and checks links. The check uses the bytes of the request line, so a link that was encoded again fails."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._revoked: set[str] = set()
        self._files: dict[str, str] = {}  # by execution
        self._executions: dict[str, str] = {}  # by file

    def sign(self, *, report_name: str, execution_id: str, expires_at: datetime) -> str:
        """Path and query of a link to an execution's file; the file's id is not the execution's."""
        file = self._files.setdefault(execution_id, str(uuid4()))
        self._executions[file] = execution_id
        path = f"/{_CONTAINER}/{quote(report_name, safe='')}_{file}.csv"
        end = quote(wire_time(expires_at) or "", safe="")
        return f"{path}?sv=2018-03-28&sr=b&sig={self._signature(path, end)}&se={end}&sp=r"

    def execution_of(self, target: str) -> str | None:
        """The execution whose file a request line's target names; `None` when it names no file."""
        found = _PATH.fullmatch(target.partition("?")[0])
        return self._executions.get(found["file"]) if found else None

    def check(self, target: str, *, now: datetime) -> None:
        """
        Check the signature and its end, as the storage host does when a request starts (behaviour 125).

        Raises:
            StorageRefusal: 403 with the storage host's explanation.
        """
        path, _, query = target.partition("?")
        found = _QUERY.fullmatch(query)
        if found is None or not hmac.compare_digest(found["sig"], self._signature(path, found["se"])):
            raise refused_signature("Signature did not match. String to sign used was r")
        expires_at = parse_time(unquote(found["se"]))
        if expires_at is None or expires_at <= now or target in self._revoked:
            raise refused_signature(
                "Signature not valid in the specified time frame: Start [Thu, 01 Jan 1970 00:00:00 GMT] - "
                f"Expiry [{format_datetime(expires_at or now, usegmt=True)}] - "
                f"Current [{format_datetime(now, usegmt=True)}]"
            )

    def revoke(self, target: str) -> None:
        """From now on this link is refused as expired."""
        self._revoked.add(target)

    def _signature(self, path: str, end: str) -> str:
        digest = hmac.new(self._key, f"{path}\n{end}".encode(), hashlib.sha256).digest()
        return quote(base64.b64encode(digest), safe="")


def refused_signature(detail: str) -> StorageRefusal:
    """403: the link does not open the file; `detail` says why."""
    return StorageRefusal(403, "AuthenticationFailed", detail=detail)
