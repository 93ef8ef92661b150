"""
Checks replies of the storage host: the version of the stored file by their headers, the byte range that they carry, and
the errors that failures are (behaviours 124 and 130 to 133).

No reply is used before it was checked here. A refusal, by status or in an error page under status 200, becomes the
error that says what to do next. The codes are those of Azure Storage for blobs and for all services.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from http import HTTPStatus

from bulkpull.errors import BulkpullError, FileGone, LinkExpired, StorageTrouble, TransferError
from bulkpull.redact import printable
from bulkpull.transfer.byte_ranges import ByteRange
from bulkpull.transport.http_messages import AnswerKind, request_id_in
from bulkpull.transport.rate_limit import parse_retry_after

ERROR_PAGE_BYTES = 8_192
"""How much of a refusal is read to find its code."""

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_NO_RANGE = re.compile(r"bytes \*/(\d{1,18})")
_STORAGE_CODE = re.compile(rb"<Code>\s*([A-Za-z]{1,80})\s*</Code>")
_SHOWN_CHARACTERS = 200
_MD5_BYTES = 16
_PROXY_SIGN_INS = (HTTPStatus.PROXY_AUTHENTICATION_REQUIRED, HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED)


class Remedy(Enum):
    """What the transfer does about a code, by the name that the page of errors has for it."""

    FRESH_LINK = f"{AnswerKind.PASSING}: fresh link"
    WAIT = str(AnswerKind.PASSING)
    NEW_REPORT = f"{AnswerKind.FINAL}: new report"
    NOTHING = str(AnswerKind.FINAL)


@dataclass(frozen=True, slots=True)
class StorageCode:
    remedy: Remedy
    meaning: str


_REFUSED = StorageCode(Remedy.FRESH_LINK, "the link is refused: it has ended, or clocks differ")
_BUSY = StorageCode(Remedy.WAIT, "the storage host is busy or at fault")
_GONE = StorageCode(Remedy.NEW_REPORT, "the report's file is gone from the storage host")
_REFUSED_CODES = (
    "AuthenticationFailed", "AuthorizationFailure", "AuthorizationPermissionMismatch", "InvalidAuthenticationInfo",
    "InvalidQueryParameterValue", "InvalidUri", "NoAuthenticationInformation",
)  # fmt: skip
_GONE_CODES = (
    "BlobNotFound", "ContainerBeingDeleted", "ContainerBeingDisabled", "ContainerDisabled", "ContainerNotFound",
    "ResourceNotFound",
)  # fmt: skip
_FORBIDDEN_CODES = {
    "AccountIsDisabled": "the service's storage account is disabled",
    "AuthorizationProtocolMismatch": "the link does not allow this protocol",
    "AuthorizationResourceTypeMismatch": "the link is for another kind of object",
    "AuthorizationServiceMismatch": "the link is for another storage service",
    "AuthorizationSourceIPMismatch": "the link does not allow this machine's network address",
    "InsufficientAccountPermissions": "the service's storage account does not allow reading",
    "KeyBasedAuthenticationNotPermitted": "the service's storage account takes no links",
    "PublicAccessNotPermitted": "the storage host took the link for none: something on the way cut it",
}
STORAGE_CODES: Mapping[str, StorageCode] = {
    **dict.fromkeys(_REFUSED_CODES, _REFUSED),
    **dict.fromkeys(_GONE_CODES, _GONE),
    **dict.fromkeys(("AccountBeingCreated", "InternalError", "OperationTimedOut", "ServerBusy"), _BUSY),
    **{code: StorageCode(Remedy.NOTHING, meaning) for code, meaning in _FORBIDDEN_CODES.items()},
    "BlobArchived": StorageCode(
        Remedy.NEW_REPORT, "the report's file was moved to the archive, from where it cannot be read"
    ),
    "BlobBeingRehydrated": StorageCode(Remedy.WAIT, "the report's file is being brought back from the archive"),
}
_BY_STATUS: Mapping[int, StorageCode] = {
    **dict.fromkeys((HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS), _BUSY),
    **dict.fromkeys((HTTPStatus.NOT_FOUND, HTTPStatus.GONE), _GONE),
    **dict.fromkeys((HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED), _REFUSED),
}


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
        for word, value, other_value in (
            ("length", self.size_bytes, other.size_bytes),
            ("ETag", self.etag, other.etag),
            ("MD5", self.md5, other.md5),
            ("date", self.modified, other.modified),
        ):
            if value is not None and other_value is not None and value != other_value:
                return word
        return "encoding" if self.encoding != other.encoding else None


class FileReplaced(TransferError):
    """The stored file has changed since this transfer began: restart."""


class InvalidRangeResponse(FileReplaced):
    """The host returned a wrong range: restart without range requests."""


class RangeNotSatisfiable(TransferError):
    """The file has no byte at the requested offset; `size_bytes` is its size, if the host says it."""

    def __init__(self, what: str, *, size_bytes: int | None, why: str | None = None) -> None:
        self.size_bytes = size_bytes
        super().__init__(what, why=why)


@dataclass(frozen=True, slots=True)
class BodyRange:
    """
    The byte range that a valid reply carries.

    Attributes:
        end: `None` when only the end of the body will show it.
        whole: It is the file from its first byte to its last.
        shares: The host does not say that it serves no ranges, so other streams may ask for some.
        ends_by_itself: A body without a length that has an end mark of its own (chunks), unlike one that merely stops.
    """

    end: int | None
    version: Version
    whole: bool
    shares: bool
    ends_by_itself: bool


def version_of(headers: Mapping[str, str], *, size: str, md5: str) -> Version:
    """The version by a reply whose headers give the file's length as `size`, and its MD5 under the name `md5`."""
    etag = headers.get("ETag")
    encoding = headers.get("Content-Encoding", "").strip().casefold()
    try:
        digest = b64decode(headers.get(md5, ""), validate=True)
    except ValueError:
        digest = b""
    return Version(
        size_bytes=int(size) if size.isdecimal() else None,
        etag=None if etag is None or etag.startswith("W/") else etag,
        md5=digest if len(digest) == _MD5_BYTES else None,
        modified=headers.get("Last-Modified"),
        encoding=encoding if encoding not in ("", "identity") else None,
    )


