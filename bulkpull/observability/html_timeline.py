"""
The timeline of a run as HTML (pure): one bar per dataset on a time axis, and a table with the same numbers.

Bars scale with the page, so their sizes are percentages of the run; text beside them keeps its size.
"""

from __future__ import annotations

from collections.abc import Sequence

from bulkpull.formatting import format_duration
from bulkpull.observability.html_markup import Html, breakable, element, joined
from bulkpull.observability.timings import Phase, RunTimings, Span

_PHASE_LABELS = {
    Phase.WAITING: "waiting",
    Phase.SERVICE: "on the service",
    Phase.DOWNLOAD: "download",
    Phase.CONVERT: "convert",
    Phase.PUBLISH: "publish",
}
# Phases differ in height as well as in colour; the bar's box is 18 pixels high.
_BOX, _HEIGHTS = 18, {Phase.WAITING: 3, Phase.SERVICE: 8, Phase.DOWNLOAD: 14, Phase.CONVERT: 14, Phase.PUBLISH: 18}
_STEPS_S = (
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    10_800,
    21_600,
    43_200,
    86_400,
)
_MOST_TICKS = 4


def phase_label(phase: Phase) -> str:
    """The label of a phase on the page."""
    return _PHASE_LABELS[phase]


def ticks(length_s: float) -> list[float]:
    """Round moments for an axis of that length, 0 among them; at most five."""
    step_s = next((step for step in _STEPS_S if length_s / step <= _MOST_TICKS), max(length_s / _MOST_TICKS, 1.0))
    return [step_s * number for number in range(int(length_s / step_s) + 1)]


def draw_timeline(chronicle: RunTimings, datasets: Sequence[str]) -> Html:
    """The bars of `datasets`, with a legend and an axis."""
    length_s = max(chronicle.length_s, 1e-3)
    grid = joined(
        *(_line("grid", at_s / length_s) for at_s in ticks(length_s)),
        *(_line("again", at_s / length_s) for at_s in chronicle.resumptions),
    )
    rows = [
        element("li", *_row(dataset, chronicle.of(dataset), length_s=length_s, grid=grid), class_="pull")
        for dataset in datasets
    ]
    return element(
        "figure",
        _legend(chronicle),
        _axis(length_s),
        element("ul", *rows, class_="pulls", role="list"),
        aria_labelledby="timeline",
    )


def timeline_table(chronicle: RunTimings, datasets: Sequence[str]) -> Html:
    """The same in numbers: seconds by dataset and phase."""
    names = [*(_PHASE_LABELS[phase].capitalize() for phase in Phase), "Done after"]
    head = element(
        "tr",
        element("th", "Dataset", scope="col", role="columnheader"),
        *(element("th", name, scope="col", role="columnheader", class_="number") for name in names),
        role="row",
    )
    rows: list[Html] = []
    for dataset in datasets:
        spans = chronicle.of(dataset)
        spent = [sum(span.length_s for span in spans if span.phase is phase) for phase in Phase]
        ended_s = max((span.ended_s for span in spans), default=0.0)
        cells = [
            element("td", format_duration(each_s) if each_s else "–", class_="number", role="cell", data_name=name)
            for each_s, name in zip([*spent, ended_s], names, strict=True)
        ]
        rows.append(element("tr", element("th", breakable(dataset), scope="row", role="rowheader"), *cells, role="row"))
    return element(
        "table",
        element("caption", "Time in each phase; repeated phases are added up."),
        element("thead", head, role="rowgroup"),
        element("tbody", *rows, role="rowgroup"),
        class_="cards lines",
        role="table",
    )


def _row(dataset: str, spans: Sequence[Span], *, length_s: float, grid: Html) -> tuple[Html, ...]:
    said = [
        f"{_PHASE_LABELS[phase]} {format_duration(sum(span.length_s for span in spans if span.phase is phase))}"
        for phase in Phase
        if any(span.phase is phase for span in spans)
    ]
    words = f"{dataset}: {', '.join(said) or 'no step was taken in this run'}"
    took_s = max((span.ended_s for span in spans), default=0.0)
    bar = element(
        "svg",
        element("title", words),
        grid,
        *(_rect(span.phase, span.began_s / length_s, span.length_s / length_s) for span in spans),
        role="img",
        aria_label=words,
        height=_BOX,
    )
    return (
        element("span", breakable(dataset), class_="name"),
        bar,
        element("span", format_duration(took_s) if spans else "–", class_="took number"),
    )


def _rect(phase: Phase, left: float, width: float) -> Html:
    height = _HEIGHTS[phase]
    return element(
        "rect",
        x=_share(left),
        y=str((_BOX - height) / 2),
        width=_share(width),
        height=height,
        class_=phase.value,
        # Without its outline, what takes a thousandth of the run would not be seen.
        stroke_width="1",
    )


def _line(kind: str, at: float) -> Html:
    return element("line", x1=_share(at), x2=_share(at), y1="0", y2=_BOX, class_=kind)


def _share(part: float) -> str:
    return f"{100 * part:.3f}%"


def _legend(chronicle: RunTimings) -> Html:
    entries = [
        element("li", element("svg", _rect(phase, 0.05, 0.9), aria_hidden="true"), words)
        for phase, words in _PHASE_LABELS.items()
    ]
    if chronicle.resumptions:
        mark = element("svg", element("line", x1="50%", x2="50%", y1="0", y2=_BOX, class_="again"), aria_hidden="true")
        entries.append(element("li", mark, "resumed after an interruption; the time in between is left out"))
    return element("ul", *entries, class_="legend", role="list")


def _axis(length_s: float) -> Html:
    marks = [
        element("text", format_duration(at_s), x=_share(at_s / length_s), y="14", text_anchor=_anchor(at_s / length_s))
        for at_s in ticks(length_s)
    ]
    return element(
        "div",
        element("span"),
        element("svg", *marks, height="20"),
        element("span", "done after"),
        class_="axis",
        aria_hidden="true",
    )


def _anchor(at: float) -> str:
    edge = 0.04
    if at < edge:
        return "start"
    return "end" if at > 1 - edge else "middle"
