"""
The log: each event of a run as one line on standard error, for people or as JSON.

A listener of events; progress of transfers is never logged. Secrets are removed from every value, and on the console
once more from the finished line. What libraries log (aiohttp, asyncio) takes the same way out.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import structlog

from bulkpull.cli.errors import is_coloured
from bulkpull.cli.options import CommonOptions, LogLevel
from bulkpull.clock import stamp_of
from bulkpull.event_types import Event, Level
from bulkpull.redact import printable_value, redact

Write = Callable[[str], None]
_LEVELS = {name: getattr(logging, name.upper()) for name in LogLevel}


class LogListener:
    """
    Writes events as log lines. In JSON `run_id` stands in every line; people see it at the run's beginning and end.

    Args:
        write: Takes one finished line, without its line end.
        silent: Events that are shown elsewhere, for example by the display.
    """

    def __init__(
        self,
        common: CommonOptions,
        *,
        write: Write,
        default: LogLevel = LogLevel.INFO,
        silent: tuple[type[Event], ...] = (),
    ) -> None:
        self._log = _logger(common, write=write, level=_LEVELS[common.level(default)])
        self._silent = silent
        self._is_json = common.logs_json

    def __call__(self, event: Event) -> None:
        """Listen to one event."""
        if event.level == Level.TRACE or isinstance(event, self._silent):
            return
        facts = dict(event.facts) if event.dataset is None else {"dataset": event.dataset, **event.facts}
        if self._is_json and "run_id" in facts:
            self._log = self._log.bind(run_id=facts.pop("run_id"))
        self._log.log(int(event.level), event.name, **facts)

    def pass_on(self, record: logging.LogRecord) -> None:
        """Write what a library logged."""
        self._log.log(record.levelno, "library.logged", logger=record.name, message=record.getMessage())


def write_line(line: str) -> None:
    """Write one log line to standard error."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


@contextmanager
def libraries_logged_by(listener: LogListener) -> Iterator[None]:
    """Lead the warnings of the standard library's logging to `listener` while the block lasts."""
    root = logging.getLogger()
    handler = _Handler(listener)
    root.addHandler(handler)
    logging.captureWarnings(capture=True)
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        root.removeHandler(handler)


def _stamped(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    line["timestamp"] = stamp_of(datetime.now(UTC))
    return line


class _Handler(logging.Handler):
    def __init__(self, listener: LogListener) -> None:
        super().__init__(logging.WARNING)
        self._listener = listener

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._listener.pass_on(record)
        except Exception:  # noqa: BLE001 - a log line that cannot be written must not harm the run
            self.handleError(record)


class _Lines:
    """What structlog writes finished lines to: every level the same way."""

    def __init__(self, write: Write) -> None:
        self._write = write

    def __getattr__(self, level: str) -> Write:
        return self._write


def _logger(common: CommonOptions, *, write: Write, level: int) -> structlog.typing.FilteringBoundLogger:
    if common.logs_json:
        stamp: structlog.typing.Processor = _stamped
        # No second look at the finished line: taking something out of JSON text could cut a string in two.
        finish: list[structlog.typing.Processor] = [structlog.processors.JSONRenderer(ensure_ascii=False)]
    else:
        stamp = structlog.processors.TimeStamper(fmt="%H:%M:%SZ", utc=True)
        render = structlog.dev.ConsoleRenderer(colors=is_coloured(), pad_event_to=22, sort_keys=False)
        finish = [render, _redacted]
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        _Lines(write),
        processors=[structlog.processors.add_log_level, stamp, _printable_values, *finish],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )
    return logger


def _printable_values(_: Any, __: str, facts: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    # Text of the service must not steer a terminal or break a line.
    return {name: printable_value(value, name=name) for name, value in facts.items() if value is not None}


def _redacted(_: Any, __: str, line: Any) -> str:
    return redact(str(line))
