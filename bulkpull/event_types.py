"""
The events of a run, one class each; the steps emit them, and the display, the log and the recorder are their readers.

An event is facts, never a sentence. Its name (noun, dot, past participle) stands in the log and in what listeners of an
embedding program see; readers within the program match its class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from enum import IntEnum
from functools import partial
from typing import Any, TypeVar, cast, dataclass_transform

present_dataset: ContextVar[str | None] = ContextVar("dataset", default=None)
"""The dataset that this task works on; `bulkpull.events.about` binds it."""


class Level(IntEnum):
    """The level of an event; the numbers are those of the standard library's logging."""

    TRACE = 5  # progress of a transfer: for displays, never logged
    DEBUG = 10  # a call
    INFO = 20  # a step of a pull
    WARNING = 30  # slower, but going on
    ERROR = 40  # a pull lost


_Type = TypeVar("_Type", bound=type)
_NAMES: dict[type, str] = {}
_FIELDS: dict[type, tuple[tuple[str, object, Any], ...]] = {}  # name, default, factory of a default
_COMMON = 2  # level and dataset, which every event has, stand first
_set = object.__setattr__


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def _event_class(kind: _Type) -> _Type:
    # The methods of `Event` serve all classes: `dataclass` would compile six for each, a tenth of the start of a run.
    made: Any = dataclass(slots=True, kw_only=True, init=False, repr=False, eq=False)(kind)
    _FIELDS[made] = tuple((item.name, item.default, item.default_factory) for item in fields(made))
    return cast("_Type", made)


@_event_class
class Event:
    """An event of a run; it never changes. Without a dataset given, it is about the one of the task that makes it."""

    level: Level = Level.INFO
    dataset: str | None = field(default_factory=present_dataset.get)

    def __init__(self, **values: object) -> None:
        cls = type(self)
        for name, default, factory in _FIELDS[cls]:
            value = values.pop(name, default)
            if value is MISSING:
                if factory is MISSING:
                    raise TypeError(f"{cls.__name__} lacks {name!r}")
                value = factory()
            _set(self, name, value)
        if values:
            raise TypeError(f"{cls.__name__} has no {', '.join(map(repr, values))}")

    def __setattr__(self, name: str, value: object) -> None:
        raise FrozenInstanceError(f"cannot assign to {name!r}")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete {name!r}")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._values == other._values

    def __hash__(self) -> int:
        return hash((type(self), *self._values.items()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._values.items())})"

    def __reduce__(self) -> tuple[Callable[[], Event], tuple[()]]:
        # For `copy` and `pickle`, which would set attributes.
        return partial(type(self), **self._values), ()

    @property
    def _values(self) -> dict[str, object]:
        return {name: getattr(self, name) for name, *_ in _FIELDS[type(self)]}

    @property
    def name(self) -> str:
        return _NAMES[type(self)]

    @property
    def facts(self) -> Mapping[str, object]:
        """All that it tells beside level and dataset, by name; an optional fact that was not given is left out."""
        values = ((name, default, getattr(self, name)) for name, default, _ in _FIELDS[type(self)][_COMMON:])
        return {name: value for name, default, value in values if value is not None or default is not None}


EVENTS: dict[str, type[Event]] = {}
"""Every event by its name."""


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def event(name: str, level: Level = Level.INFO) -> Callable[[_Type], _Type]:
    """Make a class an event of that name, with a level that a single event may change."""

    def make(kind: _Type) -> _Type:
        setattr(kind, "level", level)  # noqa: B010 - the default of the field, which no type checker knows
        kind.__annotations__["level"] = "Level"
        made = _event_class(kind)
        EVENTS[name], _NAMES[made] = made, name
        return made

    return make


@_event_class
class OtherEvent(Event):
    """An event whose class is not here: of another version's log."""

    event_name: str
    details: Mapping[str, object] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.event_name

    @property
    def facts(self) -> Mapping[str, object]:
        return self.details


_KINDS: Mapping[str, tuple[tuple[type, ...], object]] = {
    "str": ((str,), ""),
    "int": ((int,), 0),
    "float": ((int, float), 0.0),
    "bool": ((bool,), False),
}
"""By the type of a fact, the types of its values in a log, and what an empty one is; of an optional fact `None`."""


