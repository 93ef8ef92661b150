"""
The run's own log: each event as one JSON object a line, in `runs/<run_id>/log.jsonl`.

Its lines are those of `--log-format json`, from debug on, whatever the terminal shows; a run that is carried on goes on
in the same file. A thread writes, so that a slow disk never holds up the run, and hands every line to the system as
soon as it can: a kill costs the last moment at most. Secrets are removed before a line is made.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO

from bulkpull.events import Event, Level
from bulkpull.redact import printable_value

# A night of twenty datasets takes a hundred kilobytes. What a storm of retries adds is cut here, calls first.
MOST_BYTES = 16 << 20
# Told whatever was cut before, so that a cut log still says how the run ended.
_ALWAYS_TOLD = frozenset({"run.started", "pull.finished", "run.finished"})
_CLOSING_S = 5.0

Entry = dict[str, Any]


class RunLog:
    """
    The log of one run; its file is there from the first event on. `start` and `close` wait for a thread: they are not
    for an event loop.

    Args:
        output: The output folder; absolute.
    """

    def __init__(self, output: Path, *, most_bytes: int = MOST_BYTES) -> None:
        self._output = output
        self._most_bytes = most_bytes
        self._entries: SimpleQueue[Entry | None] = SimpleQueue()
        self._writer = threading.Thread(target=self._work, name="bulkpull run log", daemon=True)
        self._trouble: OSError | None = None

    def start(self) -> None:
        """Begin to write what is told."""
        self._writer.start()

    def tell(self, event: Event, *, run_id: str, at: datetime) -> None:
        """Write down an event that happened at `at`; returns at once."""
        if event.level > Level.TRACE:
            self._entries.put(as_entry(event, run_id=run_id, at=at))

    def close(self) -> OSError | None:
        """End the file and make it durable; returns why it is not whole, if it is not."""
        self._entries.put(None)
        self._writer.join(_CLOSING_S)
        if self._writer.is_alive():
            return OSError(errno.ETIMEDOUT, f"the disk did not take it within {_CLOSING_S:.0f} s")
        return self._trouble

    def _work(self) -> None:
        entries = iter(self._entries.get, None)
        if (first := next(entries, None)) is None:
            return
        path = log_of(self._output, first["run_id"])
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a+b") as file:
                self._write(chain((first,), entries), file, size_bytes=_mend(file))
                os.fsync(file.fileno())
        except OSError as trouble:
            self._trouble = trouble
            for _ in entries:
                pass  # nobody else takes them, and the run may be long

    def _write(self, entries: Iterable[Entry], file: BinaryIO, *, size_bytes: int) -> None:
        cut, entry = 0, None
        for entry in entries:
            line = _line(entry)
            most = self._most_bytes if entry["level"] != "debug" else self._most_bytes // 2
            if size_bytes + len(line) > most and entry["event"] not in _ALWAYS_TOLD:
                cut += 1
                continue
            size_bytes += file.write(line)
            if self._entries.empty():
                file.flush()
        if cut and entry:
            file.write(_line({"timestamp": entry["timestamp"], "level": "warning", "event": "log.cut", "lines": cut}))
        file.flush()


def log_of(output: Path, run_id: str) -> Path:
    """Where the log of a run stands."""
    return output / "runs" / run_id / "log.jsonl"


def as_entry(event: Event, *, run_id: str, at: datetime) -> Entry:
    """An event as it stands in the log (pure)."""
    facts = {name: value for name, value in event.facts.items() if value is not None and name != "run_id"}
    about = {"run_id": run_id} | ({"dataset": event.dataset} if event.dataset is not None else {})
    stamp = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    told = {name: printable_value(value, name=name) for name, value in facts.items()}
    return {"timestamp": stamp, "level": event.level.name.lower(), "event": event.name} | about | told


def read_entry(line: str) -> tuple[Event, datetime] | None:
    """An event, and when it happened, from a line of the log (pure); `None` for a line that is none."""
    try:
        told: Mapping[str, Any] = json.loads(line)
        at = datetime.fromisoformat(told["timestamp"])
        level, name, dataset = Level[told["level"].upper()], str(told["event"]), told.get("dataset")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    known = {"timestamp", "level", "event", "dataset"}
    return Event(name, level, dataset, {each: told[each] for each in told if each not in known}), at


def _line(entry: Entry) -> bytes:
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


def _mend(file: BinaryIO) -> int:
    """End the line that a kill cut short; returns the size, bytes."""
    size_bytes = file.seek(0, os.SEEK_END)
    if size_bytes:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            size_bytes += file.write(b"\n")
    return size_bytes
