"""
The API's rate limit: a number of calls per window, then 429 until the window ends.

Apart from `api_server`, because every tenant has a state of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from bulkpull.simulator import error_replies
from bulkpull.simulator.scenario import Scenario, SimulatorClock


class Throttle:
    """
    Counts every request of the partner, including rejected ones (behaviours 37, 38, 172 and 173).

    A window begins with the first request after the last window. No reply says how long a window is.
    """

    def __init__(self, scenario: Scenario, *, clock: SimulatorClock) -> None:
        self._limit, self._window_s, self._clock = scenario.requests_per_minute, scenario.throttle_window_s, clock
        self._tells = scenario.tells_allowance
        self._began_at, self._count = -math.inf, 0

    def count(self, calls: int = 1) -> None:
        """Take calls of this client, or of another tool of the same partner, out of the allowance (behaviour 173)."""
        now = self._clock.monotonic()
        if now >= self._began_at + self._window_s:
            self._began_at, self._count = now, 0
        self._count += calls

    def check(self) -> None:
        """Let the request through that was counted last."""
        if self._count > self._limit:
            raise error_replies.throttled(max(1, math.ceil(self._began_at + self._window_s - self._clock.monotonic())))

    @property
    def headers(self) -> Mapping[str, str]:
        """The allowance and what is left of it after the request that was counted last."""
        if not self._tells:
            return {}
        return {"X-RateLimit-Limit": str(self._limit), "X-RateLimit-Remaining": str(max(0, self._limit - self._count))}
