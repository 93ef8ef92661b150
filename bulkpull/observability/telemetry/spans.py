"""
A listener that turns events of a run into spans and metrics.

    run ── pull ── submit, poll, download, convert, publish ── each call
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from bulkpull import event_types
from bulkpull._version import __version__
from bulkpull.event_types import Event
from bulkpull.observability.pull_states import PullStates
from bulkpull.observability.telemetry.providers import Providers
from bulkpull.redact import printable

_CLOSING_S = 5.0
_NO_FAULT = frozenset({"complete", "skipped"})
_Key = tuple[str, str | None]


class Telemetry:
    """Turns the events of one run into spans and metrics."""

    def __init__(self, providers: Providers, *, parent: str | None = None) -> None:
        self._providers = providers
        self._tracer = providers.traces.get_tracer("bulkpull", __version__)
        meter = providers.metrics.get_meter("bulkpull", __version__)
        self._calls = meter.create_histogram("bulkpull.call.duration", "s", "Time to the answer of a call")
        self._retries = meter.create_counter("bulkpull.call.retries", "{call}", "Calls sent again")
        self._steps = meter.create_histogram("bulkpull.step.duration", "s", "Time of a pull's step")
        self._pulls = meter.create_counter("bulkpull.pulls", "{pull}", "Pulls that ended, by status")
        self._rows = meter.create_counter("bulkpull.rows", "{row}", "Rows published")
        self._bytes = meter.create_counter("bulkpull.downloaded", "By", "Bytes downloaded")
        self._outside = TraceContextTextMapPropagator().extract({"traceparent": parent}) if parent else Context()
        self._run: Span | None = None
        self._pull_spans: dict[str, Span] = {}
        self._states = PullStates()
        self._step_spans: dict[_Key, tuple[Span, str, int]] = {}

    def note(self, event: Event, *, at: datetime) -> None:
        """Take in one event, which happened at `at`."""
        now = int(at.timestamp() * 1_000_000) * 1_000
        for span in self._states.note(event, at_s=at.timestamp()):
            if span.ends_step:
                self._end_step((span.dataset, span.part), now, reason=_loss(event))
        match event:
            case event_types.RunStarted():
                self._run = self._begin("run", self._outside, now, _attributes(event.facts))
            case event_types.RunFinished():
                self._end_all(now, event.status)
            case event_types.PullStepped(dataset=str(dataset)):
                self._step(dataset, event.step, event.part, now)
            case event_types.ConversionCompleted():
                pass  # it has ended its step
            case event_types.PullFinished(dataset=str(dataset)):
                self._end_pull(dataset, event, now)
            case event_types.CallSent():
                self._call(event, now)
            case _ if event.level > event_types.Level.TRACE:
                self._mark(event, now)

    def close(self) -> None:
        """Send the collected spans and metrics, within a few seconds."""
        sending = threading.Thread(target=self._providers.close, name="bulkpull telemetry", daemon=True)
        sending.start()
        sending.join(_CLOSING_S)

    def _begin(self, name: str, within: Context, now: int, attributes: Mapping[str, Any], **more: Any) -> Span:
        return self._tracer.start_span(name, within, start_time=now, attributes=dict(attributes), **more)

    def _step(self, dataset: str, step: str, part: str | None, now: int) -> None:
        about = {"bulkpull.dataset": dataset}
        if dataset not in self._pull_spans:
            within = set_span_in_context(self._run) if self._run else self._outside
            self._pull_spans[dataset] = self._begin("pull", within, now, about)
        within = set_span_in_context(self._pull_spans[dataset])
        self._step_spans[dataset, part] = self._begin(step, within, now, about), step, now

    def _end_step(self, key: _Key, now: int, *, reason: str | None) -> None:
        if (open_ := self._step_spans.pop(key, None)) is None:
            return
        span, step, began = open_
        _end(span, now, fault=reason)
        self._steps.record((now - began) / 1e9, {"bulkpull.dataset": key[0], "bulkpull.step": step})

    def _end_pull(self, dataset: str, event: event_types.PullFinished, now: int) -> None:
        status, rows = event.status, event.rows
        self._pulls.add(1, {"bulkpull.dataset": dataset, "bulkpull.status": status})
        if status == "complete":
            self._rows.add(rows, {"bulkpull.dataset": dataset})
        if (span := self._pull_spans.pop(dataset, None)) is not None:
            span.set_attributes(_attributes({"status": status, "rows": rows}))
            _end(span, now, fault=_loss(event))

    def _end_all(self, now: int, status: str) -> None:
        """The run is over."""
        for span in self._pull_spans.values():
            _end(span, now, fault=status)
        self._pull_spans.clear()
        if self._run is not None:
            self._run.set_attribute("bulkpull.status", status)
            _end(self._run, now, fault=None if status in _NO_FAULT else status)
            self._run = None

    def _call(self, event: event_types.CallSent, now: int) -> None:
        about: dict[str, Any] = {"bulkpull.endpoint": event.endpoint, "http.response.status_code": event.status}
        self._calls.record(event.elapsed_s, about)
        within = self._nearest(event)
        context = set_span_in_context(within) if within else self._outside
        began = now - int(event.elapsed_s * 1e9)
        more = _attributes({"request_id": event.request_id, "dataset": event.dataset})
        span = self._begin(event.endpoint, context, began, about | more, kind=SpanKind.CLIENT)
        if event.status == HTTPStatus.TOO_MANY_REQUESTS or event.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            span.set_status(Status(StatusCode.ERROR))
        span.end(now)

    def _mark(self, event: Event, now: int) -> None:
        """Any other event is added to the span in which it happened."""
        if isinstance(event, event_types.CallRetried):
            self._retries.add(1, {"bulkpull.endpoint": event.endpoint})
        elif isinstance(event, event_types.DownloadCompleted):
            self._bytes.add(event.size_bytes, {"bulkpull.dataset": str(event.dataset)})
        if (span := self._nearest(event)) is not None:
            span.add_event(event.name, _attributes(event.facts), timestamp=now)

    def _nearest(self, event: Event) -> Span | None:
        """The innermost open span that an event belongs to."""
        dataset = event.dataset
        if dataset is None:
            return self._run
        steps = [spans[0] for (name, _), spans in self._step_spans.items() if name == dataset]
        return steps[-1] if steps else self._pull_spans.get(dataset, self._run)


def _end(span: Span, now: int, *, fault: str | None) -> None:
    if fault is not None:
        span.set_status(Status(StatusCode.ERROR, fault))
    span.end(now)


def _loss(event: Event) -> str | None:
    """Why what the event ends has failed; `None` where it has not."""
    match event:
        case event_types.PullFinished() if event.status not in _NO_FAULT:
            return printable(event.reason or event.status)
        case event_types.RunFinished():  # what is still open was interrupted
            return event.status
    return None


def _attributes(facts: Mapping[str, object]) -> dict[str, Any]:
    """Facts as attributes: numbers as they are, everything else as text without secrets."""
    return {
        f"bulkpull.{name}": value if isinstance(value, (bool, int, float)) else printable(str(value))
        for name, value in facts.items()
        if value is not None
    }
