"""What an exception of aiohttp or of the system means, as one of our errors: a table, and what no class tells."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bulkpull.errors import AnswerLost, BulkpullError, HeadTooLong, NotConnected, TlsRefused, UnsafeAddress
from bulkpull.transport.proxies import connect_refusal
from bulkpull.transport.trust_store import certificates_read_late

with certificates_read_late():
    import aiohttp

# Gateways add long policies and many headers; a larger head is not a valid reply (case C23).
MAX_HEADER_BYTES = 64 * 1024
MAX_HEADERS = 1_000
_PROXY_FIX = "check host, port and credentials of the proxy in HTTPS_PROXY"
_HEAD_FIX = (
    "look for a proxy or gateway that adds headers; the request was not retried, because the result would be the same"
)
_NETWORK_FIX = "check this machine's network and DNS, {address}, and whether a proxy is needed (HTTPS_PROXY)"
_CONNECT_FIX = (
    "check host and port of {address}, that the service runs there, and whether a proxy is needed (HTTPS_PROXY)"
)
_TLS_FIX = "add the authority's certificate by `ca_file`, and check whether a proxy opens the connection"

_OLD_TLS = "the server offers only TLS 1.0 or 1.1, and 1.2 is the oldest safe version"
_OLD_TLS_FIX = "check {address} and the proxy (HTTPS_PROXY); the operator of the server must enable TLS 1.2 or 1.3"
_NO_TLS = "the server answers without TLS"
_NO_TLS_FIX = "check scheme and port of {address}, and of HTTPS_PROXY: https needs a port that speaks TLS"
# OpenSSL's reasons: of its own look at the server's hello, and of the server's alert at ours.
_OLD_TLS_REASONS = ("UNSUPPORTED_PROTOCOL", "ALERT_PROTOCOL_VERSION", "VERSION_TOO_LOW")
# What it makes of the first bytes of a plain HTTP answer, by version.
_NO_TLS_REASONS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")


class AnswerOverdue(AnswerLost):
    """The request was sent, but its reply did not arrive in time."""


@dataclass(frozen=True, slots=True)
class _Meaning:
    """Our error for some exception classes, with one of the `reasons` if any; `why` may come from the exception."""

    of: tuple[type[BaseException], ...]
    kind: type[BulkpullError]
    what: str
    why: str | Callable[[Any], str | None] | None = None
    fix: str | None = None
    reasons: tuple[str, ...] = ()

    def fits(self, error: BaseException) -> bool:
        if not isinstance(error, self.of):
            return False
        text = str(getattr(error, "os_error", error)).upper().replace(" ", "_")
        return not self.reasons or any(reason in text for reason in self.reasons)


def _tls_words(error: Any) -> str | None:
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    return getattr(cause, "verify_message", None) or getattr(cause, "reason", None)


def _head_error(error: BaseException) -> str | None:
    """Why the head of an answer was over the limits, which aiohttp tells by words only; `None` where it was not."""
    if not isinstance(error, aiohttp.ClientResponseError):
        return None
    text = str(error.message)[:400]
    if text.startswith("Got more than"):
        name, colon, _ = text.partition("reading:")[2].strip(" b'\"").partition(":")
        which = f"the header {name[:80]}" if colon else "a header"
        return f"{which} is longer than {MAX_HEADER_BYTES:,} bytes"
    return f"it has more than {MAX_HEADERS:,} headers" if "Too many headers" in text else None


def _unconnected(of: type[BaseException], why: str | Callable[[Any], str | None], fix: str) -> _Meaning:
    return _Meaning((of,), NotConnected, "no connection", why, fix)


def _system_words(error: aiohttp.ClientConnectorError) -> str:
    cause = error.os_error
    return os.strerror(cause.errno).lower() if cause.errno else cause.strerror or "refused"


_UNTRUSTED = (aiohttp.ServerFingerprintMismatch, aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError)
_TLS = (aiohttp.ClientSSLError, ssl.SSLError)
_NO_HANDSHAKE = "the TLS handshake failed"
_NO_ADDRESS = (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, aiohttp.RedirectClientError)
_CLOSED = (aiohttp.ClientConnectionError, ConnectionError)

# The first that fits counts, so subclasses stand before their bases.
_MEANINGS = (
    _Meaning(_TLS, TlsRefused, _NO_HANDSHAKE, _OLD_TLS, _OLD_TLS_FIX, _OLD_TLS_REASONS),
    _Meaning(_TLS, TlsRefused, _NO_HANDSHAKE, _NO_TLS, _NO_TLS_FIX, _NO_TLS_REASONS),
    _Meaning(_UNTRUSTED, TlsRefused, "the certificate is not trusted", _tls_words, _TLS_FIX),
    _Meaning(_TLS, TlsRefused, _NO_HANDSHAKE, _tls_words, _TLS_FIX),
    _unconnected(aiohttp.ClientConnectorDNSError, "its name cannot be resolved", _NETWORK_FIX),
    _unconnected(aiohttp.ClientProxyConnectionError, "the proxy is not reached", _PROXY_FIX),
    _unconnected(aiohttp.ClientHttpProxyError, lambda error: f"the proxy said {error.status}", _PROXY_FIX),
    _unconnected(aiohttp.ConnectionTimeoutError, "the connection timed out", _NETWORK_FIX),
    _unconnected(aiohttp.ClientConnectorError, _system_words, _CONNECT_FIX),
    _Meaning(_NO_ADDRESS, UnsafeAddress, "it is not asked", "its address cannot be used"),
    _Meaning((TimeoutError,), AnswerOverdue, "the reply did not arrive in time"),
    _Meaning(_CLOSED, AnswerLost, "the connection was closed before the reply was complete"),
    _Meaning((aiohttp.ClientPayloadError,), AnswerLost, "the reply was truncated"),
    _Meaning((BaseException,), AnswerLost, "no complete reply arrived", lambda error: type(error).__name__),
)


def translate(error: BaseException, *, label: str, address: str = "the address") -> BulkpullError:
    """
    Turn an exception of aiohttp or of the system into ours, without the address and headers that it carries.

    `address` is what to check where nothing answers: the setting that holds it, if one does. Where it is not certain
    that nothing was sent, the answer counts as lost: that is the careful reading.
    """
    if isinstance(error, aiohttp.ClientHttpProxyError) and (refusal := connect_refusal(error.status, label=label)):
        return refusal
    if (why := _head_error(error)) is not None:
        return HeadTooLong(f"{label}: the response headers are too long", why=why, fix=_HEAD_FIX)
    hung_up = ssl.SSLEOFError | ssl.SSLZeroReturnError
    if isinstance(error, aiohttp.ClientConnectorSSLError) and isinstance(error.os_error, hung_up):
        return NotConnected(f"{label}: no connection", why="the server closed the connection during the TLS handshake")
    meaning = next(meaning for meaning in _MEANINGS if meaning.fits(error))
    why = meaning.why(error) if callable(meaning.why) else meaning.why
    return meaning.kind(f"{label}: {meaning.what}", why=why, fix=meaning.fix and meaning.fix.format(address=address))


TRANSLATED = (aiohttp.ClientError, OSError)
"""What `translate` is for: nothing else of the library's or the system's may leave a call."""
