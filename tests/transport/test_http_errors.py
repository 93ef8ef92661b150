"""No exception of the HTTP library leaves the transport, and each becomes what it means."""

from __future__ import annotations

import errno
import inspect
import ssl
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from support import API, Answers, EventRecorder, FakeClock
from yarl import URL

from bulkpull.errors import AnswerLost, NotConnected, TlsRefused, TransferError, UnsafeAddress
from bulkpull.transport.http import AnswerOverdue, Http, Request
from bulkpull.transport.http_errors import translate

SECRET = "https://account.example/f.csv?sv=1&unlisted=verysecret"
KEY: Any = SimpleNamespace(host="account.example", port=443, ssl=True, is_ssl=True)
INFO: Any = SimpleNamespace(real_url=URL(SECRET), headers={"Authorization": "Bearer verysecret"})
REFUSED = OSError(111, "Connection refused")
UNTRUSTED = ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed certificate")

# Where the constructor wants more than a text.
MADE: dict[type[BaseException], BaseException] = {
    aiohttp.ClientConnectorError: aiohttp.ClientConnectorError(KEY, REFUSED),
    aiohttp.ClientConnectorDNSError: aiohttp.ClientConnectorDNSError(KEY, REFUSED),
    aiohttp.ClientProxyConnectionError: aiohttp.ClientProxyConnectionError(KEY, REFUSED),
    aiohttp.ClientSSLError: aiohttp.ClientSSLError(KEY, REFUSED),
    aiohttp.ClientConnectorSSLError: aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "wrong version number")),
    aiohttp.ClientConnectorCertificateError: aiohttp.ClientConnectorCertificateError(KEY, UNTRUSTED),
    aiohttp.ServerFingerprintMismatch: aiohttp.ServerFingerprintMismatch(b"a", b"b", "account.example", 443),
}
for item in (
    aiohttp.ClientResponseError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ContentTypeError,
    aiohttp.TooManyRedirects,
    aiohttp.WSServerHandshakeError,
):
    MADE[item] = item(INFO, (), status=502, message="verysecret")

MEANINGS: dict[type[BaseException], type[TransferError]] = {
    aiohttp.ClientConnectorError: NotConnected,
    aiohttp.ClientConnectorDNSError: NotConnected,
    aiohttp.ClientProxyConnectionError: NotConnected,
    aiohttp.ClientHttpProxyError: NotConnected,
    aiohttp.ConnectionTimeoutError: NotConnected,
    aiohttp.ClientSSLError: TlsRefused,
    aiohttp.ClientConnectorSSLError: TlsRefused,
    aiohttp.ClientConnectorCertificateError: TlsRefused,
    aiohttp.ServerFingerprintMismatch: TlsRefused,
    aiohttp.InvalidURL: UnsafeAddress,
    aiohttp.InvalidUrlClientError: UnsafeAddress,
    aiohttp.InvalidUrlRedirectClientError: UnsafeAddress,
    aiohttp.NonHttpUrlClientError: UnsafeAddress,
    aiohttp.NonHttpUrlRedirectClientError: UnsafeAddress,
    aiohttp.RedirectClientError: UnsafeAddress,
    aiohttp.ServerTimeoutError: AnswerOverdue,
    aiohttp.SocketTimeoutError: AnswerOverdue,
}

LIBRARY = sorted(
    (
        kind
        for _, kind in inspect.getmembers(aiohttp, inspect.isclass)
        if issubclass(kind, aiohttp.ClientError) and not kind.__name__.startswith("WSMessage")
    ),
    key=lambda kind: kind.__name__,
)


def made(kind: type[BaseException]) -> BaseException:
    return MADE[kind] if kind in MADE else kind(SECRET)


@pytest.mark.parametrize("kind", LIBRARY, ids=lambda kind: kind.__name__)
def test_every_exception_of_the_library_has_a_meaning(kind: type[BaseException]) -> None:
    """Where it is not known that nothing was sent, the answer counts as lost."""
    error = translate(made(kind), label="blob (account.example)")

    assert type(error) is MEANINGS.get(kind, AnswerLost)
    assert "verysecret" not in f"{error!r} {error.__dict__}"


@pytest.mark.parametrize("kind", LIBRARY, ids=lambda kind: kind.__name__)
async def test_no_exception_of_the_library_comes_through(kind: type[Exception]) -> None:
    async with Http(ca_file=None, events=EventRecorder().hub, clock=FakeClock(), user_agent="x") as http:
        with Answers() as answers:
            answers.get(API, exception=made(kind))
            with pytest.raises(TransferError) as caught:
                await http.send(Request("GET", API, endpoint="x"))

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (TimeoutError(), AnswerOverdue),
        (ConnectionResetError(104, "reset"), AnswerLost),
        (BrokenPipeError(32, "pipe"), AnswerLost),
        (OSError(5, "input/output error"), AnswerLost),
        (UNTRUSTED, TlsRefused),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLEOFError(8, "EOF occurred")), NotConnected),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_exceptions_of_the_system_have_a_meaning_too(error: BaseException, meaning: type[TransferError]) -> None:
    assert type(translate(error, label="x")) is meaning


def test_a_refused_connection_is_called_so_in_the_systems_plain_words() -> None:
    """Asyncio's own text is `Connect call failed ('127.0.0.1', 8080)`."""
    refused = OSError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 8080)")

    found = translate(aiohttp.ClientConnectorError(KEY, refused), label="x")

    assert found.message == "x: no connection: connection refused"
    assert "that the service runs there" in (found.fix or "")


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        ("token", "`token_url`"),
        ("notify_url", "`notify_url`"),
        ("blob", "the download link"),
        ("ScheduledReport", "`api_base_url`"),
        ("the service", "`api_base_url`"),
    ],
)
def test_where_nothing_answers_the_setting_that_holds_the_address_is_named(endpoint: str, name: str) -> None:
    request = Request("GET", "https://account.example/t", endpoint=endpoint)
    refused = aiohttp.ClientConnectorError(KEY, OSError(errno.ECONNREFUSED, "Connect call failed"))
    unresolved = aiohttp.ClientConnectorDNSError(KEY, OSError("no name"))

    for error, words in ((refused, f"check host and port of {name},"), (unresolved, f"network and DNS, {name},")):
        assert words in (translate(error, label=request.label, address=request.address_name).fix or "")


def test_the_token_endpoint_is_named_as_such_in_errors() -> None:
    request = Request("POST", "https://user:verysecret@account.example/t", endpoint="token")

    assert request.label == "the token endpoint (account.example)"


@pytest.mark.parametrize("reason", ["WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"])
def test_a_server_that_speaks_plain_http_behind_https_is_no_matter_of_certificates(reason: str) -> None:
    error = aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, f"[SSL: {reason}] {reason.replace('_', ' ').lower()}"))

    found = translate(error, label="token (account.example)")

    assert isinstance(found, TlsRefused)
    assert "answers without TLS" in found.reason
    assert "scheme and port" in (found.fix or "")
    assert "ca_file" not in found.reason + str(found.fix)
