"""
Elapsed seconds of each step of a dataset, whose windows take their steps side by side.

Measured where a step is taken, not read from `PullStates`: the events behind it do not say to which of several windows
an execution belongs, and a listener that fails may not change the manifest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import itemgetter

from bulkpull.clock import Clock
from bulkpull.errors import Step
from bulkpull.output.manifest import Seconds

# In the order of a pull, each with its name in the manifest.
_NAMES = {Step.SUBMIT: "submit", Step.POLL: "wait", Step.DOWNLOAD: "download", Step.CONVERT: "convert"}


@dataclass(frozen=True, slots=True)
class StepSpan:
    """The time in which a window took a step, seconds of the monotonic clock."""

    step: Step
    began_s: float
    ended_s: float


@dataclass(slots=True)
class StepTimer:
    """Records the spans of one window; a step that fails counts as well."""

    clock: Clock
    spans: list[StepSpan] = field(default_factory=list)

    @contextmanager
    def during(self, step: Step) -> Iterator[None]:
        """Record the time of the block for `step`."""
        began_s = self.clock.monotonic()
        try:
            yield
        finally:
            self.spans.append(StepSpan(step, began_s, self.clock.monotonic()))


def elapsed_seconds(spans: Iterable[StepSpan]) -> Seconds:
    """
    Elapsed time by step, not the sum over windows (pure).

    While windows are at different steps, the time counts for the earliest of these steps only. So the four numbers
    together never exceed the time that has passed.
    """
    changes: list[tuple[float, Step, int]] = []
    for span in spans:
        changes += ((span.began_s, span.step, 1), (span.ended_s, span.step, -1))
    elapsed_s, active, since_s = dict.fromkeys(_NAMES, 0.0), Counter[Step](), 0.0
    for at_s, step, change in sorted(changes, key=itemgetter(0)):
        earliest = next((name for name in _NAMES if active[name]), None)
        if earliest is not None:
            elapsed_s[earliest] += at_s - since_s
        active[step] += change
        since_s = at_s
    return Seconds(**{_NAMES[step]: round(passed_s, 3) for step, passed_s in elapsed_s.items()})
