"""The API's limit on calls: so many in a window, then 429 until it ends (behaviours 37 to 39)."""

from __future__ import annotations

import math

from bulkpull.simulator import refusals
from bulkpull.simulator.scenario import Scenario, SimulatorClock


class Throttle:
    """Counts every request, the refused ones too, in windows that begin with the first request after the last."""

    def __init__(self, scenario: Scenario, *, clock: SimulatorClock) -> None:
        self._limit, self._window_s, self._clock = scenario.requests_per_minute, scenario.throttle_window_s, clock
        self._began_at, self._count = -math.inf, 0

    def admit(self) -> None:
        """
        Count a request.

        Raises:
            Refusal: 429 when the window is full, with the whole seconds that are left of it.
        """
        if self._limit is None:
            return
        now = self._clock.monotonic()
        if now >= self._began_at + self._window_s:
            self._began_at, self._count = now, 0
        self._count += 1
        if self._count > self._limit:
            raise refusals.throttled(max(1, math.ceil(self._began_at + self._window_s - now)))