def check_response(
    status: int, headers: Mapping[str, str], *, asked: ByteRange | None, known: Version | None
) -> BodyRange:
    """
    Check a reply with data, status 200 or 206.

    Args:
        asked: `None` for the whole file.
        known: The version that the bytes on disk belong to.

    Raises:
        FileReplaced: It belongs to another version.
        InvalidRangeResponse: It is not the requested range (fault 64).
    """
    if status == HTTPStatus.OK:
        version = version_of(headers, size=headers.get("Content-Length", ""), md5="Content-MD5")
        _check_same(version, known=known if asked is not None else None)
        serves_ranges = headers.get("Accept-Ranges", "").strip().casefold() != "none"
        is_chunked = "chunked" in headers.get("Transfer-Encoding", "").casefold()
        return BodyRange(version.size_bytes, version, whole=True, shares=serves_ranges, ends_by_itself=is_chunked)
    content_range = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if content_range is None or asked is None:
        raise InvalidRangeResponse("the storage host did not answer with one range")
    start, end = int(content_range[1]), int(content_range[2]) + 1
    version = version_of(headers, size=content_range[3], md5="x-ms-blob-content-md5")
    _check_same(version, known=known)
    length = headers.get("Content-Length")
    is_fit = start == asked.start < end <= min(version.size_bytes or end, asked.end)
    if not is_fit or (length is not None and length != str(end - start)):
        raise InvalidRangeResponse(
            "the storage host answered with another range than the one asked for",
            why=f"requested bytes {asked.start}-{asked.end - 1}, received {content_range[0]}",
        )
    return BodyRange(end, version, whole=False, shares=True, ends_by_itself=True)


def _check_same(version: Version, *, known: Version | None) -> None:
    word = known.contradiction(version) if known is not None else None
    if word is not None:
        raise FileReplaced(f"the stored file has another {word} than before")


def error_for_status(status: int, headers: Mapping[str, str], body: bytes, *, now: datetime) -> BulkpullError:
    """
    The error for a reply without data; `body` is its beginning. A known code decides, else the status.

    Returns:
        `FileReplaced` (412), `RangeNotSatisfiable` (416), `FileGone`, `LinkExpired`, `StorageTrouble` for temporary and
        unknown failures, `TransferError` for permanent ones.
    """
    code = headers.get("x-ms-error-code") or _code_in(body)
    why = f"HTTP {status}, {code or 'no error code'}{request_id_in(headers)}"
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        content_range = _NO_RANGE.fullmatch(headers.get("Content-Range", "").strip())
        return RangeNotSatisfiable(
            "nothing is stored there", size_bytes=int(content_range[1]) if content_range else None, why=why
        )
    if status == HTTPStatus.PRECONDITION_FAILED:
        return FileReplaced("the stored file was replaced", why=why)
    # The storage host marks what is its own by `x-ms-…` headers: another one is somebody on the way.
    is_the_hosts = code is not None or any(name.lower().startswith("x-ms-") for name in headers)
    if status in _PROXY_SIGN_INS or (status == HTTPStatus.UNAUTHORIZED and not is_the_hosts):
        return TransferError(
            "a proxy or gateway in front of the storage host requires a sign-in",
            why=why,
            fix="check user name and password in HTTPS_PROXY, or exclude the storage host from the proxy (NO_PROXY)",
        )
    pause_s = parse_retry_after(headers.get("Retry-After"), date=headers.get("Date"), now=now)
    known = STORAGE_CODES.get(code or "")
    if known is None:
        known = _BUSY if status >= HTTPStatus.INTERNAL_SERVER_ERROR else _BY_STATUS.get(status)
    if known is not None:
        return _error_for(known, why=why, pause_s=pause_s)
    words = printable(body.decode("utf-8", "replace"), most=_SHOWN_CHARACTERS)
    why = f"{why}: {words}" if words else why
    return StorageTrouble("the storage host's answer is not understood", why=why, retry_after_s=pause_s)


def _error_for(code: StorageCode, *, why: str, pause_s: float | None) -> BulkpullError:
    match code.remedy:
        case Remedy.FRESH_LINK:
            return LinkExpired("the storage host refuses the link", why=why)
        case Remedy.WAIT:
            return StorageTrouble(code.meaning, why=why, retry_after_s=pause_s)
        case Remedy.NEW_REPORT:
            return FileGone(code.meaning, why=why)
        case Remedy.NOTHING:
            return TransferError(code.meaning, why=why, fix="quote the request id to Microsoft's support")


def refuse_error_page(first: bytes, headers: Mapping[str, str]) -> None:
    """Raise the error of an error page under status 200 (fault 70). What has no known code is left to the converter."""
    if not first.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<"):
        return
    code = _code_in(first[:ERROR_PAGE_BYTES])
    if (known := STORAGE_CODES.get(code or "")) is not None:
        why = f"{code} in an error page under status 200{request_id_in(headers)}"
        raise _error_for(known, why=why, pause_s=None)


def _code_in(body: bytes) -> str | None:
    found = _STORAGE_CODE.search(body)
    return found[1].decode("ascii") if found else None
