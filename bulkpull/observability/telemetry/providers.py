"""Creates the OpenTelemetry SDK providers that the standard environment variables describe."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.metrics import MeterProvider as AnyMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from opentelemetry.trace import TracerProvider as AnyTracerProvider

from bulkpull._version import __version__


@dataclass(frozen=True, slots=True)
class Providers:
    """The providers of spans and metrics; `are_ours` were made for this run, and are shut down with it."""

    traces: AnyTracerProvider
    metrics: AnyMeterProvider
    are_ours: bool = True

    def close(self) -> None:
        """Send the collected spans and metrics. Takes as long as the receiver needs."""
        for provider in (self.traces, self.metrics) if self.are_ours else ():
            with suppress(Exception):  # an error of the receiver does not affect the run
                provider.shutdown()  # type: ignore[union-attr]  # the SDK's have it


def providers_for(environment: Mapping[str, str]) -> Providers:
    """The providers that this process has already, else new ones."""
    if isinstance(trace.get_tracer_provider(), TracerProvider):
        return Providers(trace.get_tracer_provider(), metrics.get_meter_provider(), are_ours=False)
    resource = _resource()
    # Shut down with the run, in bounded time, and not by the interpreter at its end.
    traces = TracerProvider(resource=resource, shutdown_on_exit=False)
    for exporter in _exporters("traces", environment):
        traces.add_span_processor(BatchSpanProcessor(exporter))
    exporters = _exporters("metrics", environment)
    readers: list[MetricReader] = [PeriodicExportingMetricReader(exporter) for exporter in exporters]
    return Providers(traces, MeterProvider(readers, resource=resource, shutdown_on_exit=False))


def _resource() -> Resource:
    given = Resource.create({SERVICE_VERSION: __version__})
    if str(given.attributes.get(SERVICE_NAME, "unknown_service")).startswith("unknown_service"):
        return given.merge(Resource({SERVICE_NAME: "bulkpull"}))
    return given


def _exporters(signal: str, environment: Mapping[str, str]) -> list[Any]:
    """Exporters by their standard names: `otlp` unless `OTEL_TRACES_EXPORTER` (or `…METRICS…`) names others."""
    names = environment.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip() or "otlp"
    return [_exporter(signal, name.strip(), environment) for name in names.split(",") if name.strip() != "none"]


def _exporter(signal: str, name: str, environment: Mapping[str, str]) -> Any:
    if name == "console":  # standard output is for data
        return ConsoleSpanExporter(out=sys.stderr) if signal == "traces" else ConsoleMetricExporter(out=sys.stderr)
    if name == "otlp":
        common = environment.get("OTEL_EXPORTER_OTLP_PROTOCOL", "")
        protocol = environment.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL") or common
        name = "otlp_proto_grpc" if protocol.strip() == "grpc" else "otlp_proto_http"
    found = list(entry_points(group=f"opentelemetry_{signal}_exporter", name=name))
    if not found:
        raise ImportError(f"no OpenTelemetry exporter of {signal} called {name} is installed")
    return found[0].load()()
