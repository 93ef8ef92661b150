"""What each pull is doing, and since when, from the events of a run (pure): for display, timings and telemetry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bulkpull.errors import Step
from bulkpull.event_types import ConversionCompleted, Event, ExecutionChanged, PullFinished, PullStepped, RunFinished


class PullState(StrEnum):
    """
    What an unfinished pull may be doing, in order.

    `waiting` in the service's queue, `running` while its report is made, `ready` until its download begins.
    """

    SUBMITTING = "submitting"
    WAITING = "waiting"
    RUNNING = "running"
    READY = "ready"
    DOWNLOADING = "downloading"
    CONVERTING = "converting"
    PUBLISHING = "publishing"


_Key = tuple[str, str | None]
_ON_THE_SERVICE = (PullState.WAITING, PullState.RUNNING, PullState.READY)
# The state in which a pull enters each step.
STATE_AT_FIRST: Mapping[str, PullState] = {
    Step.SUBMIT: PullState.SUBMITTING,
    Step.POLL: PullState.WAITING,
    Step.DOWNLOAD: PullState.DOWNLOADING,
    Step.CONVERT: PullState.CONVERTING,
    Step.PUBLISH: PullState.PUBLISHING,
}
_BY_STATUS = {"running": PullState.RUNNING, "completed": PullState.READY}


@dataclass(frozen=True, slots=True)
class StateSpan:
    """The time in which a pull, or a `part` of several, was in one state; its step may go on after it."""

    dataset: str
    part: str | None
    state: PullState
    began_s: float
    ended_s: float
    ends_step: bool


@dataclass(slots=True)
class PullStates:
    """The states of all pulls of a run, on one scale of seconds; `by_dataset` has what each began last."""

    by_dataset: dict[str, PullState] = field(default_factory=dict)
    _open: dict[_Key, tuple[PullState, float]] = field(default_factory=dict)

    def note(self, event: Event, *, at_s: float) -> list[StateSpan]:
        """Take in one event; returns what it ended."""
        match event:
            case PullStepped(dataset=str(dataset)) if state := STATE_AT_FIRST.get(event.step):
                # The parts of a dataset are published together.
                keys = self._open_of(dataset) if event.step == Step.PUBLISH else [(dataset, event.part)]
                ended = self._end(keys, at_s=at_s)
                self.by_dataset[dataset], self._open[dataset, event.part] = state, (state, at_s)
                return ended
            case ExecutionChanged(dataset=str(dataset)) if self.by_dataset.get(dataset) in _ON_THE_SERVICE:
                self.by_dataset[dataset] = state = _BY_STATUS.get(event.status.casefold(), PullState.WAITING)
                key = dataset, None  # the event does not say which of several windows it is about
                if key in self._open and self._open[key][0] in {*_ON_THE_SERVICE} - {state}:
                    ended = self._end([key], at_s=at_s, ends_step=False)
                    self._open[key] = state, at_s
                    return ended
            case ConversionCompleted(dataset=str(dataset)):
                return self._end([(dataset, event.part)], at_s=at_s)
            case PullFinished(dataset=str(dataset)):
                return self._end(self._open_of(dataset), at_s=at_s)
            case RunFinished():
                return self.end_all(at_s=at_s)
        return []

    def end_all(self, *, at_s: float) -> list[StateSpan]:
        """End what is still open: the session is over."""
        return self._end(list(self._open), at_s=at_s)

    def _open_of(self, dataset: str) -> list[_Key]:
        return [key for key in self._open if key[0] == dataset]

    def _end(self, keys: Iterable[_Key], *, at_s: float, ends_step: bool = True) -> list[StateSpan]:
        return [StateSpan(*key, *self._open.pop(key), at_s, ends_step) for key in keys if key in self._open]
