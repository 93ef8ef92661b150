"""What the owner of a blob account does: store files and sign links, by the REST documents alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from storage.plain_http import exchange

# Published with every emulator of Azure Storage and the same everywhere: no secret.
ACCOUNT = "devstoreaccount1"
_KEY = base64.b64decode("Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==")
_CONTAINER = "insights-reports"
_REST_VERSION = "2021-12-02"
_SAS_VERSION = "2018-03-28"  # that of the links observed in the field (behaviour 121)


@dataclass(frozen=True, slots=True)
class BlobAccount:
    """
    The account of a running emulator, with one private container. Its methods block; files are few and small.

    Attributes:
        origin: `http://host:port`.
    """

    origin: str

    def make_container(self) -> None:
        """Make the private container that all files lie in."""
        self._signed("PUT", f"/{ACCOUNT}/{_CONTAINER}", query={"restype": "container"})

    def put(self, name: str, content: bytes) -> None:
        """Store a gzip file with its MD5, or replace it."""
        digest = hashlib.md5(content, usedforsecurity=False).digest()
        kind = {"content-type": "application/octet-stream", "x-ms-blob-type": "BlockBlob"}
        self._signed("PUT", _path(name), headers={**kind, **_properties(digest)}, body=content)

    def tell_md5(self, name: str, digest: bytes) -> None:
        """Have another MD5 sent for a stored file; only an upload's is compared with the bytes."""
        self._signed("PUT", _path(name), query={"comp": "properties"}, headers=_properties(digest))

    def delete(self, name: str) -> None:
        """Remove a file."""
        self._signed("DELETE", _path(name))

    def link(self, name: str, *, expires_in_s: float = 3600, starts_in_s: float | None = None) -> str:
        """
        A link that opens one file for reading, as the service hands them out; the file need not exist.

        Args:
            expires_in_s, starts_in_s: From now; below 0 for the past.
        """
        begin = "" if starts_in_s is None else _moment(starts_in_s)
        end = _moment(expires_in_s)
        # sp, st, se, the file, si, sip, spr, sv, and five headers to override
        parts = ["r", begin, end, f"/blob/{ACCOUNT}/{_CONTAINER}/{name}", "", "", "", _SAS_VERSION, "", "", "", "", ""]
        signed = {"sv": _SAS_VERSION, "sr": "b", "sp": "r", **({"st": begin} if begin else {}), "se": end}
        query = "&".join(f"{key}={quote(value, safe='')}" for key, value in signed.items())
        return f"{self.origin}{_path(name)}?{query}&sig={quote(_signature(parts), safe='')}"

    def _signed(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> None:
        """A call in the account's own name (Shared Key), as the REST documents describe it."""
        query, headers = dict(query or {}), dict(headers or {})
        headers["x-ms-date"] = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        headers["x-ms-version"] = _REST_VERSION
        standard = [""] * 11  # Content-Encoding to Range
        standard[2], standard[4] = str(len(body)) if body else "", headers.get("content-type", "")
        own = [f"{name}:{headers[name]}" for name in sorted(headers) if name.startswith("x-ms-")]
        asked = [f"{name}:{query[name]}" for name in sorted(query)]
        signature = _signature([method, *standard, *own, "\n".join([f"/{ACCOUNT}{path}", *asked])])
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{signature}"
        tail = "&".join(f"{name}={value}" for name, value in query.items())
        answer = exchange(method, f"{self.origin}{path}{'?' if tail else ''}{tail}", headers=headers, body=body)
        assert answer.status in (200, 201, 202), (answer.status, answer.body)


def _path(name: str) -> str:
    return f"/{ACCOUNT}/{_CONTAINER}/{quote(name, safe='')}"


def _properties(digest: bytes) -> dict[str, str]:
    return {"x-ms-blob-content-encoding": "gzip", "x-ms-blob-content-md5": base64.b64encode(digest).decode()}


def _signature(parts: list[str]) -> str:
    return base64.b64encode(hmac.new(_KEY, "\n".join(parts).encode(), hashlib.sha256).digest()).decode()


def _moment(in_s: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=in_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
