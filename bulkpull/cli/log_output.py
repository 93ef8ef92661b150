"""
The log: each event of a run as one line on standard error, for people or as JSON.

A listener of events; progress of transfers is never logged. Secrets are removed from every value, and on the console
once more from the finished line. What libraries log (aiohttp, asyncio) takes the same way out.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bulkpull.cli.error_output import is_coloured
from bulkpull.cli.options import CommonOptions, LogLevel
from bulkpull.event_types import Event, Level, RunStarted
from bulkpull.observability.log_lines import Entry, event_entry, json_line, make_entry
from bulkpull.redact import redact

if TYPE_CHECKING:
    from structlog.dev import ConsoleRenderer

Write = Callable[[str], None]
_LEVELS = {name: getattr(logging, name.upper()) for name in LogLevel}


class LogListener:
    """
    Writes events as log lines. In JSON `run_id` stands in every line; people see it at the run's beginning and end.

    Args:
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
        self._write, self._least = write, _LEVELS[common.level(default)]
        self._silent = silent
        self._is_json = common.logs_json
        self._run: dict[str, Any] = {}

    def __call__(self, event: Event) -> None:
        """Listen to one event."""
        if event.level == Level.TRACE or isinstance(event, self._silent):
            return
        if self._is_json and isinstance(event, RunStarted):
            self._run = {"run_id": event.run_id}
        if event.level >= self._least:
            self._write(self._line(event_entry(event, **self._run)))

    def pass_on(self, record: logging.LogRecord) -> None:
        """Write what a library logged."""
        if record.levelno >= self._least:
            facts = {**self._run, "logger": record.name, "message": record.getMessage()}
            self._write(self._line(make_entry("library.logged", facts, level=record.levelno)))

    def _line(self, entry: Entry) -> str:
        if self._is_json:
            # No second look at the finished line: taking something out of JSON text could cut a string in two.
            return json_line(entry)
        time_of_day = f"{entry['timestamp'][11:19]}Z"
        return redact(self._renderer(None, "", entry | {"timestamp": time_of_day}))

    @cached_property
    def _renderer(self) -> ConsoleRenderer:
        from structlog.dev import ConsoleRenderer

        return ConsoleRenderer(colors=is_coloured(), pad_event_to=22, sort_keys=False)


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


class _Handler(logging.Handler):
    def __init__(self, listener: LogListener) -> None:
        super().__init__(logging.WARNING)
        self._listener = listener

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._listener.pass_on(record)
        except Exception:  # noqa: BLE001 - a log line that cannot be written must not harm the run
            self.handleError(record)