def restore_event(
    name: str, facts: Mapping[str, object], *, dataset: str | None = None, level: Level | None = None
) -> Event:
    """An event of a log (pure): a fact that is missing, or of another type, is empty; an unknown one is dropped."""
    kind = EVENTS.get(name)
    if kind is None:
        return OtherEvent(event_name=name, details=dict(facts), dataset=dataset, level=level or Level.INFO)
    given: dict[str, Any] = {"dataset": dataset} | ({} if level is None else {"level": level})
    for item in fields(kind)[_COMMON:]:
        value = facts.get(item.name, MISSING)
        type_name, _, optional = str(item.type).partition(" | ")
        allowed, empty = _KINDS.get(type_name, ((object,), ()))
        if value is not MISSING and isinstance(value, allowed):
            given[item.name] = value
        elif item.default is MISSING:
            given[item.name] = None if optional else empty
    return kind(**given)


@event("run.started")
class RunStarted(Event):
    run_id: str
    resumed: bool = False


@event("run.finished")
class RunFinished(Event):
    """A run ends, in any way; `datasets` counts them by status, of which `unfinished` is what an interruption ended."""

    run_id: str
    status: str
    datasets: Mapping[str, int]


@event("run.progressed")
class RunProgressed(Event):
    """Each minute while a run lasts: datasets by state, and for each step those that are in it."""

    done: int
    failed: int
    total: int
    elapsed_s: int
    downloaded_bytes: int
    submitting: str | None = None
    waiting: str | None = None
    running: str | None = None
    ready: str | None = None
    downloading: str | None = None
    converting: str | None = None
    publishing: str | None = None
    not_started: int | None
    slowed_by: str | None


@event("run.abandoned", Level.WARNING)
class RunAbandoned(Event):
    abandoned: str
    started_at: str


@event("plan.made")
class PlanMade(Event):
    pulls: int
    unavailable: int = 0


@event("plan.noted", Level.WARNING)
class PlanNoted(Event):
    reason: str


@event("concurrency.lowered", Level.WARNING)
class ConcurrencyLowered(Event):
    parallel_downloads: int
    download_segments: int
    conversions: int
    reason: str


@event("list.odd", Level.WARNING)
class ListOdd(Event):
    reason: str


@event("metrics.refused", Level.WARNING)
class MetricsRefused(Event):
    """A query is sent again without its metrics."""

    metrics: Sequence[str]
    reason: str


@event("query.adopted")
class QueryAdopted(Event):
    query_id: str


@event("query.created")
class QueryCreated(Event):
    query_id: str


@event("query.deleted")
class QueryDeleted(Event):
    query_id: str


@event("query.doubled", Level.WARNING)
class QueryDoubled(Event):
    """Another query equals that of the pull, and is left."""

    query_id: str


@event("report.adopted")
class ReportAdopted(Event):
    """A report of the service is used; `scheduled`: it is a scheduled one."""

    report_id: str
    scheduled: bool | None = None


@event("report.created")
class ReportCreated(Event):
    """A report is created; `start_at` is when a scheduled one begins, ISO 8601 UTC."""

    report_id: str
    start_at: str | None = None


@event("report.deleted")
class ReportDeleted(Event):
    report_id: str


@event("report.doubled", Level.WARNING)
class ReportDoubled(Event):
    report_id: str


@event("report.lacking", Level.WARNING)
class ReportLacking(Event):
    reason: str


@event("reports.unknown", Level.WARNING)
class ReportsUnknown(Event):
    reason: str


@event("reports.unused", Level.WARNING)
class ReportsUnused(Event):
    """Scheduled reports of ours that nothing uses, by id."""

    reports: Sequence[str]


@event("reports.limited", Level.WARNING)
class ReportsLimited(Event):
    limit: int
    reason: str


@event("execution.changed")
class ExecutionChanged(Event):
    """An execution has another status, or as a warning is late: `deadline_s` is how long it is waited for."""

    report_id: str
    status: str
    age_s: float
    deadline_s: float | None = None


@event("execution.missed", Level.WARNING)
class ExecutionMissed(Event):
    report_id: str
    due_at: str


