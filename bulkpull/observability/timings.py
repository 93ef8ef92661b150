"""
The timings of a run: the phases of every pull, and delays; collected from its events (pure).

Times are seconds of work since the run began: the time between the sessions of a resumed run is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import reduce

from bulkpull.event_types import (
    AllowanceTold,
    CallRetried,
    DownloadResumed,
    Event,
    PaceChanged,
    QuotaReached,
    RunStarted,
)
from bulkpull.observability.pull_states import PullState, PullStates, StateSpan


class Phase(StrEnum):
    """The phases of a pull, in order."""

    WAITING = "waiting"
    SERVICE = "service"
    DOWNLOAD = "download"
    CONVERT = "convert"
    PUBLISH = "publish"


PHASES: Mapping[PullState, Phase] = {
    PullState.SUBMITTING: Phase.WAITING,
    PullState.WAITING: Phase.SERVICE,
    PullState.RUNNING: Phase.SERVICE,
    PullState.READY: Phase.WAITING,  # for its turn to be downloaded
    PullState.DOWNLOADING: Phase.DOWNLOAD,
    PullState.CONVERTING: Phase.CONVERT,
    PullState.PUBLISHING: Phase.PUBLISH,
}


@dataclass(frozen=True, slots=True)
class Span:
    """The start and end of one phase of a dataset."""

    dataset: str
    phase: Phase
    began_s: float
    ended_s: float

    @property
    def length_s(self) -> float:
        return self.ended_s - self.began_s


@dataclass(slots=True)
class RunTimings:
    """
    The timings of one run, or of one session of it.

    `retries` counts by endpoint and reason, `quota_waits` has for each refusal the requested wait (seconds) and the
    reported limit, `allowance` the service's limit of calls in a window and the lowest number left, `slowest_pace`
    calls per second, `breaks` how often each download was resumed.
    """

    length_s: float = 0.0
    spans: list[Span] = field(default_factory=list)
    resumptions: list[float] = field(default_factory=list)
    retries: Counter[tuple[str, str]] = field(default_factory=Counter)
    quota_waits: list[tuple[float, int | None]] = field(default_factory=list)
    allowance: tuple[int | None, int] | None = None
    slowest_pace: float | None = None
    breaks: Counter[str] = field(default_factory=Counter)
    _states: PullStates = field(default_factory=PullStates)

    def record(self, event: Event, *, at_s: float) -> None:
        """Take in one event, which happened `at_s` after the run began."""
        # If the wall clock was set back during an earlier session, times must not decrease.
        self.length_s = at_s = max(self.length_s, at_s)
        match event:
            case CallRetried():
                self.retries[event.endpoint, event.reason] += 1
            case QuotaReached():
                self.quota_waits.append((event.wait_s, event.limit))
            case AllowanceTold(lowest=int(lowest)):
                self.allowance = event.limit, lowest
            case PaceChanged() if event.wait_s:
                self.slowest_pace = min(event.calls_per_s, self.slowest_pace or event.calls_per_s)
            case DownloadResumed(dataset=str(dataset)):
                self.breaks[dataset] += 1
        self._add(self._states.note(event, at_s=at_s))

    def close(self) -> None:
        """End every phase that is still open: the session is over."""
        self._add(self._states.end_all(at_s=self.length_s))

    def _add(self, ended: Iterable[StateSpan]) -> None:
        self.spans += [
            Span(span.dataset, PHASES[span.state], span.began_s, span.ended_s)
            for span in ended
            if span.ended_s > span.began_s
        ]

    def then(self, later: RunTimings) -> RunTimings:
        """This session and then `later`, which resumed the run."""
        self.close()
        offset_s = self.length_s
        moved = [
            replace(span, began_s=span.began_s + offset_s, ended_s=span.ended_s + offset_s) for span in later.spans
        ]
        paces = [pace for pace in (self.slowest_pace, later.slowest_pace) if pace is not None]
        allowance = later.allowance or self.allowance
        if self.allowance is not None and later.allowance is not None:
            (limit_before, lowest_before), (limit, lowest) = self.allowance, later.allowance
            allowance = limit or limit_before, min(lowest, lowest_before)
        return RunTimings(
            length_s=offset_s + later.length_s,
            spans=self.spans + moved,
            resumptions=[*self.resumptions, offset_s, *(at_s + offset_s for at_s in later.resumptions)],
            retries=self.retries + later.retries,
            quota_waits=self.quota_waits + later.quota_waits,
            allowance=allowance,
            slowest_pace=min(paces, default=None),
            breaks=self.breaks + later.breaks,
        )

    def of(self, dataset: str) -> list[Span]:
        """The dataset's phases in their order, those that overlap or meet (the parts of a window) joined."""
        joined: list[Span] = []
        for phase in Phase:
            last: Span | None = None
            mine = (span for span in self.spans if span.dataset == dataset and span.phase is phase)
            for span in sorted(mine, key=lambda span: span.began_s):
                if last is not None and span.began_s <= last.ended_s:
                    last = joined[-1] = replace(last, ended_s=max(last.ended_s, span.ended_s))
                else:
                    joined.append(last := span)
        return joined

    def slowest(self) -> Span | None:
        """The longest phase of any pull; `None` without any phase."""
        spans = [span for dataset in dict.fromkeys(span.dataset for span in self.spans) for span in self.of(dataset)]
        return max(spans, key=lambda span: span.length_s, default=None)


def timings_from_log(entries: Iterable[tuple[Event, datetime]]) -> RunTimings | None:
    """All sessions of a log as one; `None` if it has none."""
    sessions: list[tuple[RunTimings, datetime]] = []
    for event, at in entries:
        if isinstance(event, RunStarted):
            sessions.append((RunTimings(), at))
        if sessions:
            session, began_at = sessions[-1]
            session.record(event, at_s=(at - began_at).total_seconds())
    for session, _ in sessions:
        session.close()
    return reduce(RunTimings.then, (session for session, _ in sessions)) if sessions else None
