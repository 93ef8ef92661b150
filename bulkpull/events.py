"""
Events of a run.

Every step emits events; the progress display, the log and the recorder are listeners. No step knows its listeners. An
event is a name (noun, dot, past participle) and facts, never a sentence.

| name                   | emitted when                                  | facts                                   |
|------------------------|-----------------------------------------------|-----------------------------------------|
| run.started            | a run begins                                  | run_id, datasets                        |
| run.finished           | a run ends, in any way                        | status, complete, skipped, failed, …    |
| run.progressed         | each minute while a run lasts                 | done, failed, total, waiting, running … |
| concurrency.lowered    | the machine allows less at once than is set   | parallel_downloads, …, reason           |
| cleanup.postponed      | a clean-up step failed; the next run repeats it | step, reason                          |
| snapshot.damaged       | a current snapshot is not as it was published | reason                                  |
| ledger.set_aside       | a damaged ledger was moved, a new one begun   | path, reason                            |
| plan.made              | the pulls to do are known                     | pulls, unavailable                      |
| plan.noted             | something about a pull, or the list, is odd   | reason                                  |
| list.odd               | the service's list has an unusable entry      | reason                                  |
| metrics.refused        | a query is sent again without its metrics     | metrics, reason                         |
| pull.stepped           | a pull enters a step                          | step, part (of several windows)         |
| pull.finished          | a pull ends                                   | status, rows, reason                    |
| drift.found            | columns differ from the snapshot              | appeared, vanished, retyped             |
| query.adopted/created  | a query for the pull exists, also `.deleted`, | query_id                                |
|                        | `.doubled` (another equals it, and is left)   |                                         |
| report.adopted/created | the report of a pull, also `.deleted`,        | report_id                               |
|                        | `.doubled` (another equals it, and is left)   |                                         |
| reports.unknown        | the service does not tell which reports exist | reason                                  |
| reports.unused         | scheduled reports of ours that nothing uses   | reports                                 |
| execution.missed       | an execution that was due has not come        | report_id, due_at                       |
| quota.reached          | one-off reports are refused until a time      | wait_s, limit                           |
| report.lacking         | no scheduled report could be created          | reason                                  |
| reports.limited        | fewer reports are created at once             | limit, reason                           |
| window.split           | a failed window is requested in halves        | start, end, reason                      |
| run.abandoned          | an old interrupted run is closed              | abandoned, started_at                   |
| execution.changed      | an execution has another status               | status, age_s                           |
| poll.narrowed          | the service refused a joined form of the call | form                                    |
| download.progressed    | bytes are on disk (not logged)                | done_bytes, size_bytes                  |
| download.completed     | a file is complete                            | size_bytes, elapsed_s                   |
| download.resumed       | a transfer continues after a break            | offset_bytes, reason                    |
| conversion.completed   | Parquet is written                            | rows, bytes, elapsed_s, part            |
| column.kept_as_text    | a declared type did not hold                  | column, declared, row, value            |
| snapshot.published     | readers see it                                | rows, files                             |
| call.sent              | a call was answered (debug)                   | endpoint, status, elapsed_s, request_id, |
|                        |                                               | skew_s (of the other side's clock)      |
| call.retried           | a call is retried                             | endpoint, attempt, wait_s, reason       |
| pace.changed           | the rate limiter slows down or recovers       | calls_per_s, wait_s                     |
| allowance.told         | the reported limit or its lowest rest changed (debug) | limit, remaining, lowest        |
| allowance.awaited      | no call is left until the window renews       | limit, wait_s                           |
| token.renewed          | a new access token is in use                  | grant, lives_s                          |
| token.not_kept         | a new refresh token could not be stored       | folder, reason, follows                 |
| token.cache_unread     | what the token cache holds cannot be read     | folder, reason, follows                 |
| account.lacking        | an output of the recorder could not be written | part, reason                           |
| notice.sent/lost       | a notification was sent, or failed            | to, reason                              |
| listener.dropped       | a listener raised an exception                | listener, reason                        |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import IntEnum
from inspect import iscoroutine

_dataset: ContextVar[str | None] = ContextVar("dataset", default=None)


class Level(IntEnum):
    """The level of an event; the numbers are those of the standard library's logging."""

    TRACE = 5  # progress of a transfer: for displays, never logged
    DEBUG = 10  # a call
    INFO = 20  # a step of a pull
    WARNING = 30  # slower, but going on
    ERROR = 40  # a pull lost


@dataclass(frozen=True, slots=True)
class Event:
    """An event, its dataset (if any) and its facts."""

    name: str
    level: Level
    dataset: str | None
    facts: Mapping[str, object] = field(default_factory=dict)


Listener = Callable[[Event], None]


class Events:
    """
    Passes each event to all listeners, in their order.

    A listener that raises cannot harm the work that it listens to (case L4): it is dropped, the others are told once,
    and `raise_faults` raises its exception when the work has ended.
    """

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners
        self._dropped: list[Listener] = []
        self._faults: list[Exception] = []

    def emit(self, name: str, /, *, level: Level = Level.INFO, **facts: object) -> None:
        """Tell every listener; the dataset is the one that `about` bound."""
        event = Event(name, level, _dataset.get(), facts)
        for listener in self._listeners:
            if self._dropped and any(listener is dropped for dropped in self._dropped):
                continue
            try:
                _call(listener, event)
            except Exception as fault:  # noqa: BLE001 - whatever a listener raises
                self._drop(listener, fault, event)

    def _drop(self, listener: Listener, fault: Exception, event: Event) -> None:
        name = getattr(listener, "__qualname__", type(listener).__qualname__)
        fault.add_note(f"raised by the listener {name} at the event {event.name}; it heard no further event")
        self._dropped.append(listener)
        self._faults.append(fault)
        self.warn("listener.dropped", listener=name, reason=f"{type(fault).__name__}: {fault}")

    def raise_faults(self) -> None:
        """
        Raise what a listener raised, now that the work has ended: the exception itself, of several listeners the first.

        Raises:
            Exception: As the listener raised it, with a note that names the listener.
        """
        if self._faults:
            raise self._faults[0]

    @contextmanager
    def joined(self, listener: Listener) -> Iterator[None]:
        """Let `listener` hear every event while the block lasts, after the others."""
        before, self._listeners = self._listeners, (*self._listeners, listener)
        try:
            yield
        finally:
            self._listeners = before

    def warn(self, name: str, /, **facts: object) -> None:
        """Tell of something that slows the run down without ending it."""
        self.emit(name, level=Level.WARNING, **facts)

    def debug(self, name: str, /, **facts: object) -> None:
        """Tell of a single call."""
        self.emit(name, level=Level.DEBUG, **facts)


def _call(listener: Listener, event: Event) -> None:
    result: object = listener(event)  # type: ignore[func-returns-value]
    if result is not None and iscoroutine(result):
        result.close()
        raise TypeError("the listener is a coroutine function, which nobody would await; give a plain function")


@contextmanager
def about(dataset: str) -> Iterator[None]:
    """Bind `dataset` to every event of this task, and of the tasks it starts, until the block ends."""
    token = _dataset.set(dataset)
    try:
        yield
    finally:
        _dataset.reset(token)
