"""A service of which one endpoint is hostile for ever, and a whole export against it, in virtual time."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from journeys.kit import ACCOUNT
from support import EventRecorder, reply
from virtual_loop import VirtualClock, real_time, run_virtually

from bulkpull.config.settings import Settings
from bulkpull.errors import BulkpullError
from bulkpull.insights import session
from bulkpull.output.manifest import Manifest
from bulkpull.pipeline.request import ExportRequest
from bulkpull.pipeline.run import Run
from bulkpull.pipeline.steps import fetch_execution as fetch_module
from bulkpull.pipeline.steps.convert import convert_report
from bulkpull.simulator import ColumnDrift, Scenario, Simulator

DATASETS = ("AzureUsage", "OfficeUsage")
SETTINGS: dict[str, Any] = {"report_timeout_seconds": 1_800, "report_attempts": 2}
_TRICKLE_S = 2.0
_ENDPOINTS = (
    ("token", re.compile(rb"POST /[^ ]*/oauth2/token ")),
    ("datasets", re.compile(rb"GET /[^ ]*/ScheduledDataset", re.IGNORECASE)),
    ("list queries", re.compile(rb"GET /[^ ]*/ScheduledQueries", re.IGNORECASE)),
    ("create query", re.compile(rb"POST /[^ ]*/ScheduledQueries", re.IGNORECASE)),
    ("delete query", re.compile(rb"DELETE /[^ ]*/ScheduledQueries", re.IGNORECASE)),
    ("executions", re.compile(rb"GET /[^ ]*/ScheduledReport/execution/", re.IGNORECASE)),
    ("list reports", re.compile(rb"GET /[^ ]*/ScheduledReport", re.IGNORECASE)),
    ("create report", re.compile(rb"POST /[^ ]*/ScheduledReport", re.IGNORECASE)),
    ("delete report", re.compile(rb"DELETE /[^ ]*/ScheduledReport", re.IGNORECASE)),
)
ENDPOINTS = (*(name for name, _ in _ENDPOINTS), "file")

Answer = Callable[[int, asyncio.StreamWriter], Awaitable[None]]
"""Gets the number of the request to this endpoint, from 0, and answers it; the connection is closed after that."""


async def write_for_ever(writer: asyncio.StreamWriter, piece: bytes) -> None:
    """The same piece every two seconds, until the other side hangs up."""
    with suppress(ConnectionError):
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(_TRICKLE_S)


def trickle(head: bytes, piece: bytes) -> Answer:
    """An answer that begins and never ends."""

    async def answer(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        await write_for_ever(writer, piece)

    return answer


def always(status: str, body: bytes = b"", **headers: str) -> Answer:
    """The same whole answer for ever."""

    async def answer(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(status, body, **headers))

    return answer


async def next_page_for_ever(number: int, writer: asyncio.StreamWriter) -> None:
    """Empty pages, each with another link to a next one."""
    link = f"?page={number}"
    body = b'{"value": [], "nextLink": "%b", "totalCount": 0, "message": null, "statusCode": 200}' % link.encode()
    writer.write(reply("200 OK", body, Content_Type="application/json"))


async def new_item_for_ever(number: int, writer: asyncio.StreamWriter) -> None:
    """Pages of one object each, all of them new."""
    body = (
        b'{"value": [{"name": "n%d", "queryId": "q%d", "reportId": "r%d", "datasetName": "D%d"}], '
        b'"nextLink": "?page=%d", "totalCount": 1, "message": null, "statusCode": 200}' % ((number,) * 5)
    )
    writer.write(reply("200 OK", body, Content_Type="application/json"))


async def redirect_for_ever(number: int, writer: asyncio.StreamWriter) -> None:
    writer.write(reply("307 Temporary Redirect", Location=f"/again/{number}"))


async def hang_up(_: int, writer: asyncio.StreamWriter) -> None:
    """No byte of an answer."""


async def reset_in_the_body(_: int, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")


ANSWERS: dict[str, Answer] = {
    "silence": trickle(b"", b""),
    "one byte of the head at a time": trickle(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
    "one header at a time": trickle(b"HTTP/1.1 200 OK\r\n", b"X-Another: 1\r\n"),
    "interim answers": trickle(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    "one byte of the body at a time": trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b" "),
    "one chunk at a time": trickle(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "one byte of a refusal at a time": trickle(b"HTTP/1.1 503 Busy\r\nContent-Length: 1000000\r\n\r\n", b" "),
    "hang up": hang_up,
    "reset in the body": reset_in_the_body,
    "503": always("503 Service Unavailable"),
    "503 with a date": always("503 Busy", Retry_After="Mon, 23 Nov 2026 02:10:00 GMT"),
    "429": always("429 Too Many Requests"),
    "429 at once": always("429 Too Many Requests", Retry_After="0"),
    "429 of an hour": always("429 Too Many Requests", Retry_After="3599"),
    "429 of a century": always("429 Too Many Requests", Retry_After="3000000000"),
    "429 in words": always("429 Too Many Requests", Retry_After="soon"),
    "202": always("202 Accepted"),
    "204": always("204 No Content"),
    "nothing in a 200": always("200 OK"),
    "an empty object": always("200 OK", b"{}", Content_Type="application/json"),
    "a null list": always("200 OK", b'{"value": null, "statusCode": 200}', Content_Type="application/json"),
    "HTML": always("200 OK", b"<html>hello</html>", Content_Type="text/html"),
    "an error in a 200": always("200 OK", b'{"value": [], "statusCode": 500, "message": "no"}'),
    "400": always("400 Bad Request", b'{"statusCode": 400, "message": "no"}'),
    "401": always("401 Unauthorized"),
    "403": always("403 Forbidden", b'{"statusCode": 403, "message": "no"}'),
    "404": always("404 Not Found", b'{"statusCode": 404, "message": "no"}'),
    "418": always("418 I'm a teapot"),
    "500 in HTML": always("500 Internal Server Error", b"<html>oops</html>", Content_Type="text/html"),
    "redirects": redirect_for_ever,
    "empty pages": next_page_for_ever,
    "new items": new_item_for_ever,
}


@dataclass
class Front:
    """Stands before the simulator: hostile at one endpoint, and handing everything else on."""

    hostile: str
    answer: Answer
    upstream: tuple[str, int]
    serves_files: bool
    requests: Counter[str]
    origin: str = ""
    _numbers: Counter[str] = field(default_factory=Counter)
    _handlers: set[asyncio.Task[None]] = field(default_factory=set)

    async def close(self) -> None:
        """End the connections that are still served."""
        for handler in self._handlers:
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.current_task()
        assert handler is not None
        self._handlers.add(handler)
        handler.add_done_callback(self._handlers.discard)
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
                body = await reader.readexactly(int(length[1])) if length else b""
                endpoint = self._endpoint_of(head)
                self.requests[endpoint] += 1
                if endpoint == self.hostile:
                    await self.answer(self.requests[endpoint] - 1, writer)
                else:
                    await self._hand_on(head, body, writer)
            finally:
                writer.close()

    def _endpoint_of(self, head: bytes) -> str:
        if self.serves_files:
            return "file"
        found = next((name for name, pattern in _ENDPOINTS if pattern.match(head)), None)
        return found or self.hostile  # where a redirect or a next page of the hostile endpoint leads

    async def _hand_on(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        reader, onward = await asyncio.open_connection(*self.upstream)
        onward.write(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + body)
        with suppress(ConnectionError):
            while piece := await reader.read(1 << 16):
                writer.write(piece)
                await writer.drain()
        onward.close()


@asynccontextmanager
async def served(front: Front) -> AsyncIterator[Front]:
    """The front, listening on loopback."""
    listener = await asyncio.start_server(front.handle, "127.0.0.1", 0)
    front.origin = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with listener:
        yield front
        await front.close()


@dataclass
class Outcome:
    """What became of a run: its manifest, or the error that ended it."""

    manifest: Manifest | None
    error: BulkpullError | None
    elapsed_s: float
    requests: Counter[str]
    recorded: EventRecorder

    @property
    def exit_code(self) -> int:
        return self.manifest.exit_code if self.manifest else getattr(self.error, "exit_code", -1)

    @property
    def reasons(self) -> list[str]:
        """What a person reads."""
        if self.manifest is None:
            return [str(self.error)]
        return [
            record.reason
            for record in self.manifest.datasets
            if record.reason and (record.status == "failed" or (record.error and record.status != "complete"))
        ]


def export_against(
    hostile: str,
    answer: Answer,
    output: Path,
    *,
    monkeypatch: pytest.MonkeyPatch,
    nightly: bool = False,
    datasets: tuple[str, ...] | None = DATASETS,
    longest_s: float = 7 * 86_400.0,
    **changes: Any,
) -> Outcome:
    """Export two datasets (all of them with `None`) from a service of which one endpoint answers so for ever."""

    async def convert_in_real_time(*arguments: Any, **options: Any) -> Any:
        with real_time():
            return await convert_report(*arguments, **options)

    async def start_none(*_: object, **__: object) -> None:
        """No spare child: the loop does not see when one ends."""

    monkeypatch.setattr(session, "MOST_PAGES", 50)
    monkeypatch.setattr(fetch_module, "convert_report", convert_in_real_time)
    monkeypatch.setattr("bulkpull.pipeline.steps.convert.warm_up", start_none)
    recorded, requests = EventRecorder(), Counter[str]()

    async def work() -> tuple[Manifest | None, BulkpullError | None, float]:
        clock = VirtualClock()
        async with Simulator(Scenario(datasets=datasets, rows=20), clock=clock) as simulator:
            api = Front(hostile, answer, _address(simulator.api_base_url), serves_files=False, requests=requests)
            files = Front(hostile, answer, _address(simulator.blob_url), serves_files=True, requests=requests)
            async with served(api), served(files):
                simulator.blob_url = files.origin
                environment = {
                    name: value.replace(_origin(simulator.api_base_url), api.origin)
                    for name, value in simulator.environment.items()
                }
                settings = Settings(**(SETTINGS | {"output": output} | changes)).for_simulator(environment)

                def new_run() -> Run:
                    request = ExportRequest((), nightly=nightly)
                    return Run(request, settings, recorded.hub, clock=clock, account=ACCOUNT, random=lambda: 0.5)

                if hostile == "delete query":  # whose columns are out of date: there is one after a run of yesterday
                    api.hostile = files.hostile = ""
                    await new_run().export()
                    for dataset in DATASETS:
                        simulator.service.drift(dataset, ColumnDrift(added=("NewColumn",)))
                    api.hostile = files.hostile = hostile
                    requests.clear()
                began_s = clock.monotonic()
                try:
                    return await new_run().export(), None, clock.monotonic() - began_s
                except BulkpullError as error:
                    return None, error, clock.monotonic() - began_s

    (manifest, error, elapsed_s), _ = run_virtually(work, longest_s=longest_s)
    return Outcome(manifest, error, elapsed_s, requests, recorded)


def _origin(url: str) -> str:
    return "/".join(url.split("/")[:3])


def _address(url: str) -> tuple[str, int]:
    host, _, port = url.split("/")[2].partition(":")
    return host, int(port)
