"""A call goes out as it was written, and what comes back is whole or an error of ours."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path

import anyio
import pytest
from support import API, Answers, EventRecorder, FakeClock, raw_server, reply
from transport.kept_host import CERTIFICATE, server_context

from bulkpull.errors import (
    AnswerLost,
    BulkpullError,
    NotConnected,
    ProxyRefused,
    SettingsError,
    TlsRefused,
    UnexpectedReply,
    UnsafeAddress,
)
from bulkpull.transport import http as http_module
from bulkpull.transport.http import TRANSFER_TIMEOUTS, AnswerOverdue, Http, Request, Timeouts
from bulkpull.transport.proxies import Proxies, Proxy
from bulkpull.transport.trust_store import certificates_read_late, trusted_certificates

SIGNED = "/container/Sales%20report_1.csv?sv=2018-03-28&sr=b&se=2026-11-30T02%3A00%3A00Z&sig=aB%2Bc%2fD%3d%3D&x=a+b~%7E"


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with Http(ca_file=None, events=EventRecorder().hub, clock=FakeClock(), user_agent="bulkpull/test") as ready:
        yield ready


def get(url: str, **more: object) -> Request:
    return replace(Request("GET", url, endpoint="blob"), **more)  # type: ignore[arg-type]  # any field may be given


async def read_all(http: Http, request: Request) -> tuple[int, bytes]:
    async with http.stream(request) as answer:
        return answer.status, b"".join([chunk async for chunk in answer.chunks()])


@pytest.mark.behaviour(123)
async def test_a_secure_link_goes_out_byte_for_byte(http: Http) -> None:
    async def answer(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("200 OK", b"data"))

    async with raw_server(answer) as server:
        assert await read_all(http, get(f"{server.origin}{SIGNED}")) == (200, b"data")

    assert server.requests[0].split(b"\r\n")[0] == f"GET {SIGNED} HTTP/1.1".encode()


async def test_one_answer_without_a_body_after_another_comes_to_its_end(http: Http) -> None:
    """Their reader is shared by the whole process, and the second one that asks it hears no clear word of the end."""

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n" if number < 2 else reply("200 OK"))

    async with raw_server(answer) as server:
        url = f"{server.origin}/report"
        reported = [(await http.send(Request("DELETE", url, endpoint="ScheduledReport"))).status for _ in range(3)]
        assert await read_all(http, get(url)) == (200, b"")

    assert reported == [204, 204, 200]


@pytest.mark.behaviour(120)
async def test_a_transfer_carries_no_credentials_and_asks_for_stored_bytes(http: Http) -> None:
    async def answer(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("206 Partial Content", b"x"))

    headers = {"Authorization": "Bearer abc", "Cookie": "a=b", "X-AadUserTicket": "abc", "Range": "bytes=5-"}
    async with raw_server(answer) as server:
        await read_all(http, get(f"{server.origin}/f", headers=headers))

    sent = server.requests[0].decode().lower()
    assert "authorization" not in sent
    assert "cookie" not in sent
    assert "aaduserticket" not in sent
    assert "range: bytes=5-\r\n" in sent
    assert "accept-encoding: identity\r\n" in sent
    assert "user-agent: bulkpull/test\r\n" in sent


@pytest.mark.behaviour(127, 128, 129)
async def test_a_transfer_gives_the_stored_bytes_whatever_their_encoding(http: Http) -> None:
    stored = gzip.compress(b"SubscriptionId\r\n" * 1_000)

    async def answer(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("200 OK", stored, Content_Encoding="gzip"))

    async with raw_server(answer) as server:
        assert await read_all(http, get(f"{server.origin}/f")) == (200, stored)


async def test_a_reply_of_the_api_is_decompressed(http: Http) -> None:
    async def answer(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("200 OK", gzip.compress(b'{"value": []}'), Content_Encoding="gzip"))

    async with raw_server(answer) as server:
        assert (await http.send(get(f"{server.origin}/"))).body == b'{"value": []}'


@pytest.mark.fault(60)
@pytest.mark.parametrize("part", [b"", b"1234567"])
async def test_fewer_bytes_than_announced_are_an_error(http: Http, part: bytes) -> None:
    async def answer(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("200 OK", part, Content_Length="1000"))

    async with raw_server(answer) as server:
        with pytest.raises(AnswerLost):
            await read_all(http, get(f"{server.origin}/"))
        with pytest.raises(AnswerLost):
            await http.send(get(f"{server.origin}/"))


async def test_an_error_of_the_reader_is_not_taken_for_one_of_the_network(http: Http) -> None:
    """A full disk while the bytes are written down stays a full disk."""

    async def answer(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("200 OK", b"data"))

    full = OSError(28, "No space left on device")
    async with raw_server(answer) as server:
        with pytest.raises(OSError, match="No space left") as caught:
            async with http.stream(get(f"{server.origin}/")):
                raise full

    assert caught.value is full


@pytest.mark.behaviour(124)
async def test_the_beginning_of_an_error_body_can_be_read(http: Http) -> None:
    async def answer(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("403 Forbidden", b"<Error>" + b"x" * 100_000, Content_Length="999999"))

    async with raw_server(answer) as server, http.stream(get(f"{server.origin}/")) as answered:
        assert answered.status == 403
        assert len(await answered.read_error_body(limit=500)) == 500


@pytest.mark.behaviour(45)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
async def test_nothing_is_sent_twice_here(http: Http, method: str) -> None:
    """The library repeats a GET on a kept connection by itself; only the retry layer may."""
    heads: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        if len(heads) == 1:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            heads.append(await reader.readuntil(b"\r\n\r\n"))  # on the kept connection, which then ends
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        await http.send(get(url))
        with pytest.raises(AnswerLost):
            await http.send(Request(method, url, endpoint="x"))

    assert len(heads) == http.counts.total == 2


@pytest.mark.behaviour(32)
async def test_a_call_of_the_api_is_not_redirected_to_another_origin(http: Http) -> None:
    async def elsewhere(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("200 OK", b"{}"))

    async with raw_server(elsewhere) as other:

        async def answer(_: int, writer: asyncio.StreamWriter) -> None:
            writer.write(reply("302 Found", Location=f"{other.origin}/"))

        async with raw_server(answer) as server:
            with pytest.raises(UnsafeAddress, match="must not receive the token"):
                await http.send(get(f"{server.origin}/", headers={"Authorization": "Bearer abc"}))

        assert other.requests == []


async def test_a_redirect_within_the_origin_is_followed(http: Http) -> None:
    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("200 OK", b"{}") if number else reply("307 Temporary Redirect", Location="/v2/x?y=%2B"))

    async with raw_server(answer) as server:
        assert (await http.send(get(f"{server.origin}/v1/x"))).status == 200

    assert server.requests[1].startswith(b"GET /v2/x?y=%2B HTTP/1.1")


async def test_a_creation_is_not_turned_into_another_call_by_a_redirect(http: Http) -> None:
    async def answer(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("302 Found", Location="/elsewhere"))

    async with raw_server(answer) as server:
        request = Request("POST", f"{server.origin}/", endpoint="x", json={}, creates=True)
        assert (await http.send(request)).status == 302

    assert len(server.requests) == 1


@pytest.mark.fault(68)
async def test_redirects_end(http: Http) -> None:
    async def answer(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("302 Found", Location="/round"))

    async with raw_server(answer) as server:
        with pytest.raises(UnsafeAddress, match="too many redirects"):
            await http.send(get(f"{server.origin}/round"))
        with pytest.raises(UnsafeAddress, match="too many redirects"):
            await read_all(http, get(f"{server.origin}/round"))

    assert len(server.requests) == 12


@pytest.mark.fault(68)
async def test_a_transfer_follows_a_redirect_to_another_host_but_not_to_plain_http(http: Http) -> None:
    async def elsewhere(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("200 OK", b"data"))

    async with raw_server(elsewhere) as other:

        async def answer(number: int, writer: asyncio.StreamWriter) -> None:
            location = "http://storage.example/f" if number else f"{other.origin}/f?sig=a%2Bb"
            writer.write(reply("302 Found", Location=location))

        async with raw_server(answer) as server:
            assert await read_all(http, get(f"{server.origin}/f")) == (200, b"data")
            with pytest.raises(UnsafeAddress, match="plain http"):
                await read_all(http, get(f"{server.origin}/f"))

    assert other.requests[0].startswith(b"GET /f?sig=a%2Bb ")


@pytest.mark.fault(68)
async def test_a_redirect_from_outside_does_not_lead_to_this_machine(http: Http) -> None:
    with Answers() as answers:
        answers.get(f"{API}/f", status=302, headers={"Location": "http://127.0.0.1:9/f"})
        with pytest.raises(UnsafeAddress, match="leads to this machine"):
            await read_all(http, get(f"{API}/f"))


@pytest.mark.parametrize("url", ["http://example.com/x", "ftp://example.com/", "https://a:b@example.com/"])
async def test_an_unsafe_address_is_not_even_tried(http: Http, url: str) -> None:
    with pytest.raises(UnsafeAddress):
        await http.send(get(url))
    with pytest.raises(UnsafeAddress):
        await read_all(http, get(url))

    assert http.counts.total == 0


async def test_a_host_that_is_not_there_was_sent_nothing(http: Http) -> None:
    async def answer(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("200 OK"))

    async with raw_server(answer) as server:
        closed = server.origin
    with pytest.raises(NotConnected) as caught:
        await http.send(get(f"{closed}/f?sig=verysecret"))

    assert "verysecret" not in repr(caught.value)
    assert caught.value.__context__ is None
    assert http.counts.total == 0


@pytest.mark.fault(62)
async def test_silence_ends_a_transfer_as_a_lost_answer(http: Http) -> None:
    async def answer(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("200 OK", b"part", Content_Length="1000"))
        await writer.drain()
        await released.wait()

    released = anyio.Event()
    async with raw_server(answer) as server:
        with pytest.raises(AnswerOverdue):
            await read_all(http, get(f"{server.origin}/", timeouts=Timeouts(read_s=0.05, total_s=None)))
        released.set()


def test_a_transfer_has_no_total_time_limit() -> None:
    """Otherwise aiohttp would end each download after 300 s."""
    assert TRANSFER_TIMEOUTS.total_s is None


@pytest.mark.fault(72)
async def test_a_certificate_that_nobody_vouches_for_is_refused_with_a_way_out(http: Http) -> None:
    async def answer(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("200 OK", b"{}"))

    async with raw_server(answer, ssl=server_context()) as server:
        with pytest.raises(TlsRefused, match=r"ca_file.*proxy"):
            await http.send(get(f"{server.origin}/"))
        async with Http(ca_file=CERTIFICATE, events=EventRecorder().hub, clock=FakeClock(), user_agent="x") as trusting:
            assert (await trusting.send(get(f"{server.origin}/"))).status == 200


@pytest.mark.case("C24")
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1 is deprecated:DeprecationWarning")
async def test_a_server_that_offers_old_tls_only_is_told_as_such(http: Http) -> None:
    """It is not asked again: `TlsRefused` never is."""
    context = server_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1

    # Not asyncio's server: it resets the connection before its alert is out.
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def shake_hands() -> None:
            held, _ = listener.accept()
            with held, pytest.raises(ssl.SSLError):
                context.wrap_socket(held, server_side=True)

        server = asyncio.create_task(asyncio.to_thread(shake_hands))
        with pytest.raises(TlsRefused, match=r"only TLS 1\.0 or 1\.1.*enable TLS 1\.2"):
            await http.send(get(f"https://127.0.0.1:{listener.getsockname()[1]}/"))
        await server


@pytest.mark.case("C39")
def test_connections_are_as_strict_as_the_library_makes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    usual, ours = ssl.create_default_context(), trusted_certificates(None)

    for name in (
        "verify_mode", "check_hostname", "options", "minimum_version", "maximum_version",
        "keylog_filename",
    ):  # fmt: skip
        assert getattr(ours, name) == getattr(usual, name), name
    # But for one flag: private authorities often lack an authority key identifier (case C39).
    assert ours.verify_flags == usual.verify_flags & ~ssl.VERIFY_X509_STRICT
    assert len(ours.get_ca_certs()) == len(usual.get_ca_certs())


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_an_unusable_ca_file_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "bundle.pem"
    if content is not None:
        file.write_text(content)

    with pytest.raises(SettingsError, match=r"`ca_file` .*bundle\.pem"):
        async with Http(ca_file=file, events=EventRecorder().hub, clock=FakeClock(), user_agent="x"):
            pass


async def test_an_answer_of_any_length_is_not_kept_in_memory(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "MAX_BODY_BYTES", 1_000)

    async def answer(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("200 OK", gzip.compress(b"0" * 1_000_000), Content_Encoding="gzip"))

    async with raw_server(answer) as server:
        with pytest.raises(UnexpectedReply, match="longer than 1,000 bytes"):
            await http.send(get(f"{server.origin}/"))


async def test_every_answered_call_is_counted_by_its_endpoint() -> None:
    recorded = EventRecorder()
    async with Http(ca_file=None, events=recorded.hub, clock=FakeClock(), user_agent="x") as http:
        with Answers() as answers:
            answers.get(API, status=429)
            answers.get(API, status=200)
            answers.post(API, status=200)
            request = Request("GET", API, endpoint="execution", headers={"MS-RequestId": "id-1"})
            await http.send(request)
            await http.send(request)
            await http.send(Request("POST", API, endpoint="token"))

    assert http.counts.as_dict() == {
        "total": 3,
        "by_endpoint": {"execution": 2, "token": 1},
        "throttled": 1,
        "retried": 0,
    }
    sent = {"endpoint": "execution", "status": 429, "elapsed_s": 0.0, "request_id": "id-1"}
    assert recorded.of("call.sent")[0] == sent | {"skew_s": None}


async def test_every_answer_tells_how_far_its_clock_is_ahead_of_ours() -> None:
    recorded, clock = EventRecorder(), FakeClock()
    async with Http(ca_file=None, events=recorded.hub, clock=clock, user_agent="x") as http:
        with Answers() as answers:
            answers.get(API, headers={"Date": format_datetime(clock.now() + timedelta(hours=2), usegmt=True)})
            await http.send(Request("GET", API, endpoint="execution"))

    assert [sent["skew_s"] for sent in recorded.of("call.sent")] == [7_200]


async def test_cancellation_leaves_nothing_in_flight(http: Http) -> None:
    async def answer(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("200 OK", b"part", Content_Length="1000"))
        await writer.drain()
        arrived.set()
        await released.wait()

    arrived, released = anyio.Event(), anyio.Event()
    async with raw_server(answer) as server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read_all, http, get(f"{server.origin}/"))
            await arrived.wait()
            assert http.in_flight == 1
            tasks.cancel_scope.cancel()
        released.set()

    assert http.in_flight == 0


def test_no_repr_of_a_call_shows_its_secrets() -> None:
    request = Request(
        "POST",
        "https://a.example/f?code=verysecret",
        endpoint="token",
        headers={"Authorization": "Bearer verysecret"},
        form={"assertion": "verysecret"},
        json={"x": "verysecret"},
    )

    assert "verysecret" not in repr(request)
    assert "verysecret" not in request.label


def test_loopback_and_excepted_hosts_go_past_the_proxy() -> None:
    proxies = Proxies({"https": "http://proxy.example:3128", "http": "http://p.example:1", "no": "internal.example"})

    assert proxies.proxy_for("https://api.example/x") == Proxy("http://proxy.example:3128")
    assert proxies.proxy_for("https://internal.example/x") is None
    assert proxies.proxy_for("http://127.0.0.1:8080/x") is None


async def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("407 Proxy Authentication Required"))

    async with raw_server(answer) as proxy:
        monkeypatch.setenv("https_proxy", proxy.origin.replace("http://", "http://name:word@"))
        async with Http(ca_file=None, events=EventRecorder().hub, clock=FakeClock(), user_agent="x") as http:
            with pytest.raises(ProxyRefused, match=r"refuses the credentials; correct .*HTTPS_PROXY"):
                await http.send(get("https://api.example/x"))

    assert proxy.requests[0].startswith(b"CONNECT api.example:443 ")
    assert b"Proxy-Authorization: Basic bmFtZTp3b3Jk\r\n" in proxy.requests[0]


async def test_errors_are_ours(http: Http) -> None:
    """Garbage in place of HTTP counts as a lost answer, without a word of the library's."""

    async def answer(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")

    async with raw_server(answer) as server:
        with pytest.raises(BulkpullError) as caught:
            await http.send(get(f"{server.origin}/?sig=verysecret"))

    assert isinstance(caught.value, AnswerLost)
    assert caught.value.__context__ is None
    assert "verysecret" not in str(caught.value)


def test_a_context_that_was_made_without_certificates_verifies_as_any_other() -> None:
    """Importing aiohttp makes two contexts that we never use; a program that embeds us may."""
    usual = ssl.create_default_context()
    with certificates_read_late():
        late, ours = ssl.create_default_context(), trusted_certificates(None)
    before = late.cert_store_stats()["x509"]

    late.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="api.example")

    assert before == 0
    assert type(late) is ssl.SSLContext
    assert late.cert_store_stats() == ours.cert_store_stats() == usual.cert_store_stats()
    assert (late.verify_mode, late.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert "set_default_verify_paths" not in vars(ssl.SSLContext)
