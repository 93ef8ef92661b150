"""
The simulated service as a process of its own, begun afresh for every contender, with files that are made once.

    python -m benchmarks.service '{"rows": …}'      # the parameters of a `Scenario`

Reads commands from standard input, one a line, and answers each with one JSON object:

    begin [JSON]     a service without any object, of these parameters besides; its environment
    count            calls and bytes of bodies since then, and the objects that are there
    fault JSON       arm a fault
    later HOURS      let so much time pass on the service
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from aiohttp import web

from bulkpull.simulator import Fault, Scenario, Simulator

_THROTTLED = 429


class MovedClock:
    """The machine's own time, moved ahead."""

    ahead = timedelta()

    def now(self) -> datetime:
        """The moment on the service."""
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment."""
        return time.monotonic() + self.ahead.total_seconds()

    async def sleep(self, wait_s: float, /) -> None:
        """Wait, as long as anybody would."""
        await anyio.sleep(max(0.0, wait_s))


class CountedSimulator(Simulator):
    """One that counts the bytes of the bodies that it sends, and keeps the files of those before it."""

    wire_bytes = 0

    def keep_files_of(self, other: CountedSimulator) -> None:
        """Stored files are the same for the same content, so they need not be made again."""
        self._store._files.update(other._store._files)  # noqa: SLF001 - making gigabytes anew would be most of a benchmark

    async def _listen(self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]], *, port: int) -> str:
        async def counted(request: web.Request) -> web.StreamResponse:
            response = await handler(request)
            # Sent beneath the library, so that only the announced length tells.
            body = response.body if isinstance(response, web.Response) else None
            self.wire_bytes += int(
                response.headers.get("Content-Length") or len(body if isinstance(body, bytes) else b"")
            )
            return response

        return await super()._listen(counted, port=port)

    def count(self) -> dict[str, Any]:
        """What happened so far."""
        by_endpoint = Counter(call.endpoint or "unknown" for call in self.calls)
        statuses = [call.status for call in self.calls if call.endpoint != "blob"]
        first = statuses.index(_THROTTLED) + 1 if _THROTTLED in statuses else len(statuses)
        return {
            "requests": sum(count for name, count in by_endpoint.items() if name not in ("blob", "token")),
            "by_endpoint": dict(by_endpoint),
            "throttled": statuses.count(_THROTTLED),
            "throttled after the first": statuses[first:].count(_THROTTLED),
            "wire_bytes": self.wire_bytes,
            "created": sum(call.method == "POST" and call.endpoint != "token" for call in self.calls),
            "queries": sum(not query.is_system for query in self.service.queries.values()),
            "reports": len(self.service.report_store.stored),
            "report_ids": {item.dataset: item.report_id for item in self.service.report_store.stored.values()},
        }


async def _serve(parameters: dict[str, Any], workdir: Path) -> None:
    plain = Scenario(**parameters)
    before: CountedSimulator | None = None
    line = await anyio.to_thread.run_sync(sys.stdin.readline)
    while line:
        more = json.loads(line.partition(" ")[2] or "{}")
        clock = MovedClock()
        async with CountedSimulator(replace(plain, **more), clock=clock, workdir=workdir) as simulator:
            if before is not None:
                simulator.keep_files_of(before)
            latencies = {name: simulator.scenario.report_latency_s(name) for name in simulator.service.tables}
            _answer({"environment": simulator.environment, "latency_s": latencies})
            while True:
                line = await anyio.to_thread.run_sync(sys.stdin.readline)
                command, _, rest = line.strip().partition(" ")
                if command == "count":
                    _answer(simulator.count())
                elif command == "later":
                    clock.ahead += timedelta(hours=float(rest))
                    _answer({})
                elif command == "fault":
                    simulator.arm(Fault(**json.loads(rest)))
                    _answer({})
                else:
                    break
            before = simulator


def _answer(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


class Service:
    """The other end: a service process that is running."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def begin(self, **parameters: Any) -> dict[str, Any]:
        """An empty service: the `environment` that points a client at it, and the `latency_s` of each dataset."""
        return self._ask(f"begin {json.dumps(parameters)}")

    def count(self) -> dict[str, Any]:
        """What happened since it began."""
        return self._ask("count")

    def later(self, hours: float) -> None:
        """Let so much time pass on the service, in an instant."""
        self._ask(f"later {hours}")

    def fault(self, **fault: Any) -> None:
        """Arm a fault, by its fields."""
        self._ask(f"fault {json.dumps(fault)}")

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@contextmanager
def served(**parameters: Any) -> Iterator[Service]:
    """A service process with these parameters of its `Scenario`."""
    words = [sys.executable, "-m", "benchmarks.service", json.dumps(parameters)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Service(process)
    finally:
        process.kill()
        process.wait()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.stdout.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        anyio.run(_serve, json.loads(sys.argv[1]), Path(folder))
