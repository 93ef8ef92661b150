"""
Chooses the number of parallel streams: more while throughput grows, fewer when the host is busy.

A host that limits each connection sends twice as much over two. A full line or a busy processor gains nothing. So the
number of streams is raised on trial, and kept only if throughput grows by a quarter: to the ceiling at once where each
stream is so slow that a limit per connection is likely, else twofold.
"""

from __future__ import annotations

from dataclasses import dataclass

# The speed of a new connection means nothing before some round trips.
_WARM_UP_S = 0.2
_WINDOW_S = 0.3
# The first window decides only whether to try more streams, so it may be short; a trial is judged over a whole one.
_FIRST_WINDOW_S = 0.05
_WORTH = 1.25
# Faster than any line to a storage account: the processor is the limit, and two streams do not help.
_ENOUGH_BYTES_PER_S = 400e6
# Hosts and proxies that limit a connection give it less than this.
_SLOW_STREAM_BYTES_PER_S = 50e6
_FIRST_HOLD_S = 15.0
_BUSY_HOLD_S = 30.0
# After so many "busy" replies the file uses one stream only; those that streams begun together receive count as one.
_PATIENCE = 3
_TOGETHER_S = 1.0


@dataclass(slots=True)
class StreamCount:
    """The number of streams of one file: how many there should be now, and at most."""

    ceiling: int
    streams: int = 1
    _before: int = 1
    _before_rate: float = 0.0
    _on_trial: bool = False
    _judged: bool = False
    _hold_s: float = _FIRST_HOLD_S
    _holds_until: float = 0.0
    _busy: int = 0
    _busy_at: float = -_TOGETHER_S
    _window_from: float | None = None
    _window_bytes: int = 0

    def record_bytes(self, size_bytes: int, *, at: float) -> None:
        """Record received bytes, over all streams; adjusts `streams` at the end of each measuring window."""
        if self._window_from is None:
            self._window_from = at  # the bytes until now took an unknown time
            return
        if self.ceiling == 1 or at < self._window_from:
            return
        self._window_bytes += size_bytes
        elapsed_s = at - self._window_from
        if elapsed_s >= (_WINDOW_S if self._judged else _FIRST_WINDOW_S):
            self._judge(self._window_bytes / elapsed_s, at=at)

    def back_off(self, *, at: float, retry_after_s: float | None = None) -> None:
        """Halve the streams after a "busy" reply, and start no trial for a while."""
        if at - self._busy_at >= _TOGETHER_S:
            self._busy += 1
            self._busy_at = at
        if self._busy >= _PATIENCE:
            self.ceiling = 1
        self._holds_until = at + max(_BUSY_HOLD_S, retry_after_s or 0.0)
        self._become(max(1, min(self.streams // 2, self.ceiling)), at=at)
        self._on_trial = False

    def limit_to_one(self) -> None:
        """Use one stream from now on: the host serves no ranges."""
        self.ceiling = self.streams = 1

    def _judge(self, rate: float, *, at: float) -> None:
        self._judged = True
        if self._on_trial and rate < self._before_rate * _WORTH:
            self._on_trial = False
            self._holds_until = at + self._hold_s
            self._hold_s *= 2
            self._become(self._before, at=at)
        elif self.streams < self.ceiling and at >= self._holds_until and rate < _ENOUGH_BYTES_PER_S:
            self._before, self._before_rate, self._on_trial = self.streams, rate, True
            is_slow = rate < _SLOW_STREAM_BYTES_PER_S * self.streams
            self._become(self.ceiling if is_slow else min(2 * self.streams, self.ceiling), at=at)
        else:
            self._on_trial = False
            self._begin_window(at)

    def _become(self, streams: int, *, at: float) -> None:
        self.streams = streams
        self._begin_window(at + _WARM_UP_S)

    def _begin_window(self, at: float) -> None:
        self._window_from, self._window_bytes = at, 0
