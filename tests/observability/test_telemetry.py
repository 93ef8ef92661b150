"""OpenTelemetry: a span per run, pull, step and call, and counts; nothing at all unless it is asked for."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from accounts import event
from journeys.kit import export
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support import EventRecorder

from bulkpull.event_types import CallSent, Event
from bulkpull.extras import install_command
from bulkpull.observability.telemetry import is_asked_for
from bulkpull.observability.telemetry.providers import Providers
from bulkpull.observability.telemetry.spans import Telemetry
from bulkpull.redact import register_secret
from bulkpull.simulator import Fault, Scenario, Simulator

START = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
TRACE = "0af7651916cd43dd8448eb211c80319c"
CANARY = "canary-telemetry-3f11"


class Receiver:
    """Where spans and counts end up in a test."""

    def __init__(self) -> None:
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        traces = TracerProvider(shutdown_on_exit=False)
        traces.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.providers = Providers(traces, MeterProvider([self.reader], shutdown_on_exit=False), are_ours=False)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()

    def named(self, name: str) -> ReadableSpan:
        (span,) = [span for span in self.spans if span.name == name]
        return span

    def above(self, span: ReadableSpan) -> str | None:
        return next((item.name for item in self.spans if span.parent and item.context == span.parent), None)

    def counted(self, name: str) -> dict[tuple[Any, ...], Any]:
        data: Any = self.reader.get_metrics_data()
        metrics = [metric for part in data.resource_metrics for scope in part.scope_metrics for metric in scope.metrics]
        points = [point for metric in metrics if metric.name == name for point in metric.data.data_points]
        return {
            tuple(value for _, value in sorted(point.attributes.items())): getattr(point, "value", None)
            or getattr(point, "sum", None)
            for point in points
        }


def listen(*reported: tuple[float, Event], parent: str | None = None) -> Receiver:
    receiver = Receiver()
    telemetry = Telemetry(receiver.providers, parent=parent)
    for at_s, item in reported:
        telemetry.note(item, at=START + timedelta(seconds=at_s))
    return receiver


CALL = CallSent(dataset="AzureUsage", endpoint="blob", status=206, elapsed_s=0.5, request_id=None, skew_s=None)
WHOLE = (
    (0.0, event("run.started", run_id="r-1")),
    (1.0, event("pull.stepped", "AzureUsage", step="submit")),
    (3.0, event("pull.stepped", "AzureUsage", step="download")),
    (4.0, CALL),
    (5.0, event("download.completed", "AzureUsage", size_bytes=900)),
    (6.0, event("pull.finished", "AzureUsage", status="complete", rows=7)),
    (8.0, event("run.finished", status="complete")),
)


def test_calls_are_within_steps_within_pulls_within_the_run() -> None:
    reported = listen(*WHOLE)

    assert [span.name for span in reported.spans] == ["submit", "blob", "download", "pull", "run"]
    assert [reported.above(span) for span in reported.spans] == ["pull", "download", "pull", "run", None]
    assert len({span.context.trace_id for span in reported.spans if span.context}) == 1
    assert reported.named("pull").attributes == {
        "bulkpull.dataset": "AzureUsage",
        "bulkpull.status": "complete",
        "bulkpull.rows": 7,
    }


def test_every_span_has_the_time_of_its_events() -> None:
    reported = listen(*WHOLE)

    def of(name: str) -> tuple[float, float]:
        span, start = reported.named(name), START.timestamp()
        assert span.start_time is not None
        assert span.end_time is not None
        return span.start_time / 1e9 - start, span.end_time / 1e9 - start

    assert of("run") == pytest.approx((0, 8))
    assert of("pull") == pytest.approx((1, 6))
    assert of("download") == pytest.approx((3, 6))
    assert of("blob") == pytest.approx((3.5, 4))


def test_counts_tell_rows_bytes_steps_calls_and_ends() -> None:
    reported = listen(*WHOLE, (9.0, event("call.retried", endpoint="token", reason="x")))

    assert reported.counted("bulkpull.rows") == {("AzureUsage",): 7}
    assert reported.counted("bulkpull.downloaded") == {("AzureUsage",): 900}
    assert reported.counted("bulkpull.pulls") == {("AzureUsage", "complete"): 1}
    assert reported.counted("bulkpull.step.duration") == {("AzureUsage", "submit"): 2, ("AzureUsage", "download"): 3}
    assert reported.counted("bulkpull.call.duration") == {("blob", 206): 0.5}
    assert reported.counted("bulkpull.call.retries") == {("token",): 1}


def test_a_lost_pull_and_a_fault_of_the_service_are_errors_and_secrets_stay_out() -> None:
    register_secret(CANARY)
    reported = listen(
        (0, event("run.started", run_id="r-1")),
        (1, event("pull.stepped", "AzureUsage", step="poll")),
        (2, CallSent(endpoint="execution", status=503, elapsed_s=0.1, request_id=None, skew_s=None)),
        (3, event("call.retried", "AzureUsage", endpoint="x", reason=f"asked https://x/?sig={CANARY}")),
        (4, event("pull.finished", "AzureUsage", status="failed", reason=f"no {CANARY}")),
        (5, event("run.finished", status="failed")),
    )

    assert {span.name: span.status.is_ok for span in reported.spans} == {
        "execution": False, "poll": False, "pull": False, "run": False
    }  # fmt: skip
    assert reported.above(reported.named("execution")) == "run"
    assert [mark.name for mark in reported.named("poll").events] == ["call.retried"]
    assert CANARY not in "".join(span.to_json() for span in reported.spans)


def test_an_interruption_ends_every_span() -> None:
    reported = listen(
        (0, event("run.started", run_id="r-1")),
        (1, event("pull.stepped", "AzureUsage", step="poll", part="a")),
        (1, event("pull.stepped", "AzureUsage", step="poll", part="b")),
        (2, event("run.finished", status="interrupted")),
    )

    assert sorted(span.name for span in reported.spans) == ["poll", "poll", "pull", "run"]


def test_a_run_belongs_to_the_trace_of_whoever_started_it() -> None:
    reported = listen(*WHOLE, parent=f"00-{TRACE}-b7ad6b7169203331-01")

    assert {f"{span.context.trace_id:032x}" for span in reported.spans if span.context} == {TRACE}


@pytest.mark.parametrize(
    ("environment", "asked"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "nightly"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_METRICS_EXPORTER": "none", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "TRUE"}, False),
    ],
)
def test_the_standard_environment_asks_for_it(environment: dict[str, str], asked: bool) -> None:
    assert is_asked_for(environment) is asked


def test_nothing_is_imported_unless_it_is_asked_for() -> None:
    program = (
        "import sys; from bulkpull.observability import recorder\n"
        "from bulkpull.observability.telemetry import telemetry_for;"
        "assert telemetry_for({}) is None; print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"


async def test_a_run_sends_its_spans_and_counts_to_the_receiver_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: dict[str, bytes] = {}

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(line for line in head.splitlines() if line.casefold().startswith("content-length"))
        path = head.split(" ")[1]
        received[path] = received.get(path, b"") + await reader.readexactly(int(length.split(":")[1]))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with server, Simulator(Scenario(rows=10, client_secret=CANARY)) as simulator:
        done = await export(simulator, tmp_path, "Profile")

    assert done.status == "complete"
    assert set(received) == {"/v1/traces", "/v1/metrics"}
    for word in (b"bulkpull", b"pull", b"convert", b"ScheduledReport", b"Profile", done.run_id.encode()):
        assert word in received["/v1/traces"]
    assert b"bulkpull.rows" in received["/v1/metrics"]
    assert CANARY.encode() not in b"".join(received.values())


@pytest.mark.parametrize(
    ("variable", "words"),
    [("OTEL_TRACES_EXPORTER", "no OpenTelemetry exporter of traces called carrier_pigeon is installed")],
)
async def test_an_exporter_that_is_not_there_is_told_with_the_remedy_and_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, words: str
) -> None:
    recorded = EventRecorder()
    monkeypatch.setenv(variable, "carrier_pigeon")
    async with Simulator(Scenario(rows=10)) as simulator:
        done = await export(simulator, tmp_path, "Profile", listeners=[recorded.events.append])

    assert done.exit_code == 0
    (lacking,) = recorded.of("account.lacking")
    assert words in str(lacking["reason"])
    assert install_command("otel") in str(lacking["reason"])


async def test_a_fault_in_telemetry_ends_the_telemetry_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded, receiver = EventRecorder(), Receiver()

    def break_down(*_: object, **__: object) -> None:
        raise ValueError("the floor gave way")

    monkeypatch.setattr("bulkpull.observability.recorder.telemetry_for", lambda _: Telemetry(receiver.providers))
    monkeypatch.setattr(Telemetry, "_call", break_down)
    async with Simulator(Scenario(rows=10, faults=(Fault("throttle", args={"retry_after": 0}, times=1),))) as simulator:
        done = await export(simulator, tmp_path, "Profile", listeners=[recorded.events.append])

    assert done.exit_code == 0
    assert [lacking["part"] for lacking in recorded.of("account.lacking")] == ["telemetry"]
