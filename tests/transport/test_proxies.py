"""Proxies are used as curl uses them, or refused at the start by the name of their variable."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest
from support import EventRecorder, FakeClock, raw_server, reply

from bulkpull.errors import BulkpullError, NotConnected, ProxyRefused, SettingsError
from bulkpull.redact import redact
from bulkpull.transport.http import Http, Request
from bulkpull.transport.proxies import Proxies, Proxy

API = "https://api.example/x"


@pytest.mark.case("C37")
@pytest.mark.parametrize(
    ("named", "url"),
    [
        ({"https": "proxy.example:3128"}, "http://proxy.example:3128"),
        ({"https": "proxy.example"}, "http://proxy.example:80"),
        ({"all": "http://proxy.example:3128"}, "http://proxy.example:3128"),
        ({"all": "http://other.example:1", "https": "https://proxy.example"}, "https://proxy.example:443"),
        ({"https": "http://[fd00::1]:3128/"}, "http://[fd00::1]:3128"),
        ({"https": "  http://proxy.example:3128 "}, "http://proxy.example:3128"),
    ],
)
def test_a_proxy_is_read_as_curl_reads_it(named: dict[str, str], url: str) -> None:
    proxy = Proxies(named).proxy_for(API)

    assert proxy == Proxy(url)
    assert proxy.is_tls == url.startswith("https")


@pytest.mark.case("C37")
@pytest.mark.parametrize(
    ("address", "user", "password"),
    [
        ("http://anna:geheim-wört@proxy.example:1", "anna", "geheim-wört"),
        ("http://anna:geheim-w%C3%B6rt@proxy.example:1", "anna", "geheim-wört"),
        ("anna:p%40ss%3Aword@proxy.example:1", "anna", "p@ss:word"),
    ],
)
async def test_any_password_goes_out_as_utf_8_and_is_told_to_nobody(address: str, user: str, password: str) -> None:
    async def refuse(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("407 Proxy Authentication Required"))

    async with raw_server(refuse) as server:
        port = server.origin.rpartition(":")[2]
        async with Http(ca_file=None, events=EventRecorder().hub, clock=FakeClock(), user_agent="x") as http:
            http._proxies = Proxies({"https": address.replace("proxy.example:1", f"127.0.0.1:{port}")})
            with pytest.raises(ProxyRefused):
                await http.send(Request("GET", API, endpoint="token"))

    expected = base64.b64encode(f"{user}:{password}".encode()).decode()
    assert f"Proxy-Authorization: Basic {expected}\r\n".encode() in server.requests[0]
    assert password not in redact(f"{address} {password} {expected}")
    assert expected not in redact(expected)


@pytest.mark.case("C15")
async def test_a_password_that_the_proxy_refused_is_not_sent_a_second_time() -> None:
    async def refuse(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("407 Proxy Authentication Required"))

    unready = Http(ca_file=None, events=EventRecorder().hub, clock=FakeClock(), user_agent="x")
    async with raw_server(refuse) as server, unready as http:
        http._proxies = Proxies({"https": server.origin})
        for _ in range(5):
            with pytest.raises(ProxyRefused, match="refuses the credentials"):
                await http.send(Request("GET", API, endpoint="token"))

    assert len(server.requests) == 1


@pytest.mark.case("C15", "C37")
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("400 Bad Request", ProxyRefused),
        ("403 Forbidden", ProxyRefused),
        ("405 Method Not Allowed", ProxyRefused),
        ("408 Request Timeout", NotConnected),
        ("429 Too Many Requests", NotConnected),
        ("502 Bad Gateway", NotConnected),
        ("503 Service Unavailable", NotConnected),
    ],
)
async def test_a_rule_of_the_proxy_is_final_and_its_passing_trouble_is_retried(
    status: str, kind: type[BulkpullError]
) -> None:
    async def refuse(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(status))

    unready = Http(ca_file=None, events=EventRecorder().hub, clock=FakeClock(), user_agent="x")
    async with raw_server(refuse) as server, unready as http:
        http._proxies = Proxies({"https": server.origin})
        for url in (API, "https://storage.example/x"):
            with pytest.raises(kind, match=f"the proxy said {status[:3]}"):
                await http.send(Request("GET", url, endpoint="token"))

    assert len(server.requests) == 2  # a rule for one host says nothing about another


@pytest.mark.case("C37")
@pytest.mark.parametrize(
    ("named", "word"),
    [
        ({"all": "socks5h://name:secretword@proxy.example:1080"}, "ALL_PROXY names a SOCKS proxy"),
        ({"https": "socks5://proxy.example:1080"}, "HTTPS_PROXY names a SOCKS proxy"),
        ({"https": "ftp://proxy.example"}, "HTTPS_PROXY names a proxy of the kind 'ftp'"),
        ({"https": "http://proxy.example:port"}, "HTTPS_PROXY is not a valid proxy address"),
        ({"https": "http://:3128"}, "HTTPS_PROXY names no host"),
        ({"https": "http://na%3Ame:secretword@proxy.example"}, "HTTPS_PROXY has a user name"),
        ({"https": "http://name:secret%0Aword@proxy.example"}, "HTTPS_PROXY has a user name or password"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused_at_the_start(named: dict[str, str], word: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Proxies(named)

    assert word in caught.value.reason
    assert "secret" not in caught.value.reason


@pytest.mark.case("C37")
@pytest.mark.parametrize(
    ("exceptions", "url", "excepted"),
    [
        ("api.example", API, True),
        (".example", API, True),
        ("*.example", API, True),
        ("example", API, True),
        ("ample", API, False),
        ("other.example, api.example", API, True),
        ("other.example api.example", API, True),
        ("API.Example", API, True),
        ("*", API, True),
        ("api.example:443", API, True),
        ("api.example:8443", API, False),
        ("api.example:8443", "https://api.example:8443/x", True),
        ("10.0.0.0/8", "https://10.1.2.3/x", True),
        ("10.0.0.0/8", "https://11.1.2.3/x", False),
        ("10.1.2.3", "https://10.1.2.3/x", True),
        ("fd00::/8", "https://[fd00::5]/x", True),
        ("[fd00::5]:443", "https://[fd00::5]/x", True),
        ("10.0.0.0/8", API, False),
        ("", API, False),
    ],
)
def test_no_proxy_names_hosts_domains_networks_and_ports(exceptions: str, url: str, excepted: bool) -> None:
    proxy = Proxies({"https": "http://proxy.example:3128", "no": exceptions}).proxy_for(url)

    assert (proxy is None) is excepted


@pytest.mark.case("C37")
async def test_the_environment_is_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")

    with pytest.raises(SettingsError, match="ALL_PROXY"):
        Http(ca_file=None, events=EventRecorder().hub, clock=FakeClock(), user_agent="x")