@event("quota.reached", Level.WARNING)
class QuotaReached(Event):
    """One-off reports are refused until a time."""

    wait_s: float
    limit: int | None


@event("poll.narrowed", Level.WARNING)
class PollNarrowed(Event):
    """The service refused a joined form of the call that asks for executions."""

    form: str


@event("pull.stepped")
class PullStepped(Event):
    """A pull enters a step; `part` is one of several windows."""

    step: str
    part: str | None = None


@event("pull.finished")
class PullFinished(Event):
    status: str
    rows: int
    reason: str | None


@event("window.split", Level.WARNING)
class WindowSplit(Event):
    start: str
    end: str
    reason: str


@event("download.progressed", Level.TRACE)
class DownloadProgressed(Event):
    done_bytes: int
    size_bytes: int | None


@event("download.completed")
class DownloadCompleted(Event):
    size_bytes: int
    elapsed_s: float


@event("download.resumed", Level.WARNING)
class DownloadResumed(Event):
    offset_bytes: int
    reason: str


@event("conversion.completed")
class ConversionCompleted(Event):
    rows: int
    bytes: int
    elapsed_s: float
    part: str | None


@event("column.kept_as_text")
class ColumnKeptAsText(Event):
    """A declared type did not hold; the row and the value that did not fit."""

    column: str
    declared: str | None
    row: int
    value: str


@event("drift.found", Level.WARNING)
class DriftFound(Event):
    """Columns differ from the snapshot before, or from what was asked for."""

    appeared: Sequence[str]
    vanished: Sequence[str]
    retyped: Sequence[str]
    unrequested: Sequence[str]


@event("snapshot.published")
class SnapshotPublished(Event):
    rows: int
    files: int


@event("snapshot.damaged", Level.WARNING)
class SnapshotDamaged(Event):
    reason: str


@event("cleanup.postponed", Level.WARNING)
class CleanupPostponed(Event):
    """A clean-up step failed; the next run repeats it."""

    step: str
    reason: str


@event("ledger.set_aside", Level.WARNING)
class LedgerSetAside(Event):
    path: str
    reason: str


@event("call.sent", Level.DEBUG)
class CallSent(Event):
    """A call was answered; `skew_s` is how far the other side's clock is ahead."""

    endpoint: str
    status: int
    elapsed_s: float
    request_id: str | None
    skew_s: float | None


@event("call.retried", Level.WARNING)
class CallRetried(Event):
    """
    A call failed and is sent again, in `wait_s` seconds.

    `attempt` is the number of the try that failed, `attempts` how many there are. `since` is when it began to fail,
    and `until` about when it is given up, where time decides that and not the number of tries; both are ISO 8601 UTC.
    """

    endpoint: str
    attempt: int
    attempts: int | None = None
    wait_s: float | None = None
    since: str | None = None
    until: str | None = None
    reason: str


@event("pace.changed", Level.WARNING)
class PaceChanged(Event):
    """The rate limiter slows down, or recovers (as information, with nothing to wait)."""

    calls_per_s: float
    wait_s: float


@event("allowance.told", Level.DEBUG)
class AllowanceTold(Event):
    """The reported limit of calls, or its lowest rest, changed."""

    limit: int | None
    remaining: int | None
    lowest: int | None


@event("allowance.awaited")
class AllowanceAwaited(Event):
    """No call is left until the window renews."""

    limit: int | None
    wait_s: float


@event("token.renewed")
class TokenRenewed(Event):
    grant: str
    lives_s: float


@event("token.unusable", Level.WARNING)
class TokenUnusable(Event):
    reason: str


@event("token.not_kept", Level.WARNING)
class TokenNotKept(Event):
    folder: str
    reason: str
    follows: str


@event("token.cache_unread", Level.WARNING)
class TokenCacheUnread(Event):
    folder: str
    reason: str
    follows: str


@event("account.lacking", Level.WARNING)
class AccountLacking(Event):
    """An output of the recorder could not be written."""

    part: str
    reason: str


@event("notice.sent")
class NoticeSent(Event):
    to: str


@event("notice.lost", Level.WARNING)
class NoticeLost(Event):
    to: str | None = None
    reason: str


@event("listener.dropped", Level.WARNING)
class ListenerDropped(Event):
    listener: str
    reason: str
