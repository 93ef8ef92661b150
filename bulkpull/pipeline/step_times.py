"""Elapsed seconds of each step of a dataset, whose windows take their steps side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bulkpull.clock import Clock
from bulkpull.errors import Step
from bulkpull.output.manifest import Seconds

# In the order of a pull, each with its name in the manifest.
_NAMES = {Step.SUBMIT: "submit", Step.POLL: "wait", Step.DOWNLOAD: "download", Step.CONVERT: "convert"}


@dataclass(slots=True)
class StepTimes:
    """
    Counts elapsed time, not the sum over windows.

    While windows are at different steps, the time counts for the earliest of these steps only. So the four numbers
    together never exceed the time that has passed.

    Args:
        seconds: Gets the numbers.
    """

    clock: Clock
    seconds: Seconds
    _elapsed_s: dict[Step, float] = field(default_factory=lambda: dict.fromkeys(_NAMES, 0.0))
    _active: Counter[Step] = field(default_factory=Counter)
    _counted_at_s: float = 0.0

    @contextmanager
    def during(self, step: Step) -> Iterator[None]:
        """Count the time of the block for `step`."""
        self._count()
        self._active[step] += 1
        try:
            yield
        finally:
            self._count()
            self._active[step] -= 1

    def _count(self) -> None:
        now_s = self.clock.monotonic()
        earliest = next((step for step in _NAMES if self._active[step]), None)
        if earliest is not None:
            self._elapsed_s[earliest] += now_s - self._counted_at_s
            setattr(self.seconds, _NAMES[earliest], round(self._elapsed_s[earliest], 3))
        self._counted_at_s = now_s
