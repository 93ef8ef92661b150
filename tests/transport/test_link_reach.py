"""A link leads no closer to this machine than the API that named it."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext

import pytest
from support import EventRecorder, FakeClock, raw_server, reply

from bulkpull.errors import UnsafeAddress
from bulkpull.transport.http import Http, Request
from bulkpull.url_safety import Reach, check_reach, reach_of

PUBLIC = "https://api.partnercenter.microsoft.com/insights/v1/mpn"


@pytest.mark.case("C27")
@pytest.mark.parametrize(
    ("host", "reach"),
    [
        *((host, Reach.LOOPBACK) for host in ("localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9")),
        *((host, Reach.LOOPBACK) for host in ("127.1", "0x7f000001", "2130706433", "::ffff:127.0.0.1", "::1", "::")),
        ("0.0.0.0", Reach.LOOPBACK),  # noqa: S104 - what some systems take for this machine
        *((host, Reach.PRIVATE) for host in ("10.0.0.1", "192.168.3.4", "172.16.0.9", "169.254.169.254", "fd00::1")),
        *((host, Reach.PRIVATE) for host in ("fe80::1", "100.64.0.1", "0xa9fea9fe", "::ffff:10.0.0.1")),
        *((host, Reach.PUBLIC) for host in ("account.blob.core.windows.net", "20.60.1.1", "2603:1030::1", "")),
    ],
)  # fmt: skip
def test_a_host_is_on_this_machine_in_a_private_network_or_outside(host: str, reach: Reach) -> None:
    assert reach_of(host) is reach


@pytest.mark.case("C27")
@pytest.mark.parametrize(
    ("url", "from_url", "allowed", "refused"),
    [
        ("http://127.0.0.1:9000/f", PUBLIC, (), True),
        ("https://169.254.169.254/f", PUBLIC, (), True),
        ("https://10.1.2.3/f", PUBLIC, (), True),
        ("https://10.1.2.3/f", PUBLIC, ("10.1.2.3",), False),
        ("https://10.1.2.3/f", "https://10.9.9.9/insights", (), False),
        ("http://127.0.0.1/f", "https://10.9.9.9/insights", (), True),
        ("http://127.0.0.1/f", "http://localhost:8080/insights", (), False),
        ("https://account.blob.core.windows.net/f", PUBLIC, (), False),
    ],
)
def test_only_what_is_as_close_as_the_api_is_fetched(
    url: str, from_url: str, allowed: tuple[str, ...], refused: bool
) -> None:
    expected = pytest.raises(UnsafeAddress, match="storage_hosts") if refused else nullcontext()
    with expected:
        check_reach(url, from_url=from_url, allowed=allowed, what="the secure link")


@pytest.mark.case("C27")
async def test_a_link_to_this_machine_is_not_even_asked() -> None:
    async def answer(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("200 OK", b"data"))

    async with raw_server(answer) as server:
        request = Request("GET", f"{server.origin}/f?sig=verysecret", endpoint="blob")
        for api, allowed in ((PUBLIC, ()), (PUBLIC, ("127.0.0.1",)), (server.origin, ())):
            http = Http(
                ca_file=None,
                events=EventRecorder().hub,
                clock=FakeClock(),
                user_agent="x",
                api_base_url=api,
                near_hosts=allowed,
            )
            async with http:
                if api == PUBLIC and not allowed:
                    with pytest.raises(UnsafeAddress, match="leads to this machine"):
                        async with http.stream(request):
                            pass
                else:
                    async with http.stream(request) as got:
                        assert got.status == 200

    assert len(server.requests) == 2
