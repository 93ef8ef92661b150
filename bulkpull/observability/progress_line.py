"""A run's progress as one line that is rewritten: for notebooks and scripts, which have no live display."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from bulkpull.event_types import Event, RunFinished, RunStarted
from bulkpull.formatting import format_clock
from bulkpull.observability.progress import Progress

_REWRITTEN_EVERY_S = 0.5


class ProgressLine:
    """
    A listener that shows how far a run is.

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
        if isinstance(event, RunStarted):
            self._progress, self._line, self._written_at_s = Progress(began_s=now_s), "", float("-inf")
        self._progress.note(event, now_s=now_s)
        ended = isinstance(event, RunFinished)
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
