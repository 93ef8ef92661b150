"""The live display: a line per dataset, redrawn in place; completed ones are hidden first where room is short."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Self

from rich.console import Console, Group, JustifyMethod
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bulkpull.events import Event
from bulkpull.formatting import format_clock, format_size
from bulkpull.observability.progress import DatasetProgress, Progress

_REDRAWN_PER_S = 5
_BAR_WIDTH = 16
# The header, and the line on which the cursor rests.
_OTHER_LINES = 2
# Dataset, what it is doing, elapsed time, bytes, rows.
_COLUMNS: tuple[tuple[int, JustifyMethod], ...] = (
    (31, "left"),
    (11, "left"),
    (7, "right"),
    (14, "right"),
    (11, "right"),
)
_STYLES = {"done": "green", "failed": "bold red", "unavailable": "yellow", "downloading": "cyan", "converting": "cyan"}


class Display:
    """Draws a run while the block lasts; `usual` is how long each dataset took the last time, seconds."""

    def __init__(
        self,
        console: Console,
        *,
        usual: Mapping[str, float] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._monotonic = monotonic
        self._progress = Progress(began_s=monotonic(), usual=usual or {})
        # The drawing thread reads what the run's thread writes.
        self._turn = threading.Lock()
        self._live = Live(
            console=console,
            get_renderable=self.draw,
            transient=True,
            refresh_per_second=_REDRAWN_PER_S,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        with self._turn:
            self._progress.note(event, now_s=self._monotonic())

    def print_above(self, line: str) -> None:
        self._console.print(Text.from_ansi(line), soft_wrap=True)

    def draw(self) -> Group:
        with self._turn:
            now_s = self._monotonic()
            progress = self._progress
            hindrances = progress.hindrances(now_s=now_s)
            room = max(2, self._console.height - _OTHER_LINES - len(hindrances))
            warnings = (Text(f"! {words}", style="yellow", no_wrap=True, overflow="ellipsis") for words in hindrances)
            table = _table(list(progress.lines.values()), room=room, now_s=now_s)
            return Group(_header(progress, now_s=now_s), *warnings, table)


def _header(progress: Progress, *, now_s: float) -> Table:
    done, lost, total = progress.counts()
    words = f"{done} of {total} done" if total else "reading the list of datasets"
    if lost:
        words += f", {lost} lost"
    words += f"   {format_clock(now_s - progress.began_s)}"
    remaining_s = progress.remaining_s(now_s=now_s)
    if remaining_s:
        words += f", ~{format_clock(remaining_s)} left"
    elif remaining_s is not None and done + lost < total:
        words += ", longer than usual"
    if size_bytes := progress.done_bytes():
        words += f"   {format_size(size_bytes)}"
    bar = ProgressBar(total=1.0, completed=progress.share(), width=_BAR_WIDTH)
    header = Table.grid(padding=(0, 2))
    header.add_row(bar, Text(words, style="bold", no_wrap=True, overflow="ellipsis"))
    return header


def _table(lines: list[DatasetProgress], *, room: int, now_s: float) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1, 0, 0))
    # Fixed widths, 79 in all: growing numbers must not move the other columns.
    for width, justify in _COLUMNS:
        table.add_column(width=width, justify=justify, no_wrap=True, overflow="ellipsis")
    shown = lines
    if len(lines) > room:  # datasets in progress first, then failed ones, completed ones last
        by_interest = sorted(lines, key=lambda line: (line.status == "done", line.status is not None))
        chosen = {line.dataset for line in by_interest[: room - 1]}
        shown = [line for line in lines if line.dataset in chosen]
    for line in shown:
        word = line.status or line.doing
        rate, rows = line.rate(now_s), "" if line.rows is None else f"{line.rows:,}"
        table.add_row(
            line.dataset,
            Text(word, style=_STYLES.get(word, "dim")),
            format_clock(line.elapsed_s(now_s)),
            _bytes(line),
            # The rows are known once the download is over, so the two never meet.
            rows if rate is None else f"{format_size(rate)}/s",
        )
    if len(shown) < len(lines):
        table.add_row(f"… and {len(lines) - len(shown)} more")
    return table


def _bytes(line: DatasetProgress) -> str:
    if not line.done_bytes:
        is_waiting = line.usual_s is not None and line.status is None
        return f"of ~{format_clock(line.usual_s or 0.0)}" if is_waiting else ""
    if line.size_bytes is None or line.done_bytes >= line.size_bytes:
        return format_size(line.done_bytes)
    return f"{line.done_bytes / line.size_bytes:.0%} of {format_size(line.size_bytes)}"
