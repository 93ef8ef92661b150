"""One HTTP exchange with nothing of ours in it: the standard library's client, every byte as it came."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import anyio.to_thread

_LONGEST_S = 20.0


@dataclass(frozen=True, slots=True)
class Answer:
    """
    An answer, read to its end.

    Attributes:
        headers: By name in small letters.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def error(self) -> Mapping[str, str]:
        """The children of the XML error page, by name."""
        # The pages come from a process that the tests started themselves.
        page = ET.fromstring(self.body)  # noqa: S314
        assert page.tag == "Error"
        return {child.tag: child.text or "" for child in page}


def exchange(method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> Answer:
    """Send one request on a connection of its own; the address goes out byte for byte. Blocks."""
    host, _, target = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=_LONGEST_S)
    try:
        # Some answers of emulators have no readable length; they end with the connection.
        connection.request(method, f"/{target}", body=body, headers={"Connection": "close", **(headers or {})})
        reply = connection.getresponse()
        return Answer(reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read())
    finally:
        connection.close()


async def ask(url: str, method: str = "GET", **headers: str) -> Answer:
    """The same, without blocking; underscores in header names become hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    assert urlsplit(url).hostname == "127.0.0.1"
    return await anyio.to_thread.run_sync(partial(exchange, method, url, headers=named))
