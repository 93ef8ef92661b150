"""Identifies the version of a stored file by its response headers (behaviours 131 and 132)."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Version:
    """
    One version of a stored file, by its headers; `None` for what the reply did not say.

    Attributes:
        size_bytes: Stored bytes.
        etag: A strong one; a weak one pins nothing (fault 66).
        md5: Of the whole stored file, 16 bytes.
        modified: `Last-Modified`, as it was sent; the second-best sign where there is no ETag.
        encoding: `Content-Encoding`: a proxy that packs on its way sends other bytes (fault 67).
        end_known_by: How the end of the file is known: `length` (announced, or confirmed by a range beyond it), `md5`,
            `end_mark` (of a chunked body) or `readings` (two that ended at the same byte).
    """

    size_bytes: int | None = None
    etag: str | None = None
    md5: bytes | None = None
    modified: str | None = None
    encoding: str | None = None
    end_known_by: str = "length"

    @property
    def vouched_by(self) -> tuple[str, ...]:
        """The evidence that the stored bytes are complete, the weakest first."""
        return tuple(dict.fromkeys((self.end_known_by, *(("md5",) if self.md5 else ()))))

    @property
    def is_pinned(self) -> bool:
        """Whether a request can ask for this version and no other, so that its ranges may be joined freely."""
        return self.etag is not None and self.size_bytes is not None

    def contradiction(self, other: Version) -> str | None:
        """The property in which `other` differs; `None` if it may be the same version."""
        for word, mine, theirs in (
            ("length", self.size_bytes, other.size_bytes),
            ("ETag", self.etag, other.etag),
            ("MD5", self.md5, other.md5),
            ("date", self.modified, other.modified),
        ):
            if mine is not None and theirs is not None and mine != theirs:
                return word
        return "encoding" if self.encoding != other.encoding else None


def version_of_whole(headers: Mapping[str, str]) -> Version:
    """The version by a reply with the whole file (status 200)."""
    length = headers.get("Content-Length", "")
    return _version(headers, int(length) if length.isdecimal() else None, md5=headers.get("Content-MD5"))


def version_of_range(headers: Mapping[str, str], *, total: int | None) -> Version:
    """The version by a reply with a range (status 206), where `Content-MD5` would be that of the range."""
    return _version(headers, total, md5=headers.get("x-ms-blob-content-md5"))


def _version(headers: Mapping[str, str], size_bytes: int | None, *, md5: str | None) -> Version:
    encoding = headers.get("Content-Encoding", "").strip().casefold()
    return Version(
        size_bytes=size_bytes,
        etag=_strong(headers.get("ETag")),
        md5=read_md5(md5),
        modified=headers.get("Last-Modified"),
        encoding=encoding if encoding not in ("", "identity") else None,
    )


def _strong(etag: str | None) -> str | None:
    return None if etag is None or etag.startswith("W/") else etag


def read_md5(header: str | None) -> bytes | None:
    """The digest in a header, 16 bytes; `None` when there is none or it is not one."""
    try:
        digest = b64decode(header, validate=True) if header else b""
    except ValueError:
        return None
    return digest if len(digest) == 16 else None  # noqa: PLR2004 - the size of an MD5
