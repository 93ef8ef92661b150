"""
The log of a run: one JSON object per event and line, in `runs/<run_id>/log.jsonl`, as `--log-format json` has them.

A thread writes, so a slow disk never delays the run. A kill loses at most the last moment, a full disk nothing.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from io import FileIO
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from bulkpull import platforms
from bulkpull.event_types import Event, Level, restore_event
from bulkpull.observability.log_lines import Entry, as_entry, line_logger, log_event, to_json
from bulkpull.output.layout import Layout

# A nightly run of twenty datasets logs a hundred kilobytes. Logs of many retries are cut here, calls first.
MOST_BYTES = 16 << 20
# Always logged, so that a cut log still says how the run ended.
_ALWAYS_LOGGED = frozenset({"run.started", "pull.finished", "run.finished"})
_CLOSING_S = 5.0
# Lines that wait for a disk that refuses them; a full disk of some minutes costs none.
_MOST_WAITING = 20_000
_AT_ONCE = 500


class RunLog:
    """The log of one run, there from the first event on. `start` and `close` wait: they are not for an event loop."""

    def __init__(self, output: Path, *, most_bytes: int = MOST_BYTES) -> None:
        self._output = output
        self._most_bytes = most_bytes
        self._entries: SimpleQueue[Entry | None] = SimpleQueue()
        self._log = line_logger(self._entries.put, level=Level.DEBUG, finish=[as_entry])
        self._writer = threading.Thread(target=self._work, name="bulkpull run log", daemon=True)
        self._trouble: OSError | None = None
        self._file: FileIO | None = None
        self._size_bytes = self._cut = 0
        self._last: Entry | None = None

    def start(self) -> None:
        self._writer.start()

    def append(self, event: Event, *, run_id: str, at: datetime) -> None:
        """Queue an event that happened at `at`; returns at once."""
        log_event(self._log, event, run_id=run_id, at=at)

    def close(self) -> OSError | None:
        """End the file and make it durable; returns why it is not whole, if it is not."""
        self._entries.put(None)
        self._writer.join(_CLOSING_S)
        if self._writer.is_alive():
            return OSError(errno.ETIMEDOUT, f"the disk did not write it within {_CLOSING_S:.0f} s")
        return self._trouble

    def _work(self) -> None:
        """Write the entries as they arrive; what the disk refuses is kept, within bounds, and tried again."""
        waiting: deque[Entry] = deque(maxlen=_MOST_WAITING)
        for entry in iter(self._entries.get, None):
            self._cut += len(waiting) == _MOST_WAITING
            waiting.append(entry)
            if self._entries.empty() or len(waiting) >= _AT_ONCE:
                self._take(waiting)
        self._take(waiting, is_last=True)

    def _take(self, waiting: deque[Entry], *, is_last: bool = False) -> None:
        try:
            if self._file is None:
                if not waiting:
                    return
                self._file = _open_log(Layout(self._output).log(waiting[0]["run_id"]))
                self._size_bytes = _mend(self._file)
            while waiting:
                self._write(waiting[0])
                waiting.popleft()
            if is_last:
                if self._cut and self._last is not None:
                    cut = {"timestamp": self._last["timestamp"], "level": "warning", "event": "log.cut"}
                    self._write_all(_line(cut | {"lines": self._cut}))
                platforms.current().sync_file(self._file.fileno())
            self._trouble = None
        except OSError as trouble:
            self._trouble = trouble
            self._let_go()
        if is_last:
            self._let_go()

    def _write(self, entry: Entry) -> None:
        self._last = entry
        line = _line(entry)
        most = self._most_bytes if entry["level"] != "debug" else self._most_bytes // 2
        if self._size_bytes + len(line) > most and entry["event"] not in _ALWAYS_LOGGED:
            self._cut += 1
        else:
            self._write_all(line)

    def _write_all(self, line: bytes) -> None:
        assert self._file is not None
        rest = memoryview(line)
        while rest:
            rest = rest[self._file.write(rest) or 0 :]
        self._size_bytes += len(line)

    def _let_go(self) -> None:
        """Close the file. The next line opens it again, and ends a line that was cut short."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None


def parse_entry(line: str) -> tuple[Event, datetime] | None:
    """An event, and when it happened, from a line of the log (pure); `None` for a line that is none."""
    try:
        entry: Mapping[str, Any] = json.loads(line)
        at = datetime.fromisoformat(entry["timestamp"])
        level, name, dataset = Level[entry["level"].upper()], str(entry["event"]), entry.get("dataset")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    known = {"timestamp", "level", "event", "dataset"}
    facts = {key: entry[key] for key in entry if key not in known}
    return restore_event(name, facts, dataset=dataset, level=level), at


def _open_log(path: Path) -> FileIO:
    """Open the log to read its end and to append; neither a link nor a pipe in its place is followed or waited for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    descriptor = platforms.current().open_file(path, flags, 0o666)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        return FileIO(descriptor, "a+")
    except BaseException:
        os.close(descriptor)
        raise


def _line(entry: Entry) -> bytes:
    return str(to_json(None, "", entry)).encode("utf-8", "replace") + b"\n"


def _mend(file: FileIO) -> int:
    """End the line that a kill cut short; returns the size, bytes."""
    size_bytes = file.seek(0, os.SEEK_END)
    if size_bytes:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            size_bytes += file.write(b"\n") or 0
    return size_bytes
