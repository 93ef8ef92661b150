"""
The log: each event of a run as one line on standard error, for people or as JSON.

A listener of events; progress of transfers is never logged. Secrets are removed from every value, and on the console
once more from the finished line. Log records of libraries (aiohttp, asyncio) are written in the same way.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from structlog.typing import Processor

from bulkpull.cli.error_output import is_coloured
from bulkpull.cli.options import CommonOptions, LogLevel
from bulkpull.event_types import Event, Level, RunStarted
from bulkpull.formatting import format_counts
from bulkpull.observability.log_lines import line_logger, log_event, to_json
from bulkpull.redact import redact

Write = Callable[[str], None]
_LEVELS = {name: getattr(logging, name.upper()) for name in LogLevel}


class LogListener:
    """Writes events as log lines, but for those that are shown elsewhere (`silent`); in JSON each has `run_id`."""

    def __init__(
        self,
        common: CommonOptions,
        *,
        write: Write,
        default: LogLevel = LogLevel.INFO,
        silent: tuple[type[Event], ...] = (),
    ) -> None:
        render = structlog.dev.ConsoleRenderer(colors=is_coloured(), pad_event_to=22, sort_keys=False)
        # No second look at a finished JSON line: taking something out of its text could cut a string in two.
        finish: Sequence[Processor] = (
            [to_json] if common.logs_json else [_as_people_read_it, render, lambda _, __, line: redact(str(line))]
        )
        self._log = line_logger(write, level=_LEVELS[common.level(default)], finish=finish)
        self._silent = silent
        self._is_json = common.logs_json

    def __call__(self, event: Event) -> None:
        if event.level == Level.TRACE or isinstance(event, self._silent):
            return
        if self._is_json and isinstance(event, RunStarted):
            self._log = self._log.bind(run_id=event.run_id)
        log_event(self._log, event)

    def pass_on(self, record: logging.LogRecord) -> None:
        self._log.log(record.levelno, "library.logged", logger=record.name, message=record.getMessage())


def write_line(line: str) -> None:
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


def _as_people_read_it(_: Any, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The time of day in place of the timestamp, and counts as `18 unfinished, 2 complete`."""
    entry["timestamp"] = f"{entry['timestamp'][11:19]}Z"
    entry.update({name: format_counts(value) for name, value in entry.items() if isinstance(value, dict)})
    return entry
