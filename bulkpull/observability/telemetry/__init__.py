"""
OpenTelemetry: a span per run, pull, step and call, and metrics; with the extra `bulkpull[otel]`.

Nothing of it is imported unless the standard environment variables ask for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bulkpull.observability.telemetry.spans import Telemetry

_ASKING = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_TRACES_EXPORTER",
    "OTEL_METRICS_EXPORTER",
)


def is_asked_for(environment: Mapping[str, str]) -> bool:
    """Whether the environment asks for telemetry (pure)."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().casefold() == "true":
        return False
    return any(environment.get(name, "").strip() not in ("", "none") for name in _ASKING)


def telemetry_for(environment: Mapping[str, str]) -> Telemetry | None:
    """A listener for one run; `None` when nobody asks for one. Loads libraries, or raises `ImportError`."""
    if not is_asked_for(environment):
        return None
    from bulkpull.observability.telemetry.providers import providers_for  # noqa: PLC0415 - only where it is asked for
    from bulkpull.observability.telemetry.spans import Telemetry  # noqa: PLC0415 - the same

    return Telemetry(providers_for(environment), parent=environment.get("TRACEPARENT"))
