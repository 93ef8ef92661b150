"""The state of a run at this moment, gathered from its events: for displays, the log and the metrics file."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from bulkpull import event_types
from bulkpull.event_types import Event
from bulkpull.formatting import format_clock, join_some, plural
from bulkpull.observability.pull_states import PullState, PullStates

INTERVAL_S = 60.0
"""Seconds between two summaries of a run in the log."""
_MOST_NAMED = 4
_DONE = {"complete": "done"}
_WELL = ("done", "skipped")
# How far along a pull is when it enters a step; the wait for the service is the longest part.
_SHARE = {
    PullState.SUBMITTING: 0.0,
    PullState.WAITING: 0.1,
    PullState.RUNNING: 0.2,
    PullState.READY: 0.6,
    PullState.DOWNLOADING: 0.7,
    PullState.CONVERTING: 0.8,
    PullState.PUBLISHING: 0.95,
}
# A retry that is under way has this long to be answered or to fail again; no call of the API takes longer.
_RETRY_ENDS_WITHIN_S = 180.0
_TROUBLE_SHOWN_S = 30.0
# The rate over the last seconds; no rate is shown before there are enough of them.
_RATE_OVER_S, _RATE_AFTER_S = 5.0, 1.0
_REWRITTEN_EVERY_S = 0.5


@dataclass(slots=True)
class DatasetProgress:
    """One dataset: what it is doing, since when, and what has arrived of it."""

    dataset: str
    began_s: float
    doing: PullState = PullState.SUBMITTING
    status: str | None = None
    ended_s: float | None = None
    done_bytes: int = 0
    size_bytes: int | None = None
    rows: int | None = None
    usual_s: float | None = None
    _marks: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def share(self) -> float:
        """How far along it is, 0 to 1; a guess that only ever grows within one attempt."""
        return 1.0 if self.status else _SHARE[self.doing]

    def arrived(self, done_bytes: int, *, now_s: float) -> None:
        """Note how many bytes are on the disk; after a restart of the download, as many as before or fewer."""
        if done_bytes < self.done_bytes:
            self._marks.clear()
        self.done_bytes = done_bytes
        self._marks.append((now_s, done_bytes))
        while len(self._marks) > 1 and self._marks[1][0] <= now_s - _RATE_OVER_S:
            self._marks.popleft()

    def rate(self, now_s: float) -> float | None:
        """Bytes a second over the last seconds of a download; `None` outside of one, and at its beginning."""
        if self.doing is not PullState.DOWNLOADING or self.status or not self._marks:
            return None
        since_s, since_bytes = self._marks[0]
        passed_s = now_s - since_s
        return (self.done_bytes - since_bytes) / passed_s if passed_s >= _RATE_AFTER_S else None

    def remaining_s(self, now_s: float) -> float | None:
        """Seconds to its end, if it takes as long as the last time; 0 when it takes longer, `None` when unknown."""
        if self.status:
            return 0.0
        return None if self.usual_s is None else max(0.0, self.usual_s - self.elapsed_s(now_s))

    def elapsed_s(self, now_s: float) -> float:
        return (self.ended_s if self.ended_s is not None else now_s) - self.began_s


@dataclass(frozen=True, slots=True)
class _Trouble:
    """A call that failed and is retried; moments are those of `Progress`."""

    failure: event_types.CallRetried
    at_s: float

    def lasts(self, now_s: float) -> bool:
        """Whether the retry is still to come or under way; without a wait, whether it failed a short time ago."""
        wait_s = self.failure.wait_s
        shown_s = _TROUBLE_SHOWN_S if wait_s is None else wait_s + _RETRY_ENDS_WITHIN_S
        return now_s - self.at_s < shown_s

    def describe(self, now_s: float) -> str | None:
        """What fails since when, when it is tried next, and when it is given up; times of day are UTC."""
        failure = self.failure
        if failure.wait_s is None or failure.since is None:
            return None
        wait_s = self.at_s + failure.wait_s - now_s
        parts = [f"next try in {wait_s:,.0f} s" if wait_s >= 1 else "trying again now"]
        if failure.until is not None:
            parts.append(f"given up at {failure.until[11:16]} UTC")
        elif failure.attempts is not None:
            parts.append(f"{failure.attempt} of {failure.attempts} tries failed")
        return f"{failure.endpoint}: no success since {failure.since[11:16]} UTC, {', '.join(parts)}"


@dataclass(slots=True)
class Progress:
    """The run as a whole; moments are seconds on one monotonic scale, `usual` is how long datasets took before."""

    began_s: float
    usual: Mapping[str, float] = field(default_factory=dict)
    total: int | None = None
    lines: dict[str, DatasetProgress] = field(default_factory=dict)
    repeated: int = 0
    _states: PullStates = field(default_factory=PullStates)
    _slowed_to: float | None = None
    _quota_until_s: float | None = None
    _allowance_until_s: float | None = None
    _troubles: dict[tuple[str, str | None], _Trouble] = field(default_factory=dict)

    def note(self, event: Event, *, now_s: float) -> None:
        match event:
            case event_types.PlanMade():
                self.total = event.pulls
            case event_types.PaceChanged():
                self._slowed_to = event.calls_per_s if event.wait_s else None
            case event_types.QuotaReached():
                self._quota_until_s = now_s + event.wait_s
            case event_types.AllowanceAwaited():
                self._allowance_until_s = now_s + event.wait_s
            case event_types.CallRetried():
                self.repeated += 1
                self._troubles[event.endpoint, event.dataset] = _Trouble(event, now_s)
            case event_types.CallSent() if event.status < HTTPStatus.BAD_REQUEST:
                self._troubles.pop((event.endpoint, event.dataset), None)
        self._states.note(event, at_s=now_s)
        if event.dataset is not None:
            line = self.lines.get(event.dataset)
            if line is None:
                line = DatasetProgress(event.dataset, now_s, usual_s=self.usual.get(event.dataset))
                self.lines[event.dataset] = line
            line.doing = self._states.by_dataset.get(event.dataset, line.doing)
            _note_line(line, event, now_s=now_s)

    def as_event(self, *, now_s: float) -> event_types.RunProgressed:
        """How far the run is, in a line: without new lines in a log, a waiting run looks like one that hangs."""
        done, failed, total = self.counts()
        states: dict[str, Any] = {
            state: join_some(names, most=_MOST_NAMED) for state, names in self.datasets_by_state().items()
        }
        return event_types.RunProgressed(
            done=done,
            failed=failed,
            total=total,
            elapsed_s=round(now_s - self.began_s),
            downloaded_bytes=self.done_bytes(),
            not_started=total - len(self.lines) or None,
            slowed_by="; ".join(self.hindrances(now_s=now_s)) or None,
            **states,
        )

    def datasets_by_state(self) -> dict[str, list[str]]:
        """The datasets that are not finished, by what they are doing, in the order of the steps."""
        found: dict[str, list[str]] = {state: [] for state in PullState}
        for line in self.lines.values():
            if line.status is None:
                found[line.doing].append(line.dataset)
        return {state: names for state, names in found.items() if names}

    def counts(self) -> tuple[int, int, int]:
        """Datasets done, failed, and in all (as far as known)."""
        done = sum(line.status in _WELL for line in self.lines.values())
        lost = sum(line.status not in (None, *_WELL) for line in self.lines.values())
        return done, lost, max(self.total or 0, len(self.lines))

    def share(self) -> float:
        """How far along the run is, 0 to 1."""
        total = self.counts()[2]
        return sum(line.share for line in self.lines.values()) / total if total else 0.0

    def remaining_s(self, *, now_s: float) -> float | None:
        """Seconds to the end, if all takes as long as the last time; `None` with a new dataset, or awaiting a quota."""
        if self._quota_until_s is not None and self._quota_until_s > now_s:
            return None
        remaining = [line.remaining_s(now_s) for line in self.lines.values()]
        known = [seconds for seconds in remaining if seconds is not None]
        is_whole = known and len(known) == self.counts()[2]
        return max(known) if is_whole else None

    def done_bytes(self) -> int:
        return sum(line.done_bytes for line in self.lines.values())

    def hindrances(self, *, now_s: float) -> list[str]:
        """The reasons why the run is slow at this moment, one sentence each."""
        hindrances: list[str] = []
        if self._quota_until_s is not None and self._quota_until_s > now_s:
            wait_min = (self._quota_until_s - now_s) / 60
            hindrances.append(f"quota of one-off reports reached: the next one in {wait_min:,.0f} min")
        if self._allowance_until_s is not None and self._allowance_until_s > now_s:
            wait_s = self._allowance_until_s - now_s
            hindrances.append(f"waiting for the service's allowance of calls: the next one in {wait_s:,.0f} s")
        if self._slowed_to is not None:
            hindrances.append(f"the service throttled calls: {self._slowed_to:.3g} a second")
        troubles = [trouble for trouble in self._troubles.values() if trouble.lasts(now_s)]
        if troubles:
            oldest = min(troubles, key=lambda trouble: trouble.failure.since or "")
            last = max(troubles, key=lambda trouble: trouble.at_s)
            described = oldest.describe(now_s)
            hindrances += [] if described is None else [described]
            hindrances.append(f"{plural(self.repeated, 'call')} retried, the last because: {last.failure.reason}")
        return hindrances


def _note_line(line: DatasetProgress, event: Event, *, now_s: float) -> None:
    match event:
        case event_types.DownloadProgressed():
            line.arrived(event.done_bytes, now_s=now_s)
            line.size_bytes = event.size_bytes or line.size_bytes
        case event_types.DownloadCompleted():
            line.done_bytes = line.size_bytes = event.size_bytes or line.done_bytes
        case event_types.ConversionCompleted():
            line.rows = event.rows
        case event_types.PullFinished():
            line.status, line.ended_s = _DONE.get(event.status, event.status), now_s


class ProgressLine:
    """
    A listener that shows how far a run is, in one line that is rewritten: for notebooks and scripts.

        bulkpull.sync.export(output="data", listeners=bulkpull.ProgressLine())

    It can be used for one run after the other. `write` takes the text, which begins with a carriage return; default:
    standard output.
    """

    def __init__(
        self, write: Callable[[str], object] | None = None, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._monotonic = monotonic
        self._progress = Progress(began_s=monotonic())
        self._written_at_s = float("-inf")
        self._line = ""

    def __call__(self, event: Event) -> None:
        now_s = self._monotonic()
        if isinstance(event, event_types.RunStarted):
            self._progress, self._line, self._written_at_s = Progress(began_s=now_s), "", float("-inf")
        self._progress.note(event, now_s=now_s)
        ended = isinstance(event, event_types.RunFinished)
        if ended or now_s - self._written_at_s >= _REWRITTEN_EVERY_S:
            self._written_at_s = now_s
            self._show(self._text(now_s), end="\n" if ended else "")

    def _text(self, now_s: float) -> str:
        done, lost, total = self._progress.counts()
        parts = [f"{done} of {total} datasets done" if total else "reading the list of datasets"]
        if lost:
            parts.append(f"{lost} lost")
        parts += [f"{len(names)} {state}" for state, names in self._progress.datasets_by_state().items()]
        return ", ".join((*parts, format_clock(now_s - self._progress.began_s)))

    def _show(self, line: str, *, end: str) -> None:
        # Blanks overwrite the rest of a longer line before it.
        text = f"\r{line.ljust(len(self._line))}{end}"
        self._line = line
        if self._write is not None:
            self._write(text)
            return
        sys.stdout.write(text)
        sys.stdout.flush()
