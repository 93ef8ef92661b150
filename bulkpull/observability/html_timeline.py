"""The timeline of a run as values for the report's template (pure); sizes of bars are percentages of the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bulkpull.formatting import format_duration
from bulkpull.observability.timings import Phase, RunTimings, Span

PHASE_LABELS = {
    Phase.WAITING: "waiting",
    Phase.SERVICE: "on the service",
    Phase.DOWNLOAD: "download",
    Phase.CONVERT: "convert",
    Phase.PUBLISH: "publish",
}
# Phases differ in height as well as in colour; the bar's box is 18 pixels high.
BOX = 18
_HEIGHTS = {Phase.WAITING: 3, Phase.SERVICE: 8, Phase.DOWNLOAD: 14, Phase.CONVERT: 14, Phase.PUBLISH: 18}
_MINUTE, _HOUR = 60.0, 3600.0
_STEPS_S = (
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(minutes * _MINUTE for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * _HOUR for hours in (1, 2, 3, 6, 12, 24)),
)
_MOST_TICKS = 4
_EDGE = 0.04
_NONE = "–"


@dataclass(frozen=True, slots=True)
class Bar:
    """One phase of a dataset; `x` and `width` are shares of the page's width, `y` and `height` pixels."""

    phase: str
    x: str
    y: str
    width: str
    height: int


@dataclass(frozen=True, slots=True)
class AxisMark:
    """A round moment of the axis."""

    x: str
    label: str
    anchor: str


@dataclass(frozen=True, slots=True)
class DatasetTimeline:
    """The bars of one dataset; as `words` for screen readers, and as `cells`: time by phase, then when it was done."""

    dataset: str
    words: str
    took: str
    bars: Sequence[Bar]
    cells: Sequence[str]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The whole figure; `resumptions` are shares of the page's width."""

    legend: Sequence[tuple[Bar, str]]
    marks: Sequence[AxisMark]
    resumptions: Sequence[str]
    columns: Sequence[str]
    rows: Sequence[DatasetTimeline]


def draw_timeline(timings: RunTimings, datasets: Sequence[str]) -> Timeline:
    """The timeline of these datasets."""
    length_s = max(timings.length_s, 1e-3)
    return Timeline(
        legend=[(_bar(phase, 0.05, 0.9), words) for phase, words in PHASE_LABELS.items()],
        marks=[_mark(at_s, at_s / length_s) for at_s in ticks(length_s)],
        resumptions=[_share(at_s / length_s) for at_s in timings.resumptions],
        columns=[*(PHASE_LABELS[phase].capitalize() for phase in Phase), "Done after"],
        rows=[_row(dataset, timings.of(dataset), length_s=length_s) for dataset in datasets],
    )


def ticks(length_s: float) -> list[float]:
    """Round moments for an axis of that length, 0 among them; at most five."""
    step_s = next((step for step in _STEPS_S if length_s / step <= _MOST_TICKS), max(length_s / _MOST_TICKS, 1.0))
    return [step_s * number for number in range(int(length_s / step_s) + 1)]


def _row(dataset: str, spans: Sequence[Span], *, length_s: float) -> DatasetTimeline:
    spent_s = {phase: sum(span.length_s for span in spans if span.phase is phase) for phase in Phase}
    passed = [phase for phase in Phase if any(span.phase is phase for span in spans)]
    said = [f"{PHASE_LABELS[phase]} {format_duration(spent_s[phase])}" for phase in passed]
    ended_s = max((span.ended_s for span in spans), default=0.0)
    return DatasetTimeline(
        dataset,
        words=f"{dataset}: {', '.join(said) or 'no step was taken in this run'}",
        took=format_duration(ended_s) if spans else _NONE,
        bars=[_bar(span.phase, span.began_s / length_s, span.length_s / length_s) for span in spans],
        cells=[format_duration(time_s) if time_s else _NONE for time_s in (*spent_s.values(), ended_s)],
    )


def _bar(phase: Phase, left: float, width: float) -> Bar:
    height = _HEIGHTS[phase]
    return Bar(phase.value, x=_share(left), y=str((BOX - height) / 2), width=_share(width), height=height)


def _mark(at_s: float, share: float) -> AxisMark:
    anchor = "start" if share < _EDGE else "end" if share > 1 - _EDGE else "middle"
    return AxisMark(_share(share), format_duration(at_s), anchor)


def _share(part: float) -> str:
    return f"{100 * part:.3f}%"
