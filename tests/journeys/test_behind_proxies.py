"""The real command where the service can only be reached through a proxy: it works, or ends in one sentence."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from certificates import loopback_authority
from trials.programs import Ending, finish, start

from bulkpull.simulator import Scenario, Simulator

pytestmark = pytest.mark.child_processes

THOROUGH = os.environ.get("TRIALS") == "all"
API, STORAGE = "api.contoso.example", "storage.contoso.example"
SCENARIO = Scenario(rows=2_000, datasets=("OfficeUsage",))
USER, PASSWORD = "anna", "geheim-wört"
ENCODED = "geheim-w%C3%B6rt"


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, ssl.SSLError):
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def connect_both(
    one: tuple[asyncio.StreamReader, asyncio.StreamWriter], other: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:
    try:
        done = {asyncio.ensure_future(pass_on(one[0], other[1])), asyncio.ensure_future(pass_on(other[0], one[1]))}
        await asyncio.wait(done, return_when=asyncio.FIRST_COMPLETED)
        for direction in done:
            direction.cancel()
        await asyncio.gather(*done, return_exceptions=True)
    finally:
        one[1].close()
        other[1].close()


@asynccontextmanager
async def tls_front(port: int) -> AsyncIterator[int]:
    """The TLS that the service has in the world, in front of the simulator's plain port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await connect_both((reader, writer), await asyncio.open_connection("127.0.0.1", port))

    async with await asyncio.start_server(handle, "127.0.0.1", 0, ssl=loopback_authority()[0]) as listener:
        yield listener.sockets[0].getsockname()[1]


@dataclass
class ConnectProxy:
    """A proxy that knows CONNECT, and alone the way to the service's hosts."""

    ports: dict[str, int] = field(default_factory=dict)
    refusal: bytes | None = None
    asks_password: bool = False
    asked: list[str] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            method, target, _ = head.partition("\r\n")[0].split(" ")
            self.asked.append(f"{method} {target}")
            expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            refusal = self.refusal
            if self.asks_password and f"Proxy-Authorization: Basic {expected}\r\n" not in head:
                refusal = b"407 Proxy Authentication Required"
            if refusal is not None:
                writer.write(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % refusal)
                await writer.drain()
                writer.close()
                return
            onward = await asyncio.open_connection("127.0.0.1", self.ports[target.partition(":")[0]])
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await connect_both((reader, writer), onward)


@dataclass(frozen=True)
class Outcome:
    ending: Ending
    simulator: Simulator
    proxy: ConnectProxy


async def export_behind(
    proxy: ConnectProxy, tmp_path: Path, *, scheme: str = "http", credentials: str = "", **settings: Any
) -> Outcome:
    context, authority = loopback_authority()
    (tmp_path / "authority.pem").write_bytes(authority)
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(Simulator(SCENARIO))
        plain = {API: simulator.api_base_url, STORAGE: simulator.blob_url}
        proxy.ports = {
            host: await stack.enter_async_context(tls_front(urlsplit(url).port or 0)) for host, url in plain.items()
        }
        simulator.blob_url = f"https://{STORAGE}"
        tls = context if scheme == "https" else None
        listener = await stack.enter_async_context(await asyncio.start_server(proxy.handle, "127.0.0.1", 0, ssl=tls))
        parts = urlsplit(simulator.api_base_url)
        origin = f"{parts.scheme}://{parts.netloc}"
        addresses: dict[str, Any] = {
            name: value.replace(origin, f"https://{API}") for name, value in simulator.environment.items()
        }
        process = await start(
            simulator,
            tmp_path / "out",
            "OfficeUsage",
            **addresses,
            BULKPULL_CA_FILE=str(tmp_path / "authority.pem"),
            HTTPS_PROXY=f"{scheme}://{credentials}127.0.0.1:{listener.sockets[0].getsockname()[1]}",
            NO_PROXY="",
            **settings,
        )
        return Outcome(await finish(process), simulator, proxy)


@pytest.mark.case("C37", "C38")
@pytest.mark.parametrize(
    ("scheme", "asks_password"),
    list(itertools.product(["http", "https"], [False, True])) if THOROUGH else [("http", True), ("https", False)],
)
async def test_an_export_behind_a_proxy_is_complete(scheme: str, *, asks_password: bool, tmp_path: Path) -> None:
    credentials = f"{USER}:{ENCODED}@" if asks_password else ""

    outcome = await export_behind(
        ConnectProxy(asks_password=asks_password), tmp_path, scheme=scheme, credentials=credentials
    )

    assert outcome.ending.code == 0, outcome.ending.err
    (record,) = outcome.ending.manifest["datasets"]
    assert (record["status"], record["rows"]) == ("complete", 2_000)
    assert {target.rpartition(":")[0] for target in outcome.proxy.asked} == {f"CONNECT {API}", f"CONNECT {STORAGE}"}
    assert PASSWORD not in outcome.ending.err
    assert ENCODED not in outcome.ending.err


@pytest.mark.case("C15", "C24", "C37")
@pytest.mark.parametrize(
    ("refusal", "credentials", "sentence"),
    [
        (b"407 Proxy Authentication Required", "anna:wrong@", "the proxy refuses the credentials"),
        (b"407 Proxy Authentication Required", "", "the proxy refuses the credentials"),
        (b"403 Forbidden", "", "the proxy refuses the connection"),
        (b"405 Method Not Allowed", "", "the proxy said 405"),
    ],
)
async def test_a_proxy_that_refuses_is_one_sentence_before_anything_is_created(
    refusal: bytes, credentials: str, sentence: str, tmp_path: Path
) -> None:
    proxy = ConnectProxy(refusal=refusal)

    outcome = await export_behind(proxy, tmp_path, credentials=credentials)

    assert outcome.ending.code in (3, 4)
    assert sentence in outcome.ending.err
    assert outcome.ending.err.count("error: ") == 1
    assert outcome.simulator.service.created_reports == {}
    assert len(proxy.asked) == 1  # a wrong password that is repeated locks accounts, and a rule stays the same
