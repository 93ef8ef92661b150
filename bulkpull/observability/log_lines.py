"""Log lines: structlog writes every log of a run. An entry is time, level, event, and facts without secrets."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from bulkpull.clock import stamp_of
from bulkpull.event_types import Event
from bulkpull.redact import printable_value

Entry = dict[str, Any]
to_json: Processor = structlog.processors.JSONRenderer(ensure_ascii=False)
"""The last step for an entry that becomes a line of JSON."""


def as_entry(_: Any, __: str, entry: MutableMapping[str, Any]) -> tuple[tuple[Entry], dict[str, Any]]:
    """The last step for an entry that is written as it is."""
    return (dict(entry),), {}


class _Sink:
    """What structlog calls with a finished line or entry: every level the same way."""

    def __init__(self, write: Callable[[Any], None]) -> None:
        self._write = write

    def __getattr__(self, level: str) -> Callable[[Any], None]:
        return self._write


def line_logger(write: Callable[[Any], None], *, level: int, finish: Sequence[Processor]) -> FilteringBoundLogger:
    """A logger; `write` takes what the last of `finish` makes of an entry."""
    logger: FilteringBoundLogger = structlog.wrap_logger(
        _Sink(write),
        processors=[structlog.processors.add_log_level, _complete, *finish],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )
    return logger


def log_event(logger: FilteringBoundLogger, event: Event, *, at: datetime | None = None, **more: object) -> None:
    """Write an event that happened at `at`; by default, now."""
    facts = more | {"dataset": event.dataset} | {name: value for name, value in event.facts.items() if name not in more}
    logger.log(int(event.level), event.name, _at=at, **facts)


def _complete(_: Any, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    at = entry.pop("_at", None) or datetime.now(UTC)
    head = {"timestamp": stamp_of(at), "level": entry.pop("level"), "event": entry.pop("event")}
    # Text of the service must not steer a terminal or break a line.
    return head | {name: printable_value(value, name=name) for name, value in entry.items() if value is not None}
